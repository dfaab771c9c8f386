"""The published listings of the tools, generated beside the code, so that listing the tools imports none of them.

`tools.json` is generated: INFERPLAN_UPDATE_GOLDEN=1 rewrites it, and a test holds it to what the tools say.
"""

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferplan.tools._tool import Tool

FILE = files("inferplan.server").joinpath("tools.json")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One tool as it is published: `arguments` and `answer` are JSON schemas."""

    name: str
    title: str
    description: str
    arguments: dict[str, Any]
    answer: dict[str, Any]


def listing(tool: "Tool[Any, Any]") -> Listing:
    """The listing of a tool, as it is published."""
    from inferplan.server.schema import answer_schema, arguments_schema, as_published  # noqa: PLC0415 - see the module

    return Listing(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        arguments=as_published(arguments_schema(tool.question)),
        answer=answer_schema(tool.answer),
    )


def written() -> list[Listing]:
    """The listings of the tools, from the generated file."""
    return [Listing(**row) for row in json.loads(FILE.read_text(encoding="utf-8"))]


def to_json(listings: list[Listing]) -> str:
    """The listings as the file has them."""
    return json.dumps([asdict(row) for row in listings], indent=1, ensure_ascii=False) + "\n"
