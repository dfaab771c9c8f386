"""Reading a config.json: its sizes and its title, and what is said where it is wrong."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from configs import (
    LLAMA,
    llama,
    problem,
    read,
    text_of,
)
from inferplan.catalog.hugging_face.config import LONGEST_CONFIG, described, known_model_types
from inferplan.core.layers.attention import Attention


def test_a_text_is_read_once() -> None:
    text = json.dumps(LLAMA)
    assert described(text) is described(text)


def test_the_title_is_the_name_or_the_class_with_the_size() -> None:
    assert llama().title == "LlamaForCausalLM, 8.03B (your config.json)"
    assert llama(_name_or_path="acme/llama").title == "acme/llama, 8.03B (your config.json)"
    assert llama(_name_or_path="./my models").title == "LlamaForCausalLM, 8.03B (your config.json)"


def test_llama_3_1_8b_by_hand() -> None:
    """Embedding and head, 32 layers of attention, feed-forward and two norms, and a final norm."""
    layer = 4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 14336 + 2 * 4096
    assert llama().total_params == 2 * 128256 * 4096 + 32 * layer + 4096 == 8_030_261_248
    assert llama().architecture.plain == Attention(heads=32, kv_heads=8, head_dim=128)


def test_every_size_that_is_missing_is_named_at_once() -> None:
    assert problem(
        {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32}
    ) == ('config.json: needs "num_hidden_layers" and "vocab_size"')


def test_a_nested_text_config_has_the_defaults_of_transformers() -> None:
    """Gemma 3 4B states neither heads nor vocabulary."""
    assert "num_attention_heads" not in json.loads(text_of("gemma-3-4b"))["text_config"]
    assert read("gemma-3-4b").architecture.vocab == 262_208


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "not valid JSON at line 1, column 1"),
        ('{"model_type": "llama"', "not valid JSON"),
        ("[]", "must be one JSON object"),
        ('"llama"', "must be one JSON object"),
        ('{"a": 1, "a": 2}', '"a" is given twice'),
        ("[" * 20_000, "nest too deeply"),
        ('{"a": ' * 9_000, "nest too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "too many digits"),
        ('{"a": "' + "x" * LONGEST_CONFIG + '"}', "longer than 262,144 bytes; leave out quantization_config"),
        ({}, 'needs "model_type"'),
        ({"model_type": 3}, 'needs "model_type"'),
        ({"model_type": "lama"}, 'no model_type "lama" among the'),
        ({"model_type": "gemma3", "text_config": {"model_type": "nonsense"}}, 'no model_type "nonsense"'),
        ({"model_type": "nonsense", "text_config": {"model_type": "llama"}}, 'no model_type "nonsense"'),
    ],
)
def test_what_is_no_config_is_answered_in_one_sentence(config: object, said: str) -> None:
    assert said in problem(config)


def test_an_unknown_family_is_answered_with_the_nearest_and_how_many_are_known() -> None:
    assert problem({"model_type": "qwen3moe"}) == (
        f'config.json: no model_type "qwen3moe" among the {len(known_model_types())} known; nearest: "qwen3_moe", '
        '"qwen3_5_moe" or "qwen2_moe"'
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_size": True}, '"hidden_size" must be a whole number from 1 to 100000000, not true'),
        ({"hidden_size": 4096.5}, "not 4096.5"),
        ({"hidden_size": 0}, "not 0"),
        ({"hidden_size": -1}, "not -1"),
        ({"hidden_size": "big\n"}, 'not "big\\n"'),
        ({"vocab_size": float("nan")}, "not NaN"),
        ({"vocab_size": float("inf")}, "not Infinity"),
        ({"num_hidden_layers": 10**6}, "from 1 to 1000"),
        ({"num_key_value_heads": 5}, "5 does not divide the 32 attention heads"),
        ({"num_attention_heads": 31}, "31 attention heads do not divide the hidden size of 4096"),
        ({"tie_word_embeddings": "no"}, "must be true or false"),
        ({"torch_dtype": "float4"}, '"torch_dtype" must be one of'),
        ({"rope_scaling": {"rope_type": "spiral"}}, '"rope_scaling.rope_type" must be one of'),
        ({"hidden_size": 0, "vocab_size": 0}, '"vocab_size"'),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(changed: Mapping[str, Any], said: str) -> None:
    assert said in problem({**LLAMA, **changed})


def test_layer_types_have_to_be_as_many_as_layers() -> None:
    config = json.loads(text_of("gpt-oss-20b"))
    assert '"layer_types" has 23 entries for 24 layers' in problem({**config, "layer_types": config["layer_types"][1:]})
    assert "one for each layer" in problem({**config, "layer_types": ["round"] * 24})


def test_a_tower_that_is_not_known_is_reported() -> None:
    towered = {"model_type": "aya_vision", "text_config": {**LLAMA, "model_type": "cohere2"}, "vision_config": {}}
    one = described(json.dumps(towered))
    assert one.model.architecture.vision_params == 0
    assert any("vision tower" in note for note in one.notes)


def test_positions_that_a_scale_stretches() -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}
    assert llama(rope_scaling=yarn).architecture.max_positions == 32768
    assert llama(rope_scaling={"type": "linear", "factor": 2.0}).architecture.rope_tables == 2
    assert llama(partial_rotary_factor=0.5).architecture.rope_dim == 64


def test_run_lengths_stand_for_lists_of_layers() -> None:
    config = json.loads(text_of("gpt-oss-20b"))
    packed = described(json.dumps({**config, "layer_types": "sliding_attention,full_attention"})).model
    assert packed.architecture == read("gpt-oss-20b").architecture


def test_types_that_are_known_have_nothing_in_common_but_being_known() -> None:
    assert len(known_model_types()) >= 100
    for type_ in ("llama", "qwen3_moe", "deepseek_v3", "gemma3", "gpt_oss", "kimi_linear", "nemotron_h"):
        assert type_ in known_model_types()
