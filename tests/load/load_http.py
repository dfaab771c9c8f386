"""Two hundred clients at once against `inferplan http`, with one worker and with two, every answer checked.

    python tests/load/load_http.py [--clients 200] [--seconds 20] [--rounds 3]

Prints Markdown. One worker and two are measured in turns, so that a busy machine slows both.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from http_server import LISTENING, HttpServer, http_server
from load.clients import HEADER, Figures, Load, questions

LAST = ("a second with a CPU for each worker", "---")


def measure(*, workers: int, clients: int, seconds: float, tools: list[str]) -> tuple[Figures, float]:
    """One run against a server of its own, and the answers a second of workers that have a CPU each.

    A machine that is shared gives them less. So their CPU time is counted: what they answered over what the busiest
    of them spent.
    """
    with http_server("--workers", str(workers), "--no-request-log") as server:
        server.wait_for(LISTENING, times=workers)
        asked = questions(server.port, tools=tools)
        asyncio.run(Load(asked, port=server.port).run(clients=8 * workers, seconds=1))
        before = cpu_seconds(server)
        figures = asyncio.run(Load(asked, port=server.port).run(clients=clients, seconds=seconds))
        spent = [after - start for start, after in zip(before, cpu_seconds(server), strict=True)]
        return figures, len(figures.seconds) / max(spent)


def cpu_seconds(server: HttpServer) -> list[float]:
    """What each process that answers has spent so far. Reads /proc, so that it needs Linux. [s]"""
    workers = [entry["pid"] for entry in server.entries(LISTENING)]
    stats = (Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split() for pid in workers)
    return [(int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") for stat in stats]


def main() -> int:
    """Measure, and print the table; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", nargs="*", default=[])
    options = parser.parse_args()
    print(  # noqa: T201 - a script that prints its table
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.system()}; load average {os.getloadavg()[0]:.1f} before\n",
        *(f"{head} {last} |" for head, last in zip(HEADER.split("\n"), LAST, strict=True)),
        sep="\n",
        flush=True,
    )
    failed, carried = False, {1: list[float](), 2: list[float]()}
    for number in range(options.rounds):
        for workers, found in carried.items():
            figures, per_second = measure(
                workers=workers, clients=options.clients, seconds=options.seconds, tools=options.tools
            )
            found.append(per_second)
            what = f"{workers} worker{'s'[: workers - 1]}, round {number + 1}"
            print(f"{figures.row(what)} {per_second:,.0f} |", flush=True)  # noqa: T201
            for problem in (figures.errors + figures.wrong)[:5]:
                print(problem, file=sys.stderr)  # noqa: T201
            failed |= bool(figures.errors or figures.wrong)
    one, two = (statistics.median(found) for found in carried.values())
    print(f"\nTwo workers with a CPU each carry {two / one:.2f} times what one carries.")  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
