"""Fleets and bills: the guide's section 4, what its traffic really costs, and what a price or a rule changes."""

from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from golden_files import check_golden
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.prices import discount, purchase, rental
from inferplan.tools.costs import TOOL, CostsAnswer
from summary_numbers import unsupported_numbers

CROSSINGS = {
    "reserved_1yr": "on_demand_vs_reserved_1yr_hours",
    "reserved_3yr": "on_demand_vs_reserved_3yr_hours",
    "own": "on_demand_vs_own_hours",
}
GUIDE_RATES = (
    "on_demand_usd_per_gpu_hour=3.50, reserved_1yr_usd_per_gpu_hour=2.10, reserved_3yr_usd_per_gpu_hour=1.50, "
    "purchase_usd_per_gpu=40000, colocation_usd_per_kw_month=0, electricity_usd_per_kwh=0.50, pue=1, power_kw_per_gpu=1"
)
"""The playground's rates of 2025: 0.50 USD per GPU-hour of operation is 1 kW at 0.50 USD/kWh."""

CASES: dict[str, dict[str, Any]] = {
    "production": {"requests_per_day": 50_000},
    "office hours": {"requests_per_day": 50_000, "usage_hours_per_day": 8},
    "regulated": {"model": "405B", "requests_per_day": 500_000, "precision": "fp16", "compliance_required": True},
    "a hundred requests": {"model": "7B", "requests_per_day": 100, "usage_hours_per_day": 8},
    "one request": {"model": "llama 3.1 8b", "requests_per_day": 1},
    "no fp8 units": {"requests_per_day": 50_000, "gpu": "a100-80gb-sxm"},
    "no purchase price": {"requests_per_day": 50_000, "gpu": "gb200"},
    "a checkpoint": {"model": "llama 3.3 70b", "requests_per_day": 1_000_000, "gpu": "h200", "input_tokens": 4000},
    "more than the traffic needs": {"requests_per_day": 50_000, "total_gpus": 20},
    "the guide's rates": {"requests_per_day": 50_000, "overrides": GUIDE_RATES},
}


def ask(**arguments: Any) -> CostsAnswer:
    return TOOL.ask({"model": "70B", "requests_per_day": 50_000} | arguments)


def bills(answer: CostsAnswer) -> dict[str, float]:
    return {option.name: option.monthly_usd for option in answer.options}


def hours(answer: CostsAnswer) -> dict[str, float | None]:
    return {name: getattr(answer.breakeven, field) for name, field in CROSSINGS.items()}


def assumed(answer: CostsAnswer) -> dict[str, str | int | float]:
    return {assumption.name: assumption.value for assumption in answer.assumptions}


class TestSizing:
    def test_50_000_requests_of_500_output_tokens_ask_for_289_tokens_per_second(self) -> None:
        assert isclose(ask().demand_tokens_per_s, 25_000_000 / 86_400, abs_tol=0.001)

    def test_a_service_of_8_hours_answers_the_same_requests_three_times_as_fast(self) -> None:
        assert isclose(ask(usage_hours_per_day=8).demand_tokens_per_s, 3 * 25_000_000 / 86_400, abs_tol=0.001)

    def test_a_peak_factor_raises_the_demand(self) -> None:
        peak = ask(overrides="peak_factor=3")
        assert isclose(peak.demand_tokens_per_s, 3 * 25_000_000 / 86_400, abs_tol=0.001)

    @pytest.mark.parametrize("name", CASES)
    def test_the_fleet_is_whole_instances_that_carry_the_demand(self, name: str) -> None:
        answer = ask(**CASES[name])
        planned = 0.75 * answer.tokens_per_s_per_instance
        assert answer.instances * planned >= answer.demand_tokens_per_s * 0.999
        assert answer.total_gpus >= answer.instances * answer.gpus_per_instance
        if "total_gpus" not in CASES[name]:
            assert answer.total_gpus == answer.instances * answer.gpus_per_instance
            assert answer.instances == 1 or (answer.instances - 1) * planned < answer.demand_tokens_per_s * 1.001

    def test_a_hundred_requests_a_day_still_take_one_gpu(self) -> None:
        answer = ask(model="7B", requests_per_day=100, usage_hours_per_day=8)
        assert (answer.gpus_per_instance, answer.instances, answer.total_gpus) == (1, 1, 1)
        assert answer.fleet_utilization_percent < 1

    def test_a_70b_instance_is_no_longer_taken_for_60_tokens_per_second(self) -> None:
        answer = ask()
        assert answer.tokens_per_s_per_instance > 300
        assert "unphysical" in next(a.why for a in answer.assumptions if a.name == "throughput")

    def test_the_guides_70b_fits_one_gpu_on_paper_but_its_checkpoint_takes_two(self) -> None:
        # vLLM refuses to start Llama 70B FP8 on one H100: 67.7 GiB of weights leave no room for a cache
        answer = ask()
        assert answer.checkpoint_gpus == 2
        assert "A real FP8 checkpoint of Llama 3.3 70B Instruct takes 2 GPUs" in answer.summary
        assert ask(model="llama 3.3 70b").total_gpus == 2

    def test_a_given_fleet_is_paid_for_even_where_traffic_needs_less(self) -> None:
        needed, given = ask(), ask(total_gpus=20)
        assert given.total_gpus == 20
        for name in CROSSINGS:
            assert isclose(bills(given)[name], 20 / needed.total_gpus * bills(needed)[name], abs_tol=0.2)
        assert hours(given) == hours(needed)

    def test_a_given_fleet_that_is_too_small_grows_to_the_traffic(self) -> None:
        assert ask(requests_per_day=10_000_000, total_gpus=1) != ask(requests_per_day=10_000_000)
        assert ask(requests_per_day=10_000_000, total_gpus=1).total_gpus == ask(requests_per_day=10_000_000).total_gpus

    @given(few=st.integers(min_value=1, max_value=10**8), more=st.integers(min_value=0, max_value=10**8))
    def test_more_requests_never_take_fewer_gpus_or_cost_less(self, few: int, more: int) -> None:
        small, large = ask(requests_per_day=few), ask(requests_per_day=few + more)
        assert large.total_gpus >= small.total_gpus
        assert all(bills(large)[name] >= bills(small)[name] - 0.01 for name in bills(small))


class TestBills:
    @pytest.mark.parametrize("name", CASES)
    def test_exactly_one_option_is_best_and_it_is_the_cheapest(self, name: str) -> None:
        answer = ask(**CASES[name])
        best = [option for option in answer.options if option.best]
        assert len(best) == 1
        assert best[0].monthly_usd == min(bills(answer).values())

    @pytest.mark.parametrize("name", CASES)
    def test_a_year_is_twelve_months_and_a_token_its_share_of_the_bill(self, name: str) -> None:
        case = {"input_tokens": 500, "output_tokens": 500} | CASES[name]
        tokens = case["requests_per_day"] * 730 / 24 * (case["input_tokens"] + case["output_tokens"])
        for option in ask(**CASES[name]).options:
            assert isclose(option.annual_usd, 12 * option.monthly_usd, abs_tol=0.07)
            assert isclose(option.usd_per_million_tokens, option.monthly_usd / tokens * 1e6, rel_tol=1e-3)

    def test_24_hours_on_demand_cost_what_a_month_at_the_same_rate_costs(self) -> None:
        same = ask(overrides="on_demand_usd_per_gpu_hour=2, reserved_1yr_usd_per_gpu_hour=2")
        assert bills(same)["on_demand"] == bills(same)["reserved_1yr"] == same.total_gpus * 2 * 730

    def test_an_h100_of_its_own_costs_1_455_usd_a_month(self) -> None:
        # 39,625 / 36 + 1.275 kW × (1.4 × 730 h × 0.08 + 195.94): catalog price of 2024-08, 10.2 kW for a server of 8
        answer = ask()
        assert isclose(bills(answer)["own"], answer.total_gpus * 1_454.76, abs_tol=0.01 * answer.total_gpus)

    def test_an_api_asks_65_cents_for_a_million_tokens_of_llama_70b(self) -> None:
        # median of 17 providers: 0.59 in, 0.71 out, half and half
        api = next(option for option in ask().options if option.name == "api")
        assert api.usd_per_million_tokens == 0.65
        assert isclose(api.monthly_usd, 0.65 * 50_000 * 730 / 24 * 1000 / 1e6, abs_tol=0.01)

    def test_a_model_that_no_api_sells_has_no_such_option(self) -> None:
        assert "api" not in bills(ask(model="7B"))

    def test_an_api_price_can_be_given(self) -> None:
        prices = "api_input_usd_per_million_tokens=0.1, api_output_usd_per_million_tokens=0.3"
        option = next(o for o in ask(model="7B", overrides=prices).options if o.name == "api")
        assert isclose(option.usd_per_million_tokens, 0.2, abs_tol=1e-6)

    @given(rate=st.floats(min_value=0.01, max_value=100), factor=st.floats(min_value=0.1, max_value=10))
    def test_a_bill_is_linear_in_its_price(self, rate: float, factor: float) -> None:
        once = bills(ask(overrides=f"on_demand_usd_per_gpu_hour={rate!r}"))
        more = bills(ask(overrides=f"on_demand_usd_per_gpu_hour={rate * factor!r}"))
        assert isclose(more["on_demand"], factor * once["on_demand"], abs_tol=0.01 * (1 + factor))

    @pytest.mark.parametrize(
        ("override", "changed"),
        [
            ("on_demand_usd_per_gpu_hour=9", "on_demand"),
            ("reserved_1yr_usd_per_gpu_hour=9", "reserved_1yr"),
            ("reserved_3yr_usd_per_gpu_hour=9", "reserved_3yr"),
            ("purchase_usd_per_gpu=9000", "own"),
            ("depreciation_years=5", "own"),
            ("residual_fraction=0.3", "own"),
            ("power_kw_per_gpu=0.9", "own"),
            ("pue=1.1", "own"),
            ("electricity_usd_per_kwh=0.2", "own"),
            ("colocation_usd_per_kw_month=50", "own"),
            ("api_input_usd_per_million_tokens=9", "api"),
            ("api_output_usd_per_million_tokens=9", "api"),
        ],
    )
    def test_a_price_changes_its_own_bill_and_no_other(self, override: str, changed: str) -> None:
        before, after = ask(), ask(overrides=override)
        differing = {name for name in bills(before) if bills(before)[name] != bills(after)[name]}
        assert differing == {changed}
        assert (after.total_gpus, after.tokens_per_s_per_instance) == (
            before.total_gpus,
            before.tokens_per_s_per_instance,
        )
        name, value = override.split("=")
        assert assumed(after)[name] == float(value)


class TestPrices:
    def test_on_demand_is_the_median_over_providers_and_says_when_and_of_how_many(self) -> None:
        quote = rental("h100-sxm", "on_demand")
        assert quote is not None
        entry = next(a for a in ask().assumptions if a.name == "on_demand_usd_per_gpu_hour")
        assert entry.value == quote.median
        assert str(quote.providers) in entry.why
        assert quote.newest in entry.why

    def test_an_unquoted_reservation_is_on_demand_at_the_usual_discount(self) -> None:
        assert rental("a100-80gb-sxm", "reserved_1y") is None
        taken = assumed(ask(gpu="a100-80gb-sxm"))
        one, three = discount("reserved_1y").ratio, discount("reserved_3y").ratio
        rate = float(taken["on_demand_usd_per_gpu_hour"])
        assert isclose(float(taken["reserved_1yr_usd_per_gpu_hour"]), rate * one, abs_tol=1e-4)
        assert isclose(float(taken["reserved_3yr_usd_per_gpu_hour"]), rate * three, abs_tol=1e-4)

    def test_without_any_rental_price_the_question_is_answered_with_the_override_to_give(self) -> None:
        assert rental("h20", "on_demand") is None
        with pytest.raises(ValidationError, match=r'no on-demand price of H20.*overrides="on_demand_usd_per_gpu_hour='):
            ask(gpu="h20")
        assert bills(ask(gpu="h20", overrides="on_demand_usd_per_gpu_hour=2"))["on_demand"] > 0

    def test_without_a_purchase_price_owning_is_left_out_and_said_so(self) -> None:
        assert purchase("gb200") is None
        answer = ask(gpu="gb200")
        assert "own" not in bills(answer)
        assert answer.breakeven.on_demand_vs_own_hours is None
        assert "Owning is left out" in answer.summary
        assert "own" in bills(ask(gpu="gb200", overrides="purchase_usd_per_gpu=60000"))

    def test_a_bare_cards_price_is_not_passed_off_as_a_servers(self) -> None:
        assert "bare cards" in ask(gpu="h200").summary
        assert "bare cards" not in ask(gpu="h100-sxm").summary
        assert "bare cards" not in ask(gpu="h200", overrides="purchase_usd_per_gpu=45000").summary

    @pytest.mark.parametrize("gpu", [id_ for id_ in GPUS if rental(id_, "on_demand") is not None])
    def test_every_gpu_that_can_be_rented_carries_a_7b(self, gpu: str) -> None:
        assert ask(model="7B", gpu=gpu).total_gpus >= 1


class TestBreakEven:
    @pytest.mark.parametrize("name", CASES)
    def test_at_the_reported_hours_both_bills_are_equal_within_a_cent(self, name: str) -> None:
        for option, crossing in hours(ask(**CASES[name])).items():
            if crossing is not None:
                there = bills(ask(**CASES[name] | {"usage_hours_per_day": crossing}))
                assert isclose(there["on_demand"], there[option], abs_tol=0.01)

    @pytest.mark.parametrize("name", CASES)
    def test_below_it_on_demand_is_cheaper_and_above_it_is_not(self, name: str) -> None:
        for option, crossing in hours(ask(**CASES[name])).items():
            if crossing is not None:
                below = bills(ask(**CASES[name] | {"usage_hours_per_day": 0.9 * crossing}))
                above = bills(ask(**CASES[name] | {"usage_hours_per_day": min(24, 1.1 * crossing)}))
                assert below["on_demand"] < below[option]
                assert above["on_demand"] >= above[option] - 0.01

    def test_the_guides_rates_cross_at_14_4_and_10_3_hours(self) -> None:
        found = hours(ask(overrides=GUIDE_RATES))
        assert found["reserved_1yr"] == 14.4
        assert isclose(found["reserved_3yr"] or 0, 24 * 1.5 / 3.5, abs_tol=1e-6)

    def test_with_the_guides_rates_owning_never_beats_a_3_year_reservation(self) -> None:
        per_gpu = {name: usd / ask().total_gpus for name, usd in bills(ask(overrides=GUIDE_RATES)).items()}
        assert isclose(per_gpu["own"], 40_000 / 36 + 365, abs_tol=0.01)
        assert per_gpu["own"] > per_gpu["reserved_3yr"]

    def test_sliding_usage_from_24_hours_to_8_makes_on_demand_competitive(self) -> None:
        crossing = hours(ask())["reserved_1yr"]
        assert crossing is not None
        assert 8 < crossing < 24
        for usage in range(8, 25):
            there = bills(ask(usage_hours_per_day=usage))
            assert (there["on_demand"] < there["reserved_1yr"]) == (usage < crossing)
        assert bills(ask(usage_hours_per_day=8))["on_demand"] < 1.05 * bills(ask(usage_hours_per_day=8))["reserved_3yr"]

    def test_bills_that_never_cross_name_the_one_that_is_cheaper_all_day(self) -> None:
        dear = ask(overrides="reserved_1yr_usd_per_gpu_hour=5").breakeven
        assert dear.on_demand_vs_reserved_1yr_hours is None
        assert dear.cheaper_all_day == {"reserved_1yr": "on_demand"}
        free = ask(overrides="reserved_3yr_usd_per_gpu_hour=0").breakeven
        assert free.on_demand_vs_reserved_3yr_hours == 0
        assert free.cheaper_all_day == {"reserved_3yr": "reserved_3yr"}

    def test_the_hours_do_not_depend_on_the_traffic(self) -> None:
        assert hours(ask(requests_per_day=100)) == hours(ask(requests_per_day=10_000_000))


class TestCompliance:
    def test_compliance_recommends_own_hardware_whatever_it_costs(self) -> None:
        answer = ask(compliance_required=True, overrides="purchase_usd_per_gpu=400000")
        assert answer.recommended == "own"
        assert not next(option for option in answer.options if option.name == "own").best

    def test_it_says_what_that_costs_above_the_cheapest(self) -> None:
        answer = ask(compliance_required=True)
        premium = round(bills(answer)["own"] - min(bills(answer).values()))
        assert f"${premium:,} a month above the cheapest" in answer.summary
        assert f"${premium:,} a month above the cheapest" in answer.why

    def test_it_changes_no_figure(self) -> None:
        assert bills(ask(compliance_required=True)) == bills(ask())

    def test_without_it_the_cheapest_is_recommended(self) -> None:
        answer = ask()
        assert next(option for option in answer.options if option.best).name == answer.recommended

    def test_where_owning_cannot_be_priced_the_override_to_give_is_named(self) -> None:
        with pytest.raises(ValidationError, match=r'no price to buy GB200.*overrides="purchase_usd_per_gpu='):
            ask(gpu="gb200", compliance_required=True)


class TestFormats:
    def test_fp8_on_a_gpu_without_its_arithmetic_works_weight_only_and_says_so(self) -> None:
        answer = ask(gpu="a100-80gb-sxm")
        assert assumed(answer)["arithmetic"] == "weight-only"
        assert "has no FP8 arithmetic" in answer.summary
        assert "arithmetic" not in assumed(ask(gpu="h100-sxm"))
        assert "arithmetic" not in assumed(ask(gpu="a100-80gb-sxm", precision="int4"))

    def test_a_request_that_no_layout_holds_is_refused_with_a_way_out(self) -> None:
        with pytest.raises(ValidationError, match=r"no legal layout of RTX 4090 .* request of .*shorter requests"):
            ask(gpu="rtx-4090", model="7B", precision="fp32", input_tokens=10_000_000, output_tokens=10_000_000)


class TestWords:
    @pytest.mark.parametrize("name", CASES)
    def test_every_number_of_the_summary_is_in_the_structured_answer(self, name: str) -> None:
        assert unsupported_numbers(ask(**CASES[name]).structured()) == []

    @pytest.mark.parametrize("name", CASES)
    def test_the_diagram_is_ascii_within_80_columns(self, name: str) -> None:
        diagram = ask(**CASES[name]).diagram
        assert diagram.isascii()
        assert max(map(len, diagram.splitlines())) <= 80

    def test_bars_are_to_scale(self) -> None:
        answer = ask()
        drawn = [line.count("#") for line in answer.diagram.splitlines() if "|#" in line]
        full = max(bills(answer).values())
        assert drawn == [max(1, round(50 * usd / full)) for usd in bills(answer).values()]

    def test_every_case_looks_different(self) -> None:
        assert len({ask(**arguments).diagram for arguments in CASES.values()}) == len(CASES)

    def test_the_hours_of_use_are_marked_on_the_day(self) -> None:
        early, late = (ask(usage_hours_per_day=usage).diagram for usage in (6, 18))
        assert "v now 6" in early
        assert early.splitlines()[8].index("v") + 24 == late.splitlines()[8].index("v")

    def test_the_inputs_can_be_asked_again(self) -> None:
        answer = ask(usage_hours_per_day=8, compliance_required=True, overrides="pue=1.2")
        assert TOOL.ask(answer.inputs) == answer

    def test_the_correction_of_the_guides_hours_is_named_where_it_matters(self) -> None:
        assert assumed(ask(usage_hours_per_day=8))["busy_hours"] == 8
        assert "busy_hours" not in assumed(ask())

    @pytest.mark.parametrize("name", ["production", "regulated"])
    def test_the_text_is_as_reviewed(self, name: str) -> None:
        check_golden(f"costs_{name}.txt", ask(**CASES[name]).text())
