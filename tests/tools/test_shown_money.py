"""Money as answers show it: what the formula's figures come to as they stand there, each sum rounded once."""

import re
from typing import Any

import pytest

from inferplan.core.money.ownership import capital_month
from inferplan.tools.registry import TOOLS_BY_NAME

COSTS, PRESET = TOOLS_BY_NAME["compare_costs"], TOOLS_BY_NAME["run_preset"]
SMALL = "on_demand_usd_per_gpu_hour=0.00457"
"""A rent of less than a cent: a year's commitment at the usual discount is $0.003025."""
OWNED = re.compile(
    r"own (?P<gpus>\d+) x \((?P<bought>.*?) x \((?P<more>[\d.]+) over (?P<months>\d+) months at (?P<rate>[\d.]+) % to "
    r"(?P<left>[\d.]+) % \+ (?P<kept>[\d.]+) %/12\) \+ (?P<kw>[\d.]+) kW x \((?P<pue>[\d.]+) PUE x 730 h x "
    r"\$(?P<kwh>[\d.]+) \+ \$(?P<space>[\d.]+)\)\)(?: \+ \$(?P<staff>[\d.,]+) staff)? = \$(?P<sum>[\d.,]+)"
)
BY_API = re.compile(r"api (?P<requests>[\d.e-]+) M x \((\d+) x \$([\d.]+) \+ (\d+) x \$([\d.]+)\) = \$(?P<sum>[\d.,]+)")


def line(start: str, **asked: Any) -> str:
    lines = COSTS.ask({"model": "7B", "precision": "int4", "requests_per_day": 2000, **asked}).formula
    return next(one for one in lines if one.startswith(start))


def number(text: str) -> float:
    return float(re.sub(r"[$,]", "", text))


def shown(value: float, like: str) -> float:
    """The value to the decimals of another figure."""
    return round(value, len(like.partition(".")[2]))


@pytest.mark.parametrize("overrides", ["purchase_usd_per_gpu=349.99, server_usd_per_gpu=58.53", "staff_fte=0.1", ""])
@pytest.mark.parametrize("gpu", ["rtx-4090", "l4", "h100-sxm"])
def test_the_line_of_owning_comes_to_its_sum_with_the_figures_that_it_shows(gpu: str, overrides: str) -> None:
    found = OWNED.fullmatch(line("own", gpu=gpu, overrides=overrides))
    assert found
    value = {name: number(text) for name, text in found.groupdict().items() if text and name != "bought"}
    price = sum(number(part) for part in found["bought"].strip("()").split(" + "))
    capital = capital_month(
        outlay_usd=price * value["more"],
        depreciation_years=value["months"] / 12,
        residual_fraction=value["left"] / 100,
        cost_of_capital=value["rate"] / 100,
    )
    power = value["kw"] * (value["pue"] * 730 * value["kwh"] + value["space"])
    month = value["gpus"] * (capital + price * value["kept"] / 100 / 12 + power) + value.get("staff", 0)
    assert shown(month, found["sum"]) == value["sum"]


@pytest.mark.parametrize("requests", [1, 2000, 7_654_321])
def test_the_line_of_an_api_comes_to_its_sum_with_the_figures_that_it_shows(requests: int) -> None:
    found = BY_API.fullmatch(line("api", requests_per_day=requests))
    assert found
    count, tokens_in, dollars_in, tokens_out, dollars_out, total = map(number, found.groups())
    month = count * (tokens_in * dollars_in + tokens_out * dollars_out)
    assert shown(month, found["sum"].replace(",", "")) == total


def test_a_price_of_less_than_ten_cents_keeps_its_digits_until_it_is_multiplied() -> None:
    """0.00457 at the ratio of the others' commitment; four decimals would leave two digits of it."""
    plain, small = (
        COSTS.ask({"model": "7B", "gpu": "a30", "requests_per_day": 9, "overrides": text}) for text in ("", SMALL)
    )
    year, day = ({one.name: one.monthly_usd for one in small.options}[name] for name in ("reserved_1yr", "on_demand"))
    usual = {one.name: one.monthly_usd for one in plain.options}
    assert year / day == pytest.approx(usual["reserved_1yr"] / usual["on_demand"], rel=1e-3)


def test_the_least_of_bills_is_written_without_an_exponent() -> None:
    prices = "api_input_usd_per_million_tokens=0.001, api_output_usd_per_million_tokens=0.001"
    answer = COSTS.ask(
        {"model": "7B", "requests_per_day": 1, "input_tokens": 1, "output_tokens": 1, "overrides": prices}
    )
    assert "an API at $0.000000061 a month" in answer.summary
    assert not re.search(r"\$[\d.]+e", answer.text())


def test_a_verdict_rounds_the_bill_itself_not_what_the_table_shows_of_it() -> None:
    """$131.4957 a month is $131.50 to the cent, and $131 to the dollar."""
    rate = 131.4957 / 730
    answer = PRESET.ask(
        {
            "preset": "starter",
            "gpu": "l4",
            "overrides": f"reserved_3yr_usd_per_gpu_hour={rate:.10f}",
            "usage_hours_per_day": 24,
        }
    )
    assert "$131 a month" in answer.summary
    assert "$131/month" in answer.diagram
