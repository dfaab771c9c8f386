"""Users that fit and get the latency asked for: memory and speed agree, and the answer says which of them binds."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inferplan.catalog.gpus import GPUS
from inferplan.tools._assumptions import Ledger
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.serving.latency import Latency, Pace
from inferplan.tools.serving.settings import serving
from inferplan.tools.sizing.need import Need, fit
from inferplan.tools.sizing.words import summary
from inferplan.tools.vram import TOOL, HardwareRow, VramAnswer

LOAD: dict[str, Any] = {"model": "70B", "precision": "fp8", "concurrent_users": 200, "context_window": 8192}


SLOW = "layer_overhead_us=60"


def ask(**arguments: Any) -> VramAnswer:
    return TOOL.ask(LOAD | arguments)


def on(answer: VramAnswer, gpu: str = "h100-sxm") -> HardwareRow:
    return next(row for row in answer.hardware if row.gpu == gpu)


def tpot_of_a_replica(users: int, gpus: int) -> float:
    arguments = LOAD | {"concurrent_users": users, "total_gpus": gpus, "overrides": "gpus_per_node=4"}
    plan = PLAN.ask(arguments)
    assert (plan.tp, plan.dp) == (gpus, 1)
    assert plan.tpot_ms is not None
    return plan.tpot_ms


def test_a_replica_takes_as_many_users_as_the_planner_gives_that_time_per_token_and_not_one_more() -> None:
    row = on(ask(max_tpot_ms=25, overrides="gpus_per_node=4"))
    assert row.deploy is not None
    assert row.deploy.tp == 4
    each = row.users * row.deploy.tp // row.deploy.gpus
    assert tpot_of_a_replica(each, 4) <= 25 < tpot_of_a_replica(each + 1, 4)


def test_the_row_says_how_many_memory_alone_would_take_where_latency_binds() -> None:
    answer = ask(max_tpot_ms=25, total_gpus=8)
    row = on(answer)
    assert row.users_by_memory is not None
    assert row.users < 200 < row.users_by_memory
    assert answer.fits is False
    assert row.shortfall_gib_per_gpu is None
    assert f"only {row.max_concurrent_users} of 200 users" in answer.summary
    assert f"more would miss TPOT <= 25 ms (memory: {row.users_by_memory})" in answer.summary


def test_where_memory_binds_no_type_takes_more_gpus_than_without_a_latency() -> None:
    """Fewer where stages of narrow groups do, as the planner takes them; as many users on as many GPUs."""
    plain, timed = ask(), ask(max_ttft_ms=60_000, max_tpot_ms=10_000)
    before = {row.gpu: (row.deploy.gpus, row.users) for row in plain.hardware if row.deploy}
    assert len(timed.hardware) > 1
    for row in timed.hardware:
        assert row.deploy is not None
        gpus, users = before[row.gpu]
        assert row.users == users if row.deploy.gpus == gpus else row.deploy.gpus < gpus
    assert on(timed).users_by_memory is None
    assert "within TTFT <= 60000 ms and TPOT <= 10000 ms, as memory binds" in timed.summary


def test_without_a_latency_a_row_says_nothing_of_it() -> None:
    row = next(row for row in ask().structured()["hardware"] if row["gpu"] == "h100-sxm")
    assert "users_by_memory" not in row
    assert {"users_at_half", "longest_context"} <= set(row)


def test_more_gpus_serve_the_users_that_a_node_holds_but_not_in_time() -> None:
    plain, timed = on(ask()), on(ask(max_tpot_ms=25))
    assert plain.deploy is not None
    assert timed.deploy is not None
    assert plain.deploy.gpus < timed.deploy.gpus
    assert timed.users >= 200


def test_a_latency_that_nobody_gets_is_an_answer() -> None:
    answer = ask(max_tpot_ms=1)
    assert answer.fits is False
    assert answer.launch is None
    assert answer.changes == []
    assert {row.max_concurrent_users for row in answer.hardware} == {0}
    assert "none of 200 users at full context, as even one would miss TPOT <= 1 ms" in answer.summary


@pytest.mark.parametrize(
    "asked",
    [
        {"total_gpus": 8, "max_tpot_ms": 25},
        {"model": "Qwen/Qwen3-30B-A3B", "precision": "fp16", "total_gpus": 1, "max_tpot_ms": 60},
        {"precision": "fp16", "total_gpus": 8, "concurrent_users": 100, "max_tpot_ms": 30},
        {"precision": "fp16", "total_gpus": 8, "concurrent_users": 100, "max_tpot_ms": 25, "overrides": SLOW},
    ],
    ids=["dense", "experts", "in FP16", "with a setting of speed"],
)
def test_each_change_offered_serves_the_users_in_time(asked: dict[str, Any]) -> None:
    answer = ask(**asked)
    assert not answer.fits
    assert len(answer.changes) >= 2
    for one in answer.changes:
        again = ask(**asked | dict(one.change))
        assert again.fits, one.change
        assert on(again, str(again.inputs["gpu"])).max_concurrent_users == one.max_concurrent_users


def test_the_turn_and_the_band_of_the_estimate_are_listed() -> None:
    lines = [entry.line() for entry in ask(max_tpot_ms=25).assumptions]
    assert any(line.startswith("request = 500 in, 500 out tokens (the turn timed; half of ") for line in lines)
    assert not any(entry.name == "request" for entry in ask().assumptions)


def test_the_layout_is_planned_next_for_the_same_latency() -> None:
    arguments = ask(max_tpot_ms=25).next_steps[0].arguments
    assert arguments["max_tpot_ms"] == 25
    assert PLAN.ask(arguments).serves_users


def test_a_gpu_whose_arithmetic_is_not_known_takes_nobody_in_time_and_says_why() -> None:
    bare = replace(GPUS["h100-sxm"], flops={})
    pace = Pace(latency=Latency(tpot_s=1), input_tokens=500, output_tokens=500)
    here = replace(serving(Ledger({}), model="70B", precision="fp8", gpu="h100-sxm"), gpu=bare, pace=pace)
    need = Need(on=here, users=10, context=8192, overhead_fraction=0.15)
    found = fit(need, here)
    assert (found.users, found.by_memory > 0) == (0, True)
    assert "the arithmetic peak of H100 SXM5 80GB is not known" in " ".join(summary(need, [found], [], limit=None))


def test_a_setting_of_speed_moves_users_in_time_and_is_said_to_do_nothing_without_a_latency() -> None:
    slow = "bandwidth_efficiency=0.4"
    assert on(ask(max_tpot_ms=25, overrides=slow)).deploy != on(ask(max_tpot_ms=25)).deploy
    listed = {entry.name: entry.why for entry in ask(overrides=slow).assumptions}
    assert listed["bandwidth_efficiency"] == "given, but nothing here depends on it"


@pytest.mark.parametrize("limit", [{"max_tpot_ms": 0}, {"max_ttft_ms": -1}, {"max_tpot_ms": "soon"}])
def test_a_limit_that_is_none_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(limit))):
        ask(**limit)


@given(
    users=st.integers(1, 2000),
    context=st.integers(4, 131_072),
    gpus=st.sampled_from([None, 1, 8, 20]),
    model=st.sampled_from(["70B", "745B MoE", "llama 3.1 8b", "Qwen/Qwen3-30B-A3B"]),
    limits=st.lists(st.floats(1, 1000), min_size=2, max_size=3),
)
@settings(max_examples=40)
def test_users_on_given_gpus_never_rise_with_a_stricter_latency(
    users: int, context: int, gpus: int | None, model: str, limits: list[float]
) -> None:
    load = {"model": model, "concurrent_users": users, "context_window": context, "total_gpus": gpus}
    loose_first = sorted(limits, reverse=True)
    answers = [ask(**load, max_tpot_ms=limit, max_ttft_ms=20 * limit) for limit in loose_first]
    for looser, stricter in pairwise([ask(**load), *answers]):
        one, other = on(looser), on(stricter)
        served = [min(users, row.users) for row in (one, other)]
        assert gpus is None or served[0] >= served[1]
        assert other.users_by_memory is None or other.users < other.users_by_memory


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [
        (
            {"model": "qwen3 vl 235b a22b thinking fp8", "gpu": "h100-sxm", "concurrent_users": 20, "max_tpot_ms": 25},
            10,
        ),
        ({"model": "minimax m2", "gpu": "a100-sxm-80gb", "concurrent_users": 20, "max_tpot_ms": 25}, 10),
        ({"model": "voxtral small", "gpu": "a100-sxm-80gb", "concurrent_users": 20, "max_ttft_ms": 500}, 3),
        ({"model": "deepseek v4 pro", "gpu": "h100-sxm", "concurrent_users": 500, "max_ttft_ms": 1000}, 20),
    ],
)
def test_within_a_latency_no_more_gpus_are_named_than_the_planner_takes(asked: dict[str, Any], gpus: int) -> None:
    """16, 12, 4 and 32 were: stages of narrow groups, and those that share experts, were not looked at."""
    whole = asked | {"context_window": 32_768}
    answer = TOOL.ask(whole)
    row = next(one for one in answer.hardware if one.gpu == answer.inputs["gpu"])
    assert row.deploy is not None
    assert row.deploy.gpus == PLAN.ask(whole).gpus_used == gpus


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "405B", "gpu": "h200", "concurrent_users": 500, "context_window": 2048, "max_ttft_ms": 3000},
        {
            "model": "qwen3-30b-a3b",
            "precision": "fp16",
            "gpu": "a100-40gb-sxm",
            "concurrent_users": 500,
            "context_window": 32_768,
            "max_tpot_ms": 40,
        },
    ],
    ids=["405B on 12", "experts on 56"],
)
def test_the_gpus_named_within_a_latency_serve_the_users_where_they_are_given(asked: dict[str, Any]) -> None:
    """12 and 56 were said to take too few, and to fit on 12 and 56: stages of narrow groups were not looked at."""
    row = next(one for one in TOOL.ask(asked).hardware if one.gpu.startswith(asked["gpu"]))
    assert row.deploy is not None
    given_so_many = TOOL.ask(asked | {"total_gpus": row.deploy.gpus})
    again = next(one for one in given_so_many.hardware if one.gpu == row.gpu)
    assert given_so_many.fits
    assert (again.deploy, again.users) == (row.deploy, row.users)


def test_users_whom_memory_keeps_out_are_said_to_be_those_within_the_latency() -> None:
    """The paragraph named no limit, as if none was asked for."""
    asked = {"model": "llama 3.3 70b", "precision": "int4", "total_gpus": 8, "concurrent_users": 50}
    asked |= {"context_window": 65_536}
    short, late = (TOOL.ask(asked | one).summary for one in ({"max_ttft_ms": 500}, {"max_tpot_ms": 1}))
    assert "take only 25 of 50 users at full context within TTFT <= 500 ms, for want of 60.1 GiB" in short
    assert "take none of 50 users at full context, as even one would miss TPOT <= 1 ms" in late
