"""Call one server process for a long time and watch its memory: `python tests/fuzz/soak.py --calls 100000`.

The questions are those of `calls.py`, right and wrong, of all tools, several at a time over stdio. Memory is read at
regular intervals (Linux); from the first fifth on it may grow by `--most-mib` in all. Prints the figures; exits 1
where it grows more, or where the server dies. Of fewer than 10,000 calls growth is no verdict: what is kept fills up.
"""

import argparse
import sys
import time
from random import Random

from inferplan.tools.registry import TOOLS
from questions import Questions
from wire import ERAS, Server

AT_A_TIME = 16
INTERVALS = 20
WARM_UP = INTERVALS // 5
ENOUGH = 10_000
"""Calls from which memory that still grows is a fault."""


def ask(server: Server, questions: list[tuple[str, Questions]], random: Random, calls: int) -> None:
    """Make so many calls, several at a time, and read every reply."""
    for first in range(0, calls, AT_A_TIME):
        batch = range(first, min(calls, first + AT_A_TIME))
        chosen = [random.choice(questions) for _ in batch]
        params = [{"name": name, "arguments": questions.ask(random).arguments} for name, questions in chosen]
        server.write(b"".join(server.request(id_, "tools/call", one) for id_, one in zip(batch, params, strict=True)))
        for _ in batch:
            server.read()


def main() -> int:
    """Call, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most-mib", type=float, default=16)
    options = parser.parse_args()
    began, random, server = time.monotonic(), Random(options.seed), Server(ERAS[0])
    listed = {tool["name"]: tool for tool in server.ask("list", "tools/list", {})["result"]["tools"]}
    questions = [(tool.name, Questions(tool, listed[tool.name]["inputSchema"])) for tool in TOOLS]
    mib = [server.resident_kib / 1024]
    for number in range(1, INTERVALS + 1):
        ask(server, questions, random, options.calls // INTERVALS)
        mib.append(server.resident_kib / 1024)
        sys.stderr.write(f"{number * options.calls // INTERVALS:,} calls, {mib[-1]:.1f} MiB\n")
    for line in server.end():
        sys.stdout.write(f"one more line: {line[:200]!r}\n")
    grown = mib[-1] - mib[WARM_UP]
    took = time.monotonic() - began
    sys.stdout.write(f"{options.calls:,} calls of one process in {took:.0f} s, seed {options.seed}\n")
    sys.stdout.write(f"resident memory [MiB]: {', '.join(f'{value:.0f}' for value in mib)}\n")
    is_judged = options.calls >= ENOUGH
    allowed = f"at most {options.most_mib:+.1f}" if is_judged else "too few calls to judge"
    sys.stdout.write(f"from the first fifth on: {grown:+.1f} MiB ({allowed})\n")
    return 1 if is_judged and grown > options.most_mib else 0


if __name__ == "__main__":
    sys.exit(main())
