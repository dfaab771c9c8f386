"""Request bodies read whole before they are passed on, and requests ended when the client disconnects."""

import asyncio
from collections.abc import Mapping

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferplan.server.http.gate import refusal
from inferplan.server.http.message import objection
from inferplan.server.http.watch import WHOLE

LARGEST_BODY = 2**20
"""Bytes of a request: the longest argument, a config.json of 256 KB, many characters escaped, and much air."""

_TOO_LARGE = f"A request takes at most {LARGEST_BODY:,} bytes."


class Whole:
    """Reads a request to its end first, and ends its handling when the client disconnects.

    Computing an answer that cannot be delivered would delay those of other clients.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a whole request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body = bytearray() if _declared(scope) > LARGEST_BODY else await _read(receive)
        if body is None:
            return None
        if max(len(body), _declared(scope)) > LARGEST_BODY:
            return await refusal(413, _TOO_LARGE, _end(scope))(scope, receive, send)
        text = body.decode("utf-8", errors="replace")
        wrong = objection(text, scope)
        if wrong:
            return await wrong(scope, receive, send)
        scope[WHOLE] = True
        with anyio.CancelScope() as answering:
            watching = asyncio.create_task(_until_left(receive, answering))  # a task group takes ten times as long
            try:
                await self._app(scope, heard(text.encode()), send)
            finally:
                watching.cancel()
        return None


def heard(body: bytes) -> Receive:
    """A body that was read whole, as ASGI messages; after it, a wait without end."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not whole:
            await anyio.sleep_forever()
        return whole.pop()

    return receive


async def _until_left(receive: Receive, answering: anyio.CancelScope) -> None:
    """Wait for the client to disconnect, and end the handling of its request then."""
    while (await receive())["type"] == "http.request":
        pass
    answering.cancel()


async def _read(receive: Receive) -> bytearray | None:
    """A body, to its end or just over the limit; None where the client disconnected."""
    body, more = bytearray(), True
    while more and len(body) <= LARGEST_BODY:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _end(scope: Scope) -> Mapping[str, str]:
    """Close the connection after a body that is too large, but not while it arrives: the answer would be lost."""
    return {"Connection": "close"} if "expect" in Headers(scope=scope) else {}


def _declared(scope: Scope) -> int:
    """The length that a request says it has. [B]"""
    text = Headers(scope=scope).get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
