"""DeepSeek-V4: compressed attention, and several residual streams (hyper-connections) mixed around each block."""

from collections.abc import Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import indexer
from inferplan.catalog.hugging_face.layers.windows import SLIDING
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, Keys
from inferplan.catalog.hugging_face.reading.sizes import cut_to_decoder, heads_of, hidden_of, layers_of
from inferplan.core.layers.compressed_attention import Compressed

RATIOS = "compress_ratios"
INDEXED, ALL = 4, 128
"""Tokens per compressed key: where an indexer picks keys, and where attention reads all of them."""
KINDS: Mapping[str, int] = {
    SLIDING: 0,
    "compressed_sparse_attention": INDEXED,
    "heavily_compressed_attention": ALL,
}
"""The same by the words of `layer_types`, under which `compress_rates` has them."""


def mixers(keys: Keys) -> Mixers:
    """A window in every layer, and compressed keys beyond it by `compress_ratios`, which go on with the MTP layers.

    transformers saves `layer_types` in their place. Source: DeepSeek-V4 inference/model.py, `Attention`; vLLM 0.33,
    models/deepseek_v4; transformers 5.24, `DeepseekV4Config`.
    """
    layers = layers_of(keys)
    kinds = _ratios(keys, layers)
    found = {kind: _attention(keys, int(kind)) for kind in sorted(set(kinds))}
    return [(found[kind],) for kind in kinds]


def _ratios(keys: Keys, layers: int) -> tuple[str, ...]:
    """The tokens per compressed key of each decoder layer, as text; 0 for a window alone."""
    if keys.has("layer_types") and not keys.has(RATIOS):
        return _named_ratios(keys, layers)
    cut_to_decoder(keys, RATIOS, layers)
    return keys.per_layer(RATIOS, layers, allowed=(0, INDEXED, ALL), default=[0] * layers)


def _named_ratios(keys: Keys, layers: int) -> tuple[str, ...]:
    """The same by `layer_types`; other rates than the published ones are refused."""
    rates = keys.child("compress_rates", defaults=KINDS)
    if rates is not None:
        for name in (name for name, rate in KINDS.items() if rates.integer(name, low=0) != rate):
            rates.unsupported(name, f"no published model has other rates than {INDEXED} and {ALL}")
    kinds = keys.per_layer("layer_types", layers, allowed=tuple(KINDS), default=[SLIDING] * layers)
    return tuple(str(KINDS[kind]) for kind in kinds)


def _attention(keys: Keys, ratio: int) -> Compressed:
    """The attention of one layer."""
    indexing = replace(indexer(keys), compress=INDEXED)
    return replace(windowed(keys), compress=ratio or None, indexer=indexing if ratio == INDEXED else None)


def windowed(keys: Keys) -> Compressed:
    """The attention of a layer that has a window alone."""
    if keys.optional("num_key_value_heads", default=1) not in (None, 1):
        keys.unsupported("num_key_value_heads", "all heads share one key")
    return Compressed(
        heads=heads_of(keys),
        head_dim=keys.integer("head_dim", high=LARGEST_COUNT),
        query_rank=keys.integer("q_lora_rank"),
        output_groups=keys.integer("o_groups", high=LARGEST_COUNT),
        output_rank=keys.integer("o_lora_rank"),
        window=keys.integer("sliding_window"),
    )


def extras(keys: Keys) -> Extras:
    """The mixing of streams in every layer, and their joining at the end."""
    mixing = layers_of(keys) * mixing_params(keys) + joining_params(keys)
    return Extras(other_params=mixing, wide_params=mixing, streams=streams_of(keys))


def mtp_params(keys: Keys) -> int:
    """The mixing and joining of streams of one MTP layer. [parameters]"""
    return mixing_params(keys) + joining_params(keys)


def mixing_params(keys: Keys) -> int:
    """Two blocks × (2 + streams) × streams rows of streams × hidden, as many biases, and three scales. [parameters]

    Source: DeepSeek-V4 inference/model.py, `Block` (`hc_attn_fn`, `hc_ffn_fn`); the sum is the published total's.
    """
    streams = streams_of(keys)
    rows = (2 + streams) * streams
    return 2 * (rows * (streams * hidden_of(keys) + 1) + 3)


def joining_params(keys: Keys) -> int:
    """Streams rows of streams × hidden, as many biases, and a scale (`hc_head_fn`). [parameters]"""
    streams = streams_of(keys)
    return streams * (streams * hidden_of(keys) + 1) + 1


def streams_of(keys: Keys) -> int:
    """The hidden states that are passed from block to block."""
    return keys.integer("hc_mult", high=LARGEST_FACTOR)
