"""Laguna: gated attention whose number of heads may differ from layer to layer."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from inferplan.catalog.hugging_face.layers.heads import Mixers, kv_heads_of, windowed
from inferplan.catalog.hugging_face.layers.windows import full_unless_listed
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.reading.layer_runs import unpacked
from inferplan.catalog.hugging_face.reading.sizes import layers_of
from inferplan.core.layers.attention import Attention

HEADS_PER_LAYER = "num_attention_heads_per_layer"


def mixers(keys: Keys) -> Mixers:
    """GQA, gated per head or per element, windows by `layer_types`. Source: transformers, `LagunaAttention`."""
    layers = layers_of(keys)
    one = _attention(keys)
    counts, windows = _heads_per_layer(keys, layers, one), full_unless_listed(keys, layers)
    return [(windowed(replace(one, heads=int(count)), window),) for count, window in zip(counts, windows, strict=False)]


def _attention(keys: Keys) -> Attention:
    """The attention of one full layer with the usual number of heads."""
    heads = keys.integer("num_attention_heads", high=LARGEST_COUNT)
    kv_heads, gating = kv_heads_of(keys, heads), keys.values.get("gating", True)
    if gating not in (True, "per-head", "per-element"):
        keys.unsupported("gating", "known: true, per-head, per-element")
    keys.keep("gating", gating, assumed=True)
    return Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=keys.integer("head_dim", default=128, high=LARGEST_COUNT),
        qk_norm="per_head",
        head_gate=gating != "per-element",
        output_gate=gating == "per-element",
    )


def _heads_per_layer(keys: Keys, layers: int, one: Attention) -> Sequence[str]:
    """The number of heads of each layer, as text."""
    value, default = keys.values.get(HEADS_PER_LAYER), [str(one.heads)] * layers
    if isinstance(value, list):
        words = tuple(str(count) for count in cast("list[object]", value))
    else:
        words = unpacked(value, layers) if isinstance(value, str) else tuple(default)
    if words is None or not all(_are_heads(word, one.kv_heads) for word in words):
        keys.wrong(HEADS_PER_LAYER, f"a list of heads, one for each layer, which {one.kv_heads} divides")
        return default
    return keys.per_layer(HEADS_PER_LAYER, layers, allowed=sorted(set(words)), default=default)


def _are_heads(word: str, kv_heads: int) -> bool:
    """Whether the word is a number of heads that the KV heads divide."""
    return word.isascii() and word.isdigit() and len(word) < 6 and int(word) > 0 and int(word) % kv_heads == 0
