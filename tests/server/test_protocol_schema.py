"""What goes over the wire is what the protocol's own JSON schemas say, in every revision that is served."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError

from data_files import DATA
from inferplan.tools.registry import TOOLS

VERSIONS = tuple(path.stem for path in sorted((DATA / "protocol").glob("*.json")))
COMPLETED = {
    "ref": {"type": "ref/resource", "uri": "inferplan://gpus/{+name}"},
    "argument": {"name": "name", "value": "h"},
}
ANSWERED: list[tuple[str, str, dict[str, Any]]] = [
    ("ListToolsResult", "tools/list", {}),
    ("ListPromptsResult", "prompts/list", {}),
    ("ListResourcesResult", "resources/list", {}),
    ("ListResourceTemplatesResult", "resources/templates/list", {}),
    ("GetPromptResult", "prompts/get", {"name": "size_memory", "arguments": {"model": "70B"}}),
    ("ReadResourceResult", "resources/read", {"uri": "inferplan://gpus"}),
    ("ReadResourceResult", "resources/read", {"uri": "inferplan://gpus/h100-sxm"}),
    ("ReadResourceResult", "resources/read", {"uri": "inferplan://workflow"}),
    ("CompleteResult", "completion/complete", COMPLETED),
    ("CallToolResult", "tools/call", {"name": "estimate_vram", "arguments": {"model": "no such model"}}),
    ("CallToolResult", "tools/call", {"name": "run_preset", "arguments": {"presett": "production"}}),
    *(("CallToolResult", "tools/call", {"name": tool.name, "arguments": dict(tool.example)}) for tool in TOOLS),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("tools/call", {"name": "estimate_vrm", "arguments": {}}),
    ("tools/call", {"name": "estimate_vram", "arguments": []}),
    ("prompts/get", {"name": "size_memory"}),
    ("resources/read", {"uri": "inferplan://gpus/h10"}),
    ("completion/complete", COMPLETED | {"ref": {"type": "ref/prompt", "name": "none"}}),
    ("no/such/method", {}),
]


@cache
def schema(version: str) -> dict[str, Any]:
    return json.loads((DATA / "protocol" / f"{version}.json").read_text(encoding="utf-8"))


def check(version: str, name: str, value: object) -> None:
    """Hold a value against one definition of a revision."""
    whole = schema(version)
    where = "$defs" if "$defs" in whole else "definitions"
    validator = Draft202012Validator if where == "$defs" else Draft7Validator
    validator(whole | {"$ref": f"#/{where}/{name}"}).validate(value)


def test_a_schema_of_every_revision_that_is_served_is_here():
    assert VERSIONS == ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kind_of_answer_is_valid_in_its_revision(connect: Callable[..., Any], version: str):
    wire = connect(version)
    stateless = "supportedVersions" in wire.greeting
    check(version, "DiscoverResult" if stateless else "InitializeResult", wire.greeting)
    for name, method, params in ANSWERED:
        reply = wire.ask(method, **params)
        check(version, name, reply["result"])
        check(version, "JSONRPCResponse", reply)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kind_of_error_is_valid_in_its_revision(connect: Callable[..., Any], version: str):
    wire = connect(version)
    name = "JSONRPCErrorResponse" if "$defs" in schema(version) else "JSONRPCError"
    for method, params in REFUSED:
        reply = wire.ask(method, **params)
        assert "result" not in reply
        check(version, name, reply)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_of_a_revision_refuses_what_is_no_result(version: str):
    with pytest.raises(ValidationError):
        check(version, "CallToolResult", {"content": "text"})
    with pytest.raises(ValidationError):
        check(version, "ListToolsResult", {"tools": [{"title": "no name"}]})
