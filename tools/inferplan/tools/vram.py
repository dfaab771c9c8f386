"""How much GPU memory does serving this model take, and which GPUs hold it?"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from operator import not_
from typing import ClassVar, cast

from pydantic import Field, model_validator

from inferplan.catalog.asked_gpus import gpu_of, shown_gpu
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GUIDE_MENU
from inferplan.core.engine import EngineName
from inferplan.core.units import GB, GIB
from inferplan.tools._arguments import (
    ANY,
    USUAL_GPU,
    ContextWindow,
    EngineChoice,
    GpuName,
    Gpus,
    KvPrecisionName,
    Milliseconds,
    ModelName,
    PrecisionName,
    Users,
    as_released,
    refuse_pace,
    turn,
)
from inferplan.tools._assumptions import Ledger
from inferplan.tools._comparison_questions import QuantizationQuestion
from inferplan.tools._figures import exact_gb
from inferplan.tools._following import following, in_version
from inferplan.tools._models import HALF, cache_reason, is_original, note_release
from inferplan.tools._planner_question import GPUS_THAT_HOLD, ParallelismQuestion
from inferplan.tools._settings import TAKEN
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, NextStep, Question, Tool, absent
from inferplan.tools.serving.assumed_context import note_context
from inferplan.tools.serving.evidence import memory_evidence
from inferplan.tools.serving.latency import Latency, Pace
from inferplan.tools.serving.launch import launch
from inferplan.tools.serving.launch_layout import is_beyond_one_command
from inferplan.tools.serving.refusals import refuse, refuse_cache
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import FIRST, is_usual, note_node, note_share, serving
from inferplan.tools.sizing.changes import Change, changes
from inferplan.tools.sizing.draw import draw_need
from inferplan.tools.sizing.need import Fit, Need, fit, is_larger
from inferplan.tools.sizing.rows import (
    GpuMemory,
    HardwareRow,
    Remedy,
    detailed,
    gpu_memory,
    hardware_row,
    remedy,
    rounded,
)
from inferplan.tools.sizing.words import allocated, summary
from inferplan.tools.sizing.words_formula import formula

SMALLER, LARGER = "q4_k_m", "q8_0"
"""The GGUF formats that are compared with one another: of those that people load, the usual small and large one."""
OTHERS = 3
"""Other GPU types in the table where GPUs or a latency are given."""


class VramQuestion(Question):
    """A model in a format, the sessions that it serves at once, and the context of each."""

    tool = "estimate_vram"
    settings = TAKEN[tool]

    model: ModelName
    precision: PrecisionName = as_released("fp16")
    kv_precision: KvPrecisionName | None = None
    concurrent_users: Users = 1
    context_window: ContextWindow = 8192
    gpu: GpuName = USUAL_GPU
    total_gpus: Gpus | None = None
    engine: EngineChoice = "vllm"
    max_ttft_ms: Milliseconds | None = None
    max_tpot_ms: Milliseconds | None = None

    @model_validator(mode="after")
    def _runs(self) -> "VramQuestion":
        """Refuse what the engine does not run, and a TPOT limit where answers have one token."""
        refuse_pace(turn(self.context_window, None, None)[1], self.max_tpot_ms)
        on = self.serving(self.ledger(), self.gpu, quiet=True)
        refuse_cache(on, self.kv_precision, engines=True)
        refuse(on, engines=True)
        return self

    @cached_property
    def pace(self) -> Pace | None:
        """The latency asked for and the turn that it is measured on; None where none is asked for."""
        latency = Latency.of_ms(self.max_ttft_ms, self.max_tpot_ms)
        tokens_in, tokens_out = turn(self.context_window, None, None)
        return Pace(latency=latency, input_tokens=tokens_in, output_tokens=tokens_out) if latency else None

    def serving(self, ledger: Ledger, gpu: str, *, quiet: bool = False) -> Serving:
        """The model on a GPU type; `quiet` lists only the assumptions that the caller changed."""
        return serving(
            ledger,
            model=self.model,
            precision=self.precision,
            gpu=gpu,
            kv_precision=self.kv_precision,
            engine=cast("EngineName", self.engine),
            quiet=quiet,
            pace=self.pace,
            timed=self.pace is not None or self.engine == "llama.cpp",
            context=self.context_window,
        )


class VramAnswer(Answer):
    """Weights, KV cache and overhead, and the GPUs that hold them."""

    _gives_way: ClassVar[Mapping[str, int]] = {"changes": 2, "formula": 1, "next_steps": 1, "assumptions": 2}
    _room: ClassVar[Room] = Room(pieces=1175, characters=3420)

    fits: bool | None = Field(description="Whether the GPUs take all users, in time; null where not known.")
    weights_gb: float
    kv_cache_gb: float
    overhead_gb: float
    total_gb: float
    total_gib: float
    kv_bytes_per_token: int
    kv_gb_per_user: float = Field(description="By architecture.")
    engine_kv_gb_per_user: float | None = Field(
        exclude_if=absent, description="Where the engine allocates more for it, on all its GPUs."
    )
    dominant: str = Field(description="weights or kv_cache.")
    gpu_gib: GpuMemory | None = Field(description="The busiest GPU of `gpu`. [GiB]")
    hardware: list[HardwareRow] = Field(
        description="`gpu` and the guide's types; with `total_gpus` or a latency the three best that take all users."
    )
    changes: list[Remedy] = Field(
        default_factory=list,
        exclude_if=not_,
        description="Each single change that makes it fit.",
    )
    launch: str | None = Field(description="Command that starts one replica.")


def estimate_vram(q: VramQuestion) -> VramAnswer:
    """Size the memory to serve a model, part by part, and hold it against GPUs."""
    ledger = q.ledger()
    note_release(ledger, q.model, q.precision)
    need = need_of(q, ledger)
    servings = (need.on if gpu == q.gpu else q.serving(ledger, gpu, quiet=True) for gpu in _menu(q.gpu))
    fits = [fit(need, on, q.total_gpus) for on in servings]
    here = next(one for one in fits if one.gpu.id == q.gpu)
    note_share(ledger, here.on.utilization(here.tightest.layout))
    note_node(ledger, here.on, max(here.by_formula, here.tightest.layout.gpus))
    remedies = _remedies(q, here, fits)
    shown = _shown(q, here, fits)
    _note_refused(shown, ledger)
    return VramAnswer(
        summary=" ".join(summary(need, fits, remedies, limit=q.total_gpus)),
        diagram=draw_need(need),
        fits=here.fits,
        weights_gb=exact_gb(need.weights),
        kv_cache_gb=exact_gb(need.kv_cache),
        overhead_gb=exact_gb(need.overhead),
        total_gb=exact_gb(need.total),
        total_gib=round(need.total / GIB, 6),
        kv_bytes_per_token=round(need.kv_per_token),
        kv_gb_per_user=exact_gb(need.kv_per_user),
        engine_kv_gb_per_user=rounded(allocated(need, here), GB),
        dominant=need.dominant,
        gpu_gib=gpu_memory(here),
        hardware=[hardware_row(one, **(detailed(one) if one is here else {})) for one in shown],
        changes=[remedy(one) for one in remedies],
        launch=_command(here, q, ledger),
        formula=list(formula(need, here)),
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=_next(q, here, remedies),
    )


def need_of(q: VramQuestion, ledger: Ledger) -> Need:
    """The memory that a question asks about, with its assumptions in the ledger."""
    need = Need(
        on=q.serving(ledger, q.gpu),
        users=q.concurrent_users,
        context=q.context_window,
        overhead_fraction=ledger.take("overhead_fraction"),
        own_cache=q.kv_precision is not None,
        assumed_turn=0 if q.context_given else sum(turn(q.context_window, None, None)),
    )
    if need.assumed_turn:
        note_context(ledger, need.on, need.context, need.short)
    _note_cache(q, need, ledger)
    _note_rules(need, ledger)
    _note_pace(need, ledger)
    return need


def _remedies(q: VramQuestion, here: Fit, fits: Sequence[Fit]) -> list[Change]:
    """Each single change that makes it fit; none where it fits, or where what the engine takes is not known."""
    if here.holds or here.on.not_modelled:
        return []
    larger = [one.on for one in fits if is_larger(one.gpu, here.gpu)]
    return list(changes(here, larger, overrides=q.overrides))


def _note_rules(need: Need, ledger: Ledger) -> None:
    """List how far the engine's memory rules are off, with vLLM's version where that is the default."""
    evidence, on = memory_evidence(need.on), need.on
    if on.engine.name == "vllm" and not ledger.given("engine_version"):
        ledger.take("engine_version", on.engine.version, why=evidence if is_usual(on) else FIRST)
    else:
        ledger.note("memory_rules", on.engine_name, why=evidence)


def _note_refused(shown: Sequence[Fit], ledger: Ledger) -> None:
    """List the GPU types of the table on which the engine does not load the format."""
    if refused := [one for one in shown if one.on.refusal]:
        on = refused[0].on
        why = f"{on.engine_name} does not load {on.precision.title} there"
        ledger.note("no_deployment_on", ", ".join(shown_gpu(one.gpu) for one in refused), why=why)


def _note_pace(need: Need, ledger: Ledger) -> None:
    """List the turn whose latency is asked for, and the error band of its estimate."""
    if (pace := need.on.pace) is None:
        return
    band = need.on.band("ttft" if pace.latency.tpot_s is None else "tpot")
    why = f"the turn timed; half of {band.n:,} published runs{band.where} within {band.percent}"
    if need.on.engine.name == "llama.cpp" and need.users > 1:
        why += ", none of them a server's with several users"
    ledger.note("request", f"{pace.input_tokens} in, {pace.output_tokens} out", unit="tokens", why=why)


def _command(here: Fit, q: VramQuestion, ledger: Ledger) -> str | None:
    """The command that starts a replica; of a size class that of its checkpoint. None where there is none."""
    here = here.real or here
    if here.placed is None or not here.users or is_beyond_one_command(here.on, here.placed.layout):
        return None
    users = min(q.concurrent_users, here.users)
    on = (here.on, here.placed.layout)
    return launch(*on, context=q.context_window, users=users, ledger=ledger, kv_precision=q.kv_precision)


def _note_cache(q: VramQuestion, need: Need, ledger: Ledger) -> None:
    """List the bits of a cached element and who decided them, where the caller did not."""
    if not q.kv_precision and not need.model.is_size_class:
        why = cache_reason(need.model, need.precision)
        ledger.note("kv_cache_element", f"{need.on.kv_bits:g} bit", why=why)


def _menu(chosen: str) -> list[str]:
    """Ids of the guide's six GPUs and the one asked for, smallest memory first."""
    return sorted({*GUIDE_MENU, chosen}, key=lambda id_: (gpu_of(id_).memory, id_))


def _shown(q: VramQuestion, here: Fit, fits: Sequence[Fit]) -> list[Fit]:
    """The GPU types of the table: all, or where GPUs or a latency are given the one asked for and the best others."""
    if q.total_gpus is None and q.pace is None:
        return list(fits)
    serving = sorted((one for one in fits if one.holds and one is not here), key=_gpus)[:OTHERS]
    return [one for one in fits if one is here or one in serving]


def _gpus(one: Fit) -> int:
    """The GPUs of a deployment, 0 without one."""
    return one.placed.layout.gpus if one.placed else 0


def _next(q: VramQuestion, here: Fit, remedies: Sequence[Change]) -> list[NextStep]:
    """Quantization where the weights have 16 bits or more, else the layout; under llama.cpp another format of it.

    The layout as well where the planner may choose another, or where more GPUs would do. Where the engine runs nothing
    here, what it does run, if anything.
    """
    if q.engine == "llama.cpp":
        return list(_next_file(q, here, remedies))
    is_wide = FORMATS[q.precision].bits_per_weight >= HALF
    picked = here.has_rivals or here.on.pace is not None
    steps: list[NextStep] = []
    if is_wide:
        steps.append(following(q, QuantizationQuestion, "fewer bits, fewer GPUs?", precision=None))
    if here.on.other_version:
        return [*steps, in_version(q, VramQuestion, here.on.other_version)]
    if here.on.lacks_kernels:
        return [*steps, following(q, ParallelismQuestion, "GPU types that run it", gpu=ANY, total_gpus=None)]
    if here.on.needs_fp32:
        return [following(q, VramQuestion, "the format that it runs in", precision="fp32")]
    if here.on.not_modelled:
        return steps or [following(q, QuantizationQuestion, "the memory of its formats", precision=None)]
    more = next((one.arguments["total_gpus"] for one in remedies if "total_gpus" in one.arguments), None)
    if more:
        steps.append(following(q, ParallelismQuestion, GPUS_THAT_HOLD, total_gpus=more))
    elif picked or not is_wide:
        why = "a layout picked for speed" if picked else "its layout and speed"
        steps.append(following(q, ParallelismQuestion, why))
    return steps


def _next_file(q: VramQuestion, here: Fit, remedies: Sequence[Change]) -> Iterator[NextStep]:
    """The same under llama.cpp: a format or another change with which it fits, else a smaller or larger GGUF file.

    None beside the few bits that a model was released in, of which more lose no less. The comparison of formats is of
    engines that plan layouts: it is offered only of a model of which llama.cpp's memory is not known.
    """
    if here.on.not_modelled:
        yield following(q, QuantizationQuestion, "the memory of its formats")
        return
    fitting = next((one for one in remedies if "precision" in one.arguments), next(iter(remedies), None))
    wide = FORMATS[q.precision].bits_per_weight > FORMATS[SMALLER].bits_per_weight
    if fitting:
        yield following(q, VramQuestion, "a change with which it fits, under llama.cpp too", **fitting.arguments)
    elif wide or not is_original(here.on.model, here.on.precision):
        why = "in fewer bits, as most GGUF files are" if wide else "in more bits, which lose less"
        yield following(q, VramQuestion, f"the same {why}", precision=SMALLER if wide else LARGER)


TOOL = Tool(
    title="Estimate GPU memory",
    description=(
        "GPU memory to serve an LLM: weights, KV cache, overhead, the GPUs that hold it and the users they take. "
        "For 'does it fit' and 'how much VRAM'; for layouts plan_parallelism, for one verdict run_preset."
    ),
    question=VramQuestion,
    answer=VramAnswer,
    run=estimate_vram,
    example={"model": "70B", "precision": "fp8", "concurrent_users": 200, "context_window": 8192},
)
