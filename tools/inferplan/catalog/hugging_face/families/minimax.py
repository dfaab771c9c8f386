"""MiniMax: lightning attention between full layers (Text-01, M1), and layers whose indexer picks blocks (M3)."""

from dataclasses import replace

from inferplan.catalog.hugging_face.layers.heads import Heads, Mixers
from inferplan.catalog.hugging_face.layers.recurrent import LINEAR, by_layer_types
from inferplan.catalog.hugging_face.layers.windows import FULL
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.cache_parts import Indexer
from inferplan.core.layers.recurrence import Lightning


def lightning(keys: Keys) -> Mixers:
    """Lightning attention where `attn_type_list` is 0, or where `layer_types` say linear; by default every other layer.

    Source: transformers, `MiniMaxConfig`; MiniMax-Text-01 configuration_minimax_text_01.py.
    """
    layers, full = layers_of(keys), Heads().read(keys)
    linear = Lightning(heads=full.heads, head_dim=full.head_dim)
    if keys.has("attn_type_list"):
        kinds = keys.per_layer("attn_type_list", layers, allowed=(0, 1), default=[1] * layers)
        return [(full if kind == "1" else linear,) for kind in kinds]
    default = [LINEAR if number % 2 else FULL for number in range(layers)]
    return by_layer_types(keys, default, linear=linear, full=full)


def sparse(keys: Keys) -> Mixers:
    """GQA, in some layers with an indexer of blocks of tokens. Source: transformers, `MiniMaxM3VLTextConfig`."""
    layers = layers_of(keys)
    full = Heads(qk_norm="per_head").read(keys)
    config = keys.child("sparse_attention_config", defaults={})
    if config is None:
        return [(full,)] * layers
    picks = config.per_layer("sparse_attention_freq", layers, allowed=(0, 1), default=[1] * layers)
    picking = _picking(config, full, hidden_of(keys))
    return [(picking if pick == "1" else full,) for pick in picks]


def _picking(config: Keys, full: Attention, hidden: int) -> Attention:
    """The attention of a layer with an indexer, whose projections and two norms are its `extra_params`."""
    dim = config.integer("sparse_index_dim", default=128)
    heads = config.integer("sparse_num_index_heads", default=4)
    top = config.integer("sparse_topk_blocks", default=16) * config.integer("sparse_block_size", default=128)
    indexer = Indexer(heads=heads, head_dim=dim, top=top)
    return replace(full, indexer=indexer, extra_params=hidden * dim * (heads + 1) + 2 * dim)
