"""How much GPU memory does serving this model take, and which GPUs hold it?"""

from pydantic import BaseModel, ConfigDict, Field

from inferplan.catalog.gpus import GPUS, GUIDE_MENU
from inferplan.core.units import GB, GIB
from inferplan.tools._arguments import ContextWindow, GpuName, KvPrecisionName, ModelName, PrecisionName, Users
from inferplan.tools._assumptions import Ledger
from inferplan.tools._draw_vram import draw_need
from inferplan.tools._need import Fit, Need, fit
from inferplan.tools._serving import Deployment, Serving, serving
from inferplan.tools._tool import Answer, NextStep, Question, Tool
from inferplan.tools._words_vram import formula, summary

REFERENCE_GPU = "h100-sxm"


class VramQuestion(Question):
    """A model in a format, the sessions that it serves at once, and the context that each holds."""

    settings = ("overhead", "memory", "layout")

    model: ModelName
    precision: PrecisionName = "fp16"
    kv_precision: KvPrecisionName | None = None
    concurrent_users: Users = 1
    context_window: ContextWindow = 8192
    gpu: GpuName = REFERENCE_GPU

    def serving(self, ledger: Ledger, gpu: str, *, quiet: bool = False) -> Serving:
        """The model on a GPU."""
        return serving(
            ledger, model=self.model, precision=self.precision, gpu=gpu, kv_precision=self.kv_precision, quiet=quiet
        )


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
    deploy: Placed | None = Field(description="Smallest legal deployment, null where none can run or is known.")
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
    need = Need(
        on=q.serving(ledger, q.gpu),
        users=q.concurrent_users,
        context=q.context_window,
        overhead_fraction=ledger.take("overhead_fraction"),
    )
    _note_cache(q, need, ledger)
    fits = [fit(need, need.on if gpu == q.gpu else q.serving(ledger, gpu, quiet=True)) for gpu in _menu(q.gpu)]
    return VramAnswer(
        summary=" ".join(summary(need, fits)),
        diagram=draw_need(need),
        weights_gb=_exact_gb(need.weights),
        kv_cache_gb=_exact_gb(need.kv_cache),
        overhead_gb=_exact_gb(need.overhead),
        total_gb=_exact_gb(need.total),
        total_gib=round(need.total / GIB, 6),
        kv_bytes_per_token=round(need.kv_per_token),
        kv_gb_per_user=_exact_gb(need.kv_per_user),
        dominant="weights" if need.weights >= need.kv_cache else "kv_cache",
        hardware=[_row(one) for one in fits],
        formula=list(formula(need)),
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=_next(q),
    )


def _note_cache(q: VramQuestion, need: Need, ledger: Ledger) -> None:
    """What the cache is stored in and by whose rules, which the reader may not expect."""
    if q.kv_precision:
        return
    if need.model.is_size_class:
        why = f"the guide's cache for {need.precision.title}; kv_precision changes it"
    else:
        why = f"{need.on.engine_name} keeps the cache in the model's 16-bit type unless told otherwise"
    ledger.note("kv_cache_element", f"{need.on.kv_bits:g} bit", why=why)


def _exact_gb(value: float) -> float:
    """Bytes as decimal gigabytes, exact to the byte."""
    return round(value / GB, 9)


def _menu(chosen: str) -> list[str]:
    """The guide's six GPUs and the one asked for, smallest first."""
    return sorted({*GUIDE_MENU, chosen}, key=lambda id_: (GPUS[id_].memory, id_))


def _row(one: Fit) -> HardwareRow:
    """A GPU type as results show it."""
    return HardwareRow(
        gpu=one.gpu.id,
        memory_gib=round(one.gpu.memory / GIB, 2),
        gpus_by_formula=one.by_formula,
        nodes_by_formula=one.nodes_by_formula,
        fit="single_gpu" if one.by_formula == 1 else "single_node" if one.nodes_by_formula == 1 else "multi_node",
        deploy=_placed(one.placed) if one.placed else None,
        max_concurrent_users=one.users,
    )


def _placed(deployment: Deployment) -> Placed:
    """A deployment as results show it."""
    layout = deployment.layout
    return Placed(gpus=layout.gpus, nodes=deployment.nodes, tp=layout.tp, pp=layout.pp, dp=layout.dp)


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
