"""What the terms of LLM serving mean, in a few sentences each."""

from dataclasses import dataclass
from functools import cache

from inferplan.catalog._shelf import Entry, Shelf, Stock
from inferplan.catalog._table import NamedRow, read_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One term: what it means, and the ids of terms that explain it further."""

    id: str
    title: str
    aliases: tuple[str, ...]
    meaning: str
    see_also: tuple[str, ...]
    source: tuple[str, ...]


class TermRow(NamedRow):
    """One term as its file states it."""

    title: str
    meaning: str
    see_also: tuple[str, ...] = ()

    def term(self) -> Term:
        """The row as the tools take it."""
        return Term(
            id=self.id,
            title=self.title,
            aliases=self.aliases,
            meaning=self.meaning,
            see_also=self.see_also,
            source=self.source,
        )


@cache
def term_rows() -> dict[str, TermRow]:
    """Every row by id: what `Term` leaves out is here (date)."""
    return {row.id: row for row in read_rows("glossary.toml", "term", TermRow)}


def _stock() -> Stock[Term]:
    rows = term_rows().values()
    entries = tuple(Entry(id=row.id, title=row.title, aliases=row.aliases, value=row.term()) for row in rows)
    return Stock(entries=entries)


GLOSSARY: Shelf[Term] = Shelf(kind="term", load=_stock)
