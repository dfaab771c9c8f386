"""The speed model against published runs, none of which it needs to be told the result of."""

import csv
from functools import cache
from typing import Any

import pytest

from data_files import DATA
from inferplan.core.parallelism import Layout
from inferplan.core.speed.pass_amounts import Batch, pass_amounts
from inferplan.core.speed.speed_constants import FITTED_ON, PARAMETERS
from inferplan.core.units import MILLI
from inferplan.tools._assumptions import Ledger
from inferplan.tools.serving.replica import Replica
from inferplan.tools.serving.settings import serving
from inferplan.tools.validation.report import Report
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_rows import SpeedRow
from inferplan.tools.validation.speed_validation import validate
from published_speed import at_home, calibration, published

MOST = {"tpot": 12.5, "static": 10.3, "single": 7.1, "offline": 14.5, "ttft": 30.0}
"""Median errors that are asked of the model, in percent of the measured time.

Of static batches 288 in 450 are of the one source that has MI300X: without it nothing shows what a pass costs there.
Of single sequences 52 are llama.cpp's of 2025 and later, with contexts up to 32K and latents, beside 389 of dense
models with short ones: 6.0 was asked of those alone.
"""


@cache
def report() -> Report:
    return validate(published() + at_home())


def median_error(quantity: str) -> float:
    return next(one.structured()["median"] for one in report().errors if one.quantity == quantity)


@pytest.mark.parametrize(
    ("quantity", "most"),
    [
        ("tpot_ms, closed loop", 14),
        ("ttft_ms, closed loop", 30),
        ("output_tok_s_total, offline", 18),
        ("output_tok_s_total, static batch", 9),
        ("e2e_ms, static batch", 9),
        ("tpot_ms, batch 1", 7),
        ("output_tok_s_total, batch 1", 7),
        ("tpot_ms, served", 15),
        ("output_tok_s_total, served", 25),
    ],
)
def test_half_of_the_published_runs_lie_within_what_is_asked(quantity: str, most: float) -> None:
    assert median_error(quantity) <= most


def test_prompts_of_10k_to_a_million_tokens_alone_take_what_was_published() -> None:
    """The fit saw none of more than 16K tokens; the share that attention over far more reaches is from these."""
    alone = [row for row in published("published_long_prompts.tsv") if row["scenario"] == "batch1"]
    errors = {one.id: one.predicted["ttft_ms"] / one.measured["ttft_ms"] - 1 for one in validate(alone).outcomes}
    assert len(errors) == 7
    assert max(map(abs, errors.values())) <= 0.10


def test_a_lone_user_with_91k_tokens_of_prompt_on_a_gaming_card_gets_tokens_as_published() -> None:
    """RTX 5090, vLLM: 14.3 ms a token, within 25 %; TTFT 17.6 s, within a factor of two: see `HALF_SPEED_TOKENS`."""
    (served,) = [row for row in published("published_long_prompts.tsv") if row["family"] == "ai-infra-lab"]
    (found,) = validate([served]).outcomes
    assert found.predicted["tpot_ms"] == pytest.approx(found.measured["tpot_ms"], rel=0.25)
    assert 1 <= found.predicted["ttft_ms"] / found.measured["ttft_ms"] <= 2


def test_long_prompts_of_sparse_attention_whose_indexer_scores_every_pair_grow_as_published() -> None:
    """DeepSeek V3.2 alone on a rank of eight H200, SGLang: of 8,000 to 160,000 tokens it takes 34 times as long.

    No run of it is fitted. Short prompts are predicted too late (SGLang's front end), long ones to a tenth; with scores
    at 16 bit's speed 160,000 tokens were 2.0 times too late.
    """
    rows = [row for row in published("published_long_prompts.tsv") if row["family"] == "sglang-dsa"]
    ratios = {one.id: one.measured["ttft_ms"] / one.predicted["ttft_ms"] for one in validate(rows).outcomes}
    assert len(ratios) == 7
    assert all(0.7 <= ratio <= 1 for id_, ratio in ratios.items() if id_ != "sglang-dsa-3.5k")
    assert ratios["sglang-dsa-120k"] == pytest.approx(1, abs=0.1)
    assert ratios["sglang-dsa-160k"] == pytest.approx(1, abs=0.1)


def test_prompts_of_sparse_attention_whose_heads_are_spread_over_eight_gpus_are_read_as_quickly_as_published() -> None:
    """DeepSeek V3.2 and GLM-5.2, 16 and 8 heads a rank, 32,000 tokens in and 100 out: 19 and 11 % less than predicted.

    vLLM 0.13 and 0.24 on eight H200, read after the kernels of other models; GLM-5.2 was 1.9 times too quick.
    """
    rows = [row for row in published("published_long_prompts.tsv") if row["family"] == "gpustack-sparse"]
    name = "output_tok_s_total"
    ratios = [one.measured[name] / one.predicted[name] for one in validate(rows).outcomes]
    assert len(ratios) == 2
    assert all(0.8 <= ratio <= 1 for ratio in ratios)


def test_kernels_of_sparse_attention_in_a_prompt_take_what_traces_show_at_every_context() -> None:
    """V4 and GLM 5.3 Flash and Qwen3.8 Flash Next on eight H100, 8,192 tokens after 8,192 to 122,880 others.

    A rank has 8, 8 and 3 query heads, which are padded to 64: without, attention would be 8 and 21 times too quick.
    V4.1 is not compared: its second half computes the last token of a prompt alone.
    """
    for row in table("published_prefill_kernels.tsv"):
        if "V4.1" in row["model"]:
            continue
        setup = SpeedSetup(SpeedRow.model_validate(CHUNK | row))
        amounts = pass_amounts(
            setup.work, setup.machine, setup.layout, Batch(prompts=1, prompt=8192, cached=float(row["before"]))
        )
        attention = amounts.prompt_attention_s / setup.machine.efficiency.prompt_attention_compute
        assert 0.95 <= attention / MILLI / float(row["attention_ms"]) <= 1.6
        scores = amounts.index_s / setup.machine.efficiency.index_compute
        assert scores / MILLI <= float(row["search_ms"]) * 1.25
        if "Qwen" not in row["model"]:
            assert scores / MILLI >= float(row["search_ms"]) * 0.5


CHUNK: dict[str, Any] = {
    "id": "chunk",
    "engine": "vLLM",
    "gpu": "H100-SXM-80GB",
    "tp": 8,
    "isl": 131_072,
    "osl": 256,
    "concurrency_or_batch": 1,
    "scenario": "server",
}


def table(name: str) -> list[dict[str, str]]:
    """The rows of a table, as text."""
    lines = [line for line in (DATA / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def test_nearly_all_rows_of_datacenter_gpus_are_predicted() -> None:
    home = ("3070", "3080", "3090", "4070", "4080", "4090", "RTX 4000", "RTX 5000", "M1", "M2", "M3", "RTX-4090")
    ids = {row["id"] for row in published() if not row["gpu"].startswith((*home, "Jetson"))}
    skipped = {one.id for one in report().skipped}
    assert len(ids - skipped) / len(ids) >= 0.95


def test_the_table_of_the_calibration_belongs_to_the_constants() -> None:
    assert calibration()["fitted_on"] == FITTED_ON
    assert calibration()["constants"] == dict(PARAMETERS)


@pytest.mark.parametrize("law", ["tpot", "static", "single", "offline", "ttft"])
@pytest.mark.parametrize("rows", ["source_left_out", "source_left_out_where_the_layout_is_stated"])
def test_runs_of_a_source_that_the_fit_has_not_seen_are_predicted_about_as_well(rows: str, law: str) -> None:
    assert calibration()[rows][law]["median"] <= MOST[law]


@pytest.mark.parametrize(
    ("law", "quantity"),
    [
        ("tpot", "tpot_ms, closed loop"),
        ("ttft", "ttft_ms, closed loop"),
        ("offline", "output_tok_s_total, offline"),
        ("single", "tpot_ms, batch 1"),
    ],
)
def test_the_product_makes_the_errors_that_the_calibration_says(law: str, quantity: str) -> None:
    assert median_error(quantity) == pytest.approx(calibration()["in_sample"][law]["median"], rel=0.1)


@pytest.mark.parametrize(("sequences", "ms"), [(1, 11.51), (16, 12.63), (64, 16.00)])
def test_decode_of_an_engine_alone_that_no_fit_saw(sequences: int, ms: float) -> None:
    """Qwen3-14B in bf16, 1,080 tokens each, vLLM 0.24 without a server on one H100; measured by the authors."""
    found = qwen3_14b().decode_s(sequences, 1080) / MILLI
    assert 1 <= found / ms <= 1.18


@pytest.mark.parametrize(("prompt", "ms"), [(1000, 46.1), (8000, 381.1), (32_000, 2006.3)])
def test_prompts_of_an_engine_alone_that_no_fit_saw(prompt: int, ms: float) -> None:
    """The same, in steps of at most 16,384 tokens."""
    found = qwen3_14b().prefill_s(1, prompt) / MILLI
    assert 1 <= found / ms <= 1.18


def qwen3_14b() -> Replica:
    ledger = Ledger({"max_num_batched_tokens": 16_384})
    found = serving(ledger, model="Qwen/Qwen3-14B", precision="bf16", gpu="h100-sxm").replica(Layout())
    assert found is not None
    return found
