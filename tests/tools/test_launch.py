"""The command that starts an engine has the flags of the version asked about, and no others."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data_files import DATA
from inferplan.catalog.asked_models import model_id, model_of
from inferplan.catalog.models import MODELS
from inferplan.core.engine import EngineName
from inferplan.core.parallelism import Layout
from inferplan.tools._assumptions import Ledger
from inferplan.tools._overrides import parse_overrides
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.parallelism import ParallelismAnswer
from inferplan.tools.preset import TOOL as PRESET
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.serving.launch import launch
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.settings import serving
from inferplan.tools.vram import TOOL, VramQuestion

VERSIONS = range(5, 34)
"""Of vLLM, 0.5 to 0.33: those that are accepted."""
OLD, NEW = VERSIONS[0], VERSIONS[-1]


def command(version: int, *, model: str, overrides: str = "", users: int = 1, **layout: Any) -> str:
    given = parse_overrides(f"engine_version=0.{version}, {overrides}", groups=VramQuestion.settings)
    ledger = Ledger(given)
    on = serving(ledger, model=model, precision="fp8", gpu="h200-sxm")
    return launch(on, Layout(**layout), context=4096, users=users, ledger=ledger, kv_precision="fp8")


GROUPS: dict[str, Any] = {"model": "deepseek-ai/DeepSeek-V3", "attention_dp": 8}
WIDE: dict[str, Any] = {"model": "deepseek-ai/DeepSeek-V3", "attention_dp": 16}
NODES: dict[str, Any] = {"model": "meta-llama/Llama-3.3-70B-Instruct", "tp": 8, "pp": 2}
ONE: dict[str, Any] = {"model": "meta-llama/Llama-3.3-70B-Instruct"}
OWN: dict[str, Any] = {"model": "deepseek-ai/DeepSeek-V3", "tp": 8}
BLIND: dict[str, Any] = {"model": "Qwen/Qwen3-VL-8B-Instruct", "overrides": "image_inputs=0"}
SET = "max_num_seqs=64, max_num_batched_tokens=4096, memory_utilization=0.8, cuda_graphs=0, prefix_caching=1"


@pytest.mark.parametrize(
    ("asked", "flag", "first", "last"),
    [
        (ONE, "vllm serve ", 6, NEW),
        (ONE, "python -m vllm.entrypoints.openai.api_server --model ", OLD, 5),
        (NODES, "--tensor-parallel-size 8 ", OLD, NEW),
        (NODES, "--pipeline-parallel-size 2 ", OLD, NEW),
        (NODES, "--nnodes 2 --node-rank 0 --master-addr HOST ", 12, NEW),
        (NODES, "--distributed-executor-backend ray ", OLD, 11),
        (NODES, " # in a Ray cluster of 2 nodes", OLD, 11),
        (ONE, "--max-model-len 4096", OLD, NEW),
        (ONE, "--quantization fp8", OLD, NEW),
        (ONE, "--kv-cache-dtype fp8", OLD, NEW),
        ({**ONE, "overrides": SET}, "--max-num-seqs 64 ", OLD, NEW),
        ({**ONE, "overrides": SET}, "--max-num-batched-tokens 4096 ", OLD, NEW),
        ({**ONE, "overrides": SET}, "--gpu-memory-utilization 0.8 ", OLD, NEW),
        ({**ONE, "overrides": SET}, "--enforce-eager ", OLD, NEW),
        ({**ONE, "overrides": SET}, "--enable-prefix-caching", OLD, NEW),
        ({**ONE, "overrides": "prefix_caching=0"}, "--no-enable-prefix-caching", 7, NEW),
        ({**ONE, "overrides": "hybrid_kv_cache=0"}, "--disable-hybrid-kv-cache-manager", 9, NEW),
        ({**ONE, "tp": 8, "overrides": "decode_context_parallel=8"}, "--decode-context-parallel-size 8 ", 10, NEW),
        (BLIND, "--language-model-only", 17, NEW),
        ({**WIDE, "users": 4096}, "--enable-dbo ", 11, NEW),
        (
            {**OWN, "overrides": "speculative_tokens=2"},
            "--speculative-config.method mtp --speculative-config.num_speculative_tokens 2",
            12,
            NEW,
        ),
        ({**OWN, "overrides": "speculative_tokens=2"}, " # and your draft model", OLD, 11),
        ({**ONE, "overrides": "speculative_tokens=2"}, " # and your draft model", OLD, NEW),
        (WIDE, "--all2all-backend deepep_low_latency ", 12, NEW),
    ],
)
def test_vllm_gets_a_flag_from_the_first_version_on_that_has_it(
    asked: Mapping[str, Any], flag: str, first: int, last: int
) -> None:
    """Read off arg_utils.py, envs.py and scripts.py of every release from 0.5.0 to 0.14.0 and of 0.16.0 to 0.33.0."""
    assert [version for version in VERSIONS if flag in command(version, **asked)] == [*range(first, last + 1)]


def test_before_there_was_a_flag_vllm_was_told_by_the_environment_how_to_exchange_between_nodes() -> None:
    """0.11.0 has the variable alone, 0.11.1 both; the variable is gone in 0.16."""
    told = "VLLM_ALL2ALL_BACKEND=deepep_low_latency vllm serve "
    assert command(11, **WIDE).startswith(told)
    assert command(12, **WIDE).startswith("vllm serve ")
    assert "VLLM_ALL2ALL" not in command(11, **GROUPS)


@pytest.mark.parametrize(
    ("version", "backend"),
    [(15, "mori"), (20, "mori"), (22, "mori"), (23, "mori_low_latency"), (31, "mori_low_latency")],
)
@pytest.mark.parametrize("gpu", ["mi300x", "mi355x"])
def test_on_amd_vllm_exchanges_between_nodes_with_mori_and_never_beside_computing(
    gpu: str, version: int, backend: str
) -> None:
    """`All2AllBackend` of vLLM 0.15, 0.16, 0.20 to 0.24 and 0.33; with `--enable-dbo` MoRI ends in an assertion."""
    given = Ledger(parse_overrides(f"engine_version=0.{version}", groups=VramQuestion.settings))
    on = serving(given, model="deepseek-ai/DeepSeek-V3", precision="fp8", gpu=gpu)
    started = launch(on, Layout(attention_dp=32), context=4096, users=32 * 256, ledger=Ledger({}))
    assert started.startswith("VLLM_ROCM_USE_AITER=1 vllm serve ")
    assert f"--data-parallel-address HOST --all2all-backend {backend} --max-model-len" in started
    assert not {"--enable-dbo", "deepep"} & {*started.replace("_", " ").split()}
    assert max(on.sharing(1, 64)) == 64


@pytest.mark.parametrize(
    ("gpu", "version"), [("mi300x", 14), ("mi250x", 28), ("gaudi-3", 28), ("tpu-v6e", 28), ("a100-80gb-sxm", 28)]
)
def test_where_vllm_has_no_kernels_for_it_experts_are_shared_within_what_talks_without_the_network(
    gpu: str, version: int
) -> None:
    """0.14 has no MoRI, which knows CDNA3 and CDNA4 alone; DeepEP is NVIDIA's, and on A100 reaches no other node."""
    given = Ledger(parse_overrides(f"engine_version=0.{version}", groups=VramQuestion.settings))
    on = serving(given, model="deepseek-ai/DeepSeek-V3", precision="bf16", gpu=gpu)
    assert max(on.sharing(1, 64), default=1) <= on.domain


def test_stages_that_servers_cannot_share_out_evenly_are_left_to_ray() -> None:
    """Three groups of four GPUs are two on one server of eight and one on another: 12 ranks / 2 would cut a group.

    vLLM 0.28 wants `--nnodes` to divide the ranks, and gives each server as many; five groups on three are refused.
    """
    uneven = command(28, model="Qwen/Qwen2.5-7B-Instruct", tp=4, pp=3)
    assert "--distributed-executor-backend ray --max-model-len" in uneven
    assert uneven.endswith("# in a Ray cluster of 2 nodes")
    assert "--nnodes 2 " in command(28, model="Qwen/Qwen2.5-7B-Instruct", tp=4, pp=4)


@given(
    st.sampled_from(
        ["Qwen/Qwen2.5-7B-Instruct", "microsoft/Phi-3-medium-128k-instruct", "Qwen/Qwen2-57B-A14B-Instruct"]
    ),
    st.sampled_from(["l4", "a10g", "h100-sxm", "l40s"]),
    st.integers(1, 3000),
    st.sampled_from([None, 12, 20, 28, 40]),
)
@settings(max_examples=60)
def test_servers_of_sglang_have_as_many_stages_each(model: str, gpu: str, users: int, gpus: int | None) -> None:
    """SGLang 0.5.23, engine.py: a server starts max(pp / nodes, 1) stages, so that three on two never meet."""
    on = serving(Ledger({}), model=model, precision="bf16", gpu=gpu, engine="sglang")
    found = on.within(users, 32768, gpus)
    if found:
        layout = found.layout.alone
        servers = on.nodes(layout)
        assert layout.pp % servers == 0 or servers % layout.pp == 0


def test_sglang_drafts_with_the_models_own_layers() -> None:
    """`--help` of SGLang 0.5.23: a chain of two steps verifies three tokens."""
    load = {"model": "deepseek-r1", "precision": "fp8", "gpu": "h200", "engine": "sglang", "total_gpus": 8}
    started = TOOL.ask({**load, "overrides": "speculative_tokens=2"}).launch or ""
    said = "--speculative-algorithm EAGLE --speculative-num-steps 2 --speculative-eagle-topk 1"
    assert f"{said} --speculative-num-draft-tokens 3" in started


@pytest.mark.parametrize(
    ("ranks", "experts", "copies"), [(24, 256, 8), (16, 256, 0), (32, 256, 0), (24, 160, 8), (48, 128, 16)]
)
def test_experts_that_ranks_do_not_divide_are_copied_until_they_do(ranks: int, experts: int, copies: int) -> None:
    """DeepEP asserts `num_experts % num_ranks == 0`: 256 + 8 are 11 on each of 24 ranks, which the fullest hold anyway.

    Within a node vLLM gathers tokens without it, and spreads 256 over as many ranks as there are.
    """
    models = {256: "deepseek-v3", 160: "Qwen/Qwen3-Coder-480B-A35B-Instruct", 128: "Qwen/Qwen3-235B-A22B"}
    told = {"vllm": "--enable-eplb --eplb-config.num_redundant_experts ", "sglang": "--ep-num-redundant-experts "}
    for engine, flag in told.items():
        asked: dict[str, Any] = {"precision": "fp8", "gpu": "h200-sxm", "engine": engine}
        on = serving(Ledger({}), model=model_id(models[experts]), **asked)
        started = launch(on, Layout(attention_dp=ranks), context=4096, users=ranks, ledger=Ledger({}))
        assert (f"{flag}{copies} " in started, flag in started) == (copies > 0, copies > 0)


@pytest.mark.parametrize(
    ("model", "precision", "gpu", "told"),
    [
        ("deepseek-v3", "fp8", "h200-sxm", "--moe-a2a-backend deepep "),
        ("deepseek-v3", "nvfp4", "b200-sxm", "--ep-size 8 "),
        ("Qwen/Qwen3-235B-A22B", "bf16", "h200-sxm", "--ep-size 8 "),
        ("Qwen/Qwen3-235B-A22B", "fp8", "h200-sxm", "--ep-size 8 "),
        ("zai-org/GLM-4.7-FP8", "fp8", "h200-sxm", "--ep-size 8 "),
        ("deepseek-v3", "fp8", "mi300x", "--ep-size 8 "),
        ("deepseek-v3", "fp8", "a100-80gb-sxm", "--ep-size 8 "),
    ],
)
def test_sglang_sends_tokens_to_experts_that_deepgemm_computes_alone(
    *, model: str, precision: str, gpu: str, told: str
) -> None:
    """SGLang 0.5.23, ep_moe/layer.py: with DeepEP others end in "forward_deepgemm_masked is deprecated".

    It is imported on compute capability 9.0 and newer (deep_gemm_wrapper/configurer.py). Without a backend tokens are
    gathered, within what talks without the network.
    """
    on = serving(Ledger({}), model=model_id(model), precision=precision, gpu=gpu, engine="sglang")
    started = launch(on, Layout(attention_dp=8), context=4096, users=8, ledger=Ledger({}))
    assert f"--tp-size 8 --dp-size 8 --enable-dp-attention {told}" in started
    assert (max(on.sharing(1, 64)) > 8) == ("deepep" in told)


@pytest.mark.parametrize(("ranks", "whole"), [(16, False), (24, False), (32, True), (64, True)])
def test_sglang_keeps_dense_layers_whole_where_its_ranks_would_cut_blocks(*, ranks: int, whole: bool) -> None:
    """18432 / 24 = 768 columns are six blocks of 128, 18432 / 32 = 576 four and a half: SGLang, issue 3345.

    In 16 bit any slice will do. All of a dense layer on each GPU is what is counted of groups of one GPU alone.
    """
    own, wide = (
        serving(Ledger({}), model=model_id("deepseek-v3"), precision=form, gpu="h200-sxm", engine="sglang")
        for form in ("fp8", "bf16")
    )
    said = [launch(on, Layout(attention_dp=ranks), context=4096, users=1, ledger=Ledger({})) for on in (own, wide)]
    assert ["--moe-dense-tp-size 1 " in one for one in said] == [whole, False]
    assert (ranks // 2 in own.sharing(2, 64)) == (not whole and ranks != 24)


def test_a_shared_expert_that_sglang_slices_over_all_ranks_is_cut_into_whole_blocks() -> None:
    """512 / 4 = 128 rows on each of four ranks; where it sends tokens instead, each keeps all 512."""
    asked: dict[str, Any] = {"model": "Qwen/Qwen3.6-35B-A3B-FP8", "precision": "fp8", "engine": "sglang"}
    sent, gathered = (serving(Ledger({}), gpu=gpu, **asked) for gpu in ("h200-sxm", "mi300x"))
    assert (max(sent.sharing(1, 8)), max(gathered.sharing(1, 8))) == (8, 4)


@pytest.mark.parametrize(
    ("model", "tp", "engine", "said"),
    [
        ("zai-org/GLM-5", 8, "vllm", "vllm serve zai-org/GLM-5-FP8 --tensor-parallel-size 8 "),
        ("zai-org/GLM-5", 8, "sglang", "--model-path zai-org/GLM-5-FP8 --tp-size 8 "),
        ("zai-org/GLM-5", 8, "tensorrt-llm", "trtllm-serve zai-org/GLM-5-FP8 --tp_size 8 "),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 4, "vllm", "vllm serve Qwen/Qwen3-Next-80B-A3B-Instruct-FP8 "),
        ("Qwen/Qwen3-235B-A22B", 8, "vllm", "--tensor-parallel-size 8 --enable-expert-parallel "),
        ("Qwen/Qwen3-235B-A22B", 4, "vllm", "Qwen/Qwen3-235B-A22B-FP8 --tensor-parallel-size 4 --max-model-len "),
        ("meta-llama/Llama-3.3-70B-Instruct", 8, "vllm", "Llama-3.3-70B-Instruct --quantization fp8 "),
    ],
)
def test_a_release_in_16_bit_is_served_in_fp8_by_the_checkpoint_that_is_released_beside_it(
    model: str, tp: int, engine: str, said: str
) -> None:
    """vllm-project/recipes: GLM-5-FP8, Qwen3-235B-A22B-FP8 with `-tp 4`; 1536 / 8 = 192 would cut its blocks of 128."""
    asked: dict[str, Any] = {"model": model, "precision": "fp8", "engine": engine}
    on = serving(Ledger({}), gpu="h200-sxm", **asked)
    assert said in launch(on, Layout(tp=tp), context=4096, users=1, ledger=Ledger({}))


def test_a_checkpoint_in_blocks_is_not_named_for_a_layout_that_would_divide_them() -> None:
    """9728 / 8 = 1216 rows of Qwen3 4B are nine and a half blocks of 128."""
    online, blocks = (
        serving(Ledger({}), model=model, precision="fp8", gpu="h200-sxm")
        for model in ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B-FP8")
    )
    assert (8 in online.degrees, 8 in blocks.degrees) == (True, False)
    started = launch(online, Layout(tp=8), context=4096, users=1, ledger=Ledger({}))
    assert started.startswith("vllm serve Qwen/Qwen3-4B --quantization fp8 ")


@pytest.mark.parametrize(
    ("model", "precision", "gpu", "told"),
    [
        ("deepseek-ai/DeepSeek-R1", "fp8", "b200-sxm", True),
        ("zai-org/GLM-5", "fp8", "gb200", True),
        ("deepseek-ai/DeepSeek-R1", "fp8", "h200-sxm", False),
        ("deepseek-ai/DeepSeek-R1", "nvfp4", "b200-sxm", False),
        ("Qwen/Qwen3-32B-FP8", "fp8", "b200-sxm", False),
        ("openai/gpt-oss-120b", "mxfp4", "b200-sxm", False),
    ],
)
def test_tensorrt_llm_is_told_the_only_backend_that_has_fp8_experts_in_blocks(
    *, model: str, precision: str, gpu: str, told: bool
) -> None:
    """Its guide to DeepSeek R1: "B200/GB200 EP<=8 | FP8 | DEEPGEMM", H200 CUTLASS, which is the default."""
    on = serving(Ledger({}), model=model, precision=precision, gpu=gpu, engine="tensorrt-llm")
    started = launch(on, Layout(tp=8), context=4096, users=1, ledger=Ledger({}))
    assert ("--extra_llm_api_options FILE" in started, "moe_config: {backend: DEEPGEMM}" in started) == (told, told)


def test_blocks_of_routed_experts_alone_leave_tensor_groups_to_all_else() -> None:
    """Step 3.7 Flash: a shared expert of 1280 / 8 = 160 rows would end within a block, and is in 16 bit.

    All scales of its FP8 checkpoint are those of 42 layers of 288 experts, 3 x 4096 x 1280 / 16,384 = 960 each: by so
    many its published total exceeds that of the release. vllm-project/recipes start it with TP 8.
    """
    own, release = ("stepfun-ai/Step-3.7-Flash-FP8", "stepfun-ai/Step-3.7-Flash")
    on, wide = (serving(Ledger({}), model=model, precision="fp8", gpu="h200-sxm") for model in (own, release))
    assert 8 in on.degrees
    assert 42 * 288 * 3 * 4096 * 1280 // 128**2 == 11_612_160
    started = launch(wide, Layout(tp=8), context=4096, users=1, ledger=Ledger({}))
    assert f"vllm serve {release} --trust-remote-code --quantization fp8 " in started


def test_vllm_is_told_the_page_that_an_indexer_picks_keys_and_values_by() -> None:
    """vllm-project/recipes, MiniMax-M3: "sparse_block_size is 128 -- KV cache block size must match" (`base_args`)."""
    asked: dict[str, Any] = {"precision": "bf16", "gpu": "b200-sxm"}
    m3 = serving(Ledger({}), model="MiniMaxAI/MiniMax-M3", **asked)
    latent = serving(Ledger({}), model="deepseek-ai/DeepSeek-V3.2", **asked)
    started = [launch(on, Layout(tp=8), context=4096, users=1, ledger=Ledger({})) for on in (m3, latent)]
    assert ["--block-size 128" in one for one in started] == [True, False]


@pytest.mark.parametrize(
    ("model", "tp", "whole"),
    [
        ("MiniMaxAI/MiniMax-M2", 8, True),
        ("MiniMaxAI/MiniMax-M2", 4, False),
        ("Qwen/Qwen3-30B-A3B-FP8", 4, True),
        ("stepfun-ai/Step-3.7-Flash-FP8", 8, True),
        ("stepfun-ai/Step-3.5-Flash-FP8", 2, False),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", 8, True),
        ("deepseek-ai/DeepSeek-V3", 8, False),
    ],
)
def test_experts_stay_whole_where_a_slice_would_end_within_a_block(*, model: str, tp: int, whole: bool) -> None:
    """1536 / 8 = 192 rows are no blocks of 128: both engines refuse them, and run them with whole experts.

    vLLM, pull request 48173, and recipes, MiniMax-M2: "pure TP8 is not supported", TP+EP is.
    """
    for engine, flag in (("vllm", "--enable-expert-parallel "), ("sglang", f"--ep-size {tp} ")):
        asked: dict[str, Any] = {"model": model, "gpu": "h200-sxm", "engine": engine}
        own, other = (serving(Ledger({}), precision=form, **asked) for form in ("fp8", "bf16"))
        said = [launch(on, Layout(tp=tp), context=4096, users=1, ledger=Ledger({})) for on in (own, other)]
        assert [flag in one for one in said] == [whole, False]


def assert_whole_experts(plan: ParallelismAnswer) -> None:
    """A tensor group of 8 holds whole experts: so say fields, command, summary and picture."""
    assert (plan.tp, plan.ep) == (8, 8)
    assert "--tensor-parallel-size 8 --enable-expert-parallel " in (plan.launch or "")
    assert "tensor 8, experts over 8, 1 replica" in plan.summary
    assert "each GPU: 1/8 of each layer, its experts whole" in plan.diagram


@pytest.mark.parametrize("model", ["qwen3-coder 480b", "MiniMaxAI/MiniMax-M2"])
def test_answers_say_that_a_tensor_group_holds_whole_experts_where_the_command_does(model: str) -> None:
    asked: dict[str, Any] = {"model": model, "precision": "fp8", "gpu": "h200-sxm", "total_gpus": 8}
    asked |= {"concurrent_users": 30, "context_window": 65_536}
    plan = PLAN.ask(asked)
    assert_whole_experts(plan)
    assert [one.deploy.ep for one in TOOL.ask(asked).hardware if one.gpu == "h200-sxm" and one.deploy] == [8]
    assert PRESET.ask({"preset": "production", **asked}).sections.parallelism.ep == 8


def test_a_tensor_group_holds_whole_experts_where_kernels_would_pad_their_slices() -> None:
    """DeepSeek V4.1 on eight H100: 288 columns would be padded to 384. Not with gpt-oss, nor by other engines."""
    asked: dict[str, Any] = {
        "model": "deepseek v4.1",
        "gpu": "h100-sxm",
        "total_gpus": 8,
        "overrides": "expert_parallel=0",
    }
    asked |= {"concurrent_users": 8, "context_window": 65_536}
    plan = PLAN.ask(asked)
    assert_whole_experts(plan)
    (noted,) = (one for one in plan.assumptions if one.name == "experts")
    assert (noted.value, "1/8 of each to 1.33 times" in noted.why) == ("whole", True)
    oss = PLAN.ask({**asked, "model": "gpt-oss-120b"})
    assert "--enable-expert-parallel" not in (oss.launch or "--enable-expert-parallel")
    assert "experts" not in [one.name for one in oss.assumptions]
    pro: dict[str, Any] = {"model": "deepseek-ai/DeepSeek-V4-Pro", "precision": "mxfp4", "gpu": "gb200"}
    over = {name: experts_over(serving(Ledger({}), **pro, engine=name), Layout(tp=16)) for name in ("vllm", "sglang")}
    assert over == {"vllm": 16, "sglang": 1}


@pytest.mark.parametrize(
    ("model", "gpu", "widest", "unquantised"),
    [
        ("Qwen/Qwen3.6-35B-A3B-FP8", "h100-sxm", 4, 8),
        ("Qwen/Qwen3-4B-FP8", "h100-sxm", 4, 8),
        ("Qwen/Qwen3-8B-FP8", "h100-sxm", 8, 8),
        ("deepseek-r1", "gb200", 16, 64),
        ("Qwen/Qwen2.5-14B-Instruct-AWQ", "h100-sxm", 4, 8),
        ("Qwen/Qwen2.5-14B-Instruct-GPTQ-Int4", "h100-sxm", 4, 8),
        ("Qwen/Qwen2.5-32B-Instruct-AWQ", "h100-sxm", 8, 8),
    ],
)
def test_what_every_token_passes_through_is_cut_into_whole_blocks(
    *, model: str, gpu: str, widest: int, unquantised: int
) -> None:
    """Rows of blocks of 128 that are left: 512 / 8 of a shared expert, 9728 / 8 = 1216, 18432 / 32 = 576, 13824 / 8.

    vLLM, pull request 52915; vLLM 0.28, `validate_fp8_block_shape`, and auto_awq.py ("too large tensor parallel size");
    SGLang, issue 3345 (DeepSeek-R1 on 32).
    """
    id_ = model_id(model)
    forms = (MODELS[id_].native_precision, "bf16")
    own, wide = (serving(Ledger({}), model=id_, precision=form, gpu=gpu) for form in forms)
    assert (max(own.degrees), max(wide.degrees)) == (widest, unquantised)


@pytest.mark.parametrize(
    "stored",
    [
        {"quant_method": "fp8", "weight_block_size": [128, 128]},
        {
            "quant_method": "compressed-tensors",
            "config_groups": {
                "group_0": {"weights": {"num_bits": 8, "type": "float", "block_structure": [128, 128]}, "targets": []}
            },
        },
        {"quant_method": "awq", "bits": 4, "group_size": 128},
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}, "targets": []}},
        },
        {"quant_method": "fp8"},
    ],
)
def test_a_config_says_whether_a_checkpoint_is_in_blocks(stored: dict[str, Any]) -> None:
    """A model of Qwen3 4B's shape: 9728 / 8 = 1216 rows are no blocks of 128."""
    config = {
        "model_type": "qwen3", "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 9728, "vocab_size": 151936,
        "max_position_embeddings": 40960, "tie_word_embeddings": True, "quantization_config": stored,
    }  # fmt: skip
    id_ = model_id(json.dumps(config))
    on = serving(Ledger({}), model=id_, precision=model_of(id_).native_precision, gpu="h100-sxm")
    assert max(on.degrees) == (8 if len(stored) == 1 else 4)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_weights_in_fp32_have_to_be_asked_for_and_so_is_their_cache(engine: str) -> None:
    """A published start of Llama 3.1 8B with `--dtype float32`: 262,163 B a token and 21.4 sessions of 8,192 tokens."""
    load = {"model": "llama 3.1 8b", "precision": "fp32", "gpu": "h100", "engine": engine}
    answer = TOOL.ask({**load, "overrides": "engine_version=0.19, memory_utilization=0.95"})
    assert answer.kv_bytes_per_token == 2 * 32 * 8 * 128 * 4
    assert " --dtype float32 " in (answer.launch or "")
    assert "--dtype" not in (TOOL.ask({**load, "precision": "bf16"}).launch or "--dtype")
    if engine == "vllm":
        assert next(row for row in answer.hardware if row.gpu == "h100-sxm").max_concurrent_users == 21


@pytest.mark.parametrize(
    ("gpu", "most"),
    [("h200-sxm", {7: 1, 8: 8, 10: 8, 11: 64, NEW: 64}), ("gb200", {7: 1, 8: 4, 9: 64, 10: 64, NEW: 64})],
)
def test_experts_are_shared_as_far_as_the_version_can(gpu: str, most: Mapping[int, int]) -> None:
    """vLLM serves data-parallel groups since 0.8.3, on several servers since 0.9.0, and overlaps them since 0.11.0."""
    for version, ranks in most.items():
        given = Ledger(parse_overrides(f"engine_version=0.{version}", groups=VramQuestion.settings))
        on = serving(given, model="deepseek-ai/DeepSeek-V3", precision="fp8", gpu=gpu)
        assert max([1, *on.sharing(1, 64)]) == ranks


@pytest.mark.parametrize("tool", [TOOL, PLAN])
def test_an_int8_cache_is_refused_before_the_version_that_keeps_one(tool: Any) -> None:
    """`int8_per_token_head` is a CacheDType of 0.20.0, and not of 0.19.0."""
    load = {"model": "llama 3.3 70b", "precision": "fp8", "kv_precision": "int8"}
    with pytest.raises(ValueError, match=r"vLLM 0\.19 keeps no KV cache in INT8") as said:
        tool.ask({**load, "overrides": "engine_version=0.19"})
    assert 'take kv_precision fp16, bf16 or fp8, or overrides="engine_version=0.20"' in str(said.value)
    tool.ask({**load, "overrides": "engine_version=0.20"})


def test_a_setting_that_the_version_lacks_is_said_to_have_no_effect() -> None:
    load = {"model": "deepseek-v3", "precision": "fp8", "gpu": "h200", "total_gpus": 8}
    old = TOOL.ask({**load, "overrides": "engine_version=0.9, decode_context_parallel=8"})
    new = TOOL.ask({**load, "overrides": "engine_version=0.10, decode_context_parallel=8"})
    said = {one.name: one.why for one in old.assumptions}
    assert said["decode_context_parallel"] == "given, but nothing here depends on it"
    assert new.hardware[0].users > old.hardware[0].users


@pytest.mark.parametrize(
    ("stages", "each", "rpc", "others"),
    [
        (4, 4, "", ""),
        (4, 2, " --rpc HOST2:50052", "1 other server"),
        (4, 1, " --rpc HOST2:50052,HOST3:50052,HOST4:50052", "3 other servers"),
        (12, 2, " --rpc HOST2:50052,...,HOST6:50052", "5 other servers"),
    ],
)
def test_llama_cpp_over_several_servers_names_the_others_and_what_they_run(
    stages: int, each: int, rpc: str, others: str
) -> None:
    """The main host lists the servers that expose their GPUs; llama.cpp, tools/rpc/README.md."""
    ledger = Ledger({"gpus_per_node": each})
    on = serving(ledger, model=ONE["model"], precision="q4_k_m", gpu="rtx-4090", engine="llama.cpp")
    said = launch(on, Layout(pp=stages), context=4096, users=1, ledger=ledger)
    worker = f" # ggml-rpc-server -H 0.0.0.0 -p 50052 on {others}" if others else ""
    assert said == f"llama-server -m Llama-3.3-70B-Instruct-Q4_K_M.gguf -ngl 999 -fa on{rpc} -c 4096 -np 1{worker}"


def test_llama_cpp_is_told_of_a_context_that_it_would_cut() -> None:
    """A log of it: "the slot context (65536) exceeds the training context of the model (40960) - capping"."""
    load = {"model": "qwen3 8b", "precision": "q4_k_m", "gpu": "l40s", "engine": "llama.cpp", "concurrent_users": 2}
    within, beyond = (TOOL.ask({**load, "context_window": tokens}) for tokens in (40_960, 65_536))
    assert "--override-kv ARCHITECTURE.context_length=int:65536 " in (beyond.launch or "")
    assert "llama-server cuts each user's context to that" in beyond.summary
    assert "--override-kv" not in (within.launch or "")
    served = TOOL.ask({**load, "engine": "vllm", "context_window": 65_536, "precision": "fp8"})
    assert "unless told otherwise, engines refuse more" in served.summary


def test_a_model_without_states_is_told_no_number_of_sequences_however_few_its_blocks_are() -> None:
    """70B in FP8 leaves one H100 2.5 GiB: 518 blocks of 16 tokens, and 1,024 sequences that may wait for them."""
    answer = TOOL.ask({"model": "llama 3.3 70b", "precision": "fp8", "total_gpus": 1, "context_window": 4096})
    assert answer.gpu_gib
    assert answer.gpu_gib.kv_pool * 2**30 / (16 * 327_680) < 1024
    assert "--max-num-seqs" not in (answer.launch or "--max-num-seqs")


def test_windows_that_are_switched_off_are_switched_off_in_llama_cpp_by_a_flag_of_its_own() -> None:
    """`--help` of llama-server: "use full-size SWA cache"."""
    asked = {"model": "gemma 3 27b", "precision": "q4_k_m", "gpu": "rtx-4090", "engine": "llama.cpp"}
    on, off = (TOOL.ask({**asked, "overrides": f"hybrid_kv_cache={kept}"}).launch or "" for kept in (1, 0))
    assert off == f"{on} --swa-full"


def test_each_replica_of_llama_cpp_has_the_slots_of_its_own_users_and_cells_for_them() -> None:
    """40 users on 3 replicas: 14 on the busiest, each with 8,192 cells, and 14 x 8,192 = 114,688."""
    load = {"model": "llama 3.1 8b", "precision": "q4_k_m", "gpu": "rtx-4090", "engine": "llama.cpp", "total_gpus": 4}
    started = TOOL.ask({**load, "concurrent_users": 40}).launch or ""
    assert started.endswith(" -c 114688 -np 14 # one of 3 replicas")


def test_a_pipeline_of_llama_cpp_over_servers_is_answered_with_the_command_of_all_of_them() -> None:
    load = {"model": "llama 3.3 70b", "precision": "q4_k_m", "gpu": "rtx-4090", "engine": "llama.cpp"}
    answer = TOOL.ask({**load, "concurrent_users": 4, "overrides": "gpus_per_node=1"})
    assert "3 GPUs on 3 nodes" in answer.summary
    assert "--rpc HOST2:50052,HOST3:50052 " in (answer.launch or "")


def test_tensorrt_llm_over_several_servers_is_started_on_all_of_them_at_once() -> None:
    """trtllm-serve, "Multi-node Serving with Slurm"."""
    load = {"model": "llama 3.1 405b", "precision": "bf16", "engine": "tensorrt-llm"}
    one, two = TOOL.ask({**load, "gpu": "h200"}).launch or "", TOOL.ask({**load, "gpu": "h100"}).launch or ""
    assert one.startswith("trtllm-serve meta-llama/Llama-3.1-405B-Instruct --tp_size 8 ")
    spread = "srun -N 2 --ntasks 16 --ntasks-per-node 8 --mpi=pmix trtllm-llmapi-launch trtllm-serve "
    assert two.startswith(f"{spread}meta-llama/Llama-3.1-405B-Instruct --tp_size 8 --pp_size 2 ")


def test_deepseek_v4_is_started_with_the_one_cache_that_vllm_reads() -> None:
    """As in vLLM's recipe; blocks of 256 tokens it takes by itself."""
    answer = TOOL.ask({"model": "deepseek v4 flash", "gpu": "h200-sxm", "context_window": 8192, "concurrent_users": 16})
    start = "vllm serve deepseek-ai/DeepSeek-V4-Flash --tensor-parallel-size 2 --max-model-len 8192"
    assert answer.launch == f"{start} --kv-cache-dtype fp8"
    with pytest.raises(ValueError, match=r"keeps no compressed keys in BF16; take kv_precision fp8\b"):
        _ = TOOL.ask({"model": "deepseek v4 flash", "gpu": "h200-sxm", "kv_precision": "bf16"})


def test_a_command_names_the_sequences_where_vllm_would_refuse_its_default() -> None:
    """Qwen3.8 27B on one L40S: "max_num_seqs (256) exceeds available Mamba cache blocks (184)"."""
    asked = VramQuestion(
        model="Qwen/Qwen3.8-27B", precision="fp8", gpu="l40s", context_window=131072, total_gpus=1, overrides=""
    )
    answer = TOOL.run(asked)
    assert "--max-num-seqs 128" in (answer.launch or "")
    (noted,) = (one for one in answer.assumptions if one.name == "max_num_seqs")
    assert (noted.value, noted.why) == (128, "not 256: vLLM refuses more than it has blocks for states")
    old = TOOL.run(asked.model_copy(update={"overrides": "engine_version=0.19"}))
    assert "--max-num-seqs" not in (old.launch or "")


@pytest.mark.parametrize(
    ("engine", "flag"),
    [("vllm", " --trust-remote-code "), ("sglang", " --trust-remote-code "), ("tensorrt-llm", " --trust_remote_code ")],
)
def test_code_that_a_checkpoint_brings_is_trusted_where_the_engine_stops_without(engine: str, flag: str) -> None:
    """Without it Kimi K2 Thinking stops at its tokenizer (vllm-project/recipes 116); so does Kimi K2."""
    answer = TOOL.ask({"model": "kimi k2", "gpu": "b200", "engine": engine})
    assert flag in (answer.launch or "")


@pytest.mark.parametrize(
    "question",
    [
        {"model": "deepseek-ai/DeepSeek-V3.1", "gpu": "h200"},
        {"model": "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-BF16", "gpu": "h100"},
        {"model": "kimi k2 thinking", "gpu": "h200", "engine": "llama.cpp", "precision": "q4_k_m"},
    ],
)
def test_no_code_is_trusted_that_no_engine_needs(question: dict[str, Any]) -> None:
    """The engine's own code does, also for a row like one that brings code; llama.cpp runs no such code."""
    answer = TOOL.ask(question)
    assert "trust" not in (answer.launch or "")


def test_a_build_of_a_checkpoint_that_brings_code_brings_it_too() -> None:
    answer = TOOL.ask({"model": "nvidia/Kimi-K2.5-NVFP4", "gpu": "b200"})
    assert "vllm serve nvidia/Kimi-K2.5-NVFP4 --trust-remote-code " in (answer.launch or "")


TRUST = "--trust-remote-code "


@pytest.mark.parametrize(
    ("slug", "auto_map", "flag"),
    [
        ("ling-mini-2.0", {"AutoConfig": "configuration_bailing_moe_v2.BailingMoeV2Config"}, TRUST),
        ("kimi-k2-instruct", {"AutoConfig": "configuration_deepseek.DeepseekV3Config"}, TRUST),
        ("kimi-k2-instruct", {"AutoConfig": "a.B --served-model-name x"}, ""),
        ("kimi-k2-instruct", None, ""),
        ("deepseek-v3.1", {"AutoConfig": "configuration_deepseek.DeepseekV3Config"}, ""),
        ("phi-3-mini-4k", {"AutoConfig": "configuration_phi3.Phi3Config"}, ""),
    ],
)
def test_code_of_a_described_checkpoint_is_trusted_where_engines_have_no_class_of_its_type(
    slug: str, auto_map: object, flag: str
) -> None:
    """Transformers has classes of DeepSeek-V3 and Phi-3, though their repositories bring some."""
    config = json.loads((DATA / "configs" / f"{slug}.json").read_text(encoding="utf-8"))
    answer = TOOL.ask({"model": json.dumps({**config, "auto_map": auto_map}), "gpu": "b200"})
    start, _, rest = (answer.launch or "").partition("MODEL ")
    assert start.endswith("vllm serve ")
    assert rest.startswith(f"{flag}--")
    assert rest.count("trust") == flag.count("trust")
    assert TOOL.ask(answer.inputs).launch == answer.launch


@pytest.mark.parametrize(
    ("model", "engine", "said"),
    [
        ("deepseek-ai/DeepSeek-V4-Flash", "vllm", "--speculative-config.method mtp "),
        ("deepseek-ai/DeepSeek-V4-Flash-0731", "vllm", "--speculative-config.method dspark "),
        ("deepseek-ai/DeepSeek-V4-Flash-0731", "sglang", " # and your draft model"),
    ],
)
def test_layers_that_draft_several_tokens_at_once_are_asked_for_by_their_method(
    model: str, engine: EngineName, said: str
) -> None:
    """vLLM 0.33, speculative.py: DSpark's stages have none of the weights of "mtp", which it refuses for V4.1."""
    ledger = Ledger(parse_overrides("speculative_tokens=2", groups=VramQuestion.settings))
    on = serving(ledger, model=model, precision="mxfp4", gpu="b300-sxm", engine=engine)
    assert said in launch(on, Layout(tp=4), context=4096, users=1, ledger=ledger, kv_precision="fp8")


LOAD: dict[str, Any] = {"model": "zai-org/GLM-5.2", "precision": "bf16", "gpu": "h100-sxm", "concurrent_users": 4000}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("", ()),
        ("max_num_seqs=512", ("--max-num-seqs 256",)),
        ("max_num_batched_tokens=4096", ("--max-num-batched-tokens 256",)),
        ("max_num_seqs=64, max_num_batched_tokens=128", ("--max-num-seqs 64", "--max-num-batched-tokens 128")),
    ],
)
def test_vllm_steps_as_many_tokens_as_ranks_exchange_between_nodes(overrides: str, told: tuple[str, ...]) -> None:
    """vLLM 0.20 to 0.33: with `deepep_low_latency` it steps 256 tokens, and refuses more sequences than tokens."""
    answer = PLAN.ask({**LOAD, "context_window": 8192, "overrides": overrides})
    started = answer.launch or ""
    assert "--all2all-backend deepep_low_latency" in started
    assert [one for one in ("--max-num-seqs", "--max-num-batched-tokens") if one in started] == [
        one.split()[0] for one in told
    ]
    assert all(one in started for one in told)
    assert (answer.max_concurrent_users or 0) <= 256 * answer.gpus_used


def test_up_to_0_19_steps_of_any_size_are_exchanged_in_parts() -> None:
    """`VLLM_MOE_DP_CHUNK_SIZE`, which 0.20 has no more; within a node, and by MoRI, no step is shortened."""
    old, new = (command(version, **WIDE, users=8192, overrides="max_num_seqs=512") for version in (19, 20))
    assert ("--max-num-seqs 512 " in old, "--max-num-seqs 256 " in new) == (True, True)
    assert "--max-num-seqs 512 " in command(28, **GROUPS, overrides="max_num_seqs=512")
    given = Ledger(parse_overrides("max_num_seqs=512", groups=VramQuestion.settings))
    on = serving(given, model="deepseek-ai/DeepSeek-V3", precision="fp8", gpu="mi300x")
    assert "--max-num-seqs 512" in launch(on, Layout(attention_dp=32), context=4096, users=1, ledger=given)


@pytest.mark.parametrize(("version", "told"), [("0.11", " --max-num-seqs 512"), ("0.12", ""), ("0.33", "")])
def test_no_more_sequences_run_than_a_step_has_tokens(version: str, told: str) -> None:
    """vLLM 0.12 to 0.33 lower their default of 1,024 sequences, older ones refuse it: `SchedulerConfig`."""
    asked = {"model": "llama 3.1 8b", "gpu": "h100-sxm", "concurrent_users": 700, "context_window": 100}
    overrides = f"max_num_batched_tokens=512, engine_version={version}"
    answer = TOOL.ask({**asked, "total_gpus": 1, "overrides": overrides})
    start = "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 100"
    assert answer.launch == f"{start}{told} --max-num-batched-tokens 512"
    assert [row.users for row in answer.hardware if row.gpu == "h100-sxm"] == [512]


@pytest.mark.parametrize("name", TOOLS_BY_NAME)
def test_every_tool_refuses_more_sequences_than_a_step_has_tokens_in_one_sentence(name: str) -> None:
    tool = TOOLS_BY_NAME[name]
    with pytest.raises(ValidationError) as refused:
        _ = tool.ask({**tool.example, "overrides": "max_num_seqs=58221, max_num_batched_tokens=260"})
    (problem,) = refused.value.errors()
    assert "vLLM refuses max_num_seqs=58221, more than max_num_batched_tokens=260" in problem["msg"]


def test_more_sequences_than_a_step_has_tokens_are_refused_as_vllm_does() -> None:
    asked: dict[str, Any] = {"model": "llama 3.1 8b", "gpu": "h100-sxm"}
    with pytest.raises(ValueError, match=r"vLLM refuses max_num_seqs=2000, more than max_num_batched_tokens=512"):
        _ = TOOL.ask({**asked, "overrides": "max_num_seqs=2000, max_num_batched_tokens=512"})
    longer = TOOL.ask({**asked, "overrides": "max_num_seqs=10000"})
    assert "--max-num-seqs 10000 --max-num-batched-tokens 10000" in (longer.launch or "")
    (noted,) = (one for one in longer.assumptions if one.name == "max_num_batched_tokens")
    assert (noted.value, noted.why) == (10_000, "vLLM refuses fewer than max_num_seqs")
    other = TOOL.ask({**asked, "engine": "sglang", "overrides": "max_num_seqs=2000, max_num_batched_tokens=512"})
    assert "--max-running-requests 2000 --chunked-prefill-size 512" in (other.launch or "")


@pytest.mark.parametrize(
    ("model", "gpu", "version", "told"),
    [
        ("zai-org/GLM-5.2", "b200", "0.33", " --kv-cache-dtype fp8"),
        ("zai-org/GLM-5.2", "b200", "0.32", " --kv-cache-dtype fp8"),
        ("zai-org/GLM-5.2", "b200", "0.31", ""),
        ("zai-org/GLM-5.2", "h200", "0.33", ""),
        ("zai-org/GLM-5.3-Flash", "gb300", "0.33", " --kv-cache-dtype fp8"),
        ("zai-org/GLM-5.3-Flash", "gb300", "0.32", ""),
        ("deepseek-ai/DeepSeek-V3.2", "b200", "0.33", ""),
        ("tencent/Hy4-preview", "b200", "0.33", ""),
    ],
)
def test_glm_is_cached_in_fp8_on_blackwell_by_default(model: str, gpu: str, version: str, told: str) -> None:
    """vLLM 0.31 to 0.33, model_executor/models/config.py: `GlmMoeDsaForCausalLM`, `Glm5NextModelConfig`."""
    answer = TOOL.ask({"model": model, "gpu": gpu, "overrides": f"engine_version={version}"})
    assert (answer.launch or "").partition(" --kv-cache-dtype")[1:] == told.partition(" --kv-cache-dtype")[1:]
    (noted,) = (one.value for one in answer.assumptions if one.name == "kv_cache_element")
    assert noted == ("8 bit" if told else "16 bit")


@pytest.mark.parametrize(
    ("model", "engine", "overrides"),
    [
        ("zai-org/GLM-5.2", "vllm", "engine_version=0.33"),
        ("nvidia/Qwen3.5-122B-A10B-NVFP4", "vllm", ""),
        ("nvidia/Qwen3.5-122B-A10B-NVFP4", "sglang", ""),
    ],
)
def test_a_cache_in_16_bit_is_asked_for_by_name_where_the_default_is_narrower(
    model: str, engine: str, overrides: str
) -> None:
    """`CacheDType` of vLLM 0.11 to 0.33 and `--kv-cache-dtype` of SGLang 0.5.23 have "bfloat16"; auto would be FP8."""
    answer = TOOL.ask({"model": model, "gpu": "b200", "engine": engine, "kv_precision": "bf16", "overrides": overrides})
    assert "--kv-cache-dtype bfloat16" in (answer.launch or "")


def test_a_model_that_looks_n_grams_up_is_not_split_into_stages_by_vllm() -> None:
    """vLLM 0.29 to 0.33: "N-gram PLE embedding requires pipeline_parallel_size=1"; DeepSeek V4.1 has stages."""
    asked: dict[str, Any] = {"precision": "gptq-int8", "gpu": "t4", "context_window": 4096}
    on = serving(Ledger({}), model="Qwen/Qwen3.8-Flash-Next", precision="gptq-int8", gpu="t4")
    assert not on.starts(Layout(tp=4, pp=4))
    assert on.starts(Layout(tp=4))
    assert list(on.any_stages(64)) == []
    answer = PLAN.ask({"model": "Qwen/Qwen3.8-Flash-Next", **asked})
    assert answer.launch is None
    other = serving(Ledger({}), model="deepseek-ai/DeepSeek-V4.1-Flash", precision="mxfp4", gpu="h100-sxm")
    assert other.starts(Layout(tp=8, pp=2))


@pytest.mark.parametrize("model", ["sarvamai/sarvam-30b", "sarvamai/sarvam-105b"])
def test_code_is_trusted_of_types_that_vllm_s_transformers_lacks(model: str) -> None:
    """vLLM 0.33 takes transformers below 5.21, which has no class of them: in_engines.py."""
    assert " --trust-remote-code " in (TOOL.ask({"model": model, "gpu": "h200"}).launch or "")


def test_a_cache_in_16_bit_is_asked_for_beside_weights_in_32() -> None:
    """`--help` of vLLM: auto is the type that the model runs in."""
    asked: dict[str, Any] = {"model": "llama 3.1 8b", "gpu": "h100-sxm", "precision": "fp32"}
    started, narrow = (TOOL.ask({**asked, **more}).launch or "" for more in ({}, {"kv_precision": "bf16"}))
    assert ("--kv-cache-dtype" in started, "--kv-cache-dtype bfloat16" in narrow) == (False, True)
