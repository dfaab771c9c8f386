"""Configs of ERNIE 4.5 VL, as the checkpoint and as transformers say it: experts for text, others for images."""

import json
from typing import Any

import pytest

from data_files import DATA
from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.catalog.models import MODELS, model_rows
from inferplan.core.model import Model

SMALL: dict[str, Any] = json.loads((DATA / "configs" / "ernie-4.5-vl-28b.json").read_text(encoding="utf-8"))
LARGE: dict[str, Any] = {
    **{key: value for key, value in SMALL.items() if key != "moe_num_shared_experts"},
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 54,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "moe_intermediate_size": [3584, 1536],
    "moe_k": 8,
    "moe_layer_start_index": [3, 3],
    "moe_layer_end_index": [53, 53],
    "tie_word_embeddings": False,
}
"""The sizes of the catalogue's row, as the published total has them."""


def read(config: dict[str, Any], **changed: Any) -> Model:
    return described(json.dumps({**config, **changed})).model


def problem(**changed: Any) -> str:
    with pytest.raises(ConfigProblem) as raised:
        read(SMALL, **changed)
    return str(raised.value)


@pytest.mark.parametrize(
    ("config", "id_"),
    [(SMALL, "baidu/ERNIE-4.5-VL-28B-A3B-PT"), (LARGE, "baidu/ERNIE-4.5-VL-424B-A47B-PT")],
    ids=["28B", "424B"],
)
def test_the_layers_are_those_of_the_catalogue(config: dict[str, Any], id_: str) -> None:
    """424B: its total, 422,722,772,992 and 803,505,664 of the vision tower, and what text passes, to the integer."""
    one = read(config)
    assert one.architecture == MODELS[id_].architecture
    assert (one.total_params, one.active_params) == (model_rows()[id_].params_total, model_rows()[id_].params_active)
    assert described(one.id).model.architecture == one.architecture


def test_the_defaults_of_transformers_are_the_checkpoint_of_28b() -> None:
    """`Ernie4_5_VLMoeConfig`: a text config that says nothing is that of ERNIE-4.5-VL-28B-A3B-PT."""
    one = read({"model_type": "ernie4_5_vl_moe", "text_config": {}, "vision_config": {}})
    assert one.architecture == MODELS["baidu/ERNIE-4.5-VL-28B-A3B-PT"].architecture


def test_layers_may_be_listed_as_dense_and_sparse() -> None:
    """Two dense layers in place of one: a block of 3 x 2,560 x 12,288 for the experts, both routers, shared experts."""
    kinds = ["dense"] * 2 + ["sparse"] * 26
    one = read({"model_type": "ernie4_5_vl_moe", "text_config": {"mlp_layer_types": kinds}, "vision_config": {}})
    experts = 3 * 2560 * (64 * (1536 + 512) + 2 * 1536) + 2 * 64 * 2560
    assert read(SMALL).total_params - one.total_params == experts - 3 * 2560 * 12288


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"moe_num_experts": [64, 32]}, '"moe_num_experts" has to be the same for text and images'),
        ({"moe_layer_start_index": [1, 2]}, "experts for text and for images have to stand in the same layers"),
        ({"moe_layer_end_index": [20, 28]}, "experts for text and for images have to stand in the same layers"),
        ({"moe_intermediate_size": [1536]}, "two whole numbers from 1 to 100000000, for text and for images"),
        ({"moe_intermediate_size": [1536, True]}, "two whole numbers"),
        ({"moe_intermediate_size": None}, 'needs "moe_intermediate_size"'),
        ({"moe_k": 65}, '"moe_k" 65 is more than the 64 experts'),
        ({"use_bias": True}, '"use_bias"'),
    ],
    ids=str,
)
def test_what_is_not_modelled_is_said_in_a_sentence(changed: dict[str, Any], said: str) -> None:
    assert said in problem(**changed)
