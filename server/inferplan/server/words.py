"""How names and values that a client sent are quoted in messages: short, and on one line."""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from inferplan.tools._words import printable

SHOWN = 60
"""Characters of a value that an error repeats."""

_WORDLESS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_SHOWN: dict[type, str] = {list: "a list", tuple: "a list", dict: "an object", type(None): "null"}


def quoted(text: str, limit: int = SHOWN) -> str:
    r"""The text in double quotes, escaped, and shortened to `limit` characters.

    >>> quoted("llama 3"), quoted("x" * 100, limit=5)
    ('"llama 3"', '"xxxxx..."')
    """
    return f'"{printable(text[:limit])}{"..." if len(text) > limit else ""}"'


def code(name: str) -> str:
    """A name in backticks where it can be one, in quotes where it cannot.

    >>> code("contxt_window"), code("two words")
    ('`contxt_window`', '"two words"')
    """
    return f"`{name}`" if name.isidentifier() and len(name) <= SHOWN else quoted(name)


def shown(value: object) -> str:
    """A JSON value as an error repeats it.

    >>> shown("abc"), shown(True), shown(1.5), shown(float("inf")), shown([1, 2]), shown(None)
    ('"abc"', 'true', '1.5', 'Infinity', 'a list', 'null')
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return _WORDLESS.get(str(value), repr(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return _whole(value)
    return _SHOWN.get(type(value)) or str(value).lower()


def _whole(value: int) -> str:
    """A whole number, or how long it is: Python refuses to print the longest."""
    digits = int(value.bit_length() * math.log10(2)) + 1
    return str(value) if digits <= SHOWN else f"a number of about {digits:,} digits"


def listed(names: Iterable[str]) -> str:
    """Names one after the other, each as `code`.

    >>> listed(["model", "gpu"])
    '`model`, `gpu`'
    """
    return ", ".join(map(code, names))


def nearest(word: str, names: Iterable[str], *, count: int = 3) -> list[str]:
    """The names that somebody who wrote `word` may have meant, best first.

    >>> nearest("contxt_window", ["model", "context_window"])
    ['context_window']
    >>> nearest("users", ["model", "concurrent_users"])
    ['concurrent_users']
    """
    said = word[: 4 * SHOWN].casefold()
    by_folded = {name.casefold(): name for name in names}
    held = [name for name in by_folded if len(said) > 1 and (said in name or name in said)]
    close = difflib.get_close_matches(said, by_folded, n=count, cutoff=0.6)
    return [by_folded[name] for name in dict.fromkeys([*close, *held])][:count]


def lower_first(text: str) -> str:
    """A description as part of a sentence.

    >>> lower_first("Tokens a session holds"), lower_first("GPU, by name")
    ('tokens a session holds', 'GPU, by name')
    """
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def not_an_object(tool: str, arguments: object) -> str:
    """The message to a client that sends its arguments as something else than a JSON object."""
    return f'`{tool}` takes its arguments as one JSON object, like {{"name": value}}; got {shown(arguments)}.'


def allowed(schema: Mapping[str, Any]) -> str:
    """What a published schema allows, in words.

    >>> allowed({"type": "integer", "minimum": 1, "maximum": 1_000_000})
    'a whole number from 1 to 1,000,000'
    >>> allowed({"type": "number", "exclusiveMinimum": 0}), allowed({"enum": ["a", "b"]})
    ('a number above 0', 'one of "a", "b"')
    """
    if "enum" in schema:
        return "one of " + ", ".join(map(shown, schema["enum"]))
    if "const" in schema:
        return shown(schema["const"])
    match schema.get("type"):
        case "boolean":
            return "true or false"
        case "integer" | "number" as kind:
            noun = "a whole number" if kind == "integer" else "a number"
            return noun + _bounds(schema)
        case "string":
            return "text in quotes" + _lengths(schema)
        case _:
            return "another value"


def _bounds(schema: Mapping[str, Any]) -> str:
    """The range of a number."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    parts = (("of at least", low), ("above", above), ("of at most", high), ("below", below))
    said = " and ".join(f"{word} {bound:,}" for word, bound in parts if bound is not None)
    return f" {said}" if said else ""


def _lengths(schema: Mapping[str, Any]) -> str:
    """How long a text may be."""
    some = ", not empty" if schema.get("minLength") else ""
    return some + (f", of at most {schema['maxLength']:,} characters" if "maxLength" in schema else "")
