"""Configs as transformers 5 saves them: other keys, other defaults, and the model that the published config describes.

`tests/conformance/in_transformers.py` holds every reader against transformers itself; these are what it found.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from data_files import DATA
from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.core.architecture import Architecture
from inferplan.core.layers.attention import Attention

Config = dict[str, Any]


def published(slug: str) -> Config:
    return json.loads((DATA / "configs" / f"{slug}.json").read_text(encoding="utf-8"))


def architecture(config: Config) -> Architecture:
    return described(json.dumps(config)).model.architecture


def without(config: Config, *keys: str) -> Config:
    return {key: value for key, value in config.items() if key not in keys}


KINDS = {0: "sliding_attention", 4: "compressed_sparse_attention", 128: "heavily_compressed_attention"}
RATES = {"compressed_sparse_attention": 4, "heavily_compressed_attention": 128}


def deepseek_v4(config: Config) -> Config:
    """Kinds of layers by name, whose tokens per key stand beside; what rotates as a share of a head."""
    layers = config["num_hidden_layers"]
    return {
        **without(config, "compress_ratios"),
        "layer_types": [KINDS[ratio] for ratio in config["compress_ratios"][:layers]],
        "compress_rates": RATES,
        "mlp_layer_types": ["hash_moe"] * 3 + ["moe"] * (layers - 3),
        "partial_rotary_factor": 0.125,
    }


def gemma_4(config: Config) -> Config:
    """What full layers have of their own, layer by layer."""
    text = config["text_config"]
    own = {"head_dim": text["global_head_dim"], "num_key_value_heads": text["num_global_key_value_heads"]}
    full = range(5, text["num_hidden_layers"], 6)
    kept = without(text, "global_head_dim", "num_global_key_value_heads")
    return {**config, "text_config": {**kept, "per_layer_config": {f"{number:02}": own for number in full}}}


def mimo_v2(config: Config) -> Config:
    """A window that counts the query too."""
    return {**config, "sliding_window": config["sliding_window_size"] + 1}


def mimo_v2_alone(config: Config) -> Config:
    """None of the keys of the published config: kinds of layers by name, twice the KV heads in sliding ones."""
    own = ("hybrid_layer_pattern", "moe_layer_freq", "sliding_window_size", "swa_num_attention_heads")
    heads = ("swa_num_key_value_heads", "swa_head_dim", "swa_v_head_dim")
    kinds = [("full_attention", "sliding_attention")[one] for one in config["hybrid_layer_pattern"]]
    words = [("dense", "sparse")[one] for one in config["moe_layer_freq"]]
    return {**without(config, *own, *heads), "layer_types": kinds, "mlp_layer_types": words}


def qwen3_vl_moe(config: Config) -> Config:
    """The text decoder's class ties its output head, the whole model does not."""
    return {**config, "text_config": {**config["text_config"], "tie_word_embeddings": True}}


def minimax_m2(config: Config) -> Config:
    """What rotates as a share of a head."""
    return {**config, "rope_parameters": {"rope_theta": 5000000.0, "partial_rotary_factor": 0.5}}


@pytest.mark.parametrize(
    ("slug", "saved"),
    [
        ("deepseek-v4-flash", deepseek_v4),
        ("deepseek-v4-pro", deepseek_v4),
        ("gemma-4-12b-it", gemma_4),
        ("mimo-v2-flash", mimo_v2),
        ("mimo-v2-flash", mimo_v2_alone),
        ("qwen3-vl-30b-a3b-instruct", qwen3_vl_moe),
        ("minimax-m2.5", minimax_m2),
    ],
)
def test_a_saved_config_makes_the_layers_of_the_published_one(slug: str, saved: Callable[[Config], Config]) -> None:
    config = saved(published(slug))
    assert config != published(slug)
    assert architecture(config) == architecture(published(slug))
    one = described(json.dumps(config)).model
    assert described(one.id).model.architecture == one.architecture


def test_full_layers_of_gemma_4_have_the_kv_heads_that_are_listed_for_them() -> None:
    """12B: 1 head of 512 in the 8 full layers, 8 heads of 256 in the others."""
    found = {
        (mixer.kv_heads, mixer.head_dim, count)
        for count, mixer in architecture(gemma_4(published("gemma-4-12b-it"))).mixers
        if isinstance(mixer, Attention)
    }
    assert found == {(1, 512, 8), (8, 256, 40)}


def test_half_a_head_of_minimax_m2_rotates() -> None:
    assert architecture(published("minimax-m2.5")).rotary_dim == 64


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {**deepseek_v4(published("deepseek-v4-flash")), "compress_rates": {**RATES, KINDS[4]: 8}},
            '"compress_rates.compressed_sparse_attention": 8 is not supported',
        ),
        (
            {**deepseek_v4(published("deepseek-v4-flash")), "layer_types": ["full_attention"] * 43},
            '"layer_types" must be a list, one for each layer, of sliding_attention, compressed_sparse_attention',
        ),
        (
            {**published("nemotron-h-56b-base-8k"), "mlp_bias": True},
            '"mlp_bias": true is not supported',
        ),
    ],
)
def test_what_no_published_model_has_is_refused(config: Config, said: str) -> None:
    with pytest.raises(ConfigProblem) as raised:
        described(json.dumps(config))
    assert said in str(raised.value)


def test_full_layers_of_gemma_4_that_differ_from_each_other_are_refused() -> None:
    config = gemma_4(published("gemma-4-12b-it"))
    config["text_config"]["per_layer_config"]["05"] = {"head_dim": 256}
    with pytest.raises(ConfigProblem, match=r'"text_config\.per_layer_config" says more than'):
        described(json.dumps(config))
