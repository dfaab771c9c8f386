"""Can this model serve these users? All five sections on one set of inputs, and one verdict."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.catalog.presets import PRESETS
from inferplan.core.performance import TPOT_BAND, TTFT_BAND
from inferplan.core.units import MILLI
from inferplan.tools import _words as words
from inferplan.tools._arguments import (
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
    turn,
)
from inferplan.tools._assumptions import SAID_SO, Assumption, parse_overrides, settings
from inferplan.tools._draw_preset import draw_preset
from inferplan.tools._serving import Deployment, Serving, serving
from inferplan.tools._tool import Answer, NextStep, Question, Tool
from inferplan.tools.costs import CostsAnswer, CostsQuestion, compare_costs
from inferplan.tools.moe import MoeAnswer, MoeQuestion, compare_moe_dense
from inferplan.tools.parallelism import ParallelismAnswer, ParallelismQuestion, plan_parallelism
from inferplan.tools.quantization import QuantizationAnswer, QuantizationQuestion, compare_quantization
from inferplan.tools.vram import VramAnswer, VramQuestion, estimate_vram

OTHER_DENSE, OTHER_MOE = "70B", "745B MoE"
"""The guide's pair: the model asked for takes the place of the one that it resembles."""

FP8_BITS = 8
SIXTEEN_BIT = ("bf16", "fp16")
ASSUMPTIONS = 8
"""Assumptions that the one-call answer lists; the sections' own tools list all of theirs."""
OPTIONS = {
    "on_demand": "on demand",
    "reserved_1yr": "reserved for a year",
    "reserved_3yr": "reserved for three years",
    "own": "owned",
    "api": "through an API",
}

AnyQuestion = TypeVar("AnyQuestion", bound=Question)


class PresetQuestion(Question):
    """A preset, and any control of the five sections in place of the preset's own."""

    settings = ("overhead", "memory", "layout", "speed", "demand", "prices")

    preset: PresetName
    model: ModelName | None = None
    precision: PrecisionName | None = None
    kv_precision: KvPrecisionName | None = None
    concurrent_users: Users | None = None
    context_window: ContextWindow | None = None
    gpu: GpuName = "h100-sxm"
    total_gpus: Gpus | None = None
    requests_per_day: Requests | None = None
    usage_hours_per_day: Hours | None = None
    input_tokens: InputTokens | None = None
    output_tokens: OutputTokens | None = None
    compliance_required: bool | None = Field(default=None, description="Must own.")

    @model_validator(mode="after")
    def _fits_into_the_context(self) -> "PresetQuestion":
        controls = self.controls()
        turn(controls["context_window"], controls.get("input_tokens"), controls.get("output_tokens"))
        return self

    def controls(self) -> dict[str, Any]:
        """Every control: what the caller said, else the preset's value, in the names of the tools."""
        chosen = PRESETS[self.preset]
        own = {name: getattr(chosen, name) for name in type(self).model_fields if hasattr(chosen, name)}
        given = self.model_dump(exclude={"preset", "overrides"}, exclude_none=True)
        return own | given

    def moe_precision(self) -> str:
        """The preset's format for the last section, unless another weight format was asked for."""
        chosen = PRESETS[self.preset]
        asked = self.precision or chosen.precision
        return chosen.moe_precision if asked == chosen.precision else asked

    def normalized(self) -> dict[str, Any]:
        """Every control as the next tool takes it; the preset's own GPUs are no demand of the caller."""
        controls = self.controls()
        return self.inputs(**controls | {"total_gpus": self.total_gpus})


def _ask(kind: type[AnyQuestion], q: PresetQuestion, **changes: Any) -> AnyQuestion:
    """One section's question out of the controls."""
    controls = q.controls() | _pair(q) | changes
    arguments = {name: controls[name] for name in kind.model_fields if controls.get(name) is not None}
    arguments["overrides"] = _overrides(q, kind)
    return kind.model_validate(arguments)


def _overrides(q: PresetQuestion, kind: type[Question]) -> str:
    """The overrides that a section takes."""
    given = parse_overrides(q.overrides, groups=type(q).settings)
    return ", ".join(f"{name}={value}" for name, value in given.items() if settings()[name].group in kind.settings)


def _pair(q: PresetQuestion) -> dict[str, str]:
    """The two models of the last section: the one asked for, and the guide's opposite."""
    name = q.controls()["model"]
    if MODELS[name].architecture.experts is None:
        return {"dense_model": name, "moe_model": OTHER_MOE}
    return {"dense_model": OTHER_DENSE, "moe_model": name}


class VramSection(BaseModel):
    """Section 1 in short."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str
    total_gb: float
    weights_gb: float
    kv_cache_gb: float
    dominant: str


class QuantizationSection(BaseModel):
    """Section 2 in short: memory of the weights by format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str
    memory_gb: dict[str, float]


class ParallelismSection(BaseModel):
    """Section 3 in short."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str
    fits: bool
    strategy: str
    tp: int
    pp: int
    dp: int
    gpus_used: int
    nodes: int
    max_concurrent_users: int
    ttft_ms: float | None
    tpot_ms: float | None
    tokens_per_s: float | None


class CostsSection(BaseModel):
    """Section 4 in short; null, and the summary says why, where a price is missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str
    recommended: str | None
    total_gpus: int | None
    monthly_usd: float | None
    annual_usd: float | None
    usd_per_million_tokens: float | None


class MoeSection(BaseModel):
    """Section 5 in short."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str
    compute_ratio: float
    memory_ratio: float
    dense_gpus: int
    moe_gpus: int


class Sections(BaseModel):
    """The five sections, each with its summary and headline numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vram: VramSection
    quantization: QuantizationSection
    parallelism: ParallelismSection
    costs: CostsSection
    moe: MoeSection


class PresetAnswer(Answer):
    """One verdict, and the five sections behind it."""

    preset: str
    verdict: str
    serves: bool = Field(description="Whether all users fit at full context on these GPUs.")
    sections: Sections


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One question with the answers of the five tools; `costs` is the reason where there is no bill."""

    q: PresetQuestion
    controls: dict[str, Any]
    on: Serving
    fewest: Deployment | None
    vram: VramAnswer
    quantization: QuantizationAnswer
    plan: ParallelismAnswer
    costs: CostsAnswer | str
    moe: MoeAnswer

    @property
    def users(self) -> str:
        """`200 users`."""
        return words.count(self.controls["concurrent_users"], "user")

    @property
    def gpu_title(self) -> str:
        """The GPU by its name in prose."""
        return GPUS[self.controls["gpu"]].title

    @property
    def named(self) -> str:
        """The model and its format in words."""
        model = MODELS[self.controls["model"]]
        name = f"a {model.id}-class model" if model.is_size_class else model.title
        return f"{name} in {FORMATS[self.controls['precision']].title}"


def run_preset(q: PresetQuestion) -> PresetAnswer:
    """Run all five sections on one set of inputs and say whether the model serves the users, on what, for how much."""
    case = _case(q)
    verdict = " ".join(_verdict(case))
    return PresetAnswer(
        summary=" ".join([verdict, *_details(case)]),
        diagram=draw_preset(case.controls, case.vram, case.plan, case.costs, case.moe),
        preset=q.preset,
        verdict=verdict,
        serves=case.plan.serves_users,
        sections=_sections(case),
        formula=[*case.vram.formula, *case.plan.formula[1:], *_costs_formula(case.costs)],
        assumptions=_assumptions(case),
        inputs=q.normalized(),
        next_steps=_next(case),
    )


def _case(q: PresetQuestion) -> Case:
    """Ask the five tools, handing the layout on to the bill."""
    controls = q.controls()
    layout = _ask(ParallelismQuestion, q)
    on = serving(
        layout.ledger(),
        model=layout.model,
        precision=layout.precision,
        gpu=layout.gpu,
        kv_precision=layout.kv_precision,
        quiet=True,
    )
    fewest = on.for_users(controls["concurrent_users"], controls["context_window"])
    plan = plan_parallelism(layout)
    if q.total_gpus is None and not plan.serves_users and fewest is not None:
        plan = plan_parallelism(_ask(ParallelismQuestion, q, total_gpus=None))
    return Case(
        q=q,
        controls=controls,
        on=on,
        fewest=fewest,
        vram=estimate_vram(_ask(VramQuestion, q)),
        quantization=compare_quantization(_ask(QuantizationQuestion, q)),
        plan=plan,
        costs=_costs(q, plan.gpus_used or (fewest.layout.gpus if fewest else None)),
        moe=compare_moe_dense(_ask(MoeQuestion, q, precision=q.moe_precision())),
    )


def _costs(q: PresetQuestion, gpus: int | None) -> CostsAnswer | str:
    """The bill, or the sentence that says why there is none: a price that is not known stops no plan."""
    try:
        return compare_costs(_ask(CostsQuestion, q, total_gpus=gpus))
    except ValidationError as error:
        return "No bill: " + "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors()) + "."


def _verdict(case: Case) -> Iterator[str]:
    """The answer in the words of the question: yes or no, on what, how fast."""
    plan = case.plan
    context = f"{case.controls['context_window']:,} tokens of context"
    if plan.serves_users:
        yield f"{_yes(case)}: {case.named} serves {case.users} at {context} on {_hardware(case, plan)}{_pace(plan)}."
        return
    given = case.controls["total_gpus"]
    yield f"No, not on {words.devices(given, case.gpu_title)}: {_shortfall(case, context)}."
    if case.fewest is None:
        yield f"No legal layout of {case.gpu_title} holds it at any number; a larger GPU or fewer bits would."
    else:
        enough = plan_parallelism(_ask(ParallelismQuestion, case.q, total_gpus=None))
        yield f"{_hardware(case, enough)} would serve them all{_pace(enough)}."


def _yes(case: Case) -> str:
    """A plain yes, or a yes on more GPUs than the preset has."""
    own = PRESETS[case.q.preset].total_gpus
    where = words.count(case.plan.nodes, "node")
    if case.plan.gpus_used > own and case.q.total_gpus is None:
        return f"Yes, on {where} and more than the preset's {words.count(own, 'GPU')}"
    return f"Yes, on {where}"


def _shortfall(case: Case, context: str) -> str:
    """What the given GPUs cannot do."""
    if not case.plan.fits:
        return f"{case.named} does not fit there"
    return f"they hold {case.plan.max_concurrent_users:,} of the {case.users} of {case.named} at {context}"


def _hardware(case: Case, plan: ParallelismAnswer) -> str:
    """`24 x H100 SXM5 80GB (tensor 8 x data 3)`."""
    degrees = f" ({words.layout(plan.tp, plan.pp, plan.dp)})" if plan.gpus_used > 1 else ""
    return f"{words.devices(plan.gpus_used, case.gpu_title)}{degrees}"


def _pace(plan: ParallelismAnswer) -> str:
    """First token and time per token, with how far they may be off."""
    if plan.ttft_ms is None or plan.tpot_ms is None:
        return ""
    first, each = words.seconds(plan.ttft_ms * MILLI), words.seconds(plan.tpot_ms * MILLI)
    trust = f"estimates; half of published runs lie within {TTFT_BAND:.0%} and {TPOT_BAND:.0%}"
    return f", first token in about {first}, then {each} a token ({trust})"


def _details(case: Case) -> Iterator[str]:
    """Memory, bill, and what would make it cheaper."""
    vram, plan, costs = case.vram, case.plan, case.costs
    yield (
        f"Memory: {words.significant(vram.weights_gb)} GB of weights and {words.significant(vram.kv_cache_gb)} GB of "
        f"KV cache, {words.significant(vram.total_gb)} GB with overhead; "
        f"{'this GPU takes' if plan.gpus_used == 1 else 'these GPUs take'} "
        f"{words.count(plan.max_concurrent_users, 'user')} at full context."
    )
    yield _bill(case, costs) if isinstance(costs, CostsAnswer) else costs
    yield from _ways_to_save(case)


def _bill(case: Case, costs: CostsAnswer) -> str:
    """The cheapest way to run the GPUs, and the API where that is cheaper still."""
    run = [option for option in costs.options if option.name != "api"]
    best = min(run, key=lambda option: option.monthly_usd)
    if costs.recommended == "own":
        best = next(option for option in run if option.name == "own")
    verb = "costs" if costs.total_gpus == 1 else "cost"
    text = f"{words.count(costs.total_gpus, 'GPU')} {verb} {words.usd(best.monthly_usd)} a month {OPTIONS[best.name]}"
    text += ", as compliance requires" if case.controls["compliance_required"] else ", the cheapest way to run them"
    api = next((option for option in costs.options if option.name == "api"), None)
    if api is None or api.monthly_usd >= best.monthly_usd:
        return f"{text}."
    requests = f"{case.controls['requests_per_day']:,} requests a day"
    return f"{text}; an API would charge {words.usd(api.monthly_usd)} for the {requests}."


def _ways_to_save(case: Case) -> Iterator[str]:
    """The changes that would need fewer GPUs for the same users, each with its effect."""
    if case.fewest is None:
        return
    users, context, needed = case.controls["concurrent_users"], case.controls["context_window"], case.fewest.layout.gpus
    changes = {"half the context": case.on.for_users(users, max(1, context // 2))}
    if case.on.kv_bits > FP8_BITS:
        changes["an FP8 KV cache"] = replace(case.on, kv_bits=FP8_BITS).for_users(users, context)
    if case.controls["precision"] in SIXTEEN_BIT:
        changes["FP8 weights"] = replace(case.on, precision=FORMATS["fp8"]).for_users(users, context)
    found = [f"{change} ({one.layout.gpus:,})" for change, one in changes.items() if one and one.layout.gpus < needed]
    if found:
        yield f"Fewer than {words.count(needed, 'GPU')} would do with {' or '.join(found)}."


def _sections(case: Case) -> Sections:
    """The five answers in short."""
    vram, plan, moe = case.vram, case.plan, case.moe
    return Sections(
        vram=VramSection(
            summary=_first(vram.summary, 2),
            total_gb=vram.total_gb,
            weights_gb=vram.weights_gb,
            kv_cache_gb=vram.kv_cache_gb,
            dominant=vram.dominant,
        ),
        quantization=QuantizationSection(
            summary=_first(case.quantization.summary, 2),
            memory_gb={row.precision: row.memory_gb for row in case.quantization.formats},
        ),
        parallelism=ParallelismSection(
            summary=_first(plan.summary, 2),
            fits=plan.fits,
            strategy=plan.strategy,
            tp=plan.tp,
            pp=plan.pp,
            dp=plan.dp,
            gpus_used=plan.gpus_used,
            nodes=plan.nodes,
            max_concurrent_users=plan.max_concurrent_users,
            ttft_ms=plan.ttft_ms,
            tpot_ms=plan.tpot_ms,
            tokens_per_s=plan.tokens_per_s,
        ),
        costs=_costs_section(case.costs),
        moe=MoeSection(
            summary=_first(moe.summary, 2),
            compute_ratio=moe.compute_ratio,
            memory_ratio=moe.memory_ratio,
            dense_gpus=moe.dense.gpus,
            moe_gpus=moe.moe.gpus,
        ),
    )


def _costs_section(costs: CostsAnswer | str) -> CostsSection:
    """The recommended bill, or why there is none."""
    if isinstance(costs, str):
        return CostsSection(
            summary=costs,
            recommended=None,
            total_gpus=None,
            monthly_usd=None,
            annual_usd=None,
            usd_per_million_tokens=None,
        )
    best = next(option for option in costs.options if option.name == costs.recommended)
    return CostsSection(
        summary=_first(costs.summary, 2),
        recommended=costs.recommended,
        total_gpus=costs.total_gpus,
        monthly_usd=best.monthly_usd,
        annual_usd=best.annual_usd,
        usd_per_million_tokens=best.usd_per_million_tokens,
    )


def _first(paragraph: str, sentences: int) -> str:
    """The first sentences of a paragraph: the rest is one call of the section's tool away."""
    parts = re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)
    return " ".join(parts[:sentences])


def _costs_formula(costs: CostsAnswer | str) -> list[str]:
    """How the fleet is sized."""
    return costs.formula[:2] if isinstance(costs, CostsAnswer) else []


def _assumptions(case: Case) -> list[Assumption]:
    """What the sections assumed: what the caller changed first, then what moves the verdict; each once."""
    answers: list[Answer] = [case.plan, case.vram]
    answers += [case.costs] if isinstance(case.costs, CostsAnswer) else []
    listed = {entry.name: entry for answer in answers for entry in answer.assumptions}
    ordered = sorted(listed.values(), key=lambda entry: entry.why != SAID_SO)
    return ordered[:ASSUMPTIONS]


def _next(case: Case) -> list[NextStep]:
    """The section that matters most, in full."""
    controls = case.controls
    model = {"model": controls["model"], "precision": controls["precision"], "gpu": controls["gpu"]}
    load = {"concurrent_users": controls["concurrent_users"], "context_window": controls["context_window"]}
    gpus = case.plan.gpus_used or (case.fewest.layout.gpus if case.fewest else 1)
    traffic = {"requests_per_day": controls["requests_per_day"], "total_gpus": gpus}
    return [
        NextStep(
            tool="plan_parallelism",
            arguments={**model, **load, "total_gpus": gpus},
            why="the layout drawn, and its alternatives",
        ),
        NextStep(tool="compare_costs", arguments={**model, **traffic}, why="rent or buy, with break-even hours"),
    ]


TOOL = Tool(
    step=6,
    title="Answer in one call",
    description=(
        "One verdict over memory, layout, speed and cost: does a model serve its users, on what? Start here, with "
        "the nearest preset and your own controls; for one section, call its tool, as plan_parallelism."
    ),
    question=PresetQuestion,
    answer=PresetAnswer,
    run=run_preset,
    example={"preset": "production", "concurrent_users": 200},
)
