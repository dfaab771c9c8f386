"""Decode context parallelism: what ranks that share out the tokens of a cache gain in time, and what it costs them."""

from typing import Any

import pytest
from pydantic import ValidationError

from inferplan.tools.parallelism import TOOL, ParallelismAnswer
from inferplan.tools.preset import TOOL as PRESET
from inferplan.tools.registry import TOOLS_BY_NAME


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
    """32 tokens in 61 layers: 16 queries of 576 x 2 B and 128 sums of 4 B, then 128 results of 512 x 2 B.

    A prompt attends over 32,768 - 1,000 cached tokens, of which each of 8 ranks keeps and sends 1/8 of 61 x 576 x 2 B.
    """
    answer = ask(8, concurrent_users=32, context_window=32768)
    reduce, gather, scatter = answer.collectives
    assert [one.what for one in (reduce, gather, scatter)] == ["all-reduce", "all-gather", "reduce-scatter"]
    assert (gather.mb[0], scatter.mb[0]) == (pytest.approx(37.0, rel=5e-3), pytest.approx(256, rel=5e-3))
    assert gather.ms[0] + scatter.ms[0] == pytest.approx(5.0, rel=0.15)
    assert (gather.mb[1], scatter.mb[1]) == (pytest.approx(31_768 / 8 * 61 * 576 * 2 / 1e6, rel=5e-3), 0)
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


LONG = {"model": "deepseek v3.1", "precision": "fp8", "gpu": "h200", "concurrent_users": 64, "context_window": 64_000}


def offered(**more: Any) -> list[tuple[str, dict[str, Any]]]:
    """What a plan says of ranks that share out a cache, with the question that follows."""
    answer = TOOL.ask({**LONG, **more})
    said = [one for one in answer.summary.split(". ") if one.startswith("Ranks that share out")]
    steps = [one for one in answer.next_steps if "share out" in one.why]
    assert len(said) == len(steps) <= 1
    return [(said[0], dict(step.arguments)) for step in steps]


@pytest.mark.parametrize("gpus", [8, None])
def test_a_plan_says_that_ranks_which_share_out_latents_serve_users_that_eight_gpus_do_not_take_otherwise(
    gpus: int | None,
) -> None:
    """8 H200 take 24 of 64 users of DeepSeek V3.1 with 64,000 tokens, so that 16 are planned where none are given."""
    answer = TOOL.ask({**LONG, "total_gpus": gpus})
    assert (answer.gpus_used, answer.serves_users) == ((8, False) if gpus else (16, True))
    ((said, question),) = offered(total_gpus=gpus)
    again = TOOL.ask(question)
    assert (again.gpus_used, again.serves_users, again.tp) == (8, True, 8)
    assert said.endswith(f"serve the users on 8 GPUs: {again.max_concurrent_users} fit.")
    assert "--decode-context-parallel-size 8" in (again.launch or "")


@pytest.mark.parametrize(
    "otherwise",
    [
        {"concurrent_users": 4},
        {"total_gpus": 16},
        {"total_gpus": 8, "concurrent_users": 1000},
        {"overrides": "engine=sglang"},
        {"overrides": "engine_version=0.9"},
        {"overrides": "decode_context_parallel=2"},
        {"model": "deepseek v3.2"},
        {"model": "qwen3 235b"},
        {"gpu": "mi300x"},
        {"objective": "throughput"},
    ],
    ids=str,
)
def test_no_plan_says_so_where_it_serves_nobody_more_or_engine_model_and_gpu_do_not_have_it(
    otherwise: dict[str, Any],
) -> None:
    assert offered(**otherwise) == []


@pytest.mark.parametrize("more", [{"total_gpus": 8}, {}, {"objective": "fewest_gpus", "concurrent_users": 72}], ids=str)
def test_who_wants_a_cache_kept_whole_is_told_of_no_ranks_that_share_it_out(more: dict[str, Any]) -> None:
    """One rank is the default, and wanted where the caller says it: neither a sentence nor a step asks again."""
    assert offered(**more)
    assert offered(**more, overrides="decode_context_parallel=1") == []
    assert "ranks" not in TOOL.ask({**LONG, **more, "overrides": "decode_context_parallel=1"}).summary.casefold()


def test_that_no_layout_takes_fewer_gpus_is_said_of_caches_that_are_kept_whole_alone() -> None:
    least = {"objective": "fewest_gpus", "concurrent_users": 72}
    answer = TOOL.ask({**LONG, **least})
    ((_, question),) = offered(**least)
    assert "on fewer GPUs, unless ranks share out the tokens of a cache." in answer.summary
    assert TOOL.ask(question).gpus_used < answer.gpus_used


def test_a_verdict_names_the_ranks_among_what_would_take_fewer_gpus() -> None:
    verdict = PRESET.ask({**LONG, "preset": "production"})
    (way,) = (one for one in verdict.changes if "context_parallel" in str(one.change.get("overrides")))
    again = PRESET.ask({**LONG, "preset": "production", **way.change})
    assert (way.gpus, again.serves) == (8, True)
    assert "fewer would with a cache shared out by 8 ranks (8)" in verdict.summary
    assert "tensor 8" in again.verdict


@pytest.mark.parametrize("tool", ["estimate_vram", "plan_parallelism", "compare_costs", "compare_quantization"])
def test_ranks_that_no_group_has_are_refused_alike_by_every_tool(tool: str) -> None:
    """estimate_vram blamed the warm-up, plan_parallelism the memory: 2 ranks for each of 8 KV heads are 16 GPUs."""
    asked = {"model": "llama 3.3 70b", "gpu": "h100", "overrides": "decode_context_parallel=2"}
    with pytest.raises(ValidationError, match="2 for each of 8 KV heads, and none is legal among the 8 x H100"):
        TOOLS_BY_NAME[tool].ask(asked | ({"requests_per_day": 1000} if tool == "compare_costs" else {}))


def test_a_gpu_that_stands_alone_shares_no_cache_out() -> None:
    with pytest.raises(
        ValidationError, match="takes a tensor group of 2 GPUs or a multiple, and RTX 4080 stands alone"
    ):
        TOOLS_BY_NAME["estimate_vram"].ask(
            {"model": "deepseek-v2-lite", "gpu": "rtx-4080", "overrides": "decode_context_parallel=2"}
        )
