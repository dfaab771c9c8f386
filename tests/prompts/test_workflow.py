"""The words of the workflow: every blank is filled, every call is one that a tool takes."""

import ast
import re
from importlib.resources import files
from typing import Any

import pytest

from inferplan.prompts.workflow import Prompt, prompts
from inferplan.tools._settings import settings
from inferplan.tools._tool import Tool
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME

CALL = re.compile(r"`([a-z_]+)\(([^`]*)\)`")
ARGUMENT = re.compile(r"([a-z_]+)=")
IN_CODE = re.compile(r"`([a-z_]+)`")

every_prompt = pytest.mark.parametrize("prompt", prompts(), ids=lambda prompt: prompt.name)


def fields(tool: Tool[Any, Any]) -> set[str]:
    """Every name in a tool's answer, those of nested objects too."""
    schema = tool.answer.model_json_schema()
    nested = [definition.get("properties", {}) for definition in schema.get("$defs", {}).values()]
    return set(schema["properties"]).union(*nested)


@every_prompt
def test_every_blank_is_an_argument_and_every_argument_a_blank(prompt: Prompt):
    words = prompt.render({argument.name: f"<{argument.name}>" for argument in prompt.arguments})
    assert set(re.findall(r"<(\w+)>", words)) == {argument.name for argument in prompt.arguments}


@every_prompt
def test_every_call_that_a_prompt_spells_out_can_be_made(prompt: Prompt):
    calls = CALL.findall(prompt.template)
    assert calls
    for tool, arguments in calls:
        taken = TOOLS_BY_NAME[tool].question.model_fields
        assert set(ARGUMENT.findall(arguments)) <= set(taken)


@every_prompt
def test_a_call_holds_every_argument_that_its_tool_needs(prompt: Prompt):
    for tool, arguments in CALL.findall(prompt.template):
        needed = {name for name, field in TOOLS_BY_NAME[tool].question.model_fields.items() if field.is_required()}
        assert needed <= set(ARGUMENT.findall(arguments))


@every_prompt
def test_a_call_holds_all_that_the_prompt_was_told_and_its_tool_takes(prompt: Prompt):
    told = {argument.name for argument in prompt.arguments}
    for tool, arguments in CALL.findall(prompt.template):
        assert told & set(TOOLS_BY_NAME[tool].question.model_fields) <= set(ARGUMENT.findall(arguments))


@every_prompt
def test_every_name_in_code_is_a_tool_a_field_an_argument_or_a_setting(prompt: Prompt):
    known = set(TOOLS_BY_NAME) | set(settings())
    for tool in TOOLS:
        known |= fields(tool) | set(tool.question.model_fields)
    assert set(IN_CODE.findall(prompt.template)) <= known


@every_prompt
def test_the_defaults_make_a_call_that_is_answered(prompt: Prompt):
    rendered = prompt.render({"model": "70B"})
    for tool, arguments in CALL.findall(rendered):
        if "<" in arguments:
            continue
        given = dict(re.findall(r'([a-z_]+)="?([^",]+)"?', arguments))
        assert TOOLS_BY_NAME[tool].ask(given).summary


@every_prompt
def test_nothing_is_left_blank(prompt: Prompt):
    rendered = prompt.render({argument.name: "x" for argument in prompt.arguments if argument.required})
    assert not re.search(r"\{[a-z_]+\}", rendered)
    assert "``" not in rendered


@every_prompt
def test_a_prompt_says_what_it_is_for(prompt: Prompt):
    assert prompt.title != prompt.name
    assert len(prompt.description) > 40
    assert all(argument.description.endswith((".", "]")) for argument in prompt.arguments)
    assert "summary" in prompt.template


def test_what_is_given_takes_the_place_of_the_default():
    prompt = prompts()[1]
    assert "500 concurrent users" in prompt.render({"model": "13B", "concurrent_users": " 500 "})
    assert 'model="13B"' in prompt.render({"model": "13B"})


def test_a_value_stays_on_its_line_and_fills_no_other_blank():
    rendered = prompts()[1].render({"model": "a\n\n# b {gpu}"})
    assert "serve a # b {gpu} in" in rendered


@every_prompt
def test_what_describes_a_gpu_or_a_model_is_passed_on_quotes_and_all(prompt: Prompt):
    gpu, config = '{"like": "l40s", "title": "It\'s"}', '{"model_type": "llama"}'
    rendered = prompt.render({"model": config, "gpu": gpu})
    for tool, arguments in CALL.findall(rendered):
        call = ast.parse(f"{tool}({re.sub('<[^>]*>', '1', arguments)})", mode="eval").body
        assert isinstance(call, ast.Call)
        passed = {given.arg: ast.unparse(given.value) for given in call.keywords}
        assert passed.get("gpu", repr(gpu)) == repr(gpu)
        assert passed.get("model", repr(config)) == repr(config)


def test_the_workflow_walks_the_five_tools_in_their_order():
    whole = prompts()[0]
    called = [tool for tool, _ in CALL.findall(whole.template)]
    assert called == [tool.name for tool in TOOLS if tool.name != "run_preset"]


def test_a_prompt_that_speaks_of_the_fewest_gpus_says_how_the_planner_finds_them():
    """8 of the A100 without an aim, in one tensor group; 5 in a pipeline. The prompts called the first the fewest."""
    planner = TOOLS_BY_NAME["plan_parallelism"]
    asked = {"model": "qwen2.5 72b", "gpu": "a100-40gb-sxm", "concurrent_users": 4, "context_window": 16_384}
    usual, fewest = (planner.ask(asked | aim).gpus_used for aim in ({}, {"objective": "fewest_gpus"}))
    assert fewest < usual
    speaking = [prompt.template for prompt in prompts() if "fewest GPUs" in prompt.template]
    assert len(speaking) == 2
    for words in speaking:
        assert 'in the usual layouts (`objective="fewest_gpus"` tries every legal one' in words


def test_each_step_has_its_prompt_and_each_file_belongs_to_one():
    written = {entry.name for entry in files("inferplan.prompts").iterdir() if entry.name.endswith(".md")}
    assert written == {f"{prompt.name}.md" for prompt in prompts()}
    assert len(prompts()) == 6


@pytest.mark.parametrize(
    ("users", "written"), [("50", "50"), ("32k", '"32k"'), ("1.000", '"1.000"'), ("1,000", '"1,000"'), ("-5", '"-5"')]
)
def test_a_call_has_numbers_as_such_and_what_may_be_read_otherwise_as_text(users: str, written: str):
    """A model that is shown 1.000 sends 1; as text the tool asks what it is."""
    rendered = prompts()[0].render({"model": "70B", "concurrent_users": users})
    assert f"for {users} concurrent users" in rendered
    assert f"concurrent_users={written}, " in rendered
