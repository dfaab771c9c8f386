"""A call of a tool, answered: in both kinds of content, or with what is wrong and what to do about it.

Needs no SDK: see `direct`, which answers without one.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.asked_models import only_on_hub
from inferplan.server import errors
from inferplan.server.schema import arguments_schema
from inferplan.tools._arguments import is_any
from inferplan.tools._models import MODEL_ARGUMENTS
from inferplan.tools._tool import Tool

log = logging.getLogger(__name__)

ADDED_BY_HOSTS = frozenset({"sessionId", "action", "chatInput", "toolCallId", "tool"})
"""Keys that n8n's agent node adds to the arguments of every call; no tool of ours takes one of these names."""


class Answered(NamedTuple):
    """What a client gets: a text, and the structured content unless the text is what is wrong with the call."""

    text: str
    structured: dict[str, Any] | None


def answer(load: Callable[[], Tool[Any, Any]], name: str, arguments: Mapping[str, Any]) -> Answered:
    """The result of a call. Every failure is a result that says what to do next, never an exception."""
    try:
        return _answer(load(), {key: arguments[key] for key in arguments if key not in ADDED_BY_HOSTS})
    except Exception:
        log.exception("%s failed", name)
        return Answered(errors.own_bug(name), None)


def takes_long(arguments: Mapping[str, Any]) -> bool:
    """Whether the call searches over all GPU types, or names a model that only a model hub can know."""
    if is_any(arguments.get("gpu")):
        return True
    named = (arguments.get(name) for name in MODEL_ARGUMENTS)
    return any(isinstance(name, str) and "/" in name and only_on_hub(name.strip()) for name in named)


def _answer(tool: Tool[Any, Any], arguments: Mapping[str, Any]) -> Answered:
    """Both kinds of content, each enough alone; or what is wrong with the arguments."""
    try:
        question = tool.question.model_validate(arguments)
    except ValidationError as error:
        return Answered(errors.explain(error, tool=tool, schema=arguments_schema(tool.question)), None)
    try:
        answered = tool.run(question)
    except UnknownName as unknown:
        return Answered(errors.refusal(tool.name, [str(unknown)]), None)
    structured, text = answered.contents()
    return Answered(text, structured)
