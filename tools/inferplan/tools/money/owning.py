"""The cost of an owned GPU under a question's assumptions: purchase, financing, housing, power, upkeep, staff."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import NamedTuple

from inferplan.catalog import prices
from inferplan.catalog._price_rows import Basis, day_of
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.prices import FACILITY, Purchase
from inferplan.core.cost import reserved_month
from inferplan.core.hardware import Gpu
from inferplan.core.money.ownership import Ownership, owned_month
from inferplan.core.units import HOURS_PER_MONTH, KILO, MONTHS_PER_YEAR
from inferplan.tools._assumptions import Ledger

SERVER_POWER = {"h100-sxm": "server-kw-h100", "h200-sxm": "server-kw-h100", "b200-sxm": "server-kw-b200"}
"""The facility constant with the power of the usual server of 8, by GPU."""
SERVER_GPUS = 8
WHAT: Mapping[Basis, str] = {
    "server": f"1/{SERVER_GPUS} of a server",
    "card": "bare card",
    "machine": "whole machine",
}
"""What a purchase price is the price of."""
FACILITY_SETTINGS: Mapping[str, str] = {
    "pue": "pue",
    "electricity_usd_per_kwh": "electricity",
    "colocation_usd_per_kw_month": "colocation",
}
"""The facility constants that are the defaults of settings."""
FRESH_DAYS = 90
"""Age beyond which a price is marked as stale. [days]"""
RESIDUAL_YEARS = 3
"""Age of hardware whose resale value the catalogue has. [years]"""


ALL_IN = "owned_usd_per_gpu_hour"
"""The setting that replaces all costs of owning by one rate."""


class Lacking(NamedTuple):
    """A figure without which owning has no price, with the setting that gives it and an example value."""

    what: str
    setting: str
    like: str

    def asked_for(self, gpu: Gpu) -> str:
        """The clause that says how to give the figure for a GPU."""
        return f'no {self.what} of {gpu.title} is known; give one: overrides="{self.setting}={self.like}"'


PRICE = Lacking("purchase price", "purchase_usd_per_gpu", "30000")
POWER = Lacking("power", "power_kw_per_gpu", "1.2")


@dataclass(frozen=True, kw_only=True, slots=True)
class Owned:
    """One owned GPU, and the staff of the fleet. [USD/month]

    Its cost follows from `gpu`, or is `all_in` where that is None: one rate for everything, paid round the clock
    [USD/h]. `low` and `high` are the range of the purchase price or of that rate. `assumed` where the price of the
    server around a bare card is.
    """

    gpu: Ownership | None
    all_in: float = 0
    staff_month: float
    low: float
    high: float
    assumed: bool = False

    @property
    def month(self) -> float:
        """The cost of one GPU without staff. [USD/month]"""
        if self.gpu is None:
            return reserved_month(gpus=1, usd_per_gpu_hour=self.all_in)
        return owned_month(self.gpu, gpus=1)

    @property
    def usd_per_hour(self) -> float:
        """The same per hour, round the clock. [USD/GPU-hour]"""
        return self.month / HOURS_PER_MONTH


def dated(date: str, as_of: datetime.date | None) -> str:
    """The date of a price, marked as stale beyond `FRESH_DAYS`; of a month the first day counts.

    >>> day = datetime.date(2026, 11, 25)
    >>> dated("2026-08-27", day), dated("2026-08-26", day)
    ('2026-08-27', 'stale: 2026-08-26')
    """
    stale = as_of is not None and (as_of - day_of(date)).days > FRESH_DAYS
    return f"stale: {date}" if stale else date


def lacking(ledger: Ledger, gpu: Gpu) -> Lacking | None:
    """The figure that is missing to price owning this GPU; None where it has a price."""
    if ledger.given(ALL_IN):
        return None
    if not _has_a_price(ledger, gpu):
        return None if prices.ownership_cost(gpu.id) else PRICE
    return POWER if power(gpu) is None and not ledger.given(POWER.setting) else None


def _has_a_price(ledger: Ledger, gpu: Gpu) -> bool:
    """Whether the purchase price of this GPU is known or given."""
    return ledger.given("purchase_usd_per_gpu") or prices.purchase(gpu.id) is not None


def take_owned(ledger: Ledger, gpu: Gpu, as_of: datetime.date | None = None, *, listed: bool = False) -> Owned | None:
    """The cost of owning a GPU; None where neither its parts nor its all-in rate are known or given.

    The price is listed in the ledger where `as_of` is given, the other parts where they are to be `listed`.
    """
    if missing := lacking(ledger, gpu):
        if as_of is not None:
            ledger.note("own", "left out", why=f"no {missing.what} of {gpu.title} known; {missing.setting} gives one")
        return None
    if ledger.given(ALL_IN) or not _has_a_price(ledger, gpu):
        return _all_in(ledger, gpu, as_of)
    return _bought_and_run(ledger, gpu, as_of, listed=listed)


def _all_in(ledger: Ledger, gpu: Gpu, as_of: datetime.date | None) -> Owned:
    """The cost of a GPU by one all-in rate: the caller's, or the catalogue's."""
    fact = None if ledger.given(ALL_IN) else prices.ownership_cost(gpu.id)
    why = fact and f"all in, at a small cloud; {fact.low:g} at a hyperscaler; {dated(fact.date, as_of)}"
    rate = ledger.take(ALL_IN, fact and fact.value, why=why, quiet=as_of is None)
    return Owned(
        gpu=None,
        all_in=rate,
        staff_month=_staff(ledger),
        low=fact.low if fact else rate,
        high=fact.high if fact else rate,
    )


def _bought_and_run(ledger: Ledger, gpu: Gpu, as_of: datetime.date | None, *, listed: bool) -> Owned:
    """The cost of a GPU by its parts: purchase, financing, housing, power, upkeep."""
    quiet = as_of is None
    bought = None if ledger.given("purchase_usd_per_gpu") else prices.purchase(gpu.id)
    why = bought and _bought(bought, as_of)
    price = ledger.take("purchase_usd_per_gpu", bought and bought.usd_per_gpu, why=why, quiet=quiet)
    bare = bought is not None and bought.basis == "card"
    found = power(gpu)
    years = ledger.take("depreciation_years", quiet=not listed)
    return Owned(
        gpu=Ownership(
            purchase_usd=price,
            server_usd=_server(ledger, price if bare else 0, quiet=quiet),
            network_fraction=ledger.take("network_fraction", FACILITY["network"].value, quiet=not listed),
            depreciation_years=years,
            residual_fraction=ledger.take("residual_fraction", _residual(years), quiet=not listed),
            cost_of_capital=ledger.take("cost_of_capital", quiet=not listed),
            maintenance_fraction=ledger.take("maintenance_fraction", quiet=not listed),
            power_kw=ledger.take("power_kw_per_gpu", found and found[0], why=found and found[1], quiet=not listed),
            pue=_facility(ledger, "pue", as_of, listed=listed),
            electricity_usd_per_kwh=_facility(ledger, "electricity_usd_per_kwh", as_of, listed=listed),
            colocation_usd_per_kw_month=_facility(ledger, "colocation_usd_per_kw_month", as_of, listed=listed),
        ),
        staff_month=_staff(ledger),
        low=bought.low if bought else price,
        high=bought.high if bought else price,
        assumed=bare and not ledger.given("server_usd_per_gpu"),
    )


def _server(ledger: Ledger, card: float, *, quiet: bool) -> float:
    """What a server adds to the price of a bare card: the same share as for GPUs priced both ways. [USD/GPU]"""
    share = prices.server_share()
    why = f"assumed: {100 * share:.0f} % of the bare card, as for H100"
    return ledger.take("server_usd_per_gpu", round(card * share, 2), why=why, quiet=quiet or card == 0)


def _residual(years: float) -> float:
    """Share of the price left after some years, at the yearly loss of the first three. [fraction]"""
    return round(FACILITY["residual"].value ** (years / RESIDUAL_YEARS), 4)


def _staff(ledger: Ledger) -> float:
    """The cost of the staff that runs the hardware. [USD/month]"""
    people = ledger.take("staff_fte", quiet=True)
    if not people:
        return 0.0
    return people * ledger.take("staff_usd_per_year") / MONTHS_PER_YEAR


def _bought(purchase: Purchase, as_of: datetime.date | None) -> str:
    """What a purchase price is of, and its date."""
    return f"{WHAT[purchase.basis]}, {dated(purchase.date, as_of)}"


def power(gpu: Gpu) -> tuple[float, str] | None:
    """Power of one GPU with its share of the server, and the source; None where not known. [kW]"""
    if gpu.id in SERVER_POWER:
        return FACILITY[SERVER_POWER[gpu.id]].value / SERVER_GPUS, "server of 8"
    all_in = prices.all_in_kw(gpu.id)
    if all_in is not None:
        pue = FACILITY["pue"].value
        return round(all_in.value / pue, 4), f"all-in {all_in.value:g} kW over PUE {pue:g}, {all_in.date}"
    if gpu.power_watts is not None:
        rated, share = gpu.power_watts / KILO, host_share()
        why = f"assumed: {rated:g} kW rated, {100 * share:.0f} % for the host as of H100"
        return round(rated * (1 + share), 4), why
    return None


@cache
def host_share() -> float:
    """Power that host and fans add to a GPU's rated power, from the GPUs whose servers are known. [fraction]

    Assumed where only a GPU's rated power is known. Eight A100 of 400 W would take 5.8 kW with it; NVIDIA's server of
    them takes 6.5 at most.
    """
    rated = {id_: GPUS[id_].power_watts or 0 for id_ in SERVER_POWER}
    served = {id_: FACILITY[fact].value / SERVER_GPUS for id_, fact in SERVER_POWER.items()}
    return fmean(served[id_] / (watts / KILO) for id_, watts in rated.items() if watts) - 1


def _facility(ledger: Ledger, name: str, as_of: datetime.date | None, *, listed: bool) -> float:
    """A constant of the building; listed also where it is the oldest price left, as that of the hardware was given."""
    fact = FACILITY[FACILITY_SETTINGS[name]]
    quiet = not listed and (as_of is None or not ledger.given("purchase_usd_per_gpu"))
    return ledger.take(name, fact.value, why=dated(fact.date, as_of), quiet=quiet)
