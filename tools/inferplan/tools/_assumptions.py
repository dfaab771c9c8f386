"""Every assumption has a name, a unit, a source and bounds; and every name can be given back as an override."""

import datetime
import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import groupby
from math import isfinite
from operator import not_
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from inferplan.catalog._shelf import Shelf
from inferplan.catalog.engines import ENGINES, served_by
from inferplan.catalog.formats import KV_FORMATS
from inferplan.tools._flags import meant, plain_name
from inferplan.tools._numbers import POINTED, measured, plain, times_ten, whole
from inferplan.tools._words import join

_VERSION = re.compile(r"v?(?:0\.)?(\d{1,3})(?:\.\w+)*")
_PARTS = re.compile(r"[,;]|\s+(?=--|\w+\s*=)")

SAID_SO = "you said so"
"""Why a value is what it is, where the caller overrode it."""
UNUSED = "given, but nothing here depends on it"
"""The same where it changes nothing."""
APART = 1
"""Overrides that have a line of their own; more of them share one."""
COUNTED = frozenset(("GPUs", "tokens", "ranks", "adapters", "years"))
"""Units that are things: of one of them there is no more than one."""
ALL = "inferplan://assumptions"
"""Where every setting stands, with the tools that take it."""
SERVING = ("memory", "layout", "speed")
"""The groups of assumptions that a serving takes."""
TAKEN: Mapping[str, tuple[str, ...]] = {
    "estimate_vram": ("overhead", *SERVING, "experts"),
    "compare_quantization": ("encoding", "unit_cost", "engine", "cache", *SERVING),
    "plan_parallelism": ("engine", *SERVING, "experts", "arrivals"),
    "compare_costs": ("engine", "cache", *SERVING, "demand", "unit_cost", "prices"),
    "compare_moe_dense": ("unit_cost", "engine", "cache", *SERVING),
    "run_preset": ("overhead", "engine", *SERVING, "experts", "latency", "demand", "unit_cost", "prices"),
}
"""The groups that each tool takes: in one place, so that who gives a setting to another tool is told whose it is."""
SHELVES: Mapping[str, Shelf[Any]] = {"engine": ENGINES, "kv_precision": KV_FORMATS}
"""Where the names of a choice stand, with all that people say for them."""
SWITCHED: Mapping[str, str] = {"true": "1", "on": "1", "yes": "1", "false": "0", "off": "0", "no": "0"}
"""What people write for 1 and 0 where these are all that there is."""


class Setting(BaseModel):
    """A named assumption. Where `default` is None, the catalogue or the engine decides.

    Its value is a number: of a date its day, of a version the part after the first point, of one of several names
    (`choices`) its place among them. `elsewhere` says of names that are no choice where they are. `measure` is what
    numbers are counted in that answers give no unit of: a share of 1, US dollars an hour.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    group: str
    what: str
    unit: str = ""
    measure: str = ""
    default: float | None = None
    low: float
    high: float
    whole: bool = False
    version: bool = False
    date: bool = False
    choices: tuple[str, ...] = ()
    elsewhere: Mapping[str, str] = {}
    source: str

    @model_validator(mode="before")
    @classmethod
    def _places(cls, row: object) -> object:
        """The bounds of a choice, and its default, if it has one, as a place."""
        given = cast("Mapping[str, Any]", row)
        names: list[str] = given.get("choices", [])
        if not names:
            return given
        usual = {"default": names.index(given["default"])} if "default" in given else {}
        return {**given, **usual, "low": 0, "high": len(names) - 1, "whole": True}

    @field_validator("low", "high", mode="before")
    @classmethod
    def _days(cls, value: object) -> object:
        """A date as the number of its day."""
        return value.toordinal() if isinstance(value, datetime.date) else value

    @property
    def is_share(self) -> bool:
        """Whether a percentage is a value of it."""
        return self.measure == "share"

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return self.whole and not self.coded and (self.low, self.high) == (0, 1)

    @property
    def coded(self) -> bool:
        """Whether people write its values otherwise than as numbers."""
        return self.version or self.date or bool(self.choices)

    def row(self) -> dict[str, Any]:
        """The setting for a reader: what it leaves open is left out, versions and names are written as such."""
        hidden = {"group", "version", "date", "elsewhere"} | ({"low", "high", "whole"} if self.choices else set[str]())
        row = self.model_dump(exclude=hidden, exclude_defaults=True)
        bounds = {name: row[name] for name in ("default", "low", "high") if name in row}
        return row | ({name: self.shown(value) for name, value in bounds.items()} if self.coded else {})

    def check(self, text: str) -> float:
        """The value that an override gives, or a ValueError that says what is allowed."""
        if self.choices:
            return self._place(text)
        value = self._number(text)
        if not isfinite(value) or not self.low <= value <= self.high or (self.whole and value % 1):
            raise ValueError(f'"{self.name}" takes {self._allowed()}; got "{text}"{self._as_share(text)}')
        return value

    def _allowed(self) -> str:
        """Which numbers, versions or dates it takes."""
        if self.is_switch:
            return "1 (on) or 0 (off)"
        plain = "a whole number" if self.whole else "a number"
        kind = "a version" if self.version else "a date" if self.date else plain
        unit = "" if self.is_share else f" {self.unit or self.measure}".rstrip()
        return f"{kind} from {self.shown(self.low)} to {self.shown(self.high)}{unit}"

    def problem(self, text: str) -> ValueError | None:
        """Why an override may not give this value, None where it may."""
        try:
            self.check(text)
        except ValueError as problem:
            return problem
        return None

    def value(self, number: float) -> float | str:
        """The value as an argument of the same name gives it."""
        return self.shown(number) if self.coded else number

    def _place(self, text: str) -> float:
        """The place of the name that is meant; else a ValueError with the names that there are and the nearest."""
        shelf = SHELVES[self.name]
        behind = served_by(text) if self.name == "engine" else None
        meant = shelf.only(text) or behind or ""
        if meant in self.choices:
            return self.choices.index(meant)
        if meant in self.elsewhere:
            by = f", by which {text} serves" if behind else ""
            raise ValueError(f'"{self.name}" does not take {meant} here{by}: {self.elsewhere[meant]}')
        near = next((f"; nearest: {name}" for name in shelf.nearest(text) if name in self.choices), "")
        raise ValueError(f'"{self.name}" takes {join([*self.choices], last="or")}; got "{text}"{near}')

    def _number(self, text: str) -> float:
        """What the text says: a number, the day of a date, or of a version the part after the first point."""
        if self.version:
            found = _VERSION.fullmatch(text)
            return float(found[1]) if found else float("nan")
        number, power = measured(self._switched(text), self.measure or self.unit)
        if not self.coded and POINTED.fullmatch(number):
            number = self._read(number)
        try:
            return datetime.date.fromisoformat(text).toordinal() if self.date else times_ten(number, power)
        except ValueError:
            return float("nan")

    def _switched(self, text: str) -> str:
        """1 or 0 for a word that means it, where these are all that there is."""
        return SWITCHED.get(text.casefold(), text) if self.is_switch else text

    def _as_share(self, text: str) -> str:
        """How a percentage is written, where this is one without its sign."""
        meant = f"{text}%"
        can_be = self.is_share and self.low <= self._number(meant) <= self.high
        return f"; write {self.without_unit(meant)} or {meant}" if can_be else ""

    def _read(self, text: str) -> str:
        """A number with points, where it can be read in one way only."""
        try:
            return str(whole(text)) if self.whole else plain(text)
        except ValueError as problem:
            raise ValueError(f'"{self.name}": {problem}') from None

    def without_unit(self, text: str) -> str:
        """A value that an override may give, as a number alone where it has a unit or is a word for one.

        >>> settings()["front_end_ms"].without_unit("0.5 s"), settings()["front_end_ms"].without_unit("5e2")
        ('500', '5e2')
        >>> settings()["cuda_graphs"].without_unit("off")
        '0'
        """
        has_unit = not self.coded and measured(self._switched(text), self.measure or self.unit) != (text, 0)
        return self.written(self.check(text)) if has_unit else text

    def written(self, value: float) -> str:
        """The value as an override gives it, to the last digit.

        >>> settings()["max_num_seqs"].written(5.0), settings()["pue"].written(1.2)
        ('5', '1.2')
        """
        if self.coded:
            return self.shown(value)
        return repr(value if value % 1 else int(value))

    def assumed(self, value: float, *, why: str) -> "Assumption":
        """The setting at a value, as answers list it."""
        return assumption(self.name, self.shown(value) if self.coded else value, unit=self.unit, why=why)

    def shown(self, value: float) -> str:
        """The value as people write it.

        >>> settings()["engine_version"].shown(28.0), settings()["pue"].shown(1.2), settings()["as_of"].shown(739581.0)
        ('0.28', '1.2', '2025-11-26')
        >>> settings()["engine"].shown(1.0)
        'sglang'
        """
        if self.choices:
            return self.choices[int(value)]
        if self.date:
            return datetime.date.fromordinal(int(value)).isoformat()
        return f"0.{value:.0f}" if self.version else f"{value:g}"


@cache
def settings() -> Mapping[str, Setting]:
    """Every setting by name, in the order of `assumptions.toml`."""
    rows = tomllib.loads(files("inferplan.tools").joinpath("assumptions.toml").read_text(encoding="utf-8"))
    return {name: Setting(name=name, **row) for name, row in rows.items()}


class Assumption(BaseModel):
    """A default that mattered, or what the caller put in its place."""

    model_config = ConfigDict(allow_inf_nan=False)

    name: str
    value: str | int | float
    unit: str = Field(default="", exclude_if=not_)
    why: str

    def line(self) -> str:
        """`name = value unit (why)`; one of what is counted is one.

        >>> assumption("gpus_per_node", 1, unit="GPUs", why="usual").line()
        'gpus_per_node = 1 GPU (usual)'
        """
        unit = self.unit[:-1] if self.value == 1 and self.unit in COUNTED else self.unit
        return " ".join(f"{self.name} = {self.value} {unit}".split()) + f" ({self.why})"


def assumption(name: str, value: float | str, *, why: str, unit: str = "") -> Assumption:
    """What was assumed, as answers list it: whole numbers as such."""
    shown = int(value) if isinstance(value, float) and value.is_integer() else value
    return Assumption(name=name, value=shown, unit=unit, why=why)


def together(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same with many overrides in one line: `inputs` holds them, and what the caller said needs no explaining."""
    listed: list[Mapping[str, Any]] = []
    for why, alike in groupby(sorted(entries, key=_given), key=_given):
        found = list(alike)
        names = "see inputs" if why == SAID_SO else ", ".join(one["name"] for one in found)
        listed += [{"name": "overrides", "value": names, "why": why}] if why and len(found) > APART else found
    return listed


def _given(entry: Mapping[str, Any]) -> str:
    """Why an override is listed; empty for what the caller left open."""
    return entry["why"] if entry["why"] in (SAID_SO, UNUSED) else ""


def takers(group: str) -> list[str]:
    """The tools that take a group of settings, in the order of the workflow.

    >>> takers("demand")
    ['compare_costs', 'run_preset']
    """
    return [tool for tool, groups in TAKEN.items() if group in groups]


def parse_overrides(text: str, *, groups: Collection[str], arguments: Collection[str] = ()) -> dict[str, float]:
    """`"name=value, name=value"` as numbers. Raises one ValueError that words every problem.

    `arguments` are those of the tool, for who gives one of them as an override.

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
            flag = None if equals else meant(said, "", arguments=arguments, overrides=names)
            problems.append(f'"{part}" ' + ("comes twice" if equals else _not_of_the_form(part, flag)))
            continue
        try:
            values[name] = _setting(said, value, names, groups, arguments).check(value)
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise ValueError("; ".join(problems))
    return values


def plainly(text: str) -> str:
    """Overrides by the names that assumptions have, in their units, where they are written otherwise, as flags are.

    >>> plainly("--max-num-seqs 64"), plainly("pue=1.2;max_num_seqs=64"), plainly("memory_utilization = 95%")
    ('max_num_seqs=64', 'pue=1.2;max_num_seqs=64', 'memory_utilization=0.95')
    """
    parts = [(said.strip(), value.strip()) for said, _, value in (part.partition("=") for part in _parts(text))]
    plain = [(name := plain_name(said), settings()[name].without_unit(value)) for said, value in parts]
    return text if plain == parts else ", ".join(f"{name}={value}" for name, value in plain)


def beside(overrides: str, name: str, value: float) -> str:
    """One more override beside those of a question.

    >>> beside("pue=1.2", "max_num_seqs", 256), beside("", "memory_utilization", 0.95)
    ('pue=1.2, max_num_seqs=256', 'memory_utilization=0.95')
    """
    return ", ".join(filter(None, [overrides, f"{name}={settings()[name].written(value)}"]))


def _parts(text: str) -> Iterator[str]:
    """`name=value` each, also of what is written as flags of a shell: `--max-num-seqs 64 --enforce-eager`."""
    for piece in filter(None, map(str.strip, _PARTS.split(text))):
        is_flag = piece.startswith("--") and "=" not in piece
        yield "=".join(piece.split(None, 1)) if is_flag else piece


def _not_of_the_form(part: str, flag: str | None) -> str:
    """What is wrong with a part that gives no value; digits alone are the rest of a number that a comma cut."""
    cut = "; numbers in overrides have no comma, decimals a point" if part.isdigit() else ""
    return f"is not of the form name=value{f'; {flag}' if flag else cut}"


def _setting(
    said: str, value: str, allowed: tuple[str, ...], groups: Collection[str], arguments: Collection[str]
) -> Setting:
    """The setting of that name if this tool takes it, else a ValueError with who takes it, or what is meant."""
    name = plain_name(said)
    if name in allowed:
        return settings()[name]
    if name in arguments:
        raise ValueError(f'"{said}" is an argument, not an assumption; give it beside overrides')
    if name in settings():
        elsewhere, taken = join(takers(settings()[name].group)), ", ".join(groups).replace("_", " ")
        raise ValueError(
            f'"{said}" plays no part in this tool but in {elsewhere}; it takes those of {taken} (all: {ALL})'
        )
    if flag := meant(said, value, arguments=arguments, overrides=allowed):
        raise ValueError(f'no assumption "{said}"; {flag}')
    near = difflib.get_close_matches(name, allowed, n=3, cutoff=0.4) or list(allowed[:3])
    raise ValueError(f'no assumption "{said}"; nearest: {", ".join(near)} (all: {ALL})')


class Ledger:
    """Gives out the assumptions of one question and remembers which of them the answer used."""

    def __init__(self, overrides: Mapping[str, float]) -> None:
        """`overrides` are validated values by name."""
        self._overrides = dict(overrides)
        self._used: dict[str, Assumption] = {}

    def take(self, name: str, default: float | None = None, *, why: str | None = None, quiet: bool = False) -> float:
        """The value of a setting: what the caller said, else `default`, else the setting's own.

        A `quiet` setting is listed only where the caller changed it.
        """
        setting = settings()[name]
        overridden = name in self._overrides
        value = self._overrides[name] if overridden else default if default is not None else setting.default
        if value is None:
            raise LookupError(f"{name} has no default and none was given")
        if overridden or not quiet:
            self._used[name] = setting.assumed(value, why=SAID_SO if overridden else why or setting.source)
        return value

    def choose(self, name: str) -> str:
        """The name that a choice has, listed only where the caller chose it."""
        return settings()[name].shown(self.take(name, quiet=True))

    @property
    def is_untouched(self) -> bool:
        """Whether the caller overrides nothing."""
        return not self._overrides

    def given(self, name: str) -> bool:
        """Whether the caller overrides this setting."""
        return name in self._overrides

    def note(self, name: str, value: float | str, *, why: str, unit: str = "") -> None:
        """List an assumption that is no setting: a fact of the catalogue, a correction of the guide."""
        self._used[name] = assumption(name, value, why=why, unit=unit)

    def entries(self) -> list[Assumption]:
        """What was assumed, in order of use. An override that nothing used says so."""
        for name, value in self._overrides.items():
            if name not in self._used:
                self._used[name] = settings()[name].assumed(value, why=UNUSED)
        return list(self._used.values())
