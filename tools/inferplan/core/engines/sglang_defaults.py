"""SGLang's defaults: chunked prefill, running requests, and the share of memory for weights and KV cache.

The rules were read in SGLang 0.5.23. Since 0.5.3 these have changed: prefill graphs are captured by default since
0.5.10, drafts have no reserve of their own any more, and GPUs of less than 35 GiB have larger chunks and graphs.

Compared with the shares in nine published logs: equal to the last digit where the same graphs were captured.
"""

from collections.abc import Mapping
from math import inf

from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.hardware import Gpu
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta, KimiDelta
from inferplan.core.layers.vision import Kind, VisionTower
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB, MIB

META = 512 * MIB
PER_BATCHED_TOKEN = 1.5 * MIB
PER_RANK = 128 * MIB
LARGE_RESERVE = 10 * GIB
LARGE_GPU = 60 * GIB
EXCHANGE_BUFFERS = 2 * GIB
"""The terms of `reserve`. [B]"""
PER_DECODE_GRAPH_SEQUENCE = 2 * MIB
PER_PREFILL_GRAPH = 8 * MIB
LATENT_PREFILL_GRAPHS = 1536 * MIB
PER_SHARED_GRAPH_SEQUENCE = 3 * MIB
"""The terms of `graph_memory`. [B]"""
MANY_SHARED = 300
"""Sequences of a decode graph beyond which `PER_SHARED_GRAPH_SEQUENCE` counts 1.5 times."""
VISION_SHARE = 0.95
"""The share that a model with a vision tower is left with, before the tower's size counts. [fraction]"""
VISION_LAYERS = 24
VISION_WIDTH = 1024
"""The shape of a ViT-L/14, with whose layers × width² SGLang compares a tower."""
LAYER_PARAMETERS = 12
"""Parameters of a ViT's layer / width²."""
TOWER_LAYERS: Mapping[Kind, int] = {"siglip": 27, "moonvit": 27, "llama4": 34}
"""`num_hidden_layers` of published vision configs. Qwen's say `depth` instead, for which SGLang assumes 24."""
GEMMA_4_LAYERS = {768: 16, 1152: 27}
"""The same of Gemma 4's vision configs, by width."""
AITER_SHARE = 0.85
"""The factor on the share, also on one that was set, where AMD's attention kernels (AITER) need a workspace."""
LONG_CONTEXT = 8192
"""The longest context of a model for which AITER needs none. [tokens]"""
AITER_LATENT_HEADS = (16, 128)
"""Heads of MLA per rank that AITER has kernels for; Triton's run the others, without a workspace."""
MIN_RUNNING = 2048
"""The smallest default of `max_running_requests`; it grows to 4,096 where the pool holds many contexts."""

_BATCHES = (
    (20 * 1024, 2048, 8, 8),
    (35 * 1024, 4096, 48, 160),
    (60 * 1024, 4096, 32, 160),
    (160 * 1024, 8192, 256, 512),
    (inf, 16384, 512, 512),
)
"""Memory below which [MiB]: prefill chunk [tokens], largest decode graph on 1 to 3 ranks and on more [sequences]."""
_PREFILL_GRAPHS = (
    *range(4, 33, 4),
    *range(48, 257, 16),
    *range(288, 513, 32),
    *range(576, 1025, 64),
    *range(1280, 4097, 256),
    *range(4608, 16385, 512),
)
"""The sizes that prefill graphs are captured for. [tokens]"""


def default_batching(gpu: Gpu, _version: int) -> tuple[int, int]:
    """The default `chunked_prefill_size` and (smallest) `max_running_requests` on this GPU.

    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `handle_gpu_memory_settings`;
    srt/mem_cache/kv_cache_configurator.py, `resolve_max_num_reqs`.
    """
    return _batches(gpu)[0], MIN_RUNNING


def _batches(gpu: Gpu) -> tuple[int, int, int]:
    """Prefill chunk [tokens], and the largest decode graph on fewer than 4 ranks and on more [sequences]."""
    return next((chunk, few, many) for below, chunk, few, many in _BATCHES if gpu.memory < below * MIB)


def utilization(architecture: Architecture, gpu: Gpu, layout: Layout, engine: Engine) -> float:
    """`mem_fraction_static` as set, or SGLang's default; on AMD GPUs less `AITER_SHARE` where that applies. [fraction]

    The default is 1 - reserve / memory, rounded to a thousandth, times `tower_factor`.

    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `handle_gpu_memory_settings`.
    """
    share = engine.memory_utilization
    if share is None:
        share = round(1 - reserve(architecture, gpu, layout, engine) / gpu.memory, 3) * tower_factor(architecture)
    return share * AITER_SHARE if leaves_room_for_aiter(architecture, gpu, layout) else share


def tower_factor(architecture: Architecture) -> float:
    """0.95 × (1.1 - 0.1 × tower / ViT-L), the second factor within 0.8 and 1.05; 1 without a vision tower. [ratio]

    Towers are compared by layers × width² as in their configs; Qwen2-VL's has the decoder's width.

    Limits: a tower of unknown shape is compared by its parameters.
    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `adjust_mem_fraction_for_vlm`; transformers 5.12; logs of
    Qwen3-VL 8B on an H200 (0.8388) and of Kimi K2.5 on MI355X (0.8260405859375).
    """
    if not architecture.vision_params:
        return 1.0
    base, tower = VISION_LAYERS * VISION_WIDTH**2, architecture.vision
    size = _squares(tower, architecture.hidden) if tower else architecture.vision_params / LAYER_PARAMETERS
    return VISION_SHARE * min(1.05, max(0.8, 1.1 - 0.1 * size / base))


def _squares(tower: VisionTower, hidden: int) -> int:
    """layers × width² of a tower as SGLang reads its config; those of a ViT-L where it has neither."""
    if tower.kind == "embedded":
        return VISION_LAYERS * VISION_WIDTH**2
    width = hidden if tower.kind == "qwen2" else tower.width
    layers = GEMMA_4_LAYERS.get(width) if tower.kind == "gemma4" else TOWER_LAYERS.get(tower.kind)
    return (layers or VISION_LAYERS) * width**2


def leaves_room_for_aiter(architecture: Architecture, gpu: Gpu, layout: Layout) -> bool:
    """Whether attention runs on AMD's kernels (AITER) for a model of long context, and so needs a workspace.

    Triton's kernels run Gemma 4, whose heads differ in width, and others run models with an indexer.

    Limits: RDNA GPUs, for which AITER is not made, are taken to have other kernels set. The model's context decides,
    though a server started for at most 8,192 tokens keeps the whole share.
    Source: SGLang 0.5.23, srt/arg_groups/attention_hook.py, `handle_attention_backend_compatibility`;
    model_override_base.py, `get_default_attn_backend`; model_overrides. Two logs of one MI355X with a share of 0.85
    and of 0.6 that was set.
    """
    if not gpu.architecture.startswith("CDNA") or architecture.max_positions <= LONG_CONTEXT:
        return False
    latents = [mixer for _, mixer in architecture.mixers if isinstance(mixer, Latent)]
    if latents:
        return not _has_indexer(architecture) and latents[0].heads // layout.tp in AITER_LATENT_HEADS
    return len({mixer.head_dim for _, mixer in architecture.mixers if isinstance(mixer, Attention)}) == 1


def reserve(architecture: Architecture, gpu: Gpu, layout: Layout, engine: Engine) -> float:
    """512 MiB + 1.5 MiB × chunk + 128 MiB × ranks + graphs, at least 10 GiB on GPUs of more than 60 GiB. [B]

    On top come 2 GiB for DeepEP's buffers under expert parallelism.

    Limits: they are counted also where tokens are gathered without DeepEP.
    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `handle_gpu_memory_settings`.
    """
    activations = PER_BATCHED_TOKEN * max(engine.max_num_batched_tokens, 2048)
    graphs = graph_memory(architecture, gpu, layout, engine)
    reserved = META + activations + PER_RANK * layout.replica + graphs
    exchange = EXCHANGE_BUFFERS if layout.ep > 1 and engine.cuda_graphs else 0.0
    return (max(reserved, LARGE_RESERVE) if gpu.memory > LARGE_GPU else reserved) + exchange


def graph_memory(architecture: Architecture, gpu: Gpu, layout: Layout, engine: Engine) -> float:
    """2 MiB × largest decode graph + 8 MiB × prefill graphs (1.5 GiB with latents): SGLang's own estimate. [B]

    Each group of data-parallel attention adds 3 MiB × largest decode graph, 4.5 MiB beyond 300 sequences.

    Limits: the one log of 0.5.23 with both kinds has 2.05 GiB for Qwen3-30B-A3B, forward pass included, where 0.95 GiB
    are counted.
    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `reserve_for_graph_mb`.
    """
    if not engine.cuda_graphs:
        return 0.0
    _, few, many = _batches(gpu)
    sequences = min(few if layout.ranks < 4 else many, engine.max_num_seqs)
    padded = PER_SHARED_GRAPH_SEQUENCE * (1.5 if sequences > MANY_SHARED else 1) if layout.ep > 1 else 0.0
    decode = (PER_DECODE_GRAPH_SEQUENCE + padded * layout.attention_dp) * sequences
    return decode + (_prefill_graphs(architecture, engine) if captures_prefill(architecture, layout) else 0.0)


def _prefill_graphs(architecture: Architecture, engine: Engine) -> float:
    """8 MiB for each size up to the prefill chunk, or 1.5 GiB with latents. [B]"""
    if architecture.has_latents:
        return LATENT_PREFILL_GRAPHS
    return PER_PREFILL_GRAPH * sum(size <= engine.max_num_batched_tokens for size in _PREFILL_GRAPHS)


def captures_prefill(architecture: Architecture, layout: Layout) -> bool:
    """Whether prefill graphs are captured: not with pipeline stages, with KDA, or for most vision models.

    Vision models for which they are, by SGLang's list: Qwen3.5 to 3.8, Kimi K2.5 to K2.7, GLM-5.3 Flash, MiniMax M3.

    Limits: Command A+ and Muse Glimmer are on that list too, but are not recognised here: up to 0.6 GiB are missing.
    Source: SGLang 0.5.23, srt/arg_groups/cuda_graph_hook.py, `apply_cuda_graph_compatibility`,
    `disable_breakable_cudagraph_if_incompatible`; srt/configs/model_config.py,
    `multimodal_breakable_cuda_graph_supported_model_archs`.
    """
    if layout.pp > 1:
        return False
    kinds = {type(mixer) for _, mixer in architecture.mixers}
    if KimiDelta in kinds:
        return _has_indexer(architecture)
    if not architecture.vision_params or GatedDelta in kinds or _has_indexer(architecture):
        return True
    return Latent in kinds and architecture.vision is not None and architecture.vision.kind == "moonvit"


def _has_indexer(architecture: Architecture) -> bool:
    """Whether any layer has sparse attention with an indexer."""
    return any(isinstance(mixer, Attention | Latent) and mixer.indexer for _, mixer in architecture.mixers)
