"""Connections that say they will close before they do: a client whose connection just closes has lost its question."""

from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

ANNOUNCED_S = 2.0
"""How long a kept connection waits for one more request, to answer it with `Connection: close`. [s]"""


class Announced(H11Protocol):
    """A connection that the end of the server finds in use is answered once more, with the word that it closes.

    uvicorn closes those that wait for a request at that moment, also where one is on its way already.
    """

    def shutdown(self) -> None:
        """Announce the end from now on, and close where nobody asks any more. uvicorn calls this at the end."""
        state = self.server_state
        if CLOSE_HEADER not in state.default_headers:
            state.default_headers = [*state.default_headers, CLOSE_HEADER]
        if self.cycle:
            self.cycle.default_headers = state.default_headers
        self.loop.call_later(ANNOUNCED_S, self._close)

    def _close(self) -> None:
        """Close as uvicorn does: now, or after the answer under way."""
        if not self.transport.is_closing():
            super().shutdown()
