"""The published schemas: flat, slim, within their budget, and as the snapshots have them."""

from typing import Any

from pydantic import BaseModel, Field

from inferplan.server.schema import answer_schema, arguments_schema, as_published
from inferplan.tools._tool import Answer, Question, Tool


class Nested(BaseModel):
    title: str = Field(description="A field that is called title.")


class NestedQuestion(Question):
    """A docstring that no client needs."""

    nested: Nested = Field(description="Said here.")
    several: list[Nested] = Field(default_factory=list[Nested], description="Some.")


def test_arguments_are_published_flat_closed_and_plain(toy: Tool[Any, Any]):
    assert arguments_schema(toy.question) == {
        "type": "object",
        "properties": {
            "model": {"type": "string", "description": 'Model, such as "70B".', "minLength": 1, "maxLength": 80},
            "users": {
                "type": "integer",
                "description": "Sessions at once.",
                "default": 1,
                "minimum": 1,
                "maximum": 1000,
            },
            "share": {
                "type": "number",
                "description": "Share of the memory.",
                "exclusiveMinimum": 0,
                "maximum": 1,
            },
            "level": {
                "type": "string",
                "description": "How much to say.",
                "default": "low",
                "enum": ["low", "high"],
            },
            "compliance": {"type": "boolean", "description": "Whether rules apply.", "default": False},
            "overrides": {
                "type": "string",
                "description": "name=value, …",
                "maxLength": 2000,
            },
        },
        "required": ["model"],
        "additionalProperties": False,
    }


def test_a_client_is_not_told_the_limits_that_only_stop_nonsense(toy: Tool[Any, Any]):
    fields = as_published(arguments_schema(toy.question))["properties"]
    assert fields["users"]["maximum"] == 1000
    assert not {"minLength", "maxLength"} & set(fields["model"])
    nonsense = {"properties": {"n": {"type": "integer", "minimum": 1, "maximum": 1_000_000_000}}}
    assert as_published(nonsense) == {"properties": {"n": {"type": "integer"}}}


def test_what_every_tool_takes_comes_last(toy: Tool[Any, Any]):
    assert list(arguments_schema(toy.question)["properties"])[-1] == "overrides"


def test_references_are_put_in_and_a_field_called_title_stays():
    schema = arguments_schema(NestedQuestion)
    nested = schema["properties"]["nested"]
    assert "$defs" not in schema
    assert "description" not in schema
    assert nested["description"] == "Said here."
    assert nested["properties"] == {"title": {"type": "string", "description": "A field that is called title."}}
    assert schema["properties"]["several"]["items"]["properties"] == nested["properties"]


def test_an_answer_may_hold_null_and_has_every_field(toy: Tool[Any, Any]):
    schema = answer_schema(toy.answer)
    assert schema["properties"]["best"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert set(schema["required"]) == set(toy.answer.model_fields)
    assert set(Answer.model_fields) < set(schema["properties"])
