"""Configs of checkpoints in forms of their own, in the form that transformers saves."""

from inferplan.catalog.hugging_face._thinker import thinking
from inferplan.catalog.hugging_face.families.inkling import with_drafting
from inferplan.catalog.hugging_face.families.phi4mm import with_towers


def in_usual_form(config: dict[str, object]) -> dict[str, object]:
    """The config with what its type keeps elsewhere where other types have it."""
    return with_drafting(with_towers(thinking(config)))
