"""The answers of the five tools to one set of controls, and each of them in short."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import Field

from inferplan.catalog.presets import Preset
from inferplan.tools._assumptions import Assumption
from inferplan.tools._figures import exact_gb
from inferplan.tools._tool import Part, absent
from inferplan.tools.costs import CostsQuestion
from inferplan.tools.experts import words as words_moe
from inferplan.tools.layouts.ways import Way
from inferplan.tools.moe import Pair
from inferplan.tools.money import words as words_costs
from inferplan.tools.money.case import Case as CostCase
from inferplan.tools.money.rows import CostOption
from inferplan.tools.number_formats import words as words_quantization
from inferplan.tools.number_formats.forms import Comparison
from inferplan.tools.parallelism import ParallelismAnswer, ParallelismQuestion
from inferplan.tools.serving.latency import Latency
from inferplan.tools.serving.serving import Deployment, Serving
from inferplan.tools.sizing import words as words_vram
from inferplan.tools.sizing.need import Need, fit
from inferplan.tools.vram import VramQuestion, estimate_vram

_BREAK = re.compile(r"(?<=[.!?]) (?=[A-Z])")
SENTENCES = 2
"""Sentences of a summary that a section keeps; its tool gives all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """The question that the bill answers, the case behind it, its options as rows, and its assumptions."""

    question: CostsQuestion
    case: CostCase
    options: list[CostOption]
    assumptions: list[Assumption]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """The controls, with what the five tools make of them; `costs` is the reason where there is no bill.

    `given_gpus` is what the caller insists on. `layout` is the question of the layout; `sizing` the one whose memory
    `need` is, under the assumptions `assumed`. `enough` is the plan on as many GPUs as the users need; `plan` again
    where that serves them, or no number does. `needed` is the fewest GPUs that serve them, None where none do; `ways`
    are the changes with which fewer would.
    """

    preset: Preset
    controls: Mapping[str, Any]
    latency: Latency
    given_gpus: int | None
    on: Serving
    fewest: Deployment | None
    needed: int | None
    ways: tuple[Way, ...]
    layout: ParallelismQuestion
    sizing: VramQuestion
    need: Need
    assumed: list[Assumption]
    quantization: Comparison
    plan: ParallelismAnswer
    enough: ParallelismAnswer
    costs: Bill | str
    moe: Pair

    @property
    def late(self) -> bool:
        """Whether the GPUs hold all users, but not in time."""
        return not self.plan.serves_users and self.plan.users_held >= self.controls["concurrent_users"]

    @property
    def traffic_gpus(self) -> int:
        """GPUs of the fleet for a day's requests, where those are more than serve the users; else 0."""
        fleet = self.bill.case.fleet if self.bill else None
        return fleet.gpus if fleet and fleet.busy_gpus > self.enough.gpus_used else 0

    @property
    def bill_is_of_others(self) -> bool:
        """Whether the bill is that of more GPUs than those given, which do not serve the users."""
        return bool(self.bill and self.bill.case.fleet.gpus > self.plan.gpus_used)

    @property
    def bill(self) -> Bill | None:
        """The bill; None where there is none."""
        return None if isinstance(self.costs, str) else self.costs


class VramSection(Part):
    """Section 1 in short."""

    summary: str
    total_gb: float
    weights_gb: float
    kv_cache_gb: float
    dominant: str


class QuantizationSection(Part):
    """Section 2 in short: memory of the weights by format."""

    summary: str
    memory_gb: dict[str, float]


class ParallelismSection(Part):
    """Section 3 in short."""

    summary: str
    fits: bool | None
    strategy: str
    tp: int
    pp: int
    dp: int
    ep: int | None = Field(default=None, exclude_if=absent)
    gpus_used: int
    nodes: int
    max_concurrent_users: int | None
    ttft_ms: float | None
    ttft_range_ms: list[float] | None
    tpot_ms: float | None
    tpot_range_ms: list[float] | None
    tokens_per_s: float | None

    @property
    def users(self) -> int:
        """Users that fit in time; 0 where not known."""
        return self.max_concurrent_users or 0


class CostsSection(Part):
    """Section 4 in short; null, and the summary says why, where a price is missing."""

    summary: str
    recommended: str | None
    total_gpus: int | None
    monthly_usd: float | None
    annual_usd: float | None
    usd_per_million_tokens: float | None
    usd_per_user_month: float | None = Field(default=None, exclude_if=absent)


class MoeSection(Part):
    """Section 5 in short."""

    summary: str
    compute_ratio: float
    memory_ratio: float
    dense_gpus: int
    moe_gpus: int


class Sections(Part):
    """The five sections, each with its summary and headline numbers."""

    vram: VramSection
    quantization: QuantizationSection
    parallelism: ParallelismSection
    costs: CostsSection
    moe: MoeSection


def in_short(case: Case) -> Sections:
    """The five sections of a case."""
    return Sections(
        vram=_vram(case),
        quantization=_quantization(case.quantization),
        parallelism=_parallelism(case.plan),
        costs=_costs(case),
        moe=_moe(case.moe),
    )


def _vram(case: Case) -> VramSection:
    """Memory and its parts."""
    need = case.need
    return VramSection(
        summary=_memory(case),
        total_gb=exact_gb(need.total),
        weights_gb=exact_gb(need.weights),
        kv_cache_gb=exact_gb(need.kv_cache),
        dominant=need.dominant,
    )


def _memory(case: Case) -> str:
    """The sentence on memory; where the GPUs given hold no session, the one that says why."""
    question, need = case.sizing, case.need
    if question.total_gpus and fit(need, need.on, question.total_gpus).placed is None:
        return _opening([estimate_vram(question).summary], 1)
    return words_vram.memory_sentence(need)


def _quantization(case: Comparison) -> QuantizationSection:
    """The weights by format."""
    return QuantizationSection(
        summary=" ".join(islice(words_quantization.summary(case), SENTENCES)),
        memory_gb={form.precision.id: exact_gb(form.weights) for form in case.forms},
    )


def _parallelism(answer: ParallelismAnswer) -> ParallelismSection:
    """The layout, what it holds and how fast it is."""
    return ParallelismSection(
        summary=_opening([answer.summary]),
        fits=answer.fits,
        strategy=answer.strategy,
        tp=answer.tp,
        pp=answer.pp,
        dp=answer.dp,
        ep=answer.ep if answer.ep > 1 else None,
        gpus_used=answer.gpus_used,
        nodes=answer.nodes,
        max_concurrent_users=answer.max_concurrent_users,
        ttft_ms=answer.ttft_ms,
        ttft_range_ms=answer.ttft_range_ms,
        tpot_ms=answer.tpot_ms,
        tpot_range_ms=answer.tpot_range_ms,
        tokens_per_s=answer.tokens_per_s,
    )


def _costs(case: Case) -> CostsSection:
    """The recommended bill, or why there is none."""
    costs, bill = case.costs, case.bill
    best = bill and next(option for option in bill.options if option.name == bill.case.recommended)
    return CostsSection(
        summary=costs if isinstance(costs, str) else _opening(islice(words_costs.summary(costs.case), SENTENCES)),
        recommended=best and best.name,
        total_gpus=bill and bill.case.fleet.gpus,
        monthly_usd=best and best.monthly_usd,
        annual_usd=best and best.annual_usd,
        usd_per_million_tokens=best and best.usd_per_million_tokens,
        usd_per_user_month=bill and bill.case.usd_per_user_month and round(bill.case.usd_per_user_month, 4),
    )


def _moe(pair: Pair) -> MoeSection:
    """Both ratios, and the GPUs of both models."""
    return MoeSection(
        summary=_opening(words_moe.summary(pair.dense, pair.moe)),
        compute_ratio=pair.compute_ratio,
        memory_ratio=pair.memory_ratio,
        dense_gpus=pair.dense.on.gpus_by_weights,
        moe_gpus=pair.moe.on.gpus_by_weights,
    )


def _opening(paragraph: Iterable[str], most: int = SENTENCES) -> str:
    """The first sentences of a paragraph; one that begins in lower case belongs to the one before it."""
    said = ""
    for sentence in paragraph:
        parts = _BREAK.split(f"{said} {sentence}".lstrip())
        said = " ".join(parts[:most])
        if len(parts) > most:
            break
    return said
