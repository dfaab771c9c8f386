"""What LoRA adapters add to a pass: counted by hand, and against kernels and servers that were measured.

`adapter_kernels_measured.json` and `speed_measured_adapters.json` say how. Ratios are predicted over measured.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_files import DATA
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import Engine
from inferplan.core.parallelism import Layout
from inferplan.core.speed.adapter_time import AdapterWork, Added, adapter_work, adapters_in_batch, added
from inferplan.tools.validation.speed_validation import validate
from shapes import dense, model

LLAMA = MODELS["meta-llama/Llama-3.1-8B-Instruct"]
BF16 = FORMATS["bf16"]
ONE = Layout()
H200 = GPUS["h200-sxm"].read_bandwidth


def lora(adapters: int = 1, rank: int = 16, *, sharded: bool = False, name: str = "vllm") -> Engine:
    return Engine(
        name="sglang" if name == "sglang" else "vllm",
        max_num_seqs=256,
        max_num_batched_tokens=2048,
        adapters=adapters,
        adapter_rank=rank,
        adapters_sharded=sharded,
    )


def work(engine: Engine, layout: Layout = ONE, of: str = LLAMA.id) -> AdapterWork:
    found = adapter_work(MODELS[of], BF16, layout, engine)
    assert found is not None
    return found


def step(one: AdapterWork, sequences: float, bandwidth: float = H200) -> Added:
    return added(one, bandwidth=bandwidth, requests=sequences, tokens=sequences, shared_tokens=sequences)


def test_llama_8b_has_four_calls_a_layer_and_one_each_for_embedding_and_head() -> None:
    found = work(lora())
    outputs = 32 * (4096 + 1024 + 1024 + 4096 + 14336 + 14336 + 4096)
    inputs = 32 * (3 * 4096 + 4096 + 2 * 4096 + 14336)
    assert found.calls == 32 * 4 + 2
    assert found.columns == outputs + 4096 + 128256
    assert found.matrix_bytes == 2 * 16 * (inputs + outputs + 4096 + 128256)
    assert found.token_bytes == 2 * inputs + 4 * outputs


def test_on_four_gpus_as_many_calls_work_on_a_fourth_of_the_outputs_of_what_is_cut_by_outputs() -> None:
    one, four = work(lora()), work(lora(), Layout(tp=4))
    assert four.calls == one.calls
    whole = 4096 + 128256 + 32 * (4096 + 4096)
    assert four.columns - whole == (one.columns - whole) / 4


def test_experts_have_one_call_more_a_layer_and_a_pass_takes_those_that_are_picked() -> None:
    found = work(lora(), of="Qwen/Qwen3-30B-A3B")
    assert found.calls == 48 * (2 + 1 + 2 + 1) + 2
    assert found.expert_columns == 48 * 128 * (768 + 768 + 2048)
    alone, crowd = (step(replace(found, calls=0.0), tokens).matrices_s for tokens in (1, 4096))
    without = step(replace(found, calls=0.0, expert_columns=0.0, expert_bytes=0.0), 1).matrices_s
    assert (alone - without) / (crowd - without) == pytest.approx(8 / 128)


def test_adapters_that_requests_have_are_all_of_them_in_the_end() -> None:
    assert adapters_in_batch(8, 1) == pytest.approx(1)
    assert adapters_in_batch(8, 2) == pytest.approx(1 + 7 / 8)
    assert adapters_in_batch(8, 10_000) == pytest.approx(8)


@given(st.integers(1, 64), st.integers(1, 256), st.integers(1, 8))
def test_more_adapters_ranks_and_sequences_never_take_less(adapters: int, sequences: int, more: int) -> None:
    before = sum(step(work(lora(adapters, 8)), sequences))
    for engine, n in ((lora(adapters + more, 8), sequences), (lora(adapters, 64), sequences), (lora(adapters, 8), 257)):
        assert sum(step(work(engine), n)) >= before * (1 - 1e-12)


def test_what_an_engine_takes_that_was_not_measured_is_not_known() -> None:
    assert adapter_work(LLAMA, BF16, Layout(), lora(name="sglang")) is None
    assert adapter_work(LLAMA, BF16, Layout(), lora(adapters=0)) is None


# --- kernels ---------------------------------------------------------------------------------------------------------

KERNELS: dict[str, Any] = json.loads((DATA / "adapter_kernels_measured.json").read_text(encoding="utf-8"))
TIMES = {(row["shape"], row["rank"], row["slots"], row["tokens"]): row["us"] for row in KERNELS["rows"]}


def kernels(shape: str, rank: int, adapters: int) -> AdapterWork:
    calls = KERNELS["shapes"][shape]
    pairs = [(inputs, output) for inputs, outputs in calls for output in outputs]
    return AdapterWork(
        adapters=adapters,
        calls=len(calls),
        columns=sum(output for _, output in pairs),
        matrix_bytes=2 * rank * sum(map(sum, pairs)),
        token_bytes=sum(2 * inputs + 4 * output for inputs, output in pairs),
    )


def test_each_further_adapter_of_a_step_takes_what_its_kernels_took() -> None:
    """Eight or 32 adapters in steps of 64 tokens: 6 µs for 0.6B at rank 8 to 51 for 70B at rank 128.

    The smallest matrices take up to twice as long: a block of a kernel takes its time however few columns it has.
    """
    ratios = {
        (shape, rank, slots): 1e6
        * step(kernels(shape, rank, 1), 1).matrices_s
        / ((us - TIMES[shape, rank, 1, tokens]) / (slots - 1))
        for (shape, rank, slots, tokens), us in TIMES.items()
        if tokens == 64 and slots > 1
    }
    usual = sorted(ratio for (shape, *_), ratio in ratios.items() if shape != "0.6b")
    assert (len(ratios), len(usual)) == (23, 19)
    assert 0.67 < usual[0] < usual[-1] < 1.45
    assert usual[9] == pytest.approx(1, abs=0.02)
    assert min(ratios.values()) > 0.43


def test_long_prompts_of_one_adapter_move_what_their_kernels_took() -> None:
    """Those whose launches, up to 1.1 ms a layer, hide behind them. Blocks of slots that nobody has are not counted."""
    ratios = [
        1e6 * sum(added(kernels(shape, rank, 1), bandwidth=H200, requests=1, tokens=8192, shared_tokens=8192)) / us
        for (shape, rank, slots, tokens), us in TIMES.items()
        if slots == 1 and tokens == 8192 and us > 1600
    ]
    assert len(ratios) == 9
    assert 0.6 < min(ratios) < max(ratios) < 1.1


# --- servers ---------------------------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = json.loads((DATA / "speed_measured_adapters.json").read_text(encoding="utf-8"))["rows"]


def predicted(*, adapters: bool) -> dict[str, dict[str, float]]:
    rows = [{name: row[name] for name in row if adapters or not name.startswith("lora")} for row in ROWS]
    return {one.id: dict(one.predicted) for one in validate(rows).outcomes}


def slower(quantity: str) -> dict[str, float]:
    """How many times as long as without, predicted over measured."""
    plain, adapted = predicted(adapters=False), predicted(adapters=True)
    return {
        row["id"]: adapted[row["id"]][quantity]
        / plain[row["id"]][quantity]
        / (row["measured"][quantity] / row["base"][quantity])
        for row in ROWS
    }


def test_tokens_of_our_servers_are_slower_by_as_much_as_predicted_within_an_eighth() -> None:
    """Of nine loads with 1 to 8 adapters, which made tokens 1.16 to 1.72 times as slow as without."""
    found = slower("tpot_ms")
    assert len(found) == 10
    assert 0.86 < min(found.values()) < max(found.values()) < 1.09
    assert sorted(found.values())[5] == pytest.approx(0.93, abs=0.02)


def test_without_adapters_their_tokens_come_sooner_than_predicted_as_those_of_our_other_servers() -> None:
    """4.1 to 25.0 ms a token. Sixteen and 64 clients of experts, and sixteen of the 8B, are within a tenth."""
    plain = predicted(adapters=False)
    found = {row["id"]: plain[row["id"]]["tpot_ms"] / row["base"]["tpot_ms"] for row in ROWS}
    loaded = [found[id_] for id_ in ("llama-n16-a1", "qwen-n16-a1", "qwen-n64-a1")]
    assert 1.03 < min(loaded) < max(loaded) < 1.1
    assert 1.2 < found["llama-n1-a1"] < found["llama-n64-a1"] < 1.3
    assert 1.4 < found["qwen-n1-a1"] < 1.5


def test_first_tokens_of_a_lone_short_prompt_come_later_than_predicted_as_its_kernels_are_launched_one_by_one() -> None:
    found = slower("ttft_ms")
    assert 0.59 < found["llama-n1-a1"] < 0.61
    assert 0.93 < found["llama-p8192-a1"] < 0.95


def test_a_published_pair_of_another_model_rank_gpu_and_version_is_slower_by_a_ninth_less_than_measured() -> None:
    """EXAONE 3.5 2.4B, rank 32, vLLM 0.15.1 on an H100 NVL: 346.3 tokens a second without and 208.5 to 210.6 with one.

    Five at once, of whom four have an adapter each, took 0.707 to 0.753 s for 128 tokens, 5.4 ms each.
    Source: github.com/david-xinyuwei/EXAONE-Multi-LoRA-on-Azure, README.md@cf3f200, which gives an adapter 43.99M
    parameters.
    """
    exaone = replace(
        model(dense(layers=30, hidden=2560, heads=32, head_dim=80, ffn=7168, vocab=102400, tied=True)), lora="linear"
    )
    found = adapter_work(exaone, BF16, Layout(), lora(4, 32))
    assert found is not None
    assert found.matrix_bytes / 64 == pytest.approx(43.99e6 / 32, rel=1e-4)
    bandwidth, plain = GPUS["h100-nvl"].read_bandwidth, 2.82
    assert (plain + 1e3 * sum(step(found, 1, bandwidth))) / 4.70 == pytest.approx(0.89, abs=0.01)
    assert (plain + 1e3 * sum(step(found, 5, bandwidth))) / 5.42 == pytest.approx(0.9, abs=0.02)
