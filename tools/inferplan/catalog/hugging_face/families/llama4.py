"""Llama 4: attention over chunks in most layers, and experts as wide as the shared one."""

from inferplan.catalog.hugging_face.layers.expert_layers import interleaved
from inferplan.catalog.hugging_face.layers.ffn import DenseLayers, MoeLayers
from inferplan.catalog.hugging_face.layers.heads import BIAS_FLAG, Mixers, windowed
from inferplan.catalog.hugging_face.layers.windows import FULL
from inferplan.catalog.hugging_face.reading.keys import MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import layers_of

CHUNKED = "chunked_attention"

BLOCKS = MoeLayers(
    count=("num_local_experts",),
    width=("intermediate_size",),
    shared_width=("intermediate_size",),
    where=interleaved,
    dense=DenseLayers(width=("intermediate_size_mlp",)),
)
"""Source: transformers, `Llama4TextMoe`: the shared expert is as wide as a routed one."""


def mixers(keys: Keys) -> Mixers:
    """Attention over chunks of `attention_chunk_size` tokens; by default every fourth layer is full.

    Source: transformers, `Llama4TextConfig.layer_types`.
    """
    layers = layers_of(keys)
    full = BIAS_FLAG.read(keys)
    step = keys.integer("no_rope_layer_interval", default=4, high=MOST_LAYERS)
    default = [CHUNKED if (number + 1) % step else FULL for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(CHUNKED, FULL), default=default)
    chunk = keys.optional("attention_chunk_size", default=8192) or None
    chunked = windowed(full, chunk, chunked=True)
    return [(chunked if kind == CHUNKED else full,) for kind in kinds]
