"""SGLang: static share, pool and graphs against published logs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_files import rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import Engine
from inferplan.core.engine_memory import pools, rank_memory
from inferplan.core.engines.rank_memory import Held, RankMemory
from inferplan.core.engines.sglang_defaults import (
    captures_prefill,
    default_batching,
    graph_memory,
    leaves_room_for_aiter,
    reserve,
    tower_factor,
    utilization,
)
from inferplan.core.engines.sglang_memory import (
    BUFFERS,
    IMAGE_CACHE,
    draft_copies,
    forward_peak,
    holding,
    memory,
    not_modelled,
    request_table,
    state_bytes,
    taken_before,
    token_bytes,
)
from inferplan.core.engines.vllm_defaults import NEWEST
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB, MIB
from shapes import dense, h100, layouts, model

RUNS = [run for run in rows("published_other_engines.tsv") if run["engine"] == "sglang"]
ENGINE = Engine(name="sglang", max_num_seqs=2048, max_num_batched_tokens=8192)
LLAMA_70B = model(dense())
BF16 = FORMATS["bf16"]


def holds(id_: str, gib: float, *, context: int = 8192, bits: float = 16, engine: Engine = ENGINE) -> Held:
    return holding(MODELS[id_], Layout(), engine, gib * GIB, kv_bits=bits).at(context)


@pytest.mark.parametrize("run", [run for run in RUNS if run["kv_gib"]], ids=lambda run: run["id"])
def test_a_pool_holds_the_tokens_that_sglang_printed(run: dict[str, str]) -> None:
    """To what the two decimals of the printed GiB leave open."""
    pool, layout = float(run["kv_gib"]) * GIB, Layout(tp=int(run["tp"]))
    ours = holding(MODELS[run["model"]], layout, ENGINE, pool, kv_bits=float(run["kv_bits"])).at(8192)
    assert ours.tokens == pytest.approx(int(run["kv_tokens"]), rel=0.002)


@pytest.mark.parametrize("run", [run for run in RUNS if run["token_bytes"]], ids=lambda run: run["id"])
def test_a_token_takes_the_bytes_that_sglang_printed(run: dict[str, str]) -> None:
    full, windowed, _ = token_bytes(MODELS[run["model"]], Layout(tp=int(run["tp"])), kv_bits=float(run["kv_bits"]))
    assert (full, windowed) == (pytest.approx(float(run["token_bytes"]), rel=0.002), 0)


@pytest.mark.parametrize("run", [run for run in RUNS if run["weights_gib"]], ids=lambda run: run["id"])
def test_weights_and_buffers_lower_free_memory_as_logged(run: dict[str, str]) -> None:
    rank = memory(MODELS[run["model"]], FORMATS[run["precision"]], h100(), Layout(tp=int(run["tp"])), ENGINE)
    assert (rank.weights + BUFFERS) / GIB == pytest.approx(float(run["weights_gib"]), abs=0.1)


@pytest.mark.parametrize(
    ("before", "after", "share", "pool"),
    [
        (13.22, 11.06, 0.6, 5.76),
        (174.84, 78.72, 0.95, 69.98),
        (78.81, 63.72, 0.88, 54.26),
        (22.76, 8.37, 0.88, 5.64),
        (78.48, 49.33, 0.83, 35.98),
    ],
)
def test_the_pool_is_what_loading_left_less_the_reserve_of_what_was_free(
    before: float, after: float, share: float, pool: float
) -> None:
    assert RankMemory(total=before, budget=share * before, weights=before - after).pool == pytest.approx(
        pool, abs=0.015
    )


def test_qwen3_30b_in_fp8_on_one_h100_holds_by_default_what_sglang_printed() -> None:
    """0.5.2x, August 2026: 78.48 GiB free, share 0.83, K and V 17.99 GiB each, 392,920 tokens."""
    qwen = MODELS["Qwen/Qwen3-30B-A3B"]
    rank = memory(qwen, FORMATS["fp8"], h100(), Layout(), ENGINE)
    assert rank.pool / GIB == pytest.approx(35.98, abs=0.05)
    assert holding(qwen, Layout(), ENGINE, rank.pool, kv_bits=16).tokens(40960) == pytest.approx(392_920, rel=0.001)
    assert rank.headroom > 0


def test_llama_3_1_8b_at_0_88_of_one_h100_is_within_1_percent_end_to_end() -> None:
    rank = memory(
        MODELS["meta-llama/Llama-3.1-8B-Instruct"], BF16, h100(), Layout(), replace(ENGINE, memory_utilization=0.88)
    )
    assert rank.pool / GIB == pytest.approx(54.26, rel=0.01)


def test_qwen3_235b_in_fp8_on_four_h100_is_within_3_percent_end_to_end() -> None:
    """At 0.93; what NCCL takes is taken over from vLLM."""
    qwen = MODELS["Qwen/Qwen3-235B-A22B"]
    rank = memory(qwen, FORMATS["fp8"], h100(), Layout(tp=4), replace(ENGINE, memory_utilization=0.93))
    assert rank.pool / GIB == pytest.approx(16.46, rel=0.03)


@pytest.mark.parametrize(
    ("id_", "gpu", "chunk", "share", "pool"),
    [
        ("Qwen/Qwen3-32B", "h100-sxm", 8192, 0.9, 9.54),
        ("meta-llama/Llama-3.1-8B-Instruct", "h100-sxm", 8192, 0.88, 54.04),
        ("Qwen/Qwen3-8B", "b200-sxm", 16384, None, 136.36),
        ("Qwen/Qwen3-8B", "gb300", 16384, None, 234.56),
    ],
)
def test_pools_of_one_gpu_are_within_half_a_percent_of_logs_that_no_constant_was_fitted_on(
    id_: str, gpu: str, chunk: int, share: float | None, pool: float
) -> None:
    """Versions 0.5.19, 0.4.4, of April and of May 2026; the shares of the first two are not in their logs, but follow.

    275.75 GiB were free on the last one, as on a GB300.
    """
    engine = replace(ENGINE, memory_utilization=share, max_num_batched_tokens=chunk)
    assert memory(MODELS[id_], BF16, GPUS[gpu], Layout(), engine).pool / GIB == pytest.approx(pool, rel=0.005)


@pytest.mark.parametrize(
    ("id_", "gpu", "tp", "share", "pool"),
    [
        ("Qwen/QwQ-32B", "l4", 4, 0.85, 2.84),
        ("Qwen/Qwen3-14B", "rtx-4090", 4, 0.8, 11.38),
        ("Qwen/Qwen3.5-4B", "rtx-4090", 1, 0.85, 11.07),
    ],
)
def test_pools_on_ada_are_within_1_4_percent_of_the_logs_that_its_runtime_and_nccl_were_fitted_on(
    id_: str, gpu: str, tp: int, share: float, pool: float
) -> None:
    """In-sample: 21.63 GiB free on each of four L4, 23.08 on four cards of 24 GB, 23.09 on one RTX 4090 D.

    The version that served Qwen3.5 set nothing aside for images yet.
    """
    engine = replace(ENGINE, memory_utilization=share, max_num_batched_tokens=2048)
    rank = memory(MODELS[id_], BF16, GPUS[gpu], Layout(tp=tp), engine)
    images = IMAGE_CACHE if MODELS[id_].architecture.vision_params else 0
    assert (rank.pool + images) / GIB == pytest.approx(pool, rel=0.014)


@pytest.mark.parametrize(
    ("gpu", "tp", "free"),
    [("h100-sxm", 1, 78.47), ("h100-sxm", 8, 77.43), ("b200-sxm", 1, 177.57), ("l4", 4, 21.63), ("rtx-4090", 1, 23.09)],
)
def test_what_is_free_before_weights_load_is_within_0_11_gib_of_the_logs(gpu: str, tp: int, free: float) -> None:
    """NCCL took 1.25 GiB of it on eight H100, 0.13 GiB on four L4. The last two are in-sample."""
    ours = GPUS[gpu].engine_memory - taken_before(GPUS[gpu], Layout(tp=tp))
    assert ours / GIB == pytest.approx(free, abs=0.11)


def test_nccl_takes_little_where_no_switch_joins_the_gpus() -> None:
    def nccl(id_: str) -> float:
        return (taken_before(GPUS[id_], Layout(tp=2)) - taken_before(GPUS[id_], Layout())) / GIB

    assert [round(nccl(id_), 2) for id_ in ("l4", "h100-nvl", "rtx-3090", "h100-sxm", "a100-80gb-sxm")] == [
        0.13,
        0.13,
        0.13,
        1.02,
        1.02,
    ]


def test_the_tokens_of_a_small_model_at_0_3_of_one_h100_are_within_1_percent_end_to_end() -> None:
    """Qwen3-Reranker-0.6B, which has the layers of Qwen3-0.6B: 208,651."""
    qwen, engine = MODELS["Qwen/Qwen3-0.6B"], replace(ENGINE, memory_utilization=0.3)
    pool = memory(qwen, BF16, h100(), Layout(), engine).pool
    assert holding(qwen, Layout(), engine, pool, kv_bits=16).tokens(40960) == pytest.approx(208_651, rel=0.01)


def test_the_default_share_of_an_h100_by_hand() -> None:
    """512 + 1.5 x 8,192 + 128 + 2 x 256 + 8 x 58 MiB of 81,559 MiB."""
    assert reserve(dense(), h100(), Layout(), ENGINE) == (512 + 12288 + 128 + 512 + 464) * MIB
    assert utilization(dense(), h100(), Layout(), ENGINE) == 0.83


def test_a_small_chunk_reserves_as_one_of_2048_and_graphs_are_for_as_many_sequences_as_may_run() -> None:
    """512 + 1.5 x 2,048 + 128 + 2 x 4 + 8 x 38 MiB on an L4: 38 prefill graphs have at most 1,024 tokens.

    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `handle_gpu_memory_settings`.
    """
    few = replace(ENGINE, max_num_seqs=4, max_num_batched_tokens=1024)
    assert reserve(dense(), GPUS["l4"], Layout(), few) == (512 + 3072 + 128 + 8 + 304) * MIB


@pytest.mark.parametrize(("towers", "factor"), [(0.1, 1.05), (0.5, 1.05), (1, 1.0), (2, 0.9), (2.5, 0.85), (9, 0.8)])
def test_each_vit_l_more_of_a_tower_takes_a_tenth_of_the_share_within_bounds(towers: float, factor: float) -> None:
    """A ViT-L/14 has 24 layers of 12 x 1,024^2 parameters; 0.835 is what an H100 gives where no prefill is captured.

    Source: SGLang 0.5.23, srt/arg_groups/memory_hook.py, `adjust_mem_fraction_for_vlm`.
    """
    seeing = replace(dense(), vision_params=round(towers * 24 * 12 * 1024**2))
    assert utilization(seeing, h100(), Layout(), ENGINE) == pytest.approx(0.835 * 0.95 * factor)


@pytest.mark.parametrize(
    ("id_", "layers", "width"),
    [
        ("Qwen/Qwen3-VL-8B-Instruct", 24, 1152),
        ("Qwen/Qwen3-VL-4B-Instruct", 24, 1024),
        ("Qwen/Qwen3.5-27B", 24, 1152),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 24, 1280),
        ("Qwen/Qwen2-VL-2B-Instruct", 24, 1536),
        ("moonshotai/Kimi-K2.5", 27, 1152),
        ("google/gemma-3-27b-it", 27, 1152),
        ("google/gemma-4-E4B-it", 16, 768),
        ("google/gemma-4-26B-A4B-it", 27, 1152),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 34, 1408),
    ],
)
def test_a_tower_is_as_large_as_its_config_says_it_to_sglang(id_: str, layers: int, width: int) -> None:
    """`num_hidden_layers` and `hidden_size` of published vision configs.

    Qwen's have `depth` instead, so that SGLang takes its 24, and Qwen2-VL's `hidden_size` is the decoder's width.
    """
    factor = min(1.05, max(0.8, 1 - 0.1 * (layers * width**2 / (24 * 1024**2) - 1)))
    assert tower_factor(MODELS[id_].architecture) == pytest.approx(0.95 * factor, rel=1e-9)


def test_a_tower_wider_than_a_decoder_of_3584_is_bounded_at_four_fifths() -> None:
    assert tower_factor(MODELS["Qwen/Qwen2-VL-7B-Instruct"].architecture) == pytest.approx(0.95 * 0.8)


@pytest.mark.parametrize(
    ("id_", "gpu", "tp", "decode_alone", "share"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "h100-sxm", 1, None, 0.83),
        ("meta-llama/Llama-3.1-8B-Instruct", "h100-sxm", 1, 256, 0.835),
        ("meta-llama/Llama-3.1-8B-Instruct", "l40s", 1, 32, 0.851),
        ("deepseek-ai/DeepSeek-V3.2", "h200-sxm", 8, 512, 0.897),
        ("Qwen/Qwen3-VL-8B-Instruct", "h200-sxm", 1, None, 0.8388),
        ("Qwen/Qwen3-32B", "b200-sxm", 4, None, 0.852),
        ("Qwen/Qwen3-8B", "gb300", 1, None, 0.906),
        ("zai-org/GLM-5", "mi355x", 8, 512, 0.908),
        ("moonshotai/Kimi-K2.5", "mi355x", 8, 512, 0.8260405859375),
    ],
)
def test_the_default_share_is_the_one_that_logs_show(
    id_: str, gpu: str, tp: int, decode_alone: int | None, share: float
) -> None:
    """Versions from October 2025 to June 2026, some of which captured decode steps alone, of so many sequences.

    Shares are printed, those of B200 and GB300 are what the pools of their logs leave open.
    """
    engine = replace(ENGINE, max_num_batched_tokens=default_batching(GPUS[gpu], NEWEST)[0])
    on = (MODELS[id_].architecture, GPUS[gpu], Layout(tp=tp), engine)
    reserved = reserve(*on)
    if decode_alone:
        reserved += 2 * decode_alone * MIB - graph_memory(*on)
    ours = round(1 - reserved / GPUS[gpu].memory, 3) * tower_factor(MODELS[id_].architecture)
    assert round(ours, len(str(share).partition(".")[2])) == share


@pytest.mark.parametrize(
    ("id_", "captured"),
    [
        ("Qwen/Qwen3-32B", True),
        ("deepseek-ai/DeepSeek-V3", True),
        ("Qwen/Qwen3.5-27B", True),
        ("moonshotai/Kimi-K2.5", True),
        ("zai-org/GLM-5.3-Flash", True),
        ("Qwen/Qwen3-VL-8B-Instruct", False),
        ("google/gemma-3-27b-it", False),
        ("mistralai/Mistral-Large-3-675B-Instruct-2512", False),
        ("moonshotai/Kimi-Linear-48B-A3B-Instruct", False),
        ("moonshotai/Kimi-K3", False),
    ],
)
def test_prefills_are_captured_but_of_most_models_that_see_with_kda_and_over_stages(
    id_: str, *, captured: bool
) -> None:
    """SGLang 0.5.23, srt/arg_groups/cuda_graph_hook.py, and its list of models that see."""
    architecture = MODELS[id_].architecture
    assert captures_prefill(architecture, Layout(tp=8)) == captured
    assert not captures_prefill(architecture, Layout(tp=4, pp=2))


def test_what_is_not_captured_is_not_reserved() -> None:
    """58 counts of tokens up to 8,192 of 8 MiB each, on two stages of one rank: 128 MiB for the second rank."""
    one, two = (reserve(dense(), h100(), Layout(pp=pp), ENGINE) for pp in (1, 2))
    assert one - two == (58 * 8 - 128) * MIB


def test_amds_kernels_for_attention_leave_15_percent_of_any_share_to_their_workspace() -> None:
    """Qwen3.8 27B in FP8 on one MI355X at 0.85: 1,543,256 tokens; Qwen3-0.6B at 0.6: 1,360,288. 0.5.17."""
    for id_, precision, share, tokens in (
        ("Qwen/Qwen3.8-27B", "fp8", 0.85, 1_543_256),
        ("Qwen/Qwen3-0.6B", "bf16", 0.6, 1_360_288),
    ):
        engine = replace(ENGINE, memory_utilization=share, max_num_batched_tokens=16384, max_num_seqs=32)
        on = (MODELS[id_], Layout(), engine)
        pool = memory(on[0], FORMATS[precision], GPUS["mi355x"], *on[1:]).pool
        assert holding(*on, pool, kv_bits=16).tokens(40960) == pytest.approx(tokens, rel=0.0005)


@pytest.mark.parametrize(
    ("id_", "gpu", "tp", "leaves"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "mi300x", 1, True),
        ("meta-llama/Llama-3.1-8B-Instruct", "rx-7900-xtx", 1, False),
        ("meta-llama/Llama-3.1-8B-Instruct", "h100-sxm", 1, False),
        ("meta-llama/Llama-2-7b-hf", "mi300x", 1, False),
        ("deepseek-ai/DeepSeek-V3", "mi300x", 8, True),
        ("deepseek-ai/DeepSeek-V3", "mi300x", 4, False),
        ("moonshotai/Kimi-K2.5", "mi355x", 8, False),
        ("zai-org/GLM-5", "mi355x", 8, False),
        ("google/gemma-4-26B-A4B-it", "mi300x", 1, False),
        ("openai/gpt-oss-120b", "mi300x", 1, True),
    ],
)
def test_only_where_these_kernels_are_the_default_of_a_long_context(
    id_: str, gpu: str, tp: int, *, leaves: bool
) -> None:
    """Latents of 16 or 128 heads a rank; Triton's kernels of others, of indexers and of Gemma 4.

    The logs of Kimi K2.5 and GLM-5 on eight MI355X print the triton backend and a whole share.
    """
    assert leaves_room_for_aiter(MODELS[id_].architecture, GPUS[gpu], Layout(tp=tp)) == leaves


def test_a_model_that_sees_has_100_mib_less_of_a_pool() -> None:
    """SGLang 0.5.23, `mm_runtime_reservation_gb`: what is kept of encoded images has its room beside the pool."""
    seeing = MODELS["google/gemma-3-27b-it"]
    blind = replace(seeing, architecture=replace(seeing.architecture, vision_params=0, vision_replicated=0))
    engine = replace(ENGINE, memory_utilization=0.85)
    ranks = [memory(one, BF16, h100(), Layout(), engine) for one in (blind, seeing)]
    assert ranks[0].pool - ranks[1].pool == pytest.approx(100 * MIB + ranks[1].weights - ranks[0].weights)


def test_a_latent_reserves_more_for_prefill_graphs_and_a_vision_tower_lowers_the_share() -> None:
    v3, gemma = (MODELS[id_].architecture for id_ in ("deepseek-ai/DeepSeek-V3", "google/gemma-3-27b-it"))
    shares = [utilization(one, h100(), Layout(), ENGINE) for one in (dense(), v3, gemma)]
    assert shares[0] == 0.83
    assert shares[1] == round(1 - (512 + 12288 + 128 + 512 + 1536) / 81559, 3)
    assert 0.8 * 0.95 <= shares[2] / shares[0] <= 0.95


def test_without_graphs_only_activations_are_reserved_but_no_less_than_10_gib_on_a_large_gpu() -> None:
    eager = replace(ENGINE, cuda_graphs=False, max_num_batched_tokens=2048)
    assert graph_memory(dense(), h100(), Layout(), eager) == 0
    assert reserve(dense(), h100(), Layout(), eager) == 10 * GIB


@pytest.mark.parametrize(
    ("gpu", "batching"),
    [("h100-sxm", (8192, 2048)), ("b200-sxm", (16384, 2048)), ("l40s", (4096, 2048)), ("h200-sxm", (8192, 2048))],
)
def test_larger_gpus_prefill_larger_chunks(gpu: str, batching: tuple[int, int]) -> None:
    assert default_batching(GPUS[gpu], NEWEST) == batching


@pytest.mark.parametrize(("mib", "chunk"), [(20 * 1024, 4096), (60 * 1024, 8192), (160 * 1024, 16384)])
def test_memory_at_the_bound_of_a_tier_is_of_the_next_one(mib: int, chunk: int) -> None:
    """SGLang 0.5.23, srt/arg_groups/memory_hook.py: `gpu_mem < 20 * 1024` and so on."""
    tokens = [default_batching(replace(GPUS["h100-sxm"], memory=size * MIB), NEWEST)[0] for size in (mib - 1, mib)]
    assert tokens[0] < tokens[1] == chunk


def test_activations_and_graphs_are_outside_and_leave_the_pool_alone() -> None:
    small, large = (
        memory(LLAMA_70B, BF16, h100(), Layout(tp=8), replace(ENGINE, memory_utilization=0.8, max_num_batched_tokens=n))
        for n in (2048, 65536)
    )
    assert small.pool == large.pool
    assert small.headroom > large.headroom
    assert forward_peak(dense(), Layout(tp=8), ENGINE) >= 4 * 2048 * 128256


def test_an_unset_share_that_is_too_large_shows_as_negative_headroom() -> None:
    greedy = replace(ENGINE, memory_utilization=0.99)
    assert memory(LLAMA_70B, BF16, h100(), Layout(tp=8), greedy).headroom < 0


def test_gemma_4_splits_its_pool_into_full_and_windowed_tokens() -> None:
    """36.69 GiB: 213,761 full and 171,008 windowed tokens, 0.8 of them."""
    full, windowed, window = token_bytes(MODELS["google/gemma-4-26B-A4B-it"], Layout(), kv_bits=16)
    assert window == 1024
    assert (213_761 * full + 171_008 * windowed) / GIB == pytest.approx(36.69, abs=0.01)


def test_layers_that_share_a_cache_have_room_of_their_own_all_the_same() -> None:
    """Gemma 4 E4B: 79.94 GiB for 997,846 full and 798,276 windowed tokens of 7 and 35 layers, 18 of them sharers."""
    full, windowed, window = token_bytes(MODELS["google/gemma-4-E4B-it"], Layout(), kv_bits=16)
    assert (full, windowed, window) == (7 * 2 * 2 * 512 * 2, 35 * 2 * 2 * 256 * 2, 512)
    assert (997_846 * full + 798_276 * windowed) / GIB == pytest.approx(79.94, abs=0.01)


def test_windows_count_only_in_families_that_sglang_recognises() -> None:
    gemma = MODELS["google/gemma-3-27b-it"]
    assert token_bytes(gemma, Layout(), kv_bits=16) == (507_904, 0, 0)


def test_short_contexts_are_bound_by_the_windowed_pool_and_long_ones_by_the_full_one() -> None:
    short, long = (holds("openai/gpt-oss-120b", 10, context=n) for n in (100, 100_000))
    assert short.concurrency == pytest.approx(0.8 * short.tokens / 100)
    assert long.concurrency == pytest.approx(long.tokens / 100_000)


@pytest.mark.parametrize(
    ("id_", "slots", "gib"), [("ibm-granite/granite-4.0-h-micro", 38, 2.77), ("inclusionAI/Ling-3.0-flash", 117, 8.35)]
)
def test_a_slot_of_states_takes_what_sglang_printed_for_all_of_them_and_one_of_padding(
    id_: str, slots: int, gib: float
) -> None:
    assert (slots + 1) * state_bytes(MODELS[id_].architecture, Layout()) / GIB == pytest.approx(gib, abs=0.012)


@pytest.mark.parametrize(
    ("id_", "gib", "tokens"),
    [("ibm-granite/granite-4.0-h-micro", 2.77 + 3.04, 399_740), ("inclusionAI/Ling-3.0-flash", 8.35 + 9.21, 1_226_984)],
)
def test_states_take_nine_parts_for_ten_of_keys_and_values(id_: str, gib: float, tokens: int) -> None:
    """To one slot of padding, which the versions of these logs did not set aside yet."""
    assert holds(id_, gib).tokens == pytest.approx(tokens, rel=0.025)


def test_a_rank_of_four_keeps_a_quarter_of_each_state() -> None:
    """Nemotron 3 Nano in fp8 on four GB10: 25.28 GiB for 2,211 states, and 28.10 GiB for 19,644,177 tokens."""
    nemotron, layout = MODELS["nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"], Layout(tp=4)
    assert (2211 + 1) * state_bytes(nemotron.architecture, layout) / GIB == pytest.approx(25.28, abs=0.01)
    ours = holding(nemotron, layout, ENGINE, (25.28 + 28.10) * GIB, kv_bits=8).at(8192)
    assert ours.tokens == pytest.approx(19_644_177, rel=0.001)


def test_a_request_takes_five_slots_with_the_radix_cache_and_one_without() -> None:
    id_ = "Qwen/Qwen3.5-4B"
    cached = holds(id_, 10, context=16)
    state = state_bytes(MODELS[id_].architecture, Layout())
    assert cached.concurrency == (int(10 * GIB * 0.9 / 1.9 // state) - 1) // 5
    few = replace(ENGINE, prefix_caching=False, max_num_seqs=10)
    assert holds(id_, 10, context=16, engine=few).concurrency == 10
    assert holds(id_, 10, engine=few).tokens == int((10 * GIB - 11 * state) // 32768)


def test_latents_are_whole_on_every_rank_and_656_bytes_with_an_index_key_of_132_in_8_bit() -> None:
    v32 = MODELS["deepseek-ai/DeepSeek-V3.2"]
    assert token_bytes(v32, Layout(tp=8), kv_bits=8)[0] == 61 * (656 + 132)
    assert token_bytes(v32, Layout(tp=8), kv_bits=16)[0] == 61 * (576 * 2 + 132)


@pytest.mark.parametrize(
    "id_",
    [
        "deepseek-ai/DeepSeek-V4-Flash",
        "MiniMaxAI/MiniMax-Text-01",
        "MiniMaxAI/MiniMax-M3",
        "ai21labs/AI21-Jamba-Mini-1.5",
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "thinkingmachines/Inkling",
    ],
)
def test_what_is_not_known_of_sglangs_cache_is_said_and_not_guessed(id_: str) -> None:
    assert not_modelled(MODELS[id_].architecture, ENGINE)


@pytest.mark.parametrize("id_", MODELS)
def test_every_model_is_modelled_or_says_why_not_and_longer_contexts_never_admit_more(id_: str) -> None:
    if not_modelled(MODELS[id_].architecture, ENGINE):
        return
    short, long, half = holds(id_, 4096, context=1000), holds(id_, 4096, context=100_000), holds(id_, 4096, bits=8)
    assert short.concurrency >= long.concurrency > 0
    assert half.tokens >= short.tokens > 0


LAYOUTS = layouts(pp=st.integers(1, 8))


@given(layout=LAYOUTS, share=st.floats(0.1, 1.0))
def test_the_pool_is_free_after_loading_less_the_reserve(layout: Layout, share: float) -> None:
    rank = memory(LLAMA_70B, BF16, h100(), layout, replace(ENGINE, memory_utilization=share))
    before = h100().engine_memory - taken_before(h100(), layout)
    after = before - rank.weights - BUFFERS
    assert rank.pool == pytest.approx(after - (1 - share) * before)


@given(low=st.floats(0.1, 1.0), high=st.floats(0.1, 1.0), context=st.integers(1, 10**6))
def test_a_larger_share_never_holds_less(low: float, high: float, context: int) -> None:
    engines = [replace(ENGINE, memory_utilization=share) for share in sorted((low, high))]
    pools = [memory(LLAMA_70B, BF16, h100(), Layout(tp=4), engine).pool for engine in engines]
    tokens = [holding(LLAMA_70B, Layout(tp=4), ENGINE, pool, kv_bits=16).tokens(context) for pool in pools]
    assert tokens == sorted(tokens)


@given(layout=LAYOUTS, bits=st.sampled_from([16, 8]))
def test_all_ranks_together_hold_at_least_the_whole_cache_of_a_token(layout: Layout, bits: float) -> None:
    assert token_bytes(LLAMA_70B, layout, kv_bits=bits)[0] * layout.replica >= 2 * 80 * 8 * 128 * bits / 8


@pytest.mark.parametrize("id_", ["Qwen/Qwen3-8B", "Qwen/Qwen3.5-4B", "openai/gpt-oss-20b"])
@pytest.mark.parametrize("gib", [0, -3])
def test_a_pool_of_nothing_holds_nothing(id_: str, gib: float) -> None:
    assert holds(id_, gib) == Held(tokens=0, concurrency=0)


@pytest.mark.parametrize(
    ("before", "pool", "after", "running", "context"),
    [
        (8.37, 2 * 2.82, 1.68, 2049, 131_072),
        (209.98, 160.63, 45.25, 4096, 262_144),
        (9.26, 2.77 + 2 * 1.52, 3.42, 8, 131_072),
    ],
)
def test_what_a_pool_leaves_less_of_than_its_own_size_is_the_table_of_requests(
    before: float, pool: float, after: float, running: int, context: int
) -> None:
    """Free before the pool, the pool, free after it: a Qwen2 on 24 GB, Kimi K2.5 on MI355X, a Granite hybrid."""
    assert before - pool - after == pytest.approx(request_table(running, context) / GIB, abs=0.11)


def test_requests_at_once_are_512_for_each_context_of_the_pool_within_2048_and_4096() -> None:
    """Kimi K2.5 on MI355X: 2,454,421 tokens hold 9.4 of 262,144, 4,793 requests, of which 4,096 are left."""
    kimi = MODELS["moonshotai/Kimi-K2.5"]
    held = holding(kimi, Layout(tp=8), ENGINE, 160.63 * GIB, kv_bits=16)
    assert held.tables is not None
    assert held.tables(262_144) == request_table(4096, 262_144)
    assert held.tables(1_048_576) == request_table(2048, 1_048_576)
    few = holding(kimi, Layout(tp=8), replace(ENGINE, max_num_seqs=32), 160.63 * GIB, kv_bits=16)
    assert few.tables is not None
    assert few.tables(262_144) == 33 * (262_144 + 4) * 4


def test_the_table_of_requests_comes_out_of_the_reserve_and_not_out_of_the_pool() -> None:
    on = (MODELS["Qwen/Qwen3-30B-A3B"], FORMATS["fp8"], h100(), ENGINE)
    short, long = (pools(*on, kv_bits=16).of(Layout(), context) for context in (4096, 40_960))
    assert long.memory.pool == short.memory.pool
    assert long.memory.outside - short.memory.outside == pytest.approx(
        request_table(4096, 40_960) - request_table(4096, 4096)
    )


@pytest.mark.parametrize(("tp", "in_all"), [(1, 5.18), (2, 2.57)])
def test_what_drafts_takes_its_copies_of_embedding_and_head_out_of_the_pool(tp: int, in_all: float) -> None:
    """Logged on loading it: 5.18 GB on one GPU (pull request 35996), 2.57 GB on each of two (32468)."""
    qwen, fp8, layout = MODELS["Qwen/Qwen3.6-27B"], FORMATS["fp8"], Layout(tp=tp)
    plain, drafting = (replace(ENGINE, drafts=drafts) for drafts in (0, 3))
    before, since = (rank_memory(qwen, fp8, GPUS["h100-sxm"], layout, one) for one in (plain, drafting))
    assert draft_copies(qwen, layout) == 2 * 2 * 248_320 * 5120 / tp
    more = since.weights + since.non_torch - before.weights - before.non_torch
    assert more / GIB == pytest.approx(in_all, abs=0.06)


def test_a_head_of_another_checkpoint_brings_an_embedding_alone() -> None:
    llama = MODELS["meta-llama/Llama-3.1-8B-Instruct"]
    assert draft_copies(llama, Layout(tp=2)) == 2 * 128_256 * 4096 / 2
