"""The calls that follow an answer, with all of its question that the next tool takes."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from inferplan.tools._assumptions import parse_overrides, settings
from inferplan.tools._tool import NextStep, Question


def following(q: Question, taken: type[Question], why: str, **changes: Any) -> NextStep:
    """A call of the tool that takes such a question, with all that was asked here and means something there.

    `changes` come first; a change to None leaves an argument out, as are overrides that the tool does not take.
    """
    asked = dict(q) | {"overrides": overrides_for(q, taken)} | changes
    arguments = {
        name: asked[name]
        for name, default in _defaults(taken).items()
        if asked.get(name) is not None and (name in changes or asked[name] != default)
    }
    said = arguments.pop("overrides", "")
    return NextStep(tool=taken.tool, arguments=arguments | ({"overrides": said} if said else {}), why=why)


@cache
def _defaults(taken: type[Question]) -> Mapping[str, Any]:
    """What each argument is unless given; None where there is no one such value."""
    return {name: None if field.is_required() else field.default for name, field in taken.model_fields.items()}


def overrides_for(q: Question, taken: type[Question]) -> str:
    """The overrides of a question that another kind of question takes as well."""
    given = parse_overrides(q.overrides, groups=q.settings)
    known = ((settings()[name], value) for name, value in given.items())
    return ", ".join(
        f"{setting.name}={setting.written(value)}" for setting, value in known if setting.group in taken.settings
    )
