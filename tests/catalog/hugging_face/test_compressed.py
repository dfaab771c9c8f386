"""Configs of DeepSeek V4, and of what is stored anew of it; counts are those of its published totals."""

import json
from typing import Any

import pytest

from data_files import DATA
from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.catalog.models import MODELS
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.model import Model, NativeBits

FLASH: dict[str, Any] = json.loads((DATA / "configs" / "deepseek-v4-flash.json").read_text(encoding="utf-8"))


def read(**changed: Any) -> Model:
    return described(json.dumps({**FLASH, **changed})).model


def problem(**changed: Any) -> str:
    with pytest.raises(ConfigProblem) as raised:
        read(**changed)
    return str(raised.value)


@pytest.mark.parametrize("slug", ["flash", "pro"])
def test_a_config_is_the_whole_architecture_of_the_catalogue(slug: str) -> None:
    """Flash: 284,332,230,231 parameters, and 6,610,048,891 of the layer for a second token."""
    text = (DATA / "configs" / f"deepseek-v4-{slug}.json").read_text(encoding="utf-8")
    one, other = described(text).model, MODELS[f"deepseek-ai/DeepSeek-V4-{slug.title()}"]
    assert one.architecture == other.architecture
    assert (one.native_precision, one.native_bits) == (other.native_precision, other.native_bits)


def test_streams_are_mixed_by_matrices_of_their_own() -> None:
    """24 rows of 4 x 4,096, with biases and 3 scales, twice in 43 layers; 4 rows, biases and a scale at the end."""
    assert read().architecture.other_params == 43 * 2 * (24 * 16384 + 24 + 3) + 4 * 16384 + 4 + 1


def test_a_layer_for_further_tokens_sees_its_window_alone() -> None:
    """The 44th entry of `compress_ratios` is 0."""
    assert FLASH["compress_ratios"][43:] == [0]
    further = read().architecture.multi_token
    assert further is not None
    window = next(mixer for _, mixer in read().architecture.mixers if isinstance(mixer, Compressed))
    assert window.compress is None
    experts = 257 * 3 * 4096 * 2048 + 256 * 4096 + 256
    mixing = 2 * (24 * 16384 + 27) + 4 * 16384 + 5
    assert further.params == window.params(4096) + experts + 5 * 4096 + 2 * 4096**2 + mixing


@pytest.mark.parametrize(
    ("changed", "format_", "bits"),
    [
        ({}, "mxfp4", NativeBits(mixers=8, ffn=8, routed_experts=4.25)),
        ({"expert_dtype": None, "model_type": "deepseek_ref"}, "fp8", None),
        ({"moe_quant_algo": "NVFP4"}, "nvfp4", NativeBits(mixers=8, ffn=8, routed_experts=4.5)),
    ],
    ids=["released", "fp8", "nvfp4"],
)
def test_routed_experts_are_stored_in_a_format_of_their_own(
    changed: dict[str, Any], format_: str, bits: NativeBits | None
) -> None:
    """As released, as SGLang's FP8 copies, and as NVIDIA's builds in NVFP4, whose row says the same."""
    algorithm = {key: value for key, value in changed.items() if key == "moe_quant_algo"}
    rest = {key: value for key, value in changed.items() if key not in algorithm}
    one = read(quantization_config={**FLASH["quantization_config"], **algorithm}, **rest)
    assert (one.native_precision, one.native_bits) == (format_, bits)
    again = described(one.id).model
    assert (again.native_precision, again.native_bits) == (format_, bits)
    build = MODELS["deepseek-ai/DeepSeek-V4-Flash"].build(format_)
    assert build is None or build.bits == bits


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"compress_ratios": None}, 'needs "compress_ratios"'),
        ({"compress_ratios": [0] * 40}, '"compress_ratios" has 40 entries for 43 layers'),
        ({"compress_ratios": [2] * 43}, '"compress_ratios" must be a list, one for each layer, of 0, 4, 128'),
        ({"num_key_value_heads": 8}, '"num_key_value_heads"'),
        ({"hc_mult": 0}, '"hc_mult" must be a whole number from 1 to 1000'),
        ({"quantization_config": {**FLASH["quantization_config"], "moe_quant_algo": "INT2"}}, "moe_quant_algo"),
    ],
    ids=str,
)
def test_what_is_not_modelled_is_said_in_a_sentence(changed: dict[str, Any], said: str) -> None:
    assert said in problem(**changed)
