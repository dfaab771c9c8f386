"""Plans as rows of an answer: stages, runners-up, collectives, latency and throughput, rounded and with units."""

from collections.abc import Iterator
from math import inf
from typing import TypedDict

from pydantic import Field

from inferplan.core.parallelism import Layout, Strategy, idle_stages, stage_ranges
from inferplan.core.units import MB, MILLI
from inferplan.tools._figures import to_digits
from inferplan.tools._tool import Part, absent
from inferplan.tools.layouts.demand import Plan
from inferplan.tools.layouts.plans import ALTERNATIVES, Case
from inferplan.tools.layouts.search import Offer, Search
from inferplan.tools.layouts.words_aims import loses
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.words_speed import range_ms

STAGES = 4
"""Stages whose layers are listed; of more, the first ones and the last."""


class CollectiveRow(Part):
    """Megabytes and milliseconds, of a decode step, where there is one, and of a prompt."""

    what: str
    mb: list[int | float]
    ms: list[int | float]


class Alternative(Part):
    """Another legal layout of the same GPUs; or, of all types, the best of another type and what it costs to rent."""

    gpu: str | None = Field(exclude_if=absent)
    usd_per_hour: float | None = Field(exclude_if=absent)
    tp: int
    pp: int
    dp: int
    ep: int = Field(exclude_if=lambda ranks: ranks == 1)
    gpus_used: int
    max_concurrent_users: int | None
    ttft_ms: float | None = Field(exclude_if=absent, description="Where an aim is stated.")
    tpot_ms: float | None = Field(exclude_if=absent)
    tokens_per_s: float | None
    loses: str | None = Field(exclude_if=absent, description="What it lacks for the aim; what more than that.")

    @property
    def users(self) -> int:
        """Users that it takes in time; 0 where not known."""
        return self.max_concurrent_users or 0


class LayoutFields(TypedDict):
    """The fields of an answer that state a layout, whether the GPUs hold it or not."""

    min_gpus: int
    tp: int
    pp: int
    dp: int
    ep: int
    strategy: Strategy
    stages: list[str]


class SpeedFields(TypedDict):
    """The fields of an answer that state latency and throughput; None where they are not known."""

    ttft_ms: float | None
    ttft_range_ms: list[float] | None
    tpot_ms: float | None
    tpot_range_ms: list[float] | None
    tokens_per_s: float | None
    tokens_per_s_per_user: float | None
    max_tokens_per_s: float | None


NO_SPEED = SpeedFields(
    ttft_ms=None,
    ttft_range_ms=None,
    tpot_ms=None,
    tpot_range_ms=None,
    tokens_per_s=None,
    tokens_per_s_per_user=None,
    max_tokens_per_s=None,
)


def layout_fields(on: Serving, layout: Layout) -> LayoutFields:
    """The degrees of a layout, its pipeline stages, and the GPUs that the weights alone take."""
    return LayoutFields(
        min_gpus=on.gpus_by_weights,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.data,
        ep=experts_over(on, layout),
        strategy=layout.strategy,
        stages=stages(on, layout),
    )


def speed_fields(on: Serving, plan: Plan) -> SpeedFields:
    """Latency and throughput of a plan, with the ranges that half of published runs lie in. [ms, tokens/s]"""
    service, tpot, most = plan.service, plan.tpot_s, plan.most_tokens_per_s
    return SpeedFields(
        ttft_ms=ttft_ms(plan),
        ttft_range_ms=range_ms(service.ttft_s, on.band("ttft")) if service else None,
        tpot_ms=tpot_ms(plan),
        tpot_range_ms=None if tpot is None else range_ms(tpot, on.band("tpot")),
        tokens_per_s=tokens_per_s(plan),
        tokens_per_s_per_user=None if tpot is None else round(1 / tpot, 1),
        max_tokens_per_s=None if most is None else round(most, 1),
    )


def alternatives(case: Case, found: Search | None) -> list[Alternative]:
    """The runners-up: other layouts of the same GPUs, or after a search the best of the other GPU types."""
    if found:
        rent = found.offers[0].rent or inf
        return [_alternative(case, one.plan, one, (one.rent or 0) - rent) for one in found.others]
    listed = case.first(ALTERNATIVES + 1) if case.demand.is_aimed else case.plans
    others = [plan for plan in listed if plan is not case.chosen]
    return [_alternative(case, plan) for plan in others[:ALTERNATIVES]]


def _alternative(case: Case, plan: Plan, offer: Offer | None = None, dearer: float = 0) -> Alternative:
    """The row of a runner-up; an `offer` adds GPU type and rent, `dearer` is how much more that is. [USD/hour]"""
    layout = plan.layout
    return Alternative(
        gpu=offer and offer.gpu,
        usd_per_hour=offer and offer.usd_per_hour,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.data,
        ep=experts_over(case.on, layout),
        gpus_used=layout.gpus,
        max_concurrent_users=None if plan.is_untimed else plan.in_time,
        ttft_ms=ttft_ms(plan) if case.demand.is_aimed or plan.load.is_single else None,
        tpot_ms=tpot_ms(plan),
        tokens_per_s=tokens_per_s(plan),
        loses=loses(case, plan, dearer=dearer) if case.demand.is_aimed else None,
    )


def collective_rows(plan: Plan) -> Iterator[CollectiveRow]:
    """A row for each collective: megabytes and milliseconds in a decode step, if any, and in a prefill."""
    if (replica := plan.replica) is None:
        return
    for passes in zip(*plan.passes, strict=True):
        yield CollectiveRow(
            what=passes[0].what,
            mb=[_digits(one.bytes / MB) for one in passes],
            ms=[_digits(replica.collective_s(one) / MILLI) for one in passes],
        )


def _digits(value: float) -> float:
    """A figure to three significant digits, whole from 100 on."""
    return round(value) if value >= 100 else to_digits(value, 3)


def ttft_ms(plan: Plan) -> float | None:
    """Time to the first token, to a tenth of a millisecond; None where not timed. [ms]"""
    return round(plan.service.ttft_s / MILLI, 1) if plan.service else None


def tpot_ms(plan: Plan) -> float | None:
    """Time per output token after the first, to a hundredth of a millisecond; None where there is none. [ms]"""
    return None if plan.tpot_s is None else round(plan.tpot_s / MILLI, 2)


def tokens_per_s(plan: Plan) -> float | None:
    """Output throughput, to a tenth of a token; None where not timed. [tokens/s]"""
    return None if plan.tokens_per_s is None else round(plan.tokens_per_s, 1)


def bubble_percent(plan: Plan) -> float | None:
    """Share of a decode step that pipeline stages idle; None without a pipeline or without decode. [%]"""
    if plan.layout.pp == 1 or plan.load.is_single:
        return None
    return round(100 * idle_stages(plan.layout.pp, plan.batches), 1)


def compared(case: Case) -> int | None:
    """The layouts compared that serve the users; None where none does, or where the search was not exhaustive."""
    demand = case.demand
    return sum(plan.serves for plan in case.plans) or None if demand.is_aimed and demand.aim != "fewest_gpus" else None


def stages(on: Serving, layout: Layout) -> list[str]:
    """The layers of each pipeline stage, `1-63`, `64-126`; of many, the first ones and the last."""
    ranges = [f"{first}-{last}" for first, last in stage_ranges(on.model.architecture.layers, layout.pp)]
    hidden = len(ranges) - STAGES
    return [*ranges[: STAGES - 1], f"{hidden} more", ranges[-1]] if hidden > 1 else ranges
