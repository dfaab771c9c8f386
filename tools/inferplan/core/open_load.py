"""A replica under requests that arrive at random: how many are in flight, and how long their prompts wait.

Units: seconds, requests per second of one replica.
"""

from dataclasses import dataclass, replace
from math import log, sqrt
from typing import NamedTuple

from inferplan.core.bracket import crossing, last_within
from inferplan.core.machine import Machine
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import PLAIN, Load, Options, Prompt, Service, first_token_s, prompt_of, serve
from inferplan.core.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """Prompts that arrive at random, each of which takes `each_s` and goes to the idlest of so many replicas.

    `busy` is the share of time that prompts take. One replica is the M/D/1 queue (Pollaczek and Khinchine).

    Source: Sakasegawa, An approximation formula for M/M/c, 1977, halved as every prompt takes as long; its tail in
    heavy traffic. Limits: chunks of several prompts share steps; a balancer that does not look makes M/D/1 of each.
    """

    busy: float
    each_s: float
    replicas: int = 1

    @classmethod
    def at(cls, rate: float, prompt: Prompt, layout: Layout) -> "Queue":
        """Of prompts that come at a rate to each replica, whose stages share out what one of them adds."""
        return cls(busy=rate * prompt.added_s / layout.pp, each_s=prompt.alone.total_s, replicas=layout.dp)

    @property
    def waiting(self) -> float:
        """ρ^(√(2 (c + 1)) - 1): prompts that wait at all, ρ for one replica. [fraction]"""
        return self.busy ** (sqrt(2 * (self.replicas + 1)) - 1)

    @property
    def _met_s(self) -> float:
        """each / 2 / c: what is left of the prompt that is computed when another one comes. [s]"""
        return self.each_s / 2 / self.replicas

    @property
    def _further_s(self) -> float:
        """each / 2 / c / (1 - ρ): how long those wait that wait at all. [s]"""
        return self._met_s / (1 - self.busy)

    @property
    def mean_s(self) -> float:
        """How long a prompt waits for those before it. [s]

        >>> Queue(busy=0.5, each_s=0.1).mean_s, Queue(busy=0.5, each_s=0.1, replicas=7).mean_s
        (0.05, 0.0017857142857142859)
        """
        return self.waiting * self._further_s

    def room(self, rate: float, flight: float, besides_s: float) -> float:
        """(1 - ρ) × (flight - rate × (besides + mean)), finite where ρ reaches 1: above 0 while fewer are in flight.

        >>> Queue(busy=0.5, each_s=0.1).room(5, 10, 1.95), Queue(busy=1.0, each_s=0.1).room(10, 10, 0.5)
        (0.0, -0.5)
        """
        return (1 - self.busy) * (flight - rate * besides_s) - rate * self.waiting * self._met_s

    def wait_s(self, share: float) -> float:
        """What a `share` of prompts do not wait longer than: some for nobody, the others exponentially long. [s]

        >>> [round(Queue(busy=0.5, each_s=0.1).wait_s(share), 3) for share in (0.5, 0.9, 0.99)]
        [0.0, 0.161, 0.391]
        """
        return 0.0 if share <= 1 - self.waiting else self._further_s * log(self.waiting / (1 - share))


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """One of the replicas under requests that arrive at random, and the queue in which their prompts wait."""

    service: Service
    queue: Queue

    def ttft_s(self, share: float) -> float:
        """The time to the first token that a `share` of requests do not exceed. [s]"""
        return self.service.ttft_s - self.queue.mean_s + self.queue.wait_s(share)


class _Pace(NamedTuple):
    """A replica with so many in flight, and what each of them takes besides waiting: to its first token, in all. [s]"""

    service: Service
    first_s: float
    whole_s: float

    def at(self, rate: float, queue: Queue, output: float) -> Open:
        """The same at the rate that keeps so many in flight."""
        rates = {"requests_per_s": rate, "tokens_per_s": rate * output}
        return Open(service=replace(self.service, ttft_s=self.first_s + queue.mean_s, **rates), queue=queue)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Replica:
    """One of the replicas, which its requests find computing this load's prompts and tokens."""

    on: tuple[Work, Machine, Layout]
    load: Load
    options: Options
    prompt: Prompt

    @classmethod
    def of(cls, w: Work, m: Machine, layout: Layout, load: Load, options: Options) -> "_Replica":
        """The replica, whose prompts take the same however many are in flight."""
        prompt = prompt_of(w, m, layout, load.input_tokens, options)
        return cls(on=(w, m, layout), load=load, options=options, prompt=prompt)

    def queue(self, rate: float) -> Queue:
        """What its prompts wait in."""
        return Queue.at(rate, self.prompt, self.on[2])

    def pace(self, flight: float) -> _Pace:
        """With so many in flight, of which who arrives finds all, and none is its own: as many disturb."""
        asked = replace(self.load, sequences=max(1.0, flight), slots=None, others=flight)
        one = serve(*self.on, asked, self.options, prompt=self.prompt)
        first = first_token_s(self.on[1].efficiency, asked, one.decode, one.prefill.total_s)
        return _Pace(service=one, first_s=first, whole_s=first + asked.output_tokens * one.tpot_s)

    def opened(self, flight: float) -> Open:
        """At the rate that keeps so many in flight."""
        pace = self.pace(flight)
        most = min(1 / self.queue(1).busy, flight / pace.whole_s)
        rate = crossing(lambda rate: self.queue(rate).room(rate, flight, pace.whole_s), 0.0, most)
        return pace.at(rate, self.queue(rate), self.load.output_tokens)


def in_flight(w: Work, m: Machine, layout: Layout, load: Load, *, flight: float, options: Options = PLAIN) -> Open:
    """The service under random arrivals at the rate at which so many requests are in flight on each replica.

    C = rate × (alone + wait(rate) + output × TPOT(C)) by Little's law, where a prompt alone takes front end + met ×
    steps × t(decode) + t(prefill) to its first token, and prompts take ρ = rate × t(marginal) / pp of the time.
    """
    return _Replica.of(w, m, layout, load, options).opened(flight)


def arrivals(
    w: Work, m: Machine, layout: Layout, load: Load, *, requests_per_s: float, options: Options = PLAIN
) -> Open | None:
    """The service under requests that arrive at random at a rate; None where the replica cannot keep up with them.

    Of more than `load.sequences` in flight some would have no slot. How long prompts wait follows from the rate alone,
    so that Little's law is one equation for how many are. The stages of a pipeline work on as many whole sequences each
    as it takes, which jumps, and may be met by more than one number: it is the fewest, which an idle replica comes to.
    """
    one = _Replica.of(w, m, layout, load, options)
    if one.opened(load.sequences).service.requests_per_s < requests_per_s:
        return None
    queue, pp, most = one.queue(requests_per_s), layout.pp, load.sequences

    def kept(flight: float) -> float:
        return requests_per_s * (one.pace(flight).whole_s + queue.mean_s)

    held = pp * last_within(lambda each: each * pp / kept(each * pp), int(most / pp)) if pp > 1 else 0
    flight = crossing(lambda flight: kept(flight) - flight, held, min(held + pp, most) if pp > 1 else most)
    return one.pace(flight).at(requests_per_s, queue, load.output_tokens)
