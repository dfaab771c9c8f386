"""SGLang's memory: a static share for weights and caches, and a reserve in which activations and graphs have to fit.

The rules were read in SGLang 0.5.23. A model's cache is one pool of tokens, two where it has windowed layers that
SGLang recognises, and a pool of states beside it where layers are recurrent.

Held against 29 published SGLang logs: bytes per token and token pools within 0.2 %, states exact, weights within 0.1
GiB. End to end the default share and pool of one H100 and one B200 are within 0.1 %, pools at a given share within
0.6 % on one H100 and 2.5 % on four; on Ada, whose constants are from the same logs, within 1.4 % on one GPU and 0.5 %
on four. What the system takes of unified memory, 9 GiB on one GB10, is not counted. Graphs were seen once with the
forward pass: 0.6 GiB above what is counted here, well inside SGLang's reserve.
"""

from dataclasses import replace
from math import ceil, inf

from inferplan.core.adapters import adapter_stages
from inferplan.core.architecture import Architecture, Attention, Compressed, Latent, Mixer
from inferplan.core.attention import Cached
from inferplan.core.engine import Engine
from inferplan.core.hardware import Gpu
from inferplan.core.kv_blocks import INDEX_KEY_BYTES, SPARSE_LATENT_BYTES
from inferplan.core.memory import CONVOLUTION_BYTES
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.rank_memory import Holding, RankMemory
from inferplan.core.rank_weights import rank_weights
from inferplan.core.recurrence import Lightning, Mamba1, ShortConv
from inferplan.core.units import GIB, MIB
from inferplan.core.vllm_activation import activation_peak
from inferplan.core.vllm_buffers import COLLECTIVES
from inferplan.core.vllm_defaults import NEWEST

CONTEXT = 0.45 * GIB
"""What runtime and start-up take of a GPU before weights load: 0.34 to 0.46 GiB in three logs, all of Ada. [B]"""
LARGE_CONTEXT = 0.7 * GIB
"""The same on Hopper and datacenter Blackwell: 78.43 to 78.48 GiB are free on H100, 177.57 on B200. [B]"""
LARGE_CONTEXTS = ("Hopper", "Blackwell", "Blackwell Ultra", "Rubin")
"""The generations that it is taken for, where they have NVLink; Rubin is an inference."""
UNSWITCHED_COLLECTIVES = 0.13 * GIB
"""What NCCL takes of a rank over PCIe or a bridge, as logged between four L4. [B]"""
BUFFERS = 0.1 * GIB
"""By how much more than its tensors loading a model lowers free memory: 0.01 to 0.15 GiB in 19 logs. [B]"""
META = 512 * MIB
PER_BATCHED_TOKEN = 1.5 * MIB
PER_RANK = 128 * MIB
PER_DECODE_GRAPH_SEQUENCE = 2 * MIB
PER_PREFILL_GRAPH = 8 * MIB
PER_SHARED_GRAPH_SEQUENCE = 3 * MIB
MANY_SHARED = 300
EXCHANGE_BUFFERS = 2 * GIB
LATENT_PREFILL_GRAPHS = 1536 * MIB
LARGE_RESERVE = 10 * GIB
LARGE_GPU = 60 * GIB
VISION_SHARE = 0.95
VISION_BASE = 24 * 12 * 1024**2
"""The parameters of a ViT-L/14: 24 layers of 12 × width². SGLang compares layers × width², which this stands for."""
WINDOW_RATIO = 0.8
"""Tokens in windowed layers per token in the others: `swa_full_tokens_ratio`."""
EVICTION_INTERVAL = 128
"""Tokens after which a window lets go of what it left: `SGLANG_SWA_EVICTION_INTERVAL`."""
STATE_RATIO = 0.9
"""Memory of states per memory of keys and values: `mamba_full_memory_ratio`."""
STATE_BYTES = 4
"""SGLang keeps recurrent states in fp32 unless a config says otherwise. [B]"""
SLOTS = 5
"""State slots of a running request with the radix cache: 3, and 2 that track its prefix while the next step runs."""
CONVOLUTION_SLOTS = 3
"""The same without tracking, as for layers that keep a convolution only (LFM2)."""
LOGIT_BYTES = 4
MIN_RUNNING = 2048
"""`max_running_requests` by default, at least; up to 4,096 where the pool holds many contexts."""
WINDOWED_FAMILIES = ("llama4", "gptoss", "mimov2", "step35", "step37", "gemma4", "laguna", "mellum", "glimmer")
"""What the names of the models hold whose windows SGLang exploits; windowed layers of all others keep every token."""

_BATCHES = (
    (20 * 1024, 2048, 8, 8),
    (35 * 1024, 4096, 48, 160),
    (60 * 1024, 4096, 32, 160),
    (160 * 1024, 8192, 256, 512),
    (inf, 16384, 512, 512),
)
"""Below so much memory [MiB]: chunk of a prefill [tokens], largest decode graph on fewer than 4 ranks, and on more."""
_PREFILL_GRAPHS = (
    *range(4, 33, 4),
    *range(48, 257, 16),
    *range(288, 513, 32),
    *range(576, 1025, 64),
    *range(1280, 4097, 256),
    *range(4608, 16385, 512),
)
"""The token counts that prefill graphs are captured for. [tokens]"""


def default_batching(gpu: Gpu, _version: int) -> tuple[int, int]:
    """`chunked_prefill_size` and `max_running_requests` that SGLang takes on this GPU by default.

    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `handle_gpu_memory_settings`;
    srt/mem_cache/kv_cache_configurator.py, `resolve_max_num_reqs`.
    """
    return _batches(gpu)[0], MIN_RUNNING


def _batches(gpu: Gpu) -> tuple[int, int, int]:
    """The chunk of a prefill, and the largest decode graph on few and on many ranks, by memory. [tokens]"""
    return next((chunk, few, many) for below, chunk, few, many in _BATCHES if gpu.memory < below * MIB)


def utilization(architecture: Architecture, gpu: Gpu, layout: Layout, engine: Engine) -> float:
    """`mem_fraction_static` as set, or SGLang's default for this model; less with a vision tower. [fraction]

    With a tower 0.95 × (1.1 - 0.1 × tower / ViT-L) of the share, the second factor between 0.8 and 1.05.

    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `handle_gpu_memory_settings`,
    `adjust_mem_fraction_for_vlm`.
    """
    if engine.memory_utilization is not None:
        return engine.memory_utilization
    share = _without(reserve(gpu, layout, engine, latent=_has_latent(architecture)), gpu)
    if not architecture.vision_params:
        return share
    return share * VISION_SHARE * min(1.05, max(0.8, 1.1 - 0.1 * architecture.vision_params / VISION_BASE))


def _without(reserved: float, gpu: Gpu) -> float:
    """1 - reserved / memory, rounded to a thousandth. [fraction]"""
    return round(1 - reserved / gpu.memory, 3)


def _has_latent(architecture: Architecture) -> bool:
    return any(isinstance(mixer, Latent) for _, mixer in architecture.mixers)


def reserve(gpu: Gpu, layout: Layout, engine: Engine, *, latent: bool = False) -> float:
    """512 MiB + 1.5 MiB × chunk + 128 MiB × ranks + graphs, at least 10 GiB on GPUs of more than 60 GiB. [B]

    On top come 2 GiB for DeepEP's buffers where ranks share experts.

    Limits: that they are not there where tokens are gathered without DeepEP is not told apart.

    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `handle_gpu_memory_settings`.
    """
    activations = PER_BATCHED_TOKEN * max(engine.max_num_batched_tokens, 2048)
    graphs = graph_memory(gpu, layout, engine, latent=latent)
    reserved = META + activations + PER_RANK * layout.replica + graphs
    exchange = EXCHANGE_BUFFERS if layout.ep > 1 and engine.cuda_graphs else 0.0
    return (max(reserved, LARGE_RESERVE) if gpu.memory > LARGE_GPU else reserved) + exchange


def graph_memory(gpu: Gpu, layout: Layout, engine: Engine, *, latent: bool = False) -> float:
    """2 MiB × largest decode graph + 8 MiB × prefill graphs (1.5 GiB with latents): SGLang's own estimate. [B]

    With data-parallel attention each of its groups adds 3 MiB × largest decode graph, 4.5 MiB beyond 300 sequences.

    Limits: the one log of 0.5.23 with both shows 2.05 GiB for Qwen3-30B-A3B, forward pass included, for 0.95 GiB
    here.
    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `reserve_for_graph_mb`.
    """
    if not engine.cuda_graphs:
        return 0.0
    _, few, many = _batches(gpu)
    sequences = min(few if layout.ranks < 4 else many, engine.max_num_seqs)
    padded = PER_SHARED_GRAPH_SEQUENCE * (1.5 if sequences > MANY_SHARED else 1) if layout.ep > 1 else 0.0
    sizes = sum(size <= engine.max_num_batched_tokens for size in _PREFILL_GRAPHS)
    prefill = LATENT_PREFILL_GRAPHS if latent else PER_PREFILL_GRAPH * sizes
    return (PER_DECODE_GRAPH_SEQUENCE + padded * layout.attention_dp) * sequences + prefill


def forward_peak(architecture: Architecture, layout: Layout, engine: Engine) -> float:
    """max(forward pass of a chunk, fp32 logits of a step) and the experts' workspace. [B]

    The forward pass is that of vLLM's profile run, which the same kernels make; the softmax is in place. The groups
    of data-parallel attention share out a chunk.

    Source: SGLang 0.5.23, srt/layers/logits_processor.py (`logits.float()`), srt/layers/sampler.py;
    srt/arg_groups/parallel_hook.py, `handle_data_parallelism`.
    """
    chunk = engine.max_num_batched_tokens // layout.attention_dp
    warm = replace(engine, version=NEWEST, max_num_seqs=0, max_num_batched_tokens=chunk)
    forward = activation_peak(architecture, warm, tp=layout.tp, attention_dp=layout.attention_dp)
    return max(forward, LOGIT_BYTES * engine.max_num_seqs * architecture.vocab)


def taken_before(gpu: Gpu, layout: Layout) -> float:
    """What runtime, and with several ranks NCCL, take before weights load: no share of it is filled. [B]

    NCCL takes 1.02 GiB over a switched link, 0.13 GiB over PCIe or a bridge.

    Limits: the first is that of vLLM's logs; of SGLang on eight H100 1.75 GiB were logged in all, for 1.72 here, and
    on four 0.35 GiB more. A mesh counts as switched, and no log of a bridge was found.
    """
    large = gpu.link is not None and gpu.architecture in LARGE_CONTEXTS
    switched = gpu.link is not None and "bridge" not in gpu.link
    collectives = (COLLECTIVES if switched else UNSWITCHED_COLLECTIVES) if layout.replica > 1 else 0.0
    return (LARGE_CONTEXT if large else CONTEXT) + collectives


def memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes: free after loading - (1 - share) × free before.

    Activations and graphs are not counted, they have to fit in the reserve that the share leaves.

    Limits: with data-parallel attention each group is taken to hold dense blocks and head of its own, as with
    --moe-dense-tp-size and --enable-dp-lm-head; else SGLang spreads them over all ranks.
    Source: SGLang 0.5.23, srt/mem_cache/kv_cache_configurator.py, `_profile_available_bytes`.
    """
    architecture, taken = model.architecture, taken_before(gpu, layout)
    share = utilization(architecture, gpu, layout, engine)
    graphs = graph_memory(gpu, layout, engine, latent=_has_latent(architecture))
    return RankMemory(
        total=gpu.engine_memory,
        budget=share * (gpu.engine_memory - taken),
        weights=rank_weights(model, precision, layout),
        adapters=max(adapter_stages(model, precision, layout, engine)) if engine.adapters else 0.0,
        non_torch=BUFFERS,
        outside=taken + forward_peak(architecture, layout, engine) + graphs,
    )


def holding(model: Model, layout: Layout, engine: Engine, pool: float, *, kv_bits: float) -> Holding:
    """Tokens of the pool (`max_total_num_tokens`), and sequences of a context with their windows and states.

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

    return Holding(tokens=lambda _: tokens, concurrency=sequences)


def _slots(architecture: Architecture, engine: Engine, pool: float, state: float) -> tuple[int, int]:
    """Slots for states in the pool, and what a running request takes of them.

    Without the radix cache one for each of `max_num_seqs`; with it 0.9 / 1.9 of the pool, less one slot of padding.

    Source: SGLang 0.5.23, srt/mem_cache/kv_cache_configurator.py, `_handle_max_mamba_cache`,
    `_calculate_mamba_ratio`.
    """
    if not engine.prefix_caching or not state:
        return engine.max_num_seqs, 1
    tracked = not any(isinstance(mixer, ShortConv) for _, mixer in architecture.mixers)
    slots = int(pool * STATE_RATIO / (1 + STATE_RATIO) // state) - 1
    return max(0, slots), SLOTS if tracked else CONVOLUTION_SLOTS


def state_bytes(architecture: Architecture, layout: Layout) -> float:
    """Σ layers × (convolution × 2 B + recurrent × 4 B) / tp of the fullest stage: one slot. [B]

    Source: SGLang 0.5.23, srt/configs/mamba_utils.py, `mamba_cache_per_req`, `mamba2_state_dtype`.
    """
    states = ((layers, mixer.state) for layers, mixer in architecture.mixers)
    return sum(
        ceil(layers / layout.pp) * (state.convolution * CONVOLUTION_BYTES + state.recurrent * STATE_BYTES) / layout.tp
        for layers, state in states
        if state
    )


def token_bytes(model: Model, layout: Layout, *, kv_bits: float) -> tuple[float, float, int]:
    """What a token takes on one rank in full layers and in windowed ones [B], and the window [tokens].

    Windows count where SGLang recognises the family, else every layer is a full one. A layer that reads the cache of
    another one has room of its own all the same.

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
    """What a layer has room for: what it caches, or would if it shared no other layer's."""
    own = replace(mixer, reuses_cache=False) if isinstance(mixer, Attention) and mixer.reuses_cache else mixer
    return own.cached


def _part_bytes(mixer: Mixer, part: Cached, *, tp: int, kv_bits: float) -> float:
    """One token of one layer on one rank: its KV heads, a whole latent (656 B under an indexer in 8 bit), 132 B. [B]

    Source: SGLang 0.5.23, srt/mem_cache/kv_cache_configurator.py, `calculate_mla_kv_cache_dim`;
    srt/model_executor/pool_configurator.py, `_compute_dsa_indexer_cell_size`.
    """
    if part.what == "index keys":
        return ceil(INDEX_KEY_BYTES / part.compress)
    if isinstance(mixer, Latent) and mixer.indexer and kv_bits == BITS_PER_BYTE:
        return SPARSE_LATENT_BYTES
    return part.on_rank(tp) * kv_bits / BITS_PER_BYTE


def not_modelled(architecture: Architecture, _engine: Engine) -> str | None:
    """Why SGLang's cache of this architecture is not computed here, None where it is."""
    reasons = (_reason(mixer) for _, mixer in architecture.mixers)
    found = next((reason for reason in reasons if reason), None)
    if found:
        return found
    if not any(mixer.cached for _, mixer in architecture.mixers):
        return "no layer keeps keys and values: SGLang's pool for states alone is not known here"
    return None


def _reason(mixer: Mixer) -> str | None:
    """What about one mixer is not covered."""
    if isinstance(mixer, Compressed):
        return "compressed keys (DeepSeek-V4): SGLang sizes four pools for them, by rules that are not held here"
    if isinstance(mixer, Mamba1 | Lightning):
        return "Mamba-1 and lightning attention of this kind: SGLang 0.5.23 does not serve them"
    return _attention_reason(mixer) if isinstance(mixer, Attention) else None


def _attention_reason(attention: Attention) -> str | None:
    """What about keys and values is not covered."""
    if attention.indexer:
        return "index keys beside keys and values: SGLang's pools for them are not held here"
    if attention.convolution_state:
        return "convolutions on keys and values: SGLang's pool for their state is not held here"
    if attention.cross:
        return "cross-attention to an image: what SGLang keeps of it is not known here"
    return None
