"""Where what rises or falls crosses a bound: against what can be worked out, and in few tries."""

from collections.abc import Callable
from math import exp, log2, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.bracket import crossing

CLOSE = 1e-13


def counted(left: Callable[[float], float], low: float, high: float) -> tuple[float, int]:
    """What is found, and in how many tries."""
    tried: list[float] = []

    def noted(x: float) -> float:
        tried.append(x)
        return left(x)

    return crossing(noted, low, high), len(tried)


@given(
    root=st.floats(1e-9, 1e9),
    beyond=st.floats(1.001, 1e6),
    left=st.sampled_from(
        [
            lambda x: 1 - x,
            lambda x: 1 - x * x,
            lambda x: 1 - sqrt(x),
            lambda x: 1 - x**9,
            lambda x: exp(-x) - exp(-1),
            lambda x: 1 / x - 1 if x else 1e300,
            lambda x: 2 - x if x <= 1 else 3 - 3 * x,
            lambda x: 1.0 if x < 1 else -1e9,
        ]
    ),
)
def test_a_falling_quantity_is_met_where_it_is_nought(
    root: float, beyond: float, left: Callable[[float], float]
) -> None:
    """Straight, bent, steep, flat, with a pole, a corner, a fall: in at most twice as many tries as halving takes."""
    found, tries = counted(lambda x: left(x / root), 0, root * beyond)
    assert found == pytest.approx(root, rel=CLOSE)
    assert left(found / root) > -1e-12
    assert tries <= 120 + 2 * log2(beyond)


def test_what_is_nearly_straight_is_met_in_seven_tries() -> None:
    """Halving 256 down to 1e-14 of itself takes 47; what the planner asks is nearly a line."""
    found, tries = counted(lambda x: 10 + 0.8 * x + 0.01 * sqrt(x) - x, 0, 256)
    assert found == pytest.approx(10 + 0.8 * found + 0.01 * sqrt(found))
    assert tries <= 7


def test_where_nothing_is_left_or_something_always_is_an_end_is_found() -> None:
    assert crossing(lambda x: -1 - x, 3, 7) == 3
    assert crossing(lambda x: 0 * x, 3, 7) == 3
    assert crossing(lambda x: 8 - x, 3, 7) == 7
    assert crossing(lambda x: 7 - x, 3, 7) == pytest.approx(7, rel=CLOSE)
