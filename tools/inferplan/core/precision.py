"""Weight formats: bits per weight, what stays in 16 bit, and the arithmetic of matrix products."""

from dataclasses import dataclass
from typing import Literal

Scope = Literal["all", "linear"]
Quality = Literal["baseline", "safe", "caution"]

BITS_PER_BYTE = 8
REST_BITS = 16
"""The width of embedding, output head, router and norms in a format of scope "linear". [bits]"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Precision:
    """A weight format; compared by identity.

    `bits_per_weight` includes scales and zero points of a quantised matrix; `nominal_bits` is the guide's figure.
    `scope` says whether all tensors are stored so or only the linear layers. `kv_bits` is the guide's KV cache element
    in this format. Matrix products run in the arithmetic `compute` where the GPU has it; weights of a `weight_only`
    format are expanded to 16 bit before the product. `codec` is the number format in `core.formats` that encodes one
    weight, None where there is none.
    """

    id: str
    title: str
    bits_per_weight: float
    nominal_bits: float
    scope: Scope
    kv_bits: float
    compute: str
    weight_only: bool
    codec: str | None
    quality: Quality
    quality_evidence: str
    guide: bool = False
    engines: tuple[str, ...] = ()

    @property
    def is_gguf(self) -> bool:
        """Whether it is one of GGUF's mixes, which llama.cpp reads."""
        return self.title.startswith("GGUF ")

    @property
    def is_llm_int8(self) -> bool:
        """Whether it is LLM.int8() of bitsandbytes, whose checkpoints engines neither slice nor run in CUDA graphs."""
        return self.id == "bnb-int8"

    @property
    def is_bitsandbytes(self) -> bool:
        """Whether it is LLM.int8() or NF4: engines slice no checkpoint that is stored so."""
        return self.is_llm_int8 or self.id == "nf4"

    @property
    def element_bytes(self) -> int:
        """An element of activations of a model in this format: 32 bit in FP32, else 16. [B]"""
        return 4 if self.id == "fp32" else 2

    @property
    def rest_bits(self) -> float:
        """Bits per weight outside the linear layers. [bits]"""
        return self.bits_per_weight if self.scope == "all" else REST_BITS
