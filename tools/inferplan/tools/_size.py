"""The size of a result in tokens, estimated without a tokenizer; and the shortening of results that are too long."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter


class Room(NamedTuple):
    """The longest a result may be, in pieces (about tokens), and the bytes of JSON up to which no count is needed."""

    pieces: int
    characters: int


ROOM = Room(pieces=1170, characters=3330)
"""1,200 tokens of o200k: in our answers a piece is 0.95 to 1.02 tokens, and a token 2.8 bytes or more."""
_ANYTHING = TypeAdapter[object](object)
PARAGRAPH = "\n\n"
_DESCRIBED = re.compile(rb'"\{(?:[^"\\]|\\.)*"')


def _kind(code: int) -> str:
    """The class of a byte: letter, digit, underscore, space, or other sign."""
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
"""Runs that make one piece, replaced in this order: up to eight letters, three digits, 128 spaces, four signs with the
space before them; then letters take the one space or sign that is left before them.
"""

_LINE = b"-" * 16
"""A piece of the lines of boxes in diagrams: one token."""


def shortened(document: dict[str, Any], gives_way: Mapping[str, int], room: Room) -> dict[str, Any]:
    """The document without the last entries of what `gives_way`, in that order, as far as it exceeds the room.

    `gives_way` has the entries that stay of each. The entries of a text are its paragraphs; an empty text is removed.

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
    """The number of words, groups of three digits and signs: about that of tokens.

    >>> pieces(b'{"gpu":"h100-sxm","users":1200}')
    12
    """
    kinds = text.translate(_KINDS)
    for run, piece in _MERGED:
        kinds = kinds.replace(run, piece)
    return len(kinds)


def _own(value: object) -> bytes:
    """The value as JSON, without the callers' own descriptions, which displace nothing; lines of diagrams cut short.

    That is theirs, and displaces nothing.
    """
    text = _ANYTHING.dump_json(value).replace(_LINE, b"-")
    return _DESCRIBED.sub(b'""', text) if b'"{' in text else text


def _entries(listed: Any) -> int:
    """The entries of a list or a table, or the paragraphs of a text."""
    return bool(listed) + listed.count(PARAGRAPH) if isinstance(listed, str) else len(listed)


def _parted(listed: Any) -> tuple[Any, Any]:
    """A list, table or text without its last entry, and that entry."""
    if isinstance(listed, str):
        rest, _, last = listed.rpartition(PARAGRAPH)
        return rest, last
    if isinstance(listed, dict):
        *others, last = cast("dict[str, Any]", listed).items()
        return dict(others), last
    return listed[:-1], listed[-1]
