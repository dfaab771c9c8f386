"""Prompts, resources and completions asked for in every wrong way: an answer or an error of the protocol."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from questions import HOSTILE, ODD

GPUS = "inferplan://gpus/{+name}"
Ask = Callable[[Any], tuple[str, dict[str, Any]]]
WRONG: dict[str, Ask] = {
    "a prompt of that name": lambda value: ("prompts/get", {"name": value}),
    "arguments of a prompt": lambda value: ("prompts/get", {"name": "size_memory", "arguments": value}),
    "the model of a prompt": lambda value: ("prompts/get", {"name": "size_memory", "arguments": {"model": value}}),
    "a resource of that address": lambda value: ("resources/read", {"uri": value}),
    "a GPU of that name": lambda value: ("resources/read", {"uri": f"inferplan://gpus/{value}"}),
    "a term of that name": lambda value: ("resources/read", {"uri": f"inferplan://glossary/{value}"}),
    "a completion of what": lambda value: (
        "completion/complete",
        {"ref": value, "argument": {"name": "model", "value": "7"}},
    ),
    "a completion of the text": lambda value: (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": GPUS}, "argument": {"name": "name", "value": value}},
    ),
    "a completion of the argument": lambda value: (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "size_memory"}, "argument": {"name": value, "value": "7"}},
    ),
    "a tool of that name": lambda value: ("tools/call", {"name": value, "arguments": {}}),
    "a page of tools": lambda value: ("tools/list", {"cursor": value}),
}
ALLOWED = {-32602, -32700}
"""Invalid params; and for half a character, which is no JSON to a strict parser, a parse error."""


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_whatever_is_asked_for_there_is_an_answer_or_an_error_and_the_server_lives(
    connect: Callable[..., Any], version: str
):
    wire = connect(version)
    for ask in WRONG.values():
        for value in (*HOSTILE, *ODD):
            method, params = ask(value)
            reply = wire.ask(method, **params)
            error = reply.get("error", {"code": -32602, "message": "none"})
            assert error["code"] in ALLOWED, (method, params, error)
            assert error["message"].isprintable(), (method, params, error)
            assert not {"Traceback", "pydantic"} & set(error["message"].split()), (method, params, error)
            json.dumps(reply, allow_nan=False)
    assert wire.result("tools/list")["tools"]
    rest, errors = wire.process.communicate()
    assert (rest, errors, wire.process.returncode) == ("", "", 0)
