"""Bodies that are no message of the protocol: told so in the words of stdio, before the SDK has its own."""

from mcp.types import JSONRPCError
from starlette.responses import Response
from starlette.types import Scope

from inferplan.server import malformed
from inferplan.server.http.gate import ENDPOINT, refusal

_NOTHING_ASKED = "A request is one JSON object that asks something; this one asks nothing."


def objection(text: str, scope: Scope) -> Response | None:
    """What the sender of this body is told instead of an answer, if anything is wrong with it."""
    if scope["path"] != ENDPOINT or scope["method"] != "POST":
        return None
    message = malformed.read(text)
    return _told(malformed.refusal(message)) if isinstance(message, Exception) else None


def _told(error: JSONRPCError | None) -> Response:
    """The error as a response. Over HTTP one is due also where a line would get no reply."""
    if error is None:
        return refusal(400, _NOTHING_ASKED)
    return Response(error.model_dump_json(by_alias=True, exclude_unset=True), 400, media_type="application/json")
