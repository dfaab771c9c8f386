"""Gemma 4: wider heads in full layers, layers that share keys, per-layer embeddings, experts beside a dense block."""

from collections.abc import Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.families.family import NO_EXTRAS, Extras
from inferplan.catalog.hugging_face.layers.ffn import Blocks
from inferplan.catalog.hugging_face.layers.heads import QK_NORM, Mixers, kv_heads_of
from inferplan.catalog.hugging_face.layers.windows import FULL, SLIDING
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, Keys
from inferplan.catalog.hugging_face.reading.per_layer import gather
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.architecture import DenseFfn, ExpertFfn
from inferplan.core.layers.attention import Attention

GLOBAL_KV_HEADS = "num_global_key_value_heads"
OF_FULL_LAYERS: Mapping[str, str] = {"head_dim": "global_head_dim", "num_key_value_heads": GLOBAL_KV_HEADS}
"""What `per_layer_config` may say of the full layers, by the keys that say so of all of them."""


def mixers(keys: Keys) -> Mixers:
    """Sliding and full layers; the last ones read keys and values of earlier ones. Source: `Gemma4TextAttention`."""
    layers, one = layers_of(keys), QK_NORM.read(keys)
    default = [FULL if (number + 1) % 6 == 0 or number == layers - 1 else SLIDING for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING), default=default)
    gather(keys, {number for number, kind in enumerate(kinds) if kind == FULL}, OF_FULL_LAYERS, kind="full")
    full = _full(keys, one)
    sliding = replace(one, window=keys.integer("sliding_window"))
    cached = layers_with_cache(keys, layers)
    found = (full if kind == FULL else sliding for kind in kinds)
    return [(replace(layer, reuses_cache=number >= cached),) for number, layer in enumerate(found)]


def _full(keys: Keys, one: Attention) -> Attention:
    """The attention of a full layer: wider heads, and with `attention_k_eq_v` one projection for keys and values."""
    value_is_key = keys.flag("attention_k_eq_v")
    head_dim = keys.integer("global_head_dim", default=512, high=LARGEST_COUNT)
    kv_heads = one.kv_heads
    if value_is_key and keys.has(GLOBAL_KV_HEADS):
        kv_heads = kv_heads_of(keys, one.heads, GLOBAL_KV_HEADS)
    return replace(one, head_dim=head_dim, kv_heads=kv_heads, value_is_key=value_is_key)


def layers_with_cache(keys: Keys, layers: int) -> int:
    """How many of the first layers cache keys and values; the `num_kv_shared_layers` after them read theirs."""
    sharing = keys.integer("num_kv_shared_layers", default=0, low=0)
    if sharing >= layers:
        keys.contradiction(f"{keys.name('num_kv_shared_layers')} {sharing} leaves none of {layers} layers with keys")
    return layers - min(sharing, layers - 1)


def blocks(keys: Keys) -> Blocks:
    """A dense block, which may be twice as wide in layers without a cache, or experts beside it.

    Source: `Gemma4TextMLP`.
    """
    layers, width = layers_of(keys), keys.integer("intermediate_size")
    if keys.flag("enable_moe_block"):
        return [_experts(keys, width)] * layers
    single = layers_with_cache(keys, layers) if keys.flag("use_double_wide_mlp") else layers
    return [DenseFfn(intermediate=width * (2 if number >= single else 1)) for number in range(layers)]


def _experts(keys: Keys, dense: int) -> ExpertFfn:
    """Experts beside the dense block. The router has a scale per channel and per expert: `Gemma4TextRouter`."""
    experts = keys.integer("num_experts", high=LARGEST_COUNT)
    return ExpertFfn(
        experts=experts,
        active=keys.integer("top_k_experts", high=LARGEST_COUNT),
        intermediate=keys.integer("moe_intermediate_size"),
        dense_intermediate=dense,
        extra_router_params=hidden_of(keys) + experts,
    )


def norms(keys: Keys) -> int:
    """7 per layer with experts, else 4. Source: `Gemma4TextDecoderLayer`."""
    return 7 if keys.flag("enable_moe_block") else 4


def extras(keys: Keys) -> Extras:
    """Per-layer embeddings: a table, a projection and a norm for all layers; a gate, a projection and a norm in each.

    Source: `Gemma4TextModel`; one scalar a layer is a buffer of the published checkpoints.
    """
    layers, hidden = layers_of(keys), hidden_of(keys)
    width = keys.optional("hidden_size_per_layer_input") or 0
    if not width:
        return NO_EXTRAS
    rows = keys.integer("vocab_size_per_layer_input")
    projection = hidden * layers * width + width
    return Extras(
        lookup_params=rows * layers * width,
        other_params=projection + layers * (2 * hidden * width + hidden),
    )
