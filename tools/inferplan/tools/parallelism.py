"""How should the model be laid out on these GPUs, or on how few, and how fast is it then?"""

from collections.abc import Iterator, Mapping
from math import inf
from operator import not_
from typing import ClassVar

from pydantic import Field

from inferplan.core.parallelism import Layout, Strategy
from inferplan.tools._arguments import is_any
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import note_release
from inferplan.tools._planner_question import ParallelismQuestion
from inferplan.tools._planner_steps import next_steps, ways_out
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, Tool, absent
from inferplan.tools.layouts.assumed import note_assumed_context, note_load
from inferplan.tools.layouts.draw import draw_layout, draw_shortage
from inferplan.tools.layouts.plans import Case, compare
from inferplan.tools.layouts.rows import (
    NO_SPEED,
    Alternative,
    CollectiveRow,
    alternatives,
    bubble_percent,
    collective_rows,
    compared,
    layout_fields,
    speed_fields,
)
from inferplan.tools.layouts.search import Search, search
from inferplan.tools.layouts.ways import setting_that_helps
from inferplan.tools.layouts.words import (
    caveats,
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
from inferplan.tools.serving.launch import launch
from inferplan.tools.serving.launch_layout import is_beyond_one_command
from inferplan.tools.serving.settings import note_node


class ParallelismAnswer(Answer):
    """A layout, what it holds and how fast it is. Where `fits` is false, the layout is the smallest that would."""

    _gives_way: ClassVar[Mapping[str, int]] = {
        "alternatives": 1,
        "collectives": 0,
        "formula": 1,
        "assumptions": 6,
        "next_steps": 0,
        "launch": 0,
    }
    _room: ClassVar[Room] = Room(pieces=1159, characters=3366)

    gpu: str | None = Field(default=None, exclude_if=absent, description="The type chosen of any.")
    usd_per_hour: float | None = Field(
        default=None, exclude_if=absent, description="Rent on demand, in whole machines, where any type would do."
    )
    fits: bool | None = Field(description="Null where not known.")
    serves_users: bool | None = Field(description="Whether all users fit at full context, in time; likewise.")
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
    collectives: list[CollectiveRow] = Field(
        exclude_if=not_, description="What a GPU sends in a step; the last figure: over one prompt."
    )
    bubble_percent: float | None = Field(exclude_if=absent, description="Of decode, that stages wait.")
    why: str
    max_concurrent_users: int | None = Field(description="Users that fit at full context, in time; likewise.")
    users_by_memory: int | None = Field(
        default=None, exclude_if=absent, description="Users that fit, where latency allows fewer."
    )
    ttft_ms: float | None = Field(description="Of users who ask again as soon as answered, as in published runs.")
    ttft_range_ms: list[float] | None = Field(description="Half of published runs lie within.")
    ttft_percentiles_ms: list[float] | None = Field(
        default=None, exclude_if=absent, description="P50, P90, P99 at `requests_per_s`."
    )
    max_requests_per_s: float | None = Field(default=None, exclude_if=absent, description="Beyond it requests pile up.")
    tpot_ms: float | None
    tpot_range_ms: list[float] | None
    tokens_per_s: float | None
    tokens_per_s_per_user: float | None
    max_tokens_per_s: float | None = Field(description="The most output tokens/s, with the sessions that fit busy.")
    launch: str | None = Field(exclude_if=absent, description="Command that starts a replica, on its first node.")
    gpus_by_memory: int | None = Field(
        exclude_if=absent, description="The fewest that hold the users, whatever the latency."
    )
    layouts_compared: int | None = Field(exclude_if=absent)
    alternatives: list[Alternative]

    @property
    def users(self) -> int:
        """Users that fit at full context, in time; 0 where not known."""
        return self.max_concurrent_users or 0

    @property
    def users_held(self) -> int:
        """Users that fit at full context, whatever their latency."""
        return self.users_by_memory or self.users


def plan_parallelism(q: ParallelismQuestion) -> ParallelismAnswer:
    """Choose tensor, pipeline and data parallel degrees, draw them, and estimate latency and throughput."""
    ledger = q.ledger()
    note_release(ledger, q.model, q.precision)
    demand = q.demand
    found = search(q.on, demand) if is_any(q.gpu) else None
    on = q.serving(ledger, found and found.gpu)
    case = compare(on, demand)
    if found:
        types = f"{found.serving} of {found.searched} serve"
        left = f"; {found.refused} that {case.on.engine_name} cannot use" if found.refused else ""
        ledger.note("gpu_types", types, why=f"datacenter types, none only announced{left}")
    if not case.plans:
        note_node(ledger, case.on, case.needed.replica if case.needed else inf)
        note_assumed_context(case, ledger)
        return _does_not_fit(q, case, ledger, found)
    note_load(case, ledger)
    if case.chosen.arrivals:
        _note_arrivals(case, ledger)
    return _fits(q, case, ledger, found)


def _note_arrivals(case: Case, ledger: Ledger) -> None:
    """List the rate of the requests, the users that they keep busy, and how replicas share them."""
    chosen, arrivals = case.chosen, case.chosen.arrivals
    ledger.take("requests_per_s")
    if chosen.planned > case.demand.users:
        enough = arrivals is not None and arrivals.found is not None
        why = "rate x time of an answer" if enough else "as many as would keep up"
        ledger.note("planned_users", f"{chosen.planned:,}", why=why)
    if arrivals and arrivals.found and chosen.layout.dp > 1:
        ledger.note("balancer", "idlest replica first", why="else some wait behind others")


def _fits(q: ParallelismQuestion, case: Case, ledger: Ledger, found: Search | None) -> ParallelismAnswer:
    """The answer where the GPUs hold the model."""
    on, chosen, layout = case.on, case.chosen, case.chosen.layout
    arrivals = chosen.arrivals
    return ParallelismAnswer(
        **layout_fields(on, layout),
        **speed_fields(on, chosen),
        summary=" ".join(_said(case, found)),
        diagram=draw_layout(on, chosen.deployment, total=q.total_gpus or layout.gpus),
        gpu=on.gpu.id if found else None,
        usd_per_hour=found.offers[0].usd_per_hour if found else None,
        fits=True,
        serves_users=None if chosen.is_untimed else chosen.serves,
        gpus_per_replica=layout.replica,
        gpus_used=layout.gpus,
        nodes=chosen.deployment.nodes,
        communication=communication(chosen),
        collectives=list(collective_rows(chosen)),
        bubble_percent=bubble_percent(chosen),
        why=why_aimed(case) if case.demand.is_aimed else why(case),
        max_concurrent_users=None if chosen.is_untimed else chosen.in_time,
        users_by_memory=chosen.users if chosen.in_time < chosen.users else None,
        ttft_percentiles_ms=arrivals.percentiles_ms if arrivals else None,
        max_requests_per_s=arrivals.most_shown if arrivals else None,
        launch=_launch(q, case, ledger),
        gpus_by_memory=case.by_memory,
        layouts_compared=compared(case),
        alternatives=alternatives(case, found),
        formula=list(formula(case)),
        assumptions=ledger.entries(),
        inputs=q.with_turn().inputs(),
        next_steps=next_steps(q, case),
    )


def _said(case: Case, found: Search | None) -> Iterator[str]:
    """The sentences of the summary: layout, users and times, aim, GPU types searched, caveats."""
    yield from summary(case)
    yield from aim_sentences(case)
    if found:
        yield from type_sentences(found)
    yield from caveats(case)


def _does_not_fit(q: ParallelismQuestion, case: Case, ledger: Ledger, found: Search | None) -> ParallelismAnswer:
    """The answer where the GPUs do not hold the model: what is missing, and what would hold it."""
    on, needed, setting = case.on, case.needed, None if is_any(q.gpu) else setting_that_helps(case, q.overrides)
    layout, held = needed or Layout(), None if on.is_unknown else False
    deployment = on.deployment(layout, q.context_window)
    types = type_sentences(found) if found and not on.not_modelled else ()
    return ParallelismAnswer(
        **layout_fields(on, layout),
        **NO_SPEED,
        summary=" ".join([*shortage(case), *([fits_with(setting)] if setting else []), *types]),
        diagram=draw_shortage(on, deployment if needed else None, total=q.total_gpus or 0),
        fits=held,
        serves_users=held,
        gpus_per_replica=layout.replica if needed else 0,
        gpus_used=0,
        nodes=deployment.nodes if needed else 0,
        communication="none",
        collectives=[],
        bubble_percent=None,
        why=why_not(case),
        max_concurrent_users=None if held is None else 0,
        launch=None,
        gpus_by_memory=None,
        layouts_compared=None,
        alternatives=[],
        formula=[weights_line(case)],
        assumptions=ledger.entries(),
        inputs=q.with_turn().inputs(),
        next_steps=ways_out(q, case, setting),
    )


def _launch(q: ParallelismQuestion, case: Case, ledger: Ledger) -> str | None:
    """The command that starts one replica; None where groups that share experts take more than one command a node."""
    plan = case.chosen
    if is_beyond_one_command(case.on, plan.layout):
        return None
    load = {"context": q.context_window, "users": min(plan.planned, max(1, plan.in_time))}
    return launch(case.on, plan.layout, **load, ledger=ledger, kv_precision=q.kv_precision)


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
