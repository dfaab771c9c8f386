"""The calls that follow an answer, with all of its question that the next tool takes."""

from typing import Any

from inferplan.tools._assumptions import parse_overrides, settings
from inferplan.tools._tool import ASKED_WITH, NextStep, Question


def following(q: Question, tool: str, why: str, **changes: Any) -> NextStep:
    """A call of a tool with everything that was asked here and means something there, but for `changes`.

    A change to None leaves an argument out; overrides that the tool does not take are left out too. Raises a KeyError
    for a tool whose module is not imported: the registry imports them all.
    """
    taken = ASKED_WITH[tool]
    asked = dict(q) | {"overrides": overrides_for(q, taken)} | changes
    arguments = {
        name: asked[name]
        for name, field in taken.model_fields.items()
        if asked.get(name) is not None
        and (name in changes or field.default_factory or asked[name] != field.get_default())
    }
    said = arguments.pop("overrides", "")
    return NextStep(tool=tool, arguments=arguments | ({"overrides": said} if said else {}), why=why)


def overrides_for(q: Question, taken: type[Question]) -> str:
    """The overrides of a question that another kind of question takes as well."""
    given = parse_overrides(q.overrides, groups=q.settings)
    known = ((settings()[name], value) for name, value in given.items())
    return ", ".join(
        f"{setting.name}={setting.written(value)}" for setting, value in known if setting.group in taken.settings
    )
