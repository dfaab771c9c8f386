"""Names of models in scripts other than Latin: what the makers' own stand for, and how names are written here."""

import unicodedata
from functools import cache

from pydantic import Field

from inferplan.catalog._table import Row, read_rows

_FILE = "spoken_names.toml"


class SpokenRow(Row):
    """What models are called in another script (`said`, longer ones first), and the `name` that stands for it."""

    said: tuple[str, ...] = Field(min_length=1)
    name: str


@cache
def spoken_rows() -> tuple[SpokenRow, ...]:
    """Every row of names in other scripts."""
    return read_rows(_FILE, "spoken", SpokenRow)


def in_latin(said: str) -> str:
    """A name with the makers' own words in other scripts as they are in Latin; any other name as it is.

    >>> in_latin("千问3 8b"), in_latin("深度求索 r1"), in_latin("qwen3 8b")
    ('qwen 3 8b', 'deepseek r1', 'qwen3 8b')
    """
    if said.isascii():
        return said
    for row in spoken_rows():
        for word in row.said:
            if word in said:
                return " ".join(said.replace(word, f" {row.name} ").split())
    return said


def script_advice(said: str) -> str | None:
    """The advice for a name with letters that are not Latin; None for any other.

    >>> script_advice("文心一言")
    'models go by names in Latin letters here, as "qwen3 8b"'
    >>> script_advice("señor 8b")
    """
    foreign = (one for one in said if one.isalpha() and not unicodedata.name(one, "").startswith(_LATIN))
    return 'models go by names in Latin letters here, as "qwen3 8b"' if any(foreign) else None


_LATIN = ("LATIN", "FULLWIDTH LATIN", "MODIFIER LETTER", "FEMININE", "MASCULINE")
"""How Unicode's names of Latin letters begin."""
