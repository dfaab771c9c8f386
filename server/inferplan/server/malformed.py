"""Lines that are no message of the protocol: what is wrong with them, as an error of JSON-RPC.

The SDK drops such a line, and its client would wait for ever.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard, cast

from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

from inferplan.server.unreadable import UnreadableError
from inferplan.server.words import shown

_WHOLE = {"missing": 2, "model_type": 1, "model_attributes_type": 1}
"""Errors of a union that carry the whole message as their input, and the depth at which they do."""

BATCHES = "2025-03-26"
"""The one revision of the protocol in which a list of messages is one too (see `batch`)."""

Text = Literal["line", "body", "element"]
_IS: Mapping[Text, str] = {
    "line": "a message is one JSON object on one line",
    "body": "a message is one JSON object",
    "element": "a message of a batch is one JSON object",
}
"""What a message is where it comes as a line, as the body of a request, or as one of a list."""
_ELSEWHERE = f"a list: batches are of revision {BATCHES} alone"


class OddIdError(UnreadableError):
    """A request whose id is neither a text nor a whole number, which the SDK takes for a notification."""

    def __init__(self, id_: object) -> None:
        super().__init__(f"`id` takes a text or a whole number; got {shown(id_)}.")


def read(line: str) -> SessionMessage | Exception:
    """The message on a line, or why there is none."""
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        if isinstance(message, JSONRPCNotification):
            _check_id(line)
    except (ValidationError, OddIdError) as error:
        return error
    return SessionMessage(message)


def read_element(element: object) -> SessionMessage | Exception:
    """The message that a part of a list is, or why it is none."""
    try:
        message = jsonrpc_message_adapter.validate_python(element, by_name=False)
        if isinstance(message, JSONRPCNotification):
            _has_no_id(cast("dict[str, Any]", element))
    except (ValidationError, OddIdError) as error:
        return error
    return SessionMessage(message)


def list_in(error: Exception) -> list[object] | None:
    """The list that came where one message should be; None where it was something else."""
    whole = _whole(error) if isinstance(error, ValidationError) else None
    return cast("list[object]", whole) if isinstance(whole, list) else None


def _check_id(line: str) -> None:
    """Raise `OddIdError` where a line that was read as a notification has an id."""
    if '"id"' in line:
        _has_no_id(from_json(line))


def _has_no_id(notification: Mapping[str, Any]) -> None:
    if "id" in notification:
        raise OddIdError(notification["id"])


def refusal(error: Exception, of: Text = "line") -> JSONRPCError | None:
    """The reply to a text that could not be read; None where no reply is due, as to a response."""
    if isinstance(error, UnreadableError):
        return _reply(INVALID_REQUEST, str(error))
    if not isinstance(error, ValidationError):
        return None
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return _not_json(str(first["input"]), first["msg"], of)
    whole = _whole(error)
    if not isinstance(whole, dict):
        is_batch = isinstance(whole, list) and of != "element"
        got = _ELSEWHERE if is_batch else shown(cast("object", whole))
        return _reply(INVALID_REQUEST, f"{_IS[of]}; got {got}.")
    message = cast("dict[str, Any]", whole)
    asks = not {"result", "error"} & message.keys()
    return _reply(INVALID_REQUEST, _problem(message), message.get("id")) if asks else None


def _whole(error: ValidationError) -> object:
    """What came as a message."""
    details = error.errors(include_url=False, include_context=False)
    return next((one["input"] for one in details if _WHOLE.get(one["type"]) == len(one["loc"])), None)


def _not_json(text: str, why: str, of: Text) -> JSONRPCError | None:
    """The reply to a text that is not JSON, or only to a lenient parser; None to a blank line."""
    reason = why.removeprefix("Invalid JSON: ")
    return _reply(PARSE_ERROR, f"this {of} is not JSON ({reason}); {_IS[of]}.", _id_of(text)) if text.strip() else None


def _id_of(text: str) -> object:
    """The id in a text that a lenient parser can read, as one with half of a surrogate pair in it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found).get("id") if isinstance(found, dict) else None


def _problem(message: Mapping[str, Any]) -> str:
    """What is wrong with a request or notification, in one sentence."""
    if message.get("jsonrpc") != "2.0":
        return f'`jsonrpc` takes "2.0"; got {shown(message.get("jsonrpc"))}.'
    if not isinstance(message.get("method"), str):
        return f"`method` takes the name of a method in quotes; got {shown(message.get('method'))}."
    return f'`params` takes one JSON object, like {{"name": value}}; got {shown(message.get("params"))}.'


def _reply(code: int, message: str, id_: object = None) -> JSONRPCError:
    """The error, with the id of the request where that can be read."""
    return JSONRPCError(jsonrpc="2.0", id=id_ if _is_id(id_) else None, error=ErrorData(code=code, message=message))


def _is_id(value: object) -> TypeGuard[str | int]:
    """Whether an id can be written back: a whole number, or a text without half of a surrogate pair."""
    if isinstance(value, str):
        return value == value.encode(errors="ignore").decode()
    return isinstance(value, int) and not isinstance(value, bool)
