"""What an answer says of the models asked for: the format of their release, and what was read of unknown ones."""

from collections.abc import Mapping

from inferplan.catalog.asked_models import model_of, provenance
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core.llamacpp_files import MXFP4_MOE
from inferplan.core.memory import class_bits
from inferplan.core.model import Model
from inferplan.core.precision import Precision
from inferplan.core.vllm_defaults import is_compressed
from inferplan.tools._assumptions import Ledger

SIXTEEN_BIT = frozenset({"bf16", "fp16", "fp32"})
"""Formats of 16 bit or more: engines take one for another while they load, and FP8 halves them, or more."""
HALF = 16
"""Bits of a weight from which fewer are worth a look. [bits]"""
MODEL_ARGUMENTS = frozenset({"model", "dense_model", "moe_model"})
"""The arguments that take a model."""


def note_models(ledger: Ledger, models: Mapping[str, str | None]) -> None:
    """List where each model was read, and all that was assumed or left out: `model_config`, by its argument."""
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
    """The same where its weights have fewer than 16 bits.

    >>> narrow_release("openai/gpt-oss-120b"), narrow_release("70B")
    ('mxfp4', None)
    """
    own = released(model)
    return own.id if own.bits_per_weight < HALF else None


MADE_LATER = frozenset({"awq", "gptq", "gptq-int8", "bnb-int8"})
"""Formats into which models are quantised after their release, also by those who release them."""


def is_original(model: Model, precision: Precision) -> bool:
    """Whether a catalogued model was first released in this format, of fewer than 16 bits: it has lost nothing by it.

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
    """What the rating of a format goes by."""
    return "The model was released in it." if is_original(model, precision) else precision.quality_evidence


def usual_format(model: str | None, otherwise: str) -> str:
    """The format for a model where the caller names none: that of a narrow release, else another."""
    return (narrow_release(model) if model else None) or otherwise


def note_release(ledger: Ledger, model: str, precision: str) -> None:
    """List that the format is that of the release, which stands in for one that the caller does not name."""
    if precision == narrow_release(model):
        ledger.note("precision", FORMATS[precision].title, why="as released")


PARTLY_USED = frozenset({"nvfp4"})
"""Formats whose published checkpoints use them for a part of the layers only."""


def note_checkpoint(ledger: Ledger, model: Model, precision: Precision, name: str = "checkpoint") -> None:
    """List the published checkpoint that a format stands for and what it leaves in more bits; or that none is known."""
    if model.is_size_class or precision.id == model.native_precision:
        return
    if build := model.build(precision.id):
        ledger.note(name, build.id, why=left_out(model, precision))
    elif precision.id in PARTLY_USED:
        ledger.note(name, f"all linear layers in {precision.title}", why="assumed: no published build is known here")


def left_out(model: Model, precision: Precision) -> str:
    """The classes of tensors that a checkpoint stores in other bits than the format's, with their mean.

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
    """Why the KV cache of a checkpoint is stored as it is, where the caller does not say how."""
    if not model.own_kv_bits(precision.id):
        return "as vLLM reads compressed keys" if is_compressed(model.architecture) else "engine default"
    build = model.build(precision.id)
    return f"set by {build.id if build else 'its config'}"
