"""ERNIE 4.5 VL: experts for text tokens, and as many others for image tokens."""

from collections.abc import Sequence
from typing import cast

from inferplan.catalog.hugging_face.layers.expert_layers import by_mlp_layer_types
from inferplan.catalog.hugging_face.layers.ffn import Blocks, DenseLayers, check_active
from inferplan.catalog.hugging_face.reading.keys import LARGEST, LARGEST_COUNT, LARGEST_FACTOR, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import layers_of
from inferplan.core.architecture import ExpertFfn

Pair = tuple[int, int]
"""A number for text, and one for images."""


def _pair(keys: Keys, key: str, default: Pair | None, *, low: int = 1, high: int = LARGEST) -> Pair:
    """Two whole numbers from `low` to `high`, or one for both; recorded and replaced where missing or wrong."""
    value = keys.values.get(key)
    if value is None:
        if default is None:
            keys.missing(key)
        return default or (low, low)
    items = cast("list[object]", value) if isinstance(value, list) else [value, value]
    whole = [one for one in items if isinstance(one, int) and not isinstance(one, bool) and low <= one <= high]
    if len(whole) != len(items) or len(whole) != 2:
        keys.wrong(key, f"two whole numbers from {low} to {high}, for text and for images")
        return default or (low, low)
    keys.keep(key, whole, list(default) if default else None)
    return whole[0], whole[1]


def blocks(keys: Keys) -> Blocks:
    """Dense blocks, and layers whose experts are apart for text and for images.

    Source: transformers 5.24, `Ernie4_5_VLMoeSparseMoeBlock`; vLLM 0.33, ernie45_vl_moe.py.
    """
    layers = layers_of(keys)
    experts = _experts(keys)
    dense = DenseLayers().read(keys)
    return [experts if one else dense for one in _has_experts(keys, layers)]


def _experts(keys: Keys) -> ExpertFfn:
    """The experts of one layer; their defaults are pairs, which the table of defaults does not hold."""
    has_defaults = "moe_k" in keys.defaults
    text, image = _pair(keys, "moe_intermediate_size", (1536, 512) if has_defaults else None)
    experts = _pair(keys, "moe_num_experts", (64, 64) if has_defaults else None, high=LARGEST_COUNT)
    active = keys.integer("moe_k", high=LARGEST_COUNT)
    if experts[0] != experts[1]:
        keys.contradiction(f"{keys.name('moe_num_experts')} has to be the same for text and images")
    check_active(keys, "moe_k", active, experts[0])
    return ExpertFfn(
        experts=experts[0],
        active=active,
        intermediate=text,
        shared_intermediate=text * (keys.optional("moe_num_shared_experts", default=0, high=LARGEST_FACTOR) or 0),
        image_intermediate=image,
    )


def _has_experts(keys: Keys, layers: int) -> Sequence[bool]:
    """Whether each layer has experts: as listed, or from a first to a last layer every so many."""
    step = keys.integer("moe_layer_interval", default=1, high=MOST_LAYERS)
    start = _pair(keys, "moe_layer_start_index", (1, 1), low=0, high=MOST_LAYERS)
    end = _pair(keys, "moe_layer_end_index", (layers - 1, layers - 1), low=0, high=MOST_LAYERS)
    last = min(end[0], layers - 1), min(end[1], layers - 1)
    if start[0] != start[1] or last[0] != last[1]:
        keys.contradiction("experts for text and for images have to stand in the same layers")
    default = [start[0] <= number <= last[0] and (number + 1) % step == 0 for number in range(layers)]
    return by_mlp_layer_types(keys, default)
