"""Root finding by brackets: the last whole number within a bound, the first that holds, the zero of a function."""

from collections.abc import Callable
from math import ceil

CLOSE = 1e-14
"""The relative width of the bracket at which `crossing` ends. [ratio]"""
DOUBLINGS = 24
"""Doublings after which `first_holding` gives up."""


def last_within(share: Callable[[int], float], most: int, *, step: int = 1) -> int:
    """The largest whole number up to `most` whose share is at most 1; 0 where there is none.

    `share` must not fall; it may rise in steps of `step` numbers. Each round tries the end of the step in which the
    chord meets 1 and the number after it, and then the middle where that less than halved the bracket.

    >>> last_within(lambda n: n / 99.5, 1000), last_within(lambda n: n / 99.5, 10), last_within(lambda n: 2.0, 10)
    (99, 10, 0)
    >>> last_within(lambda tokens: -(-tokens // 16) / 300, 131072, step=16)
    4800
    """
    if most < 1 or (at_low := share(1)) > 1:
        return 0
    if (at_high := share(most)) <= 1:
        return most
    low, high = 1, most
    while high - low > 1:
        width, first, last = high - low, ceil(low / step), ceil(high / step)
        end = step * int(first + (last - first) * (1 - at_low) / (at_high - at_low) + 0.01)
        for tried in (end, end + 1, None):
            n = tried or ((low + high) // 2 if 2 * (high - low) > width else low)
            if low < n < high:
                at = share(n)
                if at <= 1:
                    low, at_low = n, at
                else:
                    high, at_high = n, at
    return low


def first_holding(holds: Callable[[int], bool], low: int) -> int | None:
    """The smallest whole number from `low` on that holds; None where none up to `low` + 2^`DOUBLINGS` does.

    What holds has to hold for all larger numbers too. Steps from `low` on double until it holds.

    >>> first_holding(lambda n: n * n >= 1000, 1), first_holding(lambda n: True, 7), first_holding(lambda n: False, 1)
    (32, 7, None)
    """
    short, enough = low - 1, low
    for doubled in range(DOUBLINGS + 1):
        enough = low + (1 << doubled) - 1
        if holds(enough):
            break
        short = enough
    else:
        return None
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if holds(middle) else (middle, enough)
    return enough


def crossing(left: Callable[[float], float], low: float, high: float) -> float:
    """The zero of `left` between `low` and `high`, both >= 0: too small by at most 1e-14 of it, with left > 0 there.

    `low` where left(low) <= 0, `high` where left(high) > 0. Regula falsi with the weights of Dowell and Jarratt (BIT
    12, 1972); after twelve tries every second one is a bisection. Of several zeros one is found.

    >>> round(crossing(lambda x: 2 - x * x, 0, 2), 9), crossing(lambda x: -x, 0, 2), crossing(lambda x: 3 - x, 0, 2)
    (1.414213562, 0, 2)
    """
    at_low, at_high = left(low), left(high)
    if at_low <= 0 or at_high > 0:
        return low if at_low <= 0 else high
    tries, stayed = 0, None
    while high - low > CLOSE * high:
        tries, least = tries + 1, CLOSE / 2 * high
        share = 0.5 if tries > 12 and tries % 2 else at_low / (at_low - at_high)
        tried = min(max(low + share * (high - low), low + least), high - least)
        at = left(tried)
        if at > 0:
            at_high *= at_low / (at_low + at) if stayed == "high" else 1
            low, at_low, stayed = tried, at, "high"
        else:
            at_low *= at_high / (at_high + at) if stayed == "low" and at else 1
            high, at_high, stayed = tried, at, "low"
    return low
