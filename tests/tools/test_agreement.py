"""What one answer says holds when the tools are asked again: of its changes, of its GPUs, of the calls that follow."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.preset import TOOL as PRESET
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.vram import TOOL as VRAM
from inferplan.tools.vram import HardwareRow, VramAnswer


def here(answer: VramAnswer, gpu: str) -> HardwareRow:
    return next(row for row in answer.hardware if row.gpu == gpu)


CHANGED: list[dict[str, Any]] = [
    {"preset": "production", "concurrent_users": 200},
    {"preset": "starter", "model": "7B", "precision": "awq", "gpu": "a100-40gb-sxm", "concurrent_users": 500},
    {"preset": "production", "model": "Qwen/Qwen3-30B-A3B", "precision": "fp16", "concurrent_users": 2000},
    {"preset": "enterprise", "concurrent_users": 500, "overrides": "max_tpot_ms=60"},
    {
        "preset": "production",
        "model": "nvidia/Llama-3_3-Nemotron-Super-49B-v1",
        "gpu": "a10g",
        "precision": "fp8",
        "concurrent_users": 50,
        "context_window": 2048,
        "input_tokens": 1000,
        "overrides": "max_ttft_ms=2000, max_tpot_ms=100",
    },
    {
        "preset": "team",
        "precision": "fp16",
        "concurrent_users": 50,
        "context_window": 2048,
        "input_tokens": 1500,
        "output_tokens": 500,
    },
]


@pytest.mark.parametrize("asked", CHANGED, ids=str)
def test_each_change_of_a_verdict_can_be_asked_for_and_serves_the_users_as_fast_as_it_says(
    asked: dict[str, Any],
) -> None:
    """Half of a context that a turn fills takes no turn; and the pace of a change is that of the layout planned."""
    answer = PRESET.ask({**asked, "total_gpus": 1})
    assert answer.changes
    for one in answer.changes:
        again = PRESET.ask({**asked, **one.change, "total_gpus": one.gpus})
        assert again.serves, one
        assert again.sections.parallelism.tpot_ms == pytest.approx(one.tpot_ms, abs=0.06), one


def test_a_context_is_offered_with_the_gpus_and_users_that_it_then_has() -> None:
    """RTX 4090s in pipelines, of which half hold the user as well."""
    asked = {"model": "13B", "gpu": "rtx-4090", "total_gpus": 16, "context_window": 131_072, "max_ttft_ms": 500}
    offered = next(one for one in VRAM.ask(asked).changes if "context_window" in one.change)
    again = VRAM.ask({**asked, **offered.change})
    row = here(again, "rtx-4090")
    assert again.fits
    assert row.deploy
    assert (row.deploy.gpus, row.max_concurrent_users) == (offered.gpus, offered.max_concurrent_users)


@pytest.mark.parametrize(
    "asked",
    [
        {
            "model": "7B",
            "precision": "fp16",
            "gpu": "l4",
            "total_gpus": 3,
            "concurrent_users": 100,
            "max_ttft_ms": 2000,
        },
        {"model": "qwen2.5 coder 32b", "gpu": "rtx-4090", "total_gpus": 24, "concurrent_users": 200},
    ],
    ids=lambda asked: asked["model"],
)
def test_no_context_is_offered_whose_shorter_turns_are_too_slow(asked: dict[str, Any]) -> None:
    """Contexts below 1,000 tokens have turns of half their length, which are answered in more prompts a second."""
    question = {"context_window": 2048, "max_tpot_ms": 50, **asked}
    answer = VRAM.ask(question)
    assert not answer.fits
    for one in answer.changes:
        assert VRAM.ask({**question, **one.change}).fits, one


@given(
    model=st.sampled_from(["MiniMaxAI/MiniMax-M2", "Qwen/Qwen3-30B-A3B", "llama 3.3 70b", "745B MoE"]),
    gpu=st.sampled_from(["b200-sxm", "h100-sxm", "l40s"]),
    gpus=st.integers(1, 16),
    users=st.integers(1, 300),
)
def test_the_gpus_that_an_answer_names_hold_the_users_when_no_others_are_given(
    model: str, gpu: str, gpus: int, users: int
) -> None:
    asked = {"model": model, "gpu": gpu, "concurrent_users": users, "context_window": 16_384, "total_gpus": gpus}
    answer = VRAM.ask(asked)
    row = here(answer, gpu)
    if answer.fits and row.deploy:
        assert VRAM.ask({**asked, "total_gpus": row.deploy.gpus}).fits
    plan = PLAN.ask(asked)
    if plan.serves_users:
        assert PLAN.ask({**asked, "total_gpus": plan.gpus_used}).serves_users


def test_four_of_six_gpus_are_not_said_to_hold_what_four_do_not() -> None:
    """MiniMax M2 on B200: 4 hold 49 users in one tensor group, and 50 in two stages that nobody is told of for 4."""
    asked = {"model": "MiniMaxAI/MiniMax-M2", "precision": "bf16", "gpu": "b200-sxm", "concurrent_users": 50}
    question = {**asked, "context_window": 16_384}
    assert not VRAM.ask({**question, "total_gpus": 4}).fits
    row = here(VRAM.ask({**question, "total_gpus": 6}), "b200-sxm")
    assert row.deploy
    assert row.deploy.gpus == 5


@pytest.mark.parametrize("gpus", [10, 16])
def test_the_layout_that_follows_a_verdict_is_its_own_also_where_it_leaves_gpus_unused(gpus: int) -> None:
    """Late on 16 GPUs, the layout that comes closest has 10: of 10 another is closest, as fewer are compared."""
    asked = {"preset": "starter", "model": "13B", "precision": "fp16", "gpu": "rtx-4090", "total_gpus": gpus}
    verdict = PRESET.ask({**asked, "concurrent_users": 1, "context_window": 131_072, "overrides": "max_ttft_ms=500"})
    step = next(one for one in verdict.next_steps if one.tool == "plan_parallelism")
    plan, section = PLAN.ask(step.arguments), verdict.sections.parallelism
    assert (plan.tp, plan.pp, plan.dp, plan.tpot_ms) == (section.tp, section.pp, section.dp, section.tpot_ms)


@pytest.mark.parametrize("overrides", ["lora_adapters=8, engine=sglang", "lora_rank=64, engine=sglang"])
def test_a_bill_with_adapters_is_followed_by_a_comparison_that_is_answered(overrides: str) -> None:
    """The guide's mixture of experts takes none under SGLang."""
    bill = TOOLS_BY_NAME["compare_costs"].ask({"model": "7B", "requests_per_day": 50_000, "overrides": overrides})
    (step,) = bill.next_steps
    assert step.arguments["overrides"] == "engine=sglang"
    assert TOOLS_BY_NAME[step.tool].ask(step.arguments).dense.model == "7B"


def test_a_looser_limit_of_requests_that_arrive_does_not_take_many_times_the_gpus() -> None:
    """What 8 GPUs answer at 80 ms a token was planned on 28 where 400 ms are allowed: for users that are not busy."""
    asked: dict[str, Any] = {"model": "70B", "precision": "int8", "gpu": "l40s", "max_ttft_ms": 2000}
    asked |= {"context_window": 32_768, "input_tokens": 200, "output_tokens": 100, "concurrent_users": 5}
    asked["overrides"] = "max_num_batched_tokens=2048, requests_per_s=2, engine=sglang"
    strict, loose = (PLAN.ask({**asked, "max_tpot_ms": limit}) for limit in (80, 400))
    assert strict.serves_users
    assert loose.serves_users
    assert loose.gpus_used <= 1.5 * strict.gpus_used
    assert (loose.max_requests_per_s or 0) > 2


def test_gpus_within_a_latency_are_those_that_the_planner_takes():
    asked = {"model": "GLM-4 32B", "precision": "fp16", "concurrent_users": 2000, "max_ttft_ms": 500}
    sized, planned = VRAM.ask(asked), PLAN.ask(asked)
    deployed = here(sized, "h100-sxm").deploy
    assert deployed is not None
    assert planned.gpus_used == deployed.gpus
    assert f"takes {deployed.gpus} GPUs" in sized.summary
    assert "usually" not in sized.summary
    (step,) = [step for step in sized.next_steps if step.tool == PLAN.name]
    assert PLAN.ask(step.arguments).gpus_used == planned.gpus_used
