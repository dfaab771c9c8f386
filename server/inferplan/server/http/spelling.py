"""Paths and headers in one canonical spelling, which later layers compare; a wrong Host or Origin is refused."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from inferplan.server.http.gate import OPEN, PATHS, refusal, stranger
from inferplan.server.http.settings import is_host, is_origin

_IN_ANY_CASE = frozenset({b"host", b"origin", b"content-type", b"accept"})
"""Headers whose capitals mean nothing (RFC 9110: 4.2.3, 8.3.1), and which the SDK compares as they are."""

_TWO_ENDS = "A body ends where Content-Length or where Transfer-Encoding says, not both: another may read it otherwise."
"""RFC 9112, 6.3: a proxy that reads the other header takes what is left for the next client's request."""


class Spelling:
    """Writes requests in lower case where case means nothing.

    The SDK holds whatever follows `localhost:` for a port, and looks at the first of several Origins alone. So what
    is not a host or an origin from its first letter to its last, once, is refused here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on in its canonical spelling, or answer it with an error."""
        refused = _spelt(scope) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, send)


def _spelt(scope: Scope) -> Response | None:
    """Write a request's path and headers in their canonical spelling; returns an error where they have none."""
    path = scope["path"].removesuffix("/")
    scope["path"] = path if path in PATHS else scope["path"]
    scope["headers"] = [(name, value.lower() if name in _IN_ANY_CASE else value) for name, value in scope["headers"]]
    headers = Headers(scope=scope)
    if "accept" not in headers:
        scope["headers"].append((b"accept", b"*/*"))  # RFC 9110, 12.5.1
    if "transfer-encoding" in headers and "content-length" in headers:
        return refusal(400, _TWO_ENDS, {"Connection": "close"})
    status = None if scope["path"] == OPEN else _not_one(headers)
    return stranger(status) if status else None


def _not_one(headers: Headers) -> int | None:
    """The status for a request that does not have one true Host, or has more than one true Origin."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or not is_host(hosts[0]):
        return 421
    return 403 if len(origins) > 1 or not all(map(is_origin, origins)) else None
