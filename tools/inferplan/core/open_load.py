"""A replica under an open load (Poisson arrivals): how many requests are in flight, and how long prompts wait.

Units: seconds, requests per second and replica.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import NamedTuple

from inferplan.core.bracket import crossing, last_within
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import PLAIN, Options, Prompt, Service, first_token_s, prompt_of, serve
from inferplan.core.speed.load import Load
from inferplan.core.speed.machine import Machine
from inferplan.core.speed.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """The queue of prompts: random arrivals, a prefill of `each_s`, sent to the least loaded of `replicas`.

    `busy` is ρ, the share of time that a replica spends on prefill. One replica is the M/D/1 queue of Pollaczek and
    Khinchine.

    Limits: that chunks of several prompts share steps is not modelled. A load balancer that ignores load makes each
    replica an M/D/1 queue of its own.
    Source: Sakasegawa, An approximation formula for M/M/c, 1977, halved because all prompts take equally long; the tail
    is that of heavy traffic.
    """

    busy: float
    each_s: float
    replicas: int = 1

    @classmethod
    def at(cls, rate: float, prompt: Prompt, layout: Layout) -> "Queue":
        """The queue at `rate` prompts per second and replica; the stages of a pipeline work on different prompts."""
        return cls(busy=rate * prompt.added_s / layout.pp, each_s=prompt.alone.total_s, replicas=layout.dp)

    @property
    def waiting(self) -> float:
        """ρ^(√(2 (c + 1)) - 1): the share of prompts that wait, with c replicas; ρ for one. [fraction]"""
        return self.busy ** (sqrt(2 * (self.replicas + 1)) - 1)

    @property
    def _residual_s(self) -> float:
        """each / (2 c): the mean time until any of c replicas finishes its current prompt. [s]"""
        return self.each_s / 2 / self.replicas

    @property
    def _further_s(self) -> float:
        """each / (2 c) / (1 - ρ): the mean wait of the prompts that wait. [s]"""
        return self._residual_s / (1 - self.busy)

    @property
    def mean_s(self) -> float:
        """share that waits × their mean wait: the mean wait of all prompts. [s]

        >>> Queue(busy=0.5, each_s=0.1).mean_s, Queue(busy=0.5, each_s=0.1, replicas=7).mean_s
        (0.05, 0.0017857142857142859)
        """
        return self.waiting * self._further_s

    def room(self, rate: float, flight: float, besides_s: float) -> float:
        """(1 - ρ) × (flight - rate × (besides + mean wait)): positive while Little's law gives fewer than `flight`.

        A request takes `besides_s` beside waiting. The factor 1 - ρ keeps the result finite where ρ reaches 1.

        >>> Queue(busy=0.5, each_s=0.1).room(5, 10, 1.95), Queue(busy=1.0, each_s=0.1).room(10, 10, 0.5)
        (0.0, -0.5)
        """
        return (1 - self.busy) * (flight - rate * besides_s) - rate * self.waiting * self._residual_s

    def wait_s(self, share: float) -> float:
        """The quantile `share` of the wait: 0 for prompts that do not wait, exponential for the others. [s]

        >>> [round(Queue(busy=0.5, each_s=0.1).wait_s(share), 3) for share in (0.5, 0.9, 0.99)]
        [0.0, 0.161, 0.391]
        """
        return 0.0 if share <= 1 - self.waiting else self._further_s * log(self.waiting / (1 - share))


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """One of the replicas under random arrivals, and the queue that their prompts wait in."""

    service: Service
    queue: Queue

    def ttft_s(self, share: float) -> float:
        """The quantile `share` of TTFT, 0.99 for p99. [s]"""
        return self.service.ttft_s - self.queue.mean_s + self.queue.wait_s(share)


class _Pace(NamedTuple):
    """A replica with so many requests in flight: the time of one beside waiting, to its first token and in all. [s]"""

    service: Service
    first_s: float
    whole_s: float

    def at(self, rate: float, queue: Queue, output: float) -> Open:
        """The service at this rate and with this queue; `output` tokens a request."""
        rates = {"requests_per_s": rate, "tokens_per_s": rate * output}
        return Open(service=replace(self.service, ttft_s=self.first_s + queue.mean_s, **rates), queue=queue)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Replica:
    """One of the replicas, and the requests that arrive."""

    on: tuple[Work, Machine, Layout]
    load: Load
    options: Options
    prompt: Prompt

    @classmethod
    def of(cls, w: Work, m: Machine, layout: Layout, load: Load, options: Options) -> "_Replica":
        """The replica with the prefill of a prompt, which does not depend on the requests in flight."""
        prompt = prompt_of(w, m, layout, load.input_tokens, options, past=load.past)
        return cls(on=(w, m, layout), load=load, options=options, prompt=prompt)

    def queue(self, rate: float) -> Queue:
        """The queue of its prompts at `rate`."""
        return Queue.at(rate, self.prompt, self.on[2])

    def pace(self, flight: float) -> _Pace:
        """The replica with `flight` requests in flight; an arrival finds all of them, and all interfere with it."""
        asked = replace(self.load, sequences=max(1.0, flight), slots=None, others=flight)
        one = serve(*self.on, asked, self.options, prompt=self.prompt)
        first = first_token_s(self.on[1].efficiency, asked, one.decode, one.prefill.total_s)
        return _Pace(service=one, first_s=first, whole_s=first + asked.output_tokens * one.tpot_s)

    def opened(self, flight: float) -> Open:
        """The service at the rate that keeps `flight` requests in flight."""
        pace = self.pace(flight)
        most = min(1 / self.queue(1).busy, flight / pace.whole_s)
        rate = crossing(lambda rate: self.queue(rate).room(rate, flight, pace.whole_s), 0.0, most)
        return pace.at(rate, self.queue(rate), self.load.output_tokens)


def in_flight(w: Work, m: Machine, layout: Layout, load: Load, *, flight: float, options: Options = PLAIN) -> Open:
    """The service under random arrivals at the rate that keeps `flight` requests in flight on each replica.

    Little's law: flight = rate × (TTFT without waiting + wait(rate) + output × TPOT(flight)), where TTFT without
    waiting is front end + busy × steps × t(decode) + t(prefill), and ρ = rate × t(marginal prefill) / pp.
    """
    return _Replica.of(w, m, layout, load, options).opened(flight)


def arrivals(
    w: Work, m: Machine, layout: Layout, load: Load, *, requests_per_s: float, options: Options = PLAIN
) -> Open | None:
    """The service under random arrivals at a rate; None where it takes more than `load.sequences` in flight.

    The wait of prompts depends on the rate alone, so that Little's law is one equation for the number in flight. The
    batch of a pipeline stage is rounded up to whole sequences, so that the equation has jumps and may have several
    solutions: the smallest is the one that an idle replica grows into.
    """
    return arrivals_of(w, m, layout, load, requests_per_s=requests_per_s, options=options)[0]


def arrivals_of(
    w: Work, m: Machine, layout: Layout, load: Load, *, requests_per_s: float, options: Options = PLAIN
) -> tuple[Open | None, float]:
    """The same, and the rate that keeps `load.sequences` in flight: the most that is sustained."""
    one = _Replica.of(w, m, layout, load, options)
    sustained = one.opened(load.sequences).service.requests_per_s
    if sustained < requests_per_s:
        return None, sustained
    queue, pp, most = one.queue(requests_per_s), layout.pp, load.sequences

    def kept(flight: float) -> float:
        return requests_per_s * (one.pace(flight).whole_s + queue.mean_s)

    held = pp * last_within(lambda each: each * pp / kept(each * pp), int(most / pp)) if pp > 1 else 0
    flight = crossing(lambda flight: kept(flight) - flight, held, min(held + pp, most) if pp > 1 else most)
    return one.pace(flight).at(requests_per_s, queue, load.output_tokens), sustained


def rate_in_time(
    w: Work,
    m: Machine,
    layout: Layout,
    load: Load,
    *,
    excess: Callable[[Service], float],
    options: Options = PLAIN,
) -> float:
    """A rate beyond which arrivals are late or pile up, as if no prompt waited: what is below it may be, too.

    (flight + 1) / (TTFT + output x TPOT), with the largest whole `flight` whose latency is in time (`excess` <= 1).
    """
    one = _Replica.of(w, m, layout, load, options)

    def late(flight: int) -> float:
        pace = one.pace(flight)
        return excess(replace(pace.service, ttft_s=pace.first_s))

    flight = last_within(late, int(load.sequences))
    return min(1 / one.queue(1).busy, min(flight + 1, load.sequences) / one.pace(flight).whole_s)
