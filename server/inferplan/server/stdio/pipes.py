"""Pipes as the event loop reads and writes them, without threads: messages of the SDK, a line each.

After a front they start with the opening of the session, which is replayed to the SDK as if the client sent it.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from mcp.shared.message import SessionMessage

from inferplan.server.malformed import read
from inferplan.server.stdio.front import Front
from inferplan.server.stdio.wire import LongLineError, Unread, Wire

log = logging.getLogger(__name__)

Message = SessionMessage | Exception


@asynccontextmanager
async def opened(wire: Wire) -> AsyncGenerator[tuple["Incoming", asyncio.StreamWriter]]:
    """The pipes as the event loop reads and writes them, from what has come of the input already."""
    loop = asyncio.get_running_loop()
    coming, incoming = await loop.connect_read_pipe(lambda: Incoming(wire.unread), open(wire.source, "rb", 0))  # noqa: PTH123, SIM115 - a descriptor, which the transport closes
    going, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, open(wire.sink, "wb", 0))  # noqa: PTH123, SIM115 - the same
    going.set_write_buffer_limits(high=0)
    writer = asyncio.StreamWriter(going, protocol, None, loop)
    try:
        yield incoming, writer
    finally:
        coming.close()
        writer.close()


class Incoming(asyncio.Protocol):
    """Lines as the event loop reads them: not a `StreamReader`, which ends with a line that is too long for it."""

    def __init__(self, unread: Unread) -> None:
        self._unread = unread
        self._source: Any = None
        self._comes = asyncio.Event()
        self._ended = False

    async def line(self) -> bytes:
        """The next line; what is left at the end of the input, and then nothing. Raises `LongLineError`."""
        while (line := self._unread.line()) is None:
            if self._ended:
                return self._unread.rest()
            self._source.resume_reading()
            self._comes.clear()
            await self._comes.wait()
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop begins to read."""
        self._source = transport

    def data_received(self, data: bytes) -> None:
        """The loop has read this."""
        self._unread.take_in(data)
        if self._unread.is_full:
            self._source.pause_reading()
        self._comes.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop gives it
        """The input has ended, in whatever way."""
        self._ended = True
        self._comes.set()


class Lines:
    """Messages, a line each."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    async def receive(self) -> Message:
        """The next message, or what is wrong with a line."""
        try:
            return await self._next()
        except LongLineError as problem:
            return problem

    async def aclose(self) -> None:
        """Nothing to do: the pipes are closed with the server."""

    async def _next(self) -> Message:
        return _message(await self._line())

    async def _line(self) -> bytes:
        line = await self._incoming.line()
        if not line:
            raise anyio.EndOfStream
        return line


class LinesBehindFront(Lines):
    """The same without those that the front answers, after the opening of the session so far.

    Order is kept: while the SDK has requests to answer, every message goes to it.
    """

    def __init__(
        self,
        incoming: Incoming,
        written: "Written",
        front: Front,
        replay: "Replay",
        *,
        busy: Callable[[], bool],
    ) -> None:
        super().__init__(incoming)
        self._written = written
        self._front = front
        self._replay = replay
        self._busy = busy

    async def _next(self) -> Message:
        """The next message that is the SDK's."""
        if self._replay.lines:
            return _message(self._replay.lines.pop(0))
        await self._replay.over.wait()
        while True:
            line = await self._line()
            reply = None if self._busy() else self._front.answer(line)
            if reply is None:
                return _message(line)
            with suppress(anyio.BrokenResourceError):
                await self._written.write(reply)


def _message(line: bytes) -> Message:
    return read(line.decode("utf-8", errors="replace"))


class Written:
    """Messages, a line each."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message."""
        await self.write(_line(item))

    async def write(self, line: bytes) -> None:
        """Write a line."""
        if self._writer.is_closing():
            raise anyio.BrokenResourceError
        self._writer.write(line)
        try:
            await self._writer.drain()
        except ConnectionError as gone:
            raise anyio.BrokenResourceError from gone

    async def aclose(self) -> None:
        """Nothing to do: the pipes are closed with the server."""


def _line(item: SessionMessage) -> bytes:
    return item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


class Replay:
    """The opening of the session, replayed to the SDK; its reply is dropped, as the client has it already."""

    def __init__(self, front: Front, written: Written) -> None:
        self.lines = list(front.opened_with)
        self.over = anyio.Event()
        self._greeting = front.greeting
        self._written = written
        if not self.lines:
            self.over.set()

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message, unless it is the reply that the client has already."""
        if self.over.is_set():
            await self._written.send(item)
            return
        if _line(item) != self._greeting:
            log.error("the SDK opens the session differently than the front did; --no-front leaves it to the SDK")
        self.over.set()

    async def aclose(self) -> None:
        """Nothing to do: the pipes are closed with the server."""
