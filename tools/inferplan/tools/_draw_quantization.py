"""Formats side by side: a column chart to scale, and the bits of one weight under it."""

from collections.abc import Sequence
from dataclasses import dataclass

from inferplan.core.encoding import Encoding

HEIGHT = 8
"""Rows of the largest bar."""
COLUMN = 10
MARGIN = 8
"""Columns for the names of the notes."""
NAME = 9
"""Columns for the names in the bit table."""
FULL, PART = "########", "________"
"""A row that a bar fills by three quarters or more, and one that it fills by a quarter or more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One column: its name, its value and how that is written, and a note for each line under it."""

    name: str
    value: float
    written: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One weight in one format; `code` as it is written, None where the format has no single code."""

    name: str
    encoding: Encoding | None
    code: str


def draw_bars(bars: Sequence[Bar], notes: Sequence[str]) -> list[str]:
    """Columns in proportion to the largest, the value on top of each, its name and notes under it."""
    top = max(bar.value for bar in bars)
    rows = [_row("", [_cell(bar, level, top) for bar in bars]) for level in range(HEIGHT + 1, 0, -1)]
    under = [_row(note, [bar.notes[i] for bar in bars]) for i, note in enumerate(notes)]
    return [*rows, _row("", [bar.name for bar in bars]), *under]


def _row(name: str, cells: Sequence[str]) -> str:
    """A name in the margin, and cells centered in their columns."""
    return (name.ljust(MARGIN) + "".join(cell.center(COLUMN) for cell in cells)).rstrip()


def _cell(bar: Bar, level: int, top: float) -> str:
    """What a row shows of a bar: its body, its value above it, or nothing."""
    rows = bar.value / top * HEIGHT
    height = max(1, int(rows + 0.75))
    if level > height:
        return bar.written if level == height + 1 else ""
    return FULL if rows - (level - 1) >= 0.75 else PART


def draw_bits(weight: float, samples: Sequence[Sample]) -> list[str]:
    """Sign, exponent, mantissa, code, value and error of one weight, format by format."""
    shown = f"{weight:g}" if len(f"{weight:g}") <= NAME else f"{weight:.3g}"
    return [
        f"{shown:<{NAME}} sign  exponent  {'mantissa':<24} {'code':<11} {'value':<9} error",
        *(_bits(weight, sample) for sample in samples),
    ]


def _bits(weight: float, sample: Sample) -> str:
    """One line of the bit table."""
    if sample.encoding is None:
        return f"{sample.name:<{NAME}} a mix of block formats without one code"
    one = sample.encoding
    scale = "" if one.scale == 1 else f" x scale {_fraction(one.scale)}"
    before = f"{one.sign:<5} {one.exponent:<9} " if one.exponent else ""
    fields = f"{before}{one.mantissa}{scale}"
    error = one.error_percent(weight)
    end = f"{one.value:<9.6f} {error:.{2 if error < 100 else 0}f} %"
    return f"{sample.name:<{NAME}} {fields:<40} {sample.code:<11} {end}"


def _fraction(scale: float) -> str:
    """A scale as people write it.

    >>> _fraction(1 / 7), _fraction(0.25), _fraction(0.171875)
    ('1/7', '1/4', '0.171875')
    """
    whole = round(1 / scale)
    return f"1/{whole}" if whole and abs(1 / scale - whole) < 1e-9 * whole else f"{scale:g}"
