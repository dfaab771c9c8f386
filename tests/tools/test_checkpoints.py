"""What answers say of the checkpoint that a format stands for, and of what it asks the cache to be stored in."""

import json
import re
from typing import Any

import pytest

from data_files import DATA
from inferplan.tools._tool import Answer
from inferplan.tools.costs import TOOL as COSTS
from inferplan.tools.moe import TOOL as MOE
from inferplan.tools.parallelism import TOOL as PARALLELISM
from inferplan.tools.preset import TOOL as PRESET
from inferplan.tools.quantization import TOOL as QUANTIZATION
from inferplan.tools.vram import TOOL as VRAM

GEMMA = {"model": "google/gemma-4-31B-it", "precision": "nvfp4"}
GEMMA_BUILD = "nvidia/Gemma-4-31B-IT-NVFP4"
MINIMAX = {"model": "MiniMaxAI/MiniMax-M2.5", "precision": "nvfp4", "gpu": "rtx-pro-6000-blackwell-server"}


def ask(tool: Any, **arguments: Any) -> Answer:
    return tool.ask(arguments | ({"requests_per_day": 50_000} if tool is COSTS else {}))


def assumed(answer: Answer) -> dict[str, tuple[str | int | float, str]]:
    return {one.name: (one.value, one.why) for one in answer.assumptions}


@pytest.mark.parametrize("tool", [VRAM, PARALLELISM, COSTS, QUANTIZATION], ids=lambda tool: tool.name)
def test_an_answer_names_the_published_checkpoint_and_what_it_leaves_in_16_bit(tool: Any) -> None:
    found = assumed(ask(tool, **GEMMA))
    assert found["checkpoint"] == (GEMMA_BUILD, "published: attention 16 bit")


@pytest.mark.parametrize("tool", [VRAM, PARALLELISM, COSTS], ids=lambda tool: tool.name)
def test_where_no_published_checkpoint_is_known_all_linear_layers_are_an_assumption(tool: Any) -> None:
    found = assumed(ask(tool, model="Qwen/Qwen3-32B", precision="nvfp4"))
    assert found["checkpoint"] == ("all linear layers in NVFP4", "assumed: no published build is known here")


@pytest.mark.parametrize(
    ("model", "precision"),
    [("70B", "nvfp4"), ("google/gemma-4-31B-it", "fp8"), ("openai/gpt-oss-120b", "mxfp4"), ("Qwen/Qwen3-32B", "int4")],
)
def test_nothing_is_said_of_a_checkpoint_where_the_format_is_used_for_all_layers(model: str, precision: str) -> None:
    assert "checkpoint" not in assumed(VRAM.ask({"model": model, "precision": precision}))


def test_two_models_each_have_their_own_checkpoint() -> None:
    found = assumed(
        MOE.ask({"dense_model": "google/gemma-4-31B-it", "moe_model": "zai-org/GLM-5.2", "precision": "nvfp4"})
    )
    assert found["dense_checkpoint"][0] == GEMMA_BUILD
    assert found["moe_checkpoint"] == (
        "nvidia/GLM-5.2-NVFP4",
        "published: attention 16 bit, dense and shared blocks 16 bit",
    )


@pytest.mark.parametrize("tool", [VRAM, PARALLELISM, PRESET], ids=lambda tool: tool.name)
def test_the_cache_that_a_checkpoint_asks_for_is_taken_and_said_as_an_assumption(tool: Any) -> None:
    asked = {"preset": "production", **MINIMAX} if tool is PRESET else MINIMAX
    assert assumed(tool.ask(asked))["kv_cache_element"] == ("8 bit", "set by nvidia/MiniMax-M2.5-NVFP4")


def test_kv_precision_overrides_what_the_checkpoint_asks_for() -> None:
    by_itself, wide = VRAM.ask(MINIMAX), VRAM.ask({**MINIMAX, "kv_precision": "fp16"})
    assert wide.kv_bytes_per_token == 2 * by_itself.kv_bytes_per_token == 2 * 2 * 62 * 8 * 128
    assert "kv_cache_element" not in assumed(wide)
    assert "kv_cache_element" not in assumed(PARALLELISM.ask({**MINIMAX, "kv_precision": "fp16"}))


def test_a_described_checkpoint_that_asks_for_an_fp8_cache_gets_one() -> None:
    config = json.loads((DATA / "configs" / "minimax-m2.5.json").read_text(encoding="utf-8"))
    scheme = {"dynamic": False, "num_bits": 8, "type": "float"}
    asks = config | {
        "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_scheme": scheme}
    }
    answer = VRAM.ask({"model": json.dumps(asks), "precision": "nvfp4"})
    assert answer.kv_bytes_per_token == 2 * 62 * 8 * 128
    assert assumed(answer)["kv_cache_element"] == ("8 bit", "set by its config")


def test_the_command_starts_the_published_checkpoint() -> None:
    assert (VRAM.ask(GEMMA).launch or "").startswith(f"vllm serve {GEMMA_BUILD} ")


@pytest.mark.parametrize("tool", [VRAM, PARALLELISM, COSTS, QUANTIZATION], ids=lambda tool: tool.name)
def test_its_repository_is_a_model_that_is_planned_as_released(tool: Any) -> None:
    found = ask(tool, model=GEMMA_BUILD)
    assert found.inputs["model"] == GEMMA_BUILD
    if tool is not QUANTIZATION:
        assert assumed(found)["precision"] == ("NVFP4", "as released")


def test_its_repository_takes_what_its_model_takes_in_that_format() -> None:
    built, model = VRAM.ask({"model": GEMMA_BUILD}), VRAM.ask(GEMMA)
    assert (built.weights_gb, built.kv_cache_gb, built.launch) == (model.weights_gb, model.kv_cache_gb, model.launch)
    assert [row.deploy for row in built.hardware] == [row.deploy for row in model.hardware]


@pytest.mark.parametrize("model", ["google/gemma-4-31B-it", "deepseek-ai/DeepSeek-V3.1", "Qwen/Qwen3.6-27B"])
def test_the_weights_line_adds_up_to_the_weights_class_by_class(model: str) -> None:
    answer = VRAM.ask({"model": model, "precision": "nvfp4"})
    line = next(line for line in answer.formula if line.startswith("weights"))
    terms = re.findall(r"([\d,]+) x ([\d.]+) bit", line)
    total = sum(int(params.replace(",", "")) * float(bits) / 8 for params, bits in terms)
    assert total / 1e9 == pytest.approx(answer.weights_gb, rel=1e-6)


def test_the_comparison_of_formats_spends_the_bits_of_the_build_on_its_row() -> None:
    answer = QUANTIZATION.ask(GEMMA)
    assert next(row.memory_gb for row in answer.formats if row.precision == "nvfp4") == pytest.approx(31.48, abs=0.01)
    assert "7.82896 bit" in answer.formula[0]
    assert assumed(answer)["kv_cache_element"] == ("32 16 16 16 8", f"set by {GEMMA_BUILD}")
