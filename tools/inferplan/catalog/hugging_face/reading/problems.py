"""What is wrong with a config.json, gathered and worded as one sentence."""

from collections.abc import Iterable
from typing import Never

LONGEST_LIST = 6
"""Items that a list in a sentence names; the rest are counted."""

MOST_PROBLEMS = 3
LONGEST_MESSAGE = 540
"""Problems that a message words; its length, from where it is cut. [characters]"""


class ConfigProblem(ValueError):  # noqa: N818 - the name says what it is: what is wrong with a config
    """A config.json that cannot be read as a model. The message is one actionable sentence."""


def listed(items: Iterable[str], last: str = "and") -> str:
    """Items in a sentence: the first `LONGEST_LIST`, and how many more.

    >>> listed(["a", "b", "c"]), listed("abcdefg"), listed("abcdefgh")
    ('a, b and c', 'a, b, c, d, e, f and 1 more', 'a, b, c, d, e, f and 2 more')
    """
    all_ = list(items)
    named, more = all_[:LONGEST_LIST], len(all_) - LONGEST_LIST
    if more > 0:
        return f"{', '.join(named)} {last} {more} more"
    return f" {last} ".join(filter(None, (", ".join(named[:-1]), named[-1]))) if named else ""


class Problems:
    """What is wrong with one config, gathered so that one message names it all.

    `missing` keys and `wrong` values are worded first; contradictions between values (`contrary`) only where there is
    neither, because they may follow from them. Dictionaries serve as ordered sets.
    """

    def __init__(self) -> None:
        self.missing: dict[str, None] = {}
        self.wrong: dict[str, None] = {}
        self.contrary: dict[str, None] = {}

    def raise_any(self) -> None:
        """Raise `ConfigProblem` for what is missing or wrong, else for contradictions, if there are any."""
        first = (f"needs {listed(self.missing)}",) if self.missing else ()
        if first or self.wrong:
            _raise((*first, *self.wrong))
        if self.contrary:
            _raise(self.contrary)


def _raise(problems: Iterable[str]) -> Never:
    """All problems in one sentence, no longer than a message may be."""
    several = list(problems)
    more = len(several) - MOST_PROBLEMS
    text = "; ".join(several[:MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
    shown = text if len(text) < LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."
    raise ConfigProblem(f"config.json: {shown}")
