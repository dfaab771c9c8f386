"""What an engine does not run is refused with the ways out, and no answer has a command for it."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from pydantic import ValidationError

from data_files import DATA, memory_cases
from inferplan.catalog.engines import ENGINES, refusal, refusal_rows
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS, VENDORS
from inferplan.core.engine import ENGINES as NAMES
from inferplan.core.engine import EngineName
from inferplan.tools._tool import Answer
from inferplan.tools.registry import TOOLS_BY_NAME
from inferplan.tools.validation.memory_cases import MemoryCase, Setup
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_rows import SpeedRow
from published_speed import published
from refusals import runs

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
LOGS = "mean error on published logs: weights 0.1 %, KV pool 0.2 %; a first start has less: first_start=1"
GENERATIONS = list({gpu.architecture: gpu.id for gpu in GPUS.values()}.values())
"""A GPU of each architecture."""


def ask(tool: str, **arguments: Any) -> Any:
    return TOOLS_BY_NAME[tool].ask(arguments)


def size(**arguments: Any) -> Any:
    return ask("estimate_vram", **{"model": MODEL, "precision": "bf16"} | arguments)


def said(tool: str, **arguments: Any) -> str:
    """The one sentence with which a question is refused."""
    with pytest.raises(ValidationError) as caught:
        ask(tool, **arguments)
    (problem,) = caught.value.errors()
    return problem["msg"].removeprefix("Value error, ")


def assumption(answer: Answer, name: str) -> str:
    return next((one.line() for one in answer.assumptions if one.name == name), "")


class TestSentences:
    @pytest.mark.parametrize(
        ("asked", "sentence"),
        [
            (
                {"engine": "tensorrt-llm", "gpu": "mi300x"},
                "TensorRT-LLM 1.x does not run on MI300X; take engine vllm, sglang or llama.cpp, or another gpu",
            ),
            (
                {"engine": "tensorrt-llm", "gpu": "tpu-v6e"},
                "TensorRT-LLM 1.x does not run on TPU v6e; take engine vllm, or another gpu",
            ),
            (
                {"engine": "tensorrt-llm", "gpu": "gaudi-3"},
                "TensorRT-LLM 1.x does not run on Gaudi 3; take engine vllm or sglang, or another gpu",
            ),
            (
                {"engine": "tensorrt-llm", "gpu": "t4"},
                "TensorRT-LLM 1.x does not run on T4; take engine vllm, sglang or llama.cpp, or another gpu",
            ),
            (
                {"engine": "tensorrt-llm", "precision": "q4_k_m"},
                (
                    "TensorRT-LLM 1.x does not load GGUF Q4_K_M; take precision awq, gptq or mxfp4, "
                    "or engine vllm, sglang or llama.cpp"
                ),
            ),
            (
                {"engine": "tensorrt-llm", "precision": "fp8", "gpu": "a100"},
                (
                    "TensorRT-LLM 1.x does not load FP8 on A100 SXM4 80GB; take precision int8, "
                    "or engine vllm or sglang, or another gpu"
                ),
            ),
            (
                {"engine": "sglang", "precision": "mxfp8", "gpu": "h200"},
                (
                    "SGLang 0.5 does not load MXFP8 on H200 SXM5 141GB; take precision fp8, int8 or w8a16, "
                    "or engine vllm, or another gpu"
                ),
            ),
            (
                {"engine": "llama.cpp", "precision": "fp8"},
                (
                    "llama.cpp of late 2026 does not load FP8; take precision q8_0, "
                    "or engine vllm, sglang or tensorrt-llm"
                ),
            ),
            (
                {"engine": "llama.cpp", "precision": "awq"},
                (
                    "llama.cpp of late 2026 does not load INT4 AWQ; take precision nvfp4, mxfp4 or q4_k_m, "
                    "or engine vllm, sglang or tensorrt-llm"
                ),
            ),
            (
                {"engine": "llama.cpp", "precision": "bf16", "gpu": "gaudi-3"},
                "llama.cpp of late 2026 does not run on Gaudi 3; take engine vllm or sglang, or another gpu",
            ),
            (
                {"engine": "llama.cpp", "precision": "q4_k_m", "gpu": "tpu-v5e"},
                (
                    "llama.cpp of late 2026 does not run on TPU v5e; "
                    "take engine vllm with precision int4, awq or nvfp4, or another gpu"
                ),
            ),
            (
                {"gpu": "v100-32gb-sxm2", "precision": "fp16"},
                (
                    "vLLM 0.28 does not run on V100 SXM2 32GB; take engine llama.cpp, "
                    'or overrides="engine_version=0.20", or another gpu'
                ),
            ),
            (
                {"gpu": "v100-32gb-sxm2", "precision": "fp8"},
                ("vLLM 0.28 does not run on V100 SXM2 32GB; take engine llama.cpp with precision q8_0, or another gpu"),
            ),
            (
                {"gpu": "v100-32gb-sxm2", "precision": "fp8", "overrides": "engine_version=0.20"},
                ("vLLM 0.20 does not load FP8 on V100 SXM2 32GB; take precision gptq-int8 or q8_0, or another gpu"),
            ),
            (
                {"gpu": "b200", "precision": "int8"},
                (
                    "vLLM 0.28 does not load INT8 on B200 SXM; take precision fp8, w8a16 or gptq-int8, "
                    "or engine tensorrt-llm, or another gpu"
                ),
            ),
            (  # int8_scaled_mm: "for current compute capability" 7.5 to 9.0
                {"gpu": "rtx-pro-6000", "precision": "int8", "engine": "sglang"},
                (
                    "SGLang 0.5 does not load INT8 on RTX PRO 6000 Blackwell Workstation; "
                    "take precision fp8, w8a16 or gptq-int8, or engine tensorrt-llm, or another gpu"
                ),
            ),
            (
                {"gpu": "t4", "precision": "nvfp4", "engine": "sglang"},
                (
                    "SGLang 0.5 does not load NVFP4 on T4; take precision int4, awq or gptq, "
                    "or engine vllm or llama.cpp, or another gpu"
                ),
            ),
        ],
    )
    def test_what_cannot_run_is_refused_in_one_sentence_with_what_can(
        self, asked: dict[str, str], sentence: str
    ) -> None:
        assert said("estimate_vram", **{"model": MODEL} | asked) == sentence

    @pytest.mark.parametrize(
        ("tool", "asked"),
        [
            ("plan_parallelism", {"model": MODEL}),
            ("compare_costs", {"model": MODEL, "requests_per_day": 1000}),
            ("run_preset", {"preset": "team"}),
        ],
    )
    def test_tools_that_take_the_engine_as_an_override_offer_it_so(self, tool: str, asked: dict[str, Any]) -> None:
        sentence = (
            "vLLM 0.28 does not load INT8 on B200 SXM; take precision fp8, w8a16 or gptq-int8, or "
            'overrides="engine=tensorrt-llm", or another gpu'
        )
        case = {"gpu": "b200", "precision": "int8", **asked}
        assert said(tool, **case) == sentence
        assert ask(tool, **case, overrides="engine=tensorrt-llm").summary

    def test_a_version_that_still_ran_on_a_gpu_is_named_and_runs_there(self) -> None:
        """vLLM's documentation: compute capability 7.0 in 0.14, 7.5 in 0.21; V100 is 7.0."""
        old = {"gpu": "v100-32gb-sxm2", "precision": "gptq"}
        assert 'overrides="engine_version=0.20"' in said("plan_parallelism", model=MODEL, **old)
        assert ask("plan_parallelism", model=MODEL, overrides="engine_version=0.20", **old).fits
        assert "does not run" in said("plan_parallelism", model=MODEL, overrides="engine_version=0.21", **old)


class TestWhatRuns:
    @pytest.mark.parametrize(
        "asked",
        [
            {"precision": "fp8", "gpu": "a100"},  # weight-only, Marlin
            {"precision": "fp8", "gpu": "t4"},  # Marlin from compute capability 7.5 on
            {"precision": "nvfp4", "gpu": "h100"},  # weight-only, Marlin
            {"precision": "nvfp4", "gpu": "h100", "engine": "sglang"},  # pull request 19652
            {"precision": "fp8", "gpu": "mi300x"},
            {"precision": "fp8", "gpu": "mi300x", "engine": "sglang"},
            {"precision": "fp8", "gpu": "gaudi-3"},
            {"precision": "fp8", "gpu": "tpu-v6e"},
            {"precision": "q4_k_m"},
            {"precision": "iq4_xs"},
            {"precision": "q4_k_m", "gpu": "mi300x"},
            {"precision": "q4_k_m", "gpu": "v100-32gb-sxm2", "engine": "llama.cpp"},
            {"precision": "q4_k_m", "gpu": "apple-m4-max", "engine": "llama.cpp"},
            {"precision": "nvfp4", "gpu": "rtx-5090", "engine": "llama.cpp"},
            {"precision": "awq", "gpu": "b200", "engine": "tensorrt-llm"},
            {"precision": "int8", "gpu": "h100"},
            {"precision": "mxfp8", "gpu": "a100"},
            {"precision": "mxfp8", "gpu": "mi355x", "engine": "sglang"},
        ],
    )
    def test_what_is_known_to_run_has_a_command(self, asked: dict[str, str]) -> None:
        assert size(**asked).launch

    def test_mxfp4_runs_on_hopper_under_tensorrt_llm(self) -> None:
        """Its GPT-OSS guide: H200, experts in MXFP4 by Triton."""
        assert ask("estimate_vram", model="gpt-oss-120b", gpu="h200", engine="tensorrt-llm").launch

    def test_no_published_run_is_one_that_is_said_not_to_run(self) -> None:
        """5,400 measurements of speed, and 130 of memory, on 30 types of GPU."""
        found = list(_published())
        assert len(found) > 5000
        assert [run for run in found if not runs(*run)] == []


def _published() -> Iterator[tuple[str, str, EngineName]]:
    """GPU, format and engine of each published run for which all three are known here."""
    speeds = (SpeedSetup(SpeedRow.model_validate(row)) for row in published())
    files = (DATA / f"memory_cases{name}.json" for name in ("", "_held_out", "_found"))
    cases = (case for file in files for case in json.loads(file.read_text(encoding="utf-8"))["cases"])
    for run in (*speeds, *(Setup(MemoryCase.model_validate(case)) for case in cases)):
        with suppress(CannotPredict):
            engine = run.engine_name if isinstance(run, Setup) else run.runner
            if engine in NAMES:
                yield run.gpu.id, run.precision.id, engine


class TestLaws:
    def test_every_refused_combination_of_the_catalog_is_refused_by_the_tool(self) -> None:
        refused = [
            (engine, form, gpu) for engine in NAMES for form in FORMATS for gpu in GPUS if not runs(gpu, form, engine)
        ]
        assert len(refused) > 1000
        for engine, form, gpu in refused:
            with pytest.raises(ValidationError, match=r"does not (run|load)"):
                size(engine=engine, precision=form, gpu=gpu)

    @pytest.mark.parametrize("engine", NAMES)
    def test_no_row_has_a_deployment_where_the_engine_does_not_load_the_format(self, engine: EngineName) -> None:
        for form in (form for form in FORMATS if runs("h100-sxm", form, engine)):
            answer = size(engine=engine, precision=form)
            left = [row.gpu for row in answer.hardware if not runs(row.gpu, form, engine)]
            assert all((row.deploy is None) == (row.gpu in left) for row in answer.hardware)
            assert all((row.max_concurrent_users > 0) != (row.gpu in left) for row in answer.hardware)
            named = assumption(answer, "no_deployment_on")
            assert bool(named) == bool(left)
            assert ", ".join(left) in named

    @pytest.mark.parametrize("engine", NAMES)
    def test_every_format_and_engine_that_a_refusal_offers_runs(self, engine: EngineName) -> None:
        for gpu in GENERATIONS:
            for form in (form for form in FORMATS if not runs(gpu, form, engine)):
                sentence = said("estimate_vram", model=MODEL, engine=engine, precision=form, gpu=gpu)
                assert all(runs(gpu, other, engine) for other in _names(sentence, r"(?:take|or) precision"))
                assert all(runs(gpu, form, other) for other in _names(sentence, r"(?:take|or) engine(?!.*with)"))
                for other in ENGINES:
                    offered = _names(sentence, rf"engine {re.escape(other)} with precision")
                    assert all(runs(gpu, instead, other) for instead in offered)
                assert re.search(r"; take \w", sentence)

    def test_every_next_step_of_a_combination_at_the_edge_can_be_asked(self) -> None:
        edge = [
            size(engine="llama.cpp", precision="q4_k_m", gpu="v100-32gb-sxm2"),
            size(engine="llama.cpp", precision="nvfp4", gpu="arc-pro-b60"),
            size(engine="tensorrt-llm", precision="int8", gpu="b200"),
            ask("compare_quantization", model=MODEL, gpu="v100-32gb-sxm2"),
            ask("compare_quantization", model=MODEL, gpu="b200", precision="int8"),
            ask("compare_moe_dense", gpu="b200", precision="int8"),
        ]
        for answer in edge:
            for step in answer.next_steps:
                assert ask(step.tool, **step.arguments).summary


def _names(sentence: str, before: str) -> list[str]:
    """The names that a sentence offers behind some words."""
    found = re.search(rf"{before} ([^;]+?)(?:, or |$)", sentence)
    return re.split(r", | or ", found[1]) if found else []


class TestComparisons:
    def test_a_format_that_is_not_loaded_has_no_speed_and_the_summary_says_why(self) -> None:
        answer = ask("compare_quantization", model="70B", gpu="b200", precision="int8")
        speeds = {row.precision: row.speed_multiplier for row in answer.formats}
        assert speeds["int8"] is None
        assert speeds["fp8"] is not None
        assert "int8" not in answer.usd_per_million_tokens
        assert "vLLM 0.28 does not load INT8 on B200 SXM." in answer.summary

    def test_where_the_engine_does_not_run_at_all_only_memory_is_compared(self) -> None:
        answer = ask("compare_quantization", model="7B", gpu="v100-32gb-sxm2")
        assert {row.speed_multiplier for row in answer.formats} == {None}
        assert answer.formats[0].memory_gb == 28
        assert "vLLM 0.28 does not run on V100 SXM2 32GB." in answer.summary
        assert answer.usd_per_million_tokens == {}

    def test_two_models_have_no_deployment_in_a_format_that_is_not_loaded(self) -> None:
        answer = ask("compare_moe_dense", gpu="b200", precision="int8")
        assert (answer.dense.deploy_gpus, answer.moe.deploy_gpus) == (None, None)
        assert "does not load INT8 on B200 SXM" in assumption(answer, "deploy_gpus")

    def test_a_search_leaves_out_the_types_that_do_not_load_the_format_and_counts_them(self) -> None:
        answer = ask("plan_parallelism", model="70B", precision="int8", gpu="any", concurrent_users=50)
        assert runs(answer.gpu, "int8")
        assert all(runs(other.gpu, "int8") for other in answer.alternatives)
        assert "7 that vLLM 0.28 cannot use" in assumption(answer, "gpu_types")

    def test_a_search_that_finds_nothing_compares_with_a_type_that_loads_the_format(self) -> None:
        answer = ask("plan_parallelism", model="745B MoE", precision="int8", gpu="any", total_gpus=1)
        assert not answer.fits
        assert "does not load" not in answer.summary

    def test_no_bill_names_a_gpu_that_does_not_load_the_format(self) -> None:
        answer = ask("compare_costs", model="70B", precision="int8", requests_per_day=50_000)
        assert all(runs(gpu, "int8") for gpu in answer.cheapest_gpus)


class TestTrust:
    @pytest.mark.parametrize(
        ("gpu", "line"),
        [
            ("h100", f"engine_version = 0.28 ({LOGS})"),
            ("mi300x", "engine_version = 0.28 (not held against logs on AMD hardware)"),
            ("tpu-v6e", "engine_version = 0.28 (not held against logs on Google hardware)"),
            ("gaudi-3", "engine_version = 0.28 (not held against logs on Intel hardware)"),
        ],
    )
    def test_memory_rules_claim_the_logs_of_the_vendor_alone(self, gpu: str, line: str) -> None:
        assert assumption(size(gpu=gpu), "engine_version") == line

    def test_the_rules_of_other_engines_and_versions_do_so_too(self) -> None:
        assert "6 published logs" in assumption(size(gpu="mi355x", engine="sglang"), "memory_rules")
        on_apple = size(gpu="apple-m4-max", engine="llama.cpp")
        assert "not held against logs on Apple hardware" in assumption(on_apple, "memory_rules")
        old = size(gpu="mi300x", overrides="engine_version=0.20")
        assert assumption(old, "memory_rules") == "memory_rules = vLLM 0.20 (not held against logs on AMD hardware)"

    @pytest.mark.parametrize("id_", ["zai-org/GLM-4.5V", "mistralai/Mistral-Small-3.2-24B-Instruct-2506"])
    def test_no_error_is_claimed_for_what_tries_an_image_encoder_out_at_start(self, id_: str) -> None:
        """Pools were up to 2.9 GiB smaller than predicted."""
        for found in (size(model=id_), ask("plan_parallelism", model=id_, gpu="h100")):
            line = assumption(found, "engine_version")
            assert "0.2 %" not in line
            assert "not counted: up to 3 GiB" in line
            assert "image_inputs=0 leaves it out" in line
        old = assumption(size(model=id_, overrides="engine_version=0.16"), "memory_rules")
        assert old.endswith("""--limit-mm-per-prompt '{"image":0,"video":0}' avoids it)""")
        blind = assumption(size(model=id_, overrides="image_inputs=0"), "engine_version")
        assert blind.endswith(f"({LOGS})")
        assert "AMD hardware; the start-up trial" in assumption(size(model=id_, gpu="mi300x"), "engine_version")
        assert "not counted" not in assumption(size(model=id_, engine="sglang"), "memory_rules")

    @pytest.mark.parametrize(
        ("id_", "images"), [("Qwen/Qwen3.6-27B", "1 image of 16,384 tokens"), ("gemma 3 12b", "32")]
    )
    def test_images_that_the_rules_count_are_named_with_the_way_to_go_without(self, id_: str, images: str) -> None:
        for found in (size(model=id_, gpu="h100"), ask("plan_parallelism", model=id_, gpu="h100")):
            line = assumption(found, "image_encoder")
            assert line.startswith(f"image_encoder = {images}")
            assert "image_inputs=0" in line
            assert "KV pool within 2 %" in assumption(found, "engine_version")
        assert "not counted" in assumption(size(model=id_, overrides="engine_version=0.15"), "memory_rules")

    @pytest.mark.parametrize(
        ("context", "items"),
        [(32_767, "1 image of 16,384 tokens"), (32_768, "1 video of 32,768"), (128_000, "1 video of 114,688")],
    )
    def test_the_video_of_a_long_context_is_named(self, context: int, items: str) -> None:
        """Qwen2.5-VL 7B: of the same GPU less is left for the cache."""
        asked = {"model": "qwen2.5 vl 7b", "gpu": "a100", "context_window": context}
        for found in (size(**asked), ask("plan_parallelism", **asked)):
            assert assumption(found, "image_encoder").startswith(f"image_encoder = {items}")

    def test_users_at_half_the_context_are_those_of_the_same_server(self) -> None:
        """Started for half of it, Qwen2.5-VL's video would be half as long, and the cache larger."""
        asked = {"model": "qwen2.5 vl 7b", "gpu": "l40s", "total_gpus": 1, "concurrent_users": 1}
        full, half = (size(**asked, context_window=n) for n in (114_688, 57_344))
        (row,), (other,) = ([one for one in found.hardware if one.gpu == "l40s"] for found in (full, half))
        assert 0 < row.users_at_half < other.max_concurrent_users

    def test_a_small_gpu_encodes_fewer_frames_of_gemma_4_at_once(self) -> None:
        """E4B with four sequences, whose encoder takes more than its decoder: 32 frames on 80 GB, 12 on 24 GB."""
        few = {"model": "gemma 4 e4b", "overrides": "max_num_seqs=4, max_num_batched_tokens=512"}
        large, small = (size(**few, gpu=gpu, concurrent_users=1).gpu_gib.activation for gpu in ("h100", "rtx-4090"))
        assert large == pytest.approx(0.50, abs=0.01)
        assert 0.2 < small < 0.3

    def test_of_kimi_starts_of_its_smaller_sister_are_told(self) -> None:
        for found in (size(model="kimi k2.6", gpu="h200"), ask("plan_parallelism", model="kimi k2.6", gpu="h200")):
            assert assumption(found, "image_encoder").startswith("image_encoder = 1 image of 4,225 tokens")
            line = assumption(found, "engine_version")
            assert "measured alone, 1 % off; peaks of 2 published starts of Kimi-VL" in line

    def test_of_gemma_4_what_published_starts_say_is_told_by_format(self) -> None:
        """A batch of an H100 has room for three videos of 32 frames, 78 tokens each."""
        for found in (size(model="gemma 4 31b", gpu="h100"), ask("plan_parallelism", model="gemma 4 31b", gpu="h100")):
            assert assumption(found, "image_encoder").startswith("image_encoder = 3 videos of 2,496 tokens")
            assert "in 16 bit: KV pool within 0.3 %; 2 of 26B in NVFP4" in assumption(found, "engine_version")

    @pytest.mark.parametrize(
        ("id_", "images"),
        [
            ("llama 4 scout", "3 images of 2,448 tokens"),
            ("qwen2 vl 7b", "1 image of 16,384 tokens"),
        ],
    )
    def test_of_a_trial_that_was_measured_alone_no_more_is_claimed(self, id_: str, images: str) -> None:
        """Default batches of an H200 have 8,192 tokens."""
        for found in (size(model=id_, gpu="h200"), ask("plan_parallelism", model=id_, gpu="h200")):
            assert assumption(found, "image_encoder").startswith(f"image_encoder = {images}")
            line = assumption(found, "engine_version")
            assert "measured alone, 1 % off; no whole start was held against it" in line
            assert "KV pool" not in line

    def test_text_alone_has_a_pool_without_the_encoder_and_a_command_that_says_so(self) -> None:
        """Qwen3.5 9B on one L40S: 0.85 GiB of weights, and 1.875 GiB of trial to 0.06 + 0.47 of the decoder's own."""
        seeing, blind = (
            size(model="qwen3.5-9b", gpu="l40s", concurrent_users=1, overrides=f"image_inputs={given}")
            for given in (1, 0)
        )
        assert seeing.gpu_gib.weights - blind.gpu_gib.weights == pytest.approx(456_010_480 * 2 / 2**30, abs=0.01)
        assert seeing.gpu_gib.activation == pytest.approx(1.875, abs=0.01)
        assert blind.gpu_gib.activation < 1
        assert not assumption(blind, "image_encoder")
        assert "--language-model-only" in blind.launch
        assert "--language-model-only" not in seeing.launch

    @pytest.mark.parametrize(
        "more",
        [{"model": MODEL}, {"model": "gemma 3 12b", "engine": "sglang"}, {"model": "gemma 3 12b", "version": "0.16"}],
    )
    def test_images_are_left_out_only_where_there_is_an_encoder_and_a_flag(self, more: dict[str, str]) -> None:
        version = f", engine_version={more.pop('version')}" if "version" in more else ""
        assert "nothing here depends on it" in assumption(
            size(**more, overrides=f"image_inputs=0{version}"), "image_inputs"
        )

    def test_versions_with_few_logs_say_so(self) -> None:
        newest = {"overrides": "engine_version=0.31"}
        for answer in (size(gpu="h100", **newest), ask("plan_parallelism", model=MODEL, gpu="h100", **newest)):
            assert assumption(answer, "memory_rules").startswith(
                "memory_rules = vLLM 0.31 (held against 17 starts of 0.29"
            )
        older = ask("plan_parallelism", model=MODEL, gpu="h100", overrides="engine_version=0.28")
        assert all(one.name != "memory_rules" for one in older.assumptions)

    def test_plans_and_their_speed_do_so_too(self) -> None:
        here, there = (ask("plan_parallelism", model=MODEL, gpu=gpu) for gpu in ("h100", "tpu-v6e"))
        assert "newest held against logs" in assumption(here, "engine_version")
        assert "not held against logs on Google hardware" in assumption(there, "engine_version")
        assert "on other GPUs" not in assumption(here, "speed_model") + here.summary
        assert "on other GPUs" in assumption(there, "speed_model")

    @pytest.mark.parametrize("gpu", ["mi300x", "a100", "l4", "rx-7900-xtx", "rtx-5090", "dgx spark", "gaudi-3"])
    def test_bands_of_gpus_that_no_published_server_was_timed_on_are_said_to_be_of_others(self, gpu: str) -> None:
        """All 2,779 servers under load that the bands are taken from ran on Hopper or datacenter Blackwell."""
        found = ask("plan_parallelism", model="llama 3.1 8b", gpu=gpu, concurrent_users=4)
        assert re.search(r"half of published runs on (any engine and )?other GPUs lie within", found.summary)
        assert re.search(r"published runs on (any engine and )?other GPUs", assumption(found, "speed_model"))

    def test_the_cases_of_vllm_are_of_the_vendors_that_it_claims_evidence_on(self) -> None:
        cases = memory_cases()
        setups = [Setup(MemoryCase.model_validate(case)) for case in cases if case["engine"] == "vllm"]
        assert {setup.gpu.vendor for setup in setups if setup.gpu_id} == set(ENGINES["vllm"].evidence)


class TestRows:
    def test_every_name_of_a_refusal_is_a_vendor_an_architecture_or_a_gpu_and_a_format_of_the_catalog(self) -> None:
        known = {*VENDORS, *GPUS, *(gpu.architecture for gpu in GPUS.values())}
        for row in refusal_rows():
            assert set(row.gpus) <= known
            assert set(row.formats) <= {*FORMATS, "gguf"}

    def test_every_vendor_has_a_written_name(self) -> None:
        assert {gpu.vendor for gpu in GPUS.values()} == set(VENDORS)

    def test_every_refusal_changes_something(self) -> None:
        for row in refusal_rows():
            assert any(
                row.covers(gpu, form) and refusal(row.engine, gpu, form, version=28)
                for gpu in GPUS.values()
                for form in FORMATS.values()
                if row.engine in form.engines
            )


@pytest.mark.parametrize(
    ("gpu", "needed"),
    [
        ("tpu-v6e", "vllm-tpu"),
        ("gaudi-3", "vllm-gaudi"),
        ("apple-m3-ultra", "vllm-metal"),
        ("trainium2", "vllm-neuron"),
        ("ascend-910c", "vllm-ascend"),
        ("mi300x", "vllm/vllm-openai-rocm"),
    ],
)
def test_what_a_command_needs_beside_the_usual_package_is_said_with_it(gpu: str, needed: str) -> None:
    found = size(model="llama 3.1 8b", gpu=gpu)
    assert found.launch
    assert assumption(found, "installed_with").startswith(f"installed_with = {needed} (")
    assert not assumption(size(model="llama 3.1 8b", gpu="h100"), "installed_with")
    assert not assumption(size(model="llama 3.1 8b", gpu="apple-m3-ultra", engine="llama.cpp"), "installed_with")


def test_vllm_on_apple_loads_of_gguf_what_its_plugin_does() -> None:
    loaded = size(model="llama 3.1 8b", gpu="apple-m3-ultra", precision="q8_0")
    assert loaded.launch
    assert not assumption(loaded, "gguf")
    asked = {"model": "llama 3.1 8b", "gpu": "apple-m3-ultra", "precision": "q4_k_m"}
    refused = "vLLM 0.28 does not load GGUF Q4_K_M on Apple M3 Ultra 512GB; take precision int4, awq or gptq, or "
    assert said("estimate_vram", **asked) == f"{refused}engine llama.cpp, or another gpu"
    assert said("plan_parallelism", **asked) == f"{refused}estimate_vram with engine llama.cpp, or another gpu"


def test_vllm_on_tpus_loads_nvfp4_and_sglang_does_not_run_on_trainium() -> None:
    assert size(model="llama 3.1 8b", gpu="tpu-v7x", precision="nvfp4").launch
    with pytest.raises(ValidationError, match="does not run on Trainium2"):
        size(model="llama 3.1 8b", gpu="trainium2", engine="sglang")


def test_that_vllm_loads_gguf_through_a_plugin_is_said_from_0_26_on() -> None:
    """Its documentation of 0.27: moved out of tree."""
    assert assumption(size(precision="q4_k_m"), "gguf") == "gguf = vllm-gguf-plugin (vLLM loads GGUF through it)"
    assert not assumption(size(precision="q4_k_m", overrides="engine_version=0.25"), "gguf")
    assert not assumption(size(precision="q4_k_m", engine="llama.cpp"), "gguf")


@pytest.mark.parametrize(
    ("model", "gpu", "precision", "deployed"),
    [
        ("gemma 3 4b", "t4", "bf16", False),
        ("gemma 3 4b", "t4", "int4", False),
        ("gemma 3 1b", "t4", "fp32", True),
        ("gemma 3 4b", "t4", "q4_k_m", True),
        ("gemma 3 4b", "l4", "bf16", True),
        ("qwen 2.5 7b", "t4", "bf16", True),
        ((DATA / "configs" / "gemma-2-2b-it.json").read_text(encoding="utf-8"), "t4", "bf16", False),
    ],
)
def test_what_overflows_in_fp16_takes_fp32_where_a_gpu_has_no_bf16(
    *, model: str, gpu: str, precision: str, deployed: bool
) -> None:
    """vLLM 0.28, vllm/config/model.py, `_resolve_auto_dtype`: of FP16 and FP32, the latter, with a warning."""
    found = size(model=model, gpu=gpu, precision=precision, context_window=2048)
    told = f"vLLM 0.28 serves it on {gpu.upper()}, which has no BF16, in FP32 alone: precision fp32"
    assert (found.launch is not None, told in found.summary) == (deployed, not deployed)


def test_that_vllm_loads_nf4_through_a_plugin_is_said_from_0_28_on() -> None:
    """Pull request 43529; in 0.27.1 it is in the tree, and the plugin must not be installed (issue 52802)."""
    assert assumption(size(precision="nf4"), "nf4") == "nf4 = vllm-bnb-plugin (vLLM loads NF4 through it)"
    assert not assumption(size(precision="nf4", overrides="engine_version=0.27"), "nf4")
    assert not assumption(size(precision="nf4", engine="sglang"), "nf4")
    assert not assumption(size(precision="int4"), "int4")


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        (
            "estimate_vram",
            {"model": "70B", "engine": "llama.cpp", "precision": "q8_0", "kv_precision": "fp8"},
            "take kv_precision fp32, fp16, bf16, q8_0 or q4_0, or engine vllm, sglang or tensorrt-llm",
        ),
        (
            "plan_parallelism",
            {"model": "70B", "kv_precision": "q8_0"},
            "vLLM keeps no KV cache in Q8_0; take kv_precision fp16, bf16, fp8 or int8",
        ),
        (
            "run_preset",
            {"preset": "team", "kv_precision": "q4_0"},
            "vLLM keeps no KV cache in Q4_0; take kv_precision fp16, bf16, fp8 or int8",
        ),
        (
            "estimate_vram",
            {"model": "deepseek r1", "kv_precision": "int8"},
            "vLLM 0.28 keeps no latents in INT8; take kv_precision fp16, bf16 or fp8",
        ),
        (
            "estimate_vram",
            {"model": "glm-5.3 flash", "kv_precision": "fp8"},
            "vLLM 0.30 is not known to keep the KV cache of GLM 5.3 Flash in FP8; take kv_precision fp16 or bf16",
        ),
        (
            "estimate_vram",
            {"model": "70B", "kv_precision": "fp32"},
            "keeps no KV cache of FP16 weights in FP32; take kv_precision fp16, bf16, fp8 or int8, or engine llama.cpp",
        ),
        (
            "run_preset",
            {"preset": "enterprise", "precision": "fp8", "kv_precision": "fp32", "overrides": "engine=sglang"},
            "SGLang 0.5 keeps no KV cache of FP8 weights in FP32; take kv_precision fp16, bf16 or fp8",
        ),
        (
            "compare_quantization",
            {"model": "70B", "overrides": "kv_precision=fp32"},
            "weights in FP32 have it unasked, of other weights llama.cpp alone keeps it; leave it out",
        ),
        (
            "plan_parallelism",
            {"model": "70B", "gpu": "any", "kv_precision": "int8", "overrides": "engine_version=0.19"},
            "vLLM 0.19 keeps no KV cache in INT8; take kv_precision fp16, bf16 or fp8",
        ),
    ],
)
def test_a_cache_that_the_engine_does_not_keep_is_refused_with_those_that_it_does(
    tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    assert sentence in said(tool, **arguments)


def test_an_int8_cache_holds_less_than_one_in_fp8_for_its_scales() -> None:
    """One scale of 4 B for each 128 elements of a head: 132 B for 128, of which whole blocks are cut."""
    fp8, int8 = (size(model="llama 3.1 8b", kv_precision=kind).hardware for kind in ("fp8", "int8"))
    for one, scaled in zip(fp8, int8, strict=True):
        assert scaled.max_concurrent_users == pytest.approx(one.max_concurrent_users * 128 / 132, abs=1)


def test_what_is_known_not_to_run_is_not_said_to_be_unknown_and_leads_to_what_does() -> None:
    """DeepSeek-V4's kernels in vLLM are for Hopper and later; Gemma 3 is served in FP32 on a T4, which has no BF16."""
    plan = TOOLS_BY_NAME["plan_parallelism"]
    ampere = plan.ask({"model": "deepseek v4 flash", "gpu": "a100", "concurrent_users": 10})
    assert ampere.summary.startswith("DeepSeek V4 Flash in MXFP4 does not run on any number of A100 SXM4 80GB. ")
    assert "does not run on" in ampere.diagram
    (step,) = ampere.next_steps
    assert (step.tool, step.arguments["gpu"]) == ("plan_parallelism", "any")
    turing = plan.ask({"model": "gemma 3 1b", "gpu": "t4", "total_gpus": 4})
    assert turing.summary.startswith("Gemma 3 1B Instruct in FP16 does not run on 4 x T4. ")
    (step,) = turing.next_steps
    assert (step.arguments["precision"], step.arguments["gpu"]) == ("fp32", "t4")
    assert plan.ask(step.arguments).fits


def test_a_cache_that_is_not_known_is_still_said_to_be_unknown() -> None:
    answer = TOOLS_BY_NAME["plan_parallelism"].ask({"model": "thinkingmachines/Inkling", "gpu": "mi300x"})
    assert answer.summary.startswith("Whether Inkling in FP16 fits on any number of MI300X is not known. ")
    assert [(step.tool, step.why) for step in answer.next_steps] == [
        ("compare_quantization", "the memory of its formats")
    ]


@pytest.mark.parametrize("tool", ["estimate_vram", "compare_moe_dense", "run_preset"])
def test_other_tools_say_that_too(tool: str) -> None:
    what = "moe_model" if tool == "compare_moe_dense" else "model"
    asked = {what: "deepseek v4 flash", "gpu": "a100"} | ({"preset": "team"} if tool == "run_preset" else {})
    answer = TOOLS_BY_NAME[tool].ask(asked)
    said = {
        "estimate_vram": "vLLM 0.28 does not run DeepSeek V4 Flash on A100 SXM4 80GB: its kernels",
        "compare_moe_dense": "no legal deployment",
        "run_preset": "No, not on A100 SXM4 80GB, for DeepSeek V4 Flash",
    }
    assert said[tool] in answer.summary
    for step in answer.next_steps:
        assert TOOLS_BY_NAME[step.tool].ask(step.arguments).summary
