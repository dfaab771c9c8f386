"""How far published runs lie from predictions, by the law that predicts them, engine, GPU generation and attention."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from inferplan.core.architecture import Architecture
from inferplan.core.compressed_attention import Compressed
from inferplan.core.efficiency import LOCAL, Kind
from inferplan.core.latent_attention import Latent
from inferplan.core.speed_bands import BANDS

Law = Literal["tpot", "ttft", "offline", "static", "single", "prompt", "slots"]
"""Time per token and to the first under load, slots never idle, one batch, one sequence, one prompt alone; a step of
several sequences in llama.cpp."""
Level = Literal[50, 90]
"""Percent of published runs that lie within a band."""
ENOUGH = 30
"""Runs from which the errors of a kind are told apart from those of a wider one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Between `low` and `high` times a predicted time lie 50 or 90 percent of `n` published runs of this kind.

    A throughput lies between 1 / high and 1 / low times its prediction. The errors are those of constants that were
    fitted without the source of the run. `alike` says whether the runs were of the same attention, `here` whether on
    GPUs of the same generation, `own` whether of the same engine: those of all are taken where it has too few.
    """

    low: float
    high: float
    n: int
    alike: bool
    here: bool
    own: bool = True

    @property
    def where(self) -> str:
        """Where the runs were, if not on this engine and such GPUs.

        >>> Band(low=0.9, high=1.24, n=300, alike=True, here=False).where
        ' on other GPUs'
        >>> Band(low=0.9, high=1.24, n=300, alike=True, here=False, own=False).where
        ' on any engine and other GPUs'
        """
        places = [*([] if self.own else ["any engine"]), *([] if self.here else ["other GPUs"])]
        return f" on {' and '.join(places)}" if places else ""

    @property
    def percent(self) -> str:
        """The band in percent of the prediction.

        >>> Band(low=0.9, high=1.24, n=300, alike=True, here=True).percent
        '-10 to +24 %'
        """
        low, high = (round(100 * (end - 1)) for end in (self.low, self.high))
        return f"{low:+d} to {high:+d} %"

    def of(self, seconds: float) -> tuple[float, float]:
        """The range of a time. [s]"""
        return seconds * self.low, seconds * self.high


def attention_of(architecture: Architecture) -> str:
    """What mixes tokens: plain, windowed, latent, sparse or recurrent."""
    mixers = [mixer for _, mixer in architecture.mixers]
    if any(getattr(mixer, "indexer", None) or isinstance(mixer, Compressed) for mixer in mixers):
        return "sparse"
    if any(mixer.state and mixer.state.recurrent for mixer in mixers):
        return "recurrent"
    if any(isinstance(mixer, Latent) for mixer in mixers):
        return "latent"
    return "plain" if architecture.plain is not None else "windowed"


def _generation(kind: Kind) -> str:
    """The GPUs whose errors are counted together."""
    return "local" if kind.generation in LOCAL else kind.generation


def groups(law: str, kind: Kind, attention: str) -> Iterator[tuple[str, str, str, str]]:
    """The kinds of run that a prediction belongs to, the narrowest first: law, engine, generation, attention."""
    generation = _generation(kind)
    yield law, kind.engine, generation, attention
    yield law, "", generation, attention
    yield law, "", "", attention
    yield law, kind.engine, generation, ""
    yield law, "", generation, ""
    yield law, "", "", ""


def band(law: Law, *, kind: Kind, attention: str, level: Level = 50) -> Band:
    """The band of the narrowest kind that has enough published runs, 1 / √n wider for the runs that are few.

    It always holds the prediction itself, so that more than `level` percent may lie within.

    >>> h100 = Kind(generation="hopper", engine="vllm", arithmetic="native")
    >>> found = band("tpot", kind=h100, attention="plain")
    >>> found.low < 1.1 and found.high > 0.9, found.n >= ENOUGH, found.here
    (True, True, True)
    """
    key = next(one for one in groups(law, kind, attention) if one in BANDS)
    n, quantiles = BANDS[key]
    low, high = quantiles[level]
    wider = 1 + 1 / sqrt(n)
    return Band(
        low=min(1.0, low**wider),
        high=max(1.0, high**wider),
        n=n,
        alike=key[3] == attention,
        here=key[2] == _generation(kind),
        own=key[1] == kind.engine,
    )
