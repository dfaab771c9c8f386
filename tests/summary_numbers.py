"""Whether every number that a summary states can be found in the structured answer beside it."""

import re
from collections.abc import Iterator
from typing import Any, cast

from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS

NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
UNITS = (1, 1e3, 1e6, 1e9)
"""Summaries have milliseconds in seconds too, and parameters in millions and billions."""


def unsupported_numbers(structured: dict[str, Any]) -> list[str]:
    """Numbers of the summary that no value, and no number in the words around it, rounds to."""
    rest = {name: value for name, value in structured.items() if name not in ("summary", "diagram")}
    known = set(_numbers(rest))
    return [said for said in NUMBER.findall(_without_names(structured["summary"])) if not _is_known(said, known)]


def _without_names(text: str) -> str:
    """The text without titles, whose numbers are no quantities."""
    titles = [gpu.title for gpu in GPUS.values()] + [model.title for model in MODELS.values()]
    for title in sorted(titles, key=len, reverse=True):
        text = text.replace(title, "")
    return text


def _is_known(said: str, known: set[float]) -> bool:
    value, decimals = float(said.replace(",", "")), len(said.partition(".")[2])
    half = 0.5000001 * 10**-decimals
    return any(abs(number / unit - value) <= half for number in known for unit in UNITS)


def _numbers(value: Any) -> Iterator[float]:
    """Every number in an answer: values, and numbers in strings."""
    if isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _numbers(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _numbers(item)
    elif isinstance(value, str):
        yield from (float(number.replace(",", "")) for number in NUMBER.findall(value))
    elif isinstance(value, (int, float)):
        yield float(value)
