"""What one replica is asked for: sequences at once, tokens in and out, and how its clients behave.

Units: tokens, sequences, fractions.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one replica is asked for: `sequences` at once, the `context` they attend over, tokens in and out.

    Each prompt follows `past` tokens of earlier turns of its session, which are cached and which it attends over.
    Of more than `slots` sequences the others wait for a slot; None is a slot for each. `preempts` says that the newest
    sequence is preempted where those that run outgrow the KV cache: see `recomputed`. `others` is how many sequences
    send prompts between one's own tokens; None is a closed loop, in which all other clients do.

    `burst` is the share of the others' prompts that go before one's own because a run begins with all at once: see
    `burst_share`. Where clients stay `synchronized`, all of them ask at once every time: see `SYNCHRONIZED_SHARE`. An
    engine that batches prompts on purpose holds each for `held_steps` and computes it with `batched` others.
    """

    sequences: float
    context: float
    input_tokens: float
    output_tokens: float
    past: float = 0.0
    slots: float | None = None
    preempts: bool = False
    others: float | None = None
    burst: float = 0.0
    synchronized: bool = False
    held_steps: float = 0.0
    batched: float = 0.0

    @property
    def running(self) -> float:
        """Sequences that have a slot."""
        return self.sequences if self.slots is None else min(self.sequences, self.slots)

    @property
    def recomputed(self) -> float:
        """output / input: prompts computed again per request, as sequences are preempted while others wait.

        A waiting request starts as soon as the KV cache has room for it, so that the cache is always full: the tokens
        that answers grow by are taken from the newest sequence, and as many are computed again.
        Limits: it holds where free blocks are spread evenly. A replay of the scheduler's rules block by block gives 0.5
        to 1.1 times as many, 0.4 to 0.8 where answers are longer than prompts; fewer the more evenly answers end, and
        the more of the blocks a prefix cache still has.
        Source: vLLM, v1/core/sched/scheduler.py, `schedule` (0.24), with `scheduler_reserve_full_isl`, its default.

        >>> load = Load(sequences=200, context=1152, input_tokens=1024, output_tokens=256, slots=166, preempts=True)
        >>> from dataclasses import replace
        >>> load.recomputed, replace(load, sequences=165).recomputed, replace(load, preempts=False).recomputed
        (0.25, 0.0, 0.0)
        """
        is_full = self.slots is not None and self.sequences > self.slots
        return self.output_tokens / max(1.0, self.input_tokens) if self.preempts and is_full else 0.0

    @property
    def is_single(self) -> bool:
        """Whether an answer is one token: prefill gives it, and nothing is decoded."""
        return self.output_tokens == 1

    @property
    def interfering(self) -> float:
        """Sequences whose prompts are computed between one's tokens; one's own prompt came before all of them.

        >>> load = Load(sequences=8, context=750, input_tokens=500, output_tokens=500)
        >>> from dataclasses import replace
        >>> load.interfering, replace(load, sequences=1).interfering, replace(load, others=8).interfering
        (7, 0.0, 8)
        """
        return max(0.0, self.running - 1) if self.others is None else self.others

    @property
    def busy(self) -> float:
        """The probability that a request finds steps under way, which it has to wait for: 0 for a lone client.

        An idle engine schedules a request at once, a busy one after the steps that it has begun.
        Source: vLLM 0.24, v1/engine/core.py, `step` and `step_with_batch_queue`. A lone client on an H100 had a TTFT of
        37 ms with Llama 3.1 8B; waiting for steps would have added another 12.

        >>> load = Load(sequences=1, context=750, input_tokens=500, output_tokens=500)
        >>> from dataclasses import replace
        >>> load.busy, replace(load, sequences=2).busy, replace(load, others=0.25).busy
        (0.0, 1.0, 0.25)
        """
        return min(1.0, self.interfering)


def burst_share(rounds: float) -> float:
    """1 / (2 × rounds): the share of others' prompts that go before one's own, averaged over a run. [fraction]

    A closed loop of n clients begins with n prompts at once, before each of which (n - 1) / 2 others are computed on
    average; later prompts come one by one. With `rounds` requests per client, one request in `rounds` is a first one.
    A service that runs for long has no such burst: 0.

    >>> burst_share(1), burst_share(10), burst_share(float("inf"))
    (0.5, 0.05, 0.0)
    """
    return 1 / (2 * max(1.0, rounds))


SYNCHRONIZED_SHARE = 0.5
"""The share of others' prompts that go before one's own where all clients ask at once every time. [fraction]

On average half of n prompts go before one; the rest come between its tokens, and no others do. An engine that computes
all waiting prompts before any token (SGLang) keeps clients synchronized whose answers have the same length: all end in
the same step.
Source: SGLang, srt/managers/scheduler.py, `get_next_batch_to_run`: a batch of prompts goes before one of tokens.
"""
