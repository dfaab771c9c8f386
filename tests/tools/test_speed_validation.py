"""The speed model against published runs, and the file of runs that it takes."""

import re
from dataclasses import replace
from statistics import median
from typing import Any

import pytest

from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import serve
from inferplan.core.speed.load import Load
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_names import gpu_of
from inferplan.tools.validation.speed_rows import SpeedRow
from inferplan.tools.validation.speed_validation import predict, regime, validate
from published_speed import published

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


def test_a_batch_of_an_engine_gives_its_tokens_in_its_whole_time_and_one_without_a_server_those_of_a_step() -> None:
    found = predicted(scenario="offline")
    assert found["prefill_tok_s"] == pytest.approx(32 * 1000 / found["ttft_ms"] * 1000)
    assert found["output_tok_s_total"] == pytest.approx(32 * 500 / found["e2e_ms"] * 1000)
    bare = predicted(scenario="offline", engine="a script")
    assert bare["output_tok_s_total"] == pytest.approx(32 / bare["tpot_ms"] * 1000)


def test_one_sequence_has_times_that_belong_together_and_none_of_a_prompt_where_there_is_none() -> None:
    found = predicted(scenario="batch1", concurrency_or_batch=1.0)
    assert found["e2e_ms"] == pytest.approx(found["ttft_ms"] + 499 * found["tpot_ms"])
    assert found["prefill_tok_s"] == pytest.approx(1000 / found["ttft_ms"] * 1000)
    assert set(predicted(scenario="batch1", isl=0.0)) == {"tpot_ms", "output_tok_s_total"}


def test_the_first_token_of_stages_has_gone_through_all_of_them() -> None:
    """8,000 tokens in one step: over two stages of 4 GPUs each as long as over one, beside what they send."""
    one, two = (
        predicted(scenario="batch1", isl=8000.0, pp=pp, gpu_count=4 * pp, concurrency_or_batch=1.0) for pp in (1, 2)
    )
    assert 1 <= two["ttft_ms"] / one["ttft_ms"] < 1.1


def test_an_answer_of_a_length_that_is_not_stated_is_one_token() -> None:
    found = setup(osl=None)
    assert predict(found)["e2e_ms"] == predict(found)["ttft_ms"]
    assert "one token of output is taken, as none is stated" in found.notes


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


def test_the_report_has_what_was_taken_beside_its_row_and_no_notes_where_nothing_was() -> None:
    stated = ROW | {"kv_dtype": "fp8"}
    open_, whole = validate([stated | {"concurrency_or_batch": None}, stated]).structured()["rows"]
    assert any("as no load is stated" in note for note in open_["notes"])
    assert "notes" not in whole


def test_a_load_that_is_not_stated_leaves_the_usual_head_room() -> None:
    server = setup(concurrency_or_batch=None)
    assert predict(server)["output_tok_s_total"] == pytest.approx(
        0.8 * predicted(scenario="offline", concurrency_or_batch=None)["output_tok_s_total"]
    )
    assert any("as no load is stated" in note for note in server.notes)


def test_a_benchmarks_limits_are_the_load_that_it_leaves_open() -> None:
    """MLPerf allows a Llama 2 70B 40 ms per token at P99 where it is interactive, else 200: 0.8 of that in the mean."""
    row = {"model": "meta-llama/Llama-2-70b-chat-hf", "concurrency_or_batch": None, "isl": 222.3, "osl": 300.6}
    server, interactive, free = (
        setup(**row, note=note) for note in ("MLPerf, scenario Server", "MLPerf, scenario Interactive", "a blog")
    )
    tpot = [predict(one)["tpot_ms"] for one in (server, interactive)]
    assert 2 * tpot[1] < tpot[0] <= 160
    assert 30 < tpot[1] <= 32
    predict(free)
    assert any("within 0.45 s to the first token and 40 ms per token" in note for note in interactive.notes)
    assert any("80% of what it can, as no load is stated" in note for note in free.notes)


def test_a_benchmark_that_calls_the_engine_itself_pays_for_no_server() -> None:
    model = "meta-llama/Llama-2-70b-chat-hf"
    bare, served = (setup(model=model, note=note).efficiency for note in ("MLPerf, scenario Server", "a blog"))
    assert bare.front_end_s == 0 < served.front_end_s


def test_requests_of_clients_that_are_not_counted_are_no_crowd() -> None:
    assert predicted(concurrency_or_batch=None, requests=1000.0) == predicted(concurrency_or_batch=None)
    assert predicted(requests=64.0)["ttft_ms"] > predicted(requests=6400.0)["ttft_ms"]


def test_the_throughput_benchmark_of_tensorrt_llm_runs_4096_sequences_at_once() -> None:
    small = {"model": "meta-llama/Llama-3.2-1B-Instruct", "isl": 10.0, "osl": 10.0}
    assert setup(engine="TensorRT-LLM", **small).slots == 4096


def test_adapters_that_a_row_states_take_time() -> None:
    assert predicted(lora_adapters=32, lora_rank=64)["tpot_ms"] > predicted()["tpot_ms"]


def test_llama_cpp_is_taken_to_have_one_gpu_where_none_is_counted() -> None:
    assert setup(engine="llama.cpp", weight_format="q4_k_m", gpu_count=None, tp=None).layout == Layout()


def test_a_model_that_is_far_too_large_has_a_layout_and_a_slot_since_it_was_measured() -> None:
    found = setup(model="deepseek-ai/DeepSeek-R1", weight_format="bf16", gpu="T4", tp=None, gpu_count=None)
    assert (found.layout.dp, found.slots) == (32, 1)
    assert "the memory rules leave no room for a request; one slot is taken" in found.notes


def test_prompts_on_other_gpus_do_not_disturb_decoding() -> None:
    """40 GPUs, decode workers of 32: 8 for the prompts."""
    row = {"model": "deepseek-ai/DeepSeek-R1", "gpu": "GB200-186GB", "tp": 1, "dp": 32, "ep": 32, "gpu_count": 40}
    apart, together = (setup(**row, concurrency_or_batch=2048.0, note=note) for note in ("disaggregated", ""))
    assert apart.layout == Layout(attention_dp=32)
    assert predict(apart)["tpot_ms"] < predict(together)["tpot_ms"]
    assert predict(apart)["tpot_ms"] == pytest.approx(apart.served(2048).decode.total_s * 1000)
    assert predict(apart)["output_tok_s_per_gpu"] == pytest.approx(predict(apart)["output_tok_s_total"] / 40)


def test_decode_workers_are_as_many_as_the_other_gpus_can_feed() -> None:
    """20 GPUs in fours: long answers leave one GPU group for prompts, long prompts leave more."""
    row = {"tp": 4, "gpu_count": 20, "note": "disagg", "concurrency_or_batch": 256.0}
    assert setup(**row, isl=100.0, osl=4000.0).layout.dp == 4
    assert setup(**row, isl=16_000.0, osl=100.0).layout.dp < 4


def test_a_layout_that_is_not_stated_has_a_slot_for_every_client() -> None:
    server = setup(tp=None, gpu_count=None, concurrency_or_batch=5000.0)
    assert server.layout.dp * server.slots >= 5000
    assert server.load(server.batch).running == server.batch


def test_vllm_starts_whoever_has_blocks_now_and_others_keep_room_for_what_is_still_to_be_said() -> None:
    """1,000 tokens in and 500 out: 1,250 of a pool in the mean, of which 6 fit where 5 do at full length.

    SGLang keeps 0.7 × 0.14 of the 250 free that each has still to say: 1,274.5. TensorRT-LLM keeps all of them.
    """
    begun, between = setup(), setup(engine="SGLang")
    assert begun.slots / begun._slots(begun.layout) == pytest.approx(1500 / 1250, rel=0.01)
    assert between.slots / between._slots(between.layout) == pytest.approx(1500 / 1274.5, rel=0.01)
    assert setup(engine="TensorRT-LLM").slots == setup(engine="TensorRT-LLM", isl=750.0, osl=750.0).slots


def full_pools(engine: str, model: str) -> list[float]:
    """First tokens predicted over measured, where more clients ask than a pool holds at full length."""
    ratios: list[float] = []
    for row in published():
        one = SpeedSetup(SpeedRow.model_validate(row))
        if one.runner == engine and model in row["model"] and row["scenario"] == "server" and not one.disaggregated:
            full = one._slots(one.layout) < one.batch
            ratios += [predict(one)["ttft_ms"] / row["measured"]["ttft_ms"]] if full else []
    return sorted(ratios)


def test_clients_of_tensorrt_llm_beyond_what_a_pool_holds_at_full_length_wait_as_long_as_published() -> None:
    """Llama 3.1 70B of InferenceX, 22 to 369 s to the first token on B200 and H200: within a sixth."""
    ratios = full_pools("tensorrt-llm", "Llama-3.1-70B")
    assert len(ratios) == 8
    assert 0.85 <= ratios[0] <= ratios[-1] <= 1.16


def test_clients_of_sglang_that_fit_half_through_do_not_wait_as_published() -> None:
    """R1 and GLM-5 on eight B200, Llama 8B on one H200: at full length they were predicted up to 53 times too late."""
    found = full_pools("sglang", "DeepSeek-R1") + full_pools("sglang", "GLM-5") + full_pools("sglang", "Llama-3.1-8B")
    assert len(found) == 7
    assert 0.55 <= min(found) <= max(found) <= 2.3
    assert 0.9 <= median(found) <= 1.4


HELD = {
    "engine": "SGLang",
    "model": "deepseek-ai/DeepSeek-R1",
    "gpu": "B200-SXM-180GB",
    "tp": 8,
    "gpu_count": 8,
    "isl": 1024.0,
    "osl": 1024.0,
    "family": "inferencex",
}


def test_sglang_that_looks_for_requests_every_so_many_steps_lets_prompts_wait_half_of_them() -> None:
    """InferenceX has it look every 10 steps, and every 30 from 16 clients on, on B200; never so on H200."""
    for clients, steps in ((8.0, 10), (16.0, 30), (64.0, 30)):
        one = setup(**HELD, concurrency_or_batch=clients)
        load = one.load(clients)
        together = 2.3 * steps * (clients - 1) / (0.9 * 1024)
        assert load.held_steps == steps / 2
        assert load.batched == pytest.approx(together)
        found, at_once = one.served(clients), serve(one.work, one.machine, one.layout, at_once_of(load), one.options)
        waited = steps / 2 * found.decode.total_s + together * found.prefill.total_s
        assert found.ttft_s - at_once.ttft_s == pytest.approx(waited)
        assert found.tpot_s == at_once.tpot_s
    for other in ({"gpu": "H200-SXM-141GB"}, {"family": "test"}, {"engine": "vLLM"}, {"model": "zai-org/GLM-5"}):
        assert setup(**HELD | other, concurrency_or_batch=64.0).load(64.0).held_steps == 0
    four = HELD | {"tp": 4, "gpu_count": 4, "weight_format": "fp8"}
    assert setup(**four, concurrency_or_batch=32.0).load(32.0).held_steps == 5


def at_once_of(load: Load) -> Load:
    """The same load of an engine that takes each prompt as it comes."""
    return replace(load, held_steps=0.0, batched=0.0)


def test_half_of_all_prompts_come_before_the_first_token_where_answers_end_together() -> None:
    """Dynamo's sweep over lengths in powers of two, under an engine that computes all prompts before any token."""
    sweep = {"family": "nvidia-dynamo-internal", "model": "Qwen/Qwen3-32B", "isl": 2048.0, "osl": 256.0}
    one, other = (setup(engine=engine, concurrency_or_batch=64.0, **sweep) for engine in ("SGLang", "vLLM"))
    found, load = one.served(64.0), one.load(64.0)
    assert (load.synchronized, other.load(64.0).synchronized) == (True, False)
    steps = one.efficiency.first_token_steps * found.decode.total_s
    assert found.ttft_s == pytest.approx(one.efficiency.front_end_s + steps + (1 + 63 / 2) * found.prefill.total_s)
    between = one.efficiency.prefill_interference / 2 * 63 / 256
    added = found.prefill.total_s - found.prefill.fixed_s
    assert found.tpot_s == pytest.approx(found.decode.total_s + between * added)
    assert not setup(engine="SGLang", **sweep | {"isl": 2000.0}).load(64.0).synchronized


def test_a_harness_without_a_prefix_cache_runs_as_many_requests_as_clients() -> None:
    """Qwen3.5 has states, of which SGLang keeps five for each request with the cache: 256 clients would not fit.

    InferenceX switches it off; first tokens came after 2.2 to 7.6 s, and were predicted 6 to 130 times as late.
    """
    row = HELD | {"model": "Qwen/Qwen3.5-397B-A17B", "weight_format": "fp8", "tp": 4, "gpu_count": 4}
    plain = setup(**row | {"family": "test"}, concurrency_or_batch=256.0)
    scripted = setup(**row, concurrency_or_batch=256.0)
    assert plain.slots < 256 <= scripted.slots


def test_sequences_give_way_where_the_pool_ends_before_the_sequences_that_run_at_once() -> None:
    """Twice the clients of a pool give way to each other; those of an engine that runs 64 wait, and none gives way."""
    crowded, capped = (setup(concurrency_or_batch=2000.0, note=note) for note in ("", "max-num-seqs=64"))
    assert crowded.slots < crowded.most
    assert crowded.load(2000).recomputed == 0.5
    assert crowded.load(crowded.slots).recomputed == 0
    assert (capped.slots, capped.load(2000).recomputed) == (64, 0)
    assert setup(engine="SGLang", concurrency_or_batch=2000.0).load(2000).recomputed == 0


def test_clients_of_vllm_beyond_what_a_pool_holds_wait_as_long_as_published() -> None:
    """Half of InferenceX's first tokens of MiniMax M2.5 within a tenth, where more clients ask than fit at full length.

    With slots for full length they were predicted up to 6.8 times as late as they came.
    """
    rows = [row for row in published() if row["family"] == "inferencex" and row["model"] == "MiniMaxAI/MiniMax-M2.5"]
    ratios: list[float] = []
    for row in rows:
        one = SpeedSetup(SpeedRow.model_validate(row))
        if one.runner == "vllm" and one._slots(one.layout) < min(one.batch, one.most):
            ratios.append(predict(one)["ttft_ms"] / row["measured"]["ttft_ms"])
    assert len(ratios) >= 8
    assert abs(median(ratios) - 1) < 0.1
    assert median(abs(ratio - 1) for ratio in ratios) < 0.1


def test_experts_that_would_span_nodes_without_links_are_taken_to_be_within_one() -> None:
    experts = {"model": "deepseek-ai/DeepSeek-R1", "gpu": "H200-SXM-141GB", "tp": None, "gpu_count": None}
    assert setup(**experts, ep=16).layout == Layout(tp=8)


def test_data_parallel_ranks_share_experts_and_repeat_dense_models() -> None:
    experts = setup(model="deepseek-ai/DeepSeek-R1", gpu="H200-SXM-141GB", tp=1, dp=8, ep=8, gpu_count=8)
    assert experts.layout == Layout(attention_dp=8)
    assert setup(tp=2, dp=2).layout == Layout(tp=2, dp=2)


def test_lengths_drawn_at_random_have_nine_tenths_of_the_nominal_mean() -> None:
    assert setup(family="inferencex").lengths == (900, 450)
    assert setup(source="InferenceX, a nightly run").lengths == (900, 450)
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


def test_a_report_of_rows_that_measured_nothing_has_no_empty_tables() -> None:
    assert validate([ROW]).text() == "1 row, 1 predicted, 0 skipped"


@pytest.mark.parametrize(
    ("model", "mixers"),
    [("deepseek-ai/DeepSeek-R1", 8.7819), ("Qwen/Qwen3-235B-A22B", 4.5), ("MiniMaxAI/MiniMax-M2.5", 16)],
)
def test_published_speeds_in_fp4_are_predicted_with_the_same_checkpoint(model: str, mixers: float) -> None:
    own = setup(engine="SGLang", model=model, weight_format="fp4", gpu="B200").model.own_bits("nvfp4")
    assert own is not None
    assert own.mixers == mixers


def test_a_cache_that_a_harness_has_in_fp8_is_counted_so_though_its_rows_do_not_say() -> None:
    """InferenceX starts vLLM with `kv-cache-dtype: fp8` for Llama 3.1 70B on Hopper, with none for MiniMax."""
    llama, minimax = {"model": "meta-llama/Llama-3.1-70B"}, {"model": "MiniMaxAI/MiniMax-M2.5"}
    assert setup(family="inferencex", **llama).kv_bits == 8
    assert setup(family="inferencex", **minimax).kv_bits == setup(**llama).kv_bits == 16


def test_a_tenth_of_the_first_tokens_of_a_harness_are_those_of_a_crowd() -> None:
    """31 others: 15.5 prompts before one's own in the mean of the first of ten requests, and of the only one."""
    even, once = predicted()["ttft_ms"], predicted(requests=32.0)["ttft_ms"]
    for of_ten in (predicted(family="nvidia-dynamo-internal"), predicted(requests=320.0)):
        assert of_ten["ttft_ms"] - even == pytest.approx((once - even) / 10)
    assert once - even == pytest.approx(15.5 * setup().served(32.0).prefill.total_s * 1000)
