"""A GPU that the caller describes, through a client: every tool plans on it, and every answer can be asked on."""

import json
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult

from inferplan.server.app import create_server
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from results import texts

SERVER = create_server()
L20 = '{"like":"l40s","title":"L20","memory_gib":48,"bandwidth_gb_s":864,"tflops":119.5,"power_watts":275}'
PRICED = {"overrides": "on_demand_usd_per_gpu_hour=0.8"}

every_tool = pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])


def call(name: str, **arguments: Any) -> CallToolResult:
    async def asked() -> CallToolResult:
        async with Client(SERVER) as client:
            return await client.call_tool(name, arguments)

    return anyio.run(asked)


def answer(name: str, **arguments: Any) -> dict[str, Any]:
    result = call(name, **arguments)
    assert not result.is_error, texts(result)
    return result.structured_content or {}


def example(name: str, **changed: Any) -> dict[str, Any]:
    return {**TOOLS_BY_NAME[name].example, **(PRICED if name == "compare_costs" else {}), **changed}


@every_tool
def test_every_tool_plans_on_a_described_gpu_and_names_it(tool: str) -> None:
    result = call(tool, **example(tool, gpu=L20))
    assert not result.is_error, texts(result)
    assert json.loads((result.structured_content or {})["inputs"]["gpu"])["title"] == "L20"
    said = texts(result)
    assert "L20" in said.partition("\n")[0]
    assert "gpu = described (what it does not say is that of L40S; no published run is on it)" in said


@every_tool
def test_the_calls_that_follow_are_on_the_same_gpu_and_answered(tool: str) -> None:
    steps = answer(tool, **example(tool, gpu=L20))["next_steps"]
    assert all(step["arguments"]["gpu"] == L20 for step in steps)
    for step in steps:
        arguments = step["arguments"] | (PRICED if step["tool"] == "compare_costs" else {})
        assert not (result := call(step["tool"], **arguments)).is_error, texts(result)


@every_tool
def test_a_description_may_be_the_object_that_it_is(tool: str) -> None:
    assert answer(tool, **example(tool, gpu=json.loads(L20))) == answer(tool, **example(tool, gpu=L20))
    result = call(tool, **example(tool, gpu={"like": "l40s", "memory": 48}))
    told = '"memory" is no key of a description; did you mean "memory_mib" or "memory_gib"?'
    assert texts(result) == f"`{tool}`: 1 problem. `gpu`: {told}"


def test_each_call_that_follows_describes_the_gpu() -> None:
    """A model's config stands in the first alone: it is long."""
    steps = answer("run_preset", **example("run_preset", gpu=L20), **PRICED)["next_steps"]
    assert [(step["tool"], step["arguments"]["gpu"]) for step in steps] == [
        ("plan_parallelism", L20),
        ("compare_costs", L20),
    ]


@every_tool
@pytest.mark.parametrize("like", ["h100-sxm", "a100-40gb-pcie", "gb200", "mi250x", "gaudi-3", "l4"])
def test_a_gpu_that_is_only_like_another_is_planned_as_that_one(tool: str, like: str) -> None:
    def figures(gpu: str) -> dict[str, Any]:
        found = answer(tool, **example(tool, gpu=gpu))
        numbers = (int, float, bool)
        return {name: value for name, value in found.items() if isinstance(value, numbers) and "mb" not in name}

    assert figures(json.dumps({"like": like})) == figures(like)


def test_an_h200_described_as_an_h100_with_its_memory_is_as_fast_as_the_h200() -> None:
    """143,771 MiB at 4,800 GB/s; all else is the H100's."""
    asked = {"model": "70B", "precision": "fp8", "total_gpus": 2, "concurrent_users": 32}
    own = answer("plan_parallelism", gpu='{"like":"h100","memory_mib":143771,"bandwidth_gb_s":4800}', **asked)
    known = answer("plan_parallelism", gpu="h200", **asked)
    for name in ("tp", "dp", "ttft_ms", "tpot_ms", "tokens_per_s"):
        assert own[name] == known[name]
    assert own["max_concurrent_users"] == pytest.approx(known["max_concurrent_users"], rel=0.02)


def test_twice_the_bandwidth_halves_what_reading_takes() -> None:
    asked = {"model": "70B", "precision": "fp8", "total_gpus": 2, "concurrent_users": 1}
    once, twice = (
        answer("plan_parallelism", gpu=f'{{"like":"h100","bandwidth_gb_s":{rate}}}', **asked)["formula"][-1]
        for rate in (2000, 4000)
    )

    def weights(line: str) -> float:
        return float(line.partition("weights ")[2].partition(" ")[0])

    assert weights(once) == pytest.approx(2 * weights(twice), rel=0.01)


def test_a_price_has_to_be_given() -> None:
    result = call("compare_costs", **TOOLS_BY_NAME["compare_costs"].example, gpu=L20)
    assert result.is_error
    assert "No price to rent or to buy L20 is known; give one" in texts(result)


def test_the_range_of_a_latency_is_that_of_other_gpus() -> None:
    asked = {"model": "70B", "precision": "fp8"}
    assert "on other GPUs" in texts(call("plan_parallelism", gpu='{"like":"h100"}', **asked))
    assert "on other GPUs" not in texts(call("plan_parallelism", gpu="h100", **asked))


@every_tool
def test_a_gpu_that_is_not_known_is_answered_with_how_to_describe_it(tool: str) -> None:
    result = call(tool, **example(tool, gpu="jetson thor"))
    assert result.is_error
    assert 'describe your own by one it is like, as gpu={"like": ' in texts(result)
