"""The rows of prices.toml: rentals, purchases, ownership, buildings, tokens; each with its date."""

import datetime
from functools import cache
from typing import Literal, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt

from inferplan.catalog._table import Row, TitledRow, read_rows

_FILE = "prices.toml"
_DAY_OR_MONTH = r"^\d{4}-\d{2}(-\d{2})?$"

Basis = Literal["server", "card", "machine"]
OfferKind = Literal["on_demand", "on_demand_marketplace", "spot", "capacity_block", "reserved_1y", "reserved_3y"]


@cache
def day_of(date: str) -> datetime.date:
    """The day of a date; of a month its first.

    >>> day_of("2026-11-09").isoformat(), day_of("2026-11").isoformat()
    ('2026-11-09', '2026-11-01')
    """
    return datetime.date.fromisoformat(date if len(date) > len("2026-11") else f"{date}-01")


class PriceRow(Row):
    """A figure that ages; `date` is a day, or a month where the source says no more."""

    date: str = Field(pattern=_DAY_OR_MONTH)
    note: str | None = None

    @property
    def day(self) -> datetime.date:
        """The date; of a month, its first day."""
        return day_of(self.date)


class GpuPriceRow(PriceRow):
    """A figure about one GPU, by its id."""

    gpu: str


GpuPriceT = TypeVar("GpuPriceT", bound=GpuPriceRow)


class RentalRow(GpuPriceRow):
    """One offer of one provider; "on_demand_marketplace" is by peers, without a service level."""

    provider: str
    instance: str
    gpus: PositiveInt = 1
    usd_per_gpu_hour: PositiveFloat
    kind: OfferKind
    region: str | None = None
    month_is_guess: bool = False

    @property
    def family(self) -> str:
        """The instance without its size: "a3-highgpu" of "a3-highgpu-8g"."""
        return self.instance.rpartition("-")[0]


class PurchaseRow(GpuPriceRow):
    """A price to buy at; `low` and `high` where a range is published.

    "server" is a GPU's share of one, "card" a part that needs one, "machine" a whole computer with one GPU.
    """

    usd_per_gpu: PositiveFloat
    basis: Basis
    low: PositiveFloat | None = None
    high: PositiveFloat | None = None
    used: bool = False


class OwnershipRow(GpuPriceRow):
    """The all-in cost of owning one GPU per hour, and the power set aside for it."""

    all_in_kw: PositiveFloat
    hyperscaler_usd_per_hour: PositiveFloat
    neocloud_usd_per_hour: PositiveFloat


class FacilityRow(PriceRow, TitledRow):
    """One constant of running hardware."""

    value: PositiveFloat
    low: PositiveFloat | None = None
    high: PositiveFloat | None = None
    unit: str


class ApiRow(PriceRow):
    """An open model behind an API: low, median and high over its providers. [USD per million tokens]

    `like` are size classes that no API offers, to which it is the nearest; `title` is how these then call it.
    """

    id: str
    title: str | None = None
    models: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    input: tuple[float, float, float]
    output: tuple[float, float, float]
    providers: PositiveInt


@cache
def rental_rows() -> tuple[RentalRow, ...]:
    """Every rental offer, whatever its age."""
    return read_rows(_FILE, "rental", RentalRow)


@cache
def purchase_rows() -> tuple[PurchaseRow, ...]:
    """Every purchase price, new and used."""
    return read_rows(_FILE, "purchase", PurchaseRow)


@cache
def ownership_rows() -> tuple[OwnershipRow, ...]:
    """All-in cost and power of owned GPUs."""
    return read_rows(_FILE, "ownership", OwnershipRow)


@cache
def api_rows() -> tuple[ApiRow, ...]:
    """Every API price, also of models that the catalog does not hold."""
    return read_rows(_FILE, "api", ApiRow)


@cache
def facility_rows() -> tuple[FacilityRow, ...]:
    """Constants of buildings and of owned hardware."""
    return read_rows(_FILE, "facility", FacilityRow)
