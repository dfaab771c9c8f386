"""DeepSeek-V4's caches in vLLM: blocks of compressed keys, windows and states."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engines.compressed_memory import (
    CompressedBlocks,
    cut,
    forward_peak,
    lacks_kernels,
    laid_out_otherwise,
    not_modelled,
)
from inferplan.core.engines.drafts import with_draft
from inferplan.core.engines.vllm_defaults import has_second_runner
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB
from shapes import engine

FLASH = MODELS["deepseek-ai/DeepSeek-V4-Flash"].architecture
PRO = MODELS["deepseek-ai/DeepSeek-V4-Pro"].architecture
SHARED = MODELS["deepseek-ai/DeepSeek-V4.1-Flash"].architecture


def blocks_of(version: int, *, tokens: int = 8192, pp: int = 1) -> CompressedBlocks:
    return cut(FLASH, Layout(tp=2, pp=pp), engine=engine(version=version, tokens=tokens))


def test_flash_is_cut_into_five_groups_with_the_pages_that_follow_from_vllms_source() -> None:
    """584 B x 64 and 132 B x 64 each 256 tokens, 584 B x 2; states of 4 x 2,048, 4 x 512 and 8 x 1,024 x 4 B; of 576.

    In this order: 21 x (37,440 + 8,640) + 20 x 1,728; windows of 43 layers as 22 and 21; 21 x (32,832 + 8,640);
    20 x 32,832.
    """
    groups = [(spec.block_tokens, spec.window, spec.page) for _, spec in blocks_of(28).groups]
    assert groups == [
        (256, 0, 1_002_240),
        (64, 128, 22 * 37_440),
        (64, 128, 21 * 37_440),
        (4, 8, 21 * (32_832 + 8_640)),
        (8, 128, 20 * 32_832),
    ]


@pytest.mark.parametrize(
    ("version", "size"),
    [
        (22, 22 * (37_440 + 8_640 + 1_728)),
        (23, 22 * 37_440 + 21 * 8_640 + 20 * 1_728),
        (26, 22 * 37_440 + 21 * 8_640 + 20 * 1_728),
        (27, 1_002_240),
        (28, 1_002_240),
    ],
)
def test_a_block_holds_whole_tuples_then_shared_pages_then_the_largest_group(version: int, size: int) -> None:
    assert blocks_of(version).block_bytes == size


def test_two_gh200_needed_as_much_for_30000_tokens_and_reached_as_far_as_vllm_said() -> None:
    """vLLM 0.22: 6.66 GiB for 30,000 tokens; 13,528 are the most in 5.44 GiB. vLLM's issue 44376."""
    blocks = blocks_of(22, tokens=16384)
    assert blocks.per_sequence(30_000) == 118 + 2 * 259 + 4099 + 2065
    assert round(blocks.per_sequence(30_000) * blocks.block_bytes / GIB, 2) == 6.66
    fits = [blocks.per_sequence(context) * blocks.block_bytes <= 5.4405 * GIB for context in (13_528, 13_529)]
    assert fits == [True, False]


def test_two_h20_printed_150_thousand_tokens_for_7_7_gib() -> None:
    """vLLM 0.26 at 121,344 tokens, 8,192 a step and two steps in flight. vLLM's issue 51041."""
    blocks = blocks_of(26)
    number = int(7.7 * GIB // blocks.block_bytes)
    assert blocks.printed(number, context=121_344, version=26) == pytest.approx(150_000, rel=0.01)


def test_since_0_27_blocks_are_printed_as_what_they_are() -> None:
    blocks = blocks_of(28)
    assert blocks.printed(10 * blocks.per_sequence(65_536), context=65_536, version=28) == 655_360
    assert blocks.printed(10 * blocks.per_sequence(65_536), context=65_536, version=26) > 655_360


def test_a_sequence_that_decodes_holds_its_windows_and_not_a_step_in_flight() -> None:
    """At 8,192 tokens 32 blocks of keys, 2 x 3 of windows, 3 and 17 of states; the first 3,364 with a step in flight.

    The first one alone needs all of it, as vLLM checks when it starts.
    """
    blocks = blocks_of(28)
    first = 32 + 2 * 129 + 2049 + 1025
    assert blocks.per_sequence(8192) == first
    assert blocks.concurrency(first - 1, 8192) < 1
    assert blocks.concurrency(first + 10 * (32 + 6 + 3 + 17), 8192) == 11


def test_pro_takes_its_windows_in_two_groups_of_31_and_30() -> None:
    """30 x (37,440 + 8,640) + 31 x 1,728."""
    groups = cut(PRO, Layout(tp=8), engine=engine(version=28)).groups
    pages = sorted((spec.page for _, spec in groups if spec.block_tokens in (64, 256)), reverse=True)
    assert pages == [30 * (37_440 + 8_640) + 31 * 1_728, 31 * 37_440, 30 * 37_440]


@pytest.mark.parametrize("tp", [1, 8])
def test_every_rank_has_all_keys_and_a_stage_its_layers(tp: int) -> None:
    assert cut(FLASH, Layout(tp=tp), engine=engine(version=28)).block_bytes == 1_002_240
    assert blocks_of(28, pp=2).block_bytes == 11 * (37_440 + 8_640) + 10 * 1_728


@given(number=st.integers(0, 10**6), context=st.integers(1, 2**20), more=st.integers(1, 2**20))
def test_more_blocks_never_hold_less_and_longer_contexts_never_more(number: int, context: int, more: int) -> None:
    blocks = blocks_of(28)
    held = blocks.concurrency(number, context)
    assert held <= blocks.concurrency(number + more, context)
    assert held >= blocks.concurrency(number, context + more)


def test_v4_1_shares_keys_of_four_layers_and_has_its_windows_in_seven_groups() -> None:
    """Three sources of 32 keys in 64 tokens and one of 64: 3 x (19,008 + 4,608) + 37,440 + 8,640, into which six
    windows of 32 x 584 B fit; three rings of 8 x 1,024 x 4 B. A start of 0.31 printed groups of 32 (seven), 64 and 8.
    """
    blocks = cut(SHARED, Layout(tp=8), engine=engine(version=31))
    assert blocks.block_bytes == 116_928
    groups = [(spec.block_tokens, spec.window, spec.kind, spec.page) for _, spec in blocks.groups]
    windows = [(32, 128, "sliding", layers * 19_008) for layers in (6, 6, 6, 6, 6, 5, 5)]
    assert groups == [(64, 0, "full", 116_928), *windows, (8, 0, "state", 3 * 32_768)]


def test_eight_h100_printed_9_million_tokens_of_v4_1_for_29_14_gib() -> None:
    """vLLM 0.31.1rc1 at 262,144 tokens, 8,192 a step and two steps in flight: 9,092,347."""
    blocks = cut(SHARED, Layout(tp=8), engine=engine(version=31))
    assert blocks.per_sequence(262_144) == 4096 + 7 * 517 + 1
    least, most = (
        blocks.printed(int(gib * GIB // blocks.block_bytes), context=262_144, version=31) for gib in (29.135, 29.145)
    )
    assert least <= 9_092_347 <= most


def test_a_ring_of_v4_1_has_room_for_the_drafted_tokens_and_two_more() -> None:
    """A power of two, at least 8: up to 6 drafted tokens fit into 8."""
    rings = [
        cut(SHARED, Layout(tp=8), engine=replace(engine(version=31), drafts=drafts)).groups[-1][1].block_tokens
        for drafts in (0, 6, 7)
    ]
    assert rings == [8, 8, 16]


def test_v4_1_is_cut_as_on_hopper_and_said_to_be_laid_out_otherwise_elsewhere() -> None:
    assert laid_out_otherwise(SHARED, GPUS["h200-sxm"]) is None
    assert "Hopper" in (laid_out_otherwise(SHARED, GPUS["b200-sxm"]) or "")
    assert laid_out_otherwise(FLASH, GPUS["b200-sxm"]) is None


def test_other_keys_versions_and_managers_are_refused_by_name() -> None:
    """Neither V4 nor V4.1 pools 8 tokens into a key."""
    group = PRO.groups[0]
    assert isinstance(group.attention, Compressed)
    other = replace(group, attention=replace(group.attention, compress=8))
    assert "another kind" in (not_modelled(replace(PRO, groups=(other, *PRO.groups[1:])), engine(version=28)) or "")
    assert "since 0.30" in (not_modelled(SHARED, engine(version=29)) or "")
    assert not_modelled(SHARED, engine(version=30)) is None
    assert "since 0.20" in (not_modelled(FLASH, engine(version=19)) or "")
    assert "hybrid" in (not_modelled(FLASH, replace(engine(version=28), windows=False)) or "")
    assert not_modelled(FLASH, engine(version=20)) is None
    assert not_modelled(PRO, engine(version=28)) is None


@pytest.mark.parametrize(
    ("gpu", "version"),
    [("h100-sxm", 20), ("b200-sxm", 20), ("mi355x", 28), ("rtx-pro-6000-blackwell-server", 24), ("dgx-spark-gb10", 24)],
)
def test_it_runs_where_vllm_has_kernels(gpu: str, version: int) -> None:
    assert lacks_kernels(FLASH, GPUS[gpu], engine(version=version)) is None


@pytest.mark.parametrize(
    ("gpu", "version"), [("rtx-pro-6000-blackwell-server", 22), ("a100-80gb-sxm", 28), ("l40s", 28), ("mi300x", 28)]
)
def test_it_does_not_where_a_kernel_is_missing(gpu: str, version: int) -> None:
    """On two RTX PRO 6000 and vLLM 0.22.1 it stopped at one: vLLM's issue 40821."""
    assert "kernels" in (lacks_kernels(FLASH, GPUS[gpu], engine(version=version)) or "")


def test_the_peak_counts_four_streams_and_padded_queries_and_scores() -> None:
    """16,384 tokens of Flash on two ranks: 2 B x (2 x 4 x 4,096 + (32 + 2 x 64) x 512), and 512 MiB where indexed."""
    plain, indexed = (group.mixers[0] for group in FLASH.groups[:2])
    rows = 16384 * 2 * (2 * 4 * 4096 + (32 + 2 * 64) * 512)
    found = [
        forward_peak(mixer, hidden=4096, tokens=16384, tp=2, element=2)  # pyright: ignore[reportArgumentType]
        for mixer in (plain, indexed)
    ]
    assert found == [rows, rows + 512 * 2**20]


def test_the_second_runner_takes_it_from_0_28_and_the_first_before() -> None:
    assert [has_second_runner(FLASH, engine(version=version)) for version in (25, 27, 28)] == [False, False, True]


def test_a_draft_keeps_a_window_alone() -> None:
    """Flash's 43 windows and one more, as 22 and 22: vLLM's prediction layer compresses nothing."""
    drafted = with_draft(MODELS["deepseek-ai/DeepSeek-V4-Flash"]).architecture
    groups = cut(drafted, Layout(tp=2), engine=engine(version=28)).groups
    assert [spec.page for _, spec in groups if spec.block_tokens == 64] == [22 * 37_440, 22 * 37_440]
    assert groups[0] == blocks_of(28).groups[0]


@pytest.mark.parametrize("tp", [1, 2, 4, 8])
def test_ranks_share_out_the_query_heads_and_the_groups_of_the_output(tp: int) -> None:
    """64 heads x 512 x 1,024 up to the queries, as much down to 8 groups of 1,024, and these to 4,096."""
    shared = 64 * 512 * 1024 + 64 * 512 * 1024 + 8 * 1024 * 4096
    for _, mixer in FLASH.mixers:
        whole = mixer.params(FLASH.hidden)
        assert mixer.share(FLASH.hidden, tp) * whole == pytest.approx(whole - shared + shared / tp)
