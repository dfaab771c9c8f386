"""Progress of a long search, reported to a listener that may stop it by raising."""

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

LISTENER: ContextVar[Callable[[int, int], None] | None] = ContextVar("listens to progress", default=None)
"""Called before each step with the steps done and the steps in all; what it raises ends the search."""


def steps(things: Sequence[T]) -> Iterator[T]:
    """The things one by one, each reported before it is worked on.

    >>> heard = []
    >>> mark = LISTENER.set(lambda done, total: heard.append((done, total)))
    >>> list(steps("ab")), heard
    (['a', 'b'], [(0, 2), (1, 2)])
    >>> LISTENER.reset(mark)
    """
    listener = LISTENER.get()
    for done, thing in enumerate(things):
        if listener:
            listener(done, len(things))
        yield thing
