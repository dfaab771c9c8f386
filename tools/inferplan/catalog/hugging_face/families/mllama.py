"""Llama 3.2 Vision: layers of cross-attention to the image between those of Llama."""

from dataclasses import replace

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import Heads, Mixers
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of

CROSS_LAYERS = "cross_attention_layers"


def mixers(keys: Keys) -> Mixers:
    """Cross-attention in the listed layers, each with two scalar gates. Source: transformers, `MllamaTextModel`."""
    layers = layers_of(keys)
    one = Heads().read(keys)
    listed = keys.layer_numbers(CROSS_LAYERS, layers)
    if listed is None:
        keys.missing(CROSS_LAYERS)
    cross_layers = listed or frozenset()
    keys.keep(CROSS_LAYERS, sorted(cross_layers), None)
    cross = replace(one, qk_norm="per_head", cross=True, extra_params=2)
    return [(cross if number in cross_layers else one,) for number in range(layers)]


def extras(keys: Keys) -> Extras:
    """8 more rows of embedding, which the output head does not have. Source: transformers, `MllamaTextModel`."""
    return Extras(other_params=8 * hidden_of(keys))
