"""How many GPUs does this traffic need, and is it cheaper to rent, to reserve, to own or to call an API?"""

from collections.abc import Mapping
from dataclasses import replace
from operator import not_
from typing import ClassVar

from pydantic import Field, ValidationError, model_validator

from inferplan.catalog.asked_gpus import shown_gpu
from inferplan.catalog.asked_models import model_of
from inferplan.catalog.models import MODELS
from inferplan.core.units import HOURS_PER_DAY, MILLI
from inferplan.tools._arguments import (
    TURN_TOKENS,
    USUAL_GPU,
    GpuName,
    Gpus,
    Hours,
    InputTokens,
    Milliseconds,
    ModelName,
    OutputTokens,
    PrecisionName,
    Requests,
    as_released,
    refuse_pace,
)
from inferplan.tools._assumptions import Ledger
from inferplan.tools._comparison_questions import MoeQuestion, of_any_model
from inferplan.tools._following import following
from inferplan.tools._models import note_checkpoint, note_release
from inferplan.tools._settings import TAKEN
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, NextStep, Question, Tool
from inferplan.tools.money.bills import Bills, worth_showing
from inferplan.tools.money.case import Case
from inferplan.tools.money.draw import draw_hours
from inferplan.tools.money.fleet import FleetSizing, Request, fleet_problem, instances, on_gpu, take_traffic
from inferplan.tools.money.gpu_ranking import Scope
from inferplan.tools.money.rates import LABELS, OptionName, machine, price_problem, take_rates
from inferplan.tools.money.rows import Breakeven, CostOption, breakeven, optional, options, to_cents
from inferplan.tools.money.words import formula, reason, summary
from inferplan.tools.serving.latency import Latency
from inferplan.tools.serving.refusals import refuse, refuse_cache
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import UNCACHED, chosen_cache, note_node, serving

USUAL_REQUESTS, REQUESTS_PER_USER = 50_000, 1000
"""Requests a day of the guide's production preset, and of each of its 50 users: what next steps ask for by default.
requests. [requests/day]"""


class CostsQuestion(Question):
    """A model, the requests of a day, and the hours within which they come."""

    tool = "compare_costs"
    settings = TAKEN[tool]

    model: ModelName
    requests_per_day: Requests
    usage_hours_per_day: Hours = HOURS_PER_DAY
    compliance_required: bool = Field(default=False, description="Must own.")
    precision: PrecisionName = as_released("fp8")
    gpu: GpuName = USUAL_GPU
    total_gpus: Gpus | None = Field(default=None, description="At least this many.")
    input_tokens: InputTokens = 500
    output_tokens: OutputTokens = 500
    max_ttft_ms: Milliseconds | None = None
    max_tpot_ms: Milliseconds | None = None

    @model_validator(mode="after")
    def _can_be_answered(self) -> "CostsQuestion":
        """Refuse what the engine does not run, what has no price, and requests that no fleet serves."""
        refuse_pace(self.output_tokens, self.max_tpot_ms)
        on, ledger = self.served(self.model), self.ledger()
        refuse(on)
        refuse_cache(on, chosen_cache(ledger))
        problem = price_problem(ledger, on.gpu, must_own=self.compliance_required)
        if problem is None and not instances(on, self.request):
            problem = fleet_problem(on, self.request)
        if problem:
            raise ValueError(problem)
        return self

    @property
    def request(self) -> Request:
        """The request that every instance is sized for."""
        return Request(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            latency=Latency.of_ms(self.max_ttft_ms, self.max_tpot_ms),
        )

    def sizing(self, on: Serving, ledger: Ledger) -> FleetSizing:
        """The instances that may carry the traffic, on at least `total_gpus` GPUs."""
        traffic = take_traffic(
            ledger, requests=self.requests_per_day, hours=self.usage_hours_per_day, request=self.request
        )
        return FleetSizing(
            instances=instances(on, self.request),
            traffic=traffic,
            machine=machine(ledger, on.gpu),
            at_least=self.total_gpus or 0,
        )

    def serving(self, ledger: Ledger) -> Serving:
        """The model on its GPU."""
        return serving(ledger, model=self.model, precision=self.precision, gpu=self.gpu, quiet=True)

    def served(self, model: str) -> Serving:
        """Another model on the same GPU under the same overrides, cached."""
        return on_gpu(model_of(model), self.precision, self.gpu, self.settings, self.overrides)

    def scope(self, on: Serving, *, own: bool) -> Scope:
        """What other GPU types are compared for; `own` compares owning instead of renting."""
        return Scope(
            model=on.model,
            precision=self.precision,
            gpu=self.gpu,
            groups=self.settings,
            overrides=self.overrides,
            own=own,
        )


class CostsAnswer(Answer):
    """The fleet, its bills and where they cross."""

    _gives_way: ClassVar[Mapping[str, int]] = {
        "payback_months": 0,
        "cheapest_gpus": 1,
        "sensitivity": 0,
        "formula": 1,
        "assumptions": 6,
        "next_steps": 0,
    }
    _room: ClassVar[Room] = Room(pieces=1192, characters=3330)

    gpus_per_instance: int
    instances: int
    total_gpus: int
    checkpoint_gpus: int | None = optional(description="For a size class: GPUs that the model it stands for takes.")
    demand_tokens_per_s: float = Field(description="Output tokens, busiest hour.")
    tokens_per_s_per_instance: float = Field(description="Output tokens at a full batch.")
    batch: int = Field(description="Requests that an instance runs at once.")
    ttft_ms: float | None = optional(description="Time to the first token at that batch.")
    tpot_ms: float | None = optional(description="Time per further token at that batch.")
    options: list[CostOption]
    breakeven: Breakeven
    recommended: OptionName = Field(description="The cheapest, but spot only with spot_allowed; own for compliance.")
    why: str | None = optional(description="Where it is not the cheapest.")
    compliance_usd: float | None = optional(description="A month, above the cheapest.")
    usd_per_user_month: float | None = optional(description="Recommended option; with requests_per_user_per_day.")
    payback_months: dict[str, float] = Field(
        default_factory=dict, exclude_if=not_, description="Of buying, against each other option."
    )
    cheapest_gpus: dict[str, float] = Field(
        description="A month on the GPUs that cost least, of all that providers rent out; with compliance, to own."
    )
    sensitivity: dict[str, list[float]] = Field(
        description="What moves the recommended bill most: at the low and high end of a published range, or 20 % off."
    )


def compare_costs(q: CostsQuestion) -> CostsAnswer:
    """Size the fleet for a day's requests and compare renting, reserving, owning and an API."""
    ledger = q.ledger()
    note_release(ledger, q.model, q.precision)
    return _answer(q, case_of(q, ledger), ledger)


def case_of(q: CostsQuestion, ledger: Ledger) -> Case:
    """The fleet and its bills, with their assumptions in the ledger; the rest of a case is computed on demand."""
    on = q.serving(ledger)
    note_checkpoint(ledger, on.model, on.precision)
    if q.input_tokens == q.output_tokens == TURN_TOKENS:
        ledger.note("request", f"{q.input_tokens} in, {q.output_tokens} out", why="tokens, the guide's")
    sizing = q.sizing(on, ledger)
    bills = Bills(rates=take_rates(ledger, on.gpu, on.model), sizing=sizing)
    case = Case(
        on=on,
        bills=bills,
        fleet=sizing.fleet,
        monthly=worth_showing(bills.now, spot=bills.rates.spot_allowed),
        compliance_required=q.compliance_required,
        requests_per_user=_requests_per_user(ledger),
        checkpoint_gpus=_checkpoint_gpus(q, sizing, on.model.stands_for),
        scope=q.scope(on, own=q.compliance_required),
    )
    note_node(ledger, on, case.fleet.instance.layout.replica)
    _note_corrections(case, ledger)
    return case


def _requests_per_user(ledger: Ledger) -> float | None:
    """Requests of one user a day, where the caller gives them; else None."""
    return ledger.take("requests_per_user_per_day") if ledger.given("requests_per_user_per_day") else None


def _checkpoint_gpus(q: CostsQuestion, sizing: FleetSizing, stands_for: str | None) -> int | None:
    """GPUs for the same traffic on the checkpoint behind a size class; None for a checkpoint itself."""
    if stands_for is None or stands_for not in MODELS:
        return None
    real = replace(sizing, instances=instances(q.served(stands_for), sizing.traffic.request))
    return real.gpus(q.requests_per_day, q.usage_hours_per_day) if real.instances else None


def _answer(q: CostsQuestion, case: Case, ledger: Ledger) -> CostsAnswer:
    """The case as an answer."""
    fleet, instance, single = case.fleet, case.fleet.instance, q.output_tokens == 1
    return CostsAnswer(
        summary=" ".join(summary(case)),
        diagram=_diagram(case),
        gpus_per_instance=instance.layout.replica,
        instances=fleet.count,
        total_gpus=fleet.gpus,
        checkpoint_gpus=case.checkpoint_gpus,
        demand_tokens_per_s=round(case.demand, 3 if case.demand >= 1 else 6),
        tokens_per_s_per_instance=round(instance.tokens_per_s, 1),
        batch=instance.batch,
        ttft_ms=round(instance.service.ttft_s / MILLI, 1) if q.max_ttft_ms or single else None,
        tpot_ms=None if single else round(instance.service.tpot_s / MILLI, 1),
        options=options(case),
        breakeven=breakeven(case),
        recommended=case.recommended,
        why=reason(case),
        compliance_usd=to_cents(case.premium) if case.compliance_required else None,
        usd_per_user_month=case.usd_per_user_month and to_cents(case.usd_per_user_month),
        payback_months={name: round(months, 1) for name, months in case.payback.items()},
        cheapest_gpus={one.gpu: to_cents(one.monthly_usd) for one in case.ranked},
        sensitivity={one.input: [to_cents(one.low_usd), to_cents(one.high_usd)] for one in case.swings},
        formula=list(formula(case)),
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=_next(q),
    )


def _note_corrections(case: Case, ledger: Ledger) -> None:
    """List where the answer departs from the guide: fitted throughput, busy hours, prices."""
    hours = case.traffic.usage_hours_per_day
    guide = "; not the guide's" if case.on.model.is_size_class else ""
    best, worst = case.slower
    why = f"half of runs{case.on.band('offline').where} {1 / worst:.2f}-{1 / best:.2f} of it{guide}"
    ledger.note("throughput", "fitted", why=why)
    if hours < HOURS_PER_DAY:
        ledger.note("busy_hours", hours, unit="h", why="the guide spreads them over 24")
    if (api := case.bills.rates.api) and api.cached_share and not case.on.engine.prefix_caching:
        ledger.note("prefix_cache_hit_rate", api.cached_share, why=f"of the API's prompts alone: {UNCACHED}")
    if case.recommended == "own":
        why = "own $1,471, 3-year $1,080 a GPU-month"
        ledger.note("guide_rates", "not used", why=why)


def _diagram(case: Case) -> str:
    """Every monthly bill against the hours of use."""
    traffic, fleet = case.traffic, case.fleet
    title = f"{case.on.model.title}, {fleet.gpus:,} x {shown_gpu(case.on.gpu)}, USD a month by hours a day"
    lines = {LABELS[name]: usd for name, usd in case.bills.by_hour(case.weighed).items()}
    marks = {LABELS[name]: hours for name, hours in case.crossings.items()}
    return draw_hours(title, lines, marks, hours_now=traffic.usage_hours_per_day)


def _next(q: CostsQuestion) -> list[NextStep]:
    """The comparison with a dense model, or with a mixture of experts."""
    if model_of(q.model).architecture.experts:
        return [_beside(q, "whether a dense model takes less", moe_model=q.model)]
    return [_beside(q, "whether experts take less", dense_model=q.model)]


def _beside(q: CostsQuestion, why: str, **model: str) -> NextStep:
    """The comparison with the guide's other model; without adapters and cache where that does not take them."""
    step = following(q, MoeQuestion, why, **model)
    try:
        MoeQuestion.model_validate(step.arguments)
    except ValidationError:
        return following(q, MoeQuestion, why, overrides=of_any_model(q), **model)
    return step


TOOL = Tool(
    title="Compare costs",
    description=(
        "GPUs for a day's requests and their bill: on demand, reserved, owned or by API, and break-even "
        "hours. For rent or buy; for latency, plan_parallelism."
    ),
    question=CostsQuestion,
    answer=CostsAnswer,
    run=compare_costs,
    example={"model": "70B", "requests_per_day": 50_000},
)
