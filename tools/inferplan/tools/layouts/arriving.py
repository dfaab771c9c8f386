"""The chosen layout under requests that arrive at random: percentiles of TTFT, and the rate that it sustains."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

from inferplan.core.open_load import Open
from inferplan.core.units import HOURS_PER_DAY, MILLI, SECONDS_PER_HOUR
from inferplan.tools import _words as words
from inferplan.tools._arguments import USERS_AT_MOST
from inferplan.tools._figures import rounded_down
from inferplan.tools.layouts.demand import Demand
from inferplan.tools.layouts.plans import Case

SHARES = (0.5, 0.9, 0.99)
"""Shares of requests whose TTFT is reported: P50, P90, P99."""
TRIES = 6
"""Rounds in which more users are planned for, until the arrivals are kept up with in time."""
MORE = 1.25
"""Growth of the users in each round, at least. [ratio]"""
MENTIONED = 1.5
"""Users answered at once from which their number is told: below, most are alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arriving:
    """Requests that arrive at random on all replicas of the chosen layout, and the rate that these sustain.

    `rate` arrives, `most` is sustained with the `held` users that fit. [requests/s] `found` is the service at `rate`,
    None where requests pile up.
    """

    rate: float
    most: float
    held: int
    found: Open | None
    demand: Demand

    @classmethod
    def at(cls, case: Case, rate: float) -> "Arriving | None":
        """The arrivals at the chosen layout of a case, spread evenly over its replicas; None where not timed."""
        plan = case.chosen
        copies, load = plan.layout.dp, case.demand.load(plan.deployment.sessions)
        if plan.replica is None:
            return None
        found, most = plan.replica.open(load, rate / copies)
        return cls(rate=rate, most=copies * most, held=plan.users, found=found, demand=case.demand)

    @property
    def is_enough(self) -> bool:
        """Whether the arrivals are kept up with, and the mean latency is within the one asked for."""
        return self.found is not None and self.demand.meets(self.found.service)

    @property
    def per_day(self) -> int:
        """The requests of a day at this rate. [requests/day]"""
        return max(1, round(self.rate * HOURS_PER_DAY * SECONDS_PER_HOUR))

    @property
    def percentiles_ms(self) -> list[float] | None:
        """P50, P90 and P99 of the time to the first token; None where requests pile up. [ms]"""
        if self.found is None:
            return None
        return [round(self.found.ttft_s(share) / MILLI, 1) for share in SHARES]

    @property
    def most_shown(self) -> float:
        """The sustained rate, rounded down to three digits. [requests/s]"""
        return rounded_down(self.most)

    def sentences(self) -> Iterator[str]:
        """The TTFT percentiles and the sustained rate in sentences; or that the arrivals exceed it, and what to do."""
        if self.found is None:
            way = "Take more replicas, or shorter turns."
            if self.demand.is_capped:
                way = f"No more than {USERS_AT_MOST:,} users are planned for at once: ask for a part of the requests."
            yield (
                f"It does not keep up with {self.rate:.10g} requests/s that arrive at random: they pile up beyond "
                f"{self.most_shown:.10g}. {way}"
            )
            return
        half, most, nearly = (words.seconds(self.found.ttft_s(share)) for share in SHARES)
        first = f"{half} at the median, {most} at P90 and {nearly} at P99"
        if half == nearly:
            first = f"{half} at the median and at P99 alike (hardly any request waits for another)"
        single = self.demand.output_tokens == 1
        each = "" if single else f", each further one {words.seconds(self.found.service.tpot_s)}"
        users = _kept_busy(self.rate, self.demand, self.found.service.ttft_s, self.found.service.tpot_s)
        busy = f", which keep about {round(users):,} users busy" if users >= MENTIONED else ""
        late = "" if self.is_enough else f". On average that misses {self.demand.latency}"
        yield (
            f"With {self.rate:.10g} requests/s arriving at random{busy}, a first token takes {first}{each}{late}; "
            f"beyond {self.most_shown:.10g} requests/s they pile up."
        )


def demand_at_rate(demand: Demand, rate: float, plan: Callable[[Demand], Case]) -> tuple[Demand, Case | None]:
    """The demand, with more users where the requests keep more of them busy; and its case, None where not planned yet.

    By Little's law a rate keeps rate × (TTFT + output × TPOT) users busy: at the latency of the full layout, and where
    that is not enough and both times are limited, at the limits: a layout for that many users in time keeps up. The
    search ends where no layout serves the users, or after `TRIES` rounds.
    """
    for tried in range(TRIES):
        case = plan(demand)
        found = Arriving.at(case, rate) if case.plans and case.serves(case.chosen) else None
        if found is None or found.is_enough:
            return demand, case
        allowed, own = _at_the_limits(demand, rate), ceil(found.held * rate / found.most)
        grown = max(own, ceil(MORE * demand.users))
        users = grown if allowed is None or tried > 1 else allowed if tried else min(grown, allowed)
        demand = replace(demand, users=min(max(users, demand.users + 1), USERS_AT_MOST), rate=rate)
    return demand, None


def _at_the_limits(demand: Demand, rate: float) -> int | None:
    """The users kept busy at the latencies asked for; None unless both are limited."""
    ttft, tpot = demand.latency.ttft_s, demand.latency.tpot_s
    return None if ttft is None or tpot is None else ceil(_kept_busy(rate, demand, ttft, tpot))


def _kept_busy(rate: float, demand: Demand, ttft_s: float, tpot_s: float) -> float:
    """rate × (TTFT + output × TPOT): users that are answered at once, by Little's law."""
    return rate * (ttft_s + demand.output_tokens * tpot_s)
