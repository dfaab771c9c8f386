"""Families whose attention caches latents (MLA, compressed keys), without recurrent layers."""

from collections.abc import Mapping
from dataclasses import replace

from inferplan.catalog.hugging_face.families import (
    axk2,
    deepseek_v2,
    deepseek_v4,
    deepseek_v41,
    dots3,
    hy_v4,
    longcat_flash,
    mistral_large4,
)
from inferplan.catalog.hugging_face.families.family import Family
from inferplan.catalog.hugging_face.families.moe_families import DEEPSEEK_EXPERTS, DEEPSEEK_MTP, SARVAM_EXPERTS
from inferplan.catalog.hugging_face.layers.expert_layers import every_layer
from inferplan.catalog.hugging_face.layers.latent import MlaLayers
from inferplan.catalog.hugging_face.layers.multi_token import MultiTokenLayers

LATENT_FAMILIES: Mapping[str, Family] = {
    "axk1": Family(mixers=MlaLayers(), blocks=DEEPSEEK_EXPERTS, norms=3),
    "axk2": Family(mixers=axk2.mixers, blocks=DEEPSEEK_EXPERTS, extras=axk2.extras),
    "deepseek_v2": Family(refused=("mlp_bias",), mixers=deepseek_v2.mixers, blocks=DEEPSEEK_EXPERTS),
    "deepseek_v3": Family(mixers=MlaLayers(), blocks=DEEPSEEK_EXPERTS, multi_token=DEEPSEEK_MTP),
    "deepseek_v32": Family(mixers=MlaLayers(indexer=True), blocks=DEEPSEEK_EXPERTS, multi_token=DEEPSEEK_MTP),
    "deepseek_v4": Family(
        refused=("attention_bias",),
        mixers=deepseek_v4.mixers,
        blocks=replace(DEEPSEEK_EXPERTS, where=every_layer),
        extras=deepseek_v4.extras,
        multi_token=MultiTokenLayers(correction_bias=True, sliding=True, extra_params=deepseek_v4.mtp_params),
    ),
    "deepseek_v41_text": Family(
        refused=("attention_bias",),
        mixers=deepseek_v41.mixers,
        blocks=DEEPSEEK_EXPERTS,
        extras=deepseek_v41.extras,
        multi_token=deepseek_v41.drafting,
    ),
    "dots3_note_text": Family(
        refused=("attention_bias", "mlp_bias"),
        mixers=dots3.mixers,
        blocks=replace(
            DEEPSEEK_EXPERTS, shared_each=("shared_experts_intermediate_size", "moe_shared_expert_intermediate_size")
        ),
    ),
    "glm4_moe_lite": Family(mixers=MlaLayers(), blocks=DEEPSEEK_EXPERTS, multi_token=DEEPSEEK_MTP),
    "glm_moe_dsa": Family(
        mixers=MlaLayers(indexer=True),
        blocks=DEEPSEEK_EXPERTS,
        multi_token=MultiTokenLayers(correction_bias=True),
    ),
    "hy_v4": Family(
        refused=("attention_bias",),
        mixers=hy_v4.mixers,
        blocks=DEEPSEEK_EXPERTS,
        extras=hy_v4.extras,
        multi_token=MultiTokenLayers(correction_bias=True),
    ),
    "longcat_flash": Family(refused=("router_bias",), mixers=longcat_flash.mixers, blocks=longcat_flash.blocks),
    "mistral4": Family(mixers=MlaLayers(), blocks=DEEPSEEK_EXPERTS),
    "mistral_large4_text": Family(
        refused=("attention_bias",),
        mixers=mistral_large4.mixers,
        blocks=DEEPSEEK_EXPERTS,
        extras=mistral_large4.extras,
    ),
    "sarvam_mla": Family(mixers=MlaLayers(), blocks=SARVAM_EXPERTS),
    "youtu": Family(mixers=MlaLayers(), tied=True),
}
"""By `model_type`."""
