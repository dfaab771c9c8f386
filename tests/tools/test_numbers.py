"""Numbers as people write them: taken where they can be read in one way only, asked about where not."""

from typing import Any

import pytest
from mcp import Client
from pydantic import ValidationError

from inferplan.tools.registry import TOOLS_BY_NAME
from results import texts

ASKED: dict[str, dict[str, Any]] = {
    "compare_costs": {"model": "70B", "requests_per_day": 1000},
    "estimate_vram": {"model": "70B"},
    "plan_parallelism": {"model": "70B"},
    "run_preset": {"preset": "production"},
}


@pytest.mark.parametrize(
    ("tool", "name", "said", "meant"),
    [
        ("compare_costs", "requests_per_day", "50,000", 50_000),
        ("compare_costs", "requests_per_day", "50 000", 50_000),
        ("compare_costs", "requests_per_day", "50'000", 50_000),
        ("compare_costs", "requests_per_day", "50_000", 50_000),
        ("compare_costs", "requests_per_day", "10,00,000", 1_000_000),
        ("compare_costs", "requests_per_day", "1.000.000", 1_000_000),
        ("compare_costs", "requests_per_day", "50k", 50_000),
        ("compare_costs", "requests_per_day", "2M", 2_000_000),
        ("compare_costs", "requests_per_day", "1M/day", 1_000_000),
        ("compare_costs", "requests_per_day", "1.5 million", 1_500_000),
        ("compare_costs", "requests_per_day", "2 billion requests", 2_000_000_000),
        ("compare_costs", "requests_per_day", "1e6", 1_000_000),
        ("estimate_vram", "context_window", "1 million tokens", 1_000_000),
        ("compare_costs", "requests_per_day", "50k requests a day", 50_000),
        ("compare_costs", "usage_hours_per_day", "8 hours", 8),
        ("estimate_vram", "concurrent_users", "200 users", 200),
        ("estimate_vram", "context_window", "32K tokens", 32_768),
        ("plan_parallelism", "total_gpus", "8 GPUs", 8),
        ("plan_parallelism", "max_tpot_ms", "20ms", 20),
        ("plan_parallelism", "max_ttft_ms", "0.5 s", 500),
        ("compare_costs", "requests_per_day", "1.5 M", 1_500_000),
        ("compare_costs", "usage_hours_per_day", "8.5", 8.5),
        ("compare_costs", "usage_hours_per_day", "0.125", 0.125),
        ("compare_costs", "input_tokens", "20K", 20_000),
        ("estimate_vram", "concurrent_users", "1,200", 1_200),
        ("estimate_vram", "context_window", "32k", 32 * 1024),
        ("estimate_vram", "context_window", "1.5M", 3 * 2**19),
        ("plan_parallelism", "max_ttft_ms", "2,500", 2_500),
    ],
)
def test_a_number_that_can_be_read_in_one_way_is_taken(tool: str, name: str, said: str, meant: float) -> None:
    assert TOOLS_BY_NAME[tool].ask({**ASKED[tool], name: said}).inputs[name] == meant


@pytest.mark.parametrize(
    ("tool", "name", "said", "told"),
    [
        ("compare_costs", "requests_per_day", "50.000", '"50.000" may be 50,000 or 50; write it without a point'),
        ("compare_costs", "usage_hours_per_day", "8,5", '"8,5" has a comma that parts no thousands'),
        ("compare_costs", "overrides", "purchase_usd_per_gpu=25.000", '"purchase_usd_per_gpu": "25.000" may be 25,000'),
        ("estimate_vram", "concurrent_users", "1.000", '"1.000" may be 1,000 or 1; write it without a point'),
        ("estimate_vram", "context_window", "32.768", '"32.768" may be 32,768 or 32.768; write it without a point'),
        ("plan_parallelism", "max_tpot_ms", "0,05", "write decimals with a point"),
        ("plan_parallelism", "max_ttft_ms", "2.000", '"2.000" may be 2,000 or 2'),
        ("plan_parallelism", "overrides", "memory_utilization=0,95", "numbers in overrides have no comma"),
        ("plan_parallelism", "overrides", "max_num_batched_tokens=16.384", "may be 16,384 or 16.384"),
    ],
)
def test_a_number_that_a_german_or_an_english_reader_takes_otherwise_is_asked_about(
    tool: str, name: str, said: str, told: str
) -> None:
    """Before, "1.000" users were 1, and "1,5" hours were 15."""
    with pytest.raises(ValidationError) as refused:
        TOOLS_BY_NAME[tool].ask({**ASKED[tool], name: said})
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("tool", "said", "plain"),
    [
        ("estimate_vram", "memory_utilization=95%", "memory_utilization=0.95"),
        ("estimate_vram", "--memory-utilization 92.5 %", "memory_utilization=0.925"),
        ("estimate_vram", "overhead_fraction=12.3 percent", "overhead_fraction=0.123"),
        ("estimate_vram", "front_end_ms=0.02 s", "front_end_ms=20"),
        ("estimate_vram", "layer_overhead_us=4 us, max_num_seqs=64", "layer_overhead_us=4, max_num_seqs=64"),
        ("plan_parallelism", "inter_node_gb_per_s=50 GB/s", "inter_node_gb_per_s=50"),
        ("plan_parallelism", "requests_per_s=2.5 requests/s", "requests_per_s=2.5"),
        ("plan_parallelism", "requests_per_s=3rps; gpus_per_node=4 GPUs", "requests_per_s=3, gpus_per_node=4"),
        ("run_preset", "max_tpot_ms=40ms", "max_tpot_ms=40"),
        ("estimate_vram", "cuda_graphs=false; prefix_caching=On", "cuda_graphs=0, prefix_caching=1"),
        ("compare_costs", "spot_allowed=yes", "spot_allowed=1"),
        *(
            ("compare_costs", f"on_demand_usd_per_gpu_hour={said}", "on_demand_usd_per_gpu_hour=2.5")
            for said in (
                "$2.50",
                "$2.50/h",
                "2.50 USD",
                "US$2.50 per GPU per hour",
                "$2.5/GPU-hr",
                "2.5 dollars an hour",
            )
        ),
        ("compare_costs", "purchase_usd_per_gpu=$25k", "purchase_usd_per_gpu=25000"),
        ("compare_costs", "purchase_usd_per_gpu=$27.5K per GPU", "purchase_usd_per_gpu=27500"),
        ("compare_costs", "staff_usd_per_year=$200k/year", "staff_usd_per_year=200000"),
        ("compare_costs", "electricity_usd_per_kwh=$0.12/kWh", "electricity_usd_per_kwh=0.12"),
        ("compare_costs", "colocation_usd_per_kw_month=150 USD/kW/month", "colocation_usd_per_kw_month=150"),
        ("compare_costs", "power_kw_per_gpu=700 W", "power_kw_per_gpu=0.7"),
        ("compare_costs", "depreciation_years=4 years", "depreciation_years=4"),
        ("compare_costs", "cost_of_capital=8%", "cost_of_capital=0.08"),
        (
            "compare_costs",
            "api_input_usd_per_million_tokens=$0.60/M; api_output_usd_per_million_tokens=$2 per million tokens",
            "api_input_usd_per_million_tokens=0.6, api_output_usd_per_million_tokens=2",
        ),
    ],
)
def test_an_override_with_its_own_unit_is_the_number_alone_to_the_last_digit(tool: str, said: str, plain: str) -> None:
    told, expected = (TOOLS_BY_NAME[tool].ask({**ASKED[tool], "overrides": text}) for text in (said, plain))
    assert told == expected
    assert told.inputs["overrides"] == plain


@pytest.mark.parametrize(
    ("tool", "said", "told"),
    [
        ("estimate_vram", "memory_utilization=95", '0.1 to 0.99; got "95"; write 0.95 or 95%'),
        ("estimate_vram", "overhead_fraction=15", '0 to 2; got "15"; write 0.15 or 15%'),
        ("estimate_vram", "overhead_fraction=300%", 'takes a number from 0 to 2; got "300%"'),
        ("estimate_vram", "memory_utilization=120%", 'takes a number from 0.1 to 0.99; got "120%"'),
        ("estimate_vram", "memory_utilization=70 GB", 'takes a number from 0.1 to 0.99; got "70 GB"'),
        ("plan_parallelism", "inter_node_gb_per_s=400Gbps", 'from 0.1 to 10,000 GB/s; got "400Gbps"'),
        ("compare_costs", "on_demand_usd_per_gpu_hour=\N{EURO SIGN}2.50", "takes a number from 0 to 10,000 USD/h; got"),
        ("compare_costs", "on_demand_usd_per_gpu_hour=$60/day", 'from 0 to 10,000 USD/h; got "$60/day"'),
        ("compare_costs", "purchase_usd_per_gpu=$25.000", '"25.000" may be 25,000 or 25'),
        ("compare_costs", "purchase_usd_per_gpu=$25,000", "numbers in overrides have no comma"),
        ("compare_costs", "pue=20%", 'takes a number from 1 to 3; got "20%"'),
        ("plan_parallelism", "max_num_batched_tokens=8k", 'a whole number from 16 to 1,048,576; got "8k"'),
        ("estimate_vram", "cuda_graphs=none", '"cuda_graphs" takes 1 (on) or 0 (off); got "none"'),
        ("estimate_vram", "max_num_seqs=true", 'takes a whole number from 1 to 65,536; got "true"'),
    ],
)
def test_an_override_in_another_unit_is_answered_with_the_one_that_it_takes(tool: str, said: str, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TOOLS_BY_NAME[tool].ask({**ASKED[tool], "overrides": said})
    assert told in str(refused.value)
    assert ("; write 0." in told) == ("; write 0." in str(refused.value))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "flag", "given"),
    [
        ("estimate_vram", "gpu_memory_utilization=95%", "memory_utilization=95%"),
        ("compare_costs", "price_per_hour=$2.50", "on_demand_usd_per_gpu_hour=$2.50"),
    ],
)
async def test_what_a_flag_with_a_unit_is_answered_with_can_be_given(
    client: Client, tool: str, flag: str, given: str
) -> None:
    told = await client.call_tool(tool, {**ASKED[tool], "overrides": flag})
    assert f'give overrides="{given}"' in texts(told)
    assert not (await client.call_tool(tool, {**ASKED[tool], "overrides": given})).is_error


@pytest.mark.anyio
async def test_a_client_is_told_in_one_sentence_what_a_number_may_be(client: Client) -> None:
    answer = await client.call_tool("compare_costs", {"model": "70B", "requests_per_day": "50.000"})
    assert answer.is_error
    assert texts(answer) == (
        '`compare_costs`: 1 problem. `requests_per_day`: "50.000" may be 50,000 or 50; write it without a point.'
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "name", "said"),
    [
        ("plan_parallelism", "max_tpot_ms", "20 tok/s"),
        ("compare_costs", "usage_hours_per_day", "business hours"),
        ("plan_parallelism", "total_gpus", "many GPUs"),
    ],
)
async def test_what_is_no_number_is_repeated_as_it_came(client: Client, tool: str, name: str, said: str) -> None:
    """Before, the end that reads like a unit was missing: "20 tok/"."""
    assert f'; got "{said}".' in texts(await client.call_tool(tool, {**ASKED[tool], name: said}))


@pytest.mark.parametrize("said", ["9" * 5000, "1," * 5000, "k", "1.2.3", ".", ",", "1k2", "-5", "²", "1e400"])
def test_what_is_no_number_is_refused(said: str) -> None:
    with pytest.raises(ValidationError):
        TOOLS_BY_NAME["estimate_vram"].ask({"model": "70B", "concurrent_users": said})


def test_a_config_json_between_the_fences_of_markdown_is_read_as_it_is_without_them() -> None:
    config = (
        '{"model_type":"llama","hidden_size":4096,"num_hidden_layers":32,"intermediate_size":14336,'
        '"num_attention_heads":32,"num_key_value_heads":8,"vocab_size":128256}'
    )
    tool = TOOLS_BY_NAME["estimate_vram"]
    plain = tool.ask({"model": config})
    assert plain.weights_gb == pytest.approx(16.06, abs=0.005)
    for fenced in (f"```json\n{config}\n```\n", f"```\n{config}\n```", f"```{config}```"):
        assert tool.ask({"model": fenced}).inputs == plain.inputs


def test_of_few_names_all_are_listed_to_who_gives_none_of_them() -> None:
    with pytest.raises(ValidationError) as refused:
        TOOLS_BY_NAME["estimate_vram"].ask({"model": "70B", "engine": "tgi"})
    assert 'no engine "tgi"; known are: "vllm", "sglang", "tensorrt-llm", "llama.cpp"' in str(refused.value)
