"""What a layout is planned for, and what a layout holds and delivers under that demand."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, inf
from typing import Literal

from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import Service, in_one_stage
from inferplan.core.speed.collectives import Collective
from inferplan.core.speed.load import Load
from inferplan.core.speed.pass_amounts import Batch
from inferplan.tools.layouts.arriving import Arrivals
from inferplan.tools.serving.latency import WHENEVER, Latency, Pace
from inferplan.tools.serving.replica import Replica
from inferplan.tools.serving.serving import Deployment, Serving

Objective = Literal["latency", "throughput", "fewest_gpus"]
"""What a layout is chosen for: the shortest latency, the most tokens/s, or the fewest GPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The users, the context of each, the tokens of a turn, and the GPUs given (None: the fewest that serve them).

    A layout serves the demand if it holds all users and gets each the `latency`, requests that arrive at random at a
    `rate` too. [requests/s] `ranks_given` says that the caller fixed the degree of decode context parallelism,
    `context_given` that the context is not assumed.
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
    context_given: bool = True

    @property
    def turn(self) -> int:
        """Input and output tokens of a turn. [tokens]"""
        return self.input_tokens + self.output_tokens

    @property
    def has_targets(self) -> bool:
        """Whether a TTFT or TPOT is asked for."""
        return bool(self.latency)

    @property
    def is_aimed(self) -> bool:
        """Whether the caller stated what the layout is for: an objective, a latency or a rate of requests."""
        return self.objective is not None or self.is_bounded

    @property
    def is_bounded(self) -> bool:
        """Whether a layout that holds the users may still not serve them: a latency or a rate is asked for."""
        return self.has_targets or self.rate is not None

    @property
    def aim(self) -> Objective:
        """The objective; by default throughput, or the fewest GPUs where only a latency or a rate is asked for."""
        return self.objective or ("fewest_gpus" if self.gpus is None and self.is_bounded else "throughput")

    @property
    def pace(self) -> Pace:
        """The latency and the turn that it is measured on."""
        return Pace(latency=self.latency, input_tokens=self.input_tokens, output_tokens=self.output_tokens)

    def load(self, sequences: int) -> Load:
        """The load of a replica with this many sessions, all at full context."""
        return self.pace.load(self.context, sequences)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A layout with what it holds and delivers; `load` is that of its busiest replica, `running` are its busy sessions.

    `planned` are the users asked for, or those that the arrivals keep busy where they are more.
    """

    deployment: Deployment
    replica: Replica | None
    service: Service | None
    planned: int
    running: int
    load: Load
    latency: Latency
    arrivals: Arrivals | None = None

    @property
    def layout(self) -> Layout:
        """The parallel degrees."""
        return self.deployment.layout

    @property
    def users(self) -> int:
        """Sessions at full context that all replicas hold."""
        return self.deployment.users

    @property
    def holds(self) -> bool:
        """Whether it holds all users at full context."""
        return self.users >= self.planned

    @property
    def is_untimed(self) -> bool:
        """Whether a latency is asked for, and none is known."""
        return bool(self.latency) and self.replica is None

    @property
    def piles_up(self) -> bool:
        """Whether requests arrive faster than it answers them."""
        return self.arrivals is not None and self.arrivals.found is None

    @cached_property
    def excess(self) -> float:
        """Its latency over the one asked for, that of arrivals on average. [ratio]"""
        closed = self.latency.excess(self.service)
        return max(closed, self.arrivals.excess(self.latency)) if self.arrivals else closed

    @property
    def serves(self) -> bool:
        """Whether it holds all users and gets them the latency asked for."""
        return self.holds and self.excess <= 1

    @cached_property
    def in_time(self) -> int:
        """Sessions that all replicas serve within the latency asked for; all that fit where none is."""
        held = self.deployment.sessions
        return self.layout.dp * most_in_time(self.latency, self.replica, self.load, held)

    @property
    def sequences(self) -> int:
        """Sessions on the busiest replica."""
        return int(self.load.sequences)

    @property
    def tokens_per_s(self) -> float | None:
        """Output throughput of the busy sessions, each as fast as on the busiest replica. [tokens/s]"""
        return self.running * self.service.tokens_per_s / self.sequences if self.service else None

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None where not timed, or answers have one token. [s]"""
        return self.service.tpot_s if self.service and not self.load.is_single else None

    @property
    def wait_s(self) -> float:
        """TPOT, or TTFT where answers have one token; infinite where not timed. [s]"""
        return self.service.wait_s(self.load.output_tokens) if self.service else inf

    @property
    def batches(self) -> int:
        """Batches in flight in the pipeline of a replica: one per stage, but no more than its sessions."""
        return min(self.layout.pp, self.sequences)

    @cached_property
    def step(self) -> list[Collective]:
        """The collectives of one decode step of the busiest replica; none where not timed."""
        running = in_one_stage(self.load.running, self.layout)
        return self.replica.step_collectives(running) if self.replica else []

    @cached_property
    def prompt(self) -> list[Collective]:
        """The collectives of the prefill of one prompt, without what the prefix cache holds; none where not timed."""
        if self.replica is None:
            return []
        before, tokens = self.load.past, self.load.input_tokens
        computed = self.replica.options.computed(tokens)
        return self.replica.collectives(Batch(prompts=1, prompt=computed, cached=before + tokens - computed))

    @property
    def passes(self) -> list[list[Collective]]:
        """The collectives of a decode step and of a prefill; of the prefill alone where answers have one token."""
        return [self.prompt] if self.load.is_single else [self.step, self.prompt]

    def tokens_per_s_of(self, users: int) -> float | None:
        """Output throughput of another number of users, or of as many as fit; None where not timed. [tokens/s]"""
        each = min(ceil(users / self.layout.dp), self.deployment.sessions)
        if self.replica is None:
            return None
        return min(users, self.users) * self.replica.serve(replace(self.load, sequences=each)).tokens_per_s / each

    @cached_property
    def most_tokens_per_s(self) -> float | None:
        """The most output throughput, with every session that fits busy; None where not timed. [tokens/s]

        In a pipeline, whose stages wait for the largest batch, with as many as make all alike where that is more.
        """
        if self.replica is None:
            return None
        held = self.deployment.sessions
        busy = {held, held - held % self.layout.pp or held}
        return self.layout.dp * max(self.replica.serve(replace(self.load, sequences=n)).tokens_per_s for n in busy)


def most_in_time(latency: Latency, replica: Replica | None, load: Load, held: int) -> int:
    """The most of the sessions held by a replica that stay within a latency; 0 where not even one does."""
    return latency.most(held, lambda n: replica and replica.serve(replace(load, sequences=n)))


def plan_of(on: Serving, demand: Demand, replica: Layout, copies: int) -> Plan:
    """The plan of `copies` replicas under a demand."""
    layout = replica.times(copies)
    deployment = on.deployment(layout, demand.context)
    one = on.replica(layout)
    arrivals = Arrivals.at(one, demand.load(deployment.sessions), demand.rate) if one and demand.rate else None
    planned = max(demand.users, arrivals.users) if arrivals else demand.users
    load = demand.load(min(ceil(planned / layout.dp), deployment.sessions))
    return Plan(
        deployment=deployment,
        replica=one,
        service=one.serve(load) if one else None,
        planned=planned,
        running=min(planned, deployment.users),
        load=load,
        latency=demand.latency,
        arrivals=arrivals,
    )
