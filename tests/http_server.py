"""`inferplan http` as a process on a free port of this machine, for tests and for commands that put load on it."""

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Any
from urllib.parse import urlsplit

LISTENING = "listening"
"""What each process logs that answers, from then on."""


class HttpServer:
    """A running server: where it is, and what it has logged so far."""

    def __init__(self, *flags: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "inferplan.server", "http", "--port", str(port), *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8")
        self.log: list[str] = []
        self._more = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url: str = self.wait_for(LISTENING)["url"]

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def entries(self, message: str) -> list[dict[str, Any]]:
        """The log's lines that say this."""
        return [entry for entry in map(json.loads, self.log) if entry["message"] == message]

    def end(self) -> int:
        """Ask it to end; its exit code, once its log is whole."""
        self.process.terminate()
        code = self.process.wait()
        self._reader.join()
        return code

    def is_silent(self) -> bool:
        """Whether the last process that could log has ended, once it has."""
        self._reader.join(120)
        return not self._reader.is_alive()

    def wait_for(self, message: str, *, times: int = 1) -> dict[str, Any]:
        """The line that says this for the n-th time, once it is there."""
        with self._more:
            found = self._more.wait_for(lambda: self.entries(message)[times - 1 :] or not self._reader.is_alive(), 120)
        entries = self.entries(message)
        if not found or len(entries) < times:
            raise RuntimeError(f'"{message}" was not logged {times} times: {self.log}')
        return entries[times - 1]

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._more:
                self.log.append(line)
                self._more.notify_all()
        with self._more:
            self._more.notify_all()


@contextmanager
def http_server(*flags: str, port: int = 0) -> Generator[HttpServer]:
    """A server that runs for the length of a block."""
    server = HttpServer(*flags, port=port)
    try:
        yield server
    finally:
        server.end()
        assert server.process.stderr
        server.process.stderr.close()
