"""What engines load of models that also speak: the thinker, which reads text, sound and images and writes text.

Source: vLLM 0.33, qwen3_omni_moe_thinker.py (`skip_prefixes`: "talker.", "code2wav."), qwen2_5_omni_thinker.py
("talker.", "token2wav."); their classes of the architectures for conditional generation are the thinkers'.
"""

from typing import cast

from inferplan.catalog.hugging_face.reading.keys import Keys

CONFIG = "thinker_config"
TALKER, WAVES = "talker_config", "token2wav_config"
SPEAKING = (TALKER, "code2wav_config", WAVES)
UNLOADED = "The parts that speak (talker and {waves}) are not counted: engines for text load the thinker alone."

_THINKERS = {"qwen2_5_omni": "qwen2_5_omni_thinker", "qwen3_omni_moe": "qwen3_omni_moe_thinker"}
"""Types whose config holds that of a thinker, each with the thinker's type."""


def thinking(config: dict[str, object]) -> dict[str, object]:
    """The config of the thinker, with what the whole config says beside it; another type's config as it is."""
    type_, inner = config.get("model_type"), config.get(CONFIG)
    if not isinstance(type_, str) or type_ not in _THINKERS or not isinstance(inner, dict):
        return config
    beside = {key: value for key, value in config.items() if key != CONFIG}
    return {**beside, **cast("dict[str, object]", inner), "model_type": _THINKERS[type_]}


def note_speaking(root: Keys) -> None:
    """Say of a config that has the parts that speak that they are left out."""
    if any(root.has(key) for key in SPEAKING):
        root.keep(TALKER, "not loaded", None)
        root.keep(WAVES, "not loaded" if root.has(WAVES) else None, None)
        root.notes[UNLOADED.format(waves="token2wav" if root.has(WAVES) else "code2wav")] = None
