"""The time of one forward pass: what hardware and engine make of its amounts.

Memory time and compute time of a pass nearly add up (a sharper roofline fits no better), with fixed times per layer,
collective and sequence. Every constant is fitted to published measurements (`speed_constants`): every figure is an
estimate, and `error_bands` says how far published runs lie from it. Units: bytes, FLOP, seconds, tokens.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import NamedTuple

from inferplan.core.parallelism import Layout
from inferplan.core.speed.adapter_time import AdapterWork, added
from inferplan.core.speed.collectives import NETWORK_SHARE, Collective
from inferplan.core.speed.efficiency import Efficiency
from inferplan.core.speed.machine import Machine
from inferplan.core.speed.pass_amounts import (
    Amounts,
    Batch,
    context_parallel_collectives,
    pass_amounts,
    pass_collectives,
)
from inferplan.core.speed.work import Work

SHARES: Mapping[str, str] = {
    "dense_read_s": "bandwidth",
    "expert_read_s": "bandwidth",
    "cache_read_s": "bandwidth",
    "matrix_s": "compute",
    "half_matrix_s": "half_compute",
    "expert_matrix_s": "expert_compute",
    "attention_s": "attention_compute",
    "prompt_attention_s": "prompt_attention_compute",
    "index_s": "index_compute",
    "link_s": "link",
    "bus_s": "bus",
}
"""Each amount at rated speed, and the field of `Efficiency` that is the share of it reached: time = amount / share."""
TIMES: Mapping[str, str] = {
    "layers": "layer_s",
    "expert_layers": "expert_layer_s",
    "latent_layers": "latent_layer_s",
    "recurrent_layers": "recurrent_layer_s",
    "index_layers": "index_layer_s",
    "all_reduces": "all_reduce_s",
    "all_to_alls": "all_to_all_s",
    "stage_sends": "stage_send_s",
    "sequences": "sequence_s",
}
"""Each count, and the field of `Efficiency` that one of them costs: time = count × seconds."""
FIXED = ("layers", "expert_layers", "latent_layers", "recurrent_layers", "index_layers", "sequences")
"""Counts whose cost a prompt does not add when it joins a pass that runs anyway."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "weights_s": ("dense_read_s", "expert_read_s"),
    "kv_cache_s": ("cache_read_s",),
    "compute_s": ("prompt_attention_s",),
    "collectives_s": ("link_s", "bus_s", "all_reduces", "all_to_alls", "stage_sends"),
    "fixed_s": FIXED,
}
"""The parts of a pass, by the amounts that make them up; `compute_s` also has what `COMPUTED_WITH` adds to reading."""
COMPUTED_WITH: Mapping[str, tuple[str, ...]] = {
    "dense_read_s": ("matrix_s", "half_matrix_s"),
    "expert_read_s": ("expert_matrix_s",),
    "cache_read_s": ("attention_s", "index_s"),
}
"""What is read, and what is computed with it: the two sides of each roofline."""
CORNER = 1.25
"""How sharp the roofline's corner is: 1 where reading and computing add, infinite where the longer one counts.

Chosen by cross-validation over sources: a sharper corner lowers the error of offline throughput, raises that of TPOT.
"""


class Pass(NamedTuple):
    """The time of one forward pass, part by part, as in `PARTS`. [s]"""

    weights_s: float
    kv_cache_s: float
    compute_s: float
    collectives_s: float
    fixed_s: float

    @property
    def total_s(self) -> float:
        """The sum of the parts: in the fitted form they do not overlap. [s]"""
        return self.weights_s + self.kv_cache_s + self.compute_s + self.collectives_s + self.fixed_s

    def times(self, factor: float) -> "Pass":
        """Every part times a factor."""
        return Pass(*(part * factor for part in self))

    def plus(self, other: "Pass", times: float = 1) -> "Pass":
        """The sum with another pass, which counts so many times."""
        return Pass(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


def pass_time(amounts: Amounts, e: Efficiency) -> Pass:
    """Each amount over the share that is reached, each count times what one costs; summed by part.

    Reading and computing with the same matrices take what `roofline` says: what that is beyond reading alone counts as
    computing.
    """
    rated, counts = amounts[: len(SHARES)], amounts[len(SHARES) :]
    times = [size / reached for size, reached in zip(rated, _REACHED(e), strict=True)]
    times += [number * each for number, each in zip(counts, _EACH(e), strict=True)]
    at = times.__getitem__
    beyond = [roofline(times[read], sum(map(at, computed))) - times[read] for read, computed in _COMPUTED_WITH]
    spent = [sum(map(at, places)) for places in _PLACES]
    spent[_COMPUTE] += sum(beyond)
    return Pass(*spent)


_COMPUTE = Pass._fields.index("compute_s")
_PLACES = tuple(tuple(map(Amounts._fields.index, names)) for names in PARTS.values())
_COMPUTED_WITH = tuple(
    (Amounts._fields.index(read), tuple(map(Amounts._fields.index, computed)))
    for read, computed in COMPUTED_WITH.items()
)
_REACHED: Callable[[Efficiency], tuple[float, ...]] = attrgetter(*SHARES.values())
_EACH: Callable[[Efficiency], tuple[float, ...]] = attrgetter(*TIMES.values())


def roofline(read: float, computed: float) -> float:
    """(read^p + computed^p)^(1/p), p = `CORNER`: the time of reading and computing that partly overlap. [s]

    >>> roofline(2.0, 0.0), roofline(1.0, 1.0) < 2
    (2.0, True)
    """
    return (read**CORNER + computed**CORNER) ** (1 / CORNER)


def forward_pass(w: Work, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """The time of a pass; with experts spread over a network, the shorter of one batch and two overlapped halves.

    One batch spends the all-to-alls over the network on top: whole + sent. With two-batch overlap one half computes
    while the other is sent, but each half reads the weights and waits for its kernels: max(2 × half, sent).

    Limits: overlap is an option of the engine, which then splits from a fixed number of tokens on (vLLM: 32); a lone
    prompt, beside which the other groups have none, is not split.
    Source: LMSYS, two-batch overlap on 96 H100; without it published decode rates are missed by a factor of three.
    DeepEP, pull request 390: halves gain from 64 to 128 tokens on.
    """
    if not m.fabric.wide:
        return _local_pass(w, m, layout, batch)
    sent = _sent_s(w, m, layout, batch)
    whole, half = _local_pass(w, m, layout, batch), _local_pass(w, m, layout, batch.halved)
    halves = half.plus(half)
    late = max(0.0, sent - halves.total_s)
    on_top = whole._replace(collectives_s=whole.collectives_s + sent)
    overlapped = halves._replace(collectives_s=halves.collectives_s + late)
    return min(on_top, overlapped, key=lambda one: one.total_s) if m.overlaps else on_top


def is_split(w: Work, m: Machine, layout: Layout, batch: Batch) -> bool:
    """Whether a pass is shorter with two-batch overlap: max(2 × half, sent) < whole + sent (see `forward_pass`).

    A whole batch is never shorter than its half, so that its own time is needed only where less is sent than a half
    takes.
    """
    if not (m.fabric.wide and m.overlaps) or not (sent := _sent_s(w, m, layout, batch)):
        return False
    half = _local_pass(w, m, layout, batch.halved).total_s
    return sent > half or 2 * half < _local_pass(w, m, layout, batch).total_s + sent


def all_collectives(w: Work, m: Machine, layout: Layout, batch: Batch) -> list[Collective]:
    """Every collective of a pass; those over a network are `hidden` where the pass is split to overlap them."""
    split = is_split(w, m, layout, batch)
    tokens = batch.on_rank(layout).tokens
    found = (*pass_collectives(w, m, layout, tokens), *context_parallel_collectives(w, m, layout, batch))
    return [one._replace(hidden=True) if split and one.over_network else one for one in found]


def _sent_s(w: Work, m: Machine, layout: Layout, batch: Batch) -> float:
    """The all-to-alls of a pass that go over a network. [s]"""
    tokens = batch.on_rank(layout).tokens
    return sum(one.rated_s / NETWORK_SHARE for one in pass_collectives(w, m, layout, tokens) if one.over_network)


def _local_pass(w: Work, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """A pass without what goes over a network; with what adapters and context parallelism add, where there are any."""
    spent = pass_time(pass_amounts(w, m, layout, batch), m.efficiency)
    if w.adapted:
        spent = _with_adapters(spent, w.adapted, m, layout, batch)
    return with_context_parallelism(spent, w, m, layout, batch)


def _with_adapters(spent: Pass, adapted: AdapterWork, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """A pass over this batch in which every request has an adapter: see `adapter_time`."""
    local = batch.on_rank(layout)
    more = added(
        adapted,
        bandwidth=m.bandwidth,
        requests=local.decode + local.prompts,
        tokens=local.tokens,
        shared_tokens=batch.tokens,
    )
    return spent._replace(
        weights_s=spent.weights_s + more.matrices_s,
        compute_s=spent.compute_s + more.moved_s,
        fixed_s=spent.fixed_s + more.calls_s,
    )


def with_context_parallelism(spent: Pass, w: Work, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """A pass over this batch with the collectives of ranks that each hold a part of a sequence's tokens, if any do."""
    if not w.context_parallel:
        return spent
    exchanges = context_parallel_collectives(w, m, layout, batch)
    return spent._replace(collectives_s=spent.collectives_s + sum(one.taken_s(m.efficiency) for one in exchanges))
