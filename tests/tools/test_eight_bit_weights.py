"""Weights of 8 bit: multiplied as integers (W8A8), expanded before (W8A16, GPTQ), or both (LLM.int8())."""

from typing import Any

import pytest
from pydantic import ValidationError

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core.memory import weights
from inferplan.tools.registry import TOOLS

ASK = {tool.name: tool.ask for tool in TOOLS}
LLAMA_8B, LLAMA_70B = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"
GB = 1e9


def ask(tool: str, **arguments: Any) -> Any:
    return ASK[tool](arguments)


def said(tool: str, **arguments: Any) -> str:
    with pytest.raises(ValidationError) as problem:
        ask(tool, **arguments)
    return problem.value.errors()[0]["msg"].removeprefix("Value error, ")


def assumed(answer: Any, name: str) -> Any:
    return next((one for one in answer.assumptions if one.name == name), None)


class TestBytes:
    """Held against the files of published checkpoints, as the pages of the hub list them."""

    def test_gptq_int8_of_llama_70b_is_what_its_files_hold_without_zero_points_and_indices(self) -> None:
        """alpindale/Meta-Llama-3.1-70B-Instruct-GPTQ-INT8: 9.99 + 9.78 + 9.88 x 2 + 9.95 x 2 + 9.88 + 4.97 GB.

        A layer has 2 x 8192^2 + 2 x 8192 x 1024 + 3 x 8192 x 28672 = 855,638,016 quantised weights. Beside them the
        files keep a zero point of 8 bit per 128, though all are the same, and the group of each input in 32 bit, of 7
        matrices 6 x 8192 + 28672 = 77,824 inputs. Marlin drops both.
        """
        files = 9.99 + 9.78 + 2 * 9.88 + 2 * 9.95 + 9.88 + 4.97
        zero_points, indices = 80 * 855_638_016 / 128, 80 * 77_824 * 4
        held = weights(MODELS[LLAMA_70B], FORMATS["gptq-int8"]).total
        assert (held + zero_points + indices) / GB == pytest.approx(files, abs=0.02)
        assert held / GB == pytest.approx(73.726, abs=0.001)

    def test_w8a16_of_llama_8b_is_what_its_files_hold(self) -> None:
        """neuralmagic/Meta-Llama-3.1-8B-Instruct-quantized.w8a16: 5.00 + 4.08 GB, one scale per output channel."""
        assert weights(MODELS[LLAMA_8B], FORMATS["w8a16"]).total / GB == pytest.approx(5.00 + 4.08, abs=0.01)

    def test_w8a16_weighs_what_w8a8_does(self) -> None:
        """Both builds of Llama 3.1 8B have files of 5.00 and 4.08 GB."""
        model = MODELS[LLAMA_8B]
        assert weights(model, FORMATS["w8a16"]).total == weights(model, FORMATS["int8"]).total

    def test_llm_int8_of_llama_2_7b_is_what_its_files_hold(self) -> None:
        """RichardErkhov/philschmid_-_Llama-2-7b-hf-8bits: 4.99 + 2.02 GB."""
        llama = MODELS.find("llama 2 7b")
        assert weights(llama, FORMATS["bnb-int8"]).total / GB == pytest.approx(4.99 + 2.02, abs=0.01)


class TestWhereTheyRun:
    @pytest.mark.parametrize("gpu", ["b200", "rtx-5090", "h100", "a100", "t4"])
    @pytest.mark.parametrize("precision", ["w8a16", "gptq-int8"])
    def test_weights_alone_in_8_bit_run_where_marlin_does_also_on_blackwell(self, precision: str, gpu: str) -> None:
        """vLLM 0.28, marlin.py: from compute capability 7.5 on; W8A8 stops at 9.0."""
        answer = ask("estimate_vram", model=LLAMA_8B, precision=precision, gpu=gpu, context_window=2048)
        assert answer.fits
        assert f"-{precision.upper()} " in answer.launch
        assert "--quantization" not in answer.launch

    def test_where_w8a8_is_refused_weights_alone_are_offered(self) -> None:
        sentence = said("estimate_vram", model=LLAMA_8B, precision="int8", gpu="b200")
        assert "take precision fp8, w8a16 or gptq-int8" in sentence
        assert ask("estimate_vram", model=LLAMA_8B, precision="w8a16", gpu="b200").fits

    @pytest.mark.parametrize(
        ("asked", "sentence"),
        [
            (  # XPUwNa16LinearKernel: uint4 and uint4b8 alone
                {"precision": "gptq-int8", "gpu": "arc-pro-b60"},
                "vLLM 0.28 does not load INT8 GPTQ on",
            ),
            (  # compressed_tensors_wNa16.py: get_min_capability 80
                {"precision": "w8a16", "gpu": "t4", "engine": "sglang"},
                "SGLang 0.5 does not load INT8 W8A16 on T4; take precision int8, gptq-int8 or q8_0, or engine vllm",
            ),
            (
                {"precision": "w8a16", "engine": "tensorrt-llm"},
                "TensorRT-LLM 1.x does not load INT8 W8A16; take precision fp8 or int8, or engine vllm or sglang",
            ),
            ({"precision": "bnb-int8", "gpu": "trainium2"}, "vLLM 0.28 does not load LLM.int8() on Trainium2"),
        ],
    )
    def test_where_no_kernel_is_they_are_refused(self, asked: dict[str, str], sentence: str) -> None:
        assert said("estimate_vram", model=LLAMA_8B, **asked).startswith(sentence)


class TestTimes:
    @pytest.mark.parametrize("precision", ["w8a16", "gptq-int8"])
    def test_weights_alone_in_8_bit_decode_faster_than_16_bit_and_prefill_no_faster(self, precision: str) -> None:
        """Products run in 16 bit: half the bytes are read, as many FLOP are computed at the same rate."""
        formats = {
            one.precision: one
            for one in ask("compare_quantization", model=LLAMA_8B, precision=precision, gpu="h100").formats
        }
        eight, half = formats[precision], formats["fp16"]
        assert eight.speed_multiplier > 1.3 * half.speed_multiplier
        assert eight.prefill == pytest.approx(half.prefill, rel=0.01)
        assert formats["fp8"].prefill > 1.3 * eight.prefill

    def test_w8a8_prefills_faster_than_weights_alone(self) -> None:
        both, alone = (
            ask("compare_quantization", model=LLAMA_8B, precision=name).formats[-1] for name in ("int8", "w8a16")
        )
        assert (both.precision, alone.precision) == ("int8", "w8a16")
        assert both.prefill > 1.3 * alone.prefill


class TestLlmInt8:
    """bitsandbytes in 8 bit, of which vLLM and SGLang load checkpoints that were stored so."""

    def test_it_is_split_into_stages_alone_and_runs_without_cuda_graphs(self) -> None:
        """vllm-bnb-plugin 0.0.3: "Prequant BitsAndBytes models with tensor parallelism is not supported"."""
        answer = ask("plan_parallelism", model=LLAMA_70B, precision="bnb-int8", gpu="h100", concurrent_users=20)
        assert (answer.tp, answer.pp > 1) == (1, True)
        assert "--pipeline-parallel-size" in answer.launch
        assert "--enforce-eager" in answer.launch
        assert "--tensor-parallel-size" not in answer.launch
        assert assumed(answer, "cuda_graphs").value == 0
        assert assumed(answer, "bnb-int8").value == "vllm-bnb-plugin"

    def test_the_cuda_graphs_that_it_does_not_have_leave_room(self) -> None:
        """Of vLLM 0.22, which deducts an estimate of what they take from the pool."""
        asked = {"model": LLAMA_8B, "overrides": "engine_version=0.22"}
        llm_int8, w8a16 = (
            ask("estimate_vram", **asked, precision=precision).gpu_gib for precision in ("bnb-int8", "w8a16")
        )
        assert w8a16.graphs > 0.3
        assert (llm_int8.graphs, llm_int8.weights) == (0, w8a16.weights)
        assert llm_int8.kv_pool - w8a16.kv_pool == pytest.approx(w8a16.graphs, abs=0.02)

    def test_no_time_of_it_is_given_and_the_reason_is(self) -> None:
        reason = "no time of LLM.int8() under a serving engine is known here"
        plan = ask("plan_parallelism", model=LLAMA_8B, precision="bnb-int8")
        assert (plan.fits, plan.ttft_ms, plan.tpot_ms, plan.tokens_per_s) == (True, None, None, None)
        assert reason in plan.summary
        assert reason in said("compare_costs", model=LLAMA_8B, precision="bnb-int8", requests_per_day=1000)
        form = ask("compare_quantization", model=LLAMA_8B, precision="bnb-int8").formats[-1]
        assert (form.precision, form.speed_multiplier, form.prefill) == ("bnb-int8", None, None)
        late = ask("estimate_vram", model=LLAMA_8B, precision="bnb-int8", max_tpot_ms=50)
        assert reason in late.summary

    def test_models_with_experts_are_not_loaded_in_it(self) -> None:
        answer = ask("estimate_vram", model="qwen3 30b a3b", precision="bnb-int8")
        assert answer.hardware[0].deploy is None
        assert "vLLM 0.28 loads no LLM.int8() of a model with experts" in answer.summary

    def test_nobody_is_sent_to_it(self) -> None:
        """FP8 is what a model that does not fit in 16 bit is offered first, not 8 bit of weights alone."""
        answer = ask("estimate_vram", model=LLAMA_70B, precision="fp16", gpu="h100", total_gpus=1, context_window=512)
        offered = [one.change["precision"] for one in answer.changes if "precision" in one.change]
        assert offered == ["fp8"]

    @pytest.mark.parametrize("graphs", [0, 1])
    def test_another_format_that_is_offered_instead_keeps_the_cuda_graphs_asked_for(self, graphs: int) -> None:
        """That LLM.int8() has none is of the format, not of the question."""
        asked: dict[str, Any] = {"model": LLAMA_8B, "gpu": "h100", "total_gpus": 1, "context_window": 200}
        settings = f"cuda_graphs={graphs}, engine_version=0.22, max_num_seqs=4096"
        asked |= {"concurrent_users": 2300, "overrides": settings}
        answer = ask("estimate_vram", **asked, precision="bnb-int8")
        (offer,) = (one for one in answer.changes if "precision" in one.change)
        again = ask("estimate_vram", **asked, **offer.change)
        assert again.hardware[0].max_concurrent_users == offer.max_concurrent_users
        assert (again.gpu_gib.graphs > 0) == bool(graphs)
