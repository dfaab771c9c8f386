"""Plain messages: those that can be answered without the SDK exactly as the SDK would.

A message that is not plain need not be wrong: it is left to the SDK.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

DEEPEST = 64
"""Objects and lists within each other; the SDK refuses 200."""
LARGEST_ID = 2**53
"""Ids from here on are not the same number to every JSON parser."""

Object = Mapping[str, Any]

_RESERVED = "io.modelcontextprotocol/"
_VERSION, _CAPABILITIES, _CLIENT = (_RESERVED + key for key in ("protocolVersion", "clientCapabilities", "clientInfo"))
_TRACES = {"traceparent", "tracestate", "baggage"}
_SETTINGS = {"experimental", "extensions"}
_NAMES = {"name", "version", "title", "description", "websiteUrl"}


def message_of(line: bytes) -> Object | None:
    r"""A request or notification of JSON-RPC, or None.

    >>> message_of(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
    {'jsonrpc': '2.0', 'id': 1, 'method': 'ping'}
    >>> message_of(b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}'), message_of(b"hello")
    (None, None)
    """
    if b"\\u" in line:  # may be half of a character, which parsers read in different ways
        return None
    try:
        found = _STRICT.decode(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not {"jsonrpc", "method"} <= found.keys() <= {
        "jsonrpc",
        "id",
        "method",
        "params",
    }:
        return None
    message = cast("Object", found)
    plain = _is_shallow(message, line) and isinstance(message["method"], str) and _are_params(message.get("params", {}))
    return message if plain and message["jsonrpc"] == "2.0" and _is_id(message.get("id", 0)) else None


def handshake(params: Object) -> str | None:
    """The revision that an `initialize` asks for, or None.

    >>> handshake({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}})
    '2025-11-25'
    >>> handshake({"protocolVersion": "2025-11-25"})
    """
    if set(params) != {"protocolVersion", "capabilities", "clientInfo"}:
        return None
    plain = _are_capabilities(params["capabilities"]) and _is_client(params["clientInfo"])
    return params["protocolVersion"] if plain and isinstance(params["protocolVersion"], str) else None


def envelope(meta: Object) -> str | None:
    """The revision that a request's own `_meta` names, or None.

    >>> envelope({_VERSION: "2026-07-28", _CAPABILITIES: {}})
    '2026-07-28'
    >>> envelope({"progressToken": 1})
    """
    plain = _are_capabilities(meta.get(_CAPABILITIES)) and (_CLIENT not in meta or _is_client(meta[_CLIENT]))
    return meta[_VERSION] if plain and isinstance(meta.get(_VERSION), str) else None


def beside_envelope(meta: Object) -> Object:
    """What else there is in `_meta`.

    >>> beside_envelope({_VERSION: "2026-07-28", _CAPABILITIES: {}, "progressToken": 1})
    {'progressToken': 1}
    """
    return {name: value for name, value in meta.items() if name not in (_VERSION, _CAPABILITIES, _CLIENT)}


def is_without_effect(others: Object) -> bool:
    """Whether none of this in `_meta` changes how a call that reports no progress is answered.

    >>> (
    ...     is_without_effect({"progressToken": 1, "com.example/trace": "x"}),
    ...     is_without_effect({"traceparent": "00-1-2-01"}),
    ... )
    (True, False)
    """
    unreserved = not any(name in _TRACES or name.startswith(_RESERVED) for name in others)
    return unreserved and _is_id(others.get("progressToken", 0))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated keys."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(constant: str) -> float:
    raise ValueError(constant)


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)


def _is_shallow(message: Object, line: bytes) -> bool:
    """Whether what follows may go through a message level by level; a line with few brackets need not be looked at."""
    return line.count(b"{") + line.count(b"[") <= DEEPEST or _has_levels(message, DEEPEST)


def _has_levels(node: object, left: int) -> bool:
    """Whether there are at most so many levels.

    >>> _has_levels({"a": [1, {}]}, 3), _has_levels({"a": [1, {}]}, 2)
    (True, False)
    """
    if isinstance(node, dict):
        held = list(cast("Object", node).values())
    elif isinstance(node, list):
        held = cast("list[object]", node)
    else:
        return True
    return left > 0 and all(_has_levels(inner, left - 1) for inner in held)


def _are_params(value: object) -> bool:
    return isinstance(value, dict) and isinstance(cast("Object", value).get("_meta", {}), dict)


def _is_id(value: object) -> bool:
    """Whether every JSON writer writes this id in the same way."""
    if isinstance(value, str):
        return value.isascii() and value.isprintable()
    return type(value) is int and 0 <= value < LARGEST_ID


def _is_client(info: object) -> bool:
    """Whether the client's info has its name and version, and nothing but texts."""
    if not isinstance(info, dict) or not {"name", "version"} <= info.keys() <= _NAMES:
        return False
    return all(isinstance(value, str) for value in cast("Object", info).values())


def _are_capabilities(value: object) -> bool:
    """Whether the client's capabilities are objects alone, except for settings and the one flag that there is."""
    return isinstance(value, dict) and all(_is_capability(*said) for said in cast("Object", value).items())


def _is_capability(name: str, value: object) -> bool:
    if not isinstance(value, dict):
        return False
    said = cast("Object", value)
    return all(isinstance(part, dict) for part in said.values()) if name in _SETTINGS else _are_flags(said)


def _are_flags(node: Object) -> bool:
    """Whether there are objects all the way down, and `listChanged` is true or false."""
    return all(
        isinstance(value, bool)
        if name == "listChanged"
        else isinstance(value, dict) and _are_flags(cast("Object", value))
        for name, value in node.items()
    )
