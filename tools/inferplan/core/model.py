"""A model to serve: its architecture, the formats of its published checkpoints, its parameter totals.

A size class of the guide ("70B") is nominal: its totals are those of its name, its architecture that of the model
that it stands for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from inferplan.core.architecture import Architecture
from inferplan.core.parameters import Parameters, count, idle_params
from inferplan.core.sparsity import routed_params

Adapted = Literal["", "linear", "embedding", "ends", "joined", "stacked"]
"""What vLLM adapts by LoRA: `linear` layers; these and the `embedding`; these and both `ends`, the head too;
`joined` the same with query, key, value fused and gate and up fused; `stacked` linear layers with gate and up of an
expert fused. Empty where no source says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Nominal:
    """The totals of a size class, exact by definition. [parameters]"""

    total: int
    active: int


REST = 16.0
"""The width of tensors that a checkpoint does not quantise. [bits]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeBits:
    """The bits per weight of each tensor class in a checkpoint that is quantised in parts; the rest has 16. [bits]"""

    mixers: float = REST
    ffn: float = REST
    routed_experts: float = REST
    lookup: float = REST
    output_head: float = REST
    embedding: float = REST


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A checkpoint that is published beside the release in another format: what it quantises.

    `kv_bits` is the KV cache element that its config asks for, None where it leaves that to the engine.
    Multi-token-prediction layers stay in 16 bit, as in every known build.
    """

    id: str
    bits: NativeBits
    kv_bits: float | None = None


def _no_builds() -> Mapping[str, Build]:
    """No builds are known."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Model:
    """A model to serve: a size class (with `nominal`) or a checkpoint (without).

    Models are compared by identity, so that results can be cached by model cheaply. `native_kv_bits` is the KV cache
    element that the release's config asks for; `builds` are published checkpoints in other formats, by format. A
    checkpoint with `remote_code` brings code of its own, which an engine has to be allowed to run; one that
    `needs_bf16` overflows in FP16. In its own format `weight_block` inputs (and outputs, where blocks are square) share
    a scale; 0 where a whole row or tensor does. `vllm_since` is the first vLLM (28 is 0.28) with a class for the model,
    0 where that is not known. `lora` is what vLLM adapts.
    """

    id: str
    title: str
    architecture: Architecture
    native_precision: str
    nominal: Nominal | None = None
    stands_for: str | None = None
    native_bits: NativeBits | None = None
    native_kv_bits: float | None = None
    builds: Mapping[str, Build] = field(default_factory=_no_builds)
    remote_code: bool = False
    needs_bf16: bool = False
    weight_block: int = 0
    vllm_since: int = 0
    lora: Adapted = ""

    def build(self, precision: str) -> Build | None:
        """The published checkpoint in this format, None where none is known beside the release."""
        return None if precision == self.native_precision else self.builds.get(precision)

    def block(self, precision: str) -> int:
        """Inputs that share a scale in this format, 0 where all of a row do. [weights]"""
        return self.weight_block if precision == self.native_precision else 0

    def sliced_block(self, precision: str) -> int:
        """`block` of attention and dense layers, 0 where the checkpoint quantises routed experts alone. [weights]"""
        bits = self.own_bits(precision)
        experts_alone = bits is not None and bits.mixers == bits.ffn == REST
        return 0 if experts_alone else self.block(precision)

    def own_kv_bits(self, precision: str) -> float | None:
        """The KV cache element that the checkpoint in this format asks for, None where it asks for none. [bits]"""
        if precision == self.native_precision:
            return self.native_kv_bits
        build = self.build(precision)
        return build.kv_bits if build else None

    def own_bits(self, precision: str) -> NativeBits | None:
        """The bits of each class in its checkpoint in this format; None where the format's own rule applies."""
        if precision == self.native_precision:
            return self.native_bits
        build = self.build(precision)
        return build.bits if build else None

    @property
    def is_size_class(self) -> bool:
        """Whether the totals come from the name rather than from tensors."""
        return self.nominal is not None

    def is_beyond_training(self, context: int) -> bool:
        """Whether a context is longer than the checkpoint was trained for; never of a size class."""
        return not self.is_size_class and context > self.architecture.max_positions

    @property
    def parameters(self) -> Parameters:
        """Parameters by tensor class; of a size class adjusted to its nominal total. [parameters]

        The difference goes to the dense feed-forward blocks, or, in a mixture of experts, to routed and shared experts,
        whose split total and active parameters define (see `sparsity.routed_params`).
        """
        return _parameters(self)

    @property
    def total_params(self) -> int:
        """All parameters of the text decoder. [parameters]"""
        return self.parameters.total

    @property
    def active_params(self) -> int:
        """Parameters that one token computes with, embedding and head included. [parameters]"""
        if self.nominal is not None:
            return self.nominal.active
        return self.parameters.total - idle_params(self.architecture)


@lru_cache(maxsize=1024)
def _parameters(model: Model) -> Parameters:
    """`Model.parameters`, cached by model."""
    exact = count(model.architecture)
    return exact if model.nominal is None else _stretch(exact, model.architecture, model.nominal)


def _stretch(exact: Parameters, architecture: Architecture, nominal: Nominal) -> Parameters:
    """The tensor classes of a size class, adding up to its nominal total (and active) parameters."""
    experts = architecture.experts
    if experts is None:
        ffn = nominal.total - (exact.total - exact.dense_ffn)
        return replace(exact, dense_ffn=ffn)
    routed = round(
        routed_params(
            total_params=nominal.total,
            active_params=nominal.active,
            experts=experts.experts,
            active=experts.active,
        )
    )
    rest = exact.total - exact.routed_experts - exact.shared_experts
    return replace(exact, routed_experts=routed, shared_experts=nominal.total - routed - rest)
