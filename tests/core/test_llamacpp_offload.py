"""What llama.cpp keeps on GPUs that do not hold a model: layers from the last, or all but experts from the first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine import Engine
from inferplan.core.engines.llamacpp_memory import memory
from inferplan.core.engines.llamacpp_offload import all_experts_out, expert_layers_out, layers_held
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB

ENGINE = Engine(name="llama.cpp", max_num_seqs=256, max_num_batched_tokens=512)
CARDS = ["rtx-3090", "rtx-4090", "rtx-5090", "l40s", "h100-sxm"]


def layers(model: str, form: str, *, gpu: str = "rtx-4090", context: int = 8192, gpus: int = 1) -> int:
    on = (MODELS[model], FORMATS[form], GPUS[gpu], Layout(pp=gpus), ENGINE)
    return layers_held(*on, context=context, kv_bits=16)


def experts(model: str, form: str, *, gpu: str = "rtx-4090", context: int = 8192, gpus: int = 1) -> int | None:
    on = (MODELS[model], FORMATS[form], GPUS[gpu], Layout(pp=gpus), ENGINE)
    return expert_layers_out(*on, context=context, kv_bits=16)


def all_experts(model: str, form: str, *, gpu: str = "rtx-4090", gpus: int = 2) -> bool:
    on = (MODELS[model], FORMATS[form], GPUS[gpu], Layout(pp=gpus), ENGINE)
    return all_experts_out(*on, context=8192, kv_bits=16)


LLAMA_70B = "meta-llama/Llama-3.3-70B-Instruct"
GPT_OSS = "openai/gpt-oss-120b"


def test_41_layers_and_the_head_of_70b_fit_24_gb() -> None:
    """22.05 GiB - 0.30 GB buffer - 0.86 GB head = 22.52 GB, of 513 MB of weights and 34 MB of cache a layer: 41.2.

    40 of them were taken on an RTX 3090 with 2,048 tokens: ggml-org/llama.cpp, issue 2496.
    """
    budget = memory(MODELS[LLAMA_70B], FORMATS["q4_k_m"], GPUS["rtx-4090"], Layout(), ENGINE).budget
    assert budget / GIB == pytest.approx(22.05, abs=0.01)
    layer, cache = 855_654_400 * 4.7985 / 8, 2 * 8 * 128 * 2 * 8192
    assert (budget - 0.2962e9 - 0.8619e9) // (layer + cache) == 41
    assert layers(LLAMA_70B, "q4_k_m") == 41 + 1


def test_the_experts_of_25_layers_of_gpt_oss_leave_24_gb() -> None:
    """64.4 GB with a tensor's room less 23.25 GB, over 1.693 GB of experts a layer: 24.3.

    26 were left out on a card of 24 GB, with 38,000 tokens and a part on a second card, in a published setup.
    """
    assert experts(GPT_OSS, "mxfp4", context=32768) == 25


def test_a_model_without_experts_and_several_gpus_are_told_layers_alone() -> None:
    assert experts(LLAMA_70B, "q4_k_m") is None
    assert experts(GPT_OSS, "mxfp4", gpus=2) is None


@pytest.mark.parametrize(
    ("model", "gpus", "told"),
    [
        ("deepseek-ai/DeepSeek-V3.1", 2, True),
        ("deepseek-ai/DeepSeek-V3.1", 8, True),
        ("Qwen/Qwen3-235B-A22B", 2, True),
        ("Qwen/Qwen3-235B-A22B", 4, False),
        (GPT_OSS, 2, False),
        (LLAMA_70B, 1, False),
    ],
)
def test_several_gpus_keep_all_but_the_experts_where_the_host_then_reads_less(
    model: str, gpus: int, *, told: bool
) -> None:
    """Two 24 GB cards were told 6 of 62 layers of DeepSeek V3.1, of which all but the experts are 9.2 GB.

    The host reads 8 of 256 of 392 GB of experts a token, 12.3 GB; of 56 layers it would read 19.7 GB. Of gpt-oss two
    cards hold 25 of 36 layers, and the host reads less of the other 11 than of the experts of all.
    """
    assert all_experts(model, "mxfp4" if model == GPT_OSS else "q4_k_m", gpus=gpus) is told


def test_cards_without_room_for_all_but_the_experts_are_not_told_so() -> None:
    assert not all_experts("deepseek-ai/DeepSeek-V3", "q8_0", gpu="rtx-5080", gpus=1)
    assert all_experts("deepseek-ai/DeepSeek-V3", "q8_0", gpu="rtx-5080", gpus=4)


def test_what_a_card_cannot_hold_even_without_experts_is_told_layers() -> None:
    """Attention, shared experts and head of DeepSeek V3 in 8 bit take more than 16 GB."""
    assert experts("deepseek-ai/DeepSeek-V3", "q8_0", gpu="rtx-5080") is None
    assert layers("deepseek-ai/DeepSeek-V3", "q8_0", gpu="rtx-5080") <= 2


def test_a_model_that_fits_has_every_layer_and_its_head_on_the_gpu() -> None:
    assert layers("meta-llama/Llama-3.1-8B-Instruct", "q4_k_m") == 32 + 1


@given(
    contexts=st.tuples(st.integers(256, 131_072), st.integers(256, 131_072)),
    gpus=st.integers(1, 4),
    card=st.sampled_from(CARDS),
    form=st.sampled_from(["q4_k_m", "q8_0", "q2_k"]),
)
def test_longer_contexts_never_leave_more_layers_and_more_gpus_never_fewer(
    contexts: tuple[int, int], gpus: int, card: str, form: str
) -> None:
    short, long = sorted(contexts)
    held = layers(LLAMA_70B, form, gpu=card, context=short, gpus=gpus)
    assert layers(LLAMA_70B, form, gpu=card, context=long, gpus=gpus) <= held
    assert layers(LLAMA_70B, form, gpu=card, context=short, gpus=2 * gpus) >= held


@given(context=st.integers(256, 131_072), form=st.sampled_from(["q4_k_m", "q8_0", "mxfp4"]))
def test_smaller_cards_never_take_the_experts_of_more_layers(context: int, form: str) -> None:
    out = [experts(GPT_OSS, form, gpu=card, context=context) for card in ("rtx-5080", "rtx-4090", "rtx-5090")]
    known = [one for one in out if one is not None]
    assert known == sorted(known, reverse=True)
    assert all(1 <= one <= 36 for one in known)
