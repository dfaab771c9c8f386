"""The layouts to compare for a model on its GPUs: what each holds and delivers, and which of them to take."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, inf
from typing import Literal

from inferplan.core import memory
from inferplan.core.parallelism import Layout, depths
from inferplan.core.serving_laws import Load, Service
from inferplan.tools._latency import Latency
from inferplan.tools._serving import Deployment, Serving

DEPTHS = (2, 4, 8)
"""Stages of the widest tensor group that are compared beside the smallest replica, where no aim is stated."""

Objective = Literal["latency", "throughput", "fewest_gpus"]
"""What a layout is chosen for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The users, the context that each fills, the tokens of a turn; and the GPUs, None for the fewest that do.

    A layout serves them if it holds all of them and stays within `ttft_s` and `tpot_s` where those are given.
    """

    users: int
    context: int
    input_tokens: int
    output_tokens: int
    gpus: int | None
    objective: Objective | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None

    @property
    def latency(self) -> Latency:
        """The latency asked for."""
        return Latency(ttft_s=self.ttft_s, tpot_s=self.tpot_s)

    @property
    def has_targets(self) -> bool:
        """Whether a latency is asked for."""
        return bool(self.latency)

    @property
    def is_aimed(self) -> bool:
        """Whether the caller said what the layout is for: an objective, or a latency."""
        return self.objective is not None or self.has_targets

    @property
    def aim(self) -> Objective:
        """The objective; unless stated the throughput, or the fewest GPUs where only a latency is asked for."""
        return self.objective or ("fewest_gpus" if self.gpus is None and self.has_targets else "throughput")

    def excess(self, service: Service | None) -> float:
        """The largest of the latencies over what is asked for; infinite where it cannot be estimated. [ratio]"""
        return self.latency.excess(service)

    def meets(self, service: Service | None) -> bool:
        """Whether a service stays within the latencies asked for; one that cannot be estimated does not."""
        return self.excess(service) <= 1

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

    @property
    def most_tokens_per_s(self) -> float | None:
        """Output tokens when every session that fits is busy. [tokens/s]"""
        return self.layout.dp * self.full.tokens_per_s if self.full else None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model on its GPUs, the demand, and the plans to compare, by the guide's rules first; none where none fits."""

    on: Serving
    demand: Demand
    plans: tuple[Plan, ...]

    @cached_property
    def chosen(self) -> Plan:
        """By the guide's rules where no load is asked for; else the best of those that serve, or the roomiest."""
        if self.demand.users == 1 and not self.demand.is_aimed:
            return self.plans[0]
        return self.ranked[0]

    @cached_property
    def ranked(self) -> list[Plan]:
        """Plans that serve the users, the best for the aim first; then those that hold them, then the roomiest."""
        return sorted(self.plans, key=self._rank)

    def _rank(self, plan: Plan) -> tuple[int, float, float]:
        """The order in which plans are preferred: those that hold but do not serve, by how close they come."""
        gpus, tpot = plan.layout.gpus, plan.service.tpot_s if plan.service else inf
        if not self.holds(plan):
            return 2, -plan.users, gpus
        if not self.demand.meets(plan.service):
            return 1, self.demand.excess(plan.service), gpus
        if self.demand.aim == "fewest_gpus":
            return 0, gpus, tpot
        return 0, tpot if self.demand.aim == "latency" else -(self.throughput(plan) or 0), gpus

    def throughput(self, plan: Plan) -> float | None:
        """That of the users asked for; of all that fit where nothing but the throughput was. [tokens/s]"""
        alone = self.demand.users == 1 and self.demand.objective == "throughput"
        return plan.most_tokens_per_s if alone else plan.tokens_per_s

    def holds(self, plan: Plan) -> bool:
        """Whether all users fit at full context."""
        return plan.users >= self.demand.users

    def serves(self, plan: Plan) -> bool:
        """Whether all users fit, and get the latency asked for."""
        return self.holds(plan) and self.demand.meets(plan.service)

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
    """Each replica that the GPUs hold, as often as they hold it, or as few times as serve the users.

    Where no number of GPUs is given it is the fewest whose replicas hold the users. With an aim stated every legal
    layout is compared, else the few that the guide's rules lead to.
    """
    if demand.is_aimed:
        return Case(on=on, demand=demand, plans=tuple(_aimed(on, demand)))
    fewest = on.for_users(demand.users, demand.context)
    total = demand.gpus or (fewest.layout.gpus if fewest else 0)
    replicas = _replicas(on, demand, fewest, total)
    return Case(on=on, demand=demand, plans=tuple(_plan(on, demand, one, total // one.replica) for one in replicas))


def _replicas(on: Serving, demand: Demand, fewest: Deployment | None, total: int) -> list[Layout]:
    """The replica layouts to compare, by the guide's rules first; none where nothing holds even one session."""
    first = on.smallest(demand.context, total)
    if first is None:
        return []
    staged = [Layout(tp=on.degrees[-1], pp=pp) for pp in DEPTHS if pp <= on.model.architecture.layers]
    holding = [replace(fewest.layout, dp=1)] if fewest else []
    offered = dict.fromkeys([first, *map(Layout.tensor, on.degrees), *holding, *staged])
    return [one for one in offered if one.replica <= total and on.capacity(one, demand.context).fits]


def _aimed(on: Serving, demand: Demand) -> Iterator[Plan]:
    """Every legal replica, smallest first: as often as serves the users, and as often as the GPUs given hold it."""
    for one in _legal(on, demand):
        held = on.capacity(one, demand.context).sessions
        busiest = _most_in_time(on, demand, one, held)
        enough = ceil(demand.users / (busiest or held))
        most = (demand.gpus // one.replica) if demand.gpus else enough
        yield _plan(on, demand, one, min(enough, most) if demand.aim == "fewest_gpus" else most)


def _legal(on: Serving, demand: Demand) -> list[Layout]:
    """Every tensor degree with every depth that holds a session, on at most the GPUs given; smallest first."""
    if on.not_modelled:
        return []
    offered = (Layout(tp=tp, pp=pp) for tp in on.degrees for pp in depths(on.model.architecture.layers))
    within = (one for one in offered if demand.gpus is None or one.replica <= demand.gpus)
    return sorted((one for one in within if on.capacity(one, demand.context).fits), key=lambda one: one.replica)


def _most_in_time(on: Serving, demand: Demand, one: Layout, held: int) -> int:
    """The most sessions of one replica that get the latency asked for; 0 where not even one does."""
    return demand.latency.most(held, lambda n: on.service(one, demand.load(n)))


def _plan(on: Serving, demand: Demand, replica: Layout, copies: int) -> Plan:
    """So many replicas, and the service under the users asked for."""
    layout = replace(replica, dp=copies)
    deployment = on.deployment(layout, demand.context)
    sequences = min(ceil(demand.users / layout.dp), deployment.capacity.sessions)
    return Plan(
        deployment=deployment,
        service=on.service(layout, demand.load(sequences)),
        running=min(demand.users, deployment.users),
        sequences=sequences,
        full=on.service(layout, demand.load(deployment.capacity.sessions)),
    )
