"""Published rows as linear forms: each measured time is a sum of amounts times constants, as the product has them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferplan.core.error_bands import attention_of
from inferplan.core.performance import FIXED
from inferplan.core.serving_laws import in_one_stage, pipelined
from inferplan.core.speed.efficiency import Kind
from inferplan.core.speed.load import SYNCHRONIZED_SHARE, Load
from inferplan.core.speed.pass_amounts import Amounts, Batch, pass_amounts
from inferplan.core.units import MILLI
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_rows import SpeedRow
from inferplan.tools.validation.speed_validation import measured, regime

Floats = NDArray[np.float64]
NAMES = Amounts._fields
_JOINING = np.array([name not in FIXED for name in NAMES], dtype=float)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One measured time and the passes that make it up.

    time = front × h + (busy × n + steps) × t(decode) + (prompts + queued × (q + burst)) × t(prefill)
         + mixed × k × (1 - q) × t(marginal prefill)

    `mixed` are prompts per token: of all but oneself between one's tokens, of all where a slot is never idle; those of
    sequences that gave way are computed once more. Where clients are in step, the share q of others' prompts that come
    first is known: it is in `burst` and `mixed` then, `queues` is 0, and else 1.
    """

    id: str
    family: str
    law: str
    model: str
    gpu: str
    engine: str
    attention: str
    kind: Kind
    calibrates: bool
    seconds: float
    decode: Floats = field(default_factory=lambda: np.zeros(len(NAMES)))
    prefill: Floats = field(default_factory=lambda: np.zeros(len(NAMES)))
    marginal: Floats = field(default_factory=lambda: np.zeros(len(NAMES)))
    front: float = 0.0
    busy: float = 0.0
    steps: float = 0.0
    prompts: float = 0.0
    queued: float = 0.0
    mixed: float = 0.0
    burst: float = 0.0
    queues: float = 1.0


def targets_of(raw: Sequence[object]) -> Iterator[Target]:
    """Every measured time of every row that can be predicted, none twice."""
    rows = [SpeedRow.model_validate(one) for one in raw]
    odd = slower_when_shorter(rows)
    for row in rows:
        if row.id in odd or superseded(row):
            continue
        setup = SpeedSetup(row)
        try:
            yield from _targets(setup)
        except CannotPredict:
            continue


def superseded(row: SpeedRow) -> bool:
    """Whether a prompt was computed by kernels that llama.cpp has others for today.

    Until 2025 it computed attention without flash attention, and expanded quantised weights to 16 bit first. What is
    left are short prompts of 16-bit weights, whose products are still cuBLAS's.
    """
    if row.engine != "llama.cpp" or "prefill_tok_s" not in (row.measured or {}) or "flash attention" in row.note:
        return False
    return row.weight_format != "gguf-F16" or (row.isl or 0) > SHORT


SHORT = 1024
"""Tokens of a prompt of which attention is a small part. [tokens]"""


def slower_when_shorter(rows: Sequence[SpeedRow]) -> set[str]:
    """Prompts on one GPU of a configuration that read a longer one at 1.05 times the rate or more: not so measured.

    A longer prompt attends over more, and one GPU has nothing to fill. Three of 2024 are so: Llama 3 8B in 16 bit on
    A100 SXM (604 tokens/s of 512, 1,323 of 8,192) and L40S, and 70B on A40.
    """
    rates: dict[tuple[object, ...], list[tuple[float, float, str]]] = {}
    for row in rows:
        rate = (row.measured or {}).get("prefill_tok_s")
        if row.engine == "llama.cpp" and rate and row.gpu_count == 1 and not row.depth and row.ubatch is None:
            key = (row.family, row.model, row.weight_format, row.gpu)
            rates.setdefault(key, []).append((row.isl or 0, rate, row.id))
    odd: set[str] = set()
    for found in rates.values():
        found.sort()
        if found[-1][1] > RISING * found[0][1]:
            odd |= {id_ for _, _, id_ in found}
    return odd


RISING = 1.05


def _targets(setup: SpeedSetup) -> Iterator[Target]:
    """The measured times of one row, by how it was measured."""
    given, kind = measured(setup.row), regime(setup.row)
    if kind == "batch 1":
        yield from _batch_1(setup, given)
    elif kind == "static batch":
        yield from _static(setup, given)
    elif kind == "offline" and "output_tok_s_total" in given:
        seconds = setup.layout.dp * setup.load(setup.batch).running / given["output_tok_s_total"]
        yield _step(setup, "offline", seconds)
    elif kind == "closed loop":
        yield from _closed_loop(setup, given)


def _amounts(setup: SpeedSetup, *, decode: float = 0, prompts: float = 0) -> Floats:
    """The amounts of a pass over so many sequences and prompts."""
    tokens_in, tokens_out = setup.lengths
    batch = Batch(decode=decode, context=tokens_in + tokens_out / 2, prompts=prompts, prompt=tokens_in)
    return np.array(pass_amounts(setup.work, setup.machine, setup.layout, batch), dtype=float)


def _prompts(setup: SpeedSetup, prompts: int = 1) -> Floats:
    """The amounts of prompts in the steps that they take."""
    steps, each, before = setup.options.chunks(setup.lengths[0])
    on = (setup.work, setup.machine, setup.layout)
    found = pass_amounts(*on, Batch(prompts=prompts, prompt=each, cached=before))
    return steps * np.array(found, dtype=float)


def _target(setup: SpeedSetup, law: str, seconds: float, **parts: Any) -> Target:
    row = setup.row
    return Target(
        id=row.id,
        family=row.family,
        law=law,
        model=setup.model.id,
        gpu=setup.gpu.id,
        engine=setup.runner,
        attention=attention_of(setup.model.architecture),
        kind=setup.kind,
        calibrates=_calibrates(setup, law),
        seconds=seconds,
        **parts,
    )


def _calibrates(setup: SpeedSetup, law: str) -> bool:
    """The rows that the fit uses: no saturated queues, no layouts that are not stated, no pipelines under full load.

    Of disaggregated servers, the decode steps of those whose GPUs leave room for one decode worker only.
    """
    row, layout = setup.row, setup.layout
    if (law, setup.runner) in (("prompt", "other"), ("slots", "llama.cpp")):
        return False
    if law == "offline" and row.family.startswith("mlperf"):
        return layout.pp == 1
    if setup.disaggregated:
        return law == "tpot" and layout.replica < (row.gpu_count or 0) <= 2 * layout.replica
    stated = (row.tp or 0) * (row.pp or 1) * max(row.dp or 1, 1) if setup.runner != "llama.cpp" else layout.gpus
    ambiguous = not stated or (row.gpu_count is not None and row.gpu_count != stated)
    saturated = law == "ttft" and setup.batch > setup.slots
    return not (ambiguous or saturated or (law == "offline" and layout.pp > 1))


def _step(setup: SpeedSetup, law: str, seconds: float) -> Target:
    """The time of an output token while prompts join."""
    load = setup.load(setup.batch)
    prompts = load.running if law == "offline" else load.interfering
    mixed = 0.0 if setup.disaggregated else (1 + load.recomputed) * prompts / load.output_tokens
    return _target(setup, law, seconds, steps=1.0, **_shared(load, mixed), **_passes(setup))


def _shared(load: Load, mixed: float) -> Mapping[str, float]:
    """How prompts are shared out before and between one's tokens: as the fit finds, or known where all are in step."""
    if load.synchronized:
        return {"queues": 0.0, "burst": SYNCHRONIZED_SHARE, "mixed": mixed * (1 - SYNCHRONIZED_SHARE)}
    return {"burst": load.burst, "mixed": mixed}


def _passes(setup: SpeedSetup) -> Mapping[str, Floats]:
    """Decode of the running sequences, one prompt, and what a prompt adds to running steps."""
    running, pp, ranks = setup.load(setup.batch).running, setup.layout.pp, setup.layout.attention_dp
    return {
        "decode": _amounts(setup, decode=in_one_stage(running, setup.layout)),
        "prefill": _prompts(setup),
        "marginal": _prompts(setup, ranks) * _JOINING / (ranks * pp),
    }


def _closed_loop(setup: SpeedSetup, given: Mapping[str, float]) -> Iterator[Target]:
    load = setup.load(setup.batch)
    if "tpot_ms" in given:
        yield _step(setup, "tpot", given["tpot_ms"] * MILLI)
    if "ttft_ms" in given:
        waits = (load.sequences / load.running - 1) * load.output_tokens
        mixed = (1 + load.recomputed) * waits * load.running / load.output_tokens
        yield _target(
            setup,
            "ttft",
            given["ttft_ms"] * MILLI,
            front=1.0,
            busy=load.busy,
            steps=waits + load.held_steps,
            prompts=1.0 + load.batched / setup.layout.attention_dp,
            queued=max(0.0, load.running - 1) / setup.layout.attention_dp,
            **_shared(load, 0.0 if setup.disaggregated else mixed),
            **_passes(setup),
        )


def _static(setup: SpeedSetup, given: Mapping[str, float]) -> Iterator[Target]:
    batch, (_, tokens_out) = setup.batch, setup.lengths
    decode = _amounts(setup, decode=batch)
    prefill = _amounts(setup, prompts=batch)
    if setup.runner in ("other", "llama.cpp"):
        law = "slots" if setup.runner == "llama.cpp" else "static"
        yield _target(setup, law, given["tpot_ms"] * MILLI, steps=1.0, decode=decode)
        return
    seconds = (
        given["e2e_ms"] * MILLI
        if "e2e_ms" in given
        else setup.layout.dp * batch * tokens_out / given["output_tok_s_total"]
    )
    yield _target(setup, "static", seconds, steps=tokens_out - 1, prompts=1.0, decode=decode, prefill=prefill)


def _batch_1(setup: SpeedSetup, given: Mapping[str, float]) -> Iterator[Target]:
    if "output_tok_s_total" in given or "tpot_ms" in given:
        seconds = given["tpot_ms"] * MILLI if "tpot_ms" in given else 1 / given["output_tok_s_total"]
        yield _target(setup, "single", seconds, steps=1.0, decode=_amounts(setup, decode=1))
    tokens_in = setup.lengths[0]
    if tokens_in and ("ttft_ms" in given or "prefill_tok_s" in given):
        computed = setup.options.computed(tokens_in)
        seconds = given["ttft_ms"] * MILLI if "ttft_ms" in given else computed / given["prefill_tok_s"]
        staged = pipelined(setup.layout, tokens_in, setup.options)
        yield _target(setup, "prompt", seconds, prompts=staged, prefill=_prompts(setup))
