"""Bills as rows of an answer: each way to pay, and where two of them cost the same."""

from collections.abc import Callable
from operator import not_
from typing import Any

from pydantic import Field

from inferplan.core.units import MONTHS_PER_YEAR
from inferplan.tools._figures import to_digits
from inferplan.tools._tool import Part, absent
from inferplan.tools.money.case import Case
from inferplan.tools.money.rates import OptionName

WHOLE_DOLLARS = 1000
"""Yearly bills from which cents are left out. [USD]"""


def optional(nothing: Callable[[Any], bool] = absent, **described: Any) -> Any:
    """A field of an answer that is left out where `nothing` says that it is empty."""
    return Field(default=None, exclude_if=nothing, **described)


class CostOption(Part):
    """One way to pay; tokens count input and output. Spot, which can be taken back, where it is the cheapest."""

    name: OptionName
    monthly_usd: float
    annual_usd: float
    usd_per_million_tokens: float
    best: bool = Field(description="The cheapest.")
    assumed: bool | None = optional(not_, description="Its price is an assumption: nobody quotes it.")


class Breakeven(Part):
    """Hours a day beyond which the other option is cheaper, on the fleet that those hours need; null: never met.

    Below, the hourly one is; but against an API, or with staff, steps of the fleet may turn that again.
    """

    on_demand_vs_reserved_1yr_hours: float | None
    on_demand_vs_reserved_3yr_hours: float | None
    on_demand_vs_own_hours: float | None
    on_demand_vs_api_hours: float | None = optional()
    spot_hours: dict[str, float | None] | None = optional(not_, description="Spot against each other option.")
    cheaper_all_day: dict[str, str] | None = optional(
        not_, description="By option that never meets on-demand: the cheaper."
    )
    api_requests_per_day: float | None = optional(
        description="Requests a day up to which the API is cheaper than the cheapest fleet."
    )


def options(case: Case) -> list[CostOption]:
    """The cost table: a row for each way to pay."""
    return [_option(case, name) for name in case.monthly]


def _option(case: Case, name: OptionName) -> CostOption:
    """One row of the cost table."""
    monthly, per_million = case.monthly[name], case.usd_per_million_tokens[name]
    return CostOption(
        name=name,
        monthly_usd=to_cents(monthly),
        annual_usd=_to_dollars(monthly * MONTHS_PER_YEAR),
        usd_per_million_tokens=to_digits(per_million, 4),
        best=name == case.best,
        assumed=case.bills.rates.assumed(name),
    )


def to_cents(usd: float) -> float:
    """Money to the cent; below a dollar to a millionth. [USD]"""
    return round(usd, 2 if usd >= 1 else 6)


def _to_dollars(usd: float) -> float:
    """Money to the dollar from a thousand dollars on, else to the cent. [USD]"""
    return round(usd) if usd >= WHOLE_DOLLARS else to_cents(usd)


def breakeven(case: Case) -> Breakeven:
    """The hours at which options cost the same, to a millionth of an hour. [h/day]"""
    hours = {name: at and round(at, 6) for name, at in case.crossings.items()}
    spot = {name: at and round(at, 6) for name, at in case.spot_crossings.items()}
    return Breakeven(
        on_demand_vs_reserved_1yr_hours=hours.get("reserved_1yr"),
        on_demand_vs_reserved_3yr_hours=hours.get("reserved_3yr"),
        on_demand_vs_own_hours=hours.get("own"),
        on_demand_vs_api_hours=hours.get("api"),
        spot_hours=spot,
        cheaper_all_day=case.cheaper_all_day,
        api_requests_per_day=case.api_requests and round(case.api_requests, 1),
    )
