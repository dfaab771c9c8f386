"""One model in several number formats on the same GPUs under the same load: weights, speed, quality."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import NamedTuple

from inferplan.catalog.asked_models import model_of
from inferplan.catalog.formats import FORMATS
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision, Quality
from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import is_original, released
from inferplan.tools.money.unit_cost import Rent, price_of_million, take_rent
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import serving

GUIDE_FORMATS = ("fp32", "fp16", "fp8", "int4")


class Times(NamedTuple):
    """Decode step of one user, decode step at load, prefill at load: in seconds, or as ratios to another format."""

    decode: float
    decode_at_load: float
    prefill: float


@dataclass(frozen=True, kw_only=True)
class SharedHardware:
    """The hardware on which all formats `offered` are timed, and the load: as many replicas as hold the users."""

    offered: tuple[Serving, ...]
    users: int
    context: int

    @property
    def baseline(self) -> str:
        """The id of the widest format that the hardware holds."""
        return self._widest[0]

    @property
    def layout(self) -> Layout:
        """The fewest GPUs that hold that format with all users."""
        return self._widest[1]

    @cached_property
    def _widest(self) -> tuple[str, Layout]:
        """The id of the widest format held, and its layout: see `widest`."""
        return widest(self.offered, self.users, self.context)

    @property
    def each(self) -> int:
        """Users on the busiest replica."""
        return ceil(self.users / self.layout.dp)


@dataclass(frozen=True, kw_only=True)
class Form:
    """The model in one format, timed on the hardware that all formats share."""

    on: Serving
    shared: SharedHardware

    @property
    def precision(self) -> Precision:
        """The format."""
        return self.on.precision

    @property
    def quality(self) -> Quality:
        """The rating of the format for this model: the format of its release is safe, whatever others lose by it."""
        return "safe" if is_original(self.on.model, self.precision) else self.precision.quality

    @property
    def title(self) -> str:
        """The title of the format, without that of a file format."""
        return self.precision.title.removeprefix("GGUF ")

    @cached_property
    def weights(self) -> float:
        """The weights loaded. [B]"""
        return self.on.weights.total

    @cached_property
    def is_timed(self) -> bool:
        """Whether the engine runs the format and the shared hardware holds it with all users, as far as is known."""
        layout, context = self.shared.layout, self.shared.context
        users = layout.dp * self.on.room(layout, context)
        return self.on.is_unknown or (self.on.obstacle is None and users >= self.shared.users)

    @cached_property
    def is_held(self) -> bool:
        """Whether any number of these GPUs holds the format with one session, as far as is known."""
        return self.on.is_unknown or self.on.smallest(self.shared.context) is not None

    @cached_property
    def times(self) -> Times | None:
        """Decode and prefill on the shared hardware; None where not timed. [s]"""
        shared = self.shared
        layout, context, each = shared.layout, shared.context, shared.each
        replica = self.on.replica(layout) if self.is_timed else None
        if replica is None:
            return None
        decode = replica.decode_s(1, context)
        return Times(
            decode=decode,
            decode_at_load=decode if each == 1 else replica.decode_s(each, context),
            prefill=replica.prefill_s(each, context),
        )

    def saved(self, reference: "Form") -> float:
        """1 - weights / weights of the reference. [fraction]"""
        return 1 - self.weights / reference.weights

    def speeds(self, reference: "Form") -> Times | None:
        """How many times as fast as the reference each pass is; None where either is not timed. [ratio]"""
        if self.times is None or reference.times is None:
            return None
        return Times(*(theirs / mine for mine, theirs in zip(self.times, reference.times, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model's formats on the same hardware under the same load, and one weight encoded in each."""

    model: Model
    forms: tuple[Form, ...]
    shared: SharedHardware
    weight: float
    rent: Rent | None

    def of(self, precision: str) -> Form:
        """The form of a format, by id."""
        return next(form for form in self.forms if form.precision.id == precision)

    @cached_property
    def priced(self) -> list[tuple[Form, float]]:
        """The formats whose tokens have a price, with it. [USD per million tokens]"""
        return [(form, usd) for form in self.forms if (usd := price_of_million(form.on, self.rent)) is not None]

    @cached_property
    def fp32(self) -> Form:
        """The form in FP32, the reference for memory."""
        return self.of("fp32")

    @cached_property
    def timed_against(self) -> Form:
        """The reference for speed: the widest format that the hardware holds, FP32 where anything does."""
        return self.of(self.shared.baseline)

    @property
    def hardware(self) -> str:
        """`8 GPUs (tensor 8)`."""
        layout = self.shared.layout
        return f"{layout.gpus:,} GPUs ({words.degrees(layout)})" if layout.gpus > 1 else "1 GPU"

    @property
    def gpu(self) -> Gpu:
        """The GPU type that all formats run on."""
        return self.fp32.on.gpu

    @property
    def safest(self) -> Form:
        """Of the formats rated safe, as FP16 is, the one with the smallest weights that is held, else loaded."""
        safe = sorted((form for form in self.forms if form.quality == "safe"), key=lambda form: form.weights)
        loaded = [form for form in safe if form.on.refusal is None]
        return next((form for form in loaded if form.is_held), (loaded or safe)[0])


def compare(
    ledger: Ledger, *, model: str, precision: str | None, gpu: str, users: int, context: int, weight: float
) -> Comparison:
    """The guide's four formats and one more, the one asked for or that of the release, with one weight in each."""

    def on(name: str) -> Serving:
        return serving(ledger, model=model, precision=name, gpu=gpu, quiet=True)

    own = _offered(model)
    names = list(dict.fromkeys([*GUIDE_FORMATS, precision or own.id]))
    _note_released(ledger, own, [FORMATS[name] for name in names])
    shared = SharedHardware(offered=tuple(map(on, names)), users=users, context=context)
    forms = tuple(Form(on=one, shared=shared) for one in shared.offered)
    rent = take_rent(ledger, shared.offered[0].gpu)
    return Comparison(model=model_of(model), forms=forms, shared=shared, weight=weight, rent=rent)


def _offered(model: str) -> Precision:
    """The format of the release; FP16 for one with the same memory and speed, as BF16."""
    own = released(model)
    return FORMATS["fp16"] if _weighed(own) == _weighed(FORMATS["fp16"]) else own


def _weighed(form: Precision) -> tuple[object, ...]:
    """The properties of a format that decide memory and speed."""
    return form.bits_per_weight, form.scope, form.compute, form.weight_only, form.kv_bits


def _note_released(ledger: Ledger, own: Precision, listed: Sequence[Precision]) -> None:
    """List that the format of the release gave way to the one asked for."""
    if own not in listed:
        ledger.note("released", own.title, why="one format beside the guide's: yours")


def widest(offered: Sequence[Serving], users: int, context: int) -> tuple[str, Layout]:
    """The id of the widest format that some layout holds with all users, and the fewest GPUs that do.

    Where none does, or that is not known, the first format and the widest tensor group of a node.
    """
    ordered = sorted(offered, key=lambda one: -one.weights.total)
    found = ((one, one.for_users(users, context)) for one in ordered)
    first = next(((one.precision.id, placed.layout) for one, placed in found if placed), None)
    return first or (offered[0].precision.id, Layout(tp=max(offered[0].degrees, default=1)))
