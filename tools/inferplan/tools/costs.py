"""How many GPUs does this traffic need, and is it cheaper to rent, to reserve, to own or to call an API?"""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferplan.catalog.models import MODELS
from inferplan.core.units import HOURS_PER_DAY, MILLI, MONTHS_PER_YEAR
from inferplan.tools import _words as words
from inferplan.tools._arguments import (
    GpuName,
    Gpus,
    Hours,
    InputTokens,
    ModelName,
    OutputTokens,
    PrecisionName,
    Requests,
)
from inferplan.tools._assumptions import Ledger
from inferplan.tools._bills import OptionName, crossings, monthly_bills, price_problem, take_rates
from inferplan.tools._draw_costs import Bill, Crossing, draw_costs
from inferplan.tools._fleet import Fleet, Traffic, fleet_problem, smallest_fleet
from inferplan.tools._serving import SETTINGS, Serving, serving
from inferplan.tools._tool import Answer, NextStep, Question, Tool
from inferplan.tools._words_costs import Case, formula, lacks_units, reason, summarize

LABELS: dict[OptionName, str] = {
    "on_demand": "on-demand",
    "reserved_1yr": "1-year",
    "reserved_3yr": "3-year",
    "own": "own",
    "api": "API",
}


class CostsQuestion(Question):
    """A model, the requests of a day, and the hours within which all of them come."""

    settings = (*SETTINGS, "demand", "prices")

    model: ModelName
    requests_per_day: Requests
    usage_hours_per_day: Hours = HOURS_PER_DAY
    compliance_required: bool = Field(default=False, description="Own hardware only.")
    precision: PrecisionName = "fp8"
    gpu: GpuName = "h100-sxm"
    total_gpus: Gpus | None = Field(default=None, description="At least this many.")
    input_tokens: InputTokens = 500
    output_tokens: OutputTokens = 500

    @model_validator(mode="after")
    def _can_be_answered(self) -> "CostsQuestion":
        ledger = self.ledger()
        on = self.serving(ledger)
        problem = price_problem(ledger, on.gpu, must_own=self.compliance_required)
        if problem is None and self.fleet(on, ledger) is None:
            problem = fleet_problem(on, self.traffic)
        if problem:
            raise ValueError(problem)
        return self

    def fleet(self, on: Serving, ledger: Ledger) -> Fleet | None:
        """The fewest GPUs for the traffic, but no fewer than `total_gpus`."""
        return smallest_fleet(on, self.traffic, ledger, at_least=self.total_gpus or 0)

    @property
    def traffic(self) -> Traffic:
        """What the fleet is sized for."""
        return Traffic(
            requests_per_day=self.requests_per_day,
            usage_hours_per_day=self.usage_hours_per_day,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
        )

    def serving(self, ledger: Ledger) -> Serving:
        """The model on its GPU."""
        return serving(ledger, model=self.model, precision=self.precision, gpu=self.gpu, quiet=True)


class CostOption(BaseModel):
    """One way to pay. `best` marks the cheapest; tokens count input and output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: OptionName
    monthly_usd: float
    annual_usd: float
    usd_per_million_tokens: float
    best: bool


class Breakeven(BaseModel):
    """Hours a day below which on-demand is cheaper; null where the two never meet within 24 hours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_demand_vs_reserved_1yr_hours: float | None
    on_demand_vs_reserved_3yr_hours: float | None
    on_demand_vs_own_hours: float | None
    cheaper_all_day: dict[str, str] = Field(description="By option that never meets on-demand: the cheaper one.")


class CostsAnswer(Answer):
    """The fleet, its bills and where they cross."""

    gpus_per_instance: int
    instances: int
    total_gpus: int
    checkpoint_gpus: int | None = Field(description="For a size class: GPUs that the model it stands for takes.")
    demand_tokens_per_s: float = Field(description="Output tokens, busiest hour.")
    tokens_per_s_per_instance: float = Field(description="Output tokens at a full batch.")
    batch: int = Field(description="Requests that an instance runs at once.")
    tpot_ms: float = Field(description="Time per output token at that batch.")
    fleet_utilization_percent: float
    options: list[CostOption]
    breakeven: Breakeven
    recommended: OptionName
    why: str


def compare_costs(q: CostsQuestion) -> CostsAnswer:
    """Size the fleet for a day's requests and compare renting, reserving, owning and an API."""
    ledger = q.ledger()
    on = q.serving(ledger)
    fleet = q.fleet(on, ledger)
    if fleet is None:
        raise ValueError(fleet_problem(on, q.traffic))
    rates = take_rates(ledger, on.gpu, on.model)
    case = Case(
        on=on,
        traffic=q.traffic,
        compliance_required=q.compliance_required,
        fleet=fleet,
        rates=rates,
        monthly=monthly_bills(rates, q.traffic, gpus=fleet.gpus),
        crossings=crossings(rates),
        checkpoint_gpus=_checkpoint_gpus(q, on),
    )
    _note_corrections(case, ledger)
    return _answer(q, case, ledger)


def _checkpoint_gpus(q: CostsQuestion, on: Serving) -> int | None:
    """GPUs for the same traffic on the checkpoint that a size class stands for; None for a checkpoint itself."""
    stands_for = on.model.stands_for
    if stands_for is None or stands_for not in MODELS:
        return None
    ledger = q.ledger()
    real = serving(ledger, model=stands_for, precision=q.precision, gpu=q.gpu, quiet=True)
    fleet = q.fleet(real, ledger)
    return fleet and fleet.gpus


def _answer(q: CostsQuestion, case: Case, ledger: Ledger) -> CostsAnswer:
    """Everything that was computed, as results show it."""
    fleet, instance = case.fleet, case.fleet.instance
    return CostsAnswer(
        summary=summarize(case),
        diagram=_diagram(case),
        gpus_per_instance=instance.layout.replica,
        instances=fleet.count,
        total_gpus=fleet.gpus,
        checkpoint_gpus=case.checkpoint_gpus,
        demand_tokens_per_s=round(fleet.demand, 3 if fleet.demand >= 1 else 6),
        tokens_per_s_per_instance=round(instance.service.tokens_per_s, 1),
        batch=instance.batch,
        tpot_ms=round(instance.service.tpot_s / MILLI, 1),
        fleet_utilization_percent=round(100 * fleet.busy, 1),
        options=[_option(case, name) for name in case.monthly],
        breakeven=_breakeven(case),
        recommended=case.recommended,
        why=reason(case),
        formula=list(formula(case)),
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=_next(q),
    )


def _option(case: Case, name: OptionName) -> CostOption:
    """One row of the cost table."""
    monthly, per_million = case.monthly[name], case.usd_per_million_tokens[name]
    return CostOption(
        name=name,
        monthly_usd=_to_cents(monthly),
        annual_usd=_to_cents(monthly * MONTHS_PER_YEAR),
        usd_per_million_tokens=round(per_million, 4 if per_million >= 1 else 6),
        best=name == case.best,
    )


def _to_cents(usd: float) -> float:
    """Money to the cent; small change to a millionth."""
    return round(usd, 2 if usd >= 1 else 6)


def _breakeven(case: Case) -> Breakeven:
    """The crossings, to a few microseconds."""
    hours = {name: None if at is None else round(at, 8) for name, at in case.crossings.items()}
    return Breakeven(
        on_demand_vs_reserved_1yr_hours=hours["reserved_1yr"],
        on_demand_vs_reserved_3yr_hours=hours["reserved_3yr"],
        on_demand_vs_own_hours=hours.get("own"),
        cheaper_all_day=case.cheaper_all_day,
    )


def _note_corrections(case: Case, ledger: Ledger) -> None:
    """What a reader of the guide would not expect, where it changes the answer."""
    on, hours = case.on, case.traffic.usage_hours_per_day
    guide = "; the guide's are unphysical" if on.model.is_size_class else ""
    rate = on.band("offline")
    trust = f"half of published runs within x{1 / rate.high:.2f} to x{1 / rate.low:.2f}"
    ledger.note("throughput", "fitted roofline", why=f"{trust}{guide}")
    if hours < HOURS_PER_DAY:
        ledger.note("busy_hours", hours, unit="h", why="all requests fall within them; the guide spreads them over 24")
    if case.recommended == "own":
        why = "at them owning ($1,471 a GPU-month) never beats 3-year reserved ($1,080)"
        ledger.note("guide_rates", "not used", why=why)
    if lacks_units(on):
        why = f"no {on.precision.title} units: products run in 16 bit"
        ledger.note("arithmetic", "weight-only", why=why)


def _diagram(case: Case) -> str:
    """Monthly bars to scale, and the hours at which on-demand stops being cheaper."""
    traffic, fleet = case.traffic, case.fleet
    load = f"{words.count(traffic.requests_per_day, 'request')} in {traffic.usage_hours_per_day:g} h"
    served = f"{case.on.model.title}, {case.on.precision.title}, {load}"
    title = f"USD a month: {served}: {fleet.gpus:,} x {case.on.gpu.id}"
    bills = [Bill(label=LABELS[name], usd=usd, best=name == case.best) for name, usd in case.monthly.items()]
    marks = [Crossing(label=LABELS[name], hours=hours) for name, hours in case.crossings.items()]
    return draw_costs(title, bills, marks, hours_now=traffic.usage_hours_per_day)


def _next(q: CostsQuestion) -> list[NextStep]:
    """The last step of the workflow."""
    return [
        NextStep(
            tool="compare_moe_dense",
            arguments={"dense_model": q.model, "precision": q.precision},
            why="dense or experts?",
        ),
    ]


TOOL = Tool(
    step=4,
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
