"""What a model is made of: layers, attention, experts; and how many parameters that makes.

Counts are exact: `count` reproduces the published checkpoint total of every catalogued model to the integer.
A size class of the guide ("70B") is nominal: its totals are what its name says, and its architecture is the
shape of the model that it stands for.
"""

from dataclasses import dataclass, replace
from typing import Literal

from inferplan.core.sparsity import routed_params

QkNorm = Literal["none", "per_head", "full_width", "per_head_layernorm"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """Multi-head attention: MHA where kv_heads = heads, MQA where kv_heads = 1, GQA between.

    heads × head_dim differs from the hidden width in many models: it is read, never divided.
    """

    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: QkNorm = "none"
    output_gate: bool = False

    @property
    def query_width(self) -> int:
        """heads × head_dim: the width of the query, and of what the output projection reads. [elements]"""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """kv_heads × head_dim: the width of one key, or of one value. [elements]"""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseFfn:
    """A feed-forward block that every token passes through."""

    intermediate: int
    gated: bool = True
    bias: bool = False

    @property
    def width(self) -> int:
        """The widest matrix a token passes through. [elements]"""
        return self.intermediate


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertFfn:
    """Routed experts, `active` of them per token, next to a shared expert of `shared_intermediate` width."""

    experts: int
    active: int
    intermediate: int
    shared_intermediate: int = 0
    gated: bool = True
    router_params_per_expert: int | None = None

    @property
    def width(self) -> int:
        """The widest matrix a token passes through. [elements]"""
        return max(self.intermediate, self.shared_intermediate)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerGroup:
    """`count` layers of one kind, in the order of the forward pass."""

    count: int
    attention: Attention
    ffn: DenseFfn | ExpertFfn
    norms: int = 2
    norm_bias: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A decoder: token embedding, layer groups, final norm, output head."""

    hidden: int
    vocab: int
    groups: tuple[LayerGroup, ...]
    max_positions: int
    tied_embeddings: bool = False
    other_params: int = 0

    @property
    def layers(self) -> int:
        """Decoder layers in all groups."""
        return sum(group.count for group in self.groups)

    @property
    def attention(self) -> Attention:
        """The attention of the first layer; the catalogue holds models whose layers share one attention."""
        return self.groups[0].attention

    @property
    def experts(self) -> ExpertFfn | None:
        """The expert block, where the model has one."""
        return next((g.ffn for g in self.groups if isinstance(g.ffn, ExpertFfn)), None)

    @property
    def expert_layers(self) -> int:
        """Layers whose feed-forward block is routed."""
        return sum(g.count for g in self.groups if isinstance(g.ffn, ExpertFfn))

    @property
    def widest_ffn(self) -> int:
        """The widest dense or shared feed-forward block, which sets the activation peak. [elements]"""
        return max(
            g.ffn.intermediate if isinstance(g.ffn, DenseFfn) else max(g.ffn.shared_intermediate, g.ffn.intermediate)
            for g in self.groups
        )


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

    @property
    def total(self) -> int:
        """Everything that is loaded."""
        return self.linear + self.embedding + self.output_head + self.router + self.norms + self.other

    @property
    def linear(self) -> int:
        """The matrices that quantised checkpoints quantise: attention, feed-forward, experts."""
        return self.attention + self.dense_ffn + self.routed_experts + self.shared_experts


def attention_params(hidden: int, attention: Attention) -> int:
    """hidden × (2 × query_width + 2 × kv_width), plus gate, biases and query-key norms. [parameters]

    Source: Hugging Face transformers, `LlamaAttention`, `Qwen2Attention` (q, k, v bias), `Qwen3Attention`
    (per-head norm), `Olmo2Attention` (full-width norm).

    >>> attention_params(8192, Attention(heads=64, kv_heads=8, head_dim=128)) * 80
    12079595520
    """
    query, kv = attention.query_width, attention.kv_width
    gate = hidden * query if attention.output_gate else 0
    qkv_bias = query + 2 * kv if attention.qkv_bias else 0
    output_bias = hidden if attention.output_bias else 0
    norm = {
        "none": 0,
        "per_head": 2 * attention.head_dim,
        "full_width": query + kv,
        "per_head_layernorm": query + kv,
    }[attention.qk_norm]
    return hidden * (2 * query + 2 * kv) + gate + qkv_bias + output_bias + norm


def ffn_params(hidden: int, intermediate: int, *, gated: bool, bias: bool = False) -> int:
    """3 × hidden × intermediate where gated (gate, up, down), 2 × where not (up, down). [parameters]

    Source: transformers, `LlamaMLP` (gated), `BloomMLP` (not gated, with bias).

    >>> ffn_params(8192, 28672, gated=True) * 80
    56371445760
    """
    return (3 if gated else 2) * hidden * intermediate + (intermediate + hidden if bias else 0)


def count(architecture: Architecture) -> Parameters:
    """Parameters of every tensor class, summed over the layers. [parameters]

    Limits: text decoder only; no vision tower and no multi-token-prediction layers.

    >>> group = LayerGroup(
    ...     count=80,
    ...     attention=Attention(heads=64, kv_heads=8, head_dim=128),
    ...     ffn=DenseFfn(intermediate=28672),
    ... )
    >>> count(Architecture(hidden=8192, vocab=128256, groups=(group,), max_positions=131072)).total
    70553706496
    """
    hidden = architecture.hidden
    embedding = architecture.vocab * hidden
    attention = dense = routed = shared = router = norms = 0
    for group in architecture.groups:
        n, ffn = group.count, group.ffn
        attention += n * attention_params(hidden, group.attention)
        norms += n * group.norms * hidden * (2 if group.norm_bias else 1)
        if isinstance(ffn, DenseFfn):
            dense += n * ffn_params(hidden, ffn.intermediate, gated=ffn.gated, bias=ffn.bias)
        else:
            routed += n * ffn.experts * ffn_params(hidden, ffn.intermediate, gated=ffn.gated)
            shared += n * ffn_params(hidden, ffn.shared_intermediate, gated=ffn.gated)
            router += n * ffn.experts * (ffn.router_params_per_expert or hidden)
    final = hidden * (2 if architecture.groups[-1].norm_bias else 1)
    return Parameters(
        embedding=embedding,
        output_head=0 if architecture.tied_embeddings else embedding,
        attention=attention,
        dense_ffn=dense,
        routed_experts=routed,
        shared_experts=shared,
        router=router,
        norms=norms + final,
        other=architecture.other_params,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Nominal:
    """What a size class is by name: its totals are exact because they are a definition. [parameters]"""

    total: int
    active: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Model:
    """A model to serve: a size class (with `nominal`) or a catalogued checkpoint (without).

    Compared by identity, so that results can be remembered by model at little cost.
    """

    id: str
    title: str
    architecture: Architecture
    native_precision: str
    nominal: Nominal | None = None
    stands_for: str | None = None

    @property
    def is_size_class(self) -> bool:
        """Whether the totals come from the name rather than from tensors."""
        return self.nominal is not None

    @property
    def parameters(self) -> Parameters:
        """Parameters by tensor class; for a size class, scaled so that they add up to what its name says.

        The residual goes to the matrices that make up most of the model: the dense feed-forward blocks, or,
        in a mixture of experts, to the split that total and active parameters define (see `core.sparsity`).
        """
        exact = count(self.architecture)
        if self.nominal is None:
            return exact
        return _stretch(exact, self.architecture, self.nominal)

    @property
    def total_params(self) -> int:
        """Every parameter that has to be in memory."""
        return self.parameters.total

    @property
    def active_params(self) -> int:
        """Parameters that take part in computing one token, embedding and head included."""
        if self.nominal is not None:
            return self.nominal.active
        experts = self.architecture.experts
        parameters = self.parameters
        if experts is None:
            return parameters.total
        idle = parameters.routed_experts * (experts.experts - experts.active) // experts.experts
        return parameters.total - idle


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
