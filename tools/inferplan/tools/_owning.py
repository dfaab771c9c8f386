"""An owned GPU under one question's assumptions: what it costs to buy, to finance, to house and to run."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from inferplan.catalog import prices
from inferplan.catalog._price_rows import day_of
from inferplan.catalog.prices import FACILITY, Purchase
from inferplan.core.hardware import Gpu
from inferplan.core.ownership import Ownership
from inferplan.core.units import KILO, MONTHS_PER_YEAR
from inferplan.tools._assumptions import Ledger

SERVER_POWER = {"h100-sxm": "server-kw-h100", "h200-sxm": "server-kw-h100", "b200-sxm": "server-kw-b200"}
"""The facility constant that holds the power of the usual server of 8."""
SERVER_GPUS = 8
FACILITY_SETTINGS: Mapping[str, str] = {
    "pue": "pue",
    "electricity_usd_per_kwh": "electricity",
    "colocation_usd_per_kw_month": "colocation",
}
"""Settings and the facility constants that are their defaults."""
FRESH_DAYS = 90
"""Prices older than this are flagged."""
RESIDUAL_YEARS = 3
"""The age at which the catalogue knows what hardware resells for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owned:
    """One owned GPU and the people who run the fleet; `low` and `high` are the range of its price to buy.

    `assumed` where the server around a bare card is.
    """

    gpu: Ownership
    staff_month: float
    low: float
    high: float
    assumed: bool


def dated(date: str, as_of: datetime.date | None) -> str:
    """A price's date, flagged where it is more than 90 days ago; of a month counts the first day.

    >>> day = datetime.date(2026, 11, 25)
    >>> dated("2026-08-27", day), dated("2026-08-26", day)
    ('2026-08-27', 'stale: 2026-08-26')
    """
    stale = as_of is not None and (as_of - day_of(date)).days > FRESH_DAYS
    return f"stale: {date}" if stale else date


def owned_problem(ledger: Ledger, gpu: Gpu) -> str | None:
    """Which figure is missing to own this GPU, and how to give it."""
    if prices.purchase(gpu.id) is None and not ledger.given("purchase_usd_per_gpu"):
        why = "compliance needs owned hardware"
        return f'{why}, but no price to buy {gpu.title} is known; give one: overrides="purchase_usd_per_gpu=30000"'
    if power(gpu) is None and not ledger.given("power_kw_per_gpu"):
        return f'the power of {gpu.title} is not known; give it: overrides="power_kw_per_gpu=1.2"'
    return None


def take_owned(ledger: Ledger, gpu: Gpu, as_of: datetime.date | None = None) -> Owned | None:
    """An owned GPU, or None where its price or its power is neither known nor given; listed where a day is given."""
    quiet = as_of is None
    if owned_problem(ledger, gpu):
        if not quiet:
            ledger.note(
                "own", "left out", why=f"no purchase price of {gpu.title} known; purchase_usd_per_gpu gives one"
            )
        return None
    bought = None if ledger.given("purchase_usd_per_gpu") else prices.purchase(gpu.id)
    why = bought and _bought(bought, as_of)
    price = ledger.take("purchase_usd_per_gpu", bought and bought.usd_per_gpu, why=why, quiet=quiet)
    bare = bought is not None and bought.basis == "card"
    found = power(gpu)
    years = ledger.take("depreciation_years", quiet=True)
    return Owned(
        gpu=Ownership(
            purchase_usd=price,
            server_usd=_server(ledger, price if bare else 0, quiet=quiet),
            network_fraction=ledger.take("network_fraction", FACILITY["network"].value, quiet=True),
            depreciation_years=years,
            residual_fraction=ledger.take("residual_fraction", _residual(years), quiet=True),
            cost_of_capital=ledger.take("cost_of_capital", quiet=True),
            maintenance_fraction=ledger.take("maintenance_fraction", quiet=True),
            power_kw=ledger.take("power_kw_per_gpu", found and found[0], why=found and found[1], quiet=True),
            pue=_facility(ledger, "pue", as_of),
            electricity_usd_per_kwh=_facility(ledger, "electricity_usd_per_kwh", as_of),
            colocation_usd_per_kw_month=_facility(ledger, "colocation_usd_per_kw_month", as_of),
        ),
        staff_month=_staff(ledger),
        low=bought.low if bought else price,
        high=bought.high if bought else price,
        assumed=bare and not ledger.given("server_usd_per_gpu"),
    )


def _server(ledger: Ledger, card: float, *, quiet: bool) -> float:
    """What the server adds to a bare card: as much of its price as for the GPU that is priced as both."""
    share = prices.server_share()
    why = f"assumed: {100 * share:.0f} % of the bare card, as for H100"
    return ledger.take("server_usd_per_gpu", round(card * share, 2), why=why, quiet=quiet or card == 0)


def _residual(years: float) -> float:
    """What is left after so many years, if a year takes as much as each of the first three does. [fraction]"""
    return round(FACILITY["residual"].value ** (years / RESIDUAL_YEARS), 4)


def _staff(ledger: Ledger) -> float:
    """What the people cost who run the hardware. [USD/month]"""
    people = ledger.take("staff_fte", quiet=True)
    if not people:
        return 0.0
    return people * ledger.take("staff_usd_per_year") / MONTHS_PER_YEAR


def _bought(purchase: Purchase, as_of: datetime.date | None) -> str:
    """Where a purchase price comes from."""
    what = f"1/{SERVER_GPUS} of a server" if purchase.basis == "server" else "bare card"
    return f"{what}, {dated(purchase.date, as_of)}"


def power(gpu: Gpu) -> tuple[float, str] | None:
    """Server power per GPU, and where it comes from; None where nothing is known. [kW]"""
    if gpu.id in SERVER_POWER:
        return FACILITY[SERVER_POWER[gpu.id]].value / SERVER_GPUS, "server of 8"
    all_in = prices.all_in_kw(gpu.id)
    if all_in is not None:
        pue = FACILITY["pue"].value
        return round(all_in.value / pue, 4), f"all-in {all_in.value:g} kW over PUE {pue:g}, {all_in.date}"
    if gpu.power_watts is not None:
        return gpu.power_watts / KILO, "rated power of the bare card"
    return None


def _facility(ledger: Ledger, name: str, as_of: datetime.date | None) -> float:
    """A constant of the building; listed where it is the oldest price left because the caller gave the hardware's."""
    fact = FACILITY[FACILITY_SETTINGS[name]]
    quiet = as_of is None or not ledger.given("purchase_usd_per_gpu")
    return ledger.take(name, fact.value, why=dated(fact.date, as_of), quiet=quiet)
