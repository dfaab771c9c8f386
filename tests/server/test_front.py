"""The front says what the SDK says, to the byte, and leaves to the SDK whatever it is not sure of."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import InitializeRequestParams, RequestParams, methods

from inferplan.server.stdio import front as the_front
from inferplan.server.stdio import plain
from inferplan.server.stdio.front import FILE, Front, baked, installed
from inferplan.server.stdio.wire import LONGEST_LINE
from inferplan.tools.registry import TOOLS

UPDATE = os.environ.get("INFERPLAN_UPDATE_GOLDEN") == "1"
MADE_BY = ("inferplan", "mcp", "mcp_types")
HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS = ("2026-07-28",)
METHODS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "ping")
CLIENT = {"name": "test", "version": "1"}


def envelope(revision: str) -> dict[str, Any]:
    return {
        "io.modelcontextprotocol/protocolVersion": revision,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": CLIENT,
    }


def request(number: object, method: str, params: object = None) -> str:
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    return json.dumps(message if params is None else message | {"params": params}, ensure_ascii=False)


def call(number: object, arguments: Mapping[str, object], meta: object = None) -> str:
    params = {"name": "estimate_vram", "arguments": arguments}
    return request(number, "tools/call", params if meta is None else params | {"_meta": meta})


def opening(revision: str) -> list[str]:
    """What opens a session."""
    if revision in STATELESS:
        return [request(0, "server/discover", {"_meta": envelope(revision)})]
    hello = {"protocolVersion": revision, "capabilities": {}, "clientInfo": CLIENT}
    return [request(0, "initialize", hello), '{"jsonrpc":"2.0","method":"notifications/initialized"}']


def said(lines: list[str], *flags: str) -> list[bytes]:
    """What a server replies to these lines."""
    return replies_of(started(*flags), lines)


def said_both_ways(lines: list[str]) -> tuple[list[bytes], list[bytes]]:
    """What is replied with the front, and by the SDK alone; the two start side by side."""
    with_front, without = started(), started("--no-front")
    return replies_of(with_front, lines), replies_of(without, lines)


def started(*flags: str) -> "subprocess.Popen[bytes]":
    """A server to which nothing has been said."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-m", "inferplan.server", *flags], stdin=pipe, stdout=pipe, stderr=pipe)


def replies_of(server: "subprocess.Popen[bytes]", lines: list[str]) -> list[bytes]:
    """What it replies to these lines, at whose end it ends."""
    with server:
        replies, errors = server.communicate("".join(line + "\n" for line in lines).encode())
    assert (server.returncode, errors) == (0, b"")
    return replies.splitlines()


def enveloped(line: str, revision: str) -> str:
    """A request as this revision has it."""
    message = json.loads(line)
    if revision in STATELESS:
        params = message.get("params", {})
        message["params"] = params | {"_meta": params.get("_meta", {}) | envelope(revision)}
    return json.dumps(message, ensure_ascii=False)


def results(revision: str) -> dict[str, str]:
    """The result of each method that has one, as the SDK writes it."""
    lines = opening(revision)
    methods = [json.loads(lines[0])["method"], *METHODS]
    params = {"_meta": envelope(revision)} if revision in STATELESS else None
    lines += [request(number, method, params) for number, method in enumerate(METHODS, start=1)]
    found: dict[str, str] = {}
    for number, (method, reply) in enumerate(zip(methods, said(lines, "--no-front"), strict=True)):
        head = b'{"jsonrpc":"2.0","id":%d,"result":' % number
        if reply.startswith(head):
            found[method] = reply[len(head) : -1].decode()
    return found


def baked_again() -> str:
    """The file as it has to be."""
    texts: list[str] = []
    places: dict[str, dict[str, int]] = {}
    for revision in (*HANDSHAKES, *STATELESS):
        places[revision] = {}
        for method, text in results(revision).items():
            if text not in texts:
                texts.append(text)
            places[revision][method] = texts.index(text)
    head = {"made_by": {name: version(name) for name in MADE_BY}, "results": places}
    return "\n".join([json.dumps(head), *texts]) + "\n"


SESSIONS: dict[str, list[str]] = {
    "calls": [
        *(request(tool.name, "tools/call", {"name": tool.name, "arguments": dict(tool.example)}) for tool in TOOLS),
        call(1, {"model": "70B", "concurrent_users": "200", "gpu": None, "sessionId": "n8n"}),
        call(2, {}),
        call(3, {"model": "70B", "modl": "é€😀", "precision": "fp99"}),
        call(4, {"model": "llama 3.3 71b", "concurrent_users": 0.5}),
        call(5, {"model": "70B", "concurrent_users": 10**400}),
        call(6, {"model": "70B"}, {"progressToken": 7, "com.example/tool-use": "x"}),
        call(7, {"model": "no/such-model"}),
        call(8, {"model": "70B"}),
    ],
    "lists and ids": [
        request(2**53 - 1, "tools/list", {}),
        request("an id", "prompts/list"),
        request("", "resources/list"),
        request('quoted "id"', "ping", {}),
        "  " + request(5, "resources/templates/list") + " \r",
    ],
    "another handshake": [
        request(1, "tools/list"),
        request(2, "initialize", {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": CLIENT}),
        request(3, "tools/list"),
        call(4, {"model": "70B"}),
    ],
    "what only the SDK answers": [
        request(1, "prompts/get", {"name": "size_memory", "arguments": {"model": "70B"}}),
        request(2, "tools/list"),
        request(3, "resources/read", {"uri": "inferplan://gpus/H100"}),
        call(4, {"model": "70B"}),
        request(5, "no/such-method"),
        call(6, {"model": "70B"}),
        request(7, "server/discover", {"_meta": envelope("2026-07-28")}),
        request(8, "tools/list"),
    ],
}

UNUSUAL: dict[str, str] = {
    "garbage": "this is not JSON",
    "an empty line": "",
    "a batch": "[" + request(1, "tools/list") + "]",
    "no version": '{"id":1,"method":"tools/list"}',
    "another version": '{"jsonrpc":"1.0","id":1,"method":"tools/list"}',
    "an unknown member": '{"jsonrpc":"2.0","id":1,"method":"tools/list","more":1}',
    "a response": '{"jsonrpc":"2.0","id":1,"result":{}}',
    "a key twice": '{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}',
    "an id that is null": '{"jsonrpc":"2.0","id":null,"method":"tools/list"}',
    "an id that is true": '{"jsonrpc":"2.0","id":true,"method":"tools/list"}',
    "an id that is no integer": '{"jsonrpc":"2.0","id":1.0,"method":"tools/list"}',
    "an id that is large": request(2**53, "tools/list"),
    "an id that is escaped": '{"jsonrpc":"2.0","id":"\\u00e9","method":"tools/list"}',
    "an id that is no ASCII": request("é", "tools/list"),
    "parameters that are null": '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":null}',
    "parameters that are a list": request(1, "tools/list", []),
    "a cursor": request(1, "tools/list", {"cursor": "2"}),
    "details that are a number": request(1, "tools/list", {"_meta": 7}),
    "details that are a list": request(1, "tools/call", {"name": "estimate_vram", "arguments": {}, "_meta": [1]}),
    "a progress token": request(1, "tools/list", {"_meta": {"progressToken": 1}}),
    "a method that is a number": '{"jsonrpc":"2.0","id":1,"method":7}',
    "a method that nothing has": request(1, "tools/lists"),
    "a method with parameters": request(1, "prompts/get", {"name": "size_memory"}),
    "the envelope of the other era": request(1, "tools/list", {"_meta": envelope("2026-07-28")}),
    "a cancellation": '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
    "a call without arguments": request(1, "tools/call", {"name": "estimate_vram"}),
    "a call of nothing": request(1, "tools/call", {"arguments": {}}),
    "a call of a number": request(1, "tools/call", {"name": 7, "arguments": {}}),
    "a call with a list": request(1, "tools/call", {"name": "estimate_vram", "arguments": ["70B"]}),
    "a call with a task": request(1, "tools/call", {"name": "estimate_vram", "arguments": {}, "task": {}}),
    "a call that is traced": call(1, {"model": "70B"}, {"traceparent": "00-1-2-01"}),
    "a call that is traced and more": call(1, {"model": "70B"}, {"com.example/a": 1, "tracestate": "a=1"}),
    "a call with a wrong token": call(1, {"model": "70B"}, {"progressToken": 1.5}),
    "a call with no number": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
    '{"name":"estimate_vram","arguments":{"model":"70B","concurrent_users":NaN}}}',
}


def fresh(*lines: str) -> Front:
    """A front to which this has been said; it answers calls with their arguments."""
    known = baked()
    assert known
    front = Front(known, lambda name, arguments, _: json.dumps([name, dict(arguments)]).encode())
    for line in lines:
        assert front.answer(line.encode()) is not None
    return front


def test_the_file_holds_what_the_sdk_says_to_the_byte() -> None:
    file, again = Path(FILE), baked_again()
    if UPDATE:
        file.write_text(again, encoding="utf-8")
    assert file.read_text("utf-8") == again, "changed: INFERPLAN_UPDATE_GOLDEN=1 rewrites it"


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_a_session_sounds_the_same_with_and_without_the_front(revision: str, session: str) -> None:
    lines = opening(revision) + [enveloped(line, revision) for line in SESSIONS[session]]
    with_front, without = said_both_ways(lines)
    assert len(with_front) == len(SESSIONS[session]) + 1
    assert sorted(with_front) == sorted(without)


def test_a_session_that_is_opened_by_something_else_sounds_the_same() -> None:
    lines = [*map(UNUSUAL.__getitem__, ("garbage", "a cancellation")), request(1, "tools/list"), *opening("2025-11-25")]
    lines += [request(2, "tools/list"), call(3, {"model": "70B"})]
    with_front, without = said_both_ways(lines)
    assert [json.loads(reply)["id"] for reply in with_front] == [None, 1, 0, 2, 3]
    assert with_front == without


@pytest.mark.skipif(os.name == "nt", reason="pipes that the SDK reads in a thread, whatever comes")
def test_a_line_that_is_too_long_is_refused_in_the_same_words() -> None:
    too_long = "a" * LONGEST_LINE
    lines = [*opening("2025-11-25"), too_long, request(1, "ping"), UNUSUAL["a cancellation"], too_long]
    lines += [request(2, "ping"), too_long]
    with_front, without = said_both_ways(lines)
    assert [json.loads(reply)["id"] for reply in with_front] == [0, None, 1, None, 2, None]
    assert with_front == without


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_not_plain_is_left_to_the_sdk(case: str) -> None:
    front = fresh(*opening("2025-11-25"))
    assert front.answer(UNUSUAL[case].encode()) is None
    assert front.answer(request(1, "ping").encode()) == b'{"jsonrpc":"2.0","id":1,"result":{}}\n'


@pytest.mark.parametrize(
    "line",
    [
        request(1, "tools/list"),
        request(1, "ping"),
        request(1, "server/discover", {"_meta": envelope("2025-11-25")}),
        request(1, "server/discover", {"_meta": envelope("2099-01-01")}),
        request(1, "server/discover", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}),
        '{"jsonrpc":"2.0","method":"notifications/initialized"}',
        *(
            request(1, "initialize", {"protocolVersion": named, "capabilities": {}, "clientInfo": CLIENT})
            for named in ("2026-07-28", "2099-01-01", "", 7, None)
        ),
    ],
)
def test_a_session_is_opened_only_in_a_revision_that_is_known(line: str) -> None:
    front = fresh()
    assert front.answer(line.encode()) is None
    assert front.answer(opening("2025-11-25")[0].encode()) is not None


def test_a_second_handshake_silences_the_front() -> None:
    front = fresh(*opening("2025-11-25"), request(1, "tools/list"))
    assert front.answer(opening("2024-11-05")[0].encode()) is None
    assert front.answer(request(1, "tools/list").encode()) is None


def test_a_session_that_the_front_did_not_open_is_the_sdks_own() -> None:
    front = fresh()
    front.hand_over()
    assert [front.answer(line.encode()) for line in (*opening("2025-11-25"), request(1, "ping"))] == [None, None, None]


def test_the_sdk_is_told_how_the_session_was_opened() -> None:
    lines = opening("2025-06-18")
    front = fresh(*lines, request(1, "tools/list"))
    assert front.opened_with == [line.encode() for line in lines]
    assert json.loads(front.greeting)["result"]["protocolVersion"] == "2025-06-18"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["listChanged", "context", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PARTS = {
    "roots": st.fixed_dictionaries({"listChanged": JSON}),
    "sampling": st.dictionaries(st.sampled_from(["context", "tools"]), st.just({}) | JSON),
    "elicitation": st.dictionaries(st.sampled_from(["form", "url"]), st.just({}) | JSON),
    "experimental": st.fixed_dictionaries({"com.example": JSON}),
    "tasks": JSON,
}
CAPABILITIES = st.one_of([st.fixed_dictionaries({name: part}) for name, part in PARTS.items()])
CLIENTS = st.dictionaries(
    st.sampled_from(["name", "version", "title", "websiteUrl", "icons"]), st.text(max_size=3) | JSON
)
of_clients = given(
    said_of_itself=st.tuples(CAPABILITIES, st.just(CLIENT)) | st.tuples(st.just({}), CLIENTS.map(lambda c: CLIENT | c))
)


@of_clients
def test_a_handshake_that_the_front_takes_on_is_one_that_the_sdk_takes(said_of_itself: tuple[object, object]) -> None:
    capabilities, client = said_of_itself
    params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client}
    if plain.handshake(params):
        InitializeRequestParams.model_validate(params, by_name=False)
        for revision in HANDSHAKES:
            methods.validate_client_request("initialize", revision, params)


def signed(capabilities: object, client: object) -> dict[str, Any]:
    """The `_meta` of a request by a client that says this of itself."""
    return envelope("2026-07-28") | {
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": client,
    }


@of_clients
def test_an_envelope_that_the_front_takes_on_is_one_that_the_sdk_takes(said_of_itself: tuple[object, object]) -> None:
    meta = signed(*said_of_itself)
    if plain.envelope(meta):
        RequestParams.model_validate({"_meta": meta}, by_name=False)
        methods.validate_client_request("tools/list", "2026-07-28", {"_meta": meta})


@pytest.mark.parametrize(
    "capabilities",
    [
        {},
        {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {"form": {}, "url": {}}},
        {"experimental": {"com.example": {"n": [1]}}, "tasks": {"requests": {"sampling": {"createMessage": {}}}}},
        {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}},
    ],
)
def test_what_clients_say_of_themselves_is_plain(capabilities: dict[str, Any]) -> None:
    client = CLIENT | {"title": "T"}
    params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client}
    assert plain.handshake(params) == "2025-11-25"
    assert plain.handshake(params | {"_meta": {}}) is None
    assert plain.envelope(signed(capabilities, client)) == "2026-07-28"


@pytest.mark.parametrize(
    "capabilities",
    [
        None,
        [],
        {"roots": None},
        {"roots": {"listChanged": "yes"}},
        {"roots": {"listChanged": {}}},
        {"sampling": {"context": True}},
        {"tasks": {"requests": {"sampling": []}}},
        {"extensions": {"com.example": 1}},
        {"extensions": {"com.example": {}, "org.example": 1}},
    ],
)
def test_what_few_clients_say_of_themselves_is_not(capabilities: object) -> None:
    assert not plain.handshake({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": CLIENT})
    assert not plain.envelope(signed(capabilities, CLIENT))


@pytest.mark.parametrize("client", [None, {}, {"name": "x"}, CLIENT | {"title": None}, CLIENT | {"icons": []}])
def test_a_client_without_a_name_or_with_pictures_is_not(client: object) -> None:
    assert not plain.handshake({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client})
    assert not plain.envelope(signed({}, client))


def test_the_versions_found_are_those_that_python_finds() -> None:
    found = installed(sys.path)
    for name in MADE_BY:
        assert found[name] == version(name)
    assert len(found) >= len({one.name for one in distributions()}) // 2


@pytest.mark.parametrize("name", MADE_BY)
def test_words_of_another_version_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    head, _, rest = Path(FILE).read_text("utf-8").partition("\n")
    said_once = json.loads(head)
    said_once["made_by"][name] = "0.0.1"
    other = tmp_path / "front.jsonl"
    other.write_text(json.dumps(said_once) + "\n" + rest, encoding="utf-8")
    monkeypatch.setattr(the_front, "FILE", str(other))
    assert baked() is None


def test_without_the_file_there_is_no_front(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(the_front, "FILE", str(tmp_path / "front.jsonl"))
    assert baked() is None


def test_the_lists_are_answered_with_nothing_heavy_imported() -> None:
    code = (
        "import sys; from inferplan.server import __main__, early; from inferplan.server.stdio import front;"
        "f = front.Front(front.baked(), lambda *_: None);"
        "assert all(f.answer(line) is not None for line in sys.stdin.buffer);"
        "print({'mcp', 'pydantic', 'pydantic_core', 'anyio', 'asyncio', 'argparse', 'pathlib', 'importlib.metadata',"
        "'inspect', 'dataclasses'} & set(sys.modules))"
    )
    lines = "".join(line + "\n" for line in [*opening("2025-11-25"), request(1, "tools/list")])
    done = subprocess.run([sys.executable, "-c", code], input=lines.encode(), capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"set()\n", b"")


DOCTORED = """
import sys
import inferplan.server.early as early
import inferplan.server.stdio.front as front
text = open(front.FILE, "rb").read().replace(b'"tools":{"listChanged":false}', b'"tools":{"listChanged":true}', 1)
early.baked = lambda: front.Baked(text)
import inferplan.server.__main__ as command
command.main([])
"""


def test_a_handshake_that_the_sdk_words_differently_is_logged_and_not_said_twice() -> None:
    lines = [*opening("2024-11-05"), request(1, "prompts/get", {"name": "size_memory", "arguments": {"model": "70B"}})]
    done = subprocess.run(
        [sys.executable, "-c", DOCTORED],
        input="".join(line + "\n" for line in lines),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert [json.loads(reply)["id"] for reply in done.stdout.splitlines()] == [0, 1]
    assert "--no-front" in done.stderr


def nested(levels: int) -> dict[str, Any]:
    """Objects within each other, as a document that is no deeper than Python can walk."""
    document: dict[str, Any] = {}
    for _ in range(levels):
        document = {"a": document}
    return document


@pytest.mark.parametrize("levels", [40, 150, 450])
def test_what_nests_deeply_anywhere_is_answered_as_the_sdk_answers_it_and_stops_nothing(levels: int):
    """Walked level by level, what a client says of itself once ended the server."""
    deep = nested(levels)
    hello = {"protocolVersion": "2025-11-25", "capabilities": {"roots": deep}, "clientInfo": CLIENT}
    able = envelope("2026-07-28") | {"io.modelcontextprotocol/clientCapabilities": {"roots": deep}}
    sessions = (
        [request(0, "initialize", hello), *opening("2025-11-25")[1:], request(1, "ping")],
        [request(0, "server/discover", {"_meta": able}), request(1, "tools/list", {"_meta": envelope("2026-07-28")})],
        [
            *opening("2025-11-25"),
            call(1, {"model": deep}),
            request(2, "tools/list", {"_meta": {"x": deep}}),
            request(3, "ping"),
        ],
    )
    for lines in sessions:
        with_front, without = said_both_ways(lines)
        assert len(with_front) == sum('"id"' in line for line in lines)
        assert sorted(with_front) == sorted(without)


WITHOUT = """
import sys
sys.modules[{package!r}] = None
import inferplan.server.__main__ as command
command.main([])
"""


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_lists_and_plain_calls_are_answered_also_where_the_sdk_cannot_be_imported(revision: str) -> None:
    """So nobody who asks for them ever waits for it. What does need it ends the server, with the reason."""
    plain_ones = [
        request("one", "tools/list"),
        call(2, {"model": "70B"}),
        call("3", {"model": "70B", "precision": "x"}),
    ]
    lines = opening(revision) + [enveloped(line, revision) for line in plain_ones]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package="mcp")],
        input="".join(line + "\n" for line in [*lines, request(4, "no/such-method")]).encode(),
        capture_output=True,
        check=False,
    )
    assert done.stdout.splitlines() == said(lines)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"ModuleNotFoundError: No module named 'mcp")


def test_a_call_that_needs_what_cannot_be_imported_ends_the_server_with_the_reason() -> None:
    lines = [*opening("2025-11-25"), request(1, "tools/list"), call(2, {"model": "70B"})]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package="pydantic")],
        input="".join(line + "\n" for line in lines).encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert [json.loads(reply)["id"] for reply in done.stdout.splitlines()] == [0, 1]
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(b"ModuleNotFoundError: import of pydantic")
