"""The models of a question: the format of their release, and what was read or assumed of those not catalogued."""

from collections.abc import Mapping

from inferplan.catalog.asked_models import model_of, provenance
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core.engines.llamacpp_files import MXFP4_MOE
from inferplan.core.engines.vllm_defaults import is_compressed
from inferplan.core.memory import class_bits
from inferplan.core.model import Model
from inferplan.core.precision import Precision
from inferplan.tools._assumptions import Ledger

SIXTEEN_BIT = frozenset({"bf16", "fp16", "fp32"})
"""Formats of 16 bit or more: engines load one as another, and FP8 halves them at least."""
HALF = 16
"""Bits per weight below which a release counts as narrow. [bits]"""
MODEL_ARGUMENTS = frozenset({"model", "dense_model", "moe_model"})
"""The arguments that name a model."""


def note_models(ledger: Ledger, models: Mapping[str, str | None]) -> None:
    """List where each model that is not catalogued was read, and what was assumed or left out of it."""
    for argument, id_ in models.items():
        read = provenance(id_) if id_ else None
        if read:
            where, notes = read
            why = "; ".join(note.rstrip(".") for note in notes)
            ledger.note(f"{argument}_config", where, why=why or "read from a model hub")


def released(model: str) -> Precision:
    """The format that a model is released in."""
    return FORMATS[FORMATS.id_of(model_of(model).native_precision)]


def narrow_release(model: str) -> str | None:
    """The id of the format of a release with fewer than 16 bits per weight; None of any other.

    >>> narrow_release("openai/gpt-oss-120b"), narrow_release("70B")
    ('mxfp4', None)
    """
    own = released(model)
    return own.id if own.bits_per_weight < HALF else None


MADE_LATER = frozenset({"awq", "gptq", "gptq-int8", "bnb-int8"})
"""Formats into which models are quantised after their release, even by their makers."""


def is_original(model: Model, precision: Precision) -> bool:
    """Whether a catalogued model was trained for this format of fewer than 16 bits, so that it loses nothing by it.

    >>> from inferplan.catalog.models import MODELS
    >>> is_original(MODELS["openai/gpt-oss-120b"], FORMATS["mxfp4"])
    True
    >>> is_original(MODELS["Qwen/Qwen3-8B-AWQ"], FORMATS["awq"])
    False
    """
    if precision.bits_per_weight >= HALF or precision.id in MADE_LATER or model.id not in MODELS:
        return False
    return precision.id == FORMATS.id_of(model.native_precision)


def evidence(model: Model, precision: Precision) -> str:
    """The evidence for the rating of a format for a model."""
    return "The model was released in it." if is_original(model, precision) else precision.quality_evidence


def usual_format(model: str | None, otherwise: str) -> str:
    """The default format of a model: that of a narrow release, else `otherwise`."""
    return (narrow_release(model) if model else None) or otherwise


def note_release(ledger: Ledger, model: str, precision: str) -> None:
    """List that the format is that of the release, where that is narrow."""
    if precision == narrow_release(model):
        ledger.note("precision", FORMATS[precision].title, why="as released")


PARTLY_USED = frozenset({"nvfp4"})
"""Formats that published checkpoints use for part of the layers only."""


def note_checkpoint(ledger: Ledger, model: Model, precision: Precision, name: str = "checkpoint") -> None:
    """List the published checkpoint of a format with what it leaves in more bits, or that none is known."""
    if model.is_size_class or precision.id == model.native_precision:
        return
    if build := model.build(precision.id):
        ledger.note(name, build.id, why=left_out(model, precision))
    elif precision.id in PARTLY_USED:
        ledger.note(name, f"all linear layers in {precision.title}", why="assumed: no published build is known here")


def left_out(model: Model, precision: Precision) -> str:
    """The classes of tensors that a checkpoint keeps in other bits than the format's, with their mean bits.

    >>> from inferplan.catalog.models import MODELS
    >>> left_out(MODELS["zai-org/GLM-5.2"], FORMATS["nvfp4"])
    'published: attention 16 bit, dense and shared blocks 16 bit'
    >>> left_out(MODELS["meta-llama/Llama-3.3-70B-Instruct"], FORMATS["nvfp4"])
    'published: all linear layers quantised'
    """
    bits, parts = class_bits(model, precision), model.parameters
    blocks = [word for word, there in (("dense", parts.dense_ffn), ("shared", parts.shared_experts)) if there]
    classes = (
        ("attention", bits.mixers, parts.attention + parts.linear_attention),
        (f"{' and '.join(blocks)} blocks", bits.ffn, len(blocks)),
        ("experts", bits.routed_experts, parts.routed_experts),
    )
    said = [f"{name} {width:.3g} bit" for name, width, there in classes if there and width != precision.bits_per_weight]
    build = model.build(precision.id)
    whose = "stored" if build is MXFP4_MOE else "published"
    return f"{whose}: {', '.join(said) or 'all linear layers quantised'}"


def cache_reason(model: Model, precision: Precision) -> str:
    """Why the KV cache of a checkpoint has its default format."""
    if not model.own_kv_bits(precision.id):
        return "as vLLM reads compressed keys" if is_compressed(model.architecture) else "engine default"
    build = model.build(precision.id)
    return f"set by {build.id if build else 'its config'}"
