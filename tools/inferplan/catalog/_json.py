"""JSON without repeated keys: Python's parser would drop all but the last."""

import json
from collections.abc import Callable, Sequence
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
