"""The layouts to compare for a model on its GPUs: what each holds and delivers, and which of them to take."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

from inferplan.core import memory
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import Load, Service
from inferplan.tools._serving import Deployment, Serving

DEPTHS = (2, 4, 8)
"""Stages of the widest tensor group that are compared beside the smallest replica."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The users, the context that each fills, the tokens of a turn; and the GPUs, None for the fewest that do."""

    users: int
    context: int
    input_tokens: int
    output_tokens: int
    gpus: int | None

    def load(self, sequences: int) -> Load:
        """A replica with this many sessions, all of them full."""
        return Load(
            sequences=sequences,
            context=self.context,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A layout with what it holds and delivers under the load asked for."""

    deployment: Deployment
    service: Service | None
    running: int
    sequences: int
    full: Service | None

    @property
    def layout(self) -> Layout:
        """The degrees."""
        return self.deployment.layout

    @property
    def users(self) -> int:
        """Sessions at full context, all replicas together."""
        return self.deployment.users

    @property
    def tokens_per_s(self) -> float | None:
        """Output tokens of all running sessions, each as fast as on the busiest replica. [tokens/s]"""
        return self.running * self.service.tokens_per_s / self.sequences if self.service else None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model on its GPUs, the demand, and the plans to compare, by the guide's rules first; none where none fits."""

    on: Serving
    demand: Demand
    plans: tuple[Plan, ...]

    @cached_property
    def chosen(self) -> Plan:
        """By the guide's rules where no load is asked for; else the fastest that holds the users, or the roomiest."""
        if self.demand.users == 1:
            return self.plans[0]
        holding = [plan for plan in self.plans if plan.users >= self.demand.users]
        if holding:
            return max(holding, key=lambda plan: plan.tokens_per_s or 0)
        return max(self.plans, key=lambda plan: plan.users)

    @cached_property
    def needed(self) -> Layout | None:
        """The smallest replica on any number of GPUs; None where none is legal."""
        return self.on.smallest(self.demand.context)

    @property
    def weights(self) -> float:
        """What is loaded. [B]"""
        return memory.weights(self.on.model, self.on.precision).total

    @property
    def min_gpus(self) -> int:
        """GPUs whose memory together is at least the weights: the guide's minimum. [GPUs]"""
        return memory.devices_for(self.weights, self.on.gpu.memory)


def compare(on: Serving, demand: Demand) -> Case:
    """Each replica that the GPUs hold, as often as they hold it.

    Where no number of GPUs is given it is the fewest whose replicas hold the users.
    """
    fewest = on.for_users(demand.users, demand.context)
    total = demand.gpus or (fewest.layout.gpus if fewest else 0)
    replicas = _replicas(on, demand, fewest, total)
    return Case(on=on, demand=demand, plans=tuple(_plan(on, demand, replica, total) for replica in replicas))


def _replicas(on: Serving, demand: Demand, fewest: Deployment | None, total: int) -> list[Layout]:
    """The replica layouts to compare, by the guide's rules first; none where nothing holds even one session."""
    first = on.smallest(demand.context, total)
    if first is None:
        return []
    staged = [Layout(tp=on.degrees[-1], pp=pp) for pp in DEPTHS if pp <= on.model.architecture.layers]
    holding = [replace(fewest.layout, dp=1)] if fewest else []
    offered = dict.fromkeys([first, *map(Layout.tensor, on.degrees), *holding, *staged])
    return [one for one in offered if one.replica <= total and on.capacity(one, demand.context).fits]


def _plan(on: Serving, demand: Demand, replica: Layout, total: int) -> Plan:
    """As many replicas as the GPUs allow, and the service under the users asked for."""
    layout = replace(replica, dp=total // replica.replica)
    deployment = on.deployment(layout, demand.context)
    sequences = min(ceil(demand.users / layout.dp), deployment.capacity.sessions)
    return Plan(
        deployment=deployment,
        service=on.service(layout, demand.load(sequences)),
        running=min(demand.users, deployment.users),
        sequences=sequences,
        full=on.service(layout, demand.load(deployment.capacity.sessions)),
    )
