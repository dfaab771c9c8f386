"""The memory rules against published cases, with errors as bounds."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from math import isfinite
from statistics import mean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as runs
from hypothesis import strategies as st

from data_files import DATA, memory_cases
from inferplan.core.parallelism import Layout
from inferplan.tools._settings import settings
from inferplan.tools.validation.memory_cases import MemoryCase, Setup, catalogued
from inferplan.tools.validation.memory_validation import QUANTITIES, UNITS, predict, validate
from inferplan.tools.validation.report import Errors, Outcome, Report, Unit, percentile

Case = dict[str, Any]
CASES: list[Case] = memory_cases()
BY_ID = {case["id"]: case for case in CASES}
LLAMA = BY_ID["lldv019-llama-3.1-8b-instruct-tp1pp1-4096-bf16-kvbf16"]


@cache
def report() -> Report:
    return validate(CASES)


@cache
def outcomes() -> dict[str, Outcome]:
    return {one.id: one for one in report().outcomes}


def errors(quantity: str) -> dict[str, float]:
    """Every error of a quantity, by case."""
    (found,) = (one for one in report().errors if one.quantity == quantity)
    return {id_: size for size, id_ in found.of}


HELD_OUT: list[Case] = json.loads((DATA / "memory_cases_held_out.json").read_text(encoding="utf-8"))["cases"]


def is_on_h100(id_: str) -> bool:
    return BY_ID[id_].get("gpu") == "H100-80GB"


def is_plain(id_: str) -> bool:
    """Whether its layers are all alike, and nothing stands beside them."""
    return not {"E", "mla", "win", "gdn", "vis"} & set(BY_ID[id_]["architecture"])


def reasons(one: Report) -> Iterator[str]:
    for outcome in one.outcomes:
        yield from outcome.left_out.values()
        if outcome.skipped is not None:
            yield outcome.skipped


# --- what the product promises ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "least", "bound"),
    [
        ("weights_gib_per_gpu", 47, 0.12),
        ("activation_peak_gib", 40, 0.05),
        ("non_torch_gib", 39, 0.02),
        ("cuda_graph_gib", 39, 0.15),
        ("kv_cache_gib_per_gpu", 35, 0.5),
        ("kv_cache_tokens", 46, 0.5),
        ("kv_bytes_per_token", 87, 1.0),
        ("max_concurrency", 34, 0.5),
    ],
)
def test_predictions_are_close_to_what_engines_printed(quantity: str, least: int, bound: float) -> None:
    """The mean error in percent, or in GiB, of at least so many measurements: leaving some out must not improve it.

    Of weights it was 0.10 % before Qwen3.8 27B got the four rows of rotations that two logs in 16 bit show (51.08 and
    51.1 GiB, 0.25 GiB more at three times the context): the one case in FP8 is now 0.58 % above what was printed.
    """
    found = errors(quantity)
    assert len(found) >= least
    assert mean(found.values()) <= bound


def test_no_weights_are_off_by_3_percent() -> None:
    assert max(errors("weights_gib_per_gpu").values()) < 3


@pytest.mark.parametrize(
    ("quantity", "least", "average", "worst"),
    [
        ("weights_gib_per_gpu", 34, 0.1, 1),
        ("activation_peak_gib", 34, 0.05, 0.15),
        ("non_torch_gib", 34, 0.025, 0.25),
        ("cuda_graph_gib", 32, 0.1, 0.3),
        ("kv_cache_gib_per_gpu", 34, 0.25, 2),
        ("kv_cache_tokens", 34, 0.25, 2),
        ("max_concurrency", 34, 0.25, 2),
    ],
)
def test_memory_on_h100_is_predicted_end_to_end(quantity: str, least: int, average: float, worst: float) -> None:
    """Runs of vLLM 0.16 to 0.19: the KV pool is what all other parts leave, and that is within a quarter percent."""
    found = [size for id_, size in errors(quantity).items() if is_on_h100(id_)]
    assert len(found) >= least
    assert mean(found) <= average
    assert max(found) <= worst


def test_weights_of_plain_models_on_h100_are_within_a_twentieth_of_a_percent() -> None:
    found = [size for id_, size in errors("weights_gib_per_gpu").items() if is_on_h100(id_) and is_plain(id_)]
    assert len(found) >= 22
    assert mean(found) <= 0.05


def test_no_case_is_said_to_fit_that_did_not_nor_the_other_way_round() -> None:
    found = errors("fits")
    assert len(found) >= 47
    assert not [id_ for id_, wrong in found.items() if wrong]
    assert [id_ for id_ in found if not BY_ID[id_]["measured"]["fits"]] == [
        "iss10517-llama31-8b-3090-29000",
        "iss27508-gptoss120b-h100",
        "lldv019-gptoss20b-tp2-oom",
        "rec893-glm53-fp8-8xh200",
    ]


def test_nine_of_ten_cases_with_an_architecture_are_predicted() -> None:
    """A case counts where at least one quantity is predicted that was measured too."""
    stated = [outcomes()[case["id"]] for case in CASES if case.get("architecture")]
    predicted = [one for one in stated if set(one.predicted) & set(one.measured)]
    assert len(stated) >= 98
    assert len(predicted) / len(stated) >= 0.9


# --- out of sample ----------------------------------------------------------------------------------------------------


MEASURED: list[Case] = json.loads((DATA / "memory_cases_measured.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize(
    ("quantity", "middle", "worst"),
    [
        ("weights_gib_per_gpu", 0.03, 0.25),
        ("activation_peak_gib", 0.1, 0.66),
        ("non_torch_gib", 0.03, 0.031),
        ("cuda_graph_gib", 0.12, 0.12),
        ("kv_cache_gib_per_gpu", 0.25, 1.65),
        ("kv_cache_tokens", 0.25, 2.6),
        ("max_concurrency", 0.25, 2.7),
        ("fits", 0, 0),
    ],
)
def test_starts_on_one_gpu_that_were_measured_after_the_rules_were_written(
    quantity: str, middle: float, worst: float
) -> None:
    """Experts, latents, windows, Mamba-2, short convolutions, an INT8 cache, both model runners; in percent or GiB.

    The graphs of gpt-oss-120b are one of the twelve starts that the rule of estimates was read off afterwards. The
    worst peak is DeepSeek-V2-Lite's, whose runner is not told apart from that of other experts.
    """
    (found,) = ([size for size, _ in one.of] for one in validate(MEASURED).errors if one.quantity == quantity)
    fewer = {"cuda_graph_gib": 3, "activation_peak_gib": 11, "non_torch_gib": 11}
    assert len(found) == fewer.get(quantity, 15)
    assert median(found) <= middle
    assert max(found) <= worst


@cache
def held_out() -> dict[str, dict[str, float]]:
    """Errors of the cases that no rule on overheads was read off, by quantity and case."""
    return {one.quantity: {id_: size for size, id_ in one.of} for one in validate(HELD_OUT).errors}


@pytest.mark.parametrize(
    ("quantity", "least", "middle", "nine_of_ten"),
    [
        ("weights_gib_per_gpu", 18, 0.15, 0.3),
        ("cuda_graph_gib", 10, 0.2, 1.3),
        ("kv_cache_gib_per_gpu", 10, 0.7, 2.2),
        ("kv_bytes_per_token", 17, 0.05, 0.5),
    ],
)
def test_median_and_ninetieth_percentile_out_of_sample(
    quantity: str, least: int, middle: float, nine_of_ten: float
) -> None:
    """In percent, or in GiB: looser than in sample, on versions, cards and batches that the rules were not read off."""
    found = list(held_out()[quantity].values())
    assert len(found) >= least
    assert median(found) <= middle
    assert percentile(found, 0.9) <= nine_of_ten


def test_out_of_sample_no_verdict_is_wrong_and_only_the_pool_beside_a_large_vision_encoder() -> None:
    """Qwen3-VL-30B on four 3090s and vLLM 0.11: the encoder was tried out on a video then, which is not modelled."""
    found = held_out()
    assert len(found["fits"]) >= 15
    assert not any(found["fits"].values())
    assert [id_ for id_, size in found["kv_cache_gib_per_gpu"].items() if size > 2.5] == ["nanokvm-qwen3vl-30b-4x3090"]


def test_pools_beside_an_image_encoder_are_cut_as_its_trial_leaves_them() -> None:
    """Qwen3.5 9B and 4B on one card: the trial takes 0.8 to 1.2 GiB more than the decoder. Gemma 3: what it keeps."""
    found, tokens = held_out()["kv_cache_gib_per_gpu"], held_out()["kv_cache_tokens"]
    assert tokens["l40s-qwen35-9b"] == 0
    assert max(found[id_] for id_ in ("l40s-qwen35-9b", "qwen35-4b-8192", "qwen35-4b-2048")) < 1
    assert errors("activation_peak_gib")["lldv019-gemma-3-12b-it-tp1pp1-8192-bf16-kvbf16"] < 0.01


def test_what_stays_of_images_and_angles_beside_the_decoder_of_kimi_vl_is_what_was_printed() -> None:
    """On one H100 and on two: 7 images of 1,089 tokens and 72 MiB of angles, without which 0.11 GiB are missing."""
    found = errors("activation_peak_gib")
    assert max(size for id_, size in found.items() if "kimi-vl" in id_) < 0.01


def test_the_video_that_a_long_context_is_tried_out_on_leaves_as_little_as_was_printed() -> None:
    """Qwen2.5-VL 7B on one A100 and vLLM 0.23: 17.4 GiB, of which 15.7 are weights, and 15.3 for the video.

    With one image in its place 13 GiB more would be left. It was within 0.15 GiB while graphs were taken for 0.2 GiB
    more than the 0.53 that the engine estimated.
    """
    (case,) = (one for one in LATE if one["id"] == "qwen25-vl-7b-a100-128k")
    left, short = (
        Setup(MemoryCase.model_validate(case | {"max_model_len": length})).capacity.memory.pool / 2**30
        for length in (128_000, 32_767)
    )
    assert left == pytest.approx(-14.28, abs=0.25)
    assert short - left > 13


def test_pools_beside_the_encoder_of_gemma_4_are_those_that_were_printed() -> None:
    """26B on an A100 (0.19) and 31B on a B300 (0.26, the first runner asked for): in percent.

    E4B on an RTX 3090 (0.22) has 0.35 of its 4.1 GiB less: its graphs were estimated 0.19 GiB above the rule, and the
    rest was hidden while graphs were taken for as much more. One-hot rows of positions would be 0.5 GiB.
    """
    late = {one.quantity: {id_: size for size, id_ in one.of} for one in validate(LATE).errors}["kv_cache_gib_per_gpu"]
    found = held_out()["kv_cache_gib_per_gpu"] | late
    assert max(found[id_] for id_ in ("myoceane-gemma4-26b-a100", "gemma4-31b-b300")) < 0.2
    assert found["gemma4-e4b-3090"] == pytest.approx(8.5, abs=0.1)


LATE: list[Case] = json.loads((DATA / "memory_cases_found.json").read_text(encoding="utf-8"))["cases"]
COMPILED = {
    "a40-llama31-8b": 0.45,
    "a100-llama31-8b-v031": 0.14,
    "4090-qwen3-8b-v027-first": 1,
    "4090-wsl-qwen3-14b-fp8": 1.4,
    "a10g-qwen3-8b": 4.5,
    "l40s-qwen3-14b": 0.5,
    "l40s-qwen3-14b-awq": 0.2,
    "l40s-qwen3-14b-awq-tuned": 0.1,
    "l4-qwen3-14b-awq-first": 2.2,
    "2xl4-qwen3-14b-awq-tp2": 1.3,
    "2xl4-qwen3-14b-awq-pp2": 0.2,
    "4090-wsl-qwen3-8b-awq-90": 0.3,
    "4090-wsl-qwen3-8b-lora": 1.8,
}
"""First starts of models without an encoder on vLLM 0.26 to 0.31: the pool is within so many percent.

Those of the A10G, which is 3.16 GiB, is 0.14 GiB larger than predicted. The A100's is told a first start by its peak.
Of those on L40S, L4 and a 4090 with adapters no source says that they are: one L4 had both pools, 1.23 GiB apart.
"""
AWQ_KERNELS = "3090-qwen25-7b-awq-v022"
UNLIKE = {
    "gb10-qwen36-27b-nvfp4": 14.9,
    "pro6000-qwen3-32b-pp2": 11.2,
    "t4-gemma4-e2b-029": 13.9,
    "t4-gemma4-e2b-028": 11.2,
    "gb10-qwen35-35b-fp8": 9.8,
    "gemma4-e4b-3090": 8.5,
    "l4-gemma4-e2b": 7.8,
    "a10g-qwen3-8b": 4.4,
    "8xh100-glm53-flash": 5.8,
    "4090-qwen25-7b-v024": 3.2,
    "gb10-qwen3-06b": 2.9,
    AWQ_KERNELS: 2.8,
    "4090-wsl-qwen25-vl-7b": 5.5,
    "a100pcie-qwen35-08b-serve": 3.6,
    "a100pcie-qwen35-08b": 3.1,
    "2x3090-qwen38-27b-mtp3": 6.3,
    "2x3090-qwen38-27b-mtp3-rig": 5.4,
    "5090-qwen36-27b-nvfp4-mtp3": 3.4,
}
"""Pools that are more than 2.5 % off, in percent: all but the A10G's too large.

Gemma 4 E2B and E4B have 0.3 to 0.7 GiB less of 3 to 9, of which 0.19 is graphs (E4B); why is not known. Qwen3 32B on
two stages is likely a first start, whose last stage has less. Qwen2.5 7B on an RTX 4090 has 0.14 GiB less of 4.5; in
AWQ 0.41 of 14.4, 0.29 of them graphs. A GB10 shares its memory with the system: two first starts had 5.5 and 7.1 GiB
less. GLM-5.3-Flash on 8 H100 loads 0.8 GiB more than is said, and has 0.9 less for reasons that are not known. Two
first starts of Qwen3.5 0.8B on an A100 had 2.2 GiB less of 69 and 64, held beside PyTorch's; Qwen2.5-VL 7B under
Windows 0.18 of 3.5. Of those that draft, two pairs of RTX 3090 on 0.27 had 0.3 GiB less of 4.8: for GPUs without FP8
Marlin's kernels keep a 16-bit scale for 128 weights, not for 128 x 128, some 0.18 GiB here, which is not counted since
no build says which weights share one. One RTX 5090 had 0.13 less of 3.9, of which 0.06 are graphs.
"""
BESIDE = {
    AWQ_KERNELS: 1.8,
    "h200-qwen25-7b-awq-v031": 2.1,
    "l40s-qwen3-14b-awq": 0.85,
    "l40s-qwen3-14b-awq-tuned": 0.85,
    "l4-qwen3-14b-awq": 0.85,
    "l4-qwen3-14b-awq-first": 0.85,
    "4070laptop-qwen25-15b": 3.25,
}
"""Weights that are more than 0.74 % too small, in percent: why is not known.

Qwen2.5 7B in AWQ loads 0.09 and 0.11 GiB more than its tensors take, Qwen3 14B in AWQ 0.08 (0.28), Qwen2.5 1.5B on a
laptop 0.10 (0.30).
"""


@pytest.mark.parametrize(
    ("quantity", "least", "worst"),
    [("weights_gib_per_gpu", 49, 0.74), ("kv_cache_gib_per_gpu", 37, 2.45), ("kv_cache_tokens", 41, 2.47)],
)
def test_logs_that_were_found_when_all_rules_stood_are_predicted(quantity: str, least: int, worst: float) -> None:
    """Starts of vLLM 0.10 to 0.31 on H100, H200, L40S, L4, GH200, A100, A40, MI300X and RTX cards: in percent.

    Weights within 0.1, but of six models that see (Qwen2.5-VL 7B 0.31, Qwen3.5 0.8B 0.36, Gemma 4 E4B 0.42 and E2B
    0.64, Gemma 3 27B 0.68, Gemma 4 31B in FP8 0.74), Qwen2.5 7B (0.29), others in AWQ (0.16 to 0.36, and see `BESIDE`),
    Qwen3.6 27B in NVFP4 (0.16), DeepSeek R1 (0.18), Qwen3.5 9B on two ranks and Flash Next (0.24, in FP8 0.41: its
    encoder was left out), DeepSeek V4 Flash (0.30) and what is printed as 0.93 GiB.
    Pools within 1, but of Qwen3 32B on two ranks (AWQ on 4090s 2.4 too small, PRO 6000s 1.5), 0.5B (1.9), Qwen3.8 27B
    on a PRO 6000 (1.8 too small), Gemma 3 27B on an MI300X (1.5), Qwen3.5 9B (1.5) and a first start (1.3).
    """
    (found,) = (one.of for one in validate(LATE).errors if one.quantity == quantity)
    unlike = BESIDE if quantity == "weights_gib_per_gpu" else UNLIKE
    alike = [size for size, id_ in found if id_ not in unlike]
    assert len(alike) >= least
    assert max(alike) <= worst


def test_what_the_rules_miss_of_the_logs_found_late_is_known_by_name() -> None:
    found = {one.quantity: {id_: size for size, id_ in one.of} for one in validate(LATE).errors}
    pools = found["kv_cache_gib_per_gpu"] | found["kv_cache_tokens"]
    assert {id_: size for id_, size in pools.items() if size > 2.5} == pytest.approx(UNLIKE, abs=0.1)
    assert {id_: found["weights_gib_per_gpu"][id_] for id_ in BESIDE} == pytest.approx(BESIDE, abs=0.05)
    assert not any(found["fits"].values())


DRAFTING = [case for case in LATE if case.get("speculative_tokens")]


def test_starts_that_draft_are_as_far_off_as_the_evidence_says() -> None:
    """Qwen3.6 and 3.8 27B with 3 tokens of their own layer each (vLLM 0.24 to 0.27): signed, in percent.

    Taken for starts without drafts, their tokens would be 13 to 26 % too many.
    """
    quantities = ("kv_cache_gib_per_gpu", "kv_cache_tokens", "max_concurrency", "activation_peak_gib")

    def off(cases: list[Case]) -> dict[str, list[float]]:
        outcomes = {one.id: one.predicted for one in validate(cases).outcomes}
        return {
            name: [
                100 * (outcomes[case["id"]][name] / case["measured"][name] - 1)
                for case in cases
                if name in case["measured"]
            ]
            for name in quantities
        }

    assert off(DRAFTING) == {
        "kv_cache_gib_per_gpu": pytest.approx([-0.6, 6.3, -1.9, 3.4], abs=0.1),
        "kv_cache_tokens": pytest.approx([-0.5, 5.4, -1.8], abs=0.1),
        "max_concurrency": pytest.approx([-0.9, 5.8, -1.8], abs=0.1),
        "activation_peak_gib": pytest.approx([-0.5], abs=0.1),
    }
    plain = off([case | {"speculative_tokens": 0} for case in DRAFTING])
    assert plain["kv_cache_tokens"] == pytest.approx([14.9, 25.7, 12.6], abs=0.1)


def test_first_starts_have_what_they_tried_kernels_out_on_less() -> None:
    """Taken for second starts, their pools would be 1.3 to 28 % too large. Warm ones are predicted as they were.

    The LoRA server's would be 22 % too large, and the L4's 15.
    """
    found = {one.quantity: {id_: size for size, id_ in one.of} for one in validate(LATE).errors}["kv_cache_tokens"]
    for id_, worst in COMPILED.items():
        assert found[id_] <= worst, id_
    warm = [case | {"extra": case["extra"] | {"first_start": False}} for case in LATE if case["id"] in COMPILED]
    (missed,) = ([size for size, _ in one.of] for one in validate(warm).errors if one.quantity == "kv_cache_tokens")
    assert sorted(missed) == pytest.approx(
        [1.3, 1.7, 2.8, 4.2, 5.3, 6.9, 7.6, 10.0, 15.5, 20.5, 22.4, 26.7, 28.5], abs=0.1
    )


def test_no_latent_is_kept_twice_by_ranks_that_split_the_context() -> None:
    """Kimi K2 Thinking on 8 H200: eight times the tokens that one rank's memory holds, 8,784 B each."""
    found = {one.quantity: {id_: size for size, id_ in one.of} for one in validate(LATE).errors}["kv_bytes_per_token"]
    assert found["8xh200-kimi-k2-thinking-dcp8"] < 0.01


COMPRESSED: list[Case] = json.loads((DATA / "memory_cases_compressed.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize(
    ("quantity", "case", "least", "worst"),
    [
        ("weights_gib_per_gpu", "2xpro6000-v4-flash", 0, 0.1),
        ("weights_gib_per_gpu", "8xh100-v41-flash", 0.8, 0.9),
        ("max_concurrency", "8xb200-v4-flash", 2, 2.3),
        ("kv_cache_gib_per_gpu", "2xgh200-v4-flash", 6, 7),
    ],
)
def test_deepseek_v4_is_as_far_from_its_logs_as_the_evidence_says(
    quantity: str, case: str, least: float, worst: float
) -> None:
    """In percent: the GH200's small pool of 5.44 GiB came out 0.3 GiB too large, the B200's of 140 GiB 3 GiB."""
    found = next(one.of for one in validate(COMPRESSED).errors if one.quantity == quantity)
    assert least < {id_: size for size, id_ in found}[case] < worst


def test_deepseek_v4_starts_where_it_started() -> None:
    assert not any(size for one in validate(COMPRESSED).errors if one.quantity == "fits" for size, _ in one.of)


def test_no_case_is_both_in_and_out_of_sample() -> None:
    ids = [case["id"] for case in (*HELD_OUT, *LATE, *COMPRESSED)]
    assert len(ids) == len(set(ids))
    assert not set(ids) & set(BY_ID)
    assert all(case["source"] for case in (*HELD_OUT, *LATE))
    assert not [
        name for case in (*HELD_OUT, *LATE) for name in case if name not in {*MemoryCase.model_fields, "source"}
    ]


# --- from the configuration alone -------------------------------------------------------------------------------------


def falsified(case: Case) -> Case:
    """Every figure ten times as large, every verdict the opposite."""
    wrong = {name: not value if isinstance(value, bool) else 10 * value for name, value in case["measured"].items()}
    return case | {"measured": wrong}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_is_predicted_from_its_configuration_alone(case: Case) -> None:
    stripped = {name: value for name, value in case.items() if name != "measured"}
    true, without, false = validate([case, stripped, falsified(case)]).outcomes
    assert true.predicted == without.predicted == false.predicted
    assert true.left_out == without.left_out == false.left_out
    assert true.skipped == without.skipped == false.skipped


@pytest.mark.parametrize("name", ["source", "about", "note"])
def test_what_is_said_about_a_case_decides_nothing(name: str) -> None:
    (plain, noted) = validate([LLAMA, LLAMA | {name: "weights 14.99 GiB, KV cache 58.11 GiB, 476016 tokens"}]).outcomes
    assert plain.predicted == noted.predicted


def test_cases_without_measured_figures_are_predicted_and_have_no_errors() -> None:
    bare = validate([case | {"measured": measured} for case in CASES for measured in ({}, None)])
    assert [one.predicted for one in bare.outcomes[::2]] == [one.predicted for one in report().outcomes]
    assert bare.errors == ()
    assert bare.structured()["summary"]["errors"] == {}
    assert "quantity" not in bare.text()


def test_what_is_measured_in_another_form_is_not_held_against() -> None:
    """Numbers as text, infinite or nothing, verdicts as numbers, numbers as verdicts, names that are not known."""
    odd = {
        "weights_gib_per_gpu": "14.99",
        "kv_cache_gib_per_gpu": -0.12,
        "kv_cache_tokens": 0,
        "activation_peak_gib": float("inf"),
        "non_torch_gib": float("nan"),
        "max_concurrency": 10**400,
        "cuda_graph_gib": True,
        "fits": 1,
        "weights": 14.99,
    }
    (one,) = validate([LLAMA | {"measured": odd}]).outcomes
    assert one.measured == {}
    assert one.predicted == outcomes()[LLAMA["id"]].predicted


def test_llama_3_1_8b_on_one_h100_is_predicted_as_worked_by_hand() -> None:
    """vLLM 0.19 at 0.95 of 79.19 GiB: 14.99 GiB of weights, 1.87 + 0.25 GiB beside, 58.1 GiB of 2 MiB blocks."""
    found = predict(MemoryCase.model_validate(LLAMA)).predicted
    assert found["weights_gib_per_gpu"] == pytest.approx((16_060_522_496 + 131_072 * 128 * 2) / 2**30)
    assert found["activation_peak_gib"] == pytest.approx((14.75 * 1024 * 128_256 + 2 * 8192 * 4096) / 2**30)
    assert found["non_torch_gib"] == 0.25
    assert found["cuda_graph_gib"] == pytest.approx(0.37 + 0.016 * 32)
    assert found["kv_cache_gib_per_gpu"] == pytest.approx(58.11, abs=0.03)
    assert found["kv_cache_tokens"] == int(found["kv_cache_gib_per_gpu"] * 2**30 // 2**21) * 16
    assert found["kv_bytes_per_token"] == 131_072
    assert found["max_concurrency"] == found["kv_cache_tokens"] / 4096
    assert found["fits"] is True


@pytest.mark.parametrize(
    ("changes", "version"),
    [
        ({"engine_version": "0.19.0"}, 19),
        ({"engine_version": "0.26.1rc1.dev608+g99a10304d"}, 26),
        ({"engine_version": "0.17-0.18 (V1)"}, 17),
        ({"engine_version": "0.6.4 (V0)"}, 6),
        ({"engine_version": "0.9.x (V0)"}, 7),
        ({"engine_version": None}, 28),
        ({"engine_version": "1.x (PyTorch backend)"}, 28),
        ({"engine_version": "0.8.4", "gpu": "T4"}, 7),
        ({"engine_version": "0.11.2", "gpu": "T4"}, 11),
        ({"engine_version": None, "gpu": "T4"}, 28),
    ],
)
def test_the_version_is_read_as_cases_write_it(changes: Case, version: int) -> None:
    """V0 is the first engine, whose last version is 0.7; T4 ran it up to 0.10."""
    assert Setup(MemoryCase.model_validate(LLAMA | changes)).version == version


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("Qwen3-8B-FP8", "Qwen/Qwen3-8B"),
        ("qwen3-8b-awq-int4", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-8B (sft)", "Qwen/Qwen3-8B"),
        ("meta-llama/Llama-3.3-70B-Instruct-quantized.w8a8", "meta-llama/Llama-3.3-70B-Instruct"),
    ],
)
def test_a_checkpoint_is_known_without_what_names_its_format(name: str, id_: str) -> None:
    found = catalogued(name)
    assert found is not None
    assert found.id == id_


def test_a_catalogued_name_with_other_layers_is_what_is_stated() -> None:
    form = LLAMA["architecture"] | {"L": 16}
    (one,) = validate([LLAMA | {"architecture": form}]).outcomes
    assert float(one.predicted["weights_gib_per_gpu"]) < 9


def test_the_positions_of_a_catalogued_name_are_those_stated() -> None:
    """A table of rotations has 128 x 2 B a position."""
    form = LLAMA["architecture"] | {"pos": 8192}
    (stated, own) = validate([LLAMA | {"architecture": form}, LLAMA]).outcomes
    more = float(own.predicted["weights_gib_per_gpu"]) - float(stated.predicted["weights_gib_per_gpu"])
    assert more * 2**30 == pytest.approx((131_072 - 8192) * 128 * 2)


@pytest.mark.parametrize(
    ("changes", "cached"),
    [
        ({}, True),
        ({"prefix_caching": None}, False),
        ({"prefix_caching": None, "engine_version": "0.28.0"}, True),
        ({"prefix_caching": False, "engine_version": "0.28.0"}, False),
        ({"prefix_caching": None, "engine": "sglang"}, True),
    ],
)
def test_prefixes_are_cached_as_stated_else_as_the_engine_does_by_default(changes: Case, *, cached: bool) -> None:
    setup = Setup(MemoryCase.model_validate(BY_ID["club612-qwen36-35b-nvfp4-5090"] | changes))
    assert setup.engine(gpu=setup.gpu).prefix_caching is cached


def test_decode_context_parallelism_multiplies_the_tokens_of_a_case() -> None:
    case = BY_ID["lldv019-kimi-vl-a3b-instruct-tp2pp1-8192-bf16-kvbf16"]
    one, two = validate([case, case | {"extra": case["extra"] | {"dcp": 2}}]).outcomes
    assert two.predicted["kv_cache_tokens"] == 2 * one.predicted["kv_cache_tokens"]


DRAFTER: Case = {
    "id": "drafts",
    "engine": "vllm",
    "engine_version": "0.24.0",
    "model": "Qwen/Qwen3.6-27B-FP8",
    "weight_format": "fp8",
    "kv_dtype": "fp8",
    "gpu": "H200",
    "tp": 1,
    "gpu_memory_utilization": 0.9,
    "max_model_len": 262_144,
    "max_num_seqs": 2,
    "max_num_batched_tokens": 8192,
}


@pytest.mark.parametrize("name", ["speculative_tokens", "num_speculative_tokens"])
def test_a_start_that_drafts_loads_the_predictor_and_has_fewer_tokens(name: str) -> None:
    """Qwen3.6 27B's predictor: 424,699,392 parameters in FP8, a scale for each 128 x 128; by our name and vLLM's."""
    plain, silent, drafting = validate([DRAFTER, DRAFTER | {name: 0}, DRAFTER | {name: 3}]).outcomes
    assert plain.predicted == silent.predicted
    more = float(drafting.predicted["weights_gib_per_gpu"]) - float(plain.predicted["weights_gib_per_gpu"])
    assert more == pytest.approx(424_699_392 / 2**30, rel=0.001)
    assert drafting.predicted["kv_cache_gib_per_gpu"] <= float(plain.predicted["kv_cache_gib_per_gpu"]) - more
    assert drafting.predicted["kv_bytes_per_token"] >= 17 / 16 * float(plain.predicted["kv_bytes_per_token"])
    assert drafting.predicted["kv_cache_tokens"] < 16 / 17 * float(plain.predicted["kv_cache_tokens"])


def test_cases_may_draft_as_many_tokens_as_answers_do() -> None:
    setting = settings()["speculative_tokens"]
    outside = validate([DRAFTER | {"speculative_tokens": int(n)} for n in (setting.low - 1, setting.high + 1)])
    inside = validate([DRAFTER | {"speculative_tokens": int(n)} for n in (setting.low, setting.high)])
    assert all(one.skipped for one in outside.outcomes)
    assert not any(one.skipped for one in inside.outcomes)


def test_the_first_of_several_stages_prints_no_predictor() -> None:
    """It is on the last one."""
    staged = DRAFTER | {"pp": 2}
    plain, drafting = validate([staged, staged | {"speculative_tokens": 3}]).outcomes
    assert drafting.predicted["weights_gib_per_gpu"] == plain.predicted["weights_gib_per_gpu"]


@pytest.mark.parametrize(("name", "share"), [("mem_fraction_static", 0.5), ("free_gpu_mem_fraction", 0.5)])
def test_other_engines_name_their_share_otherwise(name: str, share: float) -> None:
    setup = Setup(MemoryCase.model_validate(LLAMA | {"extra": {name: share}}))
    assert setup.share == share


@pytest.mark.parametrize(("version", "tokens"), [("0.6.4 (V0)", 29_000), ("0.8.4", 8192)])
def test_the_first_engine_takes_a_whole_context_in_one_step_unless_told_otherwise(version: str, tokens: int) -> None:
    changes = {"engine_version": version, "max_model_len": 29_000, "max_num_batched_tokens": None}
    setup = Setup(MemoryCase.model_validate(LLAMA | changes))
    assert setup.engine(gpu=setup.gpu).max_num_batched_tokens == tokens


@pytest.mark.parametrize(("gpus", "stages"), [(4, 4), (None, 1)])
def test_llama_cpp_lays_layers_over_its_gpus_one_after_the_other(gpus: int | None, stages: int) -> None:
    setup = Setup(MemoryCase.model_validate(LLAMA | {"engine": "llama.cpp", "gpu_count": gpus, "tp": 2}))
    assert setup.layout == Layout(pp=stages)


def test_llama_cpp_sets_up_the_whole_context_of_every_slot() -> None:
    (one,) = validate([LLAMA | {"engine": "llama.cpp", "max_num_seqs": 4, "max_model_len": 8192}]).outcomes
    assert one.predicted["kv_cache_tokens"] == 4 * 8192


def test_what_a_windowed_layer_keeps_follows_the_batch_that_an_unknown_gpu_leaves_open() -> None:
    changes = {"gpu": None, "max_num_batched_tokens": None, "extra": {}}
    gemma = BY_ID["lldv019-gemma-2-27b-it-tp1pp1-8192-bf16-kvbf16"]
    windowed, plain = validate([gemma | changes, LLAMA | changes]).outcomes
    assert windowed.left_out.get("kv_bytes_per_token") == "`gpu` is not stated"
    assert plain.predicted["kv_bytes_per_token"] == 131_072


def test_eager_mode_captures_no_graphs() -> None:
    (one,) = validate([LLAMA | {"enforce_eager": True}]).outcomes
    assert one.predicted["cuda_graph_gib"] == 0


@pytest.mark.parametrize(
    ("model", "weight_format", "gib"),
    [
        ("moonshotai/Kimi-K2-Thinking", "int4", 594.2e9 / 2**30),  # 594 GB published
        ("meta-llama/Llama-3.1-8B-Instruct", "nvfp4", 5.65),  # 6.98 B linear at 4.5 bit, 1.05 B at its ends in 16
        ("nvidia/Llama-3.1-8B-Instruct-NVFP4", "nvfp4", 5.65),
    ],
)
def test_formats_of_some_layers_are_predicted_where_it_is_known_of_which(
    model: str, weight_format: str, gib: float
) -> None:
    """The release, and the build of a publisher whose list of quantised modules is in the catalogue."""
    changes = {"model": model, "weight_format": weight_format, "architecture": None, "tp": 1}
    (one,) = validate([LLAMA | changes]).outcomes
    assert one.predicted["weights_gib_per_gpu"] == pytest.approx(gib, rel=0.003)


# --- what is not predicted --------------------------------------------------------------------------------------------


def test_every_quantity_is_predicted_or_left_out_with_a_reason_on_one_printable_line() -> None:
    for one in report().outcomes:
        assert one.skipped or set(one.predicted) | set(one.left_out) == set(QUANTITIES)
        assert not set(one.predicted) & set(one.left_out)
    assert all(reason and reason.isprintable() and len(reason) < 200 for reason in reasons(report()))


@pytest.mark.parametrize(
    ("changes", "quantity", "said"),
    [
        ({"gpu_memory_utilization": None}, "kv_cache_gib_per_gpu", "`gpu_memory_utilization` is not stated"),
        ({"max_num_seqs": None}, "activation_peak_gib", "`max_num_seqs` is not stated"),
        ({"max_num_seqs": None, "max_num_batched_tokens": None}, "kv_cache_tokens", "`max_num_seqs` is not stated"),
        ({"max_num_batched_tokens": None}, "max_concurrency", "`max_num_batched_tokens` is not stated"),
        ({"weight_format": None}, "weights_gib_per_gpu", "the weight format is not stated"),
        ({"weight_format": "int4"}, "weights_gib_per_gpu", 'the weight format "int4" does not say'),
        (
            {"weight_format": "nvfp4", "model": "RedHatAI/Llama-3.1-8B-Instruct-NVFP4"},
            "weights_gib_per_gpu",
            'the weight format "nvfp4" does not say',
        ),
        ({"gpu": None, "extra": {}}, "non_torch_gib", "`gpu` is not stated"),
        ({"gpu": "Abacus 9"}, "fits", 'the GPU "Abacus 9" is not in the catalog'),
        ({"tp": None}, "weights_gib_per_gpu", "`tp` is not stated"),
        ({"pp": 33}, "weights_gib_per_gpu", "`pp` is more than the model has layers"),
        ({"kv_dtype": None}, "kv_bytes_per_token", "the KV cache format is not stated"),
        ({"kv_dtype": "q9_9"}, "kv_bytes_per_token", 'the KV cache format "q9_9" is not known'),
        (
            {"model": "zai-org/GLM-5.3-Flash-BF16", "architecture": None},
            "weights_gib_per_gpu",
            "a model with an indexer",
        ),
        ({"extra": {"lora_enabled": True}}, "weights_gib_per_gpu", "slots for LoRA adapters"),
        ({"engine": "transformers"}, "fits", "no rules are known here for the engine transformers"),
        ({"engine": "aphrodite (vLLM fork)"}, "activation_peak_gib", "the overheads of aphrodite"),
        ({"engine": "sglang"}, "cuda_graph_gib", "graphs of sglang are not known"),
        ({"engine": "tensorrt-llm", "engine_version": "0.13"}, "fits", "TensorRT-LLM before 1.0"),
        (
            {"architecture": LLAMA["architecture"] | {"nkv": 10**9, "hd": 10**9}},
            "kv_bytes_per_token",
            "a token takes more than any GPU has",
        ),
        ({"weight_format": "a\nb\x1b[31m"}, "fits", r'the weight format "a\nb\x1b[31m" does not say'),
        ({"gpu": "H\x85"}, "fits", r'the GPU "H\x85" is not in the catalog'),
        ({"engine": "v\u202ellm"}, "fits", r"no rules are known here for the engine v\u202ellm"),
        ({"kv_dtype": "k\tv"}, "kv_bytes_per_token", r'the KV cache format "k\tv" is not known'),
    ],
)
def test_what_a_case_leaves_open_is_said(changes: Case, quantity: str, said: str) -> None:
    (one,) = validate([LLAMA | changes]).outcomes
    assert one.skipped is None
    assert quantity not in one.predicted
    assert said in one.left_out[quantity]
    assert all(reason.isprintable() for reason in one.left_out.values())


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (7, "it is no object"),
        ("a case", "it is no object"),
        (None, "it is no object"),
        ([LLAMA], "it is no object"),
        ({}, "`id` is missing; `engine` is missing; `model` is missing"),
        ({"architecture": {}}, "`id` is missing; `engine` is missing; `model` is missing; and 9 more"),
        ({name: value for name, value in LLAMA.items() if name != "model"}, "`model` is missing"),
        (LLAMA | {"tp": 0}, "`tp` should be greater than or equal to 1"),
        (LLAMA | {"tp": "2"}, "`tp` should be a valid integer"),
        (LLAMA | {"tp": True}, "`tp` should be a valid integer"),
        (LLAMA | {"tp": 1.5}, "`tp` should be a valid integer"),
        (LLAMA | {"pp": 10**6}, "`pp` should be less than or equal to 1024"),
        (LLAMA | {"max_model_len": 10**400}, "`max_model_len`"),
        (LLAMA | {"gpu_memory_utilization": float("nan")}, "`gpu_memory_utilization` should be"),
        (LLAMA | {"gpu_memory_utilization": 1.1}, "`gpu_memory_utilization` should be less than or equal to 1"),
        (LLAMA | {"gpu_memory_utilization": "0.9"}, "`gpu_memory_utilization` should be a valid number"),
        (LLAMA | {"enforce_eager": "no"}, "`enforce_eager` should be a valid boolean"),
        (LLAMA | {"architecture": {"H": 4096}}, "`architecture.L` is missing; `architecture.nh` is missing"),
        (LLAMA | {"architecture": LLAMA["architecture"] | {"heads": 8}}, "`architecture.heads` is not known"),
        (LLAMA | {"architecture": LLAMA["architecture"] | {"L": 10**9}}, "`architecture.L` should be less than"),
        (LLAMA | {"architecture": LLAMA["architecture"] | {"a\nb": 8}}, "`architecture.a\\nb` is not known"),
        (LLAMA | {"speculative_tokens": -1}, "`speculative_tokens` should be greater than or equal to 0"),
        (LLAMA | {"speculative_tokens": 17}, "`speculative_tokens` should be less than or equal to 16"),
        (LLAMA | {"speculative_tokens": 2.5}, "`speculative_tokens` should be a valid integer"),
        (LLAMA | {"num_speculative_tokens": "3"}, "`num_speculative_tokens` should be a valid integer"),
        (LLAMA | {"extra": {"gpu_total_gib": -5}}, "`extra.gpu_total_gib` should be greater than 0"),
        (LLAMA | {"extra": {"gpu_total_gib": float("inf")}}, "`extra.gpu_total_gib` should be"),
        (LLAMA | {"measured": [14.99]}, "`measured` should be"),
        (LLAMA | {"model": "\ud800"}, "`model` should be a valid string"),
        (LLAMA | {"model": "x" * 10_000}, "`model` is too long"),
    ],
)
def test_a_case_that_cannot_be_read_is_skipped_with_what_is_wrong(case: object, said: str) -> None:
    bad, good = validate([case, LLAMA]).outcomes
    assert bad.skipped is not None
    assert bad.skipped.startswith("the case cannot be read: ")
    assert said in bad.skipped
    assert " 0 more" not in bad.skipped
    assert bad.skipped.isprintable()
    assert (bad.predicted, bad.measured) == ({}, {})
    assert good.predicted == outcomes()[LLAMA["id"]].predicted


def test_a_case_that_cannot_be_read_is_named_by_its_id_where_it_has_one() -> None:
    (one,) = validate([LLAMA | {"tp": 0}]).outcomes
    assert one.id == LLAMA["id"]


def test_a_case_without_an_id_is_named_by_its_place() -> None:
    assert [one.id for one in validate([LLAMA, {}, 7, LLAMA | {"id": 5}]).outcomes[1:]] == [
        "case 2",
        "case 3",
        "case 4",
    ]


def test_a_model_that_is_neither_stated_nor_known_is_skipped() -> None:
    (one,) = validate([LLAMA | {"model": "nobody/nothing-9b", "architecture": None}]).outcomes
    assert one.skipped == 'no architecture is stated, and no model "nobody/nothing-9b" is in the catalog'


def test_what_a_short_form_leaves_open_is_the_reason_why_a_case_is_skipped() -> None:
    form = LLAMA["architecture"] | {"I": 0}
    (one,) = validate([LLAMA | {"model": "nobody/nothing-9b", "architecture": form}]).outcomes
    assert one.skipped == "`I` is 0: the layers' widths differ, and the short form does not say how"


# --- nothing breaks it ------------------------------------------------------------------------------------------------

NUMBERS = (0, 1, -1, 3, 7, 10**6, 10**9, 10**12, 10**30, 10**400, -(10**400), 0.5, 1e308, -1e308)
WORDS = ("", "x", "8", "alt", "1:0", "999:999", "²:1", "a\nb\x1b[31m", "\ud800", "x" * 5000, "0." + "9" * 199, "V0")
NAMES = ("sglang", "llama.cpp", "tensorrt-llm", "T4", "mxfp4", "siglip")
JUNK = st.sampled_from(
    [None, True, False, float("nan"), float("inf"), float("-inf"), *NUMBERS, *WORDS, *NAMES],
)
JUNKS = st.one_of(JUNK, st.lists(JUNK, max_size=6), st.dictionaries(st.sampled_from(["a", "full", "dcp"]), JUNK))
KEYS = st.sampled_from(
    ["zz", "dcp", "gpu_total_gib", "vis", "pat", "win", "mla", "gdn", "E", "dense", "dI", "pp", "a\nb"]
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or list inside with each of its keys."""
    if isinstance(value, dict | list):
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from places(inner)


@st.composite
def mutants(draw: st.DrawFn) -> object:
    """A real case of which keys are dropped, added, or given other values."""
    case: Any = deepcopy(draw(st.sampled_from(CASES)))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(places(case)) or [(case, "id")]))
        action = draw(st.sampled_from(["drop", "add", "change", "change"]))
        if action == "drop":
            del holder[key]
        elif action == "add" and isinstance(holder, dict):
            holder[draw(KEYS)] = draw(JUNKS)
        else:
            holder[key] = draw(JUNKS)
    return case


def assert_sound(one: Report) -> None:
    """Every case has figures or a reason, and both forms of the report can be written."""
    for outcome in one.outcomes:
        assert bool(outcome.predicted or outcome.left_out) != bool(outcome.skipped)
        assert all(isfinite(value) for value in outcome.predicted.values())
    assert all(reason and reason.isprintable() for reason in reasons(one))
    assert all(line.isprintable() for line in one.text().split("\n"))
    one.text().encode()
    json.dumps(one.structured(), allow_nan=False)


@runs(max_examples=400)
@given(case=mutants())
def test_no_case_breaks_the_report(case: object) -> None:
    assert_sound(validate([case]))


@given(case=st.one_of(JUNKS, st.dictionaries(st.sampled_from(list(LLAMA)), JUNKS)))
def test_no_junk_breaks_the_report(case: object) -> None:
    assert_sound(validate([case]))


SETTINGS = st.fixed_dictionaries(
    {
        "tp": st.integers(1, 1024),
        "pp": st.integers(1, 1024),
        "gpu_memory_utilization": st.floats(0.01, 1),
        "max_model_len": st.integers(1, 10**9),
        "max_num_seqs": st.integers(1, 10**9),
        "max_num_batched_tokens": st.integers(1, 10**9),
        "engine": st.sampled_from(["vllm", "sglang", "tensorrt-llm", "llama.cpp", "ik_llama.cpp"]),
    }
)


@given(case=st.sampled_from(CASES), changes=SETTINGS)
def test_every_setting_in_its_range_is_predicted_or_left_out(case: Case, changes: Case) -> None:
    assert_sound(validate([case | changes]))


# --- statistics -------------------------------------------------------------------------------------------------------


def outcome(id_: str, predicted: dict[str, float | bool], measured: dict[str, float | bool]) -> Outcome:
    return Outcome(id=id_, predicted=predicted, measured=measured, left_out={})


TINY = Report(
    outcomes=(
        outcome("a", {"tokens": 101.0, "peak": 1.0, "fits": True}, {"tokens": 100.0, "peak": 1.5, "fits": False}),
        outcome("b", {"tokens": 98.0, "peak": 2.0, "fits": True}, {"tokens": 100.0, "fits": True}),
        outcome("c", {"tokens": 206.0, "fits": False}, {"tokens": 200.0, "peak": 1.0, "fits": False}),
        outcome("d", {"tokens": 50.0}, {"tokens": 40.0}),
        Outcome(id="e", predicted={}, measured={"tokens": 1.0}, left_out={}, skipped="it is empty"),
        Outcome(id="f", predicted={}, measured={"peak": 1.0}, left_out={"peak": "`x` is not stated", "fits": "no"}),
        Outcome(id="f", predicted={}, measured={"peak": 2.0}, left_out={"peak": "`x` is not stated"}),
    ),
    units={"tokens": "%", "peak": "GiB", "fits": "wrong", "never": "%"},
)
"""Errors by hand: tokens 1, 2, 3 and 25 %; peak 0.5 GiB; one verdict of three wrong; two things never predicted."""


def test_errors_are_in_percent_of_the_measurement_in_gib_or_wrong_as_often() -> None:
    tokens, peak, fits = TINY.errors
    assert [(size, id_) for size, id_ in tokens.of] == [
        (pytest.approx(1), "a"),
        (pytest.approx(2), "b"),
        (pytest.approx(3), "c"),
        (25, "d"),
    ]
    assert peak.of == ((0.5, "a"),)
    assert fits.of == ((1, "a"), (0, "b"), (0, "c"))


def test_the_summary_has_mean_median_ninetieth_percentile_and_the_worst_with_its_id() -> None:
    summary = TINY.structured()["summary"]
    assert summary == {
        "cases": 7,
        "predicted": 6,
        "skipped": 1,
        "errors": {
            "tokens": {
                "n": 4,
                "unit": "%",
                "mean": pytest.approx(31 / 4),
                "median": pytest.approx(2.5),
                "p90": 25,
                "worst": 25,
                "worst_id": "d",
            },
            "peak": {"n": 1, "unit": "GiB", "mean": 0.5, "median": 0.5, "p90": 0.5, "worst": 0.5, "worst_id": "a"},
            "fits": {
                "n": 3,
                "unit": "wrong",
                "mean": pytest.approx(1 / 3),
                "median": 0,
                "p90": 1,
                "worst": 1,
                "worst_id": "a",
            },
        },
    }


def test_the_text_has_the_table_the_skipped_and_what_was_not_predicted_by_reason() -> None:
    assert TINY.text() == (
        "7 cases, 6 predicted, 1 skipped\n"
        "\n"
        "quantity  n      mean    median       P90     worst  in\n"
        "tokens    4    7.75 %    2.50 %   25.00 %   25.00 %   d\n"
        "peak      1  0.50 GiB  0.50 GiB  0.50 GiB  0.50 GiB   a\n"
        "fits      3   1 wrong                                 a\n"
        "\n"
        "Skipped\n"
        "  e: it is empty\n"
        "\n"
        "Not predicted, though measured\n"
        "  `x` is not stated: peak of 2"
    )


def test_the_row_of_a_quantity_has_its_statistics_in_the_order_of_the_header() -> None:
    """Errors of 1 to 20 GiB: mean and median 10.5, eighteen of twenty at most 18."""
    twenty = Errors(quantity="peak", unit="GiB", of=tuple((float(size), f"case {size}") for size in range(1, 21)))
    assert twenty.row() == ["peak", "20", "10.50 GiB", "10.50 GiB", "18.00 GiB", "20.00 GiB", "case 20"]


def test_where_no_verdict_is_wrong_none_is_named() -> None:
    right = Errors(quantity="fits", unit="wrong", of=((0.0, "a"), (0.0, "b")))
    assert right.row() == ["fits", "2", "0 wrong", "", "", "", ""]


def test_no_cases_are_an_empty_report() -> None:
    nothing = validate([])
    assert nothing.text() == "0 cases, 0 predicted, 0 skipped"
    assert nothing.structured() == {"cases": [], "summary": {"cases": 0, "predicted": 0, "skipped": 0, "errors": {}}}


@pytest.mark.parametrize("name", UNITS)
def test_the_text_has_a_line_for_every_quantity(name: str) -> None:
    (line,) = (line for line in report().text().splitlines() if line.startswith(f"{name} "))
    (found,) = (one for one in report().errors if one.quantity == name)
    unit: Unit = UNITS[name]
    assert line.split()[1] == str(len(found.of))
    assert f" {unit}" in line


def test_the_structured_report_has_every_case_with_figures_or_a_reason() -> None:
    found = report().structured()
    assert set(found) == {"cases", "summary"}
    assert [case["id"] for case in found["cases"]] == [case["id"] for case in CASES]
    for case in found["cases"]:
        assert set(case) == {"id", "predicted", "skipped", "left_out"}
        assert (case["skipped"] is None) == bool(case["predicted"])
    assert found["summary"]["cases"] == found["summary"]["predicted"] + found["summary"]["skipped"] == len(CASES)
    assert list(found["summary"]["errors"]) == list(UNITS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(values=VALUES, share=st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_and_so_many_do_not_exceed_it(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) <= share * len(values)


@given(values=VALUES, low=st.floats(0, 1), high=st.floats(0, 1))
def test_percentiles_rise_from_the_least_to_the_greatest(values: list[float], low: float, high: float) -> None:
    assert percentile(values, 0) == min(values)
    assert percentile(values, 1) == max(values)
    assert percentile(values, min(low, high)) <= percentile(values, max(low, high))


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 1), (2, 2), (9, 9), (10, 9), (11, 10), (19, 18), (20, 18), (21, 19), (100, 90)]
)
def test_the_ninetieth_percentile_is_the_value_that_a_tenth_may_exceed(count: int, rank: int) -> None:
    assert percentile(range(count, 0, -1), 0.9) == rank


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_has_a_case_on_each_line_and_every_case_its_source() -> None:
    text = (DATA / "memory_cases.json").read_text(encoding="utf-8")
    assert len(text.encode()) < 80_000
    assert sum(line.startswith('{"id":') for line in text.splitlines()) == len(CASES) == len(BY_ID)
    assert all(case["source"] for case in CASES)


def test_the_file_has_no_names_that_are_not_read() -> None:
    known = {*MemoryCase.model_fields, "source"}
    assert not [(case["id"], name) for case in CASES for name in case if name not in known]
