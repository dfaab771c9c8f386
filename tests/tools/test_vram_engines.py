"""What an engine makes of the memory: which layouts it runs, when it refuses, what helps, and how it is started."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferplan.catalog.engines import ENGINES
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.units import GIB
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.vram import TOOL, HardwareRow, VramAnswer
from refusals import runs

CHECKPOINT = {"model": "llama 3.3 70b", "precision": "fp8"}


def ask(**arguments: Any) -> VramAnswer:
    return TOOL.ask({**CHECKPOINT, **arguments})


def row(answer: VramAnswer, gpu: str = "h100-sxm") -> HardwareRow:
    return next(one for one in answer.hardware if one.gpu == gpu)


def test_70b_fp8_on_one_h100_is_refused_with_what_is_short_and_what_would_help() -> None:
    """0.92 x 79.18 GiB less 67.7 of weights, 1.8 of activation, 0.8 of the runtime: 2.5 GiB of cache for 5.0."""
    answer = ask(total_gpus=1, context_window=16_384)
    assert answer.fits is False
    assert answer.launch is None
    assert row(answer).deploy is None
    assert row(answer).shortfall_gib_per_gpu == pytest.approx(2.5, abs=0.1)
    assert "vLLM 0.28 (memory utilization 0.92) refuses to start" in answer.summary
    changes = {next(iter(one.change)) for one in answer.changes}
    assert changes == {"context_window", "kv_precision", "precision", "total_gpus", "gpu"}


@pytest.mark.parametrize(
    ("engine", "gpu", "model", "form"),
    [
        ("vllm", "h100-sxm", "llama 3.3 70b", "fp8"),
        ("llama.cpp", "rtx-4090", "qwen3 32b", "q4_k_m"),
    ],
)
def test_the_widest_format_of_the_engine_that_fits_is_offered(engine: str, gpu: str, model: str, form: str) -> None:
    """72.7 GB of FP8 fit 80 and leave cache: no need of 4 bit. Of 24, Q5_K_M leaves 0.6 GiB, and a user takes 2."""
    found = ask(model=model, precision="bf16", gpu=gpu, engine=engine, total_gpus=1)
    assert [one.change["precision"] for one in found.changes if "precision" in one.change] == [form]


@pytest.mark.parametrize(("engine", "gib", "share"), [("vllm", 4, 0.8), ("vllm", 6, 0.85), ("sglang", 6, 0.7)])
def test_a_card_of_few_gib_is_offered_a_share_that_leaves_room_beside_it(engine: str, gib: int, share: float) -> None:
    """Sampling 256 sequences over 128,256 words takes 0.6 GiB beside the budget, and 0.92 of 4 GiB leave 0.3."""
    card = {"gpu": f'{{"like":"rtx-4090","memory_gib":{gib}}}', "total_gpus": 1, "context_window": 4096}
    asked = {"model": "llama 3.2 1b", "precision": "fp16", "engine": engine, **card}
    offered = [one for one in ask(**asked).changes if "memory_utilization" in str(one.change)]
    assert [one.change for one in offered] == [{"overrides": f"memory_utilization={share}"}]
    there = ask(**asked, **offered[0].change)
    assert there.fits
    assert there.hardware[0].max_concurrent_users == offered[0].max_concurrent_users


def test_a_share_below_nothing_is_said_in_words() -> None:
    """SGLang sets some 5 GiB aside: 1 - 5 / 3 of a card of 3 GiB is no share to print."""
    card = {"gpu": '{"like":"rtx-4090","memory_gib":3}', "total_gpus": 1, "context_window": 4096}
    answer = ask(model="llama 3.2 1b", precision="fp16", engine="sglang", **card)
    assert "SGLang 0.5 (whose default fills nothing of so small a GPU) refuses to start" in answer.summary


def test_a_gpu_of_the_same_label_is_not_offered_as_a_larger_one() -> None:
    """An A100 of 80 GB reports 0.4 GiB more than an H100, which NCCL takes 0.5 GiB more of besides."""
    short = ask(precision="bf16", total_gpus=2, concurrent_users=4)
    assert [one.change["gpu"] for one in short.changes if "gpu" in one.change] == ["h200-sxm"]
    assert "A100" not in short.summary
    assert row(short, "a100-80gb-sxm").users > row(short).users


def test_smaller_steps_are_offered_where_their_activations_are_what_is_short() -> None:
    """70B in FP8 leaves an H100 2.5 GiB, 1.8 GiB of activations of 8,192 tokens aside; 12,288 tokens take 3.75."""
    case = {"total_gpus": 1, "context_window": 12_288}
    overrides = [one.change["overrides"] for one in ask(**case).changes if "overrides" in one.change]
    assert "max_num_batched_tokens=2048" in overrides
    assert ask(**case, overrides="max_num_batched_tokens=2048").fits


def test_steps_that_are_smaller_already_are_not_made_larger() -> None:
    answer = ask(total_gpus=1, context_window=65_536, gpu="a100-80gb-sxm")
    assert not answer.fits
    assert "max_num_batched_tokens" not in answer.summary


def test_seven_gpus_that_no_tensor_group_fills_hold_405b_in_three_narrow_stages() -> None:
    """405 GB over 4 GPUs are 101 GB each, over 2 x 3 GPUs 67.5 GB of 85.0; 8 are not there."""
    placed = row(ask(model="405B", total_gpus=7)).deploy
    assert placed is not None
    assert (placed.gpus, placed.tp, placed.pp) == (6, 2, 3)


def test_where_wide_groups_in_stages_hold_users_the_most_of_them_is_taken() -> None:
    """405B in 16 bit: 810 GB over 16 GPUs leave 21 GB of each for the cache of few users, over 24 twice as much."""
    placed = row(ask(model="405B", precision="fp16", total_gpus=24, concurrent_users=5000)).deploy
    assert placed is not None
    assert (placed.tp, placed.pp) == (8, 3)


@pytest.mark.parametrize("model", ["openai/gpt-oss-120b", "qwen3-next-80b-a3b-instruct"])
def test_ranks_of_vllm_that_share_out_tokens_take_no_windows_and_no_states(model: str) -> None:
    assert row(ask(model=model)).deploy is not None
    answer = ask(model=model, overrides="decode_context_parallel=2")
    assert all(one.deploy is None for one in answer.hardware)
    assert "decode context parallelism takes no windowed or recurrent layers" in answer.summary


@pytest.mark.parametrize(("context", "blocks"), [(64, 2), (65, 3), (96, 3), (97, 4)])
def test_a_session_of_tensorrt_llm_takes_whole_blocks_of_32_tokens(context: int, blocks: int) -> None:
    """10.24 GiB over 80 x 2 x 8 x 128 B a token are 67,100 tokens, 2,097 blocks."""
    answer = ask(model="70B", engine="tensorrt-llm", total_gpus=1, context_window=context, concurrent_users=2000)
    assert answer.gpu_gib is not None
    pool = answer.gpu_gib.kv_pool * GIB / (80 * 2 * 8 * 128)
    assert row(answer).max_concurrent_users == pytest.approx(pool / 32 / blocks, rel=1.5e-3)


@pytest.mark.parametrize(("gpus", "share"), [(2, 0.828), (4, 0.819)])
def test_the_share_that_sglang_fills_is_that_of_the_layout_at_hand(gpus: int, share: float) -> None:
    """1 - (512 + 1.5 x 8,192 + 128 x GPUs + 2 x (256, of 4 GPUs 512) + 8 x 58) / 81,559 MiB; of one GPU 0.83."""
    answer = ask(engine="sglang", total_gpus=gpus, concurrent_users=60)
    placed = row(answer).deploy
    assert placed is not None
    assert placed.tp == gpus
    assert [one.value for one in answer.assumptions if one.name == "memory_utilization"] == [share]


def test_what_sglang_leaves_of_a_share_that_was_set_on_amds_gpus_is_said_beside_it() -> None:
    """0.85 x 0.9; the flag is what was said."""
    answer = ask(gpu="mi300x", engine="sglang", overrides="memory_utilization=0.9")
    assert "SGLang 0.5 (memory utilization 0.765)" in answer.summary
    (filled,) = (one for one in answer.assumptions if one.name == "memory_filled")
    assert filled.line().startswith("memory_filled = 0.765 (SGLang leaves 15 %")
    assert answer.launch is not None
    assert "--mem-fraction-static 0.9" in str(answer.launch)
    elsewhere = ask(gpu="h100-sxm", engine="sglang", overrides="memory_utilization=0.9")
    assert "memory_filled" not in {one.name for one in elsewhere.assumptions}


def test_a_version_of_vllm_says_nothing_of_another_engine() -> None:
    given, plain = ask(engine="sglang", overrides="engine_version=0.11"), ask(engine="sglang")
    assert (given.hardware, given.summary) == (plain.hardware, plain.summary)
    (note,) = [one for one in given.assumptions if one.name == "engine_version"]
    assert "nothing here depends on it" in note.why


def test_on_vllm_0_11_the_weights_alone_exceed_the_budget_by_1_4_gib() -> None:
    """Published: 67.72 GiB of weights leave -1.44 GiB for the KV cache, and vLLM does not start."""
    answer = ask(total_gpus=1, overrides="engine_version=0.11")
    assert answer.gpu_gib is not None
    assert answer.gpu_gib.weights == pytest.approx(67.72, abs=0.02)
    assert answer.gpu_gib.kv_pool == pytest.approx(-1.44, abs=0.05)
    assert "exceed its budget by 1.4 GiB" in answer.summary


CASE = st.fixed_dictionaries(
    {
        "model": st.sampled_from(
            [
                "70B",
                "405B",
                "llama 3.3 70b",
                "openai/gpt-oss-120b",
                "qwen3-next-80b-a3b-instruct",
                "deepseek-v2-lite",
                "deepseek r1",
            ]
        ),
        "precision": st.sampled_from(["bf16", "fp8", "int4"]),
        "concurrent_users": st.integers(1, 400),
        "context_window": st.integers(300, 130_000),
        "gpu": st.sampled_from(["h100-sxm", "a100-40gb-sxm", "rtx-4090", "mi300x"]),
        "total_gpus": st.sampled_from([1, 2, 4, 8, 12]),
        "engine": st.sampled_from(["vllm", "sglang", "tensorrt-llm"]),
    }
).filter(lambda case: runs(case["gpu"], case["precision"], case["engine"]))


@given(case=CASE)
@settings(max_examples=120)
def test_each_change_that_is_offered_makes_it_fit_and_as_many_users_as_it_says(case: dict[str, Any]) -> None:
    answer = TOOL.ask(case)
    assert bool(answer.changes) <= (answer.fits is False)
    for change in answer.changes:
        again = TOOL.ask({**case, **change.change})
        assert again.fits, change
        placed = row(again, str(change.change.get("gpu", case["gpu"])))
        assert placed.max_concurrent_users == change.max_concurrent_users
        assert placed.deploy is not None
        assert placed.deploy.gpus == change.gpus


def test_another_format_that_is_offered_keeps_the_cache_asked_for() -> None:
    """2 H100 have room for 28 users of Llama 3.3 70B in FP8 whose cache is in 16 bit, and for 56 in FP8."""
    asked: dict[str, Any] = {"precision": "bf16", "total_gpus": 2, "concurrent_users": 20}
    for cache, users in (({}, 28), ({"kv_precision": "fp8"}, 56)):
        (offered,) = (one for one in ask(**asked, **cache).changes if "precision" in one.change)
        assert (dict(offered.change), offered.max_concurrent_users) == ({"precision": "fp8"}, users)
        assert row(ask(**asked | cache | dict(offered.change))).max_concurrent_users == users


@pytest.mark.parametrize(("users", "any_context"), [(1024, True), (1025, False)])
def test_no_context_is_short_enough_for_more_sequences_than_the_engine_runs_at_once(
    users: int, *, any_context: bool
) -> None:
    """7B in FP8 leaves an H100 some 240,000 tokens, but vLLM runs 1,024 sequences at once."""
    held = row(ask(model="7B", total_gpus=1, concurrent_users=users, context_window=100))
    assert held.max_concurrent_users == 1024
    assert held.longest_context is not None
    assert (held.longest_context >= 100) == any_context
    assert (held.longest_context == 0) != any_context


@given(case=CASE)
@settings(max_examples=80)
def test_a_deployment_takes_its_users_at_its_longest_context_and_not_beyond(case: dict[str, Any]) -> None:
    one = row(TOOL.ask({**case, "total_gpus": None}), case["gpu"])
    if one.deploy is None:
        assert one.longest_context == one.users_at_half
        assert not one.users_at_half
        return
    assert one.longest_context is not None
    assert one.users_at_half is not None
    assert one.longest_context >= case["context_window"]
    assert one.users_at_half >= one.users >= case["concurrent_users"]
    there = TOOL.ask({**case, "total_gpus": one.deploy.gpus, "context_window": one.longest_context})
    assert row(there, one.gpu).max_concurrent_users >= case["concurrent_users"]


def test_a_context_whose_mask_alone_fills_the_gpus_is_not_the_longest() -> None:
    """llama.cpp: 2 B x 131,072 tokens of micro-batch x context, in four copies over several GPUs."""
    id_, gpu = "CohereLabs/c4ai-command-a-03-2025", "b200-sxm"
    case = {"model": id_, "precision": "q5_k_m", "gpu": gpu, "engine": "llama.cpp", "total_gpus": 6}
    wide = {**case, "overrides": "max_num_batched_tokens=131072"}
    longest = row(TOOL.ask({**wide, "context_window": 17}), gpu).longest_context
    assert longest is not None
    assert 17 <= longest < MODELS[id_].architecture.max_positions
    assert row(TOOL.ask({**wide, "context_window": longest}), gpu).max_concurrent_users
    assert not row(TOOL.ask({**wide, "context_window": longest + 256}), gpu).max_concurrent_users


@given(case=CASE)
@settings(max_examples=60)
def test_what_is_short_is_said_exactly_where_users_do_not_fit(case: dict[str, Any]) -> None:
    answer = TOOL.ask(case)
    for one in answer.hardware if answer.fits is not None else []:
        fits = one.max_concurrent_users >= case["concurrent_users"]
        assert (one.shortfall_gib_per_gpu is None) == fits
        assert one.shortfall_gib_per_gpu is None or one.shortfall_gib_per_gpu >= 0


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_is_named_with_its_version_its_share_and_its_error(engine: str) -> None:
    answer = ask(engine=engine, precision="q4_k_m" if engine == "llama.cpp" else "fp8")
    info = ENGINES[engine]
    assert re.search(rf"{re.escape(info.title)} \S.* \(memory utilization 0\.\d+\)", answer.summary)
    assert info.evidence["nvidia"] in {entry.why for entry in answer.assumptions}


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm", "llama.cpp"])
def test_the_parts_of_a_gpu_and_its_cache_fill_what_the_engine_may_fill(engine: str) -> None:
    form = "q4_k_m" if engine == "llama.cpp" else "fp8"
    answer = ask(engine=engine, precision=form, gpu="h200", overrides="memory_utilization=0.8")
    parts = answer.gpu_gib
    assert parts is not None
    used = parts.weights + parts.activation + parts.non_torch + parts.graphs
    total = GPUS["h200-sxm"].engine_memory / GIB
    if engine == "tensorrt-llm":
        assert parts.kv_pool == pytest.approx(0.8 * (total - used), abs=0.03)
    else:
        assert used + parts.kv_pool == pytest.approx(0.8 * total, abs=0.8)


def test_gpt_oss_at_32k_takes_more_in_vllm_than_its_architecture_keeps_and_both_are_shown() -> None:
    """1.129 GiB by architecture; 2,048 blocks of full layers and 1,033 of windowed ones, 18 x 16 x 2 KiB each."""
    answer = TOOL.ask({"model": "gpt-oss-120b", "precision": "mxfp4", "context_window": 32768})
    assert answer.kv_gb_per_user * 1e9 / GIB == pytest.approx(1.129, abs=0.001)
    assert answer.engine_kv_gb_per_user == pytest.approx((2048 + 1033) * 18 * 16 * 2048 / 1e9, abs=0.001)
    assert "vLLM 0.28 allocates 1.8 GB for a user on 1 GPU" in answer.summary


def test_a_latent_is_held_by_every_rank_and_the_answer_says_how_much_that_makes() -> None:
    answer = TOOL.ask({"model": "deepseek v3", "precision": "fp8", "gpu": "h200", "context_window": 32768})
    assert answer.kv_gb_per_user * 1e9 / GIB == pytest.approx(2.145, abs=0.001)
    assert answer.engine_kv_gb_per_user == pytest.approx(8 * answer.kv_gb_per_user, rel=0.001)


def test_llama_cpp_starts_with_the_layers_that_fit_and_says_how_many() -> None:
    answer = ask(engine="llama.cpp", precision="q4_k_m", gpu="rtx-4090", total_gpus=1)
    assert answer.fits is False
    assert "refuses to start with every layer on the GPU" in answer.summary
    assert "It starts with 42 of 81 layers on the GPU and the others in host memory (-ngl 42)" in answer.summary


def test_nothing_is_said_of_layers_in_host_memory_where_the_cache_is_not_modelled() -> None:
    answer = TOOL.ask({"model": "deepseek v4 flash", "precision": "q4_k_m", "engine": "llama.cpp", "total_gpus": 1})
    assert answer.fits is None
    assert "host memory" not in answer.summary


def test_llama_cpp_which_nobody_plans_is_not_said_to_be_placed_for_room() -> None:
    """Two copies of 70B serve one user of 65,536 tokens each; one model over both GPUs would serve them as well."""
    answer = ask(engine="llama.cpp", precision="q4_k_m", concurrent_users=2, context_window=65_536)
    assert "needs 2 GPUs (data 2), taking 2 users" in answer.summary


def test_llama_cpp_prints_no_tokens_of_its_pool() -> None:
    (line,) = (one for one in ask(engine="llama.cpp", precision="q4_k_m").formula if one.startswith("KV pool"))
    assert line.endswith("GiB")


def test_of_a_mixture_llama_cpp_leaves_experts_in_host_memory() -> None:
    answer = ask(
        model="gpt-oss 120b", precision=None, engine="llama.cpp", gpu="rtx-4090", total_gpus=1, context_window=32768
    )
    assert "It starts with the experts of the first 25 layers in host memory (--n-cpu-moe 25)" in answer.summary


def test_of_a_large_mixture_two_cards_keep_all_but_the_experts() -> None:
    answer = ask(model="deepseek v3.1", precision="q4_k_m", engine="llama.cpp", gpu="rtx-4090", total_gpus=2)
    assert "It starts with all experts in host memory (--cpu-moe), far slower" in answer.summary


@pytest.mark.parametrize("engine", ["vllm", "sglang", "tensorrt-llm"])
def test_no_other_engine_is_said_to_leave_layers_in_host_memory(engine: str) -> None:
    assert "host memory" not in ask(engine=engine, total_gpus=1, context_window=131_072).summary


def test_memory_that_the_gpu_shares_with_the_host_has_no_other_place_for_layers() -> None:
    answer = ask(model="llama 3.1 405b", engine="llama.cpp", precision="q4_k_m", gpu="apple-m4-max", total_gpus=1)
    assert "refuses to start, as weights" in answer.summary
    assert "host memory" not in answer.summary


def test_a_lone_user_of_llama_cpp_is_told_the_tokens_a_second() -> None:
    """8B in Q4_K_M on an RTX 4090 took 7.66 ms a token over 512 tokens: 131 a second (published_speed.tsv, 0063)."""
    answer = ask(model="llama 3 8b", engine="llama.cpp", precision="q4_k_m", gpu="rtx-4090", context_window=512)
    found = re.search(r"One user at a time gets about (\d+) tokens/s at full context \((\d+) to (\d+)", answer.summary)
    assert found
    about, low, high = map(float, found.groups())
    assert low <= about <= high
    assert about == pytest.approx(1000 / 7.6581, rel=0.1)
    assert "half of 354 published runs of llama.cpp lie within" in answer.summary
    assert "One user" not in ask(model="llama 3 8b", gpu="rtx-4090", context_window=512, precision="fp8").summary


def test_longer_contexts_and_slower_memory_give_a_lone_user_of_llama_cpp_fewer_tokens() -> None:
    def rate(**changes: Any) -> float:
        case = {"model": "llama 3.1 8b", "engine": "llama.cpp", "precision": "q4_k_m", "gpu": "rtx-4090"} | changes
        found = re.search(r"gets about ([\d.]+) tokens/s", ask(**case).summary)
        assert found
        return float(found[1])

    assert rate(context_window=512) > rate(context_window=8192) > rate(context_window=65_536)
    assert rate() > rate(gpu="apple-m4-max") > rate(gpu="apple-m4-max", precision="q8_0")
    assert rate(overrides="bandwidth_efficiency=0.3") < rate()


@pytest.mark.parametrize("engine", ["sglang", "tensorrt-llm"])
def test_an_engine_that_cuts_requests_to_its_pool_is_not_said_to_refuse(engine: str) -> None:
    """Qwen2.5 7B leaves an A10G 0.4 to 6 GiB of cache, and 131,072 tokens x 57,344 B are 7."""
    case = {"model": "qwen2.5 7b", "gpu": "a10g", "engine": engine, "total_gpus": 1, "context_window": 131_072}
    assert "starts, but cuts requests of 131,072 tokens short" in ask(**case, precision="fp16").summary
    assert "refuses to start, as weights" in ask(**case, precision="fp32").summary


def test_the_pool_is_worked_out_to_the_tokens_that_vllm_prints() -> None:
    """0.9 x 79.15 - 38.74 - 0.46 - 0.24 = 31.79 GiB, over 327,680 B a token and in blocks of 16: 104,160 tokens."""
    line = TOOL.ask(
        {"model": "qwen2.5 72b", "precision": "awq", "gpu": "a100 80gb", "overrides": "memory_utilization=0.9"}
    ).formula[-1]
    assert line.startswith("KV pool    0.9 x 79.15 - weights 38.74 - activations 0.46 - runtime 0.24 = 31.79 GiB")
    assert line.endswith(" = 104,160 tokens")
    assert pytest.approx(104_160, rel=0.001) == 31.79 * GIB / 327_680


def test_llama_cpp_splits_by_layers_alone() -> None:
    answer = ask(engine="llama.cpp", precision="q4_k_m", gpu="rtx-4090")
    for one in answer.hardware:
        assert one.deploy is not None
        assert one.deploy.tp == 1
    placed = row(answer, "rtx-4090").deploy
    assert placed is not None
    assert placed.pp == 2


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (
            {"concurrent_users": 10},
            (
                "vllm serve meta-llama/Llama-3.3-70B-Instruct --quantization fp8 --tensor-parallel-size 2 "
                "--max-model-len 8192"
            ),
        ),
        (
            {"kv_precision": "fp8", "overrides": "memory_utilization=0.85, cuda_graphs=0, max_num_seqs=64"},
            (
                "vllm serve meta-llama/Llama-3.3-70B-Instruct --quantization fp8 --tensor-parallel-size 2 "
                "--max-model-len 8192 --max-num-seqs 64 --kv-cache-dtype fp8 --gpu-memory-utilization 0.85 "
                "--enforce-eager"
            ),
        ),
        (
            {"model": "llama 3.1 405b", "precision": "bf16"},
            (
                "vllm serve meta-llama/Llama-3.1-405B-Instruct --tensor-parallel-size 8 --pipeline-parallel-size 2 "
                "--nnodes 2 --node-rank 0 --master-addr HOST --max-model-len 8192"
            ),
        ),
        (
            {"precision": "awq", "engine": "sglang"},
            (
                "python -m sglang.launch_server --model-path Llama-3.3-70B-Instruct-AWQ --context-length 8192 "
                "# your INT4 AWQ build"
            ),
        ),
        (
            {"engine": "trtllm", "precision": "bf16", "gpu": "h200", "context_window": 8192},
            "trtllm-serve meta-llama/Llama-3.3-70B-Instruct --max_seq_len 8192",
        ),
        (  # a chip of v7x is two devices, which both have to be named
            {"precision": "bf16", "gpu": "tpu-v7x", "concurrent_users": 64},
            (
                "vllm serve meta-llama/Llama-3.3-70B-Instruct --tensor-parallel-size 4 --max-model-len 8192 "
                "# each TPU v7x is 2 devices"
            ),
        ),
        (
            {"engine": "llama.cpp", "precision": "q4_k_m", "concurrent_users": 4, "kv_precision": "q8_0"},
            "llama-server -m Llama-3.3-70B-Instruct-Q4_K_M.gguf -ngl 999 -fa on -c 32768 -np 4 -ctk q8_0 -ctv q8_0",
        ),
    ],
)
def test_the_launch_command_has_the_flags_that_follow_from_the_answer(arguments: dict[str, Any], command: str) -> None:
    assert ask(**arguments).launch == command


def test_every_layout_and_setting_of_the_command_is_that_of_the_answer() -> None:
    answer = TOOL.ask(
        {
            "model": "deepseek v3",
            "precision": "fp8",
            "gpu": "h200",
            "overrides": "decode_context_parallel=8, prefix_caching=0, hybrid_kv_cache=0, max_num_batched_tokens=4096",
        }
    )
    assert answer.launch == (
        "vllm serve deepseek-ai/DeepSeek-V3 --tensor-parallel-size 8 --decode-context-parallel-size 8 "
        "--max-model-len 8192 --max-num-batched-tokens 4096 --no-enable-prefix-caching "
        "--disable-hybrid-kv-cache-manager"
    )


@pytest.mark.parametrize(
    ("overrides", "flag"),
    [
        ("engine_version=0.27", ""),
        ("engine_version=0.27, prefix_caching=1", " --enable-prefix-caching"),
        ("engine_version=0.28", ""),
        ("engine_version=0.28, prefix_caching=0", " --no-enable-prefix-caching"),
    ],
)
def test_prefix_caching_is_a_flag_where_the_caller_set_it(overrides: str, flag: str) -> None:
    answer = TOOL.ask({"model": "qwen3.5 4b", "precision": "bf16", "gpu": "h100", "overrides": overrides})
    assert answer.launch == f"vllm serve Qwen/Qwen3.5-4B --max-model-len 8192{flag}"


def test_a_second_copy_of_states_is_kept_where_prefixes_are_cached() -> None:
    """vLLM 0.27 caches no prefixes of Qwen3.5 unless told to, and 0.28 does unless told not to."""
    load = {"model": "qwen3.5 4b", "precision": "bf16", "gpu": "h100"}
    old, told, new, off = (
        TOOL.ask({**load, "overrides": f"{given}memory_utilization=0.9, max_num_batched_tokens=8192"})
        for given in ("engine_version=0.27, ", "engine_version=0.27, prefix_caching=1, ", "", "prefix_caching=0, ")
    )
    assert row(old).max_concurrent_users == row(off).max_concurrent_users
    assert row(told).max_concurrent_users == row(new).max_concurrent_users
    assert row(old).users > row(new).users


def test_users_of_whole_sessions_are_spread_over_groups_where_the_longest_context_is_looked_for() -> None:
    """100 on 8 groups are 13 on some: 104 at that context, not the 12 each that 57,744 tokens leave."""
    load = {"model": "deepseek r1", "precision": "fp8", "gpu": "mi300x", "total_gpus": 8, "concurrent_users": 100}
    (offered,) = (
        one for one in TOOL.ask({**load, "context_window": 131_072}).changes if "context_window" in one.change
    )
    assert offered.max_concurrent_users == 104
    assert TOOL.ask({**load, **offered.change}).fits


def test_ranks_that_share_out_latents_are_offered_where_the_cache_of_a_group_is_short() -> None:
    """8 H200 take 48 of 100 users of DeepSeek R1 with 32,768 tokens, whose latents each rank keeps; shared out, 150."""
    load = {"model": "deepseek r1", "precision": "fp8", "total_gpus": 8, "concurrent_users": 100}
    asked = {**load, "gpu": "h200", "context_window": 32_768}

    def offered(**more: Any) -> list[int]:
        found = TOOL.ask({**asked, **more}).changes
        return [one.max_concurrent_users for one in found if "context_parallel" in str(one.change.get("overrides"))]

    (users,) = offered()
    again = TOOL.ask({**asked, "overrides": "decode_context_parallel=8"})
    assert row(again, "h200-sxm").max_concurrent_users == users > 100
    assert not offered(overrides="engine_version=0.9")
    assert not offered(engine="sglang")
    assert not offered(model="deepseek v3.2")
    assert not offered(gpu="mi300x", context_window=131_072)


def test_context_parallel_ranks_share_out_the_latents_of_a_session() -> None:
    plain, shared = (
        TOOL.ask({"model": "deepseek v3", "precision": "fp8", "gpu": "h200", "total_gpus": 8, "overrides": given})
        for given in ("max_num_seqs=8192", "max_num_seqs=8192, decode_context_parallel=8")
    )
    assert row(shared, "h200-sxm").users >= 7.5 * row(plain, "h200-sxm").users


def test_windows_that_are_switched_off_cost_users() -> None:
    load = {
        "model": "gemma 3 27b",
        "precision": "bf16",
        "context_window": 32768,
        "total_gpus": 2,
        "concurrent_users": 100,
    }
    on, off = (TOOL.ask({**load, "overrides": f"hybrid_kv_cache={kept}"}) for kept in (1, 0))
    assert row(off).users < row(on).users


def test_a_first_start_holds_fewer_tokens_than_the_second() -> None:
    """Qwen3 8B on an RTX 4090: 1.19 GiB of kernels tried out for 0.20 of a step, 144 KiB a token of the cache."""
    asked = {"model": "qwen3 8b", "precision": "bf16", "gpu": "rtx-4090", "concurrent_users": 1}
    second, first = (TOOL.ask({**asked, "overrides": f"first_start={given}"}) for given in (0, 1))
    assert first.gpu_gib
    assert second.gpu_gib
    assert first.gpu_gib.activation - second.gpu_gib.activation == pytest.approx(0.99, abs=0.01)
    assert second.gpu_gib.kv_pool - first.gpu_gib.kv_pool == pytest.approx(0.99, abs=0.01)


def test_tables_of_n_grams_stay_in_the_hosts_memory_where_the_gpu_has_its_own() -> None:
    """Qwen3.8 Flash Next on 4 H100: 243 GiB, which leave the 95 GiB of a table out. A GB10 has no other memory.

    3 of them are what its indexers pick for the tokens of a step.

    0.29 keeps it on the GPUs, and so do the model's files for AMD.
    """
    asked = {"model": "qwen3.8 flash next", "precision": "bf16", "total_gpus": 8}
    newer = {**asked, "overrides": "engine_version=0.30"}
    h100, *others = (TOOL.ask({**newer, "gpu": gpu}) for gpu in ("h100-sxm", "dgx-spark-gb10", "mi355x"))
    (noted,) = (one for one in h100.assumptions if one.name == "host_tables")
    assert (noted.value, noted.unit) == (102.4, "GB")
    for without in (*others, TOOL.ask(asked)):
        assert "host_tables" not in [one.name for one in without.assumptions]
    assert h100.gpu_gib
    assert h100.gpu_gib.weights * 4 == pytest.approx(243, abs=1)


@pytest.mark.parametrize(
    "without",
    [{"overrides": "cuda_graphs=0"}, {"overrides": "engine_version=0.19"}, {"model": "gemma 3 12b"}],
)
def test_a_start_that_compiles_no_embeddings_is_as_any_other(without: dict[str, str]) -> None:
    given = f"first_start=1, {without.get('overrides', '')}".removesuffix(", ")
    answer = TOOL.ask({"model": "qwen3 8b", "precision": "bf16", **without, "overrides": given})
    assert "first_start = 1 (given, but nothing here depends on it)" in answer.text()


def test_where_sequences_and_not_memory_are_short_that_is_said_and_more_of_them_help() -> None:
    """An L40S runs 256 sequences by default, however short they are."""
    answer = TOOL.ask(
        {"model": "llama 3.2 1b", "gpu": "l40s", "total_gpus": 1, "concurrent_users": 400, "context_window": 300}
    )
    assert row(answer, "l40s").max_concurrent_users == 256
    assert row(answer, "l40s").shortfall_gib_per_gpu == 0
    assert "at most 256 sequences at once" in answer.summary
    assert {"overrides": "max_num_seqs=400"} in [dict(one.change) for one in answer.changes]


def test_fewer_sequences_than_the_default_of_a_large_gpu_are_offered_as_few_as_the_users_need() -> None:
    """What vLLM 0.28 sets aside for 1,024 sequences of a large vocabulary has room for one more user of Qwen3 32B.

    Of the fewer ones the most that hold the users are named: 256, the default of smaller GPUs, and not 64.
    """
    load = {"model": "qwen3 32b", "precision": "fp8", "gpu": "h100", "total_gpus": 1, "context_window": 1400}
    short = TOOL.ask({**load, "concurrent_users": 113})
    assert not short.fits
    offered = [dict(one.change) for one in short.changes]
    assert {"overrides": "max_num_seqs=256"} in offered
    assert {"overrides": "max_num_seqs=64"} not in offered
    assert TOOL.ask({**load, "concurrent_users": 113, "overrides": "max_num_seqs=256"}).fits
    few = TOOL.ask({**load, "context_window": 1400 * 113, "concurrent_users": 1, "overrides": "max_num_seqs=256"})
    assert {"overrides": "max_num_seqs=256"} not in [dict(one.change) for one in few.changes]


def test_as_many_more_sequences_are_offered_as_the_busiest_replica_has_users() -> None:
    """601 on two L40S: 301 on one of them, of 256 that it runs by default."""
    asked = {"model": "llama 3.2 1b", "gpu": "l40s", "total_gpus": 2, "concurrent_users": 601, "context_window": 300}
    assert {"overrides": "max_num_seqs=301"} in [dict(one.change) for one in TOOL.ask(asked).changes]


def test_who_says_how_many_sequences_run_at_once_is_offered_no_other_number() -> None:
    """64 on each of 7 L40S take the 400."""
    asked = {"model": "llama 3.2 1b", "gpu": "l40s", "total_gpus": 1, "concurrent_users": 400, "context_window": 300}
    answer = TOOL.ask({**asked, "overrides": "max_num_seqs=64"})
    assert [(dict(one.change), one.max_concurrent_users) for one in answer.changes] == [({"total_gpus": 7}, 448)]
    assert "1 GPU takes only 64 of 400 users" in answer.summary


def test_a_model_whose_cache_is_not_modelled_gets_memory_and_no_verdict() -> None:
    answer = TOOL.ask({"model": "thinkingmachines/Inkling-Small", "precision": "bf16", "total_gpus": 8})
    assert answer.fits is None
    assert answer.weights_gb > 0
    assert answer.changes == []
    assert (answer.gpu_gib, answer.launch, answer.engine_kv_gb_per_user) == (None, None, None)
    assert {one.shortfall_gib_per_gpu for one in answer.hardware} == {None}
    assert {one.max_concurrent_users for one in answer.hardware} == {None}
    assert "inferplan has no memory rules for this model's KV cache in vLLM 0.28" in answer.summary


@pytest.mark.parametrize("said", ["vLLM", "SGLang", "trt-llm", "llamacpp"])
def test_engines_go_by_the_names_that_people_say(said: str) -> None:
    assert ask(engine=said, precision="bf16").inputs["engine"] in ENGINES


def test_an_unknown_engine_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r'no engine "tgi"; known are: "vllm", "sglang", "tensorrt-llm", "llama.cpp"'):
        ask(engine="tgi")


@pytest.mark.parametrize("said", ["ollama", "LM Studio", "lmstudio"])
def test_a_program_that_serves_by_llamacpp_is_answered_with_that(said: str) -> None:
    with pytest.raises(ValueError, match=f'"{said}" serves by llama.cpp, with defaults of its own; take "llama.cpp"'):
        ask(engine=said)
    with pytest.raises(ValueError, match=f"does not take llama.cpp here, by which {said} serves: .*estimate_vram"):
        TOOLS_BY_NAME["plan_parallelism"].ask({"model": "70B", "overrides": f"engine={said}"})


@given(utilization=st.floats(0.5, 0.92), more=st.floats(0.5, 0.92))
@settings(max_examples=30)
def test_a_larger_share_never_takes_fewer_users(utilization: float, more: float) -> None:
    low, high = (
        row(ask(total_gpus=4, concurrent_users=1000, overrides=f"memory_utilization={share}")).users
        for share in sorted((utilization, more))
    )
    assert low <= high


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ({"model": "745B", "gpu": "h200"}, "vllm serve MODEL --quantization fp8 "),
        ({"model": "7B", "precision": "fp16"}, "vllm serve MODEL "),
        ({"model": "7B", "precision": "fp16", "context_window": 4096}, "vllm serve meta-llama/Llama-2-7b-hf "),
        (
            {"model": "qwen3-32b", "context_window": 131_072},
            "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve Qwen/Qwen3-32B-FP8 ",
        ),
        ({"model": "qwen3-32b", "context_window": 40_960}, "vllm serve Qwen/Qwen3-32B-FP8 "),
    ],
)
def test_a_command_names_a_checkpoint_that_takes_the_context_or_lets_the_engine_exceed_it(
    arguments: dict[str, Any], command: str
) -> None:
    launch = ask(**arguments).launch
    assert launch is not None
    assert launch.startswith(command)


def test_a_command_says_how_many_replicas_there_are_and_whose_build_it_loads() -> None:
    answer = ask(precision="int4", gpu="h100", concurrent_users=100)
    placed = row(answer).deploy
    assert placed is not None
    replicas = placed.gpus // placed.tp // placed.pp
    assert replicas > 1
    assert answer.launch is not None
    assert answer.launch.endswith(f" # your INT4 build, one of {replicas} replicas")
    alone = ask(precision="fp16", gpu="h200", total_gpus=8).launch
    assert alone is not None
    assert "#" not in alone


@pytest.mark.parametrize(
    ("engine", "precision", "kv_precision", "flag"),
    [
        ("vllm", "fp8", "fp8", "--kv-cache-dtype fp8"),
        ("vllm", "fp8", "int8", "--kv-cache-dtype int8_per_token_head"),
        ("sglang", "fp8", "fp8", "--kv-cache-dtype fp8_e4m3"),
        ("tensorrt-llm", "fp8", "fp8", "# your FP8 build, FILE says kv_cache_config: {dtype: fp8}"),
        ("llama.cpp", "q8_0", "q8_0", "-ctk q8_0 -ctv q8_0"),
        ("llama.cpp", "q8_0", "q4_0", "-ctk q4_0 -ctv q4_0"),
    ],
)
def test_the_cache_that_was_counted_is_the_one_that_the_command_asks_for(
    engine: str, precision: str, kv_precision: str, flag: str
) -> None:
    launch = ask(engine=engine, precision=precision, kv_precision=kv_precision, gpu="h200").launch
    assert launch is not None
    assert flag in launch


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ({"context_window": 8192}, ""),
        ({"context_window": 8193}, "enable_chunked_prefill: true"),
        ({"context_window": 16384, "overrides": "max_num_batched_tokens=16384"}, ""),
        (
            {"context_window": 16384, "kv_precision": "fp8", "overrides": "memory_utilization=0.8"},
            "enable_chunked_prefill: true and kv_cache_config: {dtype: fp8, free_gpu_memory_fraction: 0.8}",
        ),
        ({"overrides": "cuda_graphs=0"}, "cuda_graph_config: null"),
        ({"overrides": "prefix_caching=1"}, ""),
        ({"overrides": "prefix_caching=0"}, "kv_cache_config: {enable_block_reuse: false}"),
        (
            {"kv_precision": "fp8", "overrides": "prefix_caching=0, memory_utilization=0.8"},
            "kv_cache_config: {dtype: fp8, enable_block_reuse: false, free_gpu_memory_fraction: 0.8}",
        ),
    ],
)
def test_a_file_tells_tensorrt_llm_what_it_has_no_flag_for(arguments: dict[str, Any], written: str) -> None:
    """Llmapi/llm.py, `_check_arguments`: prompts of more than max_num_tokens are refused where they are not chunked.

    `--kv_cache_dtype` came with pull request 11487, after 1.2; a section of the file replaces what flags say of it.
    Llm_args.py: graphs are captured unless `cuda_graph_config` is null, blocks are reused unless that is switched off.
    """
    launch = ask(engine="tensorrt-llm", precision="bf16", gpu="h200", **arguments).launch or ""
    assert "kv_cache_dtype" not in launch
    assert ("--extra_llm_api_options FILE " in launch, launch.partition("# FILE says ")[2]) == (bool(written), written)


@pytest.mark.parametrize(
    ("engine", "precision", "flags"),
    [
        (
            "sglang",
            "bf16",
            "--max-running-requests 64 --mem-fraction-static 0.8 --chunked-prefill-size 4096 --disable-cuda-graph",
        ),
        ("tensorrt-llm", "bf16", "--max_batch_size 64 --kv_cache_free_gpu_memory_fraction 0.8 --max_num_tokens 4096 #"),
        ("llama.cpp", "q8_0", "-np 1 -ub 4096"),
    ],
)
def test_what_a_caller_sets_is_spelled_as_the_engine_does(engine: str, precision: str, flags: str) -> None:
    """`--help` of SGLang 0.5.23, trtllm-serve 1.1 and llama-server, whose slots are those of the users."""
    given = "max_num_seqs=64, max_num_batched_tokens=4096, memory_utilization=0.8, cuda_graphs=0, prefix_caching=0"
    asked = {"model": "llama 3.1 8b", "precision": precision, "engine": engine, "overrides": given}
    assert flags in (TOOL.ask(asked).launch or "")


@pytest.mark.parametrize(("engine", "depends"), [("vllm", True), ("sglang", False), ("tensorrt-llm", False)])
def test_windows_that_an_engine_is_not_told_of_are_said_to_decide_nothing(engine: str, *, depends: bool) -> None:
    asked = {"model": "gemma 3 12b", "precision": "bf16", "engine": engine, "context_window": 32768}
    on, off = (TOOL.ask({**asked, "overrides": f"hybrid_kv_cache={kept}"}) for kept in (1, 0))
    assert (row(off).max_concurrent_users != row(on).max_concurrent_users) is depends
    assert ("hybrid_kv_cache = 0 (given, but nothing here depends on it)" not in off.text()) is depends


def test_where_memory_is_shared_with_other_programs_the_answer_says_what_that_took() -> None:
    shared = {one.name for one in ask(gpu="gb10").assumptions}
    own = {one.name for one in ask(gpu="h100").assumptions}
    assert shared - own == {"unified_memory"}


@pytest.mark.parametrize(
    ("precision", "name"),
    [
        ("nvfp4", "nvidia/Llama-3.3-70B-Instruct-NVFP4 "),
        ("fp8", "Llama-3.3-70B-Instruct-NVFP4-FP8 "),
        ("fp16", "Llama-3.3-70B-Instruct-NVFP4-FP16 "),
    ],
)
def test_a_build_in_one_format_is_never_loaded_as_another(precision: str, name: str) -> None:
    launch = ask(model="nvidia/Llama-3.3-70B-Instruct-NVFP4", precision=precision, gpu="h200").launch
    assert launch is not None
    assert launch.startswith(f"vllm serve {name}")
    assert ("# your" in launch) == (precision != "nvfp4")


def test_experts_may_be_kept_unshared_in_the_memory_tool_and_the_preset() -> None:
    asked = {"model": "deepseek-r1", "precision": "fp8", "gpu": "h200", "concurrent_users": 100}
    load = {**asked, "context_window": 32_768}
    shared, sliced = (row(ask(**load, overrides=f"expert_parallel={n}"), "h200-sxm").deploy for n in (1, 0))
    assert shared is not None
    assert sliced is not None
    assert (shared.gpus, sliced.gpus, sliced.ep) == (16, 24, None)


def test_deepseek_v4_takes_more_users_than_vllm_prints_and_says_how_far_its_rules_are_off() -> None:
    """On two H200 at 8,192 tokens: 1,002,240 B x 58 blocks each, twice, once 3,364 for a prompt."""
    answer = TOOL.ask({"model": "deepseek v4 flash", "gpu": "h200-sxm", "context_window": 8192, "concurrent_users": 16})
    assert answer.engine_kv_gb_per_user == pytest.approx(2 * 58 * 1_002_240 / 1e9, rel=0.01)
    (row,) = (row for row in answer.hardware if row.gpu == "h200-sxm")
    assert answer.gpu_gib is not None
    blocks = answer.gpu_gib.kv_pool * 2**30 / 1_002_240
    assert row.max_concurrent_users == pytest.approx(1 + (blocks - 3364) / 58, abs=2)
    said = {one.name: one.why for one in answer.assumptions}
    assert "logs of V4-Flash" in (said["engine_version"] or "")
    assert "4 x H800" in (said["engine_version"] or "")


def test_deepseek_v4_is_not_planned_where_vllm_has_no_kernels_for_it() -> None:
    answer = TOOL.ask({"model": "deepseek v4 flash", "gpu": "a100-80gb-sxm"})
    assert answer.fits is False
    assert "Hopper, Blackwell or CDNA4" in answer.summary


@pytest.mark.parametrize(
    "asked",
    [
        {
            "model": "deepseek v4 pro",
            "gpu": "b300",
            "total_gpus": 8,
            "context_window": 200_000,
            "concurrent_users": 100,
        },
        {
            "model": "deepseek v4 pro",
            "gpu": "b300",
            "total_gpus": 16,
            "context_window": 200_000,
            "concurrent_users": 200,
        },
        {"model": "deepseek v4 flash", "gpu": "h200", "total_gpus": 2, "context_window": 100_000},
    ],
)
def test_the_line_of_users_of_compressed_keys_gives_the_users_that_it_says(asked: dict[str, Any]) -> None:
    """V4 Pro on 8 B300: 1 + (136.08 - 18.88) / 1.08 = 109.5; the pool over a session's share alone would be 126."""
    lines = TOOLS_BY_NAME["plan_parallelism"].ask(asked).formula
    pool = float(next(line for line in lines if line.startswith("KV pool")).split(" = ")[1].split()[0])
    users = next(line for line in lines if line.startswith("users"))
    found = re.search(
        r"(?:(\d+) x )?\(1 \+ \(KV pool - ([\d.]+) .* / ([\d.]+) GiB a session\).* = ([\d,]+) a rep", users
    )
    assert found
    each = 1 + (pool - float(found[2])) / float(found[3])
    assert int(found[1] or 1) * each == pytest.approx(int(found[4].replace(",", "")), rel=0.015)


@pytest.mark.parametrize(("gpu", "version", "kept"), [("h100", "0.31", 2), ("h100", "0.33", 3), ("l40s", "0.33", 2)])
def test_a_user_of_qwen3_5_4b_takes_a_block_of_states_more_on_an_h100_since_0_33(
    gpu: str, version: str, kept: int
) -> None:
    """8,192 tokens: 3 groups of states, and blocks of attention of 528 or 576 tokens in 8 layers, 4,096 B each."""
    found = ask(model="Qwen/Qwen3.5-4B", precision="bf16", gpu=gpu, overrides=f"engine_version={version}")
    tokens, layers = (576 if kept == 3 else 528), 8
    blocks = -(-8192 // tokens) + 3 * kept
    assert found.engine_kv_gb_per_user == pytest.approx(blocks * tokens * layers * 4096 / 1e9, abs=0.001)


def test_sglangs_table_of_requests_takes_the_reserve_of_a_million_tokens_and_fewer_requests_give_it_back() -> None:
    """2,049 × 1,000,004 × 4 B = 7.6 GiB of each GPU."""
    scout: dict[str, Any] = {
        "model": "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        "precision": "fp8",
        "gpu": "h100-sxm",
        "engine": "sglang",
        "context_window": 1_000_000,
        "total_gpus": 8,
    }
    share = "memory_utilization=0.9"
    assert not TOOL.ask(scout | {"overrides": share}).fits
    assert TOOL.ask(scout | {"overrides": f"{share},max_num_seqs=256"}).fits
    assert TOOL.ask(scout | {"overrides": share, "context_window": 500_000}).fits


@pytest.mark.parametrize("name", ["cuda_graphs", "prefix_caching"])
def test_what_llama_cpp_does_not_read_is_said_to_change_nothing(name: str) -> None:
    asking = {"model": "qwen3 8b", "precision": "q4_k_m", "engine": "llama.cpp", "gpu": "rtx-4090"}
    for value in (0, 1):
        answer = TOOL.ask({**asking, "overrides": f"{name}={value}"})
        assert f"{name} = {value} (given, but nothing here depends on it)" in answer.text()
        assert answer.hardware == TOOL.ask(asking).hardware


def test_of_a_cache_that_is_not_modelled_no_context_and_no_users_at_half_are_given() -> None:
    """`longest_context: 0` stood beside that nothing is known of the deployment."""
    answer = TOOL.ask({"model": "deepseek v4 flash", "precision": "q4_k_m", "engine": "llama.cpp"})
    (row,) = (one for one in answer.hardware if one.gpu == "h100-sxm")
    assert (answer.fits, row.deploy, row.users_at_half, row.longest_context) == (None, None, None, None)


def test_a_context_of_one_token_is_one_token() -> None:
    answer = TOOL.ask({"model": "70B", "context_window": 1})
    assert "1 user x 1 token\n" in answer.diagram
    assert any("B x 1 token x 1 user" in line for line in answer.formula)
