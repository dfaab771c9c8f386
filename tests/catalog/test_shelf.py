"""Names are found the way people speak, and never guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog._shelf import LONGEST_NAME, Entry, Shelf, Stock, UnknownName, key, words
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.glossary import GLOSSARY
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.catalog.presets import PRESETS
from inferplan.catalog.prices import FACILITY

SHELVES = (MODELS, GPUS, FORMATS, KV_FORMATS, PRESETS, GLOSSARY, FACILITY)


def fruit() -> Shelf[int]:
    def load() -> Stock[int]:
        return Stock(
            entries=(
                Entry(id="red-apple", title="Red apple", aliases=("apple",), value=1),
                Entry(id="green-apple", title="Green apple", aliases=("granny smith",), value=2),
                Entry(id="acme/pear-v2.0", title="Pear 2.0", aliases=(), value=3),
            ),
            noise=frozenset({"fruit"}),
        )

    return Shelf(kind="fruit", load=load, hint=', or "apple"')


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("red-apple", 1),
        ("RED_APPLE", 1),
        ("  red   apple ", 1),
        ("apple", 1),
        ("apple fruit", 1),
        ("Granny-Smith", 2),
        ("apple, green", 2),
        ("pear v2.0", 3),
        ("pear2.0", 3),
        ("pear v2 0", 3),
        ("other/pear-v2.0", 3),
    ],
)
def test_case_spaces_dashes_and_word_order_do_not_matter(said: str, value: int) -> None:
    assert fruit().find(said) == value


def test_a_name_that_fits_two_rows_is_answered_with_both() -> None:
    shelf = Shelf(
        kind="fruit",
        load=lambda: Stock(
            entries=tuple(
                Entry(id=id_, title=id_, aliases=(), value=id_) for id_ in ("red apple", "green apple", "pear")
            )
        ),
    )
    with pytest.raises(UnknownName) as caught:
        shelf.find("apple")
    assert caught.value.nearest == ("red apple", "green apple")
    assert str(caught.value) == 'fruit "apple" could be any of 2; nearest: "red apple", "green apple"'


def test_an_unknown_name_is_answered_with_the_nearest_in_one_sentence() -> None:
    with pytest.raises(UnknownName) as caught:
        fruit().find("red  aple")
    error = caught.value
    assert (error.kind, error.name, error.nearest[0]) == ("fruit", "red aple", "red-apple")
    assert str(error).startswith('no fruit "red aple"; nearest: "red-apple"')
    assert str(error).endswith(', or "apple"')


def test_a_name_that_nothing_resembles_is_answered_with_what_is_known() -> None:
    with pytest.raises(UnknownName, match=r'no fruit "zzzz"; known are: "red-apple", "green-apple"'):
        fruit().find("zzzz")


@pytest.mark.parametrize("empty", ["", "   ", "-", "fruit", "?"])
def test_a_name_without_words_names_nothing(empty: str) -> None:
    with pytest.raises(UnknownName):
        fruit().find(empty)


def test_a_name_of_more_than_200_characters_is_refused_before_it_is_compared() -> None:
    def never() -> Stock[int]:
        raise AssertionError("loaded")

    shelf = Shelf(kind="fruit", load=never)
    with pytest.raises(UnknownName, match="at most 200 characters, not 1,000,000"):
        shelf.find("a" * 1_000_000)
    assert shelf.nearest("a" * (LONGEST_NAME + 1)) == []


def test_completion_offers_what_begins_as_typed_before_what_only_holds_it() -> None:
    assert fruit().complete("green") == ["green-apple"]
    assert fruit().complete("apple") == ["red-apple", "green-apple"]
    assert fruit().complete("") == ["red-apple", "green-apple", "acme/pear-v2.0"]
    assert fruit().complete("", limit=2) == ["red-apple", "green-apple"]
    assert fruit().complete("plum") == []


def test_indexing_takes_an_id_and_nothing_else() -> None:
    shelf = fruit()
    assert shelf["red-apple"] == 1
    assert "apple" not in shelf
    assert shelf.get("apple") is None


def test_two_rows_of_one_id_are_refused() -> None:
    twin = Entry(id="plum", title="Plum", aliases=(), value=1)
    with pytest.raises(ValueError, match="two rows of one id among the fruit rows"):
        len(Shelf(kind="fruit", load=lambda: Stock(entries=(twin, twin))))


def test_nothing_is_loaded_until_it_is_looked_at() -> None:
    loads: list[int] = []

    def load() -> Stock[int]:
        loads.append(1)
        return Stock(entries=(Entry(id="plum", title="Plum", aliases=(), value=1),))

    shelf = Shelf(kind="fruit", load=load)
    assert loads == []
    assert (len(shelf), shelf.find("plum"), list(shelf)) == (1, 1, ["plum"])
    assert loads == [1]


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.kind)
def test_every_name_of_every_row_leads_back_to_its_row(shelf: Shelf[object]) -> None:
    names = {name: entry.id for entry in shelf._stock.entries for name in entry.names}
    assert {name: shelf.id_of(name) for name in names} == names


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.kind)
def test_no_two_rows_share_a_name(shelf: Shelf[object]) -> None:
    assert {k: ids for k, ids in shelf._index.items() if len(set(ids)) > 1} == {}


def answer(shelf: Shelf[object], said: str) -> str | UnknownName:
    try:
        return shelf.id_of(said)
    except UnknownName as error:
        return error


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.kind)
@given(said=st.text(max_size=LONGEST_NAME + 20))
def test_any_text_is_found_or_refused_in_one_line(shelf: Shelf[object], said: str) -> None:
    found = answer(shelf, said)
    if isinstance(found, UnknownName):
        assert set(found.nearest) <= set(shelf)
        assert len(str(found).splitlines()) == 1
    else:
        assert found in shelf


@given(said=st.text(max_size=60))
def test_the_key_of_a_name_is_its_own_key(said: str) -> None:
    assert key(words(key(words(said)))) == key(words(said))
