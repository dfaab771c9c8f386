"""Configs of decoders whose every size is stated here: each makes the layers of its catalogued model, and its total.

Keys are those of transformers 5.24 (Laguna, HyperCLOVA X, Cohere 2 MoE, DBRX, GLM-4.1V, EXAONE 4.5, LFM2-VL), of
DeepSeek's modeling_deepseek.py and of vLLM 0.33 (BailingMoE, Intern-S1).
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from data_files import DATA
from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.catalog.models import MODELS, model_rows

Config = dict[str, Any]


def published(slug: str, **changed: Any) -> Config:
    return {**json.loads((DATA / "configs" / f"{slug}.json").read_text(encoding="utf-8")), **changed}


LAGUNA: Config = {
    "model_type": "laguna",
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "layer_types": ["full_attention", *["sliding_attention"] * 3] * 10,
    "max_position_embeddings": 262144,
    "moe_intermediate_size": 512,
    "num_attention_heads": 48,
    "num_attention_heads_per_layer": [48, 64, 64, 64] * 10,
    "num_experts": 256,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 40,
    "num_key_value_heads": 8,
    "shared_expert_intermediate_size": 512,
    "sliding_window": 512,
    "vocab_size": 100352,
}
COHERE: Config = {
    "model_type": "cohere2_moe",
    "first_k_dense_replace": 1,
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 768,
    "max_position_embeddings": 500000,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 49,
    "num_key_value_heads": 4,
    "prefix_dense_intermediate_size": 3072,
    "sliding_window": 4096,
    "vocab_size": 262144,
}
DBRX: Config = {
    "model_type": "dbrx",
    "attn_config": {"clip_qkv": 8, "kv_n_heads": 8, "rope_theta": 500000},
    "d_model": 6144,
    "ffn_config": {"ffn_act_fn": {"name": "silu"}, "ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
    "max_seq_len": 32768,
    "n_heads": 48,
    "n_layers": 40,
    "vocab_size": 100352,
}
DECODERS: dict[str, Config] = {
    "databricks/dbrx-instruct": DBRX,
    "poolside/Laguna-XS.2": LAGUNA,
    "poolside/Laguna-M.1": {
        **{key: value for key, value in LAGUNA.items() if key not in {"num_attention_heads_per_layer", "layer_types"}},
        "gating": "per-element",
        "hidden_size": 4096,
        "intermediate_size": 16384,
        "mlp_layer_types": ["dense"] * 3 + ["sparse"] * 67,
        "moe_intermediate_size": 1024,
        "num_attention_heads": 64,
        "num_experts_per_tok": 16,
        "num_hidden_layers": 70,
        "shared_expert_intermediate_size": 1024,
    },
    "naver-hyperclovax/HyperCLOVAX-SEED-Think-14B": {
        "model_type": "hyperclovax",
        "hidden_size": 6144,
        "head_dim": 128,
        "intermediate_size": 14336,
        "max_position_embeddings": 131072,
        "num_attention_heads": 48,
        "num_hidden_layers": 38,
        "num_key_value_heads": 8,
        "vocab_size": 110592,
    },
    "deepseek-ai/deepseek-moe-16b-chat": {
        "model_type": "deepseek",
        "first_k_dense_replace": 1,
        "hidden_size": 2048,
        "intermediate_size": 10944,
        "max_position_embeddings": 4096,
        "moe_intermediate_size": 1408,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_attention_heads": 16,
        "num_experts_per_tok": 6,
        "num_hidden_layers": 28,
        "num_key_value_heads": 16,
        "vocab_size": 102400,
    },
    "inclusionAI/Ling-lite-1.5": {
        "model_type": "bailing_moe",
        "head_dim": 128,
        "hidden_size": 2048,
        "max_position_embeddings": 32768,
        "moe_intermediate_size": 1408,
        "num_attention_heads": 16,
        "num_experts": 64,
        "num_experts_per_tok": 6,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "num_shared_experts": 2,
        "vocab_size": 126464,
    },
    "CohereLabs/North-Mini-Code-1.0": COHERE,
    "CohereLabs/command-a-plus-05-2026-bf16": {
        **{key: value for key, value in COHERE.items() if "dense" not in key},
        "hidden_size": 4096,
        "intermediate_size": 4096,
        "max_position_embeddings": 200000,
        "num_attention_heads": 128,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "num_shared_experts": 4,
    },
}
WRAPPED: dict[str, Config] = {
    "LGAI-EXAONE/EXAONE-4.5-33B": {
        "model_type": "exaone4_5",
        "text_config": published("exaone-4.0-32b", max_position_embeddings=262144, vocab_size=153600),
    },
    "LiquidAI/LFM2.5-VL-1.6B": {"model_type": "lfm2_vl", "text_config": published("lfm2-1.2b")},
    "internlm/Intern-S1": {
        "model_type": "interns1",
        "text_config": published("qwen3-235b-a22b", max_position_embeddings=65536, vocab_size=153216),
    },
}


@pytest.mark.parametrize("id_", DECODERS)
def test_a_decoder_has_the_layers_and_the_published_total_of_its_model(id_: str) -> None:
    one, other = described(json.dumps(DECODERS[id_])).model, MODELS[id_].architecture
    assert one.total_params == model_rows()[id_].params_total
    assert one.architecture == replace(other, vision_params=0)
    assert described(one.id).model.architecture == one.architecture
    assert len(one.id) < 650


@pytest.mark.parametrize("id_", WRAPPED)
def test_a_decoder_beside_a_tower_is_read_and_the_tower_said_not_to_be_counted(id_: str) -> None:
    whole = described(json.dumps({**WRAPPED[id_], "vision_config": {"depth": 24}}))
    other = MODELS[id_].architecture
    assert whole.model.total_params == model_rows()[id_].params_total
    assert whole.model.architecture == replace(other, vision_params=0, multi_token=None)
    assert "The vision tower that stands beside the text decoder is not counted." in whole.notes
    assert described(whole.model.id).model.architecture == whole.model.architecture


def test_glm_4_1v_is_read_with_its_tower() -> None:
    text = published("glm-4-9b", model_type="glm4v_text", max_position_embeddings=65536)
    whole = described(json.dumps({"model_type": "glm4v", "text_config": text, "vision_config": {"depth": 24}}))
    assert whole.model.architecture == MODELS["zai-org/GLM-4.1V-9B-Thinking"].architecture
    assert whole.notes == ()


@pytest.mark.parametrize("id_", ["zai-org/GLM-4.5V", "zai-org/GLM-4.6V"])
def test_the_tower_of_glms_mixtures_merges_patches_in_a_narrower_block(id_: str) -> None:
    text = published("glm-4.5-air", model_type="glm4v_moe_text")
    config = {"model_type": "glm4v_moe", "text_config": text, "vision_config": {"intermediate_size": 10944}}
    found = described(json.dumps(config)).model.architecture.vision_params
    assert found == MODELS[id_].architecture.vision_params


def test_a_dense_layer_in_front_is_full_and_the_others_follow_in_fours() -> None:
    """North Mini Code: 1 and 48 layers, of which 13 see all of the context."""
    architecture = described(json.dumps(COHERE)).model.architecture
    caches = [part.window for count, mixer in architecture.mixers for part in mixer.cached for _ in range(count)]
    assert (caches.count(None), caches.count(4096)) == (13, 36)


def test_gates_as_wide_as_heads_take_a_column_an_element() -> None:
    """128 columns of 2,048 for each of 10 x 48 and 30 x 64 heads in place of one."""
    one, other = (
        described(json.dumps({**LAGUNA, "gating": kind})).model.total_params for kind in (True, "per-element")
    )
    assert other - one == 2048 * 127 * (10 * 48 + 30 * 64)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**LAGUNA, "gating": False}, '"gating": false is not supported'),
        ({**LAGUNA, "num_attention_heads_per_layer": [48, 60] * 20}, "one for each layer, which 8 divides"),
        ({**LAGUNA, "num_attention_heads_per_layer": [48] * 39}, "has 39 entries for 40 layers"),
        ({**LAGUNA, "num_attention_heads_per_layer": [10**9] * 40}, "one for each layer, which 8 divides"),
        ({**DBRX, "attn_config": {}}, 'needs "attn_config.kv_n_heads"'),
        ({**DBRX, "attn_config": {"kv_n_heads": 9}}, '"attn_config.kv_n_heads" 9 does not divide the 48 '),
        ({**DBRX, "attn_config": 8}, '"attn_config" must be an object'),
        (
            {key: value for key, value in DBRX.items() if key != "ffn_config"},
            'needs "ffn_config.moe_num_experts", "ffn_config.moe_top_k" and "ffn_config.ffn_hidden_size"',
        ),
        ({**COHERE, "prefix_dense_intermediate_size": None}, 'needs "prefix_dense_intermediate_size"'),
    ],
)
def test_what_is_not_modelled_is_said_in_a_sentence(config: Config, said: str) -> None:
    with pytest.raises(ConfigProblem) as raised:
        described(json.dumps(config))
    assert said in str(raised.value)
    assert len(str(raised.value)) < 400
