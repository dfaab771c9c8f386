"""Requests that arrive at random: queues, and the rate at which they pile up."""

from dataclasses import replace
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.fabric import fabric_of
from inferplan.core.open_load import Open, Queue, arrivals, in_flight
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import marginal_s, serve
from inferplan.core.speed.efficiency import Kind, efficiency
from inferplan.core.speed.load import Load
from inferplan.core.speed.machine import Machine, machine_of
from inferplan.core.speed.work import work_of
from shapes import dense, h100, model, precision

FORM = precision(bits=16)
WORK = work_of(model(dense()), FORM, tp=4, kv_bits=16)
LAYOUT = Layout(tp=4)
FITTED = efficiency(Kind(generation="hopper", engine="vllm", arithmetic="native"))
LOAD = Load(sequences=256, context=750, input_tokens=500, output_tokens=500)


def on(layout: Layout) -> Machine:
    found = machine_of(h100(), FORM, fabric_of(h100(), layout, node_size=8, network=50e9), FITTED)
    assert found is not None
    return found


def at(rate: float, layout: Layout = LAYOUT, load: Load = LOAD) -> Open | None:
    return arrivals(WORK, on(layout), layout, load, requests_per_s=rate)


def held(flight: float, layout: Layout = LAYOUT, load: Load = LOAD) -> Open:
    return in_flight(WORK, on(layout), layout, load, flight=flight)


def most(layout: Layout = LAYOUT, load: Load = LOAD) -> float:
    return held(load.sequences, layout, load).service.requests_per_s


def flight_of(found: Open, load: Load = LOAD) -> float:
    """Little's law: how many are in flight, each for its first token and the time of all. [requests]"""
    service = found.service
    return service.requests_per_s * (service.ttft_s + load.output_tokens * service.tpot_s)


LAYOUTS = [LAYOUT, LAYOUT.times(3), Layout(tp=4, pp=2)]
ANSWERS = [(500, 500), (2000, 1), (1, 1), (8000, 20)]


def test_requests_in_flight_are_the_rate_times_the_time_that_each_takes() -> None:
    """Little's law: what is in flight at 2 requests/s decodes as a closed load of as many clients does."""
    found = at(2)
    assert found is not None
    flight = flight_of(found)
    closed = serve(WORK, on(LAYOUT), LAYOUT, replace(LOAD, sequences=flight, others=flight))
    assert found.service.tpot_s == pytest.approx(closed.tpot_s, rel=1e-12)
    assert found.service.tokens_per_s == 1000
    assert found.queue.busy == pytest.approx(2 * marginal_s(WORK, on(LAYOUT), LAYOUT, 500))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("tokens_in", "tokens_out"), ANSWERS)
@pytest.mark.parametrize("share", [1e-9, 1e-3, 0.5, 0.99, 1 - 1e-7])
def test_from_idle_to_nearly_too_many_the_requests_in_flight_are_those_that_the_rate_keeps_there(
    layout: Layout, tokens_in: int, tokens_out: int, share: float
) -> None:
    """So many in flight come at that very rate, and see the same latency."""
    load = Load(sequences=64, context=tokens_in + tokens_out / 2, input_tokens=tokens_in, output_tokens=tokens_out)
    rate = share * most(layout, load)
    found = at(rate, layout, load)
    assert found is not None
    again = held(flight_of(found, load), layout, load)
    assert again.service.requests_per_s == pytest.approx(rate, rel=1e-12)
    assert again.service.tpot_s == pytest.approx(found.service.tpot_s, rel=1e-12)
    assert again.service.ttft_s == pytest.approx(found.service.ttft_s, rel=1e-9)
    assert again.queue.busy < 1


@given(flight=st.floats(1e-6, 1e4), replicas=st.integers(1, 9), tokens_in=st.integers(1, 30_000))
def test_the_rate_is_the_one_at_which_so_many_are_in_flight(flight: float, replicas: int, tokens_in: int) -> None:
    load = replace(LOAD, input_tokens=tokens_in, output_tokens=1)
    found = held(flight, LAYOUT.times(replicas), load)
    assert 0 < found.queue.busy < 1
    assert flight_of(found, load) == pytest.approx(flight, rel=1e-8)


@pytest.mark.parametrize(("users", "share"), [(5, 0.405), (64, 0.365), (64, 0.62), (64, 0.95)])
def test_stages_have_the_fewest_in_flight_that_the_rate_keeps_there(users: int, share: float) -> None:
    """Two stages of whole sequences: a further one in a stage makes its steps longer.

    Just below 36 in flight and just above come at one rate, 62 % of the most that 64 do.
    """
    staged, load = Layout(tp=4, pp=2), replace(LOAD, sequences=users)
    rate = share * most(staged, load)
    found = at(rate, staged, load)
    assert found is not None
    flight = flight_of(found)
    assert held(flight, staged).service.requests_per_s == pytest.approx(rate)
    full = range(2, int(flight) + 1, 2)
    assert all(held(fewer, staged).service.requests_per_s < rate for fewer in full)


def test_more_than_a_replica_can_serve_are_not_kept_up_with() -> None:
    for layout in LAYOUTS:
        assert at(most(layout), layout) is not None
        assert at(most(layout) * 1.001, layout) is None


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
    halved = at(2, staged)
    assert halved is not None
    assert halved.queue.busy == pytest.approx(2 * marginal_s(WORK, on(staged), staged, 500) / 2)


@given(rate=st.floats(0.01, 1), other=st.floats(0.01, 1), layout=st.sampled_from(LAYOUTS))
def test_first_tokens_wait_longer_at_higher_percentiles_and_rates(rate: float, other: float, layout: Layout) -> None:
    slow, quick = (at(share * most(layout) * 0.999, layout) for share in sorted((rate, other)))
    assert slow is not None
    assert quick is not None
    shares = (0.5, 0.9, 0.99)
    for one in (slow, quick):
        times = [one.ttft_s(share) for share in shares]
        assert times == sorted(times)
    for share in shares:
        assert slow.ttft_s(share) <= quick.ttft_s(share) * (1 + 1e-12)


def test_an_idle_replica_answers_as_for_a_lone_request() -> None:
    found = at(1e-8)
    assert found is not None
    alone = serve(WORK, on(LAYOUT), LAYOUT, replace(LOAD, sequences=1))
    assert found.ttft_s(0.5) == pytest.approx(alone.ttft_s)
    assert exp(found.queue.busy) == pytest.approx(1, abs=1e-4)
