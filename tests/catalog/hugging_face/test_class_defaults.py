"""Configs that leave out what they may: each has the parameters that transformers builds of its class's defaults.

Totals are those of transformers 5.24, `AutoModelForCausalLM.from_config(CONFIG_MAPPING[type]())` on torch's "meta"
device; which layers have a window is what its config saves as `layer_types`.
"""

import json
from typing import NamedTuple

import pytest

from inferplan.catalog.hugging_face.config import described
from inferplan.core.architecture import Architecture
from inferplan.core.parameters import count

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
    "lfm3": Built((2048, 7680, 16, 24, 128000), 1_728_801_536, {None: 6, 256: 5}),
    "youtu": Built((2048, 6144, 16, 32, 128256), 1_961_560_064, {None: 32}),
}


def windows(architecture: Architecture) -> dict[int | None, int]:
    """How many layers cache over each window."""
    found: dict[int | None, int] = {}
    for layers, mixer in architecture.mixers:
        for part in mixer.cached:
            found[part.window] = found.get(part.window, 0) + layers
    return found


def sized(type_: str, **changed: object) -> Architecture:
    """What a config of no more than its sizes, and what is changed, describes."""
    config = {"model_type": type_, **dict(zip(SIZES, BUILT[type_].sizes, strict=True)), **changed}
    return described(json.dumps(config)).model.architecture


def attending(architecture: Architecture) -> list[tuple[int, int | None]]:
    """The layers that cache, each by its number with its window."""
    groups = [architecture.groups[number] for number in architecture.sequence]
    return [(number, part.window) for number, one in enumerate(groups) for part in one.mixers[0].cached]


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
    assert [number for number, window in attending(sized(type_, num_hidden_layers=9)) if not window] == [0, 4, 8]


def test_layers_of_lfm3_attend_in_turn_to_all_and_to_a_window_behind_three_that_convolve() -> None:
    """transformers, `Lfm3Config.layer_types`: full where i % 4 is 2, sliding where it is 0, but not in the first."""
    whole = sized("lfm3", num_hidden_layers=9)
    assert attending(whole) == [(2, None), (4, 256), (6, None), (8, 256)]
    assert whole.rope_tables == 2


def test_norms_behind_blocks_and_gates_of_heads_of_lfm3_may_be_switched_off() -> None:
    whole, plain = sized("lfm3"), sized("lfm3", use_sandwich_norm=False, use_attention_gate=False)
    assert count(whole).total - count(plain).total == 24 * 2 * 2048 + 11 * 2048 * 16
