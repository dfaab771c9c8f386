"""The server over HTTP, with what the conformance suite calls by fixed names added: `python server.py PORT`.

Everything comes from inferplan's own factory and middleware; only a request that names a fixture passes by the checks
that know inferplan's tools, prompts and resources alone.
"""

import base64
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fixtures_that_ask_back import WHAT, add_tools_that_ask_back
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    Completion,
    CompletionArgument,
    CompletionContext,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from inferplan.server.app import create_server
from inferplan.server.http.app import create_app
from inferplan.server.http.settings import Settings
from inferplan.server.stdio.server import StdioServer

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SILENCE = base64.b64encode(b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0\x80>\0\0\2\0\x10\0data\0\0\0\0").decode()


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def image() -> ImageContent:
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def embedded(uri: str) -> EmbeddedResource:
    inner = TextResourceContents(uri=uri, mime_type="text/plain", text="An embedded resource.")
    return EmbeddedResource(type="resource", resource=inner)


CONTENTS: dict[str, Callable[[], list[ContentBlock]]] = {
    "test_simple_text": lambda: [text("This is a simple text response for testing.")],
    "test_image_content": lambda: [image()],
    "test_audio_content": lambda: [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")],
    "test_embedded_resource": lambda: [embedded("test://embedded-resource")],
    "test_multiple_content_types": lambda: [text("Several:"), image(), embedded("test://mixed-content-resource")],
    "test_streaming_elicitation": lambda: [text("Nothing was asked.")],
    "test_logging_tool": lambda: [text("Nothing was logged.")],
}


def add_tools(server: MCPServer[Any]) -> None:
    for name, contents in CONTENTS.items():
        server.add_tool(contents, name=name, description=WHAT, structured_output=False)

    @server.tool(description=WHAT)
    async def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(description=WHAT)
    async def test_tool_with_progress(ctx: Context[Any, Any]) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"{done} of 100")
        return "done"

    @server.tool(description=WHAT)
    async def test_missing_capability(ctx: Context[Any, Any]) -> str:
        if not (ctx.client_capabilities and ctx.client_capabilities.sampling):
            needed = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(code=MISSING_REQUIRED_CLIENT_CAPABILITY, message="needs sampling", data=needed)
        return "the client can sample"


def add_resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://template/{id}/data", mime_type="text/plain")
    def template(id: str) -> str:  # noqa: A002 - the suite's name
        return f"Data for ID: {id}"


def add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt(description=WHAT)
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description=WHAT)
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description=WHAT)
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
        return [UserMessage(embedded(resourceUri)), UserMessage("Please process it.")]

    @server.prompt(description=WHAT)
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(image()), UserMessage("Please look at it.")]

    @server.completion()
    async def complete(
        ref: PromptReference | ResourceTemplateReference,  # noqa: ARG001 - the SDK's signature
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001 - the SDK's signature
    ) -> Completion:
        return Completion(values=[f"{argument.value}is"], total=1, has_more=False)


def names_a_fixture(params: Any) -> bool:
    """Whether a request is about something that only the suite knows."""
    return any(str(params.get(key, "")).startswith(("test_", "test://")) for key in ("name", "uri"))


def except_for_fixtures(check: ServerMiddleware[Any]) -> ServerMiddleware[Any]:
    """Our middleware, for everything but fixtures."""

    async def middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        return await (call_next(ctx) if names_a_fixture(ctx.params or {}) else check(ctx, call_next))

    return middleware


def with_fixtures(server: StdioServer) -> StdioServer:
    """The server, with the fixtures beside what it has."""
    server.middleware[:] = [except_for_fixtures(middleware) for middleware in server.middleware]
    add_tools(server)
    add_tools_that_ask_back(server)
    add_resources(server)
    add_prompts(server)
    return server


if __name__ == "__main__":
    app = create_app(Settings(), with_fixtures(create_server()))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
