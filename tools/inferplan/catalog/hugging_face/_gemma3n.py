"""Gemma 3n: layers that reuse keys and keep their projections, four streams of hidden states, per-layer embeddings."""

from dataclasses import replace
from typing import cast

from inferplan.catalog.hugging_face import _gemma as gemma
from inferplan.catalog.hugging_face._attention import Heads, Mixers, Plain, hidden_of, layers_of, one_full_in
from inferplan.catalog.hugging_face._ffn import MANY, Blocks
from inferplan.catalog.hugging_face._gemma import Ends
from inferplan.catalog.hugging_face._keys import Keys
from inferplan.core.architecture import DenseFfn
from inferplan.core.layers.attention import Attention

_PLAIN = Plain(heads=Heads(qk_norm="per_head"), windows=one_full_in(5, None))


def mixers(keys: Keys) -> Mixers:
    """One layer in five is full; the last ones reuse keys and values, and still store what would make them.

    Source: transformers 5.24, `Gemma3nTextConfig`, `Gemma3nTextAttention`.
    """
    layers = _PLAIN(keys)
    own = len(layers) - gemma.reusing(keys, len(layers))
    return [layer if number < own else _reusing(layer, hidden_of(keys)) for number, layer in enumerate(layers)]


def _reusing(layer: tuple[object, ...], hidden: int) -> tuple[Attention, ...]:
    """A layer whose projections of keys and values, and norm of keys, are stored and not used."""
    (one,) = layer
    assert isinstance(one, Attention)  # noqa: S101 - `Plain` makes nothing else
    unused = 2 * hidden * one.kv_heads * one.head_dim + one.head_dim
    return (replace(one, reuses_cache=True, extra_params=unused),)


def blocks(keys: Keys) -> Blocks:
    """A dense block of one width, which configs state for every layer. Source: transformers 5.24, `Gemma3nTextMLP`."""
    value = keys.values.get("intermediate_size")
    if isinstance(value, list) and value:
        stated = cast("list[object]", value)
        if any(width != stated[0] for width in stated):
            keys.unsupported("intermediate_size", "no published model has several widths")
        keys.values = {**keys.values, "intermediate_size": stated[0]}
    return [DenseFfn(intermediate=keys.integer("intermediate_size"))] * layers_of(keys)


def ends(keys: Keys) -> Ends:
    """Per-layer embeddings as Gemma 4 has them, and what AltUp's n streams and LAuReL's low rank store.

    A layer: hidden (scale) + n² + n³ (coefficients) + n × hidden (router) + hidden (its norm), and hidden (norm) +
    2 × hidden × rank. At the ends 2 × (n - 1) × hidden². Source: transformers 5.24, `Gemma3nTextAltUp`,
    `Gemma3nTextLaurelBlock`, `Gemma3nTextModel`.
    """
    embedded, hidden, layers = gemma.ends(keys), hidden_of(keys), layers_of(keys)
    streams = keys.integer("altup_num_inputs", high=100)
    rank = keys.integer("laurel_rank", high=MANY)
    altup = 2 * hidden + streams**2 + streams**3 + streams * hidden
    laurel = hidden + 2 * hidden * rank
    further = layers * (altup + laurel) + 2 * (streams - 1) * hidden**2
    return replace(embedded, other_params=embedded.other_params + further)
