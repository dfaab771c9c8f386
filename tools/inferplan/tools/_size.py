"""How much a result takes of a model's context, without a tokenizer; and how a long one gives way."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter


class Room(NamedTuple):
    """How long a result may be: in pieces, and in characters of JSON up to which there is no need to count them."""

    pieces: int
    characters: int


ROOM = Room(pieces=1170, characters=3330)
"""1,200 tokens of o200k: in our answers a piece is 0.95 to 1.02 of them, and 2.8 characters and more are one."""
_ANYTHING = TypeAdapter[object](object)
PARAGRAPH = "\n\n"
_PIECE = re.compile(r"[^\r\n\w]?[A-Za-z]{1,8}+|\d{1,3}+| ?[^\s\w]{1,4}+|\s++|_", re.ASCII)
_DESCRIBED = re.compile(r'"\{(?:[^"\\]|\\.)*"')


def shortened(document: dict[str, Any], gives_way: Mapping[str, int], room: Room) -> dict[str, Any]:
    """The document without the last entries of lists and tables, in the order in which they give way, where it is long.

    The entries of a text are its paragraphs: of a diagram, pictures.

    >>> shortened({"a": [1, 2, 3], "b": {"x": 1, "y": 2}}, {"b": 1, "a": 2}, Room(10, 0))
    {'a': [1, 2], 'b': {'x': 1}}
    """
    text = _own(document)
    excess = pieces(text) - room.pieces if len(text) > room.characters else 0
    for name, kept in gives_way.items():
        while excess > 0 and _entries(document.get(name, ())) > kept:
            document[name], last = _parted(document[name])
            excess -= pieces(_own(last))
    return document


def pieces(text: str) -> int:
    """Words, groups of three digits, signs: about as many as tokens.

    >>> pieces('{"gpu":"h100-sxm","users":1200}')
    12
    """
    return _PIECE.subn("", text)[1]


def _own(value: object) -> str:
    """The JSON, without what callers describe their models with: that is theirs, and displaces nothing."""
    text = _ANYTHING.dump_json(value).decode()
    return _DESCRIBED.sub('""', text) if '"{' in text else text


def _entries(listed: Any) -> int:
    """Entries of a list or a table, paragraphs of a text."""
    return 1 + listed.count(PARAGRAPH) if isinstance(listed, str) else len(listed)


def _parted(listed: Any) -> tuple[Any, Any]:
    """A list, a table or a text without its last entry, and that entry."""
    if isinstance(listed, str):
        rest, _, last = listed.rpartition(PARAGRAPH)
        return rest, last
    if isinstance(listed, dict):
        *others, last = cast("dict[str, Any]", listed).items()
        return dict(others), last
    return listed[:-1], listed[-1]
