"""Batches: lists of messages, which one revision of the protocol has, and whose answers go out as one list.

The SDK reads none. Their messages reach it one by one.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mcp.shared.message import SessionMessage
from mcp.types import INVALID_REQUEST, ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse
from pydantic import RootModel

from inferplan.server import malformed

MOST = 100
"""Messages of a batch: without a limit, a list of nothing would be answered with errors of many times its size."""

Reply = JSONRPCResponse | JSONRPCError


class Replies(RootModel[list[Reply]]):
    """The answer to a batch."""


class Batch:
    """The replies to one batch, in the order of its messages."""

    def __init__(self) -> None:
        self._replies: dict[int, Reply] = {}
        self._open: set[int] = set()

    def wait_for(self, number: int) -> "Place":
        """Expect a reply to the message of this number."""
        self._open.add(number)
        return Place(self, number)

    def settle(self, number: int, reply: Reply | None) -> None:
        """Add the reply to a message, or None where there will be none."""
        self._open.discard(number)
        if reply:
            self._replies[number] = reply

    def replies(self) -> Replies | None:
        """All replies, once; None while one is missing, or where there are none."""
        if self._open or not self._replies:
            return None
        found = Replies([self._replies[number] for number in sorted(self._replies)])
        self._replies.clear()
        return found


class Place(NamedTuple):
    """The position of a reply in its batch."""

    batch: Batch
    number: int

    def take(self, reply: Reply | None) -> None:
        """Put a reply there, or leave the position empty."""
        self.batch.settle(self.number, reply)


def objection(messages: Sequence[object]) -> JSONRPCError | None:
    """The error for an empty batch, or one that is too long."""
    if not messages:
        return _refused("a batch has at least one message; this one is empty.")
    if len(messages) > MOST:
        return _refused(f"a batch has at most {MOST} messages; got {len(messages):,}.")
    return None


def message_in(element: object) -> SessionMessage | JSONRPCError | None:
    """A message of a batch; for anything else, or a handshake, the error to reply, None where no reply is due."""
    item = malformed.read_element(element)
    if isinstance(item, Exception):
        return malformed.refusal(item, of="element")
    message = item.message
    if isinstance(message, JSONRPCRequest) and message.method == "initialize":
        return _refused("`initialize` is sent alone, before any batch.", message)
    return item


def _refused(sentence: str, request: JSONRPCRequest | None = None) -> JSONRPCError:
    error = ErrorData(code=INVALID_REQUEST, message=sentence)
    return JSONRPCError(jsonrpc="2.0", id=request.id if request else None, error=error)
