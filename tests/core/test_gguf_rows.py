"""Rows that are no whole blocks of 256: files of such models are larger than the bits of their mix say."""

from statistics import mean

import pytest

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core import memory
from inferplan.core.gguf_rows import MIXES, More, more
from inferplan.tools.vram import TOOL

GLM = "zai-org/glm-4-9b-chat-hf"
DEEPSEEK = "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct"
PUBLISHED_GB: dict[str, dict[str, float]] = {
    GLM: {
        "iq3_m": 4.81,
        "iq3_s": 4.59,
        "iq3_xs": 4.43,
        "iq4_nl": 5.51,
        "iq4_xs": 5.30,
        "q2_k": 3.99,
        "q3_k_l": 5.28,
        "q3_k_m": 5.06,
        "q3_k_s": 4.59,
        "q4_k_m": 6.25,
        "q4_k_s": 5.75,
        "q5_k_m": 7.14,
        "q5_k_s": 6.69,
        "q6_k": 8.26,
    },
    DEEPSEEK: {"q4_k_m": 10.4, "q4_k_s": 9.53, "q5_k_m": 11.9, "q6_k": 14.1},
    "Qwen/Qwen2.5-72B-Instruct": {"q4_k_m": 47.4},
}
"""Sizes of files on Hugging Face: RichardErkhov/THUDM_-_glm-4-9b-gguf, mradermacher's, bartowski's. [GB]

Their down projections are 13,696, 1,408 and 10,944, and 29,568 wide. Mixes of fewer bits of DeepSeek's, whose embedding
and head are half as much of it as of the model that the bits are measured on, come out 3 to 6 % too large.
"""


@pytest.mark.parametrize("model", PUBLISHED_GB)
def test_files_of_models_whose_rows_are_no_whole_blocks_have_their_published_size(model: str) -> None:
    """Without the wider types they would be 2 to 9 % too small."""
    checkpoint, sizes = MODELS[model], PUBLISHED_GB[model]
    off = [memory.weights(checkpoint, FORMATS[mix]).total / 1e9 / size - 1 for mix, size in sizes.items()]
    flat = [checkpoint.total_params * FORMATS[mix].bits_per_weight / 8e9 / size - 1 for mix, size in sizes.items()]
    assert max(map(abs, off)) < 0.022
    assert mean(map(abs, off)) < mean(map(abs, flat)) / 4


def test_q6_k_keeps_down_projections_of_unfit_rows_in_8_bit() -> None:
    """A third of a gated block: (8.5 - 6.5625) / 3 of a bit more."""
    assert more(MODELS[GLM], "q6_k").ffn == pytest.approx(1.9375 / 3)


@pytest.mark.parametrize("mix", MIXES)
def test_models_of_whole_blocks_and_size_classes_are_stored_as_their_mix_is(mix: str) -> None:
    for model in ("meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen3-30B-A3B", "745B MoE"):
        assert more(MODELS[model], mix) == More()


def test_experts_of_gpt_oss_get_no_smaller_in_a_mix_of_2_bit_which_is_not_offered() -> None:
    """2,880 is no multiple of 256: Q2_K becomes 4.5 bit, of which unsloth's file of the 20B in Q2_K has 11.5 GB."""
    small = TOOL.ask({"model": "gpt-oss 20b", "precision": "q2_k", "engine": "llama.cpp", "gpu": "rtx 3090"})
    assert small.weights_gb > 11.5
    short = TOOL.ask({"model": "gpt-oss 120b", "engine": "llama.cpp", "gpu": "rtx 3090", "total_gpus": 2})
    assert not short.fits
    assert not any("precision" in one.change for one in short.changes)


def test_the_formula_shows_what_each_class_of_tensors_takes() -> None:
    answer = TOOL.ask({"model": GLM, "precision": "q6_k", "engine": "llama.cpp", "gpu": "rtx 3090"})
    first = answer.formula[0]
    terms = [
        float(part.split(" x ")[0].replace(",", "")) * float(part.split(" x ")[1].split()[0])
        for part in first.removeprefix("weights").rpartition(" = ")[0].split(" + ")
    ]
    assert sum(terms) / 8e9 == pytest.approx(answer.weights_gb, rel=1e-4)
