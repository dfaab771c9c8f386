"""How many parameters an architecture has, by tensor class.

Counts are exact: `count` reproduces the published total of every catalogued checkpoint to the integer.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent

_LAYER_CLASSES = (
    "attention",
    "linear_attention",
    "dense_ffn",
    "routed_experts",
    "shared_experts",
    "router",
    "norms",
)
"""The tensor classes of a layer: fields of `Parameters`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """Parameters by tensor class, as checkpoints quantise some classes and not others. [parameters]"""

    embedding: int
    output_head: int
    attention: int
    dense_ffn: int
    routed_experts: int
    shared_experts: int
    router: int
    norms: int
    other: int = 0
    linear_attention: int = 0
    lookup: int = 0
    ngram: int = 0

    @property
    def total(self) -> int:
        """Every parameter of the text decoder."""
        ends = self.embedding + self.output_head + self.lookup
        return self.linear + self.ngram + ends + self.router + self.norms + self.other

    @property
    def linear(self) -> int:
        """The linear layers, which quantised checkpoints quantise: attention, feed-forward blocks, experts."""
        mixing = self.attention + self.linear_attention
        return mixing + self.dense_ffn + self.routed_experts + self.shared_experts


def ffn_params(hidden: int, intermediate: int, *, gated: bool, bias: bool = False) -> int:
    """3 × hidden × intermediate where gated (gate, up, down), 2 × where not (up, down). [parameters]

    Source: transformers, `LlamaMLP` (gated), `BloomMLP` (not gated, with bias).

    >>> ffn_params(8192, 28672, gated=True) * 80
    56371445760
    """
    return (3 if gated else 2) * hidden * intermediate + (intermediate + hidden if bias else 0)


def count(architecture: Architecture) -> Parameters:
    """Parameters of every tensor class, summed over the layers. [parameters]

    Limits: text decoder only; no vision tower, no multi-token-prediction layers, no buffers.

    >>> from inferplan.core.layers.attention import Attention
    >>> group = LayerGroup(
    ...     count=80,
    ...     attention=Attention(heads=64, kv_heads=8, head_dim=128),
    ...     ffn=DenseFfn(intermediate=28672),
    ... )
    >>> count(Architecture(hidden=8192, vocab=128256, groups=(group,), max_positions=131072)).total
    70553706496
    """
    embedding = architecture.vocab * architecture.hidden
    classes: dict[str, int] = dict.fromkeys(_LAYER_CLASSES, 0)
    for group in architecture.groups:
        for name, params in layer_params(architecture.hidden, group):
            classes[name] += group.count * params
    final = architecture.final_norms * architecture.hidden * (2 if architecture.groups[-1].norm_bias else 1)
    classes["norms"] += final + architecture.norm_params
    head = architecture.logits * (architecture.hidden + (1 if architecture.head_bias else 0))
    return Parameters(
        embedding=embedding,
        output_head=0 if architecture.tied_embeddings else head,
        other=architecture.other_params,
        lookup=architecture.lookup_params,
        ngram=architecture.ngram_params,
        **classes,
    )


def layer_params(hidden: int, group: LayerGroup) -> Iterator[tuple[str, int]]:
    """The tensor classes of one layer, by the field of `Parameters`; a class may come several times. [parameters]"""
    for mixer in group.mixers:
        linear = not isinstance(mixer, Attention | Latent | Compressed)
        yield "linear_attention" if linear else "attention", mixer.params(hidden)
    yield "norms", group.norms * hidden * (2 if group.norm_bias else 1)
    if isinstance(group.ffn, DenseFfn):
        ffn = group.ffn
        yield "dense_ffn", ffn_params(hidden, ffn.intermediate, gated=ffn.gated, bias=ffn.bias) + ffn.extra_params
    elif group.ffn is not None:
        yield from _expert_params(hidden, group.ffn)


def _expert_params(hidden: int, ffn: ExpertFfn) -> Iterator[tuple[str, int]]:
    """Routed experts, in their latent width where they have one; shared expert and dense block; router. [parameters]"""
    image = ffn_params(ffn.expert_hidden or hidden, ffn.image_intermediate, gated=ffn.gated)
    yield "routed_experts", ffn.experts * (_one_expert(hidden, ffn) + image)
    latent = 2 * hidden * ffn.expert_hidden + ffn.extra_latent_params if ffn.expert_hidden else 0
    gate = hidden if ffn.shared_gate else 0
    yield "shared_experts", ffn_params(hidden, ffn.shared_intermediate, gated=ffn.gated) + gate + latent
    yield "dense_ffn", ffn_params(hidden, ffn.dense_intermediate, gated=ffn.gated)
    outputs = (ffn.router_outputs or ffn.experts) + (ffn.experts if image else 0)
    router = outputs * (ffn.router_params_per_expert or hidden)
    yield "router", router + (ffn.experts if ffn.router_bias else 0) + ffn.extra_router_params


def _one_expert(hidden: int, ffn: ExpertFfn) -> int:
    """One routed expert, of those for tokens of text. [parameters]"""
    inner = ffn.expert_hidden or hidden
    bias = inner + (2 if ffn.gated else 1) * ffn.intermediate if ffn.bias else 0
    return ffn_params(inner, ffn.intermediate, gated=ffn.gated) + bias


def idle_params(architecture: Architecture) -> int:
    """Parameters that a token of text does not compute with: experts not picked, lookup tables. [parameters]

    lookup + Σ layers × (routed experts, those for images included - active × one expert).
    """
    idle = architecture.lookup_params
    for group in architecture.groups:
        if isinstance(group.ffn, ExpertFfn):
            routed = dict(_expert_params(architecture.hidden, group.ffn))["routed_experts"]
            idle += group.count * (routed - _one_expert(architecture.hidden, group.ffn) * group.ffn.active)
    return idle
