"""MiMo-V2: full and sliding layers that differ in heads, widths and sinks."""

from inferplan.catalog.hugging_face.layers.heads import Mixers, kv_heads_of
from inferplan.catalog.hugging_face.layers.windows import FULL, SLIDING
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import layers_of
from inferplan.core.layers.attention import Attention

PATTERN = "hybrid_layer_pattern"


def mixers(keys: Keys) -> Mixers:
    """`hybrid_layer_pattern` lists 0 for a full layer, 1 for a sliding one; or `layer_types` name them.

    Source: MiMo-V2 modeling_mimo_v2.py; transformers, `MiMoV2FlashConfig`.
    """
    full = _full(keys)
    sliding = _sliding(keys, full)
    return [(sliding if one else full,) for one in _slides(keys, layers_of(keys))]


def _slides(keys: Keys, layers: int) -> list[bool]:
    """Whether each layer is a sliding one."""
    if keys.has("layer_types") and not keys.has(PATTERN):
        words = keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING), default=[FULL] * layers)
        return [word == SLIDING for word in words]
    if not keys.has(PATTERN):
        keys.missing(PATTERN)
    return [kind == "1" for kind in keys.per_layer(PATTERN, layers, allowed=(0, 1), default=[0] * layers)]


def _full(keys: Keys) -> Attention:
    """The attention of a full layer."""
    heads = keys.integer("num_attention_heads")
    return Attention(
        heads=heads,
        kv_heads=kv_heads_of(keys, heads),
        head_dim=keys.integer("head_dim"),
        value_dim=keys.integer("v_head_dim"),
        qkv_bias=keys.flag("attention_bias"),
        sinks=keys.flag("add_full_attention_sink_bias"),
    )


def _sliding(keys: Keys, full: Attention) -> Attention:
    """The attention of a sliding layer, by default with the heads of a full one and twice its KV heads.

    Source: transformers 5.24, `MiMoV2FlashAttention`.
    """
    heads = keys.integer("swa_num_attention_heads", default=full.heads)
    if not keys.has("swa_num_key_value_heads"):
        keys.substitute("swa_num_key_value_heads", 2 * full.kv_heads)
    return Attention(
        heads=heads,
        kv_heads=kv_heads_of(keys, heads, "swa_num_key_value_heads"),
        head_dim=keys.integer("swa_head_dim", default=full.head_dim),
        value_dim=keys.integer("swa_v_head_dim", default=full.value_dim),
        qkv_bias=full.qkv_bias,
        sinks=keys.flag("add_swa_attention_sink_bias", default=True),
        window=keys.integer("sliding_window_size", "sliding_window"),
    )
