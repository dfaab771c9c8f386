"""The command line: serve a client over stdio, call one tool from a shell, compare predictions with measurements."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from inferplan.server.stdio.server import StdioServer

HELP = """\
usage: inferplan [--no-front]                          serve an MCP client over stdio
       inferplan call                                  list the tools
       inferplan call TOOL --help                      what a tool takes
       inferplan call TOOL name=value ... [--json]     ask, and print the answer
       inferplan validate memory FILE [--json]         hold published measurements against the rules
       inferplan validate speed FILE [--json]          the same of latency and throughput
       inferplan http [--help]                         serve MCP clients over HTTP
       inferplan --version

inferplan plans LLM serving: GPU memory, quantization, parallel layout, latency and cost.
An assistant starts it as an MCP server. To try it without one, ask from the shell:

  inferplan call run_preset preset=production concurrent_users=200
  inferplan call estimate_vram model=70B precision=fp8 concurrent_users=200 context_window=8192
  inferplan call estimate_vram model="llama 3.3 70b" overrides="memory_utilization=0.95"

--json prints the structured answer on one line instead of the text that a model reads.
--no-front leaves every message to the MCP SDK, which takes half a second to start.
Exit codes: 0 answered, 1 the answer cannot be written, 2 the question cannot be answered as asked; stderr says why.
"""

CANNOT_SERVE = 2
"""The exit code where stdin or stdout is closed."""
CLOSED = "inferplan: an MCP client speaks over stdin and stdout, and one of them is closed (see inferplan --help)."
WAITING = (
    "inferplan: serving MCP on stdin and stdout, which here are a terminal. Start it from an MCP client, "
    "or ask from a shell: inferplan call run_preset preset=production (see inferplan --help). Ctrl-C ends."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; returns the exit code."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where stderr was closed
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open for good
    _end_at_signals()
    words = sys.argv[1:] if argv is None else argv
    if not words:
        return _serve(front=True)
    if words[0] == "http":
        from inferplan.server.http.command import http  # noqa: PLC0415 - nothing else needs its libraries

        return http(words[1:])
    from inferplan.server.output import say  # noqa: PLC0415 - serving prints nothing

    arguments, unknown = _parser().parse_known_intermixed_args(words)
    if unknown:
        written = "; the arguments of a tool are written name=value" if arguments.command == "call" else ""
        _parser().error(f"unrecognized arguments: {' '.join(unknown)}{written}")
    if arguments.version:
        from importlib.metadata import version  # noqa: PLC0415 - serving needs it late or not at all

        return say(f"inferplan {version('inferplan')}")
    if arguments.command == "call":
        from inferplan.server.call import call  # noqa: PLC0415 - `--version` and help stay instant

        return call(arguments.words, as_json=arguments.json, usage=arguments.help)
    if arguments.command == "validate" and not arguments.help:
        from inferplan.server.validate import validate  # noqa: PLC0415 - same

        return validate(arguments.words, as_json=arguments.json)
    if arguments.command and not arguments.help:
        known = "inferplan call, inferplan validate, inferplan http (see inferplan --help)"
        _parser().error(f'no command "{arguments.command}"; try: {known}')
    return say(HELP.rstrip()) if arguments.help else _serve(front=not arguments.no_front)


def _end_at_signals() -> None:
    """Let SIGINT and SIGTERM end the process at once. Process 1, as in a container, ignores them by default."""
    if os.getpid() != 1:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, lambda number, _: os._exit(128 + number))


def _parser() -> "ArgumentParser":
    from argparse import ArgumentParser  # noqa: PLC0415 - serving needs none

    parser = ArgumentParser(
        prog="inferplan",
        usage="inferplan [call TOOL name=value ... | validate memory|speed FILE | http] [--json] [--help] [--version]",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("command", nargs="?")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--no-front", action="store_true")
    return parser


def _serve(*, front: bool) -> int:
    """Serve stdio until the client closes it. Only protocol lines reach stdout, from the first import on."""
    if sys.stdin is None or sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - where they were closed
        sys.stderr.write(CLOSED + "\n")
        return CANNOT_SERVE
    wire, sys.stdout = sys.stdout, sys.stderr
    try:
        if sys.stdin.isatty():
            sys.stderr.write(WAITING + "\n")
        server = _server(front=front)
    finally:
        sys.stdout = wire
    if server:
        server.run()
    sys.stderr.flush()
    os._exit(0)  # the SDK's reader thread would hold a regular exit back


def _server(*, front: bool) -> "StdioServer | None":
    """The server, with the SDK imported; None where the input ended before it was needed. Imports must not print."""
    if front:
        from inferplan.server import early  # noqa: PLC0415

        words = early.known()
        if words:
            return early.serve(words)
    from inferplan.server.app import create_server  # noqa: PLC0415

    return create_server()


if __name__ == "__main__":
    sys.exit(main())
