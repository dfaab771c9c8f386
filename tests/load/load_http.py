"""Two hundred clients at once against `inferplan http`, with one worker and with two, every answer checked.

    python tests/load/load_http.py [--clients 200] [--seconds 20] [--rounds 3]

Prints Markdown. One worker and two are measured in turns, so that a busy machine slows both.
"""

import argparse
import asyncio
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from http_server import http_server
from load.clients import HEADER, Figures, Load, questions


def measure(*, workers: int, clients: int, seconds: float, tools: list[str]) -> Figures:
    """One run against a server of its own, after a short one that warms it up."""
    with http_server("--workers", str(workers), "--no-request-log") as server:
        asked = questions(server.port, tools=tools)
        asyncio.run(Load(asked, port=server.port).run(clients=8 * workers, seconds=1))
        return asyncio.run(Load(asked, port=server.port).run(clients=clients, seconds=seconds))


def main() -> int:
    """Measure and print; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", nargs="*", default=[])
    options = parser.parse_args()
    print(  # noqa: T201 - a script that prints its table
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()}; load average {os.getloadavg()[0]:.1f} before\n",
        HEADER,
        sep="\n",
        flush=True,
    )
    failed = False
    for number in range(options.rounds):
        for workers in (1, 2):
            figures = measure(workers=workers, clients=options.clients, seconds=options.seconds, tools=options.tools)
            print(figures.row(f"{workers} worker{'s'[: workers - 1]}, round {number + 1}"), flush=True)  # noqa: T201
            for problem in (figures.errors + figures.wrong)[:5]:
                print(problem, file=sys.stderr)  # noqa: T201
            failed |= bool(figures.errors or figures.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
