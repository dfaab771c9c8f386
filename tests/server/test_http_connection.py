"""Connections of `inferplan http` on which nobody asks, or not to the end."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.responses import PlainTextResponse
from uvicorn import Config
from uvicorn.server import ServerState

from inferplan.server.http import connection
from inferplan.server.http.connection import Connection
from inferplan.server.http.serve import KEPT_S

pytestmark = pytest.mark.anyio

ASKED = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE_S = 60
"""A busy machine is no reason to fail."""

Pipes = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(served: Callable[[Connection], object] = id) -> AsyncGenerator[Pipes]:
    """Both ways of a connection to something that answers; `served` is shown the server's end."""
    config = Config(PlainTextResponse("all is well"), timeout_keep_alive=KEPT_S, log_config=None)
    loop = asyncio.get_running_loop()

    def accepted() -> Connection:
        connection = Connection(config, ServerState(), {})
        served(connection)
        return connection

    server = await loop.create_server(accepted, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()


@pytest.mark.parametrize("said", [b"", b"POST /mcp HT", b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_request_that_does_not_come_whole_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, said: bytes
):
    monkeypatch.setattr(connection, "LONGEST_S", 0.05)
    async with connected() as (reader, writer):
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""


async def test_nor_is_the_next_one_on_a_kept_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "LONGEST_S", 0.05)
    async with connected() as (reader, writer):
        writer.write(ASKED)
        assert await reader.readuntil(b"all is well")
        writer.write(ASKED[:-2])
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""


async def test_a_kept_connection_on_which_nobody_asks_outlasts_that_and_the_patience_of_others(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(connection, "LONGEST_S", 0.01)
    assert KEPT_S > 90
    async with connected() as (reader, writer):
        for _ in range(2):
            writer.write(ASKED)
            assert await reader.readuntil(b"all is well")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)


async def test_a_body_that_is_no_http_after_its_answer_ends_the_connection_at_once():
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert await reader.readuntil(b"all is well")
        writer.write(b"zz\r\n")
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""


async def test_of_a_connection_that_has_ended_nothing_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "LONGEST_S", 10 * PATIENCE_S)
    accepted: list[weakref.ref[Connection]] = []
    async with connected(lambda served: accepted.append(weakref.ref(served))) as (reader, writer):
        writer.write(ASKED)
        assert await reader.readuntil(b"all is well")
    async with asyncio.timeout(PATIENCE_S):
        while accepted[0]():
            gc.collect()
            await asyncio.sleep(0)
