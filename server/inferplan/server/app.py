"""The server: our tools, prompts, resources and completions on the SDK's public surface."""

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mcp.server.caching import CacheableMethod, CacheHint

from inferplan.prompts.workflow import prompts
from inferplan.server.completions import add_completions
from inferplan.server.guard import guard
from inferplan.server.listing import listing, written
from inferplan.server.publish import PublishedPrompt, PublishedTool
from inferplan.server.resources import add_resources, resource_problem
from inferplan.server.stdio.server import StdioServer

if TYPE_CHECKING:
    from inferplan.tools._tool import Tool

INSTRUCTIONS = """\
Plans LLM serving: GPU memory, quantization, parallelism, latency, cost. Use it for "which GPUs", "how many \
users", "rent or buy". One call answers most: run_preset(preset="production", concurrent_users=200). Works offline. \
GB = 10^9 bytes, GiB = 2^30. Change any assumption with overrides="name=value".

Go deeper with one tool for each question: estimate_vram (memory, which GPUs hold it), compare_quantization \
(formats side by side), plan_parallelism (TP, PP, DP, latency, throughput), compare_costs (rent, reserve, own), \
compare_moe_dense (experts against dense).

Names are forgiving: model="llama 3.3 70b" or a size class such as "70B"; gpu="H100" or "h100-sxm"; \
precision="fp8". What is not known is described: a model by its config.json, a GPU by one it is like, as \
gpu='{"like": "h100", "memory_gib": 96}'. Arguments left out take stated defaults. A size class is nominal; a named \
model is exact, tensor by tensor.

Every result has a summary that can be pasted as it is, an ASCII diagram, the formula with the numbers put in, \
the assumptions with their sources, and next_steps: the calls that naturally follow. A layout that does not fit \
is an answer, not an error. An error names each wrong argument, what is allowed and the nearest match: correct it \
and call again.

Models, GPUs, formats, prices, presets, terms and all assumptions can be read at inferplan://models and the like; \
inferplan://workflow has the five steps. Speed figures are estimates and state their error band; memory figures \
follow the serving engine's own rules.
"""

_CACHEABLE: tuple[CacheableMethod, ...] = (
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
)
_ONE_HOUR = CacheHint(ttl_ms=3_600_000, scope="public")


def create_server(*, tools: "Sequence[Tool[Any, Any]] | None" = None) -> StdioServer:
    """A server with these tools, or with all of inferplan's, in their order."""
    published = (
        _ours() if tools is None else [PublishedTool.of(listing(tool), lambda tool=tool: tool) for tool in tools]
    )
    words = prompts()
    server = StdioServer(
        "inferplan",
        title="inferplan: LLM serving planner",
        description="Plans LLM serving: memory, quantization, layout, latency and cost.",
        instructions=INSTRUCTIONS,
        version=version("inferplan"),
        tools=[*published],
        log_level="WARNING",
        cache_hints=dict.fromkeys(_CACHEABLE, _ONE_HOUR),
        subscriptions=False,
        middleware=[
            guard(
                tools=[tool.name for tool in published],
                prompts=[prompt.name for prompt in words],
                resource_problem=resource_problem,
            )
        ],
    )
    for prompt in words:
        server.add_prompt(PublishedPrompt.of(prompt))
    add_resources(server)
    add_completions(server)
    return server


def _ours() -> list[PublishedTool]:
    """The tools, published from their written listings; each is imported at its first call."""
    return [PublishedTool.of(row, partial(_registered, row.name)) for row in written()]


def _registered(name: str) -> "Tool[Any, Any]":
    from inferplan.tools.registry import TOOLS_BY_NAME  # noqa: PLC0415 - listing tools needs none of them

    return TOOLS_BY_NAME[name]
