"""The serving engine through a real client: as an override, as an argument in the wrong place, on to the next call."""

from typing import Any

import pytest
from mcp import Client

from inferplan.server.app import create_server
from inferplan.tools._settings import tools_taking

pytestmark = pytest.mark.anyio

TAKERS = tools_taking("engine")
ASKED: dict[str, dict[str, Any]] = {
    "compare_quantization": {"model": "70B"},
    "plan_parallelism": {"model": "70B", "precision": "fp8", "total_gpus": 4},
    "compare_costs": {"model": "70B", "requests_per_day": 1000},
    "compare_moe_dense": {},
    "run_preset": {"preset": "team"},
}


async def call(tool: str, **arguments: Any) -> Any:
    async with Client(create_server()) as client:
        return await client.call_tool(tool, arguments)


def text(result: Any) -> str:
    return result.content[0].text


def test_all_tools_but_the_one_that_takes_it_as_an_argument_take_the_engine_as_an_override() -> None:
    assert list(ASKED) == TAKERS


@pytest.mark.parametrize("tool", TAKERS)
async def test_an_override_is_answered_in_both_forms_of_the_content(tool: str) -> None:
    result = await call(tool, **ASKED[tool], overrides="engine=TRT-LLM")
    assert not result.is_error
    listed = {one["name"]: one["value"] for one in result.structured_content["assumptions"]}
    assert listed["engine"] == "tensorrt-llm"
    assert "engine = tensorrt-llm (you said so)" in text(result)
    assert "vLLM" not in text(result)


@pytest.mark.parametrize("tool", TAKERS)
async def test_an_argument_is_told_how_it_is_given_there(tool: str) -> None:
    result = await call(tool, **ASKED[tool], engine="sglang")
    assert result.is_error
    assert text(result) == (
        f'`{tool}`: 1 problem. `engine` is an assumption, not an argument; give it as overrides="engine=sglang".'
    )


async def test_an_engine_that_no_override_takes_is_told_the_tool_that_takes_it_alone() -> None:
    result = await call("plan_parallelism", **ASKED["plan_parallelism"], engine="llama.cpp")
    assert text(result) == (
        '`plan_parallelism`: 1 problem. "engine" does not take llama.cpp here: ask estimate_vram with engine llama.cpp.'
    )


async def test_the_override_of_estimate_vram_is_told_that_it_is_an_argument() -> None:
    result = await call("estimate_vram", model="70B", overrides="engine=sglang")
    assert result.is_error
    assert '"engine" is an argument, not an assumption; give it beside overrides' in text(result)


async def test_an_agent_that_follows_the_steps_stays_with_the_engine_down_to_the_bill() -> None:
    async with Client(create_server()) as client:
        asked = {"model": "70B", "precision": "fp8", "concurrent_users": 100, "engine": "sglang"}
        tool, followed = "estimate_vram", list[str]()
        while tool != "compare_costs":
            result = await client.call_tool(tool, asked)
            assert not result.is_error
            step = next(
                one
                for one in result.structured_content["next_steps"]
                if one["tool"] in ("plan_parallelism", "compare_costs")
            )
            tool, asked = step["tool"], step["arguments"]
            followed.append(tool)
            assert asked["overrides"] == "engine=sglang"
        bill = await client.call_tool(tool, asked)
    assert followed == ["plan_parallelism", "compare_costs"]
    assert "under SGLang 0.5 need" in bill.structured_content["summary"]
