"""Step 3.5 and 3.7: sliding layers may have other heads than full ones; a config lists the layers with experts."""

from collections.abc import Sequence
from dataclasses import replace

from inferplan.catalog.hugging_face.layers.expert_layers import by_mlp_layer_types
from inferplan.catalog.hugging_face.layers.ffn import Blocks, DenseLayers, check_active
from inferplan.catalog.hugging_face.layers.heads import Mixers, kv_heads_of
from inferplan.catalog.hugging_face.layers.windows import FULL, SLIDING
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import cut_to_decoder, heads_of, hidden_of, layers_of
from inferplan.core.architecture import ExpertFfn
from inferplan.core.layers.attention import Attention

KV_HEADS = "num_attention_groups"
EXPERT_LAYERS = "moe_layers_enum"


def mixers(keys: Keys) -> Mixers:
    """Full and sliding layers by `layer_types`, which go on with the MTP layers.

    Source: vLLM 0.33, step3p5.py, `_get_num_attention_heads`, `Step3p5Attention`; Step-3.5-Flash config.json.
    """
    layers, heads = layers_of(keys), heads_of(keys)
    full = Attention(
        heads=heads,
        kv_heads=kv_heads_of(keys, heads, keys.given((KV_HEADS, "num_key_value_heads"))),
        head_dim=keys.integer("head_dim", default=max(1, hidden_of(keys) // heads), high=LARGEST_COUNT),
        qk_norm="per_head",
        head_gate=keys.flag("use_head_wise_attn_gate", default=True),
    )
    kinds = _kinds(keys, layers)
    sliding = _sliding(keys, full) if SLIDING in kinds else full
    return [(sliding if kind == SLIDING else full,) for kind in kinds]


def _kinds(keys: Keys, layers: int) -> tuple[str, ...]:
    """The word of `layer_types` of each decoder layer."""
    cut_to_decoder(keys, "layer_types", layers)
    return keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING), default=[FULL] * layers)


def _sliding(keys: Keys, full: Attention) -> Attention:
    """The attention of a sliding layer, whose heads are in an object of their own, or only their number in a key."""
    setting = keys.child("attention_other_setting", defaults={})
    kv_heads = full.kv_heads
    if setting is None:
        heads = keys.integer("num_sliding_attention_heads", high=LARGEST_COUNT)
    else:
        heads = setting.integer("num_attention_heads", high=LARGEST_COUNT)
        kv_heads = setting.integer(KV_HEADS, default=kv_heads, high=LARGEST_COUNT)
    if heads % kv_heads:
        keys.contradiction(f"{kv_heads} KV heads do not divide the {heads} heads of sliding layers")
    return replace(full, heads=heads, kv_heads=kv_heads, window=keys.integer("sliding_window"))


def blocks(keys: Keys) -> Blocks:
    """Dense blocks, and experts beside a shared one. Source: vLLM 0.33, step3p5.py, `FusedMoEBlock`."""
    layers = layers_of(keys)
    experts, dense = _experts(keys), DenseLayers().read(keys)
    return [experts if one else dense for one in _has_experts(keys, layers)]


def _experts(keys: Keys) -> ExpertFfn:
    """The experts of one layer."""
    experts = keys.integer("moe_num_experts", "n_routed_experts", "num_experts", high=LARGEST_COUNT)
    active = keys.integer("moe_top_k", "num_experts_per_tok", high=LARGEST_COUNT)
    check_active(keys, "moe_top_k", active, experts)
    return ExpertFfn(
        experts=experts,
        active=active,
        intermediate=keys.integer("moe_intermediate_size"),
        shared_intermediate=keys.integer("share_expert_dim", low=0),
    )


def _has_experts(keys: Keys, layers: int) -> Sequence[bool]:
    """By `mlp_layer_types`, else by numbers between commas (`moe_layers_enum`), else all but the first layers."""
    first = keys.integer("first_k_dense_replace", default=1, low=0, high=MOST_LAYERS)
    listed = keys.text(EXPERT_LAYERS)
    found = frozenset(range(first, layers)) if listed is None else _numbers(keys, listed)
    return by_mlp_layer_types(keys, [number in found for number in range(layers)])


def _numbers(keys: Keys, listed: str) -> frozenset[int]:
    """The numbers of a text such as "3,4,5"."""
    words = listed.split(",")
    if not all(word.strip().isascii() and word.strip().isdigit() and len(word.strip()) < 5 for word in words):
        keys.wrong(EXPERT_LAYERS, "numbers of layers between commas")
        return frozenset()
    keys.keep(EXPERT_LAYERS, listed, None)
    return frozenset(int(word) for word in words)
