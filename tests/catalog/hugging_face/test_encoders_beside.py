"""Decoders beside encoders of images and of sound: each counted to the last parameter, and what engines load of them.

Totals are those of transformers 5.24 on torch's "meta" device, of the class's defaults where no config is named; that
of Phi-4-multimodal is its checkpoint's.
"""

import json
from typing import Any

import pytest

from configs import problem
from inferplan.catalog.hugging_face.config import described
from inferplan.core.engines.kv_coverage import not_modelled
from inferplan.core.engines.sglang_memory import token_bytes
from inferplan.core.memory import kv_bytes_per_token
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout

Config = dict[str, Any]


def model(config: Config) -> Model:
    return described(json.dumps(config)).model


def wrapped(type_: str, vision: Config | None = None, **text: Any) -> Config:
    return {"model_type": type_, "text_config": text, "vision_config": vision or {}}


OCR_TEXT: Config = {
    "model_type": "hunyuan_vl_text",
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 3584,
    "max_position_embeddings": 32768,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "num_key_value_heads": 8,
    "vocab_size": 120818,
}
CLOVA_TEXT: Config = {
    "model_type": "hyperclovax",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 2048,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "vocab_size": 32000,
}
PHI_4_MM: Config = {
    "model_type": "phi4mm",
    "audio_processor": {
        "config": {
            "attention_dim": 1024,
            "attention_heads": 16,
            "depthwise_multiplier": 1,
            "depthwise_seperable_out_channel": 1024,
            "ext_pw_out_channel": 1024,
            "input_size": 80,
            "kernel_size": 3,
            "linear_units": 1536,
            "nemo_conv_settings": {"conv_channels": 1024},
            "num_blocks": 24,
            "relative_attention_bias_args": {"t5_bias_max_distance": 500, "type": "t5"},
            "time_reduction": 8,
        },
        "name": "cascades",
    },
    "auto_map": {"AutoConfig": "configuration_phi4mm.Phi4MMConfig"},
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "num_attention_heads": 24,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "partial_rotary_factor": 0.75,
    "tie_word_embeddings": True,
    "vocab_size": 200064,
}
APERTUS: Config = {
    "model_type": "apertus1p5_text",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "vocab_size": 266752,
}
QWEN_TEXT: Config = {
    "model_type": "qwen3",
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 40960,
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}
GLM_TEXT: Config = {
    "hidden_size": 4096,
    "intermediate_size": 13696,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 40,
    "num_key_value_heads": 2,
    "vocab_size": 151552,
}
GEMMA_TEXT: Config = {
    "model_type": "gemma",
    "hidden_size": 2048,
    "intermediate_size": 16384,
    "num_attention_heads": 8,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
    "vocab_size": 257152,
}
SIGLIP: Config = {
    "hidden_size": 1152,
    "image_size": 224,
    "intermediate_size": 4096,
    "num_hidden_layers": 27,
    "patch_size": 14,
    "vision_use_head": False,
}
PIXTRAL: Config = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "patch_size": 14}
COUNTED: dict[str, tuple[Config, int, int]] = {
    "Apertus 1.5": ({**wrapped("apertus1p5"), "audio_config": {}}, 8_091_086_912, 226_457_088),
    **{
        f"{type_}, on GLM-4 9B": (wrapped(type_, **GLM_TEXT, model_type="glm4v_text"), 9_400_279_040, 892_498_432)
        for type_ in ("glm4v", "glm46v", "glmga")
    },
    "HunyuanOCR": (wrapped("hunyuan_vl", **OCR_TEXT), 539_010_048, 457_198_064),
    "HyperCLOVA X, untied": (
        wrapped("hyperclovax_vision_v2", **CLOVA_TEXT),
        6_607_605_760 + 32000 * 4096,
        3_097_709_312,
    ),
    "Phi-4-multimodal's class": (
        {**PHI_4_MM, "model_type": "phi4_multimodal", "num_attention_heads": 32, "tie_word_embeddings": False}
        | {"vision_config": {}, "audio_config": {}},
        5_308_268_992 - 907_982_272,
        907_982_272,
    ),
    "LightOnOCR": (wrapped("lighton_ocr", PIXTRAL, **QWEN_TEXT), 596_049_920, 409_597_952),
    "PaliGemma": (wrapped("paligemma", SIGLIP, **GEMMA_TEXT), 2_508_531_712, 401_858_816),
    "Qwen2-Audio, on a smaller decoder": (
        {"model_type": "qwen2_audio", "text_config": QWEN_TEXT, "audio_config": {}},
        596_049_920,
        642_215_936 - 3072 * 1281,
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_decoder_and_its_encoders_are_counted_to_the_last_parameter(name: str) -> None:
    config, decoder, encoders = COUNTED[name]
    one = described(json.dumps(config))
    assert (one.model.total_params, one.model.architecture.vision_params, one.notes) == (decoder, encoders, ())
    assert described(one.model.id).model.architecture == one.model.architecture


def test_hunyuan_ocr_is_read_in_its_checkpoints_form_too() -> None:
    flat = {key: value for key, value in OCR_TEXT.items() if key not in {"model_type", "head_dim"}}
    scaling = {"type": "xdrope", "alpha": 1000.0, "factor": 1.0, "xdrope_section": [16, 16, 16, 16]}
    own = {**flat, "attention_head_dim": 128, "rope_scaling": scaling, "vision_config": {}}
    assert model({"model_type": "hunyuan_vl", **own}).architecture == model(COUNTED["HunyuanOCR"][0]).architecture


def test_phi_4_multimodal_has_the_published_total_less_what_vllm_does_not_load() -> None:
    """5,574,460,384 with adapters of rank 256 and 320, the image encoder's last layer, norm, head, and 160 constants.

    vLLM skips the adapters (they are served as such) and builds 26 of 27 layers of the encoder.
    """
    one = model(PHI_4_MM)
    widths = [(3072, 5120), (3072, 3072), (3072, 16384), (8192, 3072)]
    adapters = 32 * (256 + 320) * sum(map(sum, widths))
    layer = 4 * 1152 * 1153 + 2 * 1152 * 4304 + 4304 + 1152 + 4 * 1152
    unused = layer + 2 * 1152 + layer - 1152
    assert one.total_params + one.architecture.vision_params + adapters + unused + 160 == 5_574_460_384
    assert one.remote_code
    assert one.architecture.rope_dim == 96


def test_an_output_head_may_have_fewer_rows_than_the_embedding() -> None:
    """Apertus 1.5, `output_vocab_size`: tokens of images and sound are read and never answered with."""
    whole, pruned = model(APERTUS), model({**APERTUS, "output_vocab_size": 131272})
    assert whole.total_params - pruned.total_params == (266752 - 131272) * 4096
    assert (whole.architecture.logits, pruned.architecture.logits) == (266752, 131272)
    assert described(pruned.id).model.architecture == pruned.architecture
    assert "from 1 to 266752" in problem({**APERTUS, "output_vocab_size": 266753})


def test_stages_that_no_published_apertus_has_are_refused() -> None:
    assert "channel_multiplier" in problem(wrapped("apertus1p5", {"channel_multiplier": [1, 2, 4]}))


@pytest.mark.parametrize(
    ("config", "total"),
    [
        ({"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "vocab_size": 50257}, 124_439_808),
        ({"model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_layer": 28, "vocab_size": 50400}, 6_050_882_784),
    ],
    ids=["gpt2", "gptj"],
)
def test_gpt_2_and_gpt_j_have_their_published_totals(config: Config, total: int) -> None:
    one = model(config)
    assert one.total_params == total
    assert not_modelled(one.architecture, version=33) is None
    assert described(one.id).model.architecture == one.architecture


def test_a_quarter_of_a_head_of_gpt_j_rotates_and_its_blocks_are_added_up_before_they_are_reduced() -> None:
    config = {"model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_layer": 28, "vocab_size": 50400}
    one = model(config).architecture
    assert (one.rope_dim, one.sums) == (64, 28)


@pytest.mark.parametrize(
    "type_", ["glmasr", "granite_speech", "moss_transcribe_diarize", "qwen3_asr", "fun_asr_nano", "omniasr"]
)
def test_an_encoder_of_sound_whose_sizes_are_not_read_is_said_not_to_be_counted(type_: str) -> None:
    key = "encoder_config" if type_ == "granite_speech" else "audio_config"
    one = described(json.dumps({"model_type": type_, "text_config": QWEN_TEXT, key: {"hidden_size": 1024}}))
    assert (one.model.total_params, one.model.architecture.vision_params) == (596_049_920, 0)
    assert one.notes == ("The audio encoder that stands beside the text decoder is not counted.",)


def test_vllm_caches_the_keys_and_values_of_minicpm3_and_sglang_its_latent() -> None:
    """vLLM 0.33, minicpm3.py: 40 heads of 96, values padded to as many; SGLang 0.5.23: a latent of 256 + 32."""
    config = {"model_type": "minicpm3", "hidden_size": 2560, "intermediate_size": 6400, "num_attention_heads": 40}
    one = described(json.dumps({**config, "num_hidden_layers": 62, "vocab_size": 73448}))
    architecture = one.model.architecture
    assert kv_bytes_per_token(architecture, kv_bits=16) == 62 * 2 * 40 * 96 * 2
    assert not_modelled(architecture, version=33) is None
    assert token_bytes(one.model, Layout(), kv_bits=16)[0] == 62 * (256 + 32) * 2
    assert "keys and values of every head" in one.notes[0]
