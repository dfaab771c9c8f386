"""A replica under requests that arrive at random: how many are in flight, and how long their prompts wait.

Units: seconds, requests per second of one replica.
"""

from dataclasses import dataclass, replace
from math import log, sqrt

from inferplan.core.parallelism import Layout
from inferplan.core.performance import Machine
from inferplan.core.serving_laws import PLAIN, Load, Options, Service, first_token_s, marginal_s, serve
from inferplan.core.work import Work

STEPS = 40
"""Of the halving that finds a rate, or how many requests are in flight at it."""


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

    @property
    def waiting(self) -> float:
        """ρ^(√(2 (c + 1)) - 1): prompts that wait at all, ρ for one replica. [fraction]"""
        return self.busy ** (sqrt(2 * (self.replicas + 1)) - 1)

    @property
    def _further_s(self) -> float:
        """each / 2 / c / (1 - ρ): how long those wait that wait at all. [s]"""
        return self.each_s / 2 / self.replicas / (1 - self.busy)

    @property
    def mean_s(self) -> float:
        """How long a prompt waits for those before it. [s]

        >>> Queue(busy=0.5, each_s=0.1).mean_s, Queue(busy=0.5, each_s=0.1, replicas=7).mean_s
        (0.05, 0.0017857142857142859)
        """
        return self.waiting * self._further_s

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


def in_flight(w: Work, m: Machine, layout: Layout, load: Load, *, flight: float, options: Options = PLAIN) -> Open:
    """The service under random arrivals at the rate at which so many requests are in flight on each replica.

    C = rate × (alone + wait(rate) + output × TPOT(C)) by Little's law, where a prompt alone takes front end + met ×
    steps × t(decode) + t(prefill) to its first token, and prompts take ρ = rate × t(marginal) / pp of the time. Who
    arrives at random finds all C in flight, none of which is its own: C of them disturb. Halving finds the rate.
    """
    asked = replace(load, sequences=max(1.0, flight), slots=None, others=flight)
    one = serve(w, m, layout, asked, options)
    each = marginal_s(w, m, layout, load.input_tokens, options) / layout.pp
    alone = first_token_s(m.efficiency, asked, one.decode, one.prefill.total_s)
    taken_s = alone + load.output_tokens * one.tpot_s

    def queue(rate: float) -> Queue:
        return Queue(busy=rate * each, each_s=one.prefill.total_s, replicas=layout.dp)

    low, high = 0.0, min(1 / each, flight / taken_s)
    for _ in range(STEPS):
        rate = (low + high) / 2
        low, high = (rate, high) if rate * (taken_s + queue(rate).mean_s) <= flight else (low, rate)
    rates = {"requests_per_s": low, "tokens_per_s": low * load.output_tokens}
    return Open(service=replace(one, ttft_s=alone + queue(low).mean_s, **rates), queue=queue(low))


def arrivals(
    w: Work, m: Machine, layout: Layout, load: Load, *, requests_per_s: float, options: Options = PLAIN
) -> Open | None:
    """The service under requests that arrive at random at a rate; None where the replica cannot keep up with them.

    Of more than `load.sequences` in flight some would have no slot. Halving finds how many are, as the rate grows
    with them.
    """
    on = (w, m, layout, load)
    few, many = 0.0, load.sequences
    if in_flight(*on, flight=many, options=options).service.requests_per_s < requests_per_s:
        return None
    for _ in range(STEPS):
        half = (few + many) / 2
        rate = in_flight(*on, flight=half, options=options).service.requests_per_s
        few, many = (half, many) if rate < requests_per_s else (few, half)
    return in_flight(*on, flight=many, options=options)
