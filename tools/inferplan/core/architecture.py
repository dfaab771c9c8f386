"""What a model is made of: layers, attention, experts; and how many parameters that makes.

Counts are exact: `count` reproduces the published checkpoint total of every catalogued model to the integer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from inferplan.core.attention import Attention, Compressed, Latent, QkNorm, attention_params
from inferplan.core.recurrence import GatedDelta, GroupedLightning, KimiDelta, Lightning, Mamba1, Mamba2, ShortConv
from inferplan.core.vision import VisionTower

__all__ = [
    "Architecture",
    "Attention",
    "DenseFfn",
    "ExpertFfn",
    "LayerGroup",
    "Mixer",
    "MultiToken",
    "Parameters",
    "QkNorm",
    "attention_params",
    "count",
    "ffn_params",
    "idle_params",
    "layer_params",
]

Recurrent = GatedDelta | KimiDelta | Mamba1 | Mamba2 | Lightning | GroupedLightning | ShortConv
Mixer = Attention | Latent | Compressed | Recurrent


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseFfn:
    """A feed-forward block that every token passes through."""

    intermediate: int
    gated: bool = True
    bias: bool = False
    extra_params: int = 0

    @property
    def dense_width(self) -> int:
        """The width that every token passes through. [elements]"""
        return self.intermediate


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertFfn:
    """Routed experts, `active` of them per token, next to a shared expert of `shared_intermediate` width.

    `dense_intermediate` is a dense block beside the experts; `expert_hidden` the narrower width in which latent
    experts work, between two projections. A router may have more outputs than experts (those compute nothing).
    Where there is an `image_intermediate`, as many experts of that width and a router of their own stand beside them,
    which only tokens of images pass through (ERNIE 4.5 VL).
    """

    experts: int
    active: int
    intermediate: int
    shared_intermediate: int = 0
    gated: bool = True
    bias: bool = False
    shared_gate: bool = False
    dense_intermediate: int = 0
    expert_hidden: int | None = None
    router_outputs: int | None = None
    router_bias: bool = False
    router_params_per_expert: int | None = None
    extra_router_params: int = 0
    extra_latent_params: int = 0
    image_intermediate: int = 0

    @property
    def text_share(self) -> float:
        """What tokens of text choose from of all routed experts. [fraction]"""
        return self.intermediate / (self.intermediate + self.image_intermediate)

    @property
    def dense_width(self) -> int:
        """The width that every token passes through: shared expert or dense block. [elements]"""
        return max(self.shared_intermediate, self.dense_intermediate)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerGroup:
    """`count` layers of one kind: what mixes tokens, what each token passes through, and norms.

    `beside` mixes tokens in parallel with `attention` (Falcon-H1); either block may be absent (Nemotron-H). Where the
    blocks are `joined`, both read the same input, and engines add their outputs up before ranks exchange them (Falcon).
    """

    count: int
    attention: Mixer | None
    ffn: DenseFfn | ExpertFfn | None
    norms: int = 2
    norm_bias: bool = False
    beside: Mixer | None = None
    joined: bool = False
    mixers: tuple[Mixer, ...] = field(init=False, compare=False, repr=False)
    """What mixes tokens in one layer."""

    def __post_init__(self) -> None:
        """Look up what is asked for time and again."""
        mixers = tuple([one for one in (self.attention, self.beside) if one is not None])
        object.__setattr__(self, "mixers", mixers)

    @property
    def sums(self) -> int:
        """Outputs that tensor-parallel ranks add up in one layer: of each block, or of all where they are joined."""
        return 1 if self.joined else len(self.mixers) + (self.ffn is not None)


StageCopies = Literal["none", "embedding", "all"]
"""What vLLM builds on every pipeline stage: neither embedding nor head, the former, or both."""


DraftMethod = Literal["mtp", "dspark"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiToken:
    """Layers that predict further tokens: loaded only for speculative decoding. [parameters]

    `method` is what vLLM calls the way they draft: a token after another ("mtp"), or several at once ("dspark").
    """

    layers: int
    params: int
    method: DraftMethod = "mtp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A decoder: token embedding, layer groups, final norm, output head.

    `order` gives the group of each layer where kinds alternate; without it the groups follow each other.
    `lookup_params` are tables of which a token gathers a few rows: memory, but no arithmetic. `other_params` and
    `norm_params` are what the published tensors have beyond layers and final norm. `state_bytes` is the element
    of recurrent states, `rotary_dim` what of a head rotates, `rope_tables` the 16-bit rows of rotations per position:
    as many as a linear scale stretches it, one more where windowed layers rotate otherwise, two where vLLM keeps
    them in fp32 (`DeepseekScalingRotaryEmbedding`), four where positions have sections for time, height and width
    (`MRotaryEmbedding`). `stage_copies` is what vLLM builds on every pipeline stage, not at the ends alone. What stands
    beside the text decoder, `vision_params` and `multi_token`, is in no total; of the former `vision_replicated` are on
    every rank. `vision` says how the tower computes, where that is known.
    """

    hidden: int
    vocab: int
    groups: tuple[LayerGroup, ...]
    max_positions: int
    tied_embeddings: bool = False
    other_params: int = 0
    order: tuple[int, ...] = ()
    head_bias: bool = False
    final_norms: int = 1
    norm_params: int = 0
    lookup_params: int = 0
    state_bytes: int = 2
    rotary_dim: int | None = None
    rope_tables: int = 1
    stage_copies: StageCopies = "none"
    vision_params: int = 0
    vision_replicated: int = 0
    vision: VisionTower | None = None
    multi_token: MultiToken | None = None
    layers: int = field(init=False, compare=False, repr=False)
    """Decoder layers in all groups."""
    mixers: tuple[tuple[int, Mixer], ...] = field(init=False, compare=False, repr=False)
    """Every mixer with the number of layers that have it."""
    experts: ExpertFfn | None = field(init=False, compare=False, repr=False)
    """The expert block, where the model has one."""

    def __post_init__(self) -> None:
        """Look up what is asked for time and again."""
        mixers = tuple([(group.count, mixer) for group in self.groups for mixer in group.mixers])
        experts = next((group.ffn for group in self.groups if isinstance(group.ffn, ExpertFfn)), None)
        object.__setattr__(self, "layers", sum([group.count for group in self.groups]))
        object.__setattr__(self, "mixers", mixers)
        object.__setattr__(self, "experts", experts)

    @property
    def deepstack(self) -> int:
        """The layers to whose inputs a vision tower adds. [layers]"""
        return self.vision.stacked if self.vision else 0

    @property
    def sequence(self) -> tuple[int, ...]:
        """The group of each layer, in the order of the forward pass."""
        return self.order or tuple(i for i, group in enumerate(self.groups) for _ in range(group.count))

    @property
    def plain(self) -> Attention | None:
        """The attention that all layers share, where each keeps every token's keys and values; None elsewhere."""
        first = self.groups[0].attention
        if not isinstance(first, Attention) or not first.is_plain:
            return None
        return first if all(group.mixers == (first,) for group in self.groups) else None

    @property
    def has_states(self) -> bool:
        """Whether any layer keeps a state of constant size for each sequence."""
        return any(mixer.state for _, mixer in self.mixers)

    @property
    def has_latents(self) -> bool:
        """Whether any layer keeps a latent in place of keys and values (MLA)."""
        return any(isinstance(mixer, Latent) for _, mixer in self.mixers)

    @property
    def rope_dim(self) -> int:
        """The width of the table of rotations. [elements]"""
        if self.rotary_dim is not None:
            return self.rotary_dim
        heads = (one for _, one in self.mixers if isinstance(one, Attention | Latent | Compressed))
        return max((one.rope_dim if isinstance(one, Latent) else one.head_dim for one in heads), default=0)

    @property
    def sums(self) -> int:
        """Outputs that tensor-parallel ranks add up in a pass."""
        return sum(group.count * group.sums for group in self.groups)

    @property
    def expert_layers(self) -> int:
        """Layers whose feed-forward block is routed."""
        return sum(g.count for g in self.groups if isinstance(g.ffn, ExpertFfn))


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """Parameters by tensor class: what a format quantises differs by class. [parameters]"""

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

    @property
    def total(self) -> int:
        """Everything that is loaded."""
        ends = self.embedding + self.output_head + self.lookup
        return self.linear + ends + self.router + self.norms + self.other

    @property
    def linear(self) -> int:
        """The matrices that quantised checkpoints quantise: attention, feed-forward, experts."""
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
    bias = architecture.vocab if architecture.head_bias else 0
    return Parameters(
        embedding=embedding,
        output_head=0 if architecture.tied_embeddings else embedding + bias,
        other=architecture.other_params,
        lookup=architecture.lookup_params,
        **classes,
    )


_LAYER_CLASSES = (
    "attention",
    "linear_attention",
    "dense_ffn",
    "routed_experts",
    "shared_experts",
    "router",
    "norms",
)


def layer_params(hidden: int, group: LayerGroup) -> Iterator[tuple[str, int]]:
    """The tensor classes of one layer. [parameters]"""
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
    """Routed experts, in their own width where it is latent; what stands beside them; the router. [parameters]"""
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
    """A routed expert for tokens of text. [parameters]"""
    inner = ffn.expert_hidden or hidden
    bias = inner + (2 if ffn.gated else 1) * ffn.intermediate if ffn.bias else 0
    return ffn_params(inner, ffn.intermediate, gated=ffn.gated) + bias


def idle_params(architecture: Architecture) -> int:
    """Σ layers × (experts - active) × parameters of an expert, experts for images alone, lookup tables. [parameters]"""
    idle = architecture.lookup_params
    for group in architecture.groups:
        if isinstance(group.ffn, ExpertFfn):
            routed = dict(_expert_params(architecture.hidden, group.ffn))["routed_experts"]
            idle += group.count * (routed - _one_expert(architecture.hidden, group.ffn) * group.ffn.active)
    return idle
