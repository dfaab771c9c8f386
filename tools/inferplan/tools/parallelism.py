"""How should the model be laid out on these GPUs, or on how few, and how fast is it then?"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferplan.core import memory, parallelism
from inferplan.core.parallelism import Layout, Strategy
from inferplan.core.performance import ACTIVATION_BYTES, Load, Service
from inferplan.core.units import GB, GIB, KB
from inferplan.tools import _words as words
from inferplan.tools._arguments import (
    ContextWindow,
    GpuName,
    Gpus,
    InputTokens,
    KvPrecisionName,
    ModelName,
    OutputTokens,
    PrecisionName,
    Users,
    turn,
)
from inferplan.tools._assumptions import Ledger
from inferplan.tools._draw_layout import draw_layout, draw_shortage
from inferplan.tools._serving import SETTINGS, Deployment, Serving, note_roofline, serving
from inferplan.tools._tool import Answer, NextStep, Question, Tool

ALTERNATIVES = 4
"""Runners-up that an answer shows."""


class ParallelismQuestion(Question):
    """A model on a number of GPUs; without `total_gpus`, the fewest that hold the users."""

    settings = SETTINGS

    model: ModelName
    precision: PrecisionName = "fp16"
    kv_precision: KvPrecisionName | None = None
    gpu: GpuName = "h100-sxm"
    total_gpus: Gpus | None = None
    concurrent_users: Users = 1
    context_window: ContextWindow = 8192
    input_tokens: InputTokens | None = None
    output_tokens: OutputTokens | None = None

    @model_validator(mode="after")
    def _fits_into_the_context(self) -> "ParallelismQuestion":
        self.turn()
        return self

    def turn(self) -> tuple[int, int]:
        """Tokens in and out of one request."""
        return turn(self.context_window, self.input_tokens, self.output_tokens)


class Alternative(BaseModel):
    """Another legal layout of the same GPUs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tp: int
    pp: int
    dp: int
    gpus_used: int
    max_concurrent_users: int
    tpot_ms: float | None
    tokens_per_s: float | None


class ParallelismAnswer(Answer):
    """A layout, what it holds and how fast it is. Where `fits` is false, the layout is the smallest that would."""

    fits: bool
    serves_users: bool = Field(description="Whether all users fit at full context.")
    min_gpus: int = Field(description="GPUs by weights alone, whatever the layout.")
    gpus_per_replica: int
    tp: int
    pp: int
    dp: int
    ep: int
    gpus_used: int
    nodes: int
    strategy: Strategy
    stages: list[str] = Field(description="Layer range of each pipeline stage.")
    communication: str
    why: str
    max_concurrent_users: int
    ttft_ms: float | None
    tpot_ms: float | None
    tokens_per_s: float | None
    tokens_per_s_per_user: float | None
    max_tokens_per_s: float | None = Field(description="Output tokens/s when every session that fits is busy.")
    alternatives: list[Alternative]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A layout with what it holds and delivers under the load asked for."""

    deployment: Deployment
    service: Service | None
    running: int
    sequences: int
    full: Service | None

    @property
    def layout(self) -> Layout:
        """The degrees."""
        return self.deployment.layout

    @property
    def tokens_per_s(self) -> float | None:
        """Output tokens of all running sessions, each as fast as on the busiest replica. [tokens/s]"""
        return self.running * self.service.tokens_per_s / self.sequences if self.service else None


def plan_parallelism(q: ParallelismQuestion) -> ParallelismAnswer:
    """Choose tensor, pipeline and data parallel degrees, draw them, and estimate latency and throughput."""
    ledger = q.ledger()
    on = serving(ledger, model=q.model, precision=q.precision, gpu=q.gpu, kv_precision=q.kv_precision)
    total, replicas = _replicas(q, on)
    plans = [_plan(q, on, replica, total) for replica in replicas]
    if not plans:
        return _does_not_fit(q, on, ledger)
    chosen = _choose(plans, q.concurrent_users)
    _note_load(q, ledger)
    return _fits(q, on, ledger, chosen=chosen, plans=plans)


def _choose(plans: list[Plan], users: int) -> Plan:
    """By the guide's rules where no load is asked for; else the fastest that holds the users, or the roomiest."""
    if users == 1:
        return plans[0]
    holding = [plan for plan in plans if plan.deployment.users >= users]
    if holding:
        return max(holding, key=lambda plan: plan.tokens_per_s or 0)
    return max(plans, key=lambda plan: plan.deployment.users)


def _replicas(q: ParallelismQuestion, on: Serving) -> tuple[int, list[Layout]]:
    """The GPUs to lay out, and the replica layouts to compare on them: by the guide's rules first.

    Without `total_gpus` it is the fewest GPUs whose replicas hold the users; 0 where nothing holds even one.
    """
    fewest = on.for_users(q.concurrent_users, q.context_window)
    total = q.total_gpus or (fewest.layout.gpus if fewest else 0)
    first = on.smallest(q.context_window, total)
    if first is None:
        return total, []
    layers = on.model.architecture.layers
    degrees = parallelism.tensor_degrees(on.model.architecture, node_size=on.node_size)
    staged = [Layout(tp=degrees[-1], pp=pp) for pp in (2, 4, 8) if pp <= layers]
    holding = [replace(fewest.layout, dp=1)] if fewest else []
    offered = dict.fromkeys([first, *map(Layout.tensor, degrees), *holding, *staged])
    return total, [one for one in offered if one.replica <= total and on.capacity(one, q.context_window).fits]


def _plan(q: ParallelismQuestion, on: Serving, replica: Layout, total: int) -> Plan:
    """As many replicas as the GPUs allow, and the service under the users asked for."""
    layout = Layout(tp=replica.tp, pp=replica.pp, dp=total // replica.replica)
    deployment = on.deployment(layout, q.context_window)
    sequences = min(ceil(q.concurrent_users / layout.dp), deployment.capacity.sessions)
    tokens_in, tokens_out = q.turn()
    load = Load(sequences=sequences, context=q.context_window, input_tokens=tokens_in, output_tokens=tokens_out)
    full = replace(load, sequences=deployment.capacity.sessions)
    return Plan(
        deployment=deployment,
        service=on.service(layout, load),
        running=min(q.concurrent_users, deployment.users),
        sequences=sequences,
        full=on.service(layout, full),
    )


def _fits(q: ParallelismQuestion, on: Serving, ledger: Ledger, *, chosen: Plan, plans: list[Plan]) -> ParallelismAnswer:
    """The answer for a model that the GPUs hold."""
    layout, service, deployment = chosen.layout, chosen.service, chosen.deployment
    others = [_alternative(plan) for plan in plans if plan is not chosen][:ALTERNATIVES]
    return ParallelismAnswer(
        summary=" ".join(_summary(q, on, chosen)),
        diagram=draw_layout(on, deployment, total=q.total_gpus or layout.gpus),
        fits=True,
        serves_users=deployment.users >= q.concurrent_users,
        min_gpus=_by_weights(on),
        gpus_per_replica=layout.replica,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ep=1,
        gpus_used=layout.gpus,
        nodes=deployment.nodes,
        strategy=layout.strategy,
        stages=_stages(on, layout),
        communication=_communication(on, layout),
        why=_why(q, on, chosen, plans),
        max_concurrent_users=deployment.users,
        ttft_ms=round(service.ttft_s * 1000, 1) if service else None,
        tpot_ms=round(service.tpot_s * 1000, 2) if service else None,
        tokens_per_s=_rounded(chosen.tokens_per_s),
        tokens_per_s_per_user=round(1 / service.tpot_s, 1) if service else None,
        max_tokens_per_s=round(layout.dp * chosen.full.tokens_per_s, 1) if chosen.full else None,
        alternatives=others,
        formula=_formula(q, on, chosen),
        assumptions=ledger.entries(),
        inputs=_inputs(q),
        next_steps=_next(q, layout.gpus),
    )


def _does_not_fit(q: ParallelismQuestion, on: Serving, ledger: Ledger) -> ParallelismAnswer:
    """The answer for a model that the GPUs do not hold: what is missing, and what would hold it."""
    needed = on.smallest(q.context_window)
    total = q.total_gpus or 0
    layout = needed or Layout()
    deployment = on.deployment(layout, q.context_window)
    return ParallelismAnswer(
        summary=" ".join(_shortage(q, on, needed)),
        diagram=draw_shortage(on, deployment if needed else None, total=total),
        fits=False,
        serves_users=False,
        min_gpus=_by_weights(on),
        gpus_per_replica=layout.replica if needed else 0,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ep=1,
        gpus_used=0,
        nodes=deployment.nodes if needed else 0,
        strategy=layout.strategy,
        stages=_stages(on, layout),
        communication=_communication(on, layout) if needed else "none",
        why=_why_not(q, on, needed),
        max_concurrent_users=0,
        ttft_ms=None,
        tpot_ms=None,
        tokens_per_s=None,
        tokens_per_s_per_user=None,
        max_tokens_per_s=None,
        alternatives=[],
        formula=_need_lines(on),
        assumptions=ledger.entries(),
        inputs=_inputs(q),
        next_steps=_ways_out(q, needed),
    )


def _by_weights(on: Serving) -> int:
    """GPUs whose memory together is at least the weights: the guide's minimum. [GPUs]"""
    return memory.devices_for(memory.weights(on.model, on.precision).total, on.gpu.memory)


def _rounded(value: float | None) -> float | None:
    """Throughput to a tenth of a token."""
    return None if value is None else round(value, 1)


def _alternative(plan: Plan) -> Alternative:
    """A runner-up in numbers."""
    layout = plan.layout
    return Alternative(
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        gpus_used=layout.gpus,
        max_concurrent_users=plan.deployment.users,
        tpot_ms=round(plan.service.tpot_s * 1000, 2) if plan.service else None,
        tokens_per_s=_rounded(plan.tokens_per_s),
    )


def _stages(on: Serving, layout: Layout) -> list[str]:
    """`1-63`, `64-126`."""
    return [f"{first}-{last}" for first, last in parallelism.stage_ranges(on.model.architecture.layers, layout.pp)]


def _communication(on: Serving, layout: Layout) -> str:
    """Who sends what to whom, over which link, and how many bytes a token makes of it."""
    fabric, architecture = on.fabric(layout), on.model.architecture
    payload = architecture.hidden * ACTIVATION_BYTES
    parts: list[str] = []
    if layout.tp > 1:
        parts.append(
            f"tensor: {2 * architecture.layers} all-reduces of {payload / KB:.1f} kB a token, {fabric.tensor_link} "
            f"({fabric.tensor_bandwidth / GB:.0f} GB/s)"
        )
    if layout.pp > 1:
        parts.append(
            f"pipeline: {payload / KB:.1f} kB a token between stages, {fabric.stage_link} "
            f"({fabric.stage_bandwidth / GB:.0f} GB/s)"
        )
    if layout.dp > 1:
        parts.append("data: none")
    return "; ".join(parts) or "none: one GPU holds everything"


def _note_load(q: ParallelismQuestion, ledger: Ledger) -> None:
    """What the latency figures take for granted."""
    tokens_in, tokens_out = q.turn()
    ledger.note(
        "request",
        f"{tokens_in} in, {tokens_out} out",
        unit="tokens",
        why="a user's turn; sessions are full, earlier turns cached",
    )
    note_roofline(ledger)


def _why(q: ParallelismQuestion, on: Serving, chosen: Plan, plans: list[Plan]) -> str:
    """The rule that applied, and what the load changed."""
    layout = chosen.layout
    idle = (q.total_gpus or layout.gpus) - layout.gpus
    left = f" {words.count(idle, 'GPU')} left over: too few for another replica." if idle else ""
    return (_rule(on, layout) if chosen is plans[0] else _trade(q, chosen, plans[0])) + left


def _trade(q: ParallelismQuestion, chosen: Plan, first: Plan) -> str:
    """What the load gains by another layout than the guide's rules give."""
    small, taken = first.layout, chosen.layout
    held = f"{first.deployment.users:,}" if first.deployment.users < q.concurrent_users else "the users"
    speed = ""
    if first.tokens_per_s and chosen.tokens_per_s:
        speed = f" at {first.tokens_per_s:,.0f} tokens/s; this one gives {chosen.tokens_per_s:,.0f}"
    return (
        f"The smallest replica ({words.layout(small.tp, small.pp, small.dp)}) would hold {held}{speed}: "
        f"{words.layout(taken.tp, taken.pp, taken.dp)} keeps fewer copies of the weights, so "
        f"{words.count(chosen.deployment.users, 'user')} fit."
    )


def _rule(on: Serving, layout: Layout) -> str:
    """The guide's rule for this layout, in one sentence."""
    if layout.pp > 1 and layout.tp == 1:
        text = (
            f"One GPU does not hold the model and no wider tensor group is legal or fits these GPUs, so its "
            f"{on.model.architecture.layers} layers are spread over {layout.pp} stages"
        )
    elif layout.pp > 1:
        text = (
            f"The model needs more than {layout.tp} GPUs, so each layer is split over {layout.tp} and the "
            f"{on.model.architecture.layers} layers over {layout.pp} stages"
        )
    elif layout.tp > 1:
        text = (
            f"The model needs more than one GPU; {layout.tp} is the smallest legal tensor-parallel degree whose "
            f"shards leave room for the KV cache"
        )
    else:
        text = "The model fits on one GPU"
    copies = f"; the other GPUs hold {words.count(layout.dp - 1, 'more replica')}" if layout.dp > 1 else ""
    return f"{text}{copies}."


def _why_not(q: ParallelismQuestion, on: Serving, needed: Layout | None) -> str:
    """Why the GPUs are too few, by weights or by layout."""
    weights = memory.weights(on.model, on.precision).total
    total = q.total_gpus or 0
    if needed is None:
        return f"No legal layout of {on.gpu.title} holds the model and one session of {q.context_window:,} tokens."
    if total * on.gpu.memory < weights:
        have = f"{words.count(total, 'GPU')} {'has' if total == 1 else 'have'} {words.gb(total * on.gpu.memory)}"
        return f"The weights alone take {words.gb(weights)}; {have}."
    return (
        f"The weights would fit, but no legal layout of {words.count(total, 'GPU')} leaves the engine room for one "
        f"session of {q.context_window:,} tokens."
    )


def _need_lines(on: Serving) -> list[str]:
    """Weights against device memory."""
    weights, device = memory.weights(on.model, on.precision).total, on.gpu.memory
    return [
        f"by weights  {weights / GB:,.1f} GB / {device / GB:.2f} GB a GPU -> {words.count(_by_weights(on), 'GPU')}",
    ]


def _formula(q: ParallelismQuestion, on: Serving, plan: Plan) -> list[str]:
    """Memory of the busiest GPU, sessions, and where a decode step's time goes."""
    held, layout = plan.deployment.capacity, plan.layout
    rank = held.memory
    lines = [
        *_need_lines(on),
        (
            f"KV pool     {on.engine.memory_utilization:g} x {rank.total / GIB:.2f} - weights {rank.weights / GIB:.2f}"
            f" - activations {rank.activation / GIB:.2f} - libraries {rank.non_torch / GIB:.2f}"
            f" - graphs {rank.graphs / GIB:.2f} = {rank.pool / GIB:.2f} GiB a GPU"
        ),
        (
            f"users       {held.tokens:,} tokens / {q.context_window:,} = {held.sessions:,} a replica"
            f" x {layout.dp} = {plan.deployment.users:,}"
        ),
    ]
    if plan.service:
        step, tpot = plan.service.decode, plan.service.tpot_s
        lines.append(
            f"TPOT        weights {step.weights_s * 1000:.2f} + KV {step.kv_cache_s * 1000:.2f}"
            f" + compute {step.compute_s * 1000:.2f} + links {step.collectives_s * 1000:.2f}"
            f" + fixed {step.fixed_s * 1000:.2f} + new prompts {(tpot - step.total_s) * 1000:.2f}"
            f" = {tpot * 1000:.1f} ms"
        )
    return lines


def _summary(q: ParallelismQuestion, on: Serving, plan: Plan) -> Iterable[str]:
    """The paragraph to paste into a design document."""
    layout, users = plan.layout, plan.deployment.users
    name = f"A {on.model.id}-class model" if on.model.is_size_class else on.model.title
    yield (
        f"{name} in {on.precision.title} on {words.devices(layout.gpus, on.gpu.title)}: "
        f"{words.layout(layout.tp, layout.pp, layout.dp)}, "
        f"{words.count(layout.dp, 'replica')} of {words.count(layout.replica, 'GPU')} on "
        f"{words.count(plan.deployment.nodes, 'node')}."
    )
    verdict = "holds" if users >= q.concurrent_users else "does not hold"
    yield (
        f"Under {on.engine_name} it takes {words.count(users, 'user')} at {q.context_window:,} tokens, so it "
        f"{verdict} the {words.count(q.concurrent_users, 'user')} asked for."
    )
    if plan.service:
        tokens_in, tokens_out = q.turn()
        served = "that load" if users >= q.concurrent_users else "the users it holds"
        yield (
            f"At {served} (turns of {tokens_in:,} tokens in and {tokens_out:,} out), a first token takes about "
            f"{words.seconds(plan.service.ttft_s)} and each further one about {words.seconds(plan.service.tpot_s)}; "
            f"all users together get about {words.significant(plan.tokens_per_s or 0)} tokens/s (a roofline estimate)."
        )
    else:
        yield f"No latency is given: the arithmetic peak of {on.gpu.title} is not known."


def _shortage(q: ParallelismQuestion, on: Serving, needed: Layout | None) -> Iterable[str]:
    """The paragraph for too few GPUs."""
    name = f"A {on.model.id}-class model" if on.model.is_size_class else on.model.title
    have = words.devices(q.total_gpus, on.gpu.title) if q.total_gpus else f"any number of {on.gpu.title}"
    yield f"{name} in {on.precision.title} does not fit on {have}. {_why_not(q, on, needed)}"
    if needed:
        nodes = words.count(ceil(needed.replica / on.node_size), "node")
        yield (
            f"The smallest legal layout is {words.layout(needed.tp, needed.pp, 1)}: "
            f"{words.count(needed.replica, 'GPU')} on {nodes}. Fewer bits per weight would also help."
        )


def _inputs(q: ParallelismQuestion) -> dict[str, str | int | float | bool]:
    """The arguments with the turn filled in."""
    tokens_in, tokens_out = q.turn()
    return q.inputs(input_tokens=tokens_in, output_tokens=tokens_out)


def _next(q: ParallelismQuestion, gpus: int) -> list[NextStep]:
    """The bill, and the memory behind the users."""
    return [
        NextStep(
            tool="compare_costs",
            arguments={
                "model": q.model,
                "precision": q.precision,
                "gpu": q.gpu,
                "requests_per_day": 50_000,
            },
            why=f"what {words.count(gpus, 'GPU')} or the fleet for your traffic cost",
        ),
    ]


def _ways_out(q: ParallelismQuestion, needed: Layout | None) -> list[NextStep]:
    """More GPUs, or fewer bits."""
    steps = [
        NextStep(
            tool="compare_quantization",
            arguments={"model": q.model, "gpu": q.gpu},
            why="formats that need fewer GPUs",
        )
    ]
    if needed:
        more = {"model": q.model, "precision": q.precision, "gpu": q.gpu, "total_gpus": needed.replica}
        steps.insert(0, NextStep(tool="plan_parallelism", arguments=more, why="the smallest layout that holds it"))
    return steps


TOOL = Tool(
    step=3,
    title="Plan the parallel layout",
    description=(
        "Parallel layout (TP, PP, DP) of an LLM on given GPUs, or on the fewest that hold the users, drawn, with "
        "latency and throughput. For 'how many GPUs' and 'how fast'; for memory estimate_vram, for money compare_costs."
    ),
    question=ParallelismQuestion,
    answer=ParallelismAnswer,
    run=plan_parallelism,
    example={"model": "405B", "precision": "fp16", "total_gpus": 32},
)
