"""Each monthly bill against the hours of use, with the hours at which they cross."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil

from inferplan.core.units import GIGA, HOURS_PER_DAY, MILLION, TERA
from inferplan.tools import _draw as draw

FIGURE = 9
ROWS = 4
CENTS_BELOW = 100
HOURLY = {"on-demand": "o", "spot": "s"}
"""The marks of bills that grow with the hours; all others are dashes."""


def _money(usd: float) -> str:
    """Whole dollars; cents below 100, millions from a thousand of them on, what no column holds as a power of ten.

    >>> _money(2912.7), _money(9.5), _money(1_720_945_493), _money(1.567e23)
    ('2,913', '9.50', '1,721 M', '1.57e+23')
    """
    if usd >= TERA:
        return f"{usd:.2e}"
    if usd >= GIGA:
        return f"{usd / MILLION:,.0f} M"
    return f"{usd:,.0f}" if usd >= CENTS_BELOW else f"{usd:,.2f}"


def draw_hours(
    title: str, lines: Mapping[str, Sequence[float]], crossings: Mapping[str, float | None], *, hours_now: float
) -> str:
    """The diagram: each bill for 1 to 24 hours of use a day, an X where on-demand crosses another.

    The scale ends at the largest bill of 24 hours. Bills of the hours asked for that are above it, as of the fleets
    that few hours take, are named.
    """
    named = draw.wrap_items(title.split(), draw.WIDTH, separator=" ")
    full = max(values[-1] for values in lines.values()) or 1.0
    rows = {label: _rows(bills, full) for label, bills in lines.items()}
    grid = [[" "] * HOURS_PER_DAY for _ in range(ROWS)]
    for label in sorted(rows, key=HOURLY.__contains__):
        mark = HOURLY.get(label, "-")
        for hour, row in enumerate(rows[label]):
            if row >= 0:
                grid[row][hour] = mark
    for hours in filter(None, crossings.values()):
        row = rows["on-demand"][ceil(hours) - 1]
        grid[max(0, row)][max(0, round(hours) - 1)] = "X"
    ends = {label: of_hours[-1] for label, of_hours in rows.items()}
    above = ", ".join(label for label, of_hours in rows.items() if of_hours[max(1, round(hours_now)) - 1] < 0)
    left_out = [f"{'':{FIGURE}}  above the scale now: {above}"] if above else []
    return "\n".join([*named, "", *_framed(grid, ends, full), _hours(hours_now), *left_out])


def _rows(bills: Sequence[float], full: float) -> list[int]:
    """The row of each bill, 0 on top for `full`; negative where it is above that."""
    return [ROWS - (round(usd / full * ROWS) or 1) for usd in bills]


def _framed(grid: Sequence[Sequence[str]], ends: Mapping[str, int], full: float) -> Iterator[str]:
    """The lines of the picture: the scale on the left, the labels of the bills that end in each row on the right."""
    for number, cells in enumerate(grid):
        ending = ", ".join(label for label, row in ends.items() if row == number)
        scale = _money(full) if number == 0 else ""
        yield f"{scale:>{FIGURE}} |{''.join(cells).rstrip() if not ending else ''.join(cells)} {ending}"[
            : draw.WIDTH
        ].rstrip()


def _hours(now: float) -> str:
    """The axis of hours, and the hours asked for."""
    line = " " * (FIGURE + 1) + "0"
    for hour in (6, 12, 18, HOURS_PER_DAY):
        line = line.ljust(FIGURE + 1 + hour) + str(hour)
    return f"{line} h{f', now {now:.3g}' if now < HOURS_PER_DAY else ''}"
