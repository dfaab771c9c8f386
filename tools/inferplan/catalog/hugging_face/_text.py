"""From the text of a config.json to a plain object, and the one sentence that says what is wrong with it."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Never, cast

from inferplan.catalog._json import loads

LONGEST_CONFIG = 2**18
"""Texts of callers beyond this length are refused before anything is read. [B]

HTTP takes four times as much in a request, where quotes and ends of lines count twice. The longest that is published
and names no module of each expert has 88,567 (nvidia/Qwen3.6-27B-NVFP4); one that does, 3 MB.
"""
LONGEST_OF_A_HUB = 2**20
"""The same of those that a hub sends, of which the latest are kept. [B]"""

DEEPEST = 64
"""Objects and lists within each other."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SIGNS = re.compile(r"[][{}]")

LONGEST_LIST = 6
"""Problems that one sentence names; the rest are counted."""


class ConfigProblem(ValueError):  # noqa: N818 - the name says what it is: what is wrong with a config
    """A config.json that cannot be read as a model. The message is one actionable sentence."""


def parsed(text: str, longest: int = LONGEST_CONFIG) -> dict[str, object]:
    """The object that the text holds; raises `ConfigProblem` for anything else.

    >>> parsed('{"model_type": "llama"}')
    {'model_type': 'llama'}
    """
    if len(text.encode("utf-8", "surrogatepass")) > longest:
        raise ConfigProblem(
            f"config.json: longer than {longest:,} bytes; leave out quantization_config and name the precision, "
            "or its lists of module names"
        )
    value = _loaded(text)
    if not isinstance(value, dict):
        raise ConfigProblem("config.json: must be one JSON object, such as a model's config.json on Hugging Face")
    return cast("dict[str, object]", value)


def _loaded(text: str) -> object:
    """What the text holds; raises `ConfigProblem` where it is not JSON."""
    if _depth(text) > DEEPEST:
        raise ConfigProblem("config.json: objects and lists nest too deeply")
    try:
        return loads(text, twice=_given_twice)
    except ConfigProblem:
        raise
    except json.JSONDecodeError as broken:
        where = f"line {broken.lineno}, column {broken.colno}"
        raise ConfigProblem(f"config.json: not valid JSON at {where}; paste the whole file") from None
    except ValueError:
        raise ConfigProblem("config.json: holds a number with too many digits") from None


def _depth(text: str) -> int:
    """Objects and lists that are open within each other at most.

    >>> _depth('{"a": [1, "[{"], "b": []}')
    2
    """
    signs = _SIGNS.findall(_STRING.sub("", text))
    return max(accumulate(1 if sign in "{[" else -1 for sign in signs), default=0)


def _given_twice(key: str) -> ConfigProblem:
    """What to say where an object has a key twice."""
    return ConfigProblem(f"config.json: {quoted(key)} is given twice in one object; keep one")


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


def listed(items: Iterable[str], last: str = "and") -> str:
    """Items as a sentence has them: a few, and how many more.

    >>> listed(["a", "b", "c"]), listed("abcdefg"), listed("abcdefgh")
    ('a, b and c', 'a, b, c, d, e, f and 1 more', 'a, b, c, d, e, f and 2 more')
    """
    all_ = list(items)
    named, more = all_[:LONGEST_LIST], len(all_) - LONGEST_LIST
    if more > 0:
        return f"{', '.join(named)} {last} {more} more"
    return f" {last} ".join(filter(None, (", ".join(named[:-1]), named[-1]))) if named else ""


class Problems:
    """What is wrong with one config, gathered so that all of it is said at once.

    What the values contradict is only said where none of them is missing or wrong.
    """

    def __init__(self) -> None:
        self.missing: dict[str, None] = {}
        self.wrong: dict[str, None] = {}
        self.contrary: dict[str, None] = {}

    def raise_any(self) -> None:
        """Raise what is missing and wrong, else what is contradictory, where there is any."""
        first = (f"needs {listed(self.missing)}",) if self.missing else ()
        if first or self.wrong:
            _raise((*first, *self.wrong))
        if self.contrary:
            _raise(self.contrary)


def _raise(problems: Iterable[str]) -> Never:
    """All problems in one sentence, no longer than a message may be."""
    several = list(problems)
    text = "; ".join(several[:3]) + (f"; and {len(several) - 3} more" if len(several) > 3 else "")
    raise ConfigProblem(f"config.json: {text}" if len(text) < 540 else f"config.json: {text[:540]}...")
