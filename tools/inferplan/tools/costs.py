"""How many GPUs does this traffic need, and is it cheaper to rent, to reserve, to own or to call an API?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import not_
from typing import Any, ClassVar

from pydantic import Field, model_validator

from inferplan.catalog.asked_gpus import shown_gpu
from inferplan.catalog.asked_models import model_of
from inferplan.catalog.models import MODELS
from inferplan.core.units import HOURS_PER_DAY, MILLI, MONTHS_PER_YEAR
from inferplan.tools._arguments import (
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
from inferplan.tools._comparison_questions import MoeQuestion
from inferplan.tools._figures import to_digits
from inferplan.tools._following import following
from inferplan.tools._models import note_checkpoint, note_release
from inferplan.tools._settings import TAKEN
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, NextStep, Part, Question, Tool, absent
from inferplan.tools.money.bills import Bills, worth_showing
from inferplan.tools.money.case import Case
from inferplan.tools.money.draw import draw_hours
from inferplan.tools.money.fleet import Request, Yard, fleet_problem, instances, on_gpu, take_traffic
from inferplan.tools.money.gpu_ranking import Scope
from inferplan.tools.money.rates import LABELS, OptionName, machine, price_problem, take_rates
from inferplan.tools.money.words import formula, reason, summary
from inferplan.tools.serving.latency import Latency
from inferplan.tools.serving.refusals import refuse, refuse_cache
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import UNCACHED, chosen_cache, note_node, serving

WHOLE_DOLLARS = 1000
"""Yearly bills from which cents are left out. [USD]"""
USUAL_REQUESTS, REQUESTS_PER_USER = 50_000, 1000
"""Of the guide's production preset, and of each of its 50 users: next steps ask for them where a question tells of no
requests. [requests/day]"""


class CostsQuestion(Question):
    """A model, the requests of a day, and the hours within which all of them come."""

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
        """What every instance is sized for."""
        return Request(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            latency=Latency.of_ms(self.max_ttft_ms, self.max_tpot_ms),
        )

    def yard(self, on: Serving, ledger: Ledger) -> Yard:
        """The instances to build the fleet of: for the traffic, but no fewer GPUs than `total_gpus`."""
        traffic = take_traffic(
            ledger, requests=self.requests_per_day, hours=self.usage_hours_per_day, request=self.request
        )
        return Yard(
            instances=instances(on, self.request),
            traffic=traffic,
            machine=machine(ledger, on.gpu),
            at_least=self.total_gpus or 0,
        )

    def serving(self, ledger: Ledger) -> Serving:
        """The model on its GPU."""
        return serving(ledger, model=self.model, precision=self.precision, gpu=self.gpu, quiet=True)

    def served(self, model: str) -> Serving:
        """A model on that GPU, whatever of the overrides it takes."""
        return on_gpu(model_of(model), self.precision, self.gpu, self.settings, self.overrides)

    def scope(self, on: Serving, *, own: bool) -> Scope:
        """What other GPUs are compared for."""
        return Scope(
            model=on.model,
            precision=self.precision,
            gpu=self.gpu,
            groups=self.settings,
            overrides=self.overrides,
            own=own,
        )


def _optional(nothing: Callable[[Any], bool] = absent, **described: Any) -> Any:
    """A field that is left out where there is nothing to say."""
    return Field(default=None, exclude_if=nothing, **described)


class CostOption(Part):
    """One way to pay; tokens count input and output. Spot, which can be taken back, where it is the cheapest."""

    name: OptionName
    monthly_usd: float
    annual_usd: float
    usd_per_million_tokens: float
    best: bool = Field(description="The cheapest.")
    assumed: bool | None = _optional(not_, description="Its price is an assumption: nobody quotes it.")


class Breakeven(Part):
    """Hours a day beyond which the other option is cheaper, on the fleet that those hours need; null: never met.

    Below, the hourly one is; but against an API, or with staff, steps of the fleet may turn that again.
    """

    on_demand_vs_reserved_1yr_hours: float | None
    on_demand_vs_reserved_3yr_hours: float | None
    on_demand_vs_own_hours: float | None
    on_demand_vs_api_hours: float | None = _optional()
    spot_hours: dict[str, float | None] | None = _optional(not_, description="Spot against each other option.")
    cheaper_all_day: dict[str, str] | None = _optional(
        not_, description="By option that never meets on-demand: the cheaper."
    )
    api_requests_per_day: float | None = _optional(
        description="Requests a day up to which the API is cheaper than the cheapest fleet."
    )


class CostsAnswer(Answer):
    """The fleet, its bills and where they cross."""

    _gives_way: ClassVar[Mapping[str, int]] = {
        "payback_months": 0,
        "cheapest_gpus": 1,
        "sensitivity": 0,
        "next_steps": 0,
        "formula": 1,
        "assumptions": 7,
    }
    _room: ClassVar[Room] = Room(pieces=1182, characters=3330)

    gpus_per_instance: int
    instances: int
    total_gpus: int
    checkpoint_gpus: int | None = _optional(description="For a size class: GPUs that the model it stands for takes.")
    demand_tokens_per_s: float = Field(description="Output tokens, busiest hour.")
    tokens_per_s_per_instance: float = Field(description="Output tokens at a full batch.")
    batch: int = Field(description="Requests that an instance runs at once.")
    ttft_ms: float | None = _optional(description="Time to the first token at that batch.")
    tpot_ms: float | None = _optional(description="Time per further token at that batch.")
    options: list[CostOption]
    breakeven: Breakeven
    recommended: OptionName = Field(description="The cheapest, but spot only with spot_allowed; own for compliance.")
    why: str | None = _optional(description="Where it is not the cheapest.")
    compliance_usd: float | None = _optional(description="A month, above the cheapest.")
    usd_per_user_month: float | None = _optional(description="Recommended option; with requests_per_user_per_day.")
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
    return _answer(q, billed(q, ledger), ledger)


def billed(q: CostsQuestion, ledger: Ledger) -> Case:
    """The fleet and its bills, with all that is assumed of them; what is said of them is computed when asked for."""
    on = q.serving(ledger)
    note_checkpoint(ledger, on.model, on.precision)
    yard = q.yard(on, ledger)
    bills = Bills(rates=take_rates(ledger, on.gpu, on.model), yard=yard)
    case = Case(
        on=on,
        bills=bills,
        fleet=yard.fleet,
        monthly=worth_showing(bills.now, spot=bills.rates.spot_allowed),
        compliance_required=q.compliance_required,
        requests_per_user=_requests_per_user(ledger),
        checkpoint_gpus=_checkpoint_gpus(q, yard, on.model.stands_for),
        scope=q.scope(on, own=q.compliance_required),
    )
    note_node(ledger, on, case.fleet.instance.layout.replica)
    _note_corrections(case, ledger)
    return case


def _requests_per_user(ledger: Ledger) -> float | None:
    """Requests of one user on a day, where the caller says so."""
    return ledger.take("requests_per_user_per_day") if ledger.given("requests_per_user_per_day") else None


def _checkpoint_gpus(q: CostsQuestion, yard: Yard, stands_for: str | None) -> int | None:
    """GPUs for the same traffic on the checkpoint that a size class stands for; None for a checkpoint itself."""
    if stands_for is None or stands_for not in MODELS:
        return None
    real = replace(yard, instances=instances(q.served(stands_for), yard.traffic.request))
    return real.gpus(q.requests_per_day, q.usage_hours_per_day) if real.instances else None


def _answer(q: CostsQuestion, case: Case, ledger: Ledger) -> CostsAnswer:
    """Everything that was computed, as results show it."""
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
        breakeven=_breakeven(case),
        recommended=case.recommended,
        why=reason(case),
        compliance_usd=_to_cents(case.premium) if case.compliance_required else None,
        usd_per_user_month=case.usd_per_user_month and _to_cents(case.usd_per_user_month),
        payback_months={name: round(months, 1) for name, months in case.payback.items()},
        cheapest_gpus={one.gpu: _to_cents(one.monthly_usd) for one in case.ranked},
        sensitivity={one.input: [_to_cents(one.low_usd), _to_cents(one.high_usd)] for one in case.swings},
        formula=list(formula(case)),
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=_next(q),
    )


def options(case: Case) -> list[CostOption]:
    """The cost table."""
    return [_option(case, name) for name in case.monthly]


def _option(case: Case, name: OptionName) -> CostOption:
    """One row of the cost table."""
    monthly, per_million = case.monthly[name], case.usd_per_million_tokens[name]
    return CostOption(
        name=name,
        monthly_usd=_to_cents(monthly),
        annual_usd=_to_dollars(monthly * MONTHS_PER_YEAR),
        usd_per_million_tokens=to_digits(per_million, 4),
        best=name == case.best,
        assumed=case.bills.rates.assumed(name),
    )


def _to_cents(usd: float) -> float:
    """Money to the cent; small change to a millionth."""
    return round(usd, 2 if usd >= 1 else 6)


def _to_dollars(usd: float) -> float:
    """Money to the dollar, from a thousand of them on."""
    return round(usd) if usd >= WHOLE_DOLLARS else _to_cents(usd)


def _breakeven(case: Case) -> Breakeven:
    """The crossings, to a few microseconds."""
    hours = {name: at and round(at, 6) for name, at in case.crossings.items()}
    spot = {name: at and round(at, 6) for name, at in case.spot_crossings.items()}
    return Breakeven(
        on_demand_vs_reserved_1yr_hours=hours.get("reserved_1yr"),
        on_demand_vs_reserved_3yr_hours=hours.get("reserved_3yr"),
        on_demand_vs_own_hours=hours.get("own"),
        on_demand_vs_api_hours=hours.get("api"),
        spot_hours=spot,
        cheaper_all_day=case.cheaper_all_day,
        api_requests_per_day=case.api_requests and round(case.api_requests, 1),
    )


def _note_corrections(case: Case, ledger: Ledger) -> None:
    """What a reader of the guide would not expect, where it changes the answer."""
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
    """Every bill against the hours of use."""
    traffic, fleet = case.traffic, case.fleet
    title = f"{case.on.model.title}, {fleet.gpus:,} x {shown_gpu(case.on.gpu)}, USD a month by hours a day"
    lines = {LABELS[name]: usd for name, usd in case.bills.by_hour(case.weighed).items()}
    marks = {LABELS[name]: hours for name, hours in case.crossings.items()}
    return draw_hours(title, lines, marks, hours_now=traffic.usage_hours_per_day)


def _next(q: CostsQuestion) -> list[NextStep]:
    """The last step of the workflow."""
    if model_of(q.model).architecture.experts:
        return [following(q, MoeQuestion, "whether a dense model takes less", moe_model=q.model)]
    return [following(q, MoeQuestion, "whether experts take less", dense_model=q.model)]


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
