"""Break-even of two bills whose fleet grows in whole machines with the requests, or as the hours of a day shrink.

An `even` function gives the hours, or the requests, at which two bills are equal on the fleet that its argument needs.
It never falls as its argument grows, and its fixed points are break-evens: iteration from one end finds the outermost.
"""

from collections.abc import Callable
from math import inf
from typing import Literal

from inferplan.core.units import HOURS_PER_DAY, HOURS_PER_MONTH

Cheaper = Literal["hourly", "flat", "equal"]
"""Which of two bills is the lower one."""

STEPS = 1000
"""A bound of the iterations, which end long before: each step changes the fleet."""
SHORTEST = 0.01
"""Hours a day below which no break-even is looked for. [h/day]"""
MOST_REQUESTS = 1e12
"""Requests a day beyond which none is looked for. [1/day]"""


def even_hours(*, usd_per_hour: float, monthly_usd: float) -> float:
    """flat / (rate × 730 / 24): the hours a day at which renting by the hour costs as much as a flat bill. [h/day]

    With fewer hours renting is cheaper, with more the flat bill. Beyond 24 renting is always cheaper; infinite where it
    is free.

    >>> round(even_hours(usd_per_hour=3.50, monthly_usd=2.10 * 730), 6)
    14.4
    """
    full_day = usd_per_hour * HOURS_PER_MONTH
    return HOURS_PER_DAY * (monthly_usd / full_day) if full_day else inf


def cheaper_all_day(*, usd_per_hour: float, monthly_usd: float) -> Cheaper | None:
    """The bill that is lower at any number of hours up to 24, None where they cross.

    >>> cheaper_all_day(usd_per_hour=2.00, monthly_usd=2.10 * 730)
    'hourly'
    >>> cheaper_all_day(usd_per_hour=3.50, monthly_usd=2.10 * 730)
    """
    if monthly_usd == 0:
        return "flat" if usd_per_hour > 0 else "equal"
    return "hourly" if even_hours(usd_per_hour=usd_per_hour, monthly_usd=monthly_usd) > HOURS_PER_DAY else None


def last_hours(even: Callable[[float], float]) -> float | None:
    """The most hours at which renting by the hour costs as much as the other way, cheaper beyond them. [h/day]

    None where renting is cheaper at 24 hours, or dearer at any number.

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
    """The fewest requests at which paying by the token costs as much as a fleet, cheaper below them. [1/day]

    None where paying by the token is cheaper at any number.

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
