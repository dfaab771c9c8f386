"""Serving over stdio: without threads where the operating system allows it, until every request is answered.

The SDK reads and writes stdio in worker threads, which doubles the time of a small call, and cancels what it is
still answering when the input ends. Here the end of the input waits for the answers, so that `printf ... |
inferplan` gets a reply to every line; and pipes are read and written by the event loop itself.
"""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Protocol, cast

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from inferplan.server.batch import Batch, Place, Reply, message_in, objection
from inferplan.server.malformed import BATCHES, list_in, refusal
from inferplan.server.stdio.front import Front
from inferplan.server.stdio.open_questions import OpenQuestions, Question
from inferplan.server.stdio.pipes import Lines, LinesBehindFront, Message, Replay, Written, opened
from inferplan.server.stdio.wire import Wire, are_pipes


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
    """An `MCPServer` that answers every request before it ends."""

    _wire: Wire | None = None
    _front: Front | None = None

    def take_over(self, wire: Wire, front: Front) -> None:
        """Serve these pipes after the front, which goes on answering what it can."""
        front.hand_over()
        self._wire, self._front = wire, front

    async def run_stdio_async(self) -> None:
        """Serve stdin and stdout until the input ends and the last answer is out."""
        questions = OpenQuestions()
        async with self._streams(questions) as (read, write):
            answers = _Answers(write, questions)
            await self._lowlevel_server.run(
                _Questions(read, questions, answers),
                answers,
                self._lowlevel_server.create_initialization_options(),
            )

    @asynccontextmanager
    async def _streams(self, questions: OpenQuestions) -> AsyncGenerator[tuple[Source, Sink]]:
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
                replay = Replay(self._front, written)
                yield LinesBehindFront(incoming, written, self._front, replay, busy=questions.any_left), replay


class _Stream:
    """What the two sides have in common: they close with the stream they wrap."""

    def __init__(self, inner: Any, questions: OpenQuestions) -> None:
        self._inner = inner
        self._questions = questions

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


class _Questions(_Stream):
    """The messages of the client. They end after the last answer; what is no message is answered here."""

    def __init__(self, inner: Any, questions: OpenQuestions, answers: "_Answers") -> None:
        super().__init__(inner, questions)
        self._answers = answers
        self._unpacked = deque[tuple[SessionMessage, Place | None]]()

    @property
    def last_context(self) -> Any:
        """The context that the SDK hands on with a message."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Message:
        while True:
            item, place = self._unpacked.popleft() if self._unpacked else (await self._next(), None)
            if isinstance(item, SessionMessage):
                if self._hears(item, place):
                    return item
            elif (messages := list_in(item)) is not None and await self._has_batches():
                await self._unpack(messages)
            elif reply := refusal(item):
                await self._answers.refuse(reply)
            else:
                return item

    async def _next(self) -> Message:
        try:
            return await self._inner.receive()
        except anyio.EndOfStream:
            await self._questions.none_left()
            raise

    def _hears(self, item: SessionMessage, place: Place | None) -> bool:
        """Record a message; returns whether to pass it on to the SDK, as not every cancellation is."""
        message = item.message
        if isinstance(message, JSONRPCRequest):
            question = self._questions.ask(message, place)
            if place:
                leave_out = partial(self._answers.leave_out, question, place)
                item.metadata = ServerMessageMetadata(on_request_unanswered=leave_out)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            return self._questions.cancels(message)
        return True

    async def _has_batches(self) -> bool:
        """Whether the session is of the revision that has batches, once its handshake is over."""
        await self._questions.no_handshake_left()
        return self._questions.revision == BATCHES

    async def _unpack(self, messages: list[object]) -> None:
        """Read the messages of a batch."""
        problem = objection(messages)
        if problem:
            await self._answers.refuse(problem)
            return
        batch = Batch()
        for number, element in enumerate(messages):
            item = message_in(element)
            if isinstance(item, JSONRPCError):
                batch.settle(number, item)
            elif item:
                asks = isinstance(item.message, JSONRPCRequest)
                self._unpacked.append((item, batch.wait_for(number) if asks else None))
        await self._answers.send_if_whole(batch)

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
    """The messages to the client."""

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message, or put a reply into its place in a batch."""
        message = item.message
        question = self._questions.answered(message) if isinstance(message, JSONRPCResponse | JSONRPCError) else None
        try:
            if question and question.place:
                question.place.take(cast("Reply", message))
                await self.send_if_whole(question.place.batch)
            else:
                await self._inner.send(item)
        finally:
            if question:
                self._questions.close(question)

    async def leave_out(self, question: Question, place: Place) -> None:
        """Leave the position of a cancelled request's reply empty."""
        place.take(None)
        try:
            await self.send_if_whole(place.batch)
        finally:
            self._questions.close(question)

    async def send_if_whole(self, batch: Batch) -> None:
        """Answer a batch once every reply is there."""
        replies = batch.replies()
        if replies:
            await self._inner.send(SessionMessage(cast("Any", replies)))

    async def refuse(self, reply: JSONRPCError) -> None:
        """Answer what is no message; a request that has the same id still waits."""
        await self._inner.send(SessionMessage(reply))

    async def __aenter__(self) -> "_Answers":
        return self
