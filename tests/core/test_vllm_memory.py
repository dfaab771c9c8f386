from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.architecture import Architecture
from inferplan.core.engine_memory import Capacity, capacity, rank_memory
from inferplan.core.parallelism import Layout
from inferplan.core.rank_memory import RankMemory
from inferplan.core.rank_weights import stage_weights
from inferplan.core.units import GIB
from inferplan.core.vllm_memory import (
    activation_peak,
    captured_graphs,
    default_batching,
    default_latent_scales,
    default_prefix_caching,
    graph_memory,
    has_second_runner,
    holding,
    largest_graph,
    loader,
    non_torch,
    utilization,
)
from shapes import dense, engine, h100, model, precision, sparse

LLAMA_8B = model(dense(layers=32, hidden=4096, heads=32, ffn=14336))
LLAMA_70B = model(dense())
BF16 = precision(bits=16)
FP32 = replace(precision(bits=32), id="fp32")
TOY = dense(layers=1, hidden=1000, ffn=3000, vocab=100)
"""A vocabulary so small that the forward pass decides the peak."""
NO_SAMPLES = engine(sequences=1)


def gib(size: float) -> float:
    return round(size / GIB, 9)


def gpt_oss_20b(*, utilization: float, tp: int = 2) -> Capacity:
    settings = engine(version=19, utilization=utilization)
    oss, h100_sxm = MODELS["openai/gpt-oss-20b"], GPUS["h100-sxm"]
    return capacity(oss, FORMATS["mxfp4"], h100_sxm, Layout(tp=tp), settings, context=8192, kv_bits=16)


def test_llama_3_1_8b_on_one_h100_by_hand() -> None:
    """vLLM 0.19 at 0.95: 16,060,522,496 B + RoPE 131,072 x 128 x 2 B; sampler 14.75 x 1,024 x 128,256 + 64 MiB."""
    memory = rank_memory(LLAMA_8B, BF16, h100(), Layout(), engine(version=19, utilization=0.95))
    assert memory.weights == 16_060_522_496 + 131_072 * 128 * 2
    assert memory.activation == 14.75 * 1024 * 128_256 + 2 * 8192 * 4096
    assert memory.graphs == 0
    assert memory.pool / GIB == pytest.approx(58.11, abs=0.02)


@pytest.mark.parametrize(("version", "share"), [(5, 0.9), (19, 0.9), (20, 0.92), (28, 0.92)])
def test_the_default_share_rose_to_92_percent_with_0_20(version: int, share: float) -> None:
    unset = replace(engine(version=version), memory_utilization=None)
    assert utilization(dense(), h100(), Layout(), unset) == share
    assert rank_memory(LLAMA_8B, BF16, h100(), Layout(), unset).budget == share * h100().engine_memory


@pytest.mark.parametrize("version", [7, 19, 20, 28])
def test_a_share_that_is_set_holds_on_every_version(version: int) -> None:
    assert utilization(dense(), h100(), Layout(), engine(version=version, utilization=0.5)) == 0.5


@pytest.mark.parametrize(
    ("gpu", "version", "batching"),
    [
        ("h100-sxm", 28, (8192, 1024)),
        ("h200-sxm", 28, (8192, 1024)),
        ("a100-80gb-sxm", 28, (2048, 256)),
        ("l40s", 28, (2048, 256)),
        ("b200-sxm", 27, (8192, 1024)),
        ("b200-sxm", 28, (16384, 1024)),
        ("mi300x", 28, (16384, 1024)),
        ("h100-sxm", 8, (8192, 1024)),
        ("h100-sxm", 7, (2048, 256)),
        ("b200-sxm", 7, (2048, 256)),
    ],
)
def test_the_engine_batches_more_on_large_gpus_except_a100_and_most_from_160_gib_on(
    gpu: str, version: int, batching: tuple[int, int]
) -> None:
    assert default_batching(GPUS[gpu], version) == batching


@pytest.mark.parametrize("version", [29, 31])
def test_since_0_29_graphs_count_for_dense_models_too(version: int) -> None:
    """On 0.28 the second runner, which takes these, counts none; 0.31 left Llama 3.1 8B 56.21 GiB on an A100."""
    a100 = replace(GPUS["a100-80gb-sxm"], engine_memory=round(79.25 * GIB))
    tokens, sequences = default_batching(a100, version)
    settings = replace(engine(version=version, sequences=sequences), max_num_batched_tokens=tokens)
    newer = rank_memory(LLAMA_8B, BF16, a100, Layout(), replace(settings, memory_utilization=None))
    older = rank_memory(LLAMA_8B, BF16, a100, Layout(), replace(settings, version=28, memory_utilization=None))
    assert newer.graphs > older.graphs == 0
    assert newer.pool / GIB == pytest.approx(56.21, rel=0.01)
    assert older.pool / newer.pool > 1.01


def test_each_version_has_its_sampler() -> None:
    """Qwen3-14B went from 5.64 GiB on 0.16 to 2.23 GiB on 0.18; since 0.21 the kernel of 0.18 is warmed up as well."""
    shape = dense(layers=40, hidden=5120, heads=40, ffn=17408, vocab=151936)
    old, new, last = (activation_peak(shape, engine(version=version), tp=1) / GIB for version in (16, 18, 21))
    assert old == pytest.approx(5.64, abs=0.03)
    assert new == pytest.approx(2.23, abs=0.03)
    assert last == new


@pytest.mark.parametrize(
    ("version", "element", "per_logit"), [(16, 2, 38.4), (16, 4, 38.4), (17, 2, 14.75), (17, 4, 16.75), (21, 2, 14.75)]
)
def test_the_newer_sampler_grows_with_the_element_of_the_logits(version: int, element: int, per_logit: float) -> None:
    """Llama-3.1-8B in fp32 on 0.19: 2.21 GiB printed, against 1.89 GiB in bf16."""
    peak = activation_peak(dense(ffn=100), engine(version=version), tp=1, element=element)
    assert peak == pytest.approx(per_logit * 1024 * 128_256 + element * 8192 * 8192)


def test_a_stage_that_does_not_sample_peaks_in_its_forward_pass() -> None:
    """2 B x 8,192 x (3 x 28,672 / 8 + 4 x 8,192)."""
    peak = activation_peak(dense(), engine(version=21), tp=8, samples=False)
    assert peak == 2 * 8192 * (3 * 28672 / 8 + 4 * 8192)
    assert activation_peak(dense(), engine(version=21), tp=8) > peak


@pytest.mark.parametrize(("version", "states"), [(7, 3), (8, 4)])
def test_the_first_engine_keeps_one_hidden_state_fewer(version: int, states: int) -> None:
    """Llama-3.1-8B with 29,000 tokens on V0: 2 B x 29,000 x (3 x 14,336 + 3 x 4,096) = 2.99 GiB, as printed."""
    peak = activation_peak(TOY, replace(NO_SAMPLES, version=version), tp=1)
    assert peak == 2 * 8192 * (3 * 3000 + states * 1000)
    if version == 7:
        settings = engine(version=7, sequences=256, tokens=29_000)
        assert activation_peak(LLAMA_8B.architecture, settings, tp=1) / GIB == pytest.approx(2.99, abs=0.01)


def test_a_block_without_a_gate_peaks_at_two_widths() -> None:
    (group,) = TOY.groups
    assert group.ffn is not None
    plain = replace(TOY, groups=(replace(group, ffn=replace(group.ffn, gated=False)),))
    assert activation_peak(plain, NO_SAMPLES, tp=1) == 2 * 8192 * (2 * 3000 + 4 * 1000)


def test_routed_experts_keep_their_workspace_beside_the_larger_of_forward_and_sampler() -> None:
    """Qwen3-30B-A3B: 2 B x 8,192 x 8 x (2,048 + max(2 x 768, 2,048)) = 0.5 GiB."""
    qwen = MODELS["Qwen/Qwen3-30B-A3B"].architecture
    without = 14.75 * 1024 * qwen.vocab + 2 * 8192 * 2048
    assert activation_peak(qwen, engine(version=19), tp=1) - without == 2**29


@pytest.mark.parametrize(("tp", "width"), [(1, 2 * 14336), (2, 14336), (8, 4096)])
def test_the_workspace_follows_the_columns_of_a_rank_down_to_the_hidden_width(tp: int, width: int) -> None:
    """Mixtral 8x7B: 2 B x 8,192 x 2 x (4,096 + max(2 x 14,336 / tp, 4,096))."""
    kept, without = (activation_peak(sparse(), engine(), tp=tp, workspace=workspace) for workspace in (True, False))
    assert kept - without == 2 * 8192 * 2 * (4096 + width)


def test_mxfp4_kernels_keep_no_workspace() -> None:
    oss = MODELS["openai/gpt-oss-20b"]
    assert activation_peak(oss.architecture, engine(version=15), tp=1, workspace=False) / GIB == pytest.approx(
        7.41, abs=0.03
    )
    packed, plain = (
        rank_memory(oss, FORMATS[name], h100(), Layout(), engine(version=19)).activation for name in ("mxfp4", "bf16")
    )
    assert plain - packed == 2 * 8192 * 4 * (2880 + 2 * 2880)


def test_encoder_outputs_are_cached_beside_the_peak() -> None:
    seeing = replace(dense(), vision_params=10**9)
    blind, settings = dense(), engine(version=21)
    assert activation_peak(seeing, settings, tp=1) - activation_peak(blind, settings, tp=1) == 2 * 8192 * 8192


@pytest.mark.parametrize(
    ("id_", "versions"),
    [
        ("Qwen/Qwen3-14B", {22, 23, 24, 25, 28}),
        ("meta-llama/Llama-3.1-8B-Instruct", {23, 24, 25, 28}),
        ("Qwen/Qwen2.5-7B-Instruct", {25, 28}),
        ("google/gemma-2-9b-it", {25, 28}),
        ("Qwen/Qwen3-30B-A3B", set[int]()),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", set[int]()),
        ("google/gemma-3-12b-it", set[int]()),
    ],
)
def test_the_second_runner_takes_models_without_experts_and_states(id_: str, versions: set[int]) -> None:
    """vLLM's `DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES` and what 0.25 put in its place; with a tower, see its limits."""
    shape = MODELS[id_].architecture
    taken = {version for version in (21, 22, 23, 24, 25, 28, 29) if has_second_runner(shape, engine(version=version))}
    assert taken == versions


@pytest.mark.parametrize(("version", "per_logit"), [(24, 6), (27, 6), (28, 2)])
def test_the_second_runner_samples_from_the_logits_alone_or_from_a_copy(version: int, per_logit: float) -> None:
    """Widths so small that the sampler decides the peak: 2 B x 1,024 x 128,256, with a copy 4 B more."""
    narrow = dense(hidden=128, heads=8, ffn=128)
    peak = activation_peak(narrow, engine(version=version), tp=1)
    assert peak == per_logit * 1024 * 128_256 + 2 * 8192 * 128


def test_the_second_runner_counts_no_graphs_before_the_pool_is_cut() -> None:
    """Qwen3-14B on 0.24 and one H100, 16,384 tokens: 2.14 GiB of peak and 42.96 of pool; 0.90 of graphs came after."""
    qwen = MODELS["Qwen/Qwen3-14B"]
    settings = engine(version=24, utilization=0.92, tokens=16_384)
    memory = rank_memory(qwen, FORMATS["bf16"], GPUS["h100-sxm"], Layout(), settings)
    assert memory.graphs == 0
    assert memory.activation == 2 * 16_384 * (3 * 17_408 + 4 * 5120)
    assert memory.activation / GIB == pytest.approx(2.14, abs=0.1)
    assert memory.pool / GIB == pytest.approx(42.96, rel=0.003)
    graphs = graph_memory(qwen.architecture, settings, Layout())
    assert memory.outside == pytest.approx(0.51 * GIB + 4 * 1024 * 151_936)
    first = rank_memory(qwen, FORMATS["bf16"], GPUS["h100-sxm"], Layout(), replace(settings, version=21))
    assert first.graphs == graphs


@pytest.mark.parametrize(
    ("gpu", "version", "tp", "size"),
    [
        ("h100-sxm", 17, 1, 0.13),
        ("h100-sxm", 18, 1, 0.25),
        ("h100-sxm", 18, 2, 0.55),
        ("h100-sxm", 19, 2, 2.07),
        ("h100-sxm", 19, 4, 2.15),
        ("b200-sxm", 19, 2, 2.07),
        ("rtx-pro-6000-blackwell-server", 19, 2, 0.23),
        ("rtx-5090", 19, 1, 0.09),
        ("a100-80gb-sxm", 19, 1, 0.09),
        ("a100-80gb-sxm", 19, 2, 0.23),
        ("rtx-4090", 19, 2, 0.23),
        ("mi300x", 19, 2, 0.23),
        ("l40s", 19, 1, 0.09),
        ("t4", 19, 1, 0.03),
        ("t4", 6, 1, 0.29),
        ("h100-sxm", 6, 1, 0.39),
        ("h100-sxm", 7, 1, 0.13),
    ],
)
def test_library_buffers_follow_gpu_tensor_degree_and_version(gpu: str, version: int, tp: int, size: float) -> None:
    assert gib(non_torch(engine(version=version), Layout(tp=tp), GPUS[gpu])) == size


def test_stages_add_their_buffers() -> None:
    assert gib(non_torch(engine(version=19), Layout(pp=2), GPUS["h100-sxm"])) == 0.25 + 0.07


@pytest.mark.parametrize(
    ("sequences", "version", "graphs"),
    [(1024, 19, 51 + 51), (512, 19, 51 + 51), (256, 19, 51 + 35), (256, 11, 67 + 35), (256, 10, 67), (1, 19, 2 + 1)],
)
def test_graphs_are_captured_by_pieces_to_512_tokens_and_whole_for_decode_since_0_11(
    sequences: int, version: int, graphs: int
) -> None:
    """1, 2, 4, 31 steps of 8 below 256, 17 steps of 16 to 512, or 33 of 8 up to 0.11; whole ones to `max_num_seqs`."""
    assert captured_graphs(engine(version=version, sequences=sequences)) == graphs


@pytest.mark.parametrize(
    ("gpu", "version", "largest"),
    [("b200-sxm", 28, 1024), ("gb300", 28, 1024), ("b200-sxm", 27, 512), ("h200-sxm", 28, 512), ("rtx-5090", 28, 512)],
)
def test_graphs_go_up_to_1024_tokens_on_datacenter_blackwell_since_0_28(gpu: str, version: int, largest: int) -> None:
    """32 steps of 16 more by pieces, and 32 more whole, for 1,024 sequences."""
    assert largest_graph(GPUS[gpu], version) == largest
    assert captured_graphs(engine(version=28), largest) == 2 * (51 + (32 if largest == 1024 else 0))
    r1, fp8 = MODELS["deepseek-ai/DeepSeek-R1"], FORMATS["fp8"]
    graphs = rank_memory(r1, fp8, GPUS[gpu], Layout(tp=8), engine(version=version)).graphs / GIB
    weight = 61 + 58 * 0.4 + 61
    assert graphs == pytest.approx(0.37 + 0.016 * ceil(weight) * (83 if largest == 1024 else 51) / 51, rel=0.01)


def test_graphs_take_as_much_less_as_fewer_are_captured() -> None:
    """Llama 70B: 0.37 GiB, and for 80 layers 0.016 GiB each where 102 graphs are captured."""
    all_of_them, fewer = (graph_memory(dense(), engine(version=19, sequences=n), Layout()) for n in (1024, 256))
    assert gib(all_of_them) == pytest.approx(0.37 + 0.016 * 80)
    assert gib(fewer) == pytest.approx(0.37 + 0.016 * 80 * 86 / 102)


@pytest.mark.parametrize(
    ("id_", "version", "layout", "sequences", "logged"),
    [
        ("Qwen/Qwen3.8-27B", 26, Layout(), 1, 0.05),
        ("MiniMaxAI/MiniMax-M2.5", 19, Layout(tp=4), 10, 0.19),
        ("Qwen/Qwen3.8-27B", 26, Layout(), 16, 0.2),
    ],
)
def test_few_sequences_leave_few_graphs_and_little_for_them(
    id_: str, version: int, layout: Layout, sequences: int, logged: float
) -> None:
    """RTX 5090, H100 and L40S: 3, 9 and 12 graphs; 0.40, 0.49 and 0.49 GiB were said. To 0.2 GiB, never too little."""
    told = engine(version=version, sequences=sequences)
    assert 0 <= gib(graph_memory(MODELS[id_].architecture, told, layout)) - logged <= 0.2


def test_few_graphs_take_their_share_of_what_all_do_since_0_11() -> None:
    """One sequence and 80 layers: graphs of 1 and 2 tokens, since 0.11 one for decode too; 18 take all of 0.37 GiB."""
    before, since = (gib(graph_memory(dense(), engine(version=n, sequences=1), Layout())) for n in (10, 11))
    assert before == pytest.approx(0.37 + 80 * 0.016 * 2 / 102)
    assert since == pytest.approx(0.37 * 3 / 18 + 80 * 0.016 * 3 / 102)


@pytest.mark.parametrize(
    ("architecture", "layers"),
    [(dense(layers=32), 32), (sparse(layers=30), 42), (MODELS["deepseek-ai/DeepSeek-V2-Lite"].architecture, 65)],
    ids=["dense", "experts", "latents and experts"],
)
def test_layers_with_experts_and_latents_capture_larger_graphs(architecture: Architecture, layers: int) -> None:
    """Experts by 0.4 of a layer, latents by a layer: DeepSeek-V2-Lite has 27 + 27 + 26 x 0.4, made whole."""
    size = graph_memory(architecture, engine(version=19), Layout())
    assert gib(size) == pytest.approx(0.37 + 0.016 * layers)


@pytest.mark.parametrize(("architecture", "layers"), [(dense(layers=32), 32), (sparse(layers=30), 102)])
def test_packed_experts_capture_graphs_of_two_layers_more(architecture: Architecture, layers: int) -> None:
    size = graph_memory(architecture, engine(version=19), Layout(), packed_experts=True)
    assert gib(size) == pytest.approx(0.37 + 0.016 * layers)


def test_a_stage_captures_the_graphs_of_its_own_layers() -> None:
    assert gib(graph_memory(dense(), engine(version=19), Layout(pp=3))) == pytest.approx(0.37 + 0.016 * 27)


def test_graphs_come_out_of_the_budget_from_0_20_on_and_were_beyond_it_before() -> None:
    before, after = (rank_memory(LLAMA_70B, BF16, h100(), Layout(tp=8), engine(version=v)) for v in (19, 20))
    assert before.graphs == 0
    assert after.graphs / GIB == pytest.approx(0.37 + 0.016 * 80)
    assert before.outside - after.outside == pytest.approx(after.graphs)


def test_without_graphs_nothing_is_set_aside_for_them() -> None:
    eager = replace(engine(), cuda_graphs=False)
    assert graph_memory(dense(), eager, Layout()) == 0


def test_beyond_the_budget_are_context_collectives_and_the_logits_of_the_warm_up() -> None:
    """0.51 GiB, 1.02 GiB on each of several ranks, and 1,024 x 128,256 x 4 B."""
    alone, joined, staged = (
        rank_memory(LLAMA_8B, BF16, h100(), layout, engine(version=21))
        for layout in (Layout(), Layout(tp=2), Layout(pp=2))
    )
    assert alone.outside == pytest.approx(0.51 * GIB + 1024 * 128_256 * 4)
    assert joined.outside - alone.outside == pytest.approx(1.02 * GIB)
    assert staged.outside == joined.outside
    before = rank_memory(LLAMA_8B, BF16, h100(), Layout(tp=2), engine(version=10))
    assert before.outside == rank_memory(LLAMA_8B, BF16, h100(), Layout(), engine(version=10)).outside
    assert alone.headroom == pytest.approx(0.1 * alone.total - alone.outside)


def test_gpt_oss_20b_on_two_h100_runs_out_of_memory_in_its_warm_up_at_95_percent_and_starts_at_90() -> None:
    """vLLM 0.19, as logged: 59.32 GiB and 2,591,776 tokens at 0.90; at 0.95 out of memory after 63.28 GiB were set up.

    Beyond the budget: context 0.51 + NCCL 1.02 + graphs 0.37 + 24 x 3.4 x 0.016 + logits 1,024 x 201,088 x 4 B.
    """
    starts, fails = gpt_oss_20b(utilization=0.90), gpt_oss_20b(utilization=0.95)
    assert (starts.starts, starts.fits) == (True, True)
    assert (fails.starts, fails.fits, fails.sessions) == (False, False, 0)
    assert starts.memory.pool / GIB == pytest.approx(59.32, rel=0.002)
    assert fails.memory.pool / GIB == pytest.approx(63.28, rel=0.002)
    assert fails.tokens == pytest.approx(2_764_768, rel=0.002)
    outside = 0.51 + 1.02 + 0.37 + 82 * 0.016 + 1024 * 201_088 * 4 / GIB
    assert fails.memory.outside / GIB == pytest.approx(outside)


def test_a_budget_that_leaves_the_device_just_enough_starts() -> None:
    rank = RankMemory(total=100, budget=90, weights=50, outside=10)
    capacities = (
        Capacity(memory=memory, tokens=1, sessions=1, concurrency=1.0)
        for memory in (rank, replace(rank, outside=10.001))
    )
    assert [one.starts for one in capacities] == [True, False]


@pytest.mark.parametrize(
    ("id_", "version", "printed", "tokens", "concurrency"),
    [("google/gemma-2-27b-it", 19, 20.59, 58_672, 7.16), ("google/gemma-2-2b-it", 19, 66.47, 670_160, 81.73)],
)
def test_windowed_models_hold_end_to_end_what_vllm_printed(
    id_: str, version: int, printed: float, tokens: int, concurrency: float
) -> None:
    """vLLM 0.19 on one H100 at 0.95 with 8,192 batched tokens and contexts of 8,192."""
    settings = engine(version=version, utilization=0.95)
    one = capacity(MODELS[id_], FORMATS["bf16"], GPUS["h100-sxm"], Layout(), settings, context=8192, kv_bits=16)
    assert one.memory.pool / GIB == pytest.approx(printed, abs=0.05)
    assert one.tokens == pytest.approx(tokens, rel=0.003)
    assert one.concurrency == pytest.approx(concurrency, rel=0.003)


@pytest.mark.parametrize(("ranks", "tokens"), [(1, 715_072), (8, 5_721_088)])
def test_decode_context_parallel_ranks_share_out_the_tokens_of_a_latent_cache(ranks: int, tokens: int) -> None:
    """DeepSeek-V3 on eight GPUs with 46.80 GiB each, as vLLM printed it without and with decode context parallelism."""
    settings = replace(engine(), context_parallel=ranks)
    v3 = MODELS["deepseek-ai/DeepSeek-V3"]
    one = holding(v3, Layout(tp=8), settings, 46.80 * GIB, kv_bits=16).at(131_072)
    assert one.tokens == pytest.approx(tokens, rel=0.001)
    assert one.concurrency == pytest.approx(tokens / 131_072, rel=0.001)


def test_a_pool_below_zero_holds_nothing() -> None:
    nothing = holding(LLAMA_8B, Layout(), engine(), -1.0, kv_bits=16).at(16)
    assert (nothing.tokens, nothing.concurrency) == (0, 0)


@pytest.mark.parametrize(
    ("gpu", "version", "marlin", "first"),
    [
        ("h100-sxm", 7, True, True),
        ("h100-sxm", 11, True, False),
        ("h100-sxm", 12, False, False),
        ("a100-80gb-sxm", 7, True, True),
        ("a100-80gb-sxm", 28, True, False),
    ],
)
def test_loading_differs_on_hopper_since_0_12_and_on_the_first_engine(
    gpu: str, version: int, *, marlin: bool, first: bool
) -> None:
    found = loader(GPUS[gpu], engine(version=version))
    assert (found.marlin, found.first_engine, found.doubled_keys) == (marlin, first, True)


def test_gpt_oss_120b_was_loaded_with_marlin_kernels_on_an_h100_up_to_0_11() -> None:
    """vLLM 0.10.1 printed 65.9651 GiB on one H100 (issue 23278)."""
    early = loader(GPUS["h100-sxm"], engine(version=10))
    oss = MODELS["openai/gpt-oss-120b"]
    assert gib(stage_weights(oss, FORMATS["mxfp4"], Layout(), early)[0]) == pytest.approx(65.9651, rel=0.002)


@pytest.mark.parametrize(
    ("id_", "version", "cached"),
    [
        ("Qwen/Qwen3.5-4B", 23, False),
        ("Qwen/Qwen3.5-4B", 27, False),
        ("Qwen/Qwen3.5-4B", 28, True),
        ("Qwen/Qwen3-8B", 11, True),
        ("google/gemma-3-12b-it", 19, True),
    ],
)
def test_prefixes_are_cached_beside_states_only_since_0_28(id_: str, version: int, *, cached: bool) -> None:
    assert default_prefix_caching(MODELS[id_].architecture, version) is cached


@pytest.mark.parametrize(
    ("gpu", "version", "scales"),
    [
        ("gb200", 26, False),
        ("b300-sxm", 19, False),
        ("b200-sxm", 18, True),
        ("h200-sxm", 26, True),
        ("rtx-pro-6000-blackwell-server", 26, True),
        ("dgx-spark-gb10", 26, True),
    ],
)
def test_8_bit_latents_under_an_indexer_have_no_scales_on_large_blackwells_since_0_19(
    gpu: str, version: int, *, scales: bool
) -> None:
    assert default_latent_scales(GPUS[gpu], version) is scales


def test_the_stage_that_leaves_the_smallest_pool_decides() -> None:
    """Llama 70B in two even stages: the last one holds the head as the first holds the embedding, and samples too."""
    stages = stage_weights(LLAMA_70B, BF16, Layout(pp=2))
    memory = rank_memory(LLAMA_70B, BF16, h100(), Layout(pp=2), engine())
    assert memory.weights == stages[1]
    assert memory.activation == activation_peak(dense(), engine(), tp=1)


def test_a_stage_that_is_lighter_but_samples_can_leave_less() -> None:
    """A tower of 0.2 GB makes the first stage the heavier one; of 2,048 tokens the sampler takes 1.4 GiB more."""
    seeing, settings = model(replace(dense(), vision_params=10**8)), engine(tokens=2048)
    first, last = stage_weights(seeing, BF16, Layout(pp=2))
    memory = rank_memory(seeing, BF16, h100(), Layout(pp=2), settings)
    assert first > last == memory.weights
    assert memory.activation == activation_peak(seeing.architecture, settings, tp=1)


def test_a_first_stage_heavier_by_more_than_the_sampler_decides() -> None:
    """With a vision tower of 10 GB the first stage is the busiest, and it does not sample."""
    seeing = model(replace(dense(), vision_params=5 * 10**9))
    memory = rank_memory(seeing, BF16, h100(), Layout(pp=2), engine())
    assert memory.weights == stage_weights(seeing, BF16, Layout(pp=2))[0]
    assert memory.activation == activation_peak(seeing.architecture, engine(), tp=1, samples=False)


def test_fp32_peaks_at_four_bytes_an_element() -> None:
    """Llama-3.1-8B on 0.19: 16.75 x 1,024 x 128,256 + 4 x 8,192 x 4,096 = 2.17 GiB; 2.21 GiB were printed."""
    peak = rank_memory(LLAMA_8B, FP32, h100(), Layout(), engine(version=19)).activation
    assert peak == 16.75 * 1024 * 128_256 + 4 * 8192 * 4096


@given(few=st.integers(16, 65536), many=st.integers(16, 65536))
def test_more_batched_tokens_never_need_less_memory(few: int, many: int) -> None:
    for shape in (dense(), sparse()):
        peaks = [activation_peak(shape, engine(tokens=n), tp=2) for n in sorted((few, many))]
        assert peaks == sorted(peaks)


@given(few=st.integers(1, 4096), many=st.integers(1, 4096), version=st.integers(5, 28))
def test_more_sequences_never_capture_fewer_graphs_nor_sample_in_less(few: int, many: int, version: int) -> None:
    settings = [engine(version=version, sequences=n) for n in sorted((few, many))]
    graphs = [captured_graphs(one) for one in settings]
    peaks = [activation_peak(dense(), one, tp=1) for one in settings]
    assert graphs == sorted(graphs)
    assert peaks == sorted(peaks)
    assert graphs[1] <= (134 if version <= 11 else 102)
