"""Checkpoints published beside a release: what each of them quantises, by the model that it was made of."""

from collections.abc import Mapping
from functools import cache

from pydantic import PositiveFloat

from inferplan.catalog._table import NamedRow, read_rows
from inferplan.core.model import Build, NativeBits

_FILE = "builds.toml"


class BuildRow(NamedRow):
    """One published checkpoint; `also` are models with the same layers, of which it counts as a checkpoint too.

    One that is `apart` goes by its own name alone: its format does not stand for it. `unverified` names what its source
    does not state.
    """

    model: str
    also: tuple[str, ...] = ()
    apart: bool = False
    precision: str
    bits: NativeBits
    kv_bits: PositiveFloat | None = None
    unverified: tuple[str, ...] = ()
    note: str | None = None

    def build(self) -> Build:
        """The row as the formulas take it."""
        return Build(id=self.id, bits=self.bits, kv_bits=self.kv_bits)


@cache
def build_rows() -> tuple[BuildRow, ...]:
    """Every row, with what `Build` leaves out: sources, and what is not verified."""
    return read_rows(_FILE, "build", BuildRow)


@cache
def _by_model() -> Mapping[str, Mapping[str, Build]]:
    """The builds of each model, by format; of several in one format the first row."""
    found: dict[str, dict[str, Build]] = {}
    for row in (row for row in build_rows() if not row.apart):
        for model in (row.model, *row.also):
            found.setdefault(model, {}).setdefault(row.precision, row.build())
    return found


def builds_of(model: str) -> Mapping[str, Build]:
    """The published builds of a model, by format.

    >>> builds_of("google/gemma-4-31B-it")["nvfp4"].id
    'nvidia/Gemma-4-31B-IT-NVFP4'
    """
    return _by_model().get(model, {})
