"""README and evidence say what is so: generated blocks are current, snippets have their host's shape, links lead on."""

import json
import os
import re
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import hosts
from data_files import memory_cases
from inferplan.catalog.engines import ENGINES
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.glossary import GLOSSARY
from inferplan.catalog.gpus import GPUS, VENDORS
from inferplan.catalog.models import MODELS
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from inferplan.tools.validation.memory_validation import validate
from published_speed import calibration

README = Path(__file__).parents[1] / "README.md"
EVIDENCE = README.parent / "docs" / "EVIDENCE.md"
PAGES = (README, EVIDENCE, README.parent / "deploy" / "README.md", README.parent / ".github" / "CONTRIBUTING.md")
COMMON_HOSTS = ("Claude Code", "Claude Desktop", "Cursor", "VS Code", "Codex", "Zed", "JetBrains", "Gemini CLI")


def tools_table() -> str:
    lines = ["| tool | answers | arguments |", "|---|---|---|"]
    for tool in TOOLS:
        names = [f"`{name}`" for name in tool.question.model_fields if name != "overrides"]
        lines.append(f"| `{tool.name}` | {tool.description.split('. ')[0].rstrip('.')} | {', '.join(names)} |")
    return "\n".join(lines)


def answer() -> str:
    question = {"preset": "production", "concurrent_users": 200}
    found = TOOLS_BY_NAME["run_preset"].ask(question)
    summary = textwrap.fill(found.summary, 100)
    return f"```text\n{summary}\n\n{found.diagram}\n```"


def counts() -> str:
    classes = sum(model.is_size_class for model in MODELS.values())
    return (
        f"{classes} size classes, {len(MODELS) - classes} checkpoints, {len(GPUS)} accelerators, "
        f"{len(FORMATS)} weight formats, {len(GLOSSARY)} terms."
    )


def engines() -> str:
    lines = ["| engine | version | held against |", "|---|---|---|"]
    for info in ENGINES.values():
        held = "; ".join(f"{VENDORS[vendor]}: {error}" for vendor, error in info.evidence.items())
        lines.append(f"| {info.title} | {info.covers} | {held} |")
    return "\n".join(lines)


TRUSTED = {
    "weights_gib_per_gpu": "weights on a GPU",
    "kv_cache_gib_per_gpu": "KV pool of a GPU",
    "tpot": "time per token under load",
    "offline": "throughput offline",
    "ttft": "first token under load",
}


def trust() -> str:
    lines = ["| figure | held against | half are off by less than | nine in ten by less than |", "|---|---|---|---|"]
    errors = {one.quantity: one.structured() for one in validate(memory_cases()).errors}
    for name, title in TRUSTED.items():
        one = errors.get(name) or calibration()["source_left_out"][name]
        held = "starts of engines" if name in errors else "benchmark runs, their source left out of the fit"
        digits = 2 if name in errors else 0
        off = " | ".join(f"{one[share]:.{digits}f} %" for share in ("median", "p90"))
        lines.append(f"| {title} | {one['n']:,} {held} | {off} |")
    verdicts = errors["fits"]
    wrong = round(verdicts["mean"] * verdicts["n"])
    return "\n".join([*lines, f"| whether it fits | {verdicts['n']:,} starts of engines | {wrong} wrong | |"])


def validation() -> str:
    cases = memory_cases()
    sources = {re.sub(r"^(https?://[^/]+(?:/[^/]+){2}).*", r"\1", case["source"]) for case in cases}
    found = validate(cases)
    head = f"{len(cases)} cases of {len(sources)} sources, {len(cases) - len(found.skipped)} predicted"
    return f"```text\n{head}\n\n{found.table()}\n```"


LAWS = {
    "tpot": "TPOT, closed loop",
    "ttft": "TTFT under load",
    "offline": "throughput offline",
    "static": "static batch",
    "single": "decode at batch 1",
    "prompt": "a prompt alone",
    "slots": "several sequences in llama.cpp",
}


def errors_of_speed() -> str:
    fits = calibration()
    parts = [fits[name] for name in ("in_sample", "source_left_out", "source_left_out_where_the_layout_is_stated")]
    lines = ["| target | in the fit | source left out | where the layout is stated |", "|---|---|---|---|"]
    for law, title in LAWS.items():
        found = (part.get(law) for part in parts)
        cells = (f"{one['median']:.1f} ({one['n']:,} runs)" if one else "in no fit" for one in found)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


PEER = {
    "both": ("15.6 (57), 2,534 rows", "45.0 (86), 2,534 rows"),
    "inferencex": ("19.0 (54), 1,733 rows", "not kept"),
    "nvidia-dynamo-internal": ("12.0 (62), 801 rows", "not kept"),
}
"""Errors of aiconfigurator 0.12.0 in time per token and time to the first: median (P90), rows that it predicts."""


def peer() -> str:
    found = calibration()
    lines = [
        "| rows of | TPOT, aiconfigurator | TPOT, inferplan | TTFT, aiconfigurator | TTFT, inferplan |",
        "|---|---|---|---|---|",
    ]
    for source, (tpot, ttft) in PEER.items():
        ours = [
            found["source_left_out"][law]
            if source == "both"
            else found["source_left_out_by_source"][f"{law}, {source}"]
            for law in ("tpot", "ttft")
        ]
        own = [f"{one['median']:.1f} ({one['p90']:.0f}), {one['n']:,} rows" for one in ours]
        lines.append(f"| {source} | {tpot} | {own[0]} | {ttft} | {own[1]} |")
    return "\n".join(lines)


BLOCKS: dict[str, tuple[Path, Callable[[], str]]] = {
    "tools": (README, tools_table),
    "hosts": (README, hosts.hosts),
    "answer": (README, answer),
    "counts": (README, counts),
    "trust": (README, trust),
    "engines": (README, engines),
    "validation": (EVIDENCE, validation),
    "calibration": (EVIDENCE, errors_of_speed),
    "peer": (EVIDENCE, peer),
}


def block_pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- generated: {name} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_generated_block_is_what_the_product_says_now(name: str) -> None:
    page, block = BLOCKS[name]
    text, current = page.read_text(encoding="utf-8"), block()
    if os.environ.get("INFERPLAN_UPDATE_GOLDEN"):
        text = block_pattern(name).sub(lambda match: match[1] + current + "\n" + match[3], text)
        page.write_text(text, encoding="utf-8")
    found = block_pattern(name).search(text)
    assert found is not None, f"no block {name!r} in {page.name}"
    assert found[2] == current + "\n", "set INFERPLAN_UPDATE_GOLDEN=1 to rewrite it, then read the diff"


def section(title: str) -> str:
    return README.read_text(encoding="utf-8").split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"^\s*```{language}\n(.*?)\n\s*```", text, re.DOTALL | re.MULTILINE)


def test_the_quick_start_is_two_commands_of_one_line_each() -> None:
    commands = fenced(section("Quick start"), "sh")
    assert len(commands) == 2
    assert all("\n" not in command for command in commands)


def test_each_quick_start_command_makes_its_own_environment() -> None:
    for command in fenced(section("Quick start"), "sh"):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_the_first_command_asks_a_question_that_its_tool_takes() -> None:
    first = fenced(section("Quick start"), "sh")[0].split("inferplan call ")[1].split()
    arguments = dict(word.split("=", 1) for word in first[1:])
    assert TOOLS_BY_NAME[first[0]].ask(arguments).summary


@pytest.mark.parametrize("host", COMMON_HOSTS)
def test_every_common_host_has_a_snippet_that_starts_the_clone(host: str) -> None:
    part = section("Set up your host").split(f"**{host}**", 1)[1].split("</details>", 1)[0]
    assert hosts.CLONED in part


def test_json_snippets_parse_and_name_the_server_under_the_key_of_their_host() -> None:
    snippets = [json.loads(snippet) for snippet in fenced(section("Set up your host"), "json")]
    assert {next(iter(snippet)) for snippet in snippets} == {"mcpServers", "servers", "context_servers", "mcp"}
    for snippet in snippets:
        (servers,) = snippet.values()
        command = servers["inferplan"]["command"]
        program = command[0] if isinstance(command, list) else command
        assert program.endswith(hosts.CLONED)


def test_yaml_snippets_parse() -> None:
    (snippet,) = fenced(section("Set up your host"), "yaml")
    (server,) = yaml.safe_load(snippet)["mcpServers"]
    assert (server["name"], server["command"].endswith(hosts.CLONED)) == ("inferplan", True)


def test_toml_snippets_parse() -> None:
    (snippet,) = fenced(section("Set up your host"), "toml")
    assert tomllib.loads(snippet)["mcp_servers"]["inferplan"]["command"].endswith(hosts.CLONED)


def test_the_readme_does_not_speak_as_if_anything_were_published() -> None:
    text = README.read_text(encoding="utf-8")
    assert "uvx inferplan" not in text
    assert not re.search(r"pip install (-q )?inferplan\b", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", page.read_text(encoding="utf-8"))
    assert links or page != README
    for link in links:
        assert (page.parent / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_a_file_that_is_named_in_backticks_is_there(page: Path) -> None:
    folders = "tests|tools|server|prompts|docs|deploy|catalog|core"
    named = re.findall(rf"`((?:{folders})/[\w./-]+\.\w+)`", page.read_text("utf-8"))
    roots = (README.parent, *(README.parent / root / "inferplan" for root in ("server", "tools", "prompts")))
    for name in named:
        assert any((root / name).exists() for root in roots), name
