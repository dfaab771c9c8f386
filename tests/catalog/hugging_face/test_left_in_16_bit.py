"""Which tensors of a quantised checkpoint stay in 16 bit, by the names in its config.json."""

import json

import pytest

from configs import (
    FP8,
    LLAMA,
    MX,
    bits_of,
    changed_in,
    text_of,
)
from inferplan.catalog.hugging_face.config import described
from inferplan.core.model import NativeBits


def test_kinds_of_tensors_that_are_left_out_stay_in_16_bit() -> None:
    assert bits_of({**FP8, "modules_to_not_convert": ["lm_head", "self_attn"]}) == (
        "fp8",
        NativeBits(mixers=16, ffn=8.004, routed_experts=8.004),
    )
    half = [f"model.layers.{layer}.self_attn" for layer in range(16)]
    assert bits_of({**FP8, "ignored_layers": half}) == (
        "fp8",
        NativeBits(mixers=12.002, ffn=8.004, routed_experts=8.004),
    )
    small = [f"model.layers.{layer}.{name}" for layer in range(32) for name in ("input_layernorm", "mlp.gate")]
    small += ["mtp.layers.0*", "model.visual.blocks.3.attn", "re:.*vision_tower.*", "model.layers.61.self_attn"]
    assert bits_of({**FP8, "modules_to_not_convert": small}) == ("fp8", None)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("self_attn.q_proj", "self_attn.o_proj"),
        ("self_attn.qkv_proj", "self_attn.o_proj"),
        ("self_attn.W_pack", "self_attn.o.weight"),
        ("linear_attn.in_proj_qkvz", "linear_attn.out_proj"),
        ("attention.wq", "attention.wo"),
        ("self_attention.query_key_value", "self_attention.dense"),
        ("attn.c_attn", "attn.c_proj"),
    ],
)
def test_attention_is_left_out_where_its_first_and_its_last_matrix_are_named_and_is_not_by_one_alone(
    first: str, last: str
) -> None:
    firsts, lasts = ([f"model.layers.{layer}.{name}" for layer in range(16)] for name in (first, last))
    assert bits_of({**FP8, "ignore": [*firsts, *lasts]}) == (
        "fp8",
        NativeBits(mixers=12.002, ffn=8.004, routed_experts=8.004),
    )
    for alone in (firsts, lasts):
        assert bits_of({**FP8, "ignore": alone}) == ("fp8", None)
        (note,) = described(json.dumps({**LLAMA, "quantization_config": {**FP8, "ignore": alone}})).notes
        assert note.endswith(f'"{alone[0].split(".", 4)[-1]}".')


def test_layers_count_by_their_own_size_among_those_that_are_left_in_16_bit() -> None:
    """DeepSeek-V2-Lite: one dense layer of 10,944, then 26 with two shared experts of 1,408, in matrices as long."""
    quantization = {**FP8, "ignore": ["model.layers.0.mlp.down_proj"]}
    left = 10944 / (10944 + 26 * 2 * 1408)
    bits = changed_in("deepseek-v2-lite", quantization_config=quantization).native_bits
    assert bits == NativeBits(mixers=8.004, ffn=round(8.004 + 7.996 * left, 4), routed_experts=8.004)


@pytest.mark.parametrize("name", ["gate_proj", "up_proj", "down_proj", "gate_up_proj", "w1", "w2", "w3", "fc1", "fc2"])
def test_a_block_is_left_out_by_any_name_of_its_matrices(name: str) -> None:
    ignored = [f"model.layers.{layer}.mlp.{name}" for layer in range(32)]
    assert bits_of({**FP8, "ignore": ignored}) == ("fp8", NativeBits(mixers=8.004, ffn=16, routed_experts=8.004))


def test_what_quark_and_auto_round_leave_out_stays_in_16_bit() -> None:
    """`exclude` of Quark's MXFP4 builds, `extra_config` of AutoRound's, in which 16 bits are float."""
    excluded = {"quant_method": "quark", "global_quant_config": {"weight": MX}, "exclude": ["lm_head", "*self_attn*"]}
    assert bits_of(excluded) == ("mxfp4", NativeBits(mixers=16, ffn=4.25, routed_experts=4.25))
    extra = {f"model.layers.{layer}.self_attn": {"bits": 16, "data_type": "float"} for layer in range(32)}
    left = {"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True, "extra_config": extra}
    assert bits_of(left) == ("gptq", NativeBits(mixers=16, ffn=4.125, routed_experts=4.125))
    awq = {**left, "packing_format": "auto_round:auto_awq", "sym": False}
    for quantization in (excluded, left, awq):
        model = described(json.dumps({**LLAMA, "quantization_config": quantization})).model
        short = described(model.id).model
        assert (short.native_precision, short.native_bits) == (model.native_precision, model.native_bits)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["model.layers.3.wobble"], '"model.layers.3.wobble".'),
        (["wobble", "lm_head", "wabble"], '"wobble" and "wabble".'),
        (["wobble", "wabble", "x" * 61, "webble"], '"wobble", "wabble" and "webble".'),
        (["wobble", "wabble", "webble", "wibble", "wubble"], '"wobble", "wabble", "webble" and others.'),
    ],
)
def test_names_that_are_not_understood_are_reported(names: list[str], said: str) -> None:
    one = described(json.dumps({**LLAMA, "quantization_config": {**FP8, "modules_to_not_convert": names}}))
    assert one.notes == (f"Not understood in quantization_config, so not left in 16 bit: {said}",)
    assert described(one.model.id).notes == one.notes


def test_where_a_dense_block_stands_beside_experts_mlp_names_the_dense_block_alone() -> None:
    """nvidia/Gemma-4-26B-A4B-NVFP4 ignores `mlp*`, `router*` and `self_attn*`; its experts are in NVFP4."""
    ignored = [f"model.language_model.layers.{n}.{name}*" for n in range(30) for name in ("mlp", "router", "self_attn")]
    quantization = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", *ignored]}
    config = {**json.loads(text_of("gemma-4-26b-a4b-it")), "quantization_config": quantization}
    assert described(json.dumps(config)).model.native_bits == NativeBits(mixers=16, ffn=16, routed_experts=4.5)
