"""How a long result gives way: which parts, from where, in which order; and that the text keeps all of it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.tools._assumptions import merged_overrides
from inferplan.tools._size import ROOM, Room, pieces, shortened
from inferplan.tools._tool import Tool
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from o200k import compact, tokens
from usual_questions import answered

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
MANY = "requests_per_s=2, speculative_tokens=3, gpus_per_node=4, inter_node_gb_per_s=25, max_num_seqs=512"
CROWDED: dict[str, dict[str, Any]] = {
    "estimate_vram": {
        "model": "deepseek-ai/DeepSeek-R1",
        "gpu": "rtx-pro-6000-blackwell-ws",
        "concurrent_users": 200,
    },
    "plan_parallelism": {
        "model": "745B MoE",
        "gpu": "h200",
        "objective": "latency",
        "max_ttft_ms": 900,
        "overrides": MANY,
    },
    "compare_costs": {
        "model": "13B",
        "requests_per_day": 200_000,
        "gpu": "h200",
        "usage_hours_per_day": 8,
        "compliance_required": True,
        "max_ttft_ms": 500,
        "overrides": "spot_allowed=1, staff_fte=1",
    },
}
"""Questions that have more to say than a result may be long."""


def kept(tool: Tool[Any, Any], question: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Entries of each part that may give way: as computed, overrides in one line, and as the structured result has."""
    answer = tool.ask(question)
    whole, shown = answer.model_dump(mode="json"), answer.structured()
    whole["assumptions"] = merged_overrides(whole["assumptions"])
    return {name: (len(whole.get(name) or ()), len(shown.get(name) or ())) for name in tool.answer._gives_way}


def test_a_text_that_is_gone_takes_up_nothing_of_what_else_has_to_give_way() -> None:
    whole = {"launch": "started", "listed": ["bandwidth"] * 40}
    assert shortened(whole, {"launch": 0, "listed": 1}, Room(12, 0)) == {"listed": ["bandwidth"] * 2}


def test_of_a_text_the_last_paragraphs_give_way_and_the_first_stay() -> None:
    """A text of which nothing is kept leaves no name, and what is too long yet is taken from what is next in turn."""
    given = {"diagram": "bars\n\nbox\n\ntable", "list": ["bandwidth"] * 40}
    assert shortened(dict(given), {"diagram": 1, "list": 2}, Room(8, 0)) == {
        "diagram": "bars",
        "list": ["bandwidth"] * 2,
    }
    left = shortened(dict(given), {"diagram": 0, "list": 2}, Room(20, 0))
    assert (list(left), 2 < len(left["list"]) < 10) == (["list"], True)


def test_what_a_caller_says_of_a_model_displaces_nothing() -> None:
    """The echo of a config.json is as long as the caller likes; it is no part of what an answer may take."""
    told = json.dumps({"model_type": "llama", "note": "word " * 500})
    given = {"inputs": {"model": told}, "changes": ["one", "two"]}
    assert shortened(json.loads(compact(given)), {"changes": 0}, Room(40, 0)) == given


@pytest.mark.parametrize("most", range(1, 80))
def test_a_document_gives_way_in_order_from_the_end_and_no_further_than_it_has_to(most: int) -> None:
    whole = {"summary": "several words " * 5, "first": ["bandwidth"] * 4, "second": {"c": 1.25, "d": 2.25, "e": 3.25}}
    given = shortened(json.loads(compact(whole)), {"first": 1, "second": 0}, Room(most, 0))
    first, second = given["first"], given["second"]
    assert given["summary"] == whole["summary"]
    assert first == ["bandwidth"] * len(first)
    assert list(second) == ["c", "d", "e"][: len(second)]
    assert len(first) >= 1
    assert len(second) == 3 or len(first) == 1
    spare = most - pieces(compact(given).encode())
    assert spare >= -2 or (len(first), len(second)) == (1, 0)
    assert spare <= 8 or given == whole


def test_a_short_document_is_left_alone() -> None:
    whole = {"first": [1, 2, 3]}
    assert shortened(dict(whole), {"first": 0}, ROOM) == whole


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.name != "run_preset"], ids=lambda tool: tool.name)
def test_an_example_has_room_for_everything(tool: Tool[Any, Any]) -> None:
    parts = kept(tool, dict(tool.example))
    assert parts
    assert all(whole == shown for whole, shown in parts.values())


@pytest.mark.parametrize("name", CROWDED)
def test_what_a_long_result_leaves_out_stands_in_the_text(name: str) -> None:
    tool, question = TOOLS_BY_NAME[name], CROWDED[name]
    parts = kept(tool, question)
    assert any(shown < whole for whole, shown in parts.values())
    assert all(shown >= min(whole, tool.answer._gives_way[part]) for part, (whole, shown) in parts.items())
    answer = tool.ask(question)
    text = answer.text()
    assert tokens(answer.structured()) <= 1200
    assert all(line in text for line in answer.formula)
    assert all(f"{step.tool}(" in text for step in answer.next_steps)
    assert all(one.name in text and one.why in text for one in answer.assumptions)
    for part in set(tool.answer._gives_way) - {"formula", "next_steps", "assumptions"}:
        assert part in text or not getattr(answer, part)


@pytest.mark.parametrize(
    ("name", "question", "gone"),
    [
        (
            "plan_parallelism",
            {"model": "deepseek v3", "gpu": "h200", "concurrent_users": 64, "context_window": 32768},
            "collectives",
        ),
        (
            "compare_costs",
            {"model": "llama 3.3 70b", "requests_per_day": 500_000, "gpu": "h200", "precision": "fp8"},
            "payback_months",
        ),
    ],
)
def test_what_gave_way_altogether_is_not_said_to_be_none(name: str, question: dict[str, Any], gone: str) -> None:
    """`"collectives": []` stood beside 64 all-reduces: a client that reads the object alone took it for none."""
    answer = TOOLS_BY_NAME[name].ask(question)
    assert getattr(answer, gone)
    assert gone not in answer.structured()
    assert gone in answer.text()


def test_overrides_share_a_line_in_the_structured_result_and_have_one_each_in_the_text() -> None:
    tool = TOOLS_BY_NAME["plan_parallelism"]
    answer = tool.ask(
        {"model": "70B", "total_gpus": 8, "overrides": "gpus_per_node=4, max_num_seqs=64, acceptance_rate=0.5"}
    )
    listed = {one["name"]: (one["value"], one["why"]) for one in answer.structured()["assumptions"]}
    assert listed["overrides"] == ("see inputs", "you said so")
    assert listed["acceptance_rate"] == (0.5, "given, but nothing here depends on it")
    assert not {"gpus_per_node", "max_num_seqs"} & set(listed)
    assert "gpus_per_node = 4 GPUs (you said so)\n" in answer.text()
    assert "max_num_seqs = 64 (you said so)\n" in answer.text()


@given(text=st.text(alphabet='ab1 ._"{', max_size=60))
def test_pieces_are_words_groups_of_digits_spaces_and_signs(text: str) -> None:
    """One sign or space goes with the word after it, one space with the signs after it: as an expression has it."""
    one = r"[^\w]?[A-Za-z]{1,8}+|\d{1,3}+| ?[^\s\w]{1,4}+|\s++|_"
    assert pieces(text.encode()) == len(re.findall(one, text, re.ASCII))


@every_tool
def test_pieces_are_about_as_many_as_tokens(tool: Tool[Any, Any]) -> None:
    for _, answer in answered(tool, 10):
        text = compact(answer.structured())
        assert 0.93 <= tokens(text) / pieces(text.encode()) <= 1.08
