"""Serving engines whose memory rules are known: names, versions covered, and how far the rules are off."""

from dataclasses import dataclass
from functools import cache
from typing import cast

from pydantic import field_validator

from inferplan.catalog._shelf import Entry, Shelf, Stock
from inferplan.catalog._table import NamedRow, document, read_rows
from inferplan.core.engine import ENGINES as NAMES
from inferplan.core.engine import EngineName

_FILE = "engines.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineInfo:
    """What answers say of an engine: its name, the version that its rules cover, and their error."""

    id: EngineName
    title: str
    covers: str
    evidence: str


class EngineRow(NamedRow):
    """One engine as its file states it; its id is one that core has rules for."""

    title: str
    covers: str
    evidence: str

    @field_validator("id")
    @classmethod
    def _has_rules(cls, id_: str) -> str:
        if id_ not in NAMES:
            raise ValueError(f"core has no rules for it; it has some for {', '.join(NAMES)}")
        return id_

    def info(self) -> EngineInfo:
        """The row as the tools take it."""
        return EngineInfo(id=cast("EngineName", self.id), title=self.title, covers=self.covers, evidence=self.evidence)


@cache
def engine_rows() -> dict[str, EngineRow]:
    """Every row by id: what `EngineInfo` leaves out is here (sources, date)."""
    return {row.id: row for row in read_rows(_FILE, "engine", EngineRow)}


def _stock() -> Stock[EngineInfo]:
    entries = tuple(
        Entry(id=row.id, title=row.title, aliases=row.aliases, value=row.info()) for row in engine_rows().values()
    )
    return Stock(entries=entries, noise=frozenset(document(_FILE)["noise"]))


ENGINES: Shelf[EngineInfo] = Shelf(kind="engine", load=_stock)
