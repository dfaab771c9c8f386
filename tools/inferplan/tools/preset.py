"""Can this model serve these users? All five sections on one set of inputs, and one verdict."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from math import inf
from typing import Any, ClassVar, TypeVar

from pydantic import Field, ValidationError, model_validator

from inferplan.catalog.asked_models import model_of
from inferplan.catalog.engines import refusal
from inferplan.catalog.presets import PRESETS
from inferplan.tools._arguments import (
    GPUS_AT_MOST,
    USUAL_GPU,
    ContextWindow,
    GpuName,
    Gpus,
    Hours,
    InputTokens,
    KvPrecisionName,
    ModelName,
    OutputTokens,
    PrecisionName,
    PresetName,
    Requests,
    Users,
    refuse_pace,
    turn,
)
from inferplan.tools._assumptions import OVERRIDDEN, UNUSED, Assumption, assumed, assumption
from inferplan.tools._comparison_questions import MoeQuestion, QuantizationQuestion, of_any_model
from inferplan.tools._following import arguments_for, following, overrides_for
from inferplan.tools._models import usual_format
from inferplan.tools._overrides import parse_overrides
from inferplan.tools._planner_question import GPUS_THAT_HOLD, ParallelismQuestion
from inferplan.tools._settings import TAKEN, settings
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, NextStep, Question, Tool
from inferplan.tools.costs import CostsQuestion, case_of
from inferplan.tools.layouts.ways import ways
from inferplan.tools.moe import Pair, pair_of
from inferplan.tools.money.rows import options
from inferplan.tools.money.words import formula as costs_formula
from inferplan.tools.number_formats.forms import Comparison
from inferplan.tools.parallelism import ParallelismAnswer, plan_parallelism
from inferplan.tools.quantization import comparison_of
from inferplan.tools.serving.latency import Latency, Pace
from inferplan.tools.serving.refusals import refuse, refuse_cache
from inferplan.tools.serving.serving import Deployment
from inferplan.tools.serving.settings import serving
from inferplan.tools.sizing.words_formula import formula
from inferplan.tools.verdict.draw import draw_preset
from inferplan.tools.verdict.room import Changed, Headroom, changes, headroom
from inferplan.tools.verdict.sections import Bill, Case, Sections, in_short
from inferplan.tools.verdict.words import details, verdict
from inferplan.tools.vram import VramQuestion, need_of

OTHER_DENSE, OTHER_MOE = "70B", "745B MoE"
"""The guide's pair; the model asked for replaces the one of its kind."""

ASSUMPTIONS = 8
"""Assumptions that the one-call answer lists; each section's own tool lists all of its."""

LOAD = ("concurrent_users", "context_window", "requests_per_day", "usage_hours_per_day")
"""Controls of the load, which the verdict names or rests on; the model and its format stand in every sentence."""

LIMITS = ("max_ttft_ms", "max_tpot_ms")
"""Overrides that are arguments of the planner: this schema has no room for them."""

AnyQuestion = TypeVar("AnyQuestion", bound=Question)


class PresetQuestion(Question):
    """A preset, and controls of the five sections in place of the preset's own."""

    tool = "run_preset"
    settings = TAKEN[tool]

    preset: PresetName
    model: ModelName | None = None
    precision: PrecisionName | None = None
    kv_precision: KvPrecisionName | None = None
    concurrent_users: Users | None = None
    context_window: ContextWindow | None = None
    gpu: GpuName = USUAL_GPU
    total_gpus: Gpus | None = None
    requests_per_day: Requests | None = None
    usage_hours_per_day: Hours | None = None
    input_tokens: InputTokens | None = None
    output_tokens: OutputTokens | None = None
    compliance_required: bool | None = Field(default=None, description="Must own.")

    @model_validator(mode="after")
    def _fits_into_the_context(self) -> "PresetQuestion":
        """Refuse a turn beyond the context, and a TPOT limit where answers have one token."""
        controls = self.controls
        _, tokens_out = turn(controls["context_window"], controls.get("input_tokens"), controls.get("output_tokens"))
        refuse_pace(tokens_out, self.limits.get("max_tpot_ms"))
        return self

    @model_validator(mode="after")
    def _runs(self) -> "PresetQuestion":
        """Refuse what the engine does not run."""
        names = {name: self.controls[name] for name in ("model", "precision", "gpu")}
        on = serving(self.ledger(), **names, quiet=True)
        refuse_cache(on, self.controls.get("kv_precision"))
        refuse(on)
        return self

    @cached_property
    def controls(self) -> dict[str, Any]:
        """Every control by argument name: the caller's, else the preset's."""
        chosen = PRESETS[self.preset]
        own = {name: getattr(chosen, name) for name in type(self).model_fields if hasattr(chosen, name)}
        given = self.model_dump(exclude={"preset", "overrides"}, exclude_none=True)
        return own | {"precision": usual_format(self.model, own["precision"])} | given

    @cached_property
    def limits(self) -> dict[str, float]:
        """The latencies asked for, by argument of the planner. [ms]"""
        given = parse_overrides(self.overrides, groups=self.settings)
        return {name: given[name] for name in LIMITS if name in given}

    def moe_precision(self) -> str:
        """The preset's format for the comparison of models, unless another weight format was asked for."""
        chosen, asked = PRESETS[self.preset], self.controls["precision"]
        return chosen.moe_precision if asked == chosen.precision else asked

    def normalized(self) -> dict[str, Any]:
        """Every control as the next tool takes it; the preset's own GPUs are left out, as nobody asked for them."""
        controls = self.controls
        return self.inputs(**controls | {"total_gpus": self.total_gpus})


class PresetAnswer(Answer):
    """One verdict, and the five sections behind it."""

    _gives_way: ClassVar[Mapping[str, int]] = {"changes": 1, "formula": 2, "assumptions": 4, "next_steps": 1}
    _room: ClassVar[Room] = Room(pieces=1890, characters=5600)

    preset: str
    verdict: str
    serves: bool | None = Field(description="Whether all users fit at full context, in time; null where not known.")
    headroom: Headroom | None = Field(description="Null where it is not known what fits.")
    changes: list[Changed] = Field(description="What would serve them on fewer GPUs, or at all.")
    sections: Sections


def run_preset(q: PresetQuestion) -> PresetAnswer:
    """Run all five sections on one set of inputs and say whether the model serves the users, on what, for how much."""
    case = _case(q)
    said = " ".join(verdict(case))
    return PresetAnswer(
        summary=" ".join([said, *details(case)]),
        diagram=draw_preset(case),
        preset=q.preset,
        verdict=said,
        serves=case.plan.serves_users,
        headroom=headroom(case),
        changes=list(changes(case)),
        sections=in_short(case),
        formula=[*formula(case.need), *case.plan.formula[1:], *_sizing(case)],
        assumptions=_assumptions(case, q),
        inputs=q.normalized(),
        next_steps=_next(case),
    )


def _case(q: PresetQuestion) -> Case:
    """What the five tools make of the controls; the bill is that of the GPUs that serve the users, if any do."""
    layout, controls = _ask(ParallelismQuestion, q), q.controls
    ledger, load = layout.ledger(), (controls["concurrent_users"], controls["context_window"])
    on, pace = layout.serving(ledger), _pace(q, layout)
    timed = replace(on, pace=pace) if pace.latency else on
    fewest = on.for_users(*load)
    plan, enough = _plans(q, layout, fewest)
    needed = _needed(timed.for_users(*load), enough)
    found = ways(timed, pace, controls, ledger, overrides=q.overrides)
    sizing = _ask(VramQuestion, q, total_gpus=q.total_gpus, max_ttft_ms=None, max_tpot_ms=None)
    assumed = sizing.ledger()
    return Case(
        preset=PRESETS[q.preset],
        controls=controls,
        latency=pace.latency,
        given_gpus=q.total_gpus,
        on=on,
        fewest=fewest,
        needed=needed,
        ways=tuple(way for way in found if way.gpus < (needed or inf)),
        layout=layout,
        sizing=sizing,
        need=need_of(sizing, assumed),
        assumed=assumed.entries(),
        quantization=_compared_formats(q),
        plan=plan,
        enough=enough,
        costs=_bill(q, enough.gpus_used if enough.serves_users else _gpus(plan, fewest)),
        moe=_compared_models(q),
    )


def _pace(q: PresetQuestion, layout: ParallelismQuestion) -> Pace:
    """The latency that the overrides ask for, on a turn of the layout."""
    tokens_in, tokens_out = layout.turn
    latency = Latency.of_ms(q.limits.get("max_ttft_ms"), q.limits.get("max_tpot_ms"))
    return Pace(latency=latency, input_tokens=tokens_in, output_tokens=tokens_out)


def _compared_formats(q: PresetQuestion) -> Comparison:
    """The model in every format."""
    question = _ask(QuantizationQuestion, q, concurrent_users=None)
    return comparison_of(question, question.ledger())


def _compared_models(q: PresetQuestion) -> Pair:
    """The model beside the guide's dense model, or its mixture of experts, by parameters and weights.

    Neither adapters nor a cache bear on those: what the other model would refuse of them is no reason to refuse.
    """
    question = _ask(MoeQuestion, q, precision=q.moe_precision(), overrides=of_any_model(q))
    return pair_of(question, question.ledger())


def _plans(
    q: PresetQuestion, layout: ParallelismQuestion, fewest: Deployment | None
) -> tuple[ParallelismAnswer, ParallelismAnswer]:
    """The plan to judge, and the plan on as many GPUs as the users need: the same where those given suffice.

    Without a latency, the fewest GPUs that hold the users tell beforehand whether the preset's own suffice.
    """
    anywhere = layout.model_copy(update={"total_gpus": None})
    few = fewest is not None and fewest.layout.gpus > (layout.total_gpus or 0)
    if q.total_gpus is None and few and not q.limits:
        plan = plan_parallelism(anywhere)
        return plan, plan
    plan = plan_parallelism(layout)
    if plan.serves_users or fewest is None:
        return plan, plan
    enough = plan_parallelism(anywhere)
    return (enough if q.total_gpus is None and enough.serves_users else plan), enough


def _needed(found: Deployment | None, enough: ParallelismAnswer) -> int | None:
    """The fewest GPUs that serve the users, in time; None where none do."""
    serving = [enough.gpus_used] if enough.serves_users else []
    return min([*serving, *([found.layout.gpus] if found else [])], default=None)


def _bill(q: PresetQuestion, gpus: int | None) -> Bill | str:
    """The bill, or the sentence that says why there is none: a missing price stops no plan."""
    try:
        question = _ask(CostsQuestion, q, total_gpus=gpus)
    except ValidationError as error:
        return "No bill: " + "; ".join(map(_no_bill, error.errors())) + "."
    ledger = question.ledger()
    case = case_of(question, ledger)
    return Bill(question=question, case=case, options=options(case), assumptions=ledger.entries())


def _no_bill(problem: Mapping[str, Any]) -> str:
    """Why compare_costs refuses the question: in its own words, or that the GPUs are too many."""
    most = problem.get("ctx", {}).get("le")
    return problem["msg"].removeprefix("Value error, ") if most is None else f"it counts {most:,} GPUs at most"


def _ask(kind: type[AnyQuestion], q: PresetQuestion, **changes: Any) -> AnyQuestion:
    """The question of one section out of the controls, with `changes`."""
    said = {"overrides": overrides_for(q, kind)}
    controls = q.controls | arguments_for(q, kind) | _pair(q) | said | changes
    arguments = {name: controls[name] for name in kind.model_fields if controls.get(name) is not None}
    return kind.model_validate(arguments)


def _pair(q: PresetQuestion) -> dict[str, str]:
    """The two models of the last section: the one asked for, and the guide's other kind."""
    name = q.controls["model"]
    if model_of(name).architecture.experts is None:
        return {"dense_model": name, "moe_model": OTHER_MOE}
    return {"dense_model": OTHER_DENSE, "moe_model": name}


def _sizing(case: Case) -> list[str]:
    """The arithmetic of the fleet's size; none without a bill."""
    return list(islice(costs_formula(case.bill.case), 1)) if case.bill else []


def _assumptions(case: Case, q: PresetQuestion) -> list[Assumption]:
    """The first assumptions of all sections, each once: what the caller changed, then what moves the verdict.

    Those of the preset's own controls lead them. An override is unused where no section uses it.
    """
    billed = case.bill.assumptions if case.bill else []
    said = [assumed(settings()[name], value, why=OVERRIDDEN) for name, value in q.limits.items()]
    planned = [*case.plan.assumptions, *case.assumed, *said]
    listed = _own_controls(q) | {entry.name: entry for entry in planned if entry.why != UNUSED}
    for entry in (*(one for one in billed if one.why != UNUSED), *q.ledger().entries()):
        listed.setdefault(entry.name, entry)
    ordered = sorted(listed.values(), key=lambda entry: entry.why not in (OVERRIDDEN, UNUSED))
    return ordered[:ASSUMPTIONS]


def _own_controls(q: PresetQuestion) -> dict[str, Assumption]:
    """The controls that are the preset's, as the caller gives none of them: one assumption, by the preset's name."""
    own = PRESETS[q.preset]
    kept = [f"{name}={getattr(own, name):.10g}" for name in LOAD if getattr(q, name) is None]
    return {"preset": assumption("preset", ", ".join(kept), why=f"of {q.preset}, not given")} if kept else {}


def _next(case: Case) -> list[NextStep]:
    """The layout in full, and the bill where there is one; of a model that does not run, what does."""
    if case.on.not_modelled:
        return case.plan.next_steps
    gpus = _gpus(case.plan, case.fewest)
    asked = (case.given_gpus or gpus) if case.plan.fits else gpus
    drawn = asked if case.plan.serves_users else case.needed or asked
    layout = case.layout.model_copy(update={"total_gpus": drawn if drawn and drawn <= GPUS_AT_MOST else None})
    why = "the layout drawn, and its alternatives"
    if not case.plan.serves_users and (case.needed or not case.plan.fits):
        late = case.latency.unmet if case.latency and not case.needed else ""
        why = f"{GPUS_THAT_HOLD}{late}" if drawn else "what keeps it from fitting"
    steps = [following(layout, ParallelismQuestion, why)]
    if case.bill:
        steps.append(following(case.bill.question, CostsQuestion, "rent or buy, with break-even hours"))
    return [*steps, *_in_llamacpp(case, layout)]


def _in_llamacpp(case: Case, layout: ParallelismQuestion) -> Iterator[NextStep]:
    """The memory under llama.cpp, which GGUF is made for, where it runs on the GPU: a verdict is of the others."""
    if case.on.precision.is_gguf and refusal("llama.cpp", case.on.gpu, case.on.precision, version=0) is None:
        apart = {"engine": "llama.cpp", "overrides": None, "kv_precision": None}
        yield following(layout, VramQuestion, "llama.cpp, which GGUF is made for", **apart)


def _gpus(plan: ParallelismAnswer, fewest: Deployment | None) -> int | None:
    """The GPUs of the plan; where it does not fit, the fewest that hold the users. None where nothing does."""
    return plan.gpus_used or (fewest.layout.gpus if fewest else None)


TOOL = Tool(
    title="Answer in one call",
    description=(
        "One verdict over memory, layout, speed and cost: does a model serve its users, on what? Start here, with "
        "the nearest preset and your own controls; for one section its tool, as plan_parallelism."
    ),
    question=PresetQuestion,
    answer=PresetAnswer,
    run=run_preset,
    example={"preset": "production", "concurrent_users": 200},
)
