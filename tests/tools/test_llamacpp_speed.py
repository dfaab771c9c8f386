"""How fast llama.cpp reads prompts: its kernels, microbatches and pipeline, against published runs and by hand."""

import re
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import slower_when_shorter, superseded

from inferplan.catalog.gpus import GPUS
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import Options, pipelined, prompt_of
from inferplan.core.sparsity import expert_coverage
from inferplan.core.speed.machine import ACTIVATION_TRAFFIC, HALF_TILE
from inferplan.core.speed.pass_amounts import Batch, pass_amounts
from inferplan.tools._assumptions import Ledger
from inferplan.tools.serving.replica import Replica
from inferplan.tools.serving.settings import serving
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_rows import SpeedRow
from inferplan.tools.validation.speed_validation import validate
from inferplan.tools.vram import TOOL, VramAnswer
from published_speed import at_home, calibration, decoding_at_home, published

CASE: dict[str, Any] = {"model": "llama 3.1 8b", "precision": "q4_k_m", "engine": "llama.cpp", "context_window": 8192}

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def ask(**arguments: Any) -> VramAnswer:
    return TOOL.ask(CASE | arguments)


def replica(gpu: str, model: str = LLAMA, layout: Layout | None = None, **overrides: float) -> Replica:
    ledger = Ledger(overrides)
    found = serving(ledger, model=model, precision="q4_k_m", gpu=gpu, engine="llama.cpp").replica(layout or Layout())
    assert found is not None
    return found


def rate(id_: str) -> tuple[float, float]:
    """Tokens of a prompt per second, as measured and as predicted."""
    (found,) = validate([row for row in at_home() if row["id"] == id_]).outcomes
    return found.measured["prefill_tok_s"], found.predicted["prefill_tok_s"]


@pytest.mark.parametrize(
    ("id_", "measured", "off"),
    [
        ("llamacpp-mac-042", 1565.91, 0.10),
        ("llamacpp-spark-001", 4505.82, 0.10),
        ("llamacpp-pr-001", 12382.64, 0.40),
        ("llamacpp-pr-003", 4409.01, 0.10),
        ("llamacpp-tracker-001", 16634.04, 0.25),
    ],
)
def test_published_prompts_are_read_at_about_their_rate(id_: str, measured: float, off: float) -> None:
    """M2 Ultra: Qwen2.5 7B in Q8_0; GB10: gpt-oss-20b; RTX 4090, 3090: Llama 3 8B; RTX PRO 6000: Llama 2 7B."""
    found, predicted = rate(id_)
    assert found == measured
    assert found / predicted == pytest.approx(1, abs=off)


def test_half_of_the_published_runs_since_2025_lie_within_what_is_asked() -> None:
    errors = {one.quantity: one.structured()["median"] for one in validate(at_home()).errors}
    assert errors["prefill_tok_s, batch 1"] <= 17
    assert errors["output_tok_s_total, batch 1"] <= 12
    assert errors["tpot_ms, static batch"] <= 28


def test_prompts_of_a_source_that_the_fit_has_not_seen_are_predicted_about_as_well() -> None:
    """38 % were asked of kernels of 2024 by the law of servers."""
    found = calibration()
    assert found["source_left_out"]["prompt"]["median"] <= 20
    assert found["in_sample"]["prompt"]["median"] <= 16


def test_a_macs_lone_user_gets_the_first_token_within_a_second() -> None:
    """By the law of servers even one would have missed it. Of Macs, M2 Ultra and M3 Max are fitted."""
    answer = ask(gpu="apple-m4-max", max_ttft_ms=1000)
    assert answer.fits
    assert (row := next(one for one in answer.hardware if one.gpu == "apple-m4-max")).users >= 1, row
    found = re.search(r"the first after (\d+) ms \((\d+) to (\d+) ms\) of a prompt of 500", answer.summary)
    assert found
    about, low, high = map(float, found.groups())
    assert 350 <= low <= about <= high <= 800
    assert not ask(gpu="apple-m4-max", max_ttft_ms=300).fits


def test_a_prompt_is_no_longer_than_the_context() -> None:
    assert "of a prompt of 256" in ask(gpu="rtx-4090", context_window=256).summary


def test_the_range_of_latencies_is_that_of_llama_cpps_own_runs_and_says_what_is_not_measured() -> None:
    def why(**arguments: Any) -> str:
        found = ask(gpu="rtx-4090", **arguments)
        return next(one.why for one in found.assumptions if one.name == "request")

    prompts = sum(bool(row["measured"].get("prefill_tok_s")) for row in at_home())
    alone = int(re.findall(r"half of (\d+) published runs within", why(max_ttft_ms=1000))[0])
    assert 0 < alone < prompts + 100
    assert "several users" not in why(max_ttft_ms=1000)
    for limit in ("max_ttft_ms", "max_tpot_ms"):
        assert "none of them a server's with several users" in why(concurrent_users=4, **{limit: 1000})


def test_geforce_cards_sum_up_in_16_bit_at_twice_the_rate_that_servers_have() -> None:
    """RTX 4090: 330 against 165 TFLOP/s; RTX A6000: 155 either way."""
    for gpu, times in (("rtx-4090", 2.0), ("rtx-3090", 2.0), ("rtx-a6000", 1.0), ("apple-m2-ultra", 1.0)):
        ledger = Ledger({})
        of_server = serving(ledger, model=LLAMA, precision="bf16", gpu=gpu).replica(Layout())
        assert of_server is not None
        assert replica(gpu).machine.half_flops == pytest.approx(times * of_server.machine.half_flops, rel=1e-3)


@pytest.mark.parametrize(
    ("gpu", "stacked"),
    [
        ("h100-sxm", True),
        ("a100-40gb-sxm", True),
        ("rtx-5090", False),
        ("apple-m5-ultra", False),
        ("rtx-pro-6000-blackwell-server", False),
        ("l40s", False),
    ],
)
def test_fast_memory_that_is_not_stacked_is_read_as_other_cards_is(gpu: str, *, stacked: bool) -> None:
    """RTX 5090, RTX PRO 6000: 1.8 TB/s of GDDR7."""
    share = replica(gpu).machine.efficiency.bandwidth
    assert (share == replica("mi300x").machine.efficiency.bandwidth) == stacked
    assert (share == replica("rtx-4090").machine.efficiency.bandwidth) != stacked


def test_each_expert_lacks_half_a_tile_of_tokens_and_a_prompt_moves_what_is_between_its_products() -> None:
    """Qwen3-30B-A3B, 512 tokens: 128 experts of 8 active, each with 64 tokens more: 1,024 in all.

    One token touches 8 of them, which lack 64 each.
    """
    one = replica("rtx-3090", "Qwen/Qwen3-30B-A3B")
    w, m = one.work, one.machine
    found = pass_amounts(w, m, Layout(), Batch(prompts=1, prompt=512))
    touched = expert_coverage(tokens=512, experts=128, active=8)
    assert touched == pytest.approx(1)
    tokens = 512 + HALF_TILE * touched * 128 / 8
    assert found.expert_matrix_s == pytest.approx(2 * tokens * w.active_expert_params / m.matrix_flops)
    assert found.cache_read_s == pytest.approx(512 * 48 * 2048 * ACTIVATION_TRAFFIC / m.bandwidth)
    short = pass_amounts(w, m, Layout(), Batch(prompts=1, prompt=1))
    assert short.expert_matrix_s == pytest.approx(2 * (1 + 64) * w.active_expert_params / m.matrix_flops)
    step = pass_amounts(w, m, Layout(), Batch(decode=1, context=512))
    assert step.expert_matrix_s == pytest.approx(2 * w.active_expert_params / m.matrix_flops)
    assert step.cache_read_s == pytest.approx(w.cache_read(512) / m.bandwidth)


def test_four_microbatches_are_in_a_pipeline_at_once() -> None:
    """8 stages of 8 MI300X: 1, 2, 4 and 8 microbatches take 8, 9, 11 and 19 stage times.

    Llama 3.1 70B read 1.68, 2.52 and 2.99 times as many tokens a second with 1,024, 2,048 and 4,096 tokens as with 512
    (ROCm blog, October 2025): 1.78, 2.91 and 3.37 are what stages alone leave.
    """
    options = Options(step_tokens=512, at_once=4)
    times = [pipelined(Layout(pp=8), tokens, options) * tokens / 512 * 8 for tokens in (512, 1024, 2048, 4096)]
    assert times == pytest.approx([8, 9, 11, 19])
    one = replica("mi300x", "meta-llama/Llama-3.1-70B-Instruct", Layout(pp=8))
    prompts = [first_token_s(one, tokens) for tokens in (512, 1024, 2048, 4096)]
    quicker = [tokens / s / (512 / prompts[0]) for tokens, s in zip((512, 1024, 2048, 4096), prompts, strict=True)]
    assert quicker == pytest.approx([1, 1.68, 2.52, 2.99], rel=0.2)


def first_token_s(one: Replica, tokens: float) -> float:
    return prompt_of(one.work, one.machine, one.layout, tokens, one.options).alone.total_s


@settings(max_examples=40, deadline=None)
@given(
    gpu=st.sampled_from(["rtx-4090", "apple-m4-max", "dgx-spark-gb10", "mi300x", "ryzen-ai-max-395"]),
    tokens=st.integers(1, 60_000),
    more=st.integers(1, 5_000),
    model=st.sampled_from([LLAMA, "Qwen/Qwen3-30B-A3B", "openai/gpt-oss-20b"]),
)
def test_more_tokens_never_take_less_time_and_larger_microbatches_never_more(
    gpu: str, tokens: int, more: int, model: str
) -> None:
    one, larger = replica(gpu, model), replica(gpu, model, max_num_batched_tokens=2048)
    assert first_token_s(one, tokens) <= first_token_s(one, tokens + more) * (1 + 1e-9)
    assert first_token_s(larger, tokens) <= first_token_s(one, tokens) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("slower", "faster"),
    [("rtx-3090", "rtx-4090"), ("rtx-4090", "rtx-5090"), ("apple-m3-max", "apple-m4-max"), ("l4", "l40s")],
)
@pytest.mark.parametrize("tokens", [16, 512, 8192])
def test_a_faster_card_of_a_kind_reads_prompts_sooner(slower: str, faster: str, tokens: int) -> None:
    assert first_token_s(replica(faster), tokens) < first_token_s(replica(slower), tokens)


def test_a_prompt_after_what_is_cached_takes_longer_and_is_read_at_the_rate_of_its_own_tokens() -> None:
    row = next(one for one in at_home() if one["family"] == "llamacpp-mac" and one.get("depth") == 8192)
    deep, flat = (validate([row | {"depth": depth}]).outcomes[0].predicted for depth in (8192, 0))
    assert deep["prefill_tok_s"] == pytest.approx(2048 / deep["ttft_ms"] * 1000)
    assert deep["prefill_tok_s"] < flat["prefill_tok_s"]
    assert SpeedSetup(SpeedRow.model_validate(row)).options.chunks(2048 + 8192) == pytest.approx((1, 2048, 8192))


def test_runs_whose_long_prompts_were_read_quicker_than_short_ones_are_no_measurements_to_fit() -> None:
    """On one GPU a longer prompt attends over more. 70B and 8B of 2024 are so on A40, A100 SXM and L40S."""
    found = [SpeedRow.model_validate(row) for row in published()]
    odd = slower_when_shorter(found)
    assert {(row.gpu, row.model, row.weight_format) for row in found if row.id in odd} == {
        ("A100 SXM 80GB", "meta-llama/Meta-Llama-3-8B", "gguf-F16"),
        ("L40S 48GB", "meta-llama/Meta-Llama-3-8B", "gguf-F16"),
        ("A40 48GB", "meta-llama/Meta-Llama-3-70B", "gguf-Q4_K_M"),
    }


def test_prompts_by_kernels_that_are_no_more_are_not_fitted() -> None:
    old = [SpeedRow.model_validate(row) for row in published() if row["family"] == "llamacpp-xiongjie"]
    kept = [row for row in old if not superseded(row) and "prefill_tok_s" in (row.measured or {})]
    assert {row.weight_format for row in kept} == {"gguf-F16"}
    assert max(row.isl or 0 for row in kept) == 1024
    assert not any(superseded(SpeedRow.model_validate(row)) for row in at_home())


def test_every_row_is_predicted_and_says_where_it_is_from() -> None:
    assert not validate(at_home()).skipped
    assert all(row["source"].startswith(("github:", "a public note")) for row in at_home())
    assert len({row["id"] for row in at_home()}) == len(at_home())
    assert set(GPUS) >= {SpeedSetup(SpeedRow.model_validate(row)).gpu.id for row in at_home()}


def test_gpt_oss_is_decoded_by_what_its_files_store_not_by_its_release() -> None:
    """GB10, M2 Ultra and Strix Halo, in no fit: 25 % too slow in the median, were attention and head read in 16 bit."""
    (found,) = (one for one in validate(decoding_at_home()).errors if one.quantity == "output_tok_s_total, batch 1")
    errors = [size for size, _ in found.of]
    assert len(errors) == 22
    assert median(errors) <= 9
    assert max(errors) <= 17


@pytest.mark.parametrize(
    ("model", "weights_gb"),
    [
        ("gpt-oss-20b", (19_116_933_120 * 4.25 + 1_795_470_336 * 8.5 + 2_353_728 * 16) / 8e9),
        ("qwen3 8b", (8_190_436_352 * 8.5 + 299_008 * 16) / 8e9),
    ],
)
def test_a_file_in_mxfp4_keeps_all_but_the_experts_in_q8_0(model: str, weights_gb: float) -> None:
    """By hand. The files of gpt-oss-20b are 11.27 GiB (12.1 GB); a dense model is stored in Q8_0 altogether."""
    assert ask(model=model, precision="mxfp4", gpu="rtx-5090").weights_gb == pytest.approx(weights_gb, rel=1e-4)


def test_other_engines_load_gpt_oss_as_it_is_released() -> None:
    """13.8 GB: attention, embedding and head in 16 bit."""
    answer = TOOL.ask({"model": "gpt-oss-20b", "precision": "mxfp4", "gpu": "h100-sxm"})
    assert answer.weights_gb == pytest.approx(13.75, abs=0.01)
    assert "embeddings and head in 16 bit" in answer.summary
    assert "embeddings and head in 8.5 bit" in ask(model="gpt-oss-20b", precision="mxfp4", gpu="rtx-4090").summary
