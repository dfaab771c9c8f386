"""Number formats of weights and of the KV cache: bits, units that compute them, quality."""

from functools import cache
from typing import Literal

from pydantic import Field, PositiveFloat

from inferplan.catalog._advice_other import other_advice
from inferplan.catalog._advice_width import width_advice
from inferplan.catalog._shelf import Shelf, Stock
from inferplan.catalog._table import TitledRow, document, read_rows, stock
from inferplan.core.engine import EngineName
from inferplan.core.precision import Precision, Quality, Scope

_FILE = "formats.toml"


class PrecisionRow(TitledRow):
    """A weight format as its file states it."""

    bits: PositiveFloat
    nominal_bits: PositiveFloat | None = None
    scope: Scope
    kv_bits: PositiveFloat
    compute: Literal["fp32", "bf16", "fp8", "mxfp8", "int8", "fp4", "nvfp4"]
    weight_only: bool
    codec: Literal["fp32", "bf16", "fp16", "fp8_e4m3", "int8", "int4", "nf4", "mxfp4", "mxfp8", "nvfp4"] | None = None
    quality: Quality
    quality_evidence: str
    guide: bool = False
    engines: tuple[Literal["vllm", "sglang", "tensorrt-llm", "llama.cpp"], ...] = Field(min_length=1)
    gguf_type: str | None = None
    note: str | None = None

    def precision(self) -> Precision:
        """The row as the tools take it."""
        return Precision(
            id=self.id,
            title=self.title,
            bits_per_weight=self.bits,
            nominal_bits=self.nominal_bits or self.bits,
            scope=self.scope,
            kv_bits=self.kv_bits,
            compute=self.compute,
            weight_only=self.weight_only,
            codec=self.codec,
            quality=self.quality,
            quality_evidence=self.quality_evidence,
            guide=self.guide,
            engines=self.engines,
        )


class KvFormat(TitledRow):
    """A format of the KV cache; `bits` of one element, block scales included.

    `stored_by` has, by engine, its own name for the format, empty where no flag is needed. `since` is the first vLLM
    (0.x) that has it. A format with `head_scale_bytes` beside the keys and values of each head cannot hold latents.
    """

    bits: PositiveFloat
    stored_by: dict[EngineName, str] = Field(min_length=1)
    head_scale_bytes: int = 0
    since: int = 0

    def is_kept_by(self, engine: EngineName, version: int) -> bool:
        """Whether an engine has this format; the version is vLLM's."""
        return engine in self.stored_by and (engine != "vllm" or version >= self.since)


@cache
def format_rows() -> dict[str, PrecisionRow]:
    """Every weight format by id, with what `Precision` leaves out: note, sources, GGUF type."""
    return {row.id: row for row in read_rows(_FILE, "format", PrecisionRow)}


def _weights() -> Stock[Precision]:
    return stock(format_rows().values(), PrecisionRow.precision, noise=document(_FILE)["noise"])


def _kv_cache() -> Stock[KvFormat]:
    return stock(read_rows(_FILE, "kv_format", KvFormat), lambda row: row, noise=document(_FILE)["noise"])


def _titles(shelf: Shelf[Precision] | Shelf[KvFormat]) -> dict[str, str]:
    return {id_: form.title for id_, form in shelf.items()}


def _weight_advice(said: str) -> str | None:
    """For a width, or a name of quantization that is no format to plan with."""
    bits = {id_: form.nominal_bits for id_, form in FORMATS.items()}
    return width_advice(said, _titles(FORMATS)) or other_advice(said, bits)


FORMATS: Shelf[Precision] = Shelf(kind="precision", load=_weights, advice=_weight_advice)
KV_FORMATS: Shelf[KvFormat] = Shelf(
    kind="KV cache precision", load=_kv_cache, advice=lambda said: width_advice(said, _titles(KV_FORMATS))
)
