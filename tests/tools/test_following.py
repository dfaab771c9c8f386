"""The calls that follow an answer ask about the same thing."""

import subprocess
import sys
from typing import Any

import pytest

from inferplan.catalog.presets import PRESETS
from inferplan.tools._tool import NextStep
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from usual_questions import answered

DEPLOYED = {"model": "llama 3.3 70b", "precision": "fp8", "kv_precision": "fp8", "concurrent_users": 100}


def steps(tool: str, **arguments: Any) -> dict[str, NextStep]:
    answer = TOOLS_BY_NAME[tool].ask(arguments)
    return {f"{step.tool} {i}": step for i, step in enumerate(answer.next_steps)}


def taken(step: NextStep) -> Any:
    return TOOLS_BY_NAME[step.tool].ask(step.arguments)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_next_step_of_usual_questions_can_be_taken(tool: Any) -> None:
    for arguments, answer in answered(tool, 40):
        for step in answer.next_steps:
            assert taken(step).summary, (arguments, step)


@pytest.mark.parametrize("tool", ["estimate_vram", "plan_parallelism", "run_preset"])
@pytest.mark.parametrize("gpus", [None, 64])
@pytest.mark.parametrize(("model", "gpu"), [("70B", "h100"), ("deepseek r1", "t4")])
def test_no_step_or_change_asks_about_more_gpus_than_are_counted(
    tool: str, gpus: int | None, model: str, gpu: str
) -> None:
    """A million users with a million tokens each take millions of GPUs; a question may name 100,000."""
    asked: dict[str, Any] = {"model": model, "precision": "fp8", "gpu": gpu, "concurrent_users": 10**6}
    asked |= {"context_window": 10**6} | ({} if gpus is None else {"total_gpus": gpus})
    answer = TOOLS_BY_NAME[tool].ask(asked | ({"preset": "production"} if tool == "run_preset" else {}))
    for step in answer.next_steps:
        assert taken(step).summary
    for one in getattr(answer, "changes", None) or []:
        assert one.change.get("total_gpus", 0) <= 100_000


ALONE = """
from inferplan.tools.{module} import TOOL
print(*(step.tool for step in TOOL.ask(TOOL.example).next_steps))
"""


@pytest.mark.parametrize("module", ["vram", "quantization", "parallelism", "costs", "moe", "preset"])
def test_a_tool_that_is_imported_alone_names_the_same_next_steps(module: str) -> None:
    alone = subprocess.run(
        [sys.executable, "-c", ALONE.format(module=module)], capture_output=True, text=True, check=True
    )
    (tool,) = (tool for tool in TOOLS if tool.run.__module__ == f"inferplan.tools.{module}")
    assert alone.stdout.split() == [step.tool for step in tool.ask(tool.example).next_steps] != []


def test_the_layout_of_an_estimate_is_that_of_its_cache_and_settings() -> None:
    estimate = TOOLS_BY_NAME["estimate_vram"].ask(
        {**DEPLOYED, "context_window": 16384, "overrides": "memory_utilization=0.85, overhead_fraction=0.2"}
    )
    (step,) = estimate.next_steps
    assert step.arguments["kv_precision"] == "fp8"
    assert step.arguments["overrides"] == "memory_utilization=0.85"
    plan, here = taken(step), next(row for row in estimate.hardware if row.gpu == "h100-sxm")
    assert plan.gpus_used == here.deploy.gpus
    assert plan.serves_users


def test_whole_settings_are_handed_on_as_whole_numbers() -> None:
    settings = "max_num_seqs=5, memory_utilization=0.85, engine_version=0.31"
    (step,) = TOOLS_BY_NAME["estimate_vram"].ask({**DEPLOYED, "overrides": settings}).next_steps
    assert set(step.arguments["overrides"].split(", ")) == set(settings.split(", "))


@pytest.mark.parametrize("engine", ["sglang", "tensorrt-llm"])
def test_the_engine_of_an_estimate_goes_all_the_way_to_the_bill(engine: str) -> None:
    """It is an argument of estimate_vram, and an override of the others."""
    asked = {**DEPLOYED, "context_window": 16384, "overrides": "memory_utilization=0.8, overhead_fraction=0.2"}
    estimate = TOOLS_BY_NAME["estimate_vram"].ask({**asked, "engine": engine})
    (layout,) = estimate.next_steps
    assert layout.arguments["overrides"] == f"engine={engine}, memory_utilization=0.8"
    assert "engine" not in layout.arguments
    plan, here = taken(layout), next(row for row in estimate.hardware if row.gpu == "h100-sxm")
    assert (plan.gpus_used, plan.serves_users) == (here.deploy.gpus, True)
    bill = next(step for step in plan.next_steps if step.tool == "compare_costs")
    kept = f"kv_precision=fp8, engine={engine}, memory_utilization=0.8"
    assert bill.arguments["overrides"] == kept
    (models,) = taken(bill).next_steps
    assert models.arguments["overrides"] == kept
    assert taken(models).inputs["overrides"] == kept


@pytest.mark.parametrize(("form", "other"), [("q4_k_m", "q8_0"), ("q8_0", "q4_k_m"), ("fp16", "q4_k_m")])
def test_what_follows_an_estimate_for_llama_cpp_stays_with_llama_cpp(form: str, other: str) -> None:
    """The comparison of formats counted GPUs and speeds of vLLM's layouts."""
    asked = {"model": "qwen3 8b", "engine": "llama.cpp", "gpu": "rtx-4090", "context_window": 4096}
    (step,) = steps("estimate_vram", precision=form, **asked).values()
    assert step.tool == "estimate_vram"
    assert (step.arguments["engine"], step.arguments["precision"]) == ("llama.cpp", other)
    smaller = taken(step).weights_gb < TOOLS_BY_NAME["estimate_vram"].ask({**asked, "precision": form}).weights_gb
    assert smaller is ("fewer bits" in step.why)


def test_more_bits_are_not_offered_of_a_model_that_was_released_in_few() -> None:
    """gpt-oss in MXFP4 loses nothing that Q8_0 would have."""
    assert steps("estimate_vram", model="gpt-oss 20b", engine="llama.cpp", gpu="rtx-4090") == {}


def test_a_file_that_does_not_fit_under_llama_cpp_leads_to_the_format_that_does() -> None:
    asked = {"model": "qwen3 32b", "precision": "q8_0", "engine": "llama.cpp", "gpu": "rtx-4090", "total_gpus": 1}
    assert TOOLS_BY_NAME["estimate_vram"].ask(asked).fits is False
    (step,) = steps("estimate_vram", **asked).values()
    assert step.why == "a change with which it fits, under llama.cpp too"
    assert step.arguments["precision"] != "q8_0"
    assert taken(step).fits
    assert taken(step).inputs["engine"] == "llama.cpp"


def test_a_plan_of_a_gguf_file_that_does_not_fit_leads_to_llama_cpp() -> None:
    """Qwen3 30B-A3B in Q4_K_M serves 32,768 tokens on one RTX 4090 under llama.cpp, and not under vLLM."""
    asked = {"model": "qwen3 30b a3b", "precision": "q4_k_m", "gpu": "rtx-4090", "total_gpus": 1}
    plan = TOOLS_BY_NAME["plan_parallelism"].ask({**asked, "context_window": 32768})
    assert "does not fit on 1 x RTX 4090 under vLLM 0.28" in plan.summary
    assert 'estimate_vram with engine "llama.cpp"' in plan.summary
    assert TOOLS_BY_NAME["estimate_vram"].ask({**asked, "context_window": 32768, "engine": "llama.cpp"}).fits


def test_a_verdict_on_a_gguf_file_leads_to_llama_cpp_too() -> None:
    """Its plan is of vLLM, which few serve such files by."""
    asked = {"preset": "starter", "model": "gemma 3 12b", "precision": "q4_k_m", "gpu": "rtx-4090"}
    found = TOOLS_BY_NAME["run_preset"].ask({**asked, "kv_precision": "fp8", "overrides": "max_num_seqs=8"})
    (step,) = (one for one in found.next_steps if one.tool == "estimate_vram")
    assert taken(step).inputs["engine"] == "llama.cpp"
    assert taken(step).fits
    assert not any(
        one.tool == "estimate_vram"
        for one in TOOLS_BY_NAME["run_preset"].ask({**asked, "precision": "int4"}).next_steps
    )


def test_a_plan_that_is_too_small_leads_to_one_that_serves() -> None:
    asked = {**DEPLOYED, "context_window": 32768, "total_gpus": 2}
    plan = TOOLS_BY_NAME["plan_parallelism"].ask(asked)
    assert not plan.serves_users
    assert taken(plan.next_steps[0]).serves_users
    assert plan.next_steps[0].arguments["concurrent_users"] == 100


def test_the_bill_of_a_plan_is_that_of_its_gpus_and_requests() -> None:
    plan = TOOLS_BY_NAME["plan_parallelism"].ask(
        {**DEPLOYED, "max_tpot_ms": 50, "input_tokens": 4000, "output_tokens": 1000}
    )
    bill = taken(plan.next_steps[0])
    assert bill.total_gpus >= plan.gpus_used
    kept = {name: plan.next_steps[0].arguments[name] for name in ("input_tokens", "output_tokens", "max_tpot_ms")}
    assert kept == {"input_tokens": 4000, "output_tokens": 1000, "max_tpot_ms": 50}


@pytest.mark.parametrize("preset", ["starter", "team", "production", "enterprise"])
def test_the_sections_of_a_verdict_are_found_again_in_full(preset: str) -> None:
    answer = TOOLS_BY_NAME["run_preset"].ask({"preset": preset, "kv_precision": "fp8", "usage_hours_per_day": 8})
    plan, bill = (taken(step) for step in answer.next_steps)
    assert (plan.gpus_used, plan.max_concurrent_users) == (
        answer.sections.parallelism.gpus_used,
        answer.sections.parallelism.max_concurrent_users,
    )
    assert (bill.recommended, bill.total_gpus) == (answer.sections.costs.recommended, answer.sections.costs.total_gpus)


def test_the_bill_of_a_verdict_is_that_of_its_cache() -> None:
    """A cache in FP8 lets fewer GPUs carry the requests, in the verdict's own section as in the tool."""
    asked = {"preset": "production", "model": "llama 3.3 70b", "requests_per_day": 3_000_000}
    usual, small = (TOOLS_BY_NAME["run_preset"].ask(asked | kept) for kept in ({}, {"kv_precision": "fp8"}))
    bill = taken(small.next_steps[1])
    assert bill.inputs["overrides"] == "kv_precision=fp8"
    assert bill.total_gpus == small.sections.costs.total_gpus < usual.sections.costs.total_gpus


def test_the_cache_of_a_plan_goes_all_the_way_to_the_bill_and_the_models() -> None:
    """It is an argument of the tools that size memory and layout, and an override of those that compare."""
    plan = TOOLS_BY_NAME["plan_parallelism"].ask({**DEPLOYED, "context_window": 16384})
    bill = next(step for step in plan.next_steps if step.tool == "compare_costs")
    assert bill.arguments["overrides"] == "kv_precision=fp8"
    (models,) = taken(bill).next_steps
    assert models.arguments["overrides"] == "kv_precision=fp8"
    (again, _) = taken(models).next_steps
    assert again.arguments["overrides"] == "kv_precision=fp8"


def test_fewer_bits_of_the_weights_leave_a_small_cache_small() -> None:
    """100 sessions of 131,072 tokens take 16 GB of weights and 859 GB of FP8 cache: in 16 bit twice that."""
    asked = {"model": "llama 3.1 8b", "kv_precision": "fp8", "concurrent_users": 100, "context_window": 131072}
    estimate = TOOLS_BY_NAME["estimate_vram"].ask(asked)
    (formats,) = estimate.next_steps
    assert (formats.tool, formats.arguments["overrides"]) == ("compare_quantization", "kv_precision=fp8")
    compared = taken(formats)
    assert not [one.name for one in compared.assumptions if one.name == "kv_cache_element"]
    (layout,) = compared.next_steps
    assert layout.arguments["kv_precision"] == "fp8"
    assert "overrides" not in layout.arguments
    here = next(row for row in estimate.hardware if row.gpu == "h100-sxm")
    assert taken(layout).gpus_used <= here.deploy.gpus


def test_a_cache_that_llama_cpp_alone_keeps_is_not_handed_on() -> None:
    asked = {"model": "qwen3 8b", "precision": "q4_k_m", "kv_precision": "q8_0", "engine": "llama.cpp"}
    (formats,) = steps("estimate_vram", **asked, gpu="rtx-4090").values()
    assert "overrides" not in formats.arguments


def test_a_mixture_of_experts_is_compared_as_one_after_its_bill() -> None:
    (step,) = steps("compare_costs", model="deepseek r1", requests_per_day=1000, gpu="h200").values()
    assert step.arguments == {"moe_model": "deepseek-ai/DeepSeek-R1", "precision": "fp8", "gpu": "h200-sxm"}


@pytest.mark.parametrize("gpu", ["h100", "tpu-v6e", "tpu-v7x", "mi355x", "h20", "apple-m4-max", "vr200"])
def test_two_models_are_followed_by_a_bill_where_a_price_is_known(gpu: str) -> None:
    found = TOOLS_BY_NAME["compare_moe_dense"].ask({"gpu": gpu, "moe_model": "qwen3 30b a3b"})
    assert all(taken(step).summary for step in found.next_steps)
    assert any(step.tool == "compare_costs" for step in found.next_steps) == (gpu not in ("tpu-v7x", "vr200"))


@pytest.mark.parametrize("gpu", ["h20", "dgx-spark-gb10", "vr200"])
def test_a_plan_is_followed_by_a_bill_where_the_gpu_can_be_rented_or_owned(gpu: str) -> None:
    found = TOOLS_BY_NAME["plan_parallelism"].ask({"model": "7B", "gpu": gpu, "concurrent_users": 2})
    assert all(taken(step).summary for step in found.next_steps)
    assert any(step.tool == "compare_costs" for step in found.next_steps) == (gpu != "vr200")


def bill_asked_for(**arguments: Any) -> NextStep:
    """The bill that a plan of a 70B in FP8 leads to."""
    answer = TOOLS_BY_NAME["plan_parallelism"].ask({"model": "70B", "precision": "fp8", **arguments})
    return next(step for step in answer.next_steps if step.tool == "compare_costs")


EACH = " at 1,000 requests a day for each user"


@pytest.mark.parametrize(("users", "each"), [(1, ""), (50, EACH), (200, EACH)])
def test_a_plan_asks_for_the_bill_of_a_thousand_requests_a_day_for_each_user_and_says_so_of_several(
    users: int, each: str
) -> None:
    """The guide's production preset has 50,000 for 50 users; all plans asked for 50,000, even those of one user."""
    step = bill_asked_for(concurrent_users=users)
    assert step.arguments["requests_per_day"] == 1000 * users
    assert step.why == f"their bill{each}"
    production = PRESETS["production"]
    assert production.requests_per_day == 1000 * production.concurrent_users


def test_users_whose_answers_take_so_long_that_a_day_has_no_thousand_of_them_ask_fewer() -> None:
    asked: dict[str, Any] = {"context_window": 32_768, "input_tokens": 1000, "output_tokens": 30_000}
    plan = TOOLS_BY_NAME["plan_parallelism"].ask({"model": "70B", "precision": "fp8", "concurrent_users": 8, **asked})
    step = bill_asked_for(concurrent_users=8, **asked)
    assert plan.ttft_ms
    assert plan.tpot_ms
    a_day = 86_400_000 / (plan.ttft_ms + 29_999 * plan.tpot_ms)
    assert a_day < 1000
    assert step.arguments["requests_per_day"] == pytest.approx(8 * a_day, abs=8)
    assert step.why == f"their bill at {int(a_day):,} requests a day for each user"


def test_requests_that_a_question_has_are_those_of_its_bill() -> None:
    """Two a second are 172,800 a day."""
    assert bill_asked_for(overrides="requests_per_s=2").arguments["requests_per_day"] == 172_800


def test_a_context_that_was_given_is_not_said_to_be_assumed_by_what_follows() -> None:
    """8,192 is the default: a step that left it out had the next answer say that nobody gave it."""
    given, assumed = ({**DEPLOYED, "context_window": 8192}, DEPLOYED)
    for asked, listed in ((given, False), (assumed, True)):
        (step,) = TOOLS_BY_NAME["estimate_vram"].ask(asked).next_steps
        names = [one.name for one in taken(step).assumptions]
        assert ("context_window" in names) is listed
