"""The answers of the five tools to one set of controls, and each of them in short."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict

from inferplan.catalog.presets import Preset
from inferplan.tools._forms import Comparison
from inferplan.tools._latency import Latency
from inferplan.tools._serving import Deployment, Serving
from inferplan.tools._ways import Way
from inferplan.tools._words_quantization import summary
from inferplan.tools.costs import CostsAnswer
from inferplan.tools.moe import MoeAnswer
from inferplan.tools.parallelism import ParallelismAnswer
from inferplan.tools.quantization import weights_gb
from inferplan.tools.vram import VramAnswer

SENTENCES = 2
"""Sentences of a summary that a section keeps: the rest is in another section, or one call of its tool away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Controls with the answers of the five tools; `costs` is the reason where there is no bill.

    `given_gpus` is what the caller insists on. `enough` is the plan on as many GPUs as the users need, or `plan`
    again where it serves them or no number of GPUs would. `needed` are the fewest GPUs that serve them, None where
    none do; `ways` are the changes with which fewer would.
    """

    preset: Preset
    controls: Mapping[str, Any]
    latency: Latency
    given_gpus: int | None
    on: Serving
    fewest: Deployment | None
    needed: int | None
    ways: tuple[Way, ...]
    vram: VramAnswer
    quantization: Comparison
    plan: ParallelismAnswer
    enough: ParallelismAnswer
    costs: CostsAnswer | str
    moe: MoeAnswer

    @property
    def late(self) -> bool:
        """Whether the GPUs hold all users, but not in time."""
        return not self.plan.serves_users and self.plan.max_concurrent_users >= self.controls["concurrent_users"]

    @property
    def bill(self) -> CostsAnswer | None:
        """The bill, where there is one."""
        return None if isinstance(self.costs, str) else self.costs


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
    ttft_range_ms: list[float] | None
    tpot_ms: float | None
    tpot_range_ms: list[float] | None
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


def in_short(case: Case) -> Sections:
    """The five answers in short."""
    return Sections(
        vram=_vram(case.vram),
        quantization=_quantization(case.quantization),
        parallelism=_parallelism(case.plan),
        costs=_costs(case),
        moe=_moe(case.moe),
    )


def _vram(answer: VramAnswer) -> VramSection:
    """Memory and its parts."""
    return VramSection(
        summary=_opening(answer.summary, 1),
        total_gb=answer.total_gb,
        weights_gb=answer.weights_gb,
        kv_cache_gb=answer.kv_cache_gb,
        dominant=answer.dominant,
    )


def _quantization(case: Comparison) -> QuantizationSection:
    """Memory by format."""
    return QuantizationSection(
        summary=" ".join(islice(summary(case), SENTENCES)),
        memory_gb={form.precision.id: weights_gb(form) for form in case.forms},
    )


def _parallelism(answer: ParallelismAnswer) -> ParallelismSection:
    """The layout, what it holds and how fast it is."""
    return ParallelismSection(
        summary=_opening(answer.summary),
        fits=answer.fits,
        strategy=answer.strategy,
        tp=answer.tp,
        pp=answer.pp,
        dp=answer.dp,
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
    best = bill and next(option for option in bill.options if option.name == bill.recommended)
    return CostsSection(
        summary=costs if isinstance(costs, str) else _opening(costs.summary),
        recommended=best and best.name,
        total_gpus=bill and bill.total_gpus,
        monthly_usd=best and best.monthly_usd,
        annual_usd=best and best.annual_usd,
        usd_per_million_tokens=best and best.usd_per_million_tokens,
    )


def _moe(answer: MoeAnswer) -> MoeSection:
    """Both ratios, and the GPUs of both models."""
    return MoeSection(
        summary=_opening(answer.summary),
        compute_ratio=answer.compute_ratio,
        memory_ratio=answer.memory_ratio,
        dense_gpus=answer.dense.gpus,
        moe_gpus=answer.moe.gpus,
    )


def _opening(paragraph: str, sentences: int = SENTENCES) -> str:
    """The first sentences of a paragraph."""
    return " ".join(re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)[:sentences])
