"""Serving over stdio: without threads where the operating system allows it, and to the last answer.

The SDK reads and writes stdio in worker threads, which doubles the time of a small call, and cancels what it is
still answering when the input ends. Here the end of the input waits for the answers, so that `printf ... |
inferplan` gets a reply to every line; and pipes are read and written by the event loop itself.
"""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from inferplan.server.malformed import read, refusal

GRACE_S = 20.0
"""How long the end of the input waits for answers that may never come; a model hub may take 15 s."""
LONGEST_LINE = 2**30
"""Bytes of one message; memory is only taken for what comes."""

Message = SessionMessage | Exception


class Source(Protocol):
    """Where messages come from."""

    async def receive(self) -> Message:
        """The next message; raises `anyio.EndOfStream` where there are no more."""
        ...

    async def aclose(self) -> None:
        """Stop."""
        ...


class Sink(Protocol):
    """Where messages go."""

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message."""
        ...

    async def aclose(self) -> None:
        """Stop."""
        ...


class StdioServer(MCPServer[Any]):
    """An `MCPServer` that answers everything it was asked before it ends."""

    async def run_stdio_async(self) -> None:
        """Serve stdin and stdout until the input ends and the last answer is out."""
        async with _pipes() if _are_pipes() else stdio_server() as (read, write):
            open_questions = _OpenQuestions()
            answers = _Answers(write, open_questions)
            await self._lowlevel_server.run(
                _Questions(read, open_questions, answers),
                answers,
                self._lowlevel_server.create_initialization_options(),
            )


def _are_pipes() -> bool:
    """Whether the event loop can wait for both ends: pipes or sockets, and not on Windows."""
    modes = [os.fstat(descriptor).st_mode for descriptor in (0, 1)]
    return sys.platform != "win32" and all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes)


@asynccontextmanager
async def _pipes() -> AsyncGenerator[tuple[Source, Sink]]:
    """Stdin and stdout as the event loop reads and writes them.

    Meanwhile descriptor 0 is empty and descriptor 1 leads to stderr, so that nothing else gets at the wire.
    """
    wire_in, wire_out = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    coming, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), open(wire_in, "rb", 0))  # noqa: PTH123, SIM115 - a descriptor, which the transport closes
    going, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, open(wire_out, "wb", 0))  # noqa: PTH123, SIM115 - the same
    going.set_write_buffer_limits(high=0)
    writer = asyncio.StreamWriter(going, protocol, None, loop)
    try:
        yield _Lines(reader), _Written(writer)
    finally:
        coming.close()
        writer.close()


class _Lines:
    """Messages, a line each."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def receive(self) -> Message:
        line = await self._reader.readline()
        if not line:
            raise anyio.EndOfStream
        return read(line.decode("utf-8", errors="replace"))

    async def aclose(self) -> None:
        """Nothing to do: the transport is closed with the server."""


class _Written:
    """Messages, a line each."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, item: SessionMessage, /) -> None:
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._writer.write(text.encode() + b"\n")
        try:
            await self._writer.drain()
        except ConnectionError as gone:
            raise anyio.BrokenResourceError from gone

    async def aclose(self) -> None:
        """Nothing to do: the transport is closed with the server."""


class _OpenQuestions:
    """Ids of requests that have no answer yet."""

    def __init__(self) -> None:
        self._ids: set[str | int] = set()
        self._changed = anyio.Event()

    def note(self, message: object) -> None:
        """A message that came in or went out."""
        if isinstance(message, JSONRPCRequest):
            self._ids.add(message.id)
        elif isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            self._ids.discard(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._ids.discard((message.params or {}).get("requestId", ""))
        self._changed.set()
        self._changed = anyio.Event()

    async def none_left(self) -> None:
        """Wait until every request is answered, but not for ever."""
        with anyio.move_on_after(GRACE_S):
            while self._ids:
                await self._changed.wait()


class _Stream:
    """What the two sides have in common: they close with the stream they wrap."""

    def __init__(self, inner: Any, questions: _OpenQuestions) -> None:
        self._inner = inner
        self._questions = questions

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


class _Questions(_Stream):
    """What comes in. The end comes after the last answer; what is no message is answered here."""

    def __init__(self, inner: Any, questions: _OpenQuestions, answers: "_Answers") -> None:
        super().__init__(inner, questions)
        self._answers = answers

    @property
    def last_context(self) -> Any:
        """The context that the SDK hands on with a message."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Message:
        item = await self._next()
        while isinstance(item, Exception) and (reply := refusal(item)):
            await self._answers.send(SessionMessage(reply))
            item = await self._next()
        self._questions.note(getattr(item, "message", None))
        return item

    async def _next(self) -> Message:
        try:
            return await self._inner.receive()
        except anyio.EndOfStream:
            await self._questions.none_left()
            raise

    def __aiter__(self) -> "_Questions":
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> "_Questions":
        return self


class _Answers(_Stream):
    """What goes out."""

    async def send(self, item: SessionMessage, /) -> None:
        try:
            await self._inner.send(item)
        finally:
            self._questions.note(item.message)

    async def __aenter__(self) -> "_Answers":
        return self
