"""Requests that arrive at random in sentences."""

from collections.abc import Iterator

from inferplan.tools import _words as words
from inferplan.tools.layouts.arriving import SHARES, Arrivals
from inferplan.tools.layouts.demand import Demand

MENTIONED = 1.5
"""Users answered at once from which their number is told: below, most are alone."""


def arrival_sentences(arrivals: Arrivals, demand: Demand) -> Iterator[str]:
    """The TTFT percentiles and the sustained rate in sentences; or that the arrivals exceed it, and what to do."""
    if arrivals.found is None:
        yield (
            f"It does not keep up with {arrivals.rate:.10g} requests/s that arrive at random: they pile up beyond "
            f"{arrivals.most_shown:.10g}. Take more replicas, or shorter turns."
        )
        return
    half, most, nearly = (words.seconds(arrivals.found.ttft_s(share)) for share in SHARES)
    first = f"{half} at the median, {most} at P90 and {nearly} at P99"
    if half == nearly:
        first = f"{half} at the median and at P99 alike (hardly any request waits for another)"
    single = demand.output_tokens == 1
    each = "" if single else f", each further one {words.seconds(arrivals.found.service.tpot_s)}"
    busy = f", which keep about {round(arrivals.busy):,} users busy" if arrivals.busy >= MENTIONED else ""
    late = "" if arrivals.excess(demand.latency) <= 1 else f". On average that misses {demand.latency}"
    yield (
        f"With {arrivals.rate:.10g} requests/s arriving at random{busy}, a first token takes {first}{each}{late}; "
        f"beyond {arrivals.most_shown:.10g} requests/s they pile up."
    )
