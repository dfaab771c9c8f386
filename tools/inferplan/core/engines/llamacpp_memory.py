"""llama.cpp's memory: no pool, a KV cache allocated up front for every slot, and layers spread over the GPUs.

The rules were read in the llama.cpp of llama-cpp-python 0.3.36. There is no tensor parallelism: the GPUs of a layout
hold one run of layers each, whatever its degrees. Flash attention is taken to be on, and every layer to be on a GPU;
the token embedding stays in host memory.

Compared with 40 published logs of llama.cpp and ik_llama.cpp: caches, states and embeddings are exact, files and
weights on the GPU within 2 %; compute buffers on CUDA and on the CPU are never short and at most two hidden states over
(17 MiB), on Metal 4 % short; a llama-server of late 2026 reserves down to a quarter of them. By llama.cpp's own tools
(tests/conformance/in_llamacpp.py) caches are exact; compute buffers are up to a third short (MLA) and 0.98 in the
median of what `llama-fit-params` says.
"""

from math import ceil

from inferplan.core.architecture import Architecture, LayerGroup, Mixer
from inferplan.core.engine import Engine
from inferplan.core.engines.llamacpp_files import head_bytes, layer_weights
from inferplan.core.engines.rank_memory import Holding, RankMemory
from inferplan.core.hardware import Gpu
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.units import GIB

CONTEXT = 0.5 * GIB
"""The CUDA context on a datacenter GPU; 0.08 to 0.16 GiB on consumer GPUs. [B]"""
MARGIN = GIB
"""Memory that `--fit` leaves free on every GPU by default. [B]"""
CELLS = 256
"""Caches have a multiple of so many cells, one a token."""
FLOAT = 4
"""An element of activations, logits and recurrent states, in fp32. [B]"""
MASK = 2
"""An element of the attention mask, in fp16. [B]"""
PIPELINE_COPIES = 4
"""Copies of each GPU's inputs where several work as a pipeline: `GGML_SCHED_MAX_COPIES` by default."""


def default_batching(_gpu: Gpu, _version: int) -> tuple[int, int]:
    """The default `--ubatch-size` of llama-server, 512 tokens, and the largest `--parallel`, 256 slots.

    The server's default is four slots; a plan asks for as many as it has users.

    Source: llama.cpp, common/common.h, `common_params`; src/llama-cparams.h, `LLAMA_MAX_SEQ`.
    """
    return 512, 256


def utilization(_architecture: Architecture, gpu: Gpu, _layout: Layout, engine: Engine) -> float:
    """The share of memory beside the CUDA context that is filled: as set, or all but 1 GiB. [fraction]

    Source: llama.cpp, common/fit.cpp, `common_params_fit`; common/common.h, `fit_params_target`.
    """
    if engine.memory_utilization is not None:
        return engine.memory_utilization
    return 1 - MARGIN / (gpu.engine_memory - CONTEXT)


def gpu_of(layer: int, architecture: Architecture, gpus: int) -> int:
    """⌊layer × gpus / (layers + 1)⌋, both counted from 0: the head counts as a layer, and is on the last GPU.

    Source: llama.cpp, src/llama-model.cpp, `load_tensors`, on GPUs with equal free memory.

    >>> from inferplan.core.architecture import DenseFfn
    >>> group = LayerGroup(
    ...     count=32, attention=Attention(heads=32, kv_heads=8, head_dim=128), ffn=DenseFfn(intermediate=14336)
    ... )
    >>> llama_8b = Architecture(hidden=4096, vocab=128256, groups=(group,), max_positions=131072)
    >>> [sum(gpu_of(layer, llama_8b, 2) == gpu for layer in range(32)) for gpu in (0, 1)]
    [17, 15]
    """
    return layer * gpus // (architecture.layers + 1)


def gpu_weights(model: Model, precision: Precision, layout: Layout) -> float:
    """Weights on the busiest GPU: its layers, and on the last one the head. [B]

    Token embedding and lookup tables stay in host memory; a tied embedding has a copy on the GPU as the head.

    Source: llama.cpp, src/llama-model.cpp, `load_tensors` (the input layer is always on the CPU).
    """
    held_by = [0.0] * layout.replica
    for layer, size in enumerate(layer_weights(model, precision)):
        held_by[gpu_of(layer, model.architecture, layout.replica)] += size
    held_by[-1] += head_bytes(model, precision)
    return max(held_by)


def compute_buffer(
    architecture: Architecture, engine: Engine, *, outputs: int | None = None, context: int = 0, gpus: int = 1
) -> float:
    """max(4 B × (outputs × vocabulary + 2 × T × hidden), 4 B × T × (2 × hidden + 3 × width) + 2 B × T × context). [B]

    T are the tokens of a micro-batch; the first part is the head, the second a layer with its attention mask. `outputs`
    are the tokens whose logits are computed: by default all of the micro-batch, in the llama-server of 2026 one per
    slot. Several GPUs work as a pipeline: each has four copies of its inputs, 4 B × T × hidden and the mask, beside
    either part.

    Limits: layers whose experts are in host memory need room for one of their tensors as well, which makes 3.3 GiB of
    DeepSeek-V3 in published logs. Metal took 4 % more than this. The one log of a pipeline agrees on the GPU with the
    head, which needs most; those without it took up to 74 MiB more than their own layers do here.
    Source: llama.cpp, src/llama-context.cpp, `sched_reserve`, `pipeline_parallel`; ggml-backend.cpp,
    `ggml_backend_sched_split_graph`, where inputs of `n_copies` copies are not reused; logs, of which the smaller ones
    have one hidden state beside the logits.
    """
    tokens, hidden = engine.max_num_batched_tokens, architecture.hidden
    logits = (tokens if outputs is None else outputs) * architecture.logits + 2 * tokens * hidden
    layer, mask = tokens * (2 * hidden + 3 * _width(architecture)), MASK * tokens * context
    if gpus > 1:
        return FLOAT * max(logits, layer) + PIPELINE_COPIES * (FLOAT * tokens * hidden + mask)
    return max(FLOAT * logits, FLOAT * layer + mask)


def _width(architecture: Architecture) -> int:
    """The widest feed-forward block, where active experts count side by side. [elements]"""
    experts = architecture.experts
    routed = experts.active * experts.intermediate if experts else 0
    return max([routed, *(group.ffn.dense_width for group in architecture.groups if group.ffn)])


def memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes; caches get what weights and compute buffer leave. [B]

    Source: llama.cpp, common/fit.cpp, `common_params_fit`.
    """
    return RankMemory(
        total=gpu.engine_memory,
        budget=utilization(model.architecture, gpu, layout, engine) * (gpu.engine_memory - CONTEXT),
        weights=gpu_weights(model, precision, layout),
        activation=compute_buffer(model.architecture, engine, gpus=layout.replica),
        outside=CONTEXT,
    )


def holding(model: Model, layout: Layout, engine: Engine, pool: float, *, kv_bits: float) -> Holding:
    """The slots of a context whose caches fit `pool`, and the cells (tokens) that they have together.

    What the mask of a long context adds to the compute buffer comes out of the pool. `kv_bits` is the mean of the types
    of keys and values: 8.5 for q8_0, 4.5 for q4_0 and iq4_nl.
    """
    architecture, gpus = model.architecture, layout.replica
    without = compute_buffer(architecture, engine, gpus=gpus)

    def slots(context: int) -> float:
        mask = compute_buffer(architecture, engine, context=padded(context), gpus=gpus) - without
        return max(0.0, pool - mask) / slot_bytes(architecture, layout, engine, context=context, kv_bits=kv_bits)

    return Holding(tokens=lambda context: int(slots(context) * padded(context)), concurrency=slots)


def padded(cells: int) -> int:
    """⌈cells / 256⌉ × 256: the cells of a cache. [cells]

    Source: llama.cpp, src/llama-context.cpp (`n_ctx_seq`), src/llama-kv-cache-iswa.cpp (`size_swa`).

    >>> [padded(cells) for cells in (1, 256, 1152)]
    [256, 256, 1280]
    """
    return ceil(cells / CELLS) * CELLS


def slot_bytes(architecture: Architecture, layout: Layout, engine: Engine, *, context: int, kv_bits: float) -> float:
    """One slot's cache on the GPU with most of it: Σ cells × elements × bits / 8, and recurrent states in fp32. [B]

    Where `windows_count`, a windowed layer has padded(min(context, window + micro-batch)) cells, all others
    padded(context); without `windows` (ik_llama.cpp, `--swa-full`) all layers have the latter.

    Limits: with `--kv-unified`, the server's default, slots share the cells of layers without a window.
    Source: llama.cpp, src/llama-kv-cache.cpp, src/llama-kv-cache-iswa.cpp, src/llama-memory-recurrent.cpp.
    """
    held_by = [0.0] * layout.replica
    for layer, size in enumerate(layer_caches(architecture, engine, context=context, kv_bits=kv_bits)):
        held_by[gpu_of(layer, architecture, layout.replica)] += size
    return max(held_by)


def layer_caches(architecture: Architecture, engine: Engine, *, context: int, kv_bits: float) -> list[float]:
    """One slot's cache and states of every layer, in the order of the forward pass. [B]"""
    ahead = engine.max_num_batched_tokens if engine.windows and windows_count(architecture) else None
    of_group = [_layer_cache(group, ahead=ahead, context=context, kv_bits=kv_bits) for group in architecture.groups]
    return [of_group[kind] for kind in architecture.sequence]


def windows_count(architecture: Architecture) -> bool:
    """Whether llama.cpp caches only the window of windowed layers: where some layers have no window.

    Families with windows in every layer (Phi-3, Mistral 7B v0.1, StarCoder2, Phi-3.5-MoE) keep every token: llama.cpp
    does not read their window, and switches that of Phi-3 off.

    Limits: llama.cpp reads the windows of all mixed families in the catalogue; those of a Qwen2 it would not.
    Source: llama.cpp, src/models, `load_arch_hparams` (`n_swa`, `swa_type`): of the families that read a window only
    DeepSeek-V4 has one in every layer; phi3.cpp, "Phi SWA is currently disabled".
    """
    return not all(mixer.cached and all(part.window for part in mixer.cached) for _, mixer in architecture.mixers)


def _idle_values(mixer: Mixer) -> int:
    """The room for one head's values in the cache of index keys, which has none beside latents. [elements/token]

    Source: llama.cpp, src/llama-kv-cache-dsa.cpp (`hparams_lid`); a published start with Qwen3.8 Flash Next.
    """
    return mixer.value_width // mixer.kv_heads if isinstance(mixer, Attention) else 0


def _layer_cache(group: LayerGroup, *, ahead: int | None, context: int, kv_bits: float) -> float:
    """One layer's cache and state for one slot; windows have `ahead` more cells, or all if that is None. [B]"""
    size = 0.0
    for mixer in group.mixers:
        for part in mixer.cached:
            kept = part.window + ahead if part.window and ahead is not None else context
            cells = min(context, kept)
            idle = _idle_values(mixer) if part.what == "index keys" else 0
            size += padded(cells) * (part.elements + idle) * kv_bits / BITS_PER_BYTE
        if state := mixer.state:
            size += (state.convolution + state.recurrent) * FLOAT
    return size


def not_modelled(architecture: Architecture, _engine: Engine) -> str | None:
    """Why llama.cpp's cache of this architecture cannot be computed, as a clause; None where it can."""
    if not architecture.has_cache:
        return "no layer keeps keys and values: llama.cpp's compute buffer for states alone is not modelled"
    reasons = (_reason(mixer) for _, mixer in architecture.mixers)
    return next((reason for reason in reasons if reason), None)


def _reason(mixer: Mixer) -> str | None:
    """Why the cache of one mixer cannot be computed, None where it can."""
    if isinstance(mixer, Compressed):
        return "compressed keys (DeepSeek-V4): llama.cpp's layout of them is not modelled"
    if isinstance(mixer, Latent) and mixer.window:
        return "latents of a window (dots3): llama.cpp's cache of them is not modelled"
    if getattr(mixer, "indexer", None):
        return "index keys: their scores grow llama.cpp's compute buffer with the context, which is not modelled"
    return _attention_reason(mixer) if isinstance(mixer, Attention) else None


def _attention_reason(attention: Attention) -> str | None:
    """Why the cache of attention with KV heads cannot be computed, None where it can."""
    if attention.cross:
        return "cross-attention to an image: llama.cpp's cache of it is not modelled"
    if attention.expands:
        return "keys and values made of a latent: llama.cpp's cache of them is not modelled"
    if attention.convolution_state:
        return "convolutions on keys and values: llama.cpp's state for them is not modelled"
    return None
