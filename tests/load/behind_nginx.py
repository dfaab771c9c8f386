"""Replicas of `inferplan http` behind nginx, under load, while workers and replicas die and come back.

    python tests/load/behind_nginx.py [--clients 200] [--seconds 40] [--replicas 3] [--workers 2]

Needs nginx on the PATH (apt-get install nginx). The server block is that of deploy/nginx, with another port. Clients
ask each question once: what nginx does not rescue counts as an error. Prints Markdown; 1 where anything was lost.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from http_server import LISTENING, HttpServer  # noqa: E402 - a script finds its neighbours first
from load.clients import HEADER, Load, questions  # noqa: E402 - the same

SERVER = TESTS.parent / "deploy" / "nginx" / "server.conf"
MAIN = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream inferplan {{
        zone inferplan 128k;
        least_conn;
{servers}
        keepalive 64;
    }}
    {server}
}}
"""


@contextmanager
def nginx(ports: list[int]) -> Generator[int]:
    """Nginx before these ports of this machine; the port that it listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    servers = "\n".join(f"        server 127.0.0.1:{each} max_fails=0;" for each in ports)
    server = re.sub(r"listen \d+;", f"listen 127.0.0.1:{port};", SERVER.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder) / "nginx.conf"
        main.write_text(MAIN.format(folder=folder, servers=servers, server=server), encoding="utf-8")
        process = subprocess.Popen([shutil.which("nginx") or "nginx", "-p", folder, "-c", str(main)])
        wait_for(port)
        try:
            yield port
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait()


def wait_for(port: int) -> None:
    """Wait until something listens."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


class Replicas:
    """Servers on ports that they keep when they come back."""

    def __init__(self, number: int, workers: int) -> None:
        self._flags = ("--workers", str(workers), "--no-request-log")
        self.servers = [HttpServer(*self._flags) for _ in range(number)]
        self.told: list[str] = []

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    async def suffer(self, seconds: float) -> None:
        """A worker is killed, a replica is told to end, a replica is killed with all its workers; each comes back."""
        for blow in (self._kill_a_worker, self._end_one, self._kill_one):
            await asyncio.sleep(seconds / 4)
            await asyncio.to_thread(blow)

    def _kill_a_worker(self) -> None:
        worker = self._workers(self.servers[0])[0]
        os.kill(worker, signal.SIGKILL)
        self.told.append("a worker was killed")

    def _end_one(self) -> None:
        server = self.servers[1]
        code = server.end()
        self.servers[1] = HttpServer(*self._flags, port=server.port)
        self.told.append(f"a replica was told to end (exit code {code}) and started anew")

    def _kill_one(self) -> None:
        server = self.servers[2]
        for worker in (*self._workers(server), server.process.pid):
            os.kill(worker, signal.SIGKILL)
        server.process.wait()
        self.servers[2] = HttpServer(*self._flags, port=server.port)
        self.told.append("a replica was killed with all its workers and started anew")

    def _workers(self, server: HttpServer) -> list[int]:
        return [entry["pid"] for entry in server.entries(LISTENING)]

    def end(self) -> None:
        """End all of them."""
        for server in self.servers:
            server.end()


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument(
        "--replicas", type=int, choices=range(3, 17), default=3, metavar="N", help="at least 3, one is killed"
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    replicas = Replicas(options.replicas, options.workers)
    try:
        for port in replicas.ports:
            asyncio.run(Load(questions(port), port=port).run(clients=1, seconds=0.5))
        with nginx(replicas.ports) as port:
            load = Load(questions(port), port=port)
            run = load.run(
                clients=options.clients,
                seconds=options.seconds,
                meanwhile=lambda: replicas.suffer(options.seconds),
            )
            figures = asyncio.run(run)
    finally:
        replicas.end()
    what = f"{options.replicas} replicas of {options.workers} workers behind nginx"
    print(HEADER, figures.row(what), "", *(f"- {told}" for told in replicas.told), sep="\n")  # noqa: T201
    for problem in (figures.errors + figures.wrong)[:20]:
        print(problem, file=sys.stderr)  # noqa: T201
    return int(bool(figures.errors or figures.wrong))


if __name__ == "__main__":
    sys.exit(main())
