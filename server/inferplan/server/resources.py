"""What can be read: the catalog, the workflow, the assumptions. Lists are short; single items are whole."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mcp.server.mcpserver import MCPServer, ResourceSecurity
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.server.mcpserver.resources import FunctionResource, Resource
from mcp.types import Annotations

from inferplan.prompts.workflow import prompts
from inferplan.server.sections import BY_NAME, SCHEME, SECTIONS, Section
from inferplan.server.words import nearest, quoted

if TYPE_CHECKING:
    from inferplan.server.contents import Content

_JSON = "application/json"
_FOR_ASSISTANTS = Annotations(audience=["assistant"], priority=0.5)
_NAMES_ARE_NO_PATHS = ResourceSecurity(exempt_params={"name"})

_WORKFLOW_HEAD = """\
# Planning LLM serving in five steps

`run_preset` walks all five in one call. Step by step, each answer holds `next_steps`: the calls that follow, \
with their arguments."""
_STEPS = (
    ("Size the memory.", "estimate_vram", "weights, KV cache and overhead; which GPUs hold them."),
    ("Choose a format.", "compare_quantization", "the smallest one whose loss of quality the use can bear."),
    ("Choose a layout.", "plan_parallelism", "tensor, pipeline and data parallelism; latency and throughput."),
    ("Buy or rent.", "compare_costs", "GPUs for the traffic, four ways to pay, the break-even."),
    ("Consider a mixture of experts.", "compare_moe_dense", "more parameters for the same compute per token."),
)
_WORKFLOW_TAIL = """\
Hand on from step to step: the model, the format chosen in step 2, the GPU and its number from step 3. Each \
result has a `summary` to paste into a document.

Prompts that walk the steps:"""


def workflow() -> str:
    """The five steps, in Markdown."""
    steps = "\n".join(
        f"{number}. **{title}** `{tool}`: {what}" for number, (title, tool, what) in enumerate(_STEPS, start=1)
    )
    asked = "\n".join(f"* `{prompt.name}`: {prompt.description}" for prompt in prompts())
    return f"{_WORKFLOW_HEAD}\n\n{steps}\n\n{_WORKFLOW_TAIL}\n\n{asked}\n"


def assumptions() -> str:
    """Every setting with its unit, default, bounds, source and the tools that take it."""
    from inferplan.server.contents import compact  # noqa: PLC0415 - nothing is read before it is asked for
    from inferplan.tools._settings import settings, tools_taking  # noqa: PLC0415

    rows = [setting.row() | {"tools": tools_taking(setting.group)} for setting in settings().values()]
    return compact({"change": 'overrides="name=value, name=value" on a tool that takes it', "assumptions": rows})


def add_resources(server: MCPServer[Any]) -> None:
    """Publish everything that can be read."""
    for resource in _fixed():
        server.add_resource(resource)
    for section in SECTIONS:
        _add_items(server, section)


def _add_items(server: MCPServer[Any], section: Section) -> None:
    """Publish the items of a section, each under every name that people say."""

    @server.resource(
        section.template,
        name=f"{section.name}_item",
        title=f"{section.title}, one by name",
        description=f"{section.description} One of them in full, with its source and the date it was checked.",
        mime_type=_JSON,
        annotations=_FOR_ASSISTANTS,
        security=_NAMES_ARE_NO_PATHS,
    )
    async def read(name: str) -> str:
        try:
            return _content(section).item(name)
        except LookupError as unknown:
            raise ResourceNotFoundError(str(unknown)) from unknown


def _content(section: Section) -> "Content":
    """What a section holds."""
    from inferplan.server.contents import CONTENTS  # noqa: PLC0415 - nothing is read before it is asked for

    return CONTENTS[section.name]


def resource_problem(uri: str) -> str | None:
    """Why there is no such resource, with the nearest ones; None where there is one."""
    if uri.startswith(SCHEME) and uri.removeprefix(SCHEME) in _fixed_names():
        return None
    section, item = _split(uri)
    if section and item:
        plain = not set("?#") & set(item)
        if plain and _content(section).knows(unquote(item)):
            return None
        near = [f"{section.uri}/{quote(id_)}" for id_ in _content(section).near(unquote(item))] or [section.uri]
    else:
        near = [SCHEME + name for name in nearest(uri.removeprefix(SCHEME), _fixed_names())]
    known = [SCHEME + name for name in _fixed_names()]
    return f"no resource {quoted(uri)}; " + (f"nearest: {', '.join(near)}" if near else f"there are {', '.join(known)}")


def _split(uri: str) -> tuple[Section | None, str]:
    """The section that a URI is in, and the item after it."""
    name, _, item = uri.removeprefix(SCHEME).partition("/") if uri.startswith(SCHEME) else ("", "", "")
    return BY_NAME.get(name), item


def _fixed() -> Iterator[Resource]:
    """The resources without a blank in their URI."""
    for section in SECTIONS:
        yield _resource(
            section.name, section.title, section.description, _JSON, lambda section=section: _content(section).index()
        )
    yield _resource(
        "assumptions",
        "Assumptions",
        "Every setting that overrides may change: unit, default, bounds, source, tools.",
        _JSON,
        assumptions,
    )
    yield _resource(
        "workflow", "Workflow", "The five steps of a plan, and what each hands on.", "text/markdown", workflow
    )


def _resource(name: str, title: str, description: str, mime_type: str, read: Callable[[], str]) -> Resource:
    async def text() -> str:
        return read()

    return FunctionResource(
        uri=SCHEME + name,
        name=name,
        title=title,
        description=description,
        mime_type=mime_type,
        annotations=_FOR_ASSISTANTS,
        fn=text,
    )


@cache
def _fixed_names() -> tuple[str, ...]:
    return tuple(resource.uri.removeprefix(SCHEME) for resource in _fixed())
