"""Serving before the SDK is imported: the front answers while everything else is imported in a thread.

A client that asks for the lists has them before the SDK would have been imported, and a session of lists and plain
calls never waits for it. Anything else ends this: the SDK takes over the pipes, gets the opening of the session
again, and then the rest (see `stdio.server`).
"""

import sys
import threading
from typing import TYPE_CHECKING

from inferplan.server.stdio.front import Baked, Call, Front, baked
from inferplan.server.stdio.plain import Object
from inferplan.server.stdio.wire import Wire, are_pipes

if TYPE_CHECKING:
    from inferplan.server.stdio.server import StdioServer

SWITCH_S = 0.0005
"""How long the imports may hold the interpreter before the front gets it. [s]"""


class Loading(threading.Thread):
    """The imports: what calls need first, then the SDK and the server."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._can_call = threading.Event()
        self._call: Call | None = None
        self._server: StdioServer | None = None
        self._problem: BaseException | None = None

    def run(self) -> None:
        """Import it all."""
        try:
            from inferplan.server.stdio.direct import call  # noqa: PLC0415 - in this thread

            self._call = call
            self._can_call.set()
            from inferplan.server.app import create_server  # noqa: PLC0415 - in this thread

            self._server = create_server()
        except BaseException as problem:
            self._problem = problem
        finally:
            self._can_call.set()

    def call(self, name: str, arguments: Object, of_every_result: Object) -> bytes | None:
        """The result of a call, once what it needs is imported."""
        self._can_call.wait()
        return self._call(name, arguments, of_every_result) if self._call else None

    def server(self) -> "StdioServer":
        """The server, once it is imported."""
        self.join()
        if self._server is None:
            raise self._problem or RuntimeError("no server")
        return self._server


def known() -> Baked | None:
    """The front's replies; None where stdin is no pipe, or where other versions are installed than wrote them."""
    return baked() if are_pipes() else None


def serve(words: Baked) -> "StdioServer | None":
    """Answer until the input ends, or something comes that needs the SDK: then the server that takes over."""
    sys.setswitchinterval(SWITCH_S)
    loading, wire = Loading(), Wire()
    front = Front(words, loading.call)
    loading.start()
    while line := wire.line():
        reply = front.answer(line)
        if reply is None:
            wire.unread.put_back(line)
            server = loading.server()
            server.take_over(wire, front)
            return server
        wire.write(reply)
    return None
