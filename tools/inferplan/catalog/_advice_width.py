"""Advice for a width in bits in place of a number format: the formats that have it."""

import re
from collections.abc import Mapping

from inferplan.catalog._json import quoted
from inferplan.catalog._shelf import FEW, quoted_list

_WIDTH = re.compile(
    r"\s*(?P<bits>\d{1,2}(?:\.\d{1,2})?)[\s-]*bits?(?:\s+(?:quant(?:i[sz]ed|i[sz]ation)?|weights?|precision|cache))?\s*",
    re.IGNORECASE,
)
_OWN = re.compile(r"\d+")


def width_advice(said: str, titles: Mapping[str, str]) -> str | None:
    """The advice for a width in bits, with formats by their titles; None for any other name.

    >>> width_advice("4-bit", {"fp8": "FP8", "int4": "INT4", "awq": "INT4 AWQ"})
    '"4-bit" is a width, not a format; take one of 4 bits: "int4", "awq"'
    >>> width_advice("6bit", {"fp8": "FP8", "int4": "INT4"})
    '"6bit" is a width, not a format; take one of 8 bits, the nearest: "fp8"'
    """
    found = _WIDTH.fullmatch(said)
    return found and f"{quoted(said.strip())} is a width, not a format; take one {of_width(found['bits'], titles)}"


def of_width(bits: str, titles: Mapping[str, str]) -> str:
    """`of 8 bits: "fp8"`: the formats of a width, or of the nearest, by the first number of their titles.

    >>> of_width("8", {"fp8": "FP8", "int4": "INT4"})
    'of 8 bits: "fp8"'
    """
    asked = float(bits)
    widths = {id_: int(found[0]) for id_, title in titles.items() if (found := _OWN.search(title))}
    near = min(widths.values(), key=lambda width: (abs(width - asked), -width))
    ids = [id_ for id_, width in widths.items() if width == near][:FEW]
    return f"of {near} bits{'' if near == asked else ', the nearest'}: {quoted_list(ids)}"
