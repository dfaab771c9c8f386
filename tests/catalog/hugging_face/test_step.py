"""Configs of Step 3.5 and 3.7 Flash, whose keys vLLM 0.33 reads in step3p5.py; sizes are those of the catalogue."""

import json
from typing import Any

import pytest

from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.catalog.models import MODELS
from inferplan.core.model import Model

PERIOD = ["full_attention", *["sliding_attention"] * 3]
STEP: dict[str, Any] = {
    "architectures": ["Step3p5ForCausalLM"],
    "model_type": "step3p5",
    "attention_other_setting": {
        "attention_type": "sliding_attention",
        "num_attention_heads": 96,
        "num_attention_groups": 8,
        "head_dim": 128,
    },
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 11264,
    "layer_types": PERIOD * 12,
    "max_position_embeddings": 262144,
    "moe_intermediate_size": 1280,
    "moe_layers_enum": ",".join(str(number) for number in range(3, 45)),
    "moe_num_experts": 288,
    "moe_top_k": 8,
    "num_attention_groups": 8,
    "num_attention_heads": 64,
    "num_hidden_layers": 45,
    "num_nextn_predict_layers": 3,
    "share_expert_dim": 1280,
    "sliding_window": 512,
    "torch_dtype": "bfloat16",
    "use_head_wise_attn_gate": True,
    "vocab_size": 128896,
}


def read(config: dict[str, Any] = STEP, **changed: Any) -> Model:
    return described(json.dumps({**config, **changed})).model


def problem(**changed: Any) -> str:
    with pytest.raises(ConfigProblem) as raised:
        read(**changed)
    return str(raised.value)


def test_the_layers_are_those_of_the_catalogue() -> None:
    """196,956,118,272 parameters, and 2,428,171,008 of three layers for further tokens, which see a window."""
    one = read()
    assert one.architecture == MODELS["stepfun-ai/Step-3.5-Flash"].architecture
    assert described(one.id).model.architecture == one.architecture
    assert len(one.id) < 850


def test_step_3_7_is_the_same_decoder_beside_a_tower_that_is_not_counted() -> None:
    whole = described(json.dumps({"model_type": "step3p7", "text_config": STEP, "vision_config": {"layers": 47}}))
    assert whole.model.architecture == read().architecture
    assert whole.notes == ("The vision tower that stands beside the text decoder is not counted.",)


def test_transformers_has_names_of_its_own_for_the_same() -> None:
    """`Step3p7TextConfig` of transformers 5.24."""
    own = {
        "n_routed_experts": 288,
        "num_experts_per_tok": 8,
        "num_key_value_heads": 8,
        "num_sliding_attention_heads": 96,
        "mlp_layer_types": ["dense"] * 3 + ["sparse"] * 42,
        "layer_types": STEP["layer_types"][:45],
    }
    gone = {"attention_other_setting", "moe_layers_enum", "moe_num_experts", "moe_top_k", "num_attention_groups"}
    config = {key: value for key, value in STEP.items() if key not in gone}
    assert read(config, **own).architecture == read().architecture


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"attention_other_setting": None}, 'needs "num_sliding_attention_heads"'),
        ({"layer_types": None}, 'needs "layer_types"'),
        ({"moe_layers_enum": "3,four"}, '"moe_layers_enum" must be numbers of layers between commas'),
        ({"moe_top_k": 289}, '"moe_top_k" 289 is more than the 288 experts'),
        ({"attention_other_setting": {"num_attention_heads": 90}}, "8 KV heads do not divide the 90 heads"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_in_a_sentence(changed: dict[str, Any], said: str) -> None:
    assert said in problem(**changed)
