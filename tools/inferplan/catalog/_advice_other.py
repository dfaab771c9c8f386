"""Advice for names of quantization that are no formats to plan with: formats of other programs, and toolkits."""

import re
from collections.abc import Mapping
from functools import cache
from itertools import chain

from pydantic import Field

from inferplan.catalog._json import quoted
from inferplan.catalog._shelf import LONGEST_NAME, key, quoted_list, words
from inferplan.catalog._table import Row, read_rows

_FILE = "other_formats.toml"
_SIDE = frozenset(("bit", "bits", "bpw", "quantized", "quantization", "quant"))
"""Words beside a name that do not make it another one."""
_BITS = re.compile(r"(?<![\d.])(\d{1,2}(?:\.\d+)?)[\s-]*b(?:its?|pw)\b", re.IGNORECASE)
"""A number of bits a weight, as in "4.65bpw"."""


class ForeignRow(Row):
    """A format of a program that is not planned, and usual bits of a weight in it."""

    names: tuple[str, ...] = Field(min_length=1)
    runs_in: str
    bits: tuple[float, ...] = Field(min_length=1)


class ToolkitRow(Row):
    """A toolkit, and formats of its checkpoints that vLLM loads."""

    names: tuple[str, ...] = Field(min_length=1)
    formats: tuple[str, ...] = Field(min_length=1)


@cache
def foreign_rows() -> tuple[ForeignRow, ...]:
    """Every format of a program that is not planned."""
    return read_rows(_FILE, "foreign", ForeignRow)


@cache
def toolkit_rows() -> tuple[ToolkitRow, ...]:
    """Every toolkit whose checkpoints have one of several formats."""
    return read_rows(_FILE, "toolkit", ToolkitRow)


def other_advice(said: str, bits: Mapping[str, float]) -> str | None:
    """The advice for such a name, with the bits of each format that can be planned with; None for any other.

    >>> other_advice("exl2 4.65bpw", {"fp8": 8, "q4_k_s": 4.67, "int4": 4.25})
    '"exl2 4.65bpw" runs in ExLlamaV2, which inferplan does not plan; nearest in bits: "q4_k_s" for 4.65'
    """
    if len(said) > LONGEST_NAME:
        return None
    name, (width, rest) = quoted(" ".join(said.split())), _parted(said)
    if foreign := next((row for row in foreign_rows() if rest in map(_key, row.names)), None):
        near = [f"{quoted(_nearest(one, bits))} for {one:g}" for one in width or foreign.bits]
        return f"{name} runs in {foreign.runs_in}, which inferplan does not plan; nearest in bits: {', '.join(near)}"
    if toolkit := next((row for row in toolkit_rows() if rest in map(_key, row.names)), None):
        which = f"ask for that of the weights, as {quoted_list(toolkit.formats)}, or pass its config.json as the model"
        return f"{name} says how a checkpoint was made, not its format; {which}"
    return None


def _parted(said: str) -> tuple[list[float], str]:
    """The bits a weight that a name tells, and the key of what else it says."""
    return [float(bits) for bits in _BITS.findall(said)], _key(_BITS.sub(" ", said))


def _key(name: str) -> str:
    """The key of a name, of which words beside it and the place of spaces and dashes say nothing."""
    return key(chain.from_iterable(words(word) for word in re.split(r"[\s_-]+", name) if word.casefold() not in _SIDE))


def _nearest(asked: float, bits: Mapping[str, float]) -> str:
    """The format whose bits of a weight are nearest."""
    return min(bits, key=lambda id_: abs(bits[id_] - asked))
