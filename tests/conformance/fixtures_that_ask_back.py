"""Tools and a prompt that ask the client before they answer (revision 2026-07-28), which inferplan's never do.

Each requests the inputs that it lacks, and answers once it has all; the suite is the client.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    INVALID_PARAMS,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

WHAT = "What the conformance suite calls by this name."
Ctx = Context[Any, Any]


def form(message: str, field: str, kind: str = "string") -> ElicitRequest:
    """A question with one field to fill in."""
    schema: dict[str, Any] = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str) -> CreateMessageRequest:
    """A question to the client's model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=50))


NAME = form("What is your name?", "name")
QUESTIONS: Mapping[str, tuple[dict[str, InputRequest], str | None]] = {
    "elicitation": ({"user_name": NAME}, None),
    "sampling": ({"capital_question": sample("What is the capital of France?")}, None),
    "list_roots": ({"client_roots": ListRootsRequest()}, None),
    "request_state": ({"confirm": form("Please confirm", "ok", "boolean")}, "asked"),
    "multiple_inputs": (
        {"user_name": NAME, "greeting": sample("Greet"), "client_roots": ListRootsRequest()},
        "asked",
    ),
    "tampered_state": ({"confirm": form("Please confirm", "ok", "boolean")}, "asked"),
}
"""By the end of the tool's name: what it asks, and the state that the client has to hand back."""

ROUNDS = (form("Step 1: What is your name?", "name"), form("Step 2: What is your favorite color?", "color"))


async def once(kind: str, ctx: Ctx) -> str | InputRequiredResult:
    """Request all inputs at once."""
    questions, state = QUESTIONS[kind]
    answers = ctx.input_responses or {}
    if ctx.request_state not in (None, state):
        raise MCPError(code=INVALID_PARAMS, message="this is not the state that was handed out")
    if set(questions) <= set(answers) and ctx.request_state == state:
        return f"{'state-ok: ' if state else ''}{answers}"
    return InputRequiredResult(input_requests=questions, request_state=state)


async def round_by_round(ctx: Ctx) -> str | InputRequiredResult:
    """Request one input after the other; the state counts the answers."""
    done = int(ctx.request_state or 0)
    if ctx.request_state and f"step{done}" not in (ctx.input_responses or {}):
        done -= 1
    if done == len(ROUNDS):
        return f"thank you: {ctx.input_responses}"
    return InputRequiredResult(input_requests={f"step{done + 1}": ROUNDS[done]}, request_state=str(done + 1))


async def what_the_client_can(ctx: Ctx) -> InputRequiredResult:
    """Request only inputs that the client's capabilities include."""
    can = ctx.client_capabilities
    questions: dict[str, InputRequest] = {}
    if can and can.sampling is not None:
        questions["sample"] = sample("Say hello")
    if can and can.elicitation is not None:
        questions["ask"] = NAME
    return InputRequiredResult(input_requests=questions, request_state="asked")


def add_tools_that_ask_back(server: MCPServer[Any]) -> None:
    """Register them under the names that the suite calls."""
    tools: dict[str, Callable[..., Any]] = {kind: bound(kind) for kind in QUESTIONS}
    tools |= {"multi_round": round_by_round, "capabilities": what_the_client_can}
    for kind, tool in tools.items():
        server.add_tool(tool, name=f"test_input_required_result_{kind}", description=WHAT, structured_output=False)

    @server.prompt(description=WHAT)
    async def test_input_required_result_prompt(ctx: Ctx) -> list[UserMessage] | InputRequiredResult:
        answer = (ctx.input_responses or {}).get("user_context")
        if answer is None:
            return InputRequiredResult(input_requests={"user_context": form("What context?", "context")})
        return [UserMessage(f"Use the following context: {answer}")]


def bound(kind: str) -> Callable[..., Any]:
    async def tool(ctx: Ctx) -> str | InputRequiredResult:
        return await once(kind, ctx)

    return tool
