"""One replica of a layout on its machine, and what it delivers under a load."""

from collections.abc import Callable
from dataclasses import dataclass, field

from inferplan.core.open_load import Open, arrivals_of, rate_in_time
from inferplan.core.parallelism import Layout
from inferplan.core.performance import all_collectives, is_split
from inferplan.core.serving_laws import (
    Options,
    Prompt,
    Service,
    decode_collectives,
    decode_pass,
    in_one_stage,
    prefill_pass,
    prompt_of,
    serve,
)
from inferplan.core.speed.collectives import Collective
from inferplan.core.speed.load import Load
from inferplan.core.speed.machine import Machine
from inferplan.core.speed.pass_amounts import Batch
from inferplan.core.speed.work import Work


@dataclass(frozen=True, kw_only=True, eq=False)
class Replica:
    """One replica of a layout on its machine, and its service under any load."""

    work: Work
    machine: Machine
    layout: Layout
    options: Options
    prompts: dict[tuple[float, float], Prompt] = field(default_factory=dict[tuple[float, float], Prompt], repr=False)

    def serve(self, load: Load) -> Service:
        """The service under a closed load; the prefill of each prompt length is computed once."""
        on, key = (self.work, self.machine, self.layout), (load.input_tokens, load.past)
        if key not in self.prompts:
            self.prompts[key] = prompt_of(*on, load.input_tokens, self.options, past=load.past)
        return serve(*on, load, self.options, prompt=self.prompts[key])

    def open(self, load: Load, requests_per_s: float) -> tuple[Open | None, float]:
        """The service under random arrivals, None where they pile up; and the rate that it sustains. [requests/s]"""
        on = (self.work, self.machine, self.layout, load)
        return arrivals_of(*on, requests_per_s=requests_per_s, options=self.options)

    def rate_in_time(self, load: Load, excess: Callable[[Service], float]) -> float:
        """A rate of random arrivals beyond which they are late or pile up. [requests/s]"""
        return rate_in_time(self.work, self.machine, self.layout, load, excess=excess, options=self.options)

    def decode_s(self, sequences: float, context: int) -> float:
        """TPOT of a batch of sequences, without prefill in between. [s]"""
        running, on = in_one_stage(sequences, self.layout), (self.work, self.machine, self.layout)
        step = decode_pass(*on, running=running, context=context, options=self.options)
        return step.total_s / self.options.tokens_per_step

    def prefill_s(self, prompts: int, prompt: int) -> float:
        """The time to prefill several prompts together. [s]"""
        return prefill_pass(self.work, self.machine, self.layout, prompt, self.options, prompts=prompts).total_s

    def is_split(self, batch: Batch) -> bool:
        """Whether two-batch overlap shortens a pass over this batch."""
        return is_split(self.work, self.machine, self.layout, batch)

    def collectives(self, batch: Batch) -> list[Collective]:
        """The collectives of a pass over a batch."""
        return all_collectives(self.work, self.machine, self.layout, batch)

    def step_collectives(self, running: float) -> list[Collective]:
        """The collectives of a decode step of so many sequences, the passes that draft included."""
        return decode_collectives(self.work, self.machine, self.layout, running=running, options=self.options)

    def collective_s(self, one: Collective) -> float:
        """The time of a collective, overlapped with computation or not. [s]"""
        return one.taken_s(self.machine.efficiency)
