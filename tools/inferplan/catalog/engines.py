"""Serving engines whose memory rules are known: versions, error of the rules, and what they do not run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import cast

from pydantic import Field, field_validator

from inferplan.catalog._shelf import Shelf, Stock, key, words
from inferplan.catalog._table import Row, TitledRow, document, read_rows, stock
from inferplan.catalog.gpus import VENDORS
from inferplan.core.engine import ENGINES as NAMES
from inferplan.core.engine import EngineName
from inferplan.core.hardware import Gpu
from inferplan.core.precision import Precision

_FILE = "engines.toml"
GGUF = "gguf"
"""All GGUF formats, in a refusal."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EngineInfo:
    """An engine's title, the version that its rules cover, and their error by vendor of the GPU.

    `since` has the first version of features that not every version has.
    """

    id: EngineName
    title: str
    covers: str
    evidence: Mapping[str, str]
    newer: str = ""
    since: Mapping[str, int] = field(default_factory=dict[str, int])

    def has(self, what: str, version: int) -> bool:
        """Whether a version of vLLM (28 is 0.28) has a feature of `since`; other engines are taken to have it."""
        return version >= self.since.get(what, 0)

    def held_against(self, vendor: str) -> str:
        """The error of the rules on a vendor's GPUs, or that no log was compared."""
        return self.evidence.get(vendor) or f"not held against logs on {VENDORS[vendor]} hardware"

    def is_newer(self, version: int) -> bool:
        """Whether a version (28 is 0.28) is later than the one covered; `newer` is the evidence for those."""
        return bool(self.newer) and version > int(self.covers.rpartition(".")[2])


class EngineRow(TitledRow):
    """An engine as its file states it; core has rules for its id."""

    covers: str
    evidence: dict[str, str] = Field(min_length=1)
    newer: str = ""
    since: dict[str, int] = Field(default_factory=dict)

    @field_validator("id")
    @classmethod
    def _has_rules(cls, id_: str) -> str:
        if id_ not in NAMES:
            raise ValueError(f"core has no rules for it; it has some for {', '.join(NAMES)}")
        return id_

    def info(self) -> EngineInfo:
        """The row as the tools take it."""
        return EngineInfo(
            id=cast("EngineName", self.id),
            title=self.title,
            covers=self.covers,
            evidence=self.evidence,
            newer=self.newer,
            since=self.since,
        )


class RefusalRow(Row):
    """What an engine does not run: `formats`, or all, on GPUs given by vendor, architecture or id."""

    engine: EngineName
    gpus: tuple[str, ...] = Field(min_length=1)
    formats: tuple[str, ...] = ()
    since: int = 0

    def covers(self, gpu: Gpu, form: Precision) -> bool:
        """Whether the refusal applies to a format on a GPU."""
        return _among(gpu, self.gpus) and (
            not self.formats or form.id in self.formats or (form.is_gguf and GGUF in self.formats)
        )


class PluginRow(Row):
    """What an engine needs beside its usual package, or the image it comes in, on GPUs given as in a refusal."""

    engine: EngineName
    gpus: tuple[str, ...] = Field(min_length=1)
    name: str


def _among(gpu: Gpu, named: tuple[str, ...]) -> bool:
    """Whether a GPU is among those given by vendor, architecture or id."""
    return not {gpu.product, gpu.architecture, gpu.vendor}.isdisjoint(named)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """What a refusal is due to, the GPU, the format or both, and the first version that it applies to."""

    gpu: bool
    form: bool
    since: int = 0


@cache
def engine_rows() -> dict[str, EngineRow]:
    """Every row by id, with what `EngineInfo` leaves out: sources and date."""
    return {row.id: row for row in read_rows(_FILE, "engine", EngineRow)}


@cache
def refusal_rows() -> tuple[RefusalRow, ...]:
    """Every refusal, with its source."""
    return read_rows(_FILE, "refusal", RefusalRow)


@cache
def plugin_rows() -> tuple[PluginRow, ...]:
    """Every plugin and image, with its source."""
    return read_rows(_FILE, "plugin", PluginRow)


def plugin(engine: EngineName, gpu: Gpu) -> str | None:
    """What an engine needs on a GPU that its usual package does not support; None where it supports it."""
    return next((row.name for row in plugin_rows() if row.engine == engine and _among(gpu, row.gpus)), None)


@lru_cache(maxsize=8192)
def refusal(engine: EngineName, gpu: Gpu, form: Precision, *, version: int) -> Refusal | None:
    """Why an engine does not run a format on a GPU; None where it does, as far as is known. `version` is vLLM's."""
    return min(_refusals(engine, gpu, form, version), key=lambda one: (one.form, one.gpu), default=None)


def _refusals(engine: EngineName, gpu: Gpu, form: Precision, version: int) -> Iterator[Refusal]:
    """Every refusal that applies: of the GPU, of the format, of the format on the GPU."""
    if engine not in form.engines:
        yield Refusal(gpu=False, form=True)
    for row in refusal_rows():
        if row.engine == engine and version >= row.since and row.covers(gpu, form):
            yield Refusal(gpu=True, form=bool(row.formats), since=row.since)


def _stock() -> Stock[EngineInfo]:
    return stock(engine_rows().values(), EngineRow.info, noise=document(_FILE)["noise"])


def served_by(said: str) -> str | None:
    """The engine by which a program serves that is none itself; None where none is known.

    >>> served_by("LM Studio"), served_by("tgi")
    ('llama.cpp', None)
    """
    names = {key(words(name)) for name in document(_FILE)["by_llamacpp"]}
    return "llama.cpp" if key(words(said)) in names else None


def _advice(said: str) -> str | None:
    """What to take in place of such a program."""
    engine = served_by(said)
    return engine and f'"{said}" serves by {engine}, with defaults of its own; take "{engine}"'


ENGINES: Shelf[EngineInfo] = Shelf(kind="engine", load=_stock, advice=_advice)
