"""Advice for the names of models that nobody can download: that it is so, and which open model to plan instead.

And for the names that an API had for whatever it served: which checkpoint that was.
"""

from datetime import date
from functools import cache

from pydantic import Field

from inferplan.catalog._shelf import LONGEST_NAME, key, words
from inferplan.catalog._table import Row, document, read_rows

_FILE = "closed_models.toml"


class ClosedRow(Row):
    """The closed models of a maker, by the words that their names begin with; `open` are models to plan instead."""

    maker: str
    owners: tuple[str, ...]
    names: tuple[str, ...] = Field(min_length=1)
    open: tuple[str, ...] = Field(min_length=1)


class RetiredRow(ClosedRow):
    """Names of a maker's API, the last checkpoint (`was`) that it served under them, and the day it ceased to."""

    was: str
    until: date


@cache
def closed_rows() -> tuple[ClosedRow, ...]:
    """Every row of closed models."""
    return read_rows(_FILE, "closed", ClosedRow)


@cache
def retired_rows() -> tuple[RetiredRow, ...]:
    """Every row of retired names of APIs."""
    return read_rows(_FILE, "retired", RetiredRow)


def retired_advice(said: str) -> str | None:
    """The advice for a name that was an API's alone; None for any other.

    >>> (retired_advice("deepseek-chat") or "").partition("; ")[0]
    '"deepseek-chat" was served by the API of DeepSeek until 2026-07-24, as "deepseek-ai/DeepSeek-V4-Flash" in the end'
    >>> retired_advice("deepseek-chat-v4")
    """
    spoken = words(said) if len(said) <= LONGEST_NAME else ()
    row = next((row for row in retired_rows() if _bare(row, spoken) in map(words, row.names)), None)
    if row is None:
        return None
    others = " or ".join(f'"{id_}"' for id_ in row.open)
    name, was = " ".join(said.split()), f'served by the API of {row.maker} until {row.until}, as "{row.was}" in the end'
    return f'"{name}" was {was}; no checkpoint is called so: ask for that one, or for the one you mean, as {others}'


def _bare(row: ClosedRow, spoken: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a name without the owner in front of it: of "deepseek/deepseek-chat" those of the latter."""
    return spoken[1:] if spoken[:1] in [(owner,) for owner in row.owners] and spoken[1:2] == spoken[:1] else spoken


def closed_advice(said: str) -> str | None:
    """What to say to the name of a closed model; None where it is none.

    >>> closed_advice("gpt-4o")
    '"gpt-4o" cannot be self-hosted: OpenAI does not publish its weights; plan an open model in its place, as \
"openai/gpt-oss-120b" or "openai/gpt-oss-20b", a size class such as "70B", or the text of a config.json'
    >>> closed_advice("gpt4all"), closed_advice("someone/gpt-4o")
    (None, None)
    """
    row = next((row for row in closed_rows() if _is_of(row, said)), None) if len(said) <= LONGEST_NAME else None
    if row is None:
        return None
    name, instead = " ".join(said.split()), " or ".join(f'"{id_}"' for id_ in row.open)
    return (
        f'"{name}" cannot be self-hosted: {row.maker} does not publish its weights; plan an open model in its place, '
        f'as {instead}, a size class such as "70B", or the text of a config.json'
    )


def _is_of(row: ClosedRow, said: str) -> bool:
    """Whether a name, its owner apart, is one of this maker's, followed by versions and kinds alone."""
    spoken = key(words(said)).split()
    if spoken and spoken[0] in row.owners:
        spoken = spoken[1:]
    return any(_begins(spoken, key(words(name)).split()) for name in row.names)


def _begins(spoken: list[str], name: list[str]) -> bool:
    """Whether words begin with a name, and only versions and kinds follow."""
    rest = spoken[len(name) :]
    return spoken[: len(name)] == name and all(word.isdigit() or word in _kinds() for word in rest)


@cache
def _kinds() -> frozenset[str]:
    """Words that may follow the name of a closed model."""
    return frozenset(document(_FILE)["kinds"])
