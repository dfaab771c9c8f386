"""The listing of every tool is one that every host reads, and the lint that says so finds each fault."""

from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client

from inferplan.server.app import create_server
from portable_schema import problems

pytestmark = pytest.mark.anyio
MOST_TOOLS = 40
"""Tools of all servers together that one host shows to its model."""


async def rows(client: Client) -> list[dict[str, Any]]:
    listed = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]


async def test_every_tool_is_listed_as_every_host_reads_it(client: Client):
    listed = await rows(client)
    assert {tool["name"]: problems(tool, server="inferplan") for tool in listed} == {t["name"]: [] for t in listed}
    assert len(listed) <= MOST_TOOLS // 4


async def test_both_schemas_of_every_tool_are_json_schemas(client: Client):
    for tool in await rows(client):
        Draft202012Validator.check_schema(tool["inputSchema"])
        Draft202012Validator.check_schema(tool["outputSchema"])


async def test_every_example_is_allowed_by_the_schema_that_is_published(client: Client):
    from inferplan.tools.registry import TOOLS

    schemas = {tool["name"]: tool["inputSchema"] for tool in await rows(client)}
    for tool in TOOLS:
        Draft202012Validator(schemas[tool.name]).validate(dict(tool.example))


async def test_lists_come_in_the_same_order_from_every_server(client: Client):
    async with Client(create_server()) as other:
        assert await rows(client) == await rows(other)
        assert (await client.list_prompts()).prompts == (await other.list_prompts()).prompts
        assert (await client.list_resources()).resources == (await other.list_resources()).resources


@pytest.mark.parametrize(
    ("where", "what", "found"),
    [
        ("inputSchema", {"anyOf": [{"required": ["model"]}]}, "combinators at the root"),
        ("inputSchema", {"$schema": "https://json-schema.org/draft/2020-12/schema"}, "pointers ['$schema']"),
        ("inputSchema", {"additionalProperties": True}, "arguments are open"),
        ("inputSchema", {"type": "array", "items": {}}, "root is no object"),
        ("outputSchema", {"oneOf": [{}]}, "answer: combinators at the root"),
        ("outputSchema", {"properties": {"a": {"$ref": "#/$defs/A"}}}, "answer: pointers ['$ref']"),
        ("outputSchema", {"properties": {"a": {"type": ["string", "null"]}}}, "answer: a list of types"),
        ("outputSchema", {"properties": {"a": {"type": "array"}}}, "answer: an array without items"),
        ("field", {"type": ["integer", "null"]}, "a: type ['integer', 'null']"),
        ("field", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "a: combinators"),
        ("field", {"type": "integer", "default": None, "description": "x"}, "a: default null"),
        ("field", {"type": "integer"}, "a: not described"),
        ("field", {"type": "integer", "enum": [4, 8], "description": "x"}, "an enum of something else than strings"),
        ("field", {"enum": ["a"], "description": "x"}, "an enum of something else than strings"),
        ("row", {"name": "Weigh.it"}, "name 'Weigh.it'"),
        ("row", {"name": "a" * 40}, f"name '{'a' * 40}'"),
        ("row", {"description": "Weighs."}, "description too short"),
        ("row", {"title": "weigh"}, "no title of its own"),
        ("row", {"annotations": {"readOnlyHint": True}}, "annotations without"),
    ],
)
async def test_a_listing_that_breaks_a_host_is_found(toy_client: Client, where: str, what: dict[str, Any], found: str):
    (tool,) = await rows(toy_client)
    assert problems(tool, server="inferplan") == []
    broken = deepcopy(tool)
    if where == "field":
        broken["inputSchema"]["properties"]["a"] = what
    else:
        broken = broken | what if where == "row" else broken | {where: broken[where] | what}
    assert any(fault.startswith(found) for fault in problems(broken, server="inferplan"))
