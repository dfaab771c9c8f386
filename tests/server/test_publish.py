"""The tools as the SDK publishes them: listed, called, refused."""

import json
import logging
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, TextContent

from inferplan.server.answer import ADDED_BY_HOSTS

pytestmark = pytest.mark.anyio


def only_text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def test_a_call_is_answered_in_both_kinds_of_content(toy_client: Client):
    result = await toy_client.call_tool("weigh", {"model": "70B", "users": 2})
    assert result.structured_content is not None
    assert not result.is_error
    assert result.structured_content["total_gb"] == 5.0
    assert list(result.structured_content)[:2] == ["summary", "diagram"]
    assert only_text(result).startswith("70B for 2 users takes 5.0 GB.")


async def test_the_structured_answer_is_what_the_published_schema_says(toy_client: Client):
    (tool,) = (await toy_client.list_tools()).tools
    result = await toy_client.call_tool("weigh", {"model": "70B"})
    Draft202012Validator(tool.output_schema or {}).validate(result.structured_content)


async def test_a_tool_is_published_as_a_calculator(toy_client: Client):
    (tool,) = (await toy_client.list_tools()).tools
    assert (tool.name, tool.title) == ("weigh", "Weigh a model")
    assert tool.annotations is not None
    assert tool.annotations.model_dump(exclude_none=True) == {
        "read_only_hint": True,
        "destructive_hint": False,
        "idempotent_hint": True,
        "open_world_hint": False,
    }


async def test_wrong_arguments_are_an_error_in_one_text_and_nothing_else(toy_client: Client):
    result = await toy_client.call_tool("weigh", {"modl": "70B"})
    assert result.is_error
    assert result.structured_content is None
    assert only_text(result).startswith("`weigh`: 2 problems.")


async def test_a_dropped_argument_never_yields_a_number(toy_client: Client):
    result = await toy_client.call_tool("weigh", {"model": "70B", "tensor_parallel": 8})
    assert result.is_error


async def test_a_number_may_come_as_a_string_and_null_as_not_given(toy_client: Client):
    result = await toy_client.call_tool("weigh", {"model": "70B", "users": "4", "share": None, "level": None})
    assert result.structured_content is not None
    assert result.structured_content["total_gb"] == 10.0


@pytest.mark.parametrize("key", sorted(ADDED_BY_HOSTS))
async def test_a_key_that_a_host_adds_to_every_call_does_no_harm(toy_client: Client, key: str):
    assert not (await toy_client.call_tool("weigh", {"model": "70B", key: "whatever"})).is_error
    assert (await toy_client.call_tool("weigh", {"model": "70B", f"{key}x": "whatever"})).is_error


async def test_a_crash_is_owned_and_its_details_stay_in_the_log(toy_client: Client, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.ERROR):
        result = await toy_client.call_tool("weigh", {"model": "70B", "users": 13})
    text = only_text(result)
    assert result.is_error
    assert result.structured_content is None
    assert "bug in inferplan" in text
    assert "secret" not in text
    assert "the secret of the thirteenth user" in caplog.text
    assert "Traceback" in caplog.text


async def test_an_unknown_tool_is_a_protocol_error_with_the_nearest_name(toy_client: Client):
    with pytest.raises(MCPError, match="nearest: `weigh`") as refused:
        await toy_client.call_tool("wiegh", {})
    assert refused.value.code == INVALID_PARAMS


async def test_a_tool_name_like_no_other_is_told_all_there_are(toy_client: Client):
    with pytest.raises(MCPError, match="there are `weigh`"):
        await toy_client.call_tool("qqq", {})


async def test_the_same_question_twice_gives_the_same_bytes(toy_client: Client):
    first, second = [await toy_client.call_tool("weigh", {"model": "70B"}) for _ in range(2)]
    assert first.model_dump_json() == second.model_dump_json()


async def test_what_is_cacheable_says_for_how_long(toy_server: Any):
    async with Client(toy_server, mode="auto", cache=None) as client:
        for listed in (
            await client.list_tools(),
            await client.list_prompts(),
            await client.list_resources(),
            await client.list_resource_templates(),
            await client.read_resource("inferplan://workflow"),
        ):
            assert (listed.ttl_ms, listed.cache_scope) == (3_600_000, "public")


async def test_the_server_says_who_it_is_and_what_it_can(toy_client: Client):
    info = toy_client.server_info
    assert info is not None
    assert (info.name, bool(info.version), bool(info.title)) == ("inferplan", True, True)
    capabilities = toy_client.server_capabilities.model_dump(exclude_none=True)
    assert {"tools", "prompts", "resources", "completions"} <= set(capabilities)
    assert not any(value for kind in capabilities.values() for value in kind.values())


async def test_the_instructions_fit_and_say_first_what_matters(toy_client: Client):
    instructions = toy_client.instructions or ""
    assert 0 < len(instructions) < 2048
    head = instructions[:300]
    for fact in ("LLM serving", "run_preset(", "GiB", "overrides="):
        assert fact in head
    assert json.dumps(instructions).isascii()
