"""Two models side by side: the guide's section 5, and what real models and other pairs make of it."""

import re
from itertools import pairwise
from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data_files import rows
from golden_files import check_golden
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.tools.moe import TOOL, MoeAnswer
from inferplan.tools.vram import TOOL as VRAM
from summary_numbers import unsupported_numbers

PRECISIONS = ["fp32", "fp16", "bf16", "fp8", "int8", "int4", "nvfp4", "q4_k_m"]
PAIRS = {
    "dense against experts": {},
    "experts against dense": {"dense_model": "745B MoE", "moe_model": "70B"},
    "two dense models": {"dense_model": "7B", "moe_model": "405B", "precision": "int4"},
    "two mixtures": {"dense_model": "mixtral 8x7b", "moe_model": "Qwen/Qwen3-235B-A22B", "precision": "fp8"},
    "a model with itself": {"dense_model": "70B", "moe_model": "70B"},
    "one GPU that holds neither": {"gpu": "rtx-4090", "precision": "fp32"},
}

GPT_OSS = {"dense_model": "llama 3.3 70b", "moe_model": "gpt-oss 120b"}


def ask(**arguments: Any) -> MoeAnswer:
    return TOOL.ask(arguments)


def per_token(answer: MoeAnswer) -> dict[int, float]:
    return dict(zip(answer.batches.batch, answer.batches.moe_gb_per_token, strict=True))


def touched(answer: MoeAnswer) -> dict[int, float]:
    return dict(zip(answer.batches.batch, answer.batches.experts_touched or (), strict=False))


def aspects(answer: MoeAnswer) -> dict[str, tuple[str, str, str | None]]:
    return {row.aspect: (row.dense, row.moe, row.better) for row in answer.tradeoffs}


def assumed(answer: MoeAnswer) -> dict[str, str]:
    return {one.name: one.line() for one in answer.assumptions}


class TestGuide:
    @pytest.mark.parametrize("row", rows("guide_moe.tsv"), ids=lambda row: row["precision"])
    def test_the_guides_table_is_reproduced_at_every_precision(self, row: dict[str, str]) -> None:
        answer = ask(precision=row["precision"])
        assert answer.dense.memory_gb == int(row["dense_bytes"]) / 1e9
        assert answer.moe.memory_gb == int(row["moe_bytes"]) / 1e9
        assert (answer.dense.gpus, answer.moe.gpus) == (int(row["dense_gpus"]), int(row["moe_gpus"]))
        assert isclose(answer.moe.active_percent / 100, float(row["active_fraction"]), abs_tol=1e-6)
        assert isclose(answer.compute_ratio, float(row["compute_ratio"]), abs_tol=1e-6)

    def test_the_mixture_takes_26_percent_less_compute_despite_ten_times_the_parameters(self) -> None:
        answer = ask()
        assert round(100 * (1 - answer.compute_ratio)) == 26
        assert 10 < answer.params_ratio < 11
        assert "26 % less compute per token despite 10.6x the parameters" in answer.summary

    def test_toggling_fp16_to_int4_takes_the_mixture_from_1490_to_372_and_a_half_gb(self) -> None:
        assert ask(precision="fp16").moe.memory_gb == 1490
        assert ask(precision="int4").moe.memory_gb == 372.5

    def test_the_first_next_step_is_the_other_end_of_the_toggle(self) -> None:
        step = ask(precision="fp16").next_steps[0]
        assert step.arguments["precision"] == "int4"
        assert TOOL.ask(step.arguments).moe.memory_gb == 372.5
        assert ask(precision="int4").next_steps[0].arguments["precision"] == "fp16"

    def test_all_experts_are_loaded_though_two_compute(self) -> None:
        moe = ask().moe
        assert (moe.experts, moe.active_experts) == (128, 2)
        assert (moe.total_params, moe.active_params) == (745_000_000_000, 52_000_000_000)

    def test_an_engine_needs_more_gpus_than_the_weights_alone(self) -> None:
        # 18 GPUs hold 1,490 GB, but 24 are the fewest that three whole nodes of tensor parallel 8 make
        answer = ask()
        assert answer.moe.deploy_gpus == 24
        assert answer.dense.deploy_gpus == 2

    def test_what_the_guide_judges_by_eye_is_marked_as_not_computed(self) -> None:
        answer = ask()
        assert aspects(answer)["quality per FLOP"][2] == "moe"
        assert any(a.name == "quality" and a.value == "not computed" for a in answer.assumptions)


class TestActiveParameters:
    @pytest.mark.parametrize(("model", "makers"), [("gpt-oss-20b", "3.6B"), ("gpt-oss-120b", "5.1B")])
    def test_those_of_makers_who_leave_out_the_input_embedding_stand_beside(self, model: str, makers: str) -> None:
        """OpenAI's model card: 3.6B and 5.1B active parameters; the embedding is 0.58B more."""
        answer = ask(moe_model=model)
        assert f" %; {makers} without the input embedding, which is looked up). " in answer.summary
        multiplied = answer.moe.active_params - 201_088 * 2880
        assert multiplied == pytest.approx(float(makers[:-1]) * 1e9, rel=0.02)
        assert answer.moe.gflop_per_token == pytest.approx(2e-9 * multiplied, abs=1e-3)
        assert answer.compute_ratio == pytest.approx(multiplied / 70e9, abs=1e-6)
        assert f"/ 70.0 B, input embeddings left out = {multiplied / 70e9:.4f}" in "\n".join(answer.formula)

    @pytest.mark.parametrize("model", ["deepseek v3", "granite 4.0 h tiny", "745B MoE"])
    def test_a_small_or_a_tied_embedding_is_not_told_apart(self, model: str) -> None:
        assert "looked up" not in ask(moe_model=model).summary

    @pytest.mark.parametrize(("model", "looked_up"), [("granite 4.0 h tiny", 0), ("deepseek v3", 129_280 * 7168)])
    def test_an_embedding_is_multiplied_where_it_is_the_head_too(self, model: str, looked_up: int) -> None:
        side = ask(moe_model=model).moe
        assert side.gflop_per_token == pytest.approx(2e-9 * (side.active_params - looked_up), abs=1e-3)


class TestFormatsOfReleases:
    """gpt-oss 120B: 114.7 B routed weights of 4.25 bit and 2.13 B others of 16 bit make 65.2 GB, one H100."""

    def test_each_model_is_compared_as_it_is_released_unless_a_format_is_named(self) -> None:
        answer = ask(**GPT_OSS)
        assert (answer.dense.precision, answer.moe.precision) == ("fp16", "mxfp4")
        assert isclose(answer.moe.memory_gb, (114_701_598_720 * 4.25 + 2_127_557_952 * 16) / 8e9, rel_tol=1e-6)
        assert isclose(answer.dense.memory_gb, 70_553_706_496 * 2 / 1e9, rel_tol=1e-6)
        assert (answer.dense.deploy_gpus, answer.moe.deploy_gpus) == (2, 1)
        assert "In MXFP4 its weights take 65.2 GB (1 H100 SXM5 80GB)" in answer.summary
        assert "against 141 GB (2 H100 SXM5 80GB) in FP16" in answer.summary
        assert ("moe_precision", "MXFP4") in {(one.name, one.value) for one in answer.assumptions}

    def test_two_formats_stand_beside_the_models_and_not_among_the_arguments_to_ask_again_with(self) -> None:
        answer = ask(**GPT_OSS)
        assert "precision" not in answer.inputs
        assert ask(**answer.inputs) == answer

    def test_one_format_stands_among_the_arguments_alone(self) -> None:
        answer = ask(dense_model="kimi k2", moe_model="deepseek v3.1")
        assert answer.inputs["precision"] == "fp8"
        assert (answer.dense.precision, answer.moe.precision) == (None, None)

    def test_a_wider_format_that_is_asked_for_is_told_what_the_release_takes(self) -> None:
        answer = ask(**GPT_OSS, precision="fp8")
        assert "In FP8 its weights take 118 GB (2 H100 SXM5 80GB)" in answer.summary
        assert "gpt-oss 120B is released in MXFP4: 65.2 GB, 1 x H100 SXM5 80GB by memory alone." in answer.summary
        assert "is released in" not in ask(**GPT_OSS, precision="int4").summary

    def test_what_follows_two_formats_is_the_pair_in_one_and_a_bill_in_that_of_the_second(self) -> None:
        steps = ask(dense_model="70B", moe_model="deepseek v3.1", gpu="h200").next_steps
        assert (steps[0].arguments["precision"], steps[0].why) == ("fp8", "both in FP8: 673 GB against 70 GB")
        assert steps[1].arguments["precision"] == "fp8"
        assert ask(**GPT_OSS).next_steps[0].arguments["precision"] == "int4"


class TestBatches:
    def test_one_sequence_reads_the_active_weights_of_the_mixture(self) -> None:
        # (41 + 2/128 × 704) B parameters × 2 bytes = 104 GB, against all 140 GB of the dense model
        batches = ask().batches
        assert (batches.batch[0], batches.moe_gb_per_token[0], batches.dense_gb_per_token[0]) == (1, 104, 140)
        assert touched(ask())[1] == 2

    def test_32_sequences_of_deepseek_v3_touch_163_of_its_256_experts(self) -> None:
        # 1 - (1 - 8/256)^32 = 63.8 %; 256 × 0.6379 = 163.3
        answer = ask(moe_model="deepseek v3", precision="fp8")
        assert touched(answer)[32] == 163.3
        assert "163 of 256 experts" in answer.summary

    def test_deepseek_v3_reads_its_dense_layers_and_shared_experts_at_every_batch(self) -> None:
        # 58 layers × 256 experts × 3 × 7168 × 2048 = 653.9 B routed, 17.1 B besides; 1.004 B each in FP8, 2 at the ends
        always, routed = 671.026e9 - 653.909e9, 653.909e9
        at_512 = per_token(ask(moe_model="deepseek v3", precision="fp8"))[512] * 512
        assert always + 0.999 * routed < at_512 * 1e9 < 1.01 * (always + routed) + 2e9

    def test_32_sequences_read_20_gb_each_by_hand(self) -> None:
        # 128 × (1 - (126/128)^32) = 50.67 experts; (82 + 50.67/128 × 1,408) / 32 = 19.98 GB, against 140 / 32
        answer = ask()
        assert touched(answer)[32] == 50.7
        assert isclose(per_token(answer)[32], 19.98, abs_tol=0.005)
        assert answer.batches.dense_gb_per_token[2] == 4.375

    def test_from_three_sequences_on_the_mixture_reads_more_than_the_dense_model(self) -> None:
        # 82 + φ × 1,408 = 140 GB at φ = 4.12 %: ln(1 - 0.0412) / ln(126/128) = 2.67 sequences
        assert ask().crossover_batch == 3
        assert "from batch 3 on it reads more than the other" in ask().summary
        swapped = ask(dense_model="745B MoE", moe_model="70B")
        assert swapped.crossover_batch == 3
        assert "from batch 3 on it reads less than the other" in swapped.summary

    def test_a_step_gathers_rows_of_the_embedding_and_reads_the_head(self) -> None:
        """gpt-oss 20B: 201,088 x 2,880 each in 16 bit; of Llama 3.2 3B one table is both, of a class nothing is."""
        answer = ask(dense_model="llama 3.2 3b", moe_model="gpt-oss 20b")
        routed = 24 * 32 * (3 * 2880 * 2880 + 3 * 2880) * 4.25 / 8
        besides = answer.moe.memory_gb * 1e9 - routed - 201_088 * 2880 * 2
        assert per_token(answer)[1] == pytest.approx((besides + routed * 4 / 32) / 1e9, rel=1e-3)
        assert answer.batches.dense_gb_per_token[0] == pytest.approx(answer.dense.memory_gb, rel=1e-3)
        assert any(one.name == "embedding" and one.value == "not read" for one in answer.assumptions)
        assert not any(one.name == "embedding" for one in ask().assumptions)

    def test_arithmetic_per_token_is_twice_the_active_parameters_at_every_batch(self) -> None:
        answer = ask()
        assert (answer.dense.gflop_per_token, answer.moe.gflop_per_token) == (140, 104)

    def test_a_mixture_that_is_smaller_than_the_dense_model_reads_less_at_every_batch(self) -> None:
        answer = ask(dense_model="405B", moe_model="mixtral 8x7b")
        assert answer.crossover_batch is None
        assert "the order stays at every batch" in answer.summary

    def test_a_dense_model_reads_all_of_its_weights_for_each_step(self) -> None:
        batches = ask(dense_model="7B", moe_model="70B").batches
        read = [batch * each for batch, each in zip(batches.batch, batches.moe_gb_per_token, strict=True)]
        assert all(isclose(step, 140, rel_tol=1e-3) for step in read)
        assert batches.experts_touched is None

    @given(dense=st.sampled_from(list(MODELS)), moe=st.sampled_from(list(MODELS)))
    def test_steps_read_more_and_tokens_less_as_the_batch_grows_and_experts_stay_between_k_and_e(
        self, dense: str, moe: str
    ) -> None:
        answer = ask(dense_model=dense, moe_model=moe, precision="fp8")
        each = per_token(answer)
        steps = [batch * read for batch, read in each.items()]
        assert all(less < more for more, less in pairwise(each.values()))
        assert all(one <= other * 1.001 for one, other in pairwise(steps))
        assert steps[-1] <= answer.moe.memory_gb * 1.001
        mixture = answer.moe if answer.moe.experts else answer.dense
        for experts in touched(answer).values():
            assert mixture.active_experts - 0.05 <= experts <= mixture.experts

    @given(dense=st.sampled_from(list(MODELS)), moe=st.sampled_from(list(MODELS)))
    def test_the_order_of_reads_changes_at_the_crossover_and_not_before(self, dense: str, moe: str) -> None:
        answer = ask(dense_model=dense, moe_model=moe)
        pairs = zip(answer.batches.dense_gb_per_token, answer.batches.moe_gb_per_token, strict=True)
        orders = {batch: one > other for batch, (one, other) in zip(answer.batches.batch, pairs, strict=True)}
        before = [order for batch, order in orders.items() if batch < (answer.crossover_batch or 10**9)]
        assert len(set(before)) == 1


class TestPairs:
    def test_swapping_the_sides_inverts_the_ratios(self) -> None:
        there = ask(dense_model="70B", moe_model="745B MoE")
        back = ask(dense_model="745B MoE", moe_model="70B")
        assert isclose(there.compute_ratio * back.compute_ratio, 1, abs_tol=1e-5)
        assert isclose(there.memory_ratio * back.memory_ratio, 1, abs_tol=1e-4)
        assert there.dense == back.moe

    def test_a_model_beside_itself_is_equal_in_everything(self) -> None:
        answer = ask(dense_model="70B", moe_model="70B")
        assert answer.compute_ratio == answer.memory_ratio == answer.params_ratio == 1
        assert {row.better for row in answer.tradeoffs} == {"equal"}
        assert "the same model" in answer.summary

    def test_a_mixture_beside_itself_is_worked_out_once(self) -> None:
        lines = ask(dense_model="745B MoE", moe_model="745B MoE").formula
        assert len(set(lines)) == len(lines) == 4

    def test_two_dense_models_are_not_called_mixtures(self) -> None:
        answer = ask(dense_model="7B", moe_model="405B")
        assert "experts" not in answer.summary
        assert "Both are dense" in answer.summary
        assert answer.moe.active_percent == 100

    def test_two_mixtures_each_show_their_experts(self) -> None:
        answer = ask(**PAIRS["two mixtures"])
        assert answer.dense.experts == 8
        assert answer.moe.experts == 128
        assert "2 of 8 experts" in answer.diagram
        assert "8 of 128 experts" in answer.diagram

    def test_mixtral_routes_each_token_past_three_quarters_of_its_experts(self) -> None:
        # published: 46.7 B parameters, 12.9 B active
        mixtral = ask(moe_model="mixtral 8x7b").moe
        assert (mixtral.total_params, mixtral.active_params) == (46_702_792_704, 12_879_925_248)

    def test_what_follows_names_the_weights_of_both_or_of_a_model_beside_itself_once(self) -> None:
        assert ask().next_steps[0].why == "INT4: 372 GB against 35 GB"
        assert ask(dense_model="70B", moe_model="70B").next_steps[0].why == "INT4: 35 GB"

    def test_why_either_side_has_no_deployment_is_listed(self) -> None:
        """Gemma 3 runs in FP32 alone on T4, which takes eight of them for Qwen3 30B-A3B in FP16."""
        answer = ask(dense_model="gemma 3 27b", moe_model="qwen3 30b a3b", gpu="t4")
        assert aspects(answer)["usual deployment"][::2] == ("none can run", "moe")
        assert "in FP32 alone" in assumed(answer)["dense_deployment"]
        assert "moe_deployment" not in assumed(answer)
        both = assumed(ask(dense_model="7B", moe_model="mixtral 8x7b", gpu="v100-32gb"))
        assert both["deploy_gpus"] == "deploy_gpus = none (vLLM 0.28 does not run on V100 SXM2 32GB)"

    def test_a_side_of_which_no_deployment_is_known_is_not_the_larger_one(self) -> None:
        answer = ask(dense_model="llama 3.3 70b", moe_model="deepseek v4 flash", overrides="engine=sglang")
        assert aspects(answer)["usual deployment"] == ("4 GPUs, tensor 4", "not known", None)
        assert assumed(answer)["moe_deployment"].startswith("moe_deployment = not known (inferplan has no memory rules")

    @pytest.mark.parametrize(
        ("model", "gpu", "precision"),
        [("deepseek r1", "gb200", "fp16"), ("745B MoE", "h100", "fp16"), ("kimi k2", "gb200", "fp32")],
    )
    def test_a_deployment_is_that_of_the_memory_calculator(self, model: str, gpu: str, precision: str) -> None:
        """DeepSeek R1 on GB200 takes twelve in three stages, where the next tensor group of a rack has sixteen."""
        row = VRAM.ask({"model": model, "gpu": gpu, "precision": precision}).hardware
        alone = next(one for one in row if one.gpu == GPUS.find(gpu).id).deploy
        assert alone is not None
        answer = ask(moe_model=model, gpu=gpu, precision=precision)
        assert answer.moe.deploy_gpus == alone.gpus
        assert aspects(answer)["usual deployment"][1].startswith(f"{alone.gpus} GPUs, tensor {alone.tp}")

    def test_the_sessions_of_both_deployments_are_said(self) -> None:
        """Llama 2 takes 4,096 tokens at most."""
        assert "one session of 8,192 tokens" in assumed(ask())["deploy_gpus"]
        assert "one session of 4,096 and 8,192 tokens" in assumed(ask(dense_model="llama 2 13b"))["deploy_gpus"]

    @pytest.mark.parametrize("pair", ["dense against experts", "experts against dense", "two mixtures"])
    def test_the_formula_gives_the_experts_touched(self, pair: str) -> None:
        answer = ask(**PAIRS[pair])
        experts, active = re.fullmatch(
            r"touched\(batch\) = (\d+) x \(1 - \(1 - (\d+)/\1\)\^batch\)", answer.formula[-1]
        ).groups()  # pyright: ignore[reportOptionalMemberAccess]
        for batch, each in touched(answer).items():
            assert isclose(each, int(experts) * (1 - (1 - int(active) / int(experts)) ** batch), abs_tol=0.05)

    @given(
        dense=st.sampled_from(list(MODELS)), moe=st.sampled_from(list(MODELS)), precision=st.sampled_from(PRECISIONS)
    )
    def test_any_two_models_can_be_compared(self, dense: str, moe: str, precision: str) -> None:
        answer = ask(dense_model=dense, moe_model=moe, precision=precision)
        for side in (answer.dense, answer.moe):
            assert 0 < side.active_params <= side.total_params
            assert side.deploy_gpus is None or side.deploy_gpus >= 1
        assert max(map(len, answer.diagram.splitlines())) <= 80
        assert answer.diagram.isascii()


class TestDiagram:
    @pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.architecture.experts])
    def test_as_many_experts_light_up_as_compute_a_token(self, name: str) -> None:
        answer = ask(moe_model=name)
        grid = "".join(answer.diagram.split("\n\n")[1].splitlines()[2:])
        assert grid.count("#") == answer.moe.active_experts
        assert grid.count("#") + grid.count(".") == answer.moe.experts

    def test_the_drawing_says_that_the_lit_experts_are_an_illustration(self) -> None:
        assert "illustration" in ask().diagram

    def test_every_pair_looks_different(self) -> None:
        assert len({ask(**arguments).diagram for arguments in PAIRS.values()}) == len(PAIRS)

    @pytest.mark.parametrize("name", ["dense against experts", "two mixtures"])
    def test_the_text_is_as_reviewed(self, name: str) -> None:
        check_golden(f"moe_{name.replace(' ', '_')}.txt", ask(**PAIRS[name]).text())


class TestWords:
    @pytest.mark.parametrize("name", PAIRS)
    def test_every_number_of_the_summary_is_in_the_structured_answer(self, name: str) -> None:
        assert unsupported_numbers(ask(**PAIRS[name]).structured()) == []

    def test_the_same_question_gets_the_same_answer(self) -> None:
        assert ask().structured() == ask().structured()

    def test_an_unknown_model_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(ValidationError, match=r'no model "mixtrall 8x7".*nearest: "mistralai/Mixtral-8x7B'):
            ask(moe_model="mixtrall 8x7")

    def test_a_fuller_gpu_needs_no_more_of_them(self) -> None:
        lean, full = ask(overrides="memory_utilization=0.7").moe, ask(overrides="memory_utilization=0.95").moe
        assert lean.deploy_gpus is not None
        assert full.deploy_gpus is not None
        assert full.deploy_gpus <= lean.deploy_gpus
        assert (full.usd_per_million_tokens or 0) < (lean.usd_per_million_tokens or 0)
        same = {"deploy_gpus": 0, "usd_per_million_tokens": 0}
        assert full.model_copy(update=same) == lean.model_copy(update=same)


def test_models_of_nearly_the_same_size_are_told_apart() -> None:
    """70.6 billion parameters were 1x those of 70 billion; 1.05 of them are an embedding, which is looked up."""
    answer = TOOL.ask({"moe_model": "llama 3.3 70b"})
    assert "takes 1 % less compute per token despite 1.01x the parameters" in answer.summary
