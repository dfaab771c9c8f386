"""Step 3.5 and 3.7: sliding layers with more heads than full ones, and experts in the layers that a config lists."""

from dataclasses import replace

from inferplan.catalog.hugging_face._attention import (
    FULL,
    SLIDING,
    Mixers,
    hidden_of,
    kv_heads_of,
    layers_of,
    of_decoder,
)
from inferplan.catalog.hugging_face._ffn import Blocks, Dense, check_active
from inferplan.catalog.hugging_face._keys import HEADS, MOST_LAYERS, Keys
from inferplan.core.architecture import ExpertFfn
from inferplan.core.layers.attention import Attention

MANY = 10**5
GROUPS = "num_attention_groups"
LISTED = "moe_layers_enum"


def mixers(keys: Keys) -> Mixers:
    """Full and sliding layers by `layer_types`, which go on with the layers for further tokens.

    Source: vLLM 0.33, step3p5.py, `_get_num_attention_heads`, `Step3p5Attention`; Step-3.5-Flash config.json.
    """
    layers, heads = layers_of(keys), keys.integer(*HEADS, high=MANY)
    groups = keys.given((GROUPS, "num_key_value_heads"))
    full = Attention(
        heads=heads,
        kv_heads=kv_heads_of(keys, heads, groups),
        head_dim=keys.integer("head_dim", default=max(1, hidden_of(keys) // heads), high=MANY),
        qk_norm="per_head",
        head_gate=keys.flag("use_head_wise_attn_gate", default=True),
    )
    kinds = _kinds(keys, layers)
    sliding = _sliding(keys, full) if SLIDING in kinds else full
    return [(sliding if kind == SLIDING else full,) for kind in kinds]


def _kinds(keys: Keys, layers: int) -> tuple[str, ...]:
    """The kind of each decoder layer."""
    of_decoder(keys, "layer_types", layers)
    return keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING), default=[FULL] * layers)


def _sliding(keys: Keys, full: Attention) -> Attention:
    """Its heads, where they are others than those of full layers."""
    other = keys.child("attention_other_setting", defaults={})
    kv_heads = full.kv_heads
    if other is None:
        heads = keys.integer("num_sliding_attention_heads", high=MANY)
    else:
        heads = other.integer("num_attention_heads", high=MANY)
        kv_heads = other.integer(GROUPS, default=kv_heads, high=MANY)
    if heads % kv_heads:
        keys.contrary(f"{kv_heads} KV heads do not divide the {heads} heads of sliding layers")
    return replace(full, heads=heads, kv_heads=kv_heads, window=keys.integer("sliding_window"))


def blocks(keys: Keys) -> Blocks:
    """Dense blocks, and experts beside a shared one. Source: vLLM 0.33, step3p5.py, `FusedMoEBlock`."""
    layers = layers_of(keys)
    experts = keys.integer("moe_num_experts", "n_routed_experts", "num_experts", high=MANY)
    active = keys.integer("moe_top_k", "num_experts_per_tok", high=MANY)
    check_active(keys, "moe_top_k", active, experts)
    routed = ExpertFfn(
        experts=experts,
        active=active,
        intermediate=keys.integer("moe_intermediate_size"),
        shared_intermediate=keys.integer("share_expert_dim", low=0),
    )
    dense = Dense().read(keys)
    return [routed if one else dense for one in _routed(keys, layers)]


def _routed(keys: Keys, layers: int) -> list[bool]:
    """Layers with experts: as `mlp_layer_types` says, or as numbers between commas, or all but the first ones."""
    first = keys.integer("first_k_dense_replace", default=1, low=0, high=MOST_LAYERS)
    listed = keys.text(LISTED)
    found = frozenset(range(first, layers)) if listed is None else _numbers(keys, listed)
    default = ["sparse" if number in found else "dense" for number in range(layers)]
    kinds = keys.per_layer("mlp_layer_types", layers, allowed=("dense", "sparse"), default=default)
    return [kind == "sparse" for kind in kinds]


def _numbers(keys: Keys, listed: str) -> frozenset[int]:
    """The layers of a list such as "3,4,5"."""
    words = listed.split(",")
    if not all(word.strip().isascii() and word.strip().isdigit() and len(word.strip()) < 5 for word in words):
        keys.wrong(LISTED, "numbers of layers between commas")
        return frozenset()
    keys.keep(LISTED, listed, None)
    return frozenset(int(word) for word in words)
