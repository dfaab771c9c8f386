"""JSON without repeated keys, of which Python's parser keeps the last alone; and a value quoted in a message."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def loads(text: str, *, twice: Callable[[str], Exception]) -> Any:
    """The document of a JSON text. Raises `twice(key)` for a key that occurs twice in an object.

    >>> loads('{"a": [{"b": 1}, {"b": 2}]}', twice=KeyError)
    {'a': [{'b': 1}, {'b': 2}]}
    >>> loads('{"a": 1, "a": 2}', twice=KeyError)
    Traceback (most recent call last):
    KeyError: 'a'
    """

    def once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found:
                raise twice(key)
            found[key] = value
        return found

    return json.loads(text, object_pairs_hook=once)


def quoted(value: object, longest: int = 40) -> str:
    """A value as JSON on one printable line, cut where it is long.

    >>> quoted("llama"), quoted({"a": 1}), quoted("long " * 20, longest=11)
    ('"llama"', 'an object', '"long long ...')
    """
    text = _compact(value)
    return text if len(text) <= longest else text[:longest] + "..."


def _compact(value: object) -> str:
    """A value as JSON; of an object or a list only what it is."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return re.sub(r"[^ -~]", "?", json.dumps(value))
