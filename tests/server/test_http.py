"""The HTTP application without a socket: every protocol revision, and who is let in."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import INVALID_PARAMS, PARSE_ERROR
from starlette.types import Message, Receive, Scope, Send

from inferplan.server.http import watch
from inferplan.server.http.app import create_app
from inferplan.server.http.body import LARGEST_BODY
from inferplan.server.http.log import JsonLines
from inferplan.server.http.settings import Settings
from inferplan.server.http.tokens import read_tokens

pytestmark = pytest.mark.anyio

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
HOST = "http://127.0.0.1:8000"
PAGE = "https://chat.example"
TOKEN = "a-token-of-the-file"  # noqa: S105 - for a file that the test writes
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
SERVED = {
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
}
VRAM = {"name": "estimate_vram", "arguments": {"model": "70B", "precision": "fp8"}}


@asynccontextmanager
async def serving(settings: Settings, server: Any = None) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of an application with these settings, of our server or another one."""
    app = create_app(settings, server)
    transport = httpx2.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=HOST) as client:
        yield client


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(Settings(allowed_origins=(PAGE,), allowed_hosts=("planner.example",))) as client:
        yield client


@pytest.fixture(scope="module")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """The same behind tokens."""
    file = tmp_path_factory.mktemp("locked") / "tokens"
    file.write_text(f"another-token\n\n{TOKEN}\n", encoding="utf-8")
    async with serving(Settings(host="0.0.0.0", tokens=read_tokens(file), allowed_origins=(PAGE,))) as client:  # noqa: S104 - nothing listens
        yield client


@pytest.fixture
async def remote(http: httpx2.AsyncClient, era: Any) -> AsyncIterator[Client]:
    async with Client(streamable_http_client(f"{HOST}/mcp", http_client=http), mode=era) as client:
        yield client


async def ask(
    client: httpx2.AsyncClient,
    method: str,
    params: Mapping[str, object] | None = None,
    *,
    version: str = "2025-11-25",
    headers: Mapping[str, str] | None = None,
) -> httpx2.Response:
    """One request as a client of this protocol revision sends it."""
    modern = version == "2026-07-28"
    body = {**(params or {}), **({"_meta": ENVELOPE} if modern else {})}
    sent = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version, "Mcp-Method": method}
    if "name" in body:
        sent["Mcp-Name"] = str(body["name"])
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": body}
    return await client.post("/mcp", json=message, headers={**sent, **(headers or {})})


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_cursor_that_no_list_gave_is_refused(http: httpx2.AsyncClient, version: str) -> None:
    error = (await ask(http, "tools/list", {"cursor": "abc"}, version=version)).json()["error"]
    assert (error["code"], "one page" in error["message"]) == (INVALID_PARAMS, True)
    assert (await ask(http, "tools/list", version=version)).json()["result"]["tools"]


async def test_the_same_server_answers_over_http(remote: Client):
    assert next(tool.name for tool in (await remote.list_tools()).tools) == "estimate_vram"
    result = await remote.call_tool("estimate_vram", {"model": "70B", "precision": "fp8"})
    assert result.structured_content is not None
    assert result.structured_content["weights_gb"] == 70
    prompt = await remote.get_prompt("size_memory", {"model": "70B"})
    assert prompt.messages
    assert (await remote.read_resource("inferplan://workflow")).contents


async def test_errors_are_worded_the_same_over_http(remote: Client):
    refused = await remote.call_tool("estimate_vram", {"modl": "70B"})
    assert refused.is_error
    assert refused.structured_content is None
    with pytest.raises(MCPError, match="`estimate_vram`") as unknown:
        await remote.call_tool("estimate_vrm", {})
    assert unknown.value.code == INVALID_PARAMS


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_revision_is_answered_at_the_one_address_without_a_session(http: httpx2.AsyncClient, version: str):
    if version == "2026-07-28":
        greeting = await ask(http, "server/discover", version=version)
        assert greeting.json()["result"]["supportedVersions"] == [version]
    else:
        hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        greeting = await ask(http, "initialize", hello, version=version)
        assert greeting.json()["result"]["protocolVersion"] == version
    assert "mcp-session-id" not in greeting.headers
    called = await ask(http, "tools/call", VRAM, version=version)
    assert (called.status_code, called.headers["content-type"]) == (200, "application/json")
    assert called.json()["id"] == 7
    assert called.json()["result"]["structuredContent"]["weights_gb"] == 70


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "planner.example.evil.example", ""])
@pytest.mark.parametrize("path", ["/mcp", "/metrics", "/"])
async def test_a_host_that_nobody_named_is_refused_on_every_path_but_health(
    http: httpx2.AsyncClient, path: str, host: str
):
    refused = await http.get(path, headers={"Host": host})
    assert refused.status_code == 421
    assert "--allowed-host" in refused.json()["error"]["message"]
    assert (await http.get("/health", headers={"Host": host})).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1234", "[::1]:8000", "planner.example", "planner.example:443"]
)
async def test_hosts_of_this_machine_and_the_named_ones_are_answered(http: httpx2.AsyncClient, host: str):
    assert (await ask(http, "ping", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", f"{PAGE}.evil.example", "http://chat.example"])
async def test_a_page_of_another_origin_is_refused(http: httpx2.AsyncClient, origin: str):
    refused = await ask(http, "ping", headers={"Origin": origin})
    assert refused.status_code == 403
    assert "--allowed-origin" in refused.json()["error"]["message"]
    assert "access-control-allow-origin" not in refused.headers


async def test_a_page_of_a_named_origin_may_ask_before_and_when_it_asks(locked: httpx2.AsyncClient):
    wants = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version,mcp-method,mcp-name",
    }
    asked_before = await locked.options("/mcp", headers=wants)
    assert asked_before.status_code == 200
    assert asked_before.headers["access-control-allow-origin"] == PAGE
    assert (await locked.options("/mcp", headers={**wants, "Origin": "https://elsewhere.example"})).status_code == 400
    unlocked = await ask(locked, "ping", headers={"Origin": PAGE, "Authorization": f"Bearer {TOKEN}"})
    assert (unlocked.status_code, unlocked.headers["access-control-allow-origin"]) == (200, PAGE)
    told = await ask(locked, "ping", headers={"Origin": PAGE})
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (401, PAGE)


@pytest.mark.parametrize("path", ["/mcp", "/metrics", "/"])
@pytest.mark.parametrize(
    "said",
    ["", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xe9", f"Bearer {TOKEN[:-1]}"],
)
async def test_who_has_no_token_of_the_file_is_refused_on_every_path_but_health(
    locked: httpx2.AsyncClient, path: str, said: str
):
    headers = {b"Authorization": said.encode("latin-1")} if said else {}
    refused = await locked.request("POST", path, content=b"{}", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.json()["error"]["message"]
    assert (await locked.get("/health")).status_code == 200


@pytest.mark.parametrize("token", [TOKEN, "another-token"])
async def test_every_token_of_the_file_opens(locked: httpx2.AsyncClient, token: str):
    headers = {"Authorization": f"bearer {token}"}
    assert (await ask(locked, "tools/call", VRAM, headers=headers)).status_code == 200
    assert (await locked.get("/metrics", headers=headers)).status_code == 200


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length is not said before."""
    for at in range(0, len(body), 2**16):
        yield body[at : at + 2**16]


async def test_a_body_over_the_limit_is_refused_and_one_below_is_read(http: httpx2.AsyncClient):
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    too_large = b"[" * (LARGEST_BODY + 1)
    assert (await http.post("/mcp", content=too_large, headers=headers)).status_code == 413
    unsaid = await http.post("/mcp", content=in_pieces(too_large), headers=headers)
    assert (unsaid.status_code, unsaid.json()["error"]["message"]) == (413, "A request takes at most 1,048,576 bytes.")
    read = await http.post("/mcp", content=b"[" * LARGEST_BODY, headers=headers)
    assert (read.status_code, read.json()["error"]["code"]) == (400, PARSE_ERROR)


async def test_the_longest_config_is_below_the_limit(http: httpx2.AsyncClient):
    config = json.dumps({"model_type": "\U0001f9ee" * 10_000}, ensure_ascii=False)
    asked = await ask(http, "tools/call", {"name": "estimate_vram", "arguments": {"model": config}})
    assert asked.status_code == 200
    assert asked.json()["result"]["isError"]


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"[{}]", b"{}", b'{"jsonrpc":"2.0","id":1}', b"\xff\xfe", b"[" * 100_000, b"9" * 5_000],
)
async def test_what_is_no_request_is_a_protocol_error(http: httpx2.AsyncClient, body: bytes, version: str):
    headers = {"Content-Type": "application/json", "Accept": "application/json", "MCP-Protocol-Version": version}
    refused = await http.post("/mcp", content=body, headers=headers)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] <= -32600
    assert "Traceback" not in refused.text


async def never_whole() -> AsyncIterator[bytes]:
    """A body that does not come to its end."""
    yield b"{"
    await anyio.sleep_forever()


async def test_a_request_that_does_not_come_whole_is_given_up_with_a_word(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watch, "LONGEST_S", 0.05)
    given_up = await http.post("/mcp", content=never_whole(), headers={"Content-Type": "application/json"})
    assert (given_up.status_code, given_up.headers["connection"]) == (408, "close")
    assert given_up.json()["error"]["message"] == "The request was not complete in time."


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_an_answer_that_takes_too_long_is_given_up_and_its_caller_and_the_log_are_told_what_it_was(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, version: str
):
    caplog.set_level(logging.INFO, "inferplan.http.requests")
    monkeypatch.setattr(watch, "LONGEST_S", 0.05)
    search = {"model": "gpt-oss 120b", "gpu": "any", "concurrent_users": 1_000_000}
    given_up = await ask(http, "tools/call", {"name": "plan_parallelism", "arguments": search}, version=version)
    assert given_up.status_code == 503
    assert given_up.json()["error"]["message"] == (
        "This took longer than 30 s and was given up: name one `gpu` instead of any, or ask again later."
    )
    (line,) = [record.__dict__["fields"] for record in caplog.records if record.name == "inferplan.http.requests"]
    assert (line["status"], line["name"], line["outcome"]) == (503, "plan_parallelism", "cancelled")


async def test_nothing_is_said_behind_an_answer_that_has_begun(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watch, "LONGEST_S", 0.05)
    said: list[Message] = []

    async def begins(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep_forever()

    async def hear() -> Message:
        await anyio.sleep_forever()
        return {}

    async def note(message: Message) -> None:
        said.append(message)

    await watch.Watch(begins)({"type": "http", "method": "POST", "path": "/mcp"}, hear, note)
    assert [one["type"] for one in said] == ["http.response.start"]


@pytest.mark.parametrize(
    ("listens", "asked", "status"),
    [
        ("192.0.2.7", "192.0.2.7:8000", 200),
        ("2001:db8::7", "[2001:db8::7]", 200),
        ("192.0.2.7", "192.0.2.8", 421),
        ("0.0.0.0", "0.0.0.0:8000", 421),  # noqa: S104 - nothing listens
        ("planner.example", "planner.example", 421),
    ],
)
async def test_a_server_is_asked_under_the_one_address_that_it_listens_on_and_under_no_name_unless_told(
    listens: str, asked: str, status: int
):
    async with serving(Settings(host=listens)) as client:
        assert (await client.get("/metrics", headers={"Host": asked})).status_code == status


async def test_blanks_around_a_token_are_not_part_of_it(tmp_path: Path):
    file = tmp_path / "tokens"
    file.write_bytes(b"  " + TOKEN.encode() + b"\t\r\n\r\n")
    async with serving(Settings(tokens=read_tokens(file))) as client:
        for token, status in ((TOKEN, 200), ("", 401), (" ", 401)):
            assert (await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})).status_code == status


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_is_no_stream_and_no_session_to_end(http: httpx2.AsyncClient, method: str):
    refused = await http.request(method, "/mcp", headers={"Accept": "text/event-stream"})
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/../../etc/passwd", "/mcp/../../etc/passwd", "/%2e%2e/pyproject.toml", "/docs"]
)
async def test_no_path_leads_to_a_file(http: httpx2.AsyncClient, path: str):
    elsewhere = await http.get(path)
    assert elsewhere.status_code == 404
    assert elsewhere.json()["error"]["message"] == "Nothing is here: MCP is asked at /mcp."


async def test_no_word_of_a_caller_asks_a_model_hub(http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = await ask(http, "tools/call", {"name": "estimate_vram", "arguments": {"model": "nobody/nothing-1b"}})
    result = asked.json()["result"]
    assert result["isError"]
    assert "HF_HUB_OFFLINE" in result["content"][0]["text"]


async def test_metrics_count_requests_and_calls_by_what_is_known(http: httpx2.AsyncClient):
    await ask(http, "tools/call", VRAM)
    await ask(http, "tools/call", {"name": "estimate_vram", "arguments": {"model": "made-up-model"}})
    await ask(http, "tools/call", {"name": "made_up_tool"})
    await ask(http, "made/up")
    await http.get("/made-up-path")
    for method in SERVED:
        await ask(http, method, version="2026-07-28" if method == "server/discover" else "2025-11-25")
    exposed = await http.get("/metrics")
    assert exposed.headers["content-type"].startswith("text/plain")
    counts = dict(line.rsplit(" ", 1) for line in exposed.text.splitlines() if not line.startswith("#"))
    assert float(counts['inferplan_http_requests_total{method="POST",path="/mcp",status="200"}']) >= 2
    for outcome, name in (("answered", "estimate_vram"), ("refused", "estimate_vram"), ("failed", "other")):
        key = f'inferplan_calls_total{{method="tools/call",name="{name}",outcome="{outcome}"}}'
        assert float(counts[key]) >= 1
        timed = f'inferplan_call_seconds_count{{method="tools/call",name="{name}"}}'
        assert float(counts[timed]) >= float(counts[key])
    assert {method for method in SERVED if f'inferplan_calls_total{{method="{method}",' in exposed.text} == SERVED
    times = 'inferplan_http_request_seconds_count{path="/mcp"}'
    assert float(counts[times]) >= 4
    assert "made" not in exposed.text.replace("made/up", "")


@pytest.mark.parametrize("name", [7, None, ["estimate_vram"], {"estimate_vram": 1}])
async def test_a_name_that_is_no_text_is_refused_and_counted_among_others(http: httpx2.AsyncClient, name: object):
    refused = await ask(http, "tools/call", {"name": name, "arguments": {}})
    assert refused.json()["error"]["code"] == INVALID_PARAMS
    exposed = (await http.get("/metrics")).text
    assert 'inferplan_calls_total{method="tools/call",name="other",outcome="failed"}' in exposed


async def test_a_request_without_a_name_has_none_in_the_log(http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "inferplan.http.requests")
    await ask(http, "ping")
    (line,) = [record.__dict__["fields"] for record in caplog.records if record.name == "inferplan.http.requests"]
    assert set(line) == {"method", "path", "status", "ms", "rpc", "outcome", "revision"}


async def test_a_crash_is_one_line_of_the_log_with_its_traceback(toy_server: Any, caplog: pytest.LogCaptureFixture):
    async with serving(Settings(), toy_server) as client:
        crashed = await ask(client, "tools/call", {"name": "weigh", "arguments": {"model": "70B", "users": 13}})
    assert crashed.json()["result"]["isError"]
    (line,) = [JsonLines().format(record) for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(line.splitlines()) == 1
    found = json.loads(line)
    assert (found["level"], found["message"]) == ("error", "weigh failed")
    assert found["error"].startswith("Traceback")
    assert "conftest.py" in found["error"]


async def test_a_request_is_one_line_of_the_log_without_what_its_caller_made_up(
    locked: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "inferplan.http.requests")
    headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "secret-agent"}
    asked = {"name": "estimate_vram", "arguments": {"model": "secret-model"}}
    began = perf_counter()
    await ask(locked, "tools/call", asked, version="2026-07-28", headers=headers)
    await locked.get("/secret-path?secret=query", headers={"Authorization": "Bearer secret-token"})
    call, stray = [record.__dict__["fields"] for record in caplog.records if record.name == "inferplan.http.requests"]
    assert 0 < call.pop("ms") <= 1e3 * (perf_counter() - began)
    assert call == {
        "method": "POST",
        "path": "/mcp",
        "status": 200,
        "rpc": "tools/call",
        "name": "estimate_vram",
        "outcome": "refused",
        "revision": "2026-07-28",
    }
    assert (stray["path"], stray["status"]) == ("other", 401)
    assert "secret" not in str([call, stray, *caplog.messages])
