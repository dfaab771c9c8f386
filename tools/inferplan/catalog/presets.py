"""The guide's presets: scenarios that set every control of the five sections."""

from pydantic import PositiveFloat, PositiveInt

from inferplan.catalog._shelf import Shelf, Stock
from inferplan.catalog._table import TitledRow, read_rows, stock


class Preset(TitledRow):
    """A scenario, by the arguments of the tools; `moe_precision` is the format of the section on experts."""

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


def _stock() -> Stock[Preset]:
    return stock(read_rows("presets.toml", "preset", Preset), lambda row: row, noise=("preset",))


PRESETS: Shelf[Preset] = Shelf(kind="preset", load=_stock)
