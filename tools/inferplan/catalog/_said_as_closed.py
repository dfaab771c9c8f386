"""A model whose weights nobody can download in place of one to serve: that it is so, and what to plan instead."""

from functools import cache

from pydantic import Field

from inferplan.catalog._shelf import LONGEST_NAME, key, words
from inferplan.catalog._table import Row, document, read_rows

_FILE = "closed_models.toml"


class ClosedRow(Row):
    """The closed models of a maker, by the words that their names begin with."""

    maker: str
    owners: tuple[str, ...]
    names: tuple[str, ...] = Field(min_length=1)
    open: tuple[str, ...] = Field(min_length=1)


@cache
def closed_rows() -> tuple[ClosedRow, ...]:
    """Every row of the file."""
    return read_rows(_FILE, "closed", ClosedRow)


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
    """Whether a name begins as those of this maker do, its owner apart, and goes on with versions and kinds alone."""
    spoken = key(words(said)).split()
    if spoken and spoken[0] in row.owners:
        spoken = spoken[1:]
    return any(_begins(spoken, key(words(name)).split()) for name in row.names)


def _begins(spoken: list[str], name: list[str]) -> bool:
    """Whether the words begin with a name, and nothing that is no version and no kind stands behind it."""
    rest = spoken[len(name) :]
    return spoken[: len(name)] == name and all(word.isdigit() or word in _kinds() for word in rest)


@cache
def _kinds() -> frozenset[str]:
    """Words behind the name of a closed model."""
    return frozenset(document(_FILE)["kinds"])
