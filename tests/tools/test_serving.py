"""A serving: what it holds, which layouts it takes, and how fast it is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferplan.catalog.models import MODELS
from inferplan.core.engine import EngineName
from inferplan.core.parallelism import Layout
from inferplan.core.speed.efficiency import efficiency, kind_of
from inferplan.core.speed.load import Load
from inferplan.core.units import GB
from inferplan.tools._assumptions import Ledger
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import note_speed, serving

ONE_TURN = Load(sequences=1, context=8192, input_tokens=500, output_tokens=500)


def on(
    model: str = "70B",
    precision: str = "fp8",
    gpu: str = "h100-sxm",
    *,
    kv_precision: str | None = None,
    overrides: dict[str, float] | None = None,
    engine: EngineName = "vllm",
) -> Serving:
    return serving(
        Ledger(overrides or {}), model=model, precision=precision, gpu=gpu, kv_precision=kv_precision, engine=engine
    )


@pytest.mark.parametrize("gpu", ["h100-sxm", "b200-sxm", "a100-80gb-sxm", "mi300x"])
@pytest.mark.parametrize("precision", ["fp8", "int4", "nvfp4"])
def test_without_overrides_the_constants_are_those_of_gpu_engine_and_format(gpu: str, precision: str) -> None:
    for model in ("70B", "745B MoE"):
        here = on(model, precision, gpu)
        assert here.efficiency == efficiency(kind_of(here.gpu, here.precision, "vllm"))


@pytest.mark.parametrize(("model", "form"), [("745B MoE", "int4"), ("745B MoE", "nvfp4"), ("70B", "fp8")])
@pytest.mark.parametrize("gpu", ["h100-sxm", "b200-sxm", "a100-80gb-sxm"])
def test_in_another_format_it_has_the_constants_of_that_ones_arithmetic_and_keeps_what_was_set(
    model: str, form: str, gpu: str
) -> None:
    for overrides in ({}, {"layer_overhead_us": 60.0}):
        there = serving(Ledger(overrides), model=model, precision=form, gpu=gpu)
        here = serving(Ledger(overrides), model=model, precision="fp16", gpu=gpu)
        assert here.stored_in(there.precision, there.kv_bits) == there


def test_the_engine_has_the_defaults_of_its_gpu() -> None:
    large, small = on(gpu="h200-sxm").engine, on(gpu="l40s").engine
    assert (large.max_num_batched_tokens, large.max_num_seqs) == (8192, 1024)
    assert (small.max_num_batched_tokens, small.max_num_seqs) == (2048, 256)
    assert (large.memory_utilization, on(gpu="h200-sxm").utilization(Layout())) == (None, 0.92)
    assert large.cuda_graphs


@pytest.mark.parametrize(("version", "name"), [(11, "vLLM 0.11"), (20, "vLLM 0.20"), (28, "vLLM 0.28")])
def test_the_engine_is_named_with_its_version(version: float, name: str) -> None:
    assert on(overrides={"engine_version": version}).engine_name == name


def test_overrides_reach_the_engine_the_node_the_network_and_the_roofline() -> None:
    here = on(
        overrides={
            "memory_utilization": 0.8,
            "max_num_seqs": 64,
            "max_num_batched_tokens": 4096,
            "cuda_graphs": 0,
            "gpus_per_node": 4,
            "inter_node_gb_per_s": 25,
            "bandwidth_efficiency": 0.5,
            "layer_overhead_us": 10,
            "front_end_ms": 5,
        }
    )
    engine = here.engine
    assert (engine.memory_utilization, engine.max_num_seqs, engine.max_num_batched_tokens) == (0.8, 64, 4096)
    assert not engine.cuda_graphs
    assert (here.node_size, here.network) == (4, 25 * GB)
    assert here.efficiency.bandwidth == 0.5
    assert here.efficiency.layer_s == pytest.approx(10e-6)
    assert here.efficiency.front_end_s == pytest.approx(5e-3)


@pytest.mark.parametrize(
    ("model", "precision", "kv_precision", "bits"),
    [
        ("70B", "fp8", None, 8),
        ("70B", "int4", None, 16),
        ("meta-llama/Llama-3.3-70B-Instruct", "fp8", None, 16),
        ("meta-llama/Llama-3.3-70B-Instruct", "fp8", "fp8", 8),
        ("70B", "fp8", "fp16", 16),
    ],
)
def test_the_cache_is_the_guides_for_a_size_class_and_the_engines_for_a_checkpoint(
    model: str, precision: str, kv_precision: str | None, bits: float
) -> None:
    assert on(model, precision, kv_precision=kv_precision).kv_bits == bits


def test_the_smallest_replica_is_the_first_that_holds_a_session() -> None:
    here = on("405B", "fp16")
    assert here.smallest(8192) == Layout(tp=8, pp=2)
    assert not here.capacity(Layout(tp=8), 8192).fits
    assert here.smallest(8192, gpus=15) != Layout(tp=8, pp=2)


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"])
def test_a_server_started_for_a_long_context_keeps_its_pool_for_shorter_sessions(model: str) -> None:
    """Qwen2.5-VL is tried out on a video of as many frames as the context holds: 15 GiB in place of 2 for 128,000."""
    here = on(model, "bf16")
    long, half = (here.held(Layout(), 114_688, filled) for filled in (None, 57_344))
    assert half.memory == long.memory
    assert half.sessions >= 2 * long.sessions
    restarted = here.held(Layout(), 57_344)
    assert (restarted.memory == half.memory) is ("VL" not in model)
    assert restarted.sessions >= half.sessions


def test_a_gpu_of_unknown_arithmetic_serves_without_a_latency() -> None:
    here = on("7B")
    unknown = replace(here, gpu=replace(here.gpu, flops={}))
    assert unknown.capacity(Layout(), 8192).fits
    assert unknown.service(Layout(), ONE_TURN) is None


def test_the_accuracy_of_the_roofline_is_said_once() -> None:
    ledger = Ledger({})
    note_speed(ledger, on("7B"), 500)
    note_speed(ledger, on("7B"), 500)
    assert [entry.name for entry in ledger.entries()] == ["speed_model"]


@pytest.mark.parametrize("model", ["7B", "deepseek-v3", "gpt-oss-120b"])
def test_the_band_of_published_runs_is_stated_with_their_number(model: str) -> None:
    ledger, here = Ledger({}), on(MODELS.find(model).id)
    note_speed(ledger, here, 500)
    (entry,) = ledger.entries()
    assert f"of {here.band('tpot').n:,} published runs" in entry.why


def test_a_wider_level_has_a_wider_band() -> None:
    half, most = on("70B").band("tpot"), on("70B").band("tpot", 90)
    assert most.low < half.low < half.high < most.high


CLASSES = st.sampled_from(["7B", "13B", "70B", "405B", "745B MoE"])
MENU = st.sampled_from(["h100-sxm", "h200-sxm", "b200-sxm", "a100-80gb-sxm", "l40s"])


@given(model=CLASSES, gpu=MENU, users=st.integers(1, 20_000), context=st.integers(1, 200_000))
@settings(max_examples=80)
def test_a_deployment_holds_its_users_and_a_replica_fewer_would_not(
    model: str, gpu: str, users: int, context: int
) -> None:
    here = on(model, gpu=gpu)
    found = here.for_users(users, context)
    if found is None:
        assert here.smallest(context) is None
        return
    assert found.users >= users
    assert found.users - found.capacity.sessions < users
    assert found.capacity == here.capacity(found.layout, context)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm", "llama.cpp"])
@given(model=CLASSES, users=st.integers(1, 5000), context=st.integers(1, 100_000))
@settings(max_examples=40)
def test_no_tensor_group_or_pipeline_of_32_stages_holds_the_users_on_fewer_gpus(
    engine: EngineName, model: str, users: int, context: int
) -> None:
    here = on(model, {"tensorrt-llm": "awq", "llama.cpp": "q4_k_m"}.get(engine, "int4"), engine=engine)
    found = here.for_users(users, context)
    assert found is not None
    for pp in range(1, 33):
        for tp in here.degrees[-1:] if pp > 1 else here.degrees:
            held = here.capacity(Layout(tp=tp, pp=pp), context).sessions
            if held:
                assert found.layout.gpus <= tp * pp * -(-users // held)


def test_a_share_that_leaves_no_room_for_runtime_collectives_and_sampler_holds_nobody() -> None:
    """0.99 of 79.18 GiB leaves 0.79 GiB, where CUDA, NCCL and the sampler's logits take 2.02 GiB on two ranks."""
    greedy = on(overrides={"memory_utilization": 0.99})
    held = greedy.capacity(Layout(tp=2), 8192)
    assert held.memory.pool > 0
    assert not held.starts
    assert held.sessions == 0


@given(replicas=st.integers(1, 1000), context=st.integers(1, 100_000))
@settings(max_examples=40)
def test_replicas_multiply_users_exactly(replicas: int, context: int) -> None:
    here = on()
    one, many = (here.deployment(Layout(tp=4, dp=dp), context) for dp in (1, replicas))
    assert many.users == replicas * one.users
    assert many.capacity == one.capacity
    assert many.nodes == -(-replicas // 2)


@given(low=st.floats(0.1, 0.93), high=st.floats(0.1, 0.93))
@settings(max_examples=40)
def test_a_larger_share_of_memory_never_needs_more_gpus_while_the_engine_starts(low: float, high: float) -> None:
    deployments = [on(overrides={"memory_utilization": share}).for_users(100, 8192) for share in sorted((low, high))]
    gpus = [found.layout.gpus if found else float("inf") for found in deployments]
    assert gpus[0] >= gpus[1]


@pytest.mark.parametrize("layout", [Layout(tp=4), Layout(tp=4, pp=2)])
def test_the_time_between_two_tokens_is_that_of_a_step_by_the_tokens_that_it_gives(layout: Layout) -> None:
    """Two drafts of which half are accepted: 1 + 0.5 + 0.25 tokens a step, of the sequences that one stage works on."""
    drafting = on(overrides={"speculative_tokens": 2, "acceptance_rate": 0.5})
    replica = drafting.replica(layout)
    assert replica
    step = replica.serve(replace(ONE_TURN, sequences=8)).decode.total_s
    assert replica.decode_s(8, 8192) == pytest.approx(step / 1.75)
    assert replica.decode_s(8, 8192) > replica.decode_s(1, 8192) > replica.decode_s(1, 512)
