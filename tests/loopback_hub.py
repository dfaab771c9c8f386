"""A model hub on 127.0.0.1 that serves files as a hub does, and logs its requests."""

import json
import struct
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import prod
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BITS = {"F4": 4, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E8M0": 8, "BF16": 16, "F16": 16, "F32": 32, "I32": 32, "I64": 64}
INDEX = "model.safetensors.index.json"

Tensors = Mapping[str, tuple[str, list[int]]]
Handle = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: its path with query, the byte range, and the token."""

    path: str
    span: str | None
    token: str | None


@dataclass
class LoopbackHub:
    """Files by path, answers of other kinds by path, and the log of requests."""

    files: dict[str, bytes] = field(default_factory=dict)
    special: dict[str, Handle] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    over: Event = field(default_factory=Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """The requested paths, in order."""
        return [one.path for one in self.asked]

    def publish(self, repo_id: str, config: object, /, **shards: Tensors) -> None:
        """A repository with its config and files of tensors: one file, or several and their index."""
        files = {"config.json": json.dumps(config).encode()}
        names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
        if len(shards) == 1:
            names = ["model.safetensors"]
        elif shards:
            places = {name: file for file, held in zip(names, shards.values(), strict=True) for name in held}
            files[INDEX] = json.dumps({"metadata": {}, "weight_map": places}).encode()
        files |= {name: safetensors(held) for name, held in zip(names, shards.values(), strict=True)}
        for name, content in files.items():
            for revision in ("main", COMMIT):
                self.files[f"/{repo_id}/resolve/{revision}/{name}"] = content

    def replace(self, repo_id: str, name: str, content: bytes) -> None:
        """Another content for one file."""
        for revision in ("main", COMMIT):
            self.files[f"/{repo_id}/resolve/{revision}/{name}"] = content

    def state(self, repo_id: str, totals: object) -> None:
        """What the hub's API says of a repository."""
        self.files[f"/api/models/{repo_id}"] = json.dumps({"id": repo_id, "safetensors": totals}).encode()

    def answer(self, repo_id: str, name: str, handle: Handle) -> None:
        """Another kind of answer for one file."""
        for revision in ("main", COMMIT):
            self.special[f"/{repo_id}/resolve/{revision}/{name}"] = handle

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        headers = request.headers
        self.asked.append(Asked(path=request.path, span=headers["Range"], token=headers["Authorization"]))
        path = urlsplit(request.path).path
        if handle := self.special.get(path):
            handle(request)
        elif path in self.files:
            send_file(request, self.files[path])
        else:
            send(request, 404)

    def stay_silent(self, request: BaseHTTPRequestHandler) -> None:
        """No answer until the test is over."""
        request.close_connection = True
        self.over.wait()

    def drip(self, piece: bytes = b"x", *, after: bytes = b"") -> Handle:
        """An answer that never ends: a piece every 10 ms, until the test is over or the other side has gone."""

        def handle(request: BaseHTTPRequestHandler) -> None:
            request.close_connection = True
            write(request, after)
            while not self.over.wait(0.01) and write(request, piece):
                pass

        return handle


def write(request: BaseHTTPRequestHandler, content: bytes) -> bool:
    """Whether these bytes could be sent."""
    try:
        request.wfile.write(content)
        request.wfile.flush()
    except OSError:
        return False
    return True


def send(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """A whole answer; underscores in the names of headers are dashes."""
    request.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    write(request, body)


def answer(status: int, body: bytes = b"", **headers: str) -> Handle:
    """The same, made when it is requested."""
    return lambda request: send(request, status, body, **headers)


def send_file(request: BaseHTTPRequestHandler, content: bytes) -> None:
    """A file, or the requested part of it."""
    span = request.headers["Range"]
    if span is None:
        send(request, 200, content, X_Repo_Commit=COMMIT)
        return
    first, last = map(int, span.removeprefix("bytes=").split("-"))
    part = content[first : last + 1]
    if not part:
        send(request, 416)
        return
    where = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    send(request, 206, part, X_Repo_Commit=COMMIT, Content_Range=where)


def safetensors(tensors: Tensors) -> bytes:
    """A file with these tensors, every weight 0."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (form, shape) in tensors.items():
        begin, end = end, end + prod(shape) * BITS[form] // 8
        header[name] = {"dtype": form, "shape": shape, "data_offsets": [begin, end]}
    return with_header(json.dumps(header).encode(), bytes(end))


def with_header(header: bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with this header, and with the length that it claims for it."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


@contextmanager
def loopback_hub() -> Generator[LoopbackHub]:
    """A hub that runs for the length of a block."""
    hub = LoopbackHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            hub.serve(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's name)
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore clients that disconnected."""

    with Server(("127.0.0.1", 0), Handler) as server:
        hub.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.over.set()
            server.shutdown()
            thread.join()
