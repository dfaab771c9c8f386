"""Tools and prompts as the SDK publishes them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import Message, PromptArgument, UserMessage
from mcp.server.mcpserver.tools import Tool as SdkTool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import INVALID_PARAMS, CallToolResult, TextContent, ToolAnnotations
from pydantic import PrivateAttr

from inferplan.prompts.workflow import Argument
from inferplan.prompts.workflow import Prompt as Words
from inferplan.server.listing import Listing
from inferplan.server.words import code, listed, lower_first, nearest

if TYPE_CHECKING:
    from inferplan.server.answer import Answered
    from inferplan.tools._tool import Tool

CALCULATOR = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
ASKED_FIRST = "run_preset"
"""The tool that answers most questions in one call."""
ALWAYS_LOADED = {"anthropic/alwaysLoad": True}
"""Claude Code shows a model only the names of tools, until it searches for them, but for tools that say this.

Source: Claude Code 2.1.332 as `tests/conformance/in_hosts.py` runs it, and what its settings say of `alwaysLoad`.
"""


class PublishedTool(SdkTool):
    """A tool of inferplan as one of the SDK's: its closed schema, its error messages, and both kinds of content."""

    _load: "Callable[[], Tool[Any, Any]]" = PrivateAttr()

    @classmethod
    def of(cls, listing: Listing, load: "Callable[[], Tool[Any, Any]]") -> "PublishedTool":
        """The tool, ready for `MCPServer(tools=...)`; `load` gives the tool itself when it is first called."""
        published = cls(
            fn=load,
            name=listing.name,
            title=listing.title,
            description=listing.description,
            parameters=listing.arguments,
            fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=listing.answer),
            is_async=False,
            context_kwarg=None,
            annotations=CALCULATOR,
            meta=ALWAYS_LOADED if listing.name == ASKED_FIRST else None,
        )
        published._load = load
        return published

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: ARG002, FBT001, FBT002 - the SDK's signature
    ) -> CallToolResult:
        """Answer the call. Every failure is a result that says what to do next, never an exception."""
        # Listing tools needs none of them.
        from inferplan.server.answer import answer, reach  # noqa: PLC0415
        from inferplan.server.long_calls import in_a_thread  # noqa: PLC0415

        how_far = reach(arguments)
        work = partial(answer, self._load, self.name, arguments, how_far)
        return result_of(await in_a_thread(work, context.report_progress) if how_far.is_long else work())


def result_of(answered: "Answered") -> CallToolResult:
    """Both kinds of content; or an error that the model reads: one text block, no structured content."""
    text = TextContent(type="text", text=answered.text)
    if answered.structured is None:
        return CallToolResult(content=[text], is_error=True)
    return CallToolResult(content=[text], structured_content=answered.structured)


class PublishedPrompt(Prompt):
    """A prompt of inferplan as one of the SDK's: its arguments are checked, and an error says what is allowed."""

    _words: Words = PrivateAttr()

    @classmethod
    def of(cls, words: Words) -> "PublishedPrompt":
        """The prompt, ready for `MCPServer.add_prompt`."""
        published = cls(
            name=words.name,
            title=words.title,
            description=words.description,
            arguments=[_blank(argument) for argument in words.arguments],
            context_kwarg=None,
            fn=words.render,
        )
        published._words = words
        return published

    async def render(
        self,
        arguments: dict[str, Any] | None,
        context: Context[Any, Any],  # noqa: ARG002 - the SDK's signature
    ) -> list[Message]:
        """The prompt as one message of the user."""
        given = {name: str(value) for name, value in (arguments or {}).items()}
        problem = _prompt_problem(self._words, given)
        if problem:
            raise MCPError(code=INVALID_PARAMS, message=f"prompt {code(self.name)} {problem}")
        said = {name: value for name, value in given.items() if value.strip()}
        return [UserMessage(self._words.render(_as_released(said.get("model", "")) | said))]


def _as_released(model: str) -> dict[str, str]:
    """The format of a checkpoint that is released in fewer than 16 bits, in place of the prompt's default."""
    # Listing prompts needs none of them.
    from inferplan.catalog.asked_models import UnknownModel, is_config, model_id, only_on_hub  # noqa: PLC0415
    from inferplan.tools._models import narrow_release  # noqa: PLC0415

    try:
        own = None if is_config(model) or only_on_hub(model) else narrow_release(model_id(model))
    except UnknownModel:
        return {}
    return {"precision": own} if own else {}


def _blank(argument: Argument) -> PromptArgument:
    """An argument of a prompt as the SDK publishes it."""
    return PromptArgument(name=argument.name, description=argument.description, required=argument.required)


def _prompt_problem(words: Words, given: Mapping[str, str]) -> str | None:
    """What is wrong with a prompt's arguments, in one sentence, or None."""
    names = [argument.name for argument in words.arguments]
    for name in given:
        if name not in names:
            near = nearest(name, names, count=1)
            hint = f"did you mean {listed(near)}?" if near else f"it takes {listed(names)}."
            return f"has no argument {code(name)}; {hint}"
    for argument in words.arguments:
        if argument.required and not given.get(argument.name, "").strip():
            return f"needs {code(argument.name)}: {lower_first(argument.description)}"
    return None
