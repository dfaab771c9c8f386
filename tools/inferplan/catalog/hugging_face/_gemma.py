"""Gemma 4: wider heads in full layers, layers that reuse keys, per-layer embeddings, experts beside a dense block."""

from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face._attention import FULL, SLIDING, Heads, Mixers, hidden_of, kv_heads_of, layers_of
from inferplan.catalog.hugging_face._ffn import MANY, Blocks
from inferplan.catalog.hugging_face._keys import Keys
from inferplan.core.architecture import DenseFfn, ExpertFfn


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """What published tensors have beyond layers, embedding, head and final norm. [parameters]"""

    other_params: int = 0
    lookup_params: int = 0
    norm_params: int = 0


NO_ENDS = Ends()


def mixers(keys: Keys) -> Mixers:
    """Sliding layers and full ones, the last of which reuse keys and values. Source: `Gemma4TextAttention`."""
    layers = layers_of(keys)
    near = Heads(qkv_bias="attention_bias", output_bias="attention_bias", qk_norm="per_head").read(keys)
    shared = keys.flag("attention_k_eq_v")
    far = replace(
        near,
        head_dim=keys.integer("global_head_dim", default=512, high=MANY),
        kv_heads=kv_heads_of(keys, near.heads, "num_global_key_value_heads")
        if shared and keys.has("num_global_key_value_heads")
        else near.kv_heads,
        value_is_key=shared,
    )
    near = replace(near, window=keys.integer("sliding_window"))
    default = [FULL if (number + 1) % 6 == 0 or number == layers - 1 else SLIDING for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING), default=default)
    own = layers - reusing(keys, layers)
    return [(replace(far if kind == FULL else near, reuses_cache=number >= own),) for number, kind in enumerate(kinds)]


def reusing(keys: Keys, layers: int) -> int:
    """How many of the last layers reuse the keys and values of earlier ones."""
    reusing = keys.integer("num_kv_shared_layers", default=0, low=0)
    if reusing >= layers:
        keys.contrary(f"{keys.name('num_kv_shared_layers')} {reusing} leaves none of {layers} layers with keys")
    return min(reusing, layers - 1)


def blocks(keys: Keys) -> Blocks:
    """A dense block, twice as wide where keys are reused, or experts beside it. Source: `Gemma4TextMLP`."""
    layers, width = layers_of(keys), keys.integer("intermediate_size")
    if keys.flag("enable_moe_block"):
        return [_experts(keys, width)] * layers
    own = layers - (reusing(keys, layers) if keys.flag("use_double_wide_mlp") else 0)
    return [DenseFfn(intermediate=width * (2 if number >= own else 1)) for number in range(layers)]


def _experts(keys: Keys, dense: int) -> ExpertFfn:
    """Experts beside the dense block; the router has a scale per channel and per expert: `Gemma4TextRouter`."""
    experts = keys.integer("num_experts", high=MANY)
    return ExpertFfn(
        experts=experts,
        active=keys.integer("top_k_experts", high=MANY),
        intermediate=keys.integer("moe_intermediate_size"),
        dense_intermediate=dense,
        extra_router_params=hidden_of(keys) + experts,
    )


def norms(keys: Keys) -> int:
    """7 with experts, else 4. Source: `Gemma4TextDecoderLayer`."""
    return 7 if keys.flag("enable_moe_block") else 4


def ends(keys: Keys) -> Ends:
    """Per-layer embeddings: a table, its projection and norm, and a gate, a projection and a norm in each layer.

    Source: `Gemma4TextModel`; one scalar a layer is a buffer of the published checkpoints.
    """
    layers, hidden = layers_of(keys), hidden_of(keys)
    width = keys.optional("hidden_size_per_layer_input") or 0
    if not width:
        return NO_ENDS
    rows = keys.integer("vocab_size_per_layer_input")
    projection = hidden * layers * width + width
    return Ends(
        lookup_params=rows * layers * width,
        other_params=projection + layers * (2 * hidden * width + hidden),
    )
