"""Configs of checkpoints in forms of their own, in the form that transformers saves."""

from inferplan.catalog.hugging_face._thinker import thinking
from inferplan.catalog.hugging_face.families.chatglm import with_usual_names
from inferplan.catalog.hugging_face.families.inkling import with_drafting
from inferplan.catalog.hugging_face.families.minicpmv import with_decoder
from inferplan.catalog.hugging_face.families.molmo2 import with_encoder
from inferplan.catalog.hugging_face.families.phi3_v import with_tower
from inferplan.catalog.hugging_face.families.phi4mm import with_towers

_FORMS = (thinking, with_towers, with_tower, with_decoder, with_encoder, with_usual_names, with_drafting)
"""What brings a config into its usual form, each one type's."""


def in_usual_form(config: dict[str, object]) -> dict[str, object]:
    """The config with what its type keeps elsewhere where other types have it."""
    for in_form in _FORMS:
        config = in_form(config)
    return config
