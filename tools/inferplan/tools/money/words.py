"""A fleet and its bills in sentences, and the arithmetic behind them."""

from collections.abc import Iterator
from math import inf

from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.money.ownership import Ownership
from inferplan.core.units import DAYS_PER_MONTH, HOURS_PER_DAY, HOURS_PER_MONTH, MILLION, MONTHS_PER_YEAR
from inferplan.tools import _words as words
from inferplan.tools.money.bills import COMMITTED, HOURLY
from inferplan.tools.money.case import Case
from inferplan.tools.money.owning import Owned
from inferplan.tools.money.rates import ApiRates, OptionName

TITLES: dict[OptionName, str] = {
    "on_demand": "on-demand",
    "reserved_1yr": "1-year reserved",
    "reserved_3yr": "3-year reserved",
    "spot": "spot",
    "own": "owned",
    "api": "an API",
}
SHORTEST_HOURS = 0.05
"""Hours a day below which a crossing counts as at once. [h]"""
TOO_SLOW = "answers that appear more slowly than people can read them"
"""What a TPOT beyond `READING_S` makes."""
READING_S = 0.2
"""TPOT of text that is read as it comes. [s]

Source: MLCommons, Llama 2 70B in MLPerf Inference v4.0 (2024): TPOT <= 200 ms is about 240 words a minute.
"""


def summary(case: Case) -> Iterator[str]:
    """The sentences of the summary, to be pasted into a design document."""
    yield _sizing_sentence(case)
    yield _price_sentence(case)
    yield _crossing_sentence(case)
    yield from _caveats(case)


def _sizing_sentence(case: Case) -> str:
    """The demand, and the fleet that carries it."""
    traffic, fleet, on = case.traffic, case.fleet, case.on
    instance, request = fleet.instance, traffic.request
    served = f"{words.subject(on.model)} in {on.precision.title}{on.under}"
    split = f" ({words.degrees(instance.layout)})" if instance.layout.attention_dp > 1 else ""
    one, each = f"{instance.layout.replica:,} {on.gpu.title}{split}", " each" if fleet.needed > 1 else ""
    carrying = one if fleet.needed == 1 else f"{fleet.needed:,} instances of {one}"
    if fleet.gpus > fleet.busy_gpus:
        carrying = f"{carrying} would do,"
        taken = fleet.count * instance.layout.replica
        paid = f"; {words.count(fleet.gpus, 'GPU')} are paid for"
        take = f"{words.count(fleet.count, 'instance')} {'takes' if fleet.count == 1 else 'take'}"
        paid += f", of which {take} {taken:,}" if taken < fleet.gpus else ""
    else:
        carrying = f"{carrying}, {fleet.gpus:,} GPUs in all," if fleet.needed > 1 else carrying
        paid = ""
    asked = case.bills.sizing.at_least
    short = f" ({words.count(asked, 'GPU')} would not do)" if 0 < asked < fleet.busy_gpus else ""
    hours = traffic.usage_hours_per_day
    within = f", within {hours:g} {'hour' if hours == 1 else 'hours'}," if hours < HOURS_PER_DAY else ""
    peak = f" at a peak of {traffic.peak_factor:g} times the mean" if traffic.peak_factor != 1 else ""
    return (
        f"{words.count(case.requests, 'request')} a day ({words.count(request.input_tokens, 'token')} in, "
        f"{request.output_tokens:,} out) to {served}{within} {'needs' if case.requests == 1 else 'need'} "
        f"{words.significant(case.demand)} output tokens/s{peak}: {carrying} "
        f"planned at {100 * traffic.utilization:g} % of "
        f"{words.significant(instance.tokens_per_s)} tokens/s{each}{paid}{short}."
    )


def _price_sentence(case: Case) -> str:
    """The cheapest bill, the others, and what compliance adds."""
    best = case.best
    others = [f"{_titled(case, name)} {words.usd(usd)}" for name, usd in case.monthly.items() if name != best]
    said = "The cheapest option is" if others else "The one option with a price is"
    text = (
        f"{said} {_titled(case, best)} at {words.usd(case.monthly[best])} a month "
        f"({words.unit_price(case.usd_per_million_tokens[best])} per million tokens)"
    )
    text = f"{text}; {words.join(others)}." if others else f"{text}."
    if case.compliance_required:
        return f"{text} {_compliance_sentence(case)}"
    return text if case.recommended == best else f"{text} Of what lasts, {TITLES[case.recommended]} is the cheapest."


def _titled(case: Case, name: OptionName) -> str:
    """An option's title, marked where its price is assumed, all in, or can be taken back."""
    if case.bills.rates.assumed(name):
        api = case.bills.rates.api
        return f"{TITLES[name]} (assumed{f' like {api.model}' if name == 'api' and api else ''})"
    if name == "own" and (owned := case.bills.rates.owned) and owned.gpu is None:
        return f"{TITLES[name]} (all in)"
    return "spot (can be taken back)" if name == "spot" else TITLES[name]


def _compliance_sentence(case: Case) -> str:
    """What compliance requires, and what that costs above the cheapest option."""
    if case.best == "own":
        return "Compliance requires own hardware, which is also the cheapest option."
    more = words.usd(case.premium)
    return f"Compliance requires own hardware: {more} a month above the cheapest option."


def reason(case: Case) -> str | None:
    """Why an option is recommended that is not the cheapest; None where it is."""
    if not case.compliance_required:
        return None if case.recommended == case.best else "spot can be taken back"
    return f"compliance, {words.usd(case.premium)} a month above the cheapest" if case.premium else "compliance"


def _crossing_sentence(case: Case) -> str:
    """The hours a day below which on-demand is cheaper than others, and beyond which it is dearer."""
    if "on_demand" not in case.monthly:
        return _owned_sentence(case)
    met: dict[OptionName, float] = {name: hours for name, hours in case.crossings.items() if hours}
    follows = case.bills.follows_the_fleet
    below = [f"{TITLES[name]} below {_few(hours)}" for name, hours in met.items() if follows(name)]
    beyond = [f"{TITLES[name]} {_from(hours)}" for name, hours in met.items() if not follows(name)]
    always = [TITLES[name] for name in case.crossings if case.cheaper_all_day.get(name) == "on_demand"]
    cheaper = [f"than {words.join(below)} hours a day"] if below else []
    cheaper += [f"than {words.join(always)} at any hours"] if always else []
    parts = [f"cheaper {' and '.join(cheaper)}"] if cheaper else []
    parts += [f"dearer than {words.join(beyond)}"] if beyond else []
    if not parts:
        return "On-demand is never cheaper."
    return f"On-demand is {' and '.join(parts)}, on the GPUs those hours take."


def _few(hours: float) -> str:
    """Hours to a tenth; fewer to two digits, so that none are shown as 0.0.

    >>> _few(7.82), _few(0.00564)
    ('7.8', '0.0056')
    """
    return f"{hours:.1f}" if hours >= SHORTEST_HOURS else f"{hours:.2g}"


def _from(hours: float) -> str:
    """`beyond 8.0 hours a day`, or `at any hours`."""
    return "at any hours" if hours < SHORTEST_HOURS else f"beyond {hours:.1f} hours a day"


def _owned_sentence(case: Case) -> str:
    """That nobody rents the GPU out, and what it costs owned. [USD/GPU-hour]"""
    nobody, owned = f"No cloud is known to rent out {case.on.gpu.title} on demand", case.bills.rates.owned
    if owned is None:
        return f"{nobody}."
    people = "" if owned.staff_month else " and without staff"
    rate = f"{words.usd(owned.usd_per_hour)} a GPU-hour, busy or idle{people}"
    return f"{nobody}; owned it costs {rate}: compare months with rented GPUs, not hours."


def _api_sentence(case: Case) -> str:
    """The requests a day up to which the API is certain to be cheaper; beyond, it may be where the fleet just grew."""
    fleet = f"The API is cheaper than {TITLES[case.fleet_option]} GPUs"
    if case.api_requests is None:
        return f"{fleet} at any number of requests."
    if case.api_requests == 0:
        return f"The API is never cheaper than {TITLES[case.fleet_option]} GPUs."
    return f"{fleet} at least up to {words.significant(case.api_requests)} requests a day."


def _own_price(case: Case) -> float:
    """The bill of the GPU asked for, by the option that GPU types are ranked by. [USD/month]"""
    return case.monthly.get("own" if case.compliance_required else "on_demand", inf)


def _ranking_sentence(case: Case) -> str:
    """The GPU type whose fleet costs least."""
    how = "to own" if case.compliance_required else "on demand"
    of_all = "For these requests alone, of all GPUs" if case.bills.sizing.at_least else "Of all GPUs"
    first = case.ranked[0]
    pace = f", with {TOO_SLOW}" if _is_slow(case, first.tpot_s) else ""
    return f"{of_all} {GPUS[first.gpu].title} costs least {how}: {words.usd(first.monthly_usd)} a month{pace}."


def _caveats(case: Case) -> Iterator[str]:
    """Pace, API, cheaper GPU types, the real checkpoint, and prices that are missing; each where it applies."""
    on = case.on
    yield from _pace_sentence(case)
    if case.bills.rates.api:
        yield _api_sentence(case)
    if (api := case.bills.rates.api) and api.cached_share and not api.cached:
        setting = "api_cached_input_usd_per_million_tokens"
        yield f"The API's bill has every prompt at the full price: {setting} gives that of cached ones."
    if case.ranked and case.ranked[0].gpu != on.gpu.id and case.ranked[0].monthly_usd < _own_price(case):
        yield _ranking_sentence(case)
    if case.checkpoint_gpus and case.checkpoint_gpus != case.fleet.gpus and on.model.stands_for:
        real = MODELS[on.model.stands_for].title
        yield f"The real {real} takes {words.count(case.checkpoint_gpus, 'GPU')}."
    if on.lacks_units:
        yield f"{on.gpu.title} has no {on.precision.title} arithmetic, so the format saves memory but no compute."
    if missing := case.bills.rates.lacking:
        yield f"Owning is left out: no {missing.what} of {on.gpu.title} is known."
    if case.bills.rates.api is None:
        yield f"An API is left out: no price of {on.model.title} is known."


def _is_slow(case: Case, tpot_s: float) -> bool:
    """Whether a TPOT is longer than people read, where no TPOT is asked for."""
    request = case.traffic.request
    return request.output_tokens > 1 and request.latency.tpot_s is None and tpot_s > READING_S


def _pace_sentence(case: Case) -> Iterator[str]:
    """That the fleet's batch is slower than people read, where no TPOT is asked for."""
    instance = case.fleet.instance
    if _is_slow(case, instance.service.tpot_s):
        each = f"In its batch of {instance.batch:,} a token takes {words.seconds(instance.service.tpot_s)}"
        yield f"{each}, which makes {TOO_SLOW}: max_tpot_ms limits that."


def formula(case: Case) -> Iterator[str]:
    """The lines of arithmetic: instances, and each bill."""
    traffic, fleet, rates = case.traffic, case.fleet, case.bills.rates
    capacity, gpus, replica = fleet.instance.tokens_per_s, fleet.gpus, fleet.instance.layout.replica
    busiest = f" x {traffic.peak_factor:g} peak" if traffic.peak_factor != 1 else ""
    hours = f"{traffic.usage_hours_per_day:g}"
    output = f"{case.requests:,} x {traffic.request.output_tokens:,}"
    arriving = f"{output} / ({hours} x 3,600 s){busiest}"
    planned = f"{capacity:,.1f} x {100 * traffic.utilization:g} %"
    given = f", {gpus:,} paid for" if gpus > fleet.needed * replica else ""
    yield f"instances ceil({arriving} / ({planned})) = {fleet.needed:,}, x {words.count(replica, 'GPU')}{given}"
    if rates.rented:
        yield _rented_line(case)
    if rates.owned is not None:
        yield _owned_line(case, rates.owned)
    if rates.api is not None:
        yield f"api {_api_line(case, rates.api)} = {words.usd(case.monthly['api'])}"


def _rented_line(case: Case) -> str:
    """The rental rates: hourly ones by the share of the day, committed ones by the month."""
    rates, hours = case.bills.rates.rented, case.traffic.usage_hours_per_day
    hourly, reserved = (
        "; ".join(f"{name} ${rates[name].usd:g}" for name in case.monthly if name in names)
        for names in (HOURLY, COMMITTED)
    )
    by_the_hour = f"{hours:g}/{HOURS_PER_DAY} x ({hourly})" if hourly else ""
    rents = "; ".join(filter(None, (by_the_hour, reserved)))
    return f"rented {case.fleet.gpus:,} x {HOURS_PER_MONTH} h x ({rents})"


def _owned_line(case: Case, owned: Owned) -> str:
    """The bill of owning: each GPU, and the staff."""
    people = f" + {_in_full(owned.staff_month)} staff" if owned.staff_month else ""
    each = f"{HOURS_PER_MONTH} h x ${owned.all_in:g} all in" if owned.gpu is None else _each_owned(owned.gpu)
    return f"own {case.fleet.gpus:,} x ({each}){people} = {words.usd(case.monthly['own'])}"


def _each_owned(owned: Ownership) -> str:
    """The monthly cost of an owned GPU: capital over its months, upkeep, power and space."""
    bought = _in_full(owned.purchase_usd)
    hardware = f"({bought} + {_in_full(owned.server_usd)})" if owned.server_usd else bought
    months, rate = owned.depreciation_years * MONTHS_PER_YEAR, 100 * owned.cost_of_capital
    left = 100 * owned.residual_fraction
    capital = f"{1 + owned.network_fraction:g} over {months:g} months at {rate:g} % to {left:g} %"
    kept = f"{100 * owned.maintenance_fraction:g} %/{MONTHS_PER_YEAR}"
    energy = f"{owned.pue:g} PUE x {HOURS_PER_MONTH} h x ${owned.electricity_usd_per_kwh:g}"
    power = f"{owned.power_kw:g} kW x ({energy} + ${owned.colocation_usd_per_kw_month:g})"
    return f"{hardware} x ({capital} + {kept}) + {power}"


def _in_full(usd: float) -> str:
    """A sum with its cents, where it has any: what is multiplied is what is shown.

    >>> _in_full(39_625), _in_full(58.53)
    ('$39,625', '$58.53')
    """
    return f"${usd:,.2f}".removesuffix(".00")


def _api_line(case: Case, api: ApiRates) -> str:
    """Millions of requests a month times the price of one in millionths."""
    request = case.traffic.request
    requests = case.traffic.requests_per_day * DAYS_PER_MONTH / MILLION
    prompt = f"${api.input.usd:g}"
    if api.cached_share and api.cached:
        share = 100 * api.cached_share
        prompt = f"({100 - share:g} % x {prompt} + {share:g} % x ${api.cached.usd:g})"
    price = f"{request.input_tokens:,} x {prompt} + {request.output_tokens:,} x ${api.output.usd:g}"
    return f"{requests:,.6g} M x ({price})"
