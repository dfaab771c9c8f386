"""What a replica serves: time per token and to the first one, under closed load, offline and in one batch.

Each law is a line of arithmetic over the passes of `performance`. Units: seconds, tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf

from inferplan.core.efficiency import Efficiency
from inferplan.core.machine import Machine
from inferplan.core.parallelism import Layout
from inferplan.core.pass_amounts import Batch, pass_amounts
from inferplan.core.performance import Pass, forward_pass, pass_time, with_context_parallelism
from inferplan.core.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one replica is asked for: sequences at once, the context they attend over, tokens in and out.

    Of more than `slots` sequences the others wait for a slot; None is a slot for each. Where those that run grow into a
    pool that is full, the one that began last `gives_way`: see `repeated`. Prompts of `others` come between one's
    tokens; None is the closed loop's, where every client but oneself sends its next one. Before one's own prompt a
    share `crowd` of all others' is computed in the mean, where a run begins with all at once: see `crowd_of`. Where
    clients are `in_step`, all at once every time, it is `ALL_AT_ONCE`. An engine that is told to take prompts together
    keeps one for `held_steps`, and computes it with `beside` others.
    """

    sequences: float
    context: float
    input_tokens: float
    output_tokens: float
    slots: float | None = None
    gives_way: bool = False
    others: float | None = None
    crowd: float = 0.0
    in_step: bool = False
    held_steps: float = 0.0
    beside: float = 0.0

    @property
    def running(self) -> float:
        """Sequences that have a slot."""
        return self.sequences if self.slots is None else min(self.sequences, self.slots)

    @property
    def repeated(self) -> float:
        """output / input: prompts computed once more for each request, as sequences give way while others wait.

        Who waits begins as soon as what it holds then is free, so that the pool is full: the tokens that an answer
        grows by are taken from the one that began last, and as many are computed again.
        Limits: it holds where what is free is spread evenly. Played through block by block by the scheduler's rules,
        0.5 to 1.1 of it come out, 0.4 to 0.8 where answers are longer than prompts; fewer the more evenly answers end,
        and the more of their blocks a prefix cache still has.
        Source: vLLM, v1/core/sched/scheduler.py, `schedule` (0.24), with `scheduler_reserve_full_isl`, its default.

        >>> load = Load(sequences=200, context=1152, input_tokens=1024, output_tokens=256, slots=166, gives_way=True)
        >>> from dataclasses import replace
        >>> load.repeated, replace(load, sequences=165).repeated, replace(load, gives_way=False).repeated
        (0.25, 0.0, 0.0)
        """
        is_full = self.slots is not None and self.sequences > self.slots
        return self.output_tokens / max(1.0, self.input_tokens) if self.gives_way and is_full else 0.0

    @property
    def is_single(self) -> bool:
        """Whether an answer is one token, which the prompt's pass gives: nothing is decoded."""
        return self.output_tokens == 1

    @property
    def disturbing(self) -> float:
        """Sequences whose prompts are computed between one's tokens: never one's own, which came before them.

        >>> load = Load(sequences=8, context=750, input_tokens=500, output_tokens=500)
        >>> from dataclasses import replace
        >>> load.disturbing, replace(load, sequences=1).disturbing, replace(load, others=8).disturbing
        (7, 0.0, 8)
        """
        return max(0.0, self.running - 1) if self.others is None else self.others

    @property
    def met(self) -> float:
        """How likely a request finds steps under way, which it waits for: never where nobody else has any.

        An engine that is idle schedules a request at once, one that is busy after the steps that it has begun.
        Source: vLLM 0.24, v1/engine/core.py, `step` and `step_with_batch_queue`. A lone client of it on an H100 got
        first tokens of Llama 3.1 8B after 37 ms; the steps, which it had been predicted to wait for, are another 12.

        >>> load = Load(sequences=1, context=750, input_tokens=500, output_tokens=500)
        >>> from dataclasses import replace
        >>> load.met, replace(load, sequences=2).met, replace(load, others=0.25).met
        (0.0, 1.0, 0.25)
        """
        return min(1.0, self.disturbing)


def crowd_of(rounds: float) -> float:
    """1 / (2 × rounds): the share of others' prompts that come before one's own, in the mean over a run. [fraction]

    A closed loop of n clients begins with n prompts at once, before each of which (n - 1) / 2 others are computed in
    the mean; later on prompts come one by one. With so many requests of each client in a run, one in `rounds` is a
    first one. A service that goes on for long has no crowd: 0.

    >>> crowd_of(1), crowd_of(10), crowd_of(float("inf"))
    (0.5, 0.05, 0.0)
    """
    return 1 / (2 * max(1.0, rounds))


ALL_AT_ONCE = 0.5
"""The share of others' prompts that come before one's own where all clients ask at once every time. [fraction]

Half of n come before one in the mean; those after it come between its tokens, and no others do. An engine that computes
all prompts before any token (SGLang) keeps clients in step whose answers have one length: all end with the same step.
Source: SGLang, srt/managers/scheduler.py, `get_next_batch_to_run`: a batch of prompts goes before one of tokens.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What one replica delivers under a load; the `offline` rate is that of slots which are never idle.

    Where answers have one token, `tpot_s` is what a further one would take.
    """

    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    requests_per_s: float
    decode: Pass
    prefill: Pass
    offline_tokens_per_s: float = 0.0

    def wait_s(self, output_tokens: float) -> float:
        """What users wait for most: each further token, or the first where it is the only one. [s]"""
        return self.ttft_s if output_tokens == 1 else self.tpot_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How an engine computes prompts and tokens.

    Prompts longer than `step_tokens` are computed in as many steps as it takes; a share `hit_rate` of each is in the
    prefix cache. `drafted` further tokens are guessed for each sequence and step, each by a share `draft_share` of the
    model's parameters, and accepted with the probability `acceptance` as long as all before them were. Up to `at_once`
    steps of one prompt are in the stages of a pipeline (llama.cpp); otherwise each goes through all before the next.
    """

    step_tokens: float = inf
    at_once: int = 1
    hit_rate: float = 0.0
    drafted: int = 0
    acceptance: float = 0.0
    draft_share: float = 0.0

    @property
    def tokens_per_step(self) -> float:
        """(1 - a^(k + 1)) / (1 - a): the token of a step, and the accepted ones of its k drafts. [tokens]

        Source: Leviathan et al., Fast inference from transformers via speculative decoding, 2023, equation 1.

        >>> Options(drafted=3, acceptance=0.5).tokens_per_step, Options(drafted=3, acceptance=1).tokens_per_step
        (1.875, 4)
        """
        return sum(self.acceptance**n for n in range(self.drafted + 1))

    def computed(self, prompt: float) -> float:
        """The tokens of a prompt that are not cached; at least the last one, whose successor is asked for.

        >>> Options(hit_rate=0.75).computed(1000), Options(hit_rate=1).computed(1000)
        (250.0, 1.0)
        """
        return max(min(1.0, prompt), prompt * (1 - self.hit_rate))

    def chunks(self, prompt: float) -> tuple[int, float, float]:
        """⌈computed / step⌉ steps, the tokens of each, and those before it in the mean: cached ones and earlier chunks.

        >>> Options(step_tokens=512, hit_rate=0.5).chunks(4096)
        (4, 512.0, 2816.0)
        """
        computed = self.computed(prompt)
        steps = max(1, ceil(computed / self.step_tokens - ROUNDED))
        each = computed / steps
        return steps, each, prompt - computed + (computed - each) / 2


ROUNDED = 1e-9
"""Share of a step that is no further one: what a share of a prompt loses in binary."""
PLAIN = Options()
AT_ONCE: Mapping[str, int] = {"llama.cpp": 4}
"""Steps of one prompt that an engine has in the stages of a pipeline at once; of others one."""


def marginal_s(w: Work, m: Machine, layout: Layout, prompt: float, options: Options = PLAIN) -> float:
    """t(one prompt per data-parallel rank, without fixed times) / ranks: what a prompt adds to running steps. [s]"""
    ranks = layout.attention_dp
    return _beside(prefill_pass(w, m, layout, prompt, options, prompts=ranks)) / ranks


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What one prompt takes: of an idle engine, and added to running steps. The same under every load."""

    alone: Pass
    added_s: float


def prompt_of(w: Work, m: Machine, layout: Layout, prompt: float, options: Options = PLAIN) -> Prompt:
    """A prompt of so many tokens alone and beside others."""
    alone = prefill_pass(w, m, layout, prompt, options)
    if layout.pp > 1 and options.at_once > 1:
        alone = alone.times(pipelined(layout, prompt, options))
    apart = layout.attention_dp > 1
    return Prompt(alone=alone, added_s=marginal_s(w, m, layout, prompt, options) if apart else _beside(alone))


def _beside(one: Pass) -> float:
    """What a pass adds to another one, whose fixed times are spent anyway. [s]"""
    return one.total_s - one.fixed_s


@lru_cache(maxsize=2048)
def prefill_pass(
    w: Work, m: Machine, layout: Layout, prompt: float, options: Options = PLAIN, *, prompts: int = 1
) -> Pass:
    """One prompt alone (or so many): the first token of an idle engine, without a server's front end.

    A prompt that is longer than a step takes several, each of which reads the weights and what is cached before it.

    Limits: running sequences take a part of each step, which is not counted.
    """
    steps, each, before = options.chunks(prompt)
    one = forward_pass(w, m, layout, Batch(prompts=prompts, prompt=each, cached=before))
    return one if steps == 1 else one.plus(one, steps - 1)


def decode_pass(
    w: Work, m: Machine, layout: Layout, *, running: float, context: float, options: Options = PLAIN
) -> Pass:
    """One step of `running` sequences: one pass over their next tokens with all drafts, after one pass for each draft.

    Limits: a scheduler's time per sequence is not spent on drafts; no published run was held against drafts.
    """
    on = (m, layout)
    batch = Batch(decode=running, context=context)
    step = forward_pass(w, *on, batch._replace(drafted=options.drafted) if options.drafted else batch)
    if not options.drafted:
        return step
    draft = w.drafting(options.draft_share)
    each = pass_time(pass_amounts(draft, *on, batch)._replace(sequences=0.0), m.efficiency)
    return step.plus(with_context_parallelism(each, draft, *on, batch), options.drafted)


def pipelined(layout: Layout, prompt: float, options: Options) -> float:
    """(⌊(m - 1) / k⌋ × max(k, pp) + (m - 1) mod k + pp) / (m × pp): what m steps take of all stages' time. [fraction]

    Up to k steps of one prompt are in different stages at once; the first and the last find the others idle, and the
    next k begin as those before them leave. Up to k stages this is (m + pp - 1) / (m × pp).
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
    """⌈running / pp⌉: a pipeline works on `pp` batches of whole sequences at once. [sequences]"""
    return running if layout.pp == 1 else ceil(running / layout.pp)


def serve(
    w: Work, m: Machine, layout: Layout, load: Load, options: Options = PLAIN, *, prompt: Prompt | None = None
) -> Service:
    """TPOT, TTFT and closed-loop throughput of one replica whose `sequences` clients always wait for an answer.

    The `prompt` of the load may be given where it is known already.

    between(n) = interference × (1 - queue) × (n / output) × (1 + repeated) × t(marginal prefill)
    TPOT = t(decode) / tokens per step + between(running - 1)
    TTFT = front end + (met × steps + held) × t(decode) + t(prefill) × (1 + ((queue + crowd) × (running - 1) + beside)
    / ranks) + wait for a slot
    wait = max(sequences / running - 1, 0) × output × turn, turn = t(decode) / tokens per step + between(running)
    tokens/s = sequences × output / (TTFT + (output - 1) × TPOT); offline = running / turn
    TTFT + (output - 1) × TPOT >= sequences × interference × (1 + repeated) × t(marginal prefill)

    Between two prompts of one client those of all others are computed: a share `queue` of them before its first
    token, the others between its tokens. Those of the `crowd` come before its first token besides: while a client that
    began late is served, those who began early send their next prompts. Its own is computed before its first token and
    never between its tokens: a slot that is never idle spends it too, which is what offline throughput and those who
    wait for the slot see. The last line is what the prompts of all cost the replica: it counts where answers are short,
    since the share of prompts between one's tokens finds few there. Where there is one token, no prompt is between two.

    Limits: answers of a few tokens were not fitted; there random arrivals (`open_load`), whose prompts hide beside
    nothing, are kept up with at two thirds of this rate.
    Of runs with one client in a closed loop none is published; their TPOT is that of batch 1. Three models that we
    measured so got their tokens 7 to 25 % sooner on one H100.
    """
    e, running = m.efficiency, load.running
    at_once = in_one_stage(running, layout)
    decode = decode_pass(w, m, layout, running=at_once, context=load.context, options=options)
    prompt = prompt or prompt_of(w, m, layout, load.input_tokens, options)
    prefill = prompt.alone
    added = (1 + load.repeated) * prompt.added_s / layout.pp
    first = ALL_AT_ONCE if load.in_step else e.prompt_queue
    mixed = e.prefill_interference * (1 - first) / load.output_tokens * added
    step = decode.total_s / options.tokens_per_step
    turn = step + mixed * running
    tpot = step if load.is_single else step + mixed * load.disturbing
    queue = 1 + ((first + load.crowd) * max(0.0, running - 1) + load.beside) / layout.attention_dp
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
    """front end + (met × steps + held) × t(decode) + the prompt: the first token of one that has a slot. [s]"""
    return e.front_end_s + (load.met * e.first_token_steps + load.held_steps) * decode.total_s + prompt_s


@dataclass(frozen=True, kw_only=True, slots=True)
class StaticBatch:
    """One batch from its prompts, where it has some, to its last tokens. [s]"""

    first_s: float
    step_s: float
    total_s: float


def static_batch(w: Work, m: Machine, layout: Layout, *, batch: float, prompt: float, output: float) -> StaticBatch:
    """t(prefill of all prompts) + (output - 1) × t(decode of all, in the middle of the output)."""
    first = forward_pass(w, m, layout, Batch(prompts=batch, prompt=prompt)).total_s
    step = forward_pass(w, m, layout, Batch(decode=batch, context=prompt + output / 2)).total_s
    return StaticBatch(first_s=first, step_s=step, total_s=(first if prompt else step) + (output - 1) * step)
