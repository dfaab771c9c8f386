"""A serving from the arguments of a question: names looked up, the engine's defaults, and the caller's overrides."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import cast

from inferplan.catalog.asked_gpus import gpu_of
from inferplan.catalog.asked_models import model_of
from inferplan.catalog.engines import ENGINES
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.core import engine_memory
from inferplan.core.engine import USUAL, Engine, EngineName
from inferplan.core.engine_memory import RULES, as_run
from inferplan.core.engines import vllm_defaults
from inferplan.core.engines.drafts import draft_share
from inferplan.core.engines.vllm_activation import tunes
from inferplan.core.error_bands import Law, attention_of
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import REST_BITS, Precision
from inferplan.core.serving_laws import AT_ONCE, Options
from inferplan.core.speed.efficiency import Efficiency, Kind, efficiency, kind_of
from inferplan.core.units import GB, MICRO, MILLI
from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import cache_reason, note_checkpoint
from inferplan.tools._settings import settings
from inferplan.tools.serving.adapters import adapter_fields, note_adapted_speed, note_adapters
from inferplan.tools.serving.evidence import may_be_blind, memory_evidence, notable_evidence, note_encoder, note_ngrams
from inferplan.tools.serving.latency import Pace
from inferplan.tools.serving.serving import Serving

DEFAULT = "default"
"""The reason given for a setting of the engine that nobody changed."""
LESS = "SGLang leaves 15 % of what is set to the workspace of AMD's attention"

SPEED: Mapping[str, tuple[tuple[str, ...], float]] = {
    "bandwidth_efficiency": (("bandwidth",), 1),
    "compute_efficiency": (("compute", "half_compute"), 1),
    "attention_compute_efficiency": (("attention_compute", "prompt_attention_compute", "index_compute"), 1),
    "link_efficiency": (("link", "bus"), 1),
    "layer_overhead_us": (("layer_s",), MICRO),
    "all_reduce_latency_us": (("all_reduce_s",), MICRO),
    "sequence_overhead_us": (("sequence_s",), MICRO),
    "prefill_interference": (("prefill_interference",), 1),
    "front_end_ms": (("front_end_s",), MILLI),
    "prompt_queue_slope": (("prompt_queue",), 1),
}
"""By setting of the speed model: the fields of `Efficiency` that it sets, and its unit."""
USUAL_NODE = 8
"""GPUs of a node that answers need not mention."""
EXPERT_SPEED: Mapping[str, tuple[tuple[str, ...], float]] = {
    "expert_compute_efficiency": (("expert_compute",), 1),
    "expert_layer_overhead_us": (("expert_layer_s",), MICRO),
}
"""The same for models with experts."""


def serving(
    ledger: Ledger,
    *,
    model: str,
    precision: str,
    gpu: str,
    kv_precision: str | None = None,
    engine: EngineName | None = None,
    quiet: bool = False,
    pace: Pace | None = None,
    timed: bool = True,
    context: int = 0,
) -> Serving:
    """The serving for names and a ledger, started for contexts of `context` tokens.

    `engine` and `kv_precision` are arguments of some tools; of others they are overrides. `quiet` lists only what the
    caller changed. Where nothing is `timed`, settings of the speed model are not taken, so that they are listed as
    unused.
    """
    chosen = model_of(model)
    if ledger.is_untouched:
        usual = _usual(chosen, precision, gpu, kv_precision, engine or USUAL)
        found = replace(usual, pace=pace) if pace else usual
    else:
        on = (chosen, FORMATS[precision], gpu_of(gpu), engine or chosen_engine(ledger))
        speed, kept = ledger if timed else Ledger({}), kv_precision or chosen_cache(ledger)
        found = _serving(ledger, *on, kv_precision=kept, pace=pace, speed=speed)
    if quiet:
        note_adapted_speed(ledger, found)
    else:
        _note(ledger, found, is_default_cache=not kv_precision, context=context)
    if timed and not (found.engine if quiet else as_run(found.engine, found.precision)).cuda_graphs:
        ledger.note("eager_speed", "not counted", why=WITH_GRAPHS)
    return found


def chosen_engine(ledger: Ledger) -> EngineName:
    """The engine that the overrides choose, or the default."""
    return cast("EngineName", ledger.choose("engine"))


def chosen_cache(ledger: Ledger) -> str | None:
    """The format of the KV cache that the overrides choose; None where they choose none."""
    return ledger.choose("kv_precision") if ledger.given("kv_precision") else None


@lru_cache(maxsize=256)
def _usual(model: Model, precision: str, gpu: str, kv_precision: str | None, engine: EngineName) -> Serving:
    """A serving without overrides, cached."""
    on = (model, FORMATS[precision], gpu_of(gpu), engine)
    return _serving(ledger := Ledger({}), *on, kv_precision=kv_precision, pace=None, speed=ledger)


def _serving(
    ledger: Ledger,
    model: Model,
    form: Precision,
    gpu: Gpu,
    engine: EngineName,
    *,
    kv_precision: str | None,
    pace: Pace | None,
    speed: Ledger,
) -> Serving:
    """A serving under the assumptions of two ledgers, of which `speed` is that of the speed model."""
    kept = KV_FORMATS[kv_precision] if kv_precision else None
    runs = replace(_engine(ledger, engine, model, gpu), head_scale_bytes=kept.head_scale_bytes if kept else 0)
    return Serving(
        model=engine_memory.stored_for(model, engine),
        precision=form,
        gpu=gpu,
        kv_bits=kept.bits if kept else engine_memory.kv_bits_on(model, form, gpu, runs),
        engine=runs,
        efficiency=_efficiency(speed, kind_of(gpu, form, engine), experts=model.architecture.experts is not None),
        node_size=int(ledger.take("gpus_per_node", gpu.node_size, quiet=True)),
        network=speed.take("inter_node_gb_per_s", quiet=True) * GB,
        expert_parallel=not model.architecture.experts or bool(ledger.take("expert_parallel", quiet=True)),
        pace=pace,
        options=_options(speed, model, runs),
    )


def _note(ledger: Ledger, on: Serving, *, is_default_cache: bool, context: int) -> None:
    """List what checkpoint and engine decide, and what no published run or log covers."""
    note_checkpoint(ledger, on.model, on.precision)
    note_adapters(ledger, on)
    if is_default_cache and not on.model.is_size_class and on.kv_bits != REST_BITS:
        ledger.note("kv_cache_element", f"{on.kv_bits:g} bit", why=cache_reason(on.model, on.precision))
    if as_run(on.engine, on.precision) is not on.engine:
        ledger.note("cuda_graphs", 0, why=EAGER)
    if on.is_split_by_layers:
        ledger.note("tensor_parallel", 1, why=UNSLICED.format(ENGINES[on.engine.name].title))
    if on.engine.name == "vllm":
        ledger.take("engine_version", on.engine.version, why=notable_evidence(on) if is_usual(on) else FIRST)
        note_ngrams(ledger, on)
        note_encoder(ledger, on, context)
    if on.engine.name != "vllm" or ENGINES["vllm"].is_newer(on.engine.version):
        ledger.note("memory_rules", on.engine_name, why=memory_evidence(on))
    ledger.take("max_num_seqs", on.engine.max_num_seqs, why=DEFAULT)
    usual = RULES[on.engine.name].default_batching(on.gpu, on.engine.version)[0]
    tokens = on.engine.max_num_batched_tokens
    ledger.take("max_num_batched_tokens", tokens, why=DEFAULT if tokens == usual else NO_FEWER)
    note_share(ledger, on.utilization(Layout()))
    if on.gpu.kind == "unified":
        ledger.note("unified_memory", _lent(on.gpu), why=SHARED_MEMORY)
    if on.gpu.status == "announced":
        ledger.note("announced_gpu", on.gpu.title, why=BEFORE_RELEASE)


NO_FEWER = "vLLM refuses fewer than max_num_seqs"
"""Why steps are longer than the default."""
WITH_GRAPHS = "times and throughput are those with CUDA graphs; without, each kernel is launched on its own"
"""What is not known of an engine that captures none: no published run that speed is fitted on says that it did so."""
EAGER = "vLLM runs LLM.int8() without them, whatever it is told"
"""What `engine_memory.as_run` knows."""
UNSLICED = "{} does not slice what bitsandbytes stored"
"""Source: see `Runnable.is_split_by_layers`."""
FIRST = "the first that has a class for this model"
"""Why a version is assumed that is later than the usual one."""
BEFORE_RELEASE = "figures of before its release; no published run or log is of it"
"""What is known of a GPU that is only announced."""
SHARED_MEMORY = "other programs take of it too: seven KV pools on a DGX Spark were 7 to 31 % smaller"
"""What published logs of vLLM 0.13 to 0.27 on GB10 show against the rules."""


def _lent(gpu: Gpu) -> str:
    """`96 GiB of 125 GiB`: what a serving engine sees of unified memory; `shared` where it sees all."""
    lent, held = words.gib(gpu.engine_memory), words.gib(gpu.memory)
    return f"{lent} of {held} lent to it" if gpu.engine_memory < LENT_IN_FULL * gpu.memory else "shared"


LENT_IN_FULL = 0.9
"""Share of unified memory from which an engine is taken to see all of it."""


def _options(ledger: Ledger, model: Model, engine: Engine) -> Options:
    """How the engine computes prompts and tokens: chunked prefill, prefix cache, speculative decoding."""
    drafted = int(ledger.take("speculative_tokens", quiet=True))
    plain = Options(
        step_tokens=engine.max_num_batched_tokens,
        hit_rate=_hit_rate(ledger, engine),
        at_once=AT_ONCE.get(engine.name, 1),
    )
    if not drafted:
        return plain
    own, share = model.architecture.multi_token, draft_share(model)
    ledger.note("draft", f"{share:.1%} of the model a token", why=OWN_DRAFT if own else FOREIGN_DRAFT)
    return replace(plain, drafted=drafted, acceptance=ledger.take("acceptance_rate"), draft_share=share)


def _hit_rate(ledger: Ledger, engine: Engine) -> float:
    """The share of a prompt found in the prefix cache; 0 where the engine caches none. [fraction]"""
    if engine.prefix_caching:
        return ledger.take("prefix_cache_hit_rate", quiet=True)
    if ledger.given("prefix_cache_hit_rate"):
        ledger.note("prefix_cache_hit_rate", 0, why=UNCACHED)
    return 0


UNCACHED = "no prefix is cached here; prefix_caching=1 has it so"
"""Why a share that the caller gives is not taken."""
OWN_DRAFT = "its own predictor; three published runs, on AMD, gained a fifth to a quarter less"
FOREIGN_DRAFT = "assumed: one further layer; published runs of vLLM gained as much within 8 %, of SGLang less"


def _engine(ledger: Ledger, name: EngineName, model: Model, gpu: Gpu) -> Engine:
    """The engine with its own defaults for this model and GPU, and the caller's settings."""
    usual = max(default_version(), model.vllm_since) if name == "vllm" else None
    version = int((ledger if name == "vllm" else Ledger({})).take("engine_version", usual, quiet=True))
    tokens, sequences = _batching(ledger, name, gpu, version)
    served = Ledger({}) if name == "llama.cpp" else ledger  # whose memory neither graphs nor kept prefixes change
    shares_tokens = name == "vllm" and ENGINES[name].has("context_parallel", version)
    engine = Engine(
        name=name,
        version=version,
        memory_utilization=ledger.take("memory_utilization", 0, quiet=True) or None,
        max_num_seqs=sequences,
        max_num_batched_tokens=tokens,
        cuda_graphs=bool(served.take("cuda_graphs", quiet=True)),
        prefix_caching=bool(served.take("prefix_caching", _default_prefix_caching(name, model, version), quiet=True)),
        windows=name not in LETS_WINDOWS_GO or bool(ledger.take("hybrid_kv_cache", quiet=True)),
        context_parallel=int(ledger.take("decode_context_parallel", quiet=True)) if shares_tokens else 1,
        latent_scales=vllm_defaults.default_latent_scales(gpu, version),
        state_checkpoints=vllm_defaults.default_state_checkpoints(gpu, version),
        drafts=int(ledger.take("speculative_tokens", quiet=True)),
        images=not may_be_blind(name, model, version) or bool(ledger.take("image_inputs", quiet=True)),
        **adapter_fields(ledger, name),
    )
    if name == "vllm" and ledger.given("first_start") and tunes(model.architecture, engine):
        return replace(engine, first_start=bool(ledger.take("first_start", quiet=True)))
    return engine


def _batching(ledger: Ledger, name: EngineName, gpu: Gpu, version: int) -> tuple[int, int]:
    """Tokens of a step, and sequences at once, as given or the engine's default; vLLM refuses more of these than those.

    So its default of either gives way to what is given of the other; both are refused before (`refuse_batching`).

    Source: vLLM 0.5 to 0.33, `SchedulerConfig` ("max_num_batched_tokens must be greater than or equal to max_num_seqs")
    """
    step, most = RULES[name].default_batching(gpu, version)
    if name != "vllm":
        given = (ledger.take("max_num_batched_tokens", step, quiet=True), ledger.take("max_num_seqs", most, quiet=True))
        return int(given[0]), int(given[1])
    least = ledger.take("max_num_seqs", most, quiet=True) if ledger.given("max_num_seqs") else 0
    tokens = int(ledger.take("max_num_batched_tokens", max(step, least), quiet=True))
    sequences = int(ledger.take("max_num_seqs", min(most, tokens), quiet=True))
    return tokens, sequences


LETS_WINDOWS_GO = ("vllm", "llama.cpp")
"""Engines whose windowed layers can be told to keep every token (--swa-full in llama.cpp).

The memory rules of the others are of their default alone.
"""


def default_version() -> int:
    """The version of vLLM that is assumed by default: 28 is 0.28."""
    return int(settings()["engine_version"].default or 0)


def is_usual(on: Serving) -> bool:
    """Whether the version of vLLM is the default one or earlier, or is later for another reason than the model."""
    return on.engine.version != on.model.vllm_since or on.engine.version <= default_version()


def note_node(ledger: Ledger, on: Serving, gpus: float) -> None:
    """List the GPUs of a node, where a layout takes more than one GPU and nodes are not of 8."""
    if gpus > 1 and on.gpu.node_size != USUAL_NODE:
        joined = f"{on.gpu.link} joins {on.gpu.link_span}" if on.gpu.joins_nodes else None
        ledger.take("gpus_per_node", on.node_size, why=joined)


def note_share(ledger: Ledger, share: float) -> None:
    """List the share of memory that the engine fills; beside a larger one that was set, what is filled of it.

    Of a share that was set, what is filled is said beside it where that is less.
    """
    filled = round(share, 3)
    if filled < ledger.take("memory_utilization", filled, why=DEFAULT):
        ledger.note("memory_filled", filled, why=LESS)


def _default_prefix_caching(name: EngineName, model: Model, version: int) -> bool:
    """Whether the engine caches prefixes of this model by default; all but old versions of vLLM do."""
    return name != "vllm" or vllm_defaults.default_prefix_caching(model.architecture, version)


def _efficiency(ledger: Ledger, kind: Kind, *, experts: bool) -> Efficiency:
    """The fitted constants of this GPU, format and engine, with the caller's in their place."""
    fitted = efficiency(kind)
    changes: dict[str, float] = {}
    for name, (fields, unit) in chain(SPEED.items(), EXPERT_SPEED.items() if experts else ()):
        if ledger.given(name):
            changes |= dict.fromkeys(fields, ledger.take(name, quiet=True) * unit)
    return replace(fitted, **changes) if changes else fitted


LONGEST_FITTED = 16_384
"""The longest prompt that the speed model was fitted on. [tokens]"""
BEYOND = (
    "the range is of shorter prompts; longer ones of dense models were up to 17 % off on A100 and H100, 90 % on an "
    "RTX 5090"
)
BEYOND_SPARSE = (
    "none is fitted; the range has runs of up to 160,000 tokens, of which lone ones took 0.8 to 2.0 times as long"
)


def note_speed(ledger: Ledger, on: Serving, prompt: int, *, law: Law = "tpot") -> None:
    """List that times are estimates, with the runs they were fitted on; and that a prompt is longer than any."""
    held = on.band(law)
    others = "" if held.alike else " of other attention"
    ledger.note("speed_model", "fitted", why=f"half of {held.n:,} published runs{others}{held.where}")
    if prompt > LONGEST_FITTED:
        apart = held.alike and attention_of(on.model.architecture) == "sparse"
        ledger.note("long_prompt", f"over {LONGEST_FITTED:,} tokens", why=BEYOND_SPARSE if apart else BEYOND)
