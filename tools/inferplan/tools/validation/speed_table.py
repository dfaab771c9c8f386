"""A tab-separated table of published runs, one a line, in the terms of `validation.speed_rows.SpeedRow`."""

import re
from collections.abc import Mapping

from inferplan.tools.validation.memory_cases import DRAFTED_AS
from inferplan.tools.validation.speed_validation import QUANTITIES

WHOLE = ("gpu_count", "tp", "pp", "dp", "ep", "ubatch", *DRAFTED_AS)
"""Columns of whole numbers."""
DECIMAL = ("isl", "osl", "concurrency_or_batch", "requests", "acceptance_length", *QUANTITIES)
"""Columns of decimal numbers."""
_ADDRESS = re.compile(r"^# (\d+): (.*)$", re.MULTILINE)


def rows_of(text: str) -> list[object]:
    """The rows under a line of column names: fields of a row, and the quantities that were measured.

    Lines that begin with # are comments, and an empty cell is what a source does not state. A comment "# 7: address"
    is a source, which the column `source` names by its number and `within` goes on from. What should be a number and is
    none stays text, for the reader of rows to refuse. Raises a ValueError, in one sentence, where a line has more or
    fewer cells than there are columns.
    """
    addresses = dict(_ADDRESS.findall(text))
    lines = [(at, line) for at, line in enumerate(text.splitlines(), start=1) if line and not line.startswith("#")]
    columns = lines[0][1].split("\t") if lines else []
    rows: list[object] = []
    for at, line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise ValueError(f"line {at} has {len(cells)} cells, of {len(columns)} columns")
        rows.append(_row({name: cell for name, cell in zip(columns, cells, strict=True) if cell}, addresses))
    return rows


def _row(stated: Mapping[str, str], addresses: Mapping[str, str]) -> dict[str, object]:
    """One row, by column."""
    given = {name: _number(name, cell) for name, cell in stated.items()}
    number = stated.get("source", "")
    source = f"{addresses.get(number, number)} {given.pop('within', '')}".strip()
    measured = {name: given.pop(name) for name in QUANTITIES if name in given}
    return {**given, "source": source, "measured": measured}


def _number(column: str, cell: str) -> str | int | float:
    """A cell in the type of its column; as text where it cannot be read as that."""
    try:
        return int(cell) if column in WHOLE else float(cell) if column in DECIMAL else cell
    except ValueError:
        return cell
