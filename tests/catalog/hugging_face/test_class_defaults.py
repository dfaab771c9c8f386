"""Configs that leave out what they may: each has the parameters that transformers builds of its class's defaults.

Totals are those of transformers 5.24, `AutoModelForCausalLM.from_config(CONFIG_MAPPING[type]())` on torch's "meta"
device; which layers have a window is what its config saves as `layer_types`.
"""

import json
from typing import NamedTuple

import pytest

from inferplan.catalog.hugging_face.config import ConfigProblem, described
from inferplan.core.architecture import Architecture
from inferplan.core.engines.kv_coverage import not_modelled
from inferplan.core.parameters import count, idle_params

SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size")
"""What a config has to give itself."""


class Built(NamedTuple):
    """The sizes of a class's defaults, and what is built of them: parameters, and by window how many layers."""

    sizes: tuple[int, ...]
    params: int
    windows: dict[int | None, int]


BUILT = {
    "apertus1p5_text": Built((4096, 14336, 32, 32, 266752), 8_091_086_912, {None: 32}),
    "cwm": Built((6144, 21504, 48, 64, 128256), 32_581_097_472, {None: 16, 8192: 48}),
    "granite_swa": Built((2560, 8192, 20, 24, 100352), 2_144_463_840, {None: 6, 128: 18}),
    "granitemoe_swa": Built((4096, 11008, 32, 32, 32000), 37_039_117_312, {None: 8, 128: 24}),
    "helium": Built((2560, 7040, 20, 24, 48000), 2_172_643_840, {None: 24}),
    "jais2": Built((3328, 26624, 26, 32, 150272), 8_090_401_280, {None: 32}),
    "lfm3": Built((2048, 7680, 16, 24, 128000), 1_728_801_536, {None: 6, 256: 5}),
    "minicpm3": Built((2560, 6400, 40, 62, 73448), 4_073_875_968, {None: 62}),
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


def test_vllm_has_no_class_for_lfm3_and_runs_it_no_other_way() -> None:
    """vLLM 0.33: no class in its registry; its Transformers backend stops at the first layer, which convolves."""
    assert "vLLM has no class for them up to 0.33" in (not_modelled(sized("lfm3"), version=33) or "")
    full = sized("lfm3", num_hidden_layers=4, layer_types=["conv", "conv", "full_attention", "conv"])
    assert not_modelled(full, version=33) is None


def test_norms_behind_blocks_and_gates_of_heads_of_lfm3_may_be_switched_off() -> None:
    whole, plain = sized("lfm3"), sized("lfm3", use_sandwich_norm=False, use_attention_gate=False)
    assert count(whole).total - count(plain).total == 24 * 2 * 2048 + 11 * 2048 * 16


def test_mistral_large_4_is_counted_with_its_tower_and_a_quarter_of_its_layers_does_not_rotate() -> None:
    """1,050,118,202,912 and 1,704,218,624 of transformers 5.24, `MistralLarge4Config()`: A52B of 1T as published."""
    model = described(json.dumps({"model_type": "mistral_large4", "text_config": {}, "vision_config": {}})).model
    architecture = model.architecture
    assert (model.total_params, architecture.vision_params) == (1_050_118_202_912, 1_704_218_624)
    assert round((model.total_params - idle_params(architecture)) / 1e9) == 53
    widths = [architecture.groups[number].mixers[0].cached[0].elements for number in architecture.sequence]
    assert widths == [576, 576, 576, 512] * 18
    assert described(model.id).model.architecture == architecture


@pytest.mark.parametrize(
    ("changed", "latents"),
    [({"no_rope_layers": [1] * 72}, {576}), ({"no_rope_layers": [0] * 72}, {512}), ({}, {512, 576})],
    ids=str,
)
def test_vllms_pages_are_claimed_where_all_latents_of_mistral_large_4_are_as_wide(
    changed: dict[str, object], latents: set[int]
) -> None:
    text = json.dumps({"model_type": "mistral_large4", "text_config": changed})
    architecture = described(text).model.architecture
    cached = [part for _, mixer in architecture.mixers for part in mixer.cached]
    assert {part.elements for part in cached if part.what == "latent"} == latents
    assert bool(not_modelled(architecture, version=28)) == (len(latents) > 1)


OWN = list(range(72))


def large_4(**text: object) -> Architecture:
    return described(json.dumps({"model_type": "mistral_large4", "text_config": text})).model.architecture


def test_layers_of_mistral_large_4_that_read_the_latents_of_others_make_none_and_keep_their_index_keys() -> None:
    """transformers 5.24: of `kv_source_layers` whose last two layers but one read layer 68, 6,144 x 576 + 512 a layer.

    Of `indexer_types` that are all "full", index keys are kept in these layers too.
    """
    whole, shared = large_4(kv_source_layers=OWN), large_4(kv_source_layers=[*OWN[:69], 68, 68, 71])
    assert count(whole).total == 1_050_118_202_912
    assert count(whole).total - count(shared).total == 2 * (6144 * 576 + 512)
    parts = [[part.what for part in shared.groups[number].mixers[0].cached] for number in shared.sequence[-4:]]
    assert parts == [["latent", "index keys"], ["index keys"], ["index keys"], ["latent", "index keys"]]
    assert "vLLM has no class" in (not_modelled(shared, version=33) or "")


@pytest.mark.parametrize("sources", [[*OWN[:70], 71, 71], [*OWN[:70], 70, 70], [*OWN[:68], 67, 68, 69, 71], [1] * 72])
def test_layers_of_mistral_large_4_read_an_earlier_layer_that_makes_its_latents_and_rotates_alike(
    sources: list[int],
) -> None:
    with pytest.raises(ConfigProblem, match="names layers that are later, make no latents or rotate otherwise"):
        large_4(kv_source_layers=sources)


def test_heads_of_helium_that_are_not_as_wide_as_what_they_add_to_are_refused() -> None:
    """transformers, `HeliumAttention`: its output projection is hidden x hidden, whatever the heads are."""
    with pytest.raises(ConfigProblem, match="heads that are 1280 wide in all are not the hidden size of 2560"):
        sized("helium", head_dim=64)
