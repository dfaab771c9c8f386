"""The aim of a layout in sentences: whether the latency is met, what it is best at, what the runners-up lack."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from inferplan.tools import _words as words
from inferplan.tools.layouts.demand import Demand, Plan
from inferplan.tools.layouts.plans import RESOLUTION, Case

AIMS = {
    "latency": "the shortest time per token",
    "throughput": "the most tokens/s",
    "fewest_gpus": "the fewest GPUs",
}

APART = f"{RESOLUTION - 1:.0%}".replace("%", " %")
"""`RESOLUTION` in words: the least difference at which estimates are told apart."""
TOLD_APART = 0.01
"""Share below which a difference of two figures is not named."""


def aim_sentences(case: Case) -> Iterator[str]:
    """Whether the latency is met and what the layout is best at; nothing where no aim was stated."""
    demand, chosen = case.demand, case.chosen
    if not demand.is_aimed:
        return
    if demand.has_targets:
        yield _targets(case)
    if chosen.serves:
        yield from _best(case)


def _best(case: Case) -> Iterator[str]:
    """What no other layout does better. For the fewest GPUs the search ends early, so that no count is given."""
    demand = case.demand
    if demand.aim == "fewest_gpus":
        if case.chosen.layout.gpus > 1:
            unless = ", unless ranks share out the tokens of a cache" if case.shared_out else ""
            yield f"No legal layout serves the users on fewer GPUs{unless}."
        return
    serving = sum(plan.serves for plan in case.plans)
    layouts = words.count(serving, "legal layout") + _looked_at(case)
    yield f"Of {layouts} that {_serve(demand, serving)} it has {_aim(case)}{_twice(case)}."


def _looked_at(case: Case) -> str:
    """` on 8 GPUs`, or ` on up to 8 GPUs`, where the number of GPUs was searched; else empty."""
    if case.most is None:
        return ""
    return f" on {'up to ' if case.chosen.layout.gpus < case.most else ''}{words.count(case.most, 'GPU')}"


def _twice(case: Case) -> str:
    """The latency on twice as many GPUs, where their number was searched; else empty."""
    if (twice := case.doubled) is None or twice.service is None:
        return ""
    single = twice.load.is_single
    time = words.seconds(twice.service.ttft_s if single else twice.service.tpot_s)
    return f"; on {twice.layout.gpus:,} that would be {time}"


def _aim(case: Case) -> str:
    """`the most tokens/s per GPU`: what the layout was chosen for."""
    if case.demand.aim == "latency" and case.chosen.load.is_single:
        return "the shortest time to the first token"
    return AIMS[case.demand.aim] + (" per GPU" if case.is_per_gpu else "")


def why_aimed(case: Case) -> str:
    """Why the layout was chosen, where an aim was stated; the rows of runners-up say what they lack."""
    chosen = case.chosen
    taken = f"It has {_aim(case)} of the layouts that serve the users{_looked_at(case)}"
    if case.most is not None and chosen.serves:
        taken += ", no more than the widest tensor groups take"
    idle = left_over(case)
    if not chosen.serves:
        in_time = _is_partly_in_time(case)
        nearest = _nearest(case) if chosen.holds else "It holds the most users"
        taken = "It takes the most users in time" if in_time else nearest
        idle = idle if in_time or not chosen.holds else ""
        taken = "It sustains the most requests/s" if chosen.piles_up else taken
    return taken + ("; no other layout is legal here." if len(case.plans) == 1 else ".") + idle


def left_over(case: Case, *, named: Plan | None = None) -> str:
    """Why GPUs given stay idle, and what the best layout on more of them lacks unless it is `named`; or empty."""
    gpus = case.chosen.layout.gpus
    if case.demand.aim == "fewest_gpus" or not (idle := (case.demand.gpus or gpus) - gpus):
        return ""
    left = f" {words.count(idle, 'GPU')} left over: too few for another replica"
    larger = next((plan for plan in case.ranked if plan.layout.gpus > gpus), None)
    if larger is None or larger is named or not (lacks := _lacks(case, larger)):
        return left + "."
    return f"{left}; {words.degrees(larger.layout)} on {larger.layout.gpus:,}: {lacks}."


def _nearest(case: Case) -> str:
    """How close the chosen layout comes to the latency, and why it is preferred to those as close."""
    chosen = case.chosen
    if case.is_closest(chosen):
        return "It comes closest to the latency asked for"
    best = next(plan for plan in case.ranked if plan.in_time == chosen.in_time and case.is_closest(plan))
    taken = "is quicker over a whole answer"
    if chosen.layout.gpus < best.layout.gpus:
        taken = "takes fewer GPUs"
    elif chosen.layout.ways < best.layout.ways:
        taken = "splits the model in fewer ways"
    return f"It {taken} than the one that comes closest to the latency asked for, which it is within {APART} of"


def _is_partly_in_time(case: Case) -> bool:
    """Whether the chosen layout serves some users within the latency asked for."""
    return case.demand.has_targets and case.chosen.in_time > 0


def _serve(demand: Demand, number: int) -> str:
    """`holds the users within that latency`."""
    verb = "holds" if number == 1 else "hold"
    return f"{verb} the users within that latency" if demand.has_targets else f"{verb} the users"


def _targets(case: Case) -> str:
    """Whether the latency is met; if by no layout, how close the chosen one comes."""
    chosen = case.chosen
    if chosen.serves:
        return f"That meets {case.demand.latency}.{_what_decides(case)}"
    if chosen.service is None:
        return f"Whether it meets {case.demand.latency} is not known."
    if chosen.piles_up:
        return f"No layout of {_gpus(case)} keeps up with the requests; this one sustains the most."
    if not any(plan.holds for plan in case.plans):
        return f"{case.demand.latency} for all of them is out of reach: they do not fit."
    nearest = "this one comes closest" if case.is_closest(chosen) else f"none comes closer by {APART}"
    if case.most is not None:
        none = f"No number of {_gpus(case)} meets {case.demand.latency}{_alone(case)}"
        return f"{none}. Of the layouts{_looked_at(case)} {nearest}."
    best = "this one takes the most in time" if _is_partly_in_time(case) else nearest
    return f"No layout of {_gpus(case)} meets {case.demand.latency} for all; {best}."


def _alone(case: Case) -> str:
    """The latency that even a lone user exceeds; empty where not timed."""
    if (alone := case.alone) is None:
        return ""
    limits = case.demand.latency
    first = alone.ttft_s / (limits.ttft_s or inf) > alone.tpot_s / (limits.tpot_s or inf)
    waits = f"{words.seconds(alone.ttft_s)} for the first" if first else f"{words.seconds(alone.tpot_s)} a"
    return f": even a user alone waits {waits} token"


def _what_decides(case: Case) -> str:
    """Whether memory or latency sets the number of GPUs; empty where it was given, or is one."""
    if case.by_memory is None or case.chosen.layout.gpus == 1:
        return ""
    if case.by_memory == case.chosen.layout.gpus:
        return " Memory decides how many GPUs: fewer do not hold the users."
    if case.demand.rate:
        return f" Requests and latency decide how many GPUs: {case.by_memory} would hold the users."
    return f" The latency decides how many GPUs: {case.by_memory} would hold the users."


def _gpus(case: Case) -> str:
    """`these GPUs`, or `H100 SXM5 80GB`."""
    return "these GPUs" if case.demand.gpus else case.on.gpu.title


def loses(case: Case, plan: Plan, *, dearer: float = 0) -> str:
    """What a runner-up lacks against the chosen layout; `dearer` is how much more it costs to rent. [USD/hour]"""
    if lacks := _lacks(case, plan):
        return lacks
    if (more := plan.layout.gpus - case.chosen.layout.gpus) > 0:
        return f"{words.count(more, 'GPU')} more"
    return f"{words.usd(dearer)} more an hour" if dearer > 0 else "nothing that counts"


def _lacks(case: Case, plan: Plan) -> str:
    """What a layout lacks against the chosen one, its GPUs apart; empty where nothing."""
    chosen, demand = case.chosen, case.demand
    if plan.arrivals and plan.piles_up:
        return f"sustains {plan.arrivals.most_shown:.10g} requests/s"
    if demand.has_targets and plan.in_time < min(chosen.in_time, plan.planned):
        return f"takes {plan.in_time:,} of {plan.planned:,} users in time"
    if plan.users < min(chosen.users, plan.planned):
        return f"holds {plan.users:,} of {plan.planned:,} users"
    if plan.excess > 1 >= chosen.excess:
        return f"misses {demand.latency}"
    if plan.layout.gpus > chosen.layout.gpus and demand.aim == "fewest_gpus":
        return ""
    return _worst(_losses(case, plan))


@dataclass(frozen=True, slots=True)
class Loss:
    """A figure in which a layout is worse, and how many times worse."""

    times: float
    words: str


def _worst(losses: Sequence[Loss]) -> str:
    """The first loss, and the one that is worse by the most times where that is told apart; empty where there is none.

    100 % slower and 50 % fewer both are twice.
    """
    if not losses:
        return ""
    first, largest = losses[0], max(losses, key=lambda loss: loss.times)
    return f"{first.words}, {largest.words}" if largest.times > RESOLUTION * first.times else first.words


def _losses(case: Case, plan: Plan) -> list[Loss]:
    """The figures in which a runner-up is worse, those of the aim first; its row shows all of them."""
    chosen = case.chosen
    if plan.service is None or chosen.service is None:
        return []
    speed = _fewer("tokens/s" + (" a GPU" if case.is_per_gpu else ""), case.worth(plan), case.worth(chosen))
    each, best = plan.tpot_s, chosen.tpot_s
    token = _slower("a token", each, best) if each is not None and best is not None else []
    first = _slower("to the first token", plan.service.ttft_s, chosen.service.ttft_s)
    return [*speed, *first, *token] if case.demand.aim == "throughput" else [*token, *first, *speed]


def _slower(what: str, time: float, best: float) -> list[Loss]:
    """`12 % slower a token`, of the chosen layout's time `best`; none below `TOLD_APART`."""
    share = time / best - 1
    return [Loss(time / best, f"{_percent(share)} slower {what}")] if share >= TOLD_APART else []


def _fewer(what: str, rate: float, best: float) -> list[Loss]:
    """`12 % fewer tokens/s`, of the chosen layout's rate `best`; none below `TOLD_APART`."""
    share = 1 - rate / best if best else 0
    return [Loss(best / rate if rate else inf, f"{_percent(share)} fewer {what}")] if share >= TOLD_APART else []


def _percent(share: float) -> str:
    """`12 %`."""
    return f"{share:.0%}".replace("%", " %")
