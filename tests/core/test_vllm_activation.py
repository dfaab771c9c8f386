"""The peak of vLLM's trial run, worked by hand: forward pass, sampler, workspace of experts, images."""

from dataclasses import replace

import pytest

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine_memory import rank_memory
from inferplan.core.engines.vllm_activation import activation_peak, tuning_peak
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB
from shapes import dense, engine, h100, model, precision, sparse

LLAMA_8B = model(dense(layers=32, hidden=4096, heads=32, ffn=14336))
FP32 = replace(precision(bits=32), id="fp32")
TOY = dense(layers=1, hidden=1000, ffn=3000, vocab=100)
"""A vocabulary so small that the forward pass decides the peak."""
NO_SAMPLES = engine(sequences=1)


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


def test_the_first_runner_tries_out_rejection_of_one_draft_for_each_sequence() -> None:
    """Three more logits of 2 B and two of 4 B, of 1,024 sequences; the second runner tries out none."""
    shape = dense(ffn=100)
    first, second = (
        [activation_peak(shape, replace(engine(version=version), drafts=n), tp=1) for n in (0, 1, 3)]
        for version in (21, 29)
    )
    assert first[1] - first[0] == (3 * 2 + 2 * 4) * 1024 * 128_256
    assert first[2] == first[1]
    assert len(set(second)) == 1


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


def test_what_an_encoder_gives_out_is_not_kept_where_there_are_no_images() -> None:
    """`--language-model-only`: the trial is that of the text alone."""
    seeing = replace(dense(), vision_params=10**9)
    blind, settings = dense(), engine(version=21)
    assert activation_peak(seeing, replace(settings, images=False), tp=1) == activation_peak(blind, settings, tp=1)


@pytest.mark.parametrize(("version", "per_logit"), [(24, 6), (27, 6), (28, 2), (29, 2), (31, 2), (33, 14)])
def test_the_second_runner_samples_from_the_logits_alone_or_from_a_copy(version: int, per_logit: float) -> None:
    """Widths so small that the sampler decides the peak: 2 B x 1,024 x 128,256, with a copy 4 B more, with three 12."""
    narrow = dense(hidden=128, heads=8, ffn=128)
    peak = activation_peak(narrow, engine(version=version), tp=1)
    assert peak == per_logit * 1024 * 128_256 + 2 * 8192 * 128


def test_fp32_peaks_at_four_bytes_an_element() -> None:
    """Llama-3.1-8B on 0.19: 16.75 x 1,024 x 128,256 + 4 x 8,192 x 4,096 = 2.17 GiB; 2.21 GiB were printed."""
    peak = rank_memory(LLAMA_8B, FP32, h100(), Layout(), engine(version=19)).activation
    assert peak == 16.75 * 1024 * 128_256 + 4 * 8192 * 4096


# --- what a first start tries kernels out on --------------------------------------------------------------------------

QWEN_8B = MODELS["Qwen/Qwen3-8B"]
COMPILES = replace(engine(version=28, sequences=256, tokens=2048), first_start=True)


@pytest.mark.parametrize(("tp", "size"), [(1, 2 * 4096 * (151_936 + 4096)), (2, 2 * 4096 * (75_968 + 4096))])
def test_a_first_start_holds_the_table_of_embeddings_again_and_two_hidden_states(tp: int, size: int) -> None:
    """Qwen3 8B: 2 B x 4,096 x (151,936 rows, or half of them, + 2 x 2,048 tokens): 1.19 and 0.61 GiB."""
    assert tuning_peak(QWEN_8B.architecture, COMPILES, tp=tp) == size


@pytest.mark.parametrize("change", [{"first_start": False}, {"cuda_graphs": False}, {"version": 19}])
def test_what_is_not_compiled_now_is_not_tried_out(change: dict[str, bool]) -> None:
    assert tuning_peak(QWEN_8B.architecture, replace(COMPILES, **change), tp=1) == 0


def test_a_model_that_sees_looks_embeddings_up_before_what_is_compiled() -> None:
    sees = MODELS["Qwen/Qwen3.8-27B"].architecture
    assert tuning_peak(sees, COMPILES, tp=1) == 0
    assert tuning_peak(sees, replace(COMPILES, images=False), tp=1) > 0


def test_the_stage_that_embeds_tries_its_table_out() -> None:
    """Llama 70B in three stages of 27, 27 and 26 layers: the first is the busiest, 2 B x 8,192 x (128,256 + 16,384)."""
    llama = model(dense(layers=80, hidden=8192, heads=64, ffn=28_672))
    told = replace(engine(version=28), first_start=True)
    busiest = rank_memory(llama, precision(bits=16), h100(), Layout(pp=3), told)
    assert busiest.activation == 2 * 8192 * (128_256 + 2 * 8192)


def test_a_first_start_on_two_gpus_had_as_many_blocks_less_as_are_said() -> None:
    """Qwen3 32B in AWQ on two RTX 4090 and vLLM 0.28, 40 sequences and 3,584 tokens a step (vLLM's issue 54383).

    245 blocks of 16 tokens less than the second start, of 128 KiB each on a rank: 0.48 GiB, of which 0.40 are said.
    """
    usual = engine(version=28, sequences=40, tokens=3584)
    case = MODELS["Qwen/Qwen3-32B"], FORMATS["awq"], GPUS["rtx-4090"], Layout(tp=2)
    second, first = (rank_memory(*case, replace(usual, first_start=one)).pool for one in (False, True))
    assert (second - first) / GIB == pytest.approx(0.40, abs=0.005)
    printed = 245 * 16 * 128 * 1024 / GIB
    assert printed == pytest.approx((second - first) / GIB, abs=0.08)
