"""Number formats side by side: the guide's section 2, the bits of 0.7834 by hand, and laws of memory and speed."""

import re
from itertools import pairwise
from math import isclose, isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from golden_files import check_golden
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.tools.number_formats.draw import Bar, draw_bars
from inferplan.tools.parallelism import TOOL as PLANNER
from inferplan.tools.quantization import TOOL, Encoded, FormatRow, QuantizationAnswer
from o200k import tokens

GUIDE = ["fp32", "fp16", "fp8", "int4"]
CASES: dict[str, dict[str, Any]] = {
    "405B": {"model": "405B"},
    "70B nvfp4 200 users": {"model": "70B", "precision": "nvfp4", "concurrent_users": 200},
    "7B nf4 on a small card": {"model": "7B", "precision": "nf4", "gpu": "rtx 4090"},
    "llama 8b q4_k_m on A100": {"model": "llama 3.1 8b", "precision": "q4_k_m", "gpu": "a100-80gb"},
    "a negative weight": {"model": "745B MoE", "overrides": "sample_weight=-0.31"},
}
SIZE_CLASSES = [name for name, model in MODELS.items() if model.is_size_class]


def ask(**arguments: Any) -> QuantizationAnswer:
    return TOOL.ask(arguments)


def by_format(answer: QuantizationAnswer) -> dict[str, FormatRow]:
    return {row.precision: row for row in answer.formats}


def bits(precision: str, **arguments: Any) -> Encoded:
    encoding = by_format(ask(model="70B", precision=precision, **arguments))[precision].encoding
    assert encoding is not None
    return encoding


def decode(row: FormatRow) -> float:
    assert row.speed_multiplier is not None
    return row.speed_multiplier


def prefill(row: FormatRow) -> float:
    assert row.prefill is not None
    return row.prefill


def loaded(row: FormatRow) -> float:
    assert row.decode_at_load is not None
    return row.decode_at_load


def assumption(answer: QuantizationAnswer, name: str) -> str:
    found = next(one for one in answer.assumptions if one.name == name)
    return found.line()


class TestGuide:
    def test_405b_takes_1620_gb_in_fp32_and_202_5_gb_in_int4(self) -> None:
        answer = ask(model="405B")
        assert [(row.precision, row.memory_gb) for row in answer.formats] == [
            ("fp32", 1620),
            ("fp16", 810),
            ("fp8", 405),
            ("int4", 202.5),
        ]
        assert "1,620 GB in FP32" in answer.summary
        assert "202.5 GB in INT4" in answer.summary

    def test_the_guides_1_5_tb_is_1509_gib(self) -> None:
        assert "(1,509 GiB, the guide's 1.5 TB)" in ask(model="405B").summary
        assert "1.5 TB" not in ask(model="70B").summary

    def test_405b_in_int4_takes_3_h100_by_weights_alone(self) -> None:
        answer = ask(model="405B")
        assert by_format(answer)["int4"].gpus == 3
        assert "19, 10, 5 and 3 x H100" in answer.summary

    def test_fp8_halves_the_memory_of_fp16_and_is_rated_safe(self) -> None:
        answer = ask(model="405B")
        assert "FP8 takes 50 % of FP16 (rated safe) and INT4 25 % (rated caution)" in answer.summary

    def test_formats_are_rated_as_in_the_guide(self) -> None:
        rated = [row.quality for row in ask(model="13B").formats]
        assert rated == ["baseline", "safe", "safe", "caution"]

    def test_reductions_are_those_of_32_16_8_and_4_bits(self) -> None:
        rows = ask(model="7B").formats
        assert [(row.bits_per_weight, row.reduction_percent) for row in rows] == [(32, 0), (16, 50), (8, 75), (4, 87.5)]

    def test_int4_keeps_an_fp16_cache_and_says_why(self) -> None:
        line = assumption(ask(model="70B"), "kv_cache_element")
        assert "32 16 8 16 bit" in line
        assert "INT4 keeps FP16" in line

    def test_the_playgrounds_speed_constants_are_named_and_not_used(self) -> None:
        answer = ask(model="70B")
        assert "not the guide's 1x 2x 3.5x 5x" in assumption(answer, "speed_multiplier")
        assert [decode(row) for row in answer.formats] != [1, 2, 3.5, 5]

    def test_the_guides_errors_are_named_as_truncation(self) -> None:
        """By hand: 0.75 is 4.26 % off; 6 x 0.119 = 0.714 is 8.86 % off; 0.8125 and 5/7 are the nearest codes."""
        line = assumption(ask(model="405B"), "sample_weight")
        assert "4.3 and 8.7 % by truncation (0.75 (4.26 %); 0.714 (8.86 %), scale 0.119)" in line


class TestBits:
    @pytest.mark.parametrize(
        ("precision", "encoded"),
        [
            ("fp32", ("0", "01111110", "10010001000110011100111", "0x3F488CE7", 0.7834, 0.0)),
            ("fp16", ("0", "01110", "1001000100", "0x3A44", 0.783203, 0.025)),
            ("bf16", ("0", "01111110", "1001001", "0x3F49", 0.785156, 0.224)),
            ("fp8", ("0", "0110", "101", "0x35", 0.8125, 3.715)),
            ("int4", (None, None, "0101", "5", 0.714286, 8.822)),
            ("int8", (None, None, "01100011", "99", 0.779528, 0.494)),
            ("q8_0", (None, None, "01100011", "99", 0.779528, 0.494)),
            ("nf4", (None, None, "1110", "14", 0.722957, 7.715)),
            ("mxfp4", ("0", "10", "1", "0x5", 0.75, 4.263)),
            ("mxfp8", ("0", "1110", "101", "0x75", 0.8125, 3.715)),
            ("nvfp4", ("0", "11", "0", "0x6", 0.6875, 12.242)),
        ],
    )
    def test_0_7834_is_shown_bit_by_bit(self, precision: str, encoded: tuple[Any, ...]) -> None:
        one = bits(precision)
        assert (one.sign, one.exponent, one.mantissa, one.code, one.decoded, one.error_percent) == encoded
        assert one.bits == len((one.sign or "") + (one.exponent or "") + one.mantissa)

    @pytest.mark.parametrize(("precision", "scale"), [("int4", 1 / 7), ("nvfp4", 0.171875), ("fp8", None)])
    def test_a_scale_is_given_where_the_format_has_one(self, precision: str, scale: float | None) -> None:
        assert bits(precision).scale == (scale and pytest.approx(scale, rel=1e-5))

    def test_an_encoding_holds_only_what_its_format_has(self) -> None:
        rows = {row["precision"]: row["encoding"] for row in ask(model="405B").structured()["formats"]}
        assert list(rows["fp8"]) == ["bits", "sign", "exponent", "mantissa", "code", "decoded", "error_percent"]
        assert list(rows["int4"]) == ["bits", "mantissa", "code", "decoded", "error_percent", "scale"]

    @pytest.mark.parametrize("precision", ["q4_k_m", "q6_k"])
    def test_scales_within_scales_leave_no_single_code(self, precision: str) -> None:
        """Q6_K is one format throughout, but its 16 weights have a scale of 8 bit that 256 share another for."""
        answer = ask(model="70B", precision=precision)
        assert by_format(answer)[precision].encoding is None
        assert f"{precision.upper():<9} no single code: it depends on block and tensor" in answer.text()

    def test_every_line_of_the_bits_keeps_to_its_columns(self) -> None:
        for precision in ("fp32", "w8a16", "bnb-int8", "gptq", "nvfp4"):
            lines = ask(model="llama 3.1 8b", precision=precision).diagram.splitlines()
            head, *rows = lines[next(i for i, line in enumerate(lines) if "mantissa" in line) :]
            for row in rows:
                bits, code = row[head.index("sign") :], row[head.index("code") :]
                assert set(bits.split()[0]) <= {"0", "1"}
                assert re.match(r"(0x[0-9A-F]+|\d+) +\d", code)

    def test_another_weight_is_encoded_instead_and_the_guides_errors_are_left_out(self) -> None:
        answer = ask(model="70B", overrides="sample_weight=-0.5")
        fp8 = by_format(answer)["fp8"].encoding
        assert fp8 is not None
        assert (fp8.sign, fp8.code, fp8.decoded, fp8.error_percent) == ("1", "0xB0", -0.5, 0)
        assert "truncates" not in answer.text()

    def test_the_text_shows_the_bits_of_each_format_in_a_line(self) -> None:
        lines = ask(model="405B").text().splitlines()
        assert "FP8 E4M3  0     0110      101                      0x35        0.812500  3.71 %" in lines
        assert "INT4      0101 x scale 1/7                         5           0.714286  8.82 %" in lines


class TestFormats:
    @pytest.mark.parametrize(
        ("model", "asked", "fifth"),
        [
            ("llama 3.3 70b", "NVFP4", ["nvfp4"]),
            ("llama 3.3 70b", None, []),
            ("llama 3.3 70b", "bf16", ["bf16"]),
            ("gpt-oss-120b", None, ["mxfp4"]),
            ("gpt-oss-120b", "q4_k_m", ["q4_k_m"]),
            ("70B", None, []),
        ],
    )
    def test_beside_the_guides_four_stands_the_format_asked_for_or_the_one_released(
        self, model: str, asked: str | None, fifth: list[str]
    ) -> None:
        """A checkpoint in BF16 weighs and runs as in FP16, which is there already."""
        rows = ask(model=model, precision=asked).formats
        assert [row.precision for row in rows] == ["fp32", "fp16", "fp8", "int4", *fifth]

    def test_a_released_format_that_gives_way_is_named(self) -> None:
        assert assumption(ask(model="gpt-oss-120b", precision="q4_k_m"), "released").startswith("released = MXFP4 (")
        for answer in (ask(model="gpt-oss-120b"), ask(model="llama 3.3 70b", precision="q4_k_m")):
            assert not any(one.name == "released" for one in answer.assumptions)

    def test_a_format_is_listed_once(self) -> None:
        assert [row.precision for row in ask(model="70B", precision="fp8").formats] == ["fp32", "fp16", "fp8", "int4"]

    def test_a_checkpoint_is_weighed_with_scales_and_16_bit_embeddings(self) -> None:
        """Llama 3.1 8B: 6,979,321,856 parameters in linear layers, 1,050,939,392 besides."""
        rows = by_format(ask(model="llama 3.1 8b"))
        assert isclose(rows["fp8"].memory_gb, (6_979_321_856 * 8.004 + 1_050_939_392 * 16) / 8e9, rel_tol=1e-9)
        assert (rows["fp8"].bits_per_weight, rows["int4"].bits_per_weight) == (8.004, 4.125)

    def test_what_real_checkpoints_of_a_size_class_weigh_is_said(self) -> None:
        assert "Llama 3.3 70B Instruct weighs 72.7 GB in FP8" in ask(model="70B").summary

    def test_a_checkpoint_caches_in_16_bit_whatever_its_weights_unless_it_runs_in_32(self) -> None:
        cached = assumption(ask(model="llama 3.1 8b"), "kv_cache_element")
        assert cached.startswith("kv_cache_element = 32 16 16 16 bit")

    @pytest.mark.parametrize("model", SIZE_CLASSES)
    @pytest.mark.parametrize("precision", FORMATS)
    def test_memory_of_a_size_class_is_linear_in_bits(self, model: str, precision: str) -> None:
        row = by_format(ask(model=model, precision=precision))[precision]
        assert isclose(row.memory_gb, MODELS[model].total_params * row.bits_per_weight / 8e9, rel_tol=1e-9)

    @pytest.mark.parametrize(
        ("model", "precision"),
        [
            ("llama 3.1 8b", "q4_k_m"),
            ("gpt-oss 120b", "mxfp4"),
            ("deepseek r1", "nvfp4"),
            ("kimi k2 thinking", "int4"),
            ("gemma 3 27b", "awq"),
        ],
    )
    def test_the_arithmetic_of_the_formula_gives_the_memory(self, model: str, precision: str) -> None:
        """(linear x bits + others x bits) / 8, format by format, also where a checkpoint is stored in parts."""
        answer = ask(model=model, precision=precision, gpu="b200")
        linear, linear_bits, others, first, then = re.fullmatch(
            r"\(([\d,.]+)B linear x ([\d., ]+) bit \+ ([\d,.]+)B others x ([\d.]+), (.*) bit\) / 8 = .*",
            answer.formula[0],
        ).groups()  # pyright: ignore[reportOptionalMemberAccess]
        each, rows = [float(one) for one in linear_bits.split(", ")], answer.formats
        rest = [float(one) for one in then.removeprefix("then ").split(", ")]
        rest = [float(first), *(rest * (len(rows) - 1) if len(rest) == 1 else rest)]
        params = [float(one.replace(",", "")) for one in (linear, others)]
        for row, own, other in zip(rows, each, rest, strict=True):
            assert (params[0] * own + params[1] * other) / 8 == pytest.approx(row.memory_gb, rel=2e-4)

    @pytest.mark.parametrize("model", MODELS)
    def test_reduction_follows_from_memory_and_fp8_is_never_larger_than_fp16(self, model: str) -> None:
        rows = by_format(ask(model=model))
        for row in rows.values():
            assert isclose(row.reduction_percent, 100 * (1 - row.memory_gb / rows["fp32"].memory_gb), abs_tol=0.006)
        assert rows["fp8"].memory_gb < rows["fp16"].memory_gb
        assert rows["int4"].memory_gb < rows["fp8"].memory_gb


class TestSpeed:
    @pytest.mark.parametrize("model", SIZE_CLASSES)
    def test_at_batch_1_fewer_bits_decode_faster_on_an_h100(self, model: str) -> None:
        speeds = [decode(row) for row in ask(model=model).formats]
        assert speeds[0] == 1
        assert all(slower < faster for slower, faster in pairwise(speeds))

    @pytest.mark.parametrize("model", SIZE_CLASSES)
    def test_no_format_speeds_decode_up_by_more_than_its_bytes_shrink(self, model: str) -> None:
        """At batch 1 decode reads weights and cache; fixed times only dampen the ratio."""
        assert all(decode(row) <= 32 / row.bits_per_weight for row in ask(model=model).formats)

    def test_under_load_int4_gains_less_than_fp8_because_it_computes_and_caches_in_16_bit(self) -> None:
        rows = by_format(ask(model="70B", concurrent_users=200))
        assert decode(rows["int4"]) > decode(rows["fp8"])
        assert loaded(rows["int4"]) < loaded(rows["fp8"])

    def test_what_an_idle_7b_gains_in_16_bit_by_hand(self) -> None:
        """6.87e9 weights besides the embedding at 0.9 x 3.35 TB/s; 32 layers x 75.0 us and 16 us of the sequence.

        FP32: 9.11 + 0.08 (0.32 ms of arithmetic, most of it hidden) + 2.42 ms; FP16: 4.56 + 2.42 ms.
        """
        assert isclose(decode(by_format(ask(model="7B", context_window=1))["fp16"]), 11.61 / 6.98, abs_tol=0.01)

    @pytest.mark.parametrize("model", ["745B MoE", "Qwen/Qwen3-30B-A3B"])
    def test_expanding_int4_experts_makes_a_full_prefill_slower_than_fp16(self, model: str) -> None:
        rows = by_format(ask(model=model, concurrent_users=64, context_window=8192))
        assert prefill(rows["int4"]) < prefill(rows["fp16"])
        assert decode(rows["int4"]) > decode(rows["fp16"])

    def test_a_dense_int4_model_reads_full_prompts_no_faster_than_fp16_but_short_ones_alone_it_does(self) -> None:
        rows, alone = (by_format(ask(model="7B", concurrent_users=users, context_window=128)) for users in (64, 1))
        assert isclose(prefill(rows["int4"]) / prefill(rows["fp16"]), 1, abs_tol=0.02)
        assert prefill(alone["int4"]) > 1.2 * prefill(alone["fp16"])

    def test_fp8_on_an_a100_gains_bytes_alone_so_nothing_where_computing_counts(self) -> None:
        rows = by_format(ask(model="7B", gpu="a100-80gb", concurrent_users=64, context_window=128))
        assert isclose(prefill(rows["fp8"]) / prefill(rows["fp16"]), 1, abs_tol=0.01)
        assert decode(rows["fp8"]) > 1.3 * decode(rows["fp16"])

    def test_a_lone_user_is_no_load_and_has_no_figures_of_one(self) -> None:
        row = ask(model="70B").structured()["formats"][0]
        assert "decode_at_load" not in row
        assert "decode_at_load" in ask(model="70B", concurrent_users=2).structured()["formats"][0]

    @given(
        model=st.sampled_from(list(MODELS)),
        gpu=st.sampled_from(list(GPUS)),
        users=st.integers(1, 3000),
        context=st.integers(1, 131_072),
    )
    @settings(max_examples=60)
    def test_against_itself_a_format_is_as_fast_whatever_the_load(
        self, model: str, gpu: str, users: int, context: int
    ) -> None:
        answer = ask(model=model, gpu=gpu, concurrent_users=users, context_window=context)
        timed = [row for row in answer.formats if row.speed_multiplier is not None]
        if timed:
            widest = max(timed, key=lambda row: row.memory_gb)
            assert {widest.speed_multiplier, widest.prefill, widest.decode_at_load or 1} == {1}

    def test_a_format_that_no_layout_holds_is_not_timed_and_the_next_is_what_others_are_held_against(self) -> None:
        """2,980 GB in FP32 are more than any 61 stages of two RTX 4090 hold."""
        answer = ask(model="745B MoE", gpu="rtx 4090")
        rows = by_format(answer)
        assert (rows["fp32"].speed_multiplier, rows["fp32"].prefill) == (None, None)
        assert decode(rows["fp16"]) == 1
        assert "as fast as FP16" in answer.summary
        assert assumption(answer, "not_timed").startswith("not_timed = FP32 (not held by RTX 4090 with")

    def test_fp8_prefill_gains_nothing_over_fp16_on_an_a100_and_much_on_an_h100(self) -> None:
        gain = {}
        for gpu in ("a100-80gb", "h100"):
            rows = by_format(ask(model="70B", gpu=gpu))
            gain[gpu] = prefill(rows["fp8"]) / prefill(rows["fp16"])
        assert isclose(gain["a100-80gb"], 1, abs_tol=0.02)
        assert gain["h100"] > 1.3

    def test_a_gpu_without_units_of_a_format_is_named(self) -> None:
        answer = ask(model="70B", gpu="a100-80gb", precision="nvfp4")
        assert "has no FP8 units, so FP8 saves memory there but no arithmetic" in answer.summary
        assert assumption(answer, "weight_only_here").startswith("weight_only_here = FP8 and NVFP4")
        assert "no FP8 units" not in ask(model="70B").summary

    def test_nvfp4_is_expanded_on_units_that_multiply_mxfp4_alone(self) -> None:
        """CDNA4 has FP4 units, of blocks of 32 with a power of two: vLLM emulates NVFP4 there in 16 bit."""
        asked: dict[str, Any] = {"model": "llama 3.3 70b", "gpu": "mi355x", "concurrent_users": 64}
        nvidias, open_ = (ask(**asked, precision=precision) for precision in ("nvfp4", "mxfp4"))
        rows = by_format(nvidias)
        assert isclose(prefill(rows["nvfp4"]), prefill(rows["fp16"]), rel_tol=0.02)
        assert prefill(by_format(open_)["mxfp4"]) > 1.2 * prefill(rows["fp16"])
        assert assumption(nvidias, "weight_only_here").startswith("weight_only_here = NVFP4 (")
        assert not any(one.name == "weight_only_here" for one in open_.assumptions)

    def test_all_formats_are_timed_on_the_fewest_gpus_that_hold_the_widest(self) -> None:
        assert "fewest GPUs for FP32" in assumption(ask(model="7B"), "speed_multiplier")
        assert "On 1 GPU FP16, FP8 and INT4 decode" in ask(model="7B").summary
        assert "On 24 GPUs (tensor 8 x pipeline 3)" in ask(model="405B").summary

    def test_how_far_times_may_be_off_is_said(self) -> None:
        line = assumption(ask(model="70B"), "speed_multiplier")
        assert re.search(r"estimated .* half of published times( on [A-Za-z ]+)? within [-+]\d+ to \+\d+ %", line)

    @pytest.mark.parametrize("gpu", GPUS)
    def test_multipliers_are_positive_and_finite_on_every_gpu(self, gpu: str) -> None:
        answer = ask(model="70B", gpu=gpu)
        timed = [row for row in answer.formats if row.speed_multiplier is not None]
        assert all(decode(row) > 0 and prefill(row) > 0 and isfinite(decode(row) + prefill(row)) for row in timed)
        named = [one for one in answer.assumptions if one.name == "not_timed"]
        assert bool(named or "vLLM 0.28 does not" in answer.summary) == (len(timed) < len(answer.formats))

    def test_a_gpu_without_a_known_fp32_peak_says_so(self) -> None:
        assert "16-bit peak" in assumption(ask(model="7B", gpu="gaudi-2"), "fp32_peak")

    @given(users=st.integers(1, 10_000), context=st.integers(1, 131_072))
    def test_multipliers_stay_finite_under_any_load(self, users: int, context: int) -> None:
        rows = ask(model="70B", concurrent_users=users, context_window=context).formats
        assert all(isfinite(decode(row)) and decode(row) > 0 for row in rows)


class TestWords:
    def test_one_gpu_that_holds_every_format_is_said_once(self) -> None:
        assert "by weights alone one A100 SXM4 80GB holds any of them" in ask(model="llama 8b", gpu="a100-80gb").summary

    def test_a_node_that_holds_nothing_is_said(self) -> None:
        assert "one node of 2 holds none" in ask(model="745B MoE", gpu="rtx 4090").summary
        assert "one node" not in ask(model="745B MoE", gpu="m3 ultra").summary

    def test_the_next_step_lays_out_the_most_compressed_safe_format(self) -> None:
        steps = ask(model="70B", precision="q6_k", gpu="h200").next_steps
        assert [step.tool for step in steps] == ["plan_parallelism"]
        assert steps[0].arguments == {"model": "70B", "precision": "q6_k", "gpu": "h200-sxm"}
        assert ask(model="70B", precision="q2_k").next_steps[0].arguments["precision"] == "fp8"

    def test_a_next_step_promises_a_layout_only_where_there_is_one(self) -> None:
        """T4: FP8 of gpt-oss 20B is held by no layout, Gemma 3 runs in FP32 alone; FP16 of 8B in each of four."""
        promises = {("gpt-oss-20b", None): False, ("gemma 3 27b", "q8_0"): False, ("llama 3.1 8b", None): True}
        for (model, precision), held in promises.items():
            step = ask(model=model, precision=precision, gpu="t4").next_steps[0]
            assert (step.why == "its layout and speed") is held
            assert PLANNER.ask(step.arguments).fits is held

    def test_a_larger_safe_format_that_is_held_comes_before_a_smaller_one_that_is_not(self) -> None:
        """Q8_0 of Gemma 3 starts on T4 where FP8 would need BF16."""
        arguments: dict[str, Any] = {"model": "gemma 3 4b", "precision": "q8_0", "gpu": "t4"}
        assert ask(**arguments).next_steps[0].arguments["precision"] == "q8_0"

    @pytest.mark.parametrize(
        ("model", "precision", "gpu", "why", "timed"),
        [
            ("gemma 3 4b", "q8_0", "t4", "FP16, FP8 and INT4 cannot run: vLLM 0.28 serves it on T4, which", ["q8_0"]),
            ("gemma 3 4b", "q8_0", "t4", "No layout of T4 holds FP32 with 1 user x 8,192 tokens.", ["q8_0"]),
            ("gpt-oss-20b", None, "t4", "No layout of T4 holds FP32, FP16 or FP8 with 1 user", ["int4"]),
            ("mixtral 8x7b", "bnb-int8", "h100", "LLM.int8() cannot run: vLLM 0.28 loads no LLM.int8()", GUIDE),
        ],
    )
    def test_what_does_not_run_is_said_and_not_timed(
        self, model: str, precision: str | None, gpu: str, why: str, timed: list[str]
    ) -> None:
        answer = ask(model=model, precision=precision, gpu=gpu)
        assert why in answer.summary
        assert [row.precision for row in answer.formats if row.speed_multiplier is not None] == timed

    def test_where_the_engine_runs_nothing_the_gpus_that_it_runs_on_come_next(self) -> None:
        answer = ask(model="llama 3.1 8b", gpu="v100-32gb")
        assert "vLLM 0.28 does not run on V100 SXM2 32GB." in answer.summary
        step = answer.next_steps[0]
        assert (step.arguments["gpu"], step.why) == ("any", "a GPU type that runs it")
        assert PLANNER.ask(step.arguments).fits

    def test_a_context_beyond_training_is_said_as_other_tools_do(self) -> None:
        beyond = "The model was trained for contexts up to 4,096 tokens"
        assert beyond in ask(model="llama 2 7b").summary
        assert beyond not in ask(model="llama 2 7b", context_window=4096).summary

    def test_decode_steps_are_named_where_some_formats_have_none(self) -> None:
        assert "decode step = INT4 13.3 ms" in ask(model="gpt-oss-20b", gpu="t4").formula
        assert re.fullmatch(r"decode step = [\d., ]+ ms", ask(model="7B").formula[1])

    def test_a_format_of_which_no_time_is_known_says_so(self) -> None:
        line = assumption(ask(model="llama 3.1 8b", precision="bnb-int8"), "not_timed")
        assert line.startswith("not_timed = LLM.int8() (no time of LLM.int8()")

    @pytest.mark.parametrize(
        ("model", "format_"), [("gpt-oss 120b", "mxfp4"), ("kimi k2.5", "int4"), ("deepseek v4 flash", "mxfp4")]
    )
    def test_a_format_that_a_model_was_released_in_is_safe_for_it_and_laid_out(self, model: str, format_: str) -> None:
        """MXFP4 of gpt-oss was rated caution, FP8 safe, and laid out next: 118 GB that nobody published, for 65."""
        answer = ask(model=model, gpu="b200")
        rated = {form.precision: form.quality for form in answer.formats}
        assert rated[format_] == "safe"
        assert f"{format_} is rated safe: The model was released in it." in answer.text()
        assert answer.next_steps[0].arguments["precision"] == format_
        assert all(quality == "caution" for name, quality in rated.items() if name == "int4" and format_ != "int4")

    def test_a_build_that_was_made_after_the_release_is_rated_as_its_format(self) -> None:
        for model, format_ in (("Qwen/Qwen3-8B-AWQ", "awq"), ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "nvfp4")):
            rated = {form.precision: form.quality for form in ask(model=model, precision=format_, gpu="b200").formats}
            assert rated[format_] == "caution"

    def test_the_evidence_for_each_rating_is_in_the_text(self) -> None:
        text = ask(model="70B", precision="q4_k_m").text()
        for precision in ("fp32", "fp16", "fp8", "int4", "q4_k_m"):
            form = FORMATS[precision]
            assert f"{precision} is rated {form.quality}: {form.quality_evidence}" in text

    @pytest.mark.parametrize(("model", "own"), [("gpt-oss 120b", "mxfp4"), ("deepseek r1", "fp8")])
    def test_a_release_in_fewer_bits_is_not_said_to_be_one_of_16(self, model: str, own: str) -> None:
        text = ask(model=model, gpu="b200").text()
        assert f"{own} is rated safe: The model was released in it." in text
        assert "fp16 is rated safe: Most checkpoints are released in 16 bit" in text

    def test_the_example_stays_within_1200_tokens(self) -> None:
        assert tokens(TOOL.ask(TOOL.example).structured()) <= 1200

    @pytest.mark.parametrize("precision", FORMATS)
    @pytest.mark.parametrize("weight", [0.7834, -1, 0, 1e-9, -1.23457e-5, 0.999999])
    def test_pictures_are_ascii_of_at_most_80_columns(self, precision: str, weight: float) -> None:
        answer = ask(model="llama 3.3 70b", precision=precision, overrides=f"sample_weight={weight}")
        assert answer.diagram.isascii()
        assert max(map(len, answer.diagram.splitlines())) <= 80

    def test_bars_are_to_scale(self) -> None:
        lengths = [40, 20, 10, 5]
        bars = [Bar(name="x", value=length / 7, written="1") for length in lengths]
        assert [line.count("#") for line in draw_bars(bars)] == lengths

    @pytest.mark.parametrize("name", CASES)
    def test_texts_read_as_reviewed(self, name: str) -> None:
        check_golden(f"quantization_{name.replace(' ', '_')}.txt", ask(**CASES[name]).text())

    def test_every_case_has_a_picture_of_its_own(self) -> None:
        assert len({ask(model=model).diagram for model in MODELS}) == len(MODELS)


class TestQuestion:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"model": "70B", "precision": "fp9"}, 'no precision "fp9"'),
            ({"model": "70B", "overrides": "sample_weight=2"}, "from -1 to 1"),
            ({"model": "70B", "overrides": "pue=1.2"}, "plays no part in this tool"),
            ({"model": "70B", "precisions": "fp8"}, "Extra inputs"),
            ({}, "model"),
        ],
    )
    def test_what_it_cannot_take_is_refused_in_words(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            TOOL.ask(arguments)

    def test_the_inputs_can_be_asked_again(self) -> None:
        answer = ask(model="llama 8b", precision="Q4_K_M", gpu="H200")
        assert answer.inputs == {
            "model": "meta-llama/Llama-3.1-8B-Instruct",
            "precision": "q4_k_m",
            "gpu": "h200-sxm",
            "concurrent_users": 1,
            "context_window": 8192,
        }
        again = TOOL.ask(answer.inputs)
        assert (again.formats, again.summary, again.inputs) == (answer.formats, answer.summary, answer.inputs)
        assert TOOL.ask(again.inputs) == again

    def test_the_description_is_short(self) -> None:
        assert len(TOOL.description.split()) <= 50


def test_blocks_of_fp8_prefill_like_fp8_where_units_take_them_and_like_16_bit_elsewhere() -> None:
    """Blackwell multiplies MXFP8; vLLM's Marlin kernels expand it on Hopper."""
    prefill = {
        gpu: {
            row.precision: row.prefill or 0.0 for row in ask(model="llama 3.1 8b", precision="mxfp8", gpu=gpu).formats
        }
        for gpu in ("b200-sxm", "h100-sxm")
    }
    assert prefill["b200-sxm"]["mxfp8"] == pytest.approx(prefill["b200-sxm"]["fp8"], rel=0.001)
    assert prefill["h100-sxm"]["mxfp8"] == pytest.approx(prefill["h100-sxm"]["fp16"], rel=0.03)
    assert prefill["h100-sxm"]["fp8"] > 1.3 * prefill["h100-sxm"]["fp16"]
