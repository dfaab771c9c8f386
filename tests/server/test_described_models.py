"""A model given as the text of its config.json: through every tool and every way in."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.types import CallToolResult

from inferplan.server.__main__ import main
from inferplan.server.app import create_server
from inferplan.tools._tool import Tool
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from o200k import tokens
from results import texts

FOLDER = Path(__file__).parents[1] / "data" / "configs"
SLUGS = sorted(path.stem for path in FOLDER.glob("*.json"))
SERVER = create_server()

CATALOGUED = {
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
    "deepseek-v3": "deepseek-ai/DeepSeek-V3",
    "gpt-oss-20b": "openai/gpt-oss-20b",
}
LONGER_BY = 300
"""Tokens that the short text adds to an answer at most: it stands in `inputs` and in a next step."""

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
each_model = pytest.mark.parametrize("slug", CATALOGUED)


def config(slug: str) -> str:
    return (FOLDER / f"{slug}.json").read_text(encoding="utf-8")


LLAMA = config("llama-3.1-8b")


def with_model(tool: Tool[Any, Any], model: str) -> dict[str, Any]:
    """The tool's example, about this model."""
    names = [name for name in ("model", "dense_model", "moe_model") if name in tool.question.model_fields]
    return {**tool.example, **dict.fromkeys(names, model)}


async def _call(name: str, arguments: Mapping[str, Any]) -> CallToolResult:
    async with Client(SERVER) as client:
        return await client.call_tool(name, dict(arguments))


def call(name: str, **arguments: Any) -> CallToolResult:
    return anyio.run(_call, name, arguments)


def answered(name: str, **arguments: Any) -> dict[str, Any]:
    result = call(name, **arguments)
    assert not result.is_error, texts(result)
    assert result.structured_content
    return result.structured_content


def refused(model: object, tool: str = "estimate_vram", argument: str = "model") -> str:
    """The one sentence about the model."""
    text = texts(call(tool, **{**TOOLS_BY_NAME[tool].example, argument: model}))
    assert text.startswith(f"`{tool}`: 1 problem. `{argument}`: ")
    assert text.isprintable()
    assert len(text) < 700
    assert not any(word in text for word in ("Traceback", "bug in", "pydantic", "Input should"))
    return text.removeprefix(f"`{tool}`: 1 problem. `{argument}`: ")


def numbers(node: object) -> Iterator[float]:
    """Every number inside a JSON value, in its order."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from numbers(item)
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield node


def own_numbers(tool: Tool[Any, Any], content: Mapping[str, Any]) -> list[float]:
    """The numbers of the section."""
    return [number for name in tool.answer.section() for number in numbers(content.get(name))]


@each_model
def test_a_config_over_stdio_gives_the_numbers_of_the_catalogued_model(connect: Callable[..., Any], slug: str) -> None:
    wire = connect("2025-11-25")
    ours, theirs = (
        wire.result("tools/call", name="estimate_vram", arguments={"model": model, "concurrent_users": 20})
        for model in (config(slug), CATALOGUED[slug])
    )
    tool = TOOLS_BY_NAME["estimate_vram"]
    assert own_numbers(tool, ours["structuredContent"]) == own_numbers(tool, theirs["structuredContent"])


@each_model
@pytest.mark.parametrize("name", ["compare_quantization", "plan_parallelism", "compare_moe_dense"])
def test_a_config_gives_every_tool_the_numbers_of_the_catalogued_model(name: str, slug: str) -> None:
    tool = TOOLS_BY_NAME[name]
    ours, theirs = (answered(name, **with_model(tool, model)) for model in (config(slug), CATALOGUED[slug]))
    assert own_numbers(tool, ours) == own_numbers(tool, theirs)


@every_tool
@each_model
def test_the_inputs_ask_the_same_question_again(tool: Tool[Any, Any], slug: str) -> None:
    first = answered(tool.name, **with_model(tool, config(slug)))
    again = answered(tool.name, **first["inputs"])
    assert again["inputs"] == first["inputs"]
    whole = {"diagram", *tool.answer.section()} - set(tool.answer._gives_way)
    assert all(again[name] == first[name] for name in whole if name in first)
    given = answered(tool.name, **again["inputs"])
    assert given == again


@each_model
def test_inputs_that_are_asked_with_are_assumed_no_longer(slug: str) -> None:
    first = answered("plan_parallelism", model=config(slug))
    again = answered("plan_parallelism", **first["inputs"])
    assumed = [{one["name"] for one in answer["assumptions"]} for answer in (first, again)]
    assert ["context_window" in names for names in assumed] == [True, False]


@every_tool
@each_model
def test_every_next_step_can_be_taken(tool: Tool[Any, Any], slug: str) -> None:
    for step in answered(tool.name, **with_model(tool, config(slug)))["next_steps"]:
        answered(step["tool"], **step["arguments"])


@every_tool
def test_a_config_is_called_by_its_class_and_size(tool: Tool[Any, Any]) -> None:
    content = answered(tool.name, **with_model(tool, LLAMA))
    assert "LlamaForCausalLM, 8.03B (your config.json)" in content["summary"]
    assert not any("{" in content[name] for name in ("summary", "diagram"))
    assert "{" not in "\n".join(content["formula"])


@every_tool
@pytest.mark.parametrize("slug", [*CATALOGUED, "qwen3-vl-235b-a22b-instruct", "kimi-k2.5", "gemma-3-27b"])
def test_a_drawing_has_room_for_the_name(tool: Tool[Any, Any], slug: str) -> None:
    named = json.dumps({**json.loads(config(slug)), "_name_or_path": f"{'owner' * 9}/{'name' * 12}"})
    for text in (config(slug), named):
        diagram: str = answered(tool.name, **with_model(tool, text))["diagram"]
        assert diagram.isascii()
        assert max(map(len, diagram.splitlines())) <= 80
        if tool.name != "compare_moe_dense":
            assert "(your config.json)" in " ".join(diagram.split())


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.name != "compare_moe_dense"], ids=lambda t: t.name)
def test_the_short_text_stands_in_inputs_and_next_steps_alone(tool: Tool[Any, Any]) -> None:
    content = answered(tool.name, **with_model(tool, LLAMA))
    short: str = content["inputs"]["model"]
    assert len(short) < len(LLAMA)
    assert content["next_steps"]
    elsewhere = {name: value for name, value in content.items() if name not in ("inputs", "next_steps")}
    assert "num_hidden_layers" not in json.dumps(elsewhere)


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.name != "compare_moe_dense"], ids=lambda t: t.name)
def test_the_short_text_stands_in_one_next_step_alone(tool: Tool[Any, Any]) -> None:
    content = answered(tool.name, **with_model(tool, LLAMA))
    assert json.dumps(content["next_steps"]).count("num_hidden_layers") == 1
    assert json.dumps(content).count("num_hidden_layers") == 2


@each_model
def test_an_answer_about_a_config_stays_short(slug: str) -> None:
    tool = TOOLS_BY_NAME["estimate_vram"]

    described, named = (answered(tool.name, **with_model(tool, it)) for it in (config(slug), CATALOGUED[slug]))
    assert tokens(described) - tokens(named) < LONGER_BY


def test_either_side_of_a_comparison_may_be_a_config() -> None:
    content = answered("compare_moe_dense", dense_model=LLAMA, moe_model=config("deepseek-v3"))
    assert content["dense"]["model"] == "LlamaForCausalLM, 8.03B (your config.json)"
    assert content["moe"]["model"] == "DeepseekV3ForCausalLM, 671B (your config.json)"
    mixed = answered("compare_moe_dense", dense_model="70B", moe_model=config("deepseek-v3"))
    assert (mixed["dense"]["model"], mixed["inputs"]["dense_model"]) == ("70B", "70B")


def test_the_command_of_the_readme_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "estimate_vram", f"model={LLAMA}", "precision=fp8"]) == 0
    assert capsys.readouterr().out.startswith("Serving LlamaForCausalLM, 8.03B (your config.json) in FP8 to 1 ")


@pytest.mark.parametrize("before", [" ", "\n\t ", "\ufeff", "\ufeff\r\n "])
def test_what_editors_put_before_a_config_does_not_matter(before: str) -> None:
    assert answered("estimate_vram", model=f"{before}{LLAMA}\n") == answered("estimate_vram", model=LLAMA)


# What was assumed or left out


def noted(name: str, **arguments: Any) -> dict[str, tuple[str, str]]:
    """Value and reason of each assumption."""
    content = answered(name, **arguments)
    return {entry["name"]: (entry["value"], entry["why"]) for entry in content["assumptions"]}


TOWER = "The config has no vision_config: a vision tower is not counted"


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.name != "compare_moe_dense"], ids=lambda t: t.name)
def test_what_is_not_counted_is_listed_with_the_assumptions(tool: Tool[Any, Any]) -> None:
    arguments = with_model(tool, config("llama-4-maverick-17b-128e-instruct"))
    assert noted(tool.name, **arguments)["model_config"] == ("your config.json", TOWER)
    assert TOWER in texts(call(tool.name, **arguments))


def test_each_side_of_a_comparison_has_its_own_notes() -> None:
    found = noted("compare_moe_dense", dense_model=LLAMA, moe_model=config("llama-4-maverick-17b-128e-instruct"))
    assert found["moe_model_config"] == ("your config.json", TOWER)
    assert "dense_model_config" not in found


@pytest.mark.parametrize("model", ["70B", "llama 3.3 70b", LLAMA])
def test_nothing_is_noted_where_nothing_was_left_out(model: str) -> None:
    assert "model_config" not in noted("estimate_vram", model=model)


# What is no config


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("{", "config.json: not valid JSON at line 1"),
        ("{}", 'config.json: needs "model_type", such as "llama" or "qwen3_moe".'),
        (LLAMA[:-20], "config.json: not valid JSON at line"),
        ('{"model_type": "llama"}', 'config.json: needs "num_hidden_layers"'),
        ('{"model_type": "lama"}', 'config.json: no model_type "lama" among the'),
        (LLAMA.replace("4096", "-4096"), 'config.json: "hidden_size" must be a whole number'),
        ('{"a": ' * 9_000, "config.json: objects and lists nest too deeply."),
        ('{"model_type": "llama", "a": ' + "[" * 30_000, "config.json: objects and lists nest too deeply."),
        ('{"a": ' + "9" * 5000 + "}", "config.json: holds a number with too many digits."),
        ('{"model_type": "' + "x" * 60_000 + '"}', "config.json: no model_type"),
        ('{"a": "' + "x" * 2**18 + '"}', "config.json: longer than 262,144 bytes"),
        ('{"a": "' + "x" * 3_000_000 + '"}', "config.json: longer than 262,144 bytes"),
        ('{"a": "' + "ä" * 2**17 + '"}', "config.json: longer than 262,144 bytes"),
        ('{"a": "\x1b[31m\u202e"}', "config.json: not valid JSON"),
        ('{"model_type": "\\u202e\\ud800"}', "config.json: no model_type"),
        ("[" + LLAMA + "]", "a model name has at most 200 characters"),
    ],
    ids=range(16),
)
def test_what_is_no_config_gets_one_sentence(model: str, said: str) -> None:
    assert refused(model).startswith(said)


@every_tool
def test_every_tool_says_what_is_wrong_with_a_config(tool: Tool[Any, Any]) -> None:
    argument = "moe_model" if tool.name == "compare_moe_dense" else "model"
    assert refused('{"model_type": 3}', tool.name, argument).startswith('config.json: needs "model_type"')


@every_tool
def test_a_config_may_be_the_object_that_it_is(tool: Tool[Any, Any]) -> None:
    argument = "moe_model" if tool.name == "compare_moe_dense" else "model"
    others = {name: value for name, value in tool.example.items() if name != argument}
    assert answered(tool.name, **others, **{argument: json.loads(LLAMA)}) == answered(
        tool.name, **others, **{argument: LLAMA}
    )
    assert refused({"hidden_size": 8}, tool.name, argument).startswith('config.json: needs "model_type"')


def test_a_resource_is_named_by_the_catalogue_alone(connect: Callable[..., Any]) -> None:
    wire = connect("2025-11-25")
    error = wire.ask("resources/read", uri="inferplan://models/" + '{"model_type":"llama"}')["error"]
    assert "\n" not in error["message"]
    completed = wire.result(
        "completion/complete",
        ref={"type": "ref/prompt", "name": "size_memory"},
        argument={"name": "model", "value": '{"model_type"'},
    )
    assert not any("{" in value for value in completed["completion"]["values"])


VALUES = st.one_of(
    st.sampled_from([0, -1, None, "x", True, [], {}, 10**30, 1e-9, 1, 2, 3, 5, 64, 10**6, [1, 2], {"a": 1}]),
    st.integers(1, 100_000),
    st.text(max_size=8),
)


def edited(slug: str, edits: list[tuple[int, Any]]) -> str:
    """A published config with some values replaced, in itself and in the objects that it holds."""
    root: dict[str, Any] = json.loads(config(slug))
    for number, value in edits:
        inner = [one for one in (root, *root.values()) if isinstance(one, dict)]
        places = [(one, key) for one in inner for key in one]
        one, key = places[number % len(places)]
        one[key] = deepcopy(value)
    return json.dumps(root)


@given(
    slug=st.sampled_from(SLUGS),
    edits=st.lists(st.tuples(st.integers(0, 10**6), VALUES), min_size=1, max_size=2),
    tool=st.sampled_from(TOOLS),
)
def test_a_config_with_wrong_values_is_answered_or_refused_and_never_a_bug(
    slug: str, edits: list[tuple[int, Any]], tool: Tool[Any, Any]
) -> None:
    result = anyio.run(SERVER.call_tool, tool.name, with_model(tool, edited(slug, edits)))
    assert isinstance(result, CallToolResult)
    if result.is_error:
        assert "bug in" not in texts(result)
        assert len(texts(result)) < 1500
    else:
        assert all(map(math.isfinite, numbers(result.structured_content)))
