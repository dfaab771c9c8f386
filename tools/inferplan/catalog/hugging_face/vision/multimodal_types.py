"""Model types that wrap a text decoder: models that read images, audio or video as well."""

from collections.abc import Mapping

TEXT_DECODERS: Mapping[str, str] = {
    "apertus1p5": "apertus1p5_text",
    "aya_vision": "cohere2",
    "cohere2_vision": "cohere2",
    "deepseek_v41": "deepseek_v41_text",
    "ernie4_5_moe_vl": "ernie4_5_moe_vl",
    "ernie4_5_vl_moe": "ernie4_5_vl_moe_text",
    "exaone4_5": "exaone4",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text",
    "glm46v": "glm4v_text",
    "glm4v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "glm5_next": "glm5_next_text",
    "hunyuan_vl": "hunyuan_vl_text",
    "hyperclovax_vision_v2": "hyperclovax",
    "idefics3": "llama",
    "inkling_mm_model": "inkling_text",
    "interns1": "qwen3_moe",
    "internvl": "qwen2",
    "internvl_chat": "qwen2",
    "kimi_k25": "kimi_k2",
    "kimi_k3": "kimi_linear",
    "kimi_vl": "deepseek_v3",
    "lfm2_vl": "lfm2",
    "lfm3_vl": "lfm3",
    "llama4": "llama4_text",
    "llava": "llama",
    "llava_next": "llama",
    "llava_next_video": "llama",
    "llava_onevision": "qwen2",
    "minimax_m3_vl": "minimax_m3",
    "mistral3": "mistral",
    "mistral_large4": "mistral_large4_text",
    "mllama": "mllama_text_model",
    "muse_glimmer": "muse_glimmer_text",
    "phi4_multimodal": "phi4_multimodal",
    "phi4mm": "phi4mm",
    "qwen2_5_omni": "qwen2_5_omni_text",
    "qwen2_5_omni_thinker": "qwen2_5_omni_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen2_vl": "qwen2_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_omni_moe": "qwen3_omni_moe_text",
    "qwen3_omni_moe_thinker": "qwen3_omni_moe_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen4_exp": "qwen4_exp_text",
    "smolvlm": "llama",
    "step3p7": "step3p5",
    "voxtral": "llama",
}
"""By `model_type`: the type of the text decoder where its own config does not say."""

HEARING = frozenset({"voxtral"})
"""Types that hear and do not see."""

OWN_DECODER = frozenset({"minimax_m3_vl"})
"""Types whose text decoder is of that type whatever its config says: MiniMax M3's says `minimax_m2`.

Source: transformers, `MiniMaxM3VLConfig`, which builds it as a class of its own.
"""
