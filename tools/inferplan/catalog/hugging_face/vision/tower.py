"""What a multimodal model sees and hears with, as its config describes it; a note where it is not known."""

from collections.abc import Mapping

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.vision.audio_params import AUDIO_TOWERS
from inferplan.catalog.hugging_face.vision.encoders import encoder_of
from inferplan.catalog.hugging_face.vision.forms import UNCOUNTED
from inferplan.catalog.hugging_face.vision.tower_defaults import VISION_DEFAULTS
from inferplan.catalog.hugging_face.vision.tower_params import TOWERS
from inferplan.core.layers.vision import VisionTower

CONFIG, AUDIO = "vision_config", "audio_config"
SOUNDS = (AUDIO, "sound_config", "encoder_config")
"""Where a config has its audio encoder."""
AUDIO_UNCOUNTED = "The audio encoder that stands beside the text decoder is not counted."

_NO_DEFAULTS: Mapping[str, int] = {}


def vision_of(root: Keys, hidden: int) -> tuple[int, VisionTower | None]:
    """The parameters of vision tower, projector and audio encoder, and what the former computes with, where known.

    0 parameters, and a note, of what is not known. `hidden` is the text decoder's hidden size. [elements]
    """
    audio = _audio_params(root, hidden)
    params, encoder = _images(root, hidden)
    return audio + params, encoder


def _audio_params(root: Keys, hidden: int) -> int:
    """The parameters of the audio encoder; 0, and a note, where they are not known. [parameters]"""
    params_of = AUDIO_TOWERS.get(root.text("model_type") or "")
    if params_of and (audio := root.child(AUDIO, defaults={})):
        return params_of(audio, hidden)
    if any(root.has(key) for key in SOUNDS):
        root.keep(AUDIO, "not counted", None)
        root.notes[AUDIO_UNCOUNTED] = None
    return 0


def _images(root: Keys, hidden: int) -> tuple[int, VisionTower | None]:
    """The parameters of the vision tower and its projector, and its encoder."""
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
