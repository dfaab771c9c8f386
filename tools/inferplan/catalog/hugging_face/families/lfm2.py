"""LFM2 and LFM3: short convolutions between layers of attention."""

from dataclasses import replace
from math import ceil

from inferplan.catalog.hugging_face.layers.ffn import Blocks
from inferplan.catalog.hugging_face.layers.heads import QK_NORM, Heads, Mixers, windowed
from inferplan.catalog.hugging_face.layers.recurrent import refuse_biases
from inferplan.catalog.hugging_face.layers.windows import FULL, SLIDING, window_of
from inferplan.catalog.hugging_face.reading.keys import LARGEST_FACTOR, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.architecture import DenseFfn
from inferplan.core.layers.recurrence import ShortConv

CONVOLUTION = "conv"
"""A word of `layer_types`."""
FULL_LAYERS = "full_attn_idxs"
_IN_FOUR = (SLIDING, CONVOLUTION, FULL, CONVOLUTION)
"""LFM3's order; its very first layer is a convolution too."""
_GATED = replace(QK_NORM, head_gate="use_attention_gate")


def mixers(keys: Keys) -> Mixers:
    """Short convolutions, and attention by `layer_types` or `full_attn_idxs`. Source: transformers, `Lfm2Config`."""
    layers, full, linear = layers_of(keys), Heads(qk_norm="per_head").read(keys), _convolution(keys)
    listed = None if keys.has("layer_types") else keys.layer_numbers(FULL_LAYERS, layers)
    if listed is not None:
        keys.keep(FULL_LAYERS, sorted(listed), None)
    default = [FULL if listed is None or number in listed else CONVOLUTION for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(CONVOLUTION, FULL), default=default)
    return [(full if kind == FULL else linear,) for kind in kinds]


def with_windows(keys: Keys) -> Mixers:
    """LFM3: between convolutions, full layers and sliding ones in turn, whose heads have a gate each.

    Source: transformers 5.24, `Lfm3Config`, `Lfm3Attention`.
    """
    layers, full, linear = layers_of(keys), _GATED.read(keys), _convolution(keys)
    default = [_IN_FOUR[number % 4] if number else CONVOLUTION for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(CONVOLUTION, FULL, SLIDING), default=default)
    found = {CONVOLUTION: linear, FULL: full, SLIDING: windowed(full, window_of(keys))}
    return [(found[kind],) for kind in kinds]


def _convolution(keys: Keys) -> ShortConv:
    """The convolution of one layer."""
    refuse_biases(keys, "conv_bias")
    return ShortConv(width=hidden_of(keys), convolution=keys.integer("conv_L_cache", high=LARGEST_FACTOR))


def sandwich_norms(keys: Keys) -> int:
    """LFM3: one before and, unless switched off, one behind each block. Source: transformers, `Lfm3DecoderLayer`."""
    return 4 if keys.flag("use_sandwich_norm", default=True) else 2


def blocks(keys: Keys) -> Blocks:
    """`block_ff_dim`, reduced to two thirds and rounded up to a multiple. Source: transformers, `Lfm2MLP`."""
    width = keys.integer("block_ff_dim", "intermediate_size")
    if keys.flag("block_auto_adjust_ff_dim", default=True):
        scale = keys.number("block_ffn_dim_multiplier", default=1.0, low=0.01, high=100)
        multiple = keys.integer("block_multiple_of", default=256)
        width = multiple * ceil(int(scale * int(2 * width / 3)) / multiple)
    return [DenseFfn(intermediate=max(1, width))] * layers_of(keys)
