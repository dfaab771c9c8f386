"""The vision tower of a multimodal model, as its config describes it; a note where it is not known."""

from collections.abc import Mapping

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.vision.encoders import encoder_of
from inferplan.catalog.hugging_face.vision.tower_defaults import VISION_DEFAULTS
from inferplan.catalog.hugging_face.vision.tower_params import TOWERS, UNCOUNTED
from inferplan.core.layers.vision import VisionTower

CONFIG = "vision_config"
AUDIO_UNCOUNTED = "The audio encoder that stands beside the text decoder is not counted."

_NO_DEFAULTS: Mapping[str, int] = {}


def vision_of(root: Keys, hidden: int) -> tuple[int, VisionTower | None]:
    """The parameters of the vision tower and its projector, and what its encoder computes with, where that is known.

    0 parameters, and a note, where they are not known. `hidden` is the text decoder's hidden size. [elements]
    """
    if root.has("audio_config") or root.has("sound_config"):
        root.keep("audio_config", "not counted", None)
        root.notes[AUDIO_UNCOUNTED] = None
    if not root.has(CONFIG):
        return 0, None
    wrapper = root.text("model_type") or ""
    params_of = TOWERS.get(wrapper)
    if params_of is None or not isinstance(root.values[CONFIG], dict):
        root.keep(CONFIG, "not counted", None)
        root.notes[UNCOUNTED] = None
        return 0, None
    vision = root.child(CONFIG, defaults=VISION_DEFAULTS.get(wrapper, _NO_DEFAULTS))
    if not vision:
        return 0, None
    params = params_of(vision, root, hidden)
    return params, encoder_of(wrapper, vision, root) if params else None
