"""Predictions held against published measurements: errors by quantity, and what was not predicted, with its reason."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from statistics import mean, median
from typing import Any, Literal

from inferplan.tools import _draw as draw
from inferplan.tools import _words as words

Value = float | bool
Unit = Literal["%", "GiB", "wrong"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One case: what was predicted, what was measured, and why the rest was not predicted.

    `skipped` is the reason where nothing was; `left_out` gives one for each quantity that the case does not decide.
    """

    id: str
    predicted: Mapping[str, Value]
    measured: Mapping[str, Value]
    left_out: Mapping[str, str]
    skipped: str | None = None

    def structured(self) -> dict[str, Any]:
        """The case for a program that reads it."""
        return {
            "id": self.id,
            "predicted": dict(self.predicted),
            "skipped": self.skipped,
            "left_out": dict(self.left_out),
        }


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

    @property
    def errors(self) -> tuple[Errors, ...]:
        """The errors of every quantity that was both predicted and measured anywhere."""
        found = (Errors(quantity=name, unit=unit, of=tuple(self._of(name, unit))) for name, unit in self.units.items())
        return tuple(one for one in found if one.of)

    def _of(self, name: str, unit: Unit) -> Iterator[tuple[float, str]]:
        """The error of one quantity in each case that has both figures."""
        for one in self.outcomes:
            if name in one.predicted and name in one.measured:
                yield _error(one.predicted[name], one.measured[name], unit), one.id

    @property
    def skipped(self) -> list[Outcome]:
        """Cases of which nothing was predicted."""
        return [one for one in self.outcomes if one.skipped]

    def structured(self) -> dict[str, Any]:
        """The report for a program that reads it."""
        return {
            "cases": [one.structured() for one in self.outcomes],
            "summary": {
                "cases": len(self.outcomes),
                "predicted": len(self.outcomes) - len(self.skipped),
                "skipped": len(self.skipped),
                "errors": {one.quantity: one.structured() for one in self.errors},
            },
        }

    def text(self) -> str:
        """The report for a person who reads it."""
        predicted = len(self.outcomes) - len(self.skipped)
        parts = [f"{words.count(len(self.outcomes), 'case')}, {predicted} predicted, {len(self.skipped)} skipped"]
        if self.errors:
            parts.append(self.table())
        if self.skipped:
            parts.append("\n".join(["Skipped", *(f"  {one.id}: {one.skipped}" for one in self.skipped)]))
        if left_out := self._left_out():
            parts.append("\n".join(["Not predicted, though measured", *left_out]))
        return "\n\n".join(parts)

    def table(self) -> str:
        """The errors, a line a quantity."""
        header = ("quantity", "n", "mean", "median", "P90", "worst", "in")
        return draw.table([one.row() for one in self.errors], header=header)

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
