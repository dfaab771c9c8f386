"""Requests that arrive at random in sentences, and whether users and requests go together."""

from collections.abc import Iterator
from math import ceil

from inferplan.tools import _words as words
from inferplan.tools.layouts.arriving import SHARES, Arrivals
from inferplan.tools.layouts.demand import Demand

MENTIONED = 1.5
"""Users answered at once from which their number is told: below, most are alone."""

IDLE_S, THINK_S = 900.0, 60.0
"""The time between two requests of a user beyond which thinking does not explain it, and one that thinking takes. [s]

Judgements: in the guide's presets each user asks once in 17 to 432 s.
"""


def idle_sentences(users: int, rate: float, answer_s: float | None, sent: str) -> Iterator[str]:
    """That so many users cannot be at it at once for so few requests, and how many are; nothing where they may be.

    `rate` is what they send [requests/s], in words `sent`; `answer_s` is the time of an answer, None where not timed.
    """
    needed = max(1, ceil(rate * (THINK_S + (answer_s or 0))))
    if users / rate <= IDLE_S or needed >= users:
        return
    yield (
        f"{users:,} users hardly go with {sent}: with a minute between the turns of each, {needed:,} would be open at "
        f"once (concurrent_users={needed})."
    )


def busier_sentences(users: int, rate: float, answer_s: float | None, sent: str) -> Iterator[str]:
    """That the requests keep more users busy than were asked about, by Little's law; nothing where they do not."""
    busy = rate * (answer_s or 0)
    if busy > MENTIONED * users:
        yield f"{sent} keep about {round(busy):,} users busy at once, more than the {users:,} asked for."


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
    answer_s = arrivals.found.service.answer_s(demand.output_tokens)
    yield from idle_sentences(demand.users, arrivals.rate, answer_s, f"{arrivals.rate:.10g} requests/s")
