"""Number formats in sentences, the arithmetic, and the assumptions of the comparison."""

from collections.abc import Iterable, Iterator
from functools import cache

from inferplan.catalog.models import MODELS
from inferplan.core import memory
from inferplan.core.model import Model
from inferplan.core.number_formats.element_formats import E4M3, INT4
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.units import GB, MILLI
from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import cache_reason, note_checkpoint
from inferplan.tools.number_formats.forms import Comparison, Form

GUIDE_WEIGHT = 0.7834
GUIDE_INT4_SCALE = 0.119
"""The scale of INT4 that the guide divides its weight by, where absmax 1 gives 1/7."""
GUIDE_SPEEDS = "1x 2x 3.5x 5x"
"""The playground's constants for its four formats: named beside ours, never used."""
GUIDE_BINARY_TERABYTES = {"405B": "1.5 TB"}
"""What the guide calls the FP32 weights of a class, counted in TiB."""


def gb(form: Form) -> str:
    """Weights with one decimal, so that 202.5 GB stays 202.5 GB; without it where it is zero. [GB]"""
    value = form.weights / GB
    return f"{value:,.1f}".removesuffix(".0") if value >= 1 else words.significant(value)


def summary(case: Comparison) -> Iterator[str]:
    """The sentences of the summary, to be pasted into a design document."""
    yield _memory_sentence(case)
    yield _quality_sentence(case)
    yield from _speed_sentence(case)
    yield from _refusal_sentence(case)
    yield from _price_sentence(case)
    yield from _checkpoint_sentence(case)
    yield from words.beyond_training(case.model, case.shared.context)


def _memory_sentence(case: Comparison) -> str:
    """The weights in every format, and the GPUs by weights alone."""
    said = GUIDE_BINARY_TERABYTES.get(case.model.id)
    binary = words.gib(case.fp32.weights) + (f", the guide's {said}" if said else "")
    others = [f"{gb(form)} GB in {form.title}" for form in case.forms[1:]]
    subject = words.subject(case.model, "A")
    return f"{subject} takes {gb(case.fp32)} GB in FP32 ({binary}), {words.join(others)}: {_gpus(case)}."


def _gpus(case: Comparison) -> str:
    """GPUs by weights alone in each format; and the formats that one node holds, unless it holds them all."""
    size = case.fp32.on.node_size
    if case.fp32.on.gpus_by_weights == 1:
        return f"by weights alone one {case.gpu.title} holds any of them"
    counts = words.join([f"{form.on.gpus_by_weights:,}" for form in case.forms])
    held = [form.title for form in case.forms if form.on.gpus_by_weights <= size]
    is_told = size > 1 and len(held) < len(case.forms)
    node = f"; one node of {size} holds {words.join(held) or 'none'}" if is_told else ""
    return f"by weights alone {counts} x {case.gpu.title}{node}"


def _quality_sentence(case: Comparison) -> str:
    """The size of formats below 16 bit against FP16, with their ratings."""
    half = case.of("fp16").weights
    smaller = [form for form in case.forms if form.weights < half]
    rated = [form.quality for form in smaller]
    said = [
        f"{form.title}{'' if i else ' takes'} {100 * form.weights / half:.0f} %{'' if i else ' of FP16'}"
        + (f" (rated {quality})" if quality not in rated[i + 1 : i + 2] else "")
        for i, (form, quality) in enumerate(zip(smaller, rated, strict=True))
    ]
    return f"{words.join(said)}."


def _speed_sentence(case: Comparison) -> Iterator[str]:
    """Decode and prefill at load against the widest format, on the shared hardware; and missing FP8 units."""
    against = case.timed_against
    timed = [(form.title, speeds) for form in case.forms if form is not against and (speeds := form.speeds(against))]
    if timed:
        users = case.shared.users
        each = [(one.decode_at_load, one.prefill) for _, one in timed]
        decode, prefill = (
            words.join([f"{words.significant(round(speed, 1))}x" for speed in way]) for way in zip(*each, strict=True)
        )
        names, load = words.join([title for title, _ in timed]), f" with {users:,} users" if users > 1 else ""
        yield (
            f"On {case.hardware}{load}{case.fp32.on.under} {names} {'decode' if len(timed) > 1 else 'decodes'} "
            f"{decode} as fast as {against.title}, prefill {prefill}."
        )
    if case.of("fp8").on.lacks_units:
        yield f"{case.gpu.title} has no FP8 units, so FP8 saves memory there but no arithmetic."


def _titles(forms: Iterable[Form], last: str = "and") -> str:
    """The titles of formats as a list in a sentence."""
    return words.join([form.title for form in forms], last=last)


def _blocked(case: Comparison) -> dict[str, list[Form]]:
    """By what keeps the engine from running them, the formats that it would load."""
    reasons = dict.fromkeys(form.on.obstacle for form in case.forms if form.on.refusal is None and form.on.obstacle)
    return {why: [form for form in case.forms if form.on.obstacle == why] for why in reasons if why}


def _beyond(case: Comparison) -> list[Form]:
    """The formats that the engine runs but no layout holds with all users."""
    return [form for form in case.forms if form.on.obstacle is None and not form.is_timed]


def _refusal_sentence(case: Comparison) -> Iterator[str]:
    """What the engine does not load or run on this GPU, and what no layout holds."""
    if refused := [form for form in case.forms if form.on.refusal]:
        what = "run" if len(refused) == len(case.forms) else f"load {_titles(refused)}"
        yield f"{case.fp32.on.engine_name} does not {what} on {case.gpu.title}."
    for why, forms in _blocked(case).items():
        which = "No format runs" if len(forms) == len(case.forms) else f"{_titles(forms)} cannot run"
        yield f"{which}: {why}."
    if left := _beyond(case):
        yield f"No layout of {case.gpu.title} holds {_titles(left, 'or')} with {_load(case)}."


def _load(case: Comparison) -> str:
    """`1 user x 8,192 tokens`."""
    return f"{words.count(case.shared.users, 'user')} x {case.shared.context:,} tokens"


def _price_sentence(case: Comparison) -> Iterator[str]:
    """The formats in which tokens cost least, or that one alone has a price."""
    if case.priced and case.rent is not None:
        least = min(usd for _, usd in case.priced)
        titles = _titles(form for form, usd in case.priced if usd == least)
        cost = "cost least:" if len(case.priced) > 1 else "cost"
        owned = " on owned GPUs" if case.rent.owned else ""
        yield f"{titles} tokens {cost} {words.unit_price(least)} a million{owned}."


def _checkpoint_sentence(case: Comparison) -> Iterator[str]:
    """What real checkpoints weigh: with scales, and embeddings in 16 bit."""
    if not case.model.is_size_class:
        bits = 8 * case.of("int4").weights / case.model.total_params
        yield f"Scales and 16-bit embeddings included, INT4 is {bits:.2f} bit a weight."
    elif real := MODELS.get(case.model.stands_for or ""):
        forms = (case.of("fp8"), case.of("int4"))
        said = [f"{words.gb(memory.weights(real, form.precision).total)} in {form.title}" for form in forms]
        yield f"{real.title} weighs {words.join(said)}."


def formula(case: Comparison) -> Iterator[str]:
    """The lines of arithmetic: weights and decode steps, format by format."""
    parts, total = case.model.parameters, case.model.total_params
    each = [form.precision for form in case.forms]
    if case.model.is_size_class:
        counted = f"{words.params(total)} parameters x {_listed(form.nominal_bits for form in each)} bit"
    else:
        bits = [_mean_bits(case.model, form) for form in each]
        linear = f"{parts.linear / GB:,.3f}B linear x {_listed(one for one, _ in bits)} bit"
        others = f"{(total - parts.linear) / GB:,.3f}B others x {_listed(one for _, one in bits)} bit"
        counted = f"({linear} + {others})"
    yield f"{counted} / 8 = {', '.join(map(gb, case.forms))} GB"
    steps = [(form.title, words.significant(form.times.decode / MILLI)) for form in case.forms if form.times]
    if steps:
        named = len(steps) < len(case.forms)
        yield f"decode step = {', '.join(f'{title} {step}' if named else step for title, step in steps)} ms"


def _mean_bits(model: Model, form: Precision) -> tuple[float, float]:
    """Mean bits of a weight in linear layers, and elsewhere. [bits]"""
    if not memory.is_uneven(model, form):
        return form.bits_per_weight, form.rest_bits
    stored, parts = memory.weights(model, form), model.parameters
    linear = stored.attention + stored.ffn + stored.routed_experts
    others = parts.total - parts.linear
    return BITS_PER_BYTE * linear / parts.linear, BITS_PER_BYTE * (stored.total - linear) / others


def _listed(bits: Iterable[float]) -> str:
    """`32, then 16`, or `32, 16, 8, 4`: the bits of each format."""
    first, *others = (f"{width:g}" for width in bits)
    return f"{first}, then {others[0]}" if len(set(others)) == 1 else ", ".join([first, *others])


def note_limits(ledger: Ledger, case: Comparison) -> None:
    """List how formats are timed, cached and rated, and which are not."""
    against, band = case.timed_against, case.fp32.on.band("single")
    held = f"fewest GPUs for {against.title}"
    if against.on.is_unknown:
        held = f"{case.hardware}, fitting or not"
        ledger.note("fits", "not known", why=against.on.not_modelled or "")
    if any(form.times for form in case.forms):
        guide = f"; not the guide's {GUIDE_SPEEDS}" if case.model.is_size_class else ""
        why = f"{held}; half of published times{band.where} within {band.percent}{guide}"
        ledger.note("speed_multiplier", "estimated", why=why)
    if left := _beyond(case):
        ledger.note("not_timed", _titles(left), why=f"not held by {case.gpu.title} with {_load(case)}")
    elif untimed := [form for form in case.forms if form.is_timed and form.on.untimed]:
        ledger.note("not_timed", _titles(untimed), why=untimed[0].on.untimed or "")
    if expanded := [form.title for form in case.forms if form.on.lacks_units]:
        why = "no such units: fewer bytes, no faster arithmetic"
        ledger.note("weight_only_here", words.join(expanded), why=why)
    if case.gpu.peak_flops("fp32") is None:
        ledger.note("fp32_peak", "16 bit", why=f"no FP32 peak of {case.gpu.title} is known: timed at its 16-bit peak")
    for form in case.forms:
        note_checkpoint(ledger, case.model, form.precision)
    _note_cache(ledger, case)


def _note_cache(ledger: Ledger, case: Comparison) -> None:
    """List the bits of the KV cache beside each format, unless the caller chose them."""
    if ledger.given("kv_precision"):
        return
    if case.model.is_size_class:
        why = "INT4 keeps FP16"
        value = " ".join(f"{form.on.kv_bits:g}" for form in case.forms)
        ledger.note("kv_cache_element", value, unit="bit", why=why)
    elif others := [form for form in case.forms if form.on.kv_bits != case.fp32.on.kv_bits]:
        value = " ".join(f"{form.on.kv_bits:g}" for form in case.forms)
        told = next((form for form in others if case.model.own_kv_bits(form.precision.id)), others[0])
        ledger.note("kv_cache_element", value, unit="bit", why=cache_reason(case.model, told.precision))
    else:
        why = f"{case.fp32.on.engine_name}'s default"
        ledger.note("kv_cache_element", case.fp32.on.kv_bits, unit="bit", why=why)


def rounding(model: Model) -> str:
    """Where the sample weight is from; of size classes with the guide's errors, explained as truncation."""
    return _truncated() if model.is_size_class else "the guide's"


@cache
def _truncated() -> str:
    """The guide's errors for its weight, reproduced by truncation."""
    cut = E4M3.truncate(GUIDE_WEIGHT), INT4.truncate(GUIDE_WEIGHT, absmax=INT4.max_level * GUIDE_INT4_SCALE)
    fp8, int4 = (f"{one.value:.4g} ({one.error_percent(GUIDE_WEIGHT):.3g} %)" for one in cut)
    return f"guide: 4.3 and 8.7 % by truncation ({fp8}; {int4}, scale {GUIDE_INT4_SCALE})"
