"""The JSON object that the text of a config.json holds, within bounds of length and depth."""

import json
import re
from itertools import accumulate
from typing import cast

from inferplan.catalog._json import loads, quoted
from inferplan.catalog.hugging_face.reading.problems import ConfigProblem

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
