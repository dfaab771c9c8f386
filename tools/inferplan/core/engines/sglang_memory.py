"""SGLang's memory: a static share for weights and caches, and a reserve in which activations and graphs have to fit.

The rules were read in SGLang 0.5.23. The KV cache is one pool of tokens, or two where SGLang recognises windowed
layers; recurrent states have a pool beside it.

Compared with 42 published logs: bytes per token and token pools agree within 0.2 %, states exactly, weights within
0.14 GiB. End to end, pools of 1 to 8 H100, H200, B200 and GB300 are within 0.8 % but for two older ones (1.8 and
2.5 %), of one MI355X within 0.1 % and of several within 2.8 %; on Ada, whose constants are from the same logs, within
1.4 % on one GPU and 0.5 % on four. What the system takes of unified memory, 9 GiB on a GB10, is not counted. Graphs
were logged once, together with the forward pass: 0.6 GiB more than counted here, and well within SGLang's reserve.
"""

from dataclasses import replace
from math import ceil

from inferplan.core.architecture import Architecture, Mixer
from inferplan.core.engine import Engine
from inferplan.core.engines.adapters import adapter_stages
from inferplan.core.engines.kv_blocks import INDEX_KEY_BYTES, SPARSE_LATENT_BYTES
from inferplan.core.engines.rank_memory import Holding, RankMemory
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.engines.sglang_defaults import MIN_RUNNING, default_batching, graph_memory, utilization
from inferplan.core.engines.vllm_activation import activation_peak
from inferplan.core.engines.vllm_buffers import COLLECTIVES
from inferplan.core.engines.vllm_defaults import NEWEST
from inferplan.core.hardware import Gpu
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.cache_parts import Cached
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import Lightning, Mamba1, ShortConv
from inferplan.core.memory import CONVOLUTION_BYTES, HALF_BYTES
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.units import GIB, MIB

__all__ = ["default_batching", "holding", "memory", "not_modelled", "utilization"]

CONTEXT = 0.45 * GIB
"""What is used of a GPU before weights load: 0.34 to 0.46 GiB in three logs, all of Ada. [B]"""
LARGE_CONTEXT = 0.7 * GIB
"""The same on larger ones: 78.43 to 78.48 GiB are free on H100, 177.57 on B200, 275.75 on GB300, 287.26 on MI355X.
[B]
"""
LARGE_CONTEXTS = ("Hopper", "Blackwell", "Blackwell Ultra", "Rubin", "CDNA3", "CDNA4")
"""The GPU architectures of `LARGE_CONTEXT`, with NVLink or Infinity Fabric; Rubin and CDNA3 are inferences."""
UNSWITCHED_COLLECTIVES = 0.13 * GIB
"""NCCL's memory on a rank over PCIe or a bridge, as logged on four L4. [B]"""
BUFFERS = 0.1 * GIB
"""Free memory lost on loading a model beyond its tensors: 0.01 to 0.15 GiB in 19 logs. [B]"""
IMAGE_CACHE = 100 * MIB
"""The cache of encoded images, which comes out of the pool: `SGLANG_VLM_CACHE_SIZE_MB`. [B]"""
WINDOW_RATIO = 0.8
"""Tokens in the pool of windowed layers per token in that of the others: `swa_full_tokens_ratio`."""
EVICTION_INTERVAL = 128
"""Tokens between evictions of what has left a window: `SGLANG_SWA_EVICTION_INTERVAL`."""
STATE_RATIO = 0.9
"""Memory of recurrent states per memory of keys and values: `mamba_full_memory_ratio`."""
STATE_BYTES = 4
"""An element of recurrent states, in fp32 unless a config says otherwise. [B]"""
SLOTS = 5
"""State slots of a running request with the radix cache: 3, and 2 for the state of its prefix while a step runs."""
CONVOLUTION_SLOTS = 3
"""The same without those 2, for models with short convolutions (LFM2)."""
LOGIT_BYTES = 4
"""An fp32 logit. [B]"""
MOST_RUNNING = 4096
CONTEXTS_RUNNING = 512
"""Requests at once by default: 512 for each context that the pool holds, at least 2,048 and at most 4,096."""
ENTRY_BYTES = 4
SPARE_ENTRIES = 4
"""In the table of requests, the bytes of a token, and the entries beyond the context."""
WINDOWED_FAMILIES = ("llama4", "gptoss", "mimov2", "step35", "step37", "gemma4", "laguna", "mellum", "glimmer")
"""Parts of the names of models whose windows SGLang recognises; windowed layers of all others cache every token."""


def forward_peak(architecture: Architecture, layout: Layout, engine: Engine) -> float:
    """max(forward pass of a prefill chunk with the experts' workspace, fp32 logits of a decode step). [B]

    The forward pass is taken to be that of vLLM's profile run, as the kernels are the same; the softmax works in place.
    The groups of data-parallel attention share out a chunk.

    Source: SGLang 0.5.23, srt/layers/logits_processor.py (`logits.float()`), srt/layers/sampler.py;
    srt/arg_groups/parallel_hook.py, `handle_data_parallelism`.
    """
    chunk = engine.max_num_batched_tokens // layout.attention_dp
    prefill = replace(engine, version=NEWEST, max_num_seqs=0, max_num_batched_tokens=chunk)
    forward = activation_peak(architecture, prefill, tp=layout.tp, attention_dp=layout.attention_dp)
    return max(forward, LOGIT_BYTES * engine.max_num_seqs * architecture.logits)


def taken_before(gpu: Gpu, layout: Layout) -> float:
    """What the CUDA context, and on several ranks NCCL, take before weights load; the share is of what is left. [B]

    NCCL takes 1.02 GiB over a switched link, 0.13 GiB over PCIe or a bridge.

    Limits: the 1.02 GiB are from vLLM's logs. SGLang's logs have in all, where 1.72 GiB are counted here, 1.75 on eight
    H100, 2.07 on four B200 and 2.07 to 2.43 on four and eight H200. A mesh counts as switched: on MI355X RCCL and AMD's
    all-reduce took 1.0 to 8.0 GiB on two ranks and 3.7 on eight. No log of a bridge was found.
    """
    large = gpu.link is not None and gpu.architecture in LARGE_CONTEXTS
    switched = gpu.link is not None and "bridge" not in gpu.link
    collectives = (COLLECTIVES if switched else UNSWITCHED_COLLECTIVES) if layout.replica > 1 else 0.0
    return (LARGE_CONTEXT if large else CONTEXT) + collectives


def memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes; the pool is free memory after loading - (1 - share) × before. [B]

    Activations and graphs do not count against the budget: they have to fit in the reserve that the share leaves. The
    cache of encoded images does; on Hopper Qwen3-VL has none.

    Limits: with data-parallel attention each group is taken to hold dense blocks and head of its own, as with
    --moe-dense-tp-size and --enable-dp-lm-head; otherwise SGLang spreads them over all ranks.
    Source: SGLang 0.5.23, srt/mem_cache/kv_cache_configurator.py, `_profile_available_bytes`,
    `mm_runtime_reservation_gb`.
    """
    architecture, taken = model.architecture, taken_before(gpu, layout)
    share = utilization(architecture, gpu, layout, engine)
    graphs = graph_memory(architecture, gpu, layout, engine)
    return RankMemory(
        total=gpu.engine_memory,
        budget=share * (gpu.engine_memory - taken),
        weights=rank_weights(model, precision, layout),
        adapters=max(adapter_stages(model, precision, layout, engine)) if engine.adapters else 0.0,
        non_torch=BUFFERS
        + (IMAGE_CACHE if architecture.vision_params else 0)
        + (draft_copies(model, layout) if engine.drafts else 0),
        outside=taken + forward_peak(architecture, layout, engine) + graphs,
    )


def draft_copies(model: Model, layout: Layout) -> float:
    """Embedding and output head in 16 bit / tp, which a draft loads and drops again once the pool is sized. [B]

    A model's own layers have both, or one where they are tied; another layer, as EAGLE's heads are, the embedding.

    Limits: the smaller head that EAGLE's have of their own is not counted. Of Qwen3.6 27B in FP8 on one GPU a log has
    5.18 GiB for layer and copies, where 5.13 are counted.
    Source: SGLang 0.5.23, srt/speculative/eagle_worker_v2.py, `alloc_memory_pool`, `init_lm_head`; pull request 35996.
    """
    parts = model.parameters
    head = parts.output_head if model.architecture.multi_token else 0
    return (parts.embedding + head) * HALF_BYTES / layout.tp


def holding(model: Model, layout: Layout, engine: Engine, pool: float, *, kv_bits: float) -> Holding:
    """What a pool of `pool` bytes holds: tokens (`max_total_num_tokens`), and sequences with their windows and states.

    Source: SGLang 0.5.23, srt/model_executor/pool_configurator.py, `DefaultPoolConfigurator`,
    `HybridSWAPoolConfigurator`.
    """
    state = state_bytes(model.architecture, layout)
    slots, each = _slots(model.architecture, engine, pool, state)
    full, windowed, window = token_bytes(model, layout, kv_bits=kv_bits)
    rate = full + WINDOW_RATIO * windowed if full else windowed
    tokens = max(0, int((pool - (slots + 1) * state) // rate))

    def sequences(context: int) -> float:
        live = min(context, window + EVICTION_INTERVAL + 2) if windowed else context
        room = tokens / context if full else tokens / live
        if full and windowed:
            room = min(room, WINDOW_RATIO * tokens / live)
        return min(room, slots // each) if state else room

    def tables(context: int) -> float:
        running = min(_running(engine, tokens / context), tokens // 2, *([slots // each] if state else []))
        return request_table(running, context, drafts=engine.drafts)

    return Holding(tokens=lambda _: tokens, concurrency=sequences, tables=tables)


def _running(engine: Engine, contexts: float) -> int:
    """`max_running_requests` as set, or its default by the number of contexts that the pool holds.

    Source: SGLang 0.5.23, srt/mem_cache/kv_cache_configurator.py, `resolve_max_num_reqs`.
    """
    usual = engine.max_num_seqs == MIN_RUNNING
    return max(MIN_RUNNING, min(int(contexts * CONTEXTS_RUNNING), MOST_RUNNING)) if usual else engine.max_num_seqs


def request_table(running: int, context: int, *, drafts: int = 0) -> float:
    """(requests + 1) × (context + 4 + drafts) × 4 B: the table from each request's tokens to places in the pool. [B]

    It is allocated after the pool, out of the reserve. Free memory in logs fell by 1.05 GiB for a Qwen2 with 131,072
    tokens (2,049 requests), 4.10 GiB for Kimi K2.5 with 262,144 (4,096), 0.03 for a Granite with 8 requests.

    Source: SGLang 0.5.23, srt/mem_cache/memory_pool.py, `ReqToTokenPool`; srt/mem_cache/allocation_sizing.py,
    `get_req_to_token_extra_context_len`.

    >>> round(request_table(2048, 131072) / GIB, 3), round(request_table(4096, 262144) / GIB, 3)
    (1.001, 4.001)
    """
    return (running + 1) * (context + SPARE_ENTRIES + drafts) * ENTRY_BYTES


def _slots(architecture: Architecture, engine: Engine, pool: float, state: float) -> tuple[int, int]:
    """Slots for recurrent states, and how many of them a running request takes.

    Without the radix cache one per request of `max_num_seqs`; with it the slots in 0.9 / 1.9 of the pool, less one.

    Source: SGLang 0.5.23, srt/mem_cache/kv_cache_configurator.py, `_handle_max_mamba_cache`,
    `_calculate_mamba_ratio`.
    """
    if not engine.prefix_caching or not state:
        return engine.max_num_seqs, 1
    tracked = not any(isinstance(mixer, ShortConv) for _, mixer in architecture.mixers)
    slots = int(pool * STATE_RATIO / (1 + STATE_RATIO) // state) - 1
    return max(0, slots), SLOTS if tracked else CONVOLUTION_SLOTS


def state_bytes(architecture: Architecture, layout: Layout) -> float:
    """Σ layers × (convolution × 2 B + recurrent × 4 B) / tp of the fullest stage: one slot of states. [B]

    Source: SGLang 0.5.23, srt/configs/mamba_utils.py, `mamba_cache_per_req`, `mamba2_state_dtype`.
    """
    states = ((layers, mixer.state) for layers, mixer in architecture.mixers)
    return sum(
        ceil(layers / layout.pp) * (state.convolution * CONVOLUTION_BYTES + state.recurrent * STATE_BYTES) / layout.tp
        for layers, state in states
        if state
    )


def token_bytes(model: Model, layout: Layout, *, kv_bits: float) -> tuple[float, float, int]:
    """KV cache on one rank in layers without and with a window [B/token], and the longest window [tokens].

    Windows count where SGLang recognises the family. Layers that read the cache of another layer have one allocated all
    the same.

    Source: SGLang 0.5.23, srt/configs/model_config.py, `is_hybrid_swa_model`, `get_hybrid_layer_ids` (by the type of
    every layer, sharers included); of Gemma 4 E4B 79.94 GiB were logged for 997,846 and 798,276 tokens.
    """
    name = "".join(filter(str.isalnum, f"{model.id} {model.title}".casefold()))
    known = any(family in name for family in WINDOWED_FAMILIES)
    full = windowed = 0.0
    window = 0
    for layers, mixer in model.architecture.mixers:
        for part in _allocated(mixer):
            size = ceil(layers / layout.pp) * _part_bytes(mixer, part, tp=layout.tp, kv_bits=kv_bits)
            if known and part.window:
                windowed, window = windowed + size, max(window, part.window)
            else:
                full += size
    return full, windowed, window


def _allocated(mixer: Mixer) -> tuple[Cached, ...]:
    """What a layer has allocated: what it caches, or would if it did not read another layer's.

    A latent is cached as it is where vLLM expands it. Source: SGLang 0.5.23, srt/models/minicpm3.py.
    """
    if isinstance(mixer, Attention) and mixer.expands:
        return mixer.expands.cached
    own = replace(mixer, reuses_cache=False) if isinstance(mixer, Attention) and mixer.reuses_cache else mixer
    return own.cached


def _part_bytes(mixer: Mixer, part: Cached, *, tp: int, kv_bits: float) -> float:
    """One token of one layer on one rank: KV heads, a whole latent (656 B in 8 bit under an indexer), index key. [B]

    Source: SGLang 0.5.23, srt/mem_cache/kv_cache_configurator.py, `calculate_mla_kv_cache_dim`;
    srt/model_executor/pool_configurator.py, `_compute_dsa_indexer_cell_size`.
    """
    if part.what == "index keys":
        return ceil(INDEX_KEY_BYTES / part.compress)
    if isinstance(mixer, Latent) and mixer.indexer and kv_bits == BITS_PER_BYTE:
        return SPARSE_LATENT_BYTES
    return part.on_rank(tp) * kv_bits / BITS_PER_BYTE


def not_modelled(architecture: Architecture, _engine: Engine) -> str | None:
    """Why SGLang's cache of this architecture cannot be computed, as a clause; None where it can."""
    if not architecture.has_cache:
        return "no layer keeps keys and values: SGLang's pool for states alone is not modelled"
    reasons = (_reason(mixer) for _, mixer in architecture.mixers)
    return next((reason for reason in reasons if reason), None)


def _reason(mixer: Mixer) -> str | None:
    """Why the cache of one mixer cannot be computed, None where it can."""
    if isinstance(mixer, Compressed):
        return "compressed keys (DeepSeek-V4): SGLang's four pools for them are not modelled"
    if isinstance(mixer, Mamba1 | Lightning):
        return "Mamba-1 and lightning attention of this kind: SGLang 0.5.23 does not serve them"
    if isinstance(mixer, Latent) and mixer.window:
        return "latents of a window (dots3): SGLang's pool for them is not modelled"
    if isinstance(mixer, Latent) and mixer.reuses_cache:
        return "layers that read the latents of others: SGLang 0.5.23 has no class for them"
    return _attention_reason(mixer) if isinstance(mixer, Attention) else None


def _attention_reason(attention: Attention) -> str | None:
    """Why the cache of attention with KV heads cannot be computed, None where it can."""
    if attention.indexer:
        return "index keys beside keys and values: SGLang's pools for them are not modelled"
    if attention.convolution_state:
        return "convolutions on keys and values: SGLang's pool for their state is not modelled"
    if attention.cross:
        return "cross-attention to an image: what SGLang keeps of it is not modelled"
    return None
