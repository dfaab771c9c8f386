"""TensorRT-LLM's memory (PyTorch backend, 1.x): the KV pool is a share of what a dry run leaves free.

The rules were read in the source of 1.1 and of main in 2026 (tensorrt_llm/_torch/pyexecutor). Few logs of this backend
are public; those of the older engine backend confirm the pool and its rounding, with blocks of 64 tokens.

Compared with 14 published logs, 6 of them surely of the PyTorch backend: bytes per token and blocks agree within 0.2 %;
of one model on one GPU weights are 1.6 % over and the dry run's peak is 0.15 GiB short. End to end the pool of one H100
came out 2.8 % too large (0.20), that of a GPU under Windows 0.8 GiB, with nothing counted for Windows. Runtime,
collectives and CUDA graphs are taken to be as in vLLM; no log shows them.
"""

from dataclasses import replace
from math import ceil

from inferplan.core.architecture import Architecture, Mixer
from inferplan.core.engine import Engine
from inferplan.core.engines.kv_blocks import INDEX_KEY_BYTES
from inferplan.core.engines.rank_memory import Holding, RankMemory
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.engines.vllm_activation import activation_peak
from inferplan.core.engines.vllm_buffers import COLLECTIVES, CONTEXT
from inferplan.core.engines.vllm_defaults import NEWEST
from inferplan.core.hardware import Gpu
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.cache_parts import Cached
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.units import MIB

FREE_FRACTION = 0.9
"""`free_gpu_memory_fraction` by default."""
BLOCK_TOKENS = 32
"""`tokens_per_block` by default; the older engine backend takes 64."""
GRAPH_BATCHES = (1, 2, 4, *range(8, 129, 8))
"""Batch sizes that CUDA graphs are captured for, up to `max_batch_size`. [sequences]"""
PER_LAYER_AND_GRAPH = 0.17 * MIB
"""The memory of one graph per layer, as in vLLM's logs. [B]"""


def default_batching(_gpu: Gpu, _version: int) -> tuple[int, int]:
    """`max_num_tokens` and `max_batch_size` by default: 8,192 and 2,048 on every GPU.

    Source: a log of early 2025 prints both where neither was set; `max_num_tokens` is the same in the log of 1.1.
    """
    return 8192, 2048


def utilization(_architecture: Architecture, _gpu: Gpu, _layout: Layout, engine: Engine) -> float:
    """`free_gpu_memory_fraction` as set, or 0.9: a share of what the dry run leaves free, not of the GPU. [fraction]

    Source: TensorRT-LLM, tensorrt_llm/llmapi/llm_args.py, `KvCacheConfig`.
    """
    return FREE_FRACTION if engine.memory_utilization is None else engine.memory_utilization


def forward_peak(architecture: Architecture, layout: Layout, engine: Engine) -> float:
    """The activation peak of the dry run: a prefill of `max_num_tokens`. [B]

    It is taken to be that of vLLM's profile run, without the sampler, as only a few sequences are sampled. With
    attention data parallelism a rank's expert workspace fits the tokens of all ranks (`moe_max_num_tokens`).

    Limits: no log of attention data parallelism was found; buffers of the all-to-all over NVLink are not counted.
    Source: TensorRT-LLM, tensorrt_llm/_torch/pyexecutor/_util.py, `KvCacheCreator._create_dummy_context_requests`;
    0.85 GiB logged for gpt-oss-120b on one GB10.
    """
    dry_run = replace(engine, version=NEWEST, max_num_seqs=0)
    return activation_peak(architecture, dry_run, tp=layout.tp, attention_dp=layout.attention_dp)


def graph_memory(architecture: Architecture, layout: Layout, engine: Engine) -> float:
    """0.17 MiB × layers of a stage × captured batch sizes, up to 128 sequences. [B]

    Limits: the 0.17 MiB are vLLM's.
    Source: TensorRT-LLM, tensorrt_llm/llmapi/llm_args.py, `CudaGraphConfig`; the sizes are in the logs of 1.1.
    """
    if not engine.cuda_graphs:
        return 0.0
    sizes = sum(batch <= engine.max_num_seqs for batch in GRAPH_BATCHES)
    return PER_LAYER_AND_GRAPH * ceil(architecture.layers / layout.pp) * sizes


def memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes: the KV pool is a share of what weights, dry run and graphs leave. [B]

    Source: TensorRT-LLM, tensorrt_llm/_torch/pyexecutor/_util.py, `KvCacheCreator.configure_kv_cache_capacity`,
    `_cal_max_memory`.
    """
    return RankMemory(
        total=gpu.engine_memory,
        budget=gpu.engine_memory,
        weights=rank_weights(model, precision, layout),
        activation=forward_peak(model.architecture, layout, engine),
        non_torch=CONTEXT + (COLLECTIVES if layout.replica > 1 else 0.0),
        graphs=graph_memory(model.architecture, layout, engine),
        pool_share=utilization(model.architecture, gpu, layout, engine),
    )


def holding(
    model: Model,
    layout: Layout,
    engine: Engine,  # noqa: ARG001 - the protocol's name
    pool: float,
    *,
    kv_bits: float,
) -> Holding:
    """What a pool of `pool` bytes holds: ⌈tokens / 32⌉ blocks, of which a sequence takes ⌈context / 32⌉.

    Source: TensorRT-LLM, tensorrt_llm/_torch/pyexecutor/resource_manager.py,
    `KVCacheManager.calculate_max_num_blocks`.
    """
    tokens = max(0, int(pool // token_bytes(model.architecture, layout, kv_bits=kv_bits)))
    blocks = ceil(tokens / BLOCK_TOKENS)
    return Holding(
        tokens=lambda _: blocks * BLOCK_TOKENS, concurrency=lambda context: blocks / ceil(context / BLOCK_TOKENS)
    )


def token_bytes(architecture: Architecture, layout: Layout, *, kv_bits: float) -> float:
    """KV cache on one rank of the fullest stage; windowed layers cache every token. [B/token]

    Limits: with `max_attention_window`, which is not set by default, they would cache their window alone.
    Source: TensorRT-LLM, tensorrt_llm/_torch/pyexecutor/resource_manager.py, `get_cache_size_per_token`;
    73,728 B logged for gpt-oss-120b, whose windowed half is in it, and 9,217 B for two layers of MiMo-V2-Flash of 4
    and of 8 heads.
    """
    return sum(
        ceil(layers / layout.pp) * _part_bytes(mixer, part, tp=layout.tp, kv_bits=kv_bits)
        for layers, mixer in architecture.mixers
        for part in mixer.cached
    )


def _part_bytes(mixer: Mixer, part: Cached, *, tp: int, kv_bits: float) -> float:
    """One token of one layer on one rank: its share of KV heads, a whole latent, or an index key of 132 B. [B]

    Values narrower than their keys are padded to the width of keys.

    Source: TensorRT-LLM, tensorrt_llm/_torch/pyexecutor/_util.py, `_create_kv_cache_manager` (`SELFKONLY` for MLA);
    the cache manager of DSA beside it, `_get_indexer_k_cache_bytes_per_token`.
    """
    if part.what == "index keys":
        return INDEX_KEY_BYTES
    stored = replace(part, elements=2 * mixer.kv_width) if isinstance(mixer, Attention) else part
    return stored.on_rank(tp) * kv_bits / BITS_PER_BYTE


def not_modelled(architecture: Architecture, _engine: Engine) -> str | None:
    """Why TensorRT-LLM's cache of this architecture cannot be computed, as a clause; None where it can."""
    reasons = (_reason(mixer) for _, mixer in architecture.mixers)
    found = next((reason for reason in reasons if reason), None)
    if found:
        return found
    if len({mixer.head_dim for _, mixer in architecture.mixers if isinstance(mixer, Attention)}) > 1:
        return "keys of unlike widths: TensorRT-LLM's cache manager for them is not modelled"
    return None


def _reason(mixer: Mixer) -> str | None:
    """Why the cache of one mixer cannot be computed, None where it can."""
    if mixer.state:
        return "states of recurrent layers: TensorRT-LLM's four cache managers for them are not modelled"
    if isinstance(mixer, Compressed):
        return "compressed keys (DeepSeek-V4): TensorRT-LLM's layout of them is not modelled"
    if isinstance(mixer, Latent):
        if mixer.window:
            return "latents of a window: TensorRT-LLM's layout of them is not modelled"
        if mixer.reuses_cache:
            return "layers that share a latent: whether TensorRT-LLM allocates one for each is not known"
        pooled = mixer.indexer and mixer.indexer.compress > 1
        return "pooled index keys: TensorRT-LLM's layout of them is not modelled" if pooled else None
    return _attention_reason(mixer) if isinstance(mixer, Attention) else None


def _attention_reason(attention: Attention) -> str | None:
    """Why the cache of attention with KV heads cannot be computed, None where it can."""
    if attention.indexer:
        return "index keys beside keys and values: TensorRT-LLM's layout of them is not modelled"
    if attention.expands:
        return "keys and values made of a latent: what TensorRT-LLM caches of them is not known"
    if attention.cross:
        return "cross-attention to an image: what TensorRT-LLM keeps of it is not modelled"
    if attention.reuses_cache:
        return "layers that share a cache: whether TensorRT-LLM allocates one for each is not known"
    if attention.value_width > attention.kv_width:
        return "values wider than keys: TensorRT-LLM's blocks for them are not modelled"
    return None
