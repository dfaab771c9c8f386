"""What an answer assumed: each default that mattered, with its source, or the override that replaced it."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import not_
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from inferplan.tools._settings import Setting, settings

OVERRIDDEN = "you said so"
"""The reason given for a value that the caller overrode."""
UNUSED = "given, but nothing here depends on it"
"""The reason given for an override that no figure of the answer used."""
MOST_OVERRIDES = 1
"""Overrides up to which each is an entry of its own; more of them share one."""
COUNTABLE = frozenset(("GPUs", "tokens", "ranks", "adapters", "years"))
"""Units that are plural nouns: written without the s after the value 1."""


class Assumption(BaseModel):
    """A default that mattered, or what the caller put in its place."""

    model_config = ConfigDict(allow_inf_nan=False)

    name: str
    value: str | int | float
    unit: str = Field(default="", exclude_if=not_)
    why: str

    def line(self) -> str:
        """`name = value unit (why)`, as text lists it.

        >>> assumption("gpus_per_node", 1, unit="GPUs", why="usual").line()
        'gpus_per_node = 1 GPU (usual)'
        """
        unit = self.unit[:-1] if self.value == 1 and self.unit in COUNTABLE else self.unit
        return " ".join(f"{self.name} = {self.value} {unit}".split()) + f" ({self.why})"


def assumption(name: str, value: float | str, *, why: str, unit: str = "") -> Assumption:
    """An entry of the list of assumptions; floats that are whole become integers."""
    shown = int(value) if isinstance(value, float) and value.is_integer() else value
    return Assumption(name=name, value=shown, unit=unit, why=why)


def assumed(setting: Setting, value: float, *, why: str) -> Assumption:
    """The entry of a setting at a value; versions, dates and choices as people write them."""
    return assumption(setting.name, setting.value(value), unit=setting.unit, why=why)


def merged_overrides(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The dumped entries with those of several overrides merged into one, which refers to `inputs` for their values."""
    listed: list[Mapping[str, Any]] = []
    for why, alike in groupby(sorted(entries, key=_override_reason), key=_override_reason):
        found = list(alike)
        names = "see inputs" if why == OVERRIDDEN else ", ".join(one["name"] for one in found)
        listed += [{"name": "overrides", "value": names, "why": why}] if why and len(found) > MOST_OVERRIDES else found
    return listed


def _override_reason(entry: Mapping[str, Any]) -> str:
    """The reason of an entry that is an override; empty for any other."""
    return entry["why"] if entry["why"] in (OVERRIDDEN, UNUSED) else ""


class Ledger:
    """Hands out the assumptions of one question and records which of them its answer used."""

    def __init__(self, overrides: Mapping[str, float]) -> None:
        """`overrides` are validated values by setting: see `parse_overrides`."""
        self._overrides = dict(overrides)
        self._used: dict[str, Assumption] = {}

    def take(self, name: str, default: float | None = None, *, why: str | None = None, quiet: bool = False) -> float:
        """The value of a setting: the caller's override, else `default`, else the setting's own default.

        A `quiet` setting is listed only where the caller changed it. `why` stands in for the setting's source.
        """
        setting = settings()[name]
        overridden = name in self._overrides
        value = self._overrides[name] if overridden else default if default is not None else setting.default
        if value is None:
            raise LookupError(f"{name} has no default and none was given")
        if overridden or not quiet:
            self._used[name] = assumed(setting, value, why=OVERRIDDEN if overridden else why or setting.source)
        return value

    def choose(self, name: str) -> str:
        """The name of a setting's choice, listed only where the caller chose it."""
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
        """Everything assumed, in order of use; then the overrides that nothing used, marked as such."""
        for name, value in self._overrides.items():
            if name not in self._used:
                self._used[name] = assumed(settings()[name], value, why=UNUSED)
        return list(self._used.values())
