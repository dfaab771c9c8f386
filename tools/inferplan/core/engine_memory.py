"""What a serving engine really does with a GPU: where its memory goes, and what the KV pool that is left holds.

Each engine has its rules in a module of its own; per-rank figures are for the busiest rank.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from inferplan.core import llamacpp_memory, sglang_memory, tensorrt_memory, vllm_activation, vllm_memory
from inferplan.core.compressed_memory import lacks_kernels
from inferplan.core.drafts import draft_bytes, with_draft
from inferplan.core.engine import Engine, EngineName
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision
from inferplan.core.rank_memory import Holding, RankMemory, Rules
from inferplan.core.vision import item_images
from inferplan.core.vllm_defaults import is_compressed

RULES: Mapping[EngineName, Rules] = {
    "vllm": vllm_memory,
    "sglang": sglang_memory,
    "tensorrt-llm": tensorrt_memory,
    "llama.cpp": llamacpp_memory,
}

ENDLESS = 2.0**50
"""A pool so large that whole sessions and blocks do not show in what one of them takes. [B]"""
SURE = 5 / 6
"""Share of the blocks for states that is offered: published ones were 24 % fewer at worst (vLLM).

What is told is rounded down beside, so that all would have started.
"""


def as_run(engine: Engine, precision: Precision) -> Engine:
    """The engine as it runs a format, whatever it is told: vLLM captures no CUDA graphs of LLM.int8().

    Source: PyPI vllm-bnb-plugin 0.0.3, `_enforce_eager_for_8bit`; vLLM 0.20 to 0.27, vllm/config/model.py.
    """
    eager = engine.name == "vllm" and precision.is_llm_int8 and engine.cuda_graphs
    return replace(engine, cuda_graphs=False) if eager else engine


def stored_for(model: Model, engine: EngineName) -> Model:
    """The model as the engine's files store it: llama.cpp's differ in MXFP4."""
    return llamacpp_memory.in_files(model) if engine == "llama.cpp" else model


def rank_memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes, by the rules of the engine."""
    return RULES[engine.name].memory(model, precision, gpu, layout, as_run(engine, precision))


class Capacity(NamedTuple):
    """What one replica holds: KV cache tokens as the engine counts them, and sessions of a given context.

    Where the cache of a family is `not_modelled`, that says why, and nothing fits as far as is known. `sequences` are
    the most that the engine may be told to run at once, None where the pool does not bound them.
    """

    memory: RankMemory
    tokens: int
    sessions: int
    concurrency: float = 0.0
    not_modelled: str | None = None
    sequences: int | None = None

    @property
    def starts(self) -> bool:
        """Whether what the engine needs beyond its budget is there: if not, warm-up runs out of memory."""
        return self.memory.headroom >= 0

    @property
    def fits(self) -> bool:
        """Whether it can hold a session: nothing that does not start can."""
        return self.sessions >= 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The KV pool of one replica, whatever the context; `most` sequences run at once, none where nothing starts.

    Each of the `groups` of data-parallel attention has a cache and sequences of its own. The engine has to be `told`
    how many sequences run at once where it would not start with what it was asked for with, or does by default.
    """

    memory: RankMemory
    holding: Holding | None
    most: int
    groups: int
    not_modelled: str | None
    told: int | None = None

    def sessions(self, context: int) -> int:
        """How many sessions of `context` tokens it takes at once."""
        return self._sessions(self.holding.concurrency(context)) if self.holding else 0

    def capacity(self, context: int) -> Capacity:
        """The same with the tokens that it holds."""
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
        """The same of an engine that is started for this context, which may have tables of all of its tokens."""
        if self.holding is None or self.holding.tables is None:
            return self
        memory = replace(self.memory, outside=self.memory.outside + self.holding.tables(context))
        if memory.headroom >= 0:
            return replace(self, memory=memory)
        return replace(self, memory=memory, holding=replace(self.holding, concurrency=_none), most=0)

    def _sessions(self, concurrency: float) -> int:
        """Whole sequences of each group, no more than run at once."""
        return min(int(concurrency), self.most) * self.groups


def _none(_context: int) -> float:
    """No session at all: nothing that does not start holds one."""
    return 0.0


@lru_cache(maxsize=4096)
def pool(model: Model, precision: Precision, gpu: Gpu, replica: Layout, engine: Engine, *, kv_bits: float) -> Pool:
    """The pool that the engine's rules leave of each GPU of a replica, told to run fewer sequences where need be."""
    found = _pool(model, precision, gpu, replica, engine, kv_bits=kv_bits)
    told = _fewer_sequences(found, gpu, engine)
    if told is None:
        return found
    on = (model, precision, gpu, replica, replace(engine, max_num_seqs=told))
    return replace(_pool(*on, kv_bits=kv_bits), told=told)


def _fewer_sequences(found: Pool, gpu: Gpu, engine: Engine) -> int | None:
    """What `max_num_seqs` has to be where the pool does not let the engine start with it: the next power of two.

    Of what is only the engine's default, as many as `SURE` of the pool allows, because pools beside recurrent states
    come out too large.
    """
    most = found.holding.sequences if found.holding else None
    if not most or engine.as_told:
        return None
    default = RULES[engine.name].default_batching(gpu, engine.version)[1]
    sure = int(most * SURE)
    if engine.max_num_seqs <= (sure if engine.max_num_seqs == default else most):
        return None
    return 1 << max(1, sure).bit_length() - 1


def _pool(model: Model, precision: Precision, gpu: Gpu, replica: Layout, engine: Engine, *, kv_bits: float) -> Pool:
    """The same with the sequences that it is asked for with."""
    memory, reason = rank_memory(model, precision, gpu, replica, engine), _not_modelled(model, gpu, engine)
    if engine.drafts:
        memory = replace(memory, weights=memory.weights + draft_bytes(model, precision, replica))
    on = (_cached(model, engine), replica, as_run(engine, precision), memory.pool)
    return Pool(
        memory=memory,
        holding=None if reason else RULES[engine.name].holding(*on, kv_bits=kv_bits),
        most=engine.max_num_seqs if memory.headroom >= 0 else 0,
        groups=replica.attention_dp,
        not_modelled=reason,
    )


AT_HAND = 32
"""Replicas whose pools are kept with a model, a format, a GPU and an engine: a plain question asks for some ten."""


class Pools(dict[tuple[Layout, int], Pool]):
    """The pools of one model in one format on one GPU type: those asked for lately are at hand.

    By replica, and by the images that the largest image or video of the context takes.
    """

    def __init__(self, model: Model, precision: Precision, gpu: Gpu, engine: Engine, *, kv_bits: float) -> None:
        super().__init__()
        self._model, self._precision, self._gpu, self._engine, self._kv_bits = model, precision, gpu, engine, kv_bits
        self._tower = vllm_activation.counted_encoder(model.architecture, engine)
        self.not_modelled = _not_modelled(model, gpu, engine)

    def __missing__(self, key: tuple[Layout, int]) -> Pool:
        """A replica that nobody asked for lately."""
        if len(self) >= AT_HAND:
            self.clear()
        replica, images = key
        longest = images * self._tower.tokens if self._tower else 0
        on = (self._model, self._precision, self._gpu, replica, replace(self._engine, max_model_len=longest))
        found = self[key] = pool(*on, kv_bits=self._kv_bits)
        return found

    def of(self, layout: Layout, context: int) -> Pool:
        """The pool of each replica of a layout, started for this context: the others change nothing."""
        found = self[layout.alone, item_images(self._tower, context) if self._tower else 1]
        return found.started_for(context)


@lru_cache(maxsize=256)
def pools(model: Model, precision: Precision, gpu: Gpu, engine: Engine, *, kv_bits: float) -> Pools:
    """The pools of one model in one format on one GPU type, remembered from question to question."""
    return Pools(model, precision, gpu, engine, kv_bits=kv_bits)


def capacity(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> Capacity:
    """What the KV pool holds, and how many sessions of `context` tokens at once, at most `max_num_seqs`."""
    return pools(model, precision, gpu, engine, kv_bits=kv_bits).of(layout, context).capacity(context)


def session_bytes(model: Model, layout: Layout, engine: Engine, *, context: int, kv_bits: float) -> float:
    """What the engine allocates for one session of `context` tokens on one GPU, blocks and padding included. [B]"""
    return ENDLESS / _endless(model, layout, engine, kv_bits).concurrency(context)


@lru_cache(maxsize=4096)
def _endless(model: Model, layout: Layout, engine: Engine, kv_bits: float) -> Holding:
    """What a pool without an end holds."""
    return RULES[engine.name].holding(_cached(model, engine), layout, engine, ENDLESS, kv_bits=kv_bits)


def _cached(model: Model, engine: Engine) -> Model:
    """The model with what else keeps keys and values beside it."""
    return with_draft(model) if engine.drafts else model


def _not_modelled(model: Model, gpu: Gpu, engine: Engine) -> str | None:
    """The same on a GPU that may lack what the model needs."""
    reason = cache_not_modelled(model, engine)
    return reason or (lacks_kernels(model.architecture, gpu, engine) if engine.name == "vllm" else None)


@lru_cache(maxsize=1024)
def cache_not_modelled(model: Model, engine: Engine) -> str | None:
    """Why the engine's cache of this model is not computed here, None where it is; remembered by model."""
    return RULES[engine.name].not_modelled(model.architecture, engine)


@lru_cache(maxsize=1024)
def versions(model: Model) -> tuple[int, int]:
    """The first and the last version of vLLM (28 is 0.28) that has a class for the model, as far as that is known."""
    first, last = vllm_memory.versions(model.architecture)
    return max(first, model.vllm_since), last


def default_kv_bits(model: Model, precision: Precision, engine: EngineName = "vllm") -> float:
    """What the cache is stored in unless said otherwise. [bits]

    The guide's element for a size class; for a checkpoint what its own config asks for, as a published build in FP4
    may, else the engine's default, which is the type that the model runs in: 16 bit, and in vLLM and SGLang 32 where
    its weights are in FP32. Compressed keys are read in FP8 alone.

    Limits: vLLM obeys the checkpoint since December 2025; older versions cache in 16 bit.

    Source: vLLM PR 29980, and vllm/models/deepseek_v4/attention.py, `_resolve_dsv4_kv_cache_dtype`; SGLang,
    `ModelRunner.configure_kv_cache_dtype`; two RTX PRO 6000 with MiniMax M2.5 in NVFP4.
    """
    if model.is_size_class:
        return precision.kv_bits
    if own := model.own_kv_bits(precision.id):
        return own
    if is_compressed(model.architecture):
        return BITS_PER_BYTE
    return precision.kv_bits if precision.id == "fp32" and engine in ("vllm", "sglang") else REST_BITS
