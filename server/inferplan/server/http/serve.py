"""Serving: one listening socket, one process or several behind it, and an end that waits for the answers."""

import logging
import os
import signal
import socket
import sys
from functools import partial
from logging.config import dictConfig
from multiprocessing import parent_process
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from inferplan.server.http.connection import Connection
from inferplan.server.http.counts import FOLDER, hold, shared_folder
from inferplan.server.http.log import configuration
from inferplan.server.http.settings import Settings, in_url

if TYPE_CHECKING:
    from starlette.applications import Starlette

log = logging.getLogger("inferplan.http")

BACKLOG = 2048
"""Connections that may wait to be accepted."""
GRACE_S = 20
"""How long a shutdown waits for answers. [s]"""
KEPT_S = 100
"""How long an idle connection is kept: longer than load balancers (nginx: 60 s) and clients (Go, Rust:
90 s) keep theirs, for a question that meets the end of its connection is lost, or asked twice. [s]"""
HUNG_S = 30
"""How long a worker may not respond before it is replaced. [s]"""
NEVER_AGAIN_S = 10**9
"""Between two calls of what uvicorn would call now and then."""


class Workers(Multiprocess):
    """Worker processes, each on a socket at the same address; one that dies is replaced."""

    def keep_subprocess_alive(self) -> None:
        """Replace workers that died or do not respond; one that dies during a probe at once, as its pipe closes.

        uvicorn keeps the worker's end of the pipe open here too, and would wait for its answer as long as `HUNG_S`.
        """
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        """Let the workers finish; new connections are refused at once, so that clients try another replica."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def serve(settings: Settings, listener: socket.socket) -> int:
    """Serve until a signal ends it; returns the exit code."""
    dictConfig(configuration(requests=settings.logs_requests))
    config = _config(settings, url=f"http://{in_url(settings.host)}:{listener.getsockname()[1]}/mcp")
    return _one(config, listener) if settings.workers == 1 else _several(config, listener)


def _one(config: Config, listener: socket.socket) -> int:
    """Serve in this process. A terminal that closes ends it as SIGTERM does, which uvicorn leaves to the system."""
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _terminate)
    Server(config).run(sockets=[listener])
    return 0


def _several(config: Config, listener: socket.socket) -> int:
    """Serve in processes of their own, which share their metrics in a folder."""
    workers = Workers(config, sockets=[listener])  # from here on signals end this in good order
    with shared_folder() as folder:
        os.environ[FOLDER] = folder
        workers.run()
    return int(any(process.exitcode == STARTUP_FAILURE for process in workers.processes))


def _config(settings: Settings, *, url: str) -> Config:
    return Config(
        partial(_load, settings),
        factory=True,
        workers=settings.workers,
        log_config=configuration(requests=settings.logs_requests),
        access_log=False,
        http=Connection,
        ws="none",
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEPT_S,
        timeout_graceful_shutdown=GRACE_S,
        timeout_worker_healthcheck=HUNG_S,
        callback_notify=partial(_listening, url),
        timeout_notify=NEVER_AGAIN_S,
    )


async def _listening(url: str) -> None:
    """Log that a process takes connections: uvicorn calls this once it does."""
    log.info("listening", extra={"fields": {"url": url}})


def _load(settings: Settings) -> "Starlette":
    """The application; workers import it, their parent does not."""
    from inferplan.server.http.app import create_app  # noqa: PLC0415 - see above

    if parent_process():
        hold(os.environ.get(FOLDER, ""))
        Thread(target=_end_with_parent, daemon=True).start()
    return create_app(settings)


def _end_with_parent() -> None:
    """Shut down where the parent of this worker has died."""
    parent = parent_process()
    if parent:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _terminate(_signal: int, _frame: object) -> None:
    """Shut down as at SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def _leave(_signal: int, _frame: object) -> NoReturn:
    """End with 0: uvicorn raises the signal once more when the last answer is out."""
    sys.exit(0)
