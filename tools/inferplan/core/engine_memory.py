"""The memory of a replica under a serving engine: where that of each GPU goes, and what sessions its KV pool holds.

Each engine has a module of rules (`RULES`). Figures of a rank are those of the busiest one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from inferplan.core.engine import Engine, EngineName
from inferplan.core.engines import llamacpp_memory, sglang_memory, tensorrt_memory, vllm_activation, vllm_memory
from inferplan.core.engines.compressed_memory import lacks_kernels, laid_out_otherwise
from inferplan.core.engines.drafts import draft_bytes, with_draft
from inferplan.core.engines.llamacpp_files import in_files
from inferplan.core.engines.rank_memory import Holding, RankMemory, Rules
from inferplan.core.engines.vllm_buffers import DISPATCHED_TOKENS
from inferplan.core.engines.vllm_defaults import caches_in_fp8, is_compressed
from inferplan.core.fabric import is_wide
from inferplan.core.hardware import Gpu
from inferplan.core.layers.vision import item_images
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision

RULES: Mapping[EngineName, Rules] = {
    "vllm": vllm_memory,
    "sglang": sglang_memory,
    "tensorrt-llm": tensorrt_memory,
    "llama.cpp": llamacpp_memory,
}

ENDLESS = 2.0**50
"""A pool so large that rounding to whole blocks does not show in the bytes of one sequence. [B]"""
FIRST_EXCHANGED_STEP = 20
"""The first vLLM (0.20) without `VLLM_MOE_DP_CHUNK_SIZE`: what is exchanged between nodes at a time is a step."""
STATE_BLOCKS_MARGIN = 5 / 6
"""The share of the predicted blocks for recurrent states that `max_num_seqs` may use.

Published pools of vLLM had up to 24 % fewer blocks than predicted. With the result rounded down to a power of two as
well, every published start would have succeeded.
"""


def as_run(engine: Engine, precision: Precision) -> Engine:
    """The engine as it runs a format: vLLM captures no CUDA graphs of LLM.int8(), even where they are asked for.

    Source: PyPI vllm-bnb-plugin 0.0.3, `_enforce_eager_for_8bit`; vLLM 0.20 to 0.27, vllm/config/model.py.
    """
    eager = engine.name == "vllm" and precision.is_llm_int8 and engine.cuda_graphs
    return replace(engine, cuda_graphs=False) if eager else engine


def as_laid_out(engine: Engine, gpu: Gpu, *, wide: bool) -> Engine:
    """The engine as it runs a layout: vLLM steps `DISPATCHED_TOKENS` where experts are shared between nodes (`wide`).

    That is its default beside DeepEP's low-latency exchange, whose buffers are sized by the step, since 0.20; up to
    0.19 steps of any size were exchanged in chunks of so many. No more sequences run than a step has tokens. Larger
    steps are not planned with. On AMD's GPUs, whose exchange is MoRI's, steps are as elsewhere.

    Source: vLLM 0.20 to 0.33, vllm/engine/arg_utils.py (`use_batched_dp_moe`) and vllm/config/scheduler.py.
    """
    if not wide or engine.name != "vllm" or engine.version < FIRST_EXCHANGED_STEP or gpu.vendor != "nvidia":
        return engine
    step = min(engine.max_num_batched_tokens, DISPATCHED_TOKENS)
    return replace(engine, max_num_batched_tokens=step, max_num_seqs=min(engine.max_num_seqs, step))


def stored_for(model: Model, engine: EngineName) -> Model:
    """The model as the engine's files store it: llama.cpp's files in MXFP4 differ (see `llamacpp_files.in_files`)."""
    return in_files(model) if engine == "llama.cpp" else model


def rank_memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes, by the rules of the engine, what drafts tokens included."""
    memory = RULES[engine.name].memory(model, precision, gpu, layout, as_run(engine, precision))
    if not engine.drafts:
        return memory
    return replace(memory, weights=memory.weights + draft_bytes(model, precision, layout))


class Capacity(NamedTuple):
    """What one replica holds: KV cache `tokens` as the engine prints them, and `sessions` of a given context.

    `concurrency` is the sessions that the cache alone allows, fractions included. `not_modelled` says why the cache of
    this model cannot be computed, None where it can; then nothing is known to fit. `sequences` is the largest
    `max_num_seqs` that the engine accepts, None where the pool sets no bound.
    """

    memory: RankMemory
    tokens: int
    sessions: int
    concurrency: float = 0.0
    not_modelled: str | None = None
    sequences: int | None = None

    @property
    def starts(self) -> bool:
        """Whether the GPU has room for what the engine takes beyond its budget; if not, warm-up runs out of memory."""
        return self.memory.headroom >= 0

    @property
    def fits(self) -> bool:
        """Whether the replica starts and holds at least one session."""
        return self.sessions >= 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The KV pool of one replica, for any context.

    Each of the `groups` of data-parallel attention has a cache of its own and runs up to `max_sequences` at once, 0
    where the engine does not start. `lowered_max_num_seqs` is the setting that it has to be started with where it would
    refuse the one asked for, or its default; else None.
    """

    memory: RankMemory
    holding: Holding | None
    max_sequences: int
    groups: int
    not_modelled: str | None
    lowered_max_num_seqs: int | None = None

    def sessions(self, context: int) -> int:
        """How many sessions of `context` tokens run at once."""
        return self._sessions(self.holding.concurrency(context)) if self.holding else 0

    def capacity(self, context: int) -> Capacity:
        """The tokens it holds, and the sessions of `context` tokens."""
        if self.holding is None:
            return Capacity(memory=self.memory, tokens=0, sessions=0, not_modelled=self.not_modelled)
        tokens, concurrency = self.holding.at(context)
        return Capacity(
            memory=self.memory,
            tokens=tokens * self.groups,
            sessions=self._sessions(concurrency),
            concurrency=concurrency * self.groups,
            sequences=self.holding.sequences,
        )

    def started_for(self, context: int) -> "Pool":
        """The pool of an engine that is started for this context, which SGLang has a table for beyond its budget."""
        if self.holding is None or self.holding.tables is None:
            return self
        memory = replace(self.memory, outside=self.memory.outside + self.holding.tables(context))
        if memory.headroom >= 0:
            return replace(self, memory=memory)
        return replace(self, memory=memory, holding=replace(self.holding, concurrency=_no_sequences), max_sequences=0)

    def _sessions(self, concurrency: float) -> int:
        """Whole sequences of all groups, at most `max_sequences` in each."""
        return min(int(concurrency), self.max_sequences) * self.groups


def _no_sequences(_context: int) -> float:
    """The concurrency of an engine that does not start."""
    return 0.0


@lru_cache(maxsize=4096)
def pool(model: Model, precision: Precision, gpu: Gpu, replica: Layout, engine: Engine, *, kv_bits: float) -> Pool:
    """The KV pool of a replica by the engine's rules, with `max_num_seqs` lowered where the engine would refuse it."""
    engine = as_laid_out(engine, gpu, wide=is_wide(gpu, replica))
    found = _pool_as_asked(model, precision, gpu, replica, engine, kv_bits=kv_bits)
    lowered = _lowered_max_num_seqs(found, gpu, engine)
    if lowered is None:
        return found
    on = (model, precision, gpu, replica, replace(engine, max_num_seqs=lowered))
    return replace(_pool_as_asked(*on, kv_bits=kv_bits), lowered_max_num_seqs=lowered)


def _lowered_max_num_seqs(found: Pool, gpu: Gpu, engine: Engine) -> int | None:
    """The power of two that `max_num_seqs` is lowered to where the engine would refuse it; None where it would not.

    At most `STATE_BLOCKS_MARGIN` of the predicted blocks, as pools beside recurrent states are predicted too large. An
    engine's default is lowered from that margin on, a value that was asked for only beyond the whole pool.
    """
    most = found.holding.sequences if found.holding else None
    if not most or engine.keeps_max_num_seqs:
        return None
    default = RULES[engine.name].default_batching(gpu, engine.version)[1]
    sure = int(most * STATE_BLOCKS_MARGIN)
    if engine.max_num_seqs <= (sure if engine.max_num_seqs == default else most):
        return None
    return 1 << max(1, sure).bit_length() - 1


def _pool_as_asked(
    model: Model, precision: Precision, gpu: Gpu, replica: Layout, engine: Engine, *, kv_bits: float
) -> Pool:
    """The KV pool with `max_num_seqs` as it is."""
    memory, reason = rank_memory(model, precision, gpu, replica, engine), _not_modelled(model, gpu, engine)
    on = (_cached(model, engine), replica, as_run(engine, precision), memory.pool)
    return Pool(
        memory=memory,
        holding=None if reason else RULES[engine.name].holding(*on, kv_bits=kv_bits),
        max_sequences=engine.max_num_seqs if memory.headroom >= 0 else 0,
        groups=replica.attention_dp,
        not_modelled=reason,
    )


KEPT_REPLICAS = 32
"""Replicas whose pools `Pools` remembers; a usual question asks for some ten."""


class Pools(dict[tuple[Layout, int], Pool]):
    """The pools of one model in one format on one GPU type, remembered for the replicas asked for lately.

    By replica, and by the images of the largest item (image or video) that the context holds.
    """

    def __init__(self, model: Model, precision: Precision, gpu: Gpu, engine: Engine, *, kv_bits: float) -> None:
        super().__init__()
        self._model, self._precision, self._gpu, self._engine, self._kv_bits = model, precision, gpu, engine, kv_bits
        self._tower = vllm_activation.counted_encoder(model.architecture, engine)
        self.not_modelled = _not_modelled(model, gpu, engine)

    def __missing__(self, key: tuple[Layout, int]) -> Pool:
        """Compute the pool of a replica that is not remembered."""
        if len(self) >= KEPT_REPLICAS:
            self.clear()
        replica, images = key
        longest = images * self._tower.tokens if self._tower else 0
        on = (self._model, self._precision, self._gpu, replica, replace(self._engine, max_model_len=longest))
        found = self[key] = pool(*on, kv_bits=self._kv_bits)
        return found

    def of(self, layout: Layout, context: int) -> Pool:
        """The pool of each replica of a layout, started for this context; other replicas do not affect it."""
        found = self[layout.alone, item_images(self._tower, context) if self._tower else 1]
        return found.started_for(context)


@lru_cache(maxsize=256)
def pools(model: Model, precision: Precision, gpu: Gpu, engine: Engine, *, kv_bits: float) -> Pools:
    """The pools of one model in one format on one GPU type, remembered from question to question."""
    return Pools(model, precision, gpu, engine, kv_bits=kv_bits)


def capacity(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> Capacity:
    """The tokens that a replica's KV pool holds, and its sessions of `context` tokens, at most `max_num_seqs`."""
    return pools(model, precision, gpu, engine, kv_bits=kv_bits).of(layout, context).capacity(context)


def session_bytes(model: Model, layout: Layout, engine: Engine, *, context: int, kv_bits: float) -> float:
    """The KV cache of one session of `context` tokens on one GPU, with whole blocks and padding. [B]"""
    return ENDLESS / endless(model, layout, engine, kv_bits=kv_bits).concurrency(context)


@lru_cache(maxsize=4096)
def endless(model: Model, layout: Layout, engine: Engine, *, kv_bits: float) -> Holding:
    """What a pool of `ENDLESS` bytes holds."""
    return RULES[engine.name].holding(_cached(model, engine), layout, engine, ENDLESS, kv_bits=kv_bits)


def _cached(model: Model, engine: Engine) -> Model:
    """The model with the layers that draft tokens, whose keys and values are cached too."""
    return with_draft(model) if engine.drafts else model


def _not_modelled(model: Model, gpu: Gpu, engine: Engine) -> str | None:
    """Why the cache is not computed (there), or the GPU has no kernels for the model; None where neither holds."""
    reason = cache_not_modelled(model, engine)
    if reason or engine.name != "vllm":
        return reason
    return lacks_kernels(model.architecture, gpu, engine) or laid_out_otherwise(model.architecture, gpu)


@lru_cache(maxsize=1024)
def cache_not_modelled(model: Model, engine: Engine) -> str | None:
    """Why the engine's cache of this model cannot be computed, None where it can."""
    return RULES[engine.name].not_modelled(model.architecture, engine)


@lru_cache(maxsize=1024)
def versions(model: Model) -> tuple[int, int]:
    """The first and the last version of vLLM (28 is 0.28) known to have a class for the model."""
    first, last = vllm_memory.versions(model.architecture)
    return max(first, model.vllm_since), last


def kv_bits_on(model: Model, precision: Precision, gpu: Gpu, engine: Engine) -> float:
    """`default_kv_bits` of this version on this GPU, where some of vLLM's classes cache in FP8. [bits]"""
    own = default_kv_bits(model, precision, engine.name)
    if engine.name != "vllm" or model.is_size_class or model.own_kv_bits(precision.id):
        return own
    return BITS_PER_BYTE if caches_in_fp8(model.architecture, gpu, engine.version) else own


def default_kv_bits(model: Model, precision: Precision, engine: EngineName = "vllm") -> float:
    """The width of a KV cache element by default. [bits]

    A size class has the guide's. A checkpoint has what its own config asks for, as some published FP4 builds do, else
    the engine's default: the type that the model runs in, 16 bit, or 32 in vLLM and SGLang where weights are FP32.
    Compressed keys (DeepSeek-V4) are always FP8.

    Limits: vLLM obeys the checkpoint's config since December 2025; older versions cache in 16 bit.
    Source: vLLM, pull request 29980, and vllm/models/deepseek_v4/attention.py, `_resolve_dsv4_kv_cache_dtype`; SGLang,
    `ModelRunner.configure_kv_cache_dtype`; two RTX PRO 6000 with MiniMax M2.5 in NVFP4.
    """
    if model.is_size_class:
        return precision.kv_bits
    if own := model.own_kv_bits(precision.id):
        return own
    if is_compressed(model.architecture):
        return BITS_PER_BYTE
    return precision.kv_bits if precision.id == "fp32" and engine in ("vllm", "sglang") else REST_BITS
