"""vLLM without settings: what it batches and caches, the share that it fills, the runner that takes a model."""

from dataclasses import replace

import pytest

from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engine_memory import rank_memory
from inferplan.core.engines.vllm_defaults import (
    default_batching,
    default_latent_scales,
    default_prefix_caching,
    default_state_checkpoints,
    has_second_runner,
    is_on_second_runner,
    utilization,
)
from inferplan.core.parallelism import Layout
from shapes import dense, engine, h100, model, precision

LLAMA_8B = model(dense(layers=32, hidden=4096, heads=32, ffn=14336))
BF16 = precision(bits=16)


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
        ("b300-sxm", 33, (16384, 1024)),
        ("dgx-spark-gb10", 31, (8192, 1024)),
        ("dgx-spark-gb10", 33, (2048, 256)),
    ],
)
def test_the_engine_batches_more_on_large_gpus_except_a100_and_most_from_160_gib_on(
    gpu: str, version: int, batching: tuple[int, int]
) -> None:
    assert default_batching(GPUS[gpu], version) == batching


@pytest.mark.parametrize(
    ("id_", "versions"),
    [
        ("Qwen/Qwen3-14B", {22, 23, 24, 25, 28}),
        ("meta-llama/Llama-3.1-8B-Instruct", {23, 24, 25, 28}),
        ("Qwen/Qwen2.5-7B-Instruct", {25, 28}),
        ("google/gemma-2-9b-it", {25, 28}),
        ("Qwen/Qwen3-30B-A3B", set[int]()),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", set[int]()),
        ("google/gemma-3-12b-it", {25, 28}),
        ("Qwen/Qwen2-57B-A14B-Instruct", {24, 25, 28}),
        ("deepseek-ai/DeepSeek-V2-Lite", set[int]()),
    ],
)
def test_the_second_runner_takes_models_without_experts_and_states(id_: str, versions: set[int]) -> None:
    """vLLM's `DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES` and what 0.25 put in its place; of DeepSeek V2 see its limits."""
    shape = MODELS[id_].architecture
    taken = {version for version in (21, 22, 23, 24, 25, 28, 29) if has_second_runner(shape, engine(version=version))}
    assert taken == versions


@pytest.mark.parametrize(
    "id_", ["Qwen/Qwen3-14B", "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3.6-27B", "deepseek-ai/DeepSeek-V4-Flash"]
)
@pytest.mark.parametrize("version", [29, 31, 33])
def test_since_0_29_the_second_runner_takes_every_model_unless_the_first_is_asked_for(id_: str, version: int) -> None:
    shape, told = MODELS[id_].architecture, engine(version=version)
    assert is_on_second_runner(shape, told)
    assert not is_on_second_runner(shape, replace(told, first_runner=True))
    assert not has_second_runner(shape, told)


@pytest.mark.parametrize(
    ("gpu", "version", "kept"),
    [
        ("h100-sxm", 33, True),
        ("b200-sxm", 33, True),
        ("rtx-5090", 33, True),
        ("a100-80gb-sxm", 33, False),
        ("l40s", 33, False),
        ("mi300x", 33, False),
        ("h100-sxm", 31, False),
        ("h100-sxm", 32, False),
    ],
)
def test_since_0_33_hopper_and_blackwell_hand_out_states_inside_a_prompt(gpu: str, version: int, *, kept: bool) -> None:
    assert default_state_checkpoints(GPUS[gpu], version) is kept


@pytest.mark.parametrize("id_", ["Qwen/Qwen3-14B", "google/gemma-4-31B-it", "deepseek-ai/DeepSeek-V4-Flash"])
def test_the_first_runner_can_be_asked_for(id_: str) -> None:
    """A start of Gemma 4 31B on 0.26, which counted its graphs, had VLLM_USE_V2_MODEL_RUNNER=0 before its command."""
    told = engine(version=28)
    assert has_second_runner(MODELS[id_].architecture, told)
    assert not has_second_runner(MODELS[id_].architecture, replace(told, first_runner=True))


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
