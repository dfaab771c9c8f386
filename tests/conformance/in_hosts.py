"""Every tool called in real hosts, over stdio and HTTP: `python tests/conformance/in_hosts.py [--modules FOLDER]`.

Installs the hosts of `hosts.package.json` (2.1 GB) with the node of `pip install '.[conformance,http]'`, sets each up
as the README says, and has it talk to a model on loopback that calls all six tools (`scripted_model.py`). So no account
is needed, and what a host makes of the server can be seen: which tools its model is offered, and what it is told.

Prints Markdown; exits 1 where a tool was not offered, or an answer did not reach the model whole, unless the host is
known to cut answers of its length.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from run import NODE, install, say

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripted_model import Call, Model, Served

import hosts
from http_server import http_server
from inferplan.tools._tool import Tool
from inferplan.tools.registry import TOOLS

PACKAGES = Path(__file__).with_name("hosts.package.json")
QUESTION = "Can 70B FP8 serve 200 users?"
SCRIPT = [Call(name=tool.name, arguments=tool.example, number=number) for number, tool in enumerate(TOOLS)]
HEADER = (
    "| host | over | tools offered | at first | told how to use them | whole answers | their form |\n"
    "|---|---|---|---|---|---|---|"
)
LONGEST_S = 180
"""For one session of a host. [s]"""

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Server:
    """How a host reaches inferplan: by a command, or at an address with a token."""

    command: str = ""
    url: str = ""
    token: str = ""

    @property
    def transport(self) -> str:
        return "HTTP" if self.url else "stdio"

    def entry(self, *, url: str = "url", **more: str) -> Settings:
        """`mcpServers` of most hosts, which differ in how they say an address."""
        if not self.url:
            return hosts.standard(self.command)
        return {"mcpServers": {hosts.NAME: {**more, url: self.url, "headers": self.headers}}}

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host: its package, the file that sets it up, and how one question is asked of it."""

    title: str
    package: str
    program: str
    file: str
    """Below the home folder; a project lies in `project`."""
    settings: Callable[[Server, str], Settings | str]
    """What stands in the file, of the server and the model's address."""
    words: tuple[str, ...]
    environment: Callable[[str], Mapping[str, str]] = lambda _: {}
    accounts: Callable[[str], tuple[str, Settings]] | None = None
    """A second file below the home folder, which names the model's address, and what stands in it."""
    cuts_at: int | None = None
    """Characters to which the host cuts an answer for its model, in the middle."""


def codex(server: Server, model: str) -> str:
    """`config.toml`."""
    at = f'url = "{server.url}"\nbearer_token_env_var = "TOKEN"' if server.url else f'command = "{server.command}"'
    provider = f'[model_providers.own]\nname = "own"\nbase_url = "{model}/v1"\nwire_api = "responses"'
    return f'model = "own"\nmodel_provider = "own"\n{provider}\n[mcp_servers.{hosts.NAME}]\n{at}\n{hosts.WAITED_FOR}\n'


def gemini(server: Server, _: str) -> Settings:
    """`settings.json`, with an account that is none and the folder trusted."""
    security = {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}}
    return {**server.entry(url="httpUrl"), "security": security}


def opencode(server: Server, model: str) -> Settings:
    """`opencode.json`, with the model as a provider of its own."""
    remote = {"mcp": {hosts.NAME: {"type": "remote", "url": server.url, "headers": server.headers}}}
    options = {"baseURL": f"{model}/v1", "apiKey": "none"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"model": {}}}
    names = {"model": "own/model", "small_model": "own/model", "provider": {"own": provider}}
    return {**(remote if server.url else hosts.opencode(server.command)), **names}


def continued(server: Server, model: str) -> Settings:
    """`config.yaml` of Continue: JSON is YAML."""
    headers = {"requestOptions": {"headers": server.headers}}
    at = {"type": "streamable-http", "url": server.url, **headers} if server.url else {"command": server.command}
    own = {"name": "own", "provider": "openai", "model": "own", "apiBase": f"{model}/v1", "apiKey": "none"}
    head = {"name": "own", "version": "1.0.0", "schema": "v1"}
    return {**head, "models": [{**own, "roles": ["chat"]}], "mcpServers": [{"name": hosts.NAME, **at}]}


def cline_account(model: str) -> tuple[str, Settings]:
    """The model as `cline auth` writes it down."""
    name = "openai-compatible"
    own = {"provider": name, "apiKey": "none", "model": "own", "baseUrl": f"{model}/v1"}
    kept = {"settings": own, "updatedAt": "2026-11-28T00:00:00.000Z", "tokenSource": "manual"}
    return f"{CLINE}/providers.json", {"version": 1, "lastUsedProvider": name, "modes": {}, "providers": {name: kept}}


CLINE = ".cline/data/settings"
HOSTS = (
    Host(
        title="Claude Code",
        package="@anthropic-ai/claude-code",
        program="claude",
        file="project/mcp.json",
        settings=lambda server, _: server.entry(type="http"),
        words=(
            "-p",
            QUESTION,
            "--mcp-config",
            "mcp.json",
            "--strict-mcp-config",
            "--allowedTools",
            "mcp__inferplan__*",
        ),
        environment=lambda model: {"ANTHROPIC_BASE_URL": model, "ANTHROPIC_API_KEY": "none"},
    ),
    Host(
        title="Cline",
        package="cline",
        program="cline",
        file=f"{CLINE}/cline_mcp_settings.json",
        settings=lambda server, _: server.entry(type="streamableHttp"),
        words=("--json", QUESTION),
        accounts=cline_account,
        cuts_at=8000,
    ),
    Host(
        title="Codex CLI",
        package="@openai/codex",
        program="codex",
        file=".codex/config.toml",
        settings=codex,
        words=("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", QUESTION),
    ),
    Host(
        title="Continue",
        package="@continuedev/cli",
        program="cn",
        file="project/config.yaml",
        settings=continued,
        words=("--config", "config.yaml", "--auto", "-p", QUESTION),
    ),
    Host(
        title="Copilot CLI",
        package="@github/copilot",
        program="copilot",
        file=".copilot/mcp-config.json",
        settings=lambda server, _: server.entry(type="http"),
        words=("-p", QUESTION, "--allow-all-tools"),
        environment=lambda model: {"COPILOT_PROVIDER_BASE_URL": f"{model}/v1", "COPILOT_MODEL": "own"},
    ),
    Host(
        title="Gemini CLI",
        package="@google/gemini-cli",
        program="gemini",
        file=".gemini/settings.json",
        settings=gemini,
        words=("--skip-trust", "--yolo", "--model", "gemini-3.1-pro-preview", "--prompt", QUESTION),
        environment=lambda model: {"GOOGLE_GEMINI_BASE_URL": model, "GEMINI_API_KEY": "none"},
    ),
    Host(
        title="opencode",
        package="opencode-ai",
        program="opencode",
        file="project/opencode.json",
        settings=opencode,
        words=("run", QUESTION),
    ),
    Host(
        title="Qwen Code",
        package="@qwen-code/qwen-code",
        program="qwen",
        file=".qwen/settings.json",
        settings=lambda server, _: server.entry(url="httpUrl"),
        words=("--auth-type", "openai", "--yolo", "--prompt", QUESTION),
        environment=lambda model: {
            "OPENAI_BASE_URL": f"{model}/v1",
            "OPENAI_API_KEY": "none",
            "OPENAI_MODEL": "own",
        },
    ),
)


def session(host: Host, programs: Path, server: Server) -> Model:
    """One question in a host that knows nothing but this server; what its model saw."""
    model = Model(script=SCRIPT, cuts_at=host.cuts_at)
    with tempfile.TemporaryDirectory() as folder, Served(model) as served:
        home = Path(folder)
        file, project = home / host.file, home / "project"
        project.mkdir()
        file.parent.mkdir(parents=True, exist_ok=True)
        settings = host.settings(server, served.url)
        file.write_text(settings if isinstance(settings, str) else json.dumps(settings), encoding="utf-8")
        if host.accounts:
            beside, accounts = host.accounts(served.url)
            (home / beside).write_text(json.dumps(accounts), encoding="utf-8")
        path = os.pathsep.join([str(NODE / "bin"), os.environ.get("PATH", "")])
        own = {"HOME": folder, "PATH": path, "TOKEN": server.token, **host.environment(served.url)}
        run(host.title, [str(programs / host.program), *host.words], where=project, environment=own)
    return model


def run(title: str, line: Sequence[str], *, where: Path, environment: Mapping[str, str]) -> None:
    """A program that asks, to its end; what it printed where it failed."""
    done = subprocess.run(
        line,
        cwd=where,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode:
        say(f"{title} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


def form(tool: Tool[Any, Any], said: str) -> str:
    """How an answer reached the model whole: as `text`, as the `structured` object, as Python's `repr`; else `cut`."""
    structured, text = tool.ask(tool.example).contents()
    start = said.find("{")
    try:
        found = json.JSONDecoder().raw_decode(said, start)[0] if start >= 0 else None
    except ValueError:
        found = None
    if found == structured:
        return "structured"
    written = [one for one, whole in (("text", text.strip()), ("repr", repr(text)[1:-1])) if whole in said]
    return written[0] if written else "cut"


def row(name: str, server: Server, model: Model) -> tuple[str, bool]:
    """A line of the table, and whether all went well."""
    reached = [form(tool, said) for tool, said in zip(TOOLS, model.told, strict=False)]
    whole = [each for each in reached if each != "cut"]
    instructed = any("Go deeper with one tool" in json.dumps(prompt) for prompt in model.prompts)
    cells = (
        name,
        server.transport,
        str(len(model.offered)),
        str(len(model.at_first or ())),
        "yes" if instructed else "no",
        f"{len(whole)} of {len(SCRIPT)}",
        ", ".join(sorted(set(reached))),
    )
    told = zip(model.told, reached, strict=False)
    come = [said for said, each in told if each != "cut" or len(said) == model.cuts_at]
    return f"| {' | '.join(cells)} |", len(model.offered) == len(come) == len(SCRIPT)


Session = Callable[[Server], Model]


def compare(sessions: Mapping[str, Session]) -> int:
    """Each session over stdio and over HTTP with a token, a line each; 1 where anything is missing."""
    command = shutil.which("inferplan", path=str(Path(sys.executable).parent)) or "inferplan"
    token, fine = secrets.token_urlsafe(), True
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens"
        tokens.write_text(token, encoding="utf-8")
        with http_server("--token-file", str(tokens), "--no-request-log") as served:
            say(HEADER)
            for name, ask in sessions.items():
                for server in (Server(command=command), Server(url=served.url, token=token)):
                    line, went_well = row(name, server, ask(server))
                    say(line)
                    fine &= went_well
    return int(not fine)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=Path, help="where to install the hosts (else a folder that is removed)")
    titles = [host.title for host in HOSTS]
    parser.add_argument("--only", nargs="+", choices=titles, default=titles)
    options = parser.parse_args()
    versions = json.loads(PACKAGES.read_text("utf-8"))["dependencies"]
    with tempfile.TemporaryDirectory() as scratch:
        programs = install(options.modules or Path(scratch) / "hosts", PACKAGES, scripts=True)
        asked = [host for host in HOSTS if host.title in options.only]
        return compare({f"{host.title} {versions[host.package]}": partial(session, host, programs) for host in asked})


if __name__ == "__main__":
    sys.exit(main())
