"""Weights, KV cache and overhead that a model needs under any engine. Units: bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from inferplan.core.architecture import Architecture
from inferplan.core.gguf.mixes import BASE
from inferplan.core.gguf.sizes import stored_in
from inferplan.core.layers.cache_parts import Cached
from inferplan.core.model import Model, NativeBits
from inferplan.core.parameters import Parameters
from inferplan.core.precision import BITS_PER_BYTE, REST_BITS, Precision

CONVOLUTION_BYTES = 2
"""An element of a convolution's state, in 16 bit. [B]"""
FULL_BITS = 32
"""A number of full precision. [bits]"""
HALF_BYTES = 2
"""A number of 16 bit (half precision). [B]"""
OVERHEAD_FRACTION = 0.15
"""The guide's allowance for runtime, activations and buffers, as a share of weights and KV cache. [fraction]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightBytes:
    """Weights by how tensor parallelism splits them: by heads, columns, experts, vocabulary, or not at all. [B]"""

    attention: float
    ffn: float
    routed_experts: float
    embedding: float
    output_head: float
    replicated: float
    lookup: float = 0.0
    ngram: float = 0.0

    @property
    def layers(self) -> float:
        """The weights of all layers, without embedding, output head and lookup tables. [B]"""
        return self.attention + self.ffn + self.routed_experts + self.ngram + self.replicated

    @property
    def total(self) -> float:
        """All weights of the text decoder. [B]"""
        return self.layers + self.embedding + self.output_head + self.lookup


def class_bits(model: Model, precision: Precision) -> NativeBits:
    """The bits per weight of each tensor class of a checkpoint in a format, scales included. [bits]

    A size class has the guide's nominal bits throughout. A checkpoint has the format's bits in its linear layers, and
    16 bit in the rest where the format's scope is "linear". A checkpoint that is quantised in parts, as released or as
    published in this format, has its own bits in each class; a mix of GGUF the means of the types of its tensors
    (`core.gguf`).

    Limits: without a published build in the format, every linear layer is taken to be quantised.

    Source: GUIDE section 1 (size classes); the safetensors headers and ignore lists of published checkpoints.
    """
    if model.is_size_class:
        linear = rest = precision.nominal_bits
    elif own := model.own_bits(precision.id):
        return own
    elif mixed := _mixed(model, precision):
        return mixed
    else:
        linear, rest = precision.bits_per_weight, precision.rest_bits
    return NativeBits(mixers=linear, ffn=linear, routed_experts=linear, lookup=rest, output_head=rest, embedding=rest)


@lru_cache(maxsize=1024)
def _mixed(model: Model, precision: Precision) -> NativeBits | None:
    """The mean bits that a mix of GGUF has in each class of a checkpoint; None of a size class and in other formats."""
    if precision.id not in BASE or model.is_size_class:
        return None
    mixed = stored_in(model.architecture, precision.id)
    return NativeBits(
        mixers=mixed.bits("attention", "linear_attention"),
        ffn=mixed.bits("dense_ffn", "shared_experts"),
        routed_experts=mixed.bits("routed_experts"),
        lookup=mixed.embedding,
        output_head=mixed.output_head,
        embedding=mixed.embedding,
    )


def plain_bits(model: Model, precision: Precision) -> float:
    """The bits of norms and routers: 32 in a mix of GGUF, else those of what a format does not quantise. [bits]"""
    return FULL_BITS if _mixed(model, precision) else precision.rest_bits


def is_uneven(model: Model, precision: Precision) -> bool:
    """Whether a format has more bits in some classes of tensors than in others of its scope."""
    return model.own_bits(precision.id) is not None or _mixed(model, precision) is not None


def params_by_bits(model: Model, precision: Precision) -> Iterator[tuple[float, int]]:
    """The bits and the parameters of each class of a checkpoint that is quantised in parts. [bits, parameters]"""
    own, parts = class_bits(model, precision), model.parameters
    yield own.mixers, parts.attention + parts.linear_attention
    yield own.ffn, parts.dense_ffn + parts.shared_experts + parts.ngram
    yield own.routed_experts, parts.routed_experts
    yield own.output_head, parts.output_head
    yield own.lookup, parts.lookup
    yield own.embedding, parts.embedding
    yield plain_bits(model, precision), parts.router + parts.norms
    yield precision.rest_bits, parts.other


@lru_cache(maxsize=1024)
def weights(model: Model, precision: Precision) -> WeightBytes:
    """Parameters of each tensor class × the bits that the format spends on that class / 8, see `class_bits`. [B]"""
    parts: Parameters = model.parameters
    bits = class_bits(model, precision)
    rest, plain = precision.rest_bits, plain_bits(model, precision)
    if model.is_size_class:
        rest = plain = precision.nominal_bits
    return WeightBytes(
        attention=(parts.attention + parts.linear_attention) * (bits.mixers / BITS_PER_BYTE),
        ffn=(parts.dense_ffn + parts.shared_experts) * (bits.ffn / BITS_PER_BYTE),
        routed_experts=parts.routed_experts * (bits.routed_experts / BITS_PER_BYTE),
        embedding=parts.embedding * (bits.embedding / BITS_PER_BYTE),
        output_head=parts.output_head * (bits.output_head / BITS_PER_BYTE),
        lookup=parts.lookup * (bits.lookup / BITS_PER_BYTE),
        ngram=parts.ngram * (bits.ffn / BITS_PER_BYTE),
        replicated=((parts.router + parts.norms) * plain + parts.other * rest) / BITS_PER_BYTE,
    )


def multi_token_bytes(model: Model, precision: Precision) -> float:
    """Parameters of the multi-token-prediction layers × the format's bits / 8; 0 where there are none. [B]

    They are loaded for speculative decoding alone, and are in no other figure. Builds in FP4 leave them in 16 bit; the
    one build in FP8 that has such a layer (Qwen3.8 Flash Next) leaves a thirtieth of it.
    """
    extra = model.architecture.multi_token
    leaves_it = model.build(precision.id) is not None and precision.nominal_bits < BITS_PER_BYTE
    bits = REST_BITS if leaves_it else precision.bits_per_weight
    return extra.params * bits / BITS_PER_BYTE if extra else 0.0


def vision_bytes(model: Model) -> float:
    """Parameters of the vision tower × 2 B, as engines load it by default. [B]"""
    return model.architecture.vision_params * HALF_BYTES


def kv_bytes_per_token(architecture: Architecture, *, kv_bits: float) -> float:
    """Σ layers × elements / compress × bytes: what one more token takes in a long context. [B/token]

    With MHA, GQA or MQA in every layer: 2 × layers × kv_heads × head_dim × bytes. A windowed layer whose window is
    full takes no more, so that this is 0 where all layers are windowed; `kv_cache_bytes` is exact for a context.

    Source: GUIDE section 1; vLLM, vllm/v1/kv_cache_interface.py, `AttentionSpec.real_page_size_bytes`.

    >>> from inferplan.core.architecture import DenseFfn, LayerGroup
    >>> from inferplan.core.layers.attention import Attention
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
    """The parts of the KV cache, each with the number of layers that have it."""
    return ((layers, part) for layers, mixer in architecture.mixers for part in mixer.cached)


def state_bytes(architecture: Architecture) -> float:
    """Σ layers × (convolution × 2 B + recurrent × element): recurrent states, of any context. [B/sequence]

    An element of the recurrent state is as the config says, often fp32; the tail of a convolution is in 16 bit.
    """
    states = ((layers, mixer.state) for layers, mixer in architecture.mixers)
    return sum(
        layers * (state.convolution * CONVOLUTION_BYTES + state.recurrent * architecture.state_bytes)
        for layers, state in states
        if state
    )


def kv_cache_bytes(architecture: Architecture, context: int, *, kv_bits: float) -> float:
    """Σ layers × elements × min(context, window) or ⌊context / compress⌋, × bytes, and the state. [B/sequence]

    It is what the architecture needs for one sequence of `context` tokens; engines round up to blocks.

    >>> from inferplan.core.architecture import DenseFfn, LayerGroup
    >>> from inferplan.core.layers.attention import Attention
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

    Source: GUIDE section 1. `engine_memory` has what engines really take.

    >>> overhead(70e9, 268_435_456_000) / 1e9
    50.7653184
    """
    return fraction * (weight_bytes + kv_bytes)


def devices_for(need: float, capacity: float) -> int:
    """max(1, ⌈need / capacity⌉): devices by memory alone, without regard to legal layouts. [devices]

    >>> devices_for(389.2e9, 85.52e9), devices_for(1, 85.52e9)
    (5, 1)
    """
    return max(1, ceil(need / capacity))
