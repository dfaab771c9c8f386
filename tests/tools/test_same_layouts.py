"""estimate_vram and plan_parallelism look at the same groups that share experts, whatever GPUs they start from."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.core.parallelism import Layout
from inferplan.tools.layouts.plans import compare
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.parallelism import ParallelismQuestion
from inferplan.tools.vram import TOOL as VRAM

LARGE = [
    "deepseek-ai/DeepSeek-V3.1",
    "moonshotai/Kimi-K2-Instruct",
    "MiniMaxAI/MiniMax-M2",
    "Qwen/Qwen3-235B-A22B",
    "zai-org/GLM-4.5",
    "openai/gpt-oss-120b",
]
GPUS = ["h100-sxm", "h200-sxm", "b200-sxm", "gb200"]


def asked(**changes: Any) -> dict[str, Any]:
    return {"model": "MiniMaxAI/MiniMax-M2", "gpu": "h200-sxm", "context_window": 8192, **changes}


def deployed(question: dict[str, Any]) -> Layout:
    """What estimate_vram deploys, all replicas."""
    row = next(row for row in VRAM.ask(question).hardware if row.gpu == question["gpu"])
    assert row.deploy is not None
    one = row.deploy
    groups = (one.ep or 1) // one.tp if one.ep else 1
    alone = Layout(tp=one.tp, pp=one.pp, attention_dp=groups)
    return alone.times(one.gpus // alone.replica)


def test_136_gpus_do_not_share_256_experts() -> None:
    """17 nodes of 8 would hold the users, and DeepEP gives each rank as many experts: 256 are not shared by 136."""
    question = asked(concurrent_users=1000, context_window=65_536)
    assert deployed(question).gpus == 144
    assert PLAN.ask({**question, "total_gpus": 136, "objective": "throughput"}).ep != 136


def test_48_gpus_share_384_experts_on_all_roads() -> None:
    question = asked(model="moonshotai/Kimi-K2-Instruct", gpu="h100-sxm", concurrent_users=2000)
    assert (deployed(question).ep, deployed(question).gpus) == (48, 48)
    planned = PLAN.ask(question)
    assert (planned.ep, planned.gpus_used) == (48, 48)


@pytest.mark.parametrize("gpu", GPUS)
@pytest.mark.parametrize("model", LARGE)
@pytest.mark.parametrize(("users", "context"), [(100, 8192), (2000, 8192), (20_000, 8192), (1000, 65_536)])
def test_for_many_users_both_tools_name_as_many_gpus(model: str, gpu: str, users: int, context: int) -> None:
    """The planner, asked for the fewest of all legal layouts, never needs more."""
    question = asked(model=model, gpu=gpu, concurrent_users=users, context_window=context)
    gpus = deployed(question).gpus
    assert PLAN.ask(question).gpus_used == gpus
    assert PLAN.ask({**question, "objective": "fewest_gpus"}).gpus_used <= gpus


@given(
    model=st.sampled_from(LARGE),
    gpu=st.sampled_from(GPUS),
    users=st.integers(1, 30_000),
    context=st.sampled_from([2048, 8192, 65_536]),
)
def test_what_estimate_vram_deploys_is_among_the_layouts_that_the_planner_compares(
    model: str, gpu: str, users: int, context: int
) -> None:
    question = asked(model=model, gpu=gpu, concurrent_users=users, context_window=context)
    layout = deployed(question)
    aimed = ParallelismQuestion.model_validate({**question, "objective": "latency", "total_gpus": layout.gpus})
    case = compare(aimed.serving(aimed.ledger()), aimed.demand)
    assert layout.alone in {plan.layout.alone for plan in case.plans}
