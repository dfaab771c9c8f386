"""Broken bytes for `inferplan http`: requests and batches that are cut, flipped, doubled and mixed, on raw connections.

    python tests/load/fuzz_http.py [--requests 20000] [--seed 1]

Whatever comes in, what goes out is HTTP that blames the client, or a true JSON-RPC message; the server goes on, logs no
error, and answers a whole question right in between. Prints what came back; 1 where any of this is not so.
"""

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from http_server import HttpServer, http_server
from inferplan.server.malformed import BATCHES
from load.clients import ID, Connection, Question, questions

AT_ONCE = 32
PATIENCE_S = 1.0
"""How long an answer may take before the request counts as one that the server still waits to see the end of."""
BLAME = {400, 403, 404, 405, 406, 413, 415, 421, 431}
PIECES = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b"\xff\xfe",
    b"Content-Length: 0\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Upgrade: h2c\r\n",
    b"Host: evil.example\r\n",
    b"Origin: null\r\n",
    b"MCP-Protocol-Version: 2026-07-28\r\n",
    b"MCP-Protocol-Version: 1999-01-01\r\n",
    b"Mcp-Session-Id: x\r\n",
    b"0\r\n\r\n",
    b"ffffffff\r\n",
    b"GET / HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"{",
    b"]",
    b'"id":null,',
    b'"method":"subscriptions/listen",',
    b"1e999",
    b"NaN",
    b"\\ud800",
    b"[" * 3000,
    b"9" * 5000,
)

BESIDE = (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', b"{}", b"[]", b"1", b'{"jsonrpc":"2.0","id":"7"}')
"""What comes in a batch beside calls."""

Mutation = Callable[[random.Random, bytes], bytes]


def _cut(luck: random.Random, text: bytes) -> bytes:
    return text[: luck.randrange(len(text))]


def _flip(luck: random.Random, text: bytes) -> bytes:
    found = bytearray(text)
    for _ in range(luck.choice((1, 1, 2, 8))):
        found[luck.randrange(len(found))] = luck.randrange(256)
    return bytes(found)


def _drop(luck: random.Random, text: bytes) -> bytes:
    at = luck.randrange(len(text))
    return text[:at] + text[at + luck.randrange(1, 40) :]


def _double(luck: random.Random, text: bytes) -> bytes:
    at = luck.randrange(len(text))
    return text[:at] + text[at : at + luck.randrange(1, 200)] + text[at:]


def _insert(luck: random.Random, text: bytes) -> bytes:
    at = luck.randrange(len(text))
    return text[:at] + luck.choice(PIECES) + text[at:]


def _insert_line(luck: random.Random, text: bytes) -> bytes:
    at = luck.choice([0, *(found.end() for found in re.finditer(rb"\r\n", text))])
    return text[:at] + luck.choice(PIECES) + text[at:]


def _shuffle(luck: random.Random, text: bytes) -> bytes:
    lines = text.split(b"\r\n")
    luck.shuffle(lines)
    return b"\r\n".join(lines)


def _noise(luck: random.Random, text: bytes) -> bytes:
    return luck.randbytes(luck.randrange(1, len(text) + 1))


MUTATIONS: tuple[Mutation, ...] = (_cut, _flip, _flip, _drop, _double, _insert, _insert, _insert_line, _shuffle, _noise)


def broken(luck: random.Random, asked: Sequence[Question]) -> bytes:
    """A request with one to three things wrong with it."""
    text = _batch(luck, asked) if luck.random() < 0.2 else luck.choice(asked).request(luck.randrange(1000))
    for _ in range(luck.choice((1, 1, 1, 2, 3))):
        text = luck.choice(MUTATIONS)(luck, text) or b"\r\n"
    return text


def _batch(luck: random.Random, asked: Sequence[Question]) -> bytes:
    """A list of calls, notifications and what is no message, in the revision that has batches or in another."""
    first = luck.choice([one for one in asked if one.revision == BATCHES] if luck.random() < 0.9 else asked)
    calls = [luck.choice(asked).body.replace(ID, b"%d" % number) for number in range(luck.choice((0, 1, 2, 4)))]
    messages = [first.body.replace(ID, b"7"), *calls, *luck.sample(BESIDE, luck.randrange(len(BESIDE)))]
    luck.shuffle(messages)
    body = b"[%b]" % b",".join(messages)
    return first.head % len(body) + body


async def answer_to(port: int, sent: bytes) -> bytes:
    """All bytes that come back until the server closes or stops sending."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    try:
        writer.write(sent)
        while part := await asyncio.wait_for(reader.read(2**16), PATIENCE_S):
            found += part
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return found


def verdict(found: bytes) -> tuple[str, str | None]:
    """The kind of an answer, in a word, and what is wrong with it."""
    if not found:
        return "nothing (waits, or closed)", None
    if not found.startswith(b"HTTP/1.1 "):
        return "no HTTP", f"no HTTP: {found[:200]!r}"
    if b"Traceback" in found:
        return "a traceback", f"a traceback: {found[:400]!r}"
    status = int(found[9:12])
    if status in (100, 200, 202):
        return str(status), _untrue(found) if status == 200 else None
    return str(status), None if status in BLAME else f"status {status}: {found[:400]!r}"


def _untrue(found: bytes) -> str | None:
    """What is wrong with the body of a 200, as far as it came."""
    head, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    if length is None or len(body) < int(length[1]):
        return None
    try:
        message = json.loads(body[: int(length[1])])
    except ValueError:
        return f"no JSON: {found[:400]!r}"
    messages = message if isinstance(message, list) and message else [message]
    is_true = all(map(_is_reply, messages)) or message == {"status": "ok"}
    return None if is_true else f"no JSON-RPC: {found[:400]!r}"


def _is_reply(message: object) -> bool:
    return isinstance(message, dict) and message.get("jsonrpc") == "2.0" and len({"result", "error"} & {*message}) == 1


async def fuzz(server: HttpServer, *, requests: int, seed: int) -> tuple[Counter[str], list[str]]:
    """How often each kind of answer came, and what was wrong."""
    luck, asked = random.Random(seed), questions(server.port)
    verdicts, wrong = Counter[str](), list[str]()
    left = iter(range(requests))

    async def one_after_the_other() -> None:
        for number in left:
            word, problem = verdict(await answer_to(server.port, broken(luck, asked)))
            verdicts[word] += 1
            wrong.extend([f"request {number}: {problem}"] if problem else [])
            if number % 100 == 0 and not await _is_well(server.port, luck.choice(asked)):
                wrong.append(f"after request {number}: a whole question was not answered right")

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    wrong += [line for line in server.log if '"level":"error"' in line]
    return verdicts, wrong


async def _is_well(port: int, question: Question) -> bool:
    """Whether a valid request gets its answer."""
    connection = Connection(port)
    status, body = await connection.ask(question.request(1))
    connection.close()
    return status == 200 and json.loads(body)["result"]["structuredContent"] == question.result["structuredContent"]


def main() -> int:
    """Send, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with http_server("--no-request-log") as server:
        verdicts, wrong = asyncio.run(fuzz(server, requests=options.requests, seed=options.seed))
        code = server.end()
    print(  # noqa: T201 - a script that prints its table
        "| what came back | how often |\n|---|---|",
        *(f"| {word} | {number:,} |" for word, number in sorted(verdicts.items())),
        f"\n{options.requests:,} requests, seed {options.seed}: {len(wrong)} problems, exit code {code}",
        *(problem[:600] for problem in wrong[:20]),
        sep="\n",
    )
    return int(bool(wrong or code))


if __name__ == "__main__":
    sys.exit(main())
