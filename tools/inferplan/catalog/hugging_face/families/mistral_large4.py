"""Mistral Large 4: MLA without a latent of queries, whose indexers read the hidden state, and layers without rotation.

Source: transformers 5.24, `MistralLarge4TextConfig`, `MistralLarge4TextAttention`, `MistralLarge4TextIndexer`.
"""

from collections.abc import Sequence
from dataclasses import replace

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import indexer, indexer_types, latent
from inferplan.catalog.hugging_face.reading.keys import MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of

ROTATED = "no_rope_layers"
"""1 where a layer rotates, and 0 where it does not."""
SOURCES = "kv_source_layers"


def mixers(keys: Keys) -> Mixers:
    """MLA that rotates in three layers of four; some have an indexer, the others use an earlier one's choice."""
    layers, one = layers_of(keys), latent(keys)
    _refuse_sharing(keys, layers)
    rotated = replace(one, query_rank=None, extra_params=one.extra_params + _scaling_params(one.heads))
    whole = replace(rotated, nope_dim=one.nope_dim + one.rope_dim, rope_dim=0)
    owned = indexer(keys)
    owned = replace(owned, extra_params=2 * hidden_of(keys) + _scaling_params(owned.heads))
    found = {
        (turns, kind): replace(mixer, indexer=owned if kind == "full" else replace(owned, owned=False))
        for turns, mixer in (("1", rotated), ("0", whole))
        for kind in ("full", "shared")
    }
    return [(found[kinds],) for kinds in zip(_rotated(keys, layers), indexer_types(keys, layers), strict=True)]


def _rotated(keys: Keys, layers: int) -> Sequence[str]:
    """Whether each layer rotates: as listed, else all but every so many."""
    step = keys.integer("no_rope_layer_interval", default=4, high=MOST_LAYERS)
    default = [int((number + 1) % step != 0) for number in range(layers)]
    return keys.per_layer(ROTATED, layers, allowed=(0, 1), default=default)


def _refuse_sharing(keys: Keys, layers: int) -> None:
    """Refuse layers that attend to the latents of an earlier one, which are not modelled."""
    if keys.has(SOURCES) and keys.values[SOURCES] != list(range(layers)):
        keys.refuse(SOURCES, "has layers read the latents of others")


def _scaling_params(heads: int) -> int:
    """A scale and a bias of every head, by the logarithm of a position. [parameters]"""
    return 2 * heads


def extras(keys: Keys) -> Extras:
    """A learned factor of every frequency of rotation. Source: `MistralLarge4TextRotaryEmbedding`."""
    return Extras(other_params=keys.integer("qk_rope_head_dim", low=0) // 2)
