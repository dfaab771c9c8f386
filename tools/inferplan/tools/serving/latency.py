"""The latency that users are to get, and the most of them that get it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from inferplan.core.bracket import last_within
from inferplan.core.load import Load
from inferplan.core.serving_laws import Service
from inferplan.core.units import MILLI


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """The longest time to the first token and per token that a user should see; None where not asked for. [s]"""

    ttft_s: float | None = None
    tpot_s: float | None = None

    @classmethod
    def of_ms(cls, ttft_ms: float | None, tpot_ms: float | None) -> "Latency":
        """The same out of milliseconds."""
        return cls(
            ttft_s=None if ttft_ms is None else ttft_ms * MILLI, tpot_s=None if tpot_ms is None else tpot_ms * MILLI
        )

    def __bool__(self) -> bool:
        """Whether any is asked for."""
        return self.ttft_s is not None or self.tpot_s is not None

    def __str__(self) -> str:
        """The limits in words.

        >>> str(Latency(ttft_s=0.5, tpot_s=0.05)), str(Latency(tpot_s=0.0125))
        ('TTFT <= 500 ms and TPOT <= 50 ms', 'TPOT <= 12.5 ms')
        """
        asked = (("TTFT", self.ttft_s), ("TPOT", self.tpot_s))
        return " and ".join(f"{name} <= {seconds / MILLI:g} ms" for name, seconds in asked if seconds is not None)

    def excess(self, service: Service | None) -> float:
        """The largest of the latencies over what is asked for; infinite where it cannot be estimated. [ratio]"""
        if not self:
            return 0
        return max(service.ttft_s / (self.ttft_s or inf), service.tpot_s / (self.tpot_s or inf)) if service else inf

    def most(self, held: int, service: Callable[[int], Service | None]) -> int:
        """The most of `held` sessions that get it; 0 where not even one does: latency never falls with sessions."""
        return last_within(lambda n: self.excess(service(n)), held) if self else held


WHENEVER = Latency()
"""No latency is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """A latency with the turn that it is measured on: tokens in and out, whatever the context of the session."""

    latency: Latency
    input_tokens: int
    output_tokens: int

    def load(self, context: int, sequences: int) -> Load:
        """A replica with this many sessions, all of which are at full context when their turn ends."""
        return Load(
            sequences=sequences,
            context=context,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            past=max(0, context - self.input_tokens - self.output_tokens),
        )
