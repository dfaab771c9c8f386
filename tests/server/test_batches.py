"""Batches of JSON-RPC: lists of messages, which revision 2025-03-26 says that a server must take, and no other has.

What is said of them here holds over stdio, with the front and with the SDK alone, and over HTTP.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft7Validator

from data_files import DATA
from http_server import HttpServer, http_server
from inferplan.server.batch import MOST
from inferplan.server.http.body import LARGEST_BODY
from stdio_server import Wire

BATCHES = "2025-03-26"
OTHERS = ("2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28")
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
ELSEWHERE = "got a list: batches are of revision 2025-03-26 alone."
VRAM = {"name": "estimate_vram", "arguments": {"model": "70B", "precision": "fp8"}}
SEARCH = {"name": "plan_parallelism", "arguments": {"model": "70B", "gpu": "any", "concurrent_users": 50}}

Message = dict[str, Any]
Ask = Callable[[object], Any]
"""Sends a list, or a text that may be none; what is replied, None where nothing is."""


def request(id_: object, method: str = "ping", **params: object) -> Message:
    return {"jsonrpc": "2.0", "id": id_, "method": method} | ({"params": params} if params else {})


def note(method: str = "notifications/initialized", **params: object) -> Message:
    return {"jsonrpc": "2.0", "method": method} | ({"params": params} if params else {})


def cancel(id_: object) -> Message:
    return note("notifications/cancelled", requestId=id_)


def session(revision: str, lines: Sequence[object], *flags: str) -> list[Any]:
    """What is replied to these lines, which come all at once, the handshake before them."""
    hello = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    said = [request(0, "initialize", **hello), note(), *lines]
    done = subprocess.run(
        [sys.executable, "-m", "inferplan.server", *flags],
        input="".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in said),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr == ""
    greeting, *replies = map(json.loads, done.stdout.splitlines())
    assert (greeting["id"], greeting["result"]["protocolVersion"]) == (0, revision)
    return replies


FLAGS = {"front": (), "sdk": ("--no-front",)}


@pytest.fixture(params=[*FLAGS.values()], ids=[*FLAGS])
def flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    with http_server() as running:
        yield running


def over_stdio(wire: Wire) -> Ask:
    def ask(batch: object) -> Any:
        wire.say(batch)
        if isinstance(batch, list) and batch and all(map(asks_nothing, batch)):
            assert wire.result("ping") == {}
            return None
        return wire.listen()

    return ask


def over_http(server: HttpServer, **headers: str) -> Ask:
    def ask(batch: object) -> Any:
        content = batch if isinstance(batch, str) else json.dumps(batch)
        told = httpx2.post(server.url, content=content, headers=JSON | headers, timeout=120)
        replies = json.loads(told.text) if told.text else None
        assert told.status_code == (202 if replies is None else 200 if isinstance(replies, list) else 400)
        return replies

    return ask


def asks_nothing(message: object) -> bool:
    return isinstance(message, dict) and ("id" not in message or bool({"result", "error"} & set(message)))


@pytest.fixture(params=["front", "sdk", "http", "http that names the revision"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param in FLAGS:
        return over_stdio(request.getfixturevalue("servers")(BATCHES, *FLAGS[request.param]))
    named = {"MCP-Protocol-Version": BATCHES} if request.param != "http" else {}
    return over_http(request.getfixturevalue("server"), **named)


def test_a_batch_is_answered_by_one_list_with_a_reply_to_each_request(ask: Ask):
    lists = request("b", "tools/list")
    replies = ask([request(1), note(), request("a", "tools/call", **VRAM), lists, request(2, "no/such/method")])
    schema = json.loads((DATA / "protocol" / f"{BATCHES}.json").read_text("utf-8"))
    Draft7Validator(schema | {"$ref": "#/definitions/JSONRPCBatchResponse"}).validate(replies)
    assert [reply["id"] for reply in replies] == [1, "a", "b", 2]
    assert replies[0]["result"] == {}
    assert replies[1]["result"]["structuredContent"]["weights_gb"] == 70
    assert replies[2]["result"]["tools"][0]["name"] == "estimate_vram"
    assert replies[3]["error"]["code"] == -32601


def test_a_message_in_a_batch_is_answered_as_it_is_alone(ask: Ask, server: HttpServer):
    asked = [request(1, "tools/call", **VRAM), request(2, "prompts/get", name="size_memry"), request(3, "tools/call")]
    alone = [httpx2.post(server.url, json=one, headers=JSON, timeout=120).json() for one in asked]
    assert ask(asked) == alone


@pytest.mark.parametrize(
    "batch",
    [
        [note()],
        [cancel("never asked"), note("notifications/roots/list_changed")],
        [{"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "m"}}],
        [{"jsonrpc": "2.0", "id": 1, "result": 5}],
    ],
    ids=["a notification", "notifications", "responses", "no response either"],
)
def test_a_batch_that_asks_nothing_is_answered_by_nothing(ask: Ask, batch: object):
    assert ask(batch) is None


def test_what_is_no_message_in_a_batch_is_told_so_in_its_place(ask: Ask):
    batch = [
        1,
        request("a"),
        [request(1)],
        {"jsonrpc": "2.0", "id": 2},
        {"id": "b", "method": "ping"},
        request(1.5),
        request(None),
        {"jsonrpc": "2.0", "id": 3, "method": "ping", "params": []},
        note(),
        request("c"),
    ]
    replies = ask(batch)
    assert [reply["id"] for reply in replies] == [None, "a", None, 2, "b", None, None, 3, "c"]
    wrong = [reply["error"] for reply in replies if "error" in reply]
    assert {(*error,) for error in wrong} == {("code", "message")}
    assert {error["code"] for error in wrong} == {-32600}
    assert [error["message"] for error in wrong] == [
        "a message of a batch is one JSON object; got 1.",
        "a message of a batch is one JSON object; got a list.",
        "`method` takes the name of a method in quotes; got null.",
        '`jsonrpc` takes "2.0"; got null.',
        "`id` takes a text or a whole number; got 1.5.",
        "`id` takes a text or a whole number; got null.",
        '`params` takes one JSON object, like {"name": value}; got a list.',
    ]


@pytest.mark.parametrize(
    ("batch", "code", "sentence"),
    [
        ([], -32600, "a batch has at least one message; this one is empty."),
        (" [ ] ", -32600, "a batch has at least one message; this one is empty."),
        ([request(1)] * (MOST + 1), -32600, "a batch has at most 100 messages; got 101."),
        ("[" + "0," * 400_000 + "0]", -32600, "a batch has at most 100 messages; got 400,001."),
        ('[{"jsonrpc":"2.0","id":1,"method":"ping"},{]', -32700, "this {} is not JSON (key must be a string"),
        ('[{"jsonrpc":"2.0","id":1,"method":"ping"}', -32700, "this {} is not JSON (EOF while parsing a list"),
        ('[{"jsonrpc":"2.0","id":1,"method":"\\ud800"}]', -32700, "this {} is not JSON (unexpected end of hex"),
        ("[" * 5_000, -32700, "this {} is not JSON (recursion limit exceeded"),
    ],
    ids=["empty", "empty, with spaces", "one too many", "far too many", "no JSON", "cut", "half a letter", "deep"],
)
def test_a_batch_that_is_none_is_one_error(ask: Ask, batch: object, code: int, sentence: str):
    reply = ask(batch)
    assert (reply["id"], reply["error"]["code"]) == (None, code)
    assert reply["error"]["message"].startswith((sentence.format("line"), sentence.format("body")))


def test_as_many_messages_as_are_said_to_be_may_come_at_once(ask: Ask):
    assert [reply["id"] for reply in ask([request(number) for number in range(MOST)])] == [*range(MOST)]


def test_a_handshake_is_sent_alone(ask: Ask):
    hello = {"protocolVersion": BATCHES, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    refused, answered = ask([request(7, "initialize", **hello), request(8)])
    assert (refused["id"], refused["error"]["code"]) == (7, -32600)
    assert refused["error"]["message"] == "`initialize` is sent alone, before any batch."
    assert answered == {"jsonrpc": "2.0", "id": 8, "result": {}}


def test_ids_that_come_twice_are_answered_twice(ask: Ask):
    replies = ask([request(1, "tools/call", **SEARCH), request(1, "tools/call", **VRAM), request("1"), request(1)])
    assert [repr(reply["id"]) for reply in replies] == ["1", "1", "'1'", "1"]
    assert len([reply for reply in replies if "structuredContent" in reply["result"]]) == 2


def test_no_number_in_a_batch_is_refused_by_name(ask: Ask):
    (reply,) = ask(json.dumps([request(1, "tools/call", **VRAM)]).replace('"70B"', '"70B","concurrent_users":NaN'))
    assert "`concurrent_users` takes a whole number" in reply["result"]["content"][0]["text"]


@pytest.mark.parametrize("revision", OTHERS[:-1])
def test_a_session_of_another_revision_is_told_which_one_has_batches(flags: tuple[str, ...], revision: str):
    *refused, answered = session(revision, [[request(1)], [], [1] * (MOST + 1), request("last")], *flags)
    assert [(reply["id"], reply["error"]["code"]) for reply in refused] == [(None, -32600)] * 3
    assert {reply["error"]["message"] for reply in refused} == {
        f"a message is one JSON object on one line; {ELSEWHERE}"
    }
    assert answered["id"] == "last"


@pytest.mark.parametrize("revision", [*OTHERS, "1999-01-01"])
def test_a_request_of_another_revision_is_told_which_one_has_batches(server: HttpServer, revision: str):
    refused = over_http(server, **{"MCP-Protocol-Version": revision})([request(1)])
    assert (refused["id"], refused["error"]["code"]) == (None, -32600)
    assert refused["error"]["message"] == f"a message is one JSON object; {ELSEWHERE}"


def test_a_session_without_a_handshake_has_no_batches(connect: Callable[..., Any]):
    wire = connect("2026-07-28")
    wire.say([request(1)])
    assert wire.listen()["error"]["message"].endswith(ELSEWHERE)


def test_a_session_that_is_opened_by_a_batch_has_none_yet(process: Callable[..., Any], flags: tuple[str, ...]):
    wire = process("-m", "inferplan.server", *flags)
    replies, _ = wire.communicate(json.dumps([request(1)]) + "\n")
    assert json.loads(replies)["error"]["message"].endswith(ELSEWHERE)


def test_what_a_batch_is_goes_by_the_last_handshake(flags: tuple[str, ...]):
    hello = {"capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    again = [request("again", "initialize", protocolVersion=revision, **hello) for revision in ("2025-06-18", BATCHES)]
    lines = [[request(1)], again[0], [request(2)], again[1], [request(3)]]
    first, _, refused, _, last = session(BATCHES, lines, *flags)
    assert (first[0]["id"], last[0]["id"]) == (1, 3)
    assert refused["error"]["message"].endswith(ELSEWHERE)


def test_what_is_cancelled_has_no_reply_in_its_batch(flags: tuple[str, ...]):
    batches = [
        [request(1, "tools/call", **SEARCH), cancel(1), request(2)],
        [cancel(3), request(3)],
        [request(4, "tools/call", **SEARCH), cancel(4)],
        [request(5, "tools/call", **SEARCH), request("5"), cancel(5)],
    ]
    replies = session(BATCHES, [*batches, request("last")], *flags)
    said = [[one["id"] for one in reply] if isinstance(reply, list) else reply["id"] for reply in replies]
    assert sorted(said, key=repr) == ["last", [2], [3], [5, "5"]]


def test_what_is_cancelled_too_late_is_answered_in_its_batch_or_not_at_all(flags: tuple[str, ...]):
    replies = session(BATCHES, [[request(1), cancel(1)], [request(2), cancel(2), request(3)], request("last")], *flags)
    said = [[one["id"] for one in reply] if isinstance(reply, list) else reply["id"] for reply in replies]
    assert [one for one in said if one != [1]] in ([[2, 3], "last"], [[3], "last"])


def long_and_short(*, users: int) -> list[Message]:
    """A batch whose first question takes long, where nobody asked it before."""
    search = {"model": "gpt-oss 120b", "gpu": "any", "concurrent_users": users}
    return [request("long", "tools/call", **SEARCH | {"arguments": search}), request("short")]


def test_a_call_in_a_batch_is_cancelled_from_outside(standing: Callable[..., Wire]):
    wire = standing(BATCHES)
    wire.say(long_and_short(users=100_000))
    wire.say(cancel("long"))
    assert [reply["id"] for reply in wire.listen()] == ["short"]
    assert wire.result("ping") == {}


def test_other_messages_do_not_wait_for_a_batch(standing: Callable[..., Wire]):
    wire = standing(BATCHES)
    wire.say(long_and_short(users=1_000_000))
    wire.say(request("beside"))
    assert wire.listen()["id"] == "beside"
    assert [reply["id"] for reply in wire.listen()] == ["long", "short"]


def test_the_progress_of_a_call_in_a_batch_is_told_beside_it(flags: tuple[str, ...]):
    call = request(1, "tools/call", **SEARCH, _meta={"progressToken": "p"})
    *progress, replies = session(BATCHES, [[call]], *flags)
    assert progress
    assert {said["method"] for said in progress} == {"notifications/progress"}
    assert [reply["id"] for reply in replies] == [1]


def test_sessions_with_batches_sound_the_same_with_and_without_the_front():
    lines = [[request(1, "tools/call", **VRAM), note()], [], [[]], request(2, "tools/list"), [request(3)], request(4)]
    assert session(BATCHES, lines) == session(BATCHES, lines, "--no-front")


def test_batches_come_in_files_as_well(tmp_path: Path):
    asked, answered = tmp_path / "asked.jsonl", tmp_path / "answered.jsonl"
    hello = {"protocolVersion": BATCHES, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    lines = [request(0, "initialize", **hello), [request(1), 5], []]
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    with asked.open() as source, answered.open("w") as sink:
        subprocess.run([sys.executable, "-m", "inferplan.server"], stdin=source, stdout=sink, check=True)
    _, batch, empty = map(json.loads, answered.read_text("utf-8").splitlines())
    assert [reply["id"] for reply in batch] == [1, None]
    assert empty["error"]["message"].startswith("a batch has at least one message")


def test_a_message_that_names_another_revision_than_its_header_is_refused_in_its_place(server: HttpServer):
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    refused, answered = over_http(server)([request(1, _meta=meta), request(2)])
    assert (refused["id"], refused["error"]["code"]) == (1, -32020)
    assert answered == {"jsonrpc": "2.0", "id": 2, "result": {}}


def test_a_batch_has_the_size_of_a_body_and_one_line_in_the_log(server: HttpServer):
    long = " " * LARGEST_BODY
    refused = httpx2.post(server.url, content=f"[{long}]", headers=JSON, timeout=120)
    assert refused.status_code == 413
    over_http(server)([request(1), request(2, "tools/call", **VRAM), *(note() for _ in range(9))])
    assert server.wait_for("request", rpc="batch", messages=11)["status"] == 200
    assert len(server.entries("request", messages=11)) == 1
    counted = httpx2.get(server.url.replace("/mcp", "/metrics"), timeout=120).text
    assert 'inferplan_calls_total{method="tools/call",name="estimate_vram",outcome="answered"}' in counted
