"""One forward pass: the work of a rank, its amounts at rated speed, and the time that hardware and engine make of it.

Memory time and compute time of a pass add up (a sharper roofline corner fits no better), with fixed times per layer,
collective and sequence. Every constant is fitted to published measurements (`speed_constants`): every figure is an
estimate, and `error_bands` says how far published runs lie from it. Units: bytes, FLOP, seconds, tokens.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from inferplan.core.adapter_time import AdapterWork, added
from inferplan.core.collectives import NETWORK_SHARE, Collective, cache_exchanges, collectives
from inferplan.core.efficiency import Efficiency, Runner, best_half_product, best_product
from inferplan.core.hardware import Gpu
from inferplan.core.parallelism import Fabric, Layout
from inferplan.core.precision import Precision
from inferplan.core.sparsity import expert_coverage
from inferplan.core.work import Work

HALF_SPEED = 4096
"""Tokens that a token of a prompt attends over where attention reaches half of what it does over far more. [tokens]

share(m) = `prompt_attention_compute` × m / (m + 4096): as if each token attended over 4,096 more, which also covers
what a token costs beside attention however few there are (rotary embedding, cache writes, padded tiles, quantizing).
Chosen with the plateau held at what long prompts reach, from 0, 1,024, 2,048, 3,072 and 4,096: the more, the smaller
are the errors of throughput, TTFT and TPOT; beyond, matrix products would have to be as fast as the best measured one.
The rise of kernels alone is over by some 500 tokens.
Source: MInference, experiments/README.md (one A100, prompts to 1M); FlashAttention-3, arXiv 2407.08608, figure 5.
Limits: no calibrated row has a prompt of more than 16K tokens. Cards whose 16-bit products run at half rate (RTX 5090)
reach nearly all of that in attention: their long prompts take about half of what is predicted.
"""

HALF_TILE = 64
"""Tokens that the last tile of each expert lacks in the mean, in llama.cpp's products on CUDA and HIP. [tokens]

Half of a tile of 128. Source: llama.cpp, ggml-cuda/mmq.cuh, `get_mmq_x_max_host`. Gemma 4 26B on an RTX 3090 took 287,
228 and 193 us a token in microbatches of 512, 1,024 and 2,048 tokens (pull request 22298).
"""
HALF_TILE_METAL = 16
"""The same on Apple's GPUs: half of a tile of 32. Source: llama.cpp, ggml-metal.metal, `NR1`. [tokens]"""
TRAFFIC = 100.0
"""What llama.cpp moves between its products, for each token, layer and element of the hidden state. [B]

The results of products, norms, activations and their quantised copies are some 33 numbers in FP32 where an FFN is 3.5
times as wide as the hidden state; caches keep a part. Chosen by leaving sources out, from 0, 100, 200 and 300.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The GPU of a rank at full speed, the links that its layout uses, and what is reached of them. [B/s, FLOP/s]

    In a prompt each token attends as if over so many `beside`: see `HALF_SPEED`. llama.cpp's prompts also pay for
    `padded` tokens of each expert, and move `traffic` bytes for each token, layer and element of the hidden state.
    Whether halves of a batch can be sent over a network beside computing: see `forward_pass`.
    """

    bandwidth: float
    matrix_flops: float
    half_flops: float
    fabric: Fabric
    efficiency: Efficiency
    beside: float = HALF_SPEED
    padded: float = 0.0
    traffic: float = 0.0
    overlaps: bool = True


def machine(
    gpu: Gpu, precision: Precision, fabric: Fabric, efficiency: Efficiency, *, engine: Runner = "vllm"
) -> Machine | None:
    """The machine for a format: its own arithmetic where the GPU has it, else 16 bit. None where no peak is known.

    llama.cpp computes with every format at a share of what 16-bit products reach. Only beside DeepEP, which is NVIDIA's
    here, does an engine compute while it sends: not beside MoRI (vLLM 0.16 to 0.33, vllm/config/vllm.py,
    `use_ubatching`).
    """
    half = best_half_product(gpu, engine)
    if half is None:
        return None
    at_home = engine == "llama.cpp"
    native = None if precision.weight_only or at_home else best_product(gpu, precision.compute)
    return Machine(
        bandwidth=gpu.read_bandwidth,
        matrix_flops=native or half,
        half_flops=half,
        fabric=fabric,
        efficiency=efficiency,
        beside=0 if at_home else HALF_SPEED,
        padded=(HALF_TILE_METAL if gpu.vendor == "apple" else HALF_TILE) if at_home else 0,
        traffic=TRAFFIC if at_home else 0,
        overlaps=gpu.vendor == "nvidia",
    )


class Amounts(NamedTuple):
    """What one pass takes of the busiest rank: seconds at full speed, and how often what costs a fixed time.

    The fields are the keys of `SHARES`, then those of `TIMES`.
    """

    dense_read_s: float
    expert_read_s: float
    cache_read_s: float
    matrix_s: float
    half_matrix_s: float
    expert_matrix_s: float
    attention_s: float
    prompt_attention_s: float
    index_s: float
    link_s: float
    bus_s: float
    layers: float
    expert_layers: float
    latent_layers: float
    recurrent_layers: float
    index_layers: float
    reduces: float
    exchanges: float
    hand_overs: float
    sequences: float


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
"""Amounts at full speed, by the share of it that is reached: time = amount / share."""
TIMES: Mapping[str, str] = {
    "layers": "layer_s",
    "expert_layers": "expert_layer_s",
    "latent_layers": "latent_layer_s",
    "recurrent_layers": "recurrent_layer_s",
    "index_layers": "index_layer_s",
    "reduces": "all_reduce_s",
    "exchanges": "all_to_all_s",
    "hand_overs": "hand_over_s",
    "sequences": "sequence_s",
}
"""Counts, by what each costs: time = amount × seconds."""
FIXED = ("layers", "expert_layers", "latent_layers", "recurrent_layers", "index_layers", "sequences")
"""What a prompt that joins a running pass does not cost again."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "weights_s": ("dense_read_s", "expert_read_s"),
    "kv_cache_s": ("cache_read_s",),
    "compute_s": ("prompt_attention_s",),
    "collectives_s": ("link_s", "bus_s", "reduces", "exchanges", "hand_overs"),
    "fixed_s": FIXED,
}
"""The parts of a pass, by the amounts that make them up; computing also has what it adds to reading (`MEETING`)."""
MEETING: Mapping[str, tuple[str, ...]] = {
    "dense_read_s": ("matrix_s", "half_matrix_s"),
    "expert_read_s": ("expert_matrix_s",),
    "cache_read_s": ("attention_s", "index_s"),
}
"""What is read, and what is computed with it."""
CORNER = 1.25
"""How sharp the roofline's corner is: 1 where reading and computing add, infinite where the longer one counts.

Chosen by leaving sources out: a sharper corner lowers the error of offline throughput and raises that of TPOT.
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
        """The parts do not overlap in the fitted form. [s]"""
        return self.weights_s + self.kv_cache_s + self.compute_s + self.collectives_s + self.fixed_s

    def times(self, share: float) -> "Pass":
        """So often."""
        return Pass(*(part * share for part in self))

    def plus(self, other: "Pass", times: float = 1) -> "Pass":
        """Both, the other one so often."""
        return Pass(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


def taken(amounts: Amounts, e: Efficiency) -> Pass:
    """Each amount over the share that is reached, or times what one costs; summed by part.

    Reading x and computing y of the same matrices take (x^p + y^p)^(1/p) with p = `CORNER`: what that is beyond x
    counts as computing.
    """
    rated, counts = amounts[: len(SHARES)], amounts[len(SHARES) :]
    times = [size / reached for size, reached in zip(rated, _REACHED(e), strict=True)]
    times += [number * each for number, each in zip(counts, _EACH(e), strict=True)]
    at = times.__getitem__
    beyond = [meeting(times[read], sum(map(at, computed))) - times[read] for read, computed in _MEETING]
    spent = [sum(map(at, places)) for places in _PLACES]
    spent[_COMPUTING] += sum(beyond)
    return Pass(*spent)


_COMPUTING = Pass._fields.index("compute_s")
_PLACES = tuple(tuple(map(Amounts._fields.index, names)) for names in PARTS.values())
_MEETING = tuple(
    (Amounts._fields.index(read), tuple(map(Amounts._fields.index, computed))) for read, computed in MEETING.items()
)
_REACHED: Callable[[Efficiency], tuple[float, ...]] = attrgetter(*SHARES.values())
_EACH: Callable[[Efficiency], tuple[float, ...]] = attrgetter(*TIMES.values())


def meeting(read: float, computed: float) -> float:
    """(read^p + computed^p)^(1/p), p = `CORNER`: how far computing hides behind reading. [s]

    >>> meeting(2.0, 0.0), meeting(1.0, 1.0) < 2
    (2.0, True)
    """
    return (read**CORNER + computed**CORNER) ** (1 / CORNER)


class Batch(NamedTuple):
    """What one pass computes: the next token of `decode` running sequences of `context` tokens, and whole `prompts`.

    Each sequence computes `drafted` further tokens, over which its cache is read once; each prompt has `prompt` tokens,
    after `cached` ones. Numbers may be means.
    """

    decode: float = 0
    context: float = 0
    drafted: int = 0
    prompts: float = 0
    prompt: float = 0
    cached: float = 0

    @property
    def decoded(self) -> float:
        """Tokens of running sequences."""
        return self.decode * (1 + self.drafted)

    @property
    def tokens(self) -> float:
        """All tokens that pass through the layers."""
        return self.decoded + self.prompts * self.prompt

    @property
    def halved(self) -> "Batch":
        """One of two halves, of which one computes while the other is sent."""
        return self._replace(decode=self.decode / 2, prompts=self.prompts / 2)

    def on_rank(self, layout: Layout) -> "Batch":
        """The busiest tensor group's part: sequences and prompts are spread evenly, and a lone one is on one.

        >>> Batch(decode=64, prompts=1, prompt=500).on_rank(Layout(attention_dp=8)).tokens
        508.0
        """
        ranks = layout.attention_dp
        if ranks == 1:
            return self
        decode, prompts = (max(min(number, 1.0), number / ranks) for number in (self.decode, self.prompts))
        return self._replace(decode=decode, prompts=prompts)


def pass_amounts(w: Work, m: Machine, layout: Layout, batch: Batch) -> Amounts:
    """What one pass over a batch takes of the busiest rank.

    Weights are read once per pass (of the experts, those that the batch touches), the KV cache once per decoded
    token; matrix products cost 2 FLOP per parameter and token. A prompt's tokens attend over half of it in the mean,
    and what is cached before, at the cost of `HALF_SPEED` more. Stages of a pipeline run one after the other.

    Limits: no overlap of communication and computation; the products inside recurrent layers are not counted.
    """
    mine, tokens = batch.on_rank(layout), batch.tokens
    decoded, local, context, cached = mine.decoded, mine.tokens, batch.context, batch.cached
    prompted, earlier = mine.prompts * batch.prompt, mine.prompts * w.cache_read(cached) if cached else 0.0
    sampled = decoded + mine.prompts if prompted else decoded
    touched = expert_coverage(tokens=tokens, experts=w.experts, active=w.active) if w.experts else 0.0
    padded = m.padded * touched * w.experts / w.active if w.experts and prompted else 0.0
    moved = prompted * w.layers * w.hidden * m.traffic if m.traffic else 0.0
    sent = list(told(w, m, layout, local))
    number = {one.what: one.number for one in sent}
    return Amounts(
        dense_read_s=(w.dense_bytes + w.head_bytes) / m.bandwidth,
        expert_read_s=touched * w.expert_bytes / m.bandwidth,
        cache_read_s=(mine.decode * w.cache_read(context) + earlier + moved) / m.bandwidth,
        matrix_s=2 * local * w.dense_params / m.matrix_flops,
        half_matrix_s=2 * (local * w.half_params + sampled * w.head_params) / m.half_flops,
        expert_matrix_s=2 * (tokens + padded) * w.active_expert_params / m.matrix_flops,
        attention_s=decoded * w.decode_flops(context) / m.half_flops,
        prompt_attention_s=prompted * w.prompt_flops(batch.prompt, cached + m.beside) / m.half_flops,
        index_s=(decoded * context + prompted * (cached + batch.prompt / 2)) * w.index_flops_per_pair / m.half_flops,
        link_s=sum([one.rated_s for one in sent if not one.over_network and not one.over_bus]),
        bus_s=sum([one.rated_s for one in sent if not one.over_network and one.over_bus]),
        layers=w.layers,
        expert_layers=w.expert_layers,
        latent_layers=w.latent_layers,
        recurrent_layers=w.recurrent_layers,
        index_layers=w.index_layers,
        reduces=number.get("all-reduce", 0.0),
        exchanges=number.get("all-to-all", 0.0),
        hand_overs=number.get("stage send", 0.0),
        sequences=mine.decode,
    )


def told(w: Work, m: Machine, layout: Layout, tokens: float) -> Iterator[Collective]:
    """The collectives of a pass over so many `tokens` on each tensor group: see `collectives`."""
    return collectives(
        layout,
        m.fabric,
        tokens=tokens,
        hidden=w.hidden,
        sums=w.sums,
        expert_layers=w.expert_layers,
        active=w.active,
    )


def told_of_cache(w: Work, m: Machine, layout: Layout, batch: Batch) -> Iterator[Collective]:
    """The collectives of ranks that share out the tokens of a cache, in a pass over this batch."""
    if w.shared:
        mine = batch.on_rank(layout)
        cached_bytes = mine.prompts * batch.cached * w.kv_bytes_per_token if batch.cached else 0.0
        yield from cache_exchanges(w.shared, m.fabric, decoded=mine.decoded, cached_bytes=cached_bytes)


def all_told(w: Work, m: Machine, layout: Layout, batch: Batch) -> list[Collective]:
    """`told` and `told_of_cache` of this batch; what goes over a network is `hidden` where the pass is split for it."""
    split = is_split(w, m, layout, batch)
    found = (*told(w, m, layout, batch.on_rank(layout).tokens), *told_of_cache(w, m, layout, batch))
    return [one._replace(hidden=True) if split and one.over_network else one for one in found]


def forward_pass(w: Work, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """The time of a pass: of the whole batch, or of its two halves where experts then exchange beside computing.

    What goes over a network comes on top of the whole. While one half computes the other is sent, but each reads the
    weights and waits for its kernels: t = min(whole + sent, max(2 × half, sent)).

    Limits: the engine has to be told to overlap, and then splits from a fixed number of tokens on (vLLM: 32); a lone
    prompt, beside which the other groups have none, is not split.
    Source: LMSYS, two-batch overlap on 96 H100; without it published decode rates are missed by a factor of three.
    DeepEP, pull request 390: halves gain from 64 to 128 tokens on.
    """
    if not m.fabric.wide:
        return _unsplit(w, m, layout, batch)
    both = _both_ways(w, m, layout, batch)
    return min(both if m.overlaps else both[:1], key=lambda one: one.total_s)


def is_split(w: Work, m: Machine, layout: Layout, batch: Batch) -> bool:
    """Whether a pass is shorter in two halves, of which one computes while the other is sent over a network.

    max(2 × half, sent) < whole + sent (see `forward_pass`): as no whole is shorter than its half, the whole is only
    looked at where less is sent than a half takes.
    """
    if not (m.fabric.wide and m.overlaps) or not (sent := _sent_s(w, m, layout, batch)):
        return False
    half = _unsplit(w, m, layout, batch.halved).total_s
    return sent > half or 2 * half < _unsplit(w, m, layout, batch).total_s + sent


def _sent_s(w: Work, m: Machine, layout: Layout, batch: Batch) -> float:
    """What experts send over a network in a pass over a batch. [s]"""
    tokens = batch.on_rank(layout).tokens
    return sum(one.rated_s / NETWORK_SHARE for one in told(w, m, layout, tokens) if one.over_network)


def _both_ways(w: Work, m: Machine, layout: Layout, batch: Batch) -> tuple[Pass, Pass]:
    """A pass with what experts send over a network on top of the whole batch, and beside the halves of it."""
    sent = _sent_s(w, m, layout, batch)
    whole, half = _unsplit(w, m, layout, batch), _unsplit(w, m, layout, batch.halved)
    halves = half.plus(half)
    late = max(0.0, sent - halves.total_s)
    return (
        whole._replace(collectives_s=whole.collectives_s + sent),
        halves._replace(collectives_s=halves.collectives_s + late),
    )


def _unsplit(w: Work, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """The time that the amounts of a pass take on this machine: see `pass_amounts`.

    With what adapters add and what is told of a cache, where there are any.
    """
    spent = taken(pass_amounts(w, m, layout, batch), m.efficiency)
    if w.adapted:
        spent = adapting(spent, w.adapted, m, layout, batch)
    return telling_of_cache(spent, w, m, layout, batch)


def adapting(spent: Pass, adapted: AdapterWork, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """A pass over this batch in which every request has an adapter: see `adapter_time`."""
    mine = batch.on_rank(layout)
    more = added(
        adapted,
        bandwidth=m.bandwidth,
        requests=mine.decode + mine.prompts,
        tokens=mine.tokens,
        shared_tokens=batch.tokens,
    )
    return spent._replace(
        weights_s=spent.weights_s + more.matrices_s,
        compute_s=spent.compute_s + more.moved_s,
        fixed_s=spent.fixed_s + more.calls_s,
    )


def telling_of_cache(spent: Pass, w: Work, m: Machine, layout: Layout, batch: Batch) -> Pass:
    """A pass over this batch with the time of what ranks that share out a cache tell each other in it."""
    if not w.shared:
        return spent
    told_s = sum(one.taken_s(m.efficiency) for one in told_of_cache(w, m, layout, batch))
    return spent._replace(collectives_s=spent.collectives_s + told_s)
