"""What engines and people call arguments and assumptions is answered with ours, in one sentence."""

import re
from dataclasses import astuple

import pytest

from inferplan.tools._flags import CALLED, UNSET, flag_advice
from inferplan.tools._overrides import parse_overrides
from inferplan.tools._settings import settings
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from inferplan.tools.serving.launch_flags import FLAGS

LAYOUT = "tensor, pipeline and data parallel degrees are chosen, not set: plan_parallelism compares those of total_gpus"
ARGUMENTS = {name for tool in TOOLS for name in tool.question.model_fields}
NO_PLACE = {
    *("nnodes", "node_rank", "master_addr", "dist_init_addr", "data_parallel_size_local", "data_parallel_address"),
    *("all2all_backend", "moe_a2a_backend", "moe_dense_tp_size", "enable_dbo", "enable_two_batch_overlap"),
    *("enable_eplb", "eplb_config", "ep_num_redundant_experts", "extra_llm_api_options", "override_kv", "mpi"),
    *("trust_remote_code", "ntasks", "ntasks_per_node", "enable_lora", "lora_target_modules", "rpc"),
    *("speculative_config", "speculative_algorithm", "speculative_eagle_topk", "speculative_num_draft_tokens"),
}
"""Flags of commands that follow from the layout or from others."""


def refused(overrides: str, tool: str = "estimate_vram") -> str:
    question = TOOLS_BY_NAME[tool].question
    with pytest.raises(ValueError, match=r"\S") as caught:
        parse_overrides(overrides, groups=question.settings, arguments=question.model_fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("max_model_len=8192", 'no assumption "max_model_len"; give context_window=8192'),
        ("--max-model-len 8192", 'no assumption "--max-model-len"; give context_window=8192'),
        (
            "gpu_memory_utilization=0.9",
            'no assumption "gpu_memory_utilization"; give overrides="memory_utilization=0.9"',
        ),
        ("mem-fraction-static=0.8", 'no assumption "mem-fraction-static"; give overrides="memory_utilization=0.8"'),
        ("kv_cache_dtype=fp8_e5m2", 'no assumption "kv_cache_dtype"; give kv_precision=fp8_e5m2'),
        ("enable_expert_parallel=true", 'no assumption "enable_expert_parallel"; give overrides="expert_parallel=1"'),
        ("enforce_eager=False", 'no assumption "enforce_eager"; give overrides="cuda_graphs=1"'),
        ("--enforce-eager", '"--enforce-eager" is not of the form name=value; give overrides="cuda_graphs=0"'),
        ("context_tokens=32k", 'no assumption "context_tokens"; give context_window=32k'),
        ("hardware=h100", 'no assumption "hardware"; give gpu=h100'),
        ("framework=sglang", 'no assumption "framework"; give engine=sglang'),
        (
            "latency=500",
            (
                'no assumption "latency"; a latency is asked for as max_ttft_ms, to the first token, '
                "and max_tpot_ms, from one token to the next"
            ),
        ),
        ("budget=9000", 'no assumption "budget"; no sum is planned for: compare_costs says what each way to pay costs'),
        ("tp=4", f'no assumption "tp"; {LAYOUT}'),
        ("tensor_parallel_size=4", f'no assumption "tensor_parallel_size"; {LAYOUT}'),
        (
            "--disaggregation-mode=prefill",
            (
                'no assumption "--disaggregation-mode"; each replica computes prompts and tokens: '
                "servers apart for the two (disaggregation) are not planned"
            ),
        ),
        ("block_size=16", 'no assumption "block_size"; blocks of the cache are as large as the engine makes them'),
    ],
)
def test_a_flag_of_an_engine_is_answered_with_the_argument_or_assumption_that_sets_it(said: str, told: str) -> None:
    assert refused(said) == told


def test_a_flag_of_what_another_tool_takes_is_named_as_ours_all_the_same() -> None:
    told = 'no assumption "max_model_len"; that is context_window, which this tool does not take'
    assert refused("max_model_len=8192", "compare_costs") == told


def test_our_own_names_are_taken_as_flags_are_written() -> None:
    groups = TOOLS_BY_NAME["estimate_vram"].question.settings
    expected = {"max_num_batched_tokens": 4096, "max_num_seqs": 64, "memory_utilization": 0.9}
    for text in (
        "max-num-batched-tokens=4096, Max-Num-Seqs=64; memory_utilization=0.9",
        "--max-num-batched-tokens 4096 --max-num-seqs=64 --memory-utilization 0.9",
        "max_num_batched_tokens = 4096 max_num_seqs=64 memory_utilization =0.9",
    ):
        assert parse_overrides(text, groups=groups) == expected


def test_every_flag_that_our_own_commands_have_is_known() -> None:
    said = {name for flags in FLAGS.values() for name in re.findall(r"--([\w-]+)", str(astuple(flags)))}
    known = {*settings(), *ARGUMENTS}
    unknown = {name for name in said if flag_advice(name, "1", arguments=(), overrides=()) is None}
    assert {name.replace("-", "_") for name in unknown} - known == NO_PLACE


def test_each_name_of_others_leads_to_one_argument_or_assumption_that_there_is() -> None:
    others = [name for names in (*CALLED.values(), *UNSET.values()) for name in names]
    assert len(others) == len(set(others))
    assert not set(others) & {*settings(), *ARGUMENTS}
    for ours in CALLED:
        name, fixed, value = ours.partition("=")
        assert name in settings() if fixed else name in {*settings(), *ARGUMENTS}
        assert not fixed or settings()[name].check(value) == float(value)


def test_what_is_given_as_a_flag_is_echoed_by_our_name_and_not_offered_otherwise() -> None:
    """Gemma 3 4B in FP32 fits on T4 with fewer sequences, which is not said to who sets their number.

    Nor with a smaller share of memory to who sets that one.
    """
    asked = {"model": "gemma 3 4b", "precision": "fp32", "gpu": "t4"}
    plan = TOOLS_BY_NAME["plan_parallelism"]
    for said in ("--max-num-seqs 256", "Max-Num-Seqs=256", "max_num_seqs=256"):
        answer = plan.ask({**asked, "overrides": said})
        assert answer.inputs["overrides"] == "max_num_seqs=256"
        assert 'It fits with overrides="memory_utilization=0.9"' in answer.summary
        for step in answer.next_steps:
            assert TOOLS_BY_NAME[step.tool].ask(step.arguments)
    both = plan.ask({**asked, "overrides": "max_num_seqs=256, memory_utilization=0.95"})
    assert "It fits with" not in both.summary
