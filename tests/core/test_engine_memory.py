from collections.abc import Callable
from dataclasses import replace
from functools import cache
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_files import rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.attention import Latent
from inferplan.core.engine_memory import (
    Capacity,
    activation_peak,
    allocated,
    capacity,
    default_batching,
    graph_memory,
    non_torch,
    rank_kv_bytes_per_token,
    rank_memory,
    rank_weights,
)
from inferplan.core.kv_blocks import BLOCK_TOKENS
from inferplan.core.memory import weights
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB, MIB
from shapes import dense, engine, h100, model, precision, sparse

LLAMA_8B = model(dense(layers=32, hidden=4096, heads=32, ffn=14336))
LLAMA_70B = model(dense())
BF16 = precision(bits=16)
RUNS = rows("published_memory.tsv")


@cache
def predicted(id_: str) -> Capacity:
    run = next(run for run in RUNS if run["id"] == id_)
    return capacity(
        MODELS[run["model"]],
        FORMATS[run["precision"]],
        GPUS["h100-sxm"],
        Layout(tp=int(run["tp"])),
        engine(version=int(run["vllm"].split(".")[1]), utilization=float(run["memory_utilization"])),
        context=int(run["context"]),
        kv_bits=float(run["kv_bits"]),
    )


def gaps(measured: str, of: Callable[[dict[str, str]], float], *, relative: bool = True) -> list[float]:
    """Prediction less measurement of every run, in percent of the measurement where `relative`."""
    pairs = [(of(run), float(run[measured])) for run in RUNS]
    return [100 * (ours / theirs - 1) if relative else ours - theirs for ours, theirs in pairs]


def mean_gap(measured: str, of: Callable[[dict[str, str]], float], *, relative: bool = True) -> float:
    return mean(map(abs, gaps(measured, of, relative=relative)))


def test_weights_are_within_a_twentieth_of_a_percent_of_what_vllm_printed() -> None:
    assert mean_gap("weights_gib", lambda run: predicted(run["id"]).memory.weights / GIB) <= 0.05


def test_activation_peaks_are_within_50_mib_of_what_vllm_printed() -> None:
    assert mean_gap("activation_gib", lambda run: predicted(run["id"]).memory.activation / GIB, relative=False) <= 0.05


def test_library_buffers_are_within_20_mib_of_what_vllm_printed() -> None:
    assert mean_gap("non_torch_gib", lambda run: predicted(run["id"]).memory.non_torch / GIB, relative=False) <= 0.02


def test_kv_pools_are_within_a_quarter_of_a_percent_of_what_vllm_printed() -> None:
    assert mean_gap("kv_gib", lambda run: predicted(run["id"]).memory.pool / GIB) <= 0.25


def test_kv_tokens_are_within_a_quarter_of_a_percent_of_what_vllm_printed() -> None:
    assert mean_gap("kv_tokens", lambda run: predicted(run["id"]).tokens) <= 0.25


def test_concurrency_is_within_a_quarter_of_a_percent_of_what_vllm_printed() -> None:
    assert mean_gap("concurrency", lambda run: predicted(run["id"]).tokens / int(run["context"])) <= 0.25


def test_no_published_kv_pool_is_missed_by_more_than_2_percent() -> None:
    assert max(map(abs, gaps("kv_gib", lambda run: predicted(run["id"]).memory.pool / GIB))) <= 2


@pytest.mark.parametrize("run", [run for run in RUNS if run["graphs_gib"]], ids=lambda run: run["id"])
def test_cuda_graphs_are_within_300_mib_of_what_vllm_printed(run: dict[str, str]) -> None:
    ours = graph_memory(MODELS[run["model"]].architecture, engine(version=19), Layout(tp=int(run["tp"]))) / GIB
    assert ours == pytest.approx(float(run["graphs_gib"]), abs=0.3)


def test_llama_3_1_8b_on_one_h100_by_hand() -> None:
    """vLLM 0.19 at 0.95: 16,060,522,496 B + RoPE 131,072 x 128 x 2 B; sampler 14.75 x 1,024 x 128,256 + 64 MiB."""
    memory = rank_memory(LLAMA_8B, BF16, h100(), Layout(), engine(version=19, utilization=0.95))
    assert memory.weights == 16_060_522_496 + 131_072 * 128 * 2
    assert memory.activation == 14.75 * 1024 * 128_256 + 2 * 8192 * 4096
    assert memory.graphs == 0
    assert memory.pool / GIB == pytest.approx(58.11, abs=0.02)


def test_each_version_has_its_sampler() -> None:
    """Qwen3-14B went from 5.64 GiB on 0.16 to 2.23 GiB on 0.18 without any other change."""
    shape = dense(layers=40, hidden=5120, heads=40, ffn=17408, vocab=151936)
    old, new, last = (activation_peak(shape, engine(version=version), tp=1) / GIB for version in (16, 18, 28))
    assert old == pytest.approx(5.64, abs=0.03)
    assert new == pytest.approx(2.23, abs=0.03)
    assert last < new


def test_routed_experts_keep_their_workspace_beside_the_larger_of_forward_and_sampler() -> None:
    """Qwen3-30B-A3B: 2 B x 8,192 x 8 x (2,048 + max(2 x 768, 2,048)) = 0.5 GiB."""
    qwen = MODELS["Qwen/Qwen3-30B-A3B"].architecture
    without = 14.75 * 1024 * qwen.vocab + 2 * 8192 * 2048
    assert activation_peak(qwen, engine(version=19), tp=1) - without == 2**29


def test_graphs_come_out_of_the_budget_from_0_21_on() -> None:
    before, after = (rank_memory(LLAMA_70B, BF16, h100(), Layout(tp=8), engine(version=v)) for v in (20, 21))
    assert before.graphs == 0
    assert after.graphs / GIB == pytest.approx(0.37 + 0.016 * 80)


def test_without_graphs_nothing_is_set_aside_for_them() -> None:
    eager = replace(engine(), cuda_graphs=False)
    assert graph_memory(dense(), eager, Layout()) == 0


def test_library_buffers_jump_with_tensor_parallelism_on_recent_versions() -> None:
    assert [non_torch(engine(version=v), Layout(tp=2)) / GIB for v in (16, 19)] == [0.55, 2.07]
    assert [non_torch(engine(version=v), Layout()) / GIB for v in (17, 18)] == [0.13, 0.25]


@pytest.mark.parametrize(
    ("gpu", "batching"),
    [("h100-sxm", (8192, 1024)), ("h200-sxm", (8192, 1024)), ("a100-80gb-sxm", (2048, 256)), ("l40s", (2048, 256))],
)
def test_the_engine_batches_more_on_gpus_of_70_gib_and_more_except_a100(gpu: str, batching: tuple[int, int]) -> None:
    assert default_batching(GPUS[gpu]) == batching


@pytest.mark.parametrize(
    ("mebibytes", "taken"),
    [(9.5, 9.5), (10, 10), (31.5, 32), (24.5, 24.5), (129.5, 130), (259, 260), (64.75, 64.75)],
)
def test_the_allocator_rounds_large_tensors_to_2_mib_unless_the_rest_is_worth_splitting(
    mebibytes: float, taken: float
) -> None:
    assert allocated(mebibytes * MIB) == taken * MIB


@pytest.mark.parametrize("tp", [1, 2, 4, 8])
def test_without_replication_tensor_parallelism_divides_the_matrices_and_repeats_norms_and_rope(tp: int) -> None:
    parts = weights(LLAMA_70B, BF16)
    shared = parts.replicated + 131_072 * 128 * 2
    assert rank_weights(LLAMA_70B, BF16, Layout(tp=tp)) == (parts.total - parts.replicated) / tp + shared


def test_more_ranks_than_kv_heads_repeat_the_kv_projections() -> None:
    """Llama 70B on 16 ranks: 4 query heads and a whole KV head each, so that two ranks hold the same one."""
    parts = weights(LLAMA_70B, BF16)
    attention = 80 * 8192 * (2 * 4 * 128 + 2 * 128) * 2
    shared = parts.replicated + 131_072 * 128 * 2
    rest = (parts.ffn + parts.embedding + parts.output_head) / 16
    assert rank_weights(LLAMA_70B, BF16, Layout(tp=16)) == attention + rest + shared
    assert rank_kv_bytes_per_token(LLAMA_70B.architecture, Layout(tp=16), kv_bits=16) == 80 * 2 * 128 * 2


def test_the_last_of_two_stages_holds_its_layers_and_the_head() -> None:
    """Llama 8B in 4 stages of 8 layers: 8 x 436,224,000 B + 1,050,673,152 B + RoPE = 4.26 GiB, as vLLM printed."""
    assert rank_weights(LLAMA_8B, BF16, Layout(pp=4)) / GIB == pytest.approx(4.26, abs=0.005)


@pytest.mark.parametrize(("context", "blocks"), [(8177, 512), (8192, 512), (8193, 513), (2000, 125), (2001, 126)])
def test_a_session_takes_whole_blocks_of_16_tokens(context: int, blocks: int) -> None:
    held = capacity(LLAMA_8B, BF16, h100(), Layout(), engine(), context=context, kv_bits=16)
    assert held.tokens % BLOCK_TOKENS == 0
    assert held.sessions == held.tokens // BLOCK_TOKENS // blocks > 1


def test_the_engine_runs_no_more_than_max_num_seqs() -> None:
    held = capacity(LLAMA_8B, BF16, h100(), Layout(), engine(sequences=7), context=16, kv_bits=16)
    assert held.sessions == 7
    assert held.tokens > 7 * 16


def test_a_model_too_large_has_a_negative_pool_and_no_tokens() -> None:
    held = capacity(LLAMA_70B, BF16, h100(), Layout(), engine(), context=16, kv_bits=16)
    assert held.memory.pool < 0
    assert (held.tokens, held.sessions, held.fits) == (0, 0, False)


LAYOUTS = st.builds(Layout, tp=st.sampled_from([1, 2, 4, 8]), pp=st.integers(1, 80))


@given(layout=LAYOUTS, version=st.integers(11, 28), bits=st.sampled_from([4, 8, 16]))
def test_the_parts_of_a_rank_fill_the_budget_exactly(layout: Layout, version: int, bits: float) -> None:
    rank = rank_memory(LLAMA_70B, precision(bits=bits), h100(), layout, engine(version=version))
    parts = (rank.weights, rank.activation, rank.non_torch, rank.graphs, rank.pool)
    assert sum(parts) == pytest.approx(rank.budget)
    assert rank.budget == pytest.approx(0.9 * rank.total)
    assert all(part >= 0 for part in parts[:-1])


@given(layout=LAYOUTS)
def test_all_ranks_together_hold_at_least_the_whole_model(layout: Layout) -> None:
    assert rank_weights(LLAMA_70B, BF16, layout) * layout.replica >= weights(LLAMA_70B, BF16).total


@given(layout=LAYOUTS, bits=st.sampled_from([16, 8]))
def test_all_ranks_together_hold_at_least_the_whole_kv_cache_of_a_token(layout: Layout, bits: float) -> None:
    whole = 2 * 80 * 8 * 128 * bits / 8
    assert rank_kv_bytes_per_token(dense(), layout, kv_bits=bits) * layout.replica >= whole


@given(context=st.integers(1, 10**6), longer=st.integers(1, 10**6), layout=LAYOUTS)
def test_longer_contexts_never_admit_more_sessions(context: int, longer: int, layout: Layout) -> None:
    short, long = sorted((context, longer))
    few, many = (
        capacity(LLAMA_70B, BF16, h100(), layout, engine(), context=n, kv_bits=16).sessions for n in (long, short)
    )
    assert few <= many


@given(context=st.integers(1, 10**6), layout=LAYOUTS)
def test_an_fp8_cache_never_admits_fewer_sessions(context: int, layout: Layout) -> None:
    half, whole = (
        capacity(LLAMA_70B, BF16, h100(), layout, engine(), context=context, kv_bits=bits).sessions for bits in (8, 16)
    )
    assert half >= whole


@given(context=st.integers(1, 10**6), low=st.floats(0.1, 0.99), high=st.floats(0.1, 0.99))
def test_a_larger_share_of_the_gpu_never_holds_less(context: int, low: float, high: float) -> None:
    held = [
        capacity(LLAMA_70B, BF16, h100(), Layout(tp=4), engine(utilization=u), context=context, kv_bits=16).tokens
        for u in sorted((low, high))
    ]
    assert held == sorted(held)


@given(few=st.integers(16, 65536), many=st.integers(16, 65536))
def test_more_batched_tokens_never_need_less_memory(few: int, many: int) -> None:
    for shape in (dense(), sparse()):
        peaks = [activation_peak(shape, engine(tokens=n), tp=2) for n in sorted((few, many))]
        assert peaks == sorted(peaks)


@pytest.mark.parametrize(
    ("id_", "precision_id", "tp", "gib", "within"),
    [
        ("google/gemma-2-27b-it", "bf16", 1, 50.72, 0.001),
        ("google/gemma-2-2b-it", "bf16", 1, 4.90, 0.001),
        ("google/gemma-3-12b-it", "bf16", 1, 23.31, 0.001),  # with its vision tower and two tables of rotations
        ("deepseek-ai/DeepSeek-V2-Lite", "bf16", 1, 29.43, 0.003),  # with 0.11 GiB of absorbed copies
        ("openai/gpt-oss-120b", "mxfp4", 1, 64.38, 0.003),
        ("openai/gpt-oss-20b", "mxfp4", 1, 13.47, 0.003),
    ],
)
def test_weights_of_every_family_are_what_vllm_printed_for_it(
    id_: str, precision_id: str, tp: int, gib: float, within: float
) -> None:
    ours = rank_weights(MODELS[id_], FORMATS[precision_id], Layout(tp=tp)) / GIB
    assert ours == pytest.approx(gib, rel=within)


def test_deepseek_v3_keeps_a_quarter_of_a_gib_of_absorbed_copies_on_each_of_eight_ranks() -> None:
    """61 layers x 512 x 16 heads x (128 + 128) x 2 B; the norms and latents' projections are on every rank."""
    v3 = MODELS["deepseek-ai/DeepSeek-V3"]
    latents = [mixer for _, mixer in v3.architecture.mixers if isinstance(mixer, Latent)]
    assert 61 * latents[0].absorbed_params(8) * 2 == 61 * 512 * 16 * 256 * 2
    assert rank_weights(v3, FORMATS["fp8"], Layout(tp=8)) * 8 > weights(v3, FORMATS["fp8"]).total


@pytest.mark.parametrize(
    ("id_", "version", "gib", "tokens", "concurrency"),
    [("google/gemma-2-27b-it", 19, 20.59, 58_672, 7.16), ("google/gemma-2-2b-it", 19, 66.47, 670_160, 81.73)],
)
def test_windowed_models_hold_end_to_end_what_vllm_printed(
    id_: str, version: int, gib: float, tokens: int, concurrency: float
) -> None:
    """vLLM 0.19 on one H100 at 0.95 with 8,192 batched tokens and contexts of 8,192."""
    held = capacity(
        MODELS[id_],
        FORMATS["bf16"],
        GPUS["h100-sxm"],
        Layout(),
        engine(version=version, utilization=0.95),
        context=8192,
        kv_bits=16,
    )
    assert held.memory.pool / GIB == pytest.approx(gib, abs=0.05)
    assert held.tokens == pytest.approx(tokens, rel=0.003)
    assert held.concurrency == pytest.approx(concurrency, rel=0.003)


def test_mxfp4_kernels_keep_no_workspace() -> None:
    oss = MODELS["openai/gpt-oss-20b"].architecture
    assert activation_peak(oss, engine(version=15), tp=1, workspace=False) / GIB == pytest.approx(7.41, abs=0.03)


def test_a_cache_that_is_not_modelled_fits_nothing_and_says_why() -> None:
    v4 = MODELS["deepseek-ai/DeepSeek-V4-Flash"]
    held = capacity(v4, FORMATS["fp8"], GPUS["b200-sxm"], Layout(tp=8), engine(), context=8192, kv_bits=8)
    assert held.not_modelled is not None
    assert (held.fits, held.tokens, held.sessions) == (False, 0, 0)


@pytest.mark.parametrize("id_", MODELS)
@pytest.mark.parametrize("tp", [1, 4])
def test_every_model_is_either_modelled_or_says_why_not(id_: str, tp: int) -> None:
    """On a GPU large enough for anything a longer context never admits more sessions, and half the bits no fewer."""
    gpu = replace(GPUS["b200-sxm"], memory=10**16, engine_memory=10**16)
    settings = replace(engine(), max_num_seqs=10**9)

    def held(context: int, bits: float) -> Capacity:
        return capacity(MODELS[id_], FORMATS["bf16"], gpu, Layout(tp=tp), settings, context=context, kv_bits=bits)

    short, long, half = held(1000, 16), held(100_000, 16), held(100_000, 8)
    assert (short.not_modelled is None) == short.fits
    assert short.sessions >= long.sessions
    assert half.sessions >= long.sessions


@pytest.mark.parametrize("id_", ["deepseek-ai/DeepSeek-R1", "Qwen/Qwen3-Next-80B-A3B-Instruct", "openai/gpt-oss-120b"])
@pytest.mark.parametrize("pp", [2, 3, 5])
def test_stages_of_unlike_layers_hold_the_model_together_and_the_heaviest_is_no_lighter_than_its_share(
    id_: str, pp: int
) -> None:
    whole, stage = (rank_weights(MODELS[id_], FORMATS["fp8"], Layout(pp=n)) for n in (1, pp))
    assert whole / pp <= stage < whole


def test_three_dense_layers_make_the_first_stage_of_deepseek_the_lighter_one() -> None:
    """61 layers in two stages of 31 and 30: 28 and 30 of them have experts."""
    r1 = MODELS["deepseek-ai/DeepSeek-R1"]
    even = rank_weights(r1, FORMATS["fp8"], Layout(tp=8)) / 2
    assert rank_weights(r1, FORMATS["fp8"], Layout(tp=8, pp=2)) / even == pytest.approx(60 / 58, rel=0.01)
