"""Number formats of weights and of the KV cache: what they cost, what computes them, how well they hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal

from pydantic import Field, PositiveFloat

from inferplan.catalog._shelf import Entry, Shelf, Stock
from inferplan.catalog._table import NamedRow, document, read_rows
from inferplan.core.engine import EngineName
from inferplan.core.precision import Precision, Quality, Scope

_FILE = "formats.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class KvFormat:
    """A format of the KV cache; `bits` of one element, block scales included.

    `stored_by` names the engines that have it, with what each calls it; empty where nothing needs to be said. Of vLLM
    `since` is the first version (0.x). One that keeps `head_scale_bytes` beside the keys and the values of each head
    has no place for latents.
    """

    id: str
    title: str
    aliases: tuple[str, ...]
    bits: float
    stored_by: Mapping[EngineName, str]
    head_scale_bytes: int
    since: int
    source: tuple[str, ...]
    checked: date

    def is_kept_by(self, engine: EngineName, version: int) -> bool:
        """Whether an engine keeps a cache in it; the version is vLLM's."""
        return engine in self.stored_by and (engine != "vllm" or version >= self.since)


class PrecisionRow(NamedRow):
    """One weight format as its file states it."""

    title: str
    bits: PositiveFloat
    nominal_bits: PositiveFloat | None = None
    scope: Scope
    kv_bits: PositiveFloat
    compute: Literal["fp32", "bf16", "fp8", "int8", "fp4"]
    weight_only: bool
    codec: Literal["fp32", "bf16", "fp16", "fp8_e4m3", "int8", "int4", "nf4", "mxfp4", "nvfp4"] | None = None
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


class KvFormatRow(NamedRow):
    """One format of the KV cache as its file states it."""

    title: str
    bits: PositiveFloat
    stored_by: dict[EngineName, str] = Field(min_length=1)
    head_scale_bytes: int = 0
    since: int = 0

    def kv_format(self) -> KvFormat:
        """The row as the tools take it."""
        return KvFormat(
            id=self.id,
            title=self.title,
            aliases=self.aliases,
            bits=self.bits,
            stored_by=self.stored_by,
            head_scale_bytes=self.head_scale_bytes,
            since=self.since,
            source=self.source,
            checked=self.checked,
        )


@cache
def format_rows() -> dict[str, PrecisionRow]:
    """Every weight format by id: what `Precision` leaves out is here (note, sources, GGUF type)."""
    return {row.id: row for row in read_rows(_FILE, "format", PrecisionRow)}


def _weights() -> Stock[Precision]:
    entries = tuple(
        Entry(id=row.id, title=row.title, aliases=row.aliases, value=row.precision()) for row in format_rows().values()
    )
    return Stock(entries=entries, noise=_noise())


def _kv_cache() -> Stock[KvFormat]:
    found = (row.kv_format() for row in read_rows(_FILE, "kv_format", KvFormatRow))
    entries = tuple(Entry(id=f.id, title=f.title, aliases=f.aliases, value=f) for f in found)
    return Stock(entries=entries, noise=_noise())


def _noise() -> frozenset[str]:
    return frozenset(document(_FILE)["noise"])


FORMATS: Shelf[Precision] = Shelf(kind="precision", load=_weights)
KV_FORMATS: Shelf[KvFormat] = Shelf(kind="KV cache precision", load=_kv_cache)
