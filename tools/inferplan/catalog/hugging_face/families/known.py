"""The model types that are read, each with its family and the defaults of transformers."""

from collections.abc import Mapping

from inferplan.catalog.hugging_face.families.defaults import DEFAULTS
from inferplan.catalog.hugging_face.families.dense_families import DENSE_FAMILIES
from inferplan.catalog.hugging_face.families.family import Family
from inferplan.catalog.hugging_face.families.hybrid_families import HYBRID_FAMILIES
from inferplan.catalog.hugging_face.families.latent_families import LATENT_FAMILIES
from inferplan.catalog.hugging_face.families.moe_families import MOE_FAMILIES

_FAMILIES: Mapping[str, Family] = {**DENSE_FAMILIES, **MOE_FAMILIES, **LATENT_FAMILIES, **HYBRID_FAMILIES}

_ALIASES: Mapping[str, str] = {
    "bailing_moe": "bailing_moe_v2",
    "deci": "nemotron-nas",
    "deepseek_ocr2_text": "deepseek",
    "deepseek_ref": "deepseek_v4",
    "ernie4_5_vl_moe_text": "ernie4_5_moe_vl",
    "exaone4_5_text": "exaone4",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "gemma4_unified_text": "gemma4_text",
    "glm4v_moe_text": "glm4_moe",
    "granite4_vision_text": "granite",
    "hunyuan": "hunyuan_v1_moe",
    "hunyuan_vl_text": "hunyuan_v1_dense",
    "hy_v4_vl_text": "hy_v4",
    "inkling_model": "inkling_text",
    "iquestcoder": "llama",
    "kimi_k2": "deepseek_v3",
    "minimax_m1": "minimax",
    "minimax_m3_vl_text": "minimax_m3",
    "minimax_text_01": "minimax",
    "mimo_v2": "mimo_v2_flash",
    "paddleocr_vl_text": "ernie4_5",
    "phi4_multimodal": "phi3",
    "phi4mm": "phi3",
    "qwen2_5_omni_text": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen3_omni_moe_text": "qwen3_moe",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_vl_text": "qwen3",
    "yi": "llama",
}
"""Model types whose layers are those of another one."""

KNOWN_TYPES = frozenset({*_FAMILIES, *_ALIASES})
"""Every `model_type` of a text decoder that is read."""


def family_of(type_: str) -> Family:
    """The family of a known type."""
    return _FAMILIES[_ALIASES.get(type_, type_)]


def defaults_of(type_: str) -> Mapping[str, float]:
    """The defaults of transformers for a known type, else for the type whose layers it has."""
    return DEFAULTS.get(type_, DEFAULTS.get(_ALIASES.get(type_, type_), {}))
