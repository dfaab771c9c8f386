"""The checkpoint that a size class stands for, where it weighs more and does not fit where the class does."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from inferplan.catalog.models import MODELS
from inferplan.core.engine_memory import stored_for
from inferplan.core.parallelism import Layout
from inferplan.tools import _words as words
from inferplan.tools.serving.serving import Serving


def falls_short(on: Serving, layout: Layout, *, users: int, context: int) -> Serving | None:
    """The checkpoint's serving, where this layout does not hold as many of its users as of the size class; else None.

    None for a checkpoint itself, and where the context exceeds what it was trained for: there the class stands for
    nothing. 70 billion weights of a byte leave one H100 room for a session, the 72.7 GB of a real FP8 checkpoint, whose
    embeddings and head stay in 16 bit, do not.
    """
    found = _short(on, layout, users, context)
    return found and found[0]


def warning(on: Serving, layout: Layout, *, users: int, context: int) -> Iterator[str]:
    """That the checkpoint does not fit on the layout of its size class; nothing where it does."""
    found = _short(on, layout, users, context)
    if found is None:
        return
    real, held = found
    what = f"holds only {words.count(held, 'user')}" if held else "does not start"
    yield f"The real {real.model.title} {what} on this layout: ask for it by name."


def _short(on: Serving, layout: Layout, users: int, context: int) -> tuple[Serving, int] | None:
    """The checkpoint's serving and the users that it holds on all replicas, where those are too few; else None."""
    real = _real(on)
    if real is None or context > real.model.architecture.max_positions:
        return None
    held = layout.dp * real.sessions(layout.alone, context)
    return (real, held) if users > held else None


@lru_cache(maxsize=256)
def _real(on: Serving) -> Serving | None:
    """The serving of the checkpoint that a size class stands for; None where there is none, or it is not modelled."""
    model = MODELS.get(on.model.stands_for or "")
    real = replace(on, model=stored_for(model, on.engine.name)) if model else None
    return None if real is None or real.not_modelled else real
