"""Every host that the README sets up, and the files and links made from the same source.

`snippet` writes the settings in a host's file, `link` what a button opens. The keys and shapes are the hosts' own.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

NAME = "inferplan"
CLONED = ".venv/bin/inferplan"
"""The program that the quick start installs, in the clone."""
IN_THE_CLONE = f"/path/to/inferplan/{CLONED}"


def standard(command: str) -> dict[str, Any]:
    """`mcpServers`, as most hosts have it."""
    return {"mcpServers": {NAME: {"command": command}}}


def vs_code(command: str) -> dict[str, Any]:
    """`servers`, with the transport named."""
    return {"servers": {NAME: {"type": "stdio", "command": command}}}


def zed(command: str) -> dict[str, Any]:
    """`context_servers`."""
    return {"context_servers": {NAME: {"source": "custom", "command": command, "args": []}}}


def opencode(command: str) -> dict[str, Any]:
    """`mcp`, the command as a list."""
    return {"mcp": {NAME: {"type": "local", "command": [command]}}}


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host: where its settings are, and their content; or the command that writes them."""

    title: str
    where: str
    settings: Mapping[str, Any] | None = None
    run: str = ""
    toml: str = ""
    yaml: str = ""

    def section(self, *, first: bool) -> str:
        """The host's part of the README."""
        settings = self.settings and json.dumps(self.settings)
        blocks = [("sh", self.run), ("json", settings), ("toml", self.toml), ("yaml", self.yaml)]
        fenced = "\n\n".join(f"```{language}\n{text}\n```" for language, text in blocks if text)
        head = f"<details{' open' if first else ''}><summary><b>{self.title}</b></summary>"
        return f"{head}\n\n**{self.title}**: {self.where}\n\n{fenced}\n\n</details>"


WAITED_FOR = "required = true"
"""Without it the first turn of `codex exec` (0.169) lacks the tools of a server that needs over a tenth of a second."""


HOSTS = (
    Host(title="Claude Code", where="in the clone, run", run=f'claude mcp add {NAME} -- "$PWD/{CLONED}"'),
    Host(
        title="Claude Desktop",
        where="in `claude_desktop_config.json` (Settings, Developer, Edit config)",
        settings=standard(IN_THE_CLONE),
    ),
    Host(
        title="Cursor",
        where="in `~/.cursor/mcp.json`, or `.cursor/mcp.json` of a project",
        settings=standard(IN_THE_CLONE),
    ),
    Host(
        title="VS Code",
        where="in `.vscode/mcp.json` of a project, or the `mcp.json` of your profile",
        settings=vs_code(IN_THE_CLONE),
    ),
    Host(
        title="Codex",
        where=(
            f'in the clone, run `codex mcp add {NAME} -- "$PWD/{CLONED}"`, or in `~/.codex/config.toml`, where '
            "`required` has `codex exec` wait for the tools on a busy machine"
        ),
        toml=f'[mcp_servers.{NAME}]\ncommand = "{IN_THE_CLONE}"\n{WAITED_FOR}',
    ),
    Host(title="Zed", where="in `settings.json`", settings=zed(IN_THE_CLONE)),
    Host(
        title="JetBrains",
        where="in Settings, Tools, AI Assistant, Model Context Protocol (MCP), add as JSON",
        settings=standard(IN_THE_CLONE),
    ),
    Host(title="Gemini CLI", where="in `~/.gemini/settings.json`", settings=standard(IN_THE_CLONE)),
    Host(
        title="Copilot CLI",
        where=f'in the clone, run `copilot mcp add {NAME} -- "$PWD/{CLONED}"`, or in `~/.copilot/mcp-config.json`',
        settings=standard(IN_THE_CLONE),
    ),
    Host(
        title="Continue",
        where="in `~/.continue/config.yaml`, beside its other keys",
        yaml=f"mcpServers:\n  - name: {NAME}\n    command: {IN_THE_CLONE}",
    ),
    Host(title="opencode", where="in `opencode.json`", settings=opencode(IN_THE_CLONE)),
    Host(
        title="Qwen Code",
        where=(
            'in `~/.qwen/settings.json`, where `"alwaysLoadTools": true` beside `command` spares its model a search '
            "for each tool"
        ),
        settings=standard(IN_THE_CLONE),
    ),
    Host(
        title="Windsurf, Cline, Kiro, LM Studio",
        where="in the host's `mcp_config.json`, `cline_mcp_settings.json`, `.kiro/settings/mcp.json` or `mcp.json`",
        settings=standard(IN_THE_CLONE),
    ),
)

FILES: Mapping[str, Mapping[str, Any]] = {
    ".mcp.json": standard(CLONED),
    ".vscode/mcp.json": vs_code(f"${{workspaceFolder}}/{CLONED}"),
}
"""For people who open the clone in a host that reads it."""

ON_THE_PATH = {"command": NAME}
"""What a button installs: the program as `pipx install .` or `uv tool install .` puts it on the PATH."""


def buttons() -> Mapping[str, str]:
    """The link behind each button."""
    config = json.dumps(ON_THE_PATH, separators=(",", ":"))
    in_base64 = quote(base64.b64encode(config.encode()).decode())
    vs = f"mcp/install?name={NAME}&config={quote(config)}"
    return {
        "Cursor": f"https://cursor.com/en/install-mcp?name={NAME}&config={in_base64}",
        "VS Code": f"https://insiders.vscode.dev/redirect/{vs}",
        "VS Code Insiders": f"https://insiders.vscode.dev/redirect/{vs}&quality=insiders",
    }


def hosts() -> str:
    """The README's block: buttons, then a part for each host."""
    links = " · ".join(f"[Add to {title}]({link})" for title, link in buttons().items())
    sections = "\n\n".join(host.section(first=number == 0) for number, host in enumerate(HOSTS))
    return f"{links}\n\n{sections}"
