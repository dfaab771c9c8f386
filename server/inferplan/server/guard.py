"""Requests for names that do not exist, answered before the SDK does: -32602, and which names there are."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.types import INVALID_PARAMS

from inferplan.server.words import code, listed, nearest, not_an_object, quoted, shown

Problem = str | None

LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
"""Methods that take a cursor; each answers all there is at once."""


def guard(
    *, tools: Collection[str], prompts: Collection[str], resource_problem: Callable[[str], Problem]
) -> ServerMiddleware[Any]:
    """Middleware that refuses a call, prompt or read which cannot succeed, with one actionable sentence."""
    checks: Mapping[str, Callable[[Mapping[str, Any]], Problem]] = {
        "tools/call": lambda params: _unknown("tool", params.get("name"), tools) or _arguments(params),
        "prompts/get": lambda params: _unknown("prompt", params.get("name"), prompts) or _texts(params),
        "resources/read": lambda params: _uri(params.get("uri"), resource_problem),
        **dict.fromkeys(LISTS, _cursor),
    }

    async def refuse_or_pass_on(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        check = None if ctx.request_id is None else checks.get(ctx.method)  # a notification gets no reply
        problem = check(ctx.params or {}) if check else None
        if problem:
            raise MCPError(code=INVALID_PARAMS, message=problem)
        return await call_next(ctx)

    return refuse_or_pass_on


def _unknown(kind: str, name: object, names: Collection[str]) -> Problem:
    """What is wrong with the name of a tool or prompt; None where there is one of that name."""
    if isinstance(name, str) and name in names:
        return None
    if not isinstance(name, str):
        return f"`name` takes the name of a {kind}; got {shown(name)}. There are {listed(names)}."
    near = nearest(name, names)
    hint = f"nearest: {listed(near)}." if near else f"there are {listed(names)}."
    return f"no {kind} {quoted(name)}; {hint}"


def _arguments(params: Mapping[str, Any]) -> Problem:
    """What is wrong with arguments that are no object; else None."""
    arguments = params.get("arguments")
    if arguments is None or isinstance(arguments, Mapping):
        return None
    return not_an_object(str(params["name"]), arguments)


def _texts(params: Mapping[str, Any]) -> Problem:
    """What is wrong with a prompt's arguments that are no object of strings; else None."""
    problem = _arguments(params)
    if problem:
        return problem
    arguments: Mapping[str, object] = params.get("arguments") or {}
    wrong = (f"{code(n)} takes text in quotes; got {shown(v)}." for n, v in arguments.items() if not isinstance(v, str))
    return next(wrong, None)


def _cursor(params: Mapping[str, Any]) -> Problem:
    """What is wrong with a cursor, which no list has given: each is whole at once."""
    cursor = params.get("cursor")
    return None if cursor is None else f"`cursor` is left out: every list is one page; got {shown(cursor)}."


def _uri(uri: object, resource_problem: Callable[[str], Problem]) -> Problem:
    """What is wrong with the address of a resource; None where there is one."""
    if not isinstance(uri, str):
        return f"`uri` takes the address of a resource, like inferplan://models; got {shown(uri)}."
    return resource_problem(uri)
