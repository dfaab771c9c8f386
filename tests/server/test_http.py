from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import INVALID_PARAMS

from inferplan.server.app import create_server

pytestmark = pytest.mark.anyio
ORIGIN = "http://127.0.0.1:8000"


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """The whole HTTP stack without a socket."""
    server = create_server()
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    async with (
        server.session_manager.run(),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as client,
    ):
        yield client


@pytest.fixture
async def remote(http: httpx2.AsyncClient, era: Any) -> AsyncIterator[Client]:
    async with Client(streamable_http_client(f"{ORIGIN}/mcp", http_client=http), mode=era) as client:
        yield client


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


async def test_a_page_of_another_origin_is_refused(http: httpx2.AsyncClient):
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Origin": "https://elsewhere.example", "Accept": "application/json, text/event-stream"}
    assert (await http.post("/mcp", json=body, headers=headers)).status_code == 403
