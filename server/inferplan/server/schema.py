"""JSON schemas that every host can read: no references, no titles, no null arms among the arguments."""

from collections.abc import Mapping
from typing import Any, cast

from inferplan.tools._tool import Answer, Question

Schema = dict[str, Any]

_SUBSCHEMAS = ("items", "additionalProperties", "not")
_SUBSCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_NULL: Schema = {"type": "null"}
GUARD = 100_000
"""A maximum from here on only stops nonsense, and is left out of published schemas."""
_FIRST = ("type", "description", "properties", "required")


def arguments_schema(question: type[Question]) -> Schema:
    """What a tool takes, flat and closed: its own arguments, then those that every tool takes.

    An argument that may be left out is a plain one that is not required.
    """
    schema = question.model_json_schema(mode="validation")
    slim = _undescribed(_slim(schema, schema.get("$defs", {}), nullable=False))
    fields: Schema = slim["properties"]
    shared = [name for name in fields if name in Question.model_fields]
    slim["properties"] = {name: fields[name] for name in sorted(fields, key=shared.__contains__)}
    return slim


def as_published(arguments: Schema) -> Schema:
    """The schema of arguments as clients get it: without the limits that only stop nonsense.

    They are enforced all the same, and an error names them.
    """
    fields: dict[str, Schema] = arguments["properties"]
    return arguments | {"properties": {name: _without_guards(field) for name, field in fields.items()}}


def _without_guards(field: Schema) -> Schema:
    """A field without limits of length, without "above 0", and without a maximum that only stops nonsense."""
    guards = {"minLength", "maxLength"}
    guards |= {"maximum"} if field.get("maximum", 0) >= GUARD else set()
    guards |= {"minimum"} if field.get("minimum") == 1 else set()
    guards |= {"exclusiveMinimum"} if field.get("exclusiveMinimum") == 0 else set()
    return {key: value for key, value in field.items() if key not in guards}


def answer_schema(answer: type[Answer]) -> Schema:
    """What a tool's structured content holds, as it is on the wire."""
    schema = answer.model_json_schema(mode="serialization")
    return _undescribed(_slim(schema, schema.get("$defs", {}), nullable=True))


def _undescribed(root: Schema) -> Schema:
    """The root without the docstring of the class."""
    return {key: value for key, value in root.items() if key != "description"}


def _slim(node: Schema, definitions: Mapping[str, Schema], *, nullable: bool) -> Schema:
    """One schema with its references put in and its noise left out."""
    node = _resolved(node, definitions)
    if not nullable:
        node = _without_null(node, definitions)
    slim: Schema = {}
    for key, value in node.items():
        if key in {"title", "$defs"} or (key == "default" and value in (None, "")):
            continue
        if key == "properties":
            fields = cast("dict[str, Schema]", value)
            slim[key] = {name: _slim(field, definitions, nullable=nullable) for name, field in fields.items()}
        elif key in _SUBSCHEMA_LISTS:
            slim[key] = [_slim(arm, definitions, nullable=nullable) for arm in value]
        elif key in _SUBSCHEMAS and isinstance(value, dict):
            slim[key] = _slim(cast("Schema", value), definitions, nullable=nullable)
        else:
            slim[key] = value
    return {key: slim[key] for key in sorted(slim, key=_rank)}


def _rank(key: str) -> int:
    """The order of keywords: type, then meaning, then limits."""
    return _FIRST.index(key) if key in _FIRST else len(_FIRST)


def _resolved(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The schema that a local reference names; keywords beside the reference override it."""
    if "$ref" not in node:
        return node
    target = definitions[node["$ref"].removeprefix("#/$defs/")]
    return _resolved(target | {key: value for key, value in node.items() if key != "$ref"}, definitions)


def _without_null(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """`anyOf [x, null]` as x."""
    arms = [arm for arm in node.get("anyOf", ()) if arm != _NULL]
    if len(arms) != 1:
        return node
    return _resolved(arms[0], definitions) | {key: value for key, value in node.items() if key != "anyOf"}
