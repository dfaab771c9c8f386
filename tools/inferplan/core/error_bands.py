"""Error bands of predicted times: how far published runs lie from them, by law, engine, GPU generation, attention."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from inferplan.core.architecture import Architecture
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.speed.efficiency import LOCAL, Kind
from inferplan.core.speed.speed_bands import BANDS

Law = Literal["tpot", "ttft", "offline", "static", "single", "prompt", "slots"]
"""The laws of the speed model, each with its errors: TPOT and TTFT under load, offline throughput, one static batch,
decode of one sequence, prefill of one prompt, and a step of several sequences in llama.cpp ("slots")."""
Level = Literal[50, 90]
"""The percentage of published runs within a band."""
ENOUGH = 30
"""The fewest runs of a kind that give it a band of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """50 or 90 percent of `n` published runs took between `low` and `high` times their predicted time.

    A throughput lies between 1 / high and 1 / low times its prediction. The errors are out of sample: of constants
    fitted without the source of the run, or of runs in no fit where one model alone is (sparse attention). The runs
    have the same kind of attention (`alike`), are on GPUs of the same generation (`here`) and with the same engine
    (`own`), or are those of all kinds where there were too few.
    """

    low: float
    high: float
    n: int
    alike: bool
    here: bool
    own: bool = True

    @property
    def where(self) -> str:
        """Where the runs were measured, as a clause; empty on this engine and this generation.

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
        """The band of a predicted time. [s]"""
        return seconds * self.low, seconds * self.high


def attention_of(architecture: Architecture) -> str:
    """The kind of attention: plain, windowed, latent, sparse or recurrent."""
    mixers = [mixer for _, mixer in architecture.mixers]
    if any(getattr(mixer, "indexer", None) or isinstance(mixer, Compressed) for mixer in mixers):
        return "sparse"
    if any(mixer.state and mixer.state.recurrent for mixer in mixers):
        return "recurrent"
    if any(isinstance(mixer, Latent) for mixer in mixers):
        return "latent"
    return "plain" if architecture.plain is not None else "windowed"


def _generation(kind: Kind) -> str:
    """The generation whose errors are taken together; all of llama.cpp's are one."""
    return "local" if kind.generation in LOCAL else kind.generation


def groups(law: str, kind: Kind, attention: str) -> Iterator[tuple[str, str, str, str]]:
    """Keys of `BANDS` that hold for a prediction, narrowest first: law, engine, generation, attention; "" for all."""
    generation = _generation(kind)
    yield law, kind.engine, generation, attention
    yield law, "", generation, attention
    yield law, "", "", attention
    yield law, kind.engine, generation, ""
    yield law, "", generation, ""
    yield law, "", "", ""


def band(law: Law, *, kind: Kind, attention: str, level: Level = 50) -> Band:
    """The band of the narrowest kind with enough published runs, widened by 1 / √n of its logarithm.

    It always includes the prediction itself, and so more than `level` percent of runs may lie within.

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
