"""Concurrent MCP clients over HTTP that check every byte of every answer.

Clients are few lines of asyncio on raw connections, because on a small machine they take their time from the server.
"""

import asyncio
import json
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from inferplan.server.answer import answer, reach
from inferplan.server.publish import result_of
from inferplan.tools.registry import TOOLS
from varied import another

REVISIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ID = b'"@"'


@dataclass(frozen=True, kw_only=True)
class Question:
    """A call of a tool in a revision of the protocol, and the result that it has to have."""

    name: str
    revision: str
    head: bytes
    body: bytes
    result: dict[str, Any]

    def request(self, number: int) -> bytes:
        """The bytes of the request, with this id."""
        body = self.body.replace(ID, b"%d" % number)
        return self.head % len(body) + body


@dataclass(kw_only=True)
class Figures:
    """The result of a run: seconds of each right answer, and what else was received.

    An answer that is cut in the middle is past a proxy's help; its client asks again.
    """

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cut: int = 0
    took: float = 0.0

    def row(self, what: str) -> str:
        """A line of a table."""
        cuts = statistics.quantiles(self.seconds, n=1000) if len(self.seconds) > 1 else [math.nan] * 999
        p50, p95, p99 = (1e3 * cuts[at] for at in (499, 949, 989))
        cells = (
            what,
            f"{len(self.seconds):,}",
            str(len(self.errors)),
            str(self.cut),
            str(len(self.wrong)),
            f"{len(self.seconds) / self.took:,.0f}",
            f"{p50:.0f}",
            f"{p95:.0f}",
            f"{p99:.0f}",
            f"{p99 / p50:.2f}",
        )
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| what | right answers | errors | cut | wrong answers | a second | p50 [ms] | p95 [ms] | p99 [ms] | p99 / p50 |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


VARIANTS = 12
"""Questions to a tool in each revision: so many that none is asked again before a server has forgotten its answer."""


def questions(port: int, *, tools: Sequence[str] = (), token: str = "") -> list[Question]:
    """Many calls of every tool in every revision, with the tool's answer in this process."""
    chosen = [tool for tool in TOOLS if not tools or tool.name in tools]
    to = f"Host: 127.0.0.1:{port}\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
    return [
        _question(to, tool, revision, another(tool.name, number))
        for number, revision in enumerate(REVISIONS * VARIANTS)
        for tool in chosen
    ]


def _question(to: str, tool: Any, revision: str, arguments: Mapping[str, object]) -> Question:
    meta = {"_meta": ENVELOPE} if revision in ENVELOPE.values() else {}
    params = {"name": tool.name, "arguments": arguments, **meta}
    body = json.dumps({"jsonrpc": "2.0", "id": "@", "method": "tools/call", "params": params}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\n{to}Content-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {revision}\r\n"
        f"Mcp-Method: tools/call\r\nMcp-Name: {tool.name}\r\nContent-Length: %d\r\n\r\n"
    )
    result = result_of(answer(lambda: tool, tool.name, arguments, reach(arguments)))
    expected = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Question(name=tool.name, revision=revision, head=head.encode(), body=body, result=expected)


class Load:
    """Clients that ask in turns, each on its own connection, until the time is over."""

    def __init__(self, asked: Sequence[Question], *, port: int) -> None:
        self._asked = asked
        self._port = port
        self._numbers = count(1)
        self._tails: dict[bytes, bytes] = {}
        self.figures = Figures()

    async def run(
        self, *, clients: int, seconds: float, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> Figures:
        """All of them at once, for this long and as long as anything goes on meanwhile."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            beside = group.create_task(_as_coroutine(meanwhile or _nothing))
            for number in range(clients):
                first = number * len(self._asked) // clients
                group.create_task(self._client(first, lambda: beside.done() and time.perf_counter() > began + seconds))
        self.figures.took = time.perf_counter() - began
        return self.figures

    async def _client(self, first: int, is_over: Callable[[], bool]) -> None:
        connection = Connection(self._port)
        for question in self._in_turns(first):
            if is_over():
                break
            await self._ask(connection, question)
        connection.close()

    def _in_turns(self, first: int) -> Iterator[Question]:
        for number in count(first):
            yield self._asked[number % len(self._asked)]

    async def _ask(self, connection: "Connection", question: Question) -> None:
        number = next(self._numbers)
        began = time.perf_counter()
        try:
            status, body = await connection.ask(question.request(number))
        except Cut:
            self.figures.cut += 1
            await self._ask(connection, question)
            return
        except (OSError, EOFError, ValueError) as error:
            connection.close()
            self.figures.errors.append(repr(error))
            return
        if status != 200:
            self.figures.errors.append(f"{status} {body[:200]!r}")
        elif self._is_right(question, number, body):
            self.figures.seconds.append(time.perf_counter() - began)
        else:
            self.figures.wrong.append(f"{question.name} {question.revision}: {body[:300]!r}")

    def _is_right(self, question: Question, number: int, body: bytes) -> bool:
        """Whether this is the answer to this request: the first is compared with the tool's, the next with it."""
        key, head = question.body, b'{"jsonrpc":"2.0","id":%d,' % number
        if key not in self._tails:
            found = json.loads(body)
            result = {name: found["result"].get(name) for name in ("content", "structuredContent")}
            if found["id"] != number or result != {name: question.result.get(name) for name in result}:
                return False
            self._tails[key] = body[len(head) :]
        return body.startswith(head) and body[len(head) :] == self._tails[key]


class Cut(Exception):  # noqa: N818 - no failure of anyone: the server was killed while it spoke
    """The head of an answer came, and not its body."""


class Connection:
    """One kept-alive connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the response."""
        if self._ends is None:
            self._ends = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        reader, writer = self._ends
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        try:
            body = await reader.readexactly(length)
        except (OSError, EOFError):
            self.close()
            raise Cut from None
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        """Close it, if it is open."""
        if self._ends:
            self._ends[1].close()
            self._ends = None


async def _nothing() -> None:
    pass


async def _as_coroutine(function: Callable[[], Awaitable[None]]) -> None:
    await function()
