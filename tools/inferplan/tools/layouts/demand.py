"""What a layout is planned for, and what one holds and delivers under that demand."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, inf
from typing import Literal

from inferplan.core.collectives import Collective
from inferplan.core.load import Load
from inferplan.core.parallelism import Layout
from inferplan.core.pass_amounts import Batch
from inferplan.core.serving_laws import Service, in_one_stage
from inferplan.tools._arguments import USERS_AT_MOST
from inferplan.tools.serving.latency import WHENEVER, Latency, Pace
from inferplan.tools.serving.replica import Replica
from inferplan.tools.serving.serving import Deployment, Serving

Objective = Literal["latency", "throughput", "fewest_gpus"]
"""What a layout is chosen for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The users, the context that each fills, the tokens of a turn; and the GPUs, None for the fewest that do.

    A layout serves them if it holds all of them and gets each of them the `latency` asked for. Where so many users
    are what requests keep busy, `rate` is how many arrive. [requests/s] The caller says that ranks share out the tokens
    of a cache, or that they do not, where `ranks_given`.
    """

    users: int
    context: int
    input_tokens: int
    output_tokens: int
    gpus: int | None
    objective: Objective | None = None
    latency: Latency = WHENEVER
    rate: float | None = None
    ranks_given: bool = False

    @property
    def is_capped(self) -> bool:
        """Whether requests would keep more users busy than are planned for."""
        return self.rate is not None and self.users >= USERS_AT_MOST

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

    def meets(self, service: Service | None) -> bool:
        """Whether a service stays within the latencies asked for; one that cannot be estimated does not."""
        return self.latency.excess(service) <= 1

    def load(self, sequences: int) -> Load:
        """A replica with this many sessions, all of them full."""
        pace = Pace(latency=self.latency, input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        return pace.load(self.context, sequences)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A layout with what it holds and delivers under the load and the latency asked for.

    Its busiest replica has `load`.
    """

    deployment: Deployment
    replica: Replica | None
    service: Service | None
    running: int
    load: Load
    latency: Latency

    @property
    def layout(self) -> Layout:
        """The degrees."""
        return self.deployment.layout

    @property
    def users(self) -> int:
        """Sessions at full context, all replicas together."""
        return self.deployment.users

    @cached_property
    def in_time(self) -> int:
        """Sessions that get the latency asked for, all replicas together; all that fit where none is."""
        held = self.deployment.sessions
        return self.layout.dp * most_in_time(self.latency, self.replica, self.load, held)

    @property
    def sequences(self) -> int:
        """Sessions on the busiest replica."""
        return int(self.load.sequences)

    @property
    def tokens_per_s(self) -> float | None:
        """Output tokens of all running sessions, each as fast as on the busiest replica. [tokens/s]"""
        return self.running * self.service.tokens_per_s / self.sequences if self.service else None

    @property
    def tpot_s(self) -> float | None:
        """Time per token after the first; None where it is not known, or answers have one token. [s]"""
        return self.service.tpot_s if self.service and not self.load.is_single else None

    @property
    def wait_s(self) -> float:
        """What users wait for most; infinite where it is not known. [s]"""
        return self.service.wait_s(self.load.output_tokens) if self.service else inf

    @property
    def batches(self) -> int:
        """Batches in flight on a replica: as many as it has stages, where there are sequences for them."""
        return min(self.layout.pp, self.sequences)

    @cached_property
    def step(self) -> list[Collective]:
        """The collectives of a decode step of the load, where the replica's speed is known."""
        batch = Batch(decode=in_one_stage(self.load.running, self.layout))
        return self.replica.collectives(batch) if self.replica else []

    @cached_property
    def prompt(self) -> list[Collective]:
        """The collectives of one prompt's prefill, without the tokens that the prefix cache has."""
        if self.replica is None:
            return []
        before, tokens = self.load.past, self.load.input_tokens
        computed = self.replica.options.computed(tokens)
        return self.replica.collectives(Batch(prompts=1, prompt=computed, cached=before + tokens - computed))

    @property
    def passes(self) -> list[list[Collective]]:
        """Both; of a prompt alone where nothing is decoded."""
        return [self.prompt] if self.load.is_single else [self.step, self.prompt]

    @cached_property
    def most_tokens_per_s(self) -> float | None:
        """Output tokens when every session that fits is busy. [tokens/s]"""
        full = replace(self.load, sequences=self.deployment.sessions)
        return self.layout.dp * self.replica.serve(full).tokens_per_s if self.replica else None


def most_in_time(latency: Latency, replica: Replica | None, load: Load, held: int) -> int:
    """The most of the sessions held by one replica that get this latency; 0 where not even one does."""
    return latency.most(held, lambda n: replica and replica.serve(replace(load, sequences=n)))


def plan_of(on: Serving, demand: Demand, replica: Layout, copies: int) -> Plan:
    """So many replicas, and the service under the users asked for."""
    layout = replica.times(copies)
    deployment = on.deployment(layout, demand.context)
    load = demand.load(min(ceil(demand.users / layout.dp), deployment.sessions))
    one = on.replica(layout)
    return Plan(
        deployment=deployment,
        replica=one,
        service=one.serve(load) if one else None,
        running=min(demand.users, deployment.users),
        load=load,
        latency=demand.latency,
    )
