"""Numbers as results show them."""

from math import floor, log10

from inferplan.core.units import GB


def to_digits(value: float, digits: int) -> float:
    """So many significant digits.

    >>> to_digits(0.31072, 3), to_digits(29.731, 3), to_digits(1234567.0, 4)
    (0.311, 29.7, 1235000.0)
    """
    return float(f"{value:.{digits}g}")


def at_most(value: float, digits: int) -> float:
    """The same, but never more than the value: of a bound, which holds as it is shown.

    >>> at_most(19.76, 3), at_most(19.74, 3), at_most(0.0, 3)
    (19.7, 19.7, 0.0)
    """
    shown = to_digits(value, digits)
    return shown if shown <= value else to_digits(shown - 10.0 ** (floor(log10(shown)) - digits + 1), digits)


def exact_gb(value: float) -> float:
    """Bytes as decimal gigabytes, exact to the byte."""
    return round(value / GB, 9)
