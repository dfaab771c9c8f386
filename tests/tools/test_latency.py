"""The most sessions within a latency, against trying every number of them."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.bracket import last_within
from inferplan.core.parallelism import Layout
from inferplan.tools._assumptions import Ledger
from inferplan.tools.money.fleet import Request
from inferplan.tools.serving.latency import Latency
from inferplan.tools.serving.settings import serving

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
    latency = Latency(ttft_s=ttft, tpot_s=tpot)
    found = latency.most(held, lambda n: ON.service(layout, REQUEST.load(n)))
    late = [latency.excess(ON.service(layout, REQUEST.load(n))) > 1 for n in range(1, held + 1)]
    assert late == [False] * found + [True] * (held - found)


@given(steps=st.lists(st.floats(min_value=0, max_value=1), max_size=60))
def test_whatever_rises_is_followed_to_the_last_that_is_within(steps: list[float]) -> None:
    shares = [sum(steps[: n + 1]) for n in range(len(steps))]
    assert last_within(lambda n: shares[n - 1], len(shares)) == sum(share <= 1 for share in shares)


@pytest.mark.parametrize("held", [0, 7])
def test_without_a_latency_all_that_are_held_are_in_time(held: int) -> None:
    assert Latency().most(held, lambda _: None) == held


def test_what_cannot_be_estimated_is_never_in_time() -> None:
    assert Latency(tpot_s=10).most(8, lambda _: None) == 0
    assert Latency(ttft_s=1).excess(None) == inf
