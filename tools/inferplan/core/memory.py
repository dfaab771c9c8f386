"""Weights, KV cache and overhead: what a model needs, before any engine has its say. All in bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from inferplan.core.architecture import Architecture
from inferplan.core.cache_parts import Cached
from inferplan.core.gguf_rows import more
from inferplan.core.model import Model, NativeBits
from inferplan.core.parameters import Parameters
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision

CONVOLUTION_BYTES = 2
HALF_BYTES = 2
OVERHEAD_FRACTION = 0.15
"""The guide's allowance for runtime context, activations and buffers, as a share of weights and KV cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightBytes:
    """Weights by where they go: what tensor parallelism shards by heads, by columns, by vocabulary. [B]"""

    attention: float
    ffn: float
    routed_experts: float
    embedding: float
    output_head: float
    replicated: float
    lookup: float = 0.0

    @property
    def layers(self) -> float:
        """Everything that is in the layers rather than at the ends of the model. [B]"""
        return self.attention + self.ffn + self.routed_experts + self.replicated

    @property
    def total(self) -> float:
        """Everything that is loaded. [B]"""
        return self.layers + self.embedding + self.output_head + self.lookup


def class_bits(model: Model, precision: Precision) -> NativeBits:
    """What the checkpoint in a format spends on each tensor class that formats differ in. [bits]

    A size class spends the guide's nominal bits on everything; a checkpoint spends the format's real bits, scales
    included, on its linear layers, and 16 bit on the rest where the format's scope is "linear". A checkpoint that is
    quantised in parts, as released or as published in this format, spends its own bits on each class, and a mix of
    GGUF more where rows are no whole blocks (`gguf_rows`).

    Limits: of a model without a published build in the format, every linear layer is taken to be quantised.

    Source: GUIDE section 1 (size classes); the safetensors headers and ignore lists of published checkpoints.
    """
    if model.is_size_class:
        linear = rest = precision.nominal_bits
    elif own := model.own_bits(precision.id):
        return own
    else:
        linear, rest = precision.bits_per_weight, precision.rest_bits
    wider = more(model, precision.id)
    return NativeBits(
        mixers=linear + wider.mixers,
        ffn=linear + wider.ffn,
        routed_experts=linear + wider.routed_experts,
        lookup=rest,
        output_head=rest + wider.output_head,
        embedding=rest + wider.embedding,
    )


def is_uneven(model: Model, precision: Precision) -> bool:
    """Whether a format spends more on some classes of tensors than on others of its scope."""
    return model.own_bits(precision.id) is not None or any(more(model, precision.id))


def params_by_bits(model: Model, precision: Precision) -> Iterator[tuple[float, int]]:
    """The parameters of each class of a checkpoint that is quantised in parts, with the bits spent on them."""
    own, parts = class_bits(model, precision), model.parameters
    yield own.mixers, parts.attention + parts.linear_attention
    yield own.ffn, parts.dense_ffn + parts.shared_experts
    yield own.routed_experts, parts.routed_experts
    yield own.output_head, parts.output_head
    yield own.lookup, parts.lookup
    yield own.embedding, parts.embedding
    yield precision.rest_bits, parts.router + parts.norms + parts.other


@lru_cache(maxsize=1024)
def weights(model: Model, precision: Precision) -> WeightBytes:
    """Parameters of each tensor class × the bits that the format spends on that class / 8, see `class_bits`. [B]"""
    parts: Parameters = model.parameters
    bits = class_bits(model, precision)
    rest = (precision.nominal_bits if model.is_size_class else precision.rest_bits) / BITS_PER_BYTE
    return WeightBytes(
        attention=(parts.attention + parts.linear_attention) * (bits.mixers / BITS_PER_BYTE),
        ffn=(parts.dense_ffn + parts.shared_experts) * (bits.ffn / BITS_PER_BYTE),
        routed_experts=parts.routed_experts * (bits.routed_experts / BITS_PER_BYTE),
        embedding=parts.embedding * (bits.embedding / BITS_PER_BYTE),
        output_head=parts.output_head * (bits.output_head / BITS_PER_BYTE),
        lookup=parts.lookup * (bits.lookup / BITS_PER_BYTE),
        replicated=(parts.router + parts.norms + parts.other) * rest,
    )


def multi_token_bytes(model: Model, precision: Precision) -> float:
    """Parameters of the layers that predict further tokens × the format's bits / 8. [B]

    They are loaded for speculative decoding only, so that no other figure holds them. 0 where there are none. A
    published build leaves them in 16 bit.
    """
    extra = model.architecture.multi_token
    bits = REST_BITS if model.build(precision.id) else precision.bits_per_weight
    return extra.params * bits / BITS_PER_BYTE if extra else 0.0


def vision_bytes(model: Model) -> float:
    """Parameters of the vision tower × 2 B: engines load it in 16 bit unless told not to. [B]"""
    return model.architecture.vision_params * HALF_BYTES


def kv_bytes_per_token(architecture: Architecture, *, kv_bits: float) -> float:
    """Σ layers × elements / compress × bytes: what one more token takes in a long context. [B/token]

    With MHA, GQA or MQA in every layer: 2 × layers × kv_heads × head_dim × bytes. A windowed layer whose window is
    full takes no more, so that this is 0 where all layers are windowed; `kv_cache_bytes` is exact for a context.

    Source: GUIDE section 1; vLLM, vllm/v1/kv_cache_interface.py, `AttentionSpec.real_page_size_bytes`.

    >>> from inferplan.core.architecture import Attention, DenseFfn, LayerGroup
    >>> gqa = Attention(heads=64, kv_heads=8, head_dim=128)
    >>> group = LayerGroup(count=80, attention=gqa, ffn=DenseFfn(intermediate=28672))
    >>> llama_70b = Architecture(hidden=8192, vocab=128256, groups=(group,), max_positions=131072)
    >>> kv_bytes_per_token(llama_70b, kv_bits=16)
    327680.0
    """
    parts = cached_parts(architecture)
    elements = sum(layers * part.elements / part.compress for layers, part in parts if part.window is None)
    return elements * kv_bits / BITS_PER_BYTE


def cached_parts(architecture: Architecture) -> Iterator[tuple[int, Cached]]:
    """What layers keep per token, with the number of layers that do."""
    return ((layers, part) for layers, mixer in architecture.mixers for part in mixer.cached)


def state_bytes(architecture: Architecture) -> float:
    """Σ layers × (convolution × 2 B + recurrent × its own bytes): constant per sequence. [B]

    A recurrent state is stored as its config says, often in fp32; the convolution's tail in the model's 16 bit.
    """
    states = ((layers, mixer.state) for layers, mixer in architecture.mixers)
    return sum(
        layers * (state.convolution * CONVOLUTION_BYTES + state.recurrent * architecture.state_bytes)
        for layers, state in states
        if state
    )


def kv_cache_bytes(architecture: Architecture, context: int, *, kv_bits: float) -> float:
    """Σ layers × elements × min(context, window) or ⌊context / compress⌋, × bytes, and the state. [B/sequence]

    What the architecture has to keep for one sequence of `context` tokens; engines allocate in blocks on top.

    >>> from inferplan.core.architecture import Attention, DenseFfn, LayerGroup
    >>> sliding = Attention(heads=32, kv_heads=8, head_dim=128, window=4096)
    >>> group = LayerGroup(count=32, attention=sliding, ffn=DenseFfn(intermediate=14336))
    >>> mistral_7b = Architecture(hidden=4096, vocab=32000, groups=(group,), max_positions=32768)
    >>> kv_cache_bytes(mistral_7b, 32768, kv_bits=16) / 2**30
    0.5
    """
    elements = sum(layers * part.elements * part.entries(context) for layers, part in cached_parts(architecture))
    return elements * kv_bits / BITS_PER_BYTE + state_bytes(architecture)


def overhead(weight_bytes: float, kv_bytes: float, *, fraction: float = OVERHEAD_FRACTION) -> float:
    """fraction × (weights + KV cache). [B]

    Source: GUIDE section 1. What engines take instead is in `engine_memory`.

    >>> overhead(70e9, 268_435_456_000) / 1e9
    50.7653184
    """
    return fraction * (weight_bytes + kv_bytes)


def devices_for(need: float, capacity: float) -> int:
    """⌈need / capacity⌉, at least one: devices by memory alone, whatever their layout. [devices]

    >>> devices_for(389.2e9, 85.52e9), devices_for(1, 85.52e9)
    (5, 1)
    """
    return max(1, ceil(need / capacity))
