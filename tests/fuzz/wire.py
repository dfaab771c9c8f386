"""A server process that gets many calls at a time over stdio, and has to answer each once."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ERAS = ("2025-11-25", "2026-07-28")
BATCHES = "2025-03-26"
"""The revision in which a list of messages is one too."""
SHUTDOWN_S = 30


class BrokenPromiseError(AssertionError):
    """The server broke a rule of the protocol."""


def strictly(text: str | bytes) -> Any:
    """JSON without NaN and Infinity, which JSON does not have."""
    return json.loads(text, parse_constant=_no_number)


def _no_number(constant: str) -> NoReturn:
    raise BrokenPromiseError(f"{constant} on the wire")


class Server:
    """One process, to which lines are written. It asks no model hub, whatever names the calls have."""

    def __init__(self, era: str) -> None:
        self.era = era
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inferplan.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._in, self._out, errors = self._process.stdin, self._process.stdout, self._process.stderr
        self._errors = deque[bytes](maxlen=200)
        self._reader = threading.Thread(target=lambda: self._errors.extend(errors), daemon=True)
        self._reader.start()
        if era != ERAS[1]:
            self.write(message(0, "initialize", HELLO | {"protocolVersion": era}))
            strictly(self.read())
            self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        else:
            self.ask(0, "server/discover", {})

    @property
    def resident_kib(self) -> int:
        """Memory that the process holds now (Linux). [KiB]"""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])

    def request(self, id_: str | int, method: str, params: dict[str, Any]) -> bytes:
        """A request as this era writes it."""
        return message(id_, method, params if self.era != ERAS[1] else params | {"_meta": ENVELOPE})

    def write(self, lines: bytes) -> None:
        """Write lines, or parts of lines."""
        self._in.write(lines)
        self._in.flush()

    def read(self) -> bytes:
        """The next line; the end of the output is a server that died."""
        line = self._out.readline()
        if not line:
            self._process.wait(SHUTDOWN_S)
            self._reader.join(SHUTDOWN_S)
            raise BrokenPromiseError(f"the server died ({self._process.returncode}): {self.complaints()}")
        return line

    def ask(self, id_: str | int, method: str, params: dict[str, Any]) -> Any:
        """The whole reply to one request."""
        self.write(self.request(id_, method, params))
        return strictly(self.read())

    def complaints(self) -> str:
        """What it wrote to stderr."""
        return b"".join(self._errors).decode(errors="replace")

    def end(self) -> Iterator[bytes]:
        """Close the input and yield what is still to come; the process has to end well and without a traceback."""
        self._in.close()
        yield from self._out
        code = self._process.wait(SHUTDOWN_S)
        self._reader.join(SHUTDOWN_S)
        if code or "Traceback" in self.complaints():
            raise BrokenPromiseError(f"it ended with {code} and said: {self.complaints()}")

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()


def message(id_: str | int, method: str, params: dict[str, Any]) -> bytes:
    """A request as a line."""
    return json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}).encode() + b"\n"
