"""Ling and Ring from 2.5 on (`bailing_hybrid`): MLA, and lightning attention or Kimi Delta Attention between."""

from dataclasses import replace

from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import latent
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import layers_of
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GroupedLightning, KimiDelta

CONVOLUTION = "short_conv_kernel_size"
"""A key that only configs of Ling 3 have. Source: SGLang 0.5.23, srt/configs/bailing_hybrid.py."""
PER_ELEMENT, PER_HEAD = "element_wise", "head_wise"
"""Words of `gated_attention_proj_granularity_type`."""


def has_delta_attention(keys: Keys) -> bool:
    """Whether its linear layers are Kimi Delta Attention (Ling 3), not lightning attention (Ling 2.5 and 2.6)."""
    return keys.has(CONVOLUTION)


def state_bytes(keys: Keys) -> int:
    """An element of the states: fp32 of Kimi Delta Attention, 16 bit of lightning attention. [B]

    Source: vLLM 0.33, bailing_moe_v3.py, bailing_moe_linear.py.
    """
    return 4 if has_delta_attention(keys) else 2


def mixers(keys: Keys) -> Mixers:
    """MLA in the last layer of every group, and in those behind the last whole group.

    Source: Ring-V2.5 modeling_bailing_moe_v2_5.py, `BailingMoeV2_5DecoderLayer`; vLLM 0.33, bailing_moe_v3.py,
    `_is_kda_layer`.
    """
    layers, full = layers_of(keys), latent(keys)
    if has_delta_attention(keys):
        linear, full = _delta(keys, full.heads), _gated(keys, full)
    else:
        linear = _lightning(keys, full.heads)
    size = keys.integer("layer_group_size", high=MOST_LAYERS)
    whole = layers // size * size
    return [(full if (number + 1) % size == 0 or number >= whole else linear,) for number in range(layers)]


def _delta(keys: Keys, heads: int) -> KimiDelta:
    """Kimi Delta Attention with full-rank decay and gate. Source: vLLM 0.33, `BailingMoeV3KimiDeltaAttention`."""
    if not keys.flag("no_kda_lora", default=True):
        keys.unsupported("no_kda_lora", "no published model has low-rank gates")
    return KimiDelta(
        heads=heads,
        head_dim=keys.integer("linear_head_dim", "head_dim", high=LARGEST_COUNT),
        convolution=keys.integer(CONVOLUTION, high=LARGEST_FACTOR),
        full_gate=True,
        full_decay=True,
    )


def _lightning(keys: Keys, heads: int) -> GroupedLightning:
    """Lightning attention with a grouped norm. Source: Ring-V2.5, `BailingMoeV2_5LinearAttention`."""
    if not keys.flag("use_qk_norm", default=True):
        keys.unsupported("use_qk_norm", "no published model of this family lacks it")
    groups = keys.integer("group_norm_size", high=LARGEST_COUNT)
    if heads % groups:
        keys.contradiction(f"{keys.name('group_norm_size')} {groups} does not divide the {heads} attention heads")
    return GroupedLightning(state_heads=heads, head_dim=keys.integer("head_dim", high=LARGEST_COUNT), groups=groups)


def _gated(keys: Keys, full: Latent) -> Latent:
    """MLA with a gate, by default one per head. Source: transformers 5.24, `BailingHybridAttention`; vLLM 0.33."""
    kind = keys.word("gated_attention_proj_granularity_type", allowed=(PER_HEAD, PER_ELEMENT), default=PER_HEAD)
    return replace(full, head_gate=kind == PER_HEAD, output_gate=kind == PER_ELEMENT)
