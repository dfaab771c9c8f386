"""What a model is made of: groups of layers, with what mixes tokens (attention, recurrence) and feed-forward blocks.

`parameters` counts what they hold.
"""

from dataclasses import dataclass, field
from typing import Literal

from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import (
    GatedDelta,
    GroupedLightning,
    KimiDelta,
    Lightning,
    Mamba1,
    Mamba2,
    ShortConv,
)
from inferplan.core.layers.vision import VisionTower

Recurrent = GatedDelta | KimiDelta | Mamba1 | Mamba2 | Lightning | GroupedLightning | ShortConv
Mixer = Attention | Latent | Compressed | Recurrent


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseFfn:
    """A feed-forward block of every token: gate, up and down projection; no gate where it is not `gated`."""

    intermediate: int
    gated: bool = True
    bias: bool = False
    extra_params: int = 0

    @property
    def dense_width(self) -> int:
        """The width of what every token passes through. [elements]"""
        return self.intermediate


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertFfn:
    """A mixture of experts: `experts` routed ones, `active` per token, and a shared expert of `shared_intermediate`.

    `dense_intermediate` is the width of a dense block beside the experts, `expert_hidden` the narrower width that
    latent experts work in, between two projections. `router_outputs` beyond the number of experts are experts that
    compute nothing. With `image_intermediate` there are as many experts again, of that width and with a router of their
    own, for tokens of images alone (ERNIE 4.5 VL). Widths are in elements, 0 for none.
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
        """The share of the routed experts' parameters that are for tokens of text. [fraction]"""
        return self.intermediate / (self.intermediate + self.image_intermediate)

    @property
    def dense_width(self) -> int:
        """The width of what every token passes through, the wider of shared expert and dense block. [elements]"""
        return max(self.shared_intermediate, self.dense_intermediate)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerGroup:
    """`count` layers of one kind: mixers of tokens, a feed-forward block, and `norms` of the hidden width.

    `attention` is the mixer, recurrent ones included; `beside` is a second one in parallel with it (Falcon-H1). Mixer
    or feed-forward block may be absent (Nemotron-H). `joined` blocks read the same input, and their outputs are added
    up before the all-reduce (Falcon).
    """

    count: int
    attention: Mixer | None
    ffn: DenseFfn | ExpertFfn | None
    norms: int = 2
    norm_bias: bool = False
    beside: Mixer | None = None
    joined: bool = False
    mixers: tuple[Mixer, ...] = field(init=False, compare=False, repr=False)
    """The mixers of one layer: `attention` and `beside`, where present."""

    def __post_init__(self) -> None:
        """Compute once what is read often."""
        mixers = tuple([one for one in (self.attention, self.beside) if one is not None])
        object.__setattr__(self, "mixers", mixers)

    @property
    def sums(self) -> int:
        """All-reduces of one layer under tensor parallelism: one per block, or one in all where they are joined."""
        return 1 if self.joined else len(self.mixers) + (self.ffn is not None)


ANY_CONTEXT = 10**9
"""The longest context of a model that has none: no context is longer. [tokens]"""

StageCopies = Literal["none", "embedding", "all"]
"""What vLLM builds on every pipeline stage: neither embedding nor output head, the embedding, or both."""
DraftMethod = Literal["mtp", "dspark"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiToken:
    """Multi-token-prediction layers of a checkpoint, loaded for speculative decoding alone. [parameters]

    `method` is vLLM's name for how they draft: one token after the other ("mtp"), or several at once ("dspark").
    """

    layers: int
    params: int
    method: DraftMethod = "mtp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A text decoder: token embedding, groups of layers, final norm, output head; and what stands beside it.

    `order` is the group of each layer where kinds alternate; without it the groups follow each other. The output head
    has `head_rows` where fewer tokens can be answered with than are read (Apertus 1.5), else one for each.
    `lookup_params` are tables of which a token gathers a few rows: memory, but no arithmetic; those of n-grams are read
    in `ngram_layers`, and `ngram_params` project the rows gathered. `norm_params` are norms beside those of layers and
    end, `other_params` all further tensors of the checkpoint, of which vLLM loads `wide_params` in 32 bit. Between
    blocks `streams` hidden states are passed on (hyper-connections), usually one. `state_bytes` is an element of
    recurrent states [B], `rotary_dim` the part of a head that rotates, None for whole heads and the rotary part of
    latents [elements].

    `rope_tables` are the rows of rotations that vLLM keeps per position, in units of 16-bit rows: as many as linear
    scaling stretches the positions, one more where windowed layers rotate otherwise, two where the table is in fp32
    (`DeepseekScalingRotaryEmbedding`), four where positions have sections for time, height and width
    (`MRotaryEmbedding`). `stage_copies` is what vLLM builds on every pipeline stage.

    The vision tower's `vision_params` and the `multi_token` layers are in no total of the decoder. On every rank are
    `vision_replicated` of the former. `vision` is the tower's shape, None where it is not known.
    """

    hidden: int
    vocab: int
    groups: tuple[LayerGroup, ...]
    max_positions: int
    tied_embeddings: bool = False
    other_params: int = 0
    order: tuple[int, ...] = ()
    head_rows: int | None = None
    head_bias: bool = False
    final_norms: int = 1
    norm_params: int = 0
    lookup_params: int = 0
    ngram_layers: int = 0
    ngram_params: int = 0
    wide_params: int = 0
    streams: int = 1
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
        """Compute once what is read often."""
        mixers = tuple([(group.count, mixer) for group in self.groups for mixer in group.mixers])
        experts = next((group.ffn for group in self.groups if isinstance(group.ffn, ExpertFfn)), None)
        object.__setattr__(self, "layers", sum([group.count for group in self.groups]))
        object.__setattr__(self, "mixers", mixers)
        object.__setattr__(self, "experts", experts)

    @property
    def logits(self) -> int:
        """The rows of the output head: tokens that an answer can have. [tokens]"""
        return self.head_rows or self.vocab

    @property
    def deepstack(self) -> int:
        """Decoder layers to whose inputs the vision tower adds features (DeepStack). [layers]"""
        return self.vision.stacked if self.vision else 0

    @property
    def sequence(self) -> tuple[int, ...]:
        """The group of each layer, in the order of the forward pass."""
        return self.order or tuple(i for i, group in enumerate(self.groups) for _ in range(group.count))

    @property
    def plain(self) -> Attention | None:
        """The attention of all layers where they are equal and cache every token's keys and values; else None."""
        first = self.groups[0].attention
        if not isinstance(first, Attention) or not first.is_plain:
            return None
        return first if all(group.mixers == (first,) for group in self.groups) else None

    @property
    def has_cache(self) -> bool:
        """Whether any layer caches something of each token."""
        return any(mixer.cached for _, mixer in self.mixers)

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
        """The width of a rotary table: the rotary part of a head, of the widest where they differ. [elements]"""
        if self.rotary_dim is not None:
            return self.rotary_dim
        heads = (one for _, one in self.mixers if isinstance(one, Attention | Latent | Compressed))
        return max((one.head_dim if isinstance(one, Attention) else one.rope_dim for one in heads), default=0)

    @property
    def sums(self) -> int:
        """All-reduces of one pass under tensor parallelism."""
        return sum(group.count * group.sums for group in self.groups)

    @property
    def expert_layers(self) -> int:
        """Layers with routed experts."""
        return sum(group.count for group in self.groups if isinstance(group.ffn, ExpertFfn))
