"""Access control: requests need an allowed Host, Origin and token; any other is answered with what is missing."""

from collections.abc import Collection, Mapping

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.types import INVALID_REQUEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from inferplan.server.http.tokens import is_known, token_of

ENDPOINT = "/mcp"
OPEN = "/health"
"""The path for health probes, which have no token and use an address as Host."""
METRICS = "/metrics"
PATHS = frozenset({ENDPOINT, OPEN, METRICS})
"""All there are."""

_SENTENCES = {
    421: "This server does not answer under the Host of this request; whoever runs it allows one with --allowed-host.",
    403: "Pages of this Origin may not ask this server; whoever runs it allows one with --allowed-origin.",
}


class Gate:
    """Passes on requests with an allowed Host, Origin and token."""

    def __init__(
        self, app: ASGIApp, *, security: TransportSecuritySettings, tokens: Collection[bytes] | None = None
    ) -> None:
        self._app = app
        self._security = TransportSecurityMiddleware(security)
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason."""
        refused = await self._refusal(Request(scope)) if scope["type"] == "http" and scope["path"] != OPEN else None
        await (refused or self._app)(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        """The error for a request that is not allowed, else None."""
        foreign = await self._security.validate_request(request)
        if foreign:
            return stranger(foreign.status_code)
        locked_out = None if self._tokens is None else _without_token(request, self._tokens)
        return locked_out or _elsewhere(request) or _without_post(request)


def stranger(status: int) -> Response:
    """The error for a Host that is not allowed (421), or a page of an Origin that is not (403)."""
    return refusal(status, _SENTENCES[status])


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """A protocol error that belongs to no request."""
    error = {"code": INVALID_REQUEST, "message": sentence}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status, headers)


def _elsewhere(request: Request) -> Response | None:
    """The error for a path that does not exist, as where the address was given without its path."""
    return None if request.url.path in PATHS else refusal(404, f"Nothing is here: MCP is asked at {ENDPOINT}.")


def _without_post(request: Request) -> Response | None:
    """The error for opening a stream or ending a session: the server is stateless, and has neither."""
    if request.url.path != ENDPOINT or request.method == "POST":
        return None
    return refusal(405, "Ask with POST: there are no sessions here, and no streams.", {"Allow": "POST"})


def _without_token(request: Request, tokens: Collection[bytes]) -> Response | None:
    """The error for a request without an allowed token."""
    token = token_of(request.headers.get("authorization", ""))
    if token is None:
        how = "This server asks for a token: send the header `Authorization: Bearer TOKEN`."
        return refusal(401, how, {"WWW-Authenticate": 'Bearer realm="inferplan"'})
    if not is_known(token, tokens):
        challenge = 'Bearer realm="inferplan", error="invalid_token"'
        return refusal(401, "This token is not one of the server's.", {"WWW-Authenticate": challenge})
    return None
