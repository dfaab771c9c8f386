"""The one-call answer in sentences: the verdict, memory, bill, and what would take fewer GPUs."""

from collections.abc import Iterator

from inferplan.core.parallelism import Layout
from inferplan.core.units import MILLI, SECONDS_PER_HOUR
from inferplan.tools import _words as words
from inferplan.tools.layouts.words_arriving import busier_sentences, idle_sentences
from inferplan.tools.money.rates import OptionName
from inferplan.tools.parallelism import ParallelismAnswer
from inferplan.tools.serving.stand_in import warning
from inferplan.tools.serving.words_speed import around
from inferplan.tools.verdict.sections import Bill, Case

PAID: dict[OptionName, str] = {
    "on_demand": "on demand",
    "reserved_1yr": "reserved for a year",
    "reserved_3yr": "reserved for three years",
    "spot": "at the price of spot",
    "own": "owned",
    "api": "through an API",
}


def verdict(case: Case) -> Iterator[str]:
    """The verdict in the words of the question: yes or no, on what, how fast."""
    if case.plan.serves_users:
        load, hardware = f"{_users(case)} at {_context(case)}", _hardware(case, case.plan)
        yield f"{_yes(case)}: {_subject(case)} serves {load} on {hardware}{_pace(case, case.plan)}."
        yield from _traffic_sentence(case)
        return
    title = case.on.gpu.title
    if case.on.not_modelled:
        start = f"No, not on {title}, for" if case.on.obstacle else "Not known for"
        yield f"{start} {_subject(case)}: {case.on.not_modelled}."
        return
    yield f"No, not on {words.devices(case.controls['total_gpus'], title)}: {_shortfall(case)}."
    if case.enough.serves_users:
        whom = "the user" if case.controls["concurrent_users"] == 1 else "them all"
        yield f"{_hardware(case, case.enough)} would serve {whom}{_pace(case, case.enough)}."
        yield from _traffic_sentence(case)
    elif case.fewest is None:
        hint = "" if case.ways else "; a larger GPU or fewer bits may"
        yield f"No legal layout of {title} holds it at any number{hint}."
    else:
        yield f"No number of {title} does; {_hardware(case, case.enough)} comes closest{_pace(case, case.enough)}."


def _yes(case: Case) -> str:
    """`Yes, on 1 node`; where the traffic takes more GPUs, or the users more than the preset's, that too."""
    own = case.preset.total_gpus
    where = words.nodes(case.plan.nodes, case.on.gpu, size=case.on.node_size)
    yes = "Yes for the users, no for their traffic" if case.traffic_gpus else "Yes"
    if case.plan.gpus_used > own and case.given_gpus is None:
        return f"{yes}, on {where} and more than the preset's {words.count(own, 'GPU')}"
    return f"{yes}, on {where}"


def _traffic_sentence(case: Case) -> Iterator[str]:
    """The GPUs for a day's requests, where those are more than serve the users."""
    if case.traffic_gpus:
        yield (
            f"But {case.controls['requests_per_day']:,} requests a day take {words.count(case.traffic_gpus, 'GPU')}, "
            f"which the bill is for."
        )


def _shortfall(case: Case) -> str:
    """What the GPUs given cannot do."""
    if not case.plan.fits:
        return f"{_subject(case)} does not fit there"
    hold = "it holds" if case.controls["total_gpus"] == 1 else "they hold"
    if case.late:
        every = "the" if case.controls["concurrent_users"] == 1 else "all"
        users = f"{every} {_users(case)} of {_subject(case)} at {_context(case)}"
        return f"{hold} {users}, but {_miss(case)} where {case.latency} is asked for"
    return f"{hold} {case.plan.users_held:,} of the {_users(case)} of {_subject(case)} at {_context(case)}"


def _miss(case: Case) -> str:
    """The latency of GPUs that hold the users but miss the one asked for."""
    plan = case.plan
    if plan.ttft_ms is None:
        return "their latency is not known"
    each = "" if plan.tpot_ms is None else f", {words.seconds(plan.tpot_ms * MILLI)} a token"
    take = "takes" if case.controls["total_gpus"] == 1 else "take"
    return f"{take} {words.seconds(plan.ttft_ms * MILLI)} to the first token{each}"


def _subject(case: Case) -> str:
    """`a 70B-class model in FP8`, with the engine where it is not the default."""
    return f"{words.subject(case.on.model)} in {case.on.precision.title}{case.on.under}"


def _users(case: Case) -> str:
    """`200 users`."""
    return words.count(case.controls["concurrent_users"], "user")


def _context(case: Case) -> str:
    """`8,192 tokens of context`."""
    return f"{case.controls['context_window']:,} tokens of context"


def _hardware(case: Case, plan: ParallelismAnswer) -> str:
    """`24 x H100 SXM5 80GB (tensor 8 x data 3)`."""
    degrees = f" ({words.layout(plan.tp, plan.pp, plan.dp, plan.ep)})" if plan.gpus_used > 1 else ""
    return f"{words.devices(plan.gpus_used, case.on.gpu.title)}{degrees}"


def _pace(case: Case, plan: ParallelismAnswer) -> str:
    """TTFT and TPOT of a plan with their error bands; empty where not timed."""
    if plan.ttft_ms is None:
        return ""
    first = around(plan.ttft_ms * MILLI, case.on.band("ttft"))
    each = "" if plan.tpot_ms is None else f", then {around(plan.tpot_ms * MILLI, case.on.band('tpot'))} a token"
    runs = f"half of published runs{case.on.band('tpot' if each else 'ttft').where} lie within"
    return f", first token in about {first}{each} (estimates; {runs})" + _within(case, plan)


def _within(case: Case, plan: ParallelismAnswer) -> str:
    """That a plan is within the latency asked for; else empty."""
    return f", within {case.latency}" if case.latency and plan.serves_users else ""


def details(case: Case) -> Iterator[str]:
    """The sentences after the verdict: memory, the real checkpoint, context, bill, changes."""
    yield _memory_sentence(case)
    yield from _real_sentence(case)
    yield from words.beyond_training(case.on.model, case.controls["context_window"])
    yield case.costs if isinstance(case.costs, str) else _bill_sentence(case, case.costs)
    yield from _load_sentences(case)
    yield from _ways_to_save(case)


def _memory_sentence(case: Case) -> str:
    """Weights, KV cache, total, and the users that the GPUs take where that is known.

    Where the GPUs given do not serve all, they are named: others were just spoken of.
    """
    need, plan = case.need, case.plan
    text = (
        f"Memory: {words.gb(need.weights)} of weights and {words.gb(need.kv_cache)} of KV cache, "
        f"{words.gb(need.total)} with overhead"
    )
    if case.on.not_modelled or not plan.fits:
        return f"{text}."
    these = "this GPU takes" if plan.gpus_used == 1 else "these GPUs take"
    if not plan.serves_users:
        given = case.controls["total_gpus"]
        these = f"{words.devices(given, case.on.gpu.title)} {'takes' if given == 1 else 'take'}"
    spare = plan.users - case.controls["concurrent_users"]
    more = f", {spare:,} more than asked" if spare > 0 else ""
    held = f" within {case.latency} (memory holds {plan.users_held:,})" if plan.users_by_memory else ""
    return f"{text}; {these} {words.count(plan.users, 'user')} at full context{held}{more}."


def _real_sentence(case: Case) -> Iterator[str]:
    """That the checkpoint behind a size class does not fit on the GPUs of the verdict; nothing where it does."""
    plan, users = case.plan, case.controls["concurrent_users"]
    if plan.serves_users and plan.ep == 1:
        layout = Layout(tp=plan.tp, pp=plan.pp, dp=plan.dp)
        yield from warning(case.on, layout, users=users, context=case.controls["context_window"])


def _bill_sentence(case: Case, costs: Bill) -> str:
    """The cheapest way to run the GPUs that serve the users, and the API where that is cheaper still.

    GPUs that the verdict spoke of neither as given nor as enough are said to be those of the traffic.
    """
    bills = dict(costs.case.monthly)
    api, spot = bills.pop("api", None), None if costs.case.bills.rates.spot_allowed else bills.pop("spot", None)
    best = "own" if costs.case.recommended == "own" else min(bills, key=lambda name: bills[name])
    usd = bills[best]
    gpus = costs.case.fleet.gpus
    verb, them = ("costs", "it") if gpus == 1 else ("cost", "them")
    known = case.enough.serves_users or gpus in (case.plan.gpus_used, case.enough.gpus_used)
    whose = "" if known else "The day's requests alone take more than the GPUs given: "
    paid = f"{PAID[best]}{' (assumed)' if costs.case.bills.rates.assumed(best) else ''}"
    others = case.enough.serves_users and case.bill_is_of_others and not case.traffic_gpus
    which = f"The {gpus:,} GPUs that serve all" if others else ""
    text = f"{whose}{which or words.count(gpus, 'GPU')} {verb} {words.usd(usd)} a month {paid}"
    if case.controls["compliance_required"]:
        text += ", as compliance requires"
    elif spot and spot < usd:
        text += f", the cheapest way to run {them} that lasts (spot {words.usd(spot)})"
    elif len(bills) == 1:
        text += f": no other price of {them} is known"
    else:
        text += f", the cheapest way to run {them}"
    if api is None or api >= usd:
        return f"{text}."
    requests = f"{case.controls['requests_per_day']:,} requests a day"
    return f"{text}; an API would charge {words.usd(api)} a month for the {requests}."


def _load_sentences(case: Case) -> Iterator[str]:
    """That users and requests do not go together, where those are too few, or too many for the users alone."""
    plan, requests, users = case.plan, case.controls["requests_per_day"], case.controls["concurrent_users"]
    rate = requests / (case.controls["usage_hours_per_day"] * SECONDS_PER_HOUR)
    later = float(plan.inputs["output_tokens"]) - 1
    answer_s = None if plan.ttft_ms is None else (plan.ttft_ms + later * (plan.tpot_ms or 0)) * MILLI
    load = users, rate, answer_s, f"{words.count(requests, 'request')} a day"
    yield from idle_sentences(*load)
    if not case.traffic_gpus:
        yield from busier_sentences(*load)


def _ways_to_save(case: Case) -> Iterator[str]:
    """The fewest GPUs that serve the users, and the changes with which fewer would, or any at all."""
    found = words.join([f"{way.what} ({way.gpus:,})" for way in case.ways], last="or")
    if case.needed is None:
        if found:
            yield f"What would serve them, and the GPUs that it takes: {found}."
        return
    needed = f"{words.count(case.needed, 'GPU')} serve{'s' if case.needed == 1 else ''} these users"
    if found:
        yield f"{needed}; fewer would with {found}."
    elif case.needed < case.plan.gpus_used:
        yield f"{needed}."
