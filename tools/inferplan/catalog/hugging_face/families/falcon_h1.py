"""Falcon-H1: attention and Mamba-2 beside each other in every layer."""

from dataclasses import replace

from inferplan.catalog.hugging_face.layers.heads import BIAS_FLAG, Mixers
from inferplan.catalog.hugging_face.layers.recurrent import mamba2, refuse_biases
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import layers_of


def mixers(keys: Keys) -> Mixers:
    """Both mixers of every layer. Source: transformers, `FalconH1DecoderLayer`.

    Without `mamba_rms_norm` Mamba-2 has no gated norm; its parameters are subtracted from those of the attention.
    """
    layers, full = layers_of(keys), BIAS_FLAG.read(keys)
    refuse_biases(keys, "projectors_bias")
    mamba = mamba2(keys)
    missing = 0 if keys.flag("mamba_rms_norm") else mamba.width
    return [(replace(full, extra_params=-missing), mamba)] * layers
