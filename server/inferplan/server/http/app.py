"""The HTTP application: the MCP endpoint, health and metrics behind one gate."""

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inferplan.prompts.workflow import prompts
from inferplan.server.answer import answer, reach
from inferplan.server.app import create_server
from inferplan.server.http.batches import Batches
from inferplan.server.http.body import Whole
from inferplan.server.http.gate import METRICS, OPEN, Gate
from inferplan.server.http.metrics import metrics
from inferplan.server.http.settings import Settings
from inferplan.server.http.spelling import Spelling
from inferplan.server.http.watch import Watch, note_calls
from inferplan.server.stdio.server import StdioServer
from inferplan.tools.registry import TOOLS

REQUEST_HEADERS = ("Authorization", "Content-Type", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id")
"""Headers that pages in a browser may send."""


def create_app(settings: Settings, server: StdioServer | None = None) -> Starlette:
    """The application of inferplan's server or another; each tool has answered its example before the first request."""
    server = server or create_server()
    server.middleware.insert(0, note_calls([*(tool.name for tool in TOOLS), *(prompt.name for prompt in prompts())]))
    server.custom_route(OPEN, methods=["GET"])(health)
    server.custom_route(METRICS, methods=["GET"])(metrics)
    security = TransportSecuritySettings(allowed_hosts=settings.hosts, allowed_origins=settings.origins)
    app = server.streamable_http_app(stateless_http=True, json_response=True, transport_security=security)
    # A redirect names http://, and behind TLS the question is repeated in the clear.
    app.router.redirect_slashes = False
    app.add_middleware(Batches)
    app.add_middleware(Whole)
    app.add_middleware(Gate, security=security, tokens=settings.tokens)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=REQUEST_HEADERS,
    )
    app.add_middleware(Spelling)
    app.add_middleware(Watch)
    for tool in TOOLS:
        answer(lambda tool=tool: tool, tool.name, tool.example, reach(tool.example))
    return app


async def health(_: Request) -> Response:
    """The answer to a health probe."""
    return JSONResponse({"status": "ok"})
