"""A need for memory as rows of an answer: each GPU type, the busiest GPU, and what would make it fit."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from inferplan.catalog.asked_gpus import shown_gpu
from inferplan.core.units import GIB
from inferplan.tools._tool import Part, absent
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.serving import Deployment, Serving
from inferplan.tools.sizing.changes import Change
from inferplan.tools.sizing.need import Fit


class Placed(Part):
    """The usual deployment that runs this load, or most of it; fewer GPUs may do, in narrower groups of more stages."""

    gpus: int
    nodes: int
    tp: int
    pp: int
    ep: int | None = Field(default=None, exclude_if=absent, description="GPUs that share out the experts.")


class HardwareRow(Part):
    """One GPU type: what memory alone asks for, and what the engine's rules give."""

    gpu: str
    memory_gib: float
    gpus_by_formula: int
    nodes_by_formula: int
    fit: str = Field(description="single_gpu, single_node or multi_node, by memory alone.")
    deploy: Placed | None = Field(description="Usual legal deployment, null where none can run or is known.")
    max_concurrent_users: int | None = Field(description="Users that `deploy` takes at full context, in time.")
    users_by_memory: int | None = Field(
        default=None, exclude_if=absent, description="Of `gpu`, where latency allows fewer."
    )
    users_at_half: int | None = Field(
        default=None, exclude_if=absent, description="Of `gpu`, unless a latency is asked for."
    )
    longest_context: int | None = Field(
        default=None, exclude_if=absent, description="Longest context at which `deploy` takes all users; likewise."
    )
    shortfall_gib_per_gpu: float | None = Field(
        default=None, exclude_if=absent, description="Of `gpu`: what each lacks, where it does not fit."
    )

    @property
    def users(self) -> int:
        """Users that `deploy` takes; 0 where not known."""
        return self.max_concurrent_users or 0


class GpuMemory(Part):
    """What the engine counts against the budget of the busiest GPU, and the cache that is left. [GiB]"""

    weights: float
    adapters: float | None = Field(default=None, exclude_if=absent, description="Buffers for LoRA.")
    activation: float
    non_torch: float
    graphs: float
    kv_pool: float


class Remedy(Part):
    """One change that makes it fit, as arguments to ask again with, and what then fits."""

    change: Mapping[str, str | int]
    gpus: int
    max_concurrent_users: int


def gpu_memory(here: Fit) -> GpuMemory | None:
    """Where the memory of the busiest GPU goes; None where the engine's cache is not modelled. [GiB]"""
    if here.on.not_modelled:
        return None
    rank = here.tightest.memory
    return GpuMemory(
        weights=round(rank.weights / GIB, 2),
        adapters=round(rank.adapters / GIB, 2) if rank.adapters else None,
        activation=round(rank.activation / GIB, 2),
        non_torch=round(rank.non_torch / GIB, 2),
        graphs=round(rank.graphs / GIB, 2),
        kv_pool=round(rank.pool / GIB, 2),
    )


def remedy(change: Change) -> Remedy:
    """A change as a row of the answer."""
    return Remedy(change=change.arguments, gpus=change.gpus, max_concurrent_users=change.users)


def hardware_row(one: Fit, **more: Any) -> HardwareRow:
    """A GPU type as a row of the answer; `more` are the fields of `detailed`."""
    return HardwareRow(
        gpu=shown_gpu(one.gpu),
        memory_gib=round(one.gpu.memory / GIB, 2),
        gpus_by_formula=one.by_formula,
        nodes_by_formula=one.nodes_by_formula,
        fit="single_gpu" if one.by_formula == 1 else "single_node" if one.nodes_by_formula == 1 else "multi_node",
        deploy=_placed(one.on, one.placed) if one.placed else None,
        max_concurrent_users=None if one.on.is_unknown else one.users,
        **more,
    )


def detailed(one: Fit) -> dict[str, Any]:
    """The fields that only the GPU asked for has: how far its deployment goes, or what each GPU lacks."""
    left_out = one.on.pace is not None or bool(one.on.not_modelled)
    return {
        "users_by_memory": one.by_memory if one.waits else None,
        "users_at_half": None if left_out else one.half_users,
        "longest_context": None if left_out or one.any_length else one.longest,
        "shortfall_gib_per_gpu": None if one.is_enough else rounded(one.tightest.shortfall, GIB),
    }


def _placed(on: Serving, deployment: Deployment) -> Placed:
    """A deployment as part of a row."""
    layout = deployment.layout
    over = experts_over(on, layout)
    shared = over if over > 1 else None
    return Placed(gpus=layout.gpus, nodes=deployment.nodes, tp=layout.tp, pp=layout.pp, ep=shared)


def rounded(value: float | None, unit: float) -> float | None:
    """Bytes in a larger unit, to a thousandth; None stays None."""
    return None if value is None else round(value / unit, 3)
