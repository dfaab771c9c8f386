"""Small all-reduces of NCCL by the number of GPUs, against published latencies; nothing is fitted on those of 16."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.rings import KERNELS_S, RINGS, SWITCH_S, beyond_kernels_s, nccl_all_reduce_s, ring_of

MICRO = 1e-6


@pytest.mark.parametrize(
    ("architecture", "among_2", "among_4", "among_8"),
    [
        ("Ampere", 11.0, 14.7, 21.3),
        ("Hopper", 6.8, 10.0, 16.0),
        ("Blackwell", 10.5, 15.7, 26.0),
        ("Blackwell Ultra", 10.0, 15.0, 25.8),
    ],
)
def test_a_ring_takes_so_much_once_and_so_much_a_step(
    architecture: str, among_2: float, among_4: float, among_8: float
) -> None:
    """8 KiB among 2, 4 and 8 of A100, H100, B200 and B300 by nccl-tests [us]: aiconfigurator@095f58a."""
    ring = ring_of(architecture)
    for ranks, measured in ((2, among_2), (4, among_4), (8, among_8)):
        assert ring.all_reduce_s(ranks) == pytest.approx(measured * MICRO, rel=0.02)


@pytest.mark.parametrize(("architecture", "measured"), [("Blackwell Ultra", 46), ("Blackwell", 48), ("Blackwell", 50)])
def test_among_16_gpus_of_a_rack_a_ring_takes_what_was_published(architecture: str, measured: float) -> None:
    """vLLM 0.27 on four trays of GB300, and SGLang on four of GB200: aiconfigurator, pull requests 1554 and 1593."""
    assert nccl_all_reduce_s(ring_of(architecture), 16) == pytest.approx(measured * MICRO, rel=0.08)


def test_the_switch_takes_25_us_and_the_bytes_over_nccls_share_of_the_link() -> None:
    """8 MiB among 16 GB300 in 37.34 us (vLLM, pull request 53318); NCCL expects 0.74 of 900 GB/s on Blackwell."""
    expected = SWITCH_S + 8 * 2**20 / (0.74 * 900e9)
    assert expected == pytest.approx(37.34 * MICRO, rel=0.02)


def test_nccl_leaves_the_ring_where_it_expects_the_switch_to_be_quicker() -> None:
    """By its own constants 6.6 + 30 x 0.6 = 24.6 us among 16, 43.8 us among 32, and 25 us in the switch."""
    times = [nccl_all_reduce_s(RINGS["Blackwell"], ranks) for ranks in (8, 16, 32, 64)]
    assert times == [pytest.approx(us * MICRO) for us in (26.1, 46.9, 25, 25)]


@given(architecture=st.sampled_from([*RINGS, "Rubin", "Ada"]), kernels=st.sampled_from([8, 16, 64]))
def test_nothing_is_added_where_the_engine_adds_up_itself_and_nccls_time_beyond(
    architecture: str, kernels: int
) -> None:
    ring, ranks = ring_of(architecture), (2, 4, 8, 16, 32, 64)
    added = [beyond_kernels_s(ring, n, kernels=kernels) for n in ranks]
    for n, more in zip(ranks, added, strict=True):
        assert more == (0 if n <= kernels else max(0, nccl_all_reduce_s(ring, n) - KERNELS_S))


@given(architecture=st.sampled_from(["Volta", *RINGS]))
def test_longer_rings_take_longer_and_half_the_steps_gather(architecture: str) -> None:
    ring = ring_of(architecture)
    times = [ring.all_reduce_s(n) for n in range(1, 65)]
    assert all(before < after for before, after in pairwise(times))
    assert 2 * ring.gather_s(8) - ring.start_s == pytest.approx(ring.all_reduce_s(8))
