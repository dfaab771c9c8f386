"""The terms of LLM serving, explained in a few sentences each."""

from inferplan.catalog._shelf import Shelf, Stock
from inferplan.catalog._table import TitledRow, read_rows, stock


class Term(TitledRow):
    """A term: its meaning, and the ids of related terms."""

    meaning: str
    see_also: tuple[str, ...] = ()


def _stock() -> Stock[Term]:
    return stock(read_rows("glossary.toml", "term", Term), lambda row: row)


GLOSSARY: Shelf[Term] = Shelf(kind="term", load=_stock)
