"""Decoders that pass several hidden states from block to block: their totals to the last tensor, and their variants."""

import json
from typing import Any

import pytest

from configs import catalogued, problem, read, text_of
from inferplan.catalog.hugging_face.config import described
from inferplan.core.model import Model, NativeBits

GLM, QWEN, HY = "glm-5.3-flash", "qwen3.8-flash-next", "hy4-preview"


def changed(slug: str, **text: Any) -> Model:
    config = json.loads(text_of(slug))
    inner = {**config.get("text_config", config), **text}
    return described(json.dumps({**config, "text_config": inner} if "text_config" in config else inner)).model


@pytest.mark.parametrize("slug", [GLM, QWEN, HY])
def test_a_short_config_of_streams_keeps_them(slug: str) -> None:
    assert described(read(slug).id).model.architecture.streams == catalogued(slug).architecture.streams == 4


def test_glm_5_3_flash_has_the_published_total_to_the_last_parameter() -> None:
    """321,323,031,390, of which 288 biases of the router in each of 42 decoder layers are counted nowhere else here."""
    one = read(GLM).architecture
    assert one.multi_token is not None
    assert read(GLM).total_params + 42 * 288 + one.multi_token.params + one.vision_params == 321_323_031_390


def test_qwen3_8_flash_next_has_the_published_total_to_the_last_parameter() -> None:
    """179,999,981,459, of which 35 are whole numbers by which n-grams are hashed: 16 sizes, 16 offsets, 3 factors."""
    config = {**json.loads(text_of(QWEN)), "vision_config": {"out_hidden_size": 2560}}
    one = described(json.dumps(config)).model
    assert one.architecture.multi_token is not None
    beside = one.architecture.multi_token.params + one.architecture.vision_params
    assert one.total_params + beside + 35 == 179_999_981_459
    assert one.architecture.vision_params == catalogued(QWEN).architecture.vision_params


def test_glm_5_3_flash_in_fp8_has_its_attention_in_16_bit_though_its_config_lists_none() -> None:
    """Of a config the bits are those of the format with its scales, 8.004."""
    bits = read(GLM).native_bits
    assert bits == NativeBits(ffn=8.004, routed_experts=8.004)
    assert catalogued(GLM).native_bits == NativeBits(ffn=8, routed_experts=8)
    half = described(json.dumps(json.loads(text_of(GLM)) | {"quantization_config": None})).model
    assert (half.native_precision, half.native_bits) == ("bf16", None)


def test_the_pools_of_an_indexer_have_a_gate_and_a_place_for_each_token() -> None:
    four, sixteen = read(GLM), changed(GLM, index_kpool=16)
    assert sixteen.total_params - four.total_params == 11 * 12 * 128
    words = ["full_attention" if number % 4 == 3 else "linear_attention" for number in range(45)]
    assert changed(GLM, layer_types=words).architecture == changed(GLM, layer_types=None).architecture
    own = {"linear_num_heads": 32, "linear_attn_config": None}
    assert changed(GLM, **own).total_params < four.total_params
    assert "give indexer_types" in problem({**json.loads(text_of(GLM))["text_config"], "index_topk_pattern": "FSSS"})


def test_layers_of_glm_that_share_a_choice_have_no_indexer() -> None:
    shared = changed(GLM, indexer_types=["full"] * 7 + ["shared"] * 38)
    indexer = 1536 * 32 * 128 + (4096 + 2) * 128 + 4096 * 32 + 524_800
    assert read(GLM).total_params - shared.total_params == 10 * indexer


def test_most_layers_of_hy4_use_an_indexer_of_an_earlier_one() -> None:
    """transformers, `HYV4Config`: the first and every fourth from the second on; 21 of 78."""
    every = changed(HY, indexer_types=["full"] * 78)
    indexer = 2048 * 32 * 128 + (6144 + 2) * 128 + 6144 * 32
    assert every.total_params - read(HY).total_params == (78 - 21) * indexer


def test_tables_of_n_grams_have_the_next_primes_of_rows() -> None:
    """16 tables of 20,000,003 rows and more; 320,001,446 in all, filled up to a multiple of 128."""
    assert read(QWEN).architecture.lookup_params == 320_001_536 * 160
    assert changed(QWEN, make_ngram_vocab_size_divisible_by=1).architecture.lookup_params == 320_001_446 * 160
    bare = changed(QWEN, ple_layer_ids=[]).architecture
    assert (bare.lookup_params, bare.ngram_layers) == (0, 0)
    two = changed(QWEN, ple_layer_ids=[2, 3]).architecture
    assert two.lookup_params > 2 * read(QWEN).architecture.lookup_params
    assert two.ngram_layers == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"heads_per_ngram": 200}, "400 tables of n-grams are more than 256"),
        ({"indexer_kv_heads": 2}, "one key for all heads"),
        ({"ple_layer_ids": [49]}, "a list of layers from 1 to 48"),
        ({"indexer_n_heads": None}, 'needs "text_config.indexer_n_heads"'),
    ],
)
def test_what_no_flash_next_has_is_refused_by_its_key(wrong: dict[str, Any], said: str) -> None:
    config = json.loads(text_of(QWEN))
    assert said in problem({**config, "text_config": {**config["text_config"], **wrong}})
