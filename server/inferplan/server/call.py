"""`inferplan call`: one question from a shell, answered with what a model gets, in the time that the answer takes.

Needs no SDK, and to list the tools and say what they take none of the tools either.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from inferplan.server.listing import Listing, written
from inferplan.server.output import say
from inferplan.server.words import allowed, code, nearest, quoted
from inferplan.tools._numbers import POINTED

CANNOT_ANSWER = 2
"""The exit code for a question that cannot be answered as asked."""

_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?")


def call(words: Sequence[str], *, as_json: bool, usage: bool) -> int:
    """Ask `TOOL name=value ...` and print the answer, or how to ask; the exit code."""
    tools = {tool.name: tool for tool in written()}
    if not words:
        return say(_overview(tools))
    name, *given = words
    if name not in tools:
        near = nearest(name, tools)
        return _fail(f"no tool {quoted(name)}; " + (f"nearest: {', '.join(near)}" if near else _known(tools)))
    if usage:
        return say(_usage(tools[name]))
    loose = [word for word in given if "=" not in word]
    if loose:
        return _fail(f"{quoted(loose[0])} is not of the form name=value; see `inferplan call {name} --help`")
    return _ask(tools[name], given, as_json=as_json)


def _ask(tool: Listing, given: Sequence[str], *, as_json: bool) -> int:
    """Print the tool's answer to these arguments; the exit code."""
    from inferplan.server.answer import answer, reach  # noqa: PLC0415 - listing tools needs none of them
    from inferplan.tools.registry import TOOLS_BY_NAME  # noqa: PLC0415 - same

    pairs = [word.split("=", 1) for word in given]
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return _fail(f"{code(twice)} is given more than once; give it one value")
    schema = tool.arguments["properties"]
    arguments = {name: value_of(value, schema.get(name, {})) for name, value in pairs}
    answered = answer(lambda: TOOLS_BY_NAME[tool.name], tool.name, arguments, reach(arguments))
    if answered.structured is None:
        return _fail(answered.text)
    return say(json.dumps(answered.structured, separators=(",", ":")) if as_json else answered.text)


def value_of(text: str, schema: Mapping[str, Any]) -> str | int | float | bool:
    """A word of the command line as JSON: a plain number or true/false, unless the argument is a text.

    What may have its thousands parted by points is left to the tool, which says so, and so is a number that JSON cannot
    write: it would be null, an argument that was not given.

    >>> value_of("200", {"type": "integer"}), value_of("70", {"type": "string"}), value_of("true", {})
    (200, '70', True)
    """
    if schema.get("type") == "string":
        return text
    if text in {"true", "false"}:
        return text == "true"
    if _NUMBER.fullmatch(text) and not POINTED.fullmatch(text) and isfinite(float(text)):
        return float(text) if set(text) & set(".eE") else int(text)
    return text


def _overview(tools: Mapping[str, Listing]) -> str:
    """The tools, a line each."""
    width = max(map(len, tools), default=0)
    lines = [f"  {name.ljust(width)}  {tool.title}" for name, tool in tools.items()]
    return "\n".join(["Tools (inferplan call TOOL --help says what each takes):", *lines])


def _usage(tool: Listing) -> str:
    """What a tool does and takes."""
    required = set(tool.arguments.get("required", ()))
    lines = [f"inferplan call {tool.name} name=value ...", "", tool.description, "", "Arguments"]
    for name, schema in tool.arguments["properties"].items():
        default = "required" if name in required else f"default {schema['default']}" if "default" in schema else ""
        notes = ", ".join(filter(None, (allowed(schema).replace("text in quotes", "text"), default)))
        lines += [f"  {name}  ({notes})", f"      {schema.get('description', '')}"]
    return "\n".join(lines)


def _known(tools: Mapping[str, Listing]) -> str:
    return f"there are {', '.join(tools)}"


def _fail(text: str) -> int:
    sys.stderr.write(text + "\n")
    return CANNOT_ANSWER
