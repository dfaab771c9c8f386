"""How many sessions a replica takes at once within a latency."""

from collections.abc import Callable
from math import inf

from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import Load, Service
from inferplan.tools._serving import Serving


def excess(service: Service | None, *, ttft_s: float | None, tpot_s: float | None) -> float:
    """The larger of the latencies over what is asked for; infinite where it cannot be estimated. [ratio]"""
    return max(service.ttft_s / (ttft_s or inf), service.tpot_s / (tpot_s or inf)) if service else inf


def most_in_time(
    on: Serving,
    layout: Layout,
    load: Callable[[int], Load],
    held: int,
    *,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
) -> int:
    """The most of the `held` sessions of one replica that get the latency asked for; 0 where not even one does.

    Latency never falls with sessions and is close to a line: a round tries what the chord through both ends points
    at and what follows it, then halves what is left.
    """
    if ttft_s is None and tpot_s is None:
        return held

    def late(sessions: int) -> float:
        return excess(on.service(layout, load(sessions)), ttft_s=ttft_s, tpot_s=tpot_s)

    low, high = 1, held
    if held < 1 or (at_low := late(low)) > 1:
        return 0
    if (at_high := late(high)) <= 1:
        return held
    while high - low > 1:
        chord = low + int((high - low) * (1 - at_low) / (at_high - at_low))
        for tried in (chord, chord + 1, (low + high) // 2):
            if low < tried < high:
                at = late(tried)
                if at <= 1:
                    low, at_low = tried, at
                else:
                    high, at_high = tried, at
    return low
