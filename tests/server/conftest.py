"""Servers as processes, which end with the test that started them, or with the last of the module's tests."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from stdio_server import Wire, start

Connect = Callable[..., Wire]


def kept(stack: ExitStack, *command: str) -> "subprocess.Popen[str]":
    """A process that ends with the stack."""
    process = stack.enter_context(start(*command))
    stack.callback(process.kill)
    return process


SERVER = ("-m", "inferplan.server")


@pytest.fixture
def flags() -> tuple[str, ...]:
    """How the server is started; a module of tests may start it in several ways."""
    return ()


@pytest.fixture
def connect(flags: tuple[str, ...]) -> Iterator[Connect]:
    """Start a server, or that of a script, and open a session of a protocol version."""
    with ExitStack() as stack:

        def connect_to(version: str, *command: str) -> Wire:
            return Wire(kept(stack, *(command or SERVER), *flags), version)

        yield connect_to


@pytest.fixture(scope="module")
def servers() -> Iterator[Connect]:
    """Servers by what they speak and their flags, each started once for all tests of a module."""
    with ExitStack() as stack:
        wires: dict[tuple[str, ...], Wire] = {}

        def standing(version: str, *flags: str) -> Wire:
            if (version, *flags) not in wires:
                wires[version, *flags] = Wire(kept(stack, *SERVER, *flags), version)
            return wires[version, *flags]

        yield standing


@pytest.fixture
def standing(servers: Connect, flags: tuple[str, ...]) -> Connect:
    """A server that speaks a protocol version, for tests that leave it as it was."""
    return lambda version: servers(version, *flags)


@pytest.fixture
def process() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a server without opening a session."""
    with ExitStack() as stack:
        yield lambda *command: kept(stack, *(command or SERVER))
