"""Completion: names of everything that has one, in prompts and in addresses."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS, Completion, PromptReference, ResourceTemplateReference, Tool

from inferplan.catalog.asked_gpus import EXAMPLE
from inferplan.prompts.workflow import Argument, Prompt, prompts
from inferplan.server.completions import MOST

pytestmark = pytest.mark.anyio

BLANKS = [(prompt, argument) for prompt in prompts() for argument in prompt.arguments]


async def of_prompt(client: Client, prompt: str, argument: str, typed: str) -> Completion:
    reference = PromptReference(type="ref/prompt", name=prompt)
    return (await client.complete(reference, {"name": argument, "value": typed})).completion


async def of_address(client: Client, section: str, typed: str) -> Completion:
    reference = ResourceTemplateReference(type="ref/resource", uri=f"inferplan://{section}/{{+name}}")
    return (await client.complete(reference, {"name": "name", "value": typed})).completion


@pytest.mark.parametrize(("prompt", "argument"), BLANKS, ids=lambda part: part.name)
async def test_every_blank_of_every_prompt_is_completed(toy_client: Client, prompt: Prompt, argument: Argument):
    completion = await of_prompt(toy_client, prompt.name, argument.name, "")
    assert completion.values
    assert len(completion.values) <= MOST
    assert completion.total is not None
    assert completion.has_more == (completion.total > len(completion.values))


async def test_the_values_that_are_offered_where_a_tool_takes_no_text_are_taken_and_rise(client: Client):
    takes = {n: schema for tool in (await client.list_tools()).tools for n, schema in properties(tool).items()}
    prompt_of = {argument.name: prompt.name for prompt, argument in BLANKS if takes[argument.name]["type"] != "string"}
    assert len(prompt_of) >= 5
    for argument, prompt in prompt_of.items():
        values = [json.loads(value) for value in (await of_prompt(client, prompt, argument, "")).values]
        Draft202012Validator({"type": "array", "minItems": 2, "items": takes[argument]}).validate(values)
        assert values == sorted(set(values))


def properties(tool: Tool) -> dict[str, Any]:
    return tool.input_schema["properties"]


@pytest.mark.parametrize("section", ["models", "gpus", "formats", "prices", "presets", "glossary"])
async def test_every_name_in_an_address_is_completed(toy_client: Client, section: str):
    names = (await of_address(toy_client, section, "")).values
    assert names
    assert names[0] in (await of_address(toy_client, section, names[0][:2])).values


@pytest.mark.parametrize(
    ("argument", "typed", "first"),
    [("model", "70", "70B"), ("context_window", "8", "8192"), ("concurrent_users", "2", "25")],
)
async def test_what_begins_as_typed_comes_first(toy_client: Client, argument: str, typed: str, first: str):
    assert (await of_prompt(toy_client, "size_memory", argument, typed)).values[0] == first


async def test_a_gpu_is_completed_from_the_name_that_people_say(toy_client: Client):
    assert "h100-sxm" in (await of_address(toy_client, "gpus", "H100")).values


@pytest.mark.parametrize(
    ("typed", "first", "last"),
    [
        ("{", EXAMPLE, EXAMPLE),
        ('{"lik', '{"like": ', '{"like": '),
        ('{"like": "l40', '{"like": "l40s"', '{"like": "l40"'),
        ('{"like": "l40s", "memory_', '{"like": "l40s", "memory_gib": ', '{"like": "l40s", "memory_mib": '),
        ('{"like":"l40s","pcie_gb_s":64,"p', '{"like":"l40s","pcie_gb_s":64,"power_watts": ', None),
        ('{"like": "l40s", "tflops": 1', None, None),
    ],
)
async def test_half_a_description_of_a_gpu_is_completed(
    toy_client: Client, typed: str, first: str | None, last: str | None
):
    values = (await of_prompt(toy_client, "choose_parallelism", "gpu", typed)).values
    assert values[:1] == ([first] if first else [])
    assert last is None or values[-1] == last


async def test_nothing_is_made_up_for_what_nothing_is_called(toy_client: Client):
    completion = await of_address(toy_client, "gpus", "zzzz")
    assert (completion.values, completion.total, completion.has_more) == ([], 0, False)


@pytest.mark.parametrize(("prompt", "argument"), [("size_memry", "model"), ("size_memory", "modl")])
async def test_completing_what_does_not_exist_is_a_protocol_error(toy_client: Client, prompt: str, argument: str):
    with pytest.raises(MCPError, match="size_memory") as refused:
        await of_prompt(toy_client, prompt, argument, "")
    assert refused.value.code == INVALID_PARAMS


async def test_completing_an_unknown_address_is_a_protocol_error(toy_client: Client):
    with pytest.raises(MCPError, match="inferplan://gpus/") as refused:
        await of_address(toy_client, "gpu", "")
    assert refused.value.code == INVALID_PARAMS
