"""Fuzz every tool over stdio: `python tests/fuzz/calls.py --calls 2000`.

Arguments come from the published schemas, as they are meant and with slips; every reply is held to the schema of the
answer or to what a refusal has to be, and every id is answered once. Both eras of the protocol in turn. Prints the
figures, and for each broken promise the call that breaks it; exits 1 if there is one.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter
from random import Random
from typing import Any

from inferplan.tools.registry import TOOLS
from questions import Asked, Questions
from verdict import Verdict
from wire import ERAS, BrokenPromiseError, Server, strictly

AT_A_TIME = 16
CALLS_PER_SERVER = 5000
MOST_SHOWN = 40


class Run:
    """Many calls of one server."""

    def __init__(self, era: str, random: Random) -> None:
        self._random = random
        self.server = Server(era)
        listed = {tool["name"]: tool for tool in self.server.ask("list", "tools/list", {})["result"]["tools"]}
        self._questions = {tool.name: Questions(tool, listed[tool.name]["inputSchema"]) for tool in TOOLS}
        self._verdicts = {name: Verdict(tool) for name, tool in listed.items()}
        self.kinds = Counter[str]()
        self.broken: dict[str, str] = {}

    def ask(self, calls: int) -> None:
        """So many calls, several at a time."""
        left = calls
        while left > 0:
            batch = min(left, AT_A_TIME)
            self._ask_at_once(batch)
            left -= batch

    def end(self) -> None:
        """Close the input; nothing more may come."""
        for line in self.server.end():
            raise BrokenPromiseError(f"an answer that nobody asked for: {line[:200]!r}")

    def _ask_at_once(self, calls: int) -> None:
        names = self._random.choices([tool.name for tool in TOOLS], k=calls)
        asked = {self._id(number): (name, self._questions[name].ask(self._random)) for number, name in enumerate(names)}
        lines = [
            self.server.request(id_, "tools/call", {"name": name, "arguments": one.arguments})
            for id_, (name, one) in asked.items()
        ]
        self.server.write(b"".join(lines))
        for _ in lines:
            self._judge(asked, strictly(self.server.read()))

    def _id(self, number: int) -> str | int:
        """An id of either kind."""
        return number if self._random.random() < 0.5 else f"call {number} \u00e9"

    def _judge(self, asked: dict[str | int, tuple[str, Asked]], reply: Any) -> None:
        if reply["jsonrpc"] != "2.0" or reply["id"] not in asked:
            raise BrokenPromiseError(f"an answer that nobody asked for: {reply}")
        name, one = asked.pop(reply["id"])
        try:
            self.kinds[self._verdicts[name].on(reply, one)] += 1
        except BrokenPromiseError as broken:
            self.kinds["BROKEN"] += 1
            self.broken.setdefault(kind_of(f"{name}: {broken}"), f"{broken}\n  {json.dumps(one.arguments)[:1500]}")


def kind_of(what: str) -> str:
    """The same words for the same fault: without numbers, and short."""
    return re.sub(r"[\d.,]+", "#", what)[:90]


def main() -> int:
    """Call, check the replies, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, kinds, broken = time.monotonic(), Counter[str](), dict[str, str]()
    for number, start in enumerate(range(0, options.calls, CALLS_PER_SERVER)):
        era = ERAS[number % 2] if options.calls > CALLS_PER_SERVER else ERAS[options.seed % 2]
        run = Run(era, Random(options.seed + start))
        try:
            run.ask(min(CALLS_PER_SERVER, options.calls - start))
            run.end()
        except BrokenPromiseError as fatal:
            run.broken[str(fatal)[-3000:]] = "the process"
        finally:
            run.server.kill()
        kinds += run.kinds
        broken |= run.broken
        sys.stderr.write(f"{kinds.total():,} calls, {len(broken)} broken promises\n")
    took = time.monotonic() - began
    said = ", ".join(f"{count:,} {kind}s" for kind, count in kinds.most_common())
    sys.stdout.write(f"{kinds.total():,} calls in {took:.0f} s, seed {options.seed}: {said}\n")
    for what, how in list(broken.items())[:MOST_SHOWN]:
        sys.stdout.write(f"\nBROKEN: {what}\n  {how}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
