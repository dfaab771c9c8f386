"""What a million tokens cost on GPUs that are kept busy, against the bill that such a load comes to."""

import re
from typing import Any

import pytest

from inferplan.catalog.prices import rental
from inferplan.tools._assumptions import Ledger
from inferplan.tools.costs import TOOL as COSTS
from inferplan.tools.moe import TOOL as MOE
from inferplan.tools.money.unit_cost import take_rent, usd_per_million_tokens
from inferplan.tools.quantization import TOOL as QUANTIZATION
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import serving


def on(model: str, precision: str = "fp8", gpu: str = "h100-sxm") -> Serving:
    return serving(Ledger({}), model=model, precision=precision, gpu=gpu)


def usd(one: Serving) -> float | None:
    rent = take_rent(Ledger({}), one.gpu)
    return rent and usd_per_million_tokens(one, rent)


def test_it_is_the_rate_over_the_tokens_of_an_hour_that_are_planned_for() -> None:
    """One H100 at 3.99 USD an hour: output tokens and as many input tokens, planned at 75 %."""
    answer = COSTS.ask({"model": "7B", "requests_per_day": 1})
    assert answer.gpus_per_instance == 1
    tokens = (1 + 1) * 0.75 * answer.tokens_per_s_per_instance * 3600
    assert usd(on("7B")) == pytest.approx(3.99 / tokens * 1e6, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "precision", "gpu"),
    [("70B", "fp8", "h100-sxm"), ("405B", "fp16", "h100-sxm"), ("745B MoE", "fp8", "h200-sxm"), ("7B", "int4", "l4")],
)
def test_it_is_what_a_bill_comes_to_where_many_instances_are_full(model: str, precision: str, gpu: str) -> None:
    found = usd(on(model, precision, gpu))
    assert found is not None
    asked = {"model": model, "precision": precision, "gpu": gpu, "requests_per_day": 10**9}
    option = next(one for one in COSTS.ask(asked).options if one.name == "on_demand")
    assert option.usd_per_million_tokens == pytest.approx(found, rel=2e-3)
    fewer = next(one for one in COSTS.ask(asked | {"requests_per_day": 1000}).options if one.name == "on_demand")
    assert fewer.usd_per_million_tokens > found


def test_a_gpu_without_a_price_has_none() -> None:
    assert usd(on("7B", gpu="vr200")) is None


def test_where_nobody_rents_a_gpu_out_its_tokens_cost_what_owning_it_does_and_that_is_said() -> None:
    """What a bill comes to where instances are full, here of owned hardware; the rate can be given back."""
    assert rental("h20", "on_demand") is None
    found = usd(on("70B", gpu="h20"))
    assert found is not None
    bill = COSTS.ask({"model": "70B", "gpu": "h20", "requests_per_day": 10**9})
    assert next(one for one in bill.options if one.name == "own").usd_per_million_tokens == pytest.approx(
        found, rel=2e-3
    )
    answer = QUANTIZATION.ask({"model": "70B", "gpu": "h20"})
    assert answer.usd_per_million_tokens["fp8"] == pytest.approx(found, rel=0.01)
    assert re.search(r"tokens cost least: \$[\d.]+ a million on owned GPUs\.", answer.summary)
    listed = {entry.name: entry for entry in answer.assumptions}["owned_usd_per_gpu_hour"]
    assert listed.value == {entry.name: entry.value for entry in bill.assumptions}["owned_usd_per_gpu_hour"]
    assert "nobody rents it out" in listed.why
    pair = MOE.ask({"gpu": "h20", "precision": "fp8"})
    assert pair.dense.usd_per_million_tokens == pytest.approx(found, rel=0.01)
    assert re.search(r"cost \$[\d.]+ owned, against \$", pair.summary)


def test_sentences_and_tables_say_the_same_price() -> None:
    """Dozens of L4 come to more than a dollar, H100 to less: cents, below a dollar three digits."""
    for gpu in ("l4", "h100-sxm"):
        pair = MOE.ask({"dense_model": "405B" if gpu == "l4" else "70B", "precision": "fp8", "gpu": gpu})
        said = re.search(r"A million tokens cost \$([\d.]+) rented, against \$([\d.]+)\.", pair.summary)
        assert said
        shown = [pair.moe.usd_per_million_tokens, pair.dense.usd_per_million_tokens]
        assert [float(usd) for usd in said.groups()] == shown
        exact = [usd(on(side.model, gpu=gpu)) for side in (pair.moe, pair.dense)]
        assert shown == [pytest.approx(one, abs=0.005 if one > 1 else 5e-4) for one in exact if one]


def test_formats_of_the_same_price_share_the_first_place() -> None:
    """On a Mac whose time goes into prefill, in 16 bit whatever the format: one cost least, two as much."""
    answer = QUANTIZATION.ask({"model": "llama 3.1 8b", "gpu": "m3 ultra"})
    usd = answer.usd_per_million_tokens
    assert usd["fp8"] == usd["int4"] == min(usd.values())
    assert "FP8 and INT4 tokens cost least: $" in answer.summary


def test_the_price_of_the_one_format_that_runs_is_not_called_the_least() -> None:
    answer = QUANTIZATION.ask({"model": "gpt-oss-20b", "gpu": "t4"})
    assert list(answer.usd_per_million_tokens) == ["int4"]
    assert re.search(r"\. INT4 tokens cost \$[\d.]+ a million\.", answer.summary)


def test_a_rate_of_owning_that_the_caller_gives_comes_before_the_rent() -> None:
    given = {"model": "70B", "overrides": "owned_usd_per_gpu_hour=1.995, on_demand_usd_per_gpu_hour=9"}
    answer, rented = QUANTIZATION.ask(given), QUANTIZATION.ask({"model": "70B"})
    half = rented.usd_per_million_tokens["fp8"] * 1.995 / 3.99
    assert answer.usd_per_million_tokens["fp8"] == pytest.approx(half, rel=0.01)
    why = {entry.name: entry.why for entry in answer.assumptions}
    assert why["on_demand_usd_per_gpu_hour"] == "given, but nothing here depends on it"


def test_a_model_that_no_layout_holds_has_none() -> None:
    assert usd(on("Qwen/Qwen3.8-2.4T-A95B", "fp32", "t4")) is None


def test_each_format_and_each_model_says_its_own() -> None:
    prices = QUANTIZATION.ask({"model": "70B"}).usd_per_million_tokens
    assert prices["fp8"] == pytest.approx(usd(on("70B")), abs=0.005)
    assert prices["fp8"] < prices["fp16"] < prices["fp32"]
    assert QUANTIZATION.ask({"model": "70B", "gpu": "vr200"}).usd_per_million_tokens == {}
    pair = MOE.ask({"precision": "fp8"})
    assert pair.dense.usd_per_million_tokens == prices["fp8"]
    assert pair.moe.usd_per_million_tokens == pytest.approx(usd(on("745B MoE")), abs=0.005)


@pytest.mark.parametrize(
    ("tool", "asked", "price"),
    [
        (QUANTIZATION, {"model": "70B"}, lambda answer: answer.usd_per_million_tokens["fp8"]),
        (MOE, {"precision": "fp8"}, lambda answer: answer.dense.usd_per_million_tokens),
    ],
    ids=["compare_quantization", "compare_moe_dense"],
)
def test_the_rate_is_listed_and_it_and_the_share_planned_for_can_be_given(tool: Any, asked: Any, price: Any) -> None:
    def said(answer: Any) -> dict[str, Any]:
        return {entry.name: (entry.value, entry.why) for entry in answer.assumptions}

    plain = tool.ask(asked)
    own = tool.ask({**asked, "overrides": "on_demand_usd_per_gpu_hour=7.98, utilization=0.5"})
    quote = rental("h100-sxm", "on_demand")
    assert quote is not None
    assert said(plain)["on_demand_usd_per_gpu_hour"][0] == round(quote.median, 4)
    assert "median of" in said(plain)["on_demand_usd_per_gpu_hour"][1]
    assert said(own)["utilization"] == (0.5, "you said so")
    assert said(own)["on_demand_usd_per_gpu_hour"] == (7.98, "you said so")
    assert price(own) == pytest.approx(price(plain) * 7.98 / quote.median * 0.75 / 0.5, rel=0.01)


def test_a_rate_that_the_caller_gives_prices_a_gpu_that_nobody_quotes() -> None:
    asked = {"model": "7B", "gpu": "vr200", "overrides": "on_demand_usd_per_gpu_hour=1.5"}
    answer = QUANTIZATION.ask(asked)
    assert answer.usd_per_million_tokens["fp16"] > 0
    assert "owned" not in answer.summary


def test_summaries_say_what_the_table_says() -> None:
    answer = QUANTIZATION.ask({"model": "70B"})
    cheapest, usd = min(answer.usd_per_million_tokens.items(), key=lambda pair: pair[1])
    assert f"{cheapest.upper()} tokens cost least: ${usd:.3g} a million" in answer.summary
    pair = MOE.ask({})
    said = re.search(r"cost \$([\d.]+) rented, against \$([\d.]+\d)", pair.summary)
    assert said
    assert [float(usd) for usd in said.groups()] == [
        pytest.approx(side.usd_per_million_tokens, abs=0.0051) for side in (pair.moe, pair.dense)
    ]
