"""Requests that arrive at random: queues, and the rate at which they pile up."""

from dataclasses import replace
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.efficiency import Kind, efficiency
from inferplan.core.open_load import Open, Queue, arrivals, in_flight
from inferplan.core.parallelism import Layout, fabric
from inferplan.core.performance import machine
from inferplan.core.serving_laws import Load, marginal_s, serve
from inferplan.core.work import work_of
from shapes import dense, h100, model, precision

FORM = precision(bits=16)
WORK = work_of(model(dense()), FORM, tp=4, kv_bits=16)
LAYOUT = Layout(tp=4)
FITTED = efficiency(Kind(generation="hopper", engine="vllm", arithmetic="native"))
ON = machine(h100(), FORM, fabric(h100(), LAYOUT, node_size=8, network=50e9), FITTED)
LOAD = Load(sequences=256, context=750, input_tokens=500, output_tokens=500)
assert ON is not None


def at(rate: float, layout: Layout = LAYOUT) -> Open | None:
    assert ON is not None
    return arrivals(WORK, ON, layout, LOAD, requests_per_s=rate)


def most() -> float:
    assert ON is not None
    return in_flight(WORK, ON, LAYOUT, LOAD, flight=LOAD.sequences).service.requests_per_s


def test_requests_in_flight_are_the_rate_times_the_time_that_each_takes() -> None:
    """Little's law: what is in flight at 2 requests/s decodes as a closed load of as many clients does."""
    found = at(2)
    assert found is not None
    assert ON is not None
    flight = 2 * (found.service.ttft_s + 500 * found.service.tpot_s)
    closed = serve(WORK, ON, LAYOUT, replace(LOAD, sequences=flight, others=flight))
    assert found.service.tpot_s == pytest.approx(closed.tpot_s, rel=1e-3)
    assert found.service.tokens_per_s == pytest.approx(1000)
    assert found.queue.busy == pytest.approx(2 * marginal_s(WORK, ON, LAYOUT, 500))


def test_more_than_a_replica_can_serve_are_not_kept_up_with() -> None:
    assert at(most()) is not None
    assert at(most() * 1.001) is None


def test_half_a_busy_queue_waits_for_half_a_prompt() -> None:
    """M/D/1, ρ = 1/2: 1/2 / (1 - 1/2) x 100 ms / 2; nine in ten wait no longer than ln 5 x 100 ms."""
    queue = Queue(busy=0.5, each_s=0.1)
    assert queue.mean_s == 0.05
    assert queue.wait_s(0.5) == 0
    assert queue.wait_s(0.9) == pytest.approx(0.1 * log(5))


def test_replicas_behind_one_balancer_wait_for_each_other_less() -> None:
    """Sakasegawa, seven replicas at ρ = 1/2: (1/2)^3 of the prompts wait, a seventh as long."""
    queue = Queue(busy=0.5, each_s=0.1, replicas=7)
    assert queue.waiting == 0.125
    assert queue.mean_s == pytest.approx(0.125 * 0.1 / 7)


@pytest.mark.parametrize(("busy", "replicas"), [(0.5, 1), (0.9, 1), (0.8, 4)])
def test_the_mean_wait_is_that_of_the_shares(busy: float, replicas: int) -> None:
    """The mean of an exponential wait of those that wait at all, summed over the shares."""
    queue = Queue(busy=busy, each_s=1, replicas=replicas)
    steps = 20_000
    shares = ((n + 0.5) / steps for n in range(steps))
    assert sum(map(queue.wait_s, shares)) / steps == pytest.approx(queue.mean_s, rel=0.02, abs=1e-9)


def test_the_mean_first_token_is_that_of_the_shares() -> None:
    """Summed over 20,000 shares, at four fifths of the most that the replica keeps up with."""
    found = at(0.8 * most())
    assert found is not None
    assert found.queue.mean_s > 0
    steps = 20_000
    mean = sum(found.ttft_s((n + 0.5) / steps) for n in range(steps)) / steps
    assert mean == pytest.approx(found.service.ttft_s, rel=1e-3)


def test_replicas_share_a_queue_and_stages_the_time_that_a_prompt_takes() -> None:
    """Each replica gets 2 requests/s: seven of them are busy as one is, and wait less; two stages half as much each."""
    alone, seven, staged = at(2), at(2, LAYOUT.times(7)), Layout(tp=4, pp=2)
    assert alone is not None
    assert seven is not None
    assert seven.queue.busy == pytest.approx(alone.queue.busy)
    assert seven.queue.mean_s == pytest.approx(
        Queue(busy=alone.queue.busy, each_s=0.0, replicas=7).waiting / alone.queue.waiting * alone.queue.mean_s / 7
    )
    on = machine(h100(), FORM, fabric(h100(), staged, node_size=8, network=50e9), FITTED)
    assert on is not None
    halved = arrivals(WORK, on, staged, LOAD, requests_per_s=2)
    assert halved is not None
    assert halved.queue.busy == pytest.approx(2 * marginal_s(WORK, on, staged, 500) / 2)


@given(rate=st.floats(0.01, 1), other=st.floats(0.01, 1))
def test_first_tokens_wait_longer_at_higher_percentiles_and_rates(rate: float, other: float) -> None:
    slow, quick = (at(share * most() * 0.999) for share in sorted((rate, other)))
    assert slow is not None
    assert quick is not None
    shares = (0.5, 0.9, 0.99)
    for one in (slow, quick):
        times = [one.ttft_s(share) for share in shares]
        assert times == sorted(times)
    for share in shares:
        assert slow.ttft_s(share) <= quick.ttft_s(share) * (1 + 1e-6)


def test_an_idle_replica_answers_as_for_a_lone_request() -> None:
    found = at(1e-8)
    assert found is not None
    assert ON is not None
    alone = serve(WORK, ON, LAYOUT, replace(LOAD, sequences=1))
    assert found.ttft_s(0.5) == pytest.approx(alone.ttft_s)
    assert exp(found.queue.busy) == pytest.approx(1, abs=1e-4)
