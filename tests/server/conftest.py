"""A server as a process, spoken to in raw JSON lines."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

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

    def listen(self) -> dict[str, Any]:
        """Read one line."""
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


Connect = Callable[..., Wire]


@pytest.fixture
def flags() -> tuple[str, ...]:
    """How our server is started; a module of tests may start it in more ways than one."""
    return ()


@pytest.fixture
def connect(flags: tuple[str, ...]) -> Iterator[Connect]:
    """Start a server and speak a protocol version to it: ours, or that of a script."""
    with ExitStack() as stack:

        def connect_to(version: str, *command: str) -> Wire:
            process = stack.enter_context(start(*(command or ("-m", "inferplan.server")), *flags))
            stack.callback(process.kill)
            return Wire(process, version)

        yield connect_to


@pytest.fixture
def process() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a server and say nothing to it."""
    with ExitStack() as stack:

        def begin(*command: str) -> "subprocess.Popen[str]":
            started = stack.enter_context(start(*(command or ("-m", "inferplan.server"))))
            stack.callback(started.kill)
            return started

        yield begin
