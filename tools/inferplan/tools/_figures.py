"""Numbers as results show them."""

from inferplan.core.units import GB


def to_digits(value: float, digits: int) -> float:
    """So many significant digits.

    >>> to_digits(0.31072, 3), to_digits(29.731, 3), to_digits(1234567.0, 4)
    (0.311, 29.7, 1235000.0)
    """
    return float(f"{value:.{digits}g}")


def exact_gb(value: float) -> float:
    """Bytes as decimal gigabytes, exact to the byte."""
    return round(value / GB, 9)
