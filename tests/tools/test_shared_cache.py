"""Decode context parallelism: what ranks that share out the tokens of a cache gain in time, and what it costs them."""

from typing import Any

import pytest

from inferplan.tools.parallelism import TOOL, ParallelismAnswer


def ask(ranks: int, **more: Any) -> ParallelismAnswer:
    question = {"model": "deepseek r1", "precision": "fp8", "gpu": "b200", "total_gpus": 8, **more}
    return TOOL.ask({**question, "overrides": f"expert_parallel=0, decode_context_parallel={ranks}"})


def step_ms(answer: ParallelismAnswer) -> float:
    assert answer.tpot_ms is not None
    return answer.tpot_ms


def test_one_rank_shares_out_nothing() -> None:
    load = {"concurrent_users": 32, "context_window": 32768}
    told = ask(1, **load)
    plain = TOOL.ask({**told.inputs, "overrides": "expert_parallel=0"})
    assert (told.tpot_ms, told.ttft_ms, told.collectives) == (plain.tpot_ms, plain.ttft_ms, plain.collectives)
    assert "gather" not in told.communication


def test_what_the_ranks_tell_each_other_is_named_with_bytes_and_time() -> None:
    """32 tokens in 61 layers: 16 queries of 576 x 2 B and 128 sums of 4 B, then 128 results of 512 x 2 B."""
    answer = ask(8, concurrent_users=32, context_window=32768)
    reduce, gather, scatter = answer.collectives
    assert [one.what for one in (reduce, gather, scatter)] == ["all-reduce", "all-gather", "reduce-scatter"]
    assert (gather.mb[0], scatter.mb[0]) == (pytest.approx(37.0, rel=5e-3), pytest.approx(256, rel=5e-3))
    assert gather.ms[0] + scatter.ms[0] == pytest.approx(5.0, rel=0.15)
    assert (gather.mb[1], scatter.mb[1]) == (0, 0)
    assert "122 all-gathers, NVLink 5; 61 reduce-scatters, NVLink 5" in answer.communication


@pytest.mark.parametrize(
    ("users", "context", "quicker"),
    [(32, 4_096, False), (32, 32_768, True), (8, 4_096, False), (8, 32_768, False), (8, 131_072, True)],
)
def test_long_contexts_are_quicker_where_the_cache_is_shared_out_and_short_ones_slower(
    users: int, context: int, *, quicker: bool
) -> None:
    """32 sequences on 8 B200 by aisimulate, pull request 240: 27.3 to 32.2 ms at 4,096 and 37.7 to 34.7 at 32,768."""
    load = {"concurrent_users": users, "context_window": context, "input_tokens": context - 2000, "output_tokens": 2000}
    assert (step_ms(ask(8, **load)) < step_ms(ask(1, **load))) is quicker


@pytest.mark.parametrize(("ranks", "times"), [(4, 2983 / 2332), (8, 3502 / 2332)])
def test_room_for_more_users_gives_more_tokens_a_second_as_published(ranks: int, times: float) -> None:
    """DeepSeek R1 on 8 Hopper GPUs, 2,043 tokens in and 1,024 out, thousands of users: vLLM, pull request 25049.

    The cache of 8 H200 holds 201 of them, 804 with 4 ranks, and more than the 1,024 of a step with 8.
    """
    load = {"gpu": "h200", "context_window": 3067, "input_tokens": 2043, "output_tokens": 1024}
    alone, shared = (ask(n, **load, concurrent_users=4096).tokens_per_s for n in (1, ranks))
    assert alone is not None
    assert shared is not None
    assert shared / alone == pytest.approx(times, rel=0.25)
