"""What an answer says of the models asked for: the format of their release, and what was read of unknown ones."""

from collections.abc import Mapping

from inferplan.catalog.asked_models import model_of, provenance
from inferplan.catalog.formats import FORMATS
from inferplan.core.precision import Precision
from inferplan.tools._assumptions import Ledger

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


def usual_format(model: str | None, otherwise: str) -> str:
    """The format for a model where the caller names none: that of a narrow release, else another."""
    return (narrow_release(model) if model else None) or otherwise


def note_release(ledger: Ledger, model: str, precision: str) -> None:
    """List that the format is that of the release, which stands in for one that the caller does not name."""
    if precision == narrow_release(model):
        ledger.note("precision", FORMATS[precision].title, why="as released")
