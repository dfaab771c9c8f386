"""The pipes of the client: lines come in, replies go out, and nothing else reads or writes them."""

import os
import select
import stat
import sys

from inferplan.server.unreadable import UnreadableError

CHUNK = 2**16
"""Bytes read at once: what a pipe holds, and little enough to need no memory of its own from the system."""
LONGEST_LINE = 4 * 2**20
"""The longest message: four times that of HTTP, and much more than any argument needs. [B]"""
MOST_UNREAD = 16 * LONGEST_LINE
"""Bytes that are read ahead of a client that does not read its answers; then it has to wait. [B]"""

_TOO_LONG = f"a message takes at most {LONGEST_LINE:,} bytes on its line."


def are_pipes() -> bool:
    """Whether both ends can be waited for: pipes or sockets, and not on Windows."""
    modes = [os.fstat(descriptor).st_mode for descriptor in (0, 1)]
    return sys.platform != "win32" and all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes)


class LongLineError(UnreadableError):
    """A line that is longer than any message, of which nothing was kept."""

    reply = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"%b"}}\n' % _TOO_LONG.encode()
    """The error to the client; `malformed` has the same with the SDK's types."""

    def __init__(self) -> None:
        super().__init__(_TOO_LONG)


class Unread:
    r"""What was read and is not answered yet, line by line.

    >>> unread = Unread()
    >>> unread.take_in(b"one\ntw")
    >>> unread.line(), unread.line(), unread.rest()
    (b'one\n', None, b'tw')
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._looked_through = 0
        self._too_long = False

    @property
    def is_full(self) -> bool:
        """Whether this is enough. A line is at hand then, or a part of one that is too long."""
        return len(self._bytes) >= MOST_UNREAD

    def take_in(self, chunk: bytes) -> None:
        """Add what comes."""
        self._bytes += chunk

    def put_back(self, line: bytes) -> None:
        """Let the last line be read again."""
        self._bytes[:0] = line
        self._looked_through = 0

    def line(self) -> bytes | None:
        """The next line with its newline; None where it has not come whole. Raises `LongLineError`, once it has."""
        end = self._bytes.find(b"\n", self._looked_through) + 1
        if end:
            return self._taken(end)
        self._looked_through = len(self._bytes)
        if self._looked_through > LONGEST_LINE:
            self._too_long = True
            self._taken_out(self._looked_through)
        return None

    def rest(self) -> bytes:
        """What is left at the end of the input. Raises `LongLineError`."""
        return self._taken(len(self._bytes))

    def _taken(self, end: int) -> bytes:
        """The bytes up to there, if a line may be that long."""
        if self._too_long or end > LONGEST_LINE:
            self._too_long = False
            self._taken_out(end)
            raise LongLineError
        line = bytes(self._bytes[:end])
        self._taken_out(end)
        return line

    def _taken_out(self, end: int) -> None:
        """Forget the bytes up to there, which moves none of the others."""
        del self._bytes[:end]
        self._looked_through = 0


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
        self.unread = Unread()
        self._ended = False

    def line(self) -> bytes:
        """The next line with its newline; at the end of the input what is left, and then nothing."""
        while True:
            try:
                return self._line()
            except LongLineError as error:
                self.write(error.reply)

    def write(self, reply: bytes) -> None:
        """Write it whole; nothing where the client has closed the pipe."""
        left = memoryview(reply)
        while left:
            try:
                left = left[os.write(self.sink, left) :]
            except BlockingIOError:
                self._wait_for_the_client()
            except ConnectionError:
                return

    def _line(self) -> bytes:
        while (line := self.unread.line()) is None:
            chunk = self._read()
            if not chunk:
                return self.unread.rest()
            self.unread.take_in(chunk)
        return line

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
        """Wait until the client reads. What it writes meanwhile is read, or each would wait for the other.

        A client that writes more than `MOST_UNREAD` without reading has to wait until it reads, as with any pipe: one
        that never would waits for ever, instead of taking all the memory there is.
        """
        listens = not (self._ended or self.unread.is_full)
        comes, _, _ = select.select([self.source] if listens else [], [self.sink], [])
        if comes:
            self.unread.take_in(self._read())
