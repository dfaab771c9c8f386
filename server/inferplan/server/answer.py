"""A call of a tool, answered: in both kinds of content, or with what is wrong and what to do about it."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from anyio import CapacityLimiter, from_thread, to_thread
from anyio.lowlevel import RunVar
from mcp.types import CallToolResult, TextContent
from pydantic import ValidationError

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.asked_models import only_on_hub
from inferplan.server import errors
from inferplan.server.schema import arguments_schema
from inferplan.tools._arguments import is_any
from inferplan.tools._models import MODEL_ARGUMENTS
from inferplan.tools._progress import LISTENER
from inferplan.tools._tool import Tool

log = logging.getLogger(__name__)

Report = Callable[[float, float | None], Coroutine[Any, Any, None]]
"""Tells the client how much of how much is done."""

WAITING_AT_MOST = 8
"""Calls that take long at the same time; the next one waits for one of them."""

_limiters: RunVar[CapacityLimiter] = RunVar("calls that take long")

ADDED_BY_HOSTS = frozenset({"sessionId", "action", "chatInput", "toolCallId", "tool"})
"""Keys that n8n's agent node adds to the arguments of every call; no tool of ours takes one of these names."""


def answer(load: Callable[[], Tool[Any, Any]], name: str, arguments: Mapping[str, Any]) -> CallToolResult:
    """The result of a call. Every failure is a result that says what to do next, never an exception."""
    try:
        return _answer(load(), {key: arguments[key] for key in arguments if key not in ADDED_BY_HOSTS})
    except Exception:
        log.exception("%s failed", name)
        return _refused(errors.own_bug(name))


def takes_long(arguments: Mapping[str, Any]) -> bool:
    """Whether the call searches over all GPU types, or names a model that only a model hub can know."""
    if is_any(arguments.get("gpu")):
        return True
    named = (arguments.get(name) for name in MODEL_ARGUMENTS)
    return any(isinstance(name, str) and "/" in name and only_on_hub(name.strip()) for name in named)


async def answer_in_a_thread(
    load: Callable[[], Tool[Any, Any]],
    name: str,
    arguments: Mapping[str, Any],
    report: Report,
) -> CallToolResult:
    """The same answer, while the event loop goes on; threads are few and are not those that read the input.

    `report` hears how far a search has come; a call that is cancelled ends the search at its next step.
    """

    def work() -> CallToolResult:
        LISTENER.set(partial(_report, report))
        return answer(load, name, arguments)

    return await to_thread.run_sync(work, limiter=_limiter(), abandon_on_cancel=True)


def _report(report: Report, done: int, total: int) -> None:
    """Tell the client from the thread, unless the call is cancelled."""
    from_thread.check_cancelled()
    from_thread.run(report, done, total)


def _limiter() -> CapacityLimiter:
    """The threads of the running event loop for calls that take long."""
    try:
        return _limiters.get()
    except LookupError:
        limiter = CapacityLimiter(WAITING_AT_MOST)
        _limiters.set(limiter)
        return limiter


def _answer(tool: Tool[Any, Any], arguments: Mapping[str, Any]) -> CallToolResult:
    """Both kinds of content, each enough alone; or what is wrong with the arguments."""
    try:
        question = tool.question.model_validate(arguments)
    except ValidationError as error:
        return _refused(errors.explain(error, tool=tool, schema=arguments_schema(tool.question)))
    try:
        answered = tool.run(question)
    except UnknownName as unknown:
        return _refused(errors.refusal(tool.name, [str(unknown)]))
    return CallToolResult(content=[_text(answered.text())], structured_content=answered.structured())


def _refused(text: str) -> CallToolResult:
    """An error that the model reads: one text block, no structured content."""
    return CallToolResult(content=[_text(text)], is_error=True)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)
