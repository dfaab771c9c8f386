"""uvicorn's connection, which announces its end with `Connection: close`, and answers each request once.

A client whose connection closes without notice loses its request.
"""

import asyncio

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from inferplan.server.http.settings import LONGEST_S

ANNOUNCED_S = 2.0
"""How long a kept connection waits for one more request, to answer it with `Connection: close`. [s]"""

_CAN_ANSWER = frozenset({h11.IDLE, h11.SEND_RESPONSE})


class Connection(H11Protocol):
    """uvicorn's connection, closed without losing requests.

    At the end of the server uvicorn closes those that wait for a request at that moment, also where one is on its way
    already. Where a request's body turns into what is no HTTP, it answers though the application has answered, or
    lets the application answer though it has itself. And it waits for ever for a request that does not come whole.
    """

    _patience: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start waiting for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._patience.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Answer with `Connection: close` from now on, and close once idle. uvicorn calls this at shutdown."""
        state = self.server_state
        if CLOSE_HEADER not in state.default_headers:
            state.default_headers = [*state.default_headers, CLOSE_HEADER]
        if self.cycle:
            self.cycle.default_headers = state.default_headers
        self.loop.call_later(ANNOUNCED_S, self._close)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, unless an answer has begun, and close; the application's own answer is dropped."""
        if self.conn.our_state in _CAN_ANSWER:
            super().send_400_response(msg)
        else:
            self.transport.close()
        if self.cycle:
            self.cycle.disconnected = True

    def _should_upgrade(self) -> bool:
        """Answer a client that offers an upgrade, as Java's does each time, in HTTP/1.1 and without a log line."""
        return False

    def _wait(self) -> None:
        self._patience = self.loop.call_later(LONGEST_S, self._close_where_none_came, self.cycle)

    def _close_where_none_came(self, last: RequestResponseCycle | None) -> None:
        """Close where in all this time no request began, and none is answered; a kept connection has its own end."""
        is_answered = not self.cycle or self.cycle.response_complete
        if self.cycle is last and is_answered and not self.timeout_keep_alive_task:
            self.timeout_keep_alive_handler()
        else:
            self._wait()

    def _close(self) -> None:
        """Close as uvicorn does: now, or after the answer under way."""
        if not self.transport.is_closing():
            super().shutdown()
