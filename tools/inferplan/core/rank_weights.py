"""Weights on the busiest rank of a replica: shards, what is replicated, padding, and what the allocator rounds up."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil

from inferplan.core.architecture import (
    Architecture,
    Attention,
    ExpertFfn,
    LayerGroup,
    StageCopies,
    count,
    layer_params,
)
from inferplan.core.attention import Latent
from inferplan.core.memory import HALF_BYTES, WeightBytes, class_bits, vision_bytes, weights
from inferplan.core.model import Build, Model, NativeBits
from inferplan.core.parallelism import Layout, expert_share, shared_share, stage_ranges
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision
from inferplan.core.units import MIB

VOCABULARY_ROWS = 64
"""vLLM pads embedding and head to a multiple of these rows (`VocabParallelEmbedding`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loader:
    """What differs in loading: `marlin` kernels for MXFP4 experts, and vLLM up to 0.7 (`first_engine`).

    `doubled_keys` says that a projection which makes keys and values both is loaded for each of them, `stage_copies`
    that some models build embedding and head on every pipeline stage, `latent_views` that latents are worked on with
    16-bit weights as they are, `wide_zeros` that kernels keep zero points of 4 bit in 16; for `batched_tokens` of a
    step buffers are kept.
    """

    marlin: bool = False
    first_engine: bool = False
    doubled_keys: bool = False
    stage_copies: bool = False
    latent_views: bool = False
    wide_zeros: bool = False
    batched_tokens: int = 0


TODAY = Loader()
ZERO_POINTS = "awq"
"""The format that has zero points."""
ZERO_POINT_BITS = 4
AWQ_GROUP = 128
"""Weights that share one."""


@lru_cache(maxsize=1024)
def with_wide_zeros(model: Model, precision: Precision) -> Model:
    """The model in AWQ with zero points of 16 bit, of 4 in its files: (16 - 4) / 128 of a bit a weight, experts aside.

    Limits: groups are taken to be of 128 weights. Qwen2.5 7B took 5.38 GiB on an H200 and 5.29 on an RTX 3090, of which
    5.27 and 5.20 are counted; what both have beside is not known.
    """
    bits, more = class_bits(model, precision), (REST_BITS - ZERO_POINT_BITS) / AWQ_GROUP
    mixers, ffn = (width + more if width < REST_BITS else width for width in (bits.mixers, bits.ffn))
    own = replace(bits, mixers=mixers, ffn=ffn)
    if model.native_precision == precision.id:
        return replace(model, native_bits=own)
    return replace(model, builds={**model.builds, precision.id: Build(id=precision.id, bits=own)})


def rank_weights(model: Model, precision: Precision, layout: Layout, loader: Loader = TODAY) -> float:
    """Weights on the busiest rank: those of the heaviest stage. [B]"""
    return max(stage_weights(model, precision, layout, loader))


def stage_weights(model: Model, precision: Precision, layout: Layout, loader: Loader = TODAY) -> tuple[float, ...]:
    """Weights on one rank of each pipeline stage, sharded over the tensor group. [B]

    Attention is sharded by heads (KV heads are replicated once there are more ranks than KV heads, what makes
    latents always), feed-forward blocks by columns, embedding, lookup tables and head by padded vocabulary; norms,
    router and the RoPE table are on every rank. With expert parallelism a rank holds whole experts, as many as its
    share, and the shared ones. The first stage also holds the embedding and the vision tower, the last one the head;
    where vLLM builds them on every stage (`stage_copies`), each one does, though it uses them at its ends alone. Latent
    attention keeps 16-bit copies of its up-projection. On top comes what the allocator rounds up.

    Limits: layers that predict further tokens are not loaded. Matrices of latent attention in several formats are taken
    at their mean, repeated ones too: DeepSeek V3.1 in NVFP4 on 8 ranks comes out 0.7 GB short, 1.4 %.
    """
    if loader.wide_zeros and precision.id == ZERO_POINTS:
        model = with_wide_zeros(model, precision)
    architecture, parts = model.architecture, weights(model, precision)
    rows = architecture.max_positions * architecture.rope_tables
    kept = precision.element_bytes * (rows * _rope_width(architecture) + _deepstack_buffers(architecture, loader))
    rows_padded = _padded(architecture.vocab, VOCABULARY_ROWS) / architecture.vocab
    embedding, head = parts.embedding * rows_padded / layout.tp, parts.output_head * rows_padded / layout.tp
    everywhere = architecture.vision_replicated * HALF_BYTES
    beside = (parts.lookup + vision_bytes(model) - everywhere) / layout.tp + everywhere
    shard = Layout(tp=layout.tp, attention_dp=layout.attention_dp)
    if layout.pp == 1:
        padding = _expert_padding(model, precision, shard, loader)
        extra = _rounding(model, precision, shard, loader) + _absorbed(model, precision, layout.tp, loader)
        extra += sum(
            group.count * _doubled_keys(architecture.hidden, group, class_bits(model, precision), layout.tp, loader)
            for group in architecture.groups
        )
        return (_layer_weights(model, parts, shard, padding) + extra + embedding + beside + head + kept,)
    layers = _each_layer(model, precision, shard, loader)
    ranges = stage_ranges(len(layers), layout.pp, last_longer=loader.first_engine)
    stages = [sum(layers[start - 1 : end]) for start, end in ranges]
    stages[0] += beside
    copies = architecture.stage_copies if loader.stage_copies else "none"
    ends = at_stages(embedding, head, layout.pp, copies)
    return tuple(stage + end + kept for stage, end in zip(stages, ends, strict=True))


def _deepstack_buffers(architecture: Architecture, loader: Loader) -> int:
    """What a vision tower adds to the inputs of some layers, for the tokens of a step, on every rank. [elements]

    Source: vLLM, vllm/model_executor/models/qwen3_vl.py, `deepstack_input_embeds`; Qwen3-VL 8B on vLLM 0.19 and
    30B-A3B on 0.11, which printed 0.2 and 0.03 GiB more than their tensors take.
    """
    return architecture.deepstack * loader.batched_tokens * architecture.hidden


def at_stages(embedding: float, head: float, stages: int, copies: StageCopies) -> Iterator[float]:
    """Embedding and head on each stage: the former first, the latter last, a tied one at both ends; or on all. [B]

    >>> [list(at_stages(3, 2, 3, copies)) for copies in ("none", "embedding", "all")], list(at_stages(3, 0, 3, "none"))
    ([[3, 0, 2], [3, 3, 5], [5, 5, 5]], [3, 0, 3])
    """
    for number in range(stages):
        is_last = number == stages - 1
        embeds = number == 0 or copies != "none" or (is_last and not head)
        yield embedding * embeds + head * (is_last or copies == "all")


@lru_cache(maxsize=1024)
def _each_layer(model: Model, precision: Precision, shard: Layout, loader: Loader) -> tuple[float, ...]:
    """The bytes of each layer on one rank of a stage, in the order of the forward pass. [B]"""
    architecture, padding = model.architecture, _expert_padding(model, precision, shard, loader)
    one = [
        _group_weights(model, precision, group, shard, padding=padding, loader=loader) for group in architecture.groups
    ]
    return tuple(one[kind] for kind in architecture.sequence)


def _group_weights(
    model: Model, precision: Precision, group: LayerGroup, shard: Layout, *, padding: float, loader: Loader
) -> float:
    """One layer of a kind on one rank: as large a part of each class as its parameters are. [B]"""
    architecture, stored = model.architecture, weights(model, precision)
    parts, hidden, tp = count(architecture), architecture.hidden, shard.tp
    own: dict[str, float] = {}
    for name, params in layer_params(hidden, group):
        own[name] = own.get(name, 0) + params
    mixing = sum(mixer.params(hidden) * mixer.share(hidden, tp) for mixer in group.mixers)
    ffn = own.get("dense_ffn", 0) / tp + own.get("shared_experts", 0) * shared_share(shard)
    routed = own.get("routed_experts", 0) * _routed_share(architecture, shard)
    latents = (mixer for mixer in group.mixers if isinstance(mixer, Latent))
    return (
        _part(stored.attention, mixing, parts.attention + parts.linear_attention)
        + _part(stored.ffn, ffn, parts.dense_ffn + parts.shared_experts)
        + _part(stored.routed_experts, routed, parts.routed_experts) * padding
        + stored.replicated / architecture.layers
        + _group_rounding(model, group, precision, shard, loader)
        + _doubled_keys(hidden, group, class_bits(model, precision), tp, loader)
        + sum(_absorbed_by(mixer, model, precision, tp, loader) for mixer in latents)
    )


def _doubled_keys(hidden: int, group: LayerGroup, bits: NativeBits, tp: int, loader: Loader) -> float:
    """hidden × kv width on a rank, for a layer whose value is its key: vLLM fills both slots of one matrix. [B]

    Source: vLLM 0.19 to 0.28, vllm/model_executor/models/gemma4.py, `use_k_eq_v`.
    """
    if not loader.doubled_keys:
        return 0.0
    shared = (mixer for mixer in group.mixers if isinstance(mixer, Attention) and mixer.value_is_key)
    width = sum(mixer.head_dim * max(1.0, mixer.kv_heads / tp) for mixer in shared if not mixer.reuses_cache)
    return hidden * width * bits.mixers / BITS_PER_BYTE


def _rope_width(architecture: Architecture) -> int:
    """The tables of rotations side by side: one for each width of head that rotates. [elements]

    Source: vLLM, vllm/model_executor/layers/rotary_embedding, `get_rope`; `Gemma4RotaryEmbedding` (whole heads).
    """
    if architecture.rotary_dim is not None:
        return architecture.rotary_dim
    wide = {mixer.head_dim for _, mixer in architecture.mixers if isinstance(mixer, Attention)}
    return sum(wide) if len(wide) > 1 else architecture.rope_dim


def _part(stored: float, params: float, whole: float) -> float:
    """stored × params / whole: the bytes of some parameters of a class. [B]"""
    return stored * params / whole if whole else 0.0


def _layer_weights(model: Model, parts: WeightBytes, shard: Layout, padding: float) -> float:
    """The bytes of all layers on one rank. [B]"""
    hidden, mixers, count_ = model.architecture.hidden, list(model.architecture.mixers), model.parameters
    whole = sum(layers * mixer.params(hidden) for layers, mixer in mixers)
    held = sum(layers * mixer.params(hidden) * mixer.share(hidden, shard.tp) for layers, mixer in mixers)
    ffn = count_.dense_ffn / shard.tp + count_.shared_experts * shared_share(shard)
    experts = parts.routed_experts * padding * _routed_share(model.architecture, shard)
    blocks = _part(parts.ffn, ffn, count_.dense_ffn + count_.shared_experts)
    return parts.attention * (held / whole) + blocks + experts + parts.replicated


def _routed_share(architecture: Architecture, shard: Layout) -> float:
    """The share of the routed experts that the busiest rank holds; none where there are no experts."""
    return expert_share(shard, architecture.experts.experts) if architecture.experts else 0.0


def _sliced(shard: Layout) -> int:
    """Into how many slices each expert is cut: none where ranks hold whole ones."""
    return shard.tp if shard.ep == 1 else 1


def _expert_padding(model: Model, precision: Precision, shard: Layout, loader: Loader) -> float:
    """Padded over real size of a rank's MXFP4 experts, 1 in other formats.

    Marlin kernels (not Hopper, or several ranks) pad the columns of a rank to a multiple of 128 and the hidden width
    to one of 256: gpt-oss 2,944 × 3,072 on one GPU. On one H100 one of the two widths was padded, to 3,072.

    Source: vLLM, oracle/mxfp4.py, `mxfp4_round_up_hidden_size_and_intermediate_size`; published logs of gpt-oss on
    one H100 (within 0.3 %), on two (0.9 %), on one A100 (0.3 %) and on four (0.4 %).
    """
    experts = model.architecture.experts
    if experts is None or precision.id != "mxfp4":
        return 1.0
    columns, hidden = experts.intermediate / _sliced(shard), experts.expert_hidden or model.architecture.hidden
    wide = _padded(hidden, 256) / hidden
    return wide * _padded(columns, 128) / columns if loader.marlin or _sliced(shard) > 1 else wide


def cuts_blocks(model: Model, precision: Precision, tp: int) -> bool:
    """Whether slices of the experts would end within a block of scales: then each GPU has to hold whole ones.

    Source: vLLM, pull request 48173 and recipes, MiniMax-M2 ("pure TP8 is not supported", TP+EP is): 1536 / 8 = 192 is
    no multiple of 128. SGLang refuses it in the same words.
    """
    experts, block = model.architecture.experts, model.block(precision.id)
    return bool(block and experts and experts.intermediate % (tp * block))


def padded_experts(columns: float, hidden: int, precision: Precision) -> tuple[float, float]:
    """Columns and hidden width of an expert on a rank as kernels for MXFP4 pad them, as they are in other formats.

    >>> from inferplan.catalog.formats import FORMATS
    >>> padded_experts(2880, 2880, FORMATS["mxfp4"]), padded_experts(192.0, 2048, FORMATS["bf16"])
    ((2944, 3072), (192.0, 2048))
    """
    return (_padded(columns, 128), _padded(hidden, 256)) if precision.id == "mxfp4" else (columns, hidden)


def _padded(size: float, multiple: int) -> int:
    """⌈size / multiple⌉ × multiple."""
    return ceil(size / multiple) * multiple


def _absorbed(model: Model, precision: Precision, tp: int, loader: Loader) -> float:
    """What all layers with latents keep beside their weights, to work on latents directly. [B]"""
    latents = ((layers, mixer) for layers, mixer in model.architecture.mixers if isinstance(mixer, Latent))
    return sum(layers * _absorbed_by(one, model, precision, tp, loader) for layers, one in latents)


def _absorbed_by(latent: Latent, model: Model, precision: Precision, tp: int, loader: Loader) -> float:
    """16-bit copies of the up-projection; on the first engine also what it was multiplied into. [B]

    That is query_rank × heads × kv_rank and heads × kv_rank × hidden in the format of the weights, and the rotary
    part of the query in 16 bit.

    Limits: of 16-bit weights every version takes views, by its source. GLM-4.7-Flash and DeepSeek-V2-Lite on 0.24
    loaded no copies (`latent_views`), but DeepSeek-V2-Lite and Kimi-VL on 0.19 took 0.4 % more than their tensors,
    which is what copies take; nothing is known of the versions between.
    Source: vLLM V1, `MLACommonImpl.process_weights_after_loading` (W_UK_T and W_UV); vLLM 0.7,
    vllm/attention/backends/mla/utils.py (W_QR, W_Q_UK, W_UV_O); within 1 % of DeepSeek-R1 as 0.7.2 printed it.
    """
    if loader.latent_views and class_bits(model, precision).mixers == REST_BITS:
        return 0.0
    copies = latent.absorbed_params(tp) * HALF_BYTES
    if not loader.first_engine:
        return copies
    hidden = model.architecture.hidden
    heads, rank = latent.heads / tp, latent.query_rank or hidden
    multiplied = heads * latent.kv_rank * (rank + hidden) * precision.nominal_bits / BITS_PER_BYTE
    return copies + multiplied + rank * heads * latent.rope_dim * HALF_BYTES


def allocated(size: float) -> float:
    """What PyTorch's allocator takes for a tensor: from 10 MiB on, whole 2 MiB where at most 1 MiB is left over. [B]

    Source: PyTorch, c10/cuda/CUDACachingAllocator.cpp (a rest above 1 MiB is split off and used again); it accounts
    for the 0.06 GiB by which published logs of Qwen2.5-7B exceed parameters x 2 bytes.

    >>> [allocated(mebibytes * MIB) / MIB for mebibytes in (7, 12, 31.5, 24.5)]
    [7.0, 12.0, 32.0, 24.5]
    """
    whole = ceil(size / (2 * MIB)) * 2 * MIB
    return whole if size >= 10 * MIB and whole - size <= MIB else size


def _rounding(model: Model, precision: Precision, shard: Layout, loader: Loader) -> float:
    """What the allocator adds to the matrices of all layers on one rank. [B]"""
    return sum(
        group.count * _group_rounding(model, group, precision, shard, loader) for group in model.architecture.groups
    )


def _group_rounding(model: Model, group: LayerGroup, precision: Precision, shard: Layout, loader: Loader) -> float:
    """What the allocator adds to the matrices of one layer; experts of MXFP4 are padded to whole tiles anyway. [B]

    Scales and zero points, the fraction of a bit, are tensors apart: those of MXFP4 experts in Marlin kernels, which
    are one tensor for all experts, are rounded, others are too small for it.
    """
    hidden = model.architecture.hidden
    if precision.id == "mxfp4":
        scales = _expert_scales(hidden, group, shard) if loader.marlin else ()
        return sum(allocated(size) - size for size in scales)
    sizes = list(_rank_matrices(hidden, group, shard, class_bits(model, precision)))
    return sum(allocated(size) - size for size in sizes)


def _expert_scales(hidden: int, group: LayerGroup, shard: Layout) -> Iterator[float]:
    """The scales of a layer's MXFP4 experts on one rank, gate-up and down, a byte for 32 padded elements. [B]"""
    if isinstance(ffn := group.ffn, ExpertFfn):
        columns, wide = _padded(ffn.intermediate / _sliced(shard), 128), _padded(ffn.expert_hidden or hidden, 256)
        held = ffn.experts * expert_share(shard, ffn.experts) * _sliced(shard)
        yield from (held * wide * columns * matrices / 32 for matrices in (2 if ffn.gated else 1, 1))


def _rank_matrices(hidden: int, group: LayerGroup, shard: Layout, bits: NativeBits) -> Iterator[float]:
    """The fused matrices of one layer on one rank, without scales: query-key-value, output, gate-up, down. [B]

    Limits: of recurrent and latent mixers the output matrix only; the mean bits of a class stored in several formats.
    """
    tp, mixing = shard.tp, hidden * int(bits.mixers) / BITS_PER_BYTE
    for mixer in group.mixers:
        if isinstance(mixer, Attention):
            query, kv = mixer.query_width / tp, mixer.head_dim * max(1.0, mixer.kv_heads / tp)
            gate = query if mixer.output_gate else 0
            yield mixing * (query + gate + 2 * kv)
        if isinstance(mixer, Attention | Latent):
            yield mixing * mixer.output_width / tp
    for columns, width in _rank_columns(group, shard, bits):
        yield hidden * columns * int(width) / BITS_PER_BYTE


def _rank_columns(group: LayerGroup, shard: Layout, bits: NativeBits) -> Iterator[tuple[float, float]]:
    """The columns of the gate-up and of the down matrix of each block, all experts side by side, and their bits."""
    ffn, tp = group.ffn, shard.tp
    if isinstance(ffn, ExpertFfn):
        blocks = (
            (ffn.experts * expert_share(shard, ffn.experts) * ffn.intermediate, bits.routed_experts),
            (shared_share(shard) * ffn.shared_intermediate, bits.ffn),
            (ffn.dense_intermediate / tp, bits.ffn),
        )
    else:
        blocks = (((ffn.intermediate if ffn else 0) / tp, bits.ffn),)
    for columns, width in blocks:
        yield columns * (2 if ffn and ffn.gated else 1), width
        yield columns, width
