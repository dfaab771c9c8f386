"""What a replica serves: time per token and to the first one, under closed and open load, offline and in one batch.

Each law is a line of arithmetic over the passes of `performance`. Units: seconds, tokens.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, log

from inferplan.core.parallelism import Layout
from inferplan.core.performance import Machine, Pass, Work, forward_pass

DAMPING = 0.5
STEPS = 60
"""Of the iteration that finds how many requests are in flight at a rate; its error halves with each step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one replica is asked for: sequences at once, the context they attend over, tokens in and out.

    Of more than `slots` sequences the others wait for a slot; None is a slot for each.
    """

    sequences: float
    context: float
    input_tokens: float
    output_tokens: float
    slots: float | None = None

    @property
    def running(self) -> float:
        """Sequences that have a slot."""
        return self.sequences if self.slots is None else min(self.sequences, self.slots)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What one replica delivers under a load; the `offline` rate is that of slots which are never idle."""

    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    requests_per_s: float
    decode: Pass
    prefill: Pass
    offline_tokens_per_s: float = 0.0


def marginal_s(w: Work, m: Machine, layout: Layout, prompt: float) -> float:
    """t(one prompt per data-parallel rank, without fixed times) / ranks: what a prompt adds to running steps. [s]"""
    ranks = layout.attention_dp
    one = forward_pass(w, m, layout, decode=0, context=0, prefill=ranks * prompt, prompt=prompt)
    return _beside(one) / ranks


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What one prompt takes: of an idle engine, and added to running steps. The same under every load."""

    alone: Pass
    added_s: float


def prompt_of(w: Work, m: Machine, layout: Layout, prompt: float) -> Prompt:
    """A prompt of so many tokens alone and beside others."""
    alone = prefill_pass(w, m, layout, prompt)
    return Prompt(alone=alone, added_s=_beside(alone) if layout.attention_dp == 1 else marginal_s(w, m, layout, prompt))


def _beside(one: Pass) -> float:
    """What a pass adds to another one, whose fixed times are spent anyway. [s]"""
    return one.total_s - one.fixed_s


@lru_cache(maxsize=2048)
def prefill_pass(w: Work, m: Machine, layout: Layout, prompt: float) -> Pass:
    """One prompt alone: the first token of an idle engine, without a server's front end."""
    return forward_pass(w, m, layout, decode=0, context=0, prefill=prompt, prompt=prompt)


def pipelined(layout: Layout, prompt: float, step_tokens: float) -> float:
    """(m + pp - 1) / (m × pp) with m = ⌈prompt / step⌉: what a prompt takes of the time of all stages one by one.

    The steps of one prompt are in different stages at once; the first and the last find the others idle.

    >>> pipelined(Layout(pp=4), 4096, 512), pipelined(Layout(pp=4), 100, 512), pipelined(Layout(), 4096, 512)
    (0.34375, 1.0, 1.0)
    """
    steps = max(1, ceil(prompt / step_tokens))
    return (steps + layout.pp - 1) / (steps * layout.pp)


def in_one_stage(running: float, layout: Layout) -> float:
    """⌈running / pp⌉: a pipeline works on `pp` batches of whole sequences at once. [sequences]"""
    return running if layout.pp == 1 else ceil(running / layout.pp)


def serve(w: Work, m: Machine, layout: Layout, load: Load, prompt: Prompt | None = None) -> Service:
    """TPOT, TTFT and closed-loop throughput of one replica whose `sequences` clients always wait for an answer.

    The `prompt` of the load may be given where it is known already.

    TPOT = t(decode) + interference × (running / output) × t(marginal prefill)
    TTFT = front end + t(decode) + t(prefill) × (1 + queue × (running - 1) / ranks) + wait for a slot
    wait = max(sequences / running - 1, 0) × output × TPOT
    tokens/s = sequences × output / (TTFT + (output - 1) × TPOT); offline = running / TPOT
    """
    e, running = m.efficiency, load.running
    decode = forward_pass(w, m, layout, decode=in_one_stage(running, layout), context=load.context)
    prompt = prompt or prompt_of(w, m, layout, load.input_tokens)
    prefill = prompt.alone
    tpot = decode.total_s + e.prefill_interference * running / load.output_tokens * prompt.added_s / layout.pp
    queue = 1 + e.prompt_queue * max(0.0, running - 1) / layout.attention_dp
    wait = (load.sequences / running - 1) * load.output_tokens * tpot
    ttft = e.front_end_s + decode.total_s + prefill.total_s * queue + wait
    seconds = ttft + (load.output_tokens - 1) * tpot
    return Service(
        ttft_s=ttft,
        tpot_s=tpot,
        tokens_per_s=load.sequences * load.output_tokens / seconds,
        requests_per_s=load.sequences / seconds,
        decode=decode,
        prefill=prefill,
        offline_tokens_per_s=running / tpot,
    )


def static_batch_s(w: Work, m: Machine, layout: Layout, *, batch: float, prompt: float, output: float) -> float:
    """t(prefill of all prompts) + (output - 1) × t(decode of all, in the middle of the output). [s]"""
    first = forward_pass(w, m, layout, decode=0, context=0, prefill=batch * prompt, prompt=prompt)
    step = forward_pass(w, m, layout, decode=batch, context=prompt + output / 2)
    return (first.total_s if prompt else step.total_s) + (output - 1) * step.total_s


def arrivals(w: Work, m: Machine, layout: Layout, load: Load, *, requests_per_s: float) -> Service | None:
    """The service under requests that arrive at random at a rate; None where the replica cannot keep up with them.

    In flight are C = rate × (TTFT + output × TPOT(C)) requests (Little's law), found by damped iteration. A prompt
    waits for those before it: TTFT = front end + t(decode) + t(prefill) + ρ / (1 - ρ) × t(prefill) / 2, with
    ρ = rate × t(marginal prefill) / pp, the share of time that prompts take.

    Source: the M/D/1 queue (Pollaczek and Khinchine). `load.sequences` is the most that can be in flight.
    """
    busy = requests_per_s * marginal_s(w, m, layout, load.input_tokens) / layout.pp
    if busy >= 1:
        return None
    flight, found = 1.0, serve(w, m, layout, replace(load, sequences=1.0))
    wait = busy / (1 - busy) * found.prefill.total_s / 2
    for _ in range(STEPS):
        ttft = m.efficiency.front_end_s + found.decode.total_s + found.prefill.total_s + wait
        found = replace(found, ttft_s=ttft)
        seconds = ttft + load.output_tokens * found.tpot_s
        flight += DAMPING * (min(2 * load.sequences, requests_per_s * seconds) - flight)
        found = replace(serve(w, m, layout, replace(load, sequences=max(1.0, flight), slots=None)), ttft_s=ttft)
    if flight > load.sequences:
        return None
    return replace(found, requests_per_s=requests_per_s, tokens_per_s=requests_per_s * load.output_tokens)


def ttft_percentile_s(service: Service, *, arrival_s: float, share: float) -> float:
    """The time to the first token that a `share` of requests do not exceed, where they arrive at random. [s]

    Prompts are served one after the other: of a queue with load ρ = t(prefill) / arrival interval, a share 1 - ρ
    waits for nobody, and waits beyond are exponential with mean t(prefill) / 2 / (1 - ρ).

    Source: the M/D/1 queue in heavy traffic. Limits: chunked prefill shares steps between prompts.

    >>> quick = Pass(weights_s=0, kv_cache_s=0, compute_s=0.1, collectives_s=0, fixed_s=0)
    >>> one = Service(ttft_s=0.1, tpot_s=0.01, tokens_per_s=1, requests_per_s=1, decode=quick, prefill=quick)
    >>> [round(ttft_percentile_s(one, arrival_s=0.2, share=share), 3) for share in (0.5, 0.9, 0.99)]
    [0.1, 0.261, 0.491]
    """
    busy = min(0.99, service.prefill.total_s / arrival_s)
    if share <= 1 - busy:
        return service.ttft_s
    mean = service.prefill.total_s / 2 / (1 - busy)
    return service.ttft_s + mean * log(busy / (1 - share))
