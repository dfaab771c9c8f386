"""Which inputs move a bill most: each one from its low end to its high end, all others as they are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf

from inferplan.catalog.prices import FACILITY
from inferplan.core.units import HOURS_PER_DAY
from inferplan.tools.money.bills import Bills
from inferplan.tools.money.owning import ALL_IN, FACILITY_SETTINGS
from inferplan.tools.money.rates import OptionName, Rates

FACTS: Mapping[str, str] = {**FACILITY_SETTINGS, "depreciation_years": "depreciation", "network_fraction": "network"}
"""Constants of owning whose range is published, by the facts that hold it."""
SETTING_OF: Mapping[str, str] = {"purchase_usd": "purchase_usd_per_gpu", "power_kw": "power_kw_per_gpu"}
"""Settings that are called otherwise than what they set."""
SWING = 0.2
"""How far an input moves both ways where no range of it is published."""
SWINGS = 2
"""Inputs that an answer names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swing:
    """An input, and what the bill is at both of its ends. [USD/month]"""

    input: str
    low_usd: float
    high_usd: float

    @property
    def size(self) -> float:
        """How far the bill moves. [USD/month]"""
        return abs(self.high_usd - self.low_usd)


def largest_swings(bills: Bills, name: OptionName, slower: tuple[float, float]) -> list[Swing]:
    """The inputs that move an option's bill most, largest first; those that do not move it are left out.

    `slower` is how many times as long the fleet may take for its work as planned, at best and at worst.
    """
    swings = sorted(_swings(bills, name, slower), key=lambda one: -one.size)
    return [one for one in swings[:SWINGS] if one.size > 0]


def _swings(bills: Bills, name: OptionName, slower: tuple[float, float]) -> Iterator[Swing]:
    """Every input that an option's bill depends on."""
    traffic = bills.yard.traffic
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
    """A fifth less and a fifth more."""
    return (1 - SWING) * value, min((1 + SWING) * value, most)


def _month(
    bills: Bills, name: OptionName, *, requests: float | None = None, hours: float | None = None, slower: float = 1
) -> float:
    """An option's bill with one thing changed. [USD/month]"""
    traffic = bills.yard.traffic
    requests, hours = requests or traffic.requests_per_day, hours or traffic.usage_hours_per_day
    return bills.month(name, gpus=bills.yard.gpus(requests, hours, slower), requests=requests, hours=hours)


def _of_speed(bills: Bills, name: OptionName, slower: tuple[float, float]) -> Swing:
    """How far the throughput may be off."""
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
    """Tokens in and out."""
    if (api := rates.api) is None:
        return
    for side, rate in (("input", api.input), ("output", api.output)):
        yield (
            f"api_{side}_usd_per_million_tokens",
            _ends(rate.usd, rate.low, rate.high),
            lambda usd, side=side, rate=rate: replace(rates, api=replace(api, **{side: replace(rate, usd=usd)})),
        )


def _priced_own(rates: Rates) -> Iterator[Priced]:
    """What is bought, and the constants of owning."""
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
    """The range that a constant is quoted in, unless the caller gave another value."""
    known = FACILITY[fact]
    return _ends(value, known.low, known.high) if value == known.value else _around(value)


def _ends(value: float, low: float, high: float) -> tuple[float, float]:
    """A published range, or a fifth to both sides where there is none."""
    return (low, high) if low < high else _around(value)
