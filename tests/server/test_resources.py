"""What can be read: catalogue, workflow, assumptions, and what is near a wrong address."""

import json
import re
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS, TextResourceContents

from inferplan.catalog import prices
from inferplan.server.contents import CONTENTS, Content
from inferplan.server.resources import resource_problem
from inferplan.server.sections import SECTIONS
from inferplan.tools._settings import settings

pytestmark = pytest.mark.anyio


async def read(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.uri == uri
    return json.loads(content.text) if content.mime_type == "application/json" else content.text


async def test_every_listed_resource_can_be_read(client: Client):
    for resource in (await client.list_resources()).resources:
        assert resource.title
        assert resource.description
        assert await read(client, resource.uri)


async def test_every_section_offers_its_items_by_name(toy_client: Client):
    templates = {template.uri_template for template in (await toy_client.list_resource_templates()).resource_templates}
    assert templates == {
        f"inferplan://{name}/{{+name}}" for name in ("models", "gpus", "formats", "prices", "presets", "glossary")
    }


async def test_every_section_has_contents():
    assert list(CONTENTS) == [section.name for section in SECTIONS]


@pytest.mark.parametrize("section", CONTENTS.values(), ids=lambda section: section.name)
async def test_every_item_of_a_list_can_be_read_in_full(section: Content):
    listed = json.loads(section.index())[section.name]
    assert listed
    for id_, line in listed.items():
        item = json.loads(section.item(id_))
        assert item["id"] == id_
        assert "\n" not in line
        assert "NaN" not in section.item(id_)


@pytest.mark.parametrize(
    ("section", "id_", "line"),
    [
        ("models", "meta-llama/Llama-3.3-70B-Instruct", "Llama 3.3 70B Instruct: 70.6B, 131,072 tokens"),
        ("models", "deepseek-ai/DeepSeek-R1", "DeepSeek R1: 671B (37.6B active), 163,840 tokens"),
        ("gpus", "h100-sxm", "H100 SXM5 80GB: 79.6 GiB, 3,350 GB/s"),
        ("formats", "fp8", "FP8: 8.004 bits per weight, quality safe"),
    ],
)
async def test_a_list_says_of_an_item_what_tells_it_apart(section: str, id_: str, line: str):
    assert json.loads(CONTENTS[section].index())[section][id_] == line


async def test_the_list_of_prices_has_what_is_known_of_renting_and_buying():
    listed = json.loads(CONTENTS["prices"].index())["prices"]
    rented, bought = prices.rental("h100-sxm", "on_demand"), prices.purchase("h100-sxm")
    assert rented
    assert bought
    assert f"on_demand {rented.median:.2f}" in listed["h100-sxm"]
    assert f"purchase {bought.usd_per_gpu:,.0f}" in listed["h100-sxm"]
    unsold = [gpu for gpu in listed if prices.purchase(gpu) is None]
    assert unsold
    assert not any("purchase" in listed[gpu] for gpu in unsold)


@pytest.mark.parametrize("name", ["models", "gpus", "formats", "presets", "glossary"])
async def test_an_item_says_where_it_comes_from_and_when_that_was_checked(toy_client: Client, name: str):
    first = next(iter((await read(toy_client, f"inferplan://{name}"))[name]))
    item = await read(toy_client, f"inferplan://{name}/{quote(first, safe='')}")
    assert item["source"]
    assert date.fromisoformat(item["checked"]) >= date(2026, 11, 23)


@pytest.mark.parametrize(
    ("uri", "id_"),
    [
        ("inferplan://models/meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("inferplan://models/meta-llama%2FLlama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("inferplan://models/llama%203.3%2070b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("inferplan://models/745B%20MoE", "745B MoE"),
        ("inferplan://models/745B MoE", "745B MoE"),
        ("inferplan://gpus/H100", "h100-sxm"),
        ("inferplan://formats/FP8", "fp8"),
        ("inferplan://prices/h100", "h100-sxm"),
        ("inferplan://presets/Production", "production"),
        ("inferplan://glossary/KV%20cache", "kv-cache"),
    ],
)
async def test_an_item_is_found_by_the_name_that_people_say(toy_client: Client, uri: str, id_: str):
    assert (await read(toy_client, uri))["id"] == id_


@pytest.mark.parametrize(
    ("uri", "near"),
    [
        ("inferplan://gpus/h10", "inferplan://gpus/h100-sxm"),
        ("inferplan://models/lama 3 70b", "inferplan://models/meta-llama/"),
        ("inferplan://gpu", "inferplan://gpus"),
        ("inferplan://gpus/", "inferplan://gpus"),
        ("inferplan://glosary/tp", "inferplan://glossary"),
        ("inferplan://gpus/h100?full=1", "inferplan://gpus/h100-sxm"),
        ("inferplan://gpus/../models", "inferplan://"),
        ("inferplan://gpus/" + "h" * 5000, "inferplan://gpus"),
        ("file:///etc/passwd", "inferplan://models"),
        ("", "inferplan://models"),
        ("inferplan://", "inferplan://models"),
        ("inferplan://models/\x00\x1b", "inferplan://models"),
    ],
)
async def test_an_unknown_address_is_told_the_nearest(toy_client: Client, uri: str, near: str):
    with pytest.raises(MCPError) as refused:
        await toy_client.read_resource(uri)
    assert refused.value.code == INVALID_PARAMS
    assert near in refused.value.message
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500


async def test_the_nearest_items_that_are_named_can_be_read():
    problem = resource_problem("inferplan://models/745B MOEE") or ""
    uri = problem.partition("nearest: ")[2].split(", ")[0]
    assert uri.startswith("inferplan://models/")
    assert resource_problem(uri) is None


async def test_the_assumptions_list_every_setting_with_the_tools_that_take_it(client: Client):
    rows = {row["name"]: row for row in (await read(client, "inferplan://assumptions"))["assumptions"]}
    assert set(rows) == set(settings())
    for name, row in rows.items():
        assert row["tools"], name
        assert row["source"], name
        if "choices" in row:
            assert row.get("default", row["choices"][0]) in row["choices"]
            assert ("default" in row) == (name != "kv_precision"), "which the engine or the checkpoint decides"
            continue
        low, high = (
            map(int, bound.replace("-", ".").split(".")) if isinstance(bound, str) else [bound]
            for bound in (row["low"], row["high"])
        )
        assert [*low] < [*high], name
    assert rows["pue"]["tools"] == ["compare_costs", "run_preset"]


async def test_the_workflow_names_the_five_tools_in_their_order(client: Client):
    text: str = await read(client, "inferplan://workflow")
    tools = [tool.name for tool in (await client.list_tools()).tools if tool.name != "run_preset"]
    assert re.findall(r"^(\d+)\. .*`(\w+)`:", text, re.MULTILINE) == [(str(n), tool) for n, tool in enumerate(tools, 1)]
