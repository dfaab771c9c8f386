"""What a model is made of: layers, attention, experts; and how many parameters that makes.

Counts are exact: `count` reproduces the published checkpoint total of every catalogued model to the integer.
A size class of the guide ("70B") is nominal: its totals are what its name says, and its architecture is the
shape of the model that it stands for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from inferplan.core.attention import Attention, Compressed, Latent, QkNorm, attention_params
from inferplan.core.recurrence import GatedDelta, KimiDelta, Lightning, Mamba1, Mamba2, ShortConv
from inferplan.core.sparsity import routed_params
from inferplan.core.vision import VisionTower

__all__ = [
    "Architecture",
    "Attention",
    "Build",
    "DenseFfn",
    "ExpertFfn",
    "LayerGroup",
    "Mixer",
    "Model",
    "MultiToken",
    "NativeBits",
    "Nominal",
    "Parameters",
    "QkNorm",
    "attention_params",
    "count",
    "ffn_params",
    "idle_params",
    "layer_params",
]

Recurrent = GatedDelta | KimiDelta | Mamba1 | Mamba2 | Lightning | ShortConv
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

    @property
    def sums(self) -> int:
        """Outputs that tensor-parallel ranks add up in one layer: of each block, or of all where they are joined."""
        return 1 if self.joined else len(self.mixers) + (self.ffn is not None)

    @property
    def mixers(self) -> tuple[Mixer, ...]:
        """What mixes tokens in one layer."""
        return tuple(one for one in (self.attention, self.beside) if one is not None)


Adapted = Literal["", "linear", "embedding", "ends", "joined", "stacked"]
"""What vLLM adapts by LoRA of a model: its linear layers, also its embedding, or embedding and head; `joined` is the
last with query, key and value as one and gate and up as one, `stacked` linear layers with gate and up of an expert as
one. Empty where no source says."""
StageCopies = Literal["none", "embedding", "all"]
"""What vLLM builds on every pipeline stage: neither embedding nor head, the former, or both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiToken:
    """Layers that predict further tokens: loaded only for speculative decoding. [parameters]"""

    layers: int
    params: int


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

    @property
    def deepstack(self) -> int:
        """The layers to whose inputs a vision tower adds. [layers]"""
        return self.vision.stacked if self.vision else 0

    @property
    def layers(self) -> int:
        """Decoder layers in all groups."""
        return sum(group.count for group in self.groups)

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
    def mixers(self) -> Iterator[tuple[int, Mixer]]:
        """Every mixer with the number of layers that have it."""
        return ((group.count, mixer) for group in self.groups for mixer in group.mixers)

    @property
    def rope_dim(self) -> int:
        """The width of the table of rotations. [elements]"""
        if self.rotary_dim is not None:
            return self.rotary_dim
        heads = (one for _, one in self.mixers if isinstance(one, Attention | Latent | Compressed))
        return max((one.rope_dim if isinstance(one, Latent) else one.head_dim for one in heads), default=0)

    @property
    def experts(self) -> ExpertFfn | None:
        """The expert block, where the model has one."""
        return next((g.ffn for g in self.groups if isinstance(g.ffn, ExpertFfn)), None)

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
    inner = ffn.expert_hidden or hidden
    bias = inner + (2 if ffn.gated else 1) * ffn.intermediate if ffn.bias else 0
    yield "routed_experts", ffn.experts * (ffn_params(inner, ffn.intermediate, gated=ffn.gated) + bias)
    latent = 2 * hidden * ffn.expert_hidden + ffn.extra_latent_params if ffn.expert_hidden else 0
    gate = hidden if ffn.shared_gate else 0
    yield "shared_experts", ffn_params(hidden, ffn.shared_intermediate, gated=ffn.gated) + gate + latent
    yield "dense_ffn", ffn_params(hidden, ffn.dense_intermediate, gated=ffn.gated)
    router = (ffn.router_outputs or ffn.experts) * (ffn.router_params_per_expert or hidden)
    yield "router", router + (ffn.experts if ffn.router_bias else 0) + ffn.extra_router_params


def idle_params(architecture: Architecture) -> int:
    """Σ layers × (experts - active) × parameters of an expert, and the lookup tables. [parameters]"""
    idle = architecture.lookup_params
    for group in architecture.groups:
        if isinstance(group.ffn, ExpertFfn):
            routed = dict(_expert_params(architecture.hidden, group.ffn))["routed_experts"]
            idle += group.count * routed * (group.ffn.experts - group.ffn.active) // group.ffn.experts
    return idle


@dataclass(frozen=True, kw_only=True, slots=True)
class Nominal:
    """What a size class is by name: its totals are exact because they are a definition. [parameters]"""

    total: int
    active: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeBits:
    """What a checkpoint that is quantised in parts spends on each tensor class; the rest is 16 bit. [bits]"""

    mixers: float = 16
    ffn: float = 16
    routed_experts: float = 16
    lookup: float = 16
    output_head: float = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A checkpoint that is published beside the release, in another format: what it really quantises.

    `kv_bits` is the element of the KV cache that its own config asks for, None where it leaves that to the engine.
    Layers that predict further tokens stay in 16 bit: every build that is known here leaves them out.
    """

    id: str
    bits: NativeBits
    kv_bits: float | None = None


def _no_builds() -> Mapping[str, Build]:
    """No builds are known."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Model:
    """A model to serve: a size class (with `nominal`) or a catalogued checkpoint (without).

    Compared by identity, so that results can be remembered by model at little cost. `native_kv_bits` is what its config
    asks the KV cache to be stored in; `builds` are published checkpoints in other formats, by the format. With
    `remote_code` a checkpoint brings code of its own, which an engine has to be allowed to run; one that `needs_bf16`
    overflows in FP16. In its own format `weight_block` inputs, in blocks also outputs, share a scale; 0 where a row
    does or a tensor.
    `vllm_since` is the first vLLM (28 is 0.28) that has a class for it; 0 where that is not known. `lora` is what vLLM
    adapts of it.
    """

    id: str
    title: str
    architecture: Architecture
    native_precision: str
    nominal: Nominal | None = None
    stands_for: str | None = None
    native_bits: NativeBits | None = None
    native_kv_bits: float | None = None
    builds: Mapping[str, Build] = field(default_factory=_no_builds)
    remote_code: bool = False
    needs_bf16: bool = False
    weight_block: int = 0
    vllm_since: int = 0
    lora: Adapted = ""

    def build(self, precision: str) -> Build | None:
        """The published checkpoint in this format, where one is known that is not the release itself."""
        return None if precision == self.native_precision else self.builds.get(precision)

    def block(self, precision: str) -> int:
        """Inputs that share a scale in this format, 0 where all of a row do. [elements]"""
        return self.weight_block if precision == self.native_precision else 0

    def own_kv_bits(self, precision: str) -> float | None:
        """The element of the KV cache that its checkpoint in this format asks for, None where it does not. [bits]"""
        if precision == self.native_precision:
            return self.native_kv_bits
        build = self.build(precision)
        return build.kv_bits if build else None

    def own_bits(self, precision: str) -> NativeBits | None:
        """What its checkpoint in this format spends on each class; None where the format's own rule applies."""
        if precision == self.native_precision:
            return self.native_bits
        build = self.build(precision)
        return build.bits if build else None

    @property
    def is_size_class(self) -> bool:
        """Whether the totals come from the name rather than from tensors."""
        return self.nominal is not None

    def is_beyond_training(self, context: int) -> bool:
        """Whether a checkpoint was trained for shorter contexts; a size class is for none."""
        return not self.is_size_class and context > self.architecture.max_positions

    @property
    def parameters(self) -> Parameters:
        """Parameters by tensor class; for a size class, scaled so that they add up to what its name says.

        The residual goes to the matrices that make up most of the model: the dense feed-forward blocks, or,
        in a mixture of experts, to the split that total and active parameters define (see `core.sparsity`).
        """
        return _parameters(self)

    @property
    def total_params(self) -> int:
        """Every parameter that has to be in memory."""
        return self.parameters.total

    @property
    def active_params(self) -> int:
        """Parameters that take part in computing one token, embedding and head included."""
        if self.nominal is not None:
            return self.nominal.active
        return self.parameters.total - idle_params(self.architecture)


@lru_cache(maxsize=1024)
def _parameters(model: Model) -> Parameters:
    """What `Model.parameters` says, remembered by model."""
    exact = count(model.architecture)
    return exact if model.nominal is None else _stretch(exact, model.architecture, model.nominal)


def _stretch(exact: Parameters, architecture: Architecture, nominal: Nominal) -> Parameters:
    """The tensor classes of a size class, adding up to its nominal total (and active) parameters."""
    experts = architecture.experts
    if experts is None:
        ffn = nominal.total - (exact.total - exact.dense_ffn)
        return replace(exact, dense_ffn=ffn)
    routed = round(
        routed_params(
            total_params=nominal.total,
            active_params=nominal.active,
            experts=experts.experts,
            active=experts.active,
        )
    )
    rest = exact.total - exact.routed_experts - exact.shared_experts
    return replace(exact, routed_experts=routed, shared_experts=nominal.total - routed - rest)
