"""Where the memory of one GPU goes, and what its KV pool holds: the form in which every engine's rules answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class RankMemory:
    """The memory of the busiest GPU of a replica. [B]

    `budget` is what the engine lets itself fill; `weights`, `adapters` (buffers for LoRA, which engines print with the
    weights), `activation`, `non_torch` and `graphs` are what it counts against it, and the KV cache takes `pool_share`
    of the rest. `non_torch` has the name that vLLM's logs have for it; answers call it runtime: what libraries and,
    since vLLM 0.27, the model runner hold. What it needs beyond its budget (the CUDA context, buffers of collectives,
    graphs or activations that it does not count) is `outside`.
    """

    total: float
    budget: float
    weights: float
    adapters: float = 0.0
    activation: float = 0.0
    non_torch: float = 0.0
    graphs: float = 0.0
    outside: float = 0.0
    pool_share: float = 1.0

    @property
    def pool(self) -> float:
        """What is left for the KV cache; negative where the engine refuses to start. [B]"""
        return self.pool_share * (self.budget - self._counted)

    @property
    def _counted(self) -> float:
        """What stands against the budget before any cache. [B]"""
        return self.weights + self.adapters + self.activation + self.non_torch + self.graphs

    @property
    def headroom(self) -> float:
        """What the device has beyond budget and `outside`; negative where warm-up runs out of memory. [B]"""
        return self.total - self.budget - self.outside


class Held(NamedTuple):
    """What a pool holds: tokens as the engine prints them, and sequences of one context at once, parts counted."""

    tokens: int
    concurrency: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """The same by the context of its sequences.

    `sequences` are those that the engine may be told to run at once, None where the pool does not bound them. `tables`
    are what an engine that is started for this context takes beyond its budget, where it takes any. [B]
    """

    tokens: Callable[[int], int]
    concurrency: Callable[[int], float]
    sequences: int | None = None
    tables: Callable[[int], float] | None = None

    def at(self, context: int) -> Held:
        """Of sequences of so many tokens."""
        return Held(self.tokens(context), self.concurrency(context))


class Rules(Protocol):
    """What a module says of its engine's memory."""

    def default_batching(self, gpu: Gpu, version: int, /) -> tuple[int, int]:
        """Tokens of a step and sequences at once that the engine takes by default on this GPU; `version` is vLLM's."""
        ...

    def utilization(self, architecture: Architecture, gpu: Gpu, layout: Layout, engine: Engine, /) -> float:
        """The share that the engine may fill: as set, or its own default for this model, GPU and layout. [fraction]"""
        ...

    def memory(self, model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
        """Where the memory of the busiest GPU goes."""
        ...

    def holding(self, model: Model, layout: Layout, engine: Engine, pool: float, *, kv_bits: float) -> Holding:
        """What a pool of so many bytes on one GPU holds, by the context of its sequences."""
        ...

    def not_modelled(self, architecture: Architecture, engine: Engine, /) -> str | None:
        """Why the engine's cache of this architecture is not computed here, None where it is."""
        ...
