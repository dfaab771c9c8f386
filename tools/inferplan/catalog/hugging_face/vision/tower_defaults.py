"""Defaults of transformers for keys that a vision_config leaves out, by multimodal type; only of keys that are read.

Source: PyPI transformers 5.24.0, the vision configuration class of each type.
"""

from collections.abc import Mapping

_QWEN2_5 = {
    "depth": 32,
    "hidden_size": 3584,
    "in_channels": 3,
    "intermediate_size": 3420,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
_QWEN3 = {
    "depth": 27, "hidden_size": 1152, "in_channels": 3, "intermediate_size": 4304, "num_position_embeddings": 2304,
    "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
_CLIP = {
    "hidden_size": 768, "image_size": 224, "intermediate_size": 3072, "num_hidden_layers": 12, "patch_size": 32,
}  # fmt: skip
_ERNIE = {
    "depth": 32, "hidden_size": 1280, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2,
    "temporal_merge_size": 2,
}  # fmt: skip
_SIGLIP = {
    "hidden_size": 1152, "image_size": 384, "intermediate_size": 4304, "num_hidden_layers": 27, "patch_size": 14,
}  # fmt: skip
_GLM4V = {
    "depth": 24, "hidden_size": 1536, "image_size": 336, "in_channels": 3, "intermediate_size": 13696,
    "out_hidden_size": 4096, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
VISION_DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "apertus1p5": {
        "base_channels": 256, "codebook_size": 131072, "embed_dim": 256, "in_channels": 3, "latent_channels": 256,
        "num_res_blocks": 4,
    },
    "deepseek_vl_v2": _SIGLIP,
    "dots_ocr": {
        "embed_dim": 1536, "hidden_size": 1536, "intermediate_size": 4224, "num_hidden_layers": 42, "patch_size": 14,
        "spatial_merge_size": 2,
    },
    "ernie4_5_moe_vl": _ERNIE,
    "ernie4_5_vl_moe": {**_ERNIE, "intermediate_size": 5120},
    "cosmos3_omni": {**_QWEN3, "out_hidden_size": 3584},
    "gemma3": {**_CLIP, "patch_size": 16},
    "gemma4": {
        "head_dim": 64, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
        "num_hidden_layers": 16, "num_key_value_heads": 12, "patch_size": 16, "position_embedding_size": 10240,
    },
    "glm5_next": {
        "depth": 24, "hidden_size": 1024, "in_channels": 3, "intermediate_size": 4096, "out_hidden_size": 1536,
        "patch_size": 14, "projection_intermediate_size": 10240, "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
    "glm46v": _GLM4V,
    "glm4v": _GLM4V,
    "glm4v_moe": _GLM4V,
    "glm_ocr": {
        "depth": 24, "hidden_size": 1024, "in_channels": 3, "intermediate_size": 4096, "out_hidden_size": 1536,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
    "glmga": _GLM4V,
    "gemma4_unified": {
        "mm_embed_dim": 3840, "mm_posemb_size": 1120, "output_proj_dims": 3840, "patch_size": 16,
        "pooling_kernel_size": 3,
    },
    "hunyuan_vl": {
        "hidden_size": 1152, "intermediate_size": 4304, "max_image_size": 2048, "num_hidden_layers": 27,
        "patch_size": 16, "spatial_merge_size": 2,
    },
    "hy_v4_vl": {
        "hidden_size": 1536, "intermediate_size": 6144, "max_image_size": 2048, "num_hidden_layers": 40,
        "out_hidden_size": 6144, "patch_size": 16, "spatial_merge_size": 2,
    },
    "hyperclovax_vision_v2": _QWEN2_5,
    "kimi_k25": {"patch_size": 14},
    "llama4": {
        "hidden_size": 768, "image_size": 448, "intermediate_size": 5632, "num_hidden_layers": 34, "patch_size": 14,
        "projector_input_dim": 4096, "projector_output_dim": 4096, "vision_output_dim": 7680,
    },
    "llava": _CLIP,
    "llava_next": _CLIP,
    "lighton_ocr": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "patch_size": 16},
    "minicpmo": {**_CLIP, "patch_size": 16},
    "minicpmv": {**_CLIP, "patch_size": 16},
    "mistral3": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "patch_size": 16},
    "mistral_large4": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 30, "patch_size": 14},
    "molmo2": {
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 25, "num_position_embeddings": 729,
        "patch_size": 14,
    },
    "muse_glimmer": {
        "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 50, "patch_size": 14, "patch_temporal": 2,
        "pos_emb_height": 32, "pos_emb_width": 32,
    },
    "paddleocr_vl": {**_SIGLIP, "spatial_merge_size": 2},
    "paligemma": {**_CLIP, "patch_size": 16},
    "phi3_v": {
        "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096, "num_hidden_layers": 24, "patch_size": 14,
    },
    "phi4_multimodal": {**_SIGLIP, "image_size": 448},
    "phi4mm": {**_SIGLIP, "image_size": 448},
    "qwen2_5_omni_thinker": _QWEN2_5,
    "qwen2_5_vl": _QWEN2_5,
    "qwen2_vl": {
        "depth": 32, "embed_dim": 1280, "hidden_size": 3584, "in_channels": 3, "mlp_ratio": 4, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
    "qwen3_5": _QWEN3,
    "qwen3_5_moe": _QWEN3,
    "qwen3_omni_moe_thinker": {**_QWEN3, "out_hidden_size": 3584},
    "qwen3_vl": {**_QWEN3, "out_hidden_size": 3584},
    "qwen3_vl_moe": {**_QWEN3, "out_hidden_size": 3584},
    "qwen4_exp": {**_QWEN3, "out_hidden_size": 3584},
}  # fmt: skip
"""By multimodal type: what each key means where it is missing. Sizes in elements, patches or layers."""
