"""The calls that follow a plan: its bill, or what would serve users whom the plan does not serve."""

from inferplan.core.units import HOURS_PER_DAY, SECONDS_PER_HOUR
from inferplan.tools import _words as words
from inferplan.tools._arguments import ANY, GPUS_AT_MOST, is_any
from inferplan.tools._assumptions import Ledger
from inferplan.tools._comparison_questions import QuantizationQuestion
from inferplan.tools._following import following, in_version
from inferplan.tools._overrides import with_override
from inferplan.tools._planner_question import ParallelismQuestion
from inferplan.tools._tool import NextStep
from inferplan.tools.costs import REQUESTS_PER_USER, CostsQuestion
from inferplan.tools.layouts.plans import Case
from inferplan.tools.money.rates import price_problem
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.sizing.changes import Change


def next_steps(q: ParallelismQuestion, case: Case) -> list[NextStep]:
    """More GPUs or another type where the users are not served; the bill of the plan, where its GPU has a price.

    Where only usual layouts were compared, the search over all for fewer GPUs, which a latency starts, follows too.
    """
    on, same, serves = case.on.gpu.id, q.with_turn(), case.chosen.serves
    steps = _shared_cache(same, case)
    if not serves and not (q.total_gpus is None and is_any(q.gpu)):
        faster = q.total_gpus is None or not case.anywhere_serves
        why = "whether a GPU type is quick enough" if faster else "the GPUs that these users need"
        steps.append(following(same, ParallelismQuestion, why, gpu=ANY if faster else on, total_gpus=None))
    countable = case.chosen.layout.gpus <= GPUS_AT_MOST
    if countable and price_problem(Ledger({}), case.on.gpu, must_own=False) is None:
        a_day, asked = (arrivals.per_day, "") if (arrivals := case.chosen.arrivals) else _usual_requests(case)
        planned = {"total_gpus": case.chosen.layout.gpus, "requests_per_day": a_day}
        planned |= {"gpu": on} if is_any(q.gpu) else {}
        whenever = {} if serves else {"max_ttft_ms": None, "max_tpot_ms": None}
        late = "" if serves or not case.demand.has_targets else ", however long it takes"
        why = f"{'their bill' if serves else 'the bill of the GPUs that fall short'}{asked}{late}"
        steps.append(following(same, CostsQuestion, why, **planned, **whenever))
    if q.total_gpus is None and not case.demand.is_aimed and case.chosen.layout.gpus > 1:
        why = "whether any legal layout serves them on fewer: these are the usual ones"
        steps.append(following(same, ParallelismQuestion, why, objective="fewest_gpus"))
    return steps


def _usual_requests(case: Case) -> tuple[int, str]:
    """Requests of all users a day, at the guide's number for each unless their turns take longer; and the words."""
    plan, users, day = case.chosen, case.demand.users, HOURS_PER_DAY * SECONDS_PER_HOUR
    turn_s = plan.service.answer_s(plan.load.output_tokens) if plan.service else 0
    each = max(1, int(min(REQUESTS_PER_USER, day / turn_s))) if turn_s else REQUESTS_PER_USER
    return each * users, f" at {words.count(each, 'request')} a day for each user" if users > 1 else ""


def _shared_cache(q: ParallelismQuestion, case: Case) -> list[NextStep]:
    """The question with decode context parallelism, where that serves the users, or on fewer GPUs; else none."""
    if (there := case.shared_out) is None:
        return []
    overrides = with_override(q.overrides, SHARED_TOKENS, there.on.engine.context_parallel)
    why = f"{words.count(there.chosen.layout.gpus, 'GPU')}, of which ranks share out a cache"
    return [following(q, ParallelismQuestion, why, gpu=case.on.gpu.id, overrides=overrides)]


def ways_out(q: ParallelismQuestion, case: Case, setting: Change | None) -> list[NextStep]:
    """What holds a model that does not fit: an engine setting, more GPUs, fewer bits; else what the engine does run."""
    if case.on.not_modelled:
        return _elsewhere(q, case.on)
    gpu, needed = case.on.gpu.id, case.on.for_users(q.concurrent_users, q.context_window)
    smaller = following(q, QuantizationQuestion, "formats that need fewer GPUs", gpu=gpu, precision=None)
    if setting:
        why, gpus = "a setting with which it fits", q.total_gpus and max(q.total_gpus, setting.gpus)
        return [following(q.with_turn(), ParallelismQuestion, why, **setting.arguments, total_gpus=gpus), smaller]
    if needed is None:
        return [smaller]
    why = "GPUs that hold it" if q.concurrent_users == 1 else "GPUs that hold these users"
    gpus = needed.layout.gpus if needed.layout.gpus <= GPUS_AT_MOST else None
    if case.demand.is_bounded and case.anywhere_serves:
        why, gpus = "the GPUs that these users need", None
    elif case.demand.has_targets:
        why += case.demand.latency.unmet
    more = following(q.with_turn(), ParallelismQuestion, why, gpu=gpu, total_gpus=gpus)
    return [*_shared_cache(q.with_turn(), case), more, smaller]


def _elsewhere(q: ParallelismQuestion, on: Serving) -> list[NextStep]:
    """What the engine runs instead: another format, GPU or version; or the memory of the model's formats."""
    if on.needs_fp32:
        why = "the format that it runs in"
        return [following(q.with_turn(), ParallelismQuestion, why, gpu=on.gpu.id, precision="fp32")]
    if on.lacks_kernels:
        why = "GPU types that run it"
        return [] if is_any(q.gpu) else [following(q.with_turn(), ParallelismQuestion, why, gpu=ANY, total_gpus=None)]
    if on.obstacle:
        return [in_version(q.with_turn(), ParallelismQuestion, on.other_version)] if on.other_version else []
    return [following(q, QuantizationQuestion, "the memory of its formats", gpu=on.gpu.id, precision=None)]
