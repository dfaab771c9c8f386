"""Models that the catalogue does not hold: what was read, assumed or left out, as an answer lists it."""

from collections.abc import Mapping

from inferplan.catalog.asked_models import provenance
from inferplan.tools._assumptions import Ledger

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
