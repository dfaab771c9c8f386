"""What holds for every tool: what is published, what an example answers, what bad input gets."""

import copy
import functools
import json
import math
import operator
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.types import CallToolResult
from mcp.types import Tool as Published
from pydantic import ValidationError

from inferplan.server.app import create_server
from inferplan.server.listing import FILE, listing, to_json, written
from inferplan.tools._tool import Tool
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from o200k import tokens
from results import texts
from usual_questions import answered
from verdict import numbers

GOLDEN = Path(__file__).parents[1] / "golden" / "schemas"
UPDATE = os.environ.get("INFERPLAN_UPDATE_GOLDEN") == "1"

MOST_TOKENS_PER_TOOL = 320
MOST_TOKENS_IN_ALL = 1600
MOST_TOKENS_PER_RESULT = 1200
MOST_TOKENS_PER_PLAN = 2000
QUESTIONS = 40
"""Usual questions that each tool is asked."""

if UPDATE:
    Path(str(FILE)).write_text(to_json([listing(tool) for tool in TOOLS]), encoding="utf-8")
SERVER = create_server()


async def _published() -> dict[str, Published]:
    async with Client(SERVER) as client:
        return {tool.name: tool for tool in (await client.list_tools()).tools}


PUBLISHED = anyio.run(_published)

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


async def _call(name: str, arguments: Mapping[str, Any]) -> CallToolResult:
    async with Client(SERVER) as client:
        return await client.call_tool(name, dict(arguments))


def call(tool: Tool[Any, Any], arguments: Mapping[str, Any]) -> CallToolResult:
    return anyio.run(_call, tool.name, arguments)


def model_visible(tool: Published) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema}


def numbers_in(node: object, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where the fractions in a document stand."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in inner:
        yield from numbers_in(value, *path, name)
    if isinstance(node, float):
        yield path


@every_tool
def test_no_number_anywhere_in_an_answer_is_one_that_json_has_not(tool: Tool[Any, Any]):
    answer = tool.ask(tool.example).model_dump()
    places = list(numbers_in(answer))
    assert len(places) > 10
    for *path, last in places:
        changed = copy.deepcopy(answer)
        functools.reduce(operator.getitem, path, changed)[last] = math.nan
        with pytest.raises(ValidationError, match="finite"):
            tool.answer.model_validate(changed)


def test_the_tools_come_in_the_order_of_the_workflow():
    assert list(PUBLISHED) == [
        "estimate_vram",
        "compare_quantization",
        "plan_parallelism",
        "compare_costs",
        "compare_moe_dense",
        "run_preset",
    ]
    assert [tool.name for tool in TOOLS] == list(PUBLISHED)
    assert list(TOOLS_BY_NAME) == list(PUBLISHED)


def test_what_is_written_down_is_what_the_tools_say():
    assert written() == [listing(tool) for tool in TOOLS], "changed: see INFERPLAN_UPDATE_GOLDEN=1"


@every_tool
def test_what_is_published_is_what_the_snapshot_says(tool: Tool[Any, Any]):
    shown = PUBLISHED[tool.name].model_dump(mode="json", by_alias=True, exclude_none=True)
    path = GOLDEN / f"{tool.name}.json"
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == shown, "changed: see INFERPLAN_UPDATE_GOLDEN=1"


def test_no_snapshot_outlives_its_tool():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(PUBLISHED)


@every_tool
def test_a_tool_says_what_else_to_use_and_is_marked_as_a_calculator(tool: Tool[Any, Any]):
    published = PUBLISHED[tool.name]
    description, hints = published.description or "", published.annotations
    assert any(other in description for other in PUBLISHED if other != tool.name), "names no sibling"
    assert hints is not None
    assert (hints.read_only_hint, hints.idempotent_hint) == (True, True)
    assert (hints.destructive_hint, hints.open_world_hint) == (False, False)


def test_hosts_that_hide_tools_until_they_are_searched_for_show_the_one_that_answers_most():
    assert {name: tool.meta for name, tool in PUBLISHED.items() if tool.meta} == {
        "run_preset": {"anthropic/alwaysLoad": True}
    }


@every_tool
def test_what_a_model_reads_of_a_tool_is_short(tool: Tool[Any, Any]):
    assert tokens(model_visible(PUBLISHED[tool.name])) <= MOST_TOKENS_PER_TOOL


def test_what_a_model_reads_of_all_tools_is_short():
    assert sum(tokens(model_visible(tool)) for tool in PUBLISHED.values()) <= MOST_TOKENS_IN_ALL


@every_tool
def test_the_example_is_answered_as_published(tool: Tool[Any, Any]):
    result = call(tool, tool.example)
    assert not result.is_error, texts(result)
    Draft202012Validator(PUBLISHED[tool.name].output_schema or {}).validate(result.structured_content)
    assert [block.type for block in result.content] == ["text"]


@every_tool
def test_the_structured_example_is_short(tool: Tool[Any, Any]):
    assert tokens(call(tool, tool.example).structured_content) <= bar(tool)


def bar(tool: Tool[Any, Any]) -> int:
    return MOST_TOKENS_PER_PLAN if tool.name == "run_preset" else MOST_TOKENS_PER_RESULT


def beside_descriptions(content: Any) -> Any:
    """The content without a caller's own config.json, which `inputs` and a next step repeat as text."""
    if isinstance(content, dict):
        return {name: beside_descriptions(value) for name, value in content.items()}
    if isinstance(content, list):
        return [beside_descriptions(value) for value in content]
    return "" if isinstance(content, str) and content.startswith("{") else content


@every_tool
def test_usual_questions_get_short_results(tool: Tool[Any, Any]):
    asked = answered(tool, QUESTIONS)
    results = ((question, beside_descriptions(answer.structured())) for question, answer in asked)
    long = {number: question for question, result in results if (number := tokens(result)) > bar(tool)}
    assert long == {}


@every_tool
def test_the_text_alone_holds_the_summary_the_diagram_and_every_step(tool: Tool[Any, Any]):
    result = call(tool, tool.example)
    content, text = result.structured_content or {}, texts(result)
    assert text.startswith(content["summary"])
    assert content["diagram"].rstrip() in text
    assert all(line in text for line in content["formula"])
    assert all(step["tool"] in text and step["why"] in text for step in content["next_steps"])
    assert all(assumption["name"] in text for assumption in content["assumptions"])
    assert "{" not in text.replace(content["diagram"], "")


@every_tool
def test_the_text_alone_holds_every_headline_number(tool: Tool[Any, Any]):
    result = call(tool, tool.example)
    content, text = result.structured_content or {}, texts(result)
    said = {float(number.replace(",", "")) for number in re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)}
    said |= {int(above) / int(below) for above, below in re.findall(r"\b(\d+)/([1-9]\d*)\b", text)}
    for name in filter(content.__contains__, tool.answer.section()):
        for number in numbers(content[name]):
            near = min(said, key=lambda other: abs(other - number))
            assert math.isclose(near, number, rel_tol=0.01, abs_tol=0.006), (name, number, near)


@every_tool
def test_the_diagram_is_ascii_of_at_most_eighty_columns(tool: Tool[Any, Any]):
    diagram: str = (call(tool, tool.example).structured_content or {})["diagram"]
    assert diagram.isascii()
    assert max(map(len, diagram.splitlines())) <= 80
    assert not re.search(r"[^\n\x20-\x7e]", diagram)


@every_tool
def test_the_summary_can_be_pasted(tool: Tool[Any, Any]):
    summary: str = (call(tool, tool.example).structured_content or {})["summary"]
    assert "\n" not in summary
    assert not set("`*#|") & set(summary)
    assert summary.endswith(".")
    assert re.search(r"\d", summary)


@every_tool
def test_the_inputs_of_an_answer_ask_the_same_question_again(tool: Tool[Any, Any]):
    first = call(tool, tool.example)
    again = call(tool, (first.structured_content or {})["inputs"])
    assert not again.is_error, texts(again)
    assert (again.structured_content or {})["summary"] == (first.structured_content or {})["summary"]


@every_tool
def test_every_next_step_can_be_taken(tool: Tool[Any, Any]):
    for step in (call(tool, tool.example).structured_content or {})["next_steps"]:
        taken = call(TOOLS_BY_NAME[step["tool"]], step["arguments"])
        assert not taken.is_error, texts(taken)


@every_tool
def test_the_same_question_twice_is_answered_in_the_same_bytes(tool: Tool[Any, Any]):
    first, second = call(tool, tool.example), call(tool, tool.example)
    assert first.model_dump_json() == second.model_dump_json()


BAD = {
    "integer": (0, -1, 1.5, "many", "", [], {}, True, math.nan, math.inf, 1e300, 10**400, "NaN", "1e400", 10**18),
    "number": (-1, 0, 1e-300, "many", "", [], {}, True, math.nan, -math.inf, 1e300, "Infinity", "1e400"),
    "string": (0, -1, 1.5, True, [], {}, "", " ", "no such thing", "x" * 10_000, "\x00\x1b[31m\n", "\u202e", "=,=;"),
    "boolean": ("perhaps", 2, -1, 0.5, [], {}, "", math.nan),
}
BAD_ARGUMENTS = [
    pytest.param(tool, name, value, id=f"{tool.name}-{name}-{number}")
    for tool in TOOLS
    for name, field in PUBLISHED[tool.name].input_schema["properties"].items()
    for number, value in enumerate(BAD[field["type"]])
]


def server_side(tool: Tool[Any, Any], arguments: Mapping[str, Any]) -> CallToolResult:
    """A call without the client, whose JSON turns NaN into null."""
    result = anyio.run(SERVER.call_tool, tool.name, dict(arguments))
    assert isinstance(result, CallToolResult)
    return result


def assert_usable(result: CallToolResult, argument: str) -> None:
    """Either an answer with finite numbers, or one sentence that names the argument."""
    text = texts(result)
    if not result.is_error:
        assert all(map(math.isfinite, numbers(result.structured_content)))
        assert not re.search(r"\b(nan|NaN|inf|Infinity|None)\b", text)
        return
    assert result.structured_content is None
    assert f": 1 problem. `{argument}`" in text
    assert text.isprintable()
    assert len(text) < 700
    assert not re.search(r"pydantic|Traceback|Input should|type=|https?:|bug in", text)


@pytest.mark.parametrize(("tool", "name", "value"), BAD_ARGUMENTS)
def test_a_bad_value_gets_a_usable_answer_or_one_sentence(tool: Tool[Any, Any], name: str, value: object):
    assert_usable(server_side(tool, {**tool.example, name: value}), name)


@every_tool
def test_every_required_argument_is_asked_for_by_name(tool: Tool[Any, Any]):
    for name in PUBLISHED[tool.name].input_schema.get("required", ()):
        arguments = {other: value for other, value in tool.example.items() if other != name}
        result = server_side(tool, arguments)
        assert result.is_error
        assert f"1 problem. `{name}` is missing:" in texts(result)
        assert "for example" in texts(result)


@every_tool
def test_an_explicit_null_is_an_argument_not_given(tool: Tool[Any, Any]):
    schema = PUBLISHED[tool.name].input_schema
    nulls = {name: None for name in schema["properties"] if name not in schema.get("required", ())}
    required = {name: tool.example[name] for name in schema.get("required", ())}
    assert texts(server_side(tool, required | nulls)) == texts(server_side(tool, required))


@every_tool
def test_a_number_in_quotes_is_the_number(tool: Tool[Any, Any]):
    quoted = {name: value if isinstance(value, str | bool) else str(value) for name, value in tool.example.items()}
    assert texts(server_side(tool, quoted)) == texts(server_side(tool, tool.example))


@every_tool
@pytest.mark.parametrize("extra", ["tensor_parallel", "modle", "n_users", "zzz", "__class__", "self"])
def test_an_unknown_argument_is_refused_never_dropped(tool: Tool[Any, Any], extra: str):
    result = server_side(tool, {**tool.example, extra: 8})
    assert result.is_error
    assert f"1 problem. `{extra}` is not an argument;" in texts(result)


@every_tool
def test_an_assumption_given_as_an_argument_is_told_where_it_belongs(tool: Tool[Any, Any]):
    from inferplan.tools._settings import settings

    taken = [setting for setting in settings().values() if setting.group in tool.question.settings]
    for own in taken:
        value = own.written(own.high)
        assert f'overrides="{own.name}={value}".' in texts(server_side(tool, {**tool.example, own.name: value}))


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("plan_parallelism", {"requests_per_day": 5}, "compare_costs and run_preset take it; plan_parallelism takes"),
        (
            "run_preset",
            {"engine": "sglang"},
            '`engine` is an assumption, not an argument; give it as overrides="engine=',
        ),
        ("estimate_vram", {"requests_per_s": 5}, "plan_parallelism takes it among its overrides; estimate_vram takes"),
        ("plan_parallelism", {"pue": 1.2}, "compare_costs and run_preset take it among their overrides; plan_"),
        ("run_preset", {"overrides": "requests_per_s=5"}, "plays no part in this tool but in plan_parallelism; it"),
        ("plan_parallelism", {"overrides": "pue=1"}, "plays no part in this tool but in compare_costs and run_preset"),
        (
            "compare_moe_dense",
            {"max_ttft_ms": 500},
            "estimate_vram, plan_parallelism and compare_costs take it; run_preset takes it among its overrides; comp",
        ),
    ],
)
def test_what_another_tool_takes_is_answered_with_its_name(tool: str, arguments: dict[str, object], said: str):
    asked = TOOLS_BY_NAME[tool]
    assert said in texts(server_side(asked, {**asked.example, **arguments}))
