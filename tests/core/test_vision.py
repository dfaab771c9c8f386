"""What an image encoder takes while vLLM tries it out, worked by hand from the layers in its sources."""

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_files import DATA
from inferplan.catalog.models import MODELS, towers
from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.engines.vllm_activation import activation_peak, counted_encoder, leaves_out_encoder
from inferplan.core.layers.vision import Kind, VisionTower, encoder_peak, frames_at_once, kept_images, profiled_images
from inferplan.core.units import GIB

QWEN, DEEP, GEMMA = (towers()[name] for name in ("qwen3_1152", "qwen3_1152_deep", "siglip"))
LLAMA, KIMI = (towers()[name] for name in ("llama4", "moonvit"))


def engine(*, version: int = 28, tokens: int = 8192, sequences: int = 256, images: bool = True) -> Engine:
    return Engine(version=version, max_num_seqs=sequences, max_num_batched_tokens=tokens, images=images)


def shape(id_: str) -> Architecture:
    return MODELS.find(id_).architecture


@pytest.mark.parametrize(("tokens", "images"), [(2048, 1), (16384, 1), (32767, 1), (32768, 2), (65536, 4)])
def test_as_many_images_are_tried_out_as_a_batch_has_tokens_for_and_at_least_one(tokens: int, images: int) -> None:
    """As in logs of Qwen3.6 35B: one with up to 16,384 batched tokens, two with 32,768, four with 65,536."""
    assert profiled_images(QWEN, tokens) == images


def test_small_images_are_tried_out_by_the_dozen() -> None:
    """Gemma 3: 256 tokens each."""
    assert [profiled_images(GEMMA, tokens) for tokens in (2048, 8192, 16384)] == [8, 32, 64]


@pytest.mark.parametrize(
    ("context", "images"), [(8192, 1), (32_767, 1), (32_768, 2), (65_536, 4), (114_688, 7), (128_000, 7), (262_144, 7)]
)
def test_qwen2_5_vl_is_tried_out_on_a_video_as_long_as_its_context_holds(context: int, images: int) -> None:
    """At most 14 frames, of which two make a patch: of 128,000 tokens a log of pull request 12604 prints 114,688."""
    tower = towers()["qwen2_5_3420"]
    assert profiled_images(tower, 8192, context) == images
    on = engine(tokens=2048)
    first, later = (
        activation_peak(shape("qwen2.5 vl 7b"), replace(on, max_model_len=length), tp=1) for length in (0, context)
    )
    assert later == images * first


def test_a_batch_that_holds_several_videos_is_tried_out_on_whole_ones() -> None:
    assert profiled_images(towers()["qwen2_5_3420"], 131_072, 50_000) == 2 * 3
    assert profiled_images(towers()["qwen2_5_3420"], 131_072, 65_536) == 2 * 4
    assert profiled_images(towers()["qwen2_5_3420"], 131_072, 128_000) == 7


@pytest.mark.parametrize("context", [8192, 131_072, 1_048_576])
def test_others_are_tried_out_on_images_whatever_the_context(context: int) -> None:
    """Qwen3-VL shares the pixels of a video out among its frames; logs print 16,384 tokens, of an image."""
    for name, tower in towers().items():
        if not name.startswith("qwen2"):
            assert profiled_images(tower, 16_384, context) == profiled_images(tower, 16_384)


@pytest.mark.parametrize(
    ("name", "hidden", "patch"),
    [
        ("qwen3_1152", 4096, 2 * 3 * 16**2 + 1152 + 11 * 1152),
        ("qwen3_1024", 2560, 2 * 3 * 16**2 + 1024 + 11 * 1024),
        ("qwen3_1152_deep", 4096, 2 * 3 * 16**2 + 1152 + 11 * 1152 + 3 * 4096 / 4),
        ("qwen2_5_3420", 3584, 2 * 3 * 14**2 + 5 * 1280 + 3 * 3420),
    ],
)
def test_a_patch_of_the_largest_image_takes_what_its_widest_layer_keeps(name: str, hidden: int, patch: float) -> None:
    """Qwen3: pixels, positions, and in attention eleven widths. Qwen2.5: five widths and three of the gated columns."""
    assert encoder_peak(towers()[name], 1, hidden=hidden) == 2 * 65_536 * patch


def test_siglip_keeps_four_widths_and_its_columns_twice() -> None:
    """32 images of 64 x 64 patches: 3.37 GiB."""
    assert encoder_peak(GEMMA, 32, hidden=3840) == 2 * 32 * 4096 * (3 * 14**2 + 4 * 1152 + 2 * 4304)


@pytest.mark.parametrize(("tower", "images", "patches"), [(LLAMA, 3, 3 * 17 * 24**2), (KIMI, 1, 130**2)])
def test_complex_rotations_take_more_than_attention(tower: VisionTower, images: int, patches: int) -> None:
    """The input, the normed one, one beside the layers; queries, keys and values (3), eight widths of 4 B, two more."""
    peak = encoder_peak(tower, images, hidden=5120)
    assert peak == 2 * patches * (3 * 14**2 + 16 * tower.width) + tower.table


def test_moonvit_makes_the_angles_of_all_positions_once() -> None:
    """512 by 512 positions, 36 complex numbers of 8 B each: on every rank, and as long as the engine runs."""
    assert KIMI.table == 512**2 * 36 * 8
    plain = replace(KIMI, table=0)
    assert kept_images(KIMI, 3, hidden=7168) - kept_images(plain, 3, hidden=7168) == KIMI.table
    assert encoder_peak(KIMI, 3, hidden=7168, tp=8) - encoder_peak(plain, 3, hidden=7168, tp=8) == KIMI.table


def test_ranks_of_qwen2_vl_hold_queries_keys_and_values_of_all() -> None:
    """On two GPUs: 2 + 3 widths, eight by two, and two sums; alone the activation's three copies take more."""
    tower = towers()["qwen2_5120"]
    assert encoder_peak(tower, 1, hidden=8192, tp=2) == 2 * 65_536 * (1176 + 11 * 1280)
    assert encoder_peak(tower, 1, hidden=8192) == 2 * 65_536 * (1176 + 3 * 1280 + 3 * 5120)


ALONE: list[dict[str, Any]] = json.loads((DATA / "encoder_peaks_measured.json").read_text(encoding="utf-8"))["cases"]
"""Encoders of vLLM 0.24 alone on one H100."""
CUBLAS = (32 * 2**20, 33 * 2**20)
"""What any first product of matrices leaves behind, in one or two blocks. [B]"""


@pytest.mark.parametrize("case", ALONE, ids=lambda case: f"{case['model']}-{case['tokens']}")
def test_an_encoder_alone_takes_what_was_measured(case: dict[str, Any]) -> None:
    """Peaks within 0.6 %, of those whose angles of the patches weigh more, 1.5 %; what stays within 0.6 %
    or half a MiB.

    Of the smallest image within the 4 MiB that PyTorch's blocks may leave empty, 2.3 %.
    """
    tower, images, hidden = towers()[case["tower"]], case["images"], case["hidden"]
    made_before = case["left"] if case["first"] else 0
    assert profiled_images(tower, case["tokens"]) == images
    at_once = frames_at_once(79.18 * GIB, 24)
    peak = encoder_peak(replace(tower, table=0), images, hidden=hidden, at_once=at_once)
    bound = 0.015 if tower.kind in ("moonvit", "gemma4") else 0.006
    assert peak == pytest.approx(case["peak"] - made_before, rel=bound, abs=2**22)
    assert peak <= case["peak"]
    kept = kept_images(replace(tower, table=0), images, hidden=hidden)
    assert kept == pytest.approx(case["kept"] - made_before, rel=0.006, abs=2**19)


@pytest.mark.parametrize("case", [one for one in ALONE if one["first"]], ids=lambda case: case["model"])
def test_of_what_a_first_image_leaves_behind_all_but_a_librarys_buffer_is_counted(case: dict[str, Any]) -> None:
    """Qwen2.5-VL keeps 10 MiB of window indices and angles besides, a half percent of its peak."""
    more = 10 * 2**20 if case["model"].startswith("Qwen2.5") else 0
    assert case["left"] - towers()[case["tower"]].table - more in CUBLAS


def test_frames_of_gemma_4_go_through_as_many_at_a_time_as_a_tenth_of_the_gpu_is_planned_for() -> None:
    """31B on 80 GiB: 96 frames, of which 41 are done while 41 more take four widths and three times the columns.

    A patch has 768 values and two positions of 8 B.
    """
    tower = towers()["gemma4_1152"]
    assert [profiled_images(tower, tokens) for tokens in (2048, 8192, 16384)] == [1, 3, 6]
    frame = 630 * (2 * (4 * 1152 + 3 * 4304) + 630)
    expected = 96 * 630 * (2 * 768 + 16) + 41 * 630 * 2 * 1152 + 41 * frame
    assert encoder_peak(tower, 3, hidden=5376, at_once=41) == expected
    assert encoder_peak(tower, 3, hidden=5376, at_once=41, tp=8) == expected
    assert encoder_peak(tower, 3, hidden=5376, at_once=500) == 96 * (630 * (2 * 768 + 16) + frame)
    assert kept_images(tower, 3, hidden=5376) == 96 * (630 * (2 * 768 + 16) + 64 * 2 * 5376)


def test_a_large_gpu_encodes_more_frames_at_once_and_the_first_versions_one() -> None:
    """With four sequences and few tokens the encoder takes more than the decoder of E4B."""
    peaks = [
        activation_peak(
            shape("gemma 4 e4b"), engine(version=version, sequences=4, tokens=512), tp=1, gpu_memory=memory * GIB
        )
        for version, memory in ((28, 80), (28, 24), (21, 80))
    ]
    assert peaks[0] > peaks[1] > peaks[2]
    assert peaks[0] == encoder_peak(towers()["gemma4_768"], 1, hidden=2560, at_once=32)


def test_each_kind_of_encoder_was_measured() -> None:
    """But for patches that are embedded as they are, of which next to nothing but inputs and outputs is alive."""
    assert {towers()[case["tower"]].kind for case in ALONE} == set(get_args(Kind)) - {"embedded"}


def test_gemma_4_12b_embeds_the_frames_of_a_video_without_an_encoder() -> None:
    """32 frames of 70 patches of 48 x 48 pixels in three colours, with two positions of 8 B, and 64 outputs a frame.

    Layers of norms, one matrix, positions and a projection are all that its 52,379,952 parameters are, with sound's
    640 x 3840 and one scalar for each of 48 layers, which is the decoder's.
    """
    tower, inputs, outputs = towers()["gemma4_embedded"], 32 * 70 * (48 * 48 * 3 + 2 * 8 // 2), 32 * 64 * 3840
    assert kept_images(tower, 1, hidden=3840) == 2 * (inputs + outputs)
    assert encoder_peak(tower, 1, hidden=3840) == 2 * (inputs + 2 * outputs)
    pixels, wide = 48 * 48 * 3, 3840
    layers = 2 * pixels + (pixels + 1) * wide + 2 * wide + 1120 * 2 * wide + 2 * wide + wide**2
    assert layers + 640 * wide == shape("gemma 4 12b").vision_params == 52_379_952 - 48
    on = engine(version=28, tokens=8192)
    plain = replace(shape("gemma 4 12b"), vision_params=0, vision=None)
    seen = activation_peak(shape("gemma 4 12b"), on, tp=1) - activation_peak(plain, on, tp=1)
    assert seen == 3 * kept_images(tower, 1, hidden=3840)
    assert not leaves_out_encoder(shape("gemma 4 12b"), on)


def test_images_of_llama_4_are_seventeen_tiles() -> None:
    """Sixteen of 336 by 336 pixels and the whole picture: 144 tokens each, as many images as a batch has room for."""
    assert LLAMA.tokens == 17 * (336 // 14) ** 2 // 4
    assert [profiled_images(LLAMA, tokens) for tokens in (2048, 8192, 16384)] == [1, 3, 6]


def test_ranks_add_products_up_where_they_no_longer_rotate_most() -> None:
    """Llama 4 on eight GPUs: the sum of the feed-forward block's products before and after it, beside four widths."""
    assert encoder_peak(LLAMA, 1, hidden=5120, tp=8) == 2 * 9792 * (588 + 4 * 1408 + 5632 / 8 + 2 * 1408)


def test_ranks_share_the_encoder_but_add_up_whole_widths() -> None:
    """Qwen3.8 27B on two GPUs: 2 + 8 / 2 widths, and the output before and after it is added up."""
    assert encoder_peak(QWEN, 1, hidden=5120, tp=2) == 2 * 65_536 * (1536 + 1152 + 8 * 1152)
    assert encoder_peak(QWEN, 1, hidden=5120, tp=2) / GIB == pytest.approx(1.59, abs=0.15)


def test_inputs_and_outputs_stay_while_the_decoder_is_tried() -> None:
    """Gemma 3 12B on 0.19, batches of 8,192: the decoder's sampler decides the peak, of which 3.94 GiB were printed."""
    kept = kept_images(GEMMA, 32, hidden=3840)
    assert kept == 2 * 32 * (3 * 896**2 + 256 * 3840)
    settings = engine(version=19, sequences=1024)
    whole, decoder = shape("gemma 3 12b"), replace(shape("gemma 3 12b"), vision_params=0, vision=None)
    assert activation_peak(whole, settings, tp=1) == activation_peak(decoder, settings, tp=1) + kept
    assert activation_peak(whole, settings, tp=1) / GIB == pytest.approx(3.94, abs=0.01)


def test_the_larger_of_encoder_and_decoder_decides() -> None:
    """Qwen3.5 9B: with 1,024 sequences the sampler takes more than the one image, whose pixels and tokens are kept."""
    small, large = (activation_peak(shape("qwen3.5 9b"), engine(sequences=n), tp=1) for n in (256, 1024))
    assert small / GIB == 1.875
    assert large == activation_peak(
        replace(shape("qwen3.5 9b"), vision_params=0), engine(sequences=1024, images=False), tp=1
    ) + kept_images(QWEN, 1, hidden=4096)


def test_text_alone_tries_nothing_out() -> None:
    blind = activation_peak(shape("qwen3.5 9b"), engine(images=False), tp=1)
    assert blind == activation_peak(replace(shape("qwen3.5 9b"), vision_params=0, vision=None), engine(), tp=1)
    assert leaves_out_encoder(shape("glm-4.5v"), engine())
    assert not leaves_out_encoder(shape("glm-4.5v"), engine(images=False))


def test_the_trial_is_counted_since_0_16() -> None:
    architecture = shape("qwen3-vl-30b-a3b-instruct")
    versions = {version for version in range(5, 34) if counted_encoder(architecture, engine(version=version))}
    assert versions == set(range(16, 34))
    assert versions.isdisjoint(v for v in range(5, 34) if leaves_out_encoder(architecture, engine(version=v)))


def test_the_second_runner_tries_no_encoder_out_before_0_27() -> None:
    """It runs dense models since 0.25: their pools were cut as if they saw nothing, until 0.27 tried images as well."""
    dense = shape("qwen3 vl 8b")
    versions = {version for version in range(16, 34) if counted_encoder(dense, engine(version=version))}
    assert versions == set(range(16, 34)) - {25, 26}
    for version in (25, 26):
        on = engine(version=version)
        assert activation_peak(dense, on, tp=1) == activation_peak(dense, replace(on, images=False), tp=1)
        assert not leaves_out_encoder(dense, on)
        assert counted_encoder(dense, replace(on, first_runner=True))


def test_an_encoder_whose_layers_are_not_known_is_not_left_out_where_none_is_tried() -> None:
    pixtral = shape("mistral small 3.2")
    assert {version for version in range(16, 34) if leaves_out_encoder(pixtral, engine(version=version))} == (
        set(range(16, 34)) - {25, 26}
    )
    blind, on = replace(pixtral, vision_params=0), engine(version=26)
    assert activation_peak(pixtral, on, tp=1) == activation_peak(blind, on, tp=1)


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm"])
def test_other_engines_that_peak_as_vllm_does_try_no_image_out(name: str) -> None:
    architecture, settings = shape("qwen3.5 9b"), replace(engine(), name=name)
    assert counted_encoder(architecture, settings) is None
    assert activation_peak(architecture, settings, tp=1) < GIB + activation_peak(
        replace(architecture, vision_params=0), settings, tp=1
    )


@given(tokens=st.integers(16, 262_144), tp=st.sampled_from([1, 2, 4, 8]), name=st.sampled_from(sorted(towers())))
def test_ranks_take_no_more_than_one_gpu_does_and_more_tokens_no_less(tokens: int, tp: int, name: str) -> None:
    tower = towers()[name]
    images = profiled_images(tower, tokens)
    alone = encoder_peak(tower, images, hidden=4096)
    assert encoder_peak(tower, images, hidden=4096, tp=tp) <= alone
    assert alone <= encoder_peak(tower, profiled_images(tower, 2 * tokens), hidden=4096)
    assert kept_images(tower, images, hidden=4096) < alone
