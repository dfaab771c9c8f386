"""A layout under requests that arrive at random: how long first tokens take, and the rate beyond which they pile up."""

from collections.abc import Iterator
from dataclasses import dataclass

from inferplan.core.open_load import Open
from inferplan.core.units import MILLI
from inferplan.tools import _words as words
from inferplan.tools._figures import at_most
from inferplan.tools._plans import Case

SHARES = (0.5, 0.9, 0.99)
"""Of requests: P50, P90, P99."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arriving:
    """So many requests a second on all replicas of the chosen layout, and the most that these keep up with."""

    rate: float
    most: float
    found: Open | None

    @classmethod
    def at(cls, case: Case, rate: float) -> "Arriving | None":
        """The chosen layout of a case, its replicas sharing the requests; None where no latency can be estimated."""
        plan = case.chosen
        copies, load = plan.layout.dp, case.demand.load(plan.deployment.capacity.sessions)
        if plan.replica is None:
            return None
        found, most = plan.replica.open(load, rate / copies)
        return cls(rate=rate, most=copies * most, found=found)

    @property
    def percentiles_ms(self) -> list[float] | None:
        """P50, P90 and P99 of the time to the first token; None where requests pile up. [ms]"""
        if self.found is None:
            return None
        return [round(self.found.ttft_s(share) / MILLI, 1) for share in SHARES]

    @property
    def most_shown(self) -> float:
        """The most requests per second, to three figures: so many are kept up with."""
        return at_most(self.most, 3)

    def sentences(self) -> Iterator[str]:
        """What the arrivals mean for the first token, or that they are too many and what to do."""
        if self.found is None:
            yield (
                f"It does not keep up with {self.rate:g} requests/s that arrive at random: they pile up beyond "
                f"{self.most_shown:g}. Take more replicas, or shorter turns."
            )
            return
        half, most, nearly = (words.seconds(self.found.ttft_s(share)) for share in SHARES)
        yield (
            f"With {self.rate:g} requests/s arriving at random, a first token takes {half} at the median, {most} at "
            f"P90 and {nearly} at P99; beyond {self.most_shown:g} requests/s they pile up."
        )
