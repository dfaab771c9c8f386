"""Latencies in words, with their error bands."""

from inferplan.core.error_bands import Band
from inferplan.core.units import MILLI
from inferplan.tools import _words as words


def around(value: float, band: Band) -> str:
    """`24 ms (21 to 27 ms)`: a time with its band.

    >>> around(0.0243, Band(low=0.88, high=1.12, n=300, alike=True, here=True))
    '24 ms (21 to 27 ms)'
    """
    low, high = band.of(value)
    return f"{words.seconds(value)} ({_range(words.seconds(low), words.seconds(high))})"


def _range(low: str, high: str) -> str:
    """`21 to 27 ms`: two figures, with one unit where they share it."""
    figure, unit = low.split(" ")
    return f"{figure} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def range_ms(seconds: float, band: Band) -> list[float]:
    """The error band of a time, to a tenth of a millisecond. [ms]"""
    return [round(end / MILLI, 1) for end in band.of(seconds)]
