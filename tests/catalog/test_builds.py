"""Checkpoints published in FP4 and FP8: what they leave in 16 bit by their own lists, and what they then weigh."""

import json
from datetime import date
from typing import Any

import pytest

from data_files import DATA
from inferplan.catalog.asked_models import model_of
from inferplan.catalog.builds import BuildRow, build_rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.hugging_face.quantization.listed_modules import DENSE, EXPERTS, MIXERS, SHARED, ListedModules
from inferplan.catalog.models import MODELS
from inferplan.core.engine_memory import capacity, default_kv_bits
from inferplan.core.engines.rank_weights import rank_weights
from inferplan.core.engines.vllm_memory import loader
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import multi_token_bytes, vision_bytes, weights
from inferplan.core.model import Build, NativeBits
from inferplan.core.parallelism import Layout
from inferplan.core.speed.work import work_of
from inferplan.core.units import GB, GIB
from shapes import engine

ROWS = {row.id: row for row in build_rows()}
IGNORED: dict[str, Any] = json.loads((DATA / "nvfp4_ignored.json").read_text(encoding="utf-8"))["builds"]
NVFP4 = FORMATS["nvfp4"]
LATENT_IN_PARTS = {"nvidia/DeepSeek-V3.1-NVFP4", "nvidia/DeepSeek-V3.2-NVFP4"}
"""Builds that ignore all of latent attention but its output projection."""


def build(model: str) -> Build:
    found = MODELS[model].build("nvfp4")
    assert found is not None
    return found


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_every_build_is_of_a_catalogued_model_in_a_known_format_and_says_where_that_was_read(row: BuildRow) -> None:
    assert row.model in MODELS
    assert not MODELS[row.model].is_size_class
    assert row.precision in FORMATS
    assert row.checked <= date(2026, 11, 28)
    assert (MODELS[row.model].build(row.precision) == row.build()) is not row.apart


def test_no_model_has_two_builds_in_one_format() -> None:
    formats = [(row.model, row.precision) for row in build_rows() if not row.apart]
    assert len(set(formats)) == len(formats)
    assert len(build_rows()) == len(ROWS)


@pytest.mark.parametrize("name", sorted(IGNORED.keys() - LATENT_IN_PARTS))
def test_a_build_spends_16_bit_on_what_its_published_list_ignores_and_nvfp4_on_the_rest(name: str) -> None:
    row = ROWS[name]
    left = ListedModules(IGNORED[name]["ignore"], MODELS[row.model].architecture)
    parts = MODELS[row.model].parameters

    def mean(*kinds: str) -> float:
        return 4.5 + 11.5 * left.share(*kinds)

    assert not left.unknown
    assert row.bits.mixers == pytest.approx(mean(MIXERS), abs=1e-4)
    if parts.dense_ffn + parts.shared_experts:
        assert row.bits.ffn == mean(SHARED, DENSE)
    if parts.routed_experts:
        assert row.bits.routed_experts == mean(EXPERTS)


@pytest.mark.parametrize("name", sorted(LATENT_IN_PARTS))
def test_builds_of_deepseek_quantise_the_output_projection_of_attention_alone(name: str) -> None:
    """61 layers ignore q_a, q_b, kv_a and kv_b (and the indexer); o is 16,384 x 7,168 in 4.5 bit."""
    row = ROWS[name]
    ignored = {entry.rpartition("self_attn.")[2] for entry in IGNORED[name]["ignore"] if "self_attn" in entry}
    assert ignored - {"indexer*"} == {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"}
    latent = next(mixer for _, mixer in MODELS[row.model].architecture.mixers)
    assert isinstance(latent, Latent)
    whole = latent.params(7168)
    assert row.bits.mixers == pytest.approx((16 * whole - 11.5 * 16384 * 7168) / whole, abs=1e-3)
    assert (row.bits.ffn, row.bits.routed_experts) == (4.5, 4.5)


@pytest.mark.parametrize("name", IGNORED)
def test_a_build_whose_config_asks_for_an_fp8_cache_is_planned_with_one(name: str) -> None:
    assert IGNORED[name]["kv_cache_quant_algo"] == "FP8"
    model = MODELS[ROWS[name].model]
    assert default_kv_bits(model, NVFP4) == 8
    assert default_kv_bits(model, FORMATS["bf16"]) == 16


@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-R1", "Qwen/Qwen3-32B", "Qwen/Qwen3.6-35B-A3B"])
def test_where_no_build_is_known_to_ask_for_an_fp8_cache_the_cache_stays_in_16_bit(model: str) -> None:
    assert default_kv_bits(MODELS[model], NVFP4) == 16


def test_gemma_4_31b_loads_what_vllm_printed_of_nvidias_build() -> None:
    """31.18 GiB: robotmunki.com/pages/vllm-startup-log-annotated.html; every layer in 4.5 bit would be 19.58."""
    gpu = GPUS["rtx-pro-6000-blackwell-ws"]
    found = rank_weights(MODELS["google/gemma-4-31B-it"], NVFP4, Layout(), loader(gpu, engine()))
    assert found / GIB == pytest.approx(31.18, rel=0.006)


@pytest.mark.parametrize(
    ("model", "size", "within"),
    [
        # Files of nvidia/DeepSeek-R1-0528-NVFP4-v2 in a load test of a public repository: 413,340,567,567 B, with the
        # layer that predicts a further token in 16 bit.
        ("deepseek-ai/DeepSeek-R1", 413_340_567_567, 2e-4),
        # total_size of the index of nvidia/Llama-3.3-70B-Instruct-NVFP4, asserted by a public deployment script; the
        # scales of whole tensors are not counted.
        ("meta-llama/Llama-3.3-70B-Instruct", 42_709_045_632, 1e-6),
        # NVIDIA's blog on the NVFP4 checkpoint of Nemotron 3 Ultra: 352.3 GB, with its prediction layer.
        ("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", 352.3 * GB, 2e-3),
    ],
)
def test_a_build_weighs_what_its_files_do(model: str, size: float, within: float) -> None:
    found = MODELS[model]
    whole = weights(found, NVFP4).total + multi_token_bytes(found, NVFP4) + vision_bytes(found)
    assert whole == pytest.approx(size, rel=within)


def test_nvidias_minimax_m2_5_has_the_kv_cache_that_vllm_printed_without_a_flag_for_it() -> None:
    """395,376 tokens on two RTX PRO 6000 at 0.93, 196,608 tokens, 32 sequences: vLLM 0.28 on GPU2-256-40-2-1600.

    In 16 bit, with every layer in 4.5 bit, it would be 210,848.
    """
    model, gpu = MODELS["MiniMaxAI/MiniMax-M2.5"], GPUS["rtx-pro-6000-blackwell-server"]
    runs = engine(version=28, utilization=0.93, sequences=32, tokens=8192)
    kv_bits = default_kv_bits(model, NVFP4)
    found = capacity(model, NVFP4, gpu, Layout(tp=2), runs, context=196_608, kv_bits=kv_bits)
    assert found.tokens == pytest.approx(395_376, rel=0.015)


def test_a_build_leaves_every_other_format_of_its_model_alone() -> None:
    model = MODELS["google/gemma-4-31B-it"]
    linear, others = model.parameters.linear, model.parameters.total - model.parameters.linear
    for precision in (FORMATS["fp8"], FORMATS["mxfp4"], FORMATS["int4"]):
        assert weights(model, precision).total == pytest.approx((linear * precision.bits_per_weight + others * 16) / 8)


def test_a_head_and_lookup_tables_that_a_build_quantises_are_counted_so() -> None:
    """Qwen3.6 27B: the head of 1,271,398,400 in 4.5 bit; Qwen3.8 Flash-Next: a table of 51,200,245,760 in FP8."""
    assert weights(MODELS["Qwen/Qwen3.6-27B"], NVFP4).output_head == 1_271_398_400 * 4.5 / 8
    assert weights(MODELS["Qwen/Qwen3.8-Flash-Next"], NVFP4).lookup == 51_200_245_760


@pytest.mark.parametrize(
    ("model", "half"),
    [
        ("google/gemma-4-31B-it", 1.0),
        ("meta-llama/Llama-3.3-70B-Instruct", 0.0),
        ("deepseek-ai/DeepSeek-V3.1", (8.7819 - 4.5) / 11.5),
    ],
)
def test_the_speed_model_computes_in_16_bit_what_the_build_leaves_in_it(model: str, half: float) -> None:
    found = MODELS[model]
    mixing = found.parameters.attention + found.parameters.linear_attention
    work = work_of(found, NVFP4, tp=1, kv_bits=8)
    assert work.half_params == pytest.approx(mixing * half)
    assert work.half_params + work.dense_params == pytest.approx(
        mixing + found.parameters.dense_ffn + found.parameters.shared_experts + found.parameters.router
    )


def test_the_release_itself_is_no_build() -> None:
    assert MODELS["openai/gpt-oss-120b"].build("mxfp4") is None
    assert MODELS["openai/gpt-oss-120b"].own_bits("mxfp4") == NativeBits(routed_experts=4.25)
    assert build("zai-org/GLM-5.2").id == "nvidia/GLM-5.2-NVFP4"


@pytest.mark.parametrize(
    ("id_", "published", "of_the_release", "rows_of_matrices"),
    [
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", 405_868_625_920, 405_853_388_800, 124 * (2 * 53248 + 16384)),
        ("meta-llama/Llama-3.1-405B-FP8", 405_868_625_920, 405_853_388_800, 124 * (2 * 53248 + 16384)),
        (
            "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
            401_649_841_664,
            401_583_781_376,
            24 * 128 * (2 * 8192 + 5120),
        ),
        (
            "RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic",
            108_659_340_800,
            108_641_793_536,
            48 * 17 * (2 * 8192 + 5120),
        ),
    ],
)
def test_what_a_build_in_fp8_quantises_follows_from_its_scales(
    id_: str, published: int, of_the_release: int, rows_of_matrices: int
) -> None:
    """Its published total has one scale more a row of a quantised matrix: gate and up are as tall as wide, down is not.

    405B has 126 blocks of 53,248 columns, 124 in FP8; Maverick 128 experts in 24 layers, Scout 16 and one more in 48.
    """
    assert published - of_the_release == rows_of_matrices
    row = ROWS[id_]
    assert row.bits.mixers == 16
    scale = 32 / 3 * (2 * 8192 + 5120) / (8192 * 5120)
    means = {
        "meta-llama/Llama-3.1-405B-Instruct": (8 * 124 + 16 * 2) / 126 + 124 / 126 * 32 / 3 * (2 / 16384 + 1 / 53248),
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct": 16,
        "meta-llama/Llama-4-Scout-17B-16E-Instruct": 8 + scale,
    }
    assert row.bits.ffn == pytest.approx(means[row.model], abs=1e-4)
    if "Llama-4" in id_:
        assert row.bits.routed_experts == pytest.approx(8 + scale, abs=1e-4)


def test_qwen3_8_flash_next_has_fp8_in_its_experts_and_its_table_alone() -> None:
    """172.76 GiB in 152,089 tensors, 114.86 and 47.68 GiB of experts and table; in BF16 1,658 (PocketLLM PR 102).

    Its 48 layers and the one that predicts a further token have 512 experts of three matrices, each with its scales,
    which are two tensors a layer in BF16; the table has one scale: no other tensor has any.
    """
    matrices = 49 * 512 * 3
    assert 152_089 - 2 * matrices - 1 == 1_658 - 49 * 2
    model, row = MODELS["Qwen/Qwen3.8-Flash-Next"], ROWS["Qwen/Qwen3.8-Flash-Next-FP8"]
    extra = model.architecture.multi_token
    assert extra
    assert (row.bits.mixers, row.bits.ffn, row.bits.output_head) == (16, 16, 16)
    found = weights(model, FORMATS["fp8"])
    further = 512 * 3 * 2560 * 640
    assert found.lookup / GIB == pytest.approx(47.68, abs=0.005)
    assert (found.routed_experts + further * row.bits.routed_experts / 8) / GIB == pytest.approx(114.86, abs=0.005)
    rest = 2 * (extra.params - further) + further * row.bits.routed_experts / 8
    assert (found.total + vision_bytes(model) + rest) / GIB == pytest.approx(172.76, abs=0.01)
    assert multi_token_bytes(model, FORMATS["fp8"]) == pytest.approx(rest, rel=0.04)


def test_a_build_that_stands_apart_changes_nothing_of_its_model() -> None:
    """Meta leaves attention of 405B in 16 bit: 72 GB more than FP8 throughout, as NVIDIA and Red Hat publish it."""
    own, other = model_of("meta-llama/Llama-3.1-405B-Instruct-FP8"), MODELS["meta-llama/Llama-3.1-405B-Instruct"]
    assert own.native_precision == "fp8"
    assert other.build("fp8") is None
    more = weights(own, FORMATS["fp8"]).total - weights(other, FORMATS["fp8"]).total
    assert more / GB == pytest.approx(71.87 + 329.77 * 0.1285 / 8, abs=0.3)
