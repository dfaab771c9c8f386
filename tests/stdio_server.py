"""A server in a process of its own, to which tests write raw JSON lines over stdio."""

import json
import subprocess
import sys
from typing import Any

CLIENT_INFO = {"name": "test", "version": "1"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
}
HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")


class Wire:
    """One server process. `stateless` requests carry the 2026 envelope; else a handshake comes first."""

    def __init__(self, process: "subprocess.Popen[str]", version: str) -> None:
        self.process = process
        self.version = version
        self._last_id = 0
        self.greeting = self._greet()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The whole reply to one request."""
        self._last_id += 1
        if self.version not in HANDSHAKES:
            params["_meta"] = ENVELOPE
        self.say({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        reply = self.listen()
        assert (reply["jsonrpc"], reply["id"]) == ("2.0", self._last_id)
        return reply

    def result(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of one request."""
        return self.ask(method, **params)["result"]

    def say(self, message: object) -> None:
        """Write one line."""
        assert self.process.stdin
        self.process.stdin.write((message if isinstance(message, str) else json.dumps(message)) + "\n")
        self.process.stdin.flush()

    def listen(self) -> Any:
        """Read one line: a reply, or a list of them."""
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def _greet(self) -> dict[str, Any]:
        if self.version not in HANDSHAKES:
            return self.result("server/discover")
        greeting = self.result("initialize", protocolVersion=self.version, capabilities={}, clientInfo=CLIENT_INFO)
        self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return greeting


def start(*command: str) -> "subprocess.Popen[str]":
    """A Python process with all three streams open."""
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
