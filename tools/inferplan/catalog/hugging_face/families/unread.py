"""Model types that people serve and that are refused all the same, each with why."""

from collections.abc import Mapping

UNREAD: Mapping[str, str] = {
    "bamba": "vLLM serves it up to 0.23 alone",
    "mpt": "vLLM serves it up to 0.28 alone",
    "unlimited_ocr": "a window beside all tokens of the prompt is not modelled",
    "voxtral_realtime": "the keys and values that its audio encoder caches are not modelled",
    "zamba2": "blocks of attention that several layers share are not modelled",
}
"""Source: vLLM 0.33, model_executor/models/registry.py (`_PREVIOUSLY_SUPPORTED_MODELS`), whisper_causal.py, zamba2.py;
transformers 5.24, `UnlimitedOcrTextConfig`."""
