"""Ling and Ring from 2.5 on: latent attention, and lightning attention or delta nets between (`bailing_hybrid`)."""

from dataclasses import replace

from inferplan.catalog.hugging_face._attention import Mixers, layers_of
from inferplan.catalog.hugging_face._keys import MOST_LAYERS, Keys
from inferplan.catalog.hugging_face._latent import latent
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GroupedLightning, KimiDelta

CONVOLUTION = "short_conv_kernel_size"
"""What only configs of Ling 3 have. Source: SGLang 0.5.23, srt/configs/bailing_hybrid.py."""
FINE, COARSE = "element_wise", "head_wise"


def has_deltas(keys: Keys) -> bool:
    """Whether its linear layers are delta nets (Ling 3), not lightning attention (Ling 2.5 and 2.6)."""
    return keys.has(CONVOLUTION)


def state_bytes(keys: Keys) -> int:
    """fp32 of delta nets, 16 bit of lightning attention.

    Source: vLLM 0.33, bailing_moe_v3.py, bailing_moe_linear.py.
    """
    return 4 if has_deltas(keys) else 2


def mixers(keys: Keys) -> Mixers:
    """The last layer of every group is full, and so are those that make no whole group.

    Source: Ring-V2.5 modeling_bailing_moe_v2_5.py, `BailingMoeV2_5DecoderLayer`; vLLM 0.33, bailing_moe_v3.py,
    `_is_kda_layer`.
    """
    layers, full = layers_of(keys), latent(keys)
    linear = _delta(keys, full.heads) if has_deltas(keys) else _lightning(keys, full.heads)
    if has_deltas(keys):
        full = _gated(keys, full)
    size = keys.integer("layer_group_size", high=MOST_LAYERS)
    whole = layers // size * size
    return [(full if (number + 1) % size == 0 or number >= whole else linear,) for number in range(layers)]


def _delta(keys: Keys, heads: int) -> KimiDelta:
    """Full decay and gate. Source: vLLM 0.33, `BailingMoeV3KimiDeltaAttention`, which refuses low-rank ones."""
    if not keys.flag("no_kda_lora", default=True):
        keys.unsupported("no_kda_lora", "no published model has low-rank gates")
    return KimiDelta(
        heads=heads,
        head_dim=keys.integer("linear_head_dim", "head_dim", high=10**5),
        convolution=keys.integer(CONVOLUTION, high=1000),
        full_gate=True,
        full_decay=True,
    )


def _lightning(keys: Keys, heads: int) -> GroupedLightning:
    """As many keys and values as queries. Source: Ring-V2.5, `BailingMoeV2_5LinearAttention`."""
    if not keys.flag("use_qk_norm", default=True):
        keys.unsupported("use_qk_norm", "no published model of this family lacks it")
    groups = keys.integer("group_norm_size", high=10**5)
    if heads % groups:
        keys.contrary(f"{keys.name('group_norm_size')} {groups} does not divide the {heads} attention heads")
    return GroupedLightning(state_heads=heads, head_dim=keys.integer("head_dim", high=10**5), groups=groups)


def _gated(keys: Keys, full: Latent) -> Latent:
    """A gate a head unless told otherwise. Source: transformers 5.24, `BailingHybridAttention`; vLLM 0.33."""
    kind = keys.word("gated_attention_proj_granularity_type", allowed=(COARSE, FINE), default=COARSE)
    return replace(full, head_gate=kind == COARSE, output_gate=kind == FINE)
