"""MiniCPM-V and MiniCPM-o, whose configs have the keys of a text decoder that their version tells.

Source: vLLM 0.33, model_executor/models/minicpmv.py (`_SUPPORT_VERSION`, `init_llm`) and minicpmo.py.
"""

from collections.abc import Mapping

from inferplan.catalog.hugging_face.reading.sizes import TEXT_CONFIGS

SEEING, HEARING = "minicpmv", "minicpmo"
_DECODERS: Mapping[str, Mapping[str, str]] = {
    SEEING: {"2.0": "minicpm", "2.5": "llama", "2.6": "qwen2", "4.0": "llama", "4.5": "qwen3"},
    HEARING: {"2.6": "qwen2", "4.5": "qwen3"},
}
"""By type and version: the type of the text decoder."""
_UNNAMED = {SEEING: "2.5", HEARING: "2.6"}
"""The version of a config that names none; a MiniCPM-V of 2304 columns is then of version 2.0."""
FIRST_HIDDEN = 2304


def with_decoder(config: dict[str, object]) -> dict[str, object]:
    """The config with its text decoder in an object of its own; another type's as it is.

    The decoder of a version that is not known has a type that is not known either.
    """
    type_ = config.get("model_type")
    if not isinstance(type_, str) or type_ not in _DECODERS or any(key in config for key in TEXT_CONFIGS):
        return config
    unnamed = "2.0" if type_ == SEEING and config.get("hidden_size") == FIRST_HIDDEN else _UNNAMED[type_]
    version = str(config.get("version", unnamed))
    decoder = _DECODERS[type_].get(version, f"{type_} {version}")
    plain = {key: value for key, value in config.items() if key == "rope_scaling" or not isinstance(value, dict)}
    return {**config, "text_config": {**plain, "model_type": decoder}}
