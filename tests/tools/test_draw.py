"""Bars, tables and grids in ASCII."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.tools import _draw as draw

SIZES = st.floats(1e-6, 1e12)


def test_columns_are_aligned_words_to_the_left_and_numbers_to_the_right() -> None:
    lines = draw.table([["a", "1"], ["bcd", "1,000"]], header=["x", "n"]).splitlines()
    assert lines == ["x        n", "a        1", "bcd  1,000"]


def test_an_empty_table_is_no_text() -> None:
    assert draw.table([]) == ""


@given(value=SIZES, full=SIZES, width=st.integers(1, 100))
def test_a_bar_is_as_long_as_its_share_and_never_longer_than_its_field(value: float, full: float, width: int) -> None:
    bar = draw.bar(value, full, width)
    assert len(bar) == width
    assert bar.count("#") == max(1, min(width, round(value / full * width)))


@given(parts=st.lists(st.floats(0, 1e6), min_size=1, max_size=6).filter(lambda parts: sum(parts) > 0))
def test_stacked_bars_leave_no_gap(parts: list[float]) -> None:
    full, width, start, end = sum(parts), 60, 0.0, 0
    for part in parts:
        bar = draw.bar(part, full, width, start=start)
        if "#" in bar:
            assert bar.index("#") <= end
            end = bar.rindex("#") + 1
        start += part
    assert end == width


@given(value=SIZES)
def test_an_axis_ends_at_a_round_number_less_than_twice_the_value(value: float) -> None:
    end = draw.nice_ceiling(value)
    assert value * (1 - 1e-9) <= end <= 2 * value * (1 + 1e-9)


@given(lines=st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=60), max_size=5))
def test_a_box_is_a_column_wide_whatever_it_holds(lines: list[str]) -> None:
    drawn = draw.box("node 1", lines)
    assert {len(line) for line in drawn} == {draw.COLUMN}
    assert len(drawn) == len(lines) + 2


def test_blocks_of_unequal_height_stand_side_by_side_with_level_tops() -> None:
    assert draw.beside(["aa", "a"], ["b"]) == ["aa   b", "a"]
    assert draw.beside(["a"], ["b", "bb"]) == ["a   b", "    bb"]


@given(items=st.lists(st.text("ab[] ", min_size=1, max_size=12), max_size=30), width=st.integers(12, 40))
def test_items_flow_into_lines_without_loss(items: list[str], width: int) -> None:
    lines = draw.wrap_items(items, width)
    assert all(len(line) <= width for line in lines)
    assert "".join(lines) == "".join(items)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1490.0, "1,490"), (389.2, "389.2"), (50.77, "50.77"), (0.25, "0.25"), (0.000131072, "0.0001311"), (0.0, "0.00")],
)
def test_numbers_of_any_size_keep_four_digits(value: float, text: str) -> None:
    assert draw.numbers({"x": value}, descriptions={}).split()[-1] == text


@given(value=st.floats(1e-12, 1e15))
def test_a_number_in_the_text_is_within_a_two_hundredth_of_its_value(value: float) -> None:
    shown = draw.numbers({"x": value}, descriptions={}).split()[-1]
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=5.1e-3)


def test_single_numbers_come_line_by_line_and_lists_of_objects_as_tables() -> None:
    rows = [{"a": 1, "b": {"c": 2}}, {"a": 30, "b": {"c": 4}}]
    text = draw.numbers({"fits": True, "none": None, "rows": rows}, descriptions={})
    assert [line.split() for line in text.splitlines()] == [
        ["fits", "yes"],
        [],
        ["rows"],
        ["a", "b.c"],
        ["1", "2"],
        ["30", "4"],
    ]


def test_the_first_list_of_a_field_has_above_it_what_is_said_of_the_field() -> None:
    section = {"rows": [1, 2], "of": {"each": [3], "one": 4, "all": [5]}}
    text = draw.numbers(section, descriptions={"rows": "Two.", "of": "More."})
    assert text == "of.one  4\n\nrows: Two.\n1, 2\n\nof.each: More.\n3\n\nof.all\n5"
