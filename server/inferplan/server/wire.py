"""The pipes of the client: lines come in, replies go out, and nothing else gets at them."""

import os
import select
import stat
import sys

CHUNK = 2**16
"""Bytes read at once: what a pipe holds, and little enough to need no memory of its own from the system."""


def are_pipes() -> bool:
    """Whether both ends can be waited for: pipes or sockets, and not on Windows."""
    modes = [os.fstat(descriptor).st_mode for descriptor in (0, 1)]
    return sys.platform != "win32" and all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes)


class Wire:
    """The pipes of the client.

    From here on descriptor 0 is empty and descriptor 1 leads to stderr, so that nothing else gets at them.
    """

    def __init__(self) -> None:
        self.source, self.sink = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.close(nothing)
        os.set_blocking(self.sink, False)
        self.unread = b""
        """What has come and is not answered yet."""
        self._ended = False

    def line(self) -> bytes:
        """The next line with its newline; at the end of the input what is left, and then nothing."""
        parts = [self.unread]
        while b"\n" not in parts[-1] and (chunk := self._read()):
            parts.append(chunk)
        line, newline, self.unread = b"".join(parts).partition(b"\n")
        return line + newline

    def write(self, reply: bytes) -> None:
        """Write it whole; a client that has gone is told nothing."""
        left = memoryview(reply)
        while left:
            try:
                left = left[os.write(self.sink, left) :]
            except BlockingIOError:
                self._wait_for_the_client()
            except ConnectionError:
                return

    def _read(self) -> bytes:
        """What there is to read, at least a byte unless the input has ended."""
        while True:
            try:
                chunk = os.read(self.source, CHUNK)
            except BlockingIOError:
                select.select([self.source], [], [])
            except ConnectionError:
                return b""
            else:
                self._ended = not chunk
                return chunk

    def _wait_for_the_client(self) -> None:
        """Until it reads on. What it says meanwhile is taken in, lest each waits for the other."""
        comes, _, _ = select.select([] if self._ended else [self.source], [self.sink], [])
        if comes:
            self.unread += self._read()
