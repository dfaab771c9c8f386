"""What a replica delivers: TTFT, TPOT and throughput under a closed load, offline and in one static batch.

Each law is a line of arithmetic over the passes of `performance`. Units: seconds, tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf

from inferplan.core.parallelism import Layout
from inferplan.core.performance import Pass, all_collectives, forward_pass, pass_time, with_context_parallelism
from inferplan.core.speed.collectives import Collective
from inferplan.core.speed.efficiency import Efficiency
from inferplan.core.speed.load import SYNCHRONIZED_SHARE, Load
from inferplan.core.speed.machine import Machine
from inferplan.core.speed.pass_amounts import Batch, pass_amounts
from inferplan.core.speed.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What one replica delivers under a load. `offline_tokens_per_s` is the rate of slots that are never idle.

    Where an answer is one token, `tpot_s` is what a further one would take.
    """

    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    requests_per_s: float
    decode: Pass
    prefill: Pass
    offline_tokens_per_s: float = 0.0

    def wait_s(self, output_tokens: float) -> float:
        """The latency users feel most: TPOT, or TTFT where an answer is one token. [s]"""
        return self.ttft_s if output_tokens == 1 else self.tpot_s

    def answer_s(self, output_tokens: float) -> float:
        """TTFT + (output - 1) × TPOT: the time of a whole answer. [s]"""
        return self.ttft_s + (output_tokens - 1) * self.tpot_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How an engine computes prompts and tokens: chunked prefill, prefix cache, speculative decoding.

    Prompts longer than `step_tokens` are computed in chunks, one a step; the prefix cache has a share `hit_rate` of
    each. For each sequence and step `drafted` further tokens are drafted by a share `draft_share` of the model's
    parameters; each is accepted with probability `acceptance` if all before it were. Up to `at_once` chunks of a prompt
    are in the stages of a pipeline at the same time (llama.cpp); with 1, a chunk leaves the last stage before the next
    one enters.
    """

    step_tokens: float = inf
    at_once: int = 1
    hit_rate: float = 0.0
    drafted: int = 0
    acceptance: float = 0.0
    draft_share: float = 0.0

    @property
    def tokens_per_step(self) -> float:
        """(1 - a^(k + 1)) / (1 - a): the mean tokens of a step, its own and those accepted of k drafts. [tokens]

        Source: Leviathan et al., Fast inference from transformers via speculative decoding, 2023, equation 1.

        >>> Options(drafted=3, acceptance=0.5).tokens_per_step, Options(drafted=3, acceptance=1).tokens_per_step
        (1.875, 4)
        """
        return sum(self.acceptance**n for n in range(self.drafted + 1))

    def computed(self, prompt: float) -> float:
        """The tokens of a prompt that are not in the prefix cache; always the last one, which predicts the answer.

        >>> Options(hit_rate=0.75).computed(1000), Options(hit_rate=1).computed(1000)
        (250.0, 1.0)
        """
        return max(min(1.0, prompt), prompt * (1 - self.hit_rate))

    def chunks(self, prompt: float) -> tuple[int, float, float]:
        """⌈computed / step⌉ chunks, the tokens of each, and the mean tokens before one: cached and earlier chunks.

        >>> Options(step_tokens=512, hit_rate=0.5).chunks(4096)
        (4, 512.0, 2816.0)
        """
        computed = self.computed(prompt)
        steps = max(1, ceil(computed / self.step_tokens - ROUNDED))
        each = computed / steps
        return steps, each, prompt - computed + (computed - each) / 2


ROUNDED = 1e-9
"""A fraction of a chunk below which it is rounding error of binary floats, not another chunk."""
PLAIN = Options()
AT_ONCE: Mapping[str, int] = {"llama.cpp": 4}
"""Chunks of one prompt that an engine keeps in the stages of a pipeline at once; 1 for the others."""


def marginal_s(
    w: Work, m: Machine, layout: Layout, prompt: float, options: Options = PLAIN, *, past: float = 0
) -> float:
    """t(one prompt per data-parallel rank, without fixed times) / ranks: what prefill adds to running steps. [s]"""
    ranks = layout.attention_dp
    return _beside(prefill_pass(w, m, layout, prompt, options, past=past, prompts=ranks)) / ranks


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """The prefill of one prompt: its pass on an idle engine, and what it adds to running steps. [s]

    It does not depend on the load.
    """

    alone: Pass
    added_s: float


def prompt_of(
    w: Work, m: Machine, layout: Layout, prompt: float, options: Options = PLAIN, *, past: float = 0
) -> Prompt:
    """The prefill of one prompt of so many tokens, which attends over the KV cache of past turns too."""
    alone = prefill_pass(w, m, layout, prompt, options, past=past)
    if layout.pp > 1 and options.at_once > 1:
        alone = alone.times(pipelined(layout, prompt, options))
    apart = layout.attention_dp > 1
    added = marginal_s(w, m, layout, prompt, options, past=past) if apart else _beside(alone)
    return Prompt(alone=alone, added_s=added)


def _beside(one: Pass) -> float:
    """What a pass adds to one that runs anyway: all but the fixed times. [s]"""
    return one.total_s - one.fixed_s


@lru_cache(maxsize=2048)
def prefill_pass(
    w: Work, m: Machine, layout: Layout, prompt: float, options: Options = PLAIN, *, past: float = 0, prompts: int = 1
) -> Pass:
    """The prefill of one prompt (or of `prompts` together) on an idle engine, without the server's front end.

    A prompt longer than a step takes several, each of which reads the weights and the KV cache of the tokens before it,
    those of past turns included.

    Limits: the part of each step that running sequences take is not counted, nor the expansion of cached latents (MLA).
    """
    steps, each, before = options.chunks(prompt)
    one = forward_pass(w, m, layout, Batch(prompts=prompts, prompt=each, cached=past + before))
    return one if steps == 1 else one.plus(one, steps - 1)


def decode_pass(
    w: Work, m: Machine, layout: Layout, *, running: float, context: float, options: Options = PLAIN
) -> Pass:
    """One step of `running` sequences: a pass for each draft, then one that verifies all drafts and adds a token.

    Limits: drafting passes have no scheduling time per sequence; no published run with drafts was compared.
    """
    on = (m, layout)
    batch = Batch(decode=running, context=context)
    step = forward_pass(w, *on, batch._replace(drafted=options.drafted) if options.drafted else batch)
    if not options.drafted:
        return step
    draft = w.drafting(options.draft_share)
    each = pass_time(pass_amounts(draft, *on, batch)._replace(sequences=0.0), m.efficiency)
    return step.plus(with_context_parallelism(each, draft, *on, batch), options.drafted)


def decode_collectives(
    w: Work, m: Machine, layout: Layout, *, running: float, options: Options = PLAIN
) -> list[Collective]:
    """The collectives of `decode_pass`: those that verify all drafts, and of each kind those of the drafting passes."""
    batch = Batch(decode=running)
    step = all_collectives(w, m, layout, batch._replace(drafted=options.drafted))
    if not options.drafted:
        return step
    draft = all_collectives(w.drafting(options.draft_share), m, layout, batch)
    of_drafts = {(one.what, one.link): one for one in draft}
    return [
        one.plus(of_drafts[key], options.drafted) if (key := (one.what, one.link)) in of_drafts else one for one in step
    ]


def pipelined(layout: Layout, prompt: float, options: Options) -> float:
    """(⌊(m - 1) / k⌋ × max(k, pp) + (m - 1) mod k + pp) / (m × pp): time of m chunks over one by one. [fraction]

    Up to k chunks of one prompt are in different stages at once. While the first and the last pass through, the other
    stages are idle; the next k enter as those before them leave. With up to k stages it is (m + pp - 1) / (m × pp).
    Source: llama.cpp, pull request 6017 (`GGML_SCHED_MAX_COPIES`, 4).

    >>> four = Options(step_tokens=512, at_once=4)
    >>> pipelined(Layout(pp=4), 4096, four), pipelined(Layout(pp=4), 100, four), pipelined(Layout(), 4096, four)
    (0.34375, 1.0, 1.0)
    >>> pipelined(Layout(pp=8), 4096, four) == 19 / 64, pipelined(Layout(pp=8), 4096, Options(step_tokens=512))
    (True, 1.0)
    """
    steps, k = options.chunks(prompt)[0], options.at_once
    if k == 1:
        return 1.0
    stages = (steps - 1) // k * max(k, layout.pp) + (steps - 1) % k + layout.pp
    return stages / (steps * layout.pp)


def in_one_stage(running: float, layout: Layout) -> float:
    """⌈running / pp⌉: the batch of one stage, as a pipeline works on `pp` batches of sequences at once. [sequences]"""
    return running if layout.pp == 1 else ceil(running / layout.pp)


def serve(
    w: Work, m: Machine, layout: Layout, load: Load, options: Options = PLAIN, *, prompt: Prompt | None = None
) -> Service:
    """TTFT, TPOT and throughput of one replica with `sequences` clients in a closed loop.

    `prompt` is that of the load, where it was computed before.

    between(n) = interference × (1 - queue) × (n / output) × (1 + recomputed) × t(marginal prefill)
    TPOT = t(decode) / tokens per step + between(running - 1)
    TTFT = front end + (busy × steps + held) × t(decode) + t(prefill) × (1 + ((queue + burst) × (running - 1) + batched)
    / ranks) + wait for a slot
    wait = max(sequences / running - 1, 0) × output × turn, turn = t(decode) / tokens per step + between(running)
    tokens/s = sequences × output / (TTFT + (output - 1) × TPOT); offline = running / turn
    TTFT + (output - 1) × TPOT >= sequences × interference × (1 + recomputed) × t(marginal prefill)

    Between two prompts of one client those of all others are computed: a share `queue` of them before the client's
    first token, the rest between its tokens (`between`). The `burst` at the start of a run goes before the first token
    too. A client's own prompt never comes between its own tokens, but it does take time of its slot: so `turn`, which
    offline throughput and clients waiting for a slot see, counts it. The last line is a lower bound: the prefill work
    of all prompts, which dominates where answers are too short to have prompts between their tokens. An answer of one
    token has none.

    Limits: answers of a few tokens were not fitted; random arrivals (`open_load`) of them are sustained at two thirds
    of this rate. No closed loop of one client is published; its TPOT is that of batch 1. Three models that we measured
    so were 7 to 25 % faster per token on one H100.
    """
    e, running = m.efficiency, load.running
    at_once = in_one_stage(running, layout)
    decode = decode_pass(w, m, layout, running=at_once, context=load.context, options=options)
    prompt = prompt or prompt_of(w, m, layout, load.input_tokens, options, past=load.past)
    prefill = prompt.alone
    added = (1 + load.recomputed) * prompt.added_s / layout.pp
    first = SYNCHRONIZED_SHARE if load.synchronized else e.prompt_queue
    mixed = e.prefill_interference * (1 - first) / load.output_tokens * added
    step = decode.total_s / options.tokens_per_step
    turn = step + mixed * running
    tpot = step if load.is_single else step + mixed * load.interfering
    queue = 1 + ((first + load.burst) * max(0.0, running - 1) + load.batched) / layout.attention_dp
    wait = (load.sequences / running - 1) * load.output_tokens * turn
    ttft = first_token_s(e, load, decode, prefill.total_s * queue) + wait
    later = load.output_tokens - 1
    prompts = load.sequences * e.prefill_interference * added
    ttft = max(ttft, prompts - later * tpot)
    seconds = ttft + later * tpot
    return Service(
        ttft_s=ttft,
        tpot_s=tpot,
        tokens_per_s=load.sequences * load.output_tokens / seconds,
        requests_per_s=load.sequences / seconds,
        decode=decode,
        prefill=prefill,
        offline_tokens_per_s=running / turn,
    )


def first_token_s(e: Efficiency, load: Load, decode: Pass, prompt_s: float) -> float:
    """front end + (busy × steps + held) × t(decode) + prefill: TTFT of a request that has a slot. [s]"""
    return e.front_end_s + (load.busy * e.first_token_steps + load.held_steps) * decode.total_s + prompt_s


@dataclass(frozen=True, kw_only=True, slots=True)
class StaticBatch:
    """One batch that starts and ends together: its prefill (if it has prompts), a decode step, and the whole. [s]"""

    first_s: float
    step_s: float
    total_s: float


def static_batch(w: Work, m: Machine, layout: Layout, *, batch: float, prompt: float, output: float) -> StaticBatch:
    """t(prefill of all prompts) + (output - 1) × t(decode of all, at half of the output). [s]"""
    first = forward_pass(w, m, layout, Batch(prompts=batch, prompt=prompt)).total_s
    step = forward_pass(w, m, layout, Batch(decode=batch, context=prompt + output / 2)).total_s
    return StaticBatch(first_s=first, step_s=step, total_s=(first if prompt else step) + (output - 1) * step)
