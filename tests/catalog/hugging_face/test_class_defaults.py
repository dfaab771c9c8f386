"""Configs that leave out what they may: each has the parameters that transformers builds of its class's defaults.

Totals are those of transformers 5.24, `AutoModelForCausalLM.from_config(CONFIG_MAPPING[type]())` on torch's "meta"
device; which layers have a window is what its config saves as `layer_types`.
"""

import json
from typing import NamedTuple

import pytest

from inferplan.catalog.hugging_face.config import described
from inferplan.core.architecture import Architecture

SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size")
"""What a config has to give itself."""


class Built(NamedTuple):
    """The sizes of a class's defaults, and what is built of them: parameters, and by window how many layers."""

    sizes: tuple[int, ...]
    params: int
    windows: dict[int | None, int]


BUILT = {
    "cwm": Built((6144, 21504, 48, 64, 128256), 32_581_097_472, {None: 16, 8192: 48}),
    "granite_swa": Built((2560, 8192, 20, 24, 100352), 2_144_463_840, {None: 6, 128: 18}),
    "granitemoe_swa": Built((4096, 11008, 32, 32, 32000), 37_039_117_312, {None: 8, 128: 24}),
    "jais2": Built((3328, 26624, 26, 32, 150272), 8_090_401_280, {None: 32}),
    "youtu": Built((2048, 6144, 16, 32, 128256), 1_961_560_064, {None: 32}),
}


def windows(architecture: Architecture) -> dict[int | None, int]:
    """How many layers cache over each window."""
    found: dict[int | None, int] = {}
    for count, mixer in architecture.mixers:
        for part in mixer.cached:
            found[part.window] = found.get(part.window, 0) + count
    return found


@pytest.mark.parametrize("type_", BUILT)
def test_a_config_without_more_than_its_sizes_is_that_of_its_class(type_: str) -> None:
    built = BUILT[type_]
    config = {"model_type": type_, **dict(zip(SIZES, built.sizes, strict=True))}
    model = described(json.dumps(config)).model
    assert model.total_params == built.params
    assert windows(model.architecture) == built.windows
    assert described(model.id).model.architecture == model.architecture


@pytest.mark.parametrize("type_", ["cwm", "granite_swa", "granitemoe_swa"])
def test_the_first_of_every_four_layers_is_full(type_: str) -> None:
    config = {"model_type": type_, **dict(zip(SIZES, BUILT[type_].sizes, strict=True)), "num_hidden_layers": 9}
    architecture = described(json.dumps(config)).model.architecture
    groups = [architecture.groups[number] for number in architecture.sequence]
    full = [number for number, group in enumerate(groups) if group.mixers[0].cached[0].window is None]
    assert full == [0, 4, 8]
