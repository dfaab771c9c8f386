"""Models to serve: the guide's five size classes, and checkpoints whose layers share one plain attention.

A checkpoint is here only where its shape counts up to the published parameter total exactly.
"""

from functools import cache

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from inferplan.catalog._shelf import Entry, Shelf, Stock
from inferplan.catalog._table import NamedRow, document, read_rows
from inferplan.core.architecture import (
    Architecture,
    Attention,
    DenseFfn,
    ExpertFfn,
    LayerGroup,
    Model,
    Nominal,
    QkNorm,
)

_FILE = "models.toml"


class Shape(BaseModel):
    """A decoder as its config states it: widths, heads, vocabulary. [elements]"""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    layers: PositiveInt
    hidden: PositiveInt
    heads: PositiveInt
    kv_heads: PositiveInt
    head_dim: PositiveInt
    ffn: PositiveInt | None = None
    vocab: PositiveInt
    context: PositiveInt
    tied: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: QkNorm = "none"
    output_gate: bool = False
    gated: bool = True
    ffn_bias: bool = False
    norms: PositiveInt = 2
    norm_bias: bool = False
    other_params: int = Field(default=0, ge=0)

    def attention(self) -> Attention:
        """The attention that every layer has."""
        return Attention(
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            qkv_bias=self.qkv_bias,
            output_bias=self.output_bias,
            qk_norm=self.qk_norm,
            output_gate=self.output_gate,
        )

    def dense(self, width: int) -> DenseFfn:
        """The feed-forward block of a layer without experts."""
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
        """The feed-forward block of a layer with experts."""
        return ExpertFfn(
            experts=self.count,
            active=self.active,
            intermediate=self.width,
            shared_intermediate=self.shared_width,
        )


class ModelRow(NamedRow):
    """One model; `params_total` and `params_active` are published data that the shape has to reproduce.

    `vision_params` and `mtp_layers` say what a checkpoint carries beside the text decoder counted here.
    """

    title: str
    stands_for: str | None = None
    released: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}$")
    license: str | None = None
    precision: str
    shape: Shape
    experts: Experts | None = None
    params_total: PositiveInt
    params_active: PositiveInt
    size_class: bool = False
    vision_params: int = Field(default=0, ge=0)
    mtp_layers: int = Field(default=0, ge=0)
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
        )

    def architecture(self) -> Architecture:
        """The decoder that the shape describes."""
        return Architecture(
            hidden=self.shape.hidden,
            vocab=self.shape.vocab,
            groups=tuple(self._groups()),
            max_positions=self.shape.context,
            tied_embeddings=self.shape.tied,
            other_params=self.shape.other_params,
        )

    def _groups(self) -> list[LayerGroup]:
        """Dense layers, then layers with experts; either may be absent."""
        dense = self.experts.dense_layers if self.experts else self.shape.layers
        groups: list[LayerGroup] = []
        if dense:
            if self.shape.ffn is None:
                raise ValueError(f"{self.id}: dense layers need shape.ffn, their feed-forward width")
            groups.append(self._group(dense, self.shape.dense(self.shape.ffn)))
        if self.experts:
            groups.append(self._group(self.shape.layers - dense, self.experts.ffn()))
        return groups

    def _group(self, count: int, ffn: DenseFfn | ExpertFfn) -> LayerGroup:
        return LayerGroup(
            count=count,
            attention=self.shape.attention(),
            ffn=ffn,
            norms=self.shape.norms,
            norm_bias=self.shape.norm_bias,
        )


@cache
def model_rows() -> dict[str, ModelRow]:
    """Every row by id: what `Model` leaves out is here (license, release, sources, published totals)."""
    return {row.id: row for row in read_rows(_FILE, "model", ModelRow)}


def _stock() -> Stock[Model]:
    entries = tuple(
        Entry(id=row.id, title=row.title, aliases=row.aliases, value=row.model()) for row in model_rows().values()
    )
    return Stock(entries=entries, noise=frozenset(document(_FILE)["noise"]))


MODELS: Shelf[Model] = Shelf(kind="model", load=_stock, hint=', or a size class such as "70B"')
