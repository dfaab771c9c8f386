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
"""The message that each process logs once it takes requests."""


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

    def entries(self, message: str, **values: Any) -> list[dict[str, Any]]:
        """The lines of the log with this message and these values."""
        lines = map(json.loads, self.log)
        return [line for line in lines if line["message"] == message and line | values == line]

    def end(self) -> int:
        """End it with a signal; returns its exit code, once its log is whole."""
        self.process.terminate()
        code = self.process.wait()
        self._reader.join()
        return code

    def is_silent(self) -> bool:
        """Whether the last process that could log has ended, once it has."""
        self._reader.join(120)
        return not self._reader.is_alive()

    def wait_for(self, message: str, *, times: int = 1, **values: Any) -> dict[str, Any]:
        """The n-th line of the log with this message and these values; waits for it."""

        def found() -> list[dict[str, Any]]:
            return self.entries(message, **values)[times - 1 :]

        with self._more:
            there = self._more.wait_for(lambda: found() or not self._reader.is_alive(), 120)
        if not there or not found():
            raise RuntimeError(f'"{message}" was not logged {times} times: {self.log}')
        return found()[0]

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
