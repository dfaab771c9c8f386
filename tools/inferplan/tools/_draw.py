"""ASCII drawing: bars, boxes, tables. Nothing here knows what the numbers mean."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import floor, log10
from types import NoneType
from typing import Any, cast

WIDTH = 80
"""Columns of a diagram, at most."""
COLUMN = 38
"""Columns of a box: two of them stand side by side in a diagram."""
INSIDE = COLUMN - 4
"""Columns of the text in a box."""
PROSE = 40
"""Characters beyond which a text is set as a paragraph, not as a cell."""


def table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), left: int = 1) -> str:
    """Rows in aligned columns: the first `left` columns to the left, the others to the right.

    >>> print(table([["a", "1"], ["bcd", "22"]], header=["x", "n"]))
    x     n
    a     1
    bcd  22
    """
    lines = [header, *rows] if header else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    line = "  ".join(f"%{'-' if i < left else ''}{width}s" for i, width in enumerate(widths))
    return "\n".join([(line % tuple(cells)).rstrip() for cells in lines])


def bar(value: float, full: float, width: int, *, mark: str = "#", start: float = 0) -> str:
    """A bar of `width` columns, filled from `start` for `value` of `full`; anything above zero fills a column.

    >>> bar(50, 100, 10), bar(25, 100, 8, start=50), bar(0.001, 100, 4)
    ('#####     ', '    ##  ', '#   ')
    """
    first = min(round(start / full * width), width - 1) if full else 0
    last = min(round((start + value) / full * width), width) if full else 0
    length = max(last - first, 1 if value > 0 else 0)
    return (" " * first + mark * length)[:width].ljust(width)


def nice_ceiling(value: float) -> float:
    """The least 1, 2, 4, 6, 8 or 10 times a power of ten that is not below a value: the end of an axis in quarters.

    >>> nice_ceiling(389.2), nice_ceiling(34.6), nice_ceiling(0.7)
    (400.0, 40.0, 0.8)
    """
    power = 1.0
    while power < value / 10:
        power *= 10
    while power >= value and power > 0:
        power /= 10
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * (1 - 1e-12))


def box(title: str, lines: Sequence[str]) -> list[str]:
    """The lines in a box of `COLUMN` columns, with its title in the upper edge; what is too long is cut off.

    >>> for line in box("node 1", ["[0][1]"]):
    ...     print(line)
    +-- node 1 --------------------------+
    | [0][1]                             |
    +------------------------------------+
    """
    edge = f"+-- {title} ".ljust(COLUMN - 1, "-")[: COLUMN - 1] + "+"
    body = [f"| {line[:INSIDE].ljust(INSIDE)} |" for line in lines]
    return [edge, *body, "+" + "-" * (COLUMN - 2) + "+"]


def beside(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Two blocks of lines side by side, their top lines level."""
    height = max(len(left), len(right))
    width = max((len(line) for line in left), default=0)
    pairs = zip([*left, *[""] * (height - len(left))], [*right, *[""] * (height - len(right))], strict=True)
    return [f"{a.ljust(width)}   {b}".rstrip() for a, b in pairs]


def wrap_items(items: Sequence[str], width: int, *, separator: str = "") -> list[str]:
    """Items joined into lines of at most `width` columns; an item is never broken."""
    lines = [""]
    for item in items:
        joined = lines[-1] + (separator if lines[-1] else "") + item
        if len(joined) > width and lines[-1]:
            lines.append(item)
        else:
            lines[-1] = joined
    return lines


def numbers(section: Mapping[str, Any], *, descriptions: Mapping[str, str]) -> str:
    """The numbers of an answer as text: single values line by line, then sentences, then lists as tables.

    Above the first list of a field stands its description. Nulls are left out: the summary says why there is no value.
    """
    unused = dict(descriptions)
    singles: dict[str, object] = {}
    prose: list[str] = []
    lists: list[str] = []
    for name, value in _flat(section).items():
        if isinstance(value, list):
            described = unused.pop(name.partition(".")[0], None)
            lists += (
                [f"{name}{f': {described}' if described else ''}\n{_rows(cast('list[Any]', value))}"] if value else []
            )
        elif isinstance(value, str) and len(value) > PROSE:
            prose.append(f"{name}: {value}")
        elif value is not None:
            singles[name] = value
    blocks = [table(list(zip(singles, _cells(singles.values()), strict=True)), left=2)] if singles else []
    blocks += ["\n".join(prose)] if prose else []
    return "\n\n".join(blocks + lists)


def _flat(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping without nesting: the inner names are dotted."""
    if dict not in map(type, section.values()):
        return section
    flat: dict[str, Any] = {}
    for name, value in section.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": held for inner, held in _flat(cast("dict[str, Any]", value)).items()}
        else:
            flat[name] = value
    return flat


def _rows(items: Sequence[Any]) -> str:
    """A list of mappings as a table with a column for each field; a list of values as one line."""
    if not isinstance(items[0], Mapping):
        return ", ".join(_cells(items))
    flat = [_flat(item) for item in items]
    fields = {name: [item.get(name) for item in flat] for name in dict.fromkeys(chain.from_iterable(flat))}
    filled = (pair for pair in fields.items() if pair[1].count(None) + pair[1].count("") < len(flat))
    columns = [[name, *_cells(values)] for name, values in filled]
    return table(list(zip(*columns, strict=True)))


def _decimal(value: float) -> str:
    """A number to about four digits: three decimals and more below 1, fewer above.

    >>> _decimal(1490.0), _decimal(389.219), _decimal(50.765), _decimal(0.25), _decimal(0.000131072)
    ('1,490', '389.2', '50.77', '0.25', '0.0001311')
    """
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 1 or not size:
        return f"{value:,.1f}" if size >= 100 else f"{value:.2f}"
    places = 3 - floor(log10(size))
    return f"{value:.{places}f}".rstrip("0")


_WRITTEN: Mapping[type[Any], Callable[[Any], str]] = {
    str: str,
    float: _decimal,
    NoneType: lambda _: "-",
    bool: lambda value: "yes" if value else "no",
    int: "{:,}".format,
}
"""How a value is formatted, by type."""


def _cells(values: Iterable[object]) -> list[str]:
    """Values formatted for a table."""
    return [_WRITTEN.get(type(value), str)(value) for value in values]
