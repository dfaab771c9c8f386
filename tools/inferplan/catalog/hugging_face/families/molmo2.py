"""Molmo 2: Qwen3's or OLMo's attention, further rows of embedding, and an image encoder that is cut off.

Source: transformers 5.24, `Molmo2TextConfig`, `Molmo2TextModel`, `Molmo2Config`; vLLM 0.33, molmo2.py.
"""

from typing import cast

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import AttentionLayers, Heads, Mixers
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of

TYPE = "molmo2"
ENCODER, ADAPTER = "vit_config", "adapter_config"
_NAMES = {"image_patch_size": "patch_size", "image_num_pos": "num_position_embeddings"}
"""Names of the checkpoint's image encoder, each with that of transformers."""
_BIASES = ("attention_bias", "qkv_bias")


def mixers(keys: Keys) -> Mixers:
    """Norms of each head, or of all together (`qk_norm_type`)."""
    wide = keys.word("qk_norm_type", allowed=("qwen3", "olmo"), default="qwen3") == "olmo"
    heads = Heads(qkv_bias=keys.given(_BIASES), qk_norm="full_width" if wide else "per_head")
    return AttentionLayers(heads=heads)(keys)


def extras(keys: Keys) -> Extras:
    """Rows of embedding for images, which are read and never answered with."""
    return Extras(other_params=keys.integer("additional_vocab_size", default=128, low=0) * hidden_of(keys))


def with_encoder(config: dict[str, object]) -> dict[str, object]:
    """The config with its image encoder as transformers has it, cut off behind the last layer that the adapter reads.

    Another type's config, or one in the form of transformers, is left as it is.
    """
    encoder, adapter = config.get(ENCODER), config.get(ADAPTER)
    if config.get("model_type") != TYPE or not isinstance(encoder, dict) or not isinstance(adapter, dict):
        return config
    seen, read = cast("dict[str, object]", encoder), cast("dict[str, object]", adapter)
    depth = seen.get("num_hidden_layers", 27)
    layers = read.get("vit_layers", [-3, -9])
    if not isinstance(depth, int) or depth < 1 or not isinstance(layers, list):
        return config
    numbers = [one % depth for one in cast("list[object]", layers) if isinstance(one, int)]
    usual = {_NAMES.get(key, key): value for key, value in seen.items()}
    cut = {**usual, "num_hidden_layers": max(numbers, default=0) + 1}
    return {**config, "vision_config": cut, ADAPTER: {**read, "vision_feature_layer": numbers}}
