"""The last whole number at which what never falls is still within bounds."""

from collections.abc import Callable
from math import ceil


def last_within(share: Callable[[int], float], most: int, *, step: int = 1) -> int:
    """The largest whole number up to `most` whose share is at most 1; 0 where there is none. Shares never fall.

    Shares may rise in steps of so many numbers. A round tries the end of the step in which the chord meets 1, and the
    number after it; then the middle, where that halved too little.

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
