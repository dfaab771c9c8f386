"""How should the model be laid out on these GPUs, or on how few, and how fast is it then?"""

from collections.abc import Iterator, Mapping
from math import inf
from operator import not_
from typing import ClassVar

from pydantic import Field, model_validator

from inferplan.core.parallelism import Layout, Strategy
from inferplan.core.units import HOURS_PER_DAY, SECONDS_PER_HOUR
from inferplan.tools import _words as words
from inferplan.tools._arguments import (
    ANY,
    GPUS_AT_MOST,
    USUAL_GPU,
    ContextWindow,
    GpuOrAny,
    Gpus,
    InputTokens,
    KvPrecisionName,
    Milliseconds,
    ModelName,
    OutputTokens,
    PrecisionName,
    Users,
    as_released,
    is_any,
    refuse_pace,
    turn,
)
from inferplan.tools._assumptions import Ledger
from inferplan.tools._comparison_questions import QuantizationQuestion
from inferplan.tools._following import following, in_version
from inferplan.tools._models import note_release
from inferplan.tools._overrides import with_override
from inferplan.tools._settings import TAKEN
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, NextStep, Question, Tool, absent
from inferplan.tools.costs import REQUESTS_PER_USER, CostsQuestion
from inferplan.tools.layouts.arriving import Arriving, sized
from inferplan.tools.layouts.assumed import note_load
from inferplan.tools.layouts.demand import Demand, Objective
from inferplan.tools.layouts.draw import draw_layout, draw_shortage
from inferplan.tools.layouts.plans import Case, compare
from inferplan.tools.layouts.rows import (
    Alternative,
    Told,
    alternatives,
    bubble_percent,
    compared,
    stages,
    tokens_per_s,
    told,
    tpot_ms,
    ttft_ms,
)
from inferplan.tools.layouts.search import Search, search
from inferplan.tools.layouts.ways import setting_that_helps
from inferplan.tools.layouts.words import (
    communication,
    fits_with,
    formula,
    shortage,
    summary,
    weights_line,
    why,
    why_not,
)
from inferplan.tools.layouts.words_aims import aim_sentences, why_aimed
from inferplan.tools.layouts.words_search import type_sentences
from inferplan.tools.money.rates import price_problem
from inferplan.tools.serving.adapters import refuse_adapters
from inferplan.tools.serving.latency import Latency
from inferplan.tools.serving.launch import is_beyond_one_command, launch
from inferplan.tools.serving.refusals import refuse, refuse_cache
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import note_node, serving
from inferplan.tools.serving.words_speed import range_ms
from inferplan.tools.sizing.changes import Change


class ParallelismQuestion(Question):
    """A model on a number of GPUs; without `total_gpus`, the fewest that hold the users."""

    tool = "plan_parallelism"
    settings = TAKEN[tool]

    model: ModelName
    precision: PrecisionName = as_released("fp16")
    kv_precision: KvPrecisionName | None = None
    gpu: GpuOrAny = USUAL_GPU
    total_gpus: Gpus | None = None
    concurrent_users: Users = 1
    context_window: ContextWindow = 8192
    input_tokens: InputTokens | None = None
    output_tokens: OutputTokens | None = None
    objective: Objective | None = Field(default=None, description="Aim.")
    max_ttft_ms: Milliseconds | None = None
    max_tpot_ms: Milliseconds | None = None

    @model_validator(mode="after")
    def _fits_into_the_context(self) -> "ParallelismQuestion":
        _, tokens_out = turn(self.context_window, self.input_tokens, self.output_tokens)
        refuse_pace(tokens_out, self.max_tpot_ms)
        return self

    @model_validator(mode="after")
    def _runs(self) -> "ParallelismQuestion":
        on = self.on(USUAL_GPU if is_any(self.gpu) else self.gpu)
        refuse_cache(on, self.kv_precision)
        may_load_elsewhere = is_any(self.gpu) and (on.refusal is None or on.refusal.gpu)
        (refuse_adapters if may_load_elsewhere else refuse)(on)
        return self

    @property
    def demand(self) -> Demand:
        """What the layout is planned for."""
        tokens_in, tokens_out = turn(self.context_window, self.input_tokens, self.output_tokens)
        return Demand(
            users=self.concurrent_users,
            context=self.context_window,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            gpus=self.total_gpus,
            objective=self.objective or ("fewest_gpus" if is_any(self.gpu) and self.total_gpus is None else None),
            latency=Latency.of_ms(self.max_ttft_ms, self.max_tpot_ms),
            ranks_given=SHARED_TOKENS in self.overrides,
        )

    def serving(self, ledger: Ledger, gpu: str | None = None, *, quiet: bool = False) -> Serving:
        """The model on the GPU type asked for, or on another one."""
        return serving(
            ledger,
            model=self.model,
            precision=self.precision,
            gpu=gpu or self.gpu,
            kv_precision=self.kv_precision,
            quiet=quiet,
            context=self.context_window,
        )

    def on(self, gpu: str) -> Serving:
        """The same, with what it assumes listed nowhere."""
        return self.serving(self.ledger(), gpu, quiet=True)

    def planned(self, demand: Demand) -> Case:
        """The layouts for a demand, on the GPU type asked for or on the best of all."""
        return compare(self.on(search(self.on, demand).gpu if is_any(self.gpu) else self.gpu), demand)


class ParallelismAnswer(Answer):
    """A layout, what it holds and how fast it is. Where `fits` is false, the layout is the smallest that would."""

    _gives_way: ClassVar[Mapping[str, int]] = {
        "alternatives": 1,
        "collectives": 0,
        "formula": 1,
        "next_steps": 0,
        "launch": 0,
        "assumptions": 6,
    }
    _room: ClassVar[Room] = Room(pieces=1150, characters=3366)

    gpu: str | None = Field(default=None, exclude_if=absent, description="The type chosen of any.")
    usd_per_hour: float | None = Field(
        default=None, exclude_if=absent, description="Rent on demand, in whole machines, where any type would do."
    )
    fits: bool
    serves_users: bool = Field(description="Whether all users fit at full context, within the latency asked for.")
    min_gpus: int = Field(description="GPUs by weights alone, whatever the layout.")
    gpus_per_replica: int
    tp: int
    pp: int
    dp: int = Field(description="Groups of GPUs that take different requests.")
    ep: int = Field(description="GPUs that share out the experts; 1 where each holds a slice of all.")
    gpus_used: int
    nodes: int
    strategy: Strategy
    stages: list[str] = Field(
        exclude_if=lambda stages: len(stages) == 1, description="Layer range of each pipeline stage, of many the ends."
    )
    communication: str
    collectives: list[Told] = Field(
        exclude_if=not_, description="What a GPU sends in a step; the last figure: over one prompt."
    )
    bubble_percent: float | None = Field(exclude_if=absent, description="Of decode, that stages wait.")
    why: str
    max_concurrent_users: int = Field(description="Users that fit at full context, in time.")
    users_by_memory: int | None = Field(
        default=None, exclude_if=absent, description="Users that fit, where latency allows fewer."
    )
    ttft_ms: float | None
    ttft_range_ms: list[float] | None = Field(description="Half of published runs lie within.")
    ttft_percentiles_ms: list[float] | None = Field(
        default=None, exclude_if=absent, description="P50, P90, P99 at `requests_per_s`."
    )
    max_requests_per_s: float | None = Field(default=None, exclude_if=absent, description="Beyond it requests pile up.")
    tpot_ms: float | None
    tpot_range_ms: list[float] | None
    tokens_per_s: float | None
    tokens_per_s_per_user: float | None
    max_tokens_per_s: float | None = Field(description="Output tokens/s when every session that fits is busy.")
    launch: str | None = Field(exclude_if=absent, description="Command that starts a replica, on its first node.")
    gpus_by_memory: int | None = Field(
        exclude_if=absent, description="The fewest that hold the users, whatever the latency."
    )
    layouts_compared: int | None = Field(exclude_if=absent)
    alternatives: list[Alternative]

    @property
    def users_held(self) -> int:
        """Users that fit at full context, whatever their latency."""
        return self.users_by_memory or self.max_concurrent_users


def plan_parallelism(q: ParallelismQuestion) -> ParallelismAnswer:
    """Choose tensor, pipeline and data parallel degrees, draw them, and estimate latency and throughput."""
    ledger = q.ledger()
    note_release(ledger, q.model, q.precision)
    rate = ledger.take("requests_per_s") if ledger.given("requests_per_s") else None
    demand, planned = sized(q.demand, rate, q.planned) if rate else (q.demand, None)
    if demand.rate:
        why = "the most at once" if demand.is_capped else "kept busy by these requests: rate x time of an answer"
        ledger.note("planned_users", f"{demand.users:,}", why=why)
    found = search(q.on, demand) if is_any(q.gpu) else None
    on = q.serving(ledger, found and found.gpu)
    case = planned or compare(on, demand)
    if found:
        types = f"{found.serving} of {found.searched} serve"
        left = f"; {found.refused} that {case.on.engine_name} cannot use" if found.refused else ""
        ledger.note("gpu_types", types, why=f"datacenter types, none only announced{left}")
    if not case.plans:
        note_node(ledger, case.on, case.needed.replica if case.needed else inf)
        return _does_not_fit(q, case, ledger, found)
    note_load(case, ledger)
    arriving = Arriving.at(case, rate) if rate else None
    if arriving and arriving.found and case.chosen.layout.dp > 1:
        ledger.note("balancer", "idlest replica first", why="else some wait behind others")
    return _fits(q, case, ledger, found, arriving)


def _fits(
    q: ParallelismQuestion, case: Case, ledger: Ledger, found: Search | None, arriving: Arriving | None
) -> ParallelismAnswer:
    """The answer for a model that the GPUs hold."""
    on, chosen, layout, service = case.on, case.chosen, case.chosen.layout, case.chosen.service
    return ParallelismAnswer(
        summary=" ".join(_said(case, found, arriving)),
        diagram=draw_layout(on, chosen.deployment, total=q.total_gpus or layout.gpus),
        gpu=on.gpu.id if found else None,
        usd_per_hour=found.offers[0].usd_per_hour if found else None,
        fits=True,
        serves_users=case.serves(chosen),
        min_gpus=on.gpus_by_weights,
        gpus_per_replica=layout.replica,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.data,
        ep=layout.ep,
        gpus_used=layout.gpus,
        nodes=chosen.deployment.nodes,
        strategy=layout.strategy,
        stages=stages(on, layout),
        communication=communication(chosen),
        collectives=list(told(chosen)),
        bubble_percent=bubble_percent(chosen),
        why=why_aimed(case) if case.demand.is_aimed else why(case),
        max_concurrent_users=chosen.in_time,
        users_by_memory=chosen.users if chosen.in_time < chosen.users else None,
        ttft_ms=ttft_ms(chosen),
        ttft_range_ms=range_ms(service.ttft_s, on.band("ttft")) if service else None,
        ttft_percentiles_ms=arriving.percentiles_ms if arriving else None,
        max_requests_per_s=arriving.most_shown if arriving else None,
        tpot_ms=tpot_ms(chosen),
        tpot_range_ms=None if chosen.tpot_s is None else range_ms(chosen.tpot_s, on.band("tpot")),
        tokens_per_s=tokens_per_s(chosen),
        tokens_per_s_per_user=None if chosen.tpot_s is None else round(1 / chosen.tpot_s, 1),
        max_tokens_per_s=None if chosen.most_tokens_per_s is None else round(chosen.most_tokens_per_s, 1),
        launch=_launch(q, case, ledger),
        gpus_by_memory=case.by_memory,
        layouts_compared=compared(case),
        alternatives=alternatives(case, found),
        formula=list(formula(case)),
        assumptions=ledger.entries(),
        inputs=_with_turn(q).inputs(),
        next_steps=_next(q, case, arriving),
    )


def _said(case: Case, found: Search | None, arriving: Arriving | None) -> Iterator[str]:
    """The sentences of the summary."""
    yield from summary(case)
    yield from aim_sentences(case)
    if found:
        yield from type_sentences(found)
    if arriving:
        yield from arriving.sentences()


def _does_not_fit(q: ParallelismQuestion, case: Case, ledger: Ledger, found: Search | None) -> ParallelismAnswer:
    """The answer for a model that the GPUs do not hold: what is missing, and what would hold it."""
    on, needed, setting = case.on, case.needed, None if is_any(q.gpu) else setting_that_helps(case, q.overrides)
    layout = needed or Layout()
    deployment = on.deployment(layout, q.context_window)
    types = type_sentences(found) if found and not on.not_modelled else ()
    return ParallelismAnswer(
        summary=" ".join([*shortage(case), *([fits_with(setting)] if setting else []), *types]),
        diagram=draw_shortage(on, deployment if needed else None, total=q.total_gpus or 0),
        fits=False,
        serves_users=False,
        min_gpus=on.gpus_by_weights,
        gpus_per_replica=layout.replica if needed else 0,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.data,
        ep=layout.ep,
        gpus_used=0,
        nodes=deployment.nodes if needed else 0,
        strategy=layout.strategy,
        stages=stages(on, layout),
        communication="none",
        collectives=[],
        bubble_percent=None,
        why=why_not(case),
        max_concurrent_users=0,
        ttft_ms=None,
        ttft_range_ms=None,
        tpot_ms=None,
        tpot_range_ms=None,
        tokens_per_s=None,
        tokens_per_s_per_user=None,
        max_tokens_per_s=None,
        launch=None,
        gpus_by_memory=None,
        layouts_compared=None,
        alternatives=[],
        formula=[weights_line(case)],
        assumptions=ledger.entries(),
        inputs=_with_turn(q).inputs(),
        next_steps=_ways_out(q, case, setting),
    )


def _launch(q: ParallelismQuestion, case: Case, ledger: Ledger) -> str | None:
    """What starts one replica; none where groups that share experts reach over servers, which takes more than that."""
    plan = case.chosen
    if is_beyond_one_command(case.on, plan.layout):
        return None
    load = {"context": q.context_window, "users": min(case.demand.users, max(1, plan.in_time))}
    return launch(case.on, plan.layout, **load, ledger=ledger, kv_precision=q.kv_precision)


def _with_turn(q: ParallelismQuestion) -> ParallelismQuestion:
    """The same question with the turn filled in."""
    tokens_in, tokens_out = turn(q.context_window, q.input_tokens, q.output_tokens)
    return q.model_copy(update={"input_tokens": tokens_in, "output_tokens": tokens_out})


def _next(q: ParallelismQuestion, case: Case, arriving: Arriving | None) -> list[NextStep]:
    """More GPUs where those given do not serve the users; the bill of what was planned, where it has a price."""
    on, same, serves = case.on.gpu.id, _with_turn(q), case.serves(case.chosen)
    steps = _shared_cache(same, case)
    if not serves and not (q.total_gpus is None and is_any(q.gpu)):
        faster = q.total_gpus is None or _no_number_helps(case)
        why = "whether a GPU type is quick enough" if faster else "the GPUs that these users need"
        steps.append(following(same, ParallelismQuestion, why, gpu=ANY if faster else on, total_gpus=None))
    countable = case.chosen.layout.gpus <= GPUS_AT_MOST
    if countable and price_problem(Ledger({}), case.on.gpu, must_own=False) is None:
        a_day, asked = (arriving.per_day, "") if arriving else _usual_requests(case)
        planned = {"gpu": on, "total_gpus": case.chosen.layout.gpus, "requests_per_day": a_day}
        whenever = {} if serves else {"max_ttft_ms": None, "max_tpot_ms": None}
        late = "" if serves or not case.demand.has_targets else ", however long it takes"
        why = f"their bill{asked}{late}"
        steps.append(following(same, CostsQuestion, why, **planned, **whenever))
    return steps


def _usual_requests(case: Case) -> tuple[int, str]:
    """Requests a day of all users, and what each of several makes: the guide's, or as many as a day has time for."""
    plan, users, day = case.chosen, case.demand.users, HOURS_PER_DAY * SECONDS_PER_HOUR
    turn_s = plan.service.ttft_s + (plan.load.output_tokens - 1) * plan.service.tpot_s if plan.service else 0
    each = max(1, int(min(REQUESTS_PER_USER, day / turn_s))) if turn_s else REQUESTS_PER_USER
    return each * users, f" at {words.count(each, 'request')} a day for each user" if users > 1 else ""


def _shared_cache(q: ParallelismQuestion, case: Case) -> list[NextStep]:
    """The same with a cache that ranks share out, where that serves the users, or on fewer GPUs."""
    if (there := case.shared_out) is None:
        return []
    overrides = with_override(q.overrides, SHARED_TOKENS, there.on.engine.context_parallel)
    why = f"{words.count(there.chosen.layout.gpus, 'GPU')}, of which ranks share out a cache"
    return [following(q, ParallelismQuestion, why, gpu=case.on.gpu.id, overrides=overrides)]


def _no_number_helps(case: Case) -> bool:
    """Whether nobody is served in time on any layout, though the GPUs make the widest group that is legal."""
    return not any(plan.in_time for plan in case.plans) and max(case.on.degrees, default=1) <= (case.demand.gpus or 0)


def _ways_out(q: ParallelismQuestion, case: Case, setting: Change | None) -> list[NextStep]:
    """A setting of the engine, more GPUs, or fewer bits; where no number of GPUs helps, what the engine does run."""
    if case.on.not_modelled:
        return _elsewhere(q, case.on)
    gpu, needed = case.on.gpu.id, case.on.for_users(q.concurrent_users, q.context_window)
    smaller = following(q, QuantizationQuestion, "formats that need fewer GPUs", gpu=gpu, precision=None)
    if setting:
        why, gpus = "a setting with which it fits", q.total_gpus and max(q.total_gpus, setting.gpus)
        return [following(_with_turn(q), ParallelismQuestion, why, **setting.arguments, total_gpus=gpus), smaller]
    if needed is None:
        return [smaller]
    why = "GPUs that hold it" if q.concurrent_users == 1 else "GPUs that hold these users"
    gpus = needed.layout.gpus if needed.layout.gpus <= GPUS_AT_MOST else None
    more = following(_with_turn(q), ParallelismQuestion, why, gpu=gpu, total_gpus=gpus)
    return [*_shared_cache(_with_turn(q), case), more, smaller]


def _elsewhere(q: ParallelismQuestion, on: Serving) -> list[NextStep]:
    """What the engine runs instead: another format or GPU; the memory of all formats where its cache is not known."""
    if on.overflows:
        why = "the format that it runs in"
        return [following(_with_turn(q), ParallelismQuestion, why, gpu=on.gpu.id, precision="fp32")]
    if on.lacks_kernels:
        why = "GPU types that run it"
        return [] if is_any(q.gpu) else [following(_with_turn(q), ParallelismQuestion, why, gpu=ANY, total_gpus=None)]
    if on.kept_off:
        return [in_version(_with_turn(q), ParallelismQuestion, on.other_version)] if on.other_version else []
    return [following(q, QuantizationQuestion, "the memory of its formats", gpu=on.gpu.id, precision=None)]


TOOL = Tool(
    title="Plan the parallel layout",
    description=(
        "Layout (TP, PP, DP, EP) of an LLM on given GPUs or the fewest that serve the users, with latency and "
        "throughput: 'how many GPUs', 'how fast'. For memory estimate_vram, for money compare_costs."
    ),
    question=ParallelismQuestion,
    answer=ParallelismAnswer,
    run=plan_parallelism,
    example={"model": "405B", "precision": "fp16", "total_gpus": 32},
)
