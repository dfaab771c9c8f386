"""Numbers rounded as results show them."""

from math import floor, log10

from inferplan.core.units import GB


def to_digits(value: float, digits: int) -> float:
    """A number to so many significant digits.

    >>> to_digits(0.31072, 3), to_digits(29.731, 3), to_digits(1234567.0, 4)
    (0.311, 29.7, 1235000.0)
    """
    return float(f"{value:.{digits}g}")


def rounded_down(value: float) -> float:
    """A number to three significant digits and never above itself: an upper bound that still holds as shown.

    >>> rounded_down(19.76), rounded_down(19.74), rounded_down(0.0)
    (19.7, 19.7, 0.0)
    """
    shown = to_digits(value, 3)
    return shown if shown <= value else to_digits(shown - 10.0 ** (floor(log10(shown)) - 2), 3)


def hour_price(usd: float) -> float:
    """A price of an hour to four decimals, below ten cents to four digits: it is multiplied as it is shown. [USD/h]

    >>> hour_price(2.345678), hour_price(0.00274216)
    (2.3457, 0.002742)
    """
    return round(usd, 4) if usd >= 0.1 else to_digits(usd, 4)


def unit_price(usd: float) -> float:
    """A price of a million tokens: to the cent, below a dollar to three digits, from a hundred whole. [USD]

    >>> unit_price(12.3456), unit_price(0.24493), unit_price(9576.4)
    (12.35, 0.245, 9576.0)
    """
    return to_digits(usd, 3) if usd < 1 else round(usd, 2 if usd < 100 else 0)


def exact_gb(value: float) -> float:
    """Bytes in decimal gigabytes, exact to the byte. [GB]"""
    return round(value / GB, 9)
