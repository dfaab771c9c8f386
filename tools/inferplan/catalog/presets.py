"""The guide's presets: scenarios that set every control of the five sections at once."""

from dataclasses import dataclass
from functools import cache

from pydantic import PositiveFloat, PositiveInt

from inferplan.catalog._shelf import Entry, Shelf, Stock
from inferplan.catalog._table import NamedRow, read_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """One scenario, in the words and the arguments of the tools; `moe_precision` is for the MoE section."""

    id: str
    title: str
    scenario: str
    model: str
    precision: str
    concurrent_users: int
    context_window: int
    total_gpus: int
    requests_per_day: int
    usage_hours_per_day: float
    compliance_required: bool
    moe_precision: str


class PresetRow(NamedRow):
    """One preset as its file states it."""

    title: str
    scenario: str
    model: str
    precision: str
    concurrent_users: PositiveInt
    context_window: PositiveInt
    total_gpus: PositiveInt
    requests_per_day: PositiveInt
    usage_hours_per_day: PositiveFloat
    compliance_required: bool
    moe_precision: str

    def preset(self) -> Preset:
        """The row as the tools take it."""
        return Preset(
            id=self.id,
            title=self.title,
            scenario=self.scenario,
            model=self.model,
            precision=self.precision,
            concurrent_users=self.concurrent_users,
            context_window=self.context_window,
            total_gpus=self.total_gpus,
            requests_per_day=self.requests_per_day,
            usage_hours_per_day=self.usage_hours_per_day,
            compliance_required=self.compliance_required,
            moe_precision=self.moe_precision,
        )


@cache
def preset_rows() -> dict[str, PresetRow]:
    """Every row by id: what `Preset` leaves out is here (sources, date)."""
    return {row.id: row for row in read_rows("presets.toml", "preset", PresetRow)}


def _stock() -> Stock[Preset]:
    rows = preset_rows().values()
    entries = tuple(Entry(id=row.id, title=row.title, aliases=row.aliases, value=row.preset()) for row in rows)
    return Stock(entries=entries, noise=frozenset({"preset"}))


PRESETS: Shelf[Preset] = Shelf(kind="preset", load=_stock)
