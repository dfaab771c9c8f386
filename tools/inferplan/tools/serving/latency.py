"""The latency asked for, and the most sessions that get it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from inferplan.core.bracket import last_within
from inferplan.core.serving_laws import Service
from inferplan.core.speed.load import Load
from inferplan.core.units import MILLI


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """The limits of TTFT and TPOT; None where not limited. [s]"""

    ttft_s: float | None = None
    tpot_s: float | None = None

    @classmethod
    def of_ms(cls, ttft_ms: float | None, tpot_ms: float | None) -> "Latency":
        """The limits given in milliseconds."""
        return cls(
            ttft_s=None if ttft_ms is None else ttft_ms * MILLI, tpot_s=None if tpot_ms is None else tpot_ms * MILLI
        )

    def __bool__(self) -> bool:
        """Whether either is limited."""
        return self.ttft_s is not None or self.tpot_s is not None

    def __str__(self) -> str:
        """The limits in words.

        >>> str(Latency(ttft_s=0.5, tpot_s=0.05)), str(Latency(tpot_s=0.0125))
        ('TTFT <= 500 ms and TPOT <= 50 ms', 'TPOT <= 12.5 ms')
        """
        asked = (("TTFT", self.ttft_s), ("TPOT", self.tpot_s))
        return " and ".join(f"{name} <= {seconds / MILLI:g} ms" for name, seconds in asked if seconds is not None)

    @property
    def unmet(self) -> str:
        """What is added to the name of GPUs that hold the users, where none serve them in time."""
        return f", though not within {self}"

    def excess(self, service: Service | None) -> float:
        """max(TTFT / limit, TPOT / limit); 0 without limits, infinite where not timed. [ratio]"""
        if not self:
            return 0
        return max(service.ttft_s / (self.ttft_s or inf), service.tpot_s / (self.tpot_s or inf)) if service else inf

    def most(self, held: int, service: Callable[[int], Service | None]) -> int:
        """The most of `held` sessions within the limits, 0 where not even one is: latency never falls with sessions."""
        return last_within(lambda n: self.excess(service(n)), held) if self else held


WHENEVER = Latency()
"""No limits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """A latency and the turn that it is measured on, in input and output tokens."""

    latency: Latency
    input_tokens: int
    output_tokens: int

    def load(self, context: int, sequences: int) -> Load:
        """The load of a replica with this many sessions, each at full context at the end of its turn."""
        return Load(
            sequences=sequences,
            context=context,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            past=max(0, context - self.input_tokens - self.output_tokens),
        )
