"""Serving over stdio: without threads where the operating system allows it, and to the last answer.

The SDK reads and writes stdio in worker threads, which doubles the time of a small call, and cancels what it is
still answering when the input ends. Here the end of the input waits for the answers, so that `printf ... |
inferplan` gets a reply to every line; and pipes are read and written by the event loop itself.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.dispatcher import as_request_id, coerce_request_id
from mcp.shared.message import SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from inferplan.server.front import Front
from inferplan.server.malformed import refusal
from inferplan.server.pipes import Lines, LinesBehindFront, Message, Retold, Written, opened
from inferplan.server.wire import Wire, are_pipes

GRACE_S = 20.0
"""How long the end of the input waits for answers that may never come; a model hub may take 15 s."""

_Id = tuple[type, RequestId]


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

    _wire: Wire | None = None
    _front: Front | None = None

    def take_over(self, wire: Wire, front: Front) -> None:
        """Serve these pipes from where the front has come to; it goes on answering what it can."""
        front.hand_over()
        self._wire, self._front = wire, front

    async def run_stdio_async(self) -> None:
        """Serve stdin and stdout until the input ends and the last answer is out."""
        questions = _OpenQuestions()
        async with self._streams(questions) as (read, write):
            answers = _Answers(write, questions)
            await self._lowlevel_server.run(
                _Questions(read, questions, answers),
                answers,
                self._lowlevel_server.create_initialization_options(),
            )

    @asynccontextmanager
    async def _streams(self, questions: "_OpenQuestions") -> AsyncGenerator[tuple[Source, Sink]]:
        """Where messages come from and go to."""
        if self._wire is None and not are_pipes():
            async with stdio_server() as streams:
                yield streams
            return
        wire = self._wire or Wire()
        async with opened(wire) as (incoming, writer):
            written = Written(writer)
            if self._front is None:
                yield Lines(incoming), written
            else:
                retold = Retold(self._front, written)
                yield LinesBehindFront(incoming, written, self._front, retold, busy=questions.any_left), retold


class _OpenQuestions:
    """Ids of requests that have no answer yet, with their types: 1 is not "1", though the SDK takes it for that."""

    def __init__(self) -> None:
        self._ids: dict[RequestId, list[_Id]] = {}
        self._mistakable: set[RequestId] = set()
        self._changed = anyio.Event()

    def hear(self, message: JSONRPCMessage) -> bool:
        """Note a message that came in. Whether the SDK is to hear it: a cancellation only of what it will not mistake.

        Of the others there is nothing to cancel, or the SDK might leave another request without an answer.
        """
        if isinstance(message, JSONRPCRequest):
            self._asked(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            id_ = as_request_id((message.params or {}).get("requestId"))
            return id_ is not None and coerce_request_id(id_) not in self._mistakable and self._is_over(id_)
        return True

    def answered(self, message: JSONRPCMessage) -> None:
        """Note a message that went out."""
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            self._is_over(message.id)

    def _asked(self, id_: RequestId) -> None:
        alike = self._ids.setdefault(coerce_request_id(id_), [])
        alike.append((type(id_), id_))
        if len(alike) > 1:
            self._mistakable.add(coerce_request_id(id_))

    def _is_over(self, id_: RequestId) -> bool:
        """Forget a request; whether it was open."""
        same = coerce_request_id(id_)
        alike = self._ids.get(same, [])
        if (type(id_), id_) not in alike:
            return False
        alike.remove((type(id_), id_))
        if not alike:
            del self._ids[same]
            self._mistakable.discard(same)
        self._changed.set()
        self._changed = anyio.Event()
        return True

    def any_left(self) -> bool:
        """Whether a request waits for its answer."""
        return bool(self._ids)

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
        while True:
            item = await self._next()
            reply = refusal(item) if isinstance(item, Exception) else None
            if reply:
                await self._answers.refuse(reply)
            elif isinstance(item, Exception) or self._questions.hear(item.message):
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
            self._questions.answered(item.message)

    async def refuse(self, reply: JSONRPCError) -> None:
        """Answer what is no message; a request that has the same id still waits."""
        await self._inner.send(SessionMessage(reply))

    async def __aenter__(self) -> "_Answers":
        return self
