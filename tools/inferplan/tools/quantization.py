"""What does each number format cost and save: memory, GPUs, speed, quality, and the bits of one weight?"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field

from inferplan.catalog.asked_models import model_of
from inferplan.catalog.formats import FORMATS
from inferplan.core.formats import FORMATS as NUMBER_FORMATS
from inferplan.core.formats import encode
from inferplan.core.number_formats.element_formats import CodebookFormat
from inferplan.core.number_formats.encoding import Encoding
from inferplan.core.precision import Precision, Quality
from inferplan.core.units import GB
from inferplan.tools import _draw as draw
from inferplan.tools import _words as words
from inferplan.tools._arguments import ANY
from inferplan.tools._assumptions import Ledger
from inferplan.tools._comparison_questions import QuantizationQuestion
from inferplan.tools._figures import exact_gb, to_digits
from inferplan.tools._following import following
from inferplan.tools._models import evidence
from inferplan.tools._planner_question import ParallelismQuestion
from inferplan.tools._size import Room
from inferplan.tools._tool import Answer, NextStep, Part, Tool, absent
from inferplan.tools.number_formats.draw import Bar, Sample, draw_bars, draw_bits
from inferplan.tools.number_formats.forms import Comparison, Form, compare
from inferplan.tools.number_formats.words import formula, gb, note_limits, rounding, summary
from inferplan.tools.serving.assumed_context import NOT_GIVEN
from inferplan.tools.serving.settings import note_node

SHOWN = 6
"""Significant digits of a decoded weight."""


class Encoded(Part):
    """One weight in one format, as strings of bits; integers and codebooks put all of theirs into `mantissa`."""

    bits: int
    sign: str | None = Field(default=None, exclude_if=absent)
    exponent: str | None = Field(default=None, exclude_if=absent)
    mantissa: str
    code: str = Field(description="Hex of a float, level of an integer, index into a codebook.")
    decoded: float
    error_percent: float
    scale: float | None = Field(default=None, exclude_if=absent, description="Where decoded = element x scale.")


class FormatRow(Part):
    """One format against FP32: memory, GPUs, speed, quality, bits."""

    precision: str
    bits_per_weight: float = Field(description="Of a size class nominal, of a checkpoint with its scales.")
    memory_gb: float
    reduction_percent: float
    speed_multiplier: float | None = Field(
        description="Decode of one user over the widest format held, on the same GPUs; null where not timed."
    )
    decode_at_load: float | None = Field(exclude_if=absent, description="The same of all users at once.")
    prefill: float | None = Field(
        exclude_if=absent, description="Prefill of all users' prompts at once, each as long as the context."
    )
    gpus: int = Field(description="GPUs by weights alone.")
    quality: Quality
    encoding: Encoded | None = Field(
        exclude_if=absent, description="Of sample_weight; left out where a format mixes codes."
    )


class QuantizationAnswer(Answer):
    """Every format side by side, FP32 first."""

    _gives_way: ClassVar[Mapping[str, int]] = {
        "diagram": 2,
        "formula": 1,
        "usd_per_million_tokens": 0,
        "assumptions": 3,
        "next_steps": 0,
    }
    _room: ClassVar[Room] = Room(pieces=1170, characters=3150)

    formats: list[FormatRow]
    usd_per_million_tokens: dict[str, float] = Field(
        description="By format, of 500 tokens in and 500 out on GPUs rented on demand, or else owned, as busy as "
        "`utilization` plans."
    )

    def _text(self, dumped: Mapping[str, Any]) -> str:
        """The answer as text: bits are in the diagram, not the table; the evidence for each rating follows."""
        lean = [row | {"encoding": None} for row in dumped["formats"]]
        plain = super()._text({**dumped, "formats": lean})
        model = model_of(str(self.inputs["model"]))
        rated = [(row.precision, row.quality, evidence(model, FORMATS[row.precision])) for row in self.formats]
        found = [f"{form} is rated {quality}: {why}" for form, quality, why in rated]
        return "\n".join([plain, "", "Quality, as published", *found])


def compare_quantization(q: QuantizationQuestion) -> QuantizationAnswer:
    """Put number formats side by side: memory, GPUs, speed, quality, and one weight bit by bit."""
    ledger = q.ledger()
    case = comparison_of(q, ledger)
    if not q.context_given:
        ledger.note("context_window", q.context_window, why=NOT_GIVEN)
    note_limits(ledger, case)
    note_node(ledger, case.fp32.on, case.fp32.on.gpus_by_weights)
    rows = [_row(case, form) for form in case.forms]
    return QuantizationAnswer(
        summary=" ".join(summary(case)),
        diagram=_diagram(case),
        formats=rows,
        usd_per_million_tokens={form.precision.id: usd for form, usd in case.priced},
        formula=list(formula(case)),
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=_next(q, case),
    )


def comparison_of(q: QuantizationQuestion, ledger: Ledger) -> Comparison:
    """The formats that a question compares; what answers say of them is computed on demand."""
    return compare(
        ledger,
        model=q.model,
        precision=q.precision,
        gpu=q.gpu,
        users=q.concurrent_users,
        context=q.context_window,
        weight=ledger.take("sample_weight", why=rounding(model_of(q.model))),
    )


def _row(case: Comparison, form: Form) -> FormatRow:
    """A format as a row of the answer."""
    precision, speeds = form.precision, form.speeds(case.timed_against)
    loaded = speeds if case.shared.users > 1 else None
    return FormatRow(
        precision=precision.id,
        bits_per_weight=precision.nominal_bits if case.model.is_size_class else precision.bits_per_weight,
        memory_gb=exact_gb(form.weights),
        reduction_percent=round(100 * form.saved(case.fp32), 2),
        speed_multiplier=speeds and round(speeds.decode, 2),
        decode_at_load=loaded and round(loaded.decode_at_load, 2),
        prefill=speeds and round(speeds.prefill, 2),
        gpus=form.on.gpus_by_weights,
        quality=form.quality,
        encoding=_encoded(case.weight.hex(), precision.codec) if precision.codec else None,
    )


@lru_cache(maxsize=256)
def _encoded(bits: str, codec: str) -> Encoded:
    """A weight, given as hex so that -0.0 stays distinct, in a codec whose block has the absolute maximum 1."""
    weight = float.fromhex(bits)
    one = encode(codec, weight, absmax=1)
    return Encoded(
        bits=one.bits,
        sign=one.sign or None,
        exponent=one.exponent or None,
        mantissa=one.mantissa,
        code=_code(one),
        decoded=to_digits(one.value, SHOWN),
        error_percent=round(one.error_percent(weight), 3),
        scale=None if one.scale == 1 else to_digits(one.scale, SHOWN),
    )


def _code(one: Encoding) -> str:
    """Hex of a float, level of an integer, index into a codebook."""
    if one.exponent:
        return f"0x{one.code:0{one.bits // 4}X}"
    return str(one.code if isinstance(NUMBER_FORMATS[one.format], CodebookFormat) else int(one.level))


def _diagram(case: Comparison) -> str:
    """Memory to scale, and the bits of the sample weight."""
    bars = tuple(Bar(name=form.title, value=form.weights / GB, written=gb(form)) for form in case.forms)
    return _drawn(words.title(case.model), bars, tuple(form.precision.id for form in case.forms), case.weight.hex())


@lru_cache(maxsize=256)
def _drawn(title: str, bars: tuple[Bar, ...], precisions: tuple[str, ...], bits: str) -> str:
    """The diagram, cached: it does not depend on the load. The weight is given as hex, as in `_encoded`."""
    samples = [_sample(FORMATS[precision], bits) for precision in precisions]
    lines = [f"{title}: weights [GB]"[: draw.WIDTH], "", *draw_bars(bars), ""]
    return "\n".join([*lines, *draw_bits(float.fromhex(bits), samples)])


def _sample(precision: Precision, bits: str) -> Sample:
    """The sample weight in a format as a line of the bit table; FP8 is named with its kind."""
    one = _encoded(bits, precision.codec) if precision.codec else None
    title = precision.title.removeprefix("GGUF ")
    codec = (precision.codec or "").upper().replace("_", " ")
    name = codec if codec.startswith(title) else title
    if one is None:
        return Sample(name=name)
    return Sample(
        name=name,
        sign=one.sign or "",
        exponent=one.exponent or "",
        mantissa=one.mantissa,
        scale=one.scale or 1,
        code=one.code,
        value=one.decoded,
        error=one.error_percent,
    )


def _next(q: QuantizationQuestion, case: Comparison) -> list[NextStep]:
    """The layout of the most compressed format that is rated safe, what it lacks, or GPUs that run it."""
    safe = case.safest
    asked = {"precision": safe.precision.id} | ({"gpu": ANY} if safe.on.refusal else {})
    fitting = "its layout and speed" if safe.is_held else "why it does not fit, and what would"
    return [following(q, ParallelismQuestion, "a GPU type that runs it" if safe.on.refusal else fitting, **asked)]


TOOL = Tool(
    title="Compare number formats",
    description=(
        "Number formats of an LLM side by side (FP32, FP16, FP8, INT4, one more): memory, GPUs, speed, quality, one "
        "weight bit by bit. To choose a quantization; for its KV cache and fit use estimate_vram."
    ),
    question=QuantizationQuestion,
    answer=QuantizationAnswer,
    run=compare_quantization,
    example={"model": "405B"},
)
