"""The context that is assumed where a question gives none, and what it costs in GPUs."""

from collections.abc import Iterator

from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools.serving.serving import Deployment, Serving

NOT_GIVEN = "tokens, assumed"
"""The reason given for a context that nobody asked for."""


def note_context(ledger: Ledger, on: Serving, *, users: int, context: int, turn: int) -> None:
    """List that the context is assumed, and the fewer GPUs on which sessions of a `turn` alone would fit. [tokens]"""
    _, short = _held(on, users=users, context=context, turn=turn)
    ledger.note("context_window", context, why=f"{NOT_GIVEN}; {_fit(on, short, turn)}" if short else NOT_GIVEN)


def context_sentence(on: Serving, *, users: int, context: int, turn: int, gpus: int | None) -> Iterator[str]:
    """That the context is assumed, where sessions of a `turn` alone would fit on fewer GPUs, unless `gpus` do."""
    whole, short = _held(on, users=users, context=context, turn=turn)
    if short and (gpus is None or whole is None or whole.layout.gpus > gpus):
        yield f"The context of {context:,} tokens is assumed: {_fit(on, short, turn)}."


def _held(on: Serving, *, users: int, context: int, turn: int) -> tuple[Deployment | None, Deployment | None]:
    """What holds all users at the context; and at a turn, where that is fewer GPUs. Each None where not known."""
    if on.not_modelled:
        return None, None
    whole, short = (on.for_users(users, tokens) for tokens in (context, turn))
    return whole, short if short and (whole is None or short.layout.gpus < whole.layout.gpus) else None


def _fit(on: Serving, short: Deployment, turn: int) -> str:
    """`sessions of 1,000 tokens, one turn, would fit on 4 GPUs`; `be served in time on` where a pace is asked for."""
    fit = "be served in time" if on.pace else "fit"
    return f"sessions of {turn:,} tokens, one turn, would {fit} on {words.count(short.layout.gpus, 'GPU')}"
