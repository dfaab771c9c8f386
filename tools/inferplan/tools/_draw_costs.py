"""Monthly bills as bars to scale, and the hours of use at which renting by the hour stops being the cheaper way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inferplan.core.units import HOURS_PER_DAY, MILLION
from inferplan.tools import _draw as draw

LABEL = 10
FIGURE = 9
LEFT = LABEL + FIGURE
BAR = 50
COLUMNS_PER_HOUR = 2
CENTS_BELOW = 100
GIGA = 1000 * MILLION


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """One option's bar. [USD/month]"""

    label: str
    usd: float
    best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Crossing:
    """On-demand against one flat bill: the hours a day at which they meet, None where they never do."""

    label: str
    hours: float | None


def draw_costs(title: str, bills: Sequence[Bill], crossings: Sequence[Crossing], *, hours_now: float) -> str:
    """Title, bars, and a day's line per flat option."""
    named = draw.wrap_items(title.split(), draw.WIDTH, separator=" ")
    lines = [*named, *_bars(bills), "", *_day(crossings, hours_now=hours_now)]
    return "\n".join(line.rstrip() for line in lines)


def _bars(bills: Sequence[Bill]) -> Iterator[str]:
    """One bar per option, the dearest over the full width."""
    full = max(bill.usd for bill in bills)
    for bill in bills:
        picture = draw.bar(bill.usd, full, BAR).rstrip()
        yield f"{bill.label:<{LABEL}}{_money(bill.usd):>{FIGURE}} |{picture}{' best' if bill.best else ''}"


def _money(usd: float) -> str:
    """Whole dollars; cents below 100, millions from a thousand of them on, what no column holds as a power of ten.

    >>> _money(2912.7), _money(9.5), _money(1_720_945_493), _money(1.567e23)
    ('2,913', '9.50', '1,721 M', '1.57e+23')
    """
    if usd >= 1000 * GIGA:
        return f"{usd:.2e}"
    if usd >= GIGA:
        return f"{usd / MILLION:,.0f} M"
    return f"{usd:,.0f}" if usd >= CENTS_BELOW else f"{usd:,.2f}"


def _day(crossings: Sequence[Crossing], *, hours_now: float) -> Iterator[str]:
    """0 to 24 hours: where on-demand is the cheaper one, where the flat bill is, and where the service stands."""
    yield "a day of 24 h, on-demand cheaper where ="
    yield f"{'':<{LEFT + 2}}{'':<{round(hours_now * COLUMNS_PER_HOUR)}}v now {hours_now:.3g}"
    for crossing in crossings:
        said = "never" if crossing.hours is None else f"{crossing.hours:.1f} h"
        yield f"{crossing.label:<{LABEL}}{said:>{FIGURE}} |{_line(crossing.hours, HOURS_PER_DAY * COLUMNS_PER_HOUR)}"


def _line(hours: float | None, width: int) -> str:
    """A day in `width` columns; None is on-demand throughout.

    >>> _line(12, 12), _line(None, 4), _line(0, 4)
    ('======......', '====', '....')
    """
    mark = width if hours is None else round(hours / HOURS_PER_DAY * width)
    return "=" * mark + "." * (width - mark)
