"""NF4 of bitsandbytes: engines slice a release that they quantise while they load it, and no checkpoint stored so."""

import json
from typing import Any

import pytest

from inferplan.tools import parallelism, vram
from inferplan.tools.parallelism import ParallelismAnswer

LLAMA_70B = "meta-llama/Llama-3.3-70B-Instruct"


def planned(**arguments: Any) -> ParallelismAnswer:
    return parallelism.TOOL.ask({"precision": "nf4", "gpu": "a100-40gb-sxm"} | arguments)


def assumed(answer: ParallelismAnswer) -> dict[str, Any]:
    return {one.name: one.value for one in answer.assumptions}


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("vllm", f"vllm serve {LLAMA_70B} --quantization bitsandbytes --tensor-parallel-size 2"),
        ("sglang", f"--model-path {LLAMA_70B} --quantization bitsandbytes --load-format bitsandbytes --tp-size 2"),
    ],
)
def test_a_16_bit_release_is_sliced_and_made_nf4_while_it_is_loaded(engine: str, told: str) -> None:
    """vllm-bnb-plugin 0.0.3, `_unquantized_generator`: each rank quantises its slice."""
    answer = planned(model=LLAMA_70B, overrides=f"engine={engine}")
    assert (answer.tp, answer.pp) == (2, 1)
    assert answer.launch is not None
    assert told in answer.launch
    assert "tensor_parallel" not in assumed(answer)


@pytest.mark.parametrize(("engine", "title"), [("vllm", "vLLM"), ("sglang", "SGLang")])
def test_a_checkpoint_that_is_stored_in_nf4_goes_into_stages_alone_and_the_answer_says_why(
    engine: str, title: str
) -> None:
    """vllm-bnb-plugin 0.0.3: "Prequant BitsAndBytes models with tensor parallelism is not supported"."""
    stored = {
        "model_type": "llama",
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "torch_dtype": "bfloat16",
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    }
    answer = planned(model=json.dumps(stored), overrides=f"engine={engine}")
    assert (answer.tp, answer.pp) == (1, 2)
    (why,) = (one.why for one in answer.assumptions if one.name == "tensor_parallel")
    assert why == f"{title} does not slice what bitsandbytes stored"
    assert answer.launch is not None
    assert "--quantization" not in answer.launch


def test_nf4_of_a_release_in_fp8_is_a_build_of_somebodys_and_goes_into_stages() -> None:
    """The loader of bitsandbytes refuses to quantise what is quantised already: "does not support fp8 quantization"."""
    answer = planned(model="deepseek-v3", gpu="h100-sxm")
    assert answer.tp == 1
    assert answer.pp > 1
    assert assumed(answer)["tensor_parallel"] == 1


def test_what_is_sized_is_what_is_planned() -> None:
    sized = vram.TOOL.ask({"model": LLAMA_70B, "precision": "nf4", "gpu": "a100-40gb-sxm"})
    assert sized.launch == planned(model=LLAMA_70B).launch
