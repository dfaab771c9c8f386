"""Questions as people ask them: many, of every kind, and the same ones each time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Any

from pydantic import ValidationError

from data_files import DATA
from inferplan.catalog.models import MODELS
from inferplan.tools._tool import Answer, Tool

SIZE_CLASSES = ("7B", "13B", "70B", "405B", "745B MoE")
CONFIGS = tuple(
    (DATA / "configs" / f"{name}.json").read_text("utf-8") for name in ("llama-3.1-8b", "deepseek-v3", "gemma-3-27b")
)
GPUS = (
    "h100-sxm",
    None,
    "h200",
    "b200",
    "a100-80gb",
    "l40s",
    "rtx-4090",
    None,
    "mi300x",
    "b300-sxm",
    "h100-nvl",
    "a10g",
    '{"like":"l40s","title":"L20","bandwidth_gb_s":864,"tflops":119.5}',
)
FORMATS = ("fp8", None, "fp16", "int4", "fp8", "bf16", "awq", "nvfp4", "q4_k_m", "gptq", "mxfp4", "int8", "fp32")
PLACES = ("gpus_per_node=4", "memory_utilization=0.95", "max_num_seqs=256")
OVERRIDES: Mapping[str, Sequence[str]] = {
    "estimate_vram": ("engine_version=0.19", "overhead_fraction=0.2", *PLACES),
    "compare_quantization": ("sample_weight=-0.31", "engine=sglang", "bandwidth_efficiency=0.7", *PLACES),
    "plan_parallelism": (
        "requests_per_s=2",
        "engine=sglang",
        "speculative_tokens=3",
        "inter_node_gb_per_s=25",
        *PLACES,
    ),
    "compare_costs": (
        "spot_allowed=1",
        "engine=tensorrt-llm",
        "staff_fte=1",
        "purchase_usd_per_gpu=30000",
        "as_of=2027-06-01",
        *PLACES,
    ),
    "compare_moe_dense": ("engine=tensorrt-llm", *PLACES),
    "run_preset": (
        "max_tpot_ms=25",
        "engine=sglang",
        "spot_allowed=1",
        "pue=1.2",
        "prefix_cache_hit_rate=0.5",
        *PLACES,
    ),
}
USUAL: Mapping[str, Sequence[Any]] = {
    "preset": ("production", "starter", "team", "enterprise"),
    "precision": FORMATS,
    "kv_precision": (None, None, "fp8", None, "fp16"),
    "gpu": GPUS,
    "total_gpus": (None, None, 8, None, 2, 32, None, 64, 4),
    "concurrent_users": (None, 200, 5, 50, 1750, 500, 20, 5000),
    "context_window": (None, None, 4096, 32768, None, 131_072, 16384),
    "engine": (None, None, "sglang", "vllm", "tensorrt-llm", "llama.cpp"),
    "objective": (None, "throughput", None, "fewest_gpus", "latency"),
    "max_ttft_ms": (None, None, 500, None, 2000),
    "max_tpot_ms": (None, 50, None, None, 25, None, 100),
    "input_tokens": (None, None, 1000, 200),
    "output_tokens": (None, 400, None, None, 100),
    "requests_per_day": (50_000, 1000, 5_000_000, 200_000),
    "usage_hours_per_day": (None, 8, None, 12, None, 4),
    "compliance_required": (None, None, True, None, None),
}
"""What each argument is given, in turn; None where it is left out. The lengths share few factors."""


def usual(tool: Tool[Any, Any]) -> Iterator[dict[str, Any]]:
    """One question after the other, without end."""
    models = (*SIZE_CLASSES, *list(MODELS)[5::7], *CONFIGS)
    number = 0
    while True:
        asked = {
            name: values[number % len(values)] for name, values in USUAL.items() if name in tool.question.model_fields
        }
        for place, name in enumerate(name for name in tool.question.model_fields if name.endswith("model")):
            asked[name] = models[(number * (place + 1) + 3 * place) % len(models)]
        chosen = OVERRIDES[tool.name]
        asked["overrides"] = ", ".join(chosen[: (0, 0, 1, 0, 2, 0, 3, 0, 0, len(chosen))[number % 10]])
        if tool.name == "plan_parallelism" and number % 11 == 10:
            asked["gpu"] = "any"
        yield {name: value for name, value in asked.items() if value is not None}
        number += 1


Answered = tuple[dict[str, Any], Answer]


def answered(tool: Tool[Any, Any], most: int) -> list[Answered]:
    """So many of them that have an answer, each with it; remembered, as several tests look at the same ones."""
    found, others = _answers(tool)
    found += islice(others, max(0, most - len(found)))
    return found[:most]


@cache
def _answers(tool: Tool[Any, Any]) -> tuple[list[Answered], Iterator[Answered]]:
    """The given arguments, and the rest."""
    return [], _all_answers(tool)


def _all_answers(tool: Tool[Any, Any]) -> Iterator[Answered]:
    """All that have an answer: some lack a price, or do not fit into the context."""
    for question in usual(tool):
        with suppress(ValidationError):
            yield question, tool.ask(question)
