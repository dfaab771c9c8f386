"""Rows of a TOML file, each checked once against a closed model; errors name file, table and id."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from inferplan.catalog._shelf import Entry, Stock


class CatalogError(ValueError):
    """A row of the catalogue does not match its model."""


class Row(BaseModel):
    """What every row has: its sources, and the day it was last checked.

    In the file `source` lists keys of the `[sources]` table; here it is their text. Fields that most rows share stand
    once in `[defaults]`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    source: tuple[str, ...] = Field(min_length=1)
    checked: date

    @field_validator("source", mode="before")
    @classmethod
    def _spell_out(cls, keys: list[str], info: ValidationInfo[Mapping[str, str]]) -> list[str]:
        """The text of each key of `[sources]`. Raises a ValueError for unknown keys."""
        sources = info.context or {}
        unknown = [key for key in keys if key not in sources]
        if unknown:
            raise ValueError(f"not in the [sources] table: {', '.join(unknown)}")
        return [sources[key] for key in keys]


class NamedRow(Row):
    """A row that people ask for by name."""

    id: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()


class TitledRow(NamedRow):
    """A row that can stand on a shelf."""

    title: str


T = TypeVar("T")
RowT = TypeVar("RowT", bound=Row)
TitledRowT = TypeVar("TitledRowT", bound=TitledRow)


@cache
def document(file: str) -> Mapping[str, Any]:
    """A TOML file of this package, parsed once."""
    return tomllib.loads(Path(__file__).with_name(file).read_text(encoding="utf-8"))


def read_rows(file: str, table: str, row: type[RowT]) -> tuple[RowT, ...]:
    """The rows of `[[table]]` in a file of this package."""
    return parse_rows(document(file), table, row, file=file)


def parse_rows(tables: Mapping[str, Any], table: str, row: type[RowT], *, file: str = "(text)") -> tuple[RowT, ...]:
    """The rows of `[[table]]`, with defaults and sources filled in. Raises `CatalogError` for a row that is wrong."""
    defaults: Mapping[str, Any] = tables.get("defaults", {})
    shared = {key: value for key, value in defaults.items() if key in row.model_fields}
    sources: Mapping[str, str] = tables.get("sources", {})
    return tuple(
        _row(row, shared | raw, sources=sources, where=f"{file}: {table} {raw.get('id', number)}")
        for number, raw in enumerate(tables[table], start=1)
    )


def stock(
    rows: Iterable[TitledRowT],
    value: Callable[[TitledRowT], T],
    *,
    noise: Iterable[str] = (),
    describing: Iterable[str] = (),
) -> Stock[T]:
    """The rows as the stock of a shelf; `value` makes of each what the tools use."""
    entries = tuple(Entry(id=row.id, title=row.title, aliases=row.aliases, value=value(row)) for row in rows)
    return Stock(entries=entries, noise=frozenset(noise), describing=frozenset(describing))


def _row(row: type[RowT], raw: Mapping[str, Any], *, sources: Mapping[str, str], where: str) -> RowT:
    """One row. Raises a `CatalogError` that names the row and the field that is wrong."""
    try:
        return row.model_validate(raw, context=sources)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'row'}: {problem['msg']}" for problem in error.errors()
        )
        raise CatalogError(f"{where}: {problems}") from error
