"""Fleets and monthly bills: worked figures first, then the laws that any figure obeys."""

from math import isclose

from hypothesis import given
from hypothesis import strategies as st

from inferplan.core import cost
from inferplan.core.units import HOURS_PER_MONTH

rates = st.floats(min_value=0.01, max_value=1_000)
bills = st.floats(min_value=0.01, max_value=1_000_000)
hours = st.floats(min_value=0.1, max_value=24)
gpus = st.integers(min_value=1, max_value=10_000)
demands = st.floats(min_value=0.001, max_value=1e9)
capacities = st.floats(min_value=1, max_value=1e6)
utilizations = st.floats(min_value=0.01, max_value=1)


class TestWorkedFigures:
    def test_the_guides_day_of_50_000_requests_asks_for_289_tokens_per_second(self) -> None:
        rate = cost.demand(requests_per_day=50_000, output_tokens=500, usage_hours_per_day=24)
        assert isclose(rate, 25_000_000 / 86_400)

    def test_the_same_day_within_8_hours_asks_for_three_times_as_much(self) -> None:
        rate = cost.demand(requests_per_day=50_000, output_tokens=500, usage_hours_per_day=8)
        assert isclose(rate, 3 * 25_000_000 / 86_400)

    def test_the_playgrounds_60_tokens_per_second_would_need_seven_instances(self) -> None:
        assert cost.instances(demand=289.35, capacity=60, utilization=0.75) == 7

    def test_an_instance_that_just_carries_the_demand_is_enough(self) -> None:
        assert cost.instances(demand=750, capacity=1000, utilization=0.75) == 1
        assert cost.instances(demand=750.1, capacity=1000, utilization=0.75) == 2

    def test_a_service_without_traffic_still_keeps_one_instance(self) -> None:
        assert cost.instances(demand=0, capacity=1000, utilization=0.75) == 1

    def test_eight_gpus_at_the_guides_on_demand_rate_cost_20_440_usd_a_month(self) -> None:
        assert cost.on_demand_month(gpus=8, usd_per_gpu_hour=3.50, hours_per_day=24) == 8 * 3.50 * 730

    def test_a_third_of_the_day_costs_a_third_on_demand(self) -> None:
        bill = cost.on_demand_month(gpus=8, usd_per_gpu_hour=3.50, hours_per_day=8)
        assert isclose(bill, 8 * 3.50 * 730 / 3)

    def test_a_million_tokens_of_llama_70b_at_65_cents_cost_65_cents(self) -> None:
        bill = cost.api_month(
            requests_per_day=1000,
            input_tokens=500,
            output_tokens=500,
            usd_per_million_input=0.59,
            usd_per_million_output=0.71,
        )
        per_million = cost.usd_per_million_tokens(monthly_usd=bill, requests_per_day=1000, tokens_per_request=1000)
        assert isclose(per_million, 0.65)

    def test_eleven_gpus_are_two_machines_of_eight(self) -> None:
        assert cost.whole_machines(11, machine=8) == 16
        assert cost.whole_machines(16, machine=8) == 16


class TestLaws:
    @given(count=gpus, rate=rates)
    def test_24_hours_on_demand_cost_exactly_a_month_at_the_same_rate(self, count: int, rate: float) -> None:
        on_demand = cost.on_demand_month(gpus=count, usd_per_gpu_hour=rate, hours_per_day=24)
        assert on_demand == cost.reserved_month(gpus=count, usd_per_gpu_hour=rate)

    @given(count=gpus, machine=st.integers(min_value=1, max_value=72))
    def test_whole_machines_hold_the_gpus_with_less_than_one_to_spare(self, count: int, machine: int) -> None:
        paid = cost.whole_machines(count, machine=machine)
        assert paid % machine == 0
        assert count <= paid < count + machine

    @given(demand=demands, capacity=capacities, utilization=utilizations)
    def test_the_fleet_carries_the_demand_and_one_instance_less_would_not(
        self, demand: float, capacity: float, utilization: float
    ) -> None:
        n = cost.instances(demand=demand, capacity=capacity, utilization=utilization)
        per_instance = capacity * utilization
        assert n * per_instance >= demand * (1 - 1e-12)
        assert n == 1 or (n - 1) * per_instance < demand * (1 + 1e-12)

    @given(daily=demands, more=st.floats(min_value=1, max_value=100), usage=hours)
    def test_demand_is_linear_in_requests(self, daily: float, more: float, usage: float) -> None:
        once = cost.demand(requests_per_day=daily, output_tokens=500, usage_hours_per_day=usage)
        scaled = cost.demand(requests_per_day=daily * more, output_tokens=500, usage_hours_per_day=usage)
        assert isclose(scaled, once * more)

    @given(daily=demands, usage=hours)
    def test_the_days_tokens_do_not_depend_on_when_they_are_asked_for(self, daily: float, usage: float) -> None:
        rate = cost.demand(requests_per_day=daily, output_tokens=500, usage_hours_per_day=usage)
        assert isclose(rate * usage * 3600, daily * 500)

    @given(bill=bills, daily=st.floats(min_value=1, max_value=1e8))
    def test_the_price_of_all_the_months_tokens_is_the_bill(self, bill: float, daily: float) -> None:
        price = cost.usd_per_million_tokens(monthly_usd=bill, requests_per_day=daily, tokens_per_request=1000)
        months_tokens = daily * 1000 * HOURS_PER_MONTH / 24
        assert isclose(price * months_tokens / 1e6, bill)
