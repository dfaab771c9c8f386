"""Start-up and calls over stdio, inferplan against a bare server on the same SDK, taken in turns.

    python tests/benchmarks/bench_stdio.py [--starts 15] [--calls 400]

Prints Markdown. Both servers are asked the same way, round by round, so that a busy machine slows both.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ECHO = '''
from mcp.server.mcpserver import MCPServer

server = MCPServer("echo", version="1", log_level="WARNING")


@server.tool()
async def echo(text: str) -> str:
    """Say it again."""
    return text


server.run()
'''

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
Call = tuple[str, Mapping[str, object]]


class Server:
    """One server process, and how long it takes."""

    def __init__(self, command: list[str]) -> None:
        self._began = time.perf_counter()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def start_s(self) -> float:
        """From the start of the process to the list of its tools. [s]"""
        self._ask("initialize", HELLO)
        self._say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._ask("tools/list", {})
        return time.perf_counter() - self._began

    def call_s(self, call: Call) -> float:
        """One call of a tool. [s]"""
        name, arguments = call
        began = time.perf_counter()
        reply = self._ask("tools/call", {"name": name, "arguments": arguments})
        elapsed = time.perf_counter() - began
        if reply["result"].get("isError"):
            raise RuntimeError(reply["result"]["content"][0]["text"])
        return elapsed

    def close(self) -> None:
        """End the process by ending its input."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, method: str, params: Mapping[str, object]) -> dict[str, Any]:
        assert self._process.stdout
        self._say({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return json.loads(self._process.stdout.readline())

    def _say(self, message: object) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


def starts_ms(commands: Mapping[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Start-up of each server, in turns; the first round warms the file cache and is left out. [ms]"""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            server = Server(command)
            took = 1e3 * server.start_s()
            server.close()
            if number:
                times[name].append(took)
    return times


def calls_ms(
    commands: Mapping[str, list[str]], calls: Mapping[str, tuple[str, Call]], rounds: int
) -> dict[str, list[float]]:
    """Each call, in turns; the first twenty rounds warm up and are left out. [ms]"""
    with ExitStack() as stack:
        servers = {name: Server(command) for name, command in commands.items()}
        for server in servers.values():
            server.start_s()
            stack.callback(server.close)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(rounds + 20):
            for name, (where, call) in calls.items():
                took = 1e3 * servers[where].call_s(call)
                if number >= 20:
                    times[name].append(took)
    return times


def in_process_ms(ask: Callable[[], object], rounds: int = 200) -> list[float]:
    """The same question within one process. [ms]"""
    ask()
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        times.append(1e3 * (time.perf_counter() - began))
    return times


def row(what: str, times: list[float], bare: list[float] | None = None) -> str:
    """A line of the table: median, 99th percentile, ratio of medians."""
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    ratio = f"{p50 / statistics.median(bare):.2f}" if bare else ""
    return f"| {what} | {len(times)} | {p50:.2f} | {p99:.2f} | {ratio} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=15)
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME

    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "echo_server.py"
        script.write_text(ECHO, encoding="utf-8")
        commands = {"echo": [sys.executable, str(script)], "inferplan": [sys.executable, "-m", "inferplan.server"]}
        calls: dict[str, tuple[str, Call]] = {"echo": ("echo", ("echo", {"text": "hello"}))}
        calls |= {tool.name: ("inferplan", (tool.name, tool.example)) for tool in TOOLS}
        starts = starts_ms(commands, options.starts)
        called = calls_ms(commands, calls, options.calls)
    plan = TOOLS_BY_NAME["run_preset"]
    answered = in_process_ms(lambda: plan.ask(plan.example))
    dressed = in_process_ms(lambda: (answer := plan.ask(plan.example)) and (answer.text(), answer.structured()))
    print(  # noqa: T201 - a script that prints its table
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()}\n",
        "| what | n | p50 [ms] | p99 [ms] | ratio of p50 |",
        "|---|---|---|---|---|",
        row("bare echo server, start to tools/list", starts["echo"]),
        row("inferplan, start to tools/list", starts["inferplan"], starts["echo"]),
        row("bare echo server, one call over stdio", called["echo"]),
        *(row(f"inferplan, `{tool.name}` over stdio", called[tool.name], called["echo"]) for tool in TOOLS),
        row("`run_preset` in process", answered),
        row("`run_preset` in process, with text and structured content", dressed),
        sep="\n",
    )


if __name__ == "__main__":
    main()
