"""Weights on the busiest rank of each pipeline stage: what is sharded, what is replicated, and padding."""

from collections.abc import Iterator
from functools import lru_cache

from inferplan.core.architecture import Architecture, LayerGroup, StageCopies
from inferplan.core.engines.allocator import layer_rounding
from inferplan.core.engines.expert_slices import expert_padding, held_share, round_up, stays_whole
from inferplan.core.engines.weight_loading import (
    PLAIN,
    Loader,
    absorbed_copies,
    as_loaded,
    deepstack_buffers,
    doubled_keys,
    half_compressor,
    index_buffer,
    own_choice,
    stream_buffer,
    wide_mixing,
)
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import HALF_BYTES, class_bits, vision_bytes, weights
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout, shared_share, stage_ranges
from inferplan.core.parameters import count, layer_params
from inferplan.core.precision import Precision

VOCABULARY_ROWS = 64
"""vLLM pads embedding and head to a multiple of these rows (`VocabParallelEmbedding`)."""


def rank_weights(model: Model, precision: Precision, layout: Layout, loader: Loader = PLAIN) -> float:
    """Weights on the busiest rank, one of the heaviest stage. [B]"""
    return max(stage_weights(model, precision, layout, loader))


def stage_weights(model: Model, precision: Precision, layout: Layout, loader: Loader = PLAIN) -> tuple[float, ...]:
    """Weights on one rank of each pipeline stage. [B]

    Tensor parallelism shards attention by heads (a rank holds at least one KV head, and all of what makes latents),
    feed-forward blocks by columns, embedding, lookup tables and output head by padded vocabulary; norms, router and the
    RoPE table are on every rank. Under expert parallelism a rank holds its share of whole experts, and the shared ones;
    those of a tensor group hold whole ones where the `loader` is told to and slices would be padded much. The first
    stage has the embedding and the vision tower, the last one the head; some models have both on every stage in vLLM
    (`stage_copies`). On top come copies that the `loader` makes and what the allocator rounds up. Tables of n-grams are
    left out where the `loader` keeps them in the host's memory.

    Limits: layers that predict further tokens are not loaded. Matrices of latent attention in several formats are taken
    at their mean, replicated ones too: DeepSeek V3.1 in NVFP4 on 8 ranks comes out 0.7 GB short, 1.4 %.
    """
    model = as_loaded(model, precision, loader)
    architecture, stored, tp = model.architecture, weights(model, precision), layout.tp
    layers = _each_layer(model, precision, Layout(tp=tp, attention_dp=layout.attention_dp), loader)
    ranges = stage_ranges(len(layers), layout.pp, last_longer=loader.first_engine)
    stages = [sum(layers[start - 1 : end]) for start, end in ranges]
    replicated = architecture.vision_replicated * HALF_BYTES
    lookup = 0.0 if loader.keeps_lookups_off(architecture) else stored.lookup
    stages[0] += (lookup + vision_bytes(model) - replicated) / tp + replicated
    rows = round_up(architecture.vocab, VOCABULARY_ROWS) / architecture.vocab
    copies = architecture.stage_copies if loader.stage_copies else "none"
    ends = at_stages(stored.embedding * rows / tp, stored.output_head * rows / tp, layout.pp, copies)
    stages[-1] += stream_buffer(architecture, loader)
    tables = precision.element_bytes * (_rope_table(architecture) + deepstack_buffers(architecture, loader))
    tables += index_buffer(architecture, loader)
    return tuple(stage + end + tables for stage, end in zip(stages, ends, strict=True))


def at_stages(embedding: float, head: float, stages: int, copies: StageCopies) -> Iterator[float]:
    """Embedding and head of each stage: first and last, a tied embedding at both ends; or copies on every stage. [B]

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
    architecture = model.architecture
    of_group = [_layer(model, precision, group, shard, loader) for group in architecture.groups]
    return tuple(of_group[kind] for kind in architecture.sequence)


def _layer(model: Model, precision: Precision, group: LayerGroup, shard: Layout, loader: Loader) -> float:
    """One layer of a group on one rank: its share of each class, what the loader adds, and rounding. [B]"""
    hidden, bits = model.architecture.hidden, class_bits(model, precision)
    whole = loader.whole_experts and stays_whole(model, precision, shard.tp)
    latents = [mixer for mixer in group.mixers if isinstance(mixer, Latent)]
    attending = [mixer for mixer in group.mixers if isinstance(mixer, Attention)]
    compressed = [mixer for mixer in group.mixers if isinstance(mixer, Compressed)]
    return (
        _sharded(model, precision, group, shard, marlin=loader.marlin, whole=whole)
        + layer_rounding(hidden, group, precision, shard, bits, marlin=loader.marlin, whole=whole)
        + doubled_keys(hidden, group, bits, shard.tp, loader)
        + sum([absorbed_copies(one, model, precision, shard.tp, loader) for one in latents])
        + sum([own_choice(one, loader) for one in attending])
        + sum([half_compressor(one, hidden, bits, loader) for one in compressed])
        + wide_mixing(model.architecture, loader) / model.architecture.layers
    )


def _sharded(
    model: Model, precision: Precision, group: LayerGroup, shard: Layout, *, marlin: bool, whole: bool
) -> float:
    """Σ bytes of a class × the parameters of it that a rank holds of one layer / those of the whole model. [B]"""
    architecture, stored = model.architecture, weights(model, precision)
    parts, hidden, tp = count(architecture), architecture.hidden, shard.tp
    own: dict[str, float] = {}
    for name, params in layer_params(hidden, group):
        own[name] = own.get(name, 0) + params
    mixing = sum(mixer.params(hidden) * mixer.share(hidden, tp) for mixer in group.mixers)
    ffn = own.get("dense_ffn", 0) / tp + own.get("shared_experts", 0) * shared_share(shard)
    experts, padding = architecture.experts, expert_padding(model, precision, shard, marlin=marlin, whole=whole)
    routed = own.get("routed_experts", 0) * (held_share(shard, experts.experts, whole=whole) if experts else 0.0)
    return (
        _part(stored.attention, mixing, parts.attention + parts.linear_attention)
        + _part(stored.ffn, ffn, parts.dense_ffn + parts.shared_experts)
        + _part(stored.routed_experts, routed, parts.routed_experts) * padding
        + (stored.ngram / shard.tp + stored.replicated) / architecture.layers
    )


def _part(stored: float, params: float, whole: float) -> float:
    """stored × params / whole: the bytes of some parameters of a class. [B]"""
    return stored * params / whole if whole else 0.0


def _rope_table(architecture: Architecture) -> int:
    """positions × tables × width: the rotations that vLLM keeps, one table for each width of heads. [elements]

    DeepSeek-V4 has one for windows and one for compressed keys, each in fp32.

    Source: vLLM, vllm/model_executor/layers/rotary_embedding, `get_rope`; `Gemma4RotaryEmbedding` (whole heads);
    `DeepseekV4ScalingRotaryEmbedding`, models/deepseek_v4/common/rope.py.
    """
    rows = architecture.max_positions * architecture.rope_tables
    if kinds := {mixer.compress is None for _, mixer in architecture.mixers if isinstance(mixer, Compressed)}:
        return rows * architecture.rope_dim * len(kinds) * 2
    if architecture.rotary_dim is not None:
        return rows * architecture.rotary_dim
    widths = {mixer.head_dim for _, mixer in architecture.mixers if isinstance(mixer, Attention)}
    return rows * (sum(widths) if len(widths) > 1 else architecture.rope_dim)
