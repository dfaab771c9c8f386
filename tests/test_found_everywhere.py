"""The files by which hosts and registries find the server say what the project says."""

import base64
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import hosts
from inferplan.server.listing import written

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
UPDATE = os.environ.get("INFERPLAN_UPDATE_GOLDEN") == "1"
SCHEMA = "$schema"
SERVER_KEYS = {SCHEMA, "name", "title", "description", "version", "packages"}
LONGEST_DESCRIPTION = 100
"""Characters that the registry takes."""


def read(name: str) -> dict[str, Any]:
    return json.loads((REPOSITORY / name).read_text(encoding="utf-8"))


def written_as(name: str, content: object) -> bool:
    """Whether a file holds this, written anew where the environment asks for it."""
    if UPDATE:
        (REPOSITORY / name).parent.mkdir(exist_ok=True)
        (REPOSITORY / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return read(name) == content


def manifest() -> dict[str, Any]:
    """The bundle for Claude Desktop, which installs what `pyproject.toml` needs with uv."""
    return {
        "manifest_version": "0.4",
        "name": PROJECT["name"],
        "display_name": "inferplan: LLM serving planner",
        "version": PROJECT["version"],
        "description": PROJECT["description"],
        "author": {"name": "The inferplan authors"},
        "server": {
            "type": "uv",
            "entry_point": "server/main.py",
            "mcp_config": {"command": "uv", "args": ["run", "--directory", "${__dirname}", "server/main.py"]},
        },
        "tools": [{"name": tool.name, "description": tool.description} for tool in written()],
        "prompts_generated": True,
        "keywords": PROJECT["keywords"],
        "license": PROJECT["license"],
        "compatibility": {
            "platforms": ["darwin", "linux", "win32"],
            "runtimes": {"python": PROJECT["requires-python"]},
        },
    }


@pytest.mark.parametrize("name", hosts.FILES)
def test_a_clone_that_a_host_opens_is_already_set_up(name: str) -> None:
    assert written_as(name, hosts.FILES[name])


def test_the_bundle_says_what_the_project_says() -> None:
    assert written_as("manifest.json", manifest()), "set INFERPLAN_UPDATE_GOLDEN=1 to rewrite it"


def test_the_bundle_starts_at_a_file_that_serves() -> None:
    entry = REPOSITORY / manifest()["server"]["entry_point"]
    assert "from inferplan.server.__main__ import main" in entry.read_text(encoding="utf-8")


def test_the_bundle_leaves_out_what_no_user_needs() -> None:
    ignored = set((REPOSITORY / ".mcpbignore").read_text(encoding="utf-8").split())
    assert {".venv/", "tests/", ".ci/", ".github/", "__pycache__/"} <= ignored
    assert not {"server/", "tools/", "prompts/", "pyproject.toml", "README.md", "LICENSE"} & ignored


def test_the_registry_entry_says_what_the_project_says() -> None:
    entry = read("server.json")
    (package,) = entry["packages"]
    assert set(entry) == SERVER_KEYS
    assert re.fullmatch(r"https://static\.modelcontextprotocol\.io/schemas/[\d-]+/server\.schema\.json", entry[SCHEMA])
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/inferplan", entry["name"])
    assert 40 <= len(entry["description"]) <= LONGEST_DESCRIPTION
    assert entry["version"] == package["version"] == PROJECT["version"]
    assert (package["registryType"], package["identifier"]) == ("pypi", PROJECT["name"])
    assert (package["runtimeHint"], package["transport"]) == ("uvx", {"type": "stdio"})


def test_the_readme_carries_the_mark_by_which_the_registry_knows_its_owner() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"<!-- mcp-name: {read('server.json')['name']} -->" in readme


def test_what_is_published_may_be_installed_by_a_bare_name() -> None:
    """The command, the distribution and the server have one name, so that `uvx` finds the one in the other."""
    assert list(PROJECT["scripts"]) == [PROJECT["name"]] == [hosts.NAME] == [hosts.ON_THE_PATH["command"]]


def test_a_button_opens_a_link_that_holds_the_settings() -> None:
    links = {title: urlsplit(link) for title, link in hosts.buttons().items()}
    for link in links.values():
        assert link.scheme == "https"
        assert parse_qs(link.query)["name"] == ["inferplan"]
    configs = {title: parse_qs(link.query)["config"][0] for title, link in links.items()}
    assert json.loads(base64.b64decode(configs.pop("Cursor"))) == hosts.ON_THE_PATH
    assert all(json.loads(config) == hosts.ON_THE_PATH for config in configs.values())


def test_agents_are_told_on_one_screen() -> None:
    told = (REPOSITORY / "AGENTS.md").read_text(encoding="utf-8").splitlines()
    assert len(told) <= 40
    assert max(map(len, told)) <= 120
