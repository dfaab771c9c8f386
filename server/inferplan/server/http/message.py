"""Requests that the SDK would misread, or refuse without a message, answered before they reach it."""

from typing import cast

from mcp.server.streamable_http import check_accept_headers
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import SessionMessage
from mcp.types import (
    HEADER_MISMATCH,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
)
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from inferplan.server import batch, malformed
from inferplan.server.http.gate import ENDPOINT, refusal

_ENCODED = "A request is read as it is: send it without Content-Encoding."
_NO_JSON = "A request is JSON: send it with the header `Content-Type: application/json`."
_OTHER_ANSWER = "Answers are JSON: send the header `Accept: application/json, text/event-stream`."
_NOTHING_ASKED = "A request is one JSON object that asks something; this one asks nothing."
_MISMATCH = f"{MCP_PROTOCOL_VERSION_HEADER} header does not match the request envelope's protocol version"


BATCH = "inferplan.batch"
"""The key in the scope of a batch for its messages (see `batches`)."""


def objection(text: str, scope: Scope) -> Response | None:
    """The error for this request, None where nothing is wrong with it."""
    if scope["path"] != ENDPOINT or scope["method"] != "POST":
        return None
    other = _in_other_media(Request(scope))
    if other:
        return other
    headers, read = Headers(scope=scope), malformed.read(text)
    if isinstance(read, SessionMessage):
        wrong = mismatch(read.message, headers)
    elif (messages := malformed.list_in(read)) is not None and _has_batches(headers):
        wrong, scope[BATCH] = batch.objection(messages), messages
    else:
        return _error(malformed.refusal(read, of="body"))
    return _error(wrong) if wrong else None


def mismatch(message: JSONRPCMessage, headers: Headers) -> JSONRPCError | None:
    """The error for a request that names another revision than its header."""
    if not isinstance(message, JSONRPCRequest) or not _contradicts(message, headers):
        return None
    return JSONRPCError(jsonrpc="2.0", id=message.id, error=ErrorData(code=HEADER_MISMATCH, message=_MISMATCH))


def _has_batches(headers: Headers) -> bool:
    """Whether a request is of the revision that has batches, which one without the header is, by 2025-06-18."""
    return headers.get(MCP_PROTOCOL_VERSION_HEADER, malformed.BATCHES) == malformed.BATCHES


def _in_other_media(request: Request) -> Response | None:
    """The error for a client that sends or accepts something else than JSON."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        return refusal(415, _ENCODED, {"Accept-Encoding": "identity"})
    if request.headers.get("content-type", "").partition(";")[0].partition(",")[0].strip() != "application/json":
        return refusal(415, _NO_JSON)
    takes_json, _ = check_accept_headers(request)
    return None if takes_json else refusal(406, _OTHER_ANSWER)


def _contradicts(request: JSONRPCRequest, headers: Headers) -> bool:
    """Whether a request names one revision, and its header another one or none.

    The SDK reads the header alone, and would answer in a revision that the client does not use.
    """
    meta = (request.params or {}).get("_meta")
    envelope = cast("dict[str, object]", meta) if isinstance(meta, dict) else {}
    header = headers.get(MCP_PROTOCOL_VERSION_HEADER)
    return PROTOCOL_VERSION_META_KEY in envelope and envelope[PROTOCOL_VERSION_META_KEY] != header


def _error(error: JSONRPCError | None) -> Response:
    """The error as a response. Over HTTP one is due also where a line would get no reply."""
    if error is None:
        return refusal(400, _NOTHING_ASKED)
    return Response(error.model_dump_json(by_alias=True, exclude_unset=True), 400, media_type="application/json")
