"""Formats side by side: bars to scale, and the bits of one weight."""

from collections.abc import Sequence
from dataclasses import dataclass

from inferplan.tools import _draw as draw

BAR = 40
"""Columns of the longest bar."""
NAME = 9
"""Columns of the names in the bit table, unless one is longer."""
BITS = 50
"""Columns of names and bits together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar: its name, its value, and the value as text."""

    name: str
    value: float
    written: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One weight in one format: bits, code, decoded value and error [%]; no `mantissa` where there is no code."""

    name: str
    sign: str = ""
    exponent: str = ""
    mantissa: str = ""
    scale: float = 1
    code: str = ""
    value: float = 0
    error: float = 0


def draw_bars(bars: Sequence[Bar]) -> list[str]:
    """Bars in proportion to the longest, with names and values before them."""
    top, rows = max(bar.value for bar in bars), [[bar.name, bar.written] for bar in bars]
    lines = zip(draw.table(rows).splitlines(), bars, strict=True)
    return [f"{line} |{draw.bar(bar.value, top, BAR)}".rstrip() for line, bar in lines]


def draw_bits(weight: float, samples: Sequence[Sample]) -> list[str]:
    """The bit table of one weight: sign, exponent, mantissa, code, value and error in each format."""
    shown = f"{weight:g}" if len(f"{weight:g}") <= NAME else f"{weight:.3g}"
    width = max(NAME, *(len(one.name) for one in samples))
    head = f"{shown:<{width}} sign  exponent  mantissa"
    return [f"{head:<{BITS}} {'code':<11} {'value':<9} error", *(_bits(one, width) for one in samples)]


def _bits(one: Sample, width: int) -> str:
    """One line of the bit table, with a name of so many columns."""
    if not one.mantissa:
        return f"{one.name:<{width}} no single code: it depends on block and tensor"
    scale = "" if one.scale == 1 else f" x scale {_fraction(one.scale)}"
    before = f"{one.sign:<5} {one.exponent:<9} " if one.exponent else ""
    fields = f"{one.name:<{width}} {before}{one.mantissa}{scale}"
    end = f"{one.value:<9.6f} {one.error:.{2 if one.error < 100 else 0}f} %"
    return f"{fields:<{BITS}} {one.code:<11} {end}"


def _fraction(scale: float) -> str:
    """A scale as people write it, as a unit fraction where it is one.

    >>> _fraction(0.142857), _fraction(0.25), _fraction(0.171875)
    ('1/7', '1/4', '0.171875')
    """
    whole = round(1 / scale)
    return f"1/{whole}" if whole and abs(1 / scale - whole) < 1e-5 * whole else f"{scale:g}"
