"""Models to serve: the guide's five size classes, and checkpoints with their layers as published.

A checkpoint is here only where its layers count up to the parameter total of its row exactly; what the published
total could not prove about it is named in the row.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, Never

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter

from inferplan.catalog._shelf import Shelf, Stock
from inferplan.catalog._table import TitledRow, document, parse_rows, stock
from inferplan.catalog.builds import builds_of
from inferplan.core.architecture import (
    Architecture,
    DenseFfn,
    DraftMethod,
    ExpertFfn,
    LayerGroup,
    Mixer,
    MultiToken,
    StageCopies,
)
from inferplan.core.layers.attention import Attention, QkNorm
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
from inferplan.core.model import Adapted, Model, NativeBits, Nominal

_FILE = "models.toml"
_OWN = frozenset({"aliases", "released", "license", "note", "source", "checked"})
"""Fields that a row does not inherit from the one that it is `like`."""
_TOKEN = re.compile(r"\(([^()]*)\)(\d+)|(\S)(\d*)")

Verification = Literal["exact", "exact-elsewhere", "vision-derived", "published-rounding", "within-0.03%"]


def layer_letters(text: str) -> str:
    """One letter per layer: a number repeats a letter or a group in parentheses, `-` is a block left out.

    >>> layer_letters("D (L3 F)2")
    'DLLLFLLLF'
    """
    spans = _TOKEN.findall(text)
    return "".join(
        layer_letters(inner) * int(times) if inner else letter * int(number or 1)
        for inner, times, letter, number in spans
    )


def _none() -> dict[str, Never]:
    """No layer letters."""
    return {}


class Shape(BaseModel):
    """A decoder as its config states it: widths, heads, vocabulary. [elements]

    Heads stand here where all layers share one attention, and in tables of the row by layer letter where not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    layers: PositiveInt
    hidden: PositiveInt
    heads: PositiveInt | None = None
    kv_heads: PositiveInt | None = None
    head_dim: PositiveInt | None = None
    ffn: PositiveInt | None = None
    vocab: PositiveInt
    context: PositiveInt
    tied: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: QkNorm = "none"
    output_gate: bool = False
    head_gate: bool = False
    fused: bool = False
    window: PositiveInt | None = None
    extra_params: int = 0
    gated: bool = True
    ffn_bias: bool = False
    norms: int = Field(default=2, ge=0)
    norm_bias: bool = False
    joined: bool = False
    final_norms: int = Field(default=1, ge=0)
    norm_params: int = Field(default=0, ge=0)
    other_params: int = Field(default=0, ge=0)
    lookup_params: int = Field(default=0, ge=0)
    ngram_layers: int = Field(default=0, ge=0)
    ngram_params: int = Field(default=0, ge=0)
    wide_params: int = Field(default=0, ge=0)
    streams: PositiveInt = 1
    head_bias: bool = False
    state_bytes: PositiveInt = 2
    rotary_dim: PositiveInt | None = None
    rope_tables: PositiveInt = 1
    stage_copies: StageCopies = "none"

    def attention(self) -> Attention | None:
        """The attention that all layers share; None where they differ."""
        if self.heads is None or self.kv_heads is None or self.head_dim is None:
            return None
        return Attention(
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            qkv_bias=self.qkv_bias,
            output_bias=self.output_bias,
            qk_norm=self.qk_norm,
            output_gate=self.output_gate,
            head_gate=self.head_gate,
            fused=self.fused,
            window=self.window,
            extra_params=self.extra_params,
        )

    def dense(self, width: int) -> DenseFfn:
        """A dense feed-forward block of this intermediate width."""
        return DenseFfn(intermediate=width, gated=self.gated, bias=self.ffn_bias)


class Experts(BaseModel):
    """Routed experts in every layer after the first `dense_layers`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    count: PositiveInt
    active: PositiveInt
    width: PositiveInt
    shared_width: int = Field(default=0, ge=0)
    dense_layers: int = Field(default=0, ge=0)

    def ffn(self) -> ExpertFfn:
        """The routed feed-forward block."""
        return ExpertFfn(
            experts=self.count,
            active=self.active,
            intermediate=self.width,
            shared_intermediate=self.shared_width,
        )


class ModelRow(TitledRow):
    """One model; `params_total` and `params_active` are published data that the shape has to reproduce.

    `mix` and `blocks` give, a letter a layer, what mixes tokens and what each token passes through; tables by
    kind define the letters, and `parallel` puts two of them beside each other. `vision_params`, `mtp_layers` and
    `mtp_params` are what a checkpoint carries beside the text decoder counted here, `vision` the
    image encoder of `[towers]` that it sees with. With `remote_code` engines have to run code of the checkpoint;
    with `needs_bf16` it overflows in FP16.
    `weight_block` is how many inputs (of FP8 in blocks also outputs) share a scale in its own format.
    `vllm_since` is the first vLLM (28 is 0.28) that has a class for it, 0 where that was not looked up; `lora` is what
    that class adapts, empty where it was not read.
    `unverified` names what the total cannot prove, `inferred` what was solved from it. A row that is `like` another
    has its layers, and states only what it has otherwise.
    """

    like: str | None = None
    stands_for: str | None = None
    released: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}$")
    license: str | None = None
    remote_code: bool = False
    needs_bf16: bool = False
    vllm_since: int = Field(default=0, ge=0)
    lora: Adapted = ""
    precision: str
    native_bits: NativeBits | None = None
    weight_block: int = Field(default=0, ge=0)
    shape: Shape
    attention: Mapping[str, Attention] = Field(default_factory=_none)
    latent: Mapping[str, Latent] = Field(default_factory=_none)
    compressed: Mapping[str, Compressed] = Field(default_factory=_none)
    gated_delta: Mapping[str, GatedDelta] = Field(default_factory=_none)
    kimi_delta: Mapping[str, KimiDelta] = Field(default_factory=_none)
    mamba1: Mapping[str, Mamba1] = Field(default_factory=_none)
    mamba2: Mapping[str, Mamba2] = Field(default_factory=_none)
    lightning: Mapping[str, Lightning] = Field(default_factory=_none)
    grouped_lightning: Mapping[str, GroupedLightning] = Field(default_factory=_none)
    short_conv: Mapping[str, ShortConv] = Field(default_factory=_none)
    parallel: Mapping[str, tuple[str, str]] = Field(default_factory=_none)
    mix: str | None = None
    experts: Experts | None = None
    dense: Mapping[str, DenseFfn] = Field(default_factory=_none)
    routed: Mapping[str, ExpertFfn] = Field(default_factory=_none)
    blocks: str | None = None
    params_total: PositiveInt
    params_active: PositiveInt
    size_class: bool = False
    vision_params: int = Field(default=0, ge=0)
    vision_replicated: int = Field(default=0, ge=0)
    vision: str | None = None
    mtp_layers: int = Field(default=0, ge=0)
    mtp_params: int = Field(default=0, ge=0)
    mtp_method: DraftMethod = "mtp"
    verification: Verification = "exact"
    unverified: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    note: str | None = None

    def model(self) -> Model:
        """The row as the formulas take it."""
        return Model(
            id=self.id,
            title=self.title,
            architecture=self.architecture(),
            native_precision=self.precision,
            nominal=Nominal(total=self.params_total, active=self.params_active) if self.size_class else None,
            stands_for=self.stands_for,
            native_bits=self.native_bits,
            builds=builds_of(self.id),
            remote_code=self.remote_code,
            needs_bf16=self.needs_bf16,
            weight_block=self.weight_block,
            vllm_since=self.vllm_since,
            lora=self.lora,
        )

    def architecture(self) -> Architecture:
        """The decoder that the row describes."""
        shape = self.shape
        groups, order = self._groups()
        return Architecture(
            hidden=shape.hidden,
            vocab=shape.vocab,
            groups=groups,
            order=order,
            max_positions=shape.context,
            tied_embeddings=shape.tied,
            other_params=shape.other_params,
            lookup_params=shape.lookup_params,
            ngram_layers=shape.ngram_layers,
            ngram_params=shape.ngram_params,
            wide_params=shape.wide_params,
            streams=shape.streams,
            head_bias=shape.head_bias,
            final_norms=shape.final_norms,
            norm_params=shape.norm_params,
            state_bytes=shape.state_bytes,
            rotary_dim=shape.rotary_dim,
            rope_tables=shape.rope_tables,
            stage_copies=shape.stage_copies,
            vision_params=self.vision_params,
            vision_replicated=self.vision_replicated,
            vision=towers()[self.vision] if self.vision else None,
            multi_token=self._multi_token(),
        )

    def _multi_token(self) -> MultiToken | None:
        """The layers that predict further tokens; None without any."""
        if not self.mtp_layers:
            return None
        return MultiToken(layers=self.mtp_layers, params=self.mtp_params, method=self.mtp_method)

    def _groups(self) -> tuple[tuple[LayerGroup, ...], tuple[int, ...]]:
        """The distinct kinds of layers in order of appearance, and the kind of each layer where kinds alternate."""
        pairs = list(zip(self._mix(), self._blocks(), strict=True))
        counts = Counter(pairs)
        kinds = {pair: number for number, pair in enumerate(counts)}
        mixers, ffns = self._mixers(), self._ffns()
        groups = tuple(
            LayerGroup(
                count=count,
                attention=mixers[mix[0]] if mix else None,
                beside=mixers[mix[1]] if len(mix) > 1 else None,
                ffn=ffns[block] if block != "-" else None,
                norms=self.shape.norms,
                norm_bias=self.shape.norm_bias,
                joined=self.shape.joined,
            )
            for (mix, block), count in counts.items()
        )
        order = tuple(kinds[pair] for pair in pairs)
        return groups, order if list(order) != sorted(order) else ()

    def _mix(self) -> Iterator[tuple[str, ...]]:
        """The letters of each layer's token mixers: none, one, or two in parallel."""
        only = next(iter(self.parallel or self._mixers()))
        letters = layer_letters(self.mix) if self.mix else only * self.shape.layers
        for letter in letters:
            yield () if letter == "-" else self.parallel.get(letter, (letter,))

    def _mixers(self) -> Mapping[str, Mixer]:
        """The token mixer of each letter of `mix`; F is the attention of the shape."""
        shared = self.shape.attention()
        tables: Mapping[str, Mixer] = {
            **self.attention,
            **self.latent,
            **self.compressed,
            **self.gated_delta,
            **self.kimi_delta,
            **self.mamba1,
            **self.mamba2,
            **self.lightning,
            **self.grouped_lightning,
            **self.short_conv,
        }
        return {"F": shared, **tables} if shared else tables

    def _blocks(self) -> str:
        """The letter of each layer's feed-forward block; by default dense layers first."""
        if self.blocks:
            return layer_letters(self.blocks)
        if self.dense or self.routed:
            return next(iter({**self.dense, **self.routed})) * self.shape.layers
        first = self.experts.dense_layers if self.experts else self.shape.layers
        return "D" * first + "M" * (self.shape.layers - first)

    def _ffns(self) -> Mapping[str, DenseFfn | ExpertFfn]:
        """The feed-forward block of each letter of `blocks`; D is the shape's dense block, M its experts."""
        tables: dict[str, DenseFfn | ExpertFfn] = {**self.dense, **self.routed}
        if self.shape.ffn is not None:
            tables.setdefault("D", self.shape.dense(self.shape.ffn))
        if self.experts is not None:
            tables.setdefault("M", self.experts.ffn())
        missing = set(self._blocks()) - set(tables) - {"-"}
        if "D" in missing:
            raise ValueError(f"{self.id}: dense layers need shape.ffn, their feed-forward width")
        return tables


@cache
def towers() -> Mapping[str, VisionTower]:
    """The image encoders by the names that rows use."""
    return TypeAdapter(dict[str, VisionTower]).validate_python(document(_FILE)["towers"])


@cache
def model_rows() -> dict[str, ModelRow]:
    """Every row by id, with what `Model` leaves out: license, release, sources, published totals."""
    tables = document(_FILE)
    raws = {raw["id"]: raw for raw in tables["model"]}
    whole = [_whole(raw, raws.get(raw.get("like", ""), {})) for raw in tables["model"]]
    return {row.id: row for row in parse_rows({**tables, "model": whole}, "model", ModelRow, file=_FILE)}


def _whole(raw: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """A row completed from the one that it is `like`; of its shape it states what differs.

    The bits of a release are those of its format alone.
    """
    own = _OWN if raw.get("precision", like.get("precision")) == like.get("precision") else _OWN | {"native_bits"}
    layers = {key: value for key, value in like.items() if key not in own}
    return {**layers, **raw, "shape": {**like.get("shape", {}), **raw.get("shape", {})}}


def _stock() -> Stock[Model]:
    held = document(_FILE)
    return stock(model_rows().values(), ModelRow.model, noise=held["noise"], describing=held["describing"])


MODELS: Shelf[Model] = Shelf(kind="model", load=_stock, hint=', or a size class such as "70B"')
