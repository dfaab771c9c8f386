"""Memory and shares where groups of data-parallel attention share experts, worked out by hand, and laws."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import Engine
from inferplan.core.engine_memory import capacity, rank_memory
from inferplan.core.engines import sglang_defaults, sglang_memory, vllm_buffers
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.memory import weights
from inferplan.core.parallelism import Layout, expert_ranges, expert_share, sharing_degrees
from inferplan.core.units import GB, GIB

DEEPSEEK = MODELS["deepseek-ai/DeepSeek-V3"]
QWEN = MODELS["Qwen/Qwen3-235B-A22B"]
FP8 = FORMATS["fp8"]
H200, H100 = GPUS["h200-sxm"], GPUS["h100-sxm"]
VLLM = Engine(max_num_seqs=1024, max_num_batched_tokens=8192)
SGLANG = Engine(name="sglang", max_num_seqs=2048, max_num_batched_tokens=8192)
GROUPS = st.sampled_from([2, 4, 8, 16, 24, 32, 64])
TENSOR = st.sampled_from([1, 2, 4, 8])
MIXTURES = st.sampled_from([DEEPSEEK, QWEN, MODELS["openai/gpt-oss-120b"], MODELS["745B MoE"]])


def test_16_ranks_hold_16_experts_of_deepseek_each_and_repeat_the_rest() -> None:
    """256 experts x 58 layers x 3 x 7,168 x 2,048 = 653.9 GB in FP8: 40.9 GB on each of 16, and 17 GB of the rest."""
    routed = weights(DEEPSEEK, FP8).routed_experts
    assert routed == pytest.approx(256 * 58 * 3 * 7168 * 2048, rel=1e-3)
    whole, shared = rank_weights(DEEPSEEK, FP8, Layout()), rank_weights(DEEPSEEK, FP8, Layout(attention_dp=16))
    assert whole - shared == pytest.approx(routed * 15 / 16, rel=1e-3)
    assert shared / GB == pytest.approx(40.9 + 21.2, abs=0.3)


def test_ranks_of_a_tensor_group_repeat_the_shared_expert_and_split_attention() -> None:
    """vLLM's sequence-parallel experts: of TP 2 the shared expert of 58 x 3 x 7,168 x 2,048 B is on both ranks."""
    tensor = rank_weights(DEEPSEEK, FP8, Layout(tp=2))
    both = rank_weights(DEEPSEEK, FP8, Layout(tp=2, attention_dp=8))
    routed, shared = weights(DEEPSEEK, FP8).routed_experts, 58 * 3 * 7168 * 2048
    assert tensor - both == pytest.approx(routed * (1 / 2 - 1 / 16) - shared / 2, rel=1e-3)


def test_24_ranks_hold_11_of_256_experts_or_10() -> None:
    counts = [len(one) for one in expert_ranges(256, 24)]
    assert counts == [11] * 16 + [10] * 8
    assert expert_share(Layout(attention_dp=24), 256) == 11 / 256


@given(experts=st.integers(1, 512), ranks=st.integers(1, 600))
def test_every_expert_is_on_one_rank_and_the_first_rank_is_the_fullest(experts: int, ranks: int) -> None:
    ranges = expert_ranges(experts, ranks)
    assert [one for held in ranges for one in held] == list(range(experts))
    assert max(map(len, ranges)) == len(ranges[0]) <= min(map(len, ranges)) + 1


@given(experts=st.integers(2, 512), tp=TENSOR, domain=st.sampled_from([1, 4, 8, 72]), most=st.integers(1, 700))
def test_groups_that_share_experts_fill_a_domain_in_equal_parts_or_several_with_as_many_experts_on_each_rank(
    experts: int, tp: int, domain: int, most: int
) -> None:
    whole = domain // tp
    for groups in sharing_degrees(experts, tp=tp, domain=domain, most=most):
        ranks = groups * tp
        assert groups > 1
        assert ranks <= min(experts, most)
        if ranks <= domain:
            assert groups == whole or groups & (groups - 1) == 0 or whole % groups == experts % ranks == 0
        else:
            assert experts % ranks == 0
            assert 0 in (groups % whole, groups % 2 ** (whole.bit_length() - 1))


@given(
    experts=st.integers(2, 512),
    tp=TENSOR,
    domain=st.sampled_from([8, 72]),
    most=st.integers(1, 700),
    more=st.integers(0, 300),
)
def test_more_gpus_leave_every_group_that_fewer_allow(experts: int, tp: int, domain: int, most: int, more: int) -> None:
    few, many = (sharing_degrees(experts, tp=tp, domain=domain, most=gpus) for gpus in (most, most + more))
    assert few == [groups for groups in many if groups * tp <= most]


def test_vllm_is_ready_for_the_tokens_of_all_groups_of_a_node() -> None:
    """2 B x 8 x 8,192 tokens x 8 experts x (7,168 + 7,168) = 15.0 GB, 13.2 GB more than for those of one group."""
    here = rank_memory(DEEPSEEK, FP8, H200, Layout(attention_dp=8), VLLM).activation
    alone = rank_memory(DEEPSEEK, FP8, H200, Layout(), VLLM).activation
    assert here - alone == pytest.approx(2 * 7 * 8192 * 8 * 14_336)


def test_up_to_vllm_16_experts_took_16384_tokens_at_a_time() -> None:
    old = replace(VLLM, version=16)
    here = rank_memory(DEEPSEEK, FP8, H200, Layout(attention_dp=8), old).activation
    alone = rank_memory(DEEPSEEK, FP8, H200, Layout(), old).activation
    assert here - alone == pytest.approx(2 * 8192 * 8 * 14_336)


def test_between_nodes_deepep_takes_buffers_and_batches_of_256_tokens() -> None:
    """4 x 256 experts x 256 tokens x (7,168 x 2 B + 56 scales x 4 B) = 3.8 GB; 2 B x 256 x 256 x 14,336 = 1.9 GB."""
    wide, near = (rank_memory(DEEPSEEK, FP8, H200, Layout(attention_dp=n), VLLM) for n in (16, 8))
    assert wide.non_torch - near.non_torch == pytest.approx(4 * 256 * 256 * (7168 * 2 + 224))
    assert wide.activation - near.activation == pytest.approx(2 * 14_336 * (256 * 256 - 8 * 8192 * 8))


def test_what_deepep_takes_for_128_tokens_is_what_sglang_sets_aside() -> None:
    """SGLang reserves 2 GiB for the buffers of DeepSeek at its 128 tokens a rank."""
    half = vllm_buffers.exchange_buffers(DEEPSEEK.architecture, H200, Layout(attention_dp=16)) / 2
    assert 0.85 * sglang_defaults.EXCHANGE_BUFFERS < half < sglang_defaults.EXCHANGE_BUFFERS


def test_a_latent_is_kept_once_by_a_group_instead_of_once_by_every_rank() -> None:
    """61 x 576 x 2 B = 70,272 B a token: TP 8 keeps it eight times, eight groups keep a different one each."""
    held = capacity(DEEPSEEK, FP8, H200, Layout(attention_dp=8), VLLM, context=4096, kv_bits=16)
    each = held.memory.pool // (16 * 70_272) * 16
    assert held.tokens == 8 * each
    assert held.sessions == 8 * int(each // 4096)


def test_sglang_reserves_for_every_group_of_data_parallel_attention() -> None:
    """512 + 8,192 x 1.5 + 1,024 (8 ranks) + 1,024 + 1,536 (graphs) + 512 x 8 x 4.5 + 2,048 MiB = 36.2 GiB of H200."""
    mebibytes = 512 + 12_288 + 1024 + 1024 + 1536 + 18_432 + 2048
    layout = Layout(attention_dp=8)
    assert sglang_defaults.reserve(DEEPSEEK.architecture, H200, layout, SGLANG) == mebibytes * 2**20
    assert sglang_memory.utilization(DEEPSEEK.architecture, H200, layout, SGLANG) == round(
        1 - mebibytes * 2**20 / H200.memory, 3
    )


def test_without_graphs_sglang_sets_no_buffers_of_deepep_aside() -> None:
    """512 + 8,192 x 1.5 + 1,024 MiB: nothing for graphs, nor for the low-latency exchange that runs in them."""
    eager = replace(SGLANG, cuda_graphs=False)
    assert (
        sglang_defaults.reserve(DEEPSEEK.architecture, H200, Layout(attention_dp=8), eager)
        == (512 + 12_288 + 1024) * 2**20
    )


def test_sglang_shares_a_chunk_of_prompts_among_the_groups() -> None:
    """1,024 tokens of each of 8 groups go through attention, 8,192 through the experts as with one group."""
    one, eight = (
        sglang_memory.forward_peak(DEEPSEEK.architecture, layout, replace(SGLANG, max_num_seqs=1))
        for layout in (Layout(), Layout(attention_dp=8))
    )
    assert 1 * GIB < eight < one


@given(model=MIXTURES, tp=TENSOR, pp=st.sampled_from([1, 2, 3]), groups=GROUPS)
def test_sharing_experts_never_adds_to_what_a_gpu_holds_of_them(model: object, tp: int, pp: int, groups: int) -> None:
    assert isinstance(model, type(DEEPSEEK))
    alone, shared = (rank_weights(model, FP8, Layout(tp=tp, pp=pp, attention_dp=n)) for n in (1, groups))
    experts = model.architecture.experts
    assert experts is not None
    assert expert_share(Layout(tp=tp, attention_dp=groups), experts.experts) <= 1 / tp or groups * tp > experts.experts
    repeated = weights(model, FP8).ffn * (1 - 1 / tp)
    if groups * tp <= experts.experts:
        assert shared <= (alone + repeated) * 1.001


@given(tp=TENSOR, pp=st.sampled_from([1, 2]), dp=st.integers(1, 5))
def test_one_group_is_no_group(tp: int, pp: int, dp: int) -> None:
    layout = Layout(tp=tp, pp=pp, dp=dp)
    assert (layout.ep, layout.data, layout.ranks) == (1, dp, tp)
    assert expert_share(layout, 256) == 1 / tp
