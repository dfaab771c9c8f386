"""Checkpoints whose config.json has a format for each module."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from configs import (
    FOLDER,
    LLAMA,
    problem,
)
from inferplan.catalog.builds import build_rows
from inferplan.catalog.hugging_face.config import described
from inferplan.core.model import NativeBits


def mixed(formats: Mapping[str, str]) -> dict[str, Any]:
    """What NVIDIA's Model Optimizer writes where modules are in several formats."""
    layers = {name: {"quant_algo": format_} for name, format_ in formats.items()}
    return {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}


def test_a_checkpoint_with_a_format_for_each_matrix_has_the_bits_of_its_published_build() -> None:
    """nvidia/Qwen3.6-27B-NVFP4 names 401 modules in 88,567 bytes; its row has narrow matrices beside them."""
    blocks = {f"mlp.{name}_proj": "W4A16_NVFP4" for name in ("gate", "up", "down")}
    full = {f"self_attn.{name}_proj": "FP8" for name in "qkvo"}
    linear = {f"linear_attn.{name}": "FP8" for name in ("in_proj_qkv", "in_proj_z", "out_proj")}
    layers = [{**blocks, **(full if number % 4 == 3 else linear)} for number in range(64)]
    named = {
        f"model.language_model.layers.{number}.{name}": format_
        for number, layer in enumerate(layers)
        for name, format_ in layer.items()
    }
    assert len({**named, "lm_head": "W4A16_NVFP4"}) == 401
    config = json.loads((FOLDER / "qwen3.5-27b.json").read_text(encoding="utf-8"))
    text = json.dumps({**config, "quantization_config": mixed({**named, "lm_head": "W4A16_NVFP4"})}, indent=4)
    model = described(text).model
    built = next(row for row in build_rows() if row.id == "nvidia/Qwen3.6-27B-NVFP4")
    assert model.native_precision == "nvfp4"
    assert model.native_bits == NativeBits(mixers=8.004, ffn=4.5, output_head=4.5)
    assert built.bits.mixers == pytest.approx(8.004, rel=0.004)
    assert replace(built.bits, mixers=8.004) == model.native_bits
    assert described(model.id).model.native_bits == model.native_bits
    assert len(model.id) < 1_000


def test_experts_that_are_named_one_by_one_are_one_and_what_is_not_named_is_in_16_bit() -> None:
    experts = {
        f"model.layers.{n}.mlp.experts.{e}.{w}_proj": "NVFP4" for n in (1, 2) for e in range(8) for w in ("up", "down")
    }
    shared = {f"model.layers.{n}.mlp.shared_expert.{w}_proj": "MXFP8" for n in range(4) for w in ("gate", "up", "down")}
    config = json.loads((FOLDER / "qwen2-57b-a14b.json").read_text(encoding="utf-8"))
    quantization = mixed({**experts, **shared})
    model = described(json.dumps({**config, "num_hidden_layers": 4, "quantization_config": quantization})).model
    assert model.native_bits == NativeBits(ffn=8.25, routed_experts=(4.5 + 16) / 2)
    assert model.native_precision == "nvfp4"


@pytest.mark.parametrize(
    ("formats", "said"),
    [
        ({"model.layers.0.mlp.up_proj": "W8A8_SQ_PER_CHANNEL"}, "has modules in W8A8_SQ_PER_CHANNEL, which"),
        (
            {"model.layers.0.mlp.up_proj": "FP8", "model.layers.0.mlp.down_proj": "NVFP4"},
            "mixes formats within a block",
        ),
        ({}, "names no whole block"),
        ({"model.layers.0.self_attn.q_proj": "FP8"}, "names no whole block"),
    ],
)
def test_modules_in_formats_that_are_not_known_or_not_told_apart_are_refused(
    formats: Mapping[str, str], said: str
) -> None:
    assert said in problem({**LLAMA, "quantization_config": mixed(formats)})


def test_a_matrix_of_attention_alone_is_counted_in_16_bit_and_said() -> None:
    quantization = mixed({"model.layers.0.self_attn.q_proj": "FP8", "mlp.down_proj": "NVFP4"})
    one = described(json.dumps({**LLAMA, "quantization_config": quantization}))
    assert one.notes[0].startswith('Some modules of "quantization_config.quantized_layers" are not understood')
    assert one.model.native_bits == NativeBits(ffn=4.5)
    assert described(one.model.id).notes == one.notes
