"""Rules for the listing of a tool, each because a host or a model's API refuses anything else, with messages.

Roots with combinators are refused by several APIs with the whole request; references by Gemini, Kimi and VS Code;
enums of numbers and enums without a type by Gemini; null defaults are sent back as "null"; a `$schema` is refused by
one validator or another; dots and long names by connectors.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

COMBINATORS = {"anyOf", "oneOf", "allOf", "not", "if", "then", "else"}
POINTERS = {"$ref", "$defs", "definitions", "$schema", "$id", "$anchor", "$dynamicRef"}
NESTED = {"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"}
LISTED = {"anyOf", "oneOf", "allOf", "prefixItems"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
LONGEST_PREFIXED_NAME = 64
"""Characters of `mcp__plugin_<server>_<server>__<tool>`."""
DESCRIPTION = range(40, 2049)
"""Characters of a description that say something and are not cut off."""


def problems(tool: Schema, *, server: str) -> list[str]:
    """Every fault of one row of tools/list, as the wire has it."""
    return [*_of_the_row(tool, server), *_of_the_arguments(tool["inputSchema"]), *_of_the_answer(tool["outputSchema"])]


def _of_the_row(tool: Schema, server: str) -> Iterator[str]:
    name = tool["name"]
    if not NAME.fullmatch(name) or len(f"mcp__plugin_{server}_{server}__{name}") > LONGEST_PREFIXED_NAME:
        yield f"name {name!r}"
    if len(tool.get("description", "")) not in DESCRIPTION:
        yield "description too short or too long"
    if tool.get("title", name) == name:
        yield "no title of its own"
    hints = tool.get("annotations", {})
    missing = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} - hints.keys()
    if missing:
        yield f"annotations without {sorted(missing)}"


def _of_the_arguments(schema: Schema) -> Iterator[str]:
    yield from _of_a_root(schema)
    if schema.get("additionalProperties") is not False:
        yield "arguments are open"
    for name, field in schema.get("properties", {}).items():
        yield from (f"{name}: {fault}" for fault in _of_a_field(name, field))
    for part in _parts(schema):
        yield from _of_a_part(part)


def _of_a_field(name: str, field: Schema) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield "name"
    if not field.get("description"):
        yield "not described"
    if COMBINATORS & field.keys():
        yield "combinators"
    if "default" in field and field["default"] is None:
        yield "default null"
    if field.get("type") not in ("string", "integer", "number", "boolean"):
        yield f"type {field.get('type')}"


def _of_the_answer(schema: Schema) -> Iterator[str]:
    yield from (f"answer: {fault}" for fault in _of_a_root(schema))
    for part in _parts(schema):
        yield from (f"answer: {fault}" for fault in _of_a_part(part))


def _of_a_root(schema: Schema) -> Iterator[str]:
    if schema.get("type") != "object":
        yield "root is no object"
    if COMBINATORS & schema.keys():
        yield "combinators at the root"


def _of_a_part(part: Schema) -> Iterator[str]:
    if POINTERS & part.keys():
        yield f"pointers {sorted(POINTERS & part.keys())}"
    if isinstance(part.get("type"), list):
        yield "a list of types"
    if "enum" in part and (part.get("type") != "string" or not all(isinstance(one, str) for one in part["enum"])):
        yield "an enum of something else than strings, or without a type"
    if part.get("type") == "array" and not isinstance(part.get("items"), dict):
        yield "an array without items"
    if "title" in part:
        yield "a title that repeats the name"


def _parts(schema: Any) -> Iterator[Schema]:
    """Every schema inside a schema, itself first; `true` and `false` are none."""
    if not isinstance(schema, dict):
        return
    yield schema
    for field in schema.get("properties", {}).values():
        yield from _parts(field)
    for key in NESTED & schema.keys():
        yield from _parts(schema[key])
    for key in LISTED & schema.keys():
        for arm in schema[key]:
            yield from _parts(arm)
