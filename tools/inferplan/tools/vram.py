"""How much GPU memory does serving this model take, and which GPUs hold it?"""

import itertools
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from inferplan.catalog.gpus import GPUS, GUIDE_MENU
from inferplan.catalog.models import MODELS
from inferplan.core import memory
from inferplan.core.architecture import Model
from inferplan.core.hardware import Gpu
from inferplan.core.precision import Precision
from inferplan.core.units import GB, GIB, KB, MILLION, TB
from inferplan.tools import _draw as draw
from inferplan.tools import _words as words
from inferplan.tools._arguments import ContextWindow, GpuName, KvPrecisionName, ModelName, PrecisionName, Users
from inferplan.tools._assumptions import Ledger
from inferplan.tools._serving import Deployment, Serving, serving
from inferplan.tools._tool import Answer, NextStep, Question, Tool

REFERENCE_GPU = "h100-sxm"
LARGER = 1.1
"""Memory beyond that of the chosen GPU from which another counts as larger: labels differ by less."""


class VramQuestion(Question):
    """A model in a format, the sessions that it serves at once, and the context that each holds."""

    settings = ("overhead", "memory", "layout")

    model: ModelName
    precision: PrecisionName = "fp16"
    kv_precision: KvPrecisionName | None = None
    concurrent_users: Users = 1
    context_window: ContextWindow = 8192
    gpu: GpuName = REFERENCE_GPU


class Placed(BaseModel):
    """The smallest legal deployment that the engine can run for this load."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpus: int
    nodes: int
    tp: int
    pp: int
    dp: int


class HardwareRow(BaseModel):
    """One GPU type: what memory alone asks for, and what the engine's rules give."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu: str
    memory_gib: float
    gpus_by_formula: int
    nodes_by_formula: int
    fit: str = Field(description="single_gpu, single_node or multi_node, by memory alone.")
    deploy: Placed | None = Field(description="Smallest legal deployment, null where none can run.")
    max_concurrent_users: int = Field(description="Users that `deploy` takes at full context.")


class VramAnswer(Answer):
    """Weights, KV cache and overhead, and the GPUs that hold them."""

    weights_gb: float
    kv_cache_gb: float
    overhead_gb: float
    total_gb: float
    total_gib: float
    kv_bytes_per_token: int
    kv_gb_per_user: float
    dominant: str = Field(description="weights or kv_cache.")
    hardware: list[HardwareRow]


def estimate_vram(q: VramQuestion) -> VramAnswer:
    """Size the memory to serve a model, part by part, and hold it against GPUs."""
    ledger = q.ledger()
    case = _Case(q, ledger)
    rows = [_row(case, gpu) for gpu in _menu(q.gpu)]
    return VramAnswer(
        summary=_summary(case, rows),
        diagram=_diagram(case),
        weights_gb=exact_gb(case.weights),
        kv_cache_gb=exact_gb(case.kv_cache),
        overhead_gb=exact_gb(case.overhead),
        total_gb=exact_gb(case.total),
        total_gib=round(case.total / GIB, 6),
        kv_bytes_per_token=round(case.kv_per_token),
        kv_gb_per_user=exact_gb(case.kv_per_token * q.context_window),
        dominant="weights" if case.weights >= case.kv_cache else "kv_cache",
        hardware=[row for _, row in rows],
        formula=list(_formula(case)),
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=_next(q),
    )


class _Case:
    """The quantities of one question, in bytes."""

    def __init__(self, q: VramQuestion, ledger: Ledger) -> None:
        self.q = q
        self.ledger = ledger
        self.main = serving(ledger, model=q.model, precision=q.precision, gpu=q.gpu, kv_precision=q.kv_precision)
        self.model: Model = self.main.model
        self.precision: Precision = self.main.precision
        self.fraction = ledger.take("overhead_fraction")
        self.weights = memory.weights(self.model, self.precision).total
        self.kv_per_token = memory.kv_bytes_per_token(self.model.architecture, kv_bits=self.main.kv_bits)
        self.kv_cache = memory.kv_cache(self.kv_per_token, tokens=q.context_window, sequences=q.concurrent_users)
        self.overhead = memory.overhead(self.weights, self.kv_cache, fraction=self.fraction)
        self.total = self.weights + self.kv_cache + self.overhead
        _notes(self)

    def on(self, gpu: str) -> Serving:
        """The same model, format and assumptions on another GPU."""
        if gpu == self.q.gpu:
            return self.main
        q = self.q
        return serving(
            self.ledger, model=q.model, precision=q.precision, gpu=gpu, kv_precision=q.kv_precision, quiet=True
        )


def _notes(case: _Case) -> None:
    """The facts that the reader may not expect: what the cache is stored in, and by whose rules."""
    bits = f"{case.main.kv_bits:g} bit"
    if case.q.kv_precision:
        return
    if not case.model.is_size_class:
        why = f"{case.main.engine_name} keeps the cache in the model's 16-bit type unless told otherwise"
    else:
        why = f"the guide's cache for {case.precision.title}; kv_precision changes it"
    case.ledger.note("kv_cache_element", bits, why=why)


def exact_gb(value: float) -> float:
    """Bytes as decimal gigabytes, exact to the byte."""
    return round(value / GB, 9)


def _menu(chosen: str) -> list[str]:
    """The guide's six GPUs and the one asked for, smallest first."""
    return sorted({*GUIDE_MENU, chosen}, key=lambda id_: (GPUS[id_].memory, id_))


def _row(case: _Case, gpu_id: str) -> tuple[Deployment | None, HardwareRow]:
    """One GPU type held against the need, by formula and by the engine's rules."""
    here = case.on(gpu_id)
    gpu = here.gpu
    by_formula = memory.devices_for(case.total, gpu.memory)
    placed = here.for_users(case.q.concurrent_users, case.q.context_window)
    row = HardwareRow(
        gpu=gpu.id,
        memory_gib=round(gpu.memory / GIB, 2),
        gpus_by_formula=by_formula,
        nodes_by_formula=-(-by_formula // here.node_size),
        fit="single_gpu" if by_formula == 1 else "single_node" if by_formula <= here.node_size else "multi_node",
        deploy=_placed(placed) if placed else None,
        max_concurrent_users=placed.users if placed else 0,
    )
    return placed, row


def _placed(deployment: Deployment) -> Placed:
    """A deployment as results show it."""
    layout = deployment.layout
    return Placed(gpus=layout.gpus, nodes=deployment.nodes, tp=layout.tp, pp=layout.pp, dp=layout.dp)


def _formula(case: _Case) -> Iterator[str]:
    """The arithmetic with the numbers put in."""
    q, attention = case.q, case.model.architecture.attention
    params = case.model.total_params
    kv_bytes = case.main.kv_bits / 8
    yield f"weights    {_weights_line(case, params)} = {case.weights / GB:,.1f} GB"
    yield (
        f"per token  2 x {case.model.architecture.layers} layers x {attention.kv_heads} KV heads x "
        f"{attention.head_dim} x {kv_bytes:g} B = {case.kv_per_token:,.0f} B"
    )
    yield (
        f"KV cache   {case.kv_per_token:,.0f} B x {q.context_window:,} tokens x "
        f"{words.count(q.concurrent_users, 'user')} = {case.kv_cache / GB:,.1f} GB"
    )
    yield (
        f"overhead   {case.fraction:.0%} of ({case.weights / GB:,.1f} + {case.kv_cache / GB:,.1f}) GB"
        f" = {case.overhead / GB:,.1f} GB"
    )
    yield f"total      = {case.total / GB:,.1f} GB = {case.total / GIB:,.1f} GiB"


def _weights_line(case: _Case, params: int) -> str:
    """How the weights come about: by name for a size class, by tensor class for a checkpoint."""
    if case.model.is_size_class:
        return f"{params:,} parameters x {case.precision.nominal_bits / 8:g} B"
    parts, form = case.model.parameters, case.precision
    if form.scope == "all":
        return f"{params:,} parameters x {form.bits_per_weight:g} bit"
    return (
        f"{parts.linear:,} linear x {form.bits_per_weight:g} bit + "
        f"{parts.total - parts.linear:,} others x {form.rest_bits:g} bit"
    )


def _summary(case: _Case, rows: list[tuple[Deployment | None, HardwareRow]]) -> str:
    """The paragraph to paste into a design document."""
    q, main = case.q, case.main
    load = f"{words.count(q.concurrent_users, 'concurrent user')} with {q.context_window:,}-token contexts"
    share = case.kv_cache / (case.weights + case.kv_cache)
    who = "The KV cache dominates" if share > 0.5 else "The weights dominate"
    sentences = [
        (
            f"Serving {_named(case.model)} in {case.precision.title} to {load} takes about {words.gb(case.total)} "
            f"({words.gib(case.total)}) of GPU memory: {words.gb(case.weights)} of weights, "
            f"{words.gb(case.kv_cache)} of KV cache and {words.gb(case.overhead)} of overhead."
        ),
        f"{who}: each user at full context holds {words.gb(case.kv_per_token * q.context_window)} of cache.",
        _deploy_sentence(case, next(pair for pair in rows if pair[1].gpu == main.gpu.id)),
    ]
    return " ".join([*sentences, *_other_gpus(rows, main.gpu), *_caveats(case)])


def _named(model: Model) -> str:
    """A size class with its article; a checkpoint by its title."""
    return f"a {model.id}-class model" if model.is_size_class else model.title


def _deploy_sentence(case: _Case, pair: tuple[Deployment | None, HardwareRow]) -> str:
    """What the engine really needs on the chosen GPU, and how that differs from the planning total."""
    deployment, row = pair
    gpu, engine = case.main.gpu, case.main.engine_name
    if deployment is None:
        return f"No legal layout of {gpu.title} GPUs holds it under {engine}'s rules."
    layout = deployment.layout
    where = words.count(layout.gpus, "GPU")
    if layout.gpus > 1:
        degrees = words.layout(layout.tp, layout.pp, layout.dp)
        where += f" on {words.count(deployment.nodes, 'node')} ({degrees})"
    text = (
        f"By memory alone that is {words.devices(row.gpus_by_formula, gpu.title)}; the smallest legal {engine} "
        f"deployment for this load is {where}, which takes "
        f"{words.count(row.max_concurrent_users, 'user')} at full context"
    )
    return text + "."


def _other_gpus(rows: list[tuple[Deployment | None, HardwareRow]], chosen: Gpu) -> Iterator[str]:
    """The same deployment on the larger GPUs of the menu, in one sentence."""
    larger = [
        f"{words.devices(row.deploy.gpus, GPUS[row.gpu].title)}"
        for _, row in rows
        if row.deploy and GPUS[row.gpu].memory > LARGER * chosen.memory
    ]
    if larger:
        yield f"Larger GPUs: {words.join(larger)}."


def _caveats(case: _Case) -> Iterator[str]:
    """Where the nominal size class and a real checkpoint part ways; where the context outgrows the model."""
    limit = case.model.architecture.max_positions
    if case.q.context_window > limit and not case.model.is_size_class:
        yield f"The model was trained for contexts up to {limit:,} tokens."
    real = MODELS.get(case.model.stands_for or "")
    if real is not None:
        actual = memory.weights(real, case.precision).total
        if abs(actual - case.weights) > 0.02 * case.weights:
            kept = ": embeddings and head stay in 16 bit" if case.precision.scope == "linear" else ""
            yield f"A real {case.precision.title} checkpoint of {real.title} weighs {words.gb(actual)}{kept}."


def _diagram(case: _Case) -> str:
    """A stacked bar to scale, and the GPUs that memory alone asks for under it."""
    width = 46
    unit, scale = _scale(case.total)
    full = draw.nice_ceiling(case.total / scale)
    what = f"{case.model.id if case.model.is_size_class else case.model.title}, {case.precision.title},"
    load = f"{words.count(case.q.concurrent_users, 'user')} x {case.q.context_window:,} tokens"
    lines = [*draw.wrap_items([what, load], draw.WIDTH, separator=" "), ""]
    start = 0.0
    for name, part in (("weights", case.weights), ("KV cache", case.kv_cache), ("overhead", case.overhead)):
        picture = draw.bar(part / scale, full, width, start=start / scale)
        lines.append(f"{name:<9} |{picture}| {part / scale:>9,.1f} {unit} {part / case.total:>4.0%}")
        start += part
    lines.append(f"{'':<10} {draw.axis(full, width, unit, ticks=4)}")
    return "\n".join([*lines, _devices_line(case, scale / width * full)])


def _scale(total: float) -> tuple[str, float]:
    """The decimal unit in which the total has at most five digits before the point. [unit, B]"""
    units = (("GB", GB), ("TB", TB), ("PB", TB * KB))
    return next((pair for pair in units if total < 100_000 * pair[1]), ("EB", TB * MILLION))


def _devices_line(case: _Case, column: float) -> str:
    """Under the bar, one bracket per GPU while they can be told apart; `column` is what one stands for. [B]"""
    gpu = case.main.gpu
    needed = memory.devices_for(case.total, gpu.memory)
    columns = gpu.memory / column
    parts = [words.devices(needed, gpu.title), "by memory alone,", f"of {gpu.memory / GB:.1f} GB each"]
    note = "\n".join(f"{'':<11}{line}" for line in draw.wrap_items(parts, draw.WIDTH - 11, separator=" "))
    if columns < 4 or 11 + round(needed * columns) >= draw.WIDTH:
        return note
    edges = [round(i * columns) for i in range(needed + 1)]
    brackets = "".join("'" + "-" * (right - left - 1) for left, right in itertools.pairwise(edges)) + "'"
    return f"{'':<11}{brackets}\n{note}"


def _next(q: VramQuestion) -> list[NextStep]:
    """Quantization first, then the layout."""
    same = {"model": q.model, "gpu": q.gpu}
    load = {"concurrent_users": q.concurrent_users, "context_window": q.context_window}
    return [
        NextStep(tool="compare_quantization", arguments={**same, **load}, why="fewer bits, fewer GPUs?"),
        NextStep(
            tool="plan_parallelism",
            arguments={**same, "precision": q.precision, **load},
            why="the layout, its latency and throughput",
        ),
    ]


TOOL = Tool(
    step=1,
    title="Estimate GPU memory",
    description=(
        "GPU memory to serve an LLM: weights, KV cache, overhead, the GPUs that hold it and the users they take. "
        "For 'does it fit' and 'how much VRAM'; for latency plan_parallelism, for one verdict run_preset."
    ),
    question=VramQuestion,
    answer=VramAnswer,
    run=estimate_vram,
    example={"model": "70B", "precision": "fp8", "concurrent_users": 200, "context_window": 8192},
)
