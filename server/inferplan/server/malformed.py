"""Lines that are no message of the protocol: what is wrong with them, as an error of JSON-RPC.

The SDK drops such a line, and a client that made a slip waits for ever.
"""

from collections.abc import Mapping
from typing import Any, cast

from mcp.types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError
from pydantic_core import from_json

from inferplan.server.words import shown

_NOT_JSON = "this line is not JSON; a message is one JSON object on one line."
_WHOLE = {"missing": 2, "model_type": 1, "model_attributes_type": 1}
"""Errors of a union that carry the whole message as their input, and the depth at which they do."""


class OddIdError(ValueError):
    """A request whose id is neither a text nor a whole number, which the SDK takes for a notification."""

    def __init__(self, id_: object) -> None:
        super().__init__(f"`id` takes a text or a whole number; got {shown(id_)}.")


def check_id(line: str) -> None:
    """Raise `OddIdError` where a line that was read as a notification has an id."""
    message: Mapping[str, Any] = from_json(line) if '"id"' in line else {}
    if "id" in message:
        raise OddIdError(message["id"])


def refusal(error: Exception) -> JSONRPCError | None:
    """The reply to a line that could not be read; None where no reply is due, as to a response."""
    if isinstance(error, OddIdError):
        return _reply(INVALID_REQUEST, str(error))
    if not isinstance(error, ValidationError):
        return None
    details = error.errors(include_url=False, include_context=False)
    if details[0]["type"] == "json_invalid":
        blank = not str(details[0]["input"]).strip()
        return None if blank else _reply(PARSE_ERROR, _NOT_JSON)
    whole = next((one["input"] for one in details if _WHOLE.get(one["type"]) == len(one["loc"])), None)
    if not isinstance(whole, dict):
        return _reply(INVALID_REQUEST, f"a message is one JSON object on one line; got {shown(whole)}.")
    message = cast("dict[str, Any]", whole)
    asks = not {"result", "error"} & message.keys()
    return _reply(INVALID_REQUEST, _problem(message), message.get("id")) if asks else None


def _problem(message: Mapping[str, Any]) -> str:
    """What is wrong with a request or notification, in one sentence."""
    if message.get("jsonrpc") != "2.0":
        return f'`jsonrpc` takes "2.0"; got {shown(message.get("jsonrpc"))}.'
    if not isinstance(message.get("method"), str):
        return f"`method` takes the name of a method in quotes; got {shown(message.get('method'))}."
    return f'`params` takes one JSON object, like {{"name": value}}; got {shown(message.get("params"))}.'


def _reply(code: int, message: str, id_: object = None) -> JSONRPCError:
    """The error, to the request if its id can be told."""
    known = id_ if isinstance(id_, str | int) and not isinstance(id_, bool) else None
    return JSONRPCError(jsonrpc="2.0", id=known, error=ErrorData(code=code, message=message))
