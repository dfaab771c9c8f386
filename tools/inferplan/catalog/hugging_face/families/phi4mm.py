"""Phi-4-multimodal in its checkpoint's own form, whose towers are described elsewhere than in that of transformers.

Source: vLLM 0.33, vllm/model_executor/models/phi4mm.py: the image encoder's sizes are its code's, those of the audio
encoder stand in `audio_processor`. The adapters in the checkpoint (`vision_lora`, `speech_lora`) are skipped.
"""

from typing import cast

TYPE = "phi4mm"
AUDIO_PROCESSOR = "audio_processor"


def with_towers(config: dict[str, object]) -> dict[str, object]:
    """The config with its towers under the names of transformers; another type's config as it is."""
    processor = config.get(AUDIO_PROCESSOR)
    if config.get("model_type") != TYPE or not isinstance(processor, dict):
        return config
    audio = cast("dict[str, object]", processor).get("config")
    return {**config, "vision_config": {}, "audio_config": audio}
