"""The settings of `assumptions.toml`: name, unit, bounds and source, and the values that overrides may give."""

import datetime
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from inferplan.catalog._shelf import Shelf
from inferplan.catalog.engines import ENGINES, served_by
from inferplan.catalog.formats import KV_FORMATS
from inferplan.tools._numbers import POINTED, measured, plain, times_ten, whole
from inferplan.tools._words import join

_VERSION = re.compile(r"v?(?:0\.)?(\d{1,3})(?:\.\w+)*")
SERVING = ("memory", "layout", "speed")
"""The groups of settings that decide how a model is served."""
TAKEN: Mapping[str, tuple[str, ...]] = {
    "estimate_vram": ("overhead", *SERVING, "experts"),
    "compare_quantization": ("encoding", "unit_cost", "engine", "cache", *SERVING),
    "plan_parallelism": ("engine", *SERVING, "experts", "arrivals"),
    "compare_costs": ("engine", "cache", *SERVING, "demand", "unit_cost", "prices"),
    "compare_moe_dense": ("unit_cost", "engine", "cache", *SERVING),
    "run_preset": ("overhead", "engine", *SERVING, "experts", "latency", "demand", "unit_cost", "prices"),
}
"""The groups of settings that each tool takes; in one table, so that a refusal can name the tools that do take one."""
SHELVES: Mapping[str, Shelf[Any]] = {"engine": ENGINES, "kv_precision": KV_FORMATS}
"""The shelf that resolves the names of each choice, aliases included."""
SWITCH_WORDS: Mapping[str, str] = {"true": "1", "on": "1", "yes": "1", "false": "0", "off": "0", "no": "0"}
"""Words accepted for 1 and 0 by settings that are either."""


class NotHere(ValueError):  # noqa: N818 - the name says what it is: a choice that another tool takes
    """A choice that this setting does not take, with the tool that does. The message is one actionable sentence."""


class Setting(BaseModel):
    """A named assumption that an override can change. Where `default` is None, the catalogue or the engine decides.

    Its value is a float whatever it stands for: a date is its ordinal day, a version its minor number (28 is 0.28), one
    of several names (`choices`) its index. `elsewhere` gives, by name, what to do about a name that is not among the
    choices. `unit` is the unit that answers print, `measure` one that they leave out (a share of 1, USD per hour).
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
    def _index_choices(cls, row: object) -> object:
        """The row with bounds and default as indices, where it is a choice."""
        given = cast("Mapping[str, Any]", row)
        names: list[str] = given.get("choices", [])
        if not names:
            return given
        usual = {"default": names.index(given["default"])} if "default" in given else {}
        return {**given, **usual, "low": 0, "high": len(names) - 1, "whole": True}

    @field_validator("low", "high", mode="before")
    @classmethod
    def _number_dates(cls, value: object) -> object:
        """A date as its ordinal day; any other bound as it is."""
        return value.toordinal() if isinstance(value, datetime.date) else value

    @property
    def is_share(self) -> bool:
        """Whether it is a share of 1, so that percentages are accepted."""
        return self.measure == "share"

    @property
    def is_switch(self) -> bool:
        """Whether it is either on (1) or off (0)."""
        return self.whole and not self.is_coded and (self.low, self.high) == (0, 1)

    @property
    def is_coded(self) -> bool:
        """Whether its number stands for something else: a version, a date or a choice."""
        return self.version or self.date or bool(self.choices)

    def row(self) -> dict[str, Any]:
        """The setting as the resource lists it: no empty fields; versions, dates and choices as people write them."""
        hidden = {"group", "version", "date", "elsewhere"} | ({"low", "high", "whole"} if self.choices else set[str]())
        row = self.model_dump(exclude=hidden, exclude_defaults=True)
        bounds = {name: row[name] for name in ("default", "low", "high") if name in row}
        return row | ({name: self.shown(value) for name, value in bounds.items()} if self.is_coded else {})

    def check(self, text: str) -> float:
        """The value that an override gives. Raises a ValueError that says what is allowed."""
        if self.choices:
            return self._choice(text)
        value = self._number(text)
        if not isfinite(value) or not self.low <= value <= self.high or (self.whole and value % 1):
            raise ValueError(f'"{self.name}" takes {self._allowed()}; got "{text}"{self._percent_hint(text)}')
        return value

    def problem(self, text: str) -> ValueError | None:
        """The error that `check` raises for this text; None where it is a valid value."""
        try:
            self.check(text)
        except ValueError as problem:
            return problem
        return None

    def value(self, number: float) -> float | str:
        """A value in the type of the tool argument of the same name: text for versions, dates and choices."""
        return self.shown(number) if self.is_coded else number

    def without_unit(self, text: str) -> str:
        """The text of an override as a bare number, where it has a unit or is a word for on or off.

        >>> settings()["front_end_ms"].without_unit("0.5 s"), settings()["front_end_ms"].without_unit("5e2")
        ('500', '5e2')
        >>> settings()["cuda_graphs"].without_unit("off")
        '0'
        """
        has_unit = not self.is_coded and measured(self._digit(text), self.measure or self.unit) != (text, 0)
        return self.written(self.check(text)) if has_unit else text

    def written(self, value: float) -> str:
        """A value as an override gives it: all digits, no unit.

        >>> settings()["max_num_seqs"].written(5.0), settings()["pue"].written(1.2)
        ('5', '1.2')
        """
        if self.is_coded:
            return self.shown(value)
        return repr(value if value % 1 else int(value))

    def shown(self, value: float) -> str:
        """A value as people write it: a number with grouped thousands, a version, an ISO date or a choice.

        >>> settings()["engine_version"].shown(28.0), settings()["pue"].shown(1.2), settings()["as_of"].shown(739581.0)
        ('0.28', '1.2', '2025-11-26')
        >>> settings()["max_num_batched_tokens"].shown(2.0**20)
        '1,048,576'
        >>> settings()["engine"].shown(1.0)
        'sglang'
        """
        if self.choices:
            return self.choices[int(value)]
        if self.date:
            return datetime.date.fromordinal(int(value)).isoformat()
        return f"0.{value:.0f}" if self.version else f"{value:,.10g}"

    def _allowed(self) -> str:
        """`a whole number from 1 to 8 GPUs`: the kind, the bounds and the unit of its values."""
        if self.is_switch:
            return "1 (on) or 0 (off)"
        plain = "a whole number" if self.whole else "a number"
        kind = "a version" if self.version else "a date" if self.date else plain
        unit = "" if self.is_share else f" {self.unit or self.measure}".rstrip()
        return f"{kind} from {self.shown(self.low)} to {self.shown(self.high)}{unit}"

    def _choice(self, text: str) -> float:
        """The index of the choice that a name means. Raises a ValueError with the choices and the nearest of them."""
        shelf = SHELVES[self.name]
        behind = served_by(text) if self.name == "engine" else None
        meant = shelf.only(text) or behind or ""
        if meant in self.choices:
            return self.choices.index(meant)
        if meant in self.elsewhere:
            by = f", by which {text} serves" if behind else ""
            raise NotHere(f'"{self.name}" does not take {meant} here{by}: {self.elsewhere[meant]}')
        near = next((f"; nearest: {name}" for name in shelf.nearest(text) if name in self.choices), "")
        raise ValueError(f'"{self.name}" takes {join([*self.choices], last="or")}; got "{text}"{near}')

    def _number(self, text: str) -> float:
        """The float that a text stands for: a number, the minor of a version, the ordinal of a date; else NaN."""
        if self.version:
            found = _VERSION.fullmatch(text)
            return float(found[1]) if found else float("nan")
        number, power = measured(self._digit(text), self.measure or self.unit)
        if not self.is_coded and POINTED.fullmatch(number):
            number = self._unambiguous(number)
        try:
            return datetime.date.fromisoformat(text).toordinal() if self.date else times_ten(number, power)
        except ValueError:
            return float("nan")

    def _digit(self, text: str) -> str:
        """`1` or `0` for a word that means it, where the setting is a switch; any other text as it is."""
        return SWITCH_WORDS.get(text.casefold(), text) if self.is_switch else text

    def _percent_hint(self, text: str) -> str:
        """`; write 0.95 or 95%`, where the text would be valid with a percent sign; else empty."""
        percent = f"{text}%"
        can_be = self.is_share and self.low <= self._number(percent) <= self.high
        return f"; write {self.without_unit(percent)} or {percent}" if can_be else ""

    def _unambiguous(self, text: str) -> str:
        """A number with points, without those that group thousands. Raises a ValueError where they may be decimals."""
        try:
            return str(whole(text)) if self.whole else plain(text)
        except ValueError as problem:
            raise ValueError(f'"{self.name}": {problem}') from None


@cache
def settings() -> Mapping[str, Setting]:
    """Every setting by name, in the order of `assumptions.toml`."""
    rows = tomllib.loads(files("inferplan.tools").joinpath("assumptions.toml").read_text(encoding="utf-8"))
    return {name: Setting(name=name, **row) for name, row in rows.items()}


def tools_taking(group: str) -> list[str]:
    """The tools that take a group of settings, in the order of the workflow.

    >>> tools_taking("demand")
    ['compare_costs', 'run_preset']
    """
    return [tool for tool, groups in TAKEN.items() if group in groups]
