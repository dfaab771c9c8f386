"""The one-call answer as a diagram: a line or two for each section."""

from collections.abc import Iterable, Iterator

from inferplan.catalog.asked_models import shown_id
from inferplan.core.units import MILLI
from inferplan.tools import _draw as draw
from inferplan.tools import _words as words
from inferplan.tools.moe import Pair
from inferplan.tools.money.rates import LABELS, OptionName
from inferplan.tools.money.rows import CostOption
from inferplan.tools.parallelism import ParallelismAnswer
from inferplan.tools.sizing.need import Need
from inferplan.tools.verdict.sections import Case

LABEL = 9
BAR = 40
PARTS = "W weights, k KV cache, o overhead"
"""The legend of the memory bar."""


def draw_preset(case: Case) -> str:
    """The diagram: memory, layout, users, latency, bills and experts, each to its own scale."""
    plan = case.plan
    held = [_unknown()]
    if not case.on.not_modelled:
        held = [_layout(plan), _users(case.need.users, plan), *_latencies(case)]
    blocks = [_memory(case.need), " " * (LABEL + 1) + PARTS, *held, *_bills(case), *_experts(case.moe)]
    return "\n".join([*_title(case), "", *(line.rstrip()[: draw.WIDTH] for line in blocks)])


def _title(case: Case) -> list[str]:
    """Model, format, load and GPU, wrapped."""
    on, need = case.on, case.need
    load = f"{words.count(need.users, 'user')} x {words.count(need.context, 'token')}"
    parts = [words.title(on.model), on.precision.title, load, on.gpu.title]
    return draw.wrap_items(parts, draw.WIDTH, separator=", ")


def _line(label: str, picture: str, note: str) -> str:
    """`label |picture| note`."""
    return f"{label:<{LABEL}}|{picture}| {note}"


def _memory(need: Need) -> str:
    """The memory bar, in the three parts of `PARTS`."""
    parts = (("W", need.weights), ("k", need.kv_cache), ("o", need.overhead))
    picture = "".join(mark * round(size / need.total * BAR) for mark, size in parts)[:BAR].ljust(BAR, "o")
    return _line("memory", picture, words.gb(need.total))


def _unknown() -> str:
    """The line in place of layout and users where no deployment is known."""
    return f"{'layout':<{LABEL}} not known: see above"


def _layout(plan: ParallelismAnswer) -> str:
    """The replicas in brackets, with a mark for each GPU; `>` between stages, spaces between attention groups."""
    if not plan.fits:
        why = f": a replica takes {plan.gpus_per_replica} GPUs" if plan.gpus_per_replica else " on any number of GPUs"
        return f"{'layout':<{LABEL}} does not fit{why}"
    copies, stage = plan.gpus_used // plan.gpus_per_replica, "#" * plan.tp if plan.tp <= 8 else f"#x{plan.tp}"
    group, groups = f"{'>'.join([stage] * min(plan.pp, 3))}{'>..' if plan.pp > 3 else ''}", plan.dp // copies
    replica = f"[{' '.join([group] * groups)}]"
    if len(replica) > BAR - 4 and groups > 1:
        replica = f"[{group} x{groups}]"
    shown = min(copies, max(1, (BAR - 4) // len(replica)))
    more = f" +{copies - shown}" if copies > shown else ""
    named = (("TP", plan.tp), ("PP", plan.pp), ("DP", plan.dp), ("EP", plan.ep))
    size = ", ".join([words.count(plan.gpus_used, "GPU"), *([degrees] if (degrees := _joined(named)) else [])])
    room = min(BAR, draw.WIDTH - LABEL - len(size) - 3)
    return f"{'layout':<{LABEL}} {(replica * shown + more).ljust(room)}  {size}"


def _joined(named: Iterable[tuple[str, int]]) -> str:
    """`TP8 x PP2`: the degrees above 1."""
    return " x ".join(f"{name}{degree}" for name, degree in named if degree > 1)


def _users(asked: int, plan: ParallelismAnswer) -> str:
    """The users asked for, against those that fit or are in time."""
    full = max(asked, plan.users)
    picture = draw.bar(min(asked, plan.users), full, BAR)
    spare = draw.bar(plan.users, full, BAR, mark=".")
    merged = "".join(a if a != " " else b for a, b in zip(picture, spare, strict=True))
    verb = "in time" if plan.users_by_memory else "fit"
    return _line("users", merged, f"{asked:,} asked, {plan.users:,} {verb}")


def _latencies(case: Case) -> Iterator[str]:
    """For each latency asked for, the share of it that the plan takes."""
    limits, plan = case.latency, case.plan
    for label, limit, taken in (("TTFT", limits.ttft_s, plan.ttft_ms), ("TPOT", limits.tpot_s, plan.tpot_ms)):
        if limit is not None and taken is not None:
            picture = draw.bar(min(taken, limit / MILLI), limit / MILLI, BAR)
            yield _line(label, picture, f"{words.seconds(taken * MILLI)} of {words.seconds(limit)}")


def _bills(case: Case) -> list[str]:
    """A bar for each way to pay, under whose bills they are where not of the GPUs drawn; or that there is no bill."""
    if (costs := case.bill) is None:
        return [f"{'cost':<{LABEL}} no bill: see above"]
    bills = costs.case.monthly
    full = max(bills.values())
    lines = [
        _line(
            LABELS[option.name],
            draw.bar(bills[option.name], full, BAR, mark="$"),
            f"{words.usd(bills[option.name])}/month{_mark(option, costs.case.recommended)}",
        )
        for option in costs.options
    ]
    others = f"{'bill of':<{LABEL}} {words.count(costs.case.fleet.gpus, 'GPU')}"
    return [others, *lines] if case.bill_is_of_others else lines


def _mark(option: CostOption, recommended: OptionName) -> str:
    """` best`; where the cheapest is not the one recommended, which of the two an option is; else empty."""
    if option.name == recommended:
        return " best" if option.best else " recommended"
    return " cheapest" if option.best else ""


def _experts(pair: Pair) -> list[str]:
    """Compute and memory of the two models of the last section, wrapped."""
    dense, moe = shown_id(pair.dense.model), shown_id(pair.moe.model)
    parts = [f"{moe}:", f"{pair.compute_ratio:.2f}x the compute,", f"{pair.memory_ratio:.1f}x the memory of", dense]
    first, *others = draw.wrap_items(parts, draw.WIDTH - LABEL - 1, separator=" ")
    return [f"{'MoE':<{LABEL}} {first}", *(" " * (LABEL + 1) + other for other in others)]
