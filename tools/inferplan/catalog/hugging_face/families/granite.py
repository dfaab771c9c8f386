"""Granite: experts beside a shared block, and Mamba-2 between layers of attention (Granite 4)."""

from dataclasses import replace

from inferplan.catalog.hugging_face.layers.ffn import Blocks, MoeLayers
from inferplan.catalog.hugging_face.layers.heads import BIAS_FLAG, Mixers
from inferplan.catalog.hugging_face.layers.recurrent import LINEAR, mamba2
from inferplan.catalog.hugging_face.layers.windows import FULL
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import layers_of
from inferplan.core.architecture import DenseFfn

MAMBA, ATTENTION = "mamba", "attention"
"""Words of `layers_block_type`."""

EXPERTS = MoeLayers(count=("num_local_experts",), width=("intermediate_size",))


def mixers(keys: Keys) -> Mixers:
    """Mamba-2, and attention in the layers that are listed so. Source: transformers, `GraniteMoeHybridConfig`."""
    layers, full = layers_of(keys), BIAS_FLAG.read(keys)
    key = keys.given(("layer_types", "layers_block_type"))
    words = (MAMBA, ATTENTION, LINEAR, FULL)
    kinds = keys.per_layer(key, layers, allowed=words, default=[MAMBA] * layers)
    linear = mamba2(keys) if {MAMBA, LINEAR} & set(kinds) else None
    return [(full if linear is None or kind in (ATTENTION, FULL) else linear,) for kind in kinds]


def shared_blocks(keys: Keys) -> Blocks:
    """Experts beside a shared block; without experts the shared block alone (Granite 4).

    Source: transformers, `GraniteMoeHybridDecoderLayer`.
    """
    layers, width = layers_of(keys), keys.integer("shared_intermediate_size", default=1024, low=0)
    if keys.optional("num_local_experts") == 0:
        return [DenseFfn(intermediate=max(1, width))] * layers
    return [replace(EXPERTS.read(keys), shared_intermediate=width)] * layers
