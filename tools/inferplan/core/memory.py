"""Weights, KV cache and overhead: what a model needs, before any engine has its say. All in bytes."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from inferplan.core.architecture import Architecture, Model, Parameters
from inferplan.core.precision import BITS_PER_BYTE, Precision

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

    @property
    def layers(self) -> float:
        """Everything that is in the layers rather than at the ends of the model. [B]"""
        return self.attention + self.ffn + self.routed_experts + self.replicated

    @property
    def total(self) -> float:
        """Everything that is loaded. [B]"""
        return self.layers + self.embedding + self.output_head


@lru_cache(maxsize=1024)
def weights(model: Model, precision: Precision) -> WeightBytes:
    """Parameters of each tensor class × the bits that the format spends on that class / 8. [B]

    A size class spends the guide's nominal bits on everything; a checkpoint spends the format's real bits, scales
    included, on its linear layers, and 16 bit on the rest where the format's scope is "linear".

    Source: GUIDE section 1 (size classes); the safetensors headers of published quantised checkpoints.
    """
    nominal = model.is_size_class
    linear = (precision.nominal_bits if nominal else precision.bits_per_weight) / BITS_PER_BYTE
    rest = (precision.nominal_bits if nominal else precision.rest_bits) / BITS_PER_BYTE
    parts: Parameters = model.parameters
    return WeightBytes(
        attention=parts.attention * linear,
        ffn=(parts.dense_ffn + parts.shared_experts) * linear,
        routed_experts=parts.routed_experts * linear,
        embedding=parts.embedding * rest,
        output_head=parts.output_head * rest,
        replicated=(parts.router + parts.norms + parts.other) * rest,
    )


def kv_bytes_per_token(architecture: Architecture, *, kv_bits: float) -> float:
    """2 × layers × kv_heads × head_dim × bytes: one key and one value per head, layer and token. [B/token]

    Holds for MHA, GQA and MQA.

    Source: GUIDE section 1; vLLM, vllm/v1/kv_cache_interface.py, `AttentionSpec.real_page_size_bytes`.

    >>> from inferplan.core.architecture import Attention, DenseFfn, LayerGroup
    >>> gqa = Attention(heads=64, kv_heads=8, head_dim=128)
    >>> group = LayerGroup(count=80, attention=gqa, ffn=DenseFfn(intermediate=28672))
    >>> llama_70b = Architecture(hidden=8192, vocab=128256, groups=(group,), max_positions=131072)
    >>> kv_bytes_per_token(llama_70b, kv_bits=16)
    327680.0
    """
    return sum(2 * group.count * group.attention.kv_width for group in architecture.groups) * kv_bits / BITS_PER_BYTE


def kv_cache(bytes_per_token: float, *, tokens: int, sequences: int) -> float:
    """bytes_per_token × tokens × sequences, each session holding its full context. [B]

    >>> kv_cache(163_840, tokens=8192, sequences=200) / 1e9
    268.435456
    """
    return bytes_per_token * tokens * sequences


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
