"""What sources of speed measurements call engines, formats and GPUs; and the latency limits of benchmarks."""

import re
from collections.abc import Mapping
from functools import lru_cache

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.gpus import GPUS
from inferplan.core.engine import EngineName
from inferplan.core.hardware import Gpu

LIMITS: Mapping[str, tuple[float, float]] = {
    "llama-2-70b": (2, 0.2),
    "mixtral-8x7b": (2, 0.2),
    "llama-3.1-405b": (6, 0.175),
    "llama-3.1-8b": (2, 0.1),
    "deepseek-r1": (2, 0.08),
}
INTERACTIVE: Mapping[str, tuple[float, float]] = {
    "llama-2-70b": (0.45, 0.04),
    "llama-3.1-405b": (4.5, 0.08),
    "llama-3.1-8b": (0.5, 0.03),
    "deepseek-r1": (1.5, 0.015),
}
"""The limits of MLPerf at P99, by model: TTFT and TPOT, in the server and the interactive scenario. [s]

Source: mlcommons/inference, loadgen/mlperf.conf.
"""


def limits(stated: str, model: str) -> tuple[float, float] | None:
    """TTFT and TPOT that a benchmark allows at P99; None where the row is of none. [s]

    >>> limits("MLPerf, scenario Server", "meta-llama/Llama-2-70b-chat-hf"), limits("a blog", "Llama-2-70b")
    ((2, 0.2), None)
    """
    if "mlperf" not in stated.casefold():
        return None
    allowed = INTERACTIVE if "interactive" in stated.casefold() else LIMITS
    return next((found for name, found in allowed.items() if name in model.casefold()), None)


RUNNERS: Mapping[str, EngineName] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "tensorrt": "tensorrt-llm",
    "trt": "tensorrt-llm",
    "llama.cpp": "llama.cpp",
}
"""Engines by a word in the names that sources use."""
FORMAT_NAMES: Mapping[str, str] = {
    "fp4": "nvfp4",
    "gguf-f16": "fp16",
    "gguf-f32": "fp32",
    "gguf-q4_0": "q4_k_s",
    "gguf-q5_0": "q5_k_s",
    "gguf-q5_1": "q5_k_m",
    "uint4": "int4",
    "int4-g32": "int4",
    "int4-g128": "int4",
    "awq-int4": "awq",
    "awq-int4-g128": "awq",
    "gptq-int4": "gptq",
    "fp8-block": "fp8",
    "fp8-dynamic": "fp8",
}
"""Weight formats by the names that sources use, where not the catalogue's; or the nearest in bits."""
_SIZE = re.compile(r"[-\s]*\d+(?:\.\d+)?\s*gi?b\b", re.IGNORECASE)
_CORES = re.compile(r"\s*\d+-core gpu", re.IGNORECASE)


@lru_cache(maxsize=1024)
def gpu_of(name: str) -> Gpu | None:
    """The catalogued GPU of a name, with or without memory and series; None where there is none."""
    plain = _CORES.sub("", _SIZE.sub("", name)).strip()
    spellings = (name, plain, f"RTX {plain}", f"Apple {plain}", f"{plain.replace('SE', 'Blackwell Server')}")
    for one in spellings:
        try:
            return GPUS.find(one)
        except UnknownName:
            continue
    return None
