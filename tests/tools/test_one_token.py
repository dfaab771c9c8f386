"""Answers of one token, as classifiers and scorers give them: there is a first token, and none after it."""

import re
from typing import Any

import pytest

from inferplan.tools.costs import TOOL as COSTS
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.preset import TOOL as PRESET
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.vram import TOOL as VRAM

LOAD = {"model": "70B", "precision": "fp8", "input_tokens": 1000}
QUESTIONS: dict[str, dict[str, Any]] = {
    "plan_parallelism": LOAD | {"concurrent_users": 50},
    "compare_costs": LOAD | {"requests_per_day": 500_000},
    "run_preset": {"preset": "production", "input_tokens": 1000},
}
PIPELINE = {"model": "405B", "precision": "fp16", "total_gpus": 16, "concurrent_users": 30}
LATER = re.compile(r"TPOT|tpot|further|(?<!first )\d m?s a token|decode|per_user|bubble +decode")


def ask(tool: str, **more: Any) -> Any:
    return TOOLS_BY_NAME[tool].ask(QUESTIONS[tool] | more)


@pytest.mark.parametrize(
    ("tool", "more"),
    [
        ("plan_parallelism", {}),
        ("plan_parallelism", {"objective": "latency", "gpu": "h200"}),
        ("plan_parallelism", {"max_ttft_ms": 2000}),
        ("plan_parallelism", PIPELINE),
        ("compare_costs", {}),
        ("run_preset", {}),
        ("run_preset", {"overrides": "max_ttft_ms=1000"}),
    ],
)
def test_nothing_is_said_of_further_tokens_where_there_is_one(tool: str, more: dict[str, Any]) -> None:
    one, two = ask(tool, **more, output_tokens=1), ask(tool, **more, output_tokens=2)
    assert not LATER.findall(one.text().replace("compute_ratio", ""))
    assert LATER.search(two.text())
    times = [value for name, value in flat(one.structured()) if name.startswith(("tpot", "tokens_per_s_per_user"))]
    assert times.count(None) == len(times)
    assert any(value for name, value in flat(two.structured()) if name.startswith("tpot"))


def flat(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """Every value of a result with its name."""
    if isinstance(value, dict):
        return [pair for inner, held in value.items() for pair in flat(held, inner)]
    if isinstance(value, list):
        return [pair for held in value for pair in flat(held, name)]
    return [(name, value)]


def test_the_time_to_the_one_token_is_given_wherever_that_to_further_ones_was() -> None:
    plan, costs, preset = (ask(tool, output_tokens=1) for tool in QUESTIONS)
    assert "that token takes about 3.8 s" in plan.summary
    assert plan.ttft_ms == pytest.approx(3812, abs=1)
    assert all(one.ttft_ms for one in plan.alternatives)
    assert costs.ttft_ms
    assert re.search(r"first token in about [\d.]+ m?s \([^)]*\) \(estimates", preset.summary)
    assert all(one.ttft_ms for one in preset.changes)


def test_the_layout_of_the_shortest_latency_is_that_of_the_earliest_token() -> None:
    answer = ask("plan_parallelism", output_tokens=1, objective="latency", total_gpus=16)
    assert answer.ttft_ms == min(one.ttft_ms for one in (answer, *answer.alternatives))
    assert "it has the shortest time to the first token" in answer.summary


def test_of_two_tokens_the_second_one_is_waited_for() -> None:
    more: dict[str, Any] = {"gpu": "h200", "concurrent_users": 8, "total_gpus": 8, "objective": "latency"}
    answer = ask("plan_parallelism", **more, output_tokens=2)
    assert answer.tpot_ms == min(one.tpot_ms for one in (answer, *answer.alternatives))
    assert answer.ttft_ms > min(one.ttft_ms for one in answer.alternatives)


@pytest.mark.parametrize(
    ("tool", "question"),
    [
        (PLAN, QUESTIONS["plan_parallelism"] | {"output_tokens": 1, "max_tpot_ms": 30}),
        (COSTS, QUESTIONS["compare_costs"] | {"output_tokens": 1, "max_tpot_ms": 30}),
        (PRESET, QUESTIONS["run_preset"] | {"output_tokens": 1, "overrides": "max_tpot_ms=30"}),
        (VRAM, {"model": "7B", "context_window": 3, "max_tpot_ms": 30}),
    ],
)
def test_a_bound_on_the_time_between_tokens_is_refused_where_there_is_one(tool: Any, question: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="answers of 1 token have none; leave it out or take max_ttft_ms"):
        tool.ask(question)
