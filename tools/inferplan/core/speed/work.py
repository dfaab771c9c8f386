"""What one token costs on one rank of a replica, on any machine: bytes to read, FLOPs to do, elements to send.

Units: bytes, FLOP, tokens. A pair is a token and one that it attends over.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from inferplan.core.architecture import Architecture, Mixer
from inferplan.core.engine import Engine
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.cache_parts import Cached
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import WeightBytes, cached_parts, class_bits, state_bytes, weights
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout, expert_share, shared_share
from inferplan.core.parameters import Parameters
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision
from inferplan.core.speed.adapter_time import AdapterWork, adapter_work
from inferplan.core.speed.collectives import ACTIVATION_BYTES, ContextParallel

CANDIDATE_BYTES = 8
"""The index and the score of a token that an indexer picks among those of a rank. [B]"""
STREAM_TRAFFIC = 4
"""How often a block reads or writes a residual stream more: twice to mix it, and once each to add its result. [times]

What one stream takes is in the constants fitted to models that have one. The three kernels of a block (vLLM 0.31:
`hc_prenorm_gemm`, `mhc_pre_big_fuse`, `mhc_post`) took 0.41 and 0.43 ms on H100s for 8,192 tokens of four streams of
4,096, which are read or written 18 times there: at 0.83 to 0.88 of the bandwidth.
Source: github:tant2tls/Deepseek-serving, profiles of GLM-5.3-Flash and DeepSeek V4 Flash (prefill64k).
"""
SCORE_BYTES = 8
"""An indexer's score of a token, in FP32: written once, and read once to choose among all. [B]

Source: vLLM, `top_k_per_row_prefill`; of H100 kernels measured it took 10 B's time (`published_prefill_kernels.tsv`).
"""
SUM_BYTES = 4
"""The log-sum-exp of the softmax, per head and token. [B]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What one token costs on one rank of a replica: bytes to read, FLOPs to do, elements to send.

    Layers are counted by what costs extra time: `sums` are the blocks whose outputs ranks add up (all-reduces),
    `endless_layers` cache something of every token. `*_bytes` are read once a pass: `expert_bytes` if a batch activates
    all experts. `*_params` take 2 FLOP a token: `half_params` in 16 bit (attention that the checkpoint leaves
    unquantised), `dense_params` and `active_expert_params` in the arithmetic of the weights. The KV cache that is read
    grows with the context by `kv_bytes_per_token`, and up to a bound in `bounded` layers; `prompt_saving_per_pair` is
    what attention in prefill costs less than in decode, `endless_rows` the rows of its products (`Cached.rows`).
    `stream_bytes` are what residual streams beyond one are read and written, per token. With `context_parallel` a rank
    reads its own tokens of the cache and exchanges results. `adapted` is what LoRA adapters add.
    """

    layers: int
    expert_layers: int
    sums: int
    hidden: int
    dense_bytes: float
    expert_bytes: float
    head_bytes: float
    dense_params: float
    active_expert_params: float
    head_params: float
    kv_bytes_per_token: float
    attention_flops_per_pair: float
    experts: int
    active: int
    half_params: float = 0.0
    prompt_saving_per_pair: float = 0.0
    endless_rows: float = 0.0
    bounded: tuple["Bounded", ...] = ()
    state_bytes: float = 0.0
    latent_layers: int = 0
    recurrent_layers: int = 0
    index_layers: int = 0
    index_flops_per_pair: float = 0.0
    index_scores_per_pair: float = 0.0
    endless_layers: int = 0
    stream_bytes: float = 0.0
    context_parallel: ContextParallel | None = None
    adapted: AdapterWork | None = None

    def cache_read(self, context: float) -> float:
        """KV cache that a decoded token reads at this context, and the recurrent state that it reads and writes. [B]"""
        bounded = sum([min(context, part.tokens) * part.bytes_per_token for part in self.bounded])
        return context * self.kv_bytes_per_token + bounded + 2 * self.state_bytes

    def decode_flops(self, context: float) -> float:
        """Attention arithmetic of one decoded token. [FLOP]"""
        bounded = sum([min(context, part.tokens) * part.flops_per_pair for part in self.bounded])
        return context * self.attention_flops_per_pair + bounded

    def prompt_flops(self, prompt: float, cached: float = 0, *, tile: int = 1) -> float:
        """Attention arithmetic of the middle token of a prompt that follows `cached` tokens, its mean. [FLOP]

        Products of single tokens are padded to a multiple of `tile` rows.
        """
        before = cached + prompt / 2
        bounded = sum(
            [min(before, part.tokens) * part.prompt_flops_per_pair * padded(part.rows, tile) for part in self.bounded]
        )
        endless = self.attention_flops_per_pair - self.prompt_saving_per_pair
        return before * endless * padded(self.endless_rows, tile) + bounded

    def drafting(self, share: float) -> "Work":
        """The work of drafting one token: a layer with this share of the decoder's parameters, and the whole head.

        The layer caches every token (see `drafts.with_draft`), and index keys where the model's layers have an indexer.

        Limits: no window, and no bound by an indexer, is applied to what it reads; adapters are on the model alone.
        Source: vLLM, qwen3_next_mtp.py (`full_attention`); deepseek_mtp.py, `topk_indices_buffer`.
        """
        kept, indexed = max(1, self.endless_layers), max(1, self.index_layers)
        return replace(
            self,
            layers=1,
            expert_layers=min(1, self.expert_layers),
            sums=2,
            dense_bytes=self.dense_bytes * share,
            expert_bytes=self.expert_bytes * share,
            dense_params=self.dense_params * share,
            half_params=self.half_params * share,
            active_expert_params=self.active_expert_params * share,
            kv_bytes_per_token=self.kv_bytes_per_token / kept,
            attention_flops_per_pair=self.attention_flops_per_pair / kept,
            endless_layers=min(1, self.endless_layers),
            prompt_saving_per_pair=0.0,
            bounded=(),
            state_bytes=0.0,
            latent_layers=min(1, self.latent_layers),
            recurrent_layers=0,
            index_layers=min(1, self.index_layers),
            index_flops_per_pair=self.index_flops_per_pair / indexed,
            context_parallel=self.context_parallel and self.context_parallel.in_one_layer(),
            adapted=None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounded:
    """One part of the cache that a decoded token reads, of all its layers; at most `tokens` of it, 0 for no bound.

    A window bounds it, or an indexer that picks tokens. `rows` are those of its products: see `Cached.rows`.
    """

    tokens: int
    bytes_per_token: float
    flops_per_pair: float
    prompt_flops_per_pair: float
    rows: float = 0.0


def padded(rows: float, tile: int) -> float:
    """⌈rows / tile⌉ × tile / rows: what a product takes as padded as it is, by what it takes. [fraction]

    >>> padded(8, 64), padded(128, 64), padded(0, 64), padded(8, 1)
    (8.0, 1.0, 1.0, 1.0)
    """
    return ceil(rows / tile) * tile / rows if rows else 1.0


@lru_cache(maxsize=4096)
def work_of(
    model: Model, precision: Precision, *, tp: int, kv_bits: float, attention_dp: int = 1, sharing: int = 1
) -> Work:
    """The work of a model in a weight format on one of `tp` ranks, all pipeline stages together.

    Routed experts are spread over tp × attention_dp ranks; everything else, and the cache, is replicated `attention_dp`
    times. With decode context parallelism `sharing` ranks share out the tokens of the cache: each attends over its own
    with the heads of all.
    """
    architecture, parts, stored = model.architecture, model.parameters, weights(model, precision)
    experts, layout = architecture.experts, Layout(tp=tp, attention_dp=attention_dp)
    share, half = _mixer_share(model, tp), _half_share(class_bits(model, precision).mixers, precision)
    mixing = parts.attention + parts.linear_attention
    other = (parts.dense_ffn + parts.shared_experts + parts.ngram + parts.router) / tp
    active = experts.active / experts.experts if experts else 0.0
    routed = expert_share(layout, experts.experts) * experts.text_share if experts else 0.0
    reads = _cache_reads(architecture, tp=tp, kv_bits=kv_bits, sharing=sharing)
    return Work(
        layers=architecture.layers,
        expert_layers=architecture.expert_layers,
        sums=architecture.sums,
        hidden=architecture.hidden,
        dense_bytes=_dense_bytes(stored, parts, layout, share),
        expert_bytes=stored.routed_experts * routed,
        head_bytes=(stored.output_head or stored.embedding) / tp,
        dense_params=other + mixing * share * (1 - half),
        half_params=mixing * share * half,
        active_expert_params=parts.routed_experts * active * routed,
        head_params=(parts.output_head or parts.embedding) / tp,
        kv_bytes_per_token=sum(part.bytes_per_token for part in [*reads.endless, *reads.index_keys]),
        attention_flops_per_pair=sum(part.flops_per_pair for part in reads.endless),
        prompt_saving_per_pair=sum(part.flops_per_pair - part.prompt_flops_per_pair for part in reads.endless),
        endless_rows=min((part.rows for part in reads.endless), default=0.0),
        bounded=reads.bounded,
        state_bytes=state_bytes(architecture) / tp,
        experts=experts.experts if experts else 0,
        active=experts.active if experts else 0,
        latent_layers=_layers(model, lambda mixer: isinstance(mixer, Latent)),
        recurrent_layers=_layers(model, lambda mixer: bool(mixer.state and mixer.state.recurrent)),
        index_layers=sum(layers for layers, part in cached_parts(architecture) if part.what == "index keys"),
        index_flops_per_pair=sum(part.flops_per_pair for part in reads.index_keys),
        index_scores_per_pair=_index_scores(architecture) / sharing,
        endless_layers=_layers(model, lambda mixer: any(_limit(part) == 0 for part in mixer.cached)),
        stream_bytes=_stream_bytes(architecture),
        context_parallel=_context_parallel(model, tp, sharing) if sharing > 1 else None,
    )


def _dense_bytes(stored: WeightBytes, parts: Parameters, layout: Layout, mixer_share: float) -> float:
    """Weights that a rank reads for every batch: all of its layers but routed experts. [B]"""
    shared = stored.ffn * parts.shared_experts / max(1, parts.dense_ffn + parts.shared_experts)
    return (
        stored.attention * mixer_share
        + (stored.ffn - shared + stored.ngram + stored.replicated) / layout.tp
        + shared * shared_share(layout)
    )


def work_under(engine: Engine, model: Model, precision: Precision, layout: Layout, *, kv_bits: float) -> Work:
    """The work of a layout under an engine: with its decode context parallelism, and with LoRA adapters."""
    work = work_of(
        model,
        precision,
        tp=layout.tp,
        kv_bits=kv_bits,
        attention_dp=layout.attention_dp,
        sharing=engine.context_parallel,
    )
    return replace(work, adapted=adapter_work(model, precision, layout, engine)) if engine.adapters else work


def _context_parallel(model: Model, tp: int, ranks: int) -> ContextParallel:
    """The exchanges of decode context parallelism per decoded token: see `cache_exchanges`.

    A rank gathers, in 16 bit, its heads / tp queries, as wide as the latent where there is one, a log-sum-exp for each
    head of all ranks, and the candidates of its indexer; it scatters what it computed for the heads of all ranks.
    """
    gathered, scattered, kept, picks = 0.0, 0.0, 0, 0
    for layers, mixer in model.architecture.mixers:
        if not (isinstance(mixer, Attention | Latent) and mixer.cached):
            continue
        kept += layers
        query, output = mixer.attended
        gathered += layers * (query * ACTIVATION_BYTES + mixer.heads * ranks * SUM_BYTES) / tp
        scattered += layers * output * ranks * ACTIVATION_BYTES / tp
        if mixer.indexer and mixer.indexer.owned:
            gathered += layers * mixer.indexer.top * CANDIDATE_BYTES
            picks += layers
    return ContextParallel(ranks=ranks, layers=kept, gathers=2 * kept + picks, gathered=gathered, scattered=scattered)


def _layers(model: Model, has: Callable[[Mixer], bool]) -> int:
    """Layers with at least one mixer of which `has` is true."""
    return sum(group.count for group in model.architecture.groups if any(map(has, group.mixers)))


def _stream_bytes(architecture: Architecture) -> float:
    """(streams - 1) × blocks × 4 × hidden × 2 B: what a token's residual streams beyond one are read and written. [B]

    Every rank of a tensor group has them whole.
    """
    beyond = architecture.streams - 1
    return beyond * architecture.sums * STREAM_TRAFFIC * architecture.hidden * ACTIVATION_BYTES


def _index_scores(architecture: Architecture) -> float:
    """Σ layers / compress: the scores that all indexers make of one token that a token attends over."""
    return sum(layers / part.compress for layers, part in cached_parts(architecture) if part.what == "index keys")


def _mixer_share(model: Model, tp: int) -> float:
    """The share of the mixers' parameters on one rank: at least one KV head, all of what makes latents. [fraction]"""
    hidden = model.architecture.hidden
    sizes = [(layers * mixer.params(hidden), mixer) for layers, mixer in model.architecture.mixers]
    total = sum(size for size, _ in sizes)
    return sum(size * mixer.share(hidden, tp) for size, mixer in sizes) / total if total else 1 / tp


def _half_share(bits: float, precision: Precision) -> float:
    """(bits - own) / (16 - own): the share of a class in 16 bit, whose mean is `bits` and whose rest is in the format.

    A class in FP8 beside FP4 comes out at 0.3, which takes about as long as FP8 at half the rate of FP4:
    0.3 + 0.7 / 4 is about 1/2.

    >>> from inferplan.catalog.formats import FORMATS
    >>> [round(_half_share(bits, FORMATS["nvfp4"]), 3) for bits in (4.5, 8.0, 16.0)]
    [0.0, 0.304, 1.0]
    """
    own = precision.bits_per_weight
    return min(1.0, max(0.0, (bits - own) / (REST_BITS - own))) if own < REST_BITS else 0.0


class _CacheReads(NamedTuple):
    """What a decoded token reads of the cache: parts that grow with the context, bounded parts, index keys."""

    endless: list[Bounded]
    bounded: tuple[Bounded, ...]
    index_keys: list[Bounded]


def _cache_reads(architecture: Architecture, *, tp: int, kv_bits: float, sharing: int) -> _CacheReads:
    """The parts of the cache that one of `tp` ranks reads, of which `sharing` ranks share out the tokens.

    Every rank has the index keys of all heads; their scores are shared out with the tokens.
    """
    parts = [(layers, part) for layers, part in cached_parts(architecture)]
    attended = [_read(n, part, tp=tp, kv_bits=kv_bits / sharing) for n, part in parts if part.what != "index keys"]
    index = [_read(n, part, tp=sharing, kv_bits=kv_bits / sharing) for n, part in parts if part.what == "index keys"]
    return _CacheReads(
        endless=[part for part in attended if part.tokens == 0],
        bounded=tuple(part for part in attended if part.tokens > 0),
        index_keys=index,
    )


def _read(layers: int, part: Cached, *, tp: int, kv_bits: float) -> Bounded:
    """What a pass reads and computes of one part of the cache in all its layers, on one rank."""
    prompt = part.flops if part.prefill_flops is None else part.prefill_flops
    return Bounded(
        tokens=_limit(part),
        bytes_per_token=layers * part.on_rank(tp) / part.compress * kv_bits / BITS_PER_BYTE,
        flops_per_pair=layers * part.flops / part.compress / tp,
        prompt_flops_per_pair=layers * prompt / part.compress / tp,
        rows=part.rows(tp),
    )


def _limit(part: Cached) -> int:
    """The most tokens of a part of the cache that a decoded token reads; 0 for no bound. [tokens]"""
    return part.window or (part.read or 0) * part.compress
