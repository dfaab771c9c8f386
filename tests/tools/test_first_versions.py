"""A model that a version of vLLM has no class for gets no deployment there, and the version that has one."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from configs import FOUND, read, text_of
from data_files import DATA
from inferplan.catalog.models import MODELS, model_rows
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.validation.memory_cases import MemoryCase, Setup, catalogued
from inferplan.tools.validation.report import CannotPredict
from published_speed import published

TOOL = TOOLS_BY_NAME["estimate_vram"]
NEWEST, DEFAULT = 33, 28
"""Of vLLM, 0.33 and 0.28: the last that is accepted, and the one that answers are of unasked."""
FIRST = [
    ("moonshotai/Kimi-K3", 27),
    ("inclusionAI/Ling-3.0-flash", 28),
    ("zai-org/GLM-5", 16),
    ("Qwen/Qwen3.5-27B", 17),
    ("moonshotai/Kimi-K2.5", 15),
    ("stepfun-ai/Step-3.5-Flash", 15),
    ("google/gemma-4-31B-it", 19),
    ("Qwen/Qwen3-8B", 8),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 8),
    ("google/gemma-3-27b-it", 8),
    ("openai/gpt-oss-120b", 10),
    ("zai-org/GLM-4.5-Air", 10),
    ("Qwen/Qwen3-VL-8B-Instruct", 11),
    ("MiniMaxAI/MiniMax-M2.5", 11),
]
"""Source: registry.py in the wheels of vLLM: the first release with the class that the checkpoint's config names.

Up to 0.11 those of a minor version's first release and of a late one (0.8.5, 0.9.2, 0.10.2, 0.11.2) were read.
"""


def asked(model: str, **changes: Any) -> Any:
    return TOOL.ask({"model": model, "gpu": "b300", "context_window": 4096, **changes})


@pytest.mark.parametrize(("model", "first"), FIRST)
def test_a_model_is_deployed_from_the_first_version_that_has_its_class(model: str, first: int) -> None:
    before = asked(model, overrides=f"engine_version=0.{first - 1}")
    assert before.launch is None
    assert [row.deploy for row in before.hardware] == [None] * len(before.hardware)
    assert (
        f'vLLM 0.{first - 1} has no class for it, 0.{first} has: overrides="engine_version=0.{first}"' in before.summary
    )
    way_out = re.search(r'overrides="([^"]+)"', before.summary)
    assert way_out
    assert (asked(model, overrides=way_out[1]).launch or "").startswith("vllm serve ")


def test_no_version_is_named_that_would_not_help() -> None:
    """MiniMax M3: by its release notes 0.23 has it not yet, and 0.24 has; its cache's layout is not known here."""
    said = asked("MiniMaxAI/MiniMax-M3", overrides="engine_version=0.23").summary
    assert "vLLM 0.23 has no class for it, 0.24 has." in said
    assert "index keys beside keys and values" in asked("MiniMaxAI/MiniMax-M3", overrides="engine_version=0.24").summary


def test_a_kind_of_attention_that_a_version_lacks_is_a_model_that_it_does_not_run() -> None:
    """DeepSeek-V4 since 0.20; V4.1 since 0.30, off Hopper not modelled; lightning attention up to 0.23."""
    v4, lightning = "deepseek-ai/DeepSeek-V4-Flash", "MiniMaxAI/MiniMax-Text-01"
    early, late = (
        asked(model, overrides=f"engine_version=0.{version}") for model, version in ((v4, 19), (lightning, 24))
    )
    assert 'vLLM 0.19 has no class for it, 0.20 has: overrides="engine_version=0.20"' in early.summary
    assert 'vLLM 0.24 no longer has a class for it, 0.23 had: overrides="engine_version=0.23"' in late.summary
    assert (early.fits, late.fits) == (False, False)
    v41 = "deepseek-ai/DeepSeek-V4.1-Flash"
    later = asked(v41, gpu="h200", overrides="engine_version=0.29")
    assert 'vLLM 0.29 has no class for it, 0.30 has: overrides="engine_version=0.30"' in later.summary
    there, elsewhere = (asked(v41, gpu=gpu, overrides="engine_version=0.31") for gpu in ("h200", "b300"))
    assert (there.launch or "").startswith("vllm serve ")
    assert (elsewhere.fits, elsewhere.launch) == (None, None)
    assert "otherwise than on Hopper" in elsewhere.summary


@pytest.mark.parametrize("tool", ["estimate_vram", "plan_parallelism", "run_preset"])
@pytest.mark.parametrize(
    ("refused", "helps"),
    [
        ({"model": "deepseek v4 flash", "overrides": "engine_version=0.19"}, {"overrides": "engine_version=0.20"}),
        ({"model": "deepseek v4 flash", "gpu": "a100"}, {"gpu": "any"}),
        ({"model": "gemma 3 4b", "gpu": "t4", "precision": "fp16"}, {"precision": "fp32"}),
    ],
)
def test_what_does_not_run_is_followed_by_what_does_and_not_by_the_same_again(
    tool: str, refused: dict[str, str], helps: dict[str, str]
) -> None:
    asking = {**refused, **({"preset": "starter"} if tool == "run_preset" else {})}
    steps = TOOLS_BY_NAME[tool].ask(asking).next_steps
    assert steps
    assert any(step.arguments | helps == step.arguments for step in steps)
    same = {name: value for name, value in refused.items() if name != "model"}
    for step in steps:
        assert step.tool == "compare_quantization" or {name: step.arguments.get(name) for name in same} != same


def test_the_versions_are_those_of_vllm_alone() -> None:
    """GLM 5.3 Flash comes with vLLM 0.30; of SGLang no version is known that lacks it."""
    assert (asked("zai-org/GLM-5.3-Flash", engine="sglang").launch or "").startswith("python -m sglang.launch_server ")


def test_a_model_that_the_usual_version_lacks_is_planned_for_the_first_that_has_it() -> None:
    answer = asked("tencent/Hy4-preview")
    assert "vLLM 0.29 (" in answer.summary
    (version,) = (one for one in answer.assumptions if one.name == "engine_version")
    assert (version.value, version.why) == ("0.29", "the first that has a class for this model")
    (usual,) = (one for one in asked("moonshotai/Kimi-K3").assumptions if one.name == "engine_version")
    assert usual.value == "0.28"


def test_what_other_engines_have_does_not_follow_from_vllm() -> None:
    assert asked("moonshotai/Kimi-K3", engine="sglang").launch
    assert asked("google/gemma-4-31B-it", engine="llama.cpp", precision="q4_k_m").launch


def test_a_build_and_a_checkpoint_like_another_are_as_new() -> None:
    for model in ("nvidia/Kimi-K2.5-NVFP4", "zai-org/GLM-5-FP8"):
        assert "has no class for it" in asked(model, overrides="engine_version=0.14").summary


def test_a_config_of_a_type_that_the_default_version_lacks_is_planned_in_the_first_that_has_it() -> None:
    """As its catalogued model is: of 0.28 on, by which types are told apart."""
    newer = {slug: MODELS[id_].vllm_since for slug, id_ in FOUND.items() if MODELS[id_].vllm_since > DEFAULT}
    assert len(newer) >= 4
    assert {slug: read(slug).vllm_since for slug in newer} == newer
    for slug, since in newer.items():
        usual = asked(text_of(slug), gpu="h200", total_gpus=8)
        assert next(one.value for one in usual.assumptions if one.name == "engine_version") == f"0.{since}"
        older = asked(text_of(slug), gpu="h200", total_gpus=8, overrides=f"engine_version=0.{DEFAULT}")
        assert "vLLM 0.28 has no class for it" in older.summary
        assert older.launch is None


@pytest.mark.parametrize("tool", ["plan_parallelism", "compare_moe_dense", "compare_quantization", "run_preset"])
def test_every_tool_says_so_or_plans_nothing(tool: str) -> None:
    named = "moe_model" if tool == "compare_moe_dense" else "model"
    example = {**TOOLS_BY_NAME[tool].example, named: "minimax m3", "overrides": "engine_version=0.20"}
    answer = TOOLS_BY_NAME[tool].ask({key: value for key, value in example.items() if key != "precision"})
    text = json.dumps(answer.model_dump(mode="json"))
    assert "has no class for it" in text or "no legal deployment" in text
    assert "vllm serve MiniMaxAI" not in text


def test_every_version_is_one_that_can_be_asked_for() -> None:
    since = {id_: row.vllm_since for id_, row in model_rows().items() if row.vllm_since}
    assert len(since) > 40
    assert set(since.values()) <= set(range(6, NEWEST + 1))
    for id_ in since:
        assert "has no class" not in asked(id_).summary


def test_no_published_run_is_of_a_version_that_is_said_to_lack_the_model_but_of_an_image_of_googles() -> None:
    """It ran Gemma 4 on a 0.17.2rc1.dev133 that calls itself `pytorch-vllm-serve:gemma4`."""
    found = list(_published())
    assert len(found) > 200
    assert [run for run in found if run[2] < run[1]] == [("google/gemma-4-31B-it", 19, 17)]


def _published() -> Iterator[tuple[str, int, int]]:
    """Id, first version and version of each published run of vLLM that states one, of a catalogued model."""
    for row in published():
        stated = re.search(r"\b0\.(\d+)\.", row.get("engine_version", ""))
        if row["engine"] == "vLLM" and stated and (model := catalogued(row["model"])):
            yield model.id, model.vllm_since, int(stated[1])
    for name in ("", "_held_out", "_found", "_measured", "_compressed"):
        for case in json.loads((DATA / f"memory_cases{name}.json").read_text(encoding="utf-8"))["cases"]:
            setup = Setup(MemoryCase.model_validate(case))
            with suppress(CannotPredict):
                if setup.engine_name == "vllm" and (model := MODELS.get(setup.case.model)):
                    yield model.id, model.vllm_since, setup.version
