"""The most sessions within a latency, against trying every number of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.parallelism import Layout
from inferplan.tools._assumptions import Ledger
from inferplan.tools._fleet import Request
from inferplan.tools._in_time import excess, most_in_time
from inferplan.tools._serving import serving

ON = serving(Ledger({}), model="meta-llama/Llama-3.3-70B-Instruct", precision="fp8", gpu="h100-sxm")
REQUEST = Request(input_tokens=1000, output_tokens=500)


@given(
    held=st.integers(min_value=1, max_value=80),
    ttft=st.one_of(st.none(), st.floats(min_value=0.02, max_value=5)),
    tpot=st.one_of(st.none(), st.floats(min_value=0.005, max_value=0.05)),
    layout=st.sampled_from([Layout(tp=2), Layout(tp=8), Layout(tp=4, pp=2)]),
)
def test_it_is_the_last_number_of_sessions_that_is_in_time(
    held: int, ttft: float | None, tpot: float | None, layout: Layout
) -> None:
    found = most_in_time(ON, layout, REQUEST.load, held, ttft_s=ttft, tpot_s=tpot)
    late = [excess(ON.service(layout, REQUEST.load(n)), ttft_s=ttft, tpot_s=tpot) > 1 for n in range(1, held + 1)]
    assert late == [False] * found + [True] * (held - found)


@pytest.mark.parametrize("held", [0, 7])
def test_without_a_latency_all_that_are_held_are_in_time(held: int) -> None:
    assert most_in_time(ON, Layout(tp=2), REQUEST.load, held) == held


def test_what_cannot_be_estimated_is_never_in_time() -> None:
    unknown = serving(Ledger({}), model="7B", precision="fp8", gpu="mi455x")
    if unknown.service(Layout(), REQUEST.load(1)) is None:
        assert most_in_time(unknown, Layout(), REQUEST.load, 8, tpot_s=10) == 0
    assert excess(None, ttft_s=1, tpot_s=None) == float("inf")
