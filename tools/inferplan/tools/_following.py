"""Next steps: calls of other tools with all of this question that they take, as arguments or as overrides."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from inferplan.tools._overrides import parse_overrides, with_override
from inferplan.tools._settings import settings
from inferplan.tools._tool import NextStep, Question

CONTEXT = "context_window"
"""The argument that is handed on where it was given, even as the default: else it would be said to be assumed."""


def following(q: Question, taken: type[Question], why: str, **changes: Any) -> NextStep:
    """A call of the tool that takes `taken`, with all of this question that it takes.

    `changes` replace arguments; a change to None leaves one out. Overrides that the tool does not take are left out.
    """
    asked = dict(q) | arguments_for(q, taken) | {"overrides": overrides_for(q, taken)} | changes
    kept = {*changes, CONTEXT} if q.context_given else {*changes}
    arguments = {
        name: asked[name]
        for name, default in _defaults(taken).items()
        if asked.get(name) is not None and (name in kept or asked[name] != default)
    }
    said = arguments.pop("overrides", "")
    return NextStep(tool=taken.tool, arguments=arguments | ({"overrides": said} if said else {}), why=why)


def in_version(q: Question, taken: type[Question], version: int, **changes: Any) -> NextStep:
    """A call with the version of vLLM that serves what this one does not."""
    kept = (part for part in overrides_for(q, taken).split(", ") if not part.startswith("engine_version="))
    overrides = with_override(", ".join(kept), "engine_version", version)
    return following(q, taken, "a version that runs it", overrides=overrides, **changes)


@cache
def _defaults(taken: type[Question]) -> Mapping[str, Any]:
    """The default of each argument; None where it is required or has none."""
    return {name: None if field.is_required() else field.default for name, field in taken.model_fields.items()}


def arguments_for(q: Question, taken: type[Question]) -> dict[str, Any]:
    """The overrides of a question that are arguments of another kind of question."""
    given = parse_overrides(q.overrides, groups=q.settings) if q.overrides else {}
    return {name: settings()[name].value(given[name]) for name in given if name in taken.model_fields}


def overrides_for(q: Question, taken: type[Question]) -> str:
    """The overrides of a question that another kind takes too, and its arguments that are overrides there."""
    if not q.overrides and not _elsewhere(type(q), taken):
        return ""
    given = parse_overrides(q.overrides, groups=q.settings)
    known = ((settings()[name], value) for name, value in given.items())
    kept = (f"{setting.name}={setting.written(value)}" for setting, value in known if setting.group in taken.settings)
    return ", ".join([*_as_overrides(q, taken), *kept])


def _as_overrides(q: Question, taken: type[Question]) -> Iterator[str]:
    """`name=value` for the arguments of a question that another kind takes as overrides, where valid there."""
    for name in _elsewhere(type(q), taken):
        value = getattr(q, name)
        given = value is not None and value != type(q).model_fields[name].default
        if given and settings()[name].problem(f"{value}") is None:
            yield f"{name}={value}"


@cache
def _elsewhere(kind: type[Question], taken: type[Question]) -> tuple[str, ...]:
    """The arguments of one kind of question that are settings of another."""
    return tuple(
        name
        for name, setting in settings().items()
        if name in kind.model_fields and name not in taken.model_fields and setting.group in taken.settings
    )
