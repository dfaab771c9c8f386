"""Prices of GPUs, power and tokens: the figures that tools take from dated rows."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from statistics import fmean, median
from typing import Literal

from inferplan.catalog._price_rows import (
    ApiRow,
    Basis,
    FacilityRow,
    GpuPriceT,
    PriceRow,
    PurchaseRow,
    RentalRow,
    api_rows,
    facility_rows,
    ownership_rows,
    purchase_rows,
    rental_rows,
)
from inferplan.catalog._shelf import Shelf, Stock
from inferplan.catalog._table import stock

AS_OF = datetime.date(2026, 11, 23)
"""The day up to which prices were gathered: ages are counted from it."""

ASKED = 1024
"""Cached answers by GPU: callers may describe any number of their own."""
OLDEST_RENTAL = datetime.timedelta(days=365)
"""Rentals older than this are left out: H100 prices halved in 2025 and rose by half in 2026."""

RentalKind = Literal["on_demand", "spot", "reserved_1y", "reserved_3y"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """The rent of a GPU over providers. [USD per GPU-hour]

    `kind` is "on_demand_marketplace" where only peer-to-peer offers are known. `rows` are the offers counted, one per
    provider; `machine` is the smallest instance among them. [GPUs]
    """

    gpu: str
    kind: str
    low: float
    median: float
    high: float
    providers: int
    newest: str
    rows: tuple[RentalRow, ...]
    machine: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Discount:
    """The price of a commitment over that of the same machine on demand. [ratio]"""

    kind: str
    ratio: float
    pairs: tuple[tuple[RentalRow, RentalRow], ...]
    source: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Purchase:
    """The purchase price of a GPU: its share of a server, a card that still needs one, or a machine. [USD per GPU]"""

    gpu: str
    usd_per_gpu: float
    basis: Basis
    low: float
    high: float
    date: str
    source: tuple[str, ...]
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A constant with its quoted range; both ends equal the value where no range is known."""

    value: float
    low: float
    high: float
    unit: str
    date: str
    source: tuple[str, ...]
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Low, median and high over providers."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiPrice:
    """The price of tokens of an open model behind an API. [USD per million tokens]"""

    id: str
    title: str
    input: Range
    output: Range
    providers: int
    date: str
    source: tuple[str, ...]


@lru_cache(maxsize=ASKED)
def rental(gpu_id: str, kind: RentalKind) -> Quote | None:
    """The rent of a GPU over providers, each by its newest offer of the last year, the cheapest of its day; or None.

    Offers without a firm date count only where no firmly dated one is known, peer-to-peer offers only where no provider
    offers the GPU on demand.
    """
    offers = _fresh(gpu_id, kind)
    if not offers and kind == "on_demand":
        offers = _fresh(gpu_id, "on_demand_marketplace")
    return _quote(offers) if offers else None


@cache
def discount(kind: Literal["reserved_1y", "reserved_3y"]) -> Discount:
    """The mean ratio of committed to on-demand prices of one provider, GPU and machine family.

    Assumed where no committed price of a GPU is known. The pairs are Google Cloud's committed use.
    """
    pairs = tuple(
        (committed, demand)
        for committed in rental_rows()
        if committed.kind == kind and (demand := _same_machine_on_demand(committed))
    )
    ratio = fmean(committed.usd_per_gpu_hour / demand.usd_per_gpu_hour for committed, demand in pairs)
    source = dict.fromkeys(text for pair in pairs for row in pair for text in row.source)
    return Discount(kind=kind, ratio=ratio, pairs=pairs, source=tuple(source))


@lru_cache(maxsize=ASKED)
def purchase(gpu_id: str) -> Purchase | None:
    """The newest price of a new GPU, as a share of a server where known, else as a card or machine; or None."""
    new = [row for row in _of(gpu_id, purchase_rows()) if not row.used]
    priced = [row for row in new if row.basis == "server"] or new
    return _purchase(priced) if priced else None


@cache
def server_share() -> float:
    """The price that server and network add to a card, from the GPUs priced as both. [fraction of the card's price]

    Assumed where only a card's price is known.
    """
    both = [
        (bought, max(cards, key=lambda row: row.day))
        for gpu_id in {row.gpu for row in purchase_rows()}
        if (bought := purchase(gpu_id)) and bought.basis == "server"
        if (cards := [row for row in _of(gpu_id, purchase_rows()) if row.basis == "card" and not row.used])
    ]
    return fmean(bought.usd_per_gpu / card.usd_per_gpu for bought, card in both) - 1


@lru_cache(maxsize=ASKED)
def all_in_kw(gpu_id: str) -> Fact | None:
    """Power set aside for one GPU, with its share of server, network and cooling; None where not known. [kW]"""
    row = next(iter(_of(gpu_id, ownership_rows())), None)
    return row and _fact(row, value=row.all_in_kw, low=row.all_in_kw, high=row.all_in_kw, unit="kW")


@lru_cache(maxsize=ASKED)
def ownership_cost(gpu_id: str) -> Fact | None:
    """The all-in cost of one owned GPU: a smaller cloud's, down to a hyperscaler's; or None. [USD per GPU-hour]"""
    row = next(iter(_of(gpu_id, ownership_rows())), None)
    return row and _fact(
        row,
        value=row.neocloud_usd_per_hour,
        low=row.hyperscaler_usd_per_hour,
        high=row.neocloud_usd_per_hour,
        unit="USD per GPU-hour",
    )


def api(model_id: str) -> ApiPrice | None:
    """The API price of a catalogued model, or of an API's own model id; None where there is none."""
    return _api_prices()[0].get(model_id)


def api_like(model_id: str) -> ApiPrice | None:
    """The API price of the model nearest to a size class; None where there is none."""
    return _api_prices()[1].get(model_id)


@cache
def _api_prices() -> tuple[Mapping[str, ApiPrice], Mapping[str, ApiPrice]]:
    """Prices by the ids of models, and by those of size classes that are like them; of two the first in the file."""
    priced = [(row, _api_price(row)) for row in reversed(api_rows())]
    same = {id_: price for row, price in priced for id_ in (*row.models, row.id)}
    return same, {id_: price for row, price in priced for id_ in row.like}


def _api_price(row: ApiRow) -> ApiPrice:
    return ApiPrice(
        id=row.id,
        title=row.title or row.id,
        input=_range(row.input),
        output=_range(row.output),
        providers=row.providers,
        date=row.date,
        source=row.source,
    )


def _of(gpu_id: str, rows: tuple[GpuPriceT, ...]) -> list[GpuPriceT]:
    return [row for row in rows if row.gpu == gpu_id]


def _fresh(gpu_id: str, kind: str) -> list[RentalRow]:
    """Offers of the last year; those whose month is a guess only where there are no others."""
    offers = [row for row in _of(gpu_id, rental_rows()) if row.kind == kind and AS_OF - row.day <= OLDEST_RENTAL]
    return [row for row in offers if not row.month_is_guess] or offers


def _quote(offers: list[RentalRow]) -> Quote:
    """The quote of some offers: one per provider, its newest and of those the cheapest."""
    ranked = sorted(offers, key=lambda row: (row.provider, -row.day.toordinal(), row.usd_per_gpu_hour))
    chosen = [next(rows) for _, rows in groupby(ranked, key=lambda row: row.provider)]
    chosen.sort(key=lambda row: row.usd_per_gpu_hour)
    prices = [row.usd_per_gpu_hour for row in chosen]
    return Quote(
        gpu=chosen[0].gpu,
        kind=chosen[0].kind,
        low=prices[0],
        median=median(prices),
        high=prices[-1],
        providers=len(chosen),
        newest=max(row.date for row in chosen),
        rows=tuple(chosen),
        machine=min(row.gpus for row in chosen),
    )


def _purchase(rows: list[PurchaseRow]) -> Purchase:
    """The newest of some prices, with the range over all of them."""
    row = max(rows, key=lambda row: row.day)
    return Purchase(
        gpu=row.gpu,
        usd_per_gpu=row.usd_per_gpu,
        basis=row.basis,
        low=min(row.low or row.usd_per_gpu for row in rows),
        high=max(row.high or row.usd_per_gpu for row in rows),
        date=row.date,
        source=row.source,
        note="A card, not a server: host and network come on top." if row.basis == "card" else row.note,
    )


def _same_machine_on_demand(committed: RentalRow) -> RentalRow | None:
    """The newest on-demand offer of the same provider, GPU and machine family; None where there is none."""
    same = [
        row
        for row in _of(committed.gpu, rental_rows())
        if row.kind == "on_demand" and (row.provider, row.family) == (committed.provider, committed.family)
    ]
    return max(same, key=lambda row: row.day, default=None)


def _fact(row: PriceRow, *, value: float, low: float, high: float, unit: str) -> Fact:
    return Fact(value=value, low=low, high=high, unit=unit, date=row.date, source=row.source, note=row.note)


def _range(figures: tuple[float, float, float]) -> Range:
    low, middle, high = figures
    return Range(low=low, median=middle, high=high)


def _facility() -> Stock[Fact]:
    def fact(row: FacilityRow) -> Fact:
        return _fact(row, value=row.value, low=row.low or row.value, high=row.high or row.value, unit=row.unit)

    return stock(facility_rows(), fact)


FACILITY: Shelf[Fact] = Shelf(kind="facility constant", load=_facility)
