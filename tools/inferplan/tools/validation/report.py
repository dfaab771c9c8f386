"""Predictions held against published measurements: errors by quantity, and what was not predicted, with its reason."""

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
"""Measured figures outside are none."""
PROBLEMS = {"missing": "is missing", "extra_forbidden": "is not known", "string_too_long": "is too long"}
"""What is said of a field, by the kind of problem; the validator's own words for others."""
MANY = 20
"""Skipped cases from which their reasons are counted rather than listed."""


class CannotPredict(ValueError):  # noqa: N818 - the name says what it is
    """What a case does not say, or the rules do not cover, in one clause."""


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
        """The case for a program that reads it."""
        found: dict[str, Any] = {
            "id": self.id,
            "predicted": dict(self.predicted),
            "skipped": self.skipped,
            "left_out": dict(self.left_out),
        }
        return found | ({"notes": list(self.notes)} if self.notes else {})


@dataclass(frozen=True, kw_only=True)
class Errors:
    """The errors of one quantity, each with its case; in percent of the measurement, in GiB, or wrong as often."""

    quantity: str
    unit: Unit
    of: tuple[tuple[float, str], ...]

    @property
    def sizes(self) -> list[float]:
        """How far off each prediction is, whatever the direction."""
        return [size for size, _ in self.of]

    @property
    def worst(self) -> tuple[float, str]:
        """The largest error, and whose it is."""
        return max(self.of)

    def structured(self) -> dict[str, Any]:
        """The statistics for a program that reads them."""
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
        """The statistics for a person who reads them."""
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
    """All cases, and the unit in which each quantity's errors are counted."""

    outcomes: tuple[Outcome, ...]
    units: Mapping[str, Unit]
    subject: str = "case"

    @property
    def errors(self) -> tuple[Errors, ...]:
        """The errors of every quantity that was both predicted and measured anywhere."""
        found = (Errors(quantity=name, unit=unit, of=tuple(self._of(name, unit))) for name, unit in self.units.items())
        return tuple(one for one in found if one.of)

    def _of(self, name: str, unit: Unit) -> Iterator[tuple[float, str]]:
        """The error of one quantity in each case that has both figures."""
        for one in self.outcomes:
            quantity = one.targets.get(name, "") if one.targets else name
            if quantity in one.predicted and quantity in one.measured:
                yield _error(one.predicted[quantity], one.measured[quantity], unit), one.id

    @cached_property
    def breakdown(self) -> dict[str, dict[str, "Report"]]:
        """The report of each group of outcomes, by what they are grouped by."""
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
        """The report for a program that reads it."""
        return {
            f"{self.subject}s": [one.structured() for one in self.outcomes],
            "summary": self.summary()
            | {
                f"by {name}": {group: one.summary() for group, one in groups.items()}
                for name, groups in self.breakdown.items()
            },
        }

    def summary(self) -> dict[str, Any]:
        """How many there are, how many were predicted, and the errors."""
        return {
            f"{self.subject}s": len(self.outcomes),
            "predicted": len(self.outcomes) - len(self.skipped),
            "skipped": len(self.skipped),
            "errors": {one.quantity: one.structured() for one in self.errors},
        }

    def text(self) -> str:
        """The report for a person who reads it."""
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
        """The errors, a line a quantity."""
        header = ("quantity", "n", "mean", "median", "P90", "worst", "in")
        return draw.table([one.row() for one in self.errors], header=header)

    def _table(self, name: str, groups: Mapping[str, "Report"]) -> str:
        """The median errors of each group, in one line for each quantity."""
        rows = [
            [group, one.quantity, str(len(one.of)), f"{median(one.sizes):.1f}", f"{percentile(one.sizes, 0.9):.1f}"]
            for group, report in groups.items()
            for one in report.errors
        ]
        return draw.table(rows, header=(name, "quantity", "n", "median %", "P90 %")) if rows else ""

    def _reasons(self) -> Iterator[str]:
        """Each skipped case with its reason; where there are many, each reason with its number."""
        if len(self.skipped) <= MANY:
            yield from (f"  {one.id}: {one.skipped}" for one in self.skipped)
            return
        counts = Counter(str(one.skipped) for one in self.skipped)
        yield from (f"  {words.count(number, self.subject)}: {reason}" for reason, number in counts.most_common())

    def _left_out(self) -> list[str]:
        """What cases leave open, by reason: the quantities, and how many cases."""
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
    """How far off a prediction is: |predicted / measured - 1| in percent, |predicted - measured|, or 1 where wrong."""
    if unit == "wrong":
        return float(bool(predicted) != bool(measured))
    gap = abs(float(predicted) - float(measured))
    return 100 * gap / abs(float(measured)) if unit == "%" else gap


def is_figure(value: object) -> bool:
    """Whether a measured value is a number above zero."""
    return isinstance(value, int | float) and not isinstance(value, bool) and SMALLEST <= value <= LARGEST


def outcomes(raws: Iterable[object], subject: str, predicted: Callable[[object], Outcome]) -> tuple[Outcome, ...]:
    """Each case or row as `predicted`; what cannot be read or predicted is skipped with the reason."""

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
    """What a case calls itself, if it does."""
    given = cast("Mapping[str, object]", raw).get("id") if isinstance(raw, Mapping) else None
    return _shown(given) if isinstance(given, str) else otherwise


def _unreadable(error: ValidationError, subject: str) -> str:
    """What is wrong with a case or row, field by field."""
    problems = [
        f"`{_shown('.'.join(map(str, one['loc'])))}` {PROBLEMS.get(one['type']) or one['msg'].removeprefix('Input ')}"
        if one["loc"]
        else "it is no object"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"the {subject} cannot be read: " + "; ".join(problems[:3]) + more


def _shown(text: str) -> str:
    """What somebody wrote, on one line and no longer than a line."""
    return words.printable(text[:80])
