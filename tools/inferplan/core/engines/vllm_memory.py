"""vLLM's memory: where that of a GPU goes, and what its KV pool holds.

The rules follow published logs of vLLM 0.5 to 0.28 on H100, A100, L4, T4 and RTX cards; what differs by version was
read in the sources of those versions, and of 0.29 to 0.33. Defaults are in `vllm_defaults`, the activation peak of the
profile run in `vllm_activation`, runtime and CUDA graphs in `vllm_buffers`, KV cache blocks in `kv_blocks`.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.engines import compressed_memory, kv_blocks, kv_coverage
from inferplan.core.engines.adapters import adapter_stages
from inferplan.core.engines.expert_slices import takes_whole
from inferplan.core.engines.rank_memory import Holding, RankMemory
from inferplan.core.engines.rank_weights import stage_weights
from inferplan.core.engines.vllm_activation import LOGIT_BYTES, activation_peak, tuning_peak
from inferplan.core.engines.vllm_buffers import (
    CONTEXT,
    collectives,
    exchange_buffers,
    graph_memory,
    largest_graph,
    non_torch,
    runner_buffers,
)
from inferplan.core.engines.vllm_defaults import (
    LAST_OF_THE_FIRST_ENGINE,
    default_batching,
    has_second_runner,
    is_compiled,
    is_compressed,
    utilization,
)
from inferplan.core.engines.weight_loading import Loader
from inferplan.core.fabric import is_wide
from inferplan.core.hardware import Gpu
from inferplan.core.layers.recurrence import Lightning
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision

__all__ = [
    "default_batching",
    "holding",
    "loader",
    "memory",
    "not_modelled",
    "sequences_at_most",
    "utilization",
    "versions",
]

FIRST_COUNTED_GRAPHS = 20
"""The first vLLM (0.20) that counts CUDA graphs against its budget before it sizes the pool."""
FIRST_LATENT_VIEWS = 24
"""The first vLLM (0.24) that was seen to use 16-bit weights of latents without copies; 0.19 seems to copy them."""
FIRST_HOST_NGRAMS = 30
"""The first vLLM (0.30) that leaves tables of n-grams in the host's memory by default, on NVIDIA's GPUs."""
LAST_KEPT_STREAMS = 24
"""The last vLLM that was read (0.24; 0.25 to 0.27 were not) in which DeepSeek-V4 keeps streams without drafts."""
FIRST_WIDE_ZEROS = 22
"""The first vLLM (0.22; not 0.18, 0.19 to 0.21 were not read) that uses Machete for AWQ on Hopper.

Machete keeps zero points multiplied by their scales, in 16 bit. Source:
vllm/model_executor/layers/quantization/awq_marlin.py (since 0.26 auto_awq.py);
vllm/model_executor/kernels/linear/mixed_precision/machete.py, `transform_w_zp`.
"""
FIRST_COUNTED_STATES = 20
"""The first vLLM (0.20) that refuses a `max_num_seqs` beyond its blocks for recurrent states."""


def memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes, in the pipeline stage that leaves the smallest pool. [B]

    The last stage alone samples. CUDA graphs count against the budget since 0.20, and before were outside it.

    Limits: with the second model runner they are outside again up to 0.28; their size, smaller by amounts that two logs
    leave open, is not counted then.
    Source: vLLM, vllm/v1/worker/gpu_worker.py, `determine_available_memory`.
    """
    stage = _fullest_stage(model, precision, gpu, layout, engine)
    total = gpu.engine_memory
    counted, graphs = engine.version >= FIRST_COUNTED_GRAPHS, _graphs(model, precision, gpu, layout, engine)
    buffers = non_torch(engine, layout, gpu, compiled=is_compiled(model.architecture, engine))
    library_buffers = buffers + exchange_buffers(model.architecture, gpu, layout)
    return RankMemory(
        total=total,
        budget=utilization(model.architecture, gpu, layout, engine) * total,
        weights=stage.weights,
        adapters=stage.adapters,
        activation=stage.activation,
        non_torch=library_buffers + stage.runner,
        graphs=graphs if counted else 0.0,
        outside=CONTEXT
        + collectives(engine, layout, gpu)
        + (0.0 if counted else graphs)
        + LOGIT_BYTES * engine.max_num_seqs * model.architecture.logits,
    )


class _Stage(NamedTuple):
    """What differs between pipeline stages on a GPU: `runner` are the model runner's buffers. [B]"""

    weights: float
    activation: float
    runner: float
    adapters: float


def _fullest_stage(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> _Stage:
    """The pipeline stage that takes most; the first tunes kernels, the last samples."""
    architecture, element = model.architecture, precision.element_bytes
    is_last = [number == layout.pp for number in range(1, layout.pp + 1)]
    peak = {last: _peak(model, precision, gpu, layout, engine, last=last) for last in set(is_last)}
    peaks = [peak[last] for last in is_last]
    peaks[0] = max(peaks[0], tuning_peak(architecture, engine, tp=layout.tp, element=element))
    buffers = {last: runner_buffers(architecture, engine, element=element, samples=last) for last in set(is_last)}
    runner = [buffers[last] for last in is_last]
    weights = stage_weights(_loaded(model, engine), precision, layout, loader(gpu, engine))
    adapters = adapter_stages(model, precision, layout, engine) if engine.adapters else [0.0] * layout.pp
    return max(map(_Stage, weights, peaks, runner, adapters), key=sum)


def _graphs(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> float:
    """CUDA graphs; 0 on the second model runner of versions in which that does not count them. [B]"""
    if engine.version >= FIRST_COUNTED_GRAPHS and has_second_runner(model.architecture, engine):
        return 0.0
    packed, largest = precision.id == "mxfp4", largest_graph(gpu, engine.version)
    return graph_memory(model.architecture, engine, layout, packed_experts=packed, largest=largest)


def _loaded(model: Model, engine: Engine) -> Model:
    """The model that is loaded: without its image encoder where the engine serves no images.

    Source: vLLM 0.17 to 0.28, vllm/model_executor/models/interfaces.py, `_mark_tower_model`.
    """
    if engine.images:
        return model
    return replace(model, architecture=replace(model.architecture, vision_params=0, vision_replicated=0))


def loader(gpu: Gpu, engine: Engine) -> Loader:
    """How this version of vLLM loads weights on this GPU.

    On Hopper Triton's kernels multiply MXFP4 since 0.12; before, and on all other GPUs, Marlin's do. Tables of n-grams
    are read from the host's memory by default since 0.30 on NVIDIA's GPUs, which frees nothing where a GPU shares that.

    Source of tables: vLLM 0.29 and 0.30, vllm/config/engram.py, `cpu_offload`; vllm/envs.py, `VLLM_PLE_CPU_OFFLOAD`
    (true); vllm/models/qwen4_exp (only `nvidia` has it, since 0.30); a published start of 0.31.1 loads 31.42 GiB of
    Qwen3.8 Flash Next in 16 bit on each of 8 H100, and 36.32 GiB of DeepSeek V4.1 Flash.
    Source: vLLM 0.10 to 0.14, vllm/model_executor/layers/quantization/mxfp4.py, `get_mxfp4_backend`; pull request
    28788; gpt-oss-120b on one H100 took 65.97 GiB on 0.10 and 64.38 GiB on 0.14.
    """
    return Loader(
        marlin=gpu.architecture != "Hopper" or engine.version <= 11,
        first_engine=engine.version <= LAST_OF_THE_FIRST_ENGINE,
        doubled_keys=True,
        stage_copies=True,
        latent_views=engine.version >= FIRST_LATENT_VIEWS,
        wide_zeros=gpu.architecture == "Hopper" and engine.version >= FIRST_WIDE_ZEROS,
        host_ngrams=engine.version >= FIRST_HOST_NGRAMS and gpu.vendor == "nvidia" and gpu.kind != "unified",
        whole_experts=takes_whole(engine),
        wide_mixing=True,
        keeps_streams=engine.version <= LAST_KEPT_STREAMS or engine.drafts > 0,
        batched_tokens=engine.max_num_batched_tokens,
    )


def _peak(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, last: bool) -> float:
    """The activation peak of one pipeline stage, the `last` of which samples. [B]"""
    return activation_peak(
        model.architecture,
        engine,
        tp=layout.tp,
        workspace=precision.id != "mxfp4",
        element=precision.element_bytes,
        samples=last,
        attention_dp=layout.attention_dp,
        wide=is_wide(gpu, layout),
        gpu_memory=gpu.engine_memory,
    )


def holding(model: Model, layout: Layout, engine: Engine, pool: float, *, kv_bits: float) -> Holding:
    """What the pool of `pool` bytes on one GPU holds in whole KV cache blocks."""
    if compressed_memory.covers(model.architecture, engine):
        blocks = compressed_memory.cut(model.architecture, layout, engine=engine)
    else:
        blocks = kv_blocks.cut(model.architecture, layout, kv_bits=kv_bits, engine=engine)
    number = max(0, int(pool // blocks.block_bytes))
    return Holding(
        tokens=lambda context: blocks.printed(number, context=context, version=engine.version),
        concurrency=partial(blocks.concurrency, number),
        sequences=sequences_at_most(model.architecture, engine, number),
    )


def sequences_at_most(architecture: Architecture, engine: Engine, blocks: int) -> int | None:
    """The largest `max_num_seqs` that vLLM accepts with recurrent states: one block each; None where it checks nothing.

    It checks before it captures graphs of decode: "max_num_seqs (1024) exceeds available Mamba cache blocks (856)".

    Limits: all layers with a state count, those with short convolutions too. Up to 0.19 vLLM captured fewer graphs
    instead, without a word.
    Source: vLLM, vllm/config/compilation.py, `resolve_cudagraph_mode_and_sizes`; pull request 38270.
    """
    checked = engine.cuda_graphs and engine.version >= FIRST_COUNTED_STATES
    return blocks if checked and architecture.has_states else None


def not_modelled(architecture: Architecture, engine: Engine) -> str | None:
    """Why vLLM's cache of this architecture cannot be computed, as a clause; None where it can.

    Source of the first reason: vLLM, vllm/v1/kv_cache_interface.py, `SlidingWindowSpec.max_memory_usage_bytes`.
    """
    kept = [mixer for _, mixer in architecture.mixers]
    if engine.context_parallel > 1 and any(mixer.state or any(p.window for p in mixer.cached) for mixer in kept):
        return "decode context parallelism takes no windowed or recurrent layers"
    if is_compressed(architecture):
        return compressed_memory.not_modelled(architecture, engine)
    return kv_coverage.not_modelled(architecture, version=engine.version)


def versions(architecture: Architecture) -> tuple[int, int]:
    """The first and the last version (28 is 0.28) that serve this kind of attention; 0 and sys.maxsize for no bound."""
    kept = [mixer for _, mixer in architecture.mixers]
    last = kv_coverage.LAST_LIGHTNING if any(isinstance(mixer, Lightning) for mixer in kept) else sys.maxsize
    if is_compressed(architecture):
        return compressed_memory.first_served(architecture), last
    return max(map(kv_coverage.first_pooled, kept), default=0), last
