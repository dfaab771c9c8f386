"""What owning costs: worked figures first, then the laws that any figure obeys."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.cost import reserved_month
from inferplan.core.money.ownership import Ownership, capital_month, owned_month, payback_months


def owned(**changed: float) -> Ownership:
    """One GPU of a server with 8 H100s at 317,000 USD and 10.2 kW, in a colocation of 2025, without interest."""
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
    purchase_usd=st.floats(min_value=1, max_value=1e6),
    server_usd=st.floats(min_value=0, max_value=1e5),
    network_fraction=st.floats(min_value=0, max_value=1),
    depreciation_years=st.floats(min_value=0.5, max_value=10),
    residual_fraction=st.floats(min_value=0, max_value=0.9),
    cost_of_capital=st.floats(min_value=0, max_value=1),
    maintenance_fraction=st.floats(min_value=0, max_value=0.5),
    power_kw=st.floats(min_value=0, max_value=10),
    pue=st.floats(min_value=1, max_value=3),
)


class TestWorkedFigures:
    def test_an_owned_h100_costs_1_455_usd_a_month_without_interest_network_and_maintenance(self) -> None:
        # 39,625 / 36 = 1,100.69; 1.275 x 1.4 x 730 x 0.08 = 104.24; 1.275 x 195.94 = 249.82
        assert isclose(owned_month(owned(), gpus=1), 1_454.76, abs_tol=0.01)

    def test_a_loan_of_1000_at_12_percent_over_a_year_is_paid_back_at_88_85_a_month(self) -> None:
        # 1,000 x 0.01 / (1 - 1.01^-12)
        payment = capital_month(outlay_usd=1000, depreciation_years=1, residual_fraction=0, cost_of_capital=0.12)
        assert isclose(payment, 88.85, abs_tol=0.005)

    def test_a_residual_of_30_percent_writes_off_70(self) -> None:
        assert isclose(owned(residual_fraction=0.3).capital_month, 0.7 * 39_625 / 36)

    def test_network_comes_on_top_of_gpu_and_server(self) -> None:
        assert isclose(owned(server_usd=375, network_fraction=0.125).outlay_usd, 40_000 * 1.125)

    def test_maintenance_is_a_share_of_gpu_and_server_a_year(self) -> None:
        assert isclose(owned(maintenance_fraction=0.06).maintenance_month, 39_625 * 0.06 / 12)

    def test_with_the_guides_own_rates_owning_never_undercuts_a_3_year_reservation(self) -> None:
        # the guide's own: 40,000 over 36 months and 0.50 an hour of operation; its 720-hour month gives 1,471
        own = 40_000 / 36 + 0.50 * 720
        assert isclose(own, 1_471.11, abs_tol=0.01)
        assert own > reserved_month(gpus=1, usd_per_gpu_hour=1.50)

    def test_36_000_pay_back_in_18_months_where_they_save_2_000(self) -> None:
        assert payback_months(outlay_usd=36_000, running_usd=500, instead_usd=2_500) == 18

    @pytest.mark.parametrize("instead", [0, 499, 500])
    def test_what_saves_nothing_never_pays_back(self, instead: float) -> None:
        assert payback_months(outlay_usd=36_000, running_usd=500, instead_usd=instead) is None


class TestLaws:
    @given(one=ownerships, count=st.integers(min_value=1, max_value=10_000))
    def test_owning_is_linear_in_gpus(self, one: Ownership, count: int) -> None:
        assert isclose(owned_month(one, gpus=count), count * owned_month(one, gpus=1))

    @given(one=ownerships)
    def test_payments_pay_interest_and_return_what_does_not_come_back(self, one: Ownership) -> None:
        """The balance after the last payment is the residual, month by month."""
        rate, months = one.cost_of_capital / 12, one.depreciation_years * 12
        grown = (1 + rate) ** months
        paid = one.capital_month * ((grown - 1) / rate if rate > 1e-9 else months)
        left = one.outlay_usd * grown - paid
        assert isclose(
            left, one.outlay_usd * one.residual_fraction, rel_tol=1e-4, abs_tol=1e-4 * one.outlay_usd * grown
        )

    @given(one=ownerships, rate=st.floats(min_value=0, max_value=1))
    def test_dearer_capital_never_makes_owning_cheaper(self, one: Ownership, rate: float) -> None:
        cheap, dear = sorted((one.cost_of_capital, rate))
        payments = [
            capital_month(
                outlay_usd=one.outlay_usd,
                depreciation_years=one.depreciation_years,
                residual_fraction=one.residual_fraction,
                cost_of_capital=at,
            )
            for at in (cheap, dear)
        ]
        assert payments[0] <= payments[1] * (1 + 1e-6) + 1e-9

    @given(one=ownerships, saved=st.floats(min_value=0.01, max_value=1e5))
    def test_after_the_payback_the_outlay_is_saved(self, one: Ownership, saved: float) -> None:
        instead = one.running_month + saved
        months = payback_months(outlay_usd=one.outlay_usd, running_usd=one.running_month, instead_usd=instead)
        assert months is not None
        assert isclose(months * (instead - one.running_month), one.outlay_usd, abs_tol=1e-6)
