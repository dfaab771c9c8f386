"""The inputs that move a bill most: each from its low to its high end, all others fixed."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf

from inferplan.catalog.prices import FACILITY
from inferplan.core.units import HOURS_PER_DAY
from inferplan.tools.money.bills import Bills
from inferplan.tools.money.owning import ALL_IN, FACILITY_SETTINGS
from inferplan.tools.money.rates import OptionName, Rates

FACTS: Mapping[str, str] = {**FACILITY_SETTINGS, "depreciation_years": "depreciation", "network_fraction": "network"}
"""Facility constants with a published range, by field of `Ownership`."""
SETTING_OF: Mapping[str, str] = {"purchase_usd": "purchase_usd_per_gpu", "power_kw": "power_kw_per_gpu"}
"""Settings that are not called as the field that they set."""
SWING = 0.2
"""Change both ways of an input without a published range. [fraction]"""
SWINGS = 2
"""Inputs that an answer names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swing:
    """An input, and the bill at both of its ends. [USD/month]"""

    input: str
    low_usd: float
    high_usd: float

    @property
    def size(self) -> float:
        """How far the bill moves. [USD/month]"""
        return abs(self.high_usd - self.low_usd)


def largest_swings(bills: Bills, name: OptionName, slower: tuple[float, float]) -> list[Swing]:
    """The inputs that move an option's bill most, largest first, without those that do not move it.

    `slower` is the time of the fleet's work over that planned, at best and at worst. [ratio]
    """
    swings = sorted(_swings(bills, name, slower), key=lambda one: -one.size)
    return [one for one in swings[:SWINGS] if one.size > 0]


def _swings(bills: Bills, name: OptionName, slower: tuple[float, float]) -> Iterator[Swing]:
    """The swing of every input that an option's bill depends on."""
    traffic = bills.sizing.traffic
    requests, hours = traffic.requests_per_day, traffic.usage_hours_per_day
    fewer, more = _around(requests)
    ends = (_month(bills, name, requests=fewer), _month(bills, name, requests=more))
    yield Swing(input="requests_per_day", low_usd=ends[0], high_usd=ends[1])
    if name != "api":
        shorter, longer = _around(hours, most=HOURS_PER_DAY)
        ends = (_month(bills, name, hours=shorter), _month(bills, name, hours=longer))
        yield Swing(input="usage_hours_per_day", low_usd=ends[0], high_usd=ends[1])
        yield _of_speed(bills, name, slower)
    for setting, (low, high), changed in _priced(bills.rates, name):
        ends = (_month(replace(bills, rates=changed(low)), name), _month(replace(bills, rates=changed(high)), name))
        yield Swing(input=setting, low_usd=ends[0], high_usd=ends[1])


def _around(value: float, *, most: float = inf) -> tuple[float, float]:
    """The value less and plus `SWING` of it, at most `most`."""
    return (1 - SWING) * value, min((1 + SWING) * value, most)


def _month(
    bills: Bills, name: OptionName, *, requests: float | None = None, hours: float | None = None, slower: float = 1
) -> float:
    """An option's bill with one thing changed. [USD/month]"""
    traffic = bills.sizing.traffic
    requests, hours = requests or traffic.requests_per_day, hours or traffic.usage_hours_per_day
    return bills.month(name, gpus=bills.sizing.gpus(requests, hours, slower), requests=requests, hours=hours)


def _of_speed(bills: Bills, name: OptionName, slower: tuple[float, float]) -> Swing:
    """The swing of the throughput, over its error band."""
    best, worst = slower
    return Swing(
        input="tokens_per_s_per_instance",
        low_usd=_month(bills, name, slower=worst),
        high_usd=_month(bills, name, slower=best),
    )


Priced = tuple[str, tuple[float, float], Callable[[float], Rates]]
"""A setting, the ends that it moves between, and the prices at a value of it."""


def _priced(rates: Rates, name: OptionName) -> Iterator[Priced]:
    """The prices behind an option."""
    if name == "own":
        yield from _priced_own(rates)
    elif name == "api":
        yield from _priced_api(rates)
    else:
        rate = rates.rented[name]
        yield (
            f"{name}_usd_per_gpu_hour",
            _ends(rate.usd, rate.low, rate.high),
            lambda usd: replace(rates, rented={**rates.rented, name: replace(rate, usd=usd)}),
        )


def _priced_api(rates: Rates) -> Iterator[Priced]:
    """The prices of input and of output tokens."""
    if (api := rates.api) is None:
        return
    for side, rate in (("input", api.input), ("output", api.output)):
        yield (
            f"api_{side}_usd_per_million_tokens",
            _ends(rate.usd, rate.low, rate.high),
            lambda usd, side=side, rate=rate: replace(rates, api=replace(api, **{side: replace(rate, usd=usd)})),
        )


def _priced_own(rates: Rates) -> Iterator[Priced]:
    """The purchase price and the constants of owning, or the all-in rate."""
    if (owned := rates.owned) is None:
        return
    if (gpu := owned.gpu) is None:
        yield (
            ALL_IN,
            _ends(owned.all_in, owned.low, owned.high),
            lambda usd: replace(rates, owned=replace(owned, all_in=usd)),
        )
        return
    ends = {"purchase_usd": _ends(gpu.purchase_usd, owned.low, owned.high)}
    ends |= {field: _published(fact, getattr(gpu, field)) for field, fact in FACTS.items()}
    ends |= {field: _around(getattr(gpu, field)) for field in ("cost_of_capital", "maintenance_fraction", "power_kw")}
    for field, both in ends.items():
        yield (
            SETTING_OF.get(field, field),
            both,
            lambda value, field=field: replace(rates, owned=replace(owned, gpu=replace(gpu, **{field: value}))),
        )


def _published(fact: str, value: float) -> tuple[float, float]:
    """The published range of a constant; around the value where the caller gave another."""
    known = FACILITY[fact]
    return _ends(value, known.low, known.high) if value == known.value else _around(value)


def _ends(value: float, low: float, high: float) -> tuple[float, float]:
    """A published range, or around the value where there is none."""
    return (low, high) if low < high else _around(value)
