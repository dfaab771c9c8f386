"""The opening of a session, its lists and plain calls, answered without the SDK, as the SDK would answer them.

`front.jsonl` has the SDK's own replies, byte by byte: INFERPLAN_UPDATE_GOLDEN=1 rewrites it, and a test compares it
with what the SDK says. Little is imported, and nothing but the standard library: this runs before anything else does.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from inferplan.server.stdio import plain
from inferplan.server.stdio.plain import Object

FILE = __file__.removesuffix(".py") + ".jsonl"
"""The first line has the versions that wrote the file and an index of its lines; then one result a line."""

Call = Callable[[str, Object, Object], bytes | None]
"""The result of a call as JSON, of a tool's name, its arguments and what every result holds in the session's revision;
None where it is not for us to answer."""

_EVERYWHERE = ("resultType", "_meta")


class Baked:
    """The SDK's recorded replies, by revision of the protocol and method."""

    def __init__(self, text: bytes) -> None:
        head, *self._results = text.split(b"\n")
        said: dict[str, Any] = json.loads(head)
        self.made_by: Mapping[str, str] = said["made_by"]
        """The distributions that wrote the replies, and their versions."""
        self._places: Mapping[str, Mapping[str, int]] = said["results"]
        self._of_every_result: dict[str, Object] = {}

    def result(self, revision: str, method: str) -> bytes | None:
        """The result of a method without parameters of its own, as JSON."""
        place = self._places.get(revision, {}).get(method)
        return None if place is None else self._results[place]

    def of_every_result(self, revision: str) -> Object:
        """What every result holds in this revision."""
        if revision not in self._of_every_result:
            greeting: Object = json.loads(self.result(revision, "server/discover") or b"{}")
            self._of_every_result[revision] = {name: greeting[name] for name in _EVERYWHERE if name in greeting}
        return self._of_every_result[revision]


def baked() -> Baked | None:
    """The recorded replies; None where other versions are installed, which might reply otherwise."""
    try:
        with open(FILE, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than all of this to run
            known = Baked(file.read())
    except OSError:
        return None
    found = installed(sys.path)
    return known if all(found.get(name) == version for name, version in known.made_by.items()) else None


def installed(folders: Sequence[str]) -> Mapping[str, str]:
    """Distributions and their versions, by the folders of their metadata; the first on the path counts."""
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - pathlib, as above
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                distribution, _, version = name.removesuffix(".dist-info").partition("-")
                found.setdefault(distribution, version)
    return found


class Front:
    """One session, up to the first message that needs the SDK."""

    def __init__(self, known: Baked, call: Call) -> None:
        self._known = known
        self._call = call
        self._revision: str | None = None
        self._first = True
        self._silent = False
        self.opened_with: list[bytes] = []
        """The lines that opened the session, which the SDK gets again when it takes over: the handshake."""
        self.greeting = b""
        """What the client was answered to the first of these lines."""

    def answer(self, line: bytes) -> bytes | None:
        """The reply to a line: empty where none is due, None where it is the SDK's to answer."""
        message = None if self._silent else plain.message_of(line)
        if message is None:
            return None
        method, params = cast("str", message["method"]), cast("Object", message.get("params", {}))
        if "id" not in message:
            return self._note(line, method, params)
        revision = self._opening(method, params) if self._revision is None else self._session(method, params)
        result = self._result(revision, method, params) if revision else None
        if not revision or result is None:
            return None
        reply = b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (json.dumps(message["id"]).encode(), result)
        if self._revision is None:
            self._revision, self.opened_with, self.greeting = revision, [line], reply
        return reply

    def hand_over(self) -> None:
        """Leave to the SDK whatever is not answered here; a session that is not open yet is left to it as a whole."""
        self._first = False
        self._silent = self._revision is None

    def _note(self, line: bytes, method: str, params: Object) -> bytes | None:
        """The notification that the handshake is done, kept for the SDK."""
        if method != "notifications/initialized" or params or not self._first or not self.opened_with:
            return None
        self.opened_with.append(line)
        return b""

    def _opening(self, method: str, params: Object) -> str | None:
        """The revision in which a request opens the session."""
        if method == "initialize":
            return plain.handshake(params)
        revision = plain.envelope(_meta(params))
        return revision if revision and self._known.result(revision, "server/discover") else None

    def _session(self, method: str, params: Object) -> str | None:
        """The revision of the session, if the request is of it; after a second handshake that is left to the SDK."""
        if method == "initialize":
            self._silent = True
            return None
        meta = _meta(params)
        if self._known.result(self._revision or "", "initialize"):
            return self._revision if meta == plain.beside_envelope(meta) else None
        return self._revision if plain.envelope(meta) == self._revision else None

    def _result(self, revision: str, method: str, params: Object) -> bytes | None:
        """The result of a request, as JSON."""
        own = {name: value for name, value in params.items() if name != "_meta"}
        meta = plain.beside_envelope(_meta(params))
        if method == "tools/call":
            return self._called(revision, own) if plain.is_without_effect(meta) else None
        asks_for_more = meta or (own and method != "initialize")
        return None if asks_for_more else self._known.result(revision, method)

    def _called(self, revision: str, params: Object) -> bytes | None:
        """The result of a call."""
        name, arguments = params.get("name"), params.get("arguments")
        if set(params) != {"name", "arguments"} or not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        return self._call(name, cast("Object", arguments), self._known.of_every_result(revision))


def _meta(params: Object) -> Object:
    return params.get("_meta", {})
