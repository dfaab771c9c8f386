"""Quantities in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.units import GB, GIB
from inferplan.tools import _words as words


@pytest.mark.parametrize(
    ("value", "text"),
    [(389.2 * GB, "389 GB"), (1490 * GB, "1,490 GB"), (72.69 * GB, "72.7 GB"), (8 * GB, "8 GB"), (0, "0 GB")],
)
def test_gigabytes_are_whole_from_100_on_and_have_one_decimal_below(value: float, text: str) -> None:
    assert words.gb(value) == text


def test_gibibytes_are_binary() -> None:
    assert words.gib(80 * GIB) == "80 GiB"
    assert words.gib(80 * GB) == "74.5 GiB"


@pytest.mark.parametrize(("number", "text"), [(0, "0 users"), (1, "1 user"), (2, "2 users"), (1200, "1,200 users")])
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert words.count(number, "user") == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(494_032_768, "494M"), (70_553_706_496, "70.6B"), (7e9, "7B"), (745e9, "745B"), (1.04e12, "1T"), (2e12, "2T")],
)
def test_parameters_are_written_as_in_the_names_of_models(number: float, text: str) -> None:
    assert words.params(number) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "$0.00"), (0.0021, "$0.0021"), (3.894, "$3.89"), (100, "$100"), (22743.4, "$22,743")]
)
def test_money_shows_cents_below_100_dollars(value: float, text: str) -> None:
    assert words.usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0031, "3.1 ms"), (0.0243, "24 ms"), (0.9, "900 ms"), (1.25, "1.2 s"), (95, "95 s"), (4000, "4,000 s")],
)
def test_durations_are_milliseconds_below_a_second(value: float, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("degrees", "text"),
    [
        ((1, 1, 1), "one GPU"),
        ((1, 1, 4), "data 4"),
        ((8, 1, 1), "tensor 8"),
        ((8, 2, 3), "tensor 8 x pipeline 2 x data 3"),
        ((1, 1, 100_000), "data 100,000"),
    ],
)
def test_a_layout_names_the_degrees_above_one(degrees: tuple[int, int, int], text: str) -> None:
    assert words.layout(*degrees) == text


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_are_joined_as_in_a_sentence(items: list[str], text: str) -> None:
    assert words.join(items) == text


@given(value=st.floats(1e-6, 1e15))
def test_what_is_written_is_within_five_percent_of_what_is_meant(value: float) -> None:
    assert float(words.significant(value).replace(",", "")) == pytest.approx(value, rel=0.055)


@given(value=st.floats(-1e15, 1e15))
def test_no_figure_is_written_in_powers_of_ten(value: float) -> None:
    assert "e" not in words.significant(value)
