"""One word per layer in short form: runs of equal words, only up to where they repeat, after a few that do not."""

import re
from itertools import groupby

LONGEST_LEAD = 4
"""Layers that may go before the repeating ones."""

_RUN = re.compile(r"([A-Za-z0-9_-]{1,40})(?:\*([1-9]\d{0,3}))?")


def packed(words: tuple[str, ...]) -> str:
    """The short form of one word per layer: the runs of one period, after a bar if a few others go first.

    >>> packed(("sliding", "sliding", "full") * 4 + ("sliding",))
    'sliding*2,full'
    >>> packed(("0", "0") + ("4", "128") * 20 + ("4",))
    '0*2|4,128'
    """
    leads = [f"{_runs(words[:lead])}|{_repeated(words[lead:])}" for lead in range(1, min(LONGEST_LEAD, len(words)))]
    return min([_repeated(words), *leads], key=len)


def _repeated(words: tuple[str, ...]) -> str:
    """The runs of the shortest period that the words repeat with."""
    period = next(
        (n for n in range(1, len(words)) if all(a == b for a, b in zip(words, words[n:], strict=False))), None
    )
    return _runs(words[:period])


def _runs(words: tuple[str, ...]) -> str:
    """Each word with how often it is repeated in a row."""
    runs = ((word, len(list(same))) for word, same in groupby(words))
    return ",".join(f"{word}*{count}" if count > 1 else word for word, count in runs)


def unpacked(text: str, layers: int) -> tuple[str, ...] | None:
    """The words of so many layers from their short form; None where the text is not one.

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
    """The words of runs, at most one per layer; None where the text is not made of runs."""
    words: list[str] = []
    for run in text.split(","):
        match = _RUN.fullmatch(run)
        if match is None:
            return None
        words += [match[1]] * min(int(match[2] or 1), layers - len(words))
    return words
