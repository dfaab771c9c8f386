"""A fleet and its bills in sentences, and the arithmetic behind them."""

from collections.abc import Iterator
from dataclasses import dataclass

from inferplan.catalog.models import MODELS
from inferplan.core import cost
from inferplan.core.cost import Ownership
from inferplan.core.units import DAYS_PER_MONTH, HOURS_PER_DAY, HOURS_PER_MONTH, MILLION, MONTHS_PER_YEAR
from inferplan.tools import _words as words
from inferplan.tools._bills import ApiRates, OptionName, Rates
from inferplan.tools._fleet import Fleet, Traffic
from inferplan.tools._serving import Serving

TITLES: dict[OptionName, str] = {
    "on_demand": "on-demand",
    "reserved_1yr": "1-year reserved",
    "reserved_3yr": "3-year reserved",
    "own": "owned",
    "api": "an API",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One question with everything that was computed for it."""

    on: Serving
    traffic: Traffic
    compliance_required: bool
    fleet: Fleet
    rates: Rates
    monthly: dict[OptionName, float]
    crossings: dict[OptionName, float | None]
    checkpoint_gpus: int | None

    @property
    def best(self) -> OptionName:
        """The cheapest option."""
        return min(self.monthly, key=lambda name: self.monthly[name])

    @property
    def recommended(self) -> OptionName:
        """The cheapest option, or owned hardware where compliance asks for it."""
        return "own" if self.compliance_required else self.best

    @property
    def usd_per_million_tokens(self) -> dict[OptionName, float]:
        """The price of a token under each option, input and output together. [USD per 10^6 tokens]"""
        traffic = self.traffic
        return {
            name: cost.usd_per_million_tokens(
                monthly_usd=usd,
                requests_per_day=traffic.requests_per_day,
                tokens_per_request=traffic.tokens_per_request,
            )
            for name, usd in self.monthly.items()
        }

    @property
    def cheaper_all_day(self) -> dict[str, str]:
        """The flat options that never meet on-demand, each with the one of the two that is cheaper."""
        winners = {
            name: cost.cheaper_all_day(on_demand_usd_per_hour=self.rates.on_demand, flat_usd_per_month=per_gpu)
            for name, per_gpu in self.rates.flat.items()
        }
        return {name: name if winner == "flat" else winner for name, winner in winners.items() if winner}

    @property
    def premium(self) -> float:
        """What compliance costs. [USD/month]"""
        return self.monthly[self.recommended] - self.monthly[self.best]


def lacks_units(on: Serving) -> bool:
    """Whether the format's own arithmetic is missing on this GPU."""
    narrow = on.precision.compute in {"fp8", "int8", "fp4"} and not on.precision.weight_only
    return narrow and on.gpu.peak_flops(on.precision.compute) is None


def summarize(case: Case) -> str:
    """The paragraph to paste into a design document."""
    sentences = [_sizing_sentence(case), _price_sentence(case), _crossing_sentence(case)]
    return " ".join([*sentences, *_caveats(case)])


def _sizing_sentence(case: Case) -> str:
    """Demand, and the fleet that carries it."""
    traffic, fleet, model = case.traffic, case.fleet, case.on.model
    instance = fleet.instance
    named = f"a {model.id}-class model" if model.is_size_class else model.title
    one, each = f"{instance.layout.replica:,} {case.on.gpu.title}", " each" if fleet.count > 1 else ""
    fleet_of = one if fleet.count == 1 else f"{fleet.count:,} instances of {one}, {fleet.gpus:,} GPUs in all,"
    pace = words.seconds(instance.service.tpot_s)
    spare = f" ({fleet.needed:,} would do)" if fleet.needed < fleet.count else ""
    return (
        f"{words.count(traffic.requests_per_day, 'request')} a day ({traffic.input_tokens:,} tokens in, "
        f"{traffic.output_tokens:,} out) to {named} in {case.on.precision.title}, within "
        f"{traffic.usage_hours_per_day:g} hours, need {words.significant(fleet.demand)} output tokens/s: {fleet_of} "
        f"planned at {100 * fleet.utilization:g} % of "
        f"{words.significant(instance.service.tokens_per_s)} tokens/s{each}, {pace} a token{spare}."
    )


def _price_sentence(case: Case) -> str:
    """The cheapest bill, the others, and what compliance adds."""
    best = case.best
    others = [f"{TITLES[name]} {words.usd(usd)}" for name, usd in case.monthly.items() if name != best]
    text = (
        f"The cheapest option is {TITLES[best]} at {words.usd(case.monthly[best])} a month "
        f"({words.usd(case.usd_per_million_tokens[best])} per million tokens); {words.join(others)}."
    )
    return f"{text} {_compliance_sentence(case)}" if case.compliance_required else text


def _compliance_sentence(case: Case) -> str:
    """What compliance forces, and what that costs."""
    if case.best == "own":
        return "Compliance requires own hardware, which is also the cheapest option."
    more = words.usd(case.premium)
    return f"Compliance requires own hardware: {more} a month above the cheapest option."


def reason(case: Case) -> str:
    """Why the recommended option is."""
    if not case.compliance_required:
        return "cheapest"
    return f"compliance, {words.usd(case.premium)} a month above the cheapest" if case.premium else "compliance"


def _crossing_sentence(case: Case) -> str:
    """Up to how many hours a day renting by the hour is the cheaper way."""
    below = [f"{TITLES[name]} below {hours:.1f}" for name, hours in case.crossings.items() if hours]
    always = [TITLES[name] for name in case.crossings if case.cheaper_all_day.get(name) == "on_demand"]
    parts = [f"than {words.join(below)} hours a day"] if below else []
    parts += [f"than {words.join(always)} at any hours"] if always else []
    return f"On-demand is cheaper {' and '.join(parts)}." if parts else "On-demand is never cheaper."


def _caveats(case: Case) -> Iterator[str]:
    """What the figures leave out, where it matters here."""
    on = case.on
    if case.checkpoint_gpus and case.checkpoint_gpus != case.fleet.gpus and on.model.stands_for:
        real = MODELS[on.model.stands_for].title
        yield f"A real {on.precision.title} checkpoint of {real} takes {words.count(case.checkpoint_gpus, 'GPU')}."
    if lacks_units(on):
        yield f"{on.gpu.title} has no {on.precision.title} arithmetic, so the format saves memory but no compute."
    if case.rates.owned and case.rates.owned_bare:
        yield "The owned figure is for bare cards: hosts and network come on top."
    if case.rates.owned is None:
        yield f"Owning is left out: no price to buy {on.gpu.title} is known."


def formula(case: Case) -> Iterator[str]:
    """The arithmetic with the numbers put in."""
    traffic, fleet, rates = case.traffic, case.fleet, case.rates
    capacity, gpus = fleet.instance.service.tokens_per_s, fleet.gpus
    busiest = f" x {fleet.peak_factor:g} peak" if fleet.peak_factor != 1 else ""
    hours = f"{traffic.usage_hours_per_day:g} h"
    output = f"{traffic.requests_per_day:,} x {traffic.output_tokens:,}"
    yield f"demand {output} / ({hours} x 3,600 s){busiest} = {fleet.demand:,.1f} tokens/s"
    planned = f"{capacity:,.1f} x {100 * fleet.utilization:g} % utilization"
    need = f"instances ceil({fleet.demand:,.1f} / ({planned})) = {fleet.needed:,}"
    given = f", of {gpus:,} given" if gpus > fleet.needed * fleet.instance.layout.replica else ""
    yield f"{need}, x {words.count(fleet.instance.layout.replica, 'GPU')}{given}"
    monthly = {name: f"${usd:,.0f}" for name, usd in case.monthly.items()}
    rented = [monthly[name] for name in ("on_demand", "reserved_1yr", "reserved_3yr")]
    yield (
        f"rented {gpus:,} x {HOURS_PER_MONTH} h x ({traffic.usage_hours_per_day:g}/{HOURS_PER_DAY} x "
        f"${rates.on_demand:g}; ${rates.reserved_1yr:g}; ${rates.reserved_3yr:g}) = {'; '.join(rented)}"
    )
    if rates.owned is not None:
        yield f"own {gpus:,} x ({_owned_line(rates.owned)}) = {monthly['own']}"
    if rates.api is not None:
        yield f"api {_api_line(traffic, rates.api)} = {monthly['api']}"


def _owned_line(owned: Ownership) -> str:
    """Capital over its months, and power times what it costs to feed and to house."""
    kept = f" x {1 - owned.residual_fraction:g}" if owned.residual_fraction else ""
    capital = f"${owned.purchase_usd:,.0f}{kept} / {owned.depreciation_years * MONTHS_PER_YEAR:g}"
    energy = f"PUE {owned.pue:g} x {HOURS_PER_MONTH} h x ${owned.electricity_usd_per_kwh:g}"
    return f"{capital} + {owned.power_kw:g} kW x ({energy} + ${owned.colocation_usd_per_kw_month:g} space)"


def _api_line(traffic: Traffic, api: ApiRates) -> str:
    """Millions of requests a month, times the price of one of them in millionths."""
    requests = traffic.requests_per_day * DAYS_PER_MONTH / MILLION
    price = f"{traffic.input_tokens:,} x ${api.input:g} + {traffic.output_tokens:,} x ${api.output:g}"
    return f"{requests:,.6g} M x ({price})"
