"""One replica of a layout on its machine, and what it delivers under a load."""

from dataclasses import dataclass, field

from inferplan.core.collectives import Collective
from inferplan.core.machine import Machine
from inferplan.core.open_load import Open, arrivals, in_flight
from inferplan.core.parallelism import Layout
from inferplan.core.pass_amounts import Batch
from inferplan.core.performance import all_collectives, is_split
from inferplan.core.serving_laws import (
    Load,
    Options,
    Prompt,
    Service,
    decode_pass,
    in_one_stage,
    prefill_pass,
    prompt_of,
    serve,
)
from inferplan.core.work import Work


@dataclass(frozen=True, kw_only=True, eq=False)
class Replica:
    """One replica of a layout: its work, its machine, how it computes, and what all make of a load."""

    work: Work
    machine: Machine
    layout: Layout
    options: Options
    prompts: dict[float, Prompt] = field(default_factory=dict[float, Prompt], repr=False)

    def serve(self, load: Load) -> Service:
        """What it delivers under a load; a prompt is computed once."""
        tokens = load.input_tokens
        if tokens not in self.prompts:
            self.prompts[tokens] = prompt_of(self.work, self.machine, self.layout, tokens, self.options)
        return serve(self.work, self.machine, self.layout, load, self.options, prompt=self.prompts[tokens])

    def open(self, load: Load, requests_per_s: float) -> tuple[Open | None, float]:
        """What it delivers under random arrivals, None where they are too many; and the most that it keeps up with."""
        on = (self.work, self.machine, self.layout, load)
        most = in_flight(*on, flight=load.sequences, options=self.options).service.requests_per_s
        return arrivals(*on, requests_per_s=requests_per_s, options=self.options), most

    def decode_s(self, sequences: float, context: int) -> float:
        """The time between two tokens of so many sequences, without prompts. [s]"""
        running, on = in_one_stage(sequences, self.layout), (self.work, self.machine, self.layout)
        step = decode_pass(*on, running=running, context=context, options=self.options)
        return step.total_s / self.options.tokens_per_step

    def prefill_s(self, prompts: int, prompt: int) -> float:
        """The time of so many prompts at once. [s]"""
        return prefill_pass(self.work, self.machine, self.layout, prompt, self.options, prompts=prompts).total_s

    def is_split(self, batch: Batch) -> bool:
        """Whether a pass over a batch is shorter in halves, which exchange over a network beside computing."""
        return is_split(self.work, self.machine, self.layout, batch)

    def collectives(self, batch: Batch) -> list[Collective]:
        """What its GPUs tell each other in a pass over a batch."""
        return all_collectives(self.work, self.machine, self.layout, batch)

    def collective_s(self, one: Collective) -> float:
        """The time that a collective takes, beside computing or not. [s]"""
        return one.taken_s(self.machine.efficiency)
