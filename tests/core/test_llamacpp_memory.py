"""llama.cpp: weights, cells and compute buffers against what its logs print."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_files import rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import Engine
from inferplan.core.engines.llamacpp_files import embedding_bits, layer_weights
from inferplan.core.engines.llamacpp_memory import (
    CONTEXT,
    compute_buffer,
    default_batching,
    gpu_of,
    gpu_weights,
    holding,
    memory,
    not_modelled,
    padded,
    slot_bytes,
    utilization,
    windows_count,
)
from inferplan.core.engines.rank_memory import Held
from inferplan.core.engines.vllm_defaults import NEWEST
from inferplan.core.gguf.mixes import BASE
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.units import GIB, MIB
from shapes import dense, h100, model

RUNS = [run for run in rows("published_other_engines.tsv") if run["engine"] == "llama.cpp"]
ENGINE = Engine(name="llama.cpp", max_num_seqs=4, max_num_batched_tokens=512)
LLAMA_8B = MODELS["meta-llama/Llama-3.1-8B-Instruct"]
LLAMA_70B = model(dense())


def with_(column: str) -> list[dict[str, str]]:
    return [run for run in RUNS if run[column]]


def slot(id_: str, *, context: int, bits: float = 16, ubatch: int = 512, layout: Layout | None = None) -> float:
    engine = replace(ENGINE, max_num_batched_tokens=ubatch)
    return slot_bytes(MODELS[id_].architecture, layout or Layout(), engine, context=context, kv_bits=bits)


def file_of(model: Model, precision: Precision) -> float:
    """What is on the GPU, and in host memory lookup tables and an embedding that is not the head too. [B]"""
    embedding = 0 if model.architecture.tied_embeddings else model.parameters.embedding
    in_host = (embedding + model.parameters.lookup) * embedding_bits(model, precision) / 8
    return gpu_weights(model, precision, Layout()) + in_host


@pytest.mark.parametrize("run", with_("token_bytes"), ids=lambda run: run["id"])
def test_a_token_takes_the_bytes_that_llama_cpp_printed(run: dict[str, str]) -> None:
    """States included; ik_llama.cpp keeps all tokens of windowed layers: Gemma 3 is held within its window."""
    context, layout = int(run["context"]), Layout(pp=int(run["tp"]))
    ours = slot(run["model"], context=context, bits=float(run["kv_bits"]), ubatch=int(run["ubatch"]), layout=layout)
    assert ours / MIB == pytest.approx(context * float(run["token_bytes"]) / MIB, abs=0.01)


def test_index_keys_beside_keys_and_values_have_a_cache_with_room_for_values() -> None:
    """Qwen3.8 Flash Next, as printed at 262,144 tokens: 0.35 MiB of n-grams are left out of 112.57 of states."""
    keys_and_values, index_keys, idle = 6144, 768, 1536
    printed = keys_and_values + index_keys + idle + 112.22
    assert slot("Qwen/Qwen3.8-Flash-Next", context=262_144) / MIB == pytest.approx(printed, abs=0.01)


@pytest.mark.parametrize("run", with_("file_gib"), ids=lambda run: run["id"])
def test_files_are_within_2_percent_of_the_published_ones(run: dict[str, str]) -> None:
    """Of which some were made by other versions, a fork, or with types of their authors' choice."""
    ours = file_of(MODELS[run["model"]], FORMATS[run["precision"]])
    assert ours / GIB == pytest.approx(float(run["file_gib"]), rel=0.02)


@pytest.mark.parametrize("run", with_("weights_gib"), ids=lambda run: run["id"])
def test_weights_on_the_gpu_are_within_2_percent_of_what_llama_cpp_printed(run: dict[str, str]) -> None:
    ours = gpu_weights(MODELS[run["model"]], FORMATS[run["precision"]], Layout())
    assert ours / GIB == pytest.approx(float(run["weights_gib"]), rel=0.021)


def test_weights_of_phi_3_are_what_llama_cpp_printed_as_its_fused_projections_are_in_more_bits() -> None:
    """Q4_K_M of Phi-3 mini: 2,228.82 MiB on the GPU, by an older rule: Q5_K in all layers, now Q4_K and Q6_K."""
    ours = gpu_weights(MODELS["microsoft/Phi-3-mini-4k-instruct"], FORMATS["q4_k_m"], Layout())
    assert ours / MIB == pytest.approx(2228.82, rel=2e-3)


@pytest.mark.parametrize("run", with_("compute_mib"), ids=lambda run: run["id"])
def test_compute_buffers_are_never_short_and_at_most_two_hidden_states_over(run: dict[str, str]) -> None:
    """Of models that are whole on CUDA or on the CPU."""
    tokens, architecture = int(run["ubatch"]), MODELS[run["model"]].architecture
    ours = compute_buffer(architecture, replace(ENGINE, max_num_batched_tokens=tokens))
    over = ours / MIB - float(run["compute_mib"])
    assert -0.1 <= over <= 2 * 4 * tokens * architecture.hidden / MIB + 0.1


@pytest.mark.parametrize(("ubatch", "mebibytes"), [(512, 420.08), (2048, 1672.08)])
def test_metal_takes_4_percent_more_for_its_compute_buffer(ubatch: int, mebibytes: float) -> None:
    """gpt-oss-20b."""
    engine = replace(ENGINE, max_num_batched_tokens=ubatch)
    ours = compute_buffer(MODELS["openai/gpt-oss-20b"].architecture, engine) / MIB
    assert 0.96 * mebibytes <= ours <= mebibytes


def test_a_pipeline_keeps_four_copies_of_its_inputs_as_the_one_log_of_it_has_it() -> None:
    """In-sample: Qwen3.5-122B-A10B on three MI50 at 4,096 tokens, 537 MiB on the last; 4 x (6 + 4) MiB are copies."""
    qwen = MODELS["Qwen/Qwen3.5-122B-A10B"].architecture
    assert compute_buffer(qwen, ENGINE, context=4096, gpus=3) / MIB == pytest.approx(537, abs=0.5)
    assert compute_buffer(qwen, ENGINE, gpus=1) / MIB == pytest.approx(497, abs=0.5)


def test_several_gpus_pay_for_four_masks_each() -> None:
    """A million cells of a mask for 512 tokens are 1 GiB."""
    one, layout = MODELS["Qwen/Qwen3.5-9B"], Layout(pp=2)
    context = 2**20
    pool = slot(one.id, context=context, layout=layout) + 4 * GIB
    assert holding(one, layout, ENGINE, pool, kv_bits=16).concurrency(context) == pytest.approx(1)


@pytest.mark.parametrize(
    "id_", ["microsoft/Phi-3-mini-4k-instruct", "mistralai/Mistral-7B-v0.1", "bigcode/starcoder2-7b"]
)
def test_models_with_a_window_in_every_layer_keep_every_token(id_: str) -> None:
    """llama.cpp reads the window of none of them; of Phi-3 it says so, and 1,536 MiB were logged for 4,096 cells."""
    assert not windows_count(MODELS[id_].architecture)
    assert slot(id_, context=16384) == 4 * slot(id_, context=4096)


def test_windows_count_where_some_layers_have_none() -> None:
    for id_ in ("openai/gpt-oss-20b", "google/gemma-3n-E4B-it", "meta-llama/Llama-4-Scout-17B-16E-Instruct"):
        assert windows_count(MODELS[id_].architecture)


@pytest.mark.parametrize(
    ("ubatch", "context", "mebibytes"), [(512, 32768, 154.02), (512, 196608, 314.02), (128, 32768, 38.50)]
)
def test_a_server_of_2026_reserves_logits_of_its_slots_only_and_then_a_layer_and_its_mask_are_larger(
    ubatch: int, context: int, mebibytes: float
) -> None:
    """Qwen3.8-27B: 2 x hidden + 3 x 17,408 of 4 B for every token of the micro-batch, and 2 B for every cell."""
    qwen = MODELS["Qwen/Qwen3.8-27B"].architecture
    ours = compute_buffer(qwen, replace(ENGINE, max_num_batched_tokens=ubatch), outputs=1, context=context)
    assert ours / MIB == pytest.approx(mebibytes, abs=0.03)


@pytest.mark.parametrize(
    ("id_", "precision", "mebibytes"),
    [
        ("zai-org/GLM-4-32B-0414", "iq4_xs", 471.7),
        ("meta-llama/Llama-3.1-8B-Instruct", "q5_k_s", 344.9),
        ("Qwen/Qwen3-4B", "q4_k_m", 304.28),
        ("Qwen/Qwen3.6-27B", "q4_k_m", 682.03),
        ("Qwen/Qwen3.8-27B", "bf16", 2425.00),
    ],
)
def test_the_embedding_stays_in_host_memory_in_its_own_type(id_: str, precision: str, mebibytes: float) -> None:
    model, form = MODELS[id_], FORMATS[precision]
    bits = embedding_bits(model, form)
    assert (model.parameters.embedding + model.parameters.lookup) * bits / 8 / MIB == pytest.approx(mebibytes, abs=0.5)


def test_a_tied_head_is_copied_to_the_gpu_so_that_it_holds_the_whole_file() -> None:
    gemma, mix = MODELS["google/gemma-3-27b-it"], FORMATS["q4_k_m"]
    assert gpu_weights(gemma, mix, Layout()) == pytest.approx(file_of(gemma, mix), rel=1e-12)


@pytest.mark.parametrize("precision", BASE)
def test_the_bits_of_a_mix_are_those_of_a_file_of_llama_3_1_8b(precision: str) -> None:
    ours = file_of(LLAMA_8B, FORMATS[precision]) * 8 / 8_030_261_248
    assert ours == pytest.approx(FORMATS[precision].bits_per_weight, rel=1e-4)


@pytest.mark.parametrize(
    ("id_", "context", "ubatch", "cells", "mebibytes"),
    [
        ("openai/gpt-oss-120b", 131072, 1024, 1280, 90 / 2),
        ("openai/gpt-oss-20b", 131072, 512, 768, 18),
        ("openai/gpt-oss-20b", 131072, 2048, 2304, 54),
        ("openai/gpt-oss-20b", 900, 1024, 1024, 24),
    ],
)
def test_windowed_layers_have_cells_for_the_window_and_a_micro_batch(
    id_: str, context: int, ubatch: int, cells: int, mebibytes: float
) -> None:
    """As llama.cpp printed for gpt-oss: 90 MiB were those of two slots."""
    full = sum(layers for layers, one in MODELS[id_].architecture.mixers if not getattr(one, "window", None))
    windowed = slot(id_, context=context, ubatch=ubatch) - full * padded(context) * 2 * 8 * 64 * 2
    assert windowed / MIB == mebibytes
    assert padded(min(context, 128 + ubatch)) == cells


def test_the_caches_of_gemma_4_are_what_llama_cpp_printed() -> None:
    """12B with q8_0, four slots in one: 68 MiB of 8,192 full cells, 765 MiB of 4,608 windowed ones."""
    (windows, near), (layers, far) = (
        (layers, one.cached[0].elements) for layers, one in MODELS["google/gemma-4-12B-it"].architecture.mixers
    )
    assert far * layers * 8192 * 34 / 32 / MIB == 68
    assert near * windows * padded(4 * 1024 + 512) * 34 / 32 / MIB == 765


def test_recurrent_states_are_fp32_for_every_slot() -> None:
    """Qwen3.6-27B: 149.62 MiB, of which 144 are matrices and 5.62 convolutions."""
    assert slot("Qwen/Qwen3.6-27B", context=1, bits=0) / MIB == pytest.approx(149.62, abs=0.01)


def test_a_slot_takes_whole_256_cells() -> None:
    assert slot("Qwen/Qwen3-8B", context=1) == slot("Qwen/Qwen3-8B", context=256) < slot("Qwen/Qwen3-8B", context=257)


def test_two_gpus_take_17_and_15_of_32_layers_and_the_last_one_the_head() -> None:
    assert [gpu_of(layer, LLAMA_8B.architecture, 2) for layer in (0, 16, 17, 31)] == [0, 0, 1, 1]
    whole, half = (slot("meta-llama/Llama-3.1-8B-Instruct", context=8192, layout=Layout(pp=n)) for n in (1, 2))
    assert half == whole * 17 / 32
    q8 = FORMATS["q8_0"]
    layer = layer_weights(LLAMA_8B, q8)[0]
    head = gpu_weights(LLAMA_8B, q8, Layout()) - 32 * layer
    for layout in (Layout(pp=2), Layout(tp=2)):
        assert gpu_weights(LLAMA_8B, q8, layout) == pytest.approx(max(17 * layer, 15 * layer + head))


def test_what_the_runtime_takes_is_outside_and_a_gib_stays_free_by_default() -> None:
    rank = memory(LLAMA_8B, FORMATS["q4_k_m"], h100(), Layout(), ENGINE)
    assert rank.outside == CONTEXT
    assert rank.headroom == pytest.approx(GIB)
    assert utilization(dense(), h100(), Layout(), replace(ENGINE, memory_utilization=0.5)) == 0.5


def test_llama_server_takes_512_tokens_by_default_and_256_slots_at_most() -> None:
    assert default_batching(GPUS["l40s"], NEWEST) == (512, 256)


def test_long_contexts_pay_for_their_mask_too() -> None:
    """A million cells of a mask for 512 tokens are 1 GiB."""
    one = MODELS["Qwen/Qwen3.5-9B"]
    context = 2**20
    pool = slot(one.id, context=context)
    assert holding(one, Layout(), ENGINE, pool, kv_bits=16).concurrency(context) < 1
    assert holding(one, Layout(), ENGINE, pool + GIB, kv_bits=16).concurrency(context) >= 1


@pytest.mark.parametrize(
    "id_",
    [
        "deepseek-ai/DeepSeek-V4-Flash",
        "deepseek-ai/DeepSeek-V3.2",
        "MiniMaxAI/MiniMax-M3",
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "thinkingmachines/Inkling",
    ],
)
def test_what_is_not_known_of_llama_cpps_cache_is_said_and_not_guessed(id_: str) -> None:
    assert not_modelled(MODELS[id_].architecture, ENGINE)


@pytest.mark.parametrize("id_", MODELS)
def test_every_model_is_modelled_or_says_why_not_and_longer_contexts_never_admit_more(id_: str) -> None:
    if not_modelled(MODELS[id_].architecture, ENGINE):
        return
    short, long, half = (
        holding(MODELS[id_], Layout(pp=2), ENGINE, 4096 * GIB, kv_bits=bits).at(n)
        for n, bits in ((1000, 16), (100_000, 16), (1000, 8.5))
    )
    assert short.concurrency >= long.concurrency > 0
    assert half.tokens >= short.tokens > 0


@given(gpus=st.integers(1, 16), precision=st.sampled_from(["q4_k_m", "q8_0", "bf16"]))
def test_all_gpus_together_hold_at_least_what_one_does(gpus: int, precision: str) -> None:
    one, each = (gpu_weights(LLAMA_70B, FORMATS[precision], Layout(pp=n)) for n in (1, gpus))
    assert each * gpus >= one * (1 - 1e-9)
    assert each <= one


@given(gpus=st.integers(1, 16), context=st.integers(1, 10**6))
def test_all_gpus_together_hold_at_least_the_whole_cache(gpus: int, context: int) -> None:
    one, each = (slot_bytes(dense(), Layout(pp=n), ENGINE, context=context, kv_bits=16) for n in (1, gpus))
    assert each * gpus >= one >= each


@given(layers=st.integers(1, 200), gpus=st.integers(1, 16))
def test_every_layer_has_one_of_the_gpus_and_later_layers_none_before(layers: int, gpus: int) -> None:
    placed = [gpu_of(layer, dense(layers=layers), gpus) for layer in range(layers)]
    assert placed == sorted(placed)
    assert 0 <= placed[0] <= placed[-1] < gpus


@given(few=st.integers(1, 4096), many=st.integers(1, 4096))
def test_larger_micro_batches_never_need_less_memory(few: int, many: int) -> None:
    buffers = [compute_buffer(dense(), replace(ENGINE, max_num_batched_tokens=n)) for n in sorted((few, many))]
    assert buffers == sorted(buffers)


@given(low=st.floats(0.1, 1.0), high=st.floats(0.1, 1.0))
def test_a_larger_share_never_leaves_a_smaller_pool(low: float, high: float) -> None:
    pools = [
        memory(LLAMA_8B, FORMATS["q4_k_m"], h100(), Layout(), replace(ENGINE, memory_utilization=share)).pool
        for share in sorted((low, high))
    ]
    assert pools == sorted(pools)


@pytest.mark.parametrize("pool", [0, -GIB])
def test_a_pool_of_nothing_holds_nothing(pool: float) -> None:
    assert holding(LLAMA_8B, Layout(), ENGINE, pool, kv_bits=16).at(100) == Held(tokens=0, concurrency=0)
