"""`plan_parallelism`: the guide's rules, layouts, latency, and what to do where nothing fits."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data_files import rows
from golden_files import check_golden
from inferplan.catalog.models import MODELS
from inferplan.core.parallelism import Layout, tensor_degrees
from inferplan.tools._assumptions import Ledger
from inferplan.tools.parallelism import TOOL, ParallelismAnswer
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.serving.settings import serving

GUIDE = rows("guide_parallelism.tsv")
SIZE_CLASSES = ("7B", "13B", "70B", "405B", "745B MoE")


def ask(model: str = "405B", precision: str = "fp16", **arguments: Any) -> ParallelismAnswer:
    return TOOL.ask({"model": model, "precision": precision, **arguments})


def guide_answer(row: dict[str, str], **more: Any) -> ParallelismAnswer:
    return ask(row["model"], row["precision"], total_gpus=int(row["total_gpus"]), **more)


def layout(answer: ParallelismAnswer) -> tuple[int, int, int, str]:
    return answer.tp, answer.pp, answer.dp, answer.strategy


def guide_layout(row: dict[str, str]) -> tuple[int, int, int, str]:
    return int(row["tp"]), int(row["pp"]), int(row["dp"]), row["strategy"]


def legal(row: dict[str, str]) -> bool:
    return int(row["tp"]) in tensor_degrees(MODELS[row["model"]].architecture, domain=8)


def name(row: dict[str, str]) -> str:
    return f"{row['model']}-{row['precision']}-{row['total_gpus']}"


ENOUGH = [row for row in GUIDE if row["enough"] == "yes"]


@pytest.mark.parametrize("row", GUIDE, ids=name)
def test_gpus_by_weights_alone_are_the_guides(row: dict[str, str]) -> None:
    assert guide_answer(row).min_gpus == int(row["min_gpus"])


@pytest.mark.parametrize("row", rows("guide_moe.tsv"), ids=lambda row: row["precision"])
def test_gpus_for_the_guides_dense_and_sparse_classes_are_the_guides(row: dict[str, str]) -> None:
    assert ask("70B", row["precision"]).min_gpus == int(row["dense_gpus"])
    assert ask("745B MoE", row["precision"]).min_gpus == int(row["moe_gpus"])


@pytest.mark.parametrize("row", ENOUGH, ids=name)
def test_a_plan_comes_with_the_command_that_starts_a_replica_of_it(row: dict[str, str]) -> None:
    answer = guide_answer(row)
    started = answer.launch or ""
    for flag, degree in (("tensor", answer.tp), ("pipeline", answer.pp)):
        assert (f"--{flag}-parallel-size {degree} " in started) is (degree > 1)
    assert ("--nnodes" in started) is (answer.gpus_per_replica > 8)
    assert (f"one of {answer.dp} replicas" in started.partition("#")[2]) is (answer.dp > 1)


@pytest.mark.parametrize("users", [1, 100])
@pytest.mark.parametrize(
    ("model", "precision", "gpu"),
    [("70B", "fp8", "h100-sxm"), ("llama 3.3 70b", "bf16", "h200-sxm"), ("gpt-oss 20b", "mxfp4", "l40s")],
)
def test_the_command_is_that_of_estimate_vram_for_the_same_layout(
    model: str, precision: str, gpu: str, users: int
) -> None:
    asked = {"model": model, "precision": precision, "gpu": gpu, "concurrent_users": users, "context_window": 4096}
    memory = TOOLS_BY_NAME["estimate_vram"].ask(asked).structured()
    place = next(row["deploy"] for row in memory["hardware"] if row["gpu"] == gpu)
    answer = TOOL.ask({**asked, "total_gpus": place["gpus"]})
    assert (answer.tp, answer.pp) == (place["tp"], place["pp"])
    assert answer.launch == memory["launch"]


@pytest.mark.parametrize("row", GUIDE, ids=name)
def test_a_model_fits_exactly_where_the_guide_says_there_are_enough_gpus(row: dict[str, str]) -> None:
    assert guide_answer(row).fits == (row["enough"] == "yes")


@pytest.mark.parametrize("row", [row for row in ENOUGH if legal(row)], ids=name)
def test_where_the_guides_layout_is_legal_it_is_ours(row: dict[str, str]) -> None:
    assert layout(guide_answer(row)) == guide_layout(row)


def test_where_the_engine_has_no_room_for_a_session_the_next_degree_is_taken() -> None:
    """70B FP16 on 2 of 16 H100: 65.2 GiB of weights each, 4.4 GiB left; a session of 32,768 tokens takes 5.0 GiB."""
    answer = ask("70B", "fp16", total_gpus=16, context_window=32_768)
    assert layout(answer) == (4, 1, 4, "tensor+data")
    assert "leave room for the KV cache" in answer.why
    assert layout(ask("70B", "fp16", total_gpus=16)) == (2, 1, 8, "tensor+data")


@pytest.mark.parametrize("row", [row for row in ENOUGH if not legal(row)], ids=name)
def test_where_the_guides_degree_is_illegal_the_next_legal_one_is_taken_and_explained(row: dict[str, str]) -> None:
    answer = guide_answer(row)
    assert answer.tp in tensor_degrees(MODELS[row["model"]].architecture, domain=8)
    assert answer.tp > int(row["tp"])
    assert f"{answer.tp} is the smallest legal tensor-parallel degree" in answer.why


@pytest.mark.parametrize("row", [row for row in GUIDE if row["enough"] == "no"], ids=name)
def test_where_gpus_are_too_few_the_smallest_layout_that_would_do_is_shown(row: dict[str, str]) -> None:
    answer = guide_answer(row)
    assert answer.gpus_used == answer.max_concurrent_users == 0
    assert answer.gpus_per_replica > int(row["total_gpus"])
    assert "does not fit" in answer.summary
    assert ask(row["model"], row["precision"], total_gpus=answer.gpus_per_replica).fits
    assert not ask(row["model"], row["precision"], total_gpus=int(row["min_gpus"]) - 1).fits


def test_rule_1_one_gpu_that_holds_the_model_needs_no_parallelism() -> None:
    assert layout(ask("7B", total_gpus=1)) == (1, 1, 1, "none")


def test_rule_2_more_gpus_than_the_model_needs_hold_copies() -> None:
    assert layout(ask("7B", total_gpus=4)) == (1, 1, 4, "data")


def test_rule_3_a_model_of_several_gpus_is_split_within_the_node() -> None:
    assert layout(ask("70B", total_gpus=4, context_window=32_768)) == (4, 1, 1, "tensor")


def test_rule_4_a_model_of_several_nodes_adds_pipeline_stages() -> None:
    assert layout(ask("745B", total_gpus=24)) == (8, 3, 1, "tensor+pipeline")


@pytest.mark.parametrize(("gpus", "replicas"), [(16, 1), (32, 2), (64, 4)])
def test_rule_5_405b_fp16_grows_from_tensor_8_x_pipeline_2_by_replicas(gpus: int, replicas: int) -> None:
    """GUIDE section 3, "Try this": 8, 16, 32, 64 GPUs."""
    answer = ask(total_gpus=gpus)
    assert (answer.tp, answer.pp, answer.dp) == (8, 2, replicas)
    assert answer.stages == ["1-63", "64-126"]
    assert answer.gpus_used == gpus
    assert answer.nodes == gpus // 8


def test_405b_fp16_does_not_fit_on_8_gpus_and_says_by_how_much() -> None:
    """810 GB of weights against 8 x 85.52 GB."""
    answer = ask(total_gpus=8)
    assert not answer.fits
    assert "810 GB" in answer.why
    assert "684 GB" in answer.why
    assert answer.next_steps[0].arguments["total_gpus"] == 16


def test_one_gpu_too_few_is_said_in_the_singular() -> None:
    assert "1 GPU has 85.5 GB" in ask("745B", "fp8", total_gpus=1).why


def test_a_pipeline_of_single_gpus_is_not_called_a_split_over_one() -> None:
    """11 GPUs hold the 745B class in FP8 only as 11 stages: no tensor group times stages makes 11."""
    answer = ask("745B", "fp8", total_gpus=11)
    assert (answer.tp, answer.pp) == (1, 11)
    assert "split over 1" not in answer.why


def test_nvlink_carries_tensor_traffic_and_infiniband_stages() -> None:
    """252 times 16,384 x 2 B = 8.26 MB for one token, 500 times that for a prompt; once over the network."""
    answer = ask(total_gpus=16)
    assert answer.communication == "decode step: 252 all-reduces, NVLink 4; 1 stage send, InfiniBand"
    assert [(one.what, one.mb) for one in answer.collectives] == [
        ("all-reduce", [8.26, 4129]),
        ("stage send", [0.0328, 16.4]),
    ]


def test_without_a_number_of_gpus_the_fewest_that_hold_the_users_are_laid_out() -> None:
    answer = ask("70B", "fp8", concurrent_users=200)
    assert answer.serves_users
    assert answer.gpus_used == 8
    assert not ask("70B", "fp8", concurrent_users=200, total_gpus=4).serves_users


MODEL = st.sampled_from([*SIZE_CLASSES, "llama 3.1 8b", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-30B-A3B", "phi-4"])
FORMAT = st.sampled_from(["fp32", "fp16", "fp8", "int4", "awq", "nvfp4"])
CASE = st.fixed_dictionaries(
    {
        "model": MODEL,
        "precision": FORMAT,
        "concurrent_users": st.integers(1, 1_000_000) | st.integers(1, 300),
        "context_window": st.integers(1, 100_000_000) | st.integers(1, 200_000),
        "gpu": st.sampled_from(["h100-sxm", "a100-40gb-sxm", "rtx-4090", "b200-sxm", "l4", "mi300x"]),
    },
    optional={"total_gpus": st.integers(1, 100_000) | st.integers(1, 64)},
)


@given(case=CASE)
@settings(max_examples=80)
def test_every_plan_is_legal_within_the_gpus_and_really_holds_its_users(case: dict[str, Any]) -> None:
    answer = TOOL.ask(case)
    here = serving(Ledger({}), model=MODELS.id_of(case["model"]), precision=case["precision"], gpu=case["gpu"])
    if not answer.fits:
        return
    degrees = tensor_degrees(here.model.architecture, domain=here.domain)
    shared = answer.ep // answer.tp if answer.ep > 1 else 1
    replica = Layout(tp=answer.tp, pp=answer.pp, attention_dp=shared)
    held = here.capacity(replica, case["context_window"]).sessions
    assert answer.tp in degrees
    assert answer.ep in (1, answer.tp * shared)
    assert answer.gpus_per_replica == replica.replica
    assert answer.gpus_used == answer.tp * answer.pp * answer.dp <= case.get("total_gpus", answer.gpus_used)
    assert case.get("total_gpus", answer.gpus_used) - answer.gpus_used < answer.gpus_per_replica
    assert answer.gpus_used <= answer.nodes * here.node_size
    assert answer.max_concurrent_users == answer.dp // shared * held
    assert answer.serves_users == (answer.max_concurrent_users >= case["concurrent_users"])
    assert len(answer.stages) == min(answer.pp, 5)
    assert (f"{answer.pp - 4} more" in answer.stages) == (answer.pp > 5)


@given(case=CASE)
@settings(max_examples=60)
def test_throughput_is_no_more_than_all_running_users_get(case: dict[str, Any]) -> None:
    answer = TOOL.ask(case)
    if not answer.fits or answer.tokens_per_s is None:
        return
    if answer.inputs["output_tokens"] == 1:
        assert answer.tpot_ms is answer.tokens_per_s_per_user is None
        return
    assert answer.tokens_per_s_per_user is not None
    assert answer.tpot_ms is not None
    running = min(case["concurrent_users"], answer.max_concurrent_users)
    assert answer.tokens_per_s <= running * (1000 / answer.tpot_ms) * (1 + 1 / 250) * 1.01 + 0.1
    assert answer.tokens_per_s_per_user == pytest.approx(1000 / answer.tpot_ms, abs=0.06, rel=0.01)


def test_five_users_on_four_replicas_make_the_tokens_of_five() -> None:
    one, five = (ask("7B", total_gpus=4, concurrent_users=users, overrides="gpus_per_node=1") for users in (1, 5))
    assert one.dp == five.dp == 4
    assert one.tokens_per_s is not None
    assert five.tokens_per_s is not None
    assert 4 * one.tokens_per_s < five.tokens_per_s <= 5 * one.tokens_per_s


@given(factor=st.integers(1, 50))
@settings(max_examples=30)
def test_replicas_multiply_users_and_throughput_exactly(factor: int) -> None:
    one, many = ask("7B", total_gpus=1), ask("7B", total_gpus=factor)
    assert many.dp == factor
    assert many.users == factor * one.users
    assert many.tpot_ms == one.tpot_ms
    assert one.max_tokens_per_s is not None
    assert many.max_tokens_per_s == pytest.approx(one.max_tokens_per_s * factor, rel=1e-3)


@given(gpus=st.integers(1, 200), more=st.integers(1, 200), model=st.sampled_from(SIZE_CLASSES))
@settings(max_examples=60)
def test_more_gpus_never_turn_a_model_that_fits_away(gpus: int, more: int, model: str) -> None:
    few, many = (ask(model, "fp8", total_gpus=n) for n in sorted((gpus, more)))
    assert many.fits or not few.fits


@given(users=st.integers(1, 2000), context=st.integers(1, 100_000), model=st.sampled_from(SIZE_CLASSES))
@settings(max_examples=40)
def test_the_fewest_gpus_serve_the_users_and_are_named_the_same_by_estimate_vram(
    users: int, context: int, model: str
) -> None:
    from inferplan.tools.vram import TOOL as VRAM

    load = {"model": model, "precision": "fp8", "concurrent_users": users, "context_window": context}
    plan = TOOL.ask(load)
    row = next(row for row in VRAM.ask(load).hardware if row.gpu == "h100-sxm")
    assert plan.serves_users
    assert row.deploy is not None
    assert plan.gpus_used <= row.deploy.gpus


@pytest.mark.parametrize(
    ("gpus", "why"),
    [
        (9, "The weights alone take 810 GB; 9 GPUs have 770 GB."),
        (10, "The weights would fit, but no legal layout of 10 GPUs leaves the engine room for one session"),
    ],
)
def test_where_gpus_are_too_few_the_answer_says_whether_for_the_weights_or_for_a_layout(gpus: int, why: str) -> None:
    """405B in 16 bit on H100, which its driver says has 79.65 GiB: 9 of them are 770 GB, 10 are 855."""
    answer = ask("405B", "fp16", total_gpus=gpus)
    assert not answer.fits
    assert answer.why.startswith(why)


def test_what_fits_nowhere_is_an_answer_without_a_layout() -> None:
    answer = ask(context_window=100_000_000, gpu="rtx-4090")
    assert not answer.fits
    assert answer.gpus_per_replica == answer.nodes == 0
    assert "No legal layout" in answer.why
    assert "any number of RTX 4090" in answer.summary
    assert " 0 x " not in answer.diagram


def test_alternatives_are_other_layouts_of_the_same_gpus() -> None:
    answer = ask("70B", "fp8", total_gpus=8, concurrent_users=50, context_window=32768)
    chosen = (answer.tp, answer.pp, answer.dp)
    others = [(one.tp, one.pp, one.dp) for one in answer.alternatives]
    assert others
    assert chosen not in others
    assert len(set(others)) == len(others)
    assert all(one.gpus_used == one.tp * one.pp * one.dp <= 8 for one in answer.alternatives)


def test_turns_are_500_in_and_500_out_or_half_of_a_shorter_context() -> None:
    assert ask("7B", total_gpus=1).inputs["input_tokens"] == 500
    assert ask("7B", total_gpus=1, context_window=200).inputs["output_tokens"] == 100
    assert ask("7B", total_gpus=1, context_window=1).inputs["output_tokens"] == 1


@given(case=CASE)
@settings(max_examples=40)
def test_the_normalized_inputs_ask_the_same_question_again(case: dict[str, Any]) -> None:
    answer = TOOL.ask(case)
    assert TOOL.ask(answer.inputs) == answer


def boxes(answer: ParallelismAnswer) -> list[str]:
    """The titles of all boxes, in reading order."""
    return re.findall(r"\+-- (.*?) +-*\+", answer.diagram)


def drawn_gpus(answer: ParallelismAnswer) -> list[int]:
    return sorted(int(gpu) for gpu in re.findall(r"\[ ?(\d+)\]", answer.diagram))


def test_of_two_nodes_with_several_replicas_each_the_first_stands_left() -> None:
    answer = ask(model="7B", total_gpus=16)
    assert (answer.tp, answer.dp) == (1, 16)
    assert boxes(answer) == ["node 1 -- layers 1-32", "node 2 -- layers 1-32"]
    assert re.search(r"replica 1\b.*replica 9\b", answer.diagram)


def test_the_picture_of_405b_on_32_gpus_has_4_nodes_2_replicas_and_both_layer_ranges() -> None:
    answer = ask(total_gpus=32)
    assert boxes(answer) == [
        "node 1 -- layers   1-63",
        "node 3 -- layers   1-63",
        "node 2 -- layers  64-126",
        "node 4 -- layers  64-126",
    ]
    assert drawn_gpus(answer) == list(range(32))
    assert "replica 1" in answer.diagram
    assert "replica 2" in answer.diagram
    assert "replica 3" not in answer.diagram
    assert answer.diagram.count("activations, InfiniBand") == 2


def test_times_are_those_of_the_load_or_of_the_users_that_are_held() -> None:
    asked: dict[str, Any] = {"model": "70B", "precision": "fp8", "gpu": "l40s", "total_gpus": 2, "context_window": 500}
    enough, few = (ask(**asked, concurrent_users=users) for users in (150, 200))
    assert "At that load (turns of 250 tokens in and 250 out), a first token" in enough.summary
    assert "At the users it holds (turns of 250 tokens in and 250 out), a first token" in few.summary
    assert few.users < 200


@pytest.mark.parametrize(("gpus", "of_each"), [(None, True), (4, False)])
def test_throughput_is_held_against_that_of_each_gpu_where_their_number_is_open(
    gpus: int | None, *, of_each: bool
) -> None:
    asked = {"gpu": "b200", "concurrent_users": 30, "context_window": 4096, "objective": "throughput"}
    found = ask("70B", "fp8", **asked, total_gpus=gpus)
    assert found.alternatives
    losses = [str(one.loses).split(", ")[0] for one in found.alternatives]
    assert {loss.endswith("fewer tokens/s a GPU") for loss in losses} == {of_each}
    assert {loss.endswith("fewer tokens/s") for loss in losses} == {not of_each}
    assert ("the most tokens/s per GPU of the layouts" in found.why) is of_each


def test_a_gpu_that_is_left_over_though_copies_would_use_it_is_said_to_be() -> None:
    """Three copies of 70B in 16 bit give two users 46 tokens/s, two MI300X with half of it each 72."""
    found = ask("70B", "bf16", gpu="mi300x", concurrent_users=2, context_window=32_768, total_gpus=3)
    assert found.gpus_used == 2
    assert found.why.endswith("sooner, with room for 21 users. 1 GPU left over: too few for another replica.")


def test_more_stages_leave_more_room_and_are_not_said_to_have_fewer_copies() -> None:
    """Mixtral's 93.4 GB in 16 bit leave six RTX 4090 little; one replica is all that there is either way."""
    found = ask("mixtral 8x7b", "bf16", gpu="rtx-4090", total_gpus=8, concurrent_users=30, context_window=32_768)
    assert "tensor 2 x pipeline 4 leaves more room, so 18 users fit" in found.why


@pytest.mark.parametrize(
    ("model", "gpu", "total", "link"),
    [
        ("70B", "l4", 7, "PCIe Gen4 x16"),
        ("405B", "mi300x", 6, "Infinity Fabric mesh"),
        ("405B", "h100", 12, "NVLink 4"),
    ],
)
def test_the_link_between_stages_is_named_in_full(model: str, gpu: str, total: int, link: str) -> None:
    """Stages on one server: beside the word a column is too narrow for some names, of which x16 became x1."""
    picture = ask(model, gpu=gpu, total_gpus=total, context_window=4096).diagram
    assert f"activations, {link} " in " ".join(picture.replace("|", " ").split())


def test_the_smallest_layout_of_what_does_not_fit_is_the_smallest_that_runs() -> None:
    """The guide's rules fill a node before they add stages: 16 GPUs, where 4 x 3 hold 405B in FP16 as well."""
    short = ask(total_gpus=8).summary
    assert (
        "The smallest legal layout is tensor 4 x pipeline 3 on 12 GPUs, the usual one tensor 8 x pipeline 2: 16"
        in short
    )
    assert (ask(total_gpus=12).fits, ask(total_gpus=11).fits) == (True, False)
    assert "The smallest legal layout is tensor 2: 2 GPUs on 1 node." in ask("70B", total_gpus=1).summary


SMALL = st.fixed_dictionaries(
    {
        "model": MODEL,
        "precision": st.sampled_from(["fp16", "fp8", "int4"]),
        "total_gpus": st.integers(1, 40),
        "concurrent_users": st.integers(1, 400),
    },
    optional={"overrides": st.sampled_from(["gpus_per_node=4", "gpus_per_node=6", "gpus_per_node=16"])},
)


@given(case=SMALL)
@settings(max_examples=100)
def test_a_picture_shows_exactly_its_layout(case: dict[str, Any]) -> None:
    answer = TOOL.ask(case)
    if not answer.fits:
        return
    gpus = drawn_gpus(answer)
    assert len(gpus) == len(set(gpus)) <= answer.gpus_used
    for degree, label in ((answer.tp, "tensor"), (answer.pp, "pipeline"), (answer.dp, "data")):
        assert (f"{label} {degree}" in answer.diagram) == (degree > 1)
    replicas = {int(one) for one in re.findall(r"replica (\d+)", answer.diagram)}
    assert replicas <= set(range(1, answer.dp + 1))
    if "more" not in answer.diagram and "..." not in answer.diagram.partition("busiest")[0]:
        assert len(gpus) == answer.gpus_used
        assert len(replicas) == answer.dp
        assert gpus[0] == 0
        assert "gpus_per_node=6" in case.get("overrides", "") or gpus == list(range(answer.gpus_used))
        assert max(int(node) for node in re.findall(r"node (\d+)", answer.diagram)) == answer.nodes
    for first_last in answer.stages[: 3 if answer.pp > 1 else 1]:
        first, last = first_last.split("-")
        assert re.search(rf"layers +{first}-{last}\b", answer.diagram)
    if answer.tp > 1:
        assert f"1/{answer.tp} of each layer" in answer.diagram


@pytest.mark.parametrize(
    ("asked", "groups", "bound"),
    [
        ({"model": "70B", "precision": "fp8", "total_gpus": 8}, 1, ""),
        ({"model": "deepseek r1", "gpu": "h200", "concurrent_users": 64, "context_window": 32768}, 8, ""),
        ({"model": "kimi k2", "gpu": "b200", "concurrent_users": 300, "context_window": 65536}, 24, ""),
        (
            {"model": "deepseek r1", "gpu": "h200", "total_gpus": 16, "overrides": "engine=sglang"}
            | {"concurrent_users": 200, "context_window": 16384},
            16,
            "",
        ),
        (
            {"model": "llama 3.1 8b", "gpu": "h200", "context_window": 128, "concurrent_users": 2000}
            | {"total_gpus": 1, "input_tokens": 64, "output_tokens": 32},
            1,
            "at most 1,024 at once",
        ),
    ],
)
def test_the_line_of_users_comes_out_by_hand(asked: dict[str, Any], groups: int, bound: str) -> None:
    """Groups of data-parallel attention hold whole sessions each: all their tokens over a session's were too many."""
    answer = TOOL.ask(asked)
    (line,) = (one for one in answer.formula if one.startswith("users "))
    found = re.fullmatch(
        r"users +(?:(?P<groups>\d+) x \()?(?P<tokens>[\d,]+) tokens / (?P<context>[\d,]+)(?:, (?P<bound>[^,]+(?:,\d+)?"
        r"[^,]*),)?(?: = (?P<each>[\d,]+)\))? = (?P<replica>[\d,]+) a replica x (?P<copies>\d+) = (?P<all>[\d,]+)",
        line,
    )
    assert found, line
    number = {name: int((text or "1").replace(",", "")) for name, text in found.groupdict().items() if name != "bound"}
    assert (number["groups"], found["bound"] or "") == (groups, bound)
    each = min(number["tokens"] // number["context"], 1024 if bound else 1 << 30)
    assert number["replica"] == number["groups"] * each
    assert number["all"] == number["replica"] * number["copies"] == answer.max_concurrent_users
    assert found["each"] is None or number["each"] == each


@pytest.mark.parametrize(
    ("asked", "degrees", "users"),
    [
        ({"model": "llama 3.3 70b", "total_gpus": 3, "concurrent_users": 10}, (1, 3), 30),
        ({"model": "qwen3-235b-a22b", "precision": "fp8", "total_gpus": 5, "concurrent_users": 50}, (1, 5), 81),
        ({"model": "qwen3-235b-a22b", "precision": "fp8", "total_gpus": 7, "concurrent_users": 60}, (2, 3), 116),
        (
            {"model": "qwen2.5 72b", "precision": "gptq", "gpu": "rtx-3090", "total_gpus": 3, "concurrent_users": 4},
            (1, 3),
            8,
        ),
        ({"model": "llama 3.3 70b", "total_gpus": 3, "concurrent_users": 31}, (2, 1), 2),
        ({"model": "llama 3.3 70b", "total_gpus": 3, "concurrent_users": 2}, (2, 1), 2),
        ({"model": "llama 3.3 70b", "total_gpus": 4, "concurrent_users": 50}, (4, 1), 58),
    ],
)
def test_stages_inside_a_server_serve_users_that_no_tensor_group_of_an_odd_number_does(
    asked: dict[str, Any], degrees: tuple[int, int], users: int
) -> None:
    """Two of three H100 held 2 users of 70B: "too few for the 10 asked for", where three stages hold 30.

    A stage has 47.0 GB of 141.1 GB, and room for 249,440 tokens of 80 / 3 layers x 4,096 B beside it.
    """
    plan, memory = TOOL.ask(asked), TOOLS_BY_NAME["estimate_vram"].ask(asked)
    assert (plan.tp, plan.pp, plan.max_concurrent_users) == (*degrees, users)
    assert plan.serves_users is (users >= asked["concurrent_users"]) is memory.structured()["fits"]
    (row,) = (one for one in memory.structured()["hardware"] if one["gpu"] == asked.get("gpu", "h100-sxm"))
    assert row["deploy"]["gpus"] <= plan.gpus_used
    assert (row["max_concurrent_users"] >= asked["concurrent_users"]) is plan.serves_users


def test_a_turn_attends_over_the_past_turns_of_its_session() -> None:
    """500 tokens over 130,072 cached ones of Llama 3.1 8B: 34.1 TFLOP more, and 17.0 GB read.

    4 x 500 x 130,072 x 32 layers x 32 heads x 128 FLOP take an H100 34.5 ms at its peak of 989 TFLOP/s, and four times
    as long at 30 % of it (FlashAttention-3 reached 75 % with long queries); 131,072 B a token take 5.1 ms at 3.35 TB/s.
    """
    asked = {"model": "llama 3.1 8b", "total_gpus": 1, "input_tokens": 500, "output_tokens": 500}
    first, long = (TOOL.ask({**asked, "context_window": context}) for context in (1000, 131_072))
    assert 34.5 + 5.1 < (long.ttft_ms or 0) - (first.ttft_ms or 0) < 4 * 34.5 + 2 * 5.1
    many = [TOOL.ask({**asked, "context_window": n, "concurrent_users": 4, "total_gpus": 4}) for n in (1000, 131_072)]
    mixed = [float(re.findall(r"new prompts ([\d.]+)", "".join(one.formula))[0]) for one in many]
    assert mixed[1] > 2 * mixed[0]


def test_no_more_tokens_come_than_the_most() -> None:
    """Of 201 sessions in two stages one batch has 101, for which the other waits: 200 get 845.3 tokens/s, all 844.4."""
    asked = {"gpu": "a100-80gb-sxm", "context_window": 4096, "objective": "fewest_gpus"}
    answer = ask("405B", "fp8", **asked, concurrent_users=200)
    assert (answer.pp, answer.users) == (2, 201)
    every = ask("405B", "fp8", **asked, concurrent_users=201)
    assert (every.tokens_per_s or 0) < (answer.tokens_per_s or 0) <= (answer.max_tokens_per_s or 0)
    assert every.max_tokens_per_s == answer.max_tokens_per_s


@given(a=st.integers(1, 64), b=st.integers(1, 64))
@settings(max_examples=40)
def test_pictures_of_different_layouts_differ(a: int, b: int) -> None:
    one, other = (ask("70B", "fp8", total_gpus=n) for n in (a, b))
    assert (one.diagram == other.diagram) == (a == b)


@given(case=SMALL)
@settings(max_examples=60)
def test_the_memory_bar_is_to_scale(case: dict[str, Any]) -> None:
    answer = TOOL.ask(case)
    if not answer.fits:
        return
    bar = re.search(
        r"busiest GPU \|(.{40})\| ([\d.]+) GiB\n# weights, \+ buffers, = KV pool, \. kept free", answer.diagram
    )
    assert bar
    sizes = {name: float(size) for name, size in re.findall(r"([a-z]+|=) ([\d.]+)", answer.formula[1])}
    buffers = sum(sizes.get(name, 0.0) for name in ("activations", "runtime", "graphs"))
    for mark, size in (("#", sizes["weights"]), ("+", buffers), ("=", max(0, sizes["="]))):
        assert bar[1].count(mark) == pytest.approx(40 * size / float(bar[2]), abs=2)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("405b_fp16_8_gpus", {"model": "405B", "precision": "fp16", "total_gpus": 8}),
        ("405b_fp16_16_gpus", {"model": "405B", "precision": "fp16", "total_gpus": 16}),
        ("405b_fp16_32_gpus", {"model": "405B", "precision": "fp16", "total_gpus": 32}),
        (
            "70b_fp8_8_gpus_50_users",
            {"model": "70B", "precision": "fp8", "total_gpus": 8, "concurrent_users": 50, "context_window": 32768},
        ),
        (
            "70b_fp8_200_users_at_50_ms",
            {
                "model": "70B",
                "precision": "fp8",
                "concurrent_users": 200,
                "context_window": 2000,
                "input_tokens": 1000,
                "output_tokens": 1000,
                "max_tpot_ms": 50,
            },
        ),
        ("7b_fp16_4_gpus", {"model": "7B", "precision": "fp16", "total_gpus": 4}),
        ("745b_fp8_16_gpus", {"model": "745B", "precision": "fp8", "total_gpus": 16}),
    ],
)
def test_the_text_of_known_questions_changes_only_under_review(name: str, case: dict[str, Any]) -> None:
    check_golden(f"plan_parallelism/{name}.txt", TOOL.ask(case).text())


@pytest.mark.parametrize(
    ("context", "tokens_in", "tokens_out"), [(8192, 8000, 500), (100, 100, None), (100, None, 100), (1, 2, 1)]
)
def test_a_request_that_outgrows_its_context_is_refused(
    context: int, tokens_in: int | None, tokens_out: int | None
) -> None:
    question = {"context_window": context, "input_tokens": tokens_in, "output_tokens": tokens_out}
    with pytest.raises(ValidationError, match=f"more than the `context_window` of {context:,}"):
        TOOL.ask({"model": "7B", **question})


def test_what_is_left_of_a_request_takes_what_the_context_leaves() -> None:
    inputs = TOOL.ask({"model": "7B", "context_window": 8192, "input_tokens": 8000}).inputs
    assert (inputs["input_tokens"], inputs["output_tokens"]) == (8000, 192)


@pytest.mark.parametrize(
    ("model", "ranks", "tp"),
    [("qwen3 30b a3b", 1, 1), ("qwen3 30b a3b", 2, 8), ("deepseek-v2-lite", 2, 2), ("deepseek-v2-lite", 4, 4)],
)
def test_ranks_that_share_out_tokens_are_as_many_for_each_kv_head(model: str, ranks: int, tp: int) -> None:
    """Qwen3 30B-A3B has 4 KV heads, so that 2 ranks for each are 8; a latent is one for all."""
    answer = ask(model, "fp8", overrides=f"decode_context_parallel={ranks}")
    assert (answer.fits, answer.tp) == (True, tp)


@pytest.mark.parametrize(("model", "ranks"), [("qwen3 30b a3b", 4), ("70b", 2)])
def test_more_ranks_than_a_node_has_for_the_kv_heads_are_refused_with_what_they_take(model: str, ranks: int) -> None:
    """4 ranks for each of 4 heads, or 2 for each of 8, are 16: a rack has as many, a node of 8 has not."""
    given, heads = f"decode_context_parallel={ranks}", 16 // ranks
    with pytest.raises(
        ValidationError,
        match=rf'"{given}" takes a tensor group of 16 GPUs or a multiple, {ranks} for each of {heads} KV heads, and '
        r"none is legal among the 8 x H100 SXM5 80GB that are joined; leave it out, or take another gpu",
    ):
        ask(model, "fp8", overrides=given)
    assert ask(model, "fp8", gpu="gb200", overrides=given).tp == 16


@pytest.mark.parametrize(("model", "said"), [("llama 3.1 8b", True), ("70B", False)])
def test_a_context_beyond_what_a_checkpoint_was_trained_for_is_said(model: str, *, said: bool) -> None:
    told = "trained for contexts up to 131,072 tokens"
    assert (told in ask(model, context_window=131_073).summary) == said
    assert told not in ask(model, context_window=131_072).summary


def test_the_network_that_is_taken_between_machines_of_a_desk_is_listed() -> None:
    """Two DGX Sparks, or two workstations, are seldom joined by 400 Gb/s a GPU; servers of a datacenter are."""
    spark = ask("llama 3.3 70b", gpu="dgx spark", concurrent_users=8)
    (listed,) = (one for one in spark.assumptions if one.name == "inter_node_gb_per_s")
    assert (spark.nodes, listed.value, listed.unit) == (2, 50, "GB/s")
    told = ask("llama 3.3 70b", gpu="dgx spark", concurrent_users=8, overrides="inter_node_gb_per_s=1.25")
    assert spark.ttft_ms
    assert (told.ttft_ms or 0) > spark.ttft_ms
    assert all(one.name != "inter_node_gb_per_s" for one in ask(total_gpus=16).assumptions)


@pytest.mark.parametrize(
    ("precision", "prompt_tokens_per_s", "tokens_per_s"), [("nvfp4", 10_256.9, 38.65), ("fp8", 7_991, 20.5)]
)
def test_a_dgx_spark_is_about_as_fast_as_nvidia_and_lmsys_published(
    precision: str, prompt_tokens_per_s: float, tokens_per_s: float
) -> None:
    """Llama 3.1 8B, one prompt of 2,048 tokens, 128 out, October 2025; our first token passes through a server too."""
    turn = {"context_window": 4096, "input_tokens": 2048, "output_tokens": 128}
    found = ask("llama 3.1 8b", precision, gpu="dgx spark", **turn)
    assert 1 < (found.ttft_ms or 0) / (2048 / prompt_tokens_per_s * 1000) < 1.6
    assert 0.7 < (found.tpot_ms or 0) / (1000 / tokens_per_s) < 1.1


TIGHT: dict[str, Any] = {"model": "gemma 3 4b", "precision": "fp32", "gpu": "t4"}


@pytest.mark.parametrize("gpus", [None, 1, 4])
def test_where_fewer_sequences_at_once_would_make_it_fit_that_is_said_and_can_be_asked_for(gpus: int | None) -> None:
    """The trial of a sampler with 256 sequences takes 1.35 GB of the 1.27 that a T4 has beyond vLLM's share of it."""
    refused = TOOL.ask(TIGHT | {"total_gpus": gpus})
    assert not refused.fits
    assert 'It fits with overrides="max_num_seqs=64": 2 GPUs then take 4 users.' in refused.summary
    step = refused.next_steps[0]
    assert step.arguments["overrides"] == "max_num_seqs=64"
    assert TOOL.ask(step.arguments).serves_users


def test_no_setting_is_offered_where_none_is_known_to_help_or_it_is_set_already() -> None:
    given = {"overrides": "max_num_seqs=200, memory_utilization=0.92"}
    for more in (given, {"model": "405B", "precision": "fp16", "total_gpus": 4}):
        assert "It fits with" not in TOOL.ask(TIGHT | more).summary


def test_a_preset_offers_fewer_sequences_at_once_where_nothing_else_of_a_gpu_type_fits() -> None:
    answer = TOOLS_BY_NAME["run_preset"].ask({"preset": "starter", **TIGHT})
    assert "64 sequences at once (2), 90 % of memory filled (2)" in answer.summary
    assert "layout    does not fit on any number of GPUs" in answer.diagram
    for one in answer.changes:
        assert TOOLS_BY_NAME["run_preset"].ask({"preset": "starter", **TIGHT, **one.change}).serves


def test_a_last_node_with_fewer_replicas_is_not_drawn_as_one_like_the_others() -> None:
    """100 GPUs in groups of 4 fill 12 nodes of 8, and half of the 13th."""
    half, whole = (
        TOOL.ask({"model": "llama 3.1 8b", "total_gpus": gpus, "concurrent_users": 1000}).diagram for gpus in (100, 96)
    )
    assert "... and 11 more nodes like this\n... and node 13 with 1 replica\n" in half
    assert "... and 11 more nodes like this\n\n" in whole


def test_replicas_that_lie_across_nodes_are_not_drawn_as_those_within_one() -> None:
    """Of 7 pipelines of 3 GPUs on nodes of 8 the third and the sixth lie on two; on nodes of 6 none does."""
    asked = {"model": "llama 3.1 8b", "gpu": "l40s", "input_tokens": 1000, "output_tokens": 300, "context_window": 4096}
    across, within = (TOOL.ask(asked | {"overrides": f"requests_per_s=50, gpus_per_node={size}"}) for size in (8, 6))
    assert [(one.pp, one.dp) for one in (across, within)] == [(3, 7), (3, 7)]
    assert "InfiniBand" in (across.communication or "")
    assert "... and 6 more replicas, some divided otherwise among nodes\n" in across.diagram
    assert "... and 6 more replicas like this\n" in within.diagram


def test_layouts_that_do_not_hold_the_users_are_not_counted_as_none_compared() -> None:
    """`layouts_compared: 0` stood above three alternatives."""
    asked = {"model": "7B", "total_gpus": 8, "objective": "throughput", "concurrent_users": 5000}
    few, enough = (TOOL.ask(asked | {"concurrent_users": users}) for users in (5000, 50))
    assert (few.serves_users, few.layouts_compared) == (False, None)
    assert enough.layouts_compared


def test_a_turn_longer_than_the_context_is_answered_with_the_context_that_it_takes() -> None:
    """The context was the default, which nobody gave: "widen the window" named no number."""
    asked = {"model": "70B", "input_tokens": 10_000, "output_tokens": 1000}
    with pytest.raises(ValidationError, match=r"more than the `context_window` of 8,192; .* give context_window=11000"):
        TOOL.ask(asked)
    assert TOOL.ask(asked | {"context_window": 11_000}).fits


def test_users_of_a_model_whose_cache_is_not_modelled_are_not_known_and_those_of_one_that_does_not_run_are_none() -> (
    None
):
    """0 users, and fits: false, stood beside "Whether it fits is not known"."""
    unknown = TOOL.ask({"model": "thinkingmachines/Inkling-Small", "precision": "bf16"}).structured()
    assert [unknown[name] for name in ("fits", "serves_users", "max_concurrent_users")] == [None, None, None]
    assert "is not known" in unknown["summary"]
    refused = TOOL.ask({"model": "MiniMax-Text-01", "overrides": "engine_version=0.28"}).structured()
    assert [refused[name] for name in ("fits", "serves_users", "max_concurrent_users")] == [False, False, 0]
