"""`inferplan http` asked oddly over a real connection: what is right in another guise, and what is wrong."""

import json
import re
import socket
from collections.abc import Iterator

import pytest

from http_server import HttpServer, http_server

PING = b'{"jsonrpc":"2.0","id":7,"method":"ping"}'
ANSWER = {"jsonrpc": "2.0", "id": 7, "result": {}}
USUAL = {"Content-Type": "application/json", "Accept": "application/json"}
PAGE = "https://Chat.Example"
OLD, NEW = "2025-11-25", "2026-07-28"

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    with http_server("--allowed-host", "Planner.Example", "--allowed-origin", PAGE) as running:
        yield running


def post(server: HttpServer, body: bytes = PING, *, path: str = "/mcp", **fields: str | None) -> Answer:
    """A question on a connection of its own; a field is a header, with low lines for hyphens, or none."""
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    lines = {"Host": f"127.0.0.1:{server.port}", **USUAL, "Content-Length": str(len(body)), **named}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return exchange(server, f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)


def exchange(server: HttpServer, sent: bytes) -> Answer:
    """Status, headers and body of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(sent)
        return answered(raw)


def answered(raw: socket.socket) -> Answer:
    """The next answer on a connection."""
    found = b""
    while b"\r\n\r\n" not in found and (more := raw.recv(2**16)):
        found += more
    head, _, body = found.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    while len(body) < int(headers.get("content-length", 0)) and (more := raw.recv(2**16)):
        body += more
    return int(re.split(" ", lines[0])[1]), headers, body


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', (None, -32600, "`id` takes a text or a whole number; got 1.5.")),
        ('{"jsonrpc":"2.0","id":null,"method":"x"}', (None, -32600, "`id` takes a text or a whole number; got null.")),
        ('{"jsonrpc":"2.0","id":true,"method":"x"}', (None, -32600, "`id` takes a text or a whole number; got true.")),
        ('{"jsonrpc":"2.0","id":[],"method":"x"}', (None, -32600, "`id` takes a text or a whole number; got a list.")),
        ('{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}', (7, -32600, "`params` takes one JSON object")),
        ('{"jsonrpc":"1.0","id":"a","method":"ping"}', ("a", -32600, '`jsonrpc` takes "2.0"; got "1.0".')),
        ('{"jsonrpc":"2.0","id":7}', (7, -32600, "`method` takes the name of a method in quotes; got null.")),
        ("[]", (None, -32600, "a message is one JSON object; got a list: batches are of revision 2025-03-26 alone.")),
        ("5", (None, -32600, "a message is one JSON object; got 5.")),
        ("null", (None, -32600, "a message is one JSON object; got null.")),
        ("ping", (None, -32700, "this body is not JSON (expected value at line 1")),
        ('{"jsonrpc":"2.0","id":7,"method":"\\ud800"}', (7, -32700, "this body is not JSON (unexpected end")),
        ('{"jsonrpc":"2.0","id":7,"result":5}', (None, -32600, "A request is one JSON object that asks something")),
        (" ", (None, -32600, "A request is one JSON object that asks something")),
    ],
)
def test_a_body_that_is_no_message_is_told_so_as_over_stdio(
    server: HttpServer, body: str, reply: tuple[object, int, str], version: str
):
    status, headers, told = post(server, body.encode(), MCP_Protocol_Version=version)
    assert (status, headers["content-type"]) == (400, "application/json")
    found = json.loads(told)
    assert (found["jsonrpc"], found["id"], found["error"]["code"]) == ("2.0", *reply[:2])
    assert found["error"]["message"].startswith(reply[2])
    assert found["error"]["message"].isprintable()


def test_a_text_with_a_broken_letter_is_read_as_over_stdio(server: HttpServer):
    _, _, told = post(server, PING.replace(b"}", b',"params":{"x":"\xff"}}'))
    assert json.loads(told) == ANSWER


@pytest.mark.parametrize("host", ["Planner.Example", "PLANNER.example:443", "LOCALHOST:1234", "LocalHost", "[::1]:80"])
@pytest.mark.parametrize("origin", ["HTTPS://Chat.Example", "http://LOCALHOST:3000"])
def test_capitals_of_a_host_and_an_origin_mean_nothing(server: HttpServer, host: str, origin: str):
    status, _, told = post(server, Host=host, Origin=origin)
    assert (status, json.loads(told)) == (200, ANSWER)


@pytest.mark.parametrize("version", [OLD, NEW])
@pytest.mark.parametrize("media", ["Application/JSON", "APPLICATION/json; charset=UTF-8"])
def test_capitals_of_a_media_type_mean_nothing(server: HttpServer, media: str, version: str):
    usual = post(server, MCP_Protocol_Version=version)
    assert post(server, Content_Type=media, Accept=media, MCP_Protocol_Version=version)[::2] == usual[::2]


@pytest.mark.parametrize(
    ("header", "value", "status", "said"),
    [
        ("Content_Type", "", 415, "`Content-Type: application/json`"),
        ("Content_Type", "text/plain", 415, "`Content-Type: application/json`"),
        ("Content_Type", "application/json-rpc", 415, "`Content-Type: application/json`"),
        ("Content_Encoding", "gzip", 415, "without Content-Encoding"),
        ("Accept", "text/html", 406, "`Accept: application/json, text/event-stream`"),
        ("Accept", "text/event-stream", 406, "`Accept: application/json, text/event-stream`"),
    ],
)
def test_who_writes_or_wants_something_else_than_json_is_told_which_header_to_send(
    server: HttpServer, header: str, value: str, status: int, said: str
):
    for version in (OLD, NEW):
        found, headers, told = post(server, PING, **{"MCP_Protocol_Version": version, header: value})
        assert (found, headers["content-type"]) == (status, "application/json")
        assert said in json.loads(told)["error"]["message"]


def test_who_does_not_say_what_it_accepts_accepts_json(server: HttpServer):
    status, _, told = post(server, Accept=None)
    assert (status, json.loads(told)) == (200, ANSWER)


FOREIGN = {
    "Host": (
        "localhost:21001@evil",
        "127.0.0.1:abc",
        "localhost:21001:5",
        "localhost:",
        "localhost:123456",
        "localhost:80 evil.example",
        "[::1]:",
        "[::1]:8000]",
        "planner.example:80/",
    ),
    "Origin": (
        "http://localhost:3000@evil.com",
        "http://localhost:x",
        "http://localhost:",
        "http://localhost:80/path",
        "http://localhost:80, http://evil.com",
        "http://localhost:3000\r\nOrigin: http://evil.com",
        "http://localhost:3000\r\nOrigin: http://localhost:3000",
        "https://chat.example@evil.com",
    ),
}


@pytest.mark.parametrize(("header", "value"), [(name, value) for name in FOREIGN for value in FOREIGN[name]])
def test_what_only_begins_like_a_host_or_an_origin_of_ours_is_none(server: HttpServer, header: str, value: str):
    status, _, told = post(server, PING, **{header: value})
    refusal = {"Host": (421, "--allowed-host"), "Origin": (403, "--allowed-origin")}
    expected, option = refusal[header]
    assert status == expected
    assert option in json.loads(told)["error"]["message"]


def test_a_client_of_http_1_0_which_needs_no_host_is_told_to_name_one(server: HttpServer):
    status, _, told = exchange(server, b"GET /metrics HTTP/1.0\r\n\r\n")
    assert (status, "--allowed-host" in json.loads(told)["error"]["message"]) == (421, True)
    assert exchange(server, b"GET /health HTTP/1.0\r\n\r\n")[::2] == (200, b'{"status":"ok"}')


def test_a_slash_at_the_end_of_a_path_changes_nothing(server: HttpServer):
    status, _, told = post(server, path="/mcp/")
    assert (status, json.loads(told)) == (200, ANSWER)
    host = f"Host: 127.0.0.1:{server.port}".encode()
    assert exchange(server, b"GET /health/ HTTP/1.1\r\n" + host + b"\r\n\r\n")[::2] == (200, b'{"status":"ok"}')


@pytest.mark.parametrize("path", ["/", "/mcp//", "//mcp", "/mcp/x/", "//evil.example/mcp/", "/mcp/%2e", "/docs/"])
def test_nobody_is_sent_elsewhere_but_told_where_to_ask(server: HttpServer, path: str):
    status, headers, told = post(server, path=path)
    assert status == 404
    assert "location" not in headers
    assert json.loads(told)["error"]["message"] == "Nothing is here: MCP is asked at /mcp."


@pytest.mark.parametrize(
    ("named", "header"), [(NEW, None), (NEW, OLD), (NEW, "2099-01-01"), (OLD, NEW), ("2025-06-18", OLD), (None, OLD)]
)
def test_a_request_whose_header_names_another_revision_than_its_envelope_is_served_as_neither(
    server: HttpServer, named: str | None, header: str | None
):
    fields = {"Mcp_Method": "tools/list"} | ({"MCP_Protocol_Version": header} if header else {})
    status, _, told = post(server, listing(named), **fields)
    found = json.loads(told)
    assert (status, found["id"], found["error"]["code"]) == (400, "a", -32020)
    assert found["error"]["message"] == (
        "mcp-protocol-version header does not match the request envelope's protocol version"
    )


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_request_whose_header_and_envelope_agree_is_served(server: HttpServer, version: str):
    status, _, told = post(server, listing(version), Mcp_Method="tools/list", MCP_Protocol_Version=version)
    assert status == 200
    assert ("resultType" in json.loads(told)["result"]) == (version == NEW)


def listing(version: str | None) -> bytes:
    """A question whose envelope names this revision."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return json.dumps({"jsonrpc": "2.0", "id": "a", "method": "tools/list", "params": {"_meta": envelope}}).encode()


@pytest.mark.parametrize("path", ["/mcp", "/health"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_body_with_two_ends_is_refused_and_what_follows_it_is_not_read(server: HttpServer, path: str, order: int):
    ends = [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"][::order]
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    smuggled = b"GET /health HTTP/1.1\r\n" + host + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(f"POST {path} HTTP/1.1\r\n".encode() + host + b"".join(ends) + b"\r\n0\r\n\r\n" + smuggled)
        status, headers, told = answered(raw)
        assert (status, headers["connection"]) == (400, "close")
        assert "Transfer-Encoding" in json.loads(told)["error"]["message"]
        assert not raw.recv(1)


def test_a_body_that_turns_into_what_is_no_http_is_answered_once_and_is_no_error_of_the_server():
    chunks, no_chunk = b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n"
    heads = [
        b"POST /mcp HTTP/1.1\r\n" + header + chunks
        for header in (b"Host: evil.example\r\n", b"Host: localhost\r\nContent-Length: 5\r\n", b"Host: localhost\r\n")
    ]
    with http_server() as server:
        for head in heads:
            assert all_of(server, head + no_chunk).count(b"HTTP/1.1 400 ") == 1
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(heads[0])
            assert answered(raw)[0] == 421
            raw.sendall(no_chunk)
            assert not raw.recv(1)
        assert post(server)[0] == 200
        assert server.end() == 0
        assert [entry["level"] for entry in map(json.loads, server.log) if entry["level"] == "error"] == []


def all_of(server: HttpServer, sent: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(sent)
        return b"".join(iter(lambda: raw.recv(2**16), b""))


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_answered_in_this_one_without_a_word_in_the_log(offer: str):
    """Java's HTTP client offers h2c with every question; each was a warning to install what nobody needs."""
    with http_server() as server:
        for _ in range(2):
            status, _, told = post(
                server, Connection="Upgrade, HTTP2-Settings", Upgrade=offer, HTTP2_Settings="AAMAAABk"
            )
            assert (status, json.loads(told)) == (200, ANSWER)
        assert server.end() == 0
        assert "warning" not in {json.loads(line)["level"] for line in server.log}


MUCH = b" " * 2**23


@pytest.mark.parametrize(
    ("end", "body"),
    [(b"Content-Length: %d" % len(MUCH), MUCH), (b"Transfer-Encoding: chunked", b"800000\r\n%b\r\n0\r\n\r\n" % MUCH)],
    ids=["said", "not said"],
)
def test_who_sends_far_too_much_hears_so_and_may_ask_again(server: HttpServer, end: bytes, body: bytes):
    """A connection that closes while its client still sends is reset, and the reason lost."""
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /mcp HTTP/1.1\r\n" + host + end + b"\r\n\r\n" + body)
        status, _, told = answered(raw)
        assert (status, json.loads(told)["error"]["message"]) == (413, "A request takes at most 1,048,576 bytes.")
        raw.sendall(b"GET /health HTTP/1.1\r\n" + host + b"\r\n")
        assert answered(raw)[0] == 200


def test_a_body_that_does_not_end_is_refused_when_it_is_too_large(server: HttpServer):
    head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTransfer-Encoding: chunked\r\n\r\n" % server.port
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(head + b"110000\r\n%b\r\n" % MUCH[:0x110000])
        status, _, told = answered(raw)
        assert (status, json.loads(told)["error"]["message"]) == (413, "A request takes at most 1,048,576 bytes.")


def test_who_asks_first_whether_to_send_far_too_much_is_told_not_to(server: HttpServer):
    status, headers, _ = post(server, b"", Content_Length=str(len(MUCH)), Expect="100-continue")
    assert (status, headers["connection"]) == (413, "close")
