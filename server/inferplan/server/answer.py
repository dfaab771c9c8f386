"""The result of a tool call: structured content and text, or an error that says what is wrong and what to do.

Needs no SDK: see `stdio.direct`, which answers without one.
"""

import datetime
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import ValidationError

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.asked_models import only_on_hub
from inferplan.server import errors
from inferplan.server.schema import arguments_schema
from inferplan.tools._arguments import is_any
from inferplan.tools._models import MODEL_ARGUMENTS
from inferplan.tools._tool import Tool
from inferplan.tools.money.rates import today

log = logging.getLogger(__name__)

ADDED_BY_HOSTS = frozenset({"sessionId", "action", "chatInput", "toolCallId", "tool"})
"""Keys that n8n's agent node adds to the arguments of every call; no tool of ours takes one of these names."""


REMEMBERED = 64
"""Answers in the cache, for agents that repeat a call and for the usual questions of many clients."""
LONGEST_REMEMBERED = 4096
"""The longest question whose answer is cached; one that describes a model may be a million long. [characters]"""


class Answered(NamedTuple):
    """The content of a result: a text, and structured content unless the text is an error."""

    text: str
    structured: dict[str, Any] | None


class _Refused(Exception):  # noqa: N818 - not an error of ours
    """What is wrong with the arguments of a call."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The key of a question in the cache: its arguments, 1 differing from true and 1.0, and the day, as prices age."""

    tool: Tool[Any, Any]
    words: str
    on: datetime.date
    arguments: Mapping[str, Any] = field(compare=False)


class Reach(Enum):
    """What a call has to look up or compute, which decides whether it takes long."""

    CATALOG = auto()
    """Some rows of the catalog, which is quick."""
    ALL_GPUS = auto()
    """A search over every GPU type, which takes long."""
    HUB = auto()
    """A model hub, which takes long and may give another answer the next time."""

    @property
    def is_long(self) -> bool:
        """Whether the call takes so long that it runs in a thread."""
        return self is not Reach.CATALOG


def reach(arguments: Mapping[str, Any]) -> Reach:
    """What a call with these arguments has to look up or compute."""
    named = (arguments.get(name) for name in MODEL_ARGUMENTS)
    if any(isinstance(name, str) and "/" in name and only_on_hub(name.strip()) for name in named):
        return Reach.HUB
    return Reach.ALL_GPUS if is_any(arguments.get("gpu")) else Reach.CATALOG


def answer(load: Callable[[], Tool[Any, Any]], name: str, arguments: Mapping[str, Any], how_far: Reach) -> Answered:
    """The result of a call. A failure is a result too, which says what to do next; nothing is raised."""
    try:
        own = {key: arguments[key] for key in arguments if key not in ADDED_BY_HOSTS}
        return _answer(load(), own, may_change=how_far is Reach.HUB)
    except Exception:
        log.exception("%s failed", name)
        return Answered(errors.own_bug(name), None)


def _answer(tool: Tool[Any, Any], arguments: Mapping[str, Any], *, may_change: bool) -> Answered:
    """Structured content and text, each sufficient alone; or what is wrong with the arguments."""
    asked = _Asked(tool, repr(arguments), today(), arguments)
    is_kept = len(asked.words) <= LONGEST_REMEMBERED and not may_change
    try:
        return _remembered(asked) if is_kept else _computed(asked)
    except _Refused as refused:
        return Answered(str(refused), None)


@lru_cache(maxsize=REMEMBERED)
def _remembered(asked: _Asked) -> Answered:
    """The answer to a question, from the cache where it is there; errors are not cached."""
    return _computed(asked)


def _computed(asked: _Asked) -> Answered:
    """Structured content and text. Raises `_Refused`."""
    tool, arguments = asked.tool, asked.arguments
    try:
        question = tool.question.model_validate(arguments)
    except ValidationError as error:
        explained = errors.explain(error, tool=tool, schema=arguments_schema(tool.question))
        raise _Refused(explained) from None
    try:
        answered = tool.run(question)
    except UnknownName as unknown:
        raise _Refused(errors.refusal(tool.name, [str(unknown)])) from None
    structured, text = answered.contents()
    return Answered(text, structured)
