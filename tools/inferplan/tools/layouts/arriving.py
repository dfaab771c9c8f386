"""Requests that arrive at random on a layout: percentiles of TTFT, and the rate that it sustains."""

from dataclasses import dataclass
from math import ceil, inf

from inferplan.core.open_load import Open
from inferplan.core.speed.load import Load
from inferplan.core.units import HOURS_PER_DAY, MILLI, SECONDS_PER_HOUR
from inferplan.tools._figures import rounded_down
from inferplan.tools.serving.latency import Latency
from inferplan.tools.serving.replica import Replica

SHARES = (0.5, 0.9, 0.99)
"""Shares of requests whose TTFT is reported: P50, P90, P99."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrivals:
    """Requests that arrive at random, spread evenly over all replicas of a layout, and the rate that these sustain.

    `rate` arrives, `most` is sustained with the `held` users that fit. [requests/s] `found` is the service at `rate`,
    None where requests pile up.
    """

    rate: float
    most: float
    held: int
    output_tokens: int
    found: Open | None

    @classmethod
    def at(cls, replica: Replica, load: Load, rate: float) -> "Arrivals":
        """The arrivals at all copies of a replica, whose `load` is all sessions that it holds."""
        copies = replica.layout.dp
        found, most = replica.open(load, rate / copies)
        return cls(
            rate=rate,
            most=copies * most,
            held=copies * int(load.sequences),
            output_tokens=int(load.output_tokens),
            found=found,
        )

    def excess(self, latency: Latency) -> float:
        """Their mean latency over the one asked for; infinite where requests pile up. [ratio]"""
        return latency.excess(self.found.service) if self.found else inf

    @property
    def busy(self) -> float:
        """rate x (TTFT + output x TPOT): users that are answered at once, by Little's law.

        Where requests pile up, as many as would keep replicas busy that sustain the rate: held x rate / most.
        """
        if self.found is None:
            return self.held * self.rate / self.most
        service = self.found.service
        return min(self.held, self.rate * (service.ttft_s + self.output_tokens * service.tpot_s))

    @property
    def users(self) -> int:
        """Users to plan for: more than are held where requests pile up."""
        return max(1 if self.found else self.held + 1, ceil(self.busy))

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
