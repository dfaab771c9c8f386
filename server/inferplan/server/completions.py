"""Completions while a user types: arguments of prompts, and names in resource addresses."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from mcp import MCPError
from mcp.server.mcpserver import MCPServer
from mcp.types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from inferplan.prompts.workflow import prompts
from inferplan.server.sections import SECTIONS
from inferplan.server.words import code, listed, quoted

MOST = 100
"""Values that one completion may hold, by the protocol."""

Complete = Callable[[str], Sequence[str]]
_ALL = 10_000


def among(*values: str) -> Complete:
    """Completion from a fixed choice: those that begin as typed, then those that hold what was typed.

    >>> among("1024", "2048", "4096")("4")
    ['4096', '1024', '2048']
    """

    def complete(typed: str) -> list[str]:
        begins = [value for value in values if value.startswith(typed)]
        return begins + [value for value in values if typed in value and value not in begins]

    return complete


def named(section: str) -> Complete:
    """Completion from the names of a section of the catalog."""

    def complete(typed: str) -> list[str]:
        from inferplan.server.contents import CONTENTS  # noqa: PLC0415 - nothing is read before it is asked for

        return CONTENTS[section].shelf.complete(typed, _ALL)

    return complete


_LIKE = re.compile(r"""(\{\s*"like"\s*:\s*")([^"]*)""")
"""A description up to the name of the GPU that it is like."""
_KEY = re.compile(r"""(\{(?:.*,)?\s*")([a-z_]*)""", re.DOTALL)
"""A description up to one of its keys."""


def gpu(typed: str) -> Sequence[str]:
    """Completion from the names of GPUs; of a description, from what it may be like and from its keys."""
    if not typed.startswith("{"):
        return named("gpus")(typed)
    from inferplan.catalog.asked_gpus import EXAMPLE, KEYS  # noqa: PLC0415 - nothing is read before it is asked for

    if like := _LIKE.fullmatch(typed):
        return [f'{like[1]}{id_}"' for id_ in named("gpus")(like[2])]
    if key := _KEY.fullmatch(typed):
        return [f'{key[1]}{name}": ' for name in KEYS if name.startswith(key[2]) and f'"{name}"' not in key[1]]
    return [EXAMPLE] if EXAMPLE.startswith(typed) else []


_BY_ARGUMENT: dict[str, Complete] = {
    "model": named("models"),
    "dense_model": named("models"),
    "moe_model": named("models"),
    "gpu": gpu,
    "precision": named("formats"),
    "concurrent_users": among("1", "10", "25", "50", "100", "200", "500", "1000", "2000", "5000"),
    "context_window": among("2048", "4096", "8192", "16384", "32768", "65536", "131072", "262144", "1048576"),
    "requests_per_day": among("100", "1000", "10000", "50000", "100000", "500000", "1000000", "10000000"),
    "usage_hours_per_day": among("4", "8", "10", "12", "16", "20", "24"),
    "compliance_required": among("false", "true"),
}
_BY_TEMPLATE: dict[str, Complete] = {section.template: named(section.name) for section in SECTIONS}


def add_completions(server: MCPServer[Any]) -> None:
    """Complete every argument of every prompt and every name in a resource address."""

    @server.completion()
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001 - the SDK's signature
    ) -> Completion:
        known = _of_prompt(ref.name, argument.name) if isinstance(ref, PromptReference) else _of_template(ref.uri)
        values = known(argument.value)
        return Completion(values=list(values[:MOST]), total=len(values), has_more=len(values) > MOST)


def _of_prompt(name: str, argument: str) -> Complete:
    """How to complete an argument of a prompt."""
    prompt = next((prompt for prompt in prompts() if prompt.name == name), None)
    if prompt is None:
        raise _nothing(f"no prompt {quoted(name)}; there are {listed(p.name for p in prompts())}")
    names = [known.name for known in prompt.arguments]
    if argument not in names:
        raise _nothing(f"prompt {code(name)} has no argument {quoted(argument)}; it takes {listed(names)}")
    return _BY_ARGUMENT[argument]


def _of_template(uri: str) -> Complete:
    """How to complete the name in a resource address."""
    if uri not in _BY_TEMPLATE:
        raise _nothing(f"no resource template {quoted(uri)}; there are {', '.join(_BY_TEMPLATE)}")
    return _BY_TEMPLATE[uri]


def _nothing(message: str) -> MCPError:
    return MCPError(code=INVALID_PARAMS, message=message)
