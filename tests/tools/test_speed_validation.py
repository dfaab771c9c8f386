import re
from typing import Any

import pytest

from inferplan.core.parallelism import Layout
from inferplan.tools._memory_cases import CannotPredict
from inferplan.tools._speed_cases import SpeedRow, SpeedSetup, gpu_of
from inferplan.tools._speed_validation import predict, regime, validate

ROW: dict[str, Any] = {
    "id": "one",
    "family": "test",
    "engine": "vLLM",
    "model": "meta-llama/Llama-3.3-70B-Instruct",
    "weight_format": "fp8",
    "gpu": "H100-SXM-80GB",
    "gpu_count": 4,
    "tp": 4,
    "isl": 1000.0,
    "osl": 500.0,
    "concurrency_or_batch": 32.0,
    "scenario": "server",
}


def setup(**changes: Any) -> SpeedSetup:
    return SpeedSetup(SpeedRow.model_validate(ROW | changes))


def predicted(**changes: Any) -> dict[str, float]:
    return predict(setup(**changes))


def test_a_served_row_has_latencies_and_rates_that_belong_together() -> None:
    found = predicted()
    assert found["e2e_ms"] == pytest.approx(found["ttft_ms"] + 499 * found["tpot_ms"])
    assert found["output_tok_s_per_gpu"] == pytest.approx(found["output_tok_s_total"] / 4)
    assert found["req_s"] == pytest.approx(found["output_tok_s_total"] / 500)
    assert found["output_tok_s_total"] == pytest.approx(32 * 500 / found["e2e_ms"] * 1000)


def test_a_row_without_a_measurement_is_predicted_all_the_same() -> None:
    with_it, without = validate([ROW | {"measured": {"tpot_ms": 20.0}}, ROW]).outcomes
    assert with_it.predicted == without.predicted
    assert (dict(with_it.measured), dict(without.measured)) == ({"tpot_ms": 20.0}, {})


@pytest.mark.parametrize(
    ("scenario", "batch", "law"),
    [
        ("server", 8.0, "closed loop"),
        ("server", None, "served"),
        ("offline", 8.0, "static batch"),
        ("latency", 8.0, "static batch"),
        ("offline", None, "offline"),
        ("max_throughput", None, "offline"),
        ("batch1", 1.0, "batch 1"),
    ],
)
def test_the_way_of_measuring_decides_the_law(scenario: str, batch: float | None, law: str) -> None:
    assert regime(setup(scenario=scenario, concurrency_or_batch=batch).row) == law
    assert all(value > 0 for value in predicted(scenario=scenario, concurrency_or_batch=batch).values())


def test_replicas_share_the_load_and_add_their_tokens() -> None:
    two, one = predicted(gpu_count=8, concurrency_or_batch=64.0), predicted()
    assert two["tpot_ms"] == pytest.approx(one["tpot_ms"])
    assert two["output_tok_s_total"] == pytest.approx(2 * one["output_tok_s_total"])


def test_what_a_row_leaves_open_is_taken_and_said() -> None:
    open_ = setup(tp=None, weight_format=None, kv_dtype=None, scenario="max_throughput", concurrency_or_batch=None)
    predict(open_)
    assert open_.layout.gpus == 4
    said = " ".join(open_.notes)
    assert "weights are taken to be in bf16" in said
    assert "the KV cache is taken to be in 16 bit" in said
    assert "is taken, as no layout is stated" in said


def test_a_load_that_is_not_stated_leaves_the_usual_head_room() -> None:
    server = setup(concurrency_or_batch=None)
    assert predict(server)["output_tok_s_total"] == pytest.approx(
        0.8 * predicted(scenario="offline", concurrency_or_batch=None)["output_tok_s_total"]
    )
    assert any("as no load is stated" in note for note in server.notes)


def test_data_parallel_ranks_share_experts_and_repeat_dense_models() -> None:
    experts = setup(model="deepseek-ai/DeepSeek-R1", gpu="H200-SXM-141GB", tp=1, dp=8, ep=8, gpu_count=8)
    assert experts.layout == Layout(attention_dp=8)
    assert setup(tp=2, dp=2).layout == Layout(tp=2, dp=2)


def test_lengths_drawn_at_random_have_nine_tenths_of_the_nominal_mean() -> None:
    assert setup(family="inferencex").lengths == (900, 450)
    assert setup().lengths == (1000, 500)


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("B200-SXM-180GB", "b200-sxm"),
        ("GB200-186GB", "gb200"),
        ("4090 24GB", "rtx-4090"),
        ("RTX-PRO-6000-SE-96GB", "rtx-pro-6000-blackwell-server"),
        ("A100 PCIe 80GB", "a100-80gb-pcie"),
        ("L40S-48GB", "l40s"),
        ("MI325X-256GB", "mi325x"),
    ],
)
def test_gpus_are_known_by_the_names_that_sources_give_them(name: str, id_: str) -> None:
    found = gpu_of(name)
    assert found is not None
    assert found.id == id_


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gpu": "Abacus 9000"}, 'the GPU "Abacus 9000" is not in the catalog'),
        ({"model": "nobody/no-model-3B"}, 'no model "nobody/no-model-3B" is in the catalog'),
        ({"weight_format": "ternary"}, 'the weight format "ternary" is not known'),
        ({"kv_dtype": "ternary"}, 'the KV cache format "ternary" is not known'),
        ({"isl": None}, "`isl` is not stated"),
    ],
)
def test_what_cannot_be_predicted_is_skipped_with_its_reason(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CannotPredict, match=re.escape(said)):
        predicted(**changes)
    (outcome,) = validate([ROW | changes]).outcomes
    assert outcome.skipped == said


@pytest.mark.parametrize("raw", [1, None, {}, ROW | {"tp": "four"}, ROW | {"isl": float("nan")}, ROW | {"gpu": 1}])
def test_a_row_that_cannot_be_read_is_skipped(raw: object) -> None:
    (outcome,) = validate([raw]).outcomes
    assert outcome.skipped
    assert outcome.skipped.startswith("the row cannot be read: ")


def test_the_report_breaks_errors_down_by_source_model_gpu_and_engine() -> None:
    report = validate([ROW | {"measured": {"tpot_ms": 20.0}}, ROW | {"gpu": "Abacus 9000"}])
    found = report.structured()["summary"]
    assert set(found) == {
        "rows",
        "predicted",
        "skipped",
        "errors",
        "by source",
        "by model",
        "by GPU",
        "by engine",
    }
    assert found["by GPU"]["h100-sxm"]["errors"]["tpot_ms, closed loop"]["n"] == 1
    assert "median %" in report.text()
    assert "Abacus 9000" in report.text()
