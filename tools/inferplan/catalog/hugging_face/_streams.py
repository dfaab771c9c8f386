"""DeepSeek V4: compressed attention, and residual streams that are mixed before and behind each block."""

from inferplan.catalog.hugging_face._attention import Mixers, hidden_of, layers_of, of_decoder
from inferplan.catalog.hugging_face._gemma import Ends
from inferplan.catalog.hugging_face._keys import HEADS, Keys
from inferplan.core.layers.cache_parts import Indexer
from inferplan.core.layers.compressed_attention import Compressed

MANY = 10**5
RATIOS = "compress_ratios"
PICKED, ALL = 4, 128
"""Tokens that one key stands for, where an indexer picks among them and where all are read."""


def mixers(keys: Keys) -> Mixers:
    """A window in every layer, and keys beyond it as `compress_ratios` says; its last entries are of further layers.

    Source: DeepSeek-V4 inference/model.py, `Attention`; vLLM 0.33, models/deepseek_v4.
    """
    layers = layers_of(keys)
    kinds = _ratios(keys, layers)
    found = {kind: _attention(keys, int(kind)) for kind in sorted(set(kinds))}
    return [(found[kind],) for kind in kinds]


def _ratios(keys: Keys, layers: int) -> tuple[str, ...]:
    """The ratio of each decoder layer, as text."""
    of_decoder(keys, RATIOS, layers)
    return keys.per_layer(RATIOS, layers, allowed=(0, PICKED, ALL), default=[0] * layers)


def _attention(keys: Keys, ratio: int) -> Compressed:
    """One layer's; a ratio of 0 is a window alone."""
    picked = Indexer(
        heads=keys.integer("index_n_heads", high=MANY),
        head_dim=keys.integer("index_head_dim", high=MANY),
        top=keys.integer("index_topk"),
        compress=PICKED,
    )
    if keys.optional("num_key_value_heads", default=1) not in (None, 1):
        keys.unsupported("num_key_value_heads", "all heads share one key")
    return Compressed(
        heads=keys.integer(*HEADS, high=MANY),
        head_dim=keys.integer("head_dim", high=MANY),
        query_rank=keys.integer("q_lora_rank"),
        output_groups=keys.integer("o_groups", high=MANY),
        output_rank=keys.integer("o_lora_rank"),
        window=keys.integer("sliding_window"),
        compress=ratio or None,
        indexer=picked if ratio == PICKED else None,
    )


def ends(keys: Keys) -> Ends:
    """The mixing of every layer, and what joins the streams at the end."""
    return Ends(other_params=layers_of(keys) * _mixing(keys) + _joining(keys))


def further(keys: Keys) -> int:
    """The same of a layer for further tokens. [parameters]"""
    return _mixing(keys) + _joining(keys)


def _mixing(keys: Keys) -> int:
    """Two blocks × (2 + streams) × streams rows of streams × hidden, as many biases, and three scales. [parameters]

    Source: DeepSeek-V4 inference/model.py, `Block` (`hc_attn_fn`, `hc_ffn_fn`); the sum is the published total's.
    """
    count = keys.integer("hc_mult", high=1000)
    rows = (2 + count) * count
    return 2 * (rows * (count * hidden_of(keys) + 1) + 3)


def _joining(keys: Keys) -> int:
    """streams rows of streams × hidden, as many biases, and a scale (`hc_head_fn`). [parameters]"""
    count = keys.integer("hc_mult", high=1000)
    return count * (count * hidden_of(keys) + 1) + 1
