"""Published measurements of serving speed against the speed model: each row predicted from its configuration alone."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import replace

from inferplan.core.open_load import arrivals, in_flight
from inferplan.core.performance import forward_pass
from inferplan.core.serving_laws import Service, pipelined, prefill_pass, static_batch
from inferplan.core.speed.pass_amounts import Batch
from inferplan.core.units import MILLI
from inferplan.tools.validation.report import CannotPredict, Outcome, Report, Unit, is_figure, outcomes
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_names import limits
from inferplan.tools.validation.speed_rows import SpeedRow

QUANTITIES = ("tpot_ms", "ttft_ms", "e2e_ms", "output_tok_s_total", "output_tok_s_per_gpu", "prefill_tok_s", "req_s")
"""What is predicted, by the name that rows use."""
PLANNED = 0.8
"""Load over the sustained rate that is assumed of a server, where none is stated."""
MEAN_OF_P99 = 0.8
"""Mean over P99 of TPOT, assumed where only P99 is limited."""
STATIC = frozenset({"offline", "latency"})
"""Scenarios in which a stated batch starts and ends together."""

ALONE = frozenset({"static batch", "batch 1"})
"""Regimes whose laws know one token a step."""


def regime(row: SpeedRow) -> str:
    """The regime in which a row was measured, which selects the law that predicts it.

    >>> regime(SpeedRow(id="1", engine="vLLM", model="m", gpu="g", scenario="offline", concurrency_or_batch=8.0))
    'static batch'
    """
    if row.scenario == "batch1":
        return "batch 1"
    if row.scenario == "server":
        return "closed loop" if row.concurrency_or_batch else "served"
    return "static batch" if row.scenario in STATIC and row.concurrency_or_batch else "offline"


def predict(setup: SpeedSetup) -> dict[str, float]:
    """Every quantity that the regime of a row has. Raises `CannotPredict` where its configuration is not known."""
    kind = regime(setup.row)
    if setup.row.speculative_tokens and kind in ALONE:
        raise CannotPredict(f'drafts are not predicted of a {kind}: `scenario` has to be "server"')
    if kind == "batch 1":
        return _batch_1(setup)
    if kind == "static batch":
        return _static(setup)
    if kind == "served":
        return _served(setup)
    return _offline(setup) if kind == "offline" else _closed_loop(setup)


def _closed_loop(setup: SpeedSetup) -> dict[str, float]:
    """Clients that send the next request when they have the answer."""
    one = setup.served(setup.batch)
    return _times(setup, one) | _rates(setup, setup.layout.dp * one.tokens_per_s)


def _served(setup: SpeedSetup) -> dict[str, float]:
    """Requests that arrive at random: as many as a benchmark's limits allow, else `PLANNED` of the sustained rate."""
    output, most = setup.lengths[1], setup.load(setup.slots)
    on, allowed = (setup.work, setup.machine, setup.layout, most), limits(setup.row.stated, setup.row.model)
    if allowed:
        one = in_flight(*on, flight=_most_allowed(setup, *allowed), options=setup.options).service
        said = f"the most that keeps within {allowed[0]:g} s to the first token and {allowed[1] / MILLI:g} ms per token"
    else:
        rate = PLANNED * setup.served(setup.slots).offline_tokens_per_s / output
        opened = arrivals(*on, requests_per_s=rate, options=setup.options)
        one = replace(opened.service if opened else setup.served(setup.slots), requests_per_s=rate)
        said = f"{PLANNED:.0%} of what it can"
    setup.notes.append(f"{one.requests_per_s:.3g} requests/s a replica are taken, {said}, as no load is stated")
    return _times(setup, one) | _rates(setup, setup.layout.dp * one.requests_per_s * output)


def _most_allowed(setup: SpeedSetup, ttft_s: float, tpot_s: float) -> int:
    """The most requests in flight within a benchmark's limits: TTFT at P99, TPOT in the mean."""

    def exceeds(flight: int) -> bool:
        on = (setup.work, setup.machine, setup.layout, setup.load(setup.slots))
        one = in_flight(*on, flight=flight, options=setup.options)
        return one.ttft_s(0.99) > ttft_s or one.service.tpot_s > MEAN_OF_P99 * tpot_s

    return max(1, bisect_left(range(1, int(setup.slots) + 1), x=True, key=exceeds))


def _offline(setup: SpeedSetup) -> dict[str, float]:
    """All requests at once, so that no slot is ever idle."""
    one = setup.served(setup.batch)
    return {"tpot_ms": one.tpot_s / MILLI, **_rates(setup, setup.layout.dp * one.offline_tokens_per_s)}


def _static(setup: SpeedSetup) -> dict[str, float]:
    """One batch from its prompts to its last tokens; of what is no serving engine, decode steps alone."""
    batch, (tokens_in, tokens_out) = setup.batch, setup.lengths
    on = (setup.work, setup.machine, setup.layout)
    one = static_batch(*on, batch=batch, prompt=tokens_in, output=tokens_out)
    copies = setup.layout.dp
    produced = batch / one.step_s if setup.runner == "other" else batch * tokens_out / one.total_s
    return {
        "tpot_ms": one.step_s / MILLI,
        "ttft_ms": one.first_s / MILLI,
        "e2e_ms": one.total_s / MILLI,
        "prefill_tok_s": copies * batch * tokens_in / one.first_s,
        **_rates(setup, copies * produced),
    }


def _batch_1(setup: SpeedSetup) -> dict[str, float]:
    """One sequence on an idle engine without a server; tokens/s are those of decode."""
    on, (tokens_in, tokens_out) = (setup.work, setup.machine, setup.layout), setup.lengths
    step = forward_pass(*on, Batch(decode=1, context=tokens_in + tokens_out / 2)).total_s
    found = {"tpot_ms": step / MILLI, "output_tok_s_total": 1 / step}
    if tokens_in:
        staged = pipelined(setup.layout, tokens_in, setup.options)
        first = prefill_pass(*on, tokens_in, setup.options).total_s * staged
        found |= {"ttft_ms": first / MILLI, "prefill_tok_s": setup.options.computed(tokens_in) / first}
        found |= {"e2e_ms": (first + (tokens_out - 1) * step) / MILLI}
    return found


def _times(setup: SpeedSetup, one: Service) -> dict[str, float]:
    """TPOT, TTFT and end-to-end latency of one request. [ms]"""
    whole = one.ttft_s + (setup.lengths[1] - 1) * one.tpot_s
    return {"tpot_ms": one.tpot_s / MILLI, "ttft_ms": one.ttft_s / MILLI, "e2e_ms": whole / MILLI}


def _rates(setup: SpeedSetup, tokens_per_s: float) -> dict[str, float]:
    """Output tokens/s in all and per GPU, and requests/s."""
    return {
        "output_tok_s_total": tokens_per_s,
        "output_tok_s_per_gpu": tokens_per_s / setup.gpus,
        "req_s": tokens_per_s / setup.lengths[1],
    }


REGIMES = ("closed loop", "offline", "static batch", "batch 1", "served")
UNITS: Mapping[str, Unit] = {f"{quantity}, {kind}": "%" for kind in REGIMES for quantity in QUANTITIES}
"""Quantities by regime, with the unit of their errors."""


def validate(rows: Iterable[object]) -> Report:
    """The report on rows: each predicted from its configuration, and compared with its measurement."""
    return Report(outcomes=outcomes(rows, "row", _outcome), units=UNITS, subject="row")


def _outcome(raw: object) -> Outcome:
    """The outcome of one row."""
    row = SpeedRow.model_validate(raw)
    setup, kind = SpeedSetup(row), regime(row)
    found = predict(setup)
    return Outcome(
        id=row.id,
        predicted=found,
        measured=measured(row),
        left_out={},
        groups={"source": row.family, "model": setup.model.id, "GPU": setup.gpu.id, "engine": setup.runner},
        notes=tuple(setup.notes),
        targets={f"{name}, {kind}": name for name in found},
    )


def measured(row: SpeedRow) -> dict[str, float]:
    """The measured figures that can be compared."""
    given = row.measured or {}
    return {name: given[name] for name in QUANTITIES if is_figure(given.get(name))}
