"""Laws of speed that hold whatever the question, asked of the planner as anybody would."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core.memory import weights
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import prefill_pass, prompt_of
from inferplan.core.speed.load import Load
from inferplan.tools._assumptions import Ledger
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.serving.settings import serving

MODEL = st.sampled_from(
    ["7B", "13B", "70B", "meta-llama/Llama-3.3-70B-Instruct", "openai/gpt-oss-20b", "Qwen/Qwen3-32B"]
)
GPU = st.sampled_from(["h100-sxm", "h200-sxm", "b200-sxm", "a100-80gb-sxm"])
CONTEXT = st.integers(64, 32_000)
ROUNDING = 1e-3
"""Answers are rounded to a tenth or a hundredth."""


@cache
def _ask(arguments: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return TOOLS_BY_NAME["plan_parallelism"].ask(dict(arguments)).structured()


def plan(**arguments: Any) -> dict[str, Any]:
    """The answer of the planner."""
    return _ask(tuple(arguments.items()))


def alone(model: str, gpu: str, **more: Any) -> dict[str, Any]:
    """One eight-GPU node in FP8, whose layout no load changes."""
    return plan(model=model, precision="fp8", gpu=gpu, total_gpus=8, **more)


@given(model=MODEL, gpu=GPU, one=CONTEXT, other=CONTEXT)
@settings(max_examples=30, deadline=None)
def test_tokens_take_longer_in_longer_contexts(model: str, gpu: str, one: int, other: int) -> None:
    short, long = (
        alone(model, gpu, context_window=n, input_tokens=32, output_tokens=32, objective="latency")["tpot_ms"]
        for n in sorted((one, other))
    )
    assert short <= long


@given(model=MODEL, gpu=GPU, one=st.integers(1, 400), other=st.integers(1, 400))
@settings(max_examples=30, deadline=None)
def test_tokens_take_longer_where_more_sessions_run(model: str, gpu: str, one: int, other: int) -> None:
    here = serving(Ledger({}), model=model, precision="fp8", gpu=gpu)
    times = []
    for sequences in sorted((one, other)):
        load = Load(sequences=sequences, context=4096, input_tokens=1000, output_tokens=500)
        found = here.service(Layout(tp=here.degrees[-1]), load)
        assert found is not None
        times.append(found.tpot_s)
    assert times == sorted(times)


@pytest.mark.parametrize(
    "model", ["7B", "70B", "openai/gpt-oss-120b", "Qwen/Qwen3-235B-A22B", "deepseek-ai/DeepSeek-V3"]
)
def test_throughput_rises_to_a_plateau_and_never_falls_on_the_way_to_a_full_cache(model: str) -> None:
    here = serving(Ledger({}), model=model, precision="fp8", gpu="h200-sxm")
    layout = Layout(tp=here.degrees[-1])
    held = here.capacity(layout, 2000).sessions
    rates = []
    for sequences in (2**n for n in range(held.bit_length())):
        found = here.service(layout, Load(sequences=sequences, context=2000, input_tokens=1000, output_tokens=1000))
        assert found is not None
        rates.append(found.tokens_per_s)
    assert rates == sorted(rates)
    gains = [after / before for before, after in pairwise(rates)]
    assert gains[-1] < gains[0]
    assert gains[-1] < 1.7


@given(model=MODEL, gpu=GPU, one=CONTEXT, other=CONTEXT)
@settings(max_examples=30, deadline=None)
def test_first_tokens_take_longer_after_longer_prompts(model: str, gpu: str, one: int, other: int) -> None:
    short, long = (
        alone(model, gpu, context_window=40_000, input_tokens=n, output_tokens=100)["ttft_ms"]
        for n in sorted((one, other))
    )
    assert short <= long


@given(model=MODEL, gpu=GPU, users=st.integers(1, 50))
@settings(max_examples=20, deadline=None)
def test_a_link_without_latency_and_all_of_its_bandwidth_never_loses(model: str, gpu: str, users: int) -> None:
    aimed = {"context_window": 4000, "concurrent_users": users, "objective": "latency"}
    plain = alone(model, gpu, **aimed)
    quick = alone(
        model, gpu, **aimed, overrides="all_reduce_latency_us=0, link_efficiency=1, inter_node_gb_per_s=10000"
    )
    assert quick["tpot_ms"] <= plain["tpot_ms"]
    assert quick["ttft_ms"] <= plain["ttft_ms"] * (1 + ROUNDING) or quick["tp"] != plain["tp"]


@given(model=MODEL, gpu=GPU, copies=st.integers(2, 6), users=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_replicas_multiply_the_throughput_exactly(model: str, gpu: str, copies: int, users: int) -> None:
    here = serving(Ledger({}), model=model, precision="fp8", gpu=gpu)
    load = Load(sequences=users, context=2000, input_tokens=1000, output_tokens=1000)
    assert here.service(Layout(tp=2), load) == here.service(Layout(tp=2, dp=copies), load)
    single = plan(model=model, precision="fp8", gpu=gpu, total_gpus=1, concurrent_users=users, context_window=500)
    copied = plan(
        model=model, precision="fp8", gpu=gpu, total_gpus=copies, concurrent_users=users * copies, context_window=500
    )
    if single["serves_users"] and copied["dp"] == copies:
        assert copied["tokens_per_s"] == pytest.approx(copies * single["tokens_per_s"], rel=ROUNDING)


def test_fp8_never_needs_more_memory_than_16_bit() -> None:
    heavier = [
        model.id
        for model in MODELS.values()
        if weights(model, FORMATS["fp8"]).total > weights(model, FORMATS["bf16"]).total
    ]
    assert heavier == []


@given(model=MODEL, gpu=GPU, few=st.integers(1, 16), many=st.integers(1, 16))
@settings(max_examples=25, deadline=None)
def test_more_gpus_never_give_less_throughput_at_the_best_layout(model: str, gpu: str, few: int, many: int) -> None:
    less, more = (
        plan(model=model, precision="fp8", gpu=gpu, total_gpus=n, context_window=2000, objective="throughput")
        for n in sorted((few, many))
    )
    assert (more["max_tokens_per_s"] or 0) >= (less["max_tokens_per_s"] or 0) * (1 - ROUNDING)


@pytest.mark.parametrize("gpu", ["h100-sxm", "h200-sxm", "b200-sxm", "a100-80gb-sxm", "mi300x"])
@pytest.mark.parametrize("model", ["meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"])
def test_prompts_are_never_read_faster_than_the_gpus_compute_however_short_the_answers(model: str, gpu: str) -> None:
    """2 FLOP per parameter and token of a prompt, of the peak of 8 GPUs; and from 1 to 2 tokens nothing jumps."""
    form = "bf16" if gpu == "a100-80gb-sxm" else "fp8"
    here = serving(Ledger({}), model=model, precision=form, gpu=gpu)
    peak = here.gpu.peak_flops(form)
    assert peak is not None
    rates = []
    for output in (1, 2, 4, 16):
        load = Load(sequences=64, context=2000, input_tokens=2000, output_tokens=output)
        found = here.service(Layout(tp=8), load)
        assert found is not None
        assert found.requests_per_s * 2000 * 2 * here.model.total_params < 8 * peak
        rates.append(found.requests_per_s)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] < 1.2 * rates[1]


@pytest.mark.parametrize("groups", [2, 8])
def test_groups_that_share_experts_compute_their_prompts_at_the_same_time(groups: int) -> None:
    """Each group's prompt reads the same experts: what one adds is its share of a pass with one for each group."""
    here = serving(Ledger({}), model="Qwen/Qwen3-235B-A22B", precision="fp8", gpu="h200-sxm")
    replica = here.replica(Layout(attention_dp=groups))
    assert replica
    on = (replica.work, replica.machine, replica.layout)
    together, alone = prefill_pass(*on, 512, prompts=groups), prefill_pass(*on, 512)
    assert prompt_of(*on, 512).added_s == pytest.approx((together.total_s - together.fixed_s) / groups)
    assert prompt_of(*on, 512).added_s < alone.total_s - alone.fixed_s


def test_no_prompt_comes_between_tokens_where_there_is_one() -> None:
    """What requests at random keep busy hangs on it: each stays for its prompt and one step."""
    here = serving(Ledger({}), model="70B", precision="fp8", gpu="h100-sxm")
    load = Load(sequences=50, context=1500, input_tokens=1000, output_tokens=1)
    one, two = (here.service(Layout(tp=8), replace(load, output_tokens=tokens)) for tokens in (1, 2))
    assert one
    assert two
    assert one.tpot_s == one.decode.total_s == two.decode.total_s < two.tpot_s
