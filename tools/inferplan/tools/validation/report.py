"""Predictions compared with published measurements: errors by quantity, and what was not predicted, with reasons."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from statistics import mean, median
from typing import Any, Literal, cast

from pydantic import ValidationError

from inferplan.tools import _draw as draw
from inferplan.tools import _words as words

Value = float | bool
Unit = Literal["%", "GiB", "wrong"]
SMALLEST, LARGEST = 1e-6, 1e18
"""Measured figures outside these bounds are ignored."""
PROBLEMS = {"missing": "is missing", "extra_forbidden": "is not known", "string_too_long": "is too long"}
"""Words for a problem of a field, by kind; the validator's own for others."""
MANY = 20
"""Skipped cases beyond which reasons are counted instead of listed."""


class CannotPredict(ValueError):  # noqa: N818 - the name says what it is
    """A case does not state what a prediction needs, or the rules do not cover it; in one clause."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One case: what was predicted, what was measured, and why the rest was not predicted.

    `skipped` is the reason where nothing was; `left_out` gives one for each quantity that the case does not decide.
    `groups` are what errors are broken down by (its source, model, ...); `notes` say what was taken for granted, and
    `targets` are the quantities by how they were measured, where that matters.
    """

    id: str
    predicted: Mapping[str, Value]
    measured: Mapping[str, Value]
    left_out: Mapping[str, str]
    skipped: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict[str, str])

    def structured(self) -> dict[str, Any]:
        """The case as JSON."""
        found: dict[str, Any] = {
            "id": self.id,
            "predicted": dict(self.predicted),
            "skipped": self.skipped,
            "left_out": dict(self.left_out),
        }
        return found | ({"notes": list(self.notes)} if self.notes else {})


@dataclass(frozen=True, kw_only=True)
class Errors:
    """The errors of one quantity, each with its case: in % of the measurement, in GiB, or 1 where wrong."""

    quantity: str
    unit: Unit
    of: tuple[tuple[float, str], ...]

    @property
    def sizes(self) -> list[float]:
        """The absolute errors."""
        return [size for size, _ in self.of]

    @property
    def worst(self) -> tuple[float, str]:
        """The largest error, and its case."""
        return max(self.of)

    def structured(self) -> dict[str, Any]:
        """The statistics as JSON."""
        return {
            "n": len(self.of),
            "unit": self.unit,
            "mean": mean(self.sizes),
            "median": median(self.sizes),
            "p90": percentile(self.sizes, 0.9),
            "worst": self.worst[0],
            "worst_id": self.worst[1],
        }

    def row(self) -> list[str]:
        """The statistics as a row of the table."""
        if self.unit == "wrong":
            wrong = f"{sum(self.sizes):.0f} wrong"
            return [self.quantity, str(len(self.of)), wrong, "", "", "", self.worst[1] if self.worst[0] else ""]
        figures = (mean(self.sizes), median(self.sizes), percentile(self.sizes, 0.9), self.worst[0])
        return [self.quantity, str(len(self.of)), *(f"{figure:.2f} {self.unit}" for figure in figures), self.worst[1]]


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed.

    >>> percentile([4, 1, 3, 2, 5, 6, 7, 8, 9, 10], 0.9)
    9
    """
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All outcomes, and the unit of each quantity's errors."""

    outcomes: tuple[Outcome, ...]
    units: Mapping[str, Unit]
    subject: str = "case"

    @property
    def errors(self) -> tuple[Errors, ...]:
        """The errors of every quantity that was both predicted and measured in some case."""
        found = (Errors(quantity=name, unit=unit, of=tuple(self._of(name, unit))) for name, unit in self.units.items())
        return tuple(one for one in found if one.of)

    def _of(self, name: str, unit: Unit) -> Iterator[tuple[float, str]]:
        """The error of one quantity, with its case, for each case with both figures."""
        for one in self.outcomes:
            quantity = one.targets.get(name, "") if one.targets else name
            if quantity in one.predicted and quantity in one.measured:
                yield _error(one.predicted[quantity], one.measured[quantity], unit), one.id

    @cached_property
    def breakdown(self) -> dict[str, dict[str, "Report"]]:
        """A report for each group, by the name of the grouping."""
        names = dict.fromkeys(name for one in self.outcomes for name in one.groups)
        found: dict[str, dict[str, list[Outcome]]] = {name: {} for name in names}
        for one in self.outcomes:
            for name, group in one.groups.items():
                found[name].setdefault(group, []).append(one)
        return {
            name: {group: replace(self, outcomes=tuple(of)) for group, of in sorted(groups.items())}
            for name, groups in found.items()
        }

    @property
    def skipped(self) -> list[Outcome]:
        """Cases of which nothing was predicted."""
        return [one for one in self.outcomes if one.skipped]

    def structured(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            f"{self.subject}s": [one.structured() for one in self.outcomes],
            "summary": self.summary()
            | {
                f"by {name}": {group: one.summary() for group, one in groups.items()}
                for name, groups in self.breakdown.items()
            },
        }

    def summary(self) -> dict[str, Any]:
        """The number of cases, predicted and skipped, and the errors."""
        return {
            f"{self.subject}s": len(self.outcomes),
            "predicted": len(self.outcomes) - len(self.skipped),
            "skipped": len(self.skipped),
            "errors": {one.quantity: one.structured() for one in self.errors},
        }

    def text(self) -> str:
        """The report as text."""
        predicted = len(self.outcomes) - len(self.skipped)
        parts = [f"{words.count(len(self.outcomes), self.subject)}, {predicted} predicted, {len(self.skipped)} skipped"]
        if self.errors:
            parts.append(self.table())
        tables = (self._table(name, groups) for name, groups in self.breakdown.items())
        parts += filter(None, tables)  # none where no group has an error
        if self.skipped:
            parts.append("\n".join(["Skipped", *self._reasons()]))
        if left_out := self._left_out():
            parts.append("\n".join(["Not predicted, though measured", *left_out]))
        return "\n\n".join(parts)

    def table(self) -> str:
        """The table of errors, a line for each quantity."""
        header = ("quantity", "n", "mean", "median", "P90", "worst", "in")
        return draw.table([one.row() for one in self.errors], header=header)

    def _table(self, name: str, groups: Mapping[str, "Report"]) -> str:
        """The table of median errors by group and quantity; empty where no group has errors."""
        rows = [
            [group, one.quantity, str(len(one.of)), f"{median(one.sizes):.1f}", f"{percentile(one.sizes, 0.9):.1f}"]
            for group, report in groups.items()
            for one in report.errors
        ]
        return draw.table(rows, header=(name, "quantity", "n", "median %", "P90 %")) if rows else ""

    def _reasons(self) -> Iterator[str]:
        """Each skipped case with its reason; of many, each reason with its count."""
        if len(self.skipped) <= MANY:
            yield from (f"  {one.id}: {one.skipped}" for one in self.skipped)
            return
        counts = Counter(str(one.skipped) for one in self.skipped)
        yield from (f"  {words.count(number, self.subject)}: {reason}" for reason, number in counts.most_common())

    def _left_out(self) -> list[str]:
        """Each reason for which measured quantities were not predicted, with their counts."""
        reasons: dict[str, dict[str, int]] = {}
        for one in self.outcomes:
            for name, reason in one.left_out.items():
                if name in one.measured and not one.skipped:
                    counts = reasons.setdefault(reason, {})
                    counts[name] = counts.get(name, 0) + 1
        return [
            f"  {reason}: " + ", ".join(f"{name} of {number}" for name, number in counts.items())
            for reason, counts in reasons.items()
        ]


def _error(predicted: Value, measured: Value, unit: Unit) -> float:
    """|predicted / measured - 1| [%], |predicted - measured| [GiB], or 1 where a boolean is wrong."""
    if unit == "wrong":
        return float(bool(predicted) != bool(measured))
    gap = abs(float(predicted) - float(measured))
    return 100 * gap / abs(float(measured)) if unit == "%" else gap


def is_figure(value: object) -> bool:
    """Whether a measured value is a number above zero."""
    return isinstance(value, int | float) and not isinstance(value, bool) and SMALLEST <= value <= LARGEST


def outcomes(raws: Iterable[object], subject: str, predicted: Callable[[object], Outcome]) -> tuple[Outcome, ...]:
    """The outcome of each case or row; what cannot be read or predicted is skipped, with its reason."""

    def outcome(raw: object, number: int) -> Outcome:
        try:
            return predicted(raw)
        except ValidationError as error:
            reason = _unreadable(error, subject)
        except CannotPredict as unknown:
            reason = str(unknown)
        return Outcome(id=_id(raw, f"{subject} {number}"), predicted={}, measured={}, left_out={}, skipped=reason)

    return tuple(outcome(raw, number) for number, raw in enumerate(raws, start=1))


def _id(raw: object, otherwise: str) -> str:
    """The id of a case, where it has one."""
    given = cast("Mapping[str, object]", raw).get("id") if isinstance(raw, Mapping) else None
    return _shown(given) if isinstance(given, str) else otherwise


def _unreadable(error: ValidationError, subject: str) -> str:
    """What is wrong with the fields of a case, the first three problems."""
    problems = [
        f"`{_shown('.'.join(map(str, one['loc'])))}` {PROBLEMS.get(one['type']) or one['msg'].removeprefix('Input ')}"
        if one["loc"]
        else "it is no object"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"the {subject} cannot be read: " + "; ".join(problems[:3]) + more


def _shown(text: str) -> str:
    """The beginning of a text of others, escaped, on one line."""
    return words.printable(text[:80])
