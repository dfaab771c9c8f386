"""What does a mixture of experts cost and save beside a dense model?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from inferplan.catalog.asked_models import shown_id
from inferplan.catalog.formats import FORMATS
from inferplan.core import memory
from inferplan.core.units import GB, GIGA
from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools._comparison_questions import MoeQuestion
from inferplan.tools._figures import to_digits
from inferplan.tools._following import following
from inferplan.tools._models import note_checkpoint
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, NextStep, Part, Tool, absent
from inferplan.tools.costs import USUAL_REQUESTS, CostsQuestion
from inferplan.tools.experts.draw import Portrait, draw_pair
from inferplan.tools.experts.words import FEW, MANY, Side, compute_ratio, crossover, formula, relative, summary
from inferplan.tools.money.unit_cost import take_rent
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import serving

BATCHES = (FEW, 8, MANY, 128, 512)
"""Batch sizes of the decode steps compared, from one user to a busy server. [sequences]"""
READ = 4
"""Significant digits of the bytes read: as many as a router that is not uniform leaves."""
SESSION_TOKENS = 8192
"""Context of the one session that a deployment has to hold, unless the model takes only less. [tokens]"""

Better = Literal["dense", "moe", "equal"]


def _none(number: int) -> bool:
    """Whether a count is zero, so that the field is left out."""
    return number == 0


class Contestant(Part):
    """One of the two models: what is loaded, what computes a token, and the GPUs that hold it."""

    model: str
    precision: str | None = Field(default=None, exclude_if=absent, description="Where the two are in two formats.")
    total_params: int
    active_params: int = Field(description="Input embedding and output head counted.")
    active_percent: float
    gflop_per_token: float = Field(description="2 x active parameters, but an embedding that is looked up.")
    experts: int = Field(exclude_if=_none, description="Routed experts per layer.")
    active_experts: int = Field(exclude_if=_none)
    memory_gb: float
    gpus: int = Field(description="GPUs by weights alone.")
    deploy_gpus: int | None = Field(description="Usual legal deployment, null where none can run.")
    usd_per_million_tokens: float | None = Field(
        default=None,
        exclude_if=absent,
        description="500 in, 500 out, on GPUs rented on demand, or else owned, as busy as `utilization` plans.",
    )


class Batches(Part):
    """Weights that a decode step reads for each of its sequences, batch by batch."""

    batch: list[int]
    dense_gb_per_token: list[float]
    moe_gb_per_token: list[float]
    experts_touched: list[float] | None = Field(
        description="Different ones per layer: of the moe side, or of the dense side where only that one has experts."
    )


class TradeOff(Part):
    """One aspect of both models, in words with units, and which side it favors."""

    aspect: str
    dense: str
    moe: str
    better: Better | None = Field(description="Null where one side is not known.")


class MoeAnswer(Answer):
    """Both models side by side; ratios are moe over dense."""

    _gives_way: ClassVar[Mapping[str, int]] = {"formula": 1, "assumptions": 3, "next_steps": 0}
    _room: ClassVar[Room] = Room(pieces=1110, characters=3330)

    dense: Contestant
    moe: Contestant
    compute_ratio: float = Field(description="Arithmetic per token.")
    memory_ratio: float = Field(description="Weights in memory.")
    params_ratio: float = Field(description="Total parameters.")
    batches: Batches
    crossover_batch: int | None = Field(description="From it on the other side reads less per token; null: never.")
    tradeoffs: list[TradeOff]


def compare_moe_dense(q: MoeQuestion) -> MoeAnswer:
    """Put two models side by side: parameters that are loaded and that compute, memory, GPUs, bytes per step."""
    ledger = q.ledger()
    pair = pair_of(q, ledger)
    dense, moe = pair.dense, pair.moe
    _note_releases(q, ledger, pair)
    _note_limits(ledger, dense, moe)
    return MoeAnswer(
        summary=" ".join(summary(dense, moe)),
        diagram=draw_pair(_portrait(dense), _portrait(moe)),
        dense=_contestant(dense, names_format=pair.is_mixed),
        moe=_contestant(moe, names_format=pair.is_mixed),
        compute_ratio=pair.compute_ratio,
        memory_ratio=pair.memory_ratio,
        params_ratio=round(moe.model.total_params / dense.model.total_params, 6),
        batches=_batches(dense, moe),
        crossover_batch=crossover(dense, moe),
        tradeoffs=list(_tradeoffs(dense, moe)),
        formula=list(formula(dense, moe)),
        assumptions=ledger.entries(),
        inputs=q.inputs(precision=None if pair.is_mixed else moe.on.precision.id),
        next_steps=_next(q, pair),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The two models compared, and their ratios as results show them."""

    dense: Side
    moe: Side

    @property
    def is_mixed(self) -> bool:
        """Whether the two are in different formats."""
        return self.dense.on.precision.id != self.moe.on.precision.id

    @property
    def compute_ratio(self) -> float:
        """Compute per token of the second model over that of the first. [ratio]"""
        return round(compute_ratio(self.dense, self.moe), 6)

    @property
    def memory_ratio(self) -> float:
        """Weights of the second model over those of the first. [ratio]"""
        return round(self.moe.on.weights.total / self.dense.on.weights.total, 6)


def pair_of(q: MoeQuestion, ledger: Ledger) -> Pair:
    """The two models that a question compares, with their assumptions in the ledger."""
    pair = Pair(dense=_side(q, ledger, q.dense_model), moe=_side(q, ledger, q.moe_model))
    for name, side in (("dense_checkpoint", pair.dense), ("moe_checkpoint", pair.moe)):
        note_checkpoint(ledger, side.on.model, side.on.precision, name)
    return pair


def _side(q: MoeQuestion, ledger: Ledger, name: str) -> Side:
    """One model in its format on the GPUs of the question, with its usual deployment and its price."""
    on = serving(ledger, model=name, precision=q.format_of(name), gpu=q.gpu, quiet=True)
    placed = on.for_users(1, _session(on))
    return Side(on=on, placed=placed and placed.layout, rent=take_rent(ledger, on.gpu))


def _session(on: Serving) -> int:
    """The context of the session that a deployment of a model has to hold. [tokens]"""
    return min(SESSION_TOKENS, on.model.architecture.max_positions)


def _note_releases(q: MoeQuestion, ledger: Ledger, pair: Pair) -> None:
    """List the formats that were taken because the models are released in them."""
    for name, side in (("dense_precision", pair.dense), ("moe_precision", pair.moe)):
        if q.precision is None and side.release is not None:
            ledger.note(name, side.on.precision.title, why="as released")


def _note_limits(ledger: Ledger, dense: Side, moe: Side) -> None:
    """List what the comparison assumes: deployment, routing, quality."""
    _note_deployments(ledger, dense.on, moe.on)
    if dense.experts or moe.experts:
        ledger.note("routing", "uniform", why="real routers are skewed and touch fewer")
    if dense.gathered or moe.gathered:
        ledger.note("embedding", "not read", why="a step gathers one row of it for each sequence")
    if bool(dense.experts) != bool(moe.experts):
        why = "the guide credits experts"
        ledger.note("quality", "not computed", why=why)


def _note_deployments(ledger: Ledger, dense: Serving, moe: Serving) -> None:
    """List what the deployments are made for, and why a side has none; once where both have none for one reason."""
    if dense.not_modelled and dense.not_modelled == moe.not_modelled:
        _note_none(ledger, "deploy_gpus", dense)
        return
    tokens = " and ".join(f"{each:,}" for each in dict.fromkeys([_session(dense), _session(moe)]))
    ledger.note("deploy_gpus", "usual layouts", why=f"one session of {tokens} tokens, {moe.engine_name}")
    for name, on in (("dense_deployment", dense), ("moe_deployment", moe)):
        _note_none(ledger, name, on)


def _note_none(ledger: Ledger, name: str, on: Serving) -> None:
    """List why a model has no deployment, where the engine does not run it or its memory is not known."""
    if why := on.not_modelled:
        ledger.note(name, "not known" if on.is_unknown else "none", why=why)


def _contestant(side: Side, *, names_format: bool) -> Contestant:
    """A model as a part of the answer."""
    model, experts = side.model, side.experts
    return Contestant(
        model=shown_id(model),
        precision=side.on.precision.id if names_format else None,
        total_params=model.total_params,
        active_params=model.active_params,
        active_percent=round(100 * side.active_share, 4),
        gflop_per_token=round(side.flop_per_token / GIGA, 3),
        experts=experts.experts if experts else 0,
        active_experts=experts.active if experts else 0,
        memory_gb=round(side.on.weights.total / GB, 6),
        gpus=side.on.gpus_by_weights,
        deploy_gpus=side.placed.gpus if side.placed else None,
        usd_per_million_tokens=side.usd_per_million_tokens,
    )


def _batches(dense: Side, moe: Side) -> Batches:
    """The weights that a decode step reads of each model per sequence, batch by batch."""
    mixture = moe if moe.experts else dense
    touched = [experts for batch in BATCHES if (experts := mixture.touched(batch)) is not None]
    return Batches(
        batch=list(BATCHES),
        dense_gb_per_token=[to_digits(dense.read(batch) / batch / GB, READ) for batch in BATCHES],
        moe_gb_per_token=[to_digits(moe.read(batch) / batch / GB, READ) for batch in BATCHES],
        experts_touched=[round(experts, 1) for experts in touched] or None,
    )


def _tradeoffs(dense: Side, moe: Side) -> Iterator[TradeOff]:
    """The guide's table row by row: compute, memory, deployment, KV cache, quality."""
    flops = [side.flop_per_token for side in (dense, moe)]
    change = relative(compute_ratio(dense, moe))
    yield TradeOff(
        aspect="compute per token",
        dense=f"{words.significant(flops[0] / GIGA)} GFLOP",
        moe=f"{words.significant(flops[1] / GIGA)} GFLOP ({change})",
        better=_lower(*flops),
    )
    weights = [side.on.weights.total for side in (dense, moe)]
    yield TradeOff(
        aspect="weights in memory", dense=words.gb(weights[0]), moe=words.gb(weights[1]), better=_lower(*weights)
    )
    yield TradeOff(
        aspect="usual deployment",
        dense=_deployment(dense),
        moe=_deployment(moe),
        better=_smaller(dense, moe),
    )
    cached = [side.on.kv_bytes_per_token for side in (dense, moe)]
    yield TradeOff(
        aspect="KV cache per token",
        dense=f"{cached[0]:,.0f} B",
        moe=f"{cached[1]:,.0f} B",
        better=_lower(*cached),
    )
    if bool(dense.experts) != bool(moe.experts):
        yield _quality(dense, moe)


def _quality(dense: Side, moe: Side) -> TradeOff:
    """The row on quality: the guide expects more per FLOP of experts."""
    said = ["experts specialize" if side.experts else "every parameter in use" for side in (dense, moe)]
    return TradeOff(aspect="quality per FLOP", dense=said[0], moe=said[1], better="moe" if moe.experts else "dense")


def _smaller(dense: Side, moe: Side) -> Better | None:
    """The side on fewer GPUs: one that can run before one that cannot; None where what either takes is not known."""
    if dense.on.is_unknown or moe.on.is_unknown:
        return None
    return _lower(*(side.placed.gpus if side.placed else float("inf") for side in (dense, moe)))


def _lower(dense: float, moe: float) -> Better:
    """The side with the lower figure, or `equal`."""
    return "equal" if dense == moe else "dense" if dense < moe else "moe"


def _deployment(side: Side) -> str:
    """`24 GPUs, tensor 8 x pipeline 3`, or why there is none."""
    if side.placed is None:
        return "not known" if side.on.is_unknown else "none can run"
    layout = words.degrees(side.placed)
    return f"{side.placed.gpus} GPUs, {layout}" if side.placed.gpus > 1 else layout


def _portrait(side: Side) -> Portrait:
    """A model as the drawing shows it."""
    model, experts = side.model, side.experts
    return Portrait(
        name=side.name,
        memory=words.gb(side.on.weights.total),
        gpus=f"{side.on.gpus_by_weights:,} x {side.on.gpu.title} by memory",
        total=words.params(model.total_params),
        experts=experts.experts if experts else 0,
        chosen=experts.active if experts else 0,
    )


def _next(q: MoeQuestion, pair: Pair) -> list[NextStep]:
    """The same comparison in another format; the bill of the second model, where its tokens have a price."""
    moe = pair.moe
    shared = next((side.release.id for side in (moe, pair.dense) if pair.is_mixed and side.release), None)
    other = "fp8" if shared == "fp8" else "fp16" if q.precision == "int4" else "int4"
    sides = dict.fromkeys([moe.model, pair.dense.model])
    taken = [words.gb(memory.weights(model, FORMATS[other]).total) for model in sides]
    why = f"{'both in ' if pair.is_mixed else ''}{FORMATS[other].title}: {' against '.join(taken)}"
    steps = [following(q, MoeQuestion, why, precision=other)]
    if moe.usd_per_million_tokens:
        same = {"model": moe.model.id, "precision": moe.on.precision.id}
        why = f"its bill at the {USUAL_REQUESTS:,} requests a day of preset production"
        steps.append(following(q, CostsQuestion, why, **same, requests_per_day=USUAL_REQUESTS))
    return steps


TOOL = Tool(
    title="Compare MoE and dense",
    description=(
        "Two models side by side, by default 70B dense and a 745B mixture of experts: active parameters, memory, GPUs, "
        "compute, weights read per batch, trade-offs. To choose between them; for price, compare_costs."
    ),
    question=MoeQuestion,
    answer=MoeAnswer,
    run=compare_moe_dense,
    example={"dense_model": "70B", "moe_model": "745B MoE", "precision": "fp16"},
)
