"""Phi-3-Vision and Phi-3.5-Vision, whose image encoder is described as `img_processor`.

Source: vLLM 0.33, model_executor/models/phi3v.py.
"""

TYPE = "phi3_v"
PROCESSOR = "img_processor"


def with_tower(config: dict[str, object]) -> dict[str, object]:
    """The config with its image encoder under the usual name; another type's config as it is."""
    if config.get("model_type") != TYPE or not isinstance(config.get(PROCESSOR), dict):
        return config
    return {**config, "vision_config": config[PROCESSOR]}
