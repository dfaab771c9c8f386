"""SGLang's memory end to end against what it printed: weights, pools and tokens from the configuration alone."""

import json
from functools import cache
from statistics import median
from typing import Any

import pytest

from data_files import DATA
from inferplan.tools.validation.memory_cases import MemoryCase
from inferplan.tools.validation.memory_validation import validate

CASES: list[dict[str, Any]] = json.loads((DATA / "memory_cases_engines.json").read_text(encoding="utf-8"))["cases"]
BY_ID = {case["id"]: case for case in CASES}
UNIFIED, MISCOUNTED = "sgl-gb10-qwen38-27b", "sgl-8xmi355x-glm-5"


@cache
def errors(quantity: str) -> dict[str, float]:
    """Every error of a quantity, by case."""
    (found,) = (one for one in validate(CASES).errors if one.quantity == quantity)
    return {id_: size for size, id_ in found.of}


def predicted(id_: str, quantity: str) -> float:
    (one,) = (one for one in validate([BY_ID[id_]]).outcomes)
    return float(one.predicted[quantity])


def test_half_of_the_tokens_are_within_half_a_percent_and_all_but_two_within_3() -> None:
    """Versions 0.4.4 to 0.5.18 and main, of dense models, experts, latents and linear attention, on 1 to 8 GPUs."""
    found = errors("kv_cache_tokens")
    alike = [size for id_, size in found.items() if id_ not in {UNIFIED, MISCOUNTED}]
    assert len(alike) >= 15
    assert median(alike) <= 0.3
    assert sum(size <= 0.75 for size in alike) >= 11
    assert max(alike) <= 2.8


def test_pools_on_nvidias_gpus_are_within_three_quarters_of_a_percent_but_of_two() -> None:
    """DeepSeek R1 on SGLang 0.4.10 and eight B200 held 1.8 % less, Qwen3 32B on four RTX 5090 1.5 % (0.18 GiB each)."""
    found = errors("kv_cache_tokens")
    ours = {id_: size for id_, size in found.items() if "mi355x" not in id_ and id_ != UNIFIED}
    assert len(ours) >= 11
    assert [id_ for id_, size in ours.items() if size > 0.75] == ["sgl-8xb200-deepseek-r1", "sgl-4x5090-qwen3-32b"]


def test_pools_of_one_mi355x_are_met_to_a_twentieth_of_a_percent() -> None:
    """At 0.85 and 0.6 that were set, of which AMD's attention leaves 85 %: they had been 21 and 18 % too large."""
    found = errors("kv_cache_tokens")
    assert max(found[id_] for id_ in ("sgl-mi355x-qwen38-27b-fp8", "sgl-mi355x-qwen3-0.6b")) <= 0.05


def test_what_the_rules_miss_is_known_by_name_and_reason() -> None:
    """Unified memory, of which 9.5 GiB more were taken; and GLM-5 on 0.5.8, which counted 576 B where it kept 656.

    Two ranks of MI355X gave 8 GiB to RCCL and AMD's all-reduce, for 1 counted here.
    """
    found = errors("kv_cache_tokens")
    assert found[UNIFIED] == pytest.approx(25.5, abs=0.1)
    assert found[MISCOUNTED] == pytest.approx(8.5, abs=0.1)
    counted = predicted(MISCOUNTED, "kv_cache_tokens") * (656 + 132) / (576 + 132)
    assert counted == pytest.approx(BY_ID[MISCOUNTED]["measured"]["kv_cache_tokens"], rel=0.02)
    assert found["sgl-2xmi355x-qwen38-27b-fp8"] == pytest.approx(2.7, abs=0.1)


def test_loading_lowers_free_memory_by_a_tenth_of_a_gib_more_than_the_tensors_take_at_most() -> None:
    """All but Kimi K2.5 in INT4, 2.3 GiB heavier on AMD, a GB10's 0.8, and Gemma 3, which had no tables in 0.4.4."""
    unlike = {"sgl-8xmi355x-kimi-k2.5": 2.34, UNIFIED: 0.78, "sgl-h200-gemma3-4b": -0.44}
    for id_ in errors("weights_gib_per_gpu"):
        more = BY_ID[id_]["measured"]["weights_gib_per_gpu"] - predicted(id_, "weights_gib_per_gpu")
        if id_ in unlike:
            assert more == pytest.approx(unlike[id_], abs=0.01)
        else:
            assert -0.07 <= more <= 0.14


def test_every_start_is_said_to_fit() -> None:
    assert len(errors("fits")) == len(CASES)
    assert not any(errors("fits").values())


def test_every_case_has_its_source_and_no_name_that_is_not_read() -> None:
    assert len(BY_ID) == len(CASES)
    assert all(case["source"] for case in CASES)
    known = {*MemoryCase.model_fields, "source"}
    assert not [name for case in CASES for name in case if name not in known]
