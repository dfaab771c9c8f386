"""Every request is timed, counted and logged, and ended when it takes too long."""

import logging
from collections.abc import Collection
from time import perf_counter
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inferplan.server.http.gate import PATHS, refusal
from inferplan.server.http.log import REQUESTS as REQUEST_LOG
from inferplan.server.http.metrics import CALL_SECONDS, CALLS, REQUEST_SECONDS, REQUESTS
from inferplan.server.http.settings import LONGEST_S

log = logging.getLogger(REQUEST_LOG)

GONE = 499
"""The status of a request whose caller left before it was answered, as nginx logs it."""

HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT", "PATCH"})
MCP_METHODS = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "completion/complete",
    }
)
_TOO_SLOW = "The request was not complete in time."
_TOO_LONG = (
    f"This took longer than {LONGEST_S:.0f} s and was given up: name one `gpu` instead of any, or ask again later."
)
WHOLE = "inferplan.whole"
"""The key in the scope of a request that was read whole."""


class Watch:
    """The outermost layer, which every request and answer passes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note how it went."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = perf_counter(), 0

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            with anyio.move_on_after(LONGEST_S) as patience:
                await self._app(scope, receive, note)
            if patience.cancelled_caught and not status:
                await _given_up(scope)(scope, receive, note)
        finally:
            _note_request(scope, status or GONE, perf_counter() - began)


def _given_up(scope: Scope) -> Response:
    """The error for a request that took too long: whether the client or the server was too slow."""
    if WHOLE in scope:
        return refusal(503, _TOO_LONG)
    return refusal(408, _TOO_SLOW, {"Connection": "close"})


def _note_request(scope: Scope, status: int, seconds: float) -> None:
    """Count and log a request. A path that is none of ours may be anything, so that it is not repeated."""
    path, method = _known(scope["path"], PATHS), _known(scope["method"], HTTP_METHODS)
    REQUESTS.labels(path, method, str(status)).inc()
    REQUEST_SECONDS.labels(path).observe(seconds)
    call: dict[str, str] = scope.get("state", {}).get("call", {})
    fields = {"method": method, "path": path, "status": status, "ms": round(1e3 * seconds, 2), **call}
    log.info("request", extra={"fields": fields})


def note_calls(names: Collection[str]) -> ServerMiddleware[Any]:
    """Middleware that counts MCP requests, and tells the request's log line what was asked for."""

    async def note(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        method, name = _known(ctx.method, MCP_METHODS), _known((ctx.params or {}).get("name", ""), {*names, ""})
        told = {"rpc": method, "name": name, "outcome": "cancelled", "revision": ctx.protocol_version}
        call, began = {key: value for key, value in told.items() if value}, perf_counter()
        if ctx.request is not None:
            ctx.request.state.call = call  # a request that is given up may be logged before its call has ended
        try:
            result = await call_next(ctx)
        except Exception:
            call["outcome"] = "failed"
            raise
        else:
            call["outcome"] = "refused" if _is_error(result) else "answered"
            return result
        finally:
            CALLS.labels(method, name, call["outcome"]).inc()
            CALL_SECONDS.labels(method, name).observe(perf_counter() - began)

    return note


def _known(value: object, values: Collection[str]) -> str:
    """The value if it is one of these: what callers make up must not become a label or a log entry."""
    return value if isinstance(value, str) and value in values else "other"


def _is_error(result: HandlerResult) -> bool:
    """Whether a tool's result, as it is sent, is an error."""
    return isinstance(result, dict) and bool(result.get("isError"))
