"""The argument `overrides`, `"name=value, name=value"`: parsed, checked, put into its canonical form, extended."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from json import JSONDecodeError
from typing import cast

from inferplan.catalog._json import loads
from inferplan.tools._flags import flag_advice, plain_name
from inferplan.tools._settings import Setting, settings, tools_taking
from inferplan.tools._words import join

_SEPARATOR = re.compile(r"[,;]|\s+(?=--|\w+\s*=)")
ALL = "inferplan://assumptions"
"""The resource that lists every setting with the tools that take it."""


def parse_overrides(text: str, *, groups: Collection[str], arguments: Collection[str] = ()) -> dict[str, float]:
    """The values of `"name=value, name=value"` by setting. Raises one ValueError that words every problem.

    `groups` are those that the tool takes; `arguments` are its arguments, for whoever gives one of them as an override.

    >>> parse_overrides("pue=1.2, utilization = 0.6", groups=("prices", "unit_cost"))
    {'pue': 1.2, 'utilization': 0.6}
    """
    if not text:
        return {}
    names = tuple(name for name, setting in settings().items() if setting.group in groups)
    values: dict[str, float] = {}
    problems: list[str] = []
    for part in _parts(text):
        said, equals, value = (word.strip() for word in part.partition("="))
        name = plain_name(said)
        if not equals or name in values:
            flag = None if equals else flag_advice(said, "", arguments=arguments, overrides=names)
            problems.append(f'"{part}" ' + ("comes twice" if equals else _not_of_the_form(part, flag)))
            continue
        try:
            values[name] = _setting(said, value, names, groups, arguments).check(value)
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise ValueError("; ".join(problems))
    return values


def as_text(given: object) -> object:
    """Overrides given as an object of plain values, or as its JSON, as one text; anything else as it is.

    Raises a ValueError for a list and for values that are not plain.

    >>> as_text({"pue": 1.2, "cuda_graphs": False, "as_of": None}), as_text('{"pue": 1.2}'), as_text("pue=1.2")
    ('pue=1.2, cuda_graphs=false', 'pue=1.2', 'pue=1.2')
    """
    found = _read(given) if isinstance(given, str) and given.lstrip().startswith("{") else given
    if isinstance(found, dict):
        values = {name: value for name, value in cast("dict[str, object]", found).items() if value is not None}
        if all(isinstance(value, str | int | float) for value in values.values()):
            return ", ".join(f"{name}={_bare(value)}" for name, value in values.items())
    if isinstance(found, dict | list):
        raise ValueError('takes text, "name=value, name=value", or an object of plain values')  # noqa: TRY004 (pydantic)
    return given


def _read(text: str) -> object:
    """The JSON document of a text, or the text where it is none. Raises a ValueError for a name that comes twice."""
    try:
        return loads(text, twice=lambda name: ValueError(f'"{name}" comes twice'))
    except (JSONDecodeError, RecursionError):
        return text


def _bare(value: object) -> str:
    """A JSON value without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def canonical(text: str) -> str:
    """Valid overrides with the names and units of the settings; the text itself where it has them already.

    >>> canonical("--max-num-seqs 64"), canonical("pue=1.2;max_num_seqs=64"), canonical("memory_utilization = 95%")
    ('max_num_seqs=64', 'pue=1.2;max_num_seqs=64', 'memory_utilization=0.95')
    """
    parts = [(said.strip(), value.strip()) for said, _, value in (part.partition("=") for part in _parts(text))]
    plain = [(name := plain_name(said), settings()[name].without_unit(value)) for said, value in parts]
    return text if plain == parts else ", ".join(f"{name}={value}" for name, value in plain)


def with_override(overrides: str, name: str, value: float) -> str:
    """The overrides of a question with one more appended.

    >>> with_override("pue=1.2", "max_num_seqs", 256), with_override("", "memory_utilization", 0.95)
    ('pue=1.2, max_num_seqs=256', 'memory_utilization=0.95')
    """
    return ", ".join(filter(None, [overrides, f"{name}={settings()[name].written(value)}"]))


def _parts(text: str) -> Iterator[str]:
    """`name=value` for each override, shell flags included: `--max-num-seqs 64 --enforce-eager`."""
    for piece in filter(None, map(str.strip, _SEPARATOR.split(text))):
        is_flag = piece.startswith("--") and "=" not in piece
        yield "=".join(piece.split(None, 1)) if is_flag else piece


def _not_of_the_form(part: str, flag: str | None) -> str:
    """What is wrong with a part without `=`; one of digits alone is the rest of a number that a comma cut."""
    cut = "; numbers in overrides have no comma, decimals a point" if part.isdigit() else ""
    return f"is not of the form name=value{f'; {flag}' if flag else cut}"


def _setting(
    said: str, value: str, allowed: tuple[str, ...], groups: Collection[str], arguments: Collection[str]
) -> Setting:
    """The setting of this name. Raises a ValueError where the tool does not take it: who does, or what may be meant."""
    name = plain_name(said)
    if name in allowed:
        return settings()[name]
    if name in arguments:
        raise ValueError(f'"{said}" is an argument, not an assumption; give it beside overrides')
    if name in settings():
        elsewhere, taken = join(tools_taking(settings()[name].group)), ", ".join(groups).replace("_", " ")
        raise ValueError(
            f'"{said}" plays no part in this tool but in {elsewhere}; it takes those of {taken} (all: {ALL})'
        )
    if flag := flag_advice(said, value, arguments=arguments, overrides=allowed):
        raise ValueError(f'no assumption "{said}"; {flag}')
    near = difflib.get_close_matches(name, allowed, n=3, cutoff=0.4) or list(allowed[:3])
    raise ValueError(f'no assumption "{said}"; nearest: {", ".join(near)} (all: {ALL})')


def refuse_batching(given: Mapping[str, float], engine: str) -> None:
    """Raise a ValueError where both are given, and a step has fewer tokens than vLLM is to run sequences."""
    tokens, sequences = given.get("max_num_batched_tokens"), given.get("max_num_seqs")
    if engine == "vllm" and tokens is not None and sequences is not None and sequences > tokens:
        raise ValueError(
            f"vLLM refuses max_num_seqs={int(sequences)}, more than max_num_batched_tokens={int(tokens)}; take fewer "
            "sequences, or steps of as many tokens"
        )
