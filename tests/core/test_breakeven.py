"""Where bills cross: worked figures first, then the laws that any figure obeys."""

from math import ceil, inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.cost import on_demand_month, reserved_month
from inferplan.core.money.breakeven import cheaper_all_day, even_hours, first_requests, last_hours

GUIDE = {"on_demand": 3.50, "reserved_1yr": 2.10, "reserved_3yr": 1.50}
"""USD per GPU-hour of the guide's playground, 2025."""

rates = st.floats(min_value=0.01, max_value=1_000)
bills = st.floats(min_value=0.01, max_value=1_000_000)
hours = st.floats(min_value=0.1, max_value=24)


def flat_hours(rate: float, flat: float) -> float | None:
    """The crossing on a fleet that the hours do not change."""
    return last_hours(lambda _: even_hours(usd_per_hour=rate, monthly_usd=flat))


class TestWorkedFigures:
    @pytest.mark.parametrize(("option", "crossing"), [("reserved_1yr", 14.4), ("reserved_3yr", 24 * 1.5 / 3.5)])
    def test_the_guides_rates_break_even_where_24_times_their_ratio_says(self, option: str, crossing: float) -> None:
        found = flat_hours(GUIDE["on_demand"], reserved_month(gpus=1, usd_per_gpu_hour=GUIDE[option]))
        assert found is not None
        assert isclose(found, crossing)

    @pytest.mark.parametrize("rate", [3.5, 3.99, 0.1, 2.345])
    def test_equal_rates_break_even_at_24_hours(self, rate: float) -> None:
        assert flat_hours(rate, reserved_month(gpus=1, usd_per_gpu_hour=rate)) == 24

    def test_a_reservation_dearer_than_on_demand_never_pays(self) -> None:
        flat = reserved_month(gpus=1, usd_per_gpu_hour=4.00)
        assert flat_hours(3.50, flat) is None
        assert cheaper_all_day(usd_per_hour=3.50, monthly_usd=flat) == "hourly"

    def test_what_costs_nothing_is_cheaper_all_day(self) -> None:
        assert cheaper_all_day(usd_per_hour=3.50, monthly_usd=0) == "flat"
        assert cheaper_all_day(usd_per_hour=0, monthly_usd=100) == "hourly"
        assert cheaper_all_day(usd_per_hour=0, monthly_usd=0) == "equal"
        assert even_hours(usd_per_hour=0, monthly_usd=100) == inf
        assert flat_hours(3.50, 0) == 0

    def test_a_fleet_that_doubles_below_10_hours_meets_a_flat_bill_of_its_double_later(self) -> None:
        """1 GPU from 10 hours on, 2 below, at 1 USD an hour and 12 USD a day: 12 hours, where one GPU does."""
        assert last_hours(lambda at: 12 / (1 if at >= 10 else 2)) == 12
        assert last_hours(lambda at: 8 / (1 if at >= 10 else 2)) == 4

    def test_a_day_of_tokens_is_dearer_than_the_fleet_from_the_request_on_that_pays_it(self) -> None:
        """A fleet of 300 USD per 1,000 requests, tokens of 0.40 USD a request: 750 requests; of 0.25: never."""
        for price, found in ((0.40, 750), (0.30, 1000), (0.25, None)):
            assert first_requests(lambda n, price=price: 300 * max(1, ceil(n / 1000)) / price) == found

    def test_a_small_fleet_that_is_too_small_to_pay_makes_way_for_a_larger_one(self) -> None:
        """300 USD up to 500 requests, then 500: at 0.50 a request the first never pays, the second from 1,000 on."""
        assert first_requests(lambda n: (300 if n <= 500 else 500) / 0.50) == 1000


class TestLaws:
    @given(rate=rates, flat=bills)
    def test_at_the_breakeven_both_bills_are_equal_within_a_cent(self, rate: float, flat: float) -> None:
        crossing = flat_hours(rate, flat)
        if crossing is not None:
            assert isclose(on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=crossing), flat, abs_tol=0.01)

    @given(rate=rates, flat=bills, part=st.floats(min_value=0.01, max_value=0.99))
    def test_below_it_renting_is_cheaper_and_above_it_the_flat_bill(
        self, rate: float, flat: float, part: float
    ) -> None:
        crossing = flat_hours(rate, flat)
        if crossing is not None:
            below, above = crossing * part, crossing + (24 - crossing) * part
            assert on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=below) < flat
            assert on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=above) >= flat * (1 - 1e-12)

    @given(rate=rates, flat=bills, usage=hours)
    def test_bills_that_never_cross_are_ordered_at_every_hour(self, rate: float, flat: float, usage: float) -> None:
        winner = cheaper_all_day(usd_per_hour=rate, monthly_usd=flat)
        assert (winner is None) == (flat_hours(rate, flat) is not None)
        if winner == "hourly":
            assert on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=usage) < flat

    @given(work=st.floats(min_value=0.1, max_value=500), tokens=st.floats(min_value=0.1, max_value=1000))
    def test_beyond_the_last_crossing_a_growing_fleet_is_dearer_than_tokens(self, work: float, tokens: float) -> None:
        """A fleet of ceil(work / hours) GPUs at 1 USD an hour against so many USD a day."""
        crossing = last_hours(lambda at: tokens / ceil(work / at))
        if crossing is not None:
            assert isclose(ceil(work / crossing) * crossing, tokens)
            beyond = [crossing + (24 - crossing) * part / 50 for part in range(1, 51)]
            assert all(ceil(work / at) * at >= tokens * (1 - 1e-9) for at in beyond)

    @given(per=st.floats(min_value=1, max_value=1e4), fleet=rates, price=st.floats(min_value=1e-3, max_value=10))
    def test_below_the_first_crossing_tokens_are_always_cheaper(self, per: float, fleet: float, price: float) -> None:
        crossing = first_requests(lambda n: fleet * max(1, ceil(n / per)) / price)
        upto = 20 * per if crossing is None else crossing
        assert all(
            price * n <= fleet * max(1, ceil(n / per)) * (1 + 1e-9) for n in (upto * part / 50 for part in range(1, 51))
        )
        if crossing is not None:
            assert isclose(price * crossing, fleet * max(1, ceil(crossing / per)))
