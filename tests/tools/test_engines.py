"""The serving engine as an override: what is planned, timed, started, billed and refused is that engine's."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inferplan.core.serving_laws import Service, serve
from inferplan.core.units import MILLI
from inferplan.tools._tool import Answer
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.serving.latency import WHENEVER, Pace
from inferplan.tools.validation.harnesses import static_share
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_rows import SpeedRow
from inferplan.tools.validation.speed_validation import predict, regime
from published_speed import published
from refusals import runs

ENGINES = ("sglang", "tensorrt-llm")
CALLED = {"vllm": "vLLM 0.28", "sglang": "SGLang 0.5", "tensorrt-llm": "TensorRT-LLM 1.x"}
STARTS = {"sglang": "python -m sglang.launch_server --model-path ", "tensorrt-llm": "trtllm-serve "}
ASKED: dict[str, dict[str, Any]] = {
    "compare_quantization": {"model": "llama 3.3 70b", "concurrent_users": 40},
    "plan_parallelism": {"model": "llama 3.3 70b", "precision": "fp8", "concurrent_users": 40, "total_gpus": 4},
    "compare_costs": {"model": "llama 3.3 70b", "requests_per_day": 200_000},
    "compare_moe_dense": {"dense_model": "llama 3.3 70b", "moe_model": "deepseek v3", "precision": "fp8"},
    "run_preset": {"preset": "production", "model": "llama 3.3 70b"},
}
TOOLS = list(ASKED)


def ask(tool: str, **arguments: Any) -> Any:
    return TOOLS_BY_NAME[tool].ask(arguments)


def under(engine: str, tool: str, **changes: Any) -> Any:
    overrides = ", ".join(filter(None, (f"engine={engine}", changes.pop("overrides", ""))))
    return ask(tool, **ASKED[tool] | changes, overrides=overrides)


def refused(tool: str, **arguments: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ask(tool, **arguments)
    (problem,) = (one for one in caught.value.errors() if one["type"] != "default_factory_not_called")
    return problem["msg"].removeprefix("Value error, ")


def assumed(answer: Answer) -> dict[str, str]:
    return {one.name: f"{one.value} ({one.why})" for one in answer.assumptions}


def said(answer: Answer) -> dict[str, Any]:
    """The figures and words of an answer, without what it repeats of the question."""
    return {
        name: value
        for name, value in answer.model_dump().items()
        if name not in ("assumptions", "inputs", "next_steps")
    }


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_tool_answers_for_the_engine_and_not_for_vllm(engine: str, tool: str) -> None:
    answer, plain = under(engine, tool), ask(tool, **ASKED[tool])
    assert said(answer) != said(plain)
    assert CALLED[engine] in answer.text()
    assert "vllm" not in answer.text().lower()
    assert assumed(answer)["engine"] == f"{engine} (you said so)"
    assert answer.inputs["overrides"] == f"engine={engine}"
    assert all(step.arguments["overrides"] == f"engine={engine}" for step in answer.next_steps)


@pytest.mark.parametrize("tool", TOOLS)
def test_vllm_by_name_is_what_is_answered_for_without_one(tool: str) -> None:
    assert said(under("vllm", tool)) == said(ask(tool, **ASKED[tool]))


CASE = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["70B", "llama 3.3 70b", "gpt-oss-120b", "qwen3-30b-a3b", "deepseek r1"]),
        "precision": st.sampled_from(["bf16", "fp8", "int4", "awq"]),
        "concurrent_users": st.integers(1, 300),
        "context_window": st.integers(1000, 40_000),
        "gpu": st.sampled_from(["h100-sxm", "h200-sxm", "b200-sxm", "rtx-4090", "mi300x"]),
        "engine": st.sampled_from(ENGINES),
    }
).filter(lambda case: runs(case["gpu"], case["precision"], case["engine"]))


@given(case=CASE)
@settings(max_examples=60)
def test_a_plan_holds_what_the_estimate_of_the_same_engine_says(case: dict[str, Any]) -> None:
    """The fewest GPUs are the same, and in the same layout so are their users and their command."""
    estimate = ask("estimate_vram", **case)
    placed = next(row for row in estimate.hardware if row.gpu == case["gpu"])
    engine = case["engine"]
    plan = ask(
        "plan_parallelism",
        **{name: value for name, value in case.items() if name != "engine"},
        overrides=f"engine={engine}",
    )
    assert plan.fits == (placed.deploy is not None)
    if placed.deploy is None:
        return
    assert plan.gpus_used == placed.deploy.gpus
    assert f"Under {CALLED[engine]} it takes" in plan.summary
    same = plan.tp == placed.deploy.tp and plan.pp == placed.deploy.pp and plan.ep == (placed.deploy.ep or 1)
    if same:
        assert plan.max_concurrent_users == placed.max_concurrent_users
    if plan.launch:
        assert STARTS[engine] in plan.launch


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        ("sglang", "63.44 to fill - weights 16.96 - runtime 0.10 = 46.38 GiB"),
        (
            "tensorrt-llm",
            "0.9 x (79.18 to fill - weights 16.96 - activations 0.83 - runtime 1.53 - graphs 0.25) = 53.65 GiB",
        ),
        ("vllm", "0.92 x 79.18 - weights 16.96 - activations 0.83 - runtime 2.67 = 52.39 GiB"),
    ],
)
def test_the_pool_is_worked_out_as_the_engine_does(engine: str, line: str) -> None:
    """SGLang: 0.819 of the 79.18 - 0.7 - 1.02 GiB that are free on four H100 before it loads; a share of the end."""
    plan = under(engine, "plan_parallelism", concurrent_users=70)
    assert plan.tp == 4
    assert plan.formula[1] == f"KV pool     {line}"


@pytest.mark.parametrize(("gpus", "share"), [(2, 0.828), (4, 0.819)])
def test_the_share_that_sglang_fills_is_that_of_the_layout_planned(gpus: int, share: float) -> None:
    """1 - (512 + 1.5 x 8,192 + 128 x GPUs + 2 x (256, of 4 GPUs 512) + 8 x 58) / 81,559 MiB."""
    plan = under("sglang", "plan_parallelism", total_gpus=gpus, objective="latency")
    assert plan.tp == gpus
    assert assumed(plan)["memory_utilization"] == f"{share} (default)"


@pytest.mark.parametrize(("engine", "runs_of_it"), [("vllm", 300), ("sglang", 154), ("tensorrt-llm", 556)])
def test_the_range_of_a_time_is_that_of_published_runs_of_the_engine(engine: str, runs_of_it: int) -> None:
    plan = under(engine, "plan_parallelism")
    assert assumed(plan)["speed_model"] == f"fitted (half of {runs_of_it} published runs)"
    assert "half of published runs lie within" in plan.summary


LATENT = {"model": "deepseek r1", "precision": "fp8", "total_gpus": 8}


def test_where_no_run_of_the_engine_was_published_the_range_is_said_to_be_of_any() -> None:
    """Offline all but a few of the published runs are TensorRT-LLM's: those of vLLM are of CDNA, of SGLang none is."""
    for engine, where in (("vllm", " on any engine"), ("sglang", " on any engine"), ("tensorrt-llm", "")):
        bill = under(engine, "compare_costs")
        assert re.match(rf"fitted \(half of runs{where} \d", assumed(bill)["throughput"]), engine
    latent = under("sglang", "plan_parallelism", **LATENT, gpu="h200")
    assert "half of published runs on any engine and other GPUs lie within" in latent.summary
    assert "half of published runs lie" in under("sglang", "plan_parallelism", **LATENT, gpu="b200").summary


@pytest.mark.parametrize("engine", ENGINES)
def test_how_far_the_memory_rules_were_checked_is_that_engine_s(engine: str) -> None:
    plan, estimate = under(engine, "plan_parallelism"), ask("estimate_vram", model="70B", engine=engine)
    assert assumed(plan)["memory_rules"] == assumed(estimate)["memory_rules"]
    assert "engine_version" not in assumed(plan)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "setting",
    ["engine_version=0.19", "hybrid_kv_cache=0", "decode_context_parallel=2", "image_inputs=0", "first_start=1"],
)
def test_a_setting_of_vllm_that_the_engine_has_not_is_said_to_change_nothing(setting: str, engine: str) -> None:
    given = under(engine, "plan_parallelism", model="gemma 3 27b", overrides=setting)
    assert said(given) == said(under(engine, "plan_parallelism", model="gemma 3 27b"))
    name, value = setting.split("=")
    assert assumed(given)[name] == f"{value} (given, but nothing here depends on it)"


def test_what_tensorrt_llm_has_no_flag_for_is_told_by_its_file() -> None:
    plan = under(
        "tensorrt-llm",
        "plan_parallelism",
        model="deepseek r1",
        gpu="h200",
        total_gpus=8,
        kv_precision="fp8",
        overrides="cuda_graphs=0, prefix_caching=0, speculative_tokens=2, memory_utilization=0.8",
    )
    assert "--extra_llm_api_options FILE" in plan.launch
    for line in (
        "cuda_graph_config: null",
        "speculative_config: {decoding_type: MTP, num_nextn_predict_layers: 2}",
        "kv_cache_config: {dtype: fp8, enable_block_reuse: false, free_gpu_memory_fraction: 0.8}",
    ):
        assert line in plan.launch
    assert "your draft model" not in plan.launch
    assert "your draft model" in under("tensorrt-llm", "plan_parallelism", overrides="speculative_tokens=2").launch


def test_states_that_bound_sessions_under_sglang_stand_in_the_arithmetic() -> None:
    """1,220,583 tokens would be 148 sessions of 8,192; the slots for states are for 69."""
    plan = under("sglang", "plan_parallelism", model="qwen3-next-80b-a3b-instruct", total_gpus=2)
    tokens, sessions = re.match(
        r"users       ([\d,]+) tokens / 8,192, fewer by its pool of states, = (\d+) a replica", plan.formula[2]
    ).groups()  # pyright: ignore[reportOptionalMemberAccess]
    assert int(tokens.replace(",", "")) // 8192 > int(sessions) == plan.max_concurrent_users


def test_batches_that_overlap_are_called_as_sglang_calls_them() -> None:
    asked = {**LATENT, "model": "deepseek v3", "total_gpus": 16, "gpu": "h200", "objective": "throughput"}
    plan = under("sglang", "plan_parallelism", **asked, concurrent_users=6000, context_window=1024)
    why = "two-batch overlap between nodes: --enable-two-batch-overlap, DeepEP"
    assert assumed(plan)["expert_exchange"] == f"overlapped ({why})"
    assert "--enable-two-batch-overlap" in plan.launch


def test_sglang_is_billed_for_pipelines_though_its_deepest_has_not_the_most_room() -> None:
    """Its reserve grows by 128 MiB a rank: eight GPUs in each of 80 stages would leave an H100 nothing."""
    bill = ask("compare_costs", model="745B", precision="fp16", requests_per_day=10_000, overrides="engine=sglang")
    assert bill.gpus_per_instance == 24
    pair = ask("compare_moe_dense", overrides="engine=sglang")
    assert (pair.moe.deploy_gpus, pair.moe.usd_per_million_tokens is None) == (24, False)


@pytest.mark.parametrize("tool", TOOLS)
def test_llama_cpp_is_planned_by_no_tool_and_each_says_where_it_is_answered_for(tool: str) -> None:
    sentence = refused(tool, **ASKED[tool], overrides="engine=llama.cpp")
    assert sentence == '"engine" does not take llama.cpp here: ask estimate_vram with engine llama.cpp'


@pytest.mark.parametrize("tool", TOOLS)
def test_an_engine_that_is_none_is_answered_with_those_there_are(tool: str) -> None:
    sentence = refused(tool, **ASKED[tool], overrides="engine=vlmm")
    assert sentence == '"engine" takes vllm, sglang or tensorrt-llm; got "vlmm"; nearest: vllm'


def test_where_the_engine_is_an_argument_the_override_is_told_so() -> None:
    sentence = refused("estimate_vram", model="70B", overrides="engine=sglang")
    assert sentence == '"engine" is an argument, not an assumption; give it beside overrides'


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            {"gpu": "any", "precision": "q4_k_m"},
            (
                "TensorRT-LLM 1.x does not load GGUF Q4_K_M; take precision awq, gptq or mxfp4, or "
                'overrides="engine=vllm" or overrides="engine=sglang", or estimate_vram with engine llama.cpp'
            ),
        ),
        (
            {"gpu": "mi300x"},
            (
                "TensorRT-LLM 1.x does not run on MI300X; take "
                'overrides="engine=vllm" or overrides="engine=sglang", or another gpu'
            ),
        ),
        (
            {"kv_precision": "int8"},
            ('TensorRT-LLM keeps no KV cache in INT8; take kv_precision fp16, bf16 or fp8, or overrides="engine=vllm"'),
        ),
    ],
)
def test_what_the_engine_does_not_run_is_refused_with_the_ways_out(asked: dict[str, Any], sentence: str) -> None:
    question = ASKED["plan_parallelism"] | asked
    assert refused("plan_parallelism", **question, overrides="engine=tensorrt-llm") == sentence
    assert ask("plan_parallelism", **question, overrides="engine=vllm").summary


def test_adapters_that_the_engine_s_rules_do_not_cover_are_refused_with_the_engine_that_does() -> None:
    sentence = refused(
        "compare_costs", model="llama 3.1 8b", requests_per_day=1000, overrides="engine=trt-llm, lora_adapters=4"
    )
    assert sentence.endswith(
        "only vLLM's and SGLang's are; take overrides=\"engine=vllm\" or leave the lora settings out"
    )


def test_a_search_over_gpus_leaves_out_those_that_the_engine_does_not_run_on() -> None:
    plan = under("tensorrt-llm", "plan_parallelism", precision="nvfp4", gpu="any", total_gpus=None)
    assert re.search(r"that TensorRT-LLM 1\.x cannot use", assumed(plan)["gpu_types"])
    assert plan.gpu not in ("h100-sxm", "mi300x")


class Run(NamedTuple):
    """A published run: what the planner says of it, the law on its configuration, what validation says, the clock."""

    engine: str
    plan: Any
    row: Any
    law: Service
    predicted: dict[str, float]
    measured_ms: float


@cache
def published_runs() -> list[Run]:
    """One in three of the runs whose layout is one tensor group, asked for as a user would: in that group's GPUs.

    Those whose clients ask in step, or whose engine seldom looks for requests, are no user's.
    """
    return [run for setup in list(_setups())[::3] if (run := _run(setup))]


def _setups() -> Iterator[SpeedSetup]:
    for one in published():
        row = SpeedRow.model_validate(one)
        setup = SpeedSetup(row)
        if regime(row) != "closed loop" or not row.tp or max(row.dp or 1, row.pp or 1) > 1:
            continue
        try:
            is_usual = not setup.disaggregated and not setup.synchronized and not setup.polls
            if setup.runner in ENGINES and is_usual and setup.layout.gpus == row.tp:
                yield setup
        except CannotPredict:
            continue


def _set_by_scripts(setup: SpeedSetup) -> str:
    """What InferenceX's scripts of SGLang set that its rows do not say, as overrides."""
    if setup.runner != "sglang" or setup.row.family != "inferencex":
        return ""
    return f", prefix_caching=0, memory_utilization={static_share(setup.precision, tp=setup.row.tp)}"


def _run(setup: SpeedSetup) -> Run | None:
    """None where the planner's answer does not show that layout."""
    tokens_in, tokens_out = map(round, setup.lengths)
    context, users = tokens_in + tokens_out, int(setup.row.concurrency_or_batch or 1)
    plan = ask(
        "plan_parallelism",
        model=setup.model.id,
        precision=setup.precision.id,
        kv_precision="fp8" if setup.kv_bits == 8 else "fp16",
        gpu=setup.gpu.id,
        total_gpus=setup.row.tp,
        concurrent_users=users,
        context_window=context,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        objective="latency",
        overrides=f"engine={setup.runner}{_set_by_scripts(setup)}",
    )
    alike = (one for one in (plan, *plan.alternatives) if (one.tp, one.gpus_used) == (setup.row.tp, setup.row.tp))
    row = next((one for one in alike if (one.ep or 1) == 1), None)
    if row is None:
        return None
    held = min(users, row.max_concurrent_users)
    load = Pace(latency=WHENEVER, input_tokens=tokens_in, output_tokens=tokens_out).load(context, held)
    law = serve(setup.work, setup.machine, setup.layout, load, setup.options)
    measured = (setup.row.measured or {})["tpot_ms"]
    return Run(str(setup.runner), plan, row, law, predict(setup), measured)


@pytest.mark.parametrize("engine", ENGINES)
def test_plans_of_published_runs_are_what_validation_predicts(engine: str) -> None:
    """The same law on the same configuration to the digit; what is validated has half an answer less in the cache."""
    found = [run for run in published_runs() if run.engine == engine]
    assert len(found) >= 30
    for run in found:
        assert run.row.tpot_ms == pytest.approx(run.law.tpot_s / MILLI, abs=0.006)
        if run.row is run.plan:
            assert run.plan.ttft_ms == pytest.approx(run.law.ttft_s / MILLI, abs=0.06)
        assert 0.999 <= run.row.tpot_ms / run.predicted["tpot_ms"] <= 1.31


def test_at_least_half_of_published_runs_lie_within_the_range_that_their_plan_gives() -> None:
    """They were fitted to, so that more than half of them may."""
    within = [
        run.plan.tpot_range_ms[0] <= run.measured_ms <= run.plan.tpot_range_ms[1]
        for run in published_runs()
        if run.row is run.plan
    ]
    assert len(within) >= 60
    assert sum(within) >= 0.5 * len(within)
