"""Mistral Large 4: MLA without a latent of queries, whose indexers read the hidden state, and layers without rotation.

Some layers may read the latents of earlier ones.

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
"""The layer whose latents each layer reads, often its own number."""


def mixers(keys: Keys) -> Mixers:
    """MLA that rotates in three layers of four; some have an indexer, the others use an earlier one's choice."""
    layers, one = layers_of(keys), latent(keys)
    rotated = replace(one, query_rank=None, extra_params=one.extra_params + _scaling_params(one.heads))
    whole = replace(rotated, nope_dim=one.nope_dim + one.rope_dim, rope_dim=0)
    owned = indexer(keys)
    owned = replace(owned, extra_params=2 * hidden_of(keys) + _scaling_params(owned.heads))
    turns = _rotated(keys, layers)
    chosen = {"full": owned, "shared": replace(owned, owned=False)}
    kinds = zip(turns, indexer_types(keys, layers), _sharing(keys, turns), strict=True)
    return [
        (replace(rotated if turn == "1" else whole, indexer=chosen[kind], reuses_cache=shares),)
        for turn, kind, shares in kinds
    ]


def _rotated(keys: Keys, layers: int) -> Sequence[str]:
    """Whether each layer rotates: as listed, else all but every so many."""
    step = keys.integer("no_rope_layer_interval", default=4, high=MOST_LAYERS)
    default = [int((number + 1) % step != 0) for number in range(layers)]
    return keys.per_layer(ROTATED, layers, allowed=(0, 1), default=default)


def _sharing(keys: Keys, turns: Sequence[str]) -> Sequence[bool]:
    """Whether each layer reads the latents of an earlier one, which has to make its own, and to rotate as it does."""
    numbers = range(len(turns))
    sources = [int(one) for one in keys.per_layer(SOURCES, len(turns), allowed=numbers, default=numbers)]
    if any(one > number or sources[one] != one or turns[one] != turns[number] for number, one in enumerate(sources)):
        keys.contradiction(f"{keys.name(SOURCES)} names layers that are later, make no latents or rotate otherwise")
    return [one != number for number, one in enumerate(sources)]


def _scaling_params(heads: int) -> int:
    """A scale and a bias of every head, by the logarithm of a position. [parameters]"""
    return 2 * heads


def extras(keys: Keys) -> Extras:
    """A learned factor of every frequency of rotation. Source: `MistralLarge4TextRotaryEmbedding`."""
    return Extras(other_params=keys.integer("qk_rope_head_dim", low=0) // 2)
