"""One model in several number formats, on the same GPUs under the same load: what each weighs, runs at and keeps."""

from dataclasses import dataclass
from functools import cached_property

from inferplan.catalog.asked_models import model_of
from inferplan.catalog.formats import FORMATS
from inferplan.core import memory
from inferplan.core.architecture import Model
from inferplan.core.encoding import Encoding
from inferplan.core.formats import encode
from inferplan.core.hardware import Gpu
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.serving_laws import Load, Service
from inferplan.tools._assumptions import Ledger
from inferplan.tools._serving import Serving, serving

GUIDE_FORMATS = ("fp32", "fp16", "fp8", "int4")


@dataclass(frozen=True, kw_only=True)
class Form:
    """The model in one format, timed on the layout that all formats share, as if it fitted there."""

    on: Serving
    layout: Layout
    load: Load
    encoding: Encoding | None

    @property
    def precision(self) -> Precision:
        """The format."""
        return self.on.precision

    @property
    def title(self) -> str:
        """The format in words, without the name of a file format."""
        return self.precision.title.removeprefix("GGUF ")

    @cached_property
    def weights(self) -> float:
        """What is loaded. [B]"""
        return memory.weights(self.on.model, self.precision).total

    @property
    def gpus(self) -> int:
        """GPUs by weights alone."""
        return memory.devices_for(self.weights, self.on.gpu.memory)

    @property
    def fits(self) -> bool:
        """Whether the shared layout really holds it with one session."""
        return self.on.capacity(self.layout, round(self.load.input_tokens)).fits

    @cached_property
    def service(self) -> Service | None:
        """Its passes on the shared layout; None where the GPU's arithmetic peak is not known."""
        return self.on.service(self.layout, self.load)

    @property
    def emulated(self) -> bool:
        """Whether it is expanded for want of units on this GPU, though the format is made to compute in."""
        form = self.precision
        wide = form.weight_only or form.compute in ("fp32", "bf16")
        return not wide and self.on.gpu.peak_flops(form.compute) is None

    def saved(self, reference: "Form") -> float:
        """The share of the reference's weights that this format saves."""
        return 1 - self.weights / reference.weights

    def decode_speed(self, reference: "Form") -> float | None:
        """Decode steps in the time of one step of the reference."""
        if self.service is None or reference.service is None:
            return None
        return reference.service.decode.total_s / self.service.decode.total_s

    def prefill_speed(self, reference: "Form") -> float | None:
        """The same for the prefill of a prompt that fills the context."""
        if self.service is None or reference.service is None:
            return None
        return reference.service.prefill.total_s / self.service.prefill.total_s


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model's formats, each under the same load; `released` is the one that its weights are published in."""

    model: Model
    forms: tuple[Form, ...]
    released: str
    weight: float

    def of(self, precision: str) -> Form:
        """The form of this format."""
        return next(form for form in self.forms if form.precision.id == precision)

    @property
    def fp32(self) -> Form:
        """What every format is held against."""
        return self.of("fp32")

    @property
    def gpu(self) -> Gpu:
        """The GPU that all of them run on."""
        return self.fp32.on.gpu

    @property
    def subject(self) -> str:
        """The model as drawings name it."""
        return self.model.id if self.model.is_size_class else self.model.title

    @property
    def safest(self) -> Form:
        """The most compressed format that is rated safe."""
        return min((form for form in self.forms if form.precision.quality == "safe"), key=lambda form: form.weights)


def compare(
    ledger: Ledger, *, model: str, precision: str | None, gpu: str, users: int, context: int, weight: float
) -> Comparison:
    """The guide's four formats, the one asked for and the one released, and one weight encoded in each."""

    def on(name: str) -> Serving:
        return serving(ledger, model=model, precision=name, gpu=gpu, quiet=True)

    released = FORMATS.id_of(model_of(model).native_precision)
    layout = common_layout(on(released), context)
    load = Load(sequences=users, context=context, input_tokens=context, output_tokens=1)
    names = dict.fromkeys([*GUIDE_FORMATS, *filter(None, [precision]), released])
    forms = tuple(
        Form(on=one, layout=layout, load=load, encoding=_encoding(one.precision, weight)) for one in map(on, names)
    )
    return Comparison(model=model_of(model), forms=forms, released=released, weight=weight)


def common_layout(released: Serving, context: int) -> Layout:
    """The smallest tensor group in a node that holds the model as released and a session, else the widest."""
    smallest = released.smallest(context)
    if smallest and smallest.pp == 1:
        return smallest
    return Layout(tp=max(released.degrees, default=1))


def _encoding(precision: Precision, weight: float) -> Encoding | None:
    """The weight in the format's codes, where it has one kind of them; the largest of its block is 1."""
    return encode(precision.codec, weight, absmax=1) if precision.codec else None
