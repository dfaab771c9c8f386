"""Files of GGUF: every tensor has the type that llama.cpp's mix gives it, so that sizes are those of its own tool."""

from collections import Counter, defaultdict
from statistics import mean

import pytest

from configs import read
from data_files import rows
from gguf_files import file_bytes
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core import memory
from inferplan.core.gguf.mixes import BASE
from inferplan.core.gguf.tensors import layer_tensors
from inferplan.core.parameters import layer_params
from inferplan.core.units import MIB
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

Their down projections are 13,696, 1,408 and 10,944, and 29,568 wide.
"""
DRY_RUNS: defaultdict[str, dict[str, float]] = defaultdict(dict)
"""What `llama-quantize --dry-run` says of a published config in each mix. [MiB]"""
for _run in rows("gguf_dry_runs.tsv"):
    DRY_RUNS[_run["config"]][_run["mix"]] = float(_run["mib"])


@pytest.mark.parametrize("slug", sorted(DRY_RUNS))
def test_files_are_as_large_as_llama_cpp_says_before_it_writes_them(slug: str) -> None:
    """In each of its mixes."""
    for mix, mebibytes in DRY_RUNS[slug].items():
        assert file_bytes(read(slug), FORMATS[mix]) / MIB == pytest.approx(mebibytes, rel=1.5e-5, abs=0.06), mix


def test_every_mix_and_eighty_configs_are_held_against_llama_cpp() -> None:
    assert set().union(*DRY_RUNS.values()) == set(BASE)
    assert len(DRY_RUNS) >= 80


@pytest.mark.parametrize("slug", sorted(DRY_RUNS))
def test_weights_of_any_engine_are_those_of_the_file(slug: str) -> None:
    for mix in DRY_RUNS[slug]:
        model, form = read(slug), FORMATS[mix]
        assert memory.weights(model, form).total == pytest.approx(file_bytes(model, form), rel=1e-3), mix


@pytest.mark.parametrize("model", PUBLISHED_GB)
def test_files_of_models_whose_rows_are_no_whole_blocks_have_their_published_size(model: str) -> None:
    """Without the wider types they would be 2 to 9 % too small."""
    checkpoint, sizes = MODELS[model], PUBLISHED_GB[model]
    off = [memory.weights(checkpoint, FORMATS[mix]).total / 1e9 / size - 1 for mix, size in sizes.items()]
    flat = [checkpoint.total_params * FORMATS[mix].bits_per_weight / 8e9 / size - 1 for mix, size in sizes.items()]
    assert max(map(abs, off)) < 0.022
    assert mean(map(abs, off)) < mean(map(abs, flat)) / 4


@pytest.mark.parametrize("id_", MODELS)
def test_tensors_of_a_layer_have_its_parameters_class_by_class(id_: str) -> None:
    architecture = MODELS[id_].architecture
    for group in architecture.groups:
        tensors, counted = list(layer_tensors(architecture.hidden, group)), Counter[str]()
        for kind, params in layer_params(architecture.hidden, group):
            counted[kind] += params
        assert all(tensor.params > 0 for tensor in tensors)
        assert {kind: sum(one.params for one in tensors if one.kind == kind) for kind in counted} == counted


def test_q6_k_keeps_down_projections_of_unfit_rows_in_8_bit() -> None:
    """A third of a gated block: (8.5 - 6.5625) / 3 of a bit more."""
    assert memory.class_bits(MODELS[GLM], FORMATS["q6_k"]).ffn == pytest.approx(6.5625 + 1.9375 / 3)


@pytest.mark.parametrize("mix", BASE)
def test_size_classes_have_the_nominal_bits_of_a_mix(mix: str) -> None:
    bits = memory.class_bits(MODELS["745B MoE"], FORMATS[mix])
    assert set(vars_of(bits)) == {FORMATS[mix].nominal_bits}


def vars_of(bits: object) -> list[float]:
    """The bits of every class."""
    return [getattr(bits, name) for name in bits.__slots__]  # type: ignore[attr-defined]


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
