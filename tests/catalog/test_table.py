"""A row is closed, and what is wrong with it is said by file, table, id and field."""

import tomllib
from datetime import date

import pytest

from inferplan.catalog._table import CatalogError, NamedRow, parse_rows


class Rock(NamedRow):
    weight: float


GOOD = """
[defaults]
checked = 2026-11-23
weight = 1
[sources]
quarry = "The quarry"
[[rock]]
id = "granite"
source = ["quarry"]
[[rock]]
id = "slate"
weight = 2
source = ["quarry"]
checked = 2026-01-02
"""


def test_defaults_fill_in_and_sources_are_spelled_out() -> None:
    granite, slate = parse_rows(tomllib.loads(GOOD), "rock", Rock)
    assert (granite.weight, granite.checked, granite.source) == (1, date(2026, 11, 23), ("The quarry",))
    assert (slate.weight, slate.checked) == (2, date(2026, 1, 2))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "slate"', 'id = "slate"\ncolour = "blue"', r"rocks\.toml: rock slate: colour: Extra inputs"),
        ("weight = 2", 'weight = "heavy"', r"rock slate: weight: Input should be a valid number"),
        ('id = "granite"\nsource = ["quarry"]', 'id = "granite"', r"rock granite: source: Field required"),
        ('id = "slate"\nweight = 2\nsource = ["quarry"]', 'id = "slate"\nsource = []', r"slate: source: .* 1 item"),
        (
            'id = "slate"\nweight = 2\nsource = ["quarry"]',
            'id = "slate"\nsource = ["hearsay"]',
            r"slate: source: .*not in the \[sources\] table: hearsay",
        ),
        ('id = "slate"', "", r"rock 2: id: Field required"),
        ("checked = 2026-01-02", "checked = true", r"rock slate: checked: "),
    ],
)
def test_a_bad_row_is_named_with_its_field(old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(CatalogError, match=says):
        parse_rows(tomllib.loads(GOOD.replace(old, new)), "rock", Rock, file="rocks.toml")
