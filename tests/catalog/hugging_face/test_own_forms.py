"""Configs in the forms that checkpoints have, read by their own code or by vLLM's: each counts what was published.

Published totals are those of the safetensors files, less what vLLM leaves in the checkpoint, which each test names.
"""

import json
from typing import Any

import pytest

from configs import problem
from inferplan.catalog.hugging_face.config import Described, described, known_model_types
from inferplan.catalog.models import MODELS
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import kv_bytes_per_token

Config = dict[str, Any]

LARGE_CLIP_LAYER = 4 * 1024 * 1025 + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
"""Four square matrices, two of the block and two norms, all with biases: CLIP's ViT-L. [parameters]"""
SIGLIP_LAYER = 4 * 1152 * 1153 + 2 * 1152 * 4304 + 4304 + 1152 + 4 * 1152
"""The same of SigLIP, whose head is such a layer with a query for one norm. [parameters]"""
QWEN2_7B: Config = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "max_position_embeddings": 32768,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 151666,
    "tie_word_embeddings": False,
}
SIGLIP: Config = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "image_size": 980,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "patch_size": 14,
}
MINICPM_V: Config = {
    "model_type": "minicpmv",
    "version": 2.6,
    **QWEN2_7B,
    "drop_vision_last_layer": False,
    "query_num": 64,
    "slice_config": {"max_slice_nums": 9, "model_type": "minicpmv"},
    "vision_config": SIGLIP,
}
MINICPM_V_4_5: Config = {
    **MINICPM_V,
    "version": 4.5,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "vocab_size": 151748,
}
PHI_3_VISION: Config = {
    "model_type": "phi3_v",
    "hidden_size": 3072,
    "img_processor": {"image_dim_out": 1024, "name": "clip_vision_model", "num_img_tokens": 144},
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "vocab_size": 32064,
}
DEEPSEEK_OCR: Config = {
    "architectures": ["DeepseekOCRForCausalLM"],
    "model_type": "deepseek_vl_v2",
    "language_config": {
        "first_k_dense_replace": 1,
        "hidden_size": 1280,
        "intermediate_size": 6848,
        "kv_lora_rank": None,
        "max_position_embeddings": 8192,
        "moe_intermediate_size": 896,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_attention_heads": 10,
        "num_experts_per_tok": 6,
        "num_hidden_layers": 12,
        "num_key_value_heads": 10,
        "q_lora_rank": None,
        "qk_nope_head_dim": 0,
        "qk_rope_head_dim": 0,
        "use_mla": False,
        "v_head_dim": 0,
        "vocab_size": 129280,
    },
    "projector_config": {"input_dim": 2048, "n_embed": 1280, "projector_type": "linear"},
    "vision_config": {"image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deeplip_b_l", "width": {}},
}
CHATGLM: Config = {
    "model_type": "chatglm",
    "add_bias_linear": False,
    "add_qkv_bias": True,
    "ffn_hidden_size": 13696,
    "hidden_size": 4096,
    "kv_channels": 128,
    "multi_query_attention": True,
    "multi_query_group_num": 2,
    "num_attention_heads": 32,
    "num_layers": 40,
    "padded_vocab_size": 151552,
    "seq_length": 131072,
    "tie_word_embeddings": False,
}
MINICPM: Config = {
    "model_type": "minicpm",
    "hidden_size": 2304,
    "intermediate_size": 5760,
    "max_position_embeddings": 4096,
    "num_attention_heads": 36,
    "num_hidden_layers": 40,
    "vocab_size": 122753,
}
MINICPM_4_8B: Config = {
    "hidden_size": 4096,
    "intermediate_size": 16384,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
    "vocab_size": 73448,
}
PADDLE_OCR: Config = {
    "model_type": "paddleocr_vl",
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 131072,
    "num_attention_heads": 16,
    "num_hidden_layers": 18,
    "num_key_value_heads": 2,
    "rope_scaling": {"mrope_section": [16, 24, 24], "rope_type": "default", "type": "default"},
    "tie_word_embeddings": False,
    "vision_config": {},
    "vocab_size": 103424,
}
GLM_OCR: Config = {
    "model_type": "glm_ocr",
    "text_config": {
        "model_type": "glm_ocr_text",
        "head_dim": 128,
        "hidden_size": 1536,
        "intermediate_size": 4608,
        "max_position_embeddings": 131072,
        "num_attention_heads": 16,
        "num_hidden_layers": 16,
        "num_key_value_heads": 8,
        "num_nextn_predict_layers": 1,
        "rope_parameters": {"mrope_section": [16, 24, 24], "rope_type": "default"},
        "vocab_size": 59392,
    },
    "vision_config": {},
}


DOTS_OCR: Config = {
    "model_type": "dots_ocr",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "max_position_embeddings": 131072,
    "num_attention_heads": 12,
    "num_hidden_layers": 28,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
    "vision_config": {},
    "vocab_size": 151936,
}
MOLMO: Config = {
    "model_type": "molmo2",
    "adapter_config": {"intermediate_size": 12288, "text_hidden_size": 4096, "vit_layers": [-3, -9]},
    "text_config": {
        "model_type": "molmo2_text",
        "additional_vocab_size": 128,
        "head_dim": 128,
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "max_position_embeddings": 36864,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "qk_norm_type": "qwen3",
        "qkv_bias": False,
        "vocab_size": 151936,
    },
    "vit_config": {"hidden_size": 1152, "image_num_pos": 729, "image_patch_size": 14, "num_hidden_layers": 27},
}
HY4_VL: Config = {"model_type": "hy_v4_vl", "text_config": {"model_type": "hy_v4_vl_text"}, "vision_config": {}}
DEEPSEEK_OCR_2: Config = {
    "model_type": "deepseek_ocr2",
    "text_config": {
        **{key: value for key, value in DEEPSEEK_OCR["language_config"].items() if "dim" not in key},
        "model_type": "deepseek_ocr2_text",
    },
    "vision_config": {
        "encoder_config": {
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_attention_heads": 14,
            "num_hidden_layers": 24,
            "num_key_value_heads": 2,
        },
        "sam_config": {"downsample_channels": [512, 896], "hidden_size": 768},
    },
}
COUNTED: dict[str, tuple[Config, int, int]] = {
    "ChatGLM3 6B": ({**CHATGLM, "num_layers": 28, "padded_vocab_size": 65024}, 6_243_584_000, 0),
    "DeepSeek-OCR, half of its total_size": (DEEPSEEK_OCR, 2_934_734_080, 6_672_212_480 // 2 - 2_934_734_080),
    "GLM-4 9B": (CHATGLM, 9_399_951_360, 0),
    "GLM-OCR, as transformers builds it": (GLM_OCR, 673_285_632, 434_120_192),
    "MiniCPM 2B": (MINICPM, 2_724_880_896, 0),
    "MiniCPM-V 4.5, of 8,695,895,280": (MINICPM_V_4_5, 8_189_195_264, 506_700_016),
    "MiniCPM-V 2.6": (MINICPM_V, 7_612_763_648, 8_099_175_152 - 7_612_763_648),
    "PaddleOCR-VL, without SigLIP's head and a table": (
        PADDLE_OCR,
        466_654_208,
        958_588_736 - 466_654_208 - (SIGLIP_LAYER - 1152) - 32768 * 1152,
    ),
    "Phi-3.5-Vision, without CLIP's last layer and norm": (
        PHI_3_VISION,
        3_821_079_552,
        4_146_621_440 - 3_821_079_552 - LARGE_CLIP_LAYER - 2 * 1024,
    ),
    "DeepSeek-OCR 2, as transformers builds it": (DEEPSEEK_OCR_2, 2_934_734_080, 3_389_119_360 - 2_934_734_080),
    "dots.ocr, as vLLM builds it": (DOTS_OCR, 1_777_088_000, 1_262_091_264),
    "Hy4 VL, as transformers builds it": (HY4_VL, 769_907_389_085, 1_235_126_784),
    "Molmo 2 8B, as transformers builds it": (MOLMO, 8_191_259_648, 470_443_472),
}


def read(config: Config) -> Described:
    return described(json.dumps(config))


@pytest.mark.parametrize("name", COUNTED)
def test_a_decoder_and_what_stands_beside_it_are_counted_to_the_last_parameter(name: str) -> None:
    config, decoder, beside = COUNTED[name]
    one = read(config)
    assert (one.model.total_params, one.model.architecture.vision_params, one.notes) == (decoder, beside, ())
    again = described(one.model.id)
    assert (again.model.id, again.model.architecture) == (one.model.id, one.model.architecture)


def test_the_layer_for_further_tokens_of_glm_ocr_is_the_rest_of_its_published_total() -> None:
    """1,325,258,240: the layer has an embedding, a head and seven norms of its own."""
    one = read(GLM_OCR).model
    assert one.architecture.multi_token
    found = one.total_params + one.architecture.vision_params + one.architecture.multi_token.params
    assert found == 1_325_258_240


@pytest.mark.parametrize(
    ("type_", "version", "decoder"),
    [
        ("minicpmv", 2.5, "llama"),
        ("minicpmv", "2.6", "qwen2"),
        ("minicpmv", 4.0, "llama"),
        ("minicpmv", 4.5, "qwen3"),
        ("minicpmv", None, "llama"),
        ("minicpmo", 2.6, "qwen2"),
        ("minicpmo", "4.5", "qwen3"),
        ("minicpmo", None, "qwen2"),
    ],
)
def test_the_decoder_of_a_minicpm_follows_from_its_version(type_: str, version: object, decoder: str) -> None:
    """vLLM 0.33, minicpmv.py and minicpmo.py: Llama has neither norms nor biases, Qwen2 biases, Qwen3 norms."""
    config = {key: value for key, value in MINICPM_V.items() if key != "version"}
    named = {} if version is None else {"version": version}
    (_, attention), *_ = read({**config, "model_type": type_, **named}).model.architecture.mixers
    assert isinstance(attention, Attention)
    assert (attention.qk_norm == "per_head", attention.qkv_bias) == (decoder == "qwen3", decoder == "qwen2")


def test_the_first_minicpm_v_is_known_by_its_columns() -> None:
    first = {**MINICPM, "model_type": "minicpmv", "query_num": 64}
    one = read(first)
    assert one.model.total_params == COUNTED["MiniCPM 2B"][1]
    assert "a vision tower is not counted" in one.notes[0]


def test_a_version_of_minicpm_v_that_is_not_known_is_refused() -> None:
    assert 'no model_type "minicpmv 9.1"' in problem({**MINICPM_V, "version": 9.1})


def test_a_minicpm_that_hears_has_whispers_encoder_beside_that_of_images() -> None:
    """Whisper medium: 305,680,384 parameters with its positions, transformers 5.24; two matrices from a quarter."""
    medium = {"d_model": 1024, "encoder_ffn_dim": 4096, "encoder_layers": 24, "num_mel_bins": 80}
    seen = read({**MINICPM_V, "model_type": "minicpmo"}).model.architecture.vision_params
    heard = read({**MINICPM_V, "model_type": "minicpmo", "audio_config": medium}).model.architecture.vision_params
    layer = 4 * 1024**2 + 3 * 1024 + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
    encoder = 24 * layer + (3 * 80 + 1) * 1024 + (3 * 1024 + 1) * 1024 + 1500 * 1024 + 2 * 1024
    assert heard - seen == encoder + 1025 * 3584 + 3585 * 3584


def test_minicpm_with_experts_has_them_in_every_layer() -> None:
    """vLLM 0.33, `MiniCPMMoE`: three matrices an expert, and a router."""
    mixed = read({**MINICPM, "num_experts": 8, "num_experts_per_tok": 2}).model.total_params
    plain = read({**MINICPM, "num_experts": 0}).model.total_params
    assert mixed - plain == 40 * (7 * 3 * 2304 * 5760 + 8 * 2304)


def test_deepseek_ocr_caches_keys_and_values_where_other_models_of_its_type_cache_latents() -> None:
    latents = {"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
    small = {**DEEPSEEK_OCR, "language_config": {**DEEPSEEK_OCR["language_config"], **latents}}
    own, shared = read(DEEPSEEK_OCR).model.architecture, read(small).model.architecture
    assert all(isinstance(mixer, Attention) for _, mixer in own.mixers)
    assert all(isinstance(mixer, Latent) for _, mixer in shared.mixers)
    assert kv_bytes_per_token(own, kv_bits=16) == 12 * 2 * 1280 * 2
    assert kv_bytes_per_token(shared, kv_bits=16) == 12 * (512 + 64) * 2


def test_deepseek_vl2_sees_with_siglip_and_a_square_of_its_patches() -> None:
    """timm's vit_so400m_patch14_siglip_384 has 428,225,600 parameters; two matrices from 4 × 1152 to 2048."""
    tower = {"architectures": ["DeepseekVLV2ForCausalLM"], "vision_config": {"width": 1152}, "projector_config": {}}
    seen = read({**DEEPSEEK_OCR, **tower}).model.architecture.vision_params
    assert seen == 428_225_600 + (4 * 1152 + 1) * 2048 + 2049 * 2048 + 2 * 2048


def test_deepseek_ocr_2_has_the_same_tower_in_both_of_its_forms() -> None:
    """vLLM 0.33 tells the checkpoint from others of its type by its class."""
    projector = {"input_dim": 896, "n_embed": 1280, "projector_type": "linear"}
    own = {**DEEPSEEK_OCR, "architectures": ["DeepseekOCR2ForCausalLM"], "projector_config": projector}
    forms = [read(config).model.architecture for config in (own, DEEPSEEK_OCR_2)]
    assert forms[0].vision_params == forms[1].vision_params
    assert [kv_bytes_per_token(one, kv_bits=16) for one in forms] == [12 * 2 * 1280 * 2] * 2


@pytest.mark.parametrize(
    "config",
    [
        {**DEEPSEEK_OCR, "projector_config": None},
        {**DEEPSEEK_OCR_2, "vision_config": {"encoder_config": {}, "sam_config": {"hidden_size": 1024}}},
        {**MOLMO, "adapter_config": None, "vision_config": {}},
    ],
)
def test_a_tower_that_is_not_known_is_left_out_with_a_note(config: Config) -> None:
    one = read(config)
    assert one.model.architecture.vision_params == 0
    assert one.notes == ("The vision tower that stands beside the text decoder is not counted.",)
    assert described(one.model.id).notes == one.notes


def test_molmo_2_has_olmos_norms_or_those_of_qwen3_and_further_rows_of_embedding() -> None:
    """transformers 5.24, `Molmo2TextAttention`; norms of all heads have 32 and 8 times those of one."""

    def params(**changed: Any) -> int:
        return read({**MOLMO, "text_config": {**MOLMO["text_config"], **changed}}).model.total_params

    usual = params()
    assert params(qk_norm_type="olmo") - usual == 36 * (31 + 7) * 128
    assert params(qkv_bias=True) - usual == 36 * (32 + 2 * 8) * 128
    assert usual - params(additional_vocab_size=0) == 128 * 4096


def test_molmo_2s_encoder_ends_with_the_last_layer_that_is_read() -> None:
    usual = read(MOLMO).model.architecture.vision_params
    later = {**MOLMO["adapter_config"], "vit_layers": [-1, -9]}
    assert read({**MOLMO, "adapter_config": later}).model.architecture.vision_params - usual == 2 * SIGLIP_LAYER


def test_granite_4_visions_decoder_is_granites_and_its_tower_is_left_out_with_a_note() -> None:
    """3,659,737,600 parameters of the decoder as transformers 5.24 builds it."""
    sizes = {"hidden_size": 2560, "intermediate_size": 8192, "num_attention_heads": 40, "num_hidden_layers": 40}
    text = {"model_type": "granite4_vision_text", "num_key_value_heads": 8, "vocab_size": 100352, **sizes}
    one = read({"model_type": "granite4_vision", "text_config": text, "vision_config": {}})
    assert one.model.total_params == 3_659_737_600
    assert one.notes == ("The vision tower that stands beside the text decoder is not counted.",)


def test_another_layer_of_phi_3_visions_encoder_is_left_out_with_a_note() -> None:
    one = read({**PHI_3_VISION, "img_processor": {"layer_idx": -3}})
    assert (one.model.architecture.vision_params, len(one.notes)) == (0, 1)
    assert described(one.model.id).notes == one.notes


def test_chatglm_shares_key_heads_where_it_says_so_and_rotates_half_of_each() -> None:
    """vLLM 0.33, chatglm.py: `multi_query_group_num` holds with `multi_query_attention` alone."""
    shared = read(CHATGLM).model.architecture
    apart = read({**CHATGLM, "multi_query_attention": False}).model.architecture
    assert [kv_bytes_per_token(one, kv_bits=16) for one in (shared, apart)] == [40 * 2 * 256 * 2, 40 * 2 * 4096 * 2]
    assert shared.rope_dim == 64
    assert shared.max_positions == 131072


@pytest.mark.parametrize("config", [MINICPM_V, MINICPM, PHI_3_VISION, CHATGLM, DOTS_OCR])
def test_code_of_these_checkpoints_has_to_be_trusted(config: Config) -> None:
    brought = {**config, "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}
    assert read(brought).model.remote_code
    assert not read(config).model.remote_code


@pytest.mark.parametrize(
    ("config", "id_"),
    [
        (DOTS_OCR, "rednote-hilab/dots.ocr"),
        (DEEPSEEK_OCR, "deepseek-ai/DeepSeek-OCR"),
        ({**MINICPM, **MINICPM_4_8B}, "openbmb/MiniCPM4-8B"),
    ],
)
def test_a_config_describes_what_the_catalogue_has_of_its_model(config: Config, id_: str) -> None:
    assert read(config).model.architecture == MODELS[id_].architecture


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("bamba", "vLLM serves it up to 0.23 alone"),
        ("mpt", "vLLM serves it up to 0.28 alone"),
        ("unlimited_ocr", "a window beside all tokens of the prompt"),
        ("voxtral_realtime", "the keys and values that its audio encoder caches"),
        ("zamba2", "blocks of attention that several layers share"),
    ],
)
def test_a_type_that_people_serve_and_that_is_not_read_is_refused_with_why(type_: str, reason: str) -> None:
    assert type_ not in known_model_types()
    for config in ({"model_type": type_}, {"model_type": type_, "text_config": {}}):
        assert f'model_type "{type_}" is not read: {reason}' in problem(config)
