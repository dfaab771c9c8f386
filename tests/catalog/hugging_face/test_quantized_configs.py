"""The format and the bits of a quantised checkpoint, as its config.json describes them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from configs import (
    FP8,
    LLAMA,
    MX,
    bits_of,
    catalogued,
    groups,
    llama,
    problem,
    read,
)
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.hugging_face.config import described
from inferplan.catalog.hugging_face.quantization.bits import BITS
from inferplan.core.engine_memory import default_kv_bits
from inferplan.core.model import NativeBits

QUARK_INT8 = {"dtype": "int8", "qscheme": "per_channel", "symmetric": True, "is_dynamic": False}
"""How it describes weights, and inputs where they are quantised too, in INT8."""
LLM_INT8 = {
    "_load_in_4bit": False,
    "_load_in_8bit": True,
    "bnb_4bit_compute_dtype": "float32",
    "bnb_4bit_quant_storage": "uint8",
    "bnb_4bit_quant_type": "fp4",
    "bnb_4bit_use_double_quant": False,
    "llm_int8_enable_fp32_cpu_offload": False,
    "llm_int8_has_fp16_weight": False,
    "llm_int8_skip_modules": None,
    "llm_int8_threshold": 6.0,
    "load_in_4bit": False,
    "load_in_8bit": True,
    "quant_method": "bitsandbytes",
}
"""What transformers writes of a checkpoint that it loaded in 8 bit."""


def test_a_dtype_is_the_native_precision() -> None:
    assert llama().native_precision == "bf16"
    assert llama(torch_dtype="float16").native_precision == "fp16"
    assert llama(torch_dtype="float32").native_precision == "fp32"
    assert llama(torch_dtype=None, dtype="torch.float16").native_precision == "fp16"


@pytest.mark.parametrize(
    ("quantization", "format_", "bits"),
    [
        (FP8, "fp8", None),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, "gptq", None),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}, "gptq", 4.5),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True}, "gptq-int8", None),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": False}, "gptq-int8", 8.188),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "gptq-int8", 8.004),
        ({"quant_method": "auto-round", "bits": 8, "group_size": 32, "sym": True}, "gptq-int8", 8.5),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, "gptq", None),
        (
            {"quant_method": "auto-round", "bits": 4, "group_size": 64, "packing_format": "auto_round:auto_awq"},
            "awq",
            4.312,
        ),
        ({"quant_method": "quark", "global_quant_config": {"weight": MX}, "exclude": ["lm_head"]}, "mxfp4", None),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}, "exclude": []},
            "fp8",
            None,
        ),
        ({"quant_method": "quark", "global_quant_config": {"weight": QUARK_INT8}, "exclude": []}, "w8a16", None),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": QUARK_INT8, "input_tensors": QUARK_INT8}},
            "int8",
            None,
        ),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "awq", None),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4", None),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, "nf4", 4.127),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bnb-int8", None),
        (LLM_INT8, "bnb-int8", None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}, "nvfp4", None),
        ({"quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}, "fp8", None),
        ({"quant_method": "fbgemm_fp8"}, "fp8", None),
        ({"quant_method": "mxfp8", "modules_to_not_convert": ["lm_head"]}, "mxfp8", None),
        ({"quant_method": "modelopt", "quant_algo": "MXFP8", "ignore": ["lm_head"]}, "mxfp8", None),
        ({"config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}}}, "fp8", None),
    ],
)
def test_a_quantised_checkpoint_is_in_a_format_of_the_catalogue(
    quantization: Mapping[str, Any], format_: str, bits: float | None
) -> None:
    expected = None if bits is None else NativeBits(mixers=bits, ffn=bits, routed_experts=bits)
    assert bits_of(quantization) == (format_, expected)
    assert format_ in FORMATS


@pytest.mark.parametrize(
    ("weights", "format_", "bits"),
    [
        ({"num_bits": 8, "type": "float"}, "fp8", None),
        ({"num_bits": 8, "type": "int", "strategy": "channel", "group_size": None}, "w8a16", None),
        ({"num_bits": 8, "type": "int", "strategy": "group", "group_size": 128}, "w8a16", 8.125),
        ({"num_bits": 8, "type": "int", "group_size": 32, "symmetric": False}, "w8a16", 8.75),
        ({"num_bits": 4, "type": "int", "group_size": 128}, "int4", None),
        ({"num_bits": 4, "type": "int", "group_size": 32}, "int4", 4.5),
        ({"num_bits": 4, "type": "float", "group_size": 16}, "nvfp4", None),
        ({"num_bits": 4, "type": "float", "group_size": 32}, "mxfp4", None),
        ({"num_bits": 8, "type": "float", "group_size": 32, "strategy": "group"}, "mxfp8", None),
    ],
)
def test_compressed_tensors_say_their_format_in_groups(
    weights: Mapping[str, Any], format_: str, bits: float | None
) -> None:
    expected = None if bits is None else NativeBits(mixers=bits, ffn=bits, routed_experts=bits)
    assert bits_of(groups(**weights)) == (format_, expected)


TOKENS = {"dynamic": True, "num_bits": 8, "strategy": "token", "symmetric": True, "type": "int"}
"""How compressed-tensors describes inputs that are quantised token by token."""


@pytest.mark.parametrize(("inputs", "format_"), [(TOKENS, "int8"), (None, "w8a16")])
def test_eight_bit_weights_are_multiplied_as_integers_only_beside_quantised_inputs(
    inputs: Mapping[str, Any] | None, format_: str
) -> None:
    """W8A8 and W8A16 of llm-compressor differ in `input_activations` alone; its short form tells them apart too."""
    group = {"weights": {"num_bits": 8, "type": "int", "strategy": "channel"}, "input_activations": inputs}
    quantization = {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}
    model = described(json.dumps({**LLAMA, "quantization_config": quantization})).model
    assert (model.native_precision, model.native_bits) == (format_, None)
    assert described(model.id).model.native_precision == format_


def test_quark_in_int8_is_read_again_as_it_was_and_weights_alone_are_said_to_have_no_kernel() -> None:
    alone: dict[str, Any] = {"quant_method": "quark", "global_quant_config": {"weight": QUARK_INT8}}
    both = {**alone, "global_quant_config": {"weight": QUARK_INT8, "input_tensors": QUARK_INT8}}
    for quantization, format_, said in ((alone, "w8a16", True), (both, "int8", False)):
        read = described(json.dumps({**LLAMA, "quantization_config": quantization}))
        short = described(read.model.id)
        assert read.model.native_precision == short.model.native_precision == format_
        assert any("vLLM 0.28 loads INT8 of Quark only" in note for note in read.notes) is said
        assert short.notes == read.notes


@pytest.mark.parametrize(
    ("sides", "block"), [([128, 128], 128), ([1, 128], 128), ([1, 1], 1), ([0, 128], 0), ([10**9], 0), (["a", 128], 0)]
)
def test_blocks_that_share_a_scale_have_their_longer_side_and_are_none_where_a_side_cannot_be(
    sides: list[Any], block: int
) -> None:
    assert llama(quantization_config={**FP8, "weight_block_size": sides}).weight_block == block
    assert llama(quantization_config=groups(num_bits=8, type="float", block_structure=sides)).weight_block == block


def test_groups_of_eight_bit_weights_are_cut_whole() -> None:
    """A group of inputs that would straddle ranks is refused (vLLM, marlin.py, `can_implement`)."""
    gptq = {"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True}
    assert llama(quantization_config=gptq).weight_block == 128
    assert llama(quantization_config=groups(num_bits=8, type="int", group_size=128)).weight_block == 128
    assert llama(quantization_config=groups(num_bits=8, type="int")).weight_block == 0


def test_experts_alone_are_quantised_in_kimi_k2_and_gpt_oss() -> None:
    assert read("kimi-k2.5").native_bits == NativeBits(routed_experts=4.5)
    for slug in ("kimi-k2.5", "gpt-oss-20b", "gpt-oss-120b", "deepseek-v3", "minimax-m2.5", "mimo-v2-flash"):
        assert read(slug).native_precision == catalogued(slug).native_precision
        assert read(slug).native_bits == catalogued(slug).native_bits


@pytest.mark.parametrize(
    ("cache", "bits"),
    [
        ({"kv_cache_scheme": {"dynamic": False, "num_bits": 8, "type": "float"}}, 8),
        ({"kv_cache_quant_algo": "FP8"}, 8),
        ({"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}, 8),
        ({"kv_cache_scheme": None}, None),
        ({"kv_cache_quant_algo": None}, None),
        ({}, None),
    ],
)
def test_a_config_that_asks_for_an_fp8_cache_is_read_so_also_in_its_short_form(
    cache: Mapping[str, Any], bits: float | None
) -> None:
    """`kv_cache_scheme` as nvidia/Gemma-4-31B-IT-NVFP4 states it, `kv_cache_quant_algo` as older ModelOpt files."""
    quantization = {"quant_method": "modelopt", "quant_algo": "NVFP4", **cache}
    model = described(json.dumps({**LLAMA, "quantization_config": quantization})).model
    assert model.native_kv_bits == described(model.id).model.native_kv_bits == bits
    assert default_kv_bits(model, FORMATS["nvfp4"]) == (bits or 16)
    assert default_kv_bits(model, FORMATS["fp8"]) == 16


@pytest.mark.parametrize(
    ("quantization", "said"),
    [
        ({"quant_method": "hqq"}, '"quantization_config.quant_method": "hqq" is not supported'),
        ({"quant_method": "hqq"}, "leave quantization_config out and name a precision"),
        ({"quant_method": "quark", "global_quant_config": {"weight": [MX, MX]}}, "is not all there is"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int2"}}}, '"int2" is not supported'),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": MX}, "layer_quant_config": {"*": {}}},
            "is not all there is",
        ),
        ({"quant_method": "auto-round", "bits": 2}, '"quantization_config.bits": 2 is not supported'),
        ({"quant_method": "auto-round", "bits": 4, "extra_config": {"a": {"bits": 8}}}, "mixes formats"),
        ({}, ""),
        ({"quant_method": "awq", "bits": 8}, '"quantization_config.bits": 8 is not supported (known: 4 bits)'),
        ({"quant_method": "gptq", "bits": 3}, '"quantization_config.bits": 3 is not supported'),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, '"MIXED_PRECISION" is not supported'),
        ({"quant_method": "compressed-tensors"}, 'needs "quantization_config.config_groups"'),
        (groups(num_bits=2, type="int"), "num_bits"),
        ({"config_groups": {"group_0": {}}}, 'needs "quantization_config.config_groups.group_0.weights"'),
    ],
)
def test_a_quantisation_that_is_not_known_is_refused_by_name(quantization: Mapping[str, Any], said: str) -> None:
    config = {**LLAMA, "quantization_config": quantization}
    if quantization:
        assert said in problem(config)
    else:
        assert described(json.dumps(config)).model.native_precision == "bf16"


def test_the_bits_are_those_of_the_catalogued_formats() -> None:
    assert {id_: FORMATS[id_].bits_per_weight for id_ in BITS} == BITS
