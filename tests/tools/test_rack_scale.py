"""Servers that a scale-up link joins, as the trays of a GB200 NVL72, and servers of another size than eight GPUs."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.parallelism import Layout
from inferplan.core.speed.load import Load
from inferplan.core.speed.speed_constants import PARAMETERS
from inferplan.tools._assumptions import Ledger
from inferplan.tools._tool import Answer
from inferplan.tools.layouts.draw import draw_layout
from inferplan.tools.parallelism import ParallelismAnswer
from inferplan.tools.registry import TOOLS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import serving

RACKS = [gpu.id for gpu in GPUS.values() if gpu.joins_nodes]
LOAD = Load(sequences=8, context=4096, input_tokens=1000, output_tokens=500)


def ask(tool: str, **arguments: Any) -> Answer:
    return next(one for one in TOOLS if one.name == tool).ask(arguments)


def plan(**arguments: Any) -> ParallelismAnswer:
    found = ask("plan_parallelism", **{"gpu": "gb200"} | arguments)
    assert isinstance(found, ParallelismAnswer)
    return found


def assumed(answer: Answer) -> dict[str, Any]:
    return {one.name: one.value for one in answer.assumptions}


def on_gb200(model: str, precision: str = "fp8", *, span: int = 72) -> Serving:
    """A model on GB200, whose experts nobody shares; with another span of NVLink than the rack's.

    Groups that share experts within a link are ready for the tokens of all, and between nodes for 256 of each.
    """
    here = serving(Ledger({}), model=MODELS.id_of(model), precision=precision, gpu="gb200")
    return replace(here, gpu=replace(here.gpu, link_span=span), expert_parallel=False)


def test_the_links_of_these_gpus_leave_the_server() -> None:
    assert RACKS == ["gb200", "gb300", "vr200", "trainium3", "ascend-910c"]


def test_405b_on_8_gb200_is_one_tensor_group_over_two_trays_that_nvlink_joins() -> None:
    """810 GB over the 4 GPUs of a tray are 202.5 GB each, of 198.67; over 8 they are 101.25."""
    answer = plan(model="405B", precision="fp16", total_gpus=8)
    assert (answer.tp, answer.pp, answer.dp, answer.nodes) == (8, 1, 1, 2)
    assert answer.communication == "decode step: 252 all-reduces, NVLink 5"
    assert "on 2 nodes of one NVLink 5 domain" in answer.summary
    assert "+-- nodes 1-2 -- layers   1-126" in answer.diagram
    assert "InfiniBand" not in answer.text()


@pytest.mark.parametrize(
    ("gpus", "replicas", "nodes", "where"),
    [(36, 4, 8, "8 nodes of one"), (72, 9, 18, "18 nodes of one"), (144, 18, 36, "36 nodes of several")],
)
def test_a_rack_of_72_holds_9_groups_of_8(gpus: int, replicas: int, nodes: int, where: str) -> None:
    answer = plan(model="405B", precision="fp16", total_gpus=gpus)
    assert (answer.tp, answer.dp, answer.nodes) == (8, replicas, nodes)
    assert f"on {where} NVLink 5 domain" in answer.summary


def test_stages_within_the_rack_talk_over_nvlink_and_beyond_it_over_the_network() -> None:
    inside, beyond = (
        plan(
            model="deepseek-r1",
            precision="fp8",
            context_window=32_768,
            concurrent_users=users,
            overrides="expert_parallel=0",
        )
        for users in (500, 1500)
    )
    assert inside.gpus_used <= 72 < beyond.gpus_used
    assert "activations, NVLink 5" in inside.diagram
    assert "stage sends, NVLink 5" in inside.communication
    assert "stage sends, InfiniBand" in beyond.communication


def test_a_pipeline_over_two_racks_is_drawn_with_the_link_that_each_of_its_stages_takes() -> None:
    """Of 5 stages of 16 GPUs, 4 to a rack, the first three are drawn."""
    here, layout = on_gb200("deepseek-r1"), Layout(tp=16, pp=5)
    picture = draw_layout(here, here.deployment(layout, 4096), total=80)
    assert here.fabric(layout).stage_link == "InfiniBand"
    assert picture.count("activations, NVLink 5") == 2
    assert "+-- nodes 9-12 -- layers  25-36" in picture


def test_the_caller_sizes_the_server_and_the_link_still_joins_it_to_the_others() -> None:
    usual, larger = (
        plan(model="405B", precision="fp16", total_gpus=16, overrides=said)
        for said in ("gpus_per_node=4", "gpus_per_node=8")
    )
    assert (usual.nodes, larger.nodes) == (4, 2)
    assert "+-- node 1 --" in larger.diagram
    assert (usual.tp, usual.tpot_ms, usual.communication) == (larger.tp, larger.tpot_ms, larger.communication)


def test_the_link_of_a_board_leaves_no_server_however_few_gpus_it_has() -> None:
    answer = plan(gpu="h100-sxm", model="405B", precision="fp8", total_gpus=8, overrides="gpus_per_node=4")
    assert (answer.tp, answer.pp, answer.nodes) == (4, 2, 2)
    assert "1 stage send, InfiniBand" in answer.communication
    assert "domain" not in answer.summary
    shared = serving(Ledger({"gpus_per_node": 4}), model="deepseek-ai/DeepSeek-R1", precision="fp8", gpu="h200-sxm")
    assert shared.fabric(Layout(attention_dp=8)).exchange_link == "InfiniBand"


@pytest.mark.parametrize(
    ("engine", "flags"),
    [
        ("vllm", "--tensor-parallel-size 8 --nnodes 2 --node-rank 0 --master-addr HOST"),
        ("sglang", "--tp-size 8 --nnodes 2 --node-rank 0 --dist-init-addr HOST:5000"),
    ],
)
def test_a_tensor_group_over_two_trays_is_started_on_both(engine: str, flags: str) -> None:
    answer = ask("estimate_vram", model="405B", precision="fp16", gpu="gb200", engine=engine)
    assert flags in answer.structured()["launch"]
    assert "8 GPUs on 2 nodes of one NVLink 5 domain (tensor 8)" in answer.summary


def test_groups_over_several_nodes_that_share_experts_take_more_than_one_command() -> None:
    load: dict[str, Any] = {"concurrent_users": 500, "context_window": 16_384, "total_gpus": 64}
    trays, single = (
        plan(model="deepseek-r1", precision="fp8", objective="throughput", **load, overrides=f"gpus_per_node={size}")
        for size in (4, 1)
    )
    assert (trays.tp, trays.pp, trays.ep) == (single.tp, single.pp, single.ep) == (2, 1, 64)
    assert trays.launch is not None
    assert "--data-parallel-size-local 2 " in trays.launch
    assert single.launch is None


def test_stages_of_groups_that_share_experts_take_more_than_one_command_beyond_a_node() -> None:
    """Eight groups of one GPU in each of two stages, on trays of four."""
    load: dict[str, Any] = {"concurrent_users": 2000, "total_gpus": 16, "objective": "throughput"}
    staged = plan(model="deepseek-v3", precision="fp8", **load)
    assert (staged.tp, staged.pp, staged.ep, staged.nodes) == (1, 2, 8, 4)
    assert staged.launch is None


def wide(gpus: int, gpu: str = "gb200", **changed: str | float) -> ParallelismAnswer:
    """405B for one user on so many GPUs, which take one tensor group where that is quickest."""
    overrides = ", ".join(f"{name}={value}" for name, value in changed.items()) or None
    found = plan(
        gpu=gpu,
        model="405B",
        precision="fp16",
        objective="latency",
        total_gpus=gpus,
        context_window=1000,
        overrides=overrides,
    )
    assert found.tpot_ms is not None
    return found


@pytest.mark.parametrize(("gpu", "gpus"), [("gb200", 8), ("gb200", 16), ("gb300", 16)])
def test_groups_over_which_vllm_adds_up_itself_are_timed_like_those_of_a_server(gpu: str, gpus: int) -> None:
    """Kernels that write to all GPUs through the switch: among 16 as among 4 GB300 5 us."""
    assert wide(gpus, gpu).tp == gpus
    assert "tensor_groups" not in assumed(wide(gpus, gpu))


def test_wider_groups_wait_for_nccl_252_times_a_token() -> None:
    """126 layers, 25 us in the switch less the 8 us that kernels take: 4.28 ms. vLLM's own are for up to 16 GPUs.

    A latency that the caller states is taken as it is.
    """
    by_nccl, by_kernels = wide(64), wide(64, all_reduce_latency_us=1)
    assert (by_nccl.tp, by_kernels.tp) == (64, 64)
    more = PARAMETERS["all_reduce_s"] * 1e6 - 1
    assert (by_nccl.tpot_ms or 0) - (by_kernels.tpot_ms or 0) == pytest.approx(252 * (17 + more) / 1000, abs=0.02)
    assert assumed(by_nccl)["tensor_groups"] == "17 us more an all-reduce"
    assert "tensor_groups" not in assumed(by_kernels)


def test_an_older_vllm_adds_up_over_8_gpus_and_16_are_two_replicas_then() -> None:
    """0.24: 252 x 39 us of a ring over 16 are more than halving the weights saves."""
    assert (wide(16, engine_version=0.25).tp, wide(16, engine_version=0.24).tp) == (16, 8)


def test_groups_over_a_link_of_another_vendor_are_said_to_be_timed_as_narrower_ones() -> None:
    assert assumed(wide(16, "ascend-910c"))["tensor_groups"] == "timed as of 8"


CASES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["70B", "405B", "745B MoE", "deepseek-r1", "llama 3.3 70b"]),
        "precision": st.sampled_from(["fp16", "fp8", "int4"]),
    }
)


@given(case=CASES, users=st.integers(1, 5000), context=st.integers(100, 100_000))
@settings(max_examples=40)
def test_a_link_between_trays_never_costs_gpus(case: dict[str, str], users: int, context: int) -> None:
    trays, rack = (on_gb200(case["model"], case["precision"], span=span) for span in (4, 72))
    alone, joined = (on.for_users(users, context) for on in (trays, rack))
    assert alone is not None
    assert joined is not None
    assert joined.layout.gpus <= alone.layout.gpus


@given(tp=st.sampled_from([1, 2, 4]), pp=st.integers(1, 40))
@settings(max_examples=60)
def test_a_link_between_trays_is_no_slower_than_the_network(tp: int, pp: int) -> None:
    layout = Layout(tp=tp, pp=pp)
    trays, rack = (on_gb200("deepseek-r1", span=span).service(layout, LOAD) for span in (4, 72))
    assert trays is not None
    assert rack is not None
    assert rack.tpot_s <= trays.tpot_s * (1 + 1e-9)
    assert rack.ttft_s <= trays.ttft_s * (1 + 1e-9)


@pytest.mark.parametrize(
    ("tool", "question"),
    [
        ("plan_parallelism", {"model": "70B", "precision": "fp8"}),
        ("plan_parallelism", {"model": "70B", "precision": "fp8", "total_gpus": 2}),
        ("estimate_vram", {"model": "70B", "precision": "fp8"}),
        ("compare_quantization", {"model": "70B"}),
        ("compare_costs", {"model": "70B", "precision": "fp8", "requests_per_day": 50_000}),
        ("run_preset", {"preset": "team", "model": "70B", "precision": "fp8"}),
    ],
)
def test_that_a_gaming_pc_has_two_cards_is_listed_and_can_be_changed(tool: str, question: dict[str, Any]) -> None:
    usual = ask(tool, gpu="rtx-4090", **question)
    assert assumed(usual)["gpus_per_node"] == 2
    server = ask(tool, gpu="rtx-4090", overrides="gpus_per_node=8", **question)
    assert ("overrides" if "overrides" in assumed(server) else "gpus_per_node") in assumed(server)
    assert server.summary != usual.summary


def test_what_one_card_holds_and_servers_of_eight_need_no_word_on_their_size() -> None:
    for question in ({"gpu": "rtx-4090", "model": "7B", "precision": "int4"}, {"gpu": "h100-sxm", "model": "405B"}):
        assert "gpus_per_node" not in assumed(plan(**question))
        assert "gpus_per_node" not in assumed(ask("estimate_vram", **question))
    assert assumed(plan(model="405B", total_gpus=8))["gpus_per_node"] == 4


def test_buffers_that_take_much_of_each_gpu_are_said_and_what_shorter_steps_leave_room_for() -> None:
    """2 B x 16,384 tokens x 16 groups x 8 experts x (7,168 + 7,168) are 56 GiB: the experts' workspace of DeepSeek R1.

    vLLM 0.28, fused_moe/modular_kernel.py: its profile run allocates what the tokens of all groups take at worst.
    """
    asked: dict[str, Any] = {"model": "deepseek-r1", "precision": "fp8", "gpu": "gb200", "total_gpus": 32}
    usual = ask("plan_parallelism", **asked, concurrent_users=2000)
    assert isinstance(usual, ParallelismAnswer)
    shorter = ask("plan_parallelism", **asked, concurrent_users=2000, overrides="max_num_batched_tokens=2048")
    assert isinstance(shorter, ParallelismAnswer)
    assert "58.6 GiB of each GPU are buffers for steps of 16,384 tokens" in usual.summary
    told = f'overrides="max_num_batched_tokens=2048" leaves room for {shorter.max_concurrent_users:,} users.'
    assert told in usual.summary
    assert shorter.users > 2 * usual.users
    assert "buffers" not in shorter.summary
    few = plan(
        model="deepseek-r1", gpu="h100", precision="int4", total_gpus=8, concurrent_users=2000, context_window=500
    )
    assert "buffers" not in few.summary
    assert "--max-num-batched-tokens 2048" in (shorter.launch or "")


@pytest.mark.parametrize("gpu", ["h100-sxm", "l40s", "gb200"])
def test_buffers_that_take_little_are_not_worth_a_word(gpu: str) -> None:
    answer = ask("plan_parallelism", model="70B", precision="fp8", gpu=gpu, total_gpus=8, concurrent_users=20)
    assert "buffers" not in answer.summary


def test_a_gpu_that_is_only_announced_is_not_said_to_be_like_published_runs() -> None:
    rubin, blackwell = plan(model="llama 3.1 8b", gpu="vr200"), plan(model="llama 3.1 8b", gpu="b200")
    assert assumed(rubin)["announced_gpu"] == "Vera Rubin NVL72"
    assert "half of published runs on other GPUs lie within" in rubin.summary
    assert "announced_gpu" not in assumed(blackwell)
    assert "half of published runs lie within" in blackwell.summary


KIMI: dict[str, Any] = {"model": "kimi k2.6", "total_gpus": 72, "context_window": 32_768, "concurrent_users": 500}


def test_384_experts_are_shared_by_12_or_24_of_the_72_gpus_of_a_rack_so_that_none_stays_idle() -> None:
    """72 = 6 x 12 = 3 x 24, and 384 = 12 x 32 = 24 x 16; four times 16 ranks would leave 8 GPUs over."""
    answer = plan(**KIMI)
    assert (answer.gpus_used, answer.ep, answer.nodes) == (72, 12, 18)
    assert "left over" not in answer.why
    many = plan(**KIMI | {"context_window": 8192, "concurrent_users": 5000, "precision": "nvfp4"})
    assert (many.gpus_used, many.ep) == (72, 24)


def test_why_gpus_of_a_rack_stay_idle_is_said_with_what_the_layout_on_all_of_them_lacks() -> None:
    """256 experts have no divisor that parts 72 GPUs evenly but 2, 4 and 8."""
    load: dict[str, Any] = {"model": "deepseek-r1", "total_gpus": 72, "concurrent_users": 5500}
    answer, aimed = plan(**load), plan(**load, objective="latency")
    idle = "8 GPUs left over: too few for another replica; "
    assert answer.gpus_used == aimed.gpus_used == 64
    assert f"{idle}data 72, experts over 8 on 72: holds 5,112 of 5,500 users." in answer.why
    assert re.search(
        rf"{idle}pipeline 3 x data 24, experts over 8 on 72: \d+ % slower a token, \d+ % slower to the first token\.$",
        aimed.why,
    )
    assert "left over" not in plan(**load, objective="fewest_gpus").why


@pytest.mark.parametrize("engine", ["sglang", "tensorrt-llm"])
def test_ranks_of_other_engines_than_vllm_have_as_many_experts_each(engine: Any) -> None:
    """SGLang asserts it where it starts; vLLM gives the first ranks one more, as 72 ranks of 128 experts."""
    model, form = "Qwen/Qwen3-235B-A22B", "fp8"
    usual, other = (
        serving(Ledger({}), model=model, precision=form, gpu="gb200", engine=one) for one in ("vllm", engine)
    )
    assert 72 in {one.ranks for one in usual.shared(72)}
    assert all(128 % one.ranks == 0 for one in other.shared(72))
    v4 = serving(Ledger({}), model="deepseek-ai/DeepSeek-V4-Flash", precision="mxfp4", gpu="gb200")
    assert all(256 % one.ranks == 0 for one in v4.shared(72))
