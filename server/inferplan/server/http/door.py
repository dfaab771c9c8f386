"""The socket on which `inferplan http` listens; on Linux each of several workers has its own at the same address.

Workers that share one take connections as each wakes up: of 200 that come at once one may get nearly all, and who asks
there waits while another worker is idle. Among sockets of their own the kernel distributes connections.
"""

import os
import socket
import sys
from typing import Any

from inferplan.server.http.settings import Settings


class Door(socket.socket):
    """A socket that is bound at an address; a process that it is sent to binds one of its own there."""

    def __init__(self, family: int, address: Any) -> None:
        """Bind, beside other such sockets of this user; raises OSError."""
        super().__init__(family)
        _bind(self, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)

    def __reduce__(self) -> tuple[type["Door"], tuple[int, Any]]:
        """How another process gets a socket of its own."""
        return Door, (self.family, self.getsockname())


def bind(settings: Settings) -> socket.socket:
    """The socket, bound but not listening; raises OSError. Until a worker listens, clients are refused and retry."""
    family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    alone = socket.socket(family, kind, protocol)
    _bind(alone, address, *([socket.SO_REUSEADDR] if os.name == "posix" else []))
    if settings.workers == 1 or sys.platform != "linux":
        return alone
    with alone:  # it could be bound: no other server has its doors there
        address = alone.getsockname()
    return Door(family, address)


def _bind(unbound: socket.socket, address: Any, *options: int) -> None:
    """Bind a socket that has these options set; raises OSError, once it is closed."""
    try:
        for option in options:
            unbound.setsockopt(socket.SOL_SOCKET, option, 1)
        unbound.bind(address)
    except OSError:
        unbound.close()
        raise
