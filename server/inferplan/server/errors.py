"""Error messages for arguments that a tool cannot take: one actionable sentence per problem."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from inferplan.server.words import allowed, code, listed, lower_first, nearest, not_an_object, printable, quoted, shown
from inferplan.tools._flags import flag_advice
from inferplan.tools._settings import NotHere, settings, tools_taking
from inferplan.tools._tool import Tool
from inferplan.tools._words import join
from inferplan.tools.registry import TOOLS

Schema = Mapping[str, Any]

MOST_PROBLEMS = 8
"""Problems that one message words; it counts the others."""
LONGEST_SENTENCE = 600
"""Characters of one sentence."""

_NOT_AN_OBJECT = {"model_type", "model_attributes_type", "dict_type", "mapping_type"}
_OF_ANOTHER = "default_factory_not_called"
_FOR_NOTHING = {"", "auto", "automatic", "default", "n/a", "nil", "none", "null", "undefined", "unset"}
"""What people write for an argument that they do not set."""
_OUR_OWN_WORDS = {"value_error", "assertion_error"}


def explain(error: ValidationError, *, tool: Tool[Any, Any], schema: Schema) -> str:
    """Every problem with the arguments of one call.

    `schema` is what the tool publishes, so that what an error allows is what the client was told.
    """
    details = _first_of_each(error)
    sentences = [_sentence(detail, tool=tool, schema=schema) for detail in details[:MOST_PROBLEMS]]
    if len(details) > MOST_PROBLEMS:
        sentences.append(f"And {len(details) - MOST_PROBLEMS:,} more.")
    return refusal(tool.name, sentences, count=len(details))


def refusal(tool: str, sentences: list[str], *, count: int | None = None) -> str:
    """`tool`: n problems. One sentence. Another sentence.

    >>> refusal("estimate_vram", ['`model`: no model "x"'])
    '`estimate_vram`: 1 problem. `model`: no model "x".'
    """
    number = count or len(sentences)
    body = " ".join(_finished(sentence) for sentence in sentences)
    return f"`{tool}`: {number:,} problem{'s' if number > 1 else ''}. {body}"


def own_bug(tool: str) -> str:
    """The message to the client where the tool itself failed; the log has the traceback."""
    return (
        f"`{tool}` failed because of a bug in inferplan, not because of your arguments; "
        "the server's log (stderr) has the details."
    )


def _first_of_each(error: ValidationError) -> list[ErrorDetails]:
    """The first error of each argument: a union reports one for each arm, a default that follows others theirs."""
    found: dict[object, ErrorDetails] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == _OF_ANOTHER:
            continue
        found.setdefault(detail["loc"][:1] or id(detail), detail)
    return list(found.values())


def _sentence(detail: ErrorDetails, *, tool: Tool[Any, Any], schema: Schema) -> str:
    """One problem in one sentence."""
    if not detail["loc"]:
        return _of_the_whole(detail, tool=tool)
    name, kind, came = str(detail["loc"][0]), detail["type"], detail["input"]
    if kind == "missing":
        return _missing(name, tool=tool, schema=schema)
    if kind == "extra_forbidden":
        return _unknown(name, came, tool=tool, schema=schema)
    instead = "; leave it out for the default" if _is_for_nothing(came) and not _is_required(name, schema) else ""
    if kind in _OUR_OWN_WORDS and not isinstance(came, bool):
        return f"{code(name)}: {_our_words(detail)}{instead}"
    return _not_allowed(name, came, tool=tool, schema=schema["properties"].get(name, {})) + instead


def _is_for_nothing(value: object) -> bool:
    """Whether a value is a word for an argument that is not set."""
    return isinstance(value, str) and value.strip().casefold() in _FOR_NOTHING


def _is_required(name: str, schema: Schema) -> bool:
    """Whether an argument has to be given."""
    return name in schema.get("required", ())


def _of_the_whole(detail: ErrorDetails, *, tool: Tool[Any, Any]) -> str:
    """A problem with no single argument: what a model validator said, or arguments that are no object."""
    return not_an_object(tool.name, detail["input"]) if detail["type"] in _NOT_AN_OBJECT else _our_words(detail)


def _our_words(detail: ErrorDetails) -> str:
    """The message of the ValueError that one of our own validators raised."""
    return str(detail.get("ctx", {}).get("error", "")) or "is not allowed"


def _missing(name: str, *, tool: Tool[Any, Any], schema: Schema) -> str:
    """What an argument that has to be there is, and what one looks like."""
    what = str(schema["properties"].get(name, {}).get("description", "")).rstrip(".")
    example = f", for example {shown(tool.example[name])}" if name in tool.example else ""
    return f"{code(name)} is missing" + (f": {lower_first(what)}" if what else "") + example


def _unknown(name: str, value: object, *, tool: Tool[Any, Any], schema: Schema) -> str:
    """An argument that does not exist: an assumption in the wrong place, a flag of an engine, a slip, or neither."""
    if name in settings() and settings()[name].group in tool.question.settings:
        return _as_override(name, _plain(value))
    names = list(schema["properties"])
    overrides = [one for one, setting in settings().items() if setting.group in tool.question.settings]
    if flag := None if name in settings() else flag_advice(name, _plain(value), arguments=names, overrides=overrides):
        return f"{code(name)} is not an argument; {flag}"
    near = [] if name in settings() else nearest(name, names, count=1)
    hint = f"did you mean {listed(near)}?" if near else f"{_taken_elsewhere(name)}{tool.name} takes {listed(names)}"
    return f"{code(name)} is not an argument; {hint}"


def _as_override(name: str, value: str) -> str:
    """How an assumption is given, and what it takes where it does not take this value; or which tool does."""
    problem = settings()[name].problem(value)
    if isinstance(problem, NotHere):
        return f"{problem}"
    given = f'overrides="{name}=…": {problem}' if problem else f'overrides="{name}={value}"'
    return f"{code(name)} is an assumption, not an argument; give it as {given}"


def _taken_elsewhere(name: str) -> str:
    """The tools that take an argument of this name, and those that take such an assumption, in a clause each."""
    arguments = [one.name for one in TOOLS if name in one.question.model_fields]
    assumptions = tools_taking(settings()[name].group) if name in settings() else []
    own = "its overrides" if len(assumptions) == 1 else "their overrides"
    clauses = _clause(arguments, "it"), _clause(assumptions, f"it among {own}")
    return "".join(f"{clause}; " for clause in clauses if clause)


def _clause(tools: list[str], what: str) -> str:
    """That these tools take this; nothing where there are none."""
    return f"{join(tools)} {'takes' if len(tools) == 1 else 'take'} {what}" if tools else ""


def _not_allowed(name: str, value: object, *, tool: Tool[Any, Any], schema: Schema) -> str:
    """A value of the wrong type or out of range: what is allowed, what came, what may have been meant."""
    near = nearest(value, map(str, schema["enum"]), count=1) if isinstance(value, str) and "enum" in schema else []
    hint = f"; did you mean {quoted(near[0])}?" if near else ""
    example = ""
    if schema.get("type") == "string" and not isinstance(value, str) and tool.example.get(name):
        example = f", for example {shown(tool.example[name])}"
    return f"{code(name)} takes {allowed(schema)}{example}; got {_came(value, schema)}{hint}"


def _came(value: object, schema: Schema) -> str:
    """What came, or only how long it was where that is what is wrong."""
    too_long = isinstance(value, str) and len(value) > schema.get("maxLength", len(value))
    return f"{len(str(value)):,} characters" if too_long else shown(value)


def _plain(value: object) -> str:
    """A value as an override gives it: without quotes."""
    return printable(value[:40]) if isinstance(value, str) else shown(value)


def _finished(sentence: str) -> str:
    """The sentence on one line, not too long, with its full stop; a plain word at its start with a capital."""
    line = printable(sentence.strip())
    first, _, rest = line.partition(" ")
    line = f"{first.capitalize()} {rest}" if first.isalpha() and first.islower() else line
    line = line if len(line) <= LONGEST_SENTENCE else line[:LONGEST_SENTENCE] + "..."
    return line if line.endswith((".", "?", "!")) else line + "."
