"""Fleets, monthly bills and break-even hours: worked figures first, then the laws that any figure obeys."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core import cost
from inferplan.core.cost import Ownership
from inferplan.core.units import HOURS_PER_MONTH

GUIDE = {"on_demand": 3.50, "reserved_1yr": 2.10, "reserved_3yr": 1.50}
"""USD per GPU-hour of the guide's playground, 2025."""


rates = st.floats(min_value=0.01, max_value=1_000)
bills = st.floats(min_value=0.01, max_value=1_000_000)
hours = st.floats(min_value=0.1, max_value=24)
gpus = st.integers(min_value=1, max_value=10_000)
demands = st.floats(min_value=0.001, max_value=1e9)
capacities = st.floats(min_value=1, max_value=1e6)
utilizations = st.floats(min_value=0.01, max_value=1)


def owned(**changed: float) -> Ownership:
    """One GPU of a server with 8 H100s at 317,000 USD and 10.2 kW, in a colocation of 2025."""
    values = {
        "purchase_usd": 39_625.0,
        "depreciation_years": 3.0,
        "residual_fraction": 0.0,
        "power_kw": 1.275,
        "pue": 1.4,
        "electricity_usd_per_kwh": 0.08,
        "colocation_usd_per_kw_month": 195.94,
    }
    return Ownership(**(values | changed))


ownerships = st.builds(
    owned,
    purchase_usd=st.floats(min_value=0, max_value=1e6),
    depreciation_years=st.floats(min_value=0.5, max_value=10),
    residual_fraction=st.floats(min_value=0, max_value=0.9),
    power_kw=st.floats(min_value=0, max_value=10),
    pue=st.floats(min_value=1, max_value=3),
)


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

    def test_an_owned_h100_costs_1_455_usd_a_month(self) -> None:
        # 39,625 / 36 = 1,100.69; 1.275 × 1.4 × 730 × 0.08 = 104.24; 1.275 × 195.94 = 249.82
        assert isclose(cost.owned_month(owned(), gpus=1), 1_454.76, abs_tol=0.01)

    def test_a_residual_of_30_percent_writes_off_70(self) -> None:
        assert isclose(owned(residual_fraction=0.3).capital_month, 0.7 * 39_625 / 36)

    def test_with_the_guides_own_rates_owning_never_undercuts_a_3_year_reservation(self) -> None:
        # the guide's own: 40,000 over 36 months and 0.50 an hour of operation; its 720-hour month gives 1,471
        own = 40_000 / 36 + 0.50 * 720
        assert isclose(own, 1_471.11, abs_tol=0.01)
        assert own > cost.reserved_month(gpus=1, usd_per_gpu_hour=GUIDE["reserved_3yr"])

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

    @pytest.mark.parametrize(("option", "crossing"), [("reserved_1yr", 14.4), ("reserved_3yr", 24 * 1.5 / 3.5)])
    def test_the_guides_rates_break_even_where_24_times_their_ratio_says(self, option: str, crossing: float) -> None:
        flat = cost.reserved_month(gpus=1, usd_per_gpu_hour=GUIDE[option])
        found = cost.breakeven_hours(on_demand_usd_per_hour=GUIDE["on_demand"], flat_usd_per_month=flat)
        assert found is not None
        assert isclose(found, crossing)

    def test_equal_rates_break_even_at_24_hours(self) -> None:
        flat = cost.reserved_month(gpus=1, usd_per_gpu_hour=3.50)
        assert cost.breakeven_hours(on_demand_usd_per_hour=3.50, flat_usd_per_month=flat) == 24

    def test_a_reservation_dearer_than_on_demand_never_pays(self) -> None:
        flat = cost.reserved_month(gpus=1, usd_per_gpu_hour=4.00)
        assert cost.breakeven_hours(on_demand_usd_per_hour=3.50, flat_usd_per_month=flat) is None
        assert cost.cheaper_all_day(on_demand_usd_per_hour=3.50, flat_usd_per_month=flat) == "on_demand"

    def test_what_costs_nothing_is_cheaper_all_day(self) -> None:
        assert cost.cheaper_all_day(on_demand_usd_per_hour=3.50, flat_usd_per_month=0) == "flat"
        assert cost.cheaper_all_day(on_demand_usd_per_hour=0, flat_usd_per_month=100) == "on_demand"
        assert cost.cheaper_all_day(on_demand_usd_per_hour=0, flat_usd_per_month=0) == "equal"
        assert cost.breakeven_hours(on_demand_usd_per_hour=0, flat_usd_per_month=0) is None


class TestLaws:
    @given(count=gpus, rate=rates)
    def test_24_hours_on_demand_cost_exactly_a_month_at_the_same_rate(self, count: int, rate: float) -> None:
        on_demand = cost.on_demand_month(gpus=count, usd_per_gpu_hour=rate, hours_per_day=24)
        assert on_demand == cost.reserved_month(gpus=count, usd_per_gpu_hour=rate)

    @given(demand=demands, capacity=capacities, utilization=utilizations)
    def test_the_fleet_carries_the_demand_and_one_instance_less_would_not(
        self, demand: float, capacity: float, utilization: float
    ) -> None:
        n = cost.instances(demand=demand, capacity=capacity, utilization=utilization)
        per_instance = capacity * utilization
        assert n * per_instance >= demand * (1 - 1e-12)
        assert n == 1 or (n - 1) * per_instance < demand * (1 + 1e-12)

    @given(demand=demands, capacity=capacities, utilization=utilizations)
    def test_a_fleet_is_never_busier_than_planned(self, demand: float, capacity: float, utilization: float) -> None:
        n = cost.instances(demand=demand, capacity=capacity, utilization=utilization)
        busy = cost.fleet_utilization(demand=demand, capacity=capacity, instances=n)
        assert 0 < busy <= utilization * (1 + 1e-12)

    @given(daily=demands, more=st.floats(min_value=1, max_value=100), usage=hours)
    def test_demand_is_linear_in_requests(self, daily: float, more: float, usage: float) -> None:
        once = cost.demand(requests_per_day=daily, output_tokens=500, usage_hours_per_day=usage)
        scaled = cost.demand(requests_per_day=daily * more, output_tokens=500, usage_hours_per_day=usage)
        assert isclose(scaled, once * more)

    @given(daily=demands, usage=hours)
    def test_the_days_tokens_do_not_depend_on_when_they_are_asked_for(self, daily: float, usage: float) -> None:
        rate = cost.demand(requests_per_day=daily, output_tokens=500, usage_hours_per_day=usage)
        assert isclose(rate * usage * 3600, daily * 500)

    @given(rate=rates, flat=bills)
    def test_at_the_breakeven_both_bills_are_equal_within_a_cent(self, rate: float, flat: float) -> None:
        crossing = cost.breakeven_hours(on_demand_usd_per_hour=rate, flat_usd_per_month=flat)
        if crossing is not None:
            bill = cost.on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=crossing)
            assert isclose(bill, flat, abs_tol=0.01)

    @given(rate=rates, flat=bills, part=st.floats(min_value=0.01, max_value=0.99))
    def test_below_the_breakeven_on_demand_is_cheaper_and_above_it_the_flat_bill(
        self, rate: float, flat: float, part: float
    ) -> None:
        crossing = cost.breakeven_hours(on_demand_usd_per_hour=rate, flat_usd_per_month=flat)
        if crossing is not None:
            below, above = crossing * part, crossing + (24 - crossing) * part
            assert cost.on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=below) < flat
            over = cost.on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=above)
            assert over >= flat * (1 - 1e-12)

    @given(rate=rates, flat=bills, usage=hours)
    def test_bills_that_never_cross_are_ordered_at_every_hour(self, rate: float, flat: float, usage: float) -> None:
        winner = cost.cheaper_all_day(on_demand_usd_per_hour=rate, flat_usd_per_month=flat)
        crossing = cost.breakeven_hours(on_demand_usd_per_hour=rate, flat_usd_per_month=flat)
        assert (winner is None) == (crossing is not None)
        if winner == "on_demand":
            assert cost.on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=usage) < flat

    @given(one=ownerships, count=gpus)
    def test_owning_is_linear_in_gpus(self, one: Ownership, count: int) -> None:
        assert isclose(cost.owned_month(one, gpus=count), count * cost.owned_month(one, gpus=1))

    @given(one=ownerships)
    def test_what_is_written_off_is_the_price_less_what_comes_back(self, one: Ownership) -> None:
        written_off = one.capital_month * one.depreciation_years * 12
        assert isclose(written_off + one.purchase_usd * one.residual_fraction, one.purchase_usd, abs_tol=1e-9)

    @given(bill=bills, daily=st.floats(min_value=1, max_value=1e8))
    def test_the_price_of_all_the_months_tokens_is_the_bill(self, bill: float, daily: float) -> None:
        price = cost.usd_per_million_tokens(monthly_usd=bill, requests_per_day=daily, tokens_per_request=1000)
        months_tokens = daily * 1000 * HOURS_PER_MONTH / 24
        assert isclose(price * months_tokens / 1e6, bill)
