"""Fit the constants of the speed model: `python tests/calibration/calibrate.py FILE... [--write] [--leave-out WHAT]`.

FILEs have rows in the form that `inferplan validate speed` takes. Prints the errors, in the fit and with each source
(or model, or GPU) left out of it; with --write, the constants, the error bands (always with the source left out, and
with runs in no fit where one model alone is in it) and the table become the product's. Needs the `calibration` extra,
and minutes.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from fit import ALIKE, KNOWN, MEAN, MEASURED, START, Design, fit
from targets import Floats, Target, targets_of

from inferplan.core.error_bands import ENOUGH, groups
from inferplan.server.validate import speeds_of

LEFT_OUT: Mapping[str, Callable[[Target], str]] = {
    "source": lambda one: one.family,
    "model": lambda one: one.model,
    "gpu": lambda one: one.gpu,
}
ROOT = Path(__file__).parents[2]
CONSTANTS = "tools/inferplan/core/speed/speed_constants.py"
BANDS = "tools/inferplan/core/speed/speed_bands.py"
TABLE = "tests/data/speed_calibration.json"
LEVELS = (50, 90)
UNFITTED = ("tests/data/published_speed_found.tsv", "tests/data/published_long_prompts.tsv")
"""Runs that are in no fit: of kinds of attention in `FEW` they are counted in the error bands."""
FEW = ("sparse",)
"""Kinds of attention of which one model alone is fitted: what others do is not to be said of these."""


def _fold(arguments: tuple[Sequence[Target], Sequence[Target]]) -> Floats:
    """The errors of some targets by constants that were fitted to others; what these do not show is known or a mean."""
    mine, rest = arguments
    values = fit(rest)
    for name in Design(mine).parameters:
        alike = ALIKE.get(name, name)
        values.setdefault(name, KNOWN.get(name, values.get(MEAN + alike, START.get(alike, 1.0))))
    return Design(mine).residuals(values)


def left_out(targets: Sequence[Target], what: str) -> Floats:
    """log(predicted / measured) of each target, by constants that were fitted without its source, model or GPU."""
    key = LEFT_OUT[what]
    names = sorted({key(one) for one in targets})
    folds = [([t for t in targets if key(t) == name], [t for t in targets if key(t) != name]) for name in names]
    found = np.full(len(targets), np.nan)
    with ProcessPoolExecutor() as pool:
        for name, residuals in zip(names, pool.map(_fold, folds), strict=True):
            found[[i for i, one in enumerate(targets) if key(one) == name]] = residuals
    return found


def summary(residuals: Floats) -> dict[str, float]:
    """Number, median and 90th percentile of the sizes of errors, and their median, in percent of the measured time."""
    errors = 100 * np.expm1(residuals)
    sizes = np.abs(errors)
    return {
        "n": len(errors),
        "median": round(float(np.median(sizes)), 1),
        "p90": round(float(np.quantile(sizes, 0.9)), 1),
        "bias": round(float(np.median(errors)), 1),
    }


def by(targets: Sequence[Target], residuals: Floats, group: Callable[[Target], str]) -> dict[str, dict[str, float]]:
    """The summary of each group."""
    names = sorted({group(one) for one in targets})
    return {name: summary(residuals[[group(one) == name for one in targets]]) for name in names}


def report(title: str, errors: Mapping[str, Mapping[str, float]]) -> str:
    """A table of errors."""
    lines = [f"{title:<44} {'n':>5} {'median':>7} {'P90':>7} {'bias':>7}  [% of the measured time]"]
    lines += [
        f"{name:<44} {one['n']:>5} {one['median']:>7.1f} {one['p90']:>7.1f} {one['bias']:>+7.1f}"
        for name, one in errors.items()
    ]
    return "\n".join(lines)


def unfitted(laws: set[str]) -> list[Target]:
    """Targets in no fit of attention in `FEW`; the first token of a lone client is also that of a prompt alone."""
    rows = [row for name in UNFITTED for row in speeds_of(ROOT / name)]
    found = [one for one in targets_of(rows) if one.attention in FEW]
    alone = [replace(one, law="prompt") for one in found if one.law == "ttft" and not one.queued]
    return [one for one in [*found, *alone] if one.law in laws]


def bands(targets: Sequence[Target], residuals: Floats, values: Mapping[str, float]) -> Iterator[str]:
    """Quantiles of measured / predicted, of each kind of run with enough of them."""
    members: dict[tuple[str, str, str, str], list[float]] = {}
    for one, residual in zip(targets, residuals, strict=True):
        for key in groups(one.law, one.kind, one.attention):
            members.setdefault(key, []).append(float(np.exp(-residual)))
    more = unfitted({one.law for one in targets})
    known = dict(START) | dict(KNOWN) | dict(MEASURED) | dict(values)
    for one, residual in zip(more, Design(more).residuals(known), strict=True):
        for key in groups(one.law, one.kind, one.attention):
            if key[3]:
                members.setdefault(key, []).append(float(np.exp(-residual)))
    for key, ratios in sorted(members.items()):
        if len(ratios) < ENOUGH and any(key[1:]):
            continue
        levels = {level: np.quantile(ratios, [0.5 - level / 200, 0.5 + level / 200]) for level in LEVELS}
        shown = ", ".join(f"{level}: ({low:.3f}, {high:.3f})" for level, (low, high) in levels.items())
        yield f"    {quoted(key)}: ({len(ratios)}, {{{shown}}}),"


def quoted(key: Sequence[str]) -> str:
    """A key as the product's module has it."""
    return "(" + ", ".join(f'"{part}"' for part in key) + ")"


def _in_parts(text: str) -> list[str]:
    """A text in parts that are short enough for a line."""
    return text.replace("), ", "), |").split("|")


def write(
    files: Sequence[Path], targets: Sequence[Target], values: Mapping[str, float], crossed: Floats, *, into: Path
) -> None:
    """Constants and bands with their provenance, and the table of errors, into a clone."""
    for name in (CONSTANTS, BANDS, TABLE):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
    named = ", ".join(f"{one.name} (sha256 {sha256(one.read_bytes()).hexdigest()[:16]})" for one in files)
    used = sum(one.calibrates for one in targets)
    families = sorted({one.family for one in targets})
    made = f"{named}, {used:,} of {len(targets):,} targets, {datetime.now(UTC).date()}"
    head = (ROOT / CONSTANTS).read_text(encoding="utf-8").partition("\n")[0]
    lines = [head, "", "from collections.abc import Mapping", "", "FITTED_ON = ("]
    lines += [f'    "{part}"' for part in _in_parts(made)] + [")"]
    lines += ["SOURCES = (", *(f'    "{name}",' for name in families), ")"]
    lines += [
        'OBJECTIVE = "pseudo-Huber loss of log(predicted / measured), constants that are alike held near their mean"'
    ]
    lines += ["PARAMETERS: Mapping[str, float] = {"]
    lines += [f'    "{name}": {float(f"{values[name]:.4g}")!r},' for name in Design(targets).parameters]
    (into / CONSTANTS).write_text("\n".join([*lines, "}", ""]), encoding="utf-8")
    opening = (ROOT / BANDS).read_text(encoding="utf-8").partition("= {")[0]
    (into / BANDS).write_text(
        "\n".join([f"{opening}= {{", *bands(targets, crossed, values), "}", ""]), encoding="utf-8"
    )
    constants = {name: float(f"{values[name]:.4g}") for name in Design(targets).parameters}
    found = {
        "fitted_on": made,
        "constants": constants,
        "in_sample": by(targets, Design(targets).residuals(constants), lambda one: one.law),
        "source_left_out": by(targets, crossed, lambda one: one.law),
        "source_left_out_where_the_layout_is_stated": by(
            [one for one in targets if one.calibrates],
            crossed[[one.calibrates for one in targets]],
            lambda one: one.law,
        ),
        "source_left_out_by_source": by(targets, crossed, lambda one: f"{one.law}, {one.family}"),
    }
    (into / TABLE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Fit, report, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="make the constants and bands the product's")
    parser.add_argument("--into", type=Path, default=ROOT, help="the clone to write into, instead of this one")
    parser.add_argument("--leave-out", choices=sorted(LEFT_OUT), default="source")
    chosen = parser.parse_args()
    targets = list(targets_of([row for file in chosen.files for row in speeds_of(file)]))
    values = fit(targets)
    crossed = left_out(targets, chosen.leave_out)
    parts = [
        report("in the fit", by(targets, Design(targets).residuals(values), lambda one: one.law)),
        report(f"{chosen.leave_out} left out", by(targets, crossed, lambda one: one.law)),
        report(f"{chosen.leave_out} left out", by(targets, crossed, lambda one: f"{one.law}, {one.family}")),
        "\n".join(f"{name:<40} {values[name]:.4g}" for name in Design(targets).parameters),
    ]
    sys.stdout.write("\n\n".join(parts) + "\n")
    if chosen.write:
        unseen = crossed if chosen.leave_out == "source" else left_out(targets, "source")
        write(chosen.files, targets, values, unseen, into=chosen.into)


if __name__ == "__main__":
    main()
