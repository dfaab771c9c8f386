"""The checkpoint that a size class stands for, where it weighs more and does not go where the class does."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from inferplan.catalog.models import MODELS
from inferplan.core.engine_memory import stored_for
from inferplan.core.parallelism import Layout
from inferplan.tools import _words as words
from inferplan.tools.serving.serving import Serving


def falls_short(on: Serving, layout: Layout, *, users: int, context: int) -> Serving | None:
    """The checkpoint on the same GPUs, where this layout of it does not hold the users that the size class has there.

    None for a checkpoint itself, where it holds them, and where the context goes beyond what it was trained for: there
    it stands for nothing. 70 billion weights of a byte leave one H100 room for a session, the 72.7 GB of a real FP8
    checkpoint, whose embeddings and head stay in 16 bit, do not.
    """
    found = _short(on, layout, users, context)
    return found and found[0]


def warning(on: Serving, layout: Layout, *, users: int, context: int) -> Iterator[str]:
    """That the checkpoint does not go on a layout of its size class, in a sentence."""
    found = _short(on, layout, users, context)
    if found is None:
        return
    real, held = found
    what = f"holds only {words.count(held, 'user')}" if held else "does not start"
    yield f"The real {real.model.title} {what} on this layout: ask for it by name."


def _short(on: Serving, layout: Layout, users: int, context: int) -> tuple[Serving, int] | None:
    """The checkpoint that does not hold the users of its size class, and those that it holds on all replicas."""
    real = _real(on)
    if real is None or context > real.model.architecture.max_positions:
        return None
    held = layout.dp * real.sessions(layout.alone, context)
    return (real, held) if users > held else None


@lru_cache(maxsize=256)
def _real(on: Serving) -> Serving | None:
    """The checkpoint that a size class stands for, where its cache is modelled."""
    model = MODELS.get(on.model.stands_for or "")
    real = replace(on, model=stored_for(model, on.engine.name)) if model else None
    return None if real is None or real.not_modelled else real
