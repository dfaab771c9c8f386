"""One word a layer, written short: runs, and the period in which they repeat."""

import re
from itertools import groupby

_RUN = re.compile(r"([A-Za-z0-9_-]{1,40})(?:\*([1-9]\d{0,3}))?")


def packed(words: tuple[str, ...]) -> str:
    """Runs of equal words, up to where they repeat.

    >>> packed(("sliding", "sliding", "full") * 4 + ("sliding",))
    'sliding*2,full'
    """
    period = next(
        (n for n in range(1, len(words)) if all(a == b for a, b in zip(words, words[n:], strict=False))), None
    )
    runs = ((word, len(list(same))) for word, same in groupby(words[:period]))
    return ",".join(f"{word}*{count}" if count > 1 else word for word, count in runs)


def unpacked(text: str, layers: int) -> tuple[str, ...] | None:
    """The words of so many layers; None where the text is not made of runs.

    >>> unpacked("sliding*2,full", 5)
    ('sliding', 'sliding', 'full', 'sliding', 'sliding')
    """
    words: list[str] = []
    for run in text.split(","):
        match = _RUN.fullmatch(run)
        if match is None:
            return None
        words += [match[1]] * min(int(match[2] or 1), layers - len(words))
    return tuple(words[number % len(words)] for number in range(layers))
