"""The memory of one GPU and what its KV pool holds: the types in which every engine's rules answer."""

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

    Of `total` the engine fills at most its `budget`. It counts against the budget `weights`, `adapters` (LoRA buffers,
    which engines print with the weights), `activation` (the peak of a forward pass), `non_torch` (vLLM's name for what
    libraries and, since 0.27, the model runner hold; answers call it runtime) and CUDA `graphs`. The KV cache gets
    `pool_share` of the rest. `outside` is what the engine takes beyond its budget: the CUDA context, buffers of
    collectives, and graphs or activations that it does not count.
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
        """The KV pool; negative where the rest alone exceeds the budget, and the engine refuses to start. [B]"""
        return self.pool_share * (self.budget - self._counted)

    @property
    def _counted(self) -> float:
        """What counts against the budget before the KV cache. [B]"""
        return self.weights + self.adapters + self.activation + self.non_torch + self.graphs

    @property
    def headroom(self) -> float:
        """total - budget - outside; negative where the engine runs out of memory as it warms up. [B]"""
        return self.total - self.budget - self.outside


class Held(NamedTuple):
    """What a pool holds: tokens as the engine prints them, and sequences of one context at once, fractions included."""

    tokens: int
    concurrency: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """What a pool holds as functions of the context of its sequences. [tokens]

    `sequences` is the largest `max_num_seqs` that the engine accepts, None where the pool sets no bound. `tables` is
    what an engine started for a context takes beyond its budget for it, None where that does not depend on it. [B]
    """

    tokens: Callable[[int], int]
    concurrency: Callable[[int], float]
    sequences: int | None = None
    tables: Callable[[int], float] | None = None

    def at(self, context: int) -> Held:
        """What it holds of sequences of `context` tokens each."""
        return Held(self.tokens(context), self.concurrency(context))


class Rules(Protocol):
    """What a module of one engine's memory rules provides."""

    def default_batching(self, gpu: Gpu, version: int, /) -> tuple[int, int]:
        """The engine's default `max_num_batched_tokens` and `max_num_seqs` on this GPU; `version` is vLLM's."""
        ...

    def utilization(self, architecture: Architecture, gpu: Gpu, layout: Layout, engine: Engine, /) -> float:
        """The share of memory that the engine may fill: as set, or its default for model, GPU and layout. [fraction]"""
        ...

    def memory(self, model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
        """Where the memory of the busiest GPU goes. [B]"""
        ...

    def holding(self, model: Model, layout: Layout, engine: Engine, pool: float, *, kv_bits: float) -> Holding:
        """What a pool of `pool` bytes on one GPU holds."""
        ...

    def not_modelled(self, architecture: Architecture, engine: Engine, /) -> str | None:
        """Why the engine's cache of this architecture cannot be computed, None where it can."""
        ...
