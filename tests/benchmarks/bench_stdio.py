"""Start-up and calls over stdio: inferplan, a bare server on the same SDK, fastmcp and peers, taken in turns.

    python tests/benchmarks/bench_stdio.py [--starts 15] [--calls 200] [--bin FOLDER ...]

Prints Markdown. All servers are asked the same way, round by round, so that a busy machine slows all of them; a ratio
is the median over the rounds of what a server took by what the bare one took in the same round. In a round each server
answers one call, the next of its tools: whoever answers two in a row finds the CPU's caches warm. Tools of ours, which
remember their last answers, are asked something new each time, and in other rounds the same again. A call ends when its
reply has arrived, before the benchmark parses it. Modules are compiled in the first round, which is left out, and kept
as pip keeps those that it installs. fastmcp and the peers are those whose commands are on the PATH or in
a FOLDER: they cannot share an environment with inferplan.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from varied import another

ECHO = '''
from {package} import {name}

server = {name}("echo", version="1"{more})


@server.tool()
async def echo(text: str) -> str:
    """Say it again."""
    return text


server.run({run})
'''
BARE = ECHO.format(package="mcp.server.mcpserver", name="MCPServer", more=', log_level="WARNING"', run="")
FASTMCP = ECHO.format(package="fastmcp", name="FastMCP", more="", run="show_banner=False")

Call = tuple[str, Mapping[str, object]]
Question = Callable[[int], Call]
"""The calls of one round."""
SAY_IT_AGAIN: Call = ("echo", {"text": "hello"})
PEERS: Mapping[str, tuple[Sequence[str], Call | None]] = {
    "chimeraforge": (
        ("chimeraforge", "mcp"),
        ("chimeraforge_plan", {"hardware": "RTX 4060 8GB", "model": "llama3.2-3b"}),
    ),
    "llmfit": (
        ("llmfit", "serve", "--mcp"),
        ("plan_hardware", {"model": "meta-llama/Llama-3.1-70B-Instruct", "context": 8192, "quant": "Q8_0"}),
    ),
    "llm-checker": (("llm-checker-mcp",), None),
}
"""How a peer is started, and a call of it that plans one model; llm-checker's look at this machine instead."""


HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


COMPILED_ONCE = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Server:
    """One server process, and how long it takes."""

    def __init__(self, command: Sequence[str]) -> None:
        self._began = time.perf_counter()
        self._ids = count()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=COMPILED_ONCE
        )

    def start_s(self) -> float:
        """From the start of the process to the list of its tools. [s]"""
        self._ask("initialize", HELLO)
        self._say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._ask("tools/list", {})
        return self.age_s()

    def age_s(self) -> float:
        """Since the start of the process. [s]"""
        return time.perf_counter() - self._began

    def call_s(self, call: Call) -> float:
        """One call of a tool, until its reply has arrived. [s]"""
        name, arguments = call
        reply, elapsed = self._ask("tools/call", {"name": name, "arguments": arguments})
        if reply["result"].get("isError"):
            raise RuntimeError(reply["result"]["content"][0]["text"])
        return elapsed

    def close(self) -> None:
        """End the process by ending its input."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, method: str, params: Mapping[str, object]) -> tuple[dict[str, Any], float]:
        """The reply, and how long after the request it was there. [s]"""
        assert self._process.stdout
        number = next(self._ids)
        began = self._say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        while True:
            line = self._process.stdout.readline()
            arrived = time.perf_counter()
            if (reply := json.loads(line)).get("id") == number:
                return reply, arrived - began

    def _say(self, message: object) -> float:
        """Write a message; when that began."""
        assert self._process.stdin
        line = json.dumps(message).encode() + b"\n"
        began = time.perf_counter()
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return began


def starts_ms(commands: Mapping[str, Sequence[str]], rounds: int, first: Mapping[str, Call]) -> dict[str, list[float]]:
    """Start-up of each server, in turns, and its first call where there is one. [ms]

    The first round warms the file cache and is left out.
    """
    times: dict[str, list[float]] = {name: [] for name in (*commands, *map(first_call_of, first))}
    for number in range(rounds + 1):
        for name, command in commands.items():
            server = Server(command)
            took = {name: server.start_s()}
            if name in first:
                server.call_s(first[name])
                took[first_call_of(name)] = server.age_s()
            server.close()
            for what, seconds in took.items() if number else ():
                times[what].append(1e3 * seconds)
    return times


def first_call_of(name: str) -> str:
    """How the first call of a server is called among the times."""
    return f"{name}: first call"


def calls_ms(
    commands: Mapping[str, Sequence[str]], calls: Mapping[str, Mapping[str, Question]], rounds: int
) -> dict[str, dict[int, float]]:
    """What each call took, by the number of its round; a server's calls take turns. [ms]

    `calls` are named within their servers. Each is made in so many rounds, after twenty that warm up and are left out.
    """
    turns = max(map(len, calls.values()))
    times: dict[str, dict[int, float]] = {name: {} for own in calls.values() for name in own}
    with ExitStack() as stack:
        servers = {name: Server(commands[name]) for name in calls}
        for server in servers.values():
            stack.callback(server.close)
            server.start_s()
        for number in range(turns * (rounds + 20)):
            for where, own in calls.items():
                name = list(own)[number % len(own)]
                took = 1e3 * servers[where].call_s(own[name](number))
                if number >= turns * 20:
                    times[name][number] = took
    return times


def in_process_ms(ask: Callable[[int], object], rounds: int = 200) -> list[float]:
    """Questions within one process. [ms]"""
    ask(rounds)
    times: list[float] = []
    for number in range(rounds):
        began = time.perf_counter()
        ask(number)
        times.append(1e3 * (time.perf_counter() - began))
    return times


def row(what: str, times: Sequence[float], bare: Sequence[float] = ()) -> str:
    """A line of the table: median, 99th percentile, median of the ratios to what the bare server took."""
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    ratio = f"{statistics.median(ours / its for ours, its in zip(times, bare, strict=True)):.2f}" if bare else ""
    return f"| {what} | {len(times)} | {p50:.2f} | {p99:.2f} | {ratio} |"


def commands_in(folders: Sequence[str], scratch: Path) -> dict[str, Sequence[str]]:
    """How each server is started that can be."""
    for name, text in (("bare.py", BARE), ("fast.py", FASTMCP)):
        (scratch / name).write_text(text, encoding="utf-8")
    ours = [sys.executable, "-m", "inferplan.server"]
    commands: dict[str, Sequence[str]] = {
        "bare": [sys.executable, str(scratch / "bare.py")],
        "inferplan": ours,
        "inferplan --no-front": [*ours, "--no-front"],
    }
    path = os.pathsep.join([*folders, os.environ.get("PATH", "")])
    if fastmcp := shutil.which("fastmcp", path=path):
        commands["fastmcp"] = [str(Path(fastmcp).with_name("python")), str(scratch / "fast.py")]
    for name, ((program, *words), _) in PEERS.items():
        if found := shutil.which(program, path=path):
            commands[name] = [found, *words]
    return commands


def table(starts: Mapping[str, Sequence[float]], called: Mapping[str, Mapping[int, float]]) -> list[str]:
    """The measurements, a line each."""
    bare = {True: starts[first_call_of("bare")], False: starts["bare"]}
    lines: list[str] = []
    for name, times in starts.items():
        who, _, first = name.partition(": ")
        what = f"start to the answer of the first call, {who}" if first else f"start to tools/list, {who}"
        lines.append(row(what, times, bare[bool(first)]))
    for name, by_round in called.items():
        echoed = [called["bare: echo"][number] for number in by_round]
        lines.append(row(f"one call, {name}", list(by_round.values()), echoed))
    absent = [name for name in ("fastmcp", *PEERS) if name not in starts]
    return lines + [f"| {name}: not installed | | | | |" for name in absent]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=15)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--bin", action="append", default=[], metavar="FOLDER")
    options = parser.parse_args()
    from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME

    def question(name: str) -> Question:
        return lambda number: (name, another(name, number))

    def always(call: Call) -> Question:
        return lambda _: call

    vram, echo = question("estimate_vram"), always(SAY_IT_AGAIN)
    with tempfile.TemporaryDirectory() as scratch:
        commands = commands_in(options.bin, Path(scratch))
        calls: dict[str, dict[str, Question]] = {
            "bare": {"bare: echo": echo},
            "fastmcp": {"fastmcp: echo": echo},
            "inferplan": {f"inferplan: `{tool.name}`": question(tool.name) for tool in TOOLS}
            | {f"inferplan: `{tool.name}`, asked again": always(question(tool.name)(0)) for tool in TOOLS},
            "inferplan --no-front": {"inferplan --no-front: `estimate_vram`": vram},
        }
        calls |= {name: {f"{name}: `{call[0]}`": always(call)} for name, (_, call) in PEERS.items() if call}
        first = {"bare": SAY_IT_AGAIN, "inferplan": vram(0), "inferplan --no-front": vram(0)}
        starts = starts_ms(commands, options.starts, first)
        called = calls_ms(commands, {name: own for name, own in calls.items() if name in commands}, options.calls)
    preset = question("run_preset")
    print(  # noqa: T201 - a script that prints its table
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs with a load of {os.getloadavg()[1]:.0f}, "
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}\n",
        "| what | n | p50 [ms] | p99 [ms] | by the bare server's |",
        "|---|---|---|---|---|",
        *table(starts, called),
        row(
            "`run_preset` in process",
            in_process_ms(lambda number: TOOLS_BY_NAME["run_preset"].ask(preset(number)[1]).contents()),
        ),
        sep="\n",
    )


if __name__ == "__main__":
    main()
