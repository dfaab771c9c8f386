"""`inferplan http`: the flags, checked, with one sentence for each that is wrong."""

import argparse
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from inferplan.server.http.settings import Settings, address, host_name, is_loopback, origin
from inferplan.server.http.tokens import TokenProblem, read_tokens

WRONG = 2
"""The exit code for what cannot be served as asked."""
MOST_WORKERS = 64

DESCRIPTION = """\
Serve MCP over streamable HTTP at /mcp, stateless, with /health and /metrics (Prometheus) beside it.
Every protocol revision is answered at the one address, so that replicas can stand behind any load balancer.
"""
EPILOG = """\
examples:
  inferplan http
  inferplan http --host 0.0.0.0 --token-file tokens --allowed-host planner.example --workers 4

Log lines are JSON on stderr. SIGTERM ends it when the last answer is out. No model hub is ever asked.
"""
UNPROTECTED = (
    "{host} is reached from other machines: name a file of tokens with --token-file FILE, "
    "or say --no-auth if whoever can reach it may ask."
)
NO_LIBRARY = "the extra `http` is missing: install inferplan with pip install '.[http]' in the clone."


class Parser(argparse.ArgumentParser):
    """A parser whose error is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Print the error, and exit."""
        self.exit(WRONG, f"inferplan http: {message}\n")


def http(argv: Sequence[str]) -> int:
    """Serve as the flags say; the exit code."""
    parser, settings = _parser(), settings_of(argv)
    if not find_spec("prometheus_client") or not find_spec("uvicorn"):
        parser.error(NO_LIBRARY)
    os.environ["HF_HUB_OFFLINE"] = "1"  # no caller's word reaches out to the network
    from inferplan.server.http.door import bind  # noqa: PLC0415 - wrong flags are answered at once
    from inferplan.server.http.serve import serve  # noqa: PLC0415 - wrong flags are answered at once

    try:
        listener = bind(settings)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "No name of a host is written so"
        parser.error(f"cannot listen on {settings.host} port {settings.port}: {why}.")
    with listener:
        return serve(settings, listener)


def settings_of(argv: Sequence[str]) -> Settings:
    """The flags as settings; exits where one is wrong."""
    parser = _parser()
    flags = parser.parse_args(argv)
    if flags.token_file and flags.no_auth:
        parser.error("--token-file and --no-auth exclude each other: give one of them.")
    if not (is_loopback(flags.host) or flags.token_file or flags.no_auth):
        parser.error(UNPROTECTED.format(host=flags.host))
    try:
        tokens = read_tokens(flags.token_file) if flags.token_file else None
    except TokenProblem as problem:
        parser.error(f"{problem}.")
    return Settings(
        host=flags.host,
        port=flags.port,
        workers=flags.workers,
        tokens=tokens,
        allowed_hosts=tuple(flags.allowed_host),
        allowed_origins=tuple(flags.allowed_origin),
        logs_requests=not flags.no_request_log,
    )


def _parser() -> Parser:
    parser = Parser(
        prog="inferplan http",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", type=address, default="127.0.0.1", help="address to listen on (127.0.0.1: this machine alone)")
    add("--port", type=_whole(0, 65535), default=8000, help="port (8000); 0 takes a free one and logs it")
    add("--workers", type=_whole(1, MOST_WORKERS), default=1, help="processes (1); one that dies is replaced")
    add("--token-file", type=Path, metavar="FILE", help="file of bearer tokens, one a line; a caller needs one")
    add("--no-auth", action="store_true", help="listen beyond this machine without tokens")
    add(
        "--allowed-host",
        type=_saying_why(host_name),
        action="append",
        default=[],
        metavar="HOST",
        help="a Host that clients use, NAME or NAME:PORT; once for each",
    )
    add(
        "--allowed-origin",
        type=_saying_why(origin),
        action="append",
        default=[],
        metavar="ORIGIN",
        help="an origin whose pages may ask (CORS), such as https://chat.example; once for each",
    )
    add("--no-request-log", action="store_true", help="log no line for each request")
    return parser


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A flag's whole number within bounds."""

    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f'takes a whole number from {least} to {most}; got "{text}"')

    return parse


def _saying_why(check: Callable[[str], str]) -> Callable[[str], str]:
    """A check whose ValueError argparse prints as it is worded."""

    def parse(text: str) -> str:
        try:
            return check(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return parse
