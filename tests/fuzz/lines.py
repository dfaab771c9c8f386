"""Fuzz a server's stdin with broken protocol lines: `python tests/fuzz/lines.py --lines 2000`.

Requests of the protocol are bent byte by byte: flipped, cut, doubled, spliced, nested, with other line ends, other
encodings and invalid ones. After each few a plain request has to be answered as ever; every reply has to be one of
JSON-RPC, to an id that was sent or to none, and to each id no more often than it was sent. In the revision that has
batches, lists of bent messages are written too. Prints the figures; exits 1 where a promise is broken.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from pydantic_core import from_json

from inferplan.server.batch import MOST
from wire import BATCHES, ENVELOPE, ERAS, HELLO, BrokenPromiseError, Server, strictly

BETWEEN = 20
"""Broken lines between two plain requests."""
LINES_PER_SERVER = 2000
REVISIONS = (*ERAS, BATCHES)
CALL = {"name": "estimate_vram", "arguments": {"model": "70B", "precision": "fp8", "concurrent_users": 200}}
SIZE_MEMORY = {"type": "ref/prompt", "name": "size_memory"}
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("ping", {}),
    ("tools/list", {}),
    ("tools/call", CALL),
    ("prompts/get", {"name": "size_memory", "arguments": {"model": "70B"}}),
    ("resources/read", {"uri": "inferplan://gpus/h100-sxm"}),
    ("completion/complete", {"ref": SIZE_MEMORY, "argument": {"name": "model", "value": "7"}}),
    ("initialize", HELLO),
    ("server/discover", {"_meta": ENVELOPE}),
    ("logging/setLevel", {"level": "debug"}),
    ("notifications/cancelled", {"requestId": 1}),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
]  # fmt: skip
BYTES: Sequence[bytes] = (
    b"\0", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\\u0000", b"\\ud83d", b'"', b"{", b"}",
    b"[", b"]", b",", b":", b"null", b"true", b"1e999", b"-", b"NaN", b"\xe2\x80\xa8", b" ", b"\x1b[2J", b"//",
)  # fmt: skip


VALUES: Sequence[Any] = (
    None, 7, -1.5, 2**70, "", "x" * 1000, [], [1], {}, {"a": {"b": []}}, True, "2.0", "1.0", "70B", [{}], {"": None},
)  # fmt: skip
DEEP = b'"@deep@"'
TOWARDS_THE_CLIENT = ("params", "_meta", "capabilities", "io.modelcontextprotocol/clientCapabilities")
"""Where a client says of itself what is walked level by level."""


class Lines:
    """Lines for one server, and the replies that they may get."""

    def __init__(self, era: str, random: Random) -> None:
        self._random = random
        self._era = era
        self.server = Server(era)
        self._next = 0
        self._sent = Counter[str]()
        self._due: dict[str, bytes] = {}
        self._owed = Counter[str]()
        self._has_batches = era == BATCHES
        self.kinds = Counter[str]()

    def write(self, lines: int) -> None:
        """Write so many broken lines, with plain requests in between that have to be answered."""
        for number in range(lines):
            self._write_in_parts(self._bent() + b"\n")
            if number % BETWEEN == BETWEEN - 1:
                self._plain()

    def _plain(self) -> None:
        """A plain request and its answer; replies that come before it are checked."""
        id_ = f"plain {self._next}"
        self._next += 1
        self.server.write(b"\n" + self.server.request(id_, "tools/call", CALL))
        while (reply := self._judged_all(self.server.read())).get("id") != id_:
            pass
        if reply.get("result", {}).get("structuredContent", {}).get("weights_gb") != 70:
            raise BrokenPromiseError(f"another answer than ever: {reply}")

    def end(self) -> None:
        """Close the input, and check the replies that still come."""
        for line in self.server.end():
            self._judged_all(line)
        due = {id_: line for id_, line in self._due.items() if self._has_batches or not line.lstrip().startswith(b"[")}
        silent = {id_: line for id_, line in due.items() if self._owed[id_] > 0}
        if silent:
            raise BrokenPromiseError(
                f"{len(silent)} requests without a reply, such as {next(iter(silent.values()))[:300]!r}"
            )

    def _judged_all(self, line: bytes) -> dict[str, Any]:
        """The last reply on a line, which is the only one, or one of a batch; each may be."""
        replies = strictly(line)
        if not isinstance(replies, list):
            return self._judged(replies, line)
        if self._era != BATCHES or not replies:
            raise BrokenPromiseError(f"no list of replies: {line[:300]!r}")
        self.kinds["batch"] += 1
        return [self._judged(reply, line) for reply in replies][-1]

    def _judged(self, reply: Any, line: bytes) -> dict[str, Any]:
        """A reply that may be."""
        if reply.get("jsonrpc") != "2.0" or ("result" in reply) == ("error" in reply):
            raise BrokenPromiseError(f"no reply of JSON-RPC: {line[:300]!r}")
        id_, error = reply.get("id"), reply.get("error")
        if "Traceback" in line.decode() or (error and ("\n" in error["message"] or not error["message"])):
            raise BrokenPromiseError(f"words that are not for clients: {line[:600]!r}")
        if id_ is None and not error:
            raise BrokenPromiseError(f"an answer to nobody: {line[:300]!r}")
        self.kinds["result" if error is None else f"error {error['code']}"] += 1
        # A handshake that comes again, bent or not, may agree on a revision that has none.
        self._has_batches &= reply.get("result", {}).get("protocolVersion", BATCHES) == BATCHES
        if id_ is not None and not str(id_).startswith("plain"):
            self._sent[json.dumps(id_)] -= 1
            self._owed[json.dumps(id_)] -= 1
            if self._sent[json.dumps(id_)] < 0:
                raise BrokenPromiseError(f"an id that was not sent, or answered twice: {line[:300]!r}")
        return reply

    def _bent(self) -> bytes:
        """A message with a mistake as programs make it, or a list of them."""
        random = self._random
        message: Any = self._bent_message()
        if self._era == BATCHES and random.random() < 0.5:
            message = [message, *(self._bent_message() for _ in range(random.choice([0, 1, 2, 5, MOST])))]
            random.shuffle(message)
        line = json.dumps(message, ensure_ascii=random.random() < 0.5).encode()
        levels = random.choice([10, 70, 150, 300, 600, 900, 5000])
        line = line.replace(DEEP, b'{"a":' * levels + b"{}" + b"}" * levels)
        for _ in range(random.choice([0, 0, 1, 1, 2, 5])):
            line = self._bent_as_bytes(line)
        for piece in line.split(b"\n"):
            self._note(piece)
        return line

    def _bent_message(self) -> Any:
        """A message, or nearly one."""
        random = self._random
        method, params = random.choice(METHODS)
        number = random.randrange(10**6)
        id_ = random.choice([number, f"bent \u00e9 {number}", -number, 2**60 + number, None, 1.5, []])
        message: Any = {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}
        if self._era == BATCHES and method == "initialize":
            message["params"] = params | {"protocolVersion": BATCHES}
        if self._era == ERAS[1]:
            message["params"] = params | {"_meta": random.choice([ENVELOPE, ENVELOPE, {}, None, {"progressToken": 1}])}
        while random.random() < 0.3:
            key = random.choice([key for key in message if key != "id"])
            message |= {key: self._swapped(message[key])}
        if random.random() < 0.3:
            message = self._bent_as_json(message)
        return self._marked(message) if random.random() < 0.1 else message

    def _note(self, line: bytes) -> None:
        """The ids of a line, if any parser may find one there: each may be answered once more."""
        try:
            found = json.loads(line.decode(errors="replace"))
        except (ValueError, RecursionError):
            return
        if not isinstance(found, list):
            self._note_id(found, line, is_due=True)
        elif self._era == BATCHES:
            is_due = len(found) <= MOST and _is_json(line)
            for one in found:
                self._note_id(one, line, is_due=is_due)

    def _note_id(self, found: Any, line: bytes, *, is_due: bool) -> None:
        """The id of a message; the reply is due where the message is one that may be answered."""
        if isinstance(found, dict) and isinstance(found.get("id"), str | int) and not isinstance(found["id"], bool):
            self._sent[json.dumps(found["id"])] += 1
            if is_due and not {"result", "error"} & found.keys() and "\\ud" not in json.dumps(found["id"]):
                self._due[json.dumps(found["id"])] = line
                self._owed[json.dumps(found["id"])] += 1

    def _marked(self, node: Any) -> Any:
        """The same with a mark somewhere, in place of which comes what nests deeply."""
        random = self._random
        if not isinstance(node, dict) or random.random() < 0.1:
            return json.loads(DEEP)
        key = next((key for key in TOWARDS_THE_CLIENT if key in node), "roots")
        if random.random() < 0.3:
            key = random.choice([*node, "roots"])
        return node | {key: self._marked(node.get(key))}

    def _swapped(self, node: Any) -> Any:
        """The same with another value somewhere."""
        random = self._random
        if isinstance(node, dict) and node and random.random() < 0.8:
            key = random.choice([*node])
            return node | {key: self._swapped(node[key])}
        return random.choice(VALUES)

    def _bent_as_json(self, message: dict[str, Any]) -> Any:
        """JSON that is no message."""
        random = self._random
        key = random.choice([*(key for key in message if key != "id"), "result", "error", "extra"])
        value = random.choice(VALUES)
        kind = random.random()
        if kind < 0.5:
            return message | {key: value}
        if kind < 0.8:
            return {name: part for name, part in message.items() if name != key}
        return random.choice([[message], [message] * 3, [], value, {"jsonrpc": "2.0"}])

    def _bent_as_bytes(self, line: bytes) -> bytes:
        """Something lost, put in, doubled or nested."""
        random = self._random
        at = random.randrange(len(line) + 1)
        flip = 1 << random.randrange(8)
        bends: Sequence[Callable[[], bytes]] = (
            lambda: line[:at],
            lambda: line[:at] + random.choice(BYTES) + line[at:],
            lambda: line[:at] + bytes(byte ^ flip for byte in line[at : at + 1]) + line[at + 1 :],
            lambda: line[at:] + line[:at],
            lambda: line[:at] + line[at // 2 : at] + line[at:],
            lambda: random.choice([b"[", b'{"a":']) * random.choice([50, 5000]) + line,
            lambda: random.randbytes(random.choice([1, 10, 1000])),
            lambda: random.choice([b"\xef\xbb\xbf" + line, line + b"\r", line * 2]),
            lambda: line.decode(errors="replace").encode("utf-16"),
        )
        return random.choice(bends)()

    def _write_in_parts(self, line: bytes) -> None:
        """A line as a pipe may deliver it."""
        cut = self._random.randrange(len(line) + 1)
        self.server.write(line[:cut])
        self.server.write(line[cut:])


def _is_json(line: bytes) -> bool:
    """Whether the server's own parser can read a line."""
    try:
        from_json(line.decode(errors="replace"))
    except ValueError:
        return False
    return True


def main() -> int:
    """Write, read, check the replies, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, kinds, broken = time.monotonic(), Counter[str](), []
    for start in range(0, options.lines, LINES_PER_SERVER):
        for number, era in enumerate(REVISIONS):
            share = (min(LINES_PER_SERVER, options.lines - start) + number) // len(REVISIONS)
            run = Lines(era, Random(len(REVISIONS) * (options.seed + start) + number))
            try:
                run.write(share)
                run.end()
            except BrokenPromiseError as fault:
                broken.append(f"BROKEN, {era}: {fault}")
            finally:
                run.server.kill()
            kinds += run.kinds
    took = time.monotonic() - began
    said = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    head = f"{options.lines:,} lines in {took:.0f} s, seed {options.seed}: {said}"
    sys.stdout.write("\n".join([head, *broken]) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
