"""How far a long search has come: told to whoever listens, who may stop it by raising."""

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

LISTENER: ContextVar[Callable[[int, int], None] | None] = ContextVar("listens to progress", default=None)
"""Is told, before each step, how many of how many are done; what it raises ends the search."""


def steps(things: Sequence[T]) -> Iterator[T]:
    """The things one by one, each announced before it is worked on.

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
