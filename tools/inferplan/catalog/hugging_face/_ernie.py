"""ERNIE 4.5 VL: experts for tokens of text, and others for tokens of images."""

from typing import cast

from inferplan.catalog.hugging_face._attention import layers_of
from inferplan.catalog.hugging_face._ffn import Blocks, check_active
from inferplan.catalog.hugging_face._keys import LARGEST, MOST_LAYERS, Keys
from inferplan.core.architecture import DenseFfn, ExpertFfn

MANY = 10**5
Pair = tuple[int, int]


def pair(keys: Keys, key: str, default: Pair | None, *, low: int = 1, high: int = LARGEST) -> Pair:
    """A whole number for text and one for images, or one for both."""
    value = keys.values.get(key)
    if value is None:
        if default is None:
            keys.problems.missing[keys.name(key)] = None
        return default or (low, low)
    items = cast("list[object]", value) if isinstance(value, list) else [value, value]
    whole = [one for one in items if isinstance(one, int) and not isinstance(one, bool) and low <= one <= high]
    if len(whole) != len(items) or len(whole) != 2:
        keys.wrong(key, f"two whole numbers from {low} to {high}, for text and for images")
        return default or (low, low)
    keys.keep(key, whole, list(default) if default else None)
    return whole[0], whole[1]


def blocks(keys: Keys) -> Blocks:
    """Dense blocks, and layers that route text and images each to experts of their own.

    Source: transformers 5.24, `Ernie4_5_VLMoeSparseMoeBlock`; vLLM 0.33, ernie45_vl_moe.py.
    """
    layers = layers_of(keys)
    text, image = pair(keys, "moe_intermediate_size", (1536, 512) if "moe_k" in keys.defaults else None)
    experts = pair(keys, "moe_num_experts", (64, 64) if "moe_k" in keys.defaults else None, high=MANY)
    active = keys.integer("moe_k", high=MANY)
    if experts[0] != experts[1]:
        keys.contrary(f"{keys.name('moe_num_experts')} has to be the same for text and images")
    check_active(keys, "moe_k", active, experts[0])
    routed = ExpertFfn(
        experts=experts[0],
        active=active,
        intermediate=text,
        shared_intermediate=text * (keys.optional("moe_num_shared_experts", default=0, high=1000) or 0),
        image_intermediate=image,
    )
    dense = DenseFfn(intermediate=keys.integer("intermediate_size"))
    return [routed if one else dense for one in _routed(keys, layers)]


def _routed(keys: Keys, layers: int) -> list[bool]:
    """Layers with experts: as listed, or from a first to a last one, every so many."""
    step = keys.integer("moe_layer_interval", default=1, high=MOST_LAYERS)
    start = pair(keys, "moe_layer_start_index", (1, 1), low=0, high=MOST_LAYERS)
    end = pair(keys, "moe_layer_end_index", (layers - 1, layers - 1), low=0, high=MOST_LAYERS)
    last = min(end[0], layers - 1), min(end[1], layers - 1)
    if start[0] != start[1] or last[0] != last[1]:
        keys.contrary("experts for text and for images have to stand in the same layers")
    default = [
        "sparse" if start[0] <= number <= last[0] and (number + 1) % step == 0 else "dense" for number in range(layers)
    ]
    kinds = keys.per_layer("mlp_layer_types", layers, allowed=("dense", "sparse"), default=default)
    return [kind == "sparse" for kind in kinds]
