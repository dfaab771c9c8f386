"""llama.cpp's memory: no pool, a cache allocated up front for every slot, and layers spread over the GPUs.

The rules were read in the llama.cpp of llama-cpp-python 0.3.36. There is no tensor parallelism: the GPUs of a layout
take the layers in turn, whatever its degrees. Flash attention is taken to be on, and every layer to be on a GPU; the
token embedding stays in host memory.

Held against 40 published llama.cpp and ik_llama.cpp logs: caches, states and embeddings exact, files and weights on
the GPU within 1.6 %, of Phi-3 3.6 % short; compute buffers on CUDA and on the CPU never short and at most two hidden
states over (17 MiB), on Metal 4 % short; a llama-server of late 2026 reserves down to a quarter of them.
"""

from dataclasses import replace
from functools import lru_cache
from math import ceil

from inferplan.core.architecture import (
    Architecture,
    Attention,
    Compressed,
    LayerGroup,
    Mixer,
    count,
    layer_params,
)
from inferplan.core.engine import Engine
from inferplan.core.gguf_rows import MIXES, TYPES, head_more, head_type, tensors_more
from inferplan.core.hardware import Gpu
from inferplan.core.model import Build, Model, NativeBits
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.rank_memory import Holding, RankMemory
from inferplan.core.units import GIB

CONTEXT = 0.5 * GIB
"""What the CUDA runtime takes of a datacenter GPU; 0.08 to 0.16 GiB on consumer cards. [B]"""
MARGIN = GIB
"""What `--fit` leaves free on every GPU by default. [B]"""
CELLS = 256
"""Cells of a cache come in multiples of this."""
FLOAT = 4
"""Activations, logits and states are fp32. [B]"""
MASK = 2
"""The mask of flash attention is fp16. [B]"""
PIPELINE_COPIES = 4
"""Copies of a split's inputs with several GPUs: `GGML_SCHED_MAX_COPIES` by default."""
LLAMA_FILE = 8_030_261_248
LLAMA_VOCABULARY = 525_336_576
"""Parameters of Llama 3.1 8B, whose files the bits of the mixes are measured on, and of its embedding or head."""
Q8_0 = 8.5
Q6_K = 6.5625
Q5_K = 5.5
EMBEDDING_BITS = {
    "q8_0": Q8_0,
    "mxfp4": Q8_0,
    "q6_k": Q6_K,
    "q5_k_m": Q5_K,
    "q5_k_s": Q5_K,
    "q4_k_m": 4.5,
    "q4_k_s": 4.5,
    "iq4_nl": 4.5,
    "iq4_xs": 4.25,
    "q3_k_l": 3.4375,
    "q3_k_m": 3.4375,
    "q3_k_s": 3.4375,
    "iq3_m": 3.4375,
    "iq3_s": 3.4375,
    "iq3_xs": 3.4375,
    "iq3_xxs": 3.4375,
    "q2_k": 2.625,
    "q2_k_s": 2.625,
    "iq2_m": 3.4375,
}
"""What a mix stores `token_embd` in. [bits]

Source: llama.cpp, src/llama-quant.cpp, `llama_tensor_get_type_impl`.
"""
MXFP4_MOE = Build(
    id="MXFP4_MOE",
    bits=NativeBits(mixers=Q8_0, ffn=Q8_0, routed_experts=4.25, lookup=Q8_0, output_head=Q8_0, embedding=Q8_0),
)
"""What a file in MXFP4 is, gpt-oss's too, whose release keeps 16 bit: experts in it, all other matrices in Q8_0.

Source: llama.cpp, src/llama-quant.cpp, `llama_tensor_get_type` (`LLAMA_FTYPE_MOSTLY_MXFP4_MOE`); the files of gpt-oss
are 11.27 and 59.02 GiB (pull requests' tables), 0.3 % more than counted, which are biases and routers in FP32.
"""


def default_batching(_gpu: Gpu, _version: int) -> tuple[int, int]:
    """`--ubatch-size` of llama-server by default, 512 tokens, and the most slots that `--parallel` can ask for, 256.

    The server sets up four slots unless told; a plan asks for as many as it has users.

    Source: llama.cpp, common/common.h, `common_params`; src/llama-cparams.h, `LLAMA_MAX_SEQ`.
    """
    return 512, 256


def utilization(_architecture: Architecture, gpu: Gpu, _layout: Layout, engine: Engine) -> float:
    """The share of what the runtime leaves that is filled: all but 1 GiB, unless set. [fraction]

    Source: llama.cpp, common/fit.cpp, `common_params_fit`; common/common.h, `fit_params_target`.
    """
    if engine.memory_utilization is not None:
        return engine.memory_utilization
    return 1 - MARGIN / (gpu.engine_memory - CONTEXT)


@lru_cache(maxsize=1024)
def in_files(model: Model) -> Model:
    """The model as files for llama.cpp store it, which in MXFP4 is not as its release or other engines do."""
    if model.is_size_class:
        return model
    own = MXFP4_MOE.bits if model.native_precision == "mxfp4" else model.native_bits
    return replace(model, native_bits=own, builds={**model.builds, "mxfp4": MXFP4_MOE})


def embedding_bits(precision: Precision) -> float:
    """What the token embedding is stored in: the base type of a mix, or the format's own. [bits]"""
    return EMBEDDING_BITS.get(precision.id, precision.bits_per_weight)


def head_bits(precision: Precision) -> float:
    """What the head is stored in: Q6_K, Q5_K in the smallest mixes, Q8_0 beside MXFP4, or the format's own. [bits]

    Source: llama.cpp, src/llama-quant.cpp, `llama_tensor_get_type_impl`.
    """
    return TYPES[head_type(precision.id)][0] if precision.id in MIXES else embedding_bits(precision)


def layer_bits(precision: Precision, tensors: str) -> float:
    """(bits × file - (embedding + head bits) × vocabulary) / rest: what a mix spends within the layers. [bits]

    The bits of a mix are those of a whole file of Llama 3.1 8B, of which embedding and head are 13 %; of a larger
    model they are 2 to 6 %. MXFP4 is for experts, with Q8_0 beside them (`MXFP4_MOE`).
    """
    if precision.id == "mxfp4":
        return MXFP4_MOE.bits.routed_experts if tensors == "routed_experts" else Q8_0
    ends = (embedding_bits(precision) + head_bits(precision)) * LLAMA_VOCABULARY
    return (precision.bits_per_weight * LLAMA_FILE - ends) / (LLAMA_FILE - 2 * LLAMA_VOCABULARY)


def head_bytes(model: Model, precision: Precision) -> float:
    """The head, or the embedding in its type where they are one. [B]"""
    parts, mix = model.parameters, precision.id
    more = head_more(model.architecture.hidden, mix) if mix in MIXES and not model.is_size_class else 0.0
    return (parts.output_head or parts.embedding) * (head_bits(precision) + more) / BITS_PER_BYTE


@lru_cache(maxsize=1024)
def layer_weights(model: Model, precision: Precision) -> tuple[float, ...]:
    """The bytes of every layer, in the order of the forward pass. [B]"""
    architecture = model.architecture
    one = [group_bytes(model, precision, group) for group in architecture.groups]
    return tuple(one[kind] for kind in architecture.sequence)


def group_bytes(model: Model, precision: Precision, group: LayerGroup, only: str | None = None) -> float:
    """One layer of a kind: its parameters, stretched to the total of a size class, by the bits of their class. [B]

    `only` one class of tensors, where it is named. Rows of a checkpoint that are no whole blocks take more.
    """
    exact, parts, hidden = count(model.architecture), model.parameters, model.architecture.hidden
    own = ((name, params) for name, params in layer_params(hidden, group) if params)
    mix = precision.id if precision.id in MIXES and not model.is_size_class else None
    bits = sum(
        params
        * getattr(parts, name)
        / getattr(exact, name)
        * (layer_bits(precision, name) + (tensors_more(hidden, group, mix, name) if mix else 0.0))
        for name, params in own
        if only in (None, name)
    )
    other = 0.0 if only else parts.other * layer_bits(precision, "other") / model.architecture.layers
    return (bits + other) / BITS_PER_BYTE


def gpu_of(layer: int, architecture: Architecture, gpus: int) -> int:
    """⌊layer × gpus / (layers + 1)⌋, counted from 0: the head counts as a layer, and is on the last GPU.

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
    """Weights on the busiest GPU: its layers, and the head on the last one. [B]

    Token embedding and lookup tables stay in host memory; a head that is the embedding is a copy of it.

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
    """4 B × max(outputs × vocabulary + 2 × T × hidden, T × (2 × hidden + 3 × width)), and 2 B × T × context. [B]

    T is the micro-batch; the mask over the context counts with the layer, not with the head. `outputs` are the
    tokens whose logits are computed: all of the micro-batch unless said otherwise, one per slot in the llama-server
    of 2026. Several GPUs work as a pipeline, in which each keeps four copies of its inputs, of T × hidden × 4 B and
    of the mask, beside either.

    Limits: layers whose experts are in host memory need room for one of their tensors on top; that is what takes
    DeepSeek-V3 to 3.3 GiB in published logs. Metal took 4 % more than this. The one log of a pipeline is met on the
    GPU with the head, which needs most; those without it took up to 74 MiB more than their own layers do here.
    Source: llama.cpp, src/llama-context.cpp, `sched_reserve`, `pipeline_parallel`; ggml-backend.cpp,
    `ggml_backend_sched_split_graph`, where inputs of `n_copies` copies are not reused; logs, of which the smaller ones
    have one hidden state beside the logits.
    """
    tokens, hidden = engine.max_num_batched_tokens, architecture.hidden
    logits = (tokens if outputs is None else outputs) * architecture.vocab + 2 * tokens * hidden
    layer, mask = tokens * (2 * hidden + 3 * _width(architecture)), MASK * tokens * context
    if gpus > 1:
        return FLOAT * max(logits, layer) + PIPELINE_COPIES * (FLOAT * tokens * hidden + mask)
    return max(FLOAT * logits, FLOAT * layer + mask)


def _width(architecture: Architecture) -> int:
    """The widest feed-forward block that a token passes through, active experts side by side. [elements]"""
    experts = architecture.experts
    routed = experts.active * experts.intermediate if experts else 0
    return max(routed, *(group.ffn.dense_width for group in architecture.groups if group.ffn))


def memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes; the cache gets what weights and compute buffer leave.

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
    """Slots of a context whose caches fit, and the cells that they have together.

    What a long context's mask adds to the compute buffer comes out of the pool. `kv_bits` is the mean of the types
    of keys and values: 8.5 for q8_0, 4.5 for q4_0 and iq4_nl.
    """
    architecture, gpus = model.architecture, layout.replica
    without = compute_buffer(architecture, engine, gpus=gpus)

    def slots(context: int) -> float:
        mask = compute_buffer(architecture, engine, context=padded(context), gpus=gpus) - without
        return max(0.0, pool - mask) / slot_bytes(architecture, layout, engine, context=context, kv_bits=kv_bits)

    return Holding(tokens=lambda context: int(slots(context) * padded(context)), concurrency=slots)


def padded(cells: int) -> int:
    """⌈cells / 256⌉ × 256. [cells]

    Source: llama.cpp, src/llama-context.cpp (`n_ctx_seq`), src/llama-kv-cache-iswa.cpp (`size_swa`).

    >>> [padded(cells) for cells in (1, 256, 1152)]
    [256, 256, 1280]
    """
    return ceil(cells / CELLS) * CELLS


def slot_bytes(architecture: Architecture, layout: Layout, engine: Engine, *, context: int, kv_bits: float) -> float:
    """One slot's cache on the GPU that has most of it: cells × elements × bits of its layers, and their states. [B]

    A windowed layer has padded(min(context, window + micro-batch)) cells, where windows count. Recurrent states are
    fp32.

    Limits: with `--kv-unified`, the server's default, slots share the full layers' cells, and windows add up. Without
    `windows` (ik_llama, `--swa-full`) windowed layers have every cell.
    Source: llama.cpp, src/llama-kv-cache.cpp, src/llama-kv-cache-iswa.cpp, src/llama-memory-recurrent.cpp.
    """
    held_by = [0.0] * layout.replica
    for layer, size in enumerate(layer_caches(architecture, engine, context=context, kv_bits=kv_bits)):
        held_by[gpu_of(layer, architecture, layout.replica)] += size
    return max(held_by)


def layer_caches(architecture: Architecture, engine: Engine, *, context: int, kv_bits: float) -> list[float]:
    """One slot's cache of every layer, in the order of the forward pass. [B]"""
    ahead = engine.max_num_batched_tokens if engine.windows and windows_count(architecture) else None
    kinds = [_layer_cache(group, ahead=ahead, context=context, kv_bits=kv_bits) for group in architecture.groups]
    return [kinds[kind] for kind in architecture.sequence]


def windows_count(architecture: Architecture) -> bool:
    """Whether llama.cpp lets go of what left a window: only where some layers have none.

    Families with windows in every layer (Phi-3, Mistral 7B v0.1, StarCoder2, Phi-3.5-MoE) keep every token: llama.cpp
    does not read their window, and switches that of Phi-3 off.

    Limits: all mixed families of the catalog have their windows read; Qwen2 with some windowed layers would not.
    Source: llama.cpp, src/models, `load_arch_hparams` (`n_swa`, `swa_type`): of the families that read a window only
    DeepSeek-V4 has one in every layer; phi3.cpp, "Phi SWA is currently disabled".
    """
    return not all(mixer.cached and all(part.window for part in mixer.cached) for _, mixer in architecture.mixers)


def _layer_cache(group: LayerGroup, *, ahead: int | None, context: int, kv_bits: float) -> float:
    """The cache and the state of one layer for one slot; a window has `ahead` more cells, with None all of them. [B]"""
    size = 0.0
    for mixer in group.mixers:
        for part in mixer.cached:
            near = part.window + ahead if part.window and ahead is not None else context
            cells = min(context, near)
            size += padded(cells) * part.elements * kv_bits / BITS_PER_BYTE
        if state := mixer.state:
            size += (state.convolution + state.recurrent) * FLOAT
    return size


def not_modelled(architecture: Architecture, _engine: Engine) -> str | None:
    """Why llama.cpp's cache of this architecture is not computed here, None where it is."""
    reasons = (_reason(mixer) for _, mixer in architecture.mixers)
    return next((reason for reason in reasons if reason), None)


def _reason(mixer: Mixer) -> str | None:
    """What about one mixer is not covered."""
    if isinstance(mixer, Compressed):
        return "compressed keys (DeepSeek-V4): llama.cpp's layout of them is not held here"
    if getattr(mixer, "indexer", None):
        return "index keys: their scores grow llama.cpp's compute buffer with the context, in a way not known here"
    if isinstance(mixer, Attention) and mixer.cross:
        return "cross-attention to an image: llama.cpp's cache of it is not known here"
    if isinstance(mixer, Attention) and mixer.convolution_state:
        return "convolutions on keys and values: llama.cpp's state for them is not known here"
    return None
