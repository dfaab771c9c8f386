"""The context that is assumed where a question gives none, and what it costs in GPUs."""

from collections.abc import Iterator
from typing import NamedTuple

from inferplan.tools import _words as words
from inferplan.tools._assumptions import Ledger
from inferplan.tools.serving.serving import Serving

NOT_GIVEN = "tokens, assumed"
"""The reason given for a context that nobody asked for."""


def note_context(ledger: Ledger, on: Serving, context: int, short: "Short | None") -> None:
    """List that the context is assumed, and the fewer GPUs on which sessions of a turn alone would do. [tokens]"""
    ledger.note("context_window", context, why=f"{NOT_GIVEN}; {_fit(on, short)}" if short else NOT_GIVEN)


def context_sentence(on: Serving, context: int, short: "Short | None", *, gpus: int | None) -> Iterator[str]:
    """That the context is assumed, where sessions of a turn alone would do on fewer GPUs, unless `gpus` do."""
    if short and (gpus is None or short.whole is None or short.whole > gpus):
        yield f"The context of {context:,} tokens is assumed: {_fit(on, short)}."


class Short(NamedTuple):
    """Sessions of a `turn` alone: the `gpus` that they take, and those of the `whole` context, None where none hold it.

    With `arrivals`, GPUs on which requests do not pile up.
    """

    turn: int
    gpus: int
    whole: int | None
    arrivals: bool = False


def shorter(on: Serving, *, users: int, context: int, turn: int) -> Short | None:
    """What holds all users at a turn; None where that is no fewer GPUs than at the context, or not known."""
    if on.not_modelled:
        return None
    whole, short = (on.for_users(users, tokens) for tokens in (context, turn))
    return saving(turn, short and short.layout.gpus, whole and whole.layout.gpus)


def saving(turn: int, gpus: int | None, whole: int | None, *, arrivals: bool = False) -> Short | None:
    """Sessions of a turn where they take fewer GPUs than whole ones, else None."""
    return Short(turn, gpus, whole, arrivals) if gpus and (whole is None or gpus < whole) else None


def _fit(on: Serving, short: Short) -> str:
    """`sessions of 1,000 tokens, one turn, would fit on 4 GPUs`; `be served in time on` where a pace is asked for."""
    fit = "be served in time" if on.pace else "keep up" if short.arrivals else "fit"
    return f"sessions of {short.turn:,} tokens, one turn, would {fit} on {words.count(short.gpus, 'GPU')}"
