"""How much a result takes of a model's context, without a tokenizer; and how a long one gives way."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter


class Room(NamedTuple):
    """How long a result may be: in pieces, and in bytes of JSON up to which there is no need to count them."""

    pieces: int
    characters: int


ROOM = Room(pieces=1170, characters=3330)
"""1,200 tokens of o200k: in our answers a piece is 0.95 to 1.02 of them, and 2.8 bytes and more are one."""
_ANYTHING = TypeAdapter[object](object)
PARAGRAPH = "\n\n"
_DESCRIBED = re.compile(rb'"\{(?:[^"\\]|\\.)*"')


def _kind(code: int) -> str:
    """A byte's: letter, digit, underscore, space; anything else is a sign."""
    byte = chr(code) if code < 128 else "?"
    return "L" if byte.isalpha() else "D" if byte.isdigit() else "U" if byte == "_" else "S" if byte.isspace() else "P"


_KINDS = "".join(map(_kind, range(256))).encode()
_MERGED = (
    *((b"L" * 8, b"l"), (b"L" * 4, b"L"), (b"L" * 3, b"L"), (b"L" * 2, b"L")),
    *((b"D" * 3, b"d"), (b"D" * 2, b"D")),
    *((b"SS", b"w"), (b"wS", b"w"), (b"w" * 8, b"w"), (b"ww", b"w"), (b"ww", b"w"), (b"ww", b"w")),
    *((b"SPPPP", b"p"), (b"SPPP", b"p"), (b"SPP", b"p"), (b"SP", b"p")),
    *((b"PPPP", b"p"), (b"PPP", b"p"), (b"PP", b"p")),
    *((b"PL", b"L"), (b"Pl", b"l"), (b"SL", b"L"), (b"Sl", b"l")),
)
"""What becomes one piece, in this order: up to eight letters, three digits, 128 spaces, four signs with the space that
stands before them; then letters take the one space or sign that is left before them."""

_LINE = b"-" * 16
"""What diagrams draw boxes of: one token."""


def shortened(document: dict[str, Any], gives_way: Mapping[str, int], room: Room) -> dict[str, Any]:
    """The document without the last entries of lists and tables, in the order in which they give way, where it is long.

    The entries of a text are its paragraphs: of a diagram, pictures. One that is gone leaves no name behind.

    >>> shortened({"a": [1, 2, 3], "b": {"x": 1, "y": 2}}, {"b": 1, "a": 2}, Room(10, 0))
    {'a': [1, 2], 'b': {'x': 1}}
    """
    text = _own(document)
    excess = pieces(text) - room.pieces if len(text) > room.characters else 0
    for name, kept in gives_way.items():
        while excess > 0 and _entries(document.get(name, ())) > kept:
            document[name], last = _parted(document[name])
            excess -= pieces(_own(last))
        if document.get(name) == "":
            del document[name]
    return document


def pieces(text: bytes) -> int:
    """Words, groups of three digits, signs: about as many as tokens.

    >>> pieces(b'{"gpu":"h100-sxm","users":1200}')
    12
    """
    kinds = text.translate(_KINDS)
    for run, piece in _MERGED:
        kinds = kinds.replace(run, piece)
    return len(kinds)


def _own(value: object) -> bytes:
    """The JSON, lines of diagrams cut short, without what callers describe their models with.

    That is theirs, and displaces nothing.
    """
    text = _ANYTHING.dump_json(value).replace(_LINE, b"-")
    return _DESCRIBED.sub(b'""', text) if b'"{' in text else text


def _entries(listed: Any) -> int:
    """Entries of a list or a table, paragraphs of a text; none of what is empty."""
    return bool(listed) + listed.count(PARAGRAPH) if isinstance(listed, str) else len(listed)


def _parted(listed: Any) -> tuple[Any, Any]:
    """A list, a table or a text without its last entry, and that entry."""
    if isinstance(listed, str):
        rest, _, last = listed.rpartition(PARAGRAPH)
        return rest, last
    if isinstance(listed, dict):
        *others, last = cast("dict[str, Any]", listed).items()
        return dict(others), last
    return listed[:-1], listed[-1]
