"""Qwen3.8-Flash-Next: delta nets, attention to tokens that an indexer picks, residual streams, and tables of n-grams.

Source: transformers 5.24, `Qwen4ExpTextConfig`, `Qwen4ExpTextModel`; the sum is the published total's.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from math import isqrt

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import Heads, Mixers
from inferplan.catalog.hugging_face.layers.recurrent import LINEAR, gated_delta
from inferplan.catalog.hugging_face.layers.windows import FULL
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.cache_parts import Indexer

INDEXED = (FULL, "indexed_attention")
"""Words of `layer_types` for attention whose tokens an indexer picks."""
PLE_LAYERS = "ple_layer_ids"
MOST_TABLES = 256
"""No config has more tables of n-grams."""
LONGEST_TABLE = 10**8
"""No table of n-grams is longer. [rows]"""


def mixers(keys: Keys) -> Mixers:
    """Delta nets, and by default attention in the last of every four layers."""
    layers, full, delta = layers_of(keys), _picking(keys), gated_delta(keys)
    step = keys.integer("full_attention_interval", default=4, high=MOST_LAYERS)
    default = [LINEAR if (number + 1) % step else FULL for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(LINEAR, *INDEXED), default=default)
    return [(delta if kind == LINEAR else full,) for kind in kinds]


def _picking(keys: Keys) -> Attention:
    """Attention with an indexer of blocks, whose projection and two norms are its `extra_params`; one key for all."""
    full = Heads(qk_norm="per_head", output_gate=True).read(keys)
    heads, dim = (keys.integer(f"indexer_{name}", high=LARGEST_COUNT) for name in ("n_heads", "head_dim"))
    if keys.optional("indexer_kv_heads", default=1) != 1:
        keys.unsupported("indexer_kv_heads", "an indexer has one key for all heads")
    pool = keys.integer("indexer_compress_ratio", high=LARGEST_FACTOR)
    picks = Indexer(heads=heads, head_dim=dim, top=keys.integer("indexer_budget"), compress=pool)
    return replace(full, indexer=picks, extra_params=hidden_of(keys) * dim * (heads + 1) + 2 * dim)


def extras(keys: Keys) -> Extras:
    """Gated residual streams around each block and at the end, and tables of n-grams in a few layers (PLE).

    What a token looks up is projected to a key of each stream and a value for all, normed three times a stream, and
    goes through a convolution.
    """
    hidden, streams = hidden_of(keys), keys.integer("hc_count", high=LARGEST_FACTOR)
    wide, other = streams * hidden, layers_of(keys) * _gating_params(keys) + _mixing_params(keys)
    looking = sorted(keys.layer_numbers(PLE_LAYERS, layers_of(keys), first=1) or ())
    keys.keep(PLE_LAYERS, looking, [])
    if not looking:
        return Extras(other_params=other, streams=streams)
    width = keys.integer("ple_embed_dim", default=hidden)
    kernel = keys.integer("ple_conv_kernel_size", default=4, high=LARGEST_FACTOR)
    return Extras(
        other_params=other + len(looking) * (width * (wide + hidden) + (3 + kernel) * wide),
        lookup_params=_lookup_params(keys, len(looking), width),
        ngram_layers=len(looking),
        streams=streams,
    )


def _mixing_params(keys: Keys) -> int:
    """A norm of all streams, and their mixing of low rank, as at the end of the decoder. [parameters]"""
    wide = keys.integer("hc_count", high=LARGEST_FACTOR) * hidden_of(keys)
    return wide + 2 * wide * keys.integer("hc_lowrank")


def _gating_params(keys: Keys) -> int:
    """The mixing before both blocks of a layer, and what each block adds to which stream. [parameters]"""
    streams = keys.integer("hc_count", high=LARGEST_FACTOR)
    return 2 * (_mixing_params(keys) + streams**2 * hidden_of(keys))


def mtp_params(keys: Keys) -> int:
    """The streams around the blocks of one MTP layer, and their mixing at its end. [parameters]

    Source: vLLM 0.33, qwen4_exp's `Qwen4ExpMultiTokenPredictor`; the norm of all streams is among five of one.
    """
    return _gating_params(keys) + _mixing_params(keys)


def _lookup_params(keys: Keys, layers: int, width: int) -> int:
    """Rows × width / tables of a layer: a table has the next prime of rows, and a layer's are padded as one.

    Source: transformers, `Qwen4ExpTextNGramEmbedding`.
    """
    orders = keys.integer("ngram_size", default=3, low=2, high=LARGEST_FACTOR) - 1
    tables = orders * keys.integer("heads_per_ngram", default=8, high=LARGEST_FACTOR)
    base = keys.integer("ngram_vocab_size_base", default=20_000_000, low=2, high=LONGEST_TABLE)
    whole = keys.integer("make_ngram_vocab_size_divisible_by", default=128)
    if tables * layers > MOST_TABLES:
        keys.contradiction(f"{tables * layers} tables of n-grams are more than {MOST_TABLES}")
        return 0
    sizes = list(islice(_primes(base), tables * layers))
    rows = (sum(sizes[first : first + tables]) for first in range(0, len(sizes), tables))
    return sum(-(-one // whole) * whole for one in rows) * (width // tables)


def _primes(low: int) -> Iterator[int]:
    """The primes from `low` on.

    >>> list(islice(_primes(20_000_000), 3))
    [20000003, 20000023, 20000033]
    """
    return (one for one in count(low) if all(one % factor for factor in range(2, isqrt(one) + 1)))
