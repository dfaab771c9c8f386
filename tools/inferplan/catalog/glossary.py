"""What the terms of LLM serving mean, in a few sentences each."""

from inferplan.catalog._shelf import Shelf, Stock
from inferplan.catalog._table import TitledRow, read_rows, stock


class Term(TitledRow):
    """One term: what it means, and the ids of terms that explain it further."""

    meaning: str
    see_also: tuple[str, ...] = ()


def _stock() -> Stock[Term]:
    return stock(read_rows("glossary.toml", "term", Term), lambda row: row)


GLOSSARY: Shelf[Term] = Shelf(kind="term", load=_stock)
