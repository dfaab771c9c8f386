"""One word a layer, written short: runs, the period in which they repeat, and what stands before it."""

import re
from itertools import groupby

LONGEST_LEAD = 4
"""Layers before those that repeat."""

_RUN = re.compile(r"([A-Za-z0-9_-]{1,40})(?:\*([1-9]\d{0,3}))?")


def packed(words: tuple[str, ...]) -> str:
    """Runs of equal words, up to where they repeat; behind a bar where a few others go before.

    >>> packed(("sliding", "sliding", "full") * 4 + ("sliding",))
    'sliding*2,full'
    >>> packed(("0", "0") + ("4", "128") * 20 + ("4",))
    '0*2|4,128'
    """
    leads = [f"{_runs(words[:lead])}|{_repeated(words[lead:])}" for lead in range(1, min(LONGEST_LEAD, len(words)))]
    return min([_repeated(words), *leads], key=len)


def _repeated(words: tuple[str, ...]) -> str:
    """The runs of one period."""
    period = next(
        (n for n in range(1, len(words)) if all(a == b for a, b in zip(words, words[n:], strict=False))), None
    )
    return _runs(words[:period])


def _runs(words: tuple[str, ...]) -> str:
    """Each word with how often it comes in a row."""
    runs = ((word, len(list(same))) for word, same in groupby(words))
    return ",".join(f"{word}*{count}" if count > 1 else word for word, count in runs)


def unpacked(text: str, layers: int) -> tuple[str, ...] | None:
    """The words of so many layers; None where the text is not made of runs.

    >>> unpacked("sliding*2,full", 5)
    ('sliding', 'sliding', 'full', 'sliding', 'sliding')
    >>> unpacked("0|4,128", 4)
    ('0', '4', '128', '4')
    """
    before, bar, rest = text.rpartition("|")
    lead, period = _listed(before, layers) if bar else [], _listed(rest, layers)
    if lead is None or period is None:
        return None
    return tuple(lead[:layers] + [period[number % len(period)] for number in range(layers - len(lead))])


def _listed(text: str, layers: int) -> list[str] | None:
    """The words of runs, at most so many."""
    words: list[str] = []
    for run in text.split(","):
        match = _RUN.fullmatch(run)
        if match is None:
            return None
        words += [match[1]] * min(int(match[2] or 1), layers - len(words))
    return words
