"""The short form in which published memory cases state an architecture: a dozen fields of its config.json."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from inferplan.catalog.models import towers
from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup, Mixer
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta

Size = Annotated[int, Field(strict=True, ge=1, le=10**9)]
"""A width or a number of tokens, bounded far beyond every published one."""
MaybeNone = Annotated[int, Field(strict=True, ge=0, le=10**9)]
"""A size that may be zero."""
Layers = Annotated[int, Field(strict=True, ge=1, le=10_000)]
"""A number of layers."""

UNGATED = (
    "nemotron3",
    "nemotron-3-8b",
    "nemotron-4",
    "minitron",
    "phi-1",
    "phi-2",
    "starcoder",
    "opt-",
    "bloom",
    "gpt2",
)
"""Prefixes of the names of models without gated feed-forward blocks, which the short form does not state."""
TOWERS = {
    "siglip": (415_347_712, 0),
    "moonvit": (451_000_000, 36_100_000),
    "pixtral": (438_958_080, 4_980_736),
    "pixtral12": (434_957_312, 787_456),
}
"""Parameters of vision towers with their projectors (0.78, 0.84, 0.82 and 0.81 GiB in 16 bit); what is on every rank.

Source of the latter: vLLM 0.19, kimi_vl.py (linear_1, linear_2; patch and position tables), mistral3.py (merging_layer
and the patch convolution).
"""
ENCODERS = {"moonvit": "moonvit_vl"}
"""Names in the catalogue of those whose trial by vLLM is counted: Kimi-VL's."""


class DeltaNet(BaseModel):
    """Gated DeltaNet layers; `full` of all layers have full attention."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    full: Layers
    nk: Size
    nv: Size
    dk: Size
    dv: Size
    conv: Size

    def mixer(self) -> GatedDelta:
        """The token mixer of one such layer."""
        return GatedDelta(
            key_heads=self.nk, value_heads=self.nv, key_dim=self.dk, value_dim=self.dv, convolution=self.conv
        )


class ShortForm(BaseModel):
    """H hidden, L layers, nh and nkv heads of hd, I intermediate, V vocabulary, pos positions; tie tied embeddings.

    E experts of which topk are active, shared width, dense first layers of width dI; mla (kv rank, rope, nope, value,
    query rank); win and pat a window and its pattern ("alt", or "5:1" windowed and full); gdn a delta net; vis the
    vision tower.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    H: Size
    L: Layers
    nh: Size
    nkv: MaybeNone
    hd: MaybeNone
    I: MaybeNone  # noqa: E741 - the short form's own name
    V: Size
    tie: bool = Field(strict=True)
    pos: Size
    E: Size | None = None
    topk: Size | None = None
    shared: MaybeNone = 0
    dense: MaybeNone = 0
    dI: Size | None = None  # noqa: N815 - the same
    mla: tuple[Size, Size, Size, Size, Size | None] | None = None
    win: Size | None = None
    pat: str | None = None
    gdn: DeltaNet | None = None
    vis: str | None = None

    def describes(self, architecture: Architecture) -> bool:
        """Whether a catalogued architecture agrees with what is stated here."""
        heads = {mixer.kv_heads for _, mixer in architecture.mixers if isinstance(mixer, Attention)}
        return (
            (self.H, self.L, self.V, self.tie)
            == (architecture.hidden, architecture.layers, architecture.vocab, architecture.tied_embeddings)
            and (not heads or self.nkv in heads)
            and (self.E or 0) == (architecture.experts.experts if architecture.experts else 0)
        )

    def build(self, name: str) -> Architecture:
        """The architecture of the fields. Raises a ValueError that names what they leave open."""
        if self.I == 0:
            raise ValueError("`I` is 0: the layers' widths differ, and the short form does not say how")
        if self.vis and self.vis not in TOWERS:
            raise ValueError(f'the vision tower "{self.vis}" is not known; known are {", ".join(TOWERS)}')
        mixers, ffns = list(self._mixers()), list(self._ffns(gated=not name.casefold().startswith(UNGATED)))
        kinds = {pair: number for number, pair in enumerate(dict.fromkeys(zip(mixers, ffns, strict=True)))}
        order = tuple(kinds[pair] for pair in zip(mixers, ffns, strict=True))
        groups = tuple(
            LayerGroup(count=order.count(number), attention=mixer, ffn=ffn) for (mixer, ffn), number in kinds.items()
        )
        tower, replicated = TOWERS[self.vis] if self.vis else (0, 0)
        return Architecture(
            hidden=self.H,
            vocab=self.V,
            groups=groups,
            order=order,
            max_positions=self.pos,
            tied_embeddings=self.tie,
            state_bytes=4,
            vision_params=tower,
            vision_replicated=replicated,
            vision=towers()[ENCODERS[self.vis]] if self.vis in ENCODERS else None,
        )

    def _mixers(self) -> Iterator[Mixer]:
        """The token mixer of each layer."""
        if self.mla:
            rank, rope, nope, value, query = self.mla
            latent = Latent(
                heads=self.nh, kv_rank=rank, rope_dim=rope, nope_dim=nope, value_dim=value, query_rank=query
            )
            yield from [latent] * self.L
            return
        if not self.nkv or not self.hd:
            raise ValueError("`nkv` and `hd` are needed where there is no `mla`")
        full = Attention(heads=self.nh, kv_heads=self.nkv, head_dim=self.hd, output_gate=self.gdn is not None)
        if self.gdn:
            every, left = divmod(self.L, self.gdn.full)
            if left:
                raise ValueError(f"`full` does not divide the {self.L} layers, so that which ones are full is open")
            yield from (full if layer % every == every - 1 else self.gdn.mixer() for layer in range(self.L))
        else:
            near = Attention(heads=self.nh, kv_heads=self.nkv, head_dim=self.hd, window=self.win)
            yield from (near if windowed else full for windowed in self._windowed())

    def _windowed(self) -> Iterator[bool]:
        """Whether each layer has the window: all, every second, or n of n + 1, the windowed ones first."""
        if not self.win:
            yield from [False] * self.L
            return
        stated = {None: "1:0", "alt": "1:1"}.get(self.pat, self.pat)
        counts = re.fullmatch(r"(\d{1,3}):(\d{1,3})", stated or "", re.ASCII)
        period = [True] * int(counts[1]) + [False] * int(counts[2]) if counts else []
        if not period:
            raise ValueError(f'the pattern of layers "{self.pat}" is not known')
        yield from (period[layer % len(period)] for layer in range(self.L))

    def _ffns(self, *, gated: bool) -> Iterator[DenseFfn | ExpertFfn]:
        """The feed-forward block of each layer: of models with experts dense ones first."""
        if (self.E is None) != (self.topk is None):
            raise ValueError("`E` and `topk` belong together: the experts, and how many of them a token passes through")
        if self.E is None or self.topk is None:
            yield from [DenseFfn(intermediate=self.I, gated=gated)] * self.L
            return
        if self.dense and self.dI is None:
            raise ValueError("`dense` layers need `dI`, their width")
        if self.topk > self.E or self.dense > self.L:
            raise ValueError("`topk` is more than `E`, or `dense` more than `L`")
        routed = ExpertFfn(experts=self.E, active=self.topk, intermediate=self.I, shared_intermediate=self.shared)
        yield from [DenseFfn(intermediate=self.dI or self.I)] * self.dense
        yield from [routed] * (self.L - self.dense)
