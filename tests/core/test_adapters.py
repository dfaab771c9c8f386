"""What LoRA adapters take of a GPU, worked out by hand from the shapes that vLLM's and SGLang's sources give them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import Engine
from inferplan.core.engine_memory import rank_memory
from inferplan.core.engines.adapters import RANKS, adapter_stages, buffer_rank, can_share_out, unknown
from inferplan.core.engines.vllm_buffers import graph_memory
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB

LLAMA = MODELS["meta-llama/Llama-3.1-8B-Instruct"]
QWEN_CODER = replace(MODELS["Qwen/Qwen3-Coder-30B-A3B-Instruct"], lora="linear")
BF16 = FORMATS["bf16"]
ROUNDED = 1.1
"""What the allocator may add to a tensor: 1 MiB from 10 MiB on."""


def lora(adapters: int = 1, rank: int = 16, *, sharded: bool = False, name: str = "vllm", version: int = 28) -> Engine:
    return Engine(
        name="sglang" if name == "sglang" else "vllm",
        version=version,
        max_num_seqs=256,
        max_num_batched_tokens=2048,
        adapters=adapters,
        adapter_rank=rank,
        adapters_sharded=sharded,
    )


def test_an_adapter_of_llama_8b_takes_a_and_b_of_each_matrix_of_each_layer_and_of_both_ends() -> None:
    query, key, value = 4096 + 4096, 4096 + 1024, 4096 + 1024
    output, gate, up, down = 4096 + 4096, 4096 + 14336, 4096 + 14336, 14336 + 4096
    layers = 32 * (query + key + value + output + gate + up + down)
    ends = 2 * (128256 + 4096)
    assert adapter_stages(LLAMA, BF16, Layout(), lora()) == (2 * 16 * (layers + ends),)
    assert adapter_stages(replace(LLAMA, lora="linear"), BF16, Layout(), lora()) == (2 * 16 * layers,)
    assert adapter_stages(replace(LLAMA, lora="embedding"), BF16, Layout(), lora()) == (2 * 16 * (layers + ends / 2),)


def test_on_four_gpus_b_of_what_is_cut_by_outputs_and_a_of_what_is_cut_by_inputs_are_shared_out() -> None:
    query, key, value = 4096 + 1024, 4096 + 256, 4096 + 256
    output, gate, up, down = 1024 + 4096, 4096 + 3584, 4096 + 3584, 3584 + 4096
    layers = 32 * (query + key + value + output + gate + up + down)
    assert adapter_stages(replace(LLAMA, lora="linear"), BF16, Layout(tp=4), lora()) == (2 * 16 * layers,)


def test_fully_sharded_each_of_four_gpus_has_a_fourth_of_everything_but_the_ends() -> None:
    linear = replace(LLAMA, lora="linear")
    (whole,) = adapter_stages(linear, BF16, Layout(), lora())
    assert adapter_stages(linear, BF16, Layout(tp=4), lora(sharded=True)) == (whole / 4,)
    (ends,) = adapter_stages(LLAMA, BF16, Layout(tp=4), lora(sharded=True))
    assert ends - whole / 4 == 2 * 16 * 2 * (128256 + 4096)


def test_keys_and_values_are_repeated_beyond_as_many_gpus_as_there_are_heads() -> None:
    model = replace(MODELS["Qwen/Qwen2.5-7B-Instruct"], lora="linear")
    query, key, value = 3584 + 448, 3584 + 128, 3584 + 128
    output, gate, up, down = 448 + 3584, 3584 + 2368, 3584 + 2368, 2368 + 3584
    assert adapter_stages(model, BF16, Layout(tp=8), lora()) == (
        2 * 16 * 28 * (query + key + value + output + gate + up + down),
    )


def test_phi_has_one_adapter_for_query_key_and_value_and_one_for_gate_and_up() -> None:
    phi = MODELS["microsoft/phi-4"]
    joined, each = (adapter_stages(replace(phi, lora=kind), BF16, Layout(), lora())[0] for kind in ("joined", "ends"))
    assert each - joined == 2 * 16 * 40 * (2 + 1) * 5120


def test_experts_have_an_adapter_each_and_sharding_them_saves_what_the_pull_request_logged() -> None:
    """Source: vllm-project/vllm pull request 28761: 53.9761 GiB before, 26.9761 GiB after, on four GPUs."""
    sliced = 2 * 2048 + 2 * 192 + 192 + 2048
    shared = 2 * 512 + 2 * 192 + 192 + 512
    saved = 48 * 128 * 16 * 32 * 2 * (sliced - shared)
    assert saved == 27 * GIB
    plain, sharded = (
        adapter_stages(QWEN_CODER, BF16, Layout(tp=4), lora(16, 32, sharded=each))[0] for each in (False, True)
    )
    attention = 48 * 16 * 32 * 2 * (3 * (2048 - 512) + (2048 - 512))
    assert plain - sharded == pytest.approx(saved + attention, rel=1e-3)


def test_whole_experts_of_a_group_take_their_share_of_adapters() -> None:
    experts = 128 // 4 * (2 * 2048 + 2 * 768 + 768 + 2048)
    attention = (2048 + 4096) + 2 * (2048 + 512) + (4096 + 2048)
    (found,) = adapter_stages(QWEN_CODER, BF16, Layout(attention_dp=4), lora())
    assert found == pytest.approx(2 * 16 * 48 * (experts + attention + 2048 + 128), rel=1e-3)


def test_experts_in_blocks_stay_whole_where_slices_would_cut_one() -> None:
    """1,536 / 8 = 192 is no multiple of 128: each of eight GPUs holds 16 whole experts of 128."""
    qwen = replace(MODELS["Qwen/Qwen3-235B-A22B-FP8"], lora="linear")
    experts = 16 * (2 * 4096 + 2 * 1536 + 1536 + 4096)
    attention = (4096 + 1024) + 2 * (4096 + 128) + (1024 + 4096)
    (found,) = adapter_stages(qwen, FORMATS["fp8"], Layout(tp=8), lora())
    assert found == pytest.approx(2 * 16 * 94 * (experts + attention + 4096 + 128), rel=1e-3)
    assert not can_share_out(qwen, FORMATS["fp8"], lora(), 8)
    assert can_share_out(qwen, FORMATS["fp8"], lora(), 4)
    assert not can_share_out(LLAMA, BF16, lora(rank=8), 16)


def test_stacked_experts_share_the_a_of_gate_and_up_and_are_as_wide_as_their_kernels() -> None:
    gpt = MODELS["openai/gpt-oss-20b"]
    experts = 32 * (3072 + 2 * 2944 + 2944 + 3072)
    attention = (2880 + 4096) + 2 * (2880 + 512) + (4096 + 2880)
    (found,) = adapter_stages(gpt, FORMATS["mxfp4"], Layout(), lora())
    assert found == pytest.approx(2 * 16 * 24 * (experts + attention + 2880 + 32), rel=1e-3)


def test_projections_to_latents_are_whole_on_every_gpu() -> None:
    deepseek = MODELS["deepseek-ai/DeepSeek-V2-Lite"]
    query, latent, up, output = 2048 + 1536, 2048 + 576, 512 + 2048, 1024 + 2048
    attention = query + latent + up + output
    dense = 2 * (2048 + 5472) + 5472 + 2048
    shared = 2 * (2048 + 1408) + 1408 + 2048
    experts = 64 * (2 * 2048 + 3 * 704 + 2048)
    total = 27 * attention + dense + 26 * (shared + experts + 2048 + 64)
    (found,) = adapter_stages(deepseek, BF16, Layout(tp=2), lora())
    assert found == pytest.approx(2 * 16 * total, rel=1e-3)


def test_queries_that_come_out_of_a_latent_have_their_adapter_on_it() -> None:
    """DeepSeek V3 on eight GPUs: of the queries 7,168 to 1,536 whole, and 1,536 to 24,576 / 8 of what is cut."""
    deepseek = MODELS["deepseek-ai/DeepSeek-V3"]
    query, latent, up, output = 7168 + 1536 + 1536 + 3072, 7168 + 576, 512 + 4096, 2048 + 7168
    dense = 2 * (7168 + 2304) + 2304 + 7168
    shared = 2 * (7168 + 256) + 256 + 7168
    experts = 256 * (2 * 7168 + 3 * 256 + 7168)
    total = 61 * (query + latent + up + output) + 3 * dense + 58 * (shared + experts + 7168 + 256)
    (found,) = adapter_stages(deepseek, FORMATS["fp8"], Layout(tp=8), lora())
    assert found == pytest.approx(2 * 16 * total, rel=1e-3)


def test_fully_sharded_projections_to_latents_stay_whole_and_those_from_them_are_cut() -> None:
    """The three dense layers of DeepSeek V3 on eight GPUs: A of what comes from latents cut, B of output and down."""
    deepseek = MODELS["deepseek-ai/DeepSeek-V3"]
    dense = replace(deepseek.architecture, groups=deepseek.architecture.groups[:1], order=())
    model = replace(deepseek, architecture=dense, lora="linear")
    plain, sharded = (
        adapter_stages(model, BF16, Layout(tp=8), lora(rank=8, sharded=each))[0] for each in (False, True)
    )
    from_latents, output, block = (1536 - 192) + (512 - 64), 7168 - 896, 3 * (7168 - 896)
    assert dense.layers == 3
    assert plain - sharded == 2 * 8 * 3 * (from_latents + output + block)


def test_adapters_of_vllm_up_to_0_11_bring_256_tokens_each_in_embedding_and_head() -> None:
    """One of rank 16: 256 rows of 4,096 for either end in 16 bit, and A of the embedding for as many more tokens."""
    (since,) = adapter_stages(LLAMA, BF16, Layout(), lora())
    (before,) = adapter_stages(LLAMA, BF16, Layout(), lora(version=11))
    assert before - since == 2 * (2 * 256 * 4096 + 16 * 256)


def test_each_pipeline_stage_has_its_layers_the_first_the_embedding_and_the_last_the_head() -> None:
    (whole,) = adapter_stages(LLAMA, BF16, Layout(), lora())
    first, second = adapter_stages(LLAMA, BF16, Layout(pp=2), lora())
    assert first == second == whole / 2
    assert adapter_stages(LLAMA, BF16, Layout(pp=2), lora(name="sglang")) == (whole - 2 * 16 * 2 * 132352,) * 2


def test_a_model_in_fp32_has_its_adapters_in_fp32() -> None:
    (half,) = adapter_stages(LLAMA, BF16, Layout(), lora())
    assert adapter_stages(LLAMA, FORMATS["fp32"], Layout(), lora()) == (2 * half,)


@given(st.integers(1, 64), st.sampled_from(RANKS[1:]), st.sampled_from([1, 2, 4, 8]), st.booleans())
def test_buffers_grow_with_adapters_times_rank(adapters: int, rank: int, tp: int, sharded: bool) -> None:  # noqa: FBT001 - drawn
    (one,) = adapter_stages(LLAMA, BF16, Layout(tp=tp), lora(1, 8, sharded=sharded))
    (many,) = adapter_stages(LLAMA, BF16, Layout(tp=tp), lora(adapters, rank, sharded=sharded))
    assert adapters * rank / 8 * one <= many * (1 + 1e-9)
    assert many <= adapters * rank / 8 * one * ROUNDED


@given(st.sampled_from([1, 2, 4]), st.booleans())
def test_more_gpus_hold_less_each_and_no_less_together(tp: int, sharded: bool) -> None:  # noqa: FBT001 - drawn
    narrow, wide = (adapter_stages(LLAMA, BF16, Layout(tp=n), lora(sharded=sharded))[0] for n in (tp, 2 * tp))
    assert narrow / 2 <= wide < narrow


@pytest.mark.parametrize(("asked", "made"), [(1, 1), (2, 8), (16, 16), (17, 32), (65, 128), (257, 320), (512, 512)])
def test_vllm_makes_room_for_the_next_of_its_ranks_and_sglang_for_the_one_asked(asked: int, made: int) -> None:
    assert buffer_rank(lora(rank=asked)) == made
    assert buffer_rank(lora(rank=asked, name="sglang")) == asked


@pytest.mark.parametrize(("name", "version"), [("vllm", 24), ("vllm", 28), ("sglang", 28)])
def test_the_pool_is_smaller_by_the_buffers_and_by_graphs(name: str, version: int) -> None:
    gpu, engine = GPUS["h100-sxm"], lora(8, 32, name=name, version=version)
    plain = rank_memory(LLAMA, BF16, gpu, Layout(), replace(engine, adapters=0))
    held = rank_memory(LLAMA, BF16, gpu, Layout(), engine)
    assert (plain.adapters, held.adapters) == (0, max(adapter_stages(LLAMA, BF16, Layout(), engine)))
    assert plain.pool - held.pool == pytest.approx(held.adapters + held.graphs - plain.graphs)
    assert held.weights == plain.weights


def test_the_estimate_of_graphs_has_each_twice_and_earlier_versions_take_them_three_times() -> None:
    dense = LLAMA.architecture
    for version in (22, 30):
        plain, both = (graph_memory(dense, replace(lora(version=version), adapters=n), Layout()) for n in (0, 1))
        assert both == 2 * plain
    one, three = (graph_memory(dense, replace(lora(version=19), adapters=n), Layout()) for n in (0, 1))
    assert three - 0.37 * GIB == pytest.approx(3 * (one - 0.37 * GIB))


@pytest.mark.parametrize(
    ("model", "engine", "reason"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", lora(version=11), "only those of vLLM 0.12 and later are"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", lora(), "no source was read that says which of its layers take them"),
        ("Qwen/Qwen3-30B-A3B", lora(name="sglang"), "of SGLang only those of dense models"),
        ("microsoft/phi-4", lora(name="sglang"), "of SGLang only those of dense models"),
    ],
)
def test_what_no_source_was_read_of_is_said_to_be_unknown(model: str, engine: Engine, reason: str) -> None:
    assert (unknown(MODELS[model], engine) or "").startswith(reason)


def test_every_model_with_adapters_has_layers_whose_matrices_are_known() -> None:
    assert [model.id for model in MODELS.values() if model.lora and unknown(model, lora())] == []
