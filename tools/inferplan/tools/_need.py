"""The memory that a model takes to serve its users, part by part, and the GPUs of a type that hold it."""

from dataclasses import dataclass
from functools import cached_property

from inferplan.core import memory
from inferplan.core.architecture import Model
from inferplan.core.hardware import Gpu
from inferplan.core.precision import Precision
from inferplan.tools._serving import Deployment, Serving


@dataclass(frozen=True, kw_only=True)
class Need:
    """A model in its format, and the users that it serves, each at full context. Sizes are in bytes."""

    on: Serving
    users: int
    context: int
    overhead_fraction: float

    @property
    def model(self) -> Model:
        """The model."""
        return self.on.model

    @property
    def precision(self) -> Precision:
        """The format of its weights."""
        return self.on.precision

    @cached_property
    def weights(self) -> float:
        """What is loaded. [B]"""
        return memory.weights(self.model, self.precision).total

    @cached_property
    def kv_per_token(self) -> float:
        """KV cache that one more token adds once windows are full. [B]"""
        return memory.kv_bytes_per_token(self.model.architecture, kv_bits=self.on.kv_bits)

    @cached_property
    def kv_per_user(self) -> float:
        """KV cache of one user at full context, windows and constant state included. [B]"""
        return memory.kv_cache_bytes(self.model.architecture, self.context, kv_bits=self.on.kv_bits)

    @cached_property
    def kv_cache(self) -> float:
        """KV cache of all users. [B]"""
        return self.users * self.kv_per_user

    @cached_property
    def overhead(self) -> float:
        """The guide's allowance for everything else. [B]"""
        return memory.overhead(self.weights, self.kv_cache, fraction=self.overhead_fraction)

    @property
    def total(self) -> float:
        """All of it together. [B]"""
        return self.weights + self.kv_cache + self.overhead


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """GPUs of one type: as many as memory alone asks for, and the smallest deployment that the engine can run."""

    gpu: Gpu
    by_formula: int
    node_size: int
    placed: Deployment | None

    @property
    def nodes_by_formula(self) -> int:
        """Servers of the GPUs that memory alone asks for. [nodes]"""
        return -(-self.by_formula // self.node_size)

    @property
    def users(self) -> int:
        """Users that the deployment takes at full context."""
        return self.placed.users if self.placed else 0


def fit(need: Need, on: Serving) -> Fit:
    """A need held against the GPU that `on` stands on, by formula and by the engine's rules."""
    return Fit(
        gpu=on.gpu,
        by_formula=memory.devices_for(need.total, on.gpu.memory),
        node_size=on.node_size,
        placed=on.for_users(need.users, need.context),
    )
