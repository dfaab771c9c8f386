"""Batches over HTTP: messages are passed on one after the other, and their replies go out as one list."""

from typing import Any

from mcp.types import JSONRPCError
from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferplan.server.batch import message_in
from inferplan.server.http.body import heard
from inferplan.server.http.message import BATCH, mismatch


class Batches:
    """Answers a batch with the application's replies to its messages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a message on, or those of a batch one by one."""
        await (self._app if BATCH not in scope else self._answer)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[object] = scope[BATCH]
        scope.setdefault("state", {})["call"] = {"rpc": "batch", "messages": len(messages)}
        replies = [reply for message in messages if (reply := await self._reply(message, scope))]
        one = Response(b"[%b]" % b",".join(replies), media_type="application/json")
        await (one if replies else Response(status_code=202))(scope, receive, send)

    async def _reply(self, message: object, scope: Scope) -> bytes:
        """The reply to one message; None to a notification."""
        item = message_in(message)
        wrong = item if isinstance(item, JSONRPCError) else item and mismatch(item.message, Headers(scope=scope))
        if wrong:
            return wrong.model_dump_json(by_alias=True, exclude_unset=True).encode()
        if item is None:
            return b""
        said = bytearray()

        async def take(part: Message) -> None:
            said.extend(part.get("body", b""))

        alone: dict[str, Any] = {**scope, "state": {**scope["state"]}}
        await self._app(alone, heard(to_json(message, inf_nan_mode="constants")), take)
        return bytes(said)
