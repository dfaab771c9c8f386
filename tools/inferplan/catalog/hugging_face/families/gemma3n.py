"""Gemma 3n: layers that share keys, several streams of hidden states (AltUp), low-rank blocks, per-layer embeddings."""

from dataclasses import replace
from typing import cast

from inferplan.catalog.hugging_face.families import gemma4
from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.ffn import Blocks, DenseLayers
from inferplan.catalog.hugging_face.layers.heads import AttentionLayers, Heads, Mixers
from inferplan.catalog.hugging_face.layers.windows import one_full_in
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.layers.attention import Attention

_ATTENTION = AttentionLayers(heads=Heads(qk_norm="per_head"), windows=one_full_in(5, None))


def mixers(keys: Keys) -> Mixers:
    """One layer in five is full; the last ones read keys and values of earlier ones.

    Source: transformers 5.24, `Gemma3nTextConfig`, `Gemma3nTextAttention`.
    """
    layers = _ATTENTION(keys)
    cached = gemma4.layers_with_cache(keys, len(layers))
    return [layer if number < cached else _sharing(layer, hidden_of(keys)) for number, layer in enumerate(layers)]


def _sharing(layer: tuple[object, ...], hidden: int) -> tuple[Attention, ...]:
    """A layer without a cache: its projections of keys and values, and its norm of keys, are stored but not used."""
    (one,) = layer
    assert isinstance(one, Attention)  # noqa: S101 - `AttentionLayers` makes nothing else
    unused = 2 * hidden * one.kv_heads * one.head_dim + one.head_dim
    return (replace(one, reuses_cache=True, extra_params=unused),)


def blocks(keys: Keys) -> Blocks:
    """A dense block of one width, which configs list per layer. Source: transformers 5.24, `Gemma3nTextMLP`."""
    value = keys.values.get("intermediate_size")
    if isinstance(value, list) and value:
        stated = cast("list[object]", value)
        if any(width != stated[0] for width in stated):
            keys.unsupported("intermediate_size", "no published model has several widths")
        keys.substitute("intermediate_size", stated[0])
    return DenseLayers()(keys)


def extras(keys: Keys) -> Extras:
    """Per-layer embeddings as of Gemma 4, AltUp of n streams, and LAuReL's low-rank blocks.

    A layer: hidden (scale) + n² + n³ (coefficients) + n × hidden (router) + hidden (its norm), and hidden (norm) +
    2 × hidden × rank. At the ends 2 × (n - 1) × hidden². Source: transformers 5.24, `Gemma3nTextAltUp`,
    `Gemma3nTextLaurelBlock`, `Gemma3nTextModel`.
    """
    embeddings, hidden, layers = gemma4.extras(keys), hidden_of(keys), layers_of(keys)
    streams = keys.integer("altup_num_inputs", high=100)
    rank = keys.integer("laurel_rank", high=LARGEST_COUNT)
    altup = 2 * hidden + streams**2 + streams**3 + streams * hidden
    laurel = hidden + 2 * hidden * rank
    further = layers * (altup + laurel) + 2 * (streams - 1) * hidden**2
    return replace(embeddings, other_params=embeddings.other_params + further)
