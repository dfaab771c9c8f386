"""Where two bills are equal, though the fleet behind them grows in whole machines as requests do, or as hours shrink.

An `even` function gives the hours, or the requests, at which two bills would be equal on the fleet that its argument
needs. It never falls as its argument grows, so that its fixed points are the break-evens; the walk from one end
finds the outermost one.
"""

from collections.abc import Callable
from math import inf
from typing import Literal

from inferplan.core.units import HOURS_PER_DAY, HOURS_PER_MONTH

Cheaper = Literal["hourly", "flat", "equal"]
"""Which of two bills is the lower one."""

STEPS = 1000
"""Walks end long before: each step changes the fleet."""
SHORTEST = 0.01
"""Hours a day below which nobody runs a service; a walk that gets there has found no break-even. [h]"""
MOST_REQUESTS = 1e12
"""The same for requests a day."""


def even_hours(*, usd_per_hour: float, monthly_usd: float) -> float:
    """flat / (rate × 730 / 24): hours a day at which renting by the hour costs a flat bill. [h/day]

    Below, renting is cheaper, above the flat bill is. More than 24 means that renting is cheaper all day; infinite
    where renting is free.

    >>> round(even_hours(usd_per_hour=3.50, monthly_usd=2.10 * 730), 6)
    14.4
    """
    full_day = usd_per_hour * HOURS_PER_MONTH
    return HOURS_PER_DAY * (monthly_usd / full_day) if full_day else inf


def cheaper_all_day(*, usd_per_hour: float, monthly_usd: float) -> Cheaper | None:
    """Which bill is the lower one at every number of hours up to 24, or None where they cross on the way.

    >>> cheaper_all_day(usd_per_hour=2.00, monthly_usd=2.10 * 730)
    'hourly'
    >>> cheaper_all_day(usd_per_hour=3.50, monthly_usd=2.10 * 730)
    """
    if monthly_usd == 0:
        return "flat" if usd_per_hour > 0 else "equal"
    return "hourly" if even_hours(usd_per_hour=usd_per_hour, monthly_usd=monthly_usd) > HOURS_PER_DAY else None


def last_hours(even: Callable[[float], float]) -> float | None:
    """The most hours at which renting by the hour costs what the other way does; beyond, the other is cheaper. [h/day]

    None where renting is still the cheaper one at 24 hours, or the dearer one at any.

    >>> last_hours(lambda hours: 14.4), last_hours(lambda hours: 30.0), last_hours(lambda hours: hours / 2)
    (14.4, None, None)
    """
    hours: float = HOURS_PER_DAY
    if even(hours) > hours:
        return None
    for _ in range(STEPS):
        earlier = even(hours)
        if earlier >= hours or earlier == 0:
            return min(earlier, hours)
        if hours < SHORTEST:
            return None
        hours = earlier
    return None


def first_requests(even: Callable[[float], float]) -> float | None:
    """The fewest requests at which paying by the token costs what a fleet does; below, the token is cheaper. [1/day]

    None where the token is the cheaper one at any number.

    >>> from math import ceil
    >>> first_requests(lambda requests: 30.0 * max(1, ceil(requests / 100)))
    30.0
    >>> first_requests(lambda requests: 150.0 * max(1, ceil(requests / 100)))
    """
    requests = 0.0
    for _ in range(STEPS):
        more = even(requests)
        if more <= requests:
            return requests
        if more > MOST_REQUESTS:
            return None
        requests = more
    return None
