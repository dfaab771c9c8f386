"""A roofline with measured efficiencies: how long a forward pass takes, and what a replica then serves.

Memory time and compute time of a pass add up (fitted corner sharpness 1), with a fixed time per layer. The
constants are the 13 free parameters of a closed form that others fitted to 7,315 published measurements (vLLM,
TensorRT-LLM, SGLang, llama.cpp; 79 accelerators); they know neither the engine nor the GPU generation. Held
against 1,022 published closed-loop runs of plain-attention models on H100, H200, B200, B300 and A100, half of
the TPOTs lie within 14 % and half of the TTFTs within 37 % (`tests/core/test_performance_against_published_runs`):
every figure is an estimate. Units: bytes, FLOP, seconds, tokens.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from inferplan.core.architecture import Model
from inferplan.core.attention import Cached
from inferplan.core.hardware import Gpu
from inferplan.core.memory import WeightBytes, cached_parts, state_bytes, weights
from inferplan.core.parallelism import Fabric, Layout
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.sparsity import expert_coverage
from inferplan.core.units import MICRO

ACTIVATION_BYTES = 2
TPOT_BAND = 0.15
"""Half of 1,022 published runs lie within this share of the estimate."""
TTFT_BAND = 0.40
"""The same for TTFT under load, which depends on how requests arrive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Efficiency:
    """What hardware reaches of its rated figures, and what a pass costs besides."""

    bandwidth: float = 0.864
    compute: float = 0.693
    expert_compute: float = 0.366
    attention_compute: float = 0.232
    link: float = 0.339
    layer_s: float = 78.1 * MICRO
    expert_layer_s: float = 16.8 * MICRO
    all_reduce_s: float = 4.56 * MICRO
    sequence_s: float = 5.99 * MICRO
    prefill_interference: float = 0.63
    front_end_s: float = 0.0728
    prompt_queue: float = 0.0854


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What one token costs on one rank of a replica: bytes to read, FLOPs to do, elements to send."""

    layers: int
    expert_layers: int
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
    prompt_saving_per_pair: float = 0.0
    bounded: tuple["Bounded", ...] = ()
    state_bytes: float = 0.0

    def cache_read(self, context: float) -> float:
        """KV cache that one decoded token reads at this context, and the state that it reads and writes. [B]"""
        near = sum(min(context, part.tokens) * part.bytes_per_token for part in self.bounded)
        return context * self.kv_bytes_per_token + near + 2 * self.state_bytes

    def decode_flops(self, context: float) -> float:
        """Attention arithmetic of one decoded token. [FLOP]"""
        near = sum(min(context, part.tokens) * part.flops_per_pair for part in self.bounded)
        return context * self.attention_flops_per_pair + near

    def prompt_flops(self, prompt: float) -> float:
        """Attention arithmetic of one token in the middle of a prompt. [FLOP]"""
        near = sum(min(prompt / 2, part.tokens) * part.prompt_flops_per_pair for part in self.bounded)
        return prompt / 2 * (self.attention_flops_per_pair - self.prompt_saving_per_pair) + near


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounded:
    """Layers that read no more than `tokens` of the context: windows, and what an indexer picks."""

    tokens: int
    bytes_per_token: float
    flops_per_pair: float
    prompt_flops_per_pair: float


@lru_cache(maxsize=4096)
def work(model: Model, precision: Precision, *, tp: int, kv_bits: float) -> Work:
    """The work of a model in a format on one of `tp` ranks, all pipeline stages together."""
    architecture, parts = model.architecture, model.parameters
    stored: WeightBytes = weights(model, precision)
    experts = architecture.experts
    parts_read = [_read(layers, part, tp=tp, kv_bits=kv_bits) for layers, part in cached_parts(architecture)]
    endless = [part for part in parts_read if part.tokens == 0]
    share = experts.active / experts.experts if experts else 0.0
    return Work(
        layers=architecture.layers,
        expert_layers=architecture.expert_layers,
        hidden=architecture.hidden,
        dense_bytes=(stored.attention + stored.ffn + stored.replicated) / tp,
        expert_bytes=stored.routed_experts / tp,
        head_bytes=(stored.output_head or stored.embedding) / tp,
        dense_params=(parts.attention + parts.linear_attention + parts.dense_ffn + parts.shared_experts + parts.router)
        / tp,
        active_expert_params=parts.routed_experts * share / tp,
        head_params=(parts.output_head or parts.embedding) / tp,
        kv_bytes_per_token=sum(part.bytes_per_token for part in endless),
        attention_flops_per_pair=sum(part.flops_per_pair for part in endless),
        prompt_saving_per_pair=sum(part.flops_per_pair - part.prompt_flops_per_pair for part in endless),
        bounded=tuple(part for part in parts_read if part.tokens > 0),
        state_bytes=state_bytes(architecture) / tp,
        experts=experts.experts if experts else 0,
        active=experts.active if experts else 0,
    )


def _read(layers: int, part: Cached, *, tp: int, kv_bits: float) -> Bounded:
    """What a pass reads and computes of one part of the cache, on one rank; 0 tokens stands for no bound."""
    limit = part.window or (part.read or 0) * part.compress
    prompt = part.flops if part.prefill_flops is None else part.prefill_flops
    return Bounded(
        tokens=limit,
        bytes_per_token=layers * part.on_rank(tp) / part.compress * kv_bits / BITS_PER_BYTE,
        flops_per_pair=layers * part.flops / part.compress / tp,
        prompt_flops_per_pair=layers * prompt / part.compress / tp,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The GPU of a rank and the links that its layout uses."""

    bandwidth: float
    matrix_flops: float
    half_flops: float
    fabric: Fabric
    efficiency: Efficiency = field(default_factory=Efficiency)


def machine(gpu: Gpu, precision: Precision, fabric: Fabric, efficiency: Efficiency) -> Machine | None:
    """The machine for a format: its own arithmetic where the GPU has it, else 16 bit. None where no peak is known."""
    half = gpu.half_flops or gpu.peak_flops("fp32")
    if half is None:
        return None
    native = None if precision.weight_only else gpu.peak_flops(precision.compute)
    return Machine(
        bandwidth=gpu.bandwidth,
        matrix_flops=native or half,
        half_flops=half,
        fabric=fabric,
        efficiency=efficiency,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """The time of one forward pass, part by part. [s]"""

    weights_s: float
    kv_cache_s: float
    compute_s: float
    collectives_s: float
    fixed_s: float

    @property
    def total_s(self) -> float:
        """The parts do not overlap in the fitted form. [s]"""
        return self.weights_s + self.kv_cache_s + self.compute_s + self.collectives_s + self.fixed_s


def all_reduce_time(payload: float, *, tp: int, bandwidth: float, efficiency: Efficiency) -> float:
    """latency + 2 (tp - 1) / tp × payload / (bandwidth × efficiency): a ring over `tp` ranks. [s]

    Source: NVIDIA nccl-tests, doc/PERFORMANCE.md (bus bandwidth of all-reduce).

    >>> round(all_reduce_time(16384, tp=8, bandwidth=450e9, efficiency=Efficiency()) * 1e6, 2)
    4.75
    """
    if tp == 1:
        return 0.0
    return efficiency.all_reduce_s + 2 * (tp - 1) / tp * payload / (bandwidth * efficiency.link)


def forward_pass(
    w: Work, m: Machine, layout: Layout, *, decode: int, context: float, prefill: int = 0, prompt: int = 0
) -> Pass:
    """One pass over `decode` running sequences of `context` tokens and `prefill` tokens of `prompt`-token prompts.

    Weights are read once per pass (of the experts, those that the batch touches), the KV cache once per decoded
    token; matrix products cost 2 FLOP per parameter and token. Stages of a pipeline run one after the other.

    Limits: no speculative decoding, no overlap of communication and computation; the products inside recurrent
    layers are not counted. Fitted on plain attention; latent, windowed and recurrent layers follow the same form.
    """
    e, tokens = m.efficiency, decode + prefill
    touched = expert_coverage(tokens=tokens, experts=w.experts, active=w.active) if w.experts else 0.0
    read = w.dense_bytes + w.head_bytes + touched * w.expert_bytes
    heads = decode + (prefill / prompt if prompt else 0)
    dense = 2 * tokens * w.dense_params / (m.matrix_flops * e.compute)
    head = 2 * heads * w.head_params / (m.half_flops * e.compute)
    routed = 2 * tokens * w.active_expert_params / (m.matrix_flops * e.expert_compute)
    attention_flops = decode * w.decode_flops(context) + prefill * w.prompt_flops(prompt)
    attention = attention_flops / (m.half_flops * e.attention_compute)
    return Pass(
        weights_s=read / (m.bandwidth * e.bandwidth),
        kv_cache_s=decode * w.cache_read(context) / (m.bandwidth * e.bandwidth),
        compute_s=dense + head + routed + attention,
        collectives_s=_collectives(w, m, layout, tokens),
        fixed_s=w.layers * e.layer_s + w.expert_layers * e.expert_layer_s + decode * e.sequence_s,
    )


def _collectives(w: Work, m: Machine, layout: Layout, tokens: int) -> float:
    """Two all-reduces a layer over the tensor group, and one hand-over between neighbouring stages. [s]"""
    payload = tokens * w.hidden * ACTIVATION_BYTES
    reduce = all_reduce_time(payload, tp=layout.tp, bandwidth=m.fabric.tensor_bandwidth, efficiency=m.efficiency)
    hop = m.efficiency.all_reduce_s + payload / (m.fabric.stage_bandwidth * m.efficiency.link)
    return 2 * w.layers * reduce + (layout.pp - 1) * hop


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one replica is asked for: sequences at once, the context they attend over, tokens in and out."""

    sequences: int
    context: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What one replica delivers under a load."""

    ttft_s: float
    tpot_s: float
    tokens_per_s: float
    requests_per_s: float
    decode: Pass
    prefill: Pass


def serve(w: Work, m: Machine, layout: Layout, load: Load) -> Service:
    """TPOT, TTFT and closed-loop throughput of one replica whose `sequences` slots are always busy.

    TPOT = t(decode) + interference × (sequences / output) × t(prefill of one prompt, without fixed times)
    TTFT = front end + t(decode) + t(prefill) × (1 + queue × (sequences - 1))
    tokens/s = sequences × output / (TTFT + (output - 1) × TPOT)
    A pipeline works on `pp` batches at once, each of sequences / pp.
    """
    e = m.efficiency
    batch = -(-load.sequences // layout.pp)
    decode = forward_pass(w, m, layout, decode=batch, context=load.context)
    prefill = forward_pass(w, m, layout, decode=0, context=0, prefill=load.input_tokens, prompt=load.input_tokens)
    marginal = prefill.total_s - prefill.fixed_s
    tpot = decode.total_s + e.prefill_interference * load.sequences / load.output_tokens * marginal / layout.pp
    ttft = e.front_end_s + decode.total_s + prefill.total_s * (1 + e.prompt_queue * (load.sequences - 1))
    seconds = ttft + (load.output_tokens - 1) * tpot
    return Service(
        ttft_s=ttft,
        tpot_s=tpot,
        tokens_per_s=load.sequences * load.output_tokens / seconds,
        requests_per_s=load.sequences / seconds,
        decode=decode,
        prefill=prefill,
    )
