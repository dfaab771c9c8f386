"""What one token costs on one rank of a replica, whatever the machine: bytes to read, FLOPs to do, elements to send.

Units: bytes, FLOP, tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from inferplan.core.adapter_time import AdapterWork, adapter_work
from inferplan.core.architecture import Mixer
from inferplan.core.attention import Attention, Cached, Latent
from inferplan.core.collectives import ACTIVATION_BYTES, Shared
from inferplan.core.engine import Engine
from inferplan.core.memory import WeightBytes, cached_parts, class_bits, state_bytes, weights
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout, expert_share, shared_share
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision

CANDIDATE_BYTES = 8
"""A token that an indexer picks among a rank's, with its score. [B]"""

SUM_BYTES = 4
"""The logarithm of the softmax's sum of one head and token. [B]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What one token costs on one rank of a replica: bytes to read, FLOPs to do, elements to send.

    `half_params` are products in 16 bit: the attention of checkpoints that quantise experts only, or a part of it.
    `endless_layers` keep something of every token. Of a cache whose tokens are `shared` out it reads its own. `adapted`
    is what LoRA adapters add.
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
    bounded: tuple["Bounded", ...] = ()
    state_bytes: float = 0.0
    latent_layers: int = 0
    recurrent_layers: int = 0
    index_layers: int = 0
    index_flops_per_pair: float = 0.0
    endless_layers: int = 0
    shared: Shared | None = None
    adapted: AdapterWork | None = None

    def cache_read(self, context: float) -> float:
        """KV cache that one decoded token reads at this context, and the state that it reads and writes. [B]"""
        near = sum([min(context, part.tokens) * part.bytes_per_token for part in self.bounded])
        return context * self.kv_bytes_per_token + near + 2 * self.state_bytes

    def decode_flops(self, context: float) -> float:
        """Attention arithmetic of one decoded token. [FLOP]"""
        near = sum([min(context, part.tokens) * part.flops_per_pair for part in self.bounded])
        return context * self.attention_flops_per_pair + near

    def prompt_flops(self, prompt: float, cached: float = 0) -> float:
        """Attention arithmetic of one token in the middle of a prompt that follows `cached` tokens. [FLOP]"""
        before = cached + prompt / 2
        near = sum([min(before, part.tokens) * part.prompt_flops_per_pair for part in self.bounded])
        return before * (self.attention_flops_per_pair - self.prompt_saving_per_pair) + near

    def drafting(self, share: float) -> "Work":
        """What predicts a further token: one layer, a share of the parameters of all, and the whole head.

        It keeps the cache of one that keeps every token (see `drafts.with_draft`), and where layers have an indexer,
        its own.

        Limits: what it reads of a window, or of what its indexer picks, is not counted. Adapters are those of the model
        alone.
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
            shared=self.shared and self.shared.in_one_layer(),
            adapted=None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounded:
    """Layers that read no more than `tokens` of the context: windows, and what an indexer picks."""

    tokens: int
    bytes_per_token: float
    flops_per_pair: float
    prompt_flops_per_pair: float


@lru_cache(maxsize=4096)
def work_of(
    model: Model, precision: Precision, *, tp: int, kv_bits: float, attention_dp: int = 1, sharing: int = 1
) -> Work:
    """The work of a model in a format on one of `tp` ranks, all pipeline stages together.

    Experts are shared by tp × attention_dp ranks; everything else, and the cache, is repeated `attention_dp` times. The
    tokens of the cache are those of `sharing` ranks together: each attends for all their heads over its own.
    """
    architecture, parts = model.architecture, model.parameters
    stored: WeightBytes = weights(model, precision)
    experts = architecture.experts
    mixing = parts.attention + parts.linear_attention
    share = _mixer_share(model, tp)
    half = _half_share(class_bits(model, precision).mixers, precision)
    attention = [(n, part) for n, part in cached_parts(architecture) if part.what != "index keys"]
    index = [(n, part) for n, part in cached_parts(architecture) if part.what == "index keys"]
    parts_read = [_read(layers, part, tp=tp, kv_bits=kv_bits / sharing) for layers, part in attention]
    keys_read = [_read(layers, part, tp=sharing, kv_bits=kv_bits / sharing) for layers, part in index]
    endless = [part for part in parts_read if part.tokens == 0]
    active = experts.active / experts.experts if experts else 0.0
    other = (parts.dense_ffn + parts.shared_experts + parts.router) / tp
    layout = Layout(tp=tp, attention_dp=attention_dp)
    routed = expert_share(layout, experts.experts) * experts.text_share if experts else 0.0
    shared = stored.ffn * parts.shared_experts / max(1, parts.dense_ffn + parts.shared_experts)
    return Work(
        layers=architecture.layers,
        expert_layers=architecture.expert_layers,
        sums=architecture.sums,
        hidden=architecture.hidden,
        dense_bytes=stored.attention * share
        + (stored.ffn - shared + stored.replicated) / tp
        + shared * shared_share(layout),
        expert_bytes=stored.routed_experts * routed,
        head_bytes=(stored.output_head or stored.embedding) / tp,
        dense_params=other + mixing * share * (1 - half),
        half_params=mixing * share * half,
        active_expert_params=parts.routed_experts * active * routed,
        head_params=(parts.output_head or parts.embedding) / tp,
        kv_bytes_per_token=sum(part.bytes_per_token for part in [*endless, *keys_read]),
        attention_flops_per_pair=sum(part.flops_per_pair for part in endless),
        prompt_saving_per_pair=sum(part.flops_per_pair - part.prompt_flops_per_pair for part in endless),
        bounded=tuple(part for part in parts_read if part.tokens > 0),
        state_bytes=state_bytes(architecture) / tp,
        experts=experts.experts if experts else 0,
        active=experts.active if experts else 0,
        latent_layers=_layers(model, lambda mixer: isinstance(mixer, Latent)),
        recurrent_layers=_layers(model, lambda mixer: bool(mixer.state and mixer.state.recurrent)),
        index_layers=sum(layers for layers, _ in index),
        index_flops_per_pair=sum(part.flops_per_pair for part in keys_read),
        endless_layers=_layers(model, lambda mixer: any(_limit(part) == 0 for part in mixer.cached)),
        shared=_shared(model, tp, sharing) if sharing > 1 else None,
    )


def work_under(engine: Engine, model: Model, precision: Precision, layout: Layout, *, kv_bits: float) -> Work:
    """The work of a layout under an engine: ranks share out its cache as it says, and adapters add to it."""
    work = work_of(
        model,
        precision,
        tp=layout.tp,
        kv_bits=kv_bits,
        attention_dp=layout.attention_dp,
        sharing=engine.context_parallel,
    )
    return replace(work, adapted=adapter_work(model, precision, layout, engine)) if engine.adapters else work


def _shared(model: Model, tp: int, ranks: int) -> Shared:
    """What ranks that share out the tokens of a cache tell each other of one token: see `cache_exchanges`.

    In 16 bit, heads / tp queries of each rank, as wide as a latent where there is one; what each makes for the heads of
    all ranks, with a sum of 4 bytes for each; the tokens that an indexer picks of its own.
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
    return Shared(ranks=ranks, layers=kept, gathers=2 * kept + picks, gathered=gathered, scattered=scattered)


def _layers(model: Model, has: Callable[[Mixer], bool]) -> int:
    """Layers with a mixer that `has` something."""
    return sum(group.count for group in model.architecture.groups if any(map(has, group.mixers)))


def _mixer_share(model: Model, tp: int) -> float:
    """The share of all mixers that one rank holds: what makes latents, and KV heads beyond one, is repeated."""
    hidden = model.architecture.hidden
    sizes = [(layers * mixer.params(hidden), mixer) for layers, mixer in model.architecture.mixers]
    total = sum(size for size, _ in sizes)
    return sum(size * mixer.share(hidden, tp) for size, mixer in sizes) / total if total else 1 / tp


def _half_share(bits: float, precision: Precision) -> float:
    """(bits - own) / (16 - own): the share of a class in 16 bit where its mean is `bits` and the rest is as the format.

    A class in FP8 beside FP4 comes out at 0.3, which takes as long as FP8 at half the rate of FP4: 0.3 + 0.7 / 4 is
    about 1/2.

    >>> from inferplan.catalog.formats import FORMATS
    >>> [round(_half_share(bits, FORMATS["nvfp4"]), 3) for bits in (4.5, 8.0, 16.0)]
    [0.0, 0.304, 1.0]
    """
    own = precision.bits_per_weight
    return min(1.0, max(0.0, (bits - own) / (REST_BITS - own))) if own < REST_BITS else 0.0


def _read(layers: int, part: Cached, *, tp: int, kv_bits: float) -> Bounded:
    """What a pass reads and computes of one part of the cache, on one rank; 0 tokens stands for no bound."""
    prompt = part.flops if part.prefill_flops is None else part.prefill_flops
    return Bounded(
        tokens=_limit(part),
        bytes_per_token=layers * part.on_rank(tp) / part.compress * kv_bits / BITS_PER_BYTE,
        flops_per_pair=layers * part.flops / part.compress / tp,
        prompt_flops_per_pair=layers * prompt / part.compress / tp,
    )


def _limit(part: Cached) -> int:
    """Tokens that are read of a part of the cache at most; 0 where there is no bound."""
    return part.window or (part.read or 0) * part.compress
