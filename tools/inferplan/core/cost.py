"""What serving costs: the fleet that carries a day's requests, its monthly bill, and where two bills cross.

Conventions: a month is `HOURS_PER_MONTH` hours and `DAYS_PER_MONTH` days, so that a machine rented by the hour
for 24 hours a day costs exactly what a month at the same rate costs. Rates are per GPU; money is USD.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from inferplan.core.units import (
    DAYS_PER_MONTH,
    HOURS_PER_DAY,
    HOURS_PER_MONTH,
    MILLION,
    MONTHS_PER_YEAR,
    SECONDS_PER_HOUR,
)

Cheaper = Literal["on_demand", "flat", "equal"]
"""Which of two bills is the lower one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """One GPU bought and hosted, with its share of the server.

    `purchase_usd` is the capital, of which `residual_fraction` comes back after `depreciation_years`. `power_kw`
    is what the server draws per GPU; the facility draws `pue` times that. `colocation_usd_per_kw_month` rents the
    space by server power, without metered energy.
    """

    purchase_usd: float
    depreciation_years: float
    residual_fraction: float
    power_kw: float
    pue: float
    electricity_usd_per_kwh: float
    colocation_usd_per_kw_month: float

    @property
    def capital_month(self) -> float:
        """The purchase, written off. [USD/GPU/month]"""
        return capital_month(
            purchase_usd=self.purchase_usd,
            depreciation_years=self.depreciation_years,
            residual_fraction=self.residual_fraction,
        )

    @property
    def energy_month(self) -> float:
        """Electricity. [USD/GPU/month]"""
        return energy_month(power_kw=self.power_kw, pue=self.pue, electricity_usd_per_kwh=self.electricity_usd_per_kwh)

    @property
    def colocation_month(self) -> float:
        """Rack space. [USD/GPU/month]"""
        return colocation_month(power_kw=self.power_kw, colocation_usd_per_kw_month=self.colocation_usd_per_kw_month)


def demand(
    *, requests_per_day: float, output_tokens: float, usage_hours_per_day: float, peak_factor: float = 1
) -> float:
    """requests_per_day × output_tokens × peak_factor / (usage_hours × 3600). [output tokens/s]

    All requests of the day fall within the usage hours; `peak_factor` is the busiest hour over their average.

    Limits: an average rate. Arrivals within an hour are not smoothed here: `utilization` in `instances` leaves
    room for them.

    Source: conservation of tokens. A service that sleeps 16 hours has 8 to answer the day's requests in.

    >>> round(demand(requests_per_day=50_000, output_tokens=500, usage_hours_per_day=24), 1)
    289.4
    >>> round(demand(requests_per_day=50_000, output_tokens=500, usage_hours_per_day=8), 1)
    868.1
    """
    return requests_per_day * output_tokens * peak_factor / (usage_hours_per_day * SECONDS_PER_HOUR)


def instances(*, demand: float, capacity: float, utilization: float) -> int:
    """max(1, ceil(demand / (capacity × utilization))): whole instances that carry the demand. [instances]

    `demand` and `capacity` in the same unit [tokens/s]; `utilization` is the share of `capacity` planned for.

    Source: the planning rule of the LLM Inference Infrastructure Playground, which takes a utilization of 0.75.

    >>> instances(demand=289.4, capacity=60, utilization=0.75)
    7
    """
    return max(1, ceil(demand / (capacity * utilization)))


def fleet_utilization(*, demand: float, capacity: float, instances: int) -> float:
    """demand / (instances × capacity): how busy the fleet is while it runs. [fraction]

    >>> round(fleet_utilization(demand=289.4, capacity=60, instances=7), 3)
    0.689
    """
    return demand / (instances * capacity)


def on_demand_month(*, gpus: float, usd_per_gpu_hour: float, hours_per_day: float) -> float:
    """gpus × rate × (hours_per_day × 730 / 24): billed only while it runs. [USD/month]

    Source: per-hour billing, as cloud price lists state it; 730 h is their month.

    >>> round(on_demand_month(gpus=8, usd_per_gpu_hour=3.50, hours_per_day=24), 2)
    20440.0
    """
    return gpus * usd_per_gpu_hour * (hours_per_day * HOURS_PER_MONTH / HOURS_PER_DAY)


def reserved_month(*, gpus: float, usd_per_gpu_hour: float) -> float:
    """gpus × rate × 730: a commitment is billed round the clock, whatever the usage. [USD/month]

    >>> round(reserved_month(gpus=8, usd_per_gpu_hour=2.10), 2)
    12264.0
    """
    return gpus * usd_per_gpu_hour * HOURS_PER_MONTH


def capital_month(*, purchase_usd: float, depreciation_years: float, residual_fraction: float) -> float:
    """purchase × (1 - residual_fraction) / (years × 12): written off linearly. [USD/GPU/month]

    Limits: no cost of capital, tax or financing.

    >>> round(capital_month(purchase_usd=39_625, depreciation_years=3, residual_fraction=0), 2)
    1100.69
    """
    return purchase_usd * (1 - residual_fraction) / (depreciation_years * MONTHS_PER_YEAR)


def energy_month(*, power_kw: float, pue: float, electricity_usd_per_kwh: float) -> float:
    """power × PUE × 730 h × price: powered round the clock, busy or idle. [USD/GPU/month]

    Limits: the draw counts as constant; an idle server takes less.

    >>> round(energy_month(power_kw=1.275, pue=1.4, electricity_usd_per_kwh=0.08), 2)
    104.24
    """
    return power_kw * pue * HOURS_PER_MONTH * electricity_usd_per_kwh


def colocation_month(*, power_kw: float, colocation_usd_per_kw_month: float) -> float:
    """power × price per kW: rack space is sold by the power it is provisioned for. [USD/GPU/month]

    >>> round(colocation_month(power_kw=1.275, colocation_usd_per_kw_month=195.94), 2)
    249.82
    """
    return power_kw * colocation_usd_per_kw_month


def owned_month(owned: Ownership, *, gpus: float) -> float:
    """gpus × (capital + energy + colocation). [USD/month]

    Limits: no staff, spare parts or network transit, which do not scale with the number of GPUs.

    >>> h100 = Ownership(
    ...     purchase_usd=39_625,
    ...     depreciation_years=3,
    ...     residual_fraction=0,
    ...     power_kw=1.275,
    ...     pue=1.4,
    ...     electricity_usd_per_kwh=0.08,
    ...     colocation_usd_per_kw_month=195.94,
    ... )
    >>> round(owned_month(h100, gpus=8), 2)
    11638.1
    """
    return gpus * (owned.capital_month + owned.energy_month + owned.colocation_month)


def api_month(
    *,
    requests_per_day: float,
    input_tokens: float,
    output_tokens: float,
    usd_per_million_input: float,
    usd_per_million_output: float,
) -> float:
    """requests × days × (input × price + output × price) / 10^6: pay by the token. [USD/month]

    Limits: list prices, without cached-input or batch discounts.

    >>> round(
    ...     api_month(
    ...         requests_per_day=50_000,
    ...         input_tokens=500,
    ...         output_tokens=500,
    ...         usd_per_million_input=0.59,
    ...         usd_per_million_output=0.71,
    ...     ),
    ...     2,
    ... )
    988.54
    """
    per_request = (input_tokens * usd_per_million_input + output_tokens * usd_per_million_output) / MILLION
    return requests_per_day * DAYS_PER_MONTH * per_request


def usd_per_million_tokens(*, monthly_usd: float, requests_per_day: float, tokens_per_request: float) -> float:
    """monthly / (requests × days × tokens) × 10^6, input and output tokens together. [USD per 10^6 tokens]

    >>> round(usd_per_million_tokens(monthly_usd=988.54, requests_per_day=50_000, tokens_per_request=1000), 4)
    0.65
    """
    return monthly_usd / (requests_per_day * DAYS_PER_MONTH * tokens_per_request) * MILLION


def breakeven_hours(*, on_demand_usd_per_hour: float, flat_usd_per_month: float) -> float | None:
    """flat / (rate × 730 / 24): hours a day at which renting by the hour costs the flat bill. [h/day]

    Both prices are for the same GPUs, so the fleet's size cancels. Below this many hours on-demand is cheaper,
    above it the flat bill is. None where the two never meet within a day of 24 hours: `cheaper_all_day` says
    which one is lower throughout.

    >>> round(breakeven_hours(on_demand_usd_per_hour=3.50, flat_usd_per_month=2.10 * 730), 6)
    14.4
    >>> breakeven_hours(on_demand_usd_per_hour=2.00, flat_usd_per_month=2.10 * 730)
    """
    full_day = on_demand_month(gpus=1, usd_per_gpu_hour=on_demand_usd_per_hour, hours_per_day=HOURS_PER_DAY)
    if flat_usd_per_month > full_day or full_day == 0:
        return None
    return HOURS_PER_DAY * (flat_usd_per_month / full_day)


def cheaper_all_day(*, on_demand_usd_per_hour: float, flat_usd_per_month: float) -> Cheaper | None:
    """Which bill is lower at every number of hours up to 24, or None where they cross on the way.

    >>> cheaper_all_day(on_demand_usd_per_hour=2.00, flat_usd_per_month=2.10 * 730)
    'on_demand'
    >>> cheaper_all_day(on_demand_usd_per_hour=3.50, flat_usd_per_month=2.10 * 730)
    """
    crossing = breakeven_hours(on_demand_usd_per_hour=on_demand_usd_per_hour, flat_usd_per_month=flat_usd_per_month)
    if flat_usd_per_month == 0:
        return "flat" if on_demand_usd_per_hour > 0 else "equal"
    return "on_demand" if crossing is None else None
