"""A checkpoint that is released in fewer than 16 bits is planned as released, unless the caller names a format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent

from inferplan.server.app import create_server
from inferplan.tools.registry import TOOLS_BY_NAME
from results import texts

SERVER = create_server()
CONFIGS = Path(__file__).parents[1] / "data" / "configs"
PLANNERS = ("estimate_vram", "plan_parallelism", "compare_costs", "run_preset")

each_planner = pytest.mark.parametrize("tool", PLANNERS)


async def _ask(tool: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    async with Client(SERVER) as client:
        result = await client.call_tool(tool, dict(arguments))
    assert result.structured_content, texts(result)
    return result.structured_content, texts(result)


def ask(tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """An answer in both forms; `total_gpus` of an example is left out."""
    example = {
        name: value for name, value in TOOLS_BY_NAME[tool].example.items() if name in ("preset", "requests_per_day")
    }
    return anyio.run(_ask, tool, {**example, **arguments})


@each_planner
@pytest.mark.parametrize(
    ("model", "released", "title"),
    [("gpt-oss-120b", "mxfp4", "MXFP4"), ("deepseek-v3", "fp8", "FP8"), ("kimi-k2-thinking", "int4", "INT4")],
)
def test_a_narrow_release_is_planned_as_released_and_says_so(tool: str, model: str, released: str, title: str) -> None:
    structured, text = ask(tool, model=model, gpu="h200")
    assert structured["inputs"]["precision"] == released
    assert f" in {title} " in structured["summary"]
    assert f"precision = {title} (as released)" in text


@each_planner
def test_the_description_of_a_model_is_planned_as_its_checkpoint_is(tool: str) -> None:
    structured, _ = ask(tool, model=(CONFIGS / "gpt-oss-20b.json").read_text("utf-8"))
    assert structured["inputs"]["precision"] == "mxfp4"


@each_planner
def test_a_format_that_the_caller_names_is_the_one_planned(tool: str) -> None:
    structured, text = ask(tool, model="deepseek-v3", precision="int4", gpu="h200")
    assert structured["inputs"]["precision"] == "int4"
    assert "as released" not in text


@pytest.mark.parametrize(
    ("tool", "otherwise"), [*zip(PLANNERS, ("fp16", "fp16", "fp8", "fp8"), strict=True)], ids=lambda value: value
)
@pytest.mark.parametrize("model", ["llama 3.1 8b", "70B"])
def test_a_release_in_16_bits_and_a_size_class_take_the_tools_own_format(tool: str, otherwise: str, model: str) -> None:
    structured, text = ask(tool, model=model)
    assert structured["inputs"]["precision"] == otherwise
    assert "as released" not in text


def test_gpt_oss_120b_fits_one_h100() -> None:
    """OpenAI: "fits into a single 80GB GPU", thanks to MXFP4."""
    structured, _ = ask("plan_parallelism", model="gpt-oss-120b", gpu="h100")
    assert (structured["tp"], structured["gpus_used"]) == (1, 1)
    assert structured["fits"]


def test_a_wrong_model_is_one_problem_though_the_format_follows_it() -> None:
    async def wrong() -> str:
        async with Client(SERVER) as client:
            return texts(await client.call_tool("compare_costs", {"model": "lama 9", "requests_per_day": 10}))

    said = anyio.run(wrong)
    assert said.startswith("`compare_costs`: 1 problem. `model`: no model")


@pytest.mark.parametrize(
    ("given", "precision"),
    [
        ({"model": "gpt-oss-120b"}, "mxfp4"),
        ({"model": "deepseek r1", "precision": " "}, "fp8"),
        ({"model": "gpt-oss-120b", "precision": "int4"}, "int4"),
        ({"model": "70B"}, "fp8"),
        ({"model": "a model of ours"}, "fp8"),
    ],
)
def test_a_prompt_starts_from_the_format_of_the_release_too(given: dict[str, str], precision: str) -> None:
    async def words() -> str:
        async with Client(SERVER) as client:
            (message,) = (await client.get_prompt("choose_parallelism", given)).messages
        return message.content.text if isinstance(message.content, TextContent) else ""

    assert f'precision="{precision}"' in anyio.run(words)
