"""Jamba: Mamba, and attention at a fixed period of layers."""

from inferplan.catalog.hugging_face.layers.heads import Heads, Mixers
from inferplan.catalog.hugging_face.layers.recurrent import refuse_biases, step_rank
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.layers.recurrence import Mamba1


def mixers(keys: Keys) -> Mixers:
    """Attention every `attn_layer_period` layers from an offset, Mamba in the others.

    Source: transformers, `JambaConfig`.
    """
    layers, hidden, full = layers_of(keys), hidden_of(keys), Heads().read(keys)
    period = keys.integer("attn_layer_period", high=MOST_LAYERS)
    offset = keys.integer("attn_layer_offset", low=0, high=MOST_LAYERS)
    mamba = _mamba(keys, hidden)
    return [(full if number % period == offset else mamba,) for number in range(layers)]


def _mamba(keys: Keys, hidden: int) -> Mamba1:
    """The Mamba of one layer."""
    refuse_biases(keys, "mamba_proj_bias")
    return Mamba1(
        width=keys.integer("mamba_expand", high=LARGEST_FACTOR) * hidden,
        state_dim=keys.integer("mamba_d_state", high=LARGEST_COUNT),
        convolution=keys.integer("mamba_d_conv", high=LARGEST_FACTOR),
        step_rank=step_rank(keys, "mamba_dt_rank"),
    )
