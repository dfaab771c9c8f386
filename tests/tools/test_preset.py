"""One call, five sections, one verdict: it answers in the words of the question, and its parts agree."""

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from golden_files import check_golden
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.catalog.presets import PRESETS
from inferplan.tools._tool import Tool
from inferplan.tools.costs import TOOL as COSTS
from inferplan.tools.moe import TOOL as MOE
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.preset import TOOL, PresetAnswer
from inferplan.tools.quantization import TOOL as QUANTIZATION
from inferplan.tools.vram import TOOL as VRAM
from refusals import keeps, runs


def ask(preset: str = "production", **controls: Any) -> PresetAnswer:
    return TOOL.ask({"preset": preset, **controls})


class TestVerdict:
    def test_a_fleet_too_large_for_a_bill_is_told_so_in_our_own_words(self) -> None:
        asked = ask("enterprise", concurrent_users=1513, context_window=100_000_000)
        assert "No bill: it counts 100,000 GPUs at most." in asked.summary

    def test_the_question_on_the_door_is_answered_yes_with_hardware_speed_and_error_band(self) -> None:
        verdict = ask(concurrent_users=200).verdict
        assert verdict.startswith("Yes, on 2 nodes")
        for part in (
            "70B-class model in FP8",
            "200 users",
            "32,768 tokens",
            "16 x H100",
            "a token",
            "half of published runs",
        ):
            assert part in verdict

    def test_spot_is_no_way_to_run_gpus_that_lasts_unless_the_caller_says_so(self) -> None:
        """It is named where it would be cheaper, and taken where it is allowed."""
        lasting, allowed = ask("starter", model="phi-4"), ask("starter", model="phi-4", overrides="spot_allowed=1")
        spot = next(part for part in allowed.summary.split(". ") if "1 GPU costs" in part)
        assert "at the price of spot, the cheapest way to run it" in spot
        price = spot.split("1 GPU costs ")[1].split(" a month")[0]
        assert f"the cheapest way to run it that lasts (spot {price})" in lasting.summary
        assert "spot" not in ask("production", concurrent_users=200).summary

    def test_the_summary_opens_with_the_verdict(self) -> None:
        answer = ask(concurrent_users=200)
        assert answer.summary.startswith(answer.verdict)

    def test_gpus_that_the_caller_insists_on_and_that_are_too_few_make_it_a_no_with_what_would_do(self) -> None:
        answer = ask(concurrent_users=200, total_gpus=8)
        assert not answer.serves
        assert answer.verdict.startswith("No, not on 8 x H100")
        assert "hold 98 of the 200 users" in answer.verdict
        assert "16 x H100" in answer.verdict

    def test_a_model_that_does_not_fit_is_a_no_and_not_an_error(self) -> None:
        answer = ask("enterprise", total_gpus=8)
        assert not answer.serves
        assert "does not fit" in answer.verdict
        assert not answer.sections.parallelism.fits
        assert "112 x H100" in answer.verdict.split("does not fit", 1)[1]

    def test_more_gpus_than_the_preset_has_are_named_as_such(self) -> None:
        assert "more than the preset's 1 GPU" in ask("team").verdict
        assert "more than the preset" not in ask("starter").verdict

    def test_what_would_take_fewer_gpus_is_true(self) -> None:
        answer = ask("team")
        assert "half the context (1)" in answer.summary
        halved = ask("team", context_window=4096)
        assert halved.sections.parallelism.gpus_used == 1

    def test_where_no_layout_holds_the_model_at_all_it_says_so(self) -> None:
        answer = ask("enterprise", gpu="t4", precision="fp32", concurrent_users=1, overrides="max_num_seqs=1")
        assert answer.serves == (answer.sections.parallelism.users >= 1)


QUESTIONS: list[dict[str, Any]] = [
    {"preset": "team"},
    {"preset": "enterprise"},
    {"preset": "production", "concurrent_users": 200},
    {"preset": "production", "concurrent_users": 200, "total_gpus": 8},
    {"preset": "production", "concurrent_users": 40, "total_gpus": 8, "overrides": "max_tpot_ms=20"},
    {"preset": "production", "model": "llama 3.3 70b", "precision": "bf16", "overrides": "max_ttft_ms=300"},
    {"preset": "team", "model": "Qwen/Qwen3-235B-A22B", "gpu": "a100-80gb", "input_tokens": 2000},
]


class TestHeadroom:
    def test_users_to_spare_are_those_that_fit_less_those_asked_for(self) -> None:
        answer = ask(concurrent_users=200)
        assert answer.headroom is not None
        assert answer.headroom.users == answer.sections.parallelism.users - 200 == 9
        assert "209 users at full context, 9 more than asked" in answer.summary
        short = ask(concurrent_users=200, total_gpus=8).headroom
        assert short is not None
        assert short.users == 98 - 200

    def test_milliseconds_to_spare_are_the_limit_less_the_estimate(self) -> None:
        answer = ask(concurrent_users=40, overrides="max_tpot_ms=40, max_ttft_ms=800")
        plan, left = answer.sections.parallelism, answer.headroom
        assert answer.serves
        assert left is not None
        assert (left.ttft_ms, left.tpot_ms) == (
            pytest.approx(800 - (plan.ttft_ms or 0), abs=0.06),
            pytest.approx(40 - (plan.tpot_ms or 0), abs=0.06),
        )
        assert "within TTFT <= 800 ms and TPOT <= 40 ms" in answer.verdict

    def test_users_to_spare_are_counted_within_the_limit(self) -> None:
        answer = ask(concurrent_users=40, total_gpus=16, overrides="max_tpot_ms=30")
        plan, left = answer.sections.parallelism, answer.headroom
        assert answer.serves
        assert left is not None
        assert left.users == plan.users - 40 > 0
        most, more = (
            ask(concurrent_users=plan.users + extra, total_gpus=16, overrides="max_tpot_ms=30").serves
            for extra in (0, 200)
        )
        assert (most, more) == (True, False)
        assert f"{plan.max_concurrent_users} users at full context within TPOT <= 30 ms (memory holds" in answer.summary
        assert f"{plan.max_concurrent_users} in time" in answer.diagram

    def test_without_a_limit_there_are_none(self) -> None:
        assert list(ask().structured()["headroom"]) == ["users"]

    def test_where_the_cache_is_not_modelled_nothing_is_said_to_be_left(self) -> None:
        answer = ask("team", model="thinkingmachines/Inkling-Small", precision="bf16")
        assert (answer.headroom, answer.changes, answer.serves) == (None, [], None)
        section = answer.sections.parallelism
        assert (section.fits, section.max_concurrent_users) == (None, None)


class TestTraffic:
    def test_gpus_that_hold_the_users_but_not_the_days_requests_are_half_a_yes(self) -> None:
        """5 M x 500 tokens in 12 hours are 57,870 tokens/s, more than any one GPU delivers of a 13B model."""
        answer = ask("team", concurrent_users=5, requests_per_day=5_000_000)
        bill = answer.sections.costs.total_gpus
        assert answer.serves
        assert bill is not None
        assert answer.sections.parallelism.gpus_used < bill
        assert answer.verdict.startswith("Yes for the users, no for their traffic, on 1 node")
        assert f"But 5,000,000 requests a day take {bill} GPUs, which the bill is for." in answer.verdict
        assert f"{bill} GPUs cost" in answer.summary

    def test_users_and_requests_that_do_not_go_together_are_said_not_to(self) -> None:
        """2,000 users at 25 requests a day each; 2 users, of whom 100,000 requests in 8 hours keep 17 busy."""
        few = ask("production", concurrent_users=2000).summary
        assert "2,000 users hardly go with 50,000 requests a day: with a minute between the turns of each, " in few
        many = ask("production", concurrent_users=2, requests_per_day=100_000, usage_hours_per_day=8)
        plan = many.sections.parallelism
        answer_s = ((plan.ttft_ms or 0) + 499 * (plan.tpot_ms or 0)) / 1000
        busy = round(100_000 / (8 * 3600) * answer_s)
        assert (
            f"100,000 requests a day keep about {busy} users busy at once, more than the 2 asked for." in many.summary
        )
        for preset in ("starter", "team", "production"):
            plain = ask(preset).summary
            assert "hardly go" not in plain
            assert "busy at once" not in plain

    def test_the_traffic_that_takes_more_than_the_users_is_said_beside_a_no_as_well(self) -> None:
        """16 GPUs would hold the user, the day's requests take 24, and the bill is for those."""
        answer = ask("enterprise", concurrent_users=1, total_gpus=4)
        assert "16 x H100 SXM5 80GB (tensor 8 x pipeline 2) would serve the user" in answer.verdict
        assert "But 500,000 requests a day take 24 GPUs, which the bill is for." in answer.verdict
        assert "24 GPUs cost" in answer.summary

    def test_a_bill_of_gpus_that_are_neither_given_nor_enough_says_what_takes_them(self) -> None:
        """No number of L4 is quick enough over full contexts; the day's requests take 40, as nobody had said."""
        late: dict[str, Any] = {"model": "llama 3.1 8b", "gpu": "l4", "context_window": 131_072, "concurrent_users": 50}
        answer = ask("team", **late, requests_per_day=500_000, total_gpus=4, overrides="max_ttft_ms=120")
        assert "No number of L4 does; 48 x L4" in answer.verdict
        assert "The day's requests alone take more than the GPUs given: 40 GPUs cost" in answer.summary
        assert "requests alone" not in ask("enterprise", total_gpus=112).summary

    def test_the_bill_beside_a_no_is_that_of_the_gpus_that_would_serve_all(self) -> None:
        """16 GPUs given, 112 that would do: a bill of 16 was that of GPUs which do not serve."""
        few, enough = (ask("enterprise", total_gpus=gpus) for gpus in (16, 112))
        assert (few.serves, enough.serves) == (False, True)
        assert few.sections.costs == enough.sections.costs
        assert "The 112 GPUs that serve all cost" in few.summary
        assert "112 GPUs cost" in enough.summary
        assert "bill of   112 GPUs" in few.diagram
        assert "bill of" not in enough.diagram
        bill = next(step for step in few.next_steps if step.tool == "compare_costs")
        assert bill.arguments["total_gpus"] == 112

    def test_the_layout_that_follows_a_no_is_said_to_be_of_the_gpus_that_it_has(self) -> None:
        """One GPU does not hold the model; the step that was to tell what keeps it from fitting asked for four."""
        answer = ask("team", total_gpus=1, model="llama 3.3 70b")
        assert not answer.sections.parallelism.fits
        plan = PLAN.ask(answer.next_steps[0].arguments)
        assert plan.fits
        assert answer.next_steps[0].why == "the GPUs that would hold them, drawn"

    def test_gpus_that_carry_both_are_a_plain_yes(self) -> None:
        answer = ask("team", concurrent_users=5, requests_per_day=5000)
        assert answer.verdict.startswith("Yes, on 1 node")
        assert "requests a day take" not in answer.summary

    def test_the_bill_of_an_api_is_that_of_a_month(self) -> None:
        """50,000 x 30.4 days x (500 x $0.59 + 500 x $0.71) a million = $989."""
        summary = ask(overrides="as_of=2026-11-25").summary
        assert "an API would charge $989 a month for the 50,000 requests a day" in summary

    def test_fewer_gpus_that_serve_the_users_are_named_though_no_change_would_do_with_fewer_still(self) -> None:
        assert ask(concurrent_users=1).sections.parallelism.gpus_used == 8
        assert "1 GPU serves these users." in ask(concurrent_users=1).summary
        assert "serves these users" not in ask("starter").summary

    def test_ranks_that_share_experts_are_named_and_drawn_as_one_replica(self) -> None:
        """Sixteen GPUs of which none holds DeepSeek V3: they are no sixteen copies of it."""
        asked: dict[str, Any] = {"model": "deepseek v3", "gpu": "h200", "context_window": 16384}
        answer = ask(concurrent_users=500, **asked)
        assert "on 16 x H200 SXM5 141GB (data 16, experts over 16)" in answer.verdict
        assert f"layout    [{' '.join('#' * 16)}]" in answer.diagram
        assert answer.diagram.count(" 16 GPUs, DP16 x EP16\n") == 1
        assert (answer.sections.parallelism.dp, answer.sections.parallelism.ep) == (16, 16)
        wide = ask(concurrent_users=10_000, **asked)
        assert re.search(r"\[#+ x\d+\]", wide.diagram)
        assert ask().sections.parallelism.ep is None

    def test_one_gpu_holds_and_takes(self) -> None:
        few, late = ask("team", total_gpus=1), ask("starter", model="70B", precision="fp8", overrides="max_tpot_ms=8.5")
        assert "not on 1 x H100 SXM5 80GB: it holds 7 of the 10 users" in few.verdict
        assert "it holds the 1 user of a 70B-class model" in late.verdict
        assert "but takes" in late.verdict

    def test_gpus_that_do_not_serve_are_named_where_others_were_said_to(self) -> None:
        """ "2 x H100 would serve them all ...; these GPUs take 0 users" was said of the one H100 asked about."""
        none, few = ask("starter", model="llama 3.3 70b", total_gpus=1), ask(concurrent_users=200, total_gpus=8)
        assert "2 x H100 SXM5 80GB (tensor 2) would serve the user, first token" in none.summary
        assert "at full context" not in none.summary
        assert "; 8 x H100 SXM5 80GB take 98 users at full context." in few.summary
        assert not any("these GPUs take" in answer.summary for answer in (none, few))


class TestLatency:
    def test_gpus_that_hold_the_users_but_not_in_time_are_a_no_with_the_gpus_that_would(self) -> None:
        answer = ask(concurrent_users=40, total_gpus=8, overrides="max_tpot_ms=20")
        tpot = answer.sections.parallelism.tpot_ms
        assert not answer.serves
        assert tpot is not None
        assert tpot > 20
        assert "they hold all 40 users" in answer.verdict
        assert f"{tpot:.0f} ms a token where TPOT <= 20 ms is asked for" in answer.verdict
        assert "16 x H100 SXM5 80GB (tensor 8 x data 2) would serve them all" in answer.verdict
        assert ask(concurrent_users=40, total_gpus=16, overrides="max_tpot_ms=20").serves

    def test_the_same_users_in_less_time_take_more_gpus(self) -> None:
        plain, quick = ask(concurrent_users=200), ask(concurrent_users=200, overrides="max_tpot_ms=25")
        assert quick.serves
        assert quick.sections.parallelism.gpus_used > plain.sections.parallelism.gpus_used
        assert (quick.sections.parallelism.tpot_ms or 99) <= 25

    def test_a_latency_out_of_reach_says_what_comes_closest_and_judges_the_presets_own_gpus(self) -> None:
        answer = ask(concurrent_users=40, overrides="max_tpot_ms=5")
        assert answer.verdict.startswith("No, not on 8 x H100")
        assert "No number of H100 SXM5 80GB does" in answer.verdict
        assert answer.sections.parallelism.gpus_used <= 8

    def test_a_limit_is_listed_as_what_the_caller_said(self) -> None:
        listed = {
            entry.name: (entry.value, entry.unit, entry.why) for entry in ask(overrides="max_tpot_ms=40").assumptions
        }
        assert listed["max_tpot_ms"] == (40, "ms", "you said so")

    def test_the_layout_is_drawn_next_for_the_same_latency(self) -> None:
        answer = ask(concurrent_users=40, overrides="max_tpot_ms=40")
        plan = PLAN.ask(answer.next_steps[0].arguments)
        assert plan.inputs["max_tpot_ms"] == 40
        assert (plan.serves_users, plan.tpot_ms) == (True, answer.sections.parallelism.tpot_ms)

    def test_the_picture_shows_the_share_of_each_limit_that_is_taken(self) -> None:
        """One # is one of the 40 ms."""
        answer = ask(concurrent_users=40, overrides="max_tpot_ms=40")
        taken = round(answer.sections.parallelism.tpot_ms or 0)
        lines = [line for line in answer.diagram.splitlines() if line.startswith(("TTFT", "TPOT"))]
        assert lines == [f"TPOT     |{'#' * taken:<40}| {taken} ms of 40 ms"]

    @pytest.mark.parametrize("limit", ["max_tpot_ms=0", "max_ttft_ms=-5", "max_tpot_ms=soon"])
    def test_a_limit_that_is_none_is_refused_with_what_is_allowed(self, limit: str) -> None:
        name, _, given_value = limit.partition("=")
        with pytest.raises(ValidationError, match=f'"{name}" takes a number from 0.1 to .* ms; got "{given_value}"'):
            ask(overrides=limit)

    @given(
        gpus=st.integers(1, 24),
        users=st.integers(1, 300),
        limits=st.tuples(st.floats(5, 100), st.floats(5, 100)).map(sorted),
    )
    @settings(max_examples=10)
    def test_a_stricter_latency_never_turns_a_no_into_a_yes(self, gpus: int, users: int, limits: list[float]) -> None:
        strict, loose = (
            ask(concurrent_users=users, context_window=8192, total_gpus=gpus, overrides=f"max_tpot_ms={limit}")
            for limit in limits
        )
        assert loose.serves or not strict.serves


class TestChanges:
    @pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: "-".join(map(str, question.values())))
    def test_each_change_serves_the_users_on_the_gpus_it_names_at_the_pace_it_names(
        self, question: dict[str, Any]
    ) -> None:
        answer = TOOL.ask(question)
        assert answer.changes
        for one in answer.changes:
            again = TOOL.ask({**question, "total_gpus": one.gpus, **one.change})
            assert again.serves, one.change
            assert (again.sections.parallelism.tpot_ms or 0) <= (one.tpot_ms or 0) + 0.06
            assert f"({one.gpus:,})" in answer.summary or one.change == {"total_gpus": one.gpus}

    def test_the_first_token_is_given_where_it_is_limited(self) -> None:
        plain, limited = (ask(concurrent_users=200, overrides=limit) for limit in ("", "max_ttft_ms=500"))
        assert "ttft_ms" not in plain.structured()["changes"][0]
        given = limited.structured()["changes"][0]
        assert given["tpot_ms"] < given["ttft_ms"] <= 500

    def test_more_gpus_are_offered_only_where_those_given_do_not_serve(self) -> None:
        named = [set(one.change) for one in ask(concurrent_users=200).changes]
        assert {"total_gpus"} not in named
        given_too_few = ask(concurrent_users=200, total_gpus=8)
        assert given_too_few.changes[0].change == {"total_gpus": 16}

    @pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: "-".join(map(str, question.values())))
    def test_a_change_takes_fewer_gpus_than_the_question_as_asked(self, question: dict[str, Any]) -> None:
        answer = TOOL.ask(question)
        needed = next((one.gpus for one in answer.changes if "total_gpus" in one.change), None)
        needed = needed or answer.sections.parallelism.gpus_used
        assert all(one.gpus < needed for one in answer.changes if "total_gpus" not in one.change)

    def test_fp8_weights_are_offered_of_16_bit_ones_only(self) -> None:
        assert {"precision": "fp8"} in [one.change for one in ask("team").changes]
        assert {"precision": "fp8"} not in [one.change for one in ask(concurrent_users=200).changes]

    def test_the_next_larger_gpu_is_the_smallest_with_more_memory(self) -> None:
        assert {"gpu": "h200-sxm"} in [one.change for one in ask(concurrent_users=200).changes]
        largest = ask(concurrent_users=200, gpu="b200-sxm")
        assert not any("gpu" in one.change for one in largest.changes)


class TestPresets:
    @pytest.mark.parametrize("name", PRESETS)
    def test_every_preset_is_answered_with_all_five_sections(self, name: str) -> None:
        sections = ask(name).sections
        assert all(getattr(sections, part).summary for part in ("vram", "quantization", "parallelism", "costs", "moe"))

    @pytest.mark.parametrize("name", PRESETS)
    def test_a_preset_sets_every_control_of_the_guide(self, name: str) -> None:
        preset, inputs = PRESETS[name], ask(name).inputs
        for control in ("model", "precision", "concurrent_users", "context_window", "requests_per_day"):
            assert inputs[control] == getattr(preset, control)
        assert inputs["usage_hours_per_day"] == preset.usage_hours_per_day
        assert inputs["compliance_required"] == preset.compliance_required

    @pytest.mark.parametrize(
        ("control", "value"),
        [
            ("model", "13B"),
            ("precision", "fp16"),
            ("kv_precision", "fp16"),
            ("concurrent_users", 7),
            ("context_window", 2048),
            ("gpu", "h200-sxm"),
            ("total_gpus", 4),
            ("requests_per_day", 123_456),
            ("usage_hours_per_day", 6.5),
            ("input_tokens", 100),
            ("output_tokens", 900),
            ("compliance_required", True),
            ("overrides", "memory_utilization=0.5"),
        ],
    )
    def test_any_control_can_be_overridden_and_changes_the_answer(self, control: str, value: Any) -> None:
        plain, changed = ask().structured(), ask(**{control: value}).structured()
        assert changed["inputs"][control] == value
        assert changed["sections"] != plain["sections"]

    def test_compliance_in_the_enterprise_preset_forces_owned_hardware(self) -> None:
        answer = ask("enterprise")
        assert answer.sections.costs.recommended == "own"
        assert "owned, as compliance requires" in answer.summary


class TestCoherence:
    """The sections are the answers of their own tools to the same inputs."""

    def test_each_section_says_what_its_tool_says(self) -> None:
        answer = ask(concurrent_users=40)
        model: dict[str, Any] = {"model": "70B", "precision": "fp8"}
        load: dict[str, Any] = {"concurrent_users": 40, "context_window": 32768}
        vram = VRAM.ask(model | load)
        assert (answer.sections.vram.total_gb, answer.sections.vram.dominant) == (vram.total_gb, vram.dominant)
        plan = PLAN.ask(model | load | {"total_gpus": 8})
        assert answer.sections.parallelism.tpot_ms == plan.tpot_ms
        assert answer.sections.parallelism.max_concurrent_users == plan.max_concurrent_users
        costs = COSTS.ask(model | {"requests_per_day": 50_000, "total_gpus": plan.gpus_used})
        assert answer.sections.costs.total_gpus == costs.total_gpus
        best = next(option for option in costs.options if option.name == costs.recommended)
        assert answer.sections.costs.monthly_usd == best.monthly_usd
        assert answer.sections.costs.usd_per_user_month is None
        formats = QUANTIZATION.ask({"model": "70B"}).formats
        assert answer.sections.quantization.memory_gb == {row.precision: row.memory_gb for row in formats}
        moe = MOE.ask({"precision": "fp8"})
        assert answer.sections.moe.compute_ratio == moe.compute_ratio

    def test_a_users_share_of_the_bill_is_said_where_it_is_known_how_much_a_user_asks(self) -> None:
        """50,000 requests a day of users who ask ten times are 5,000 users."""
        costs = ask(preset="production", overrides="requests_per_user_per_day=10").sections.costs
        assert costs.monthly_usd is not None
        assert costs.usd_per_user_month == pytest.approx(costs.monthly_usd / 5_000, abs=0.005)

    @pytest.mark.parametrize(
        "question",
        [
            {"precision": "fp8"},
            {"model": "openai/gpt-oss-120b", "precision": "mxfp4"},
            {"model": "405B", "precision": "fp16", "total_gpus": 1},
            {"model": "meta-llama/Llama-3.1-8B-Instruct", "precision": "int4", "compliance_required": True},
        ],
    )
    def test_each_section_begins_as_its_tool_does(self, question: dict[str, Any]) -> None:
        answer = ask(**question)
        sections, said = answer.sections, answer.inputs

        def told(tool: Tool[Any, Any], **changes: Any) -> str:
            controls = {**said, **changes}
            names = [name for name in tool.question.model_fields if controls.get(name) is not None]
            return str(tool.ask({name: controls[name] for name in names}).summary)

        routed = MODELS[str(said["model"])].architecture.experts
        assert told(VRAM, total_gpus=question.get("total_gpus")).startswith(sections.vram.summary)
        assert told(QUANTIZATION, concurrent_users=None).startswith(sections.quantization.summary)
        fleet = sections.costs.total_gpus
        assert told(COSTS, total_gpus=fleet).startswith(sections.costs.summary)
        assert told(MOE, **{"moe_model" if routed else "dense_model": said["model"]}).startswith(sections.moe.summary)

    def test_where_the_gpus_given_hold_no_session_the_section_on_memory_says_why(self) -> None:
        assert "refuses to start" in ask(model="405B", precision="fp16", total_gpus=2).sections.vram.summary
        assert "refuses to start" not in ask(total_gpus=8).sections.vram.summary

    def test_the_bill_is_for_the_gpus_of_the_verdict(self) -> None:
        answer = ask(concurrent_users=200)
        assert answer.sections.costs.total_gpus == answer.sections.parallelism.gpus_used == 16

    def test_a_mixture_of_experts_is_held_against_a_dense_model_and_a_dense_one_against_experts(self) -> None:
        assert "745B MoE" in ask().sections.moe.summary
        experts = next(model.id for model in MODELS.values() if model.architecture.experts and not model.is_size_class)
        summary = ask(model=experts, concurrent_users=1).sections.moe.summary
        assert "70B" in summary
        assert MODELS[experts].title in summary

    def test_overrides_reach_the_sections_that_take_them(self) -> None:
        plain, changed = ask(), ask(overrides="overhead_fraction=0.3, utilization=0.5, sequence_overhead_us=50")
        assert changed.sections.vram.total_gb > plain.sections.vram.total_gb
        assert (changed.sections.parallelism.tpot_ms or 0) > (plain.sections.parallelism.tpot_ms or 0)
        assert {"overhead_fraction", "sequence_overhead_us"} <= {entry.name for entry in changed.assumptions}


class TestRefusals:
    def test_a_gpu_without_a_known_price_still_gets_its_plan_and_the_price_is_asked_for(self) -> None:
        answer = ask("starter", gpu="vr200")
        assert answer.serves
        assert answer.sections.costs.monthly_usd is None
        assert "on_demand_usd_per_gpu_hour" in answer.sections.costs.summary
        assert "no bill: see above" in answer.diagram

    def test_a_model_whose_cache_is_not_known_has_no_layout_and_no_bill_and_no_price_is_blamed(self) -> None:
        answer = ask("team", model="llama 3.2 11b vision")
        assert "price" not in answer.diagram
        assert answer.sections.costs.summary.startswith(
            "No bill: inferplan has no memory rules for this model's KV cache in vLLM"
        )
        assert "layout    not known: see above" in answer.diagram

    def test_a_gpu_that_nobody_rents_out_is_billed_as_owned(self) -> None:
        answer = ask("production", gpu="h20")
        assert "owned (assumed) $" in answer.sections.costs.summary
        said = r"8 GPUs cost \$[\d,]+ a month owned \(assumed\): no other price of them is known; an API"
        assert re.search(said, answer.summary)
        assert "on demand" not in answer.summary

    def test_an_unknown_preset_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(ValidationError, match='no preset "produktion"; nearest: "production"'):
            ask("produktion")

    def test_a_request_longer_than_its_context_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="more than the `context_window` of 32,768"):
            ask(input_tokens=40_000)


ANY_QUESTION = st.fixed_dictionaries(
    {
        "preset": st.sampled_from(list(PRESETS)),
        "model": st.sampled_from(list(MODELS)),
        "precision": st.sampled_from(list(FORMATS)),
        "gpu": st.sampled_from(list(GPUS)),
        "concurrent_users": st.integers(1, 1_000_000),
        "context_window": st.integers(2, 100_000_000),
    },
    optional={
        "total_gpus": st.integers(1, 100_000),
        "kv_precision": st.sampled_from([id_ for id_, form in KV_FORMATS.items() if "vllm" in form.stored_by]),
        "requests_per_day": st.integers(1, 10**12),
        "usage_hours_per_day": st.floats(0.01, 24),
        "input_tokens": st.integers(1, 1),
        "compliance_required": st.booleans(),
    },
).filter(lambda asked: runs(asked["gpu"], asked["precision"]) and keeps(asked))


@given(question=ANY_QUESTION)
@settings(max_examples=250)
def test_any_question_gets_a_finite_answer_in_a_picture_of_80_columns(question: dict[str, Any]) -> None:
    answer = TOOL.ask(question)
    json.dumps(answer.structured(), allow_nan=False)
    assert answer.diagram.isascii()
    assert max(map(len, answer.diagram.splitlines())) <= 80
    assert answer.verdict.startswith(
        ("Yes, on ", "Yes for the users, no for their traffic, on ", "No, not on ", "Not known for ")
    )


@given(question=ANY_QUESTION, limit=st.floats(0.1, 10_000), name=st.sampled_from(["max_tpot_ms", "max_ttft_ms"]))
@settings(max_examples=25)
def test_any_question_with_a_latency_gets_a_verdict_that_keeps_to_it(
    question: dict[str, Any], limit: float, name: str
) -> None:
    assume(name == "max_ttft_ms" or question["context_window"] > 3)
    answer = TOOL.ask({**question, "overrides": f"{name}={limit!r}"})
    json.dumps(answer.structured(), allow_nan=False)
    assert answer.diagram.isascii()
    assert max(map(len, answer.diagram.splitlines())) <= 80
    taken = getattr(answer.sections.parallelism, name.removeprefix("max_"))
    assert not answer.serves or taken <= limit + 0.06
    assert all((getattr(one, name.removeprefix("max_")) or 0) <= limit + 0.06 for one in answer.changes)


class TestWords:
    @pytest.mark.parametrize("name", PRESETS)
    def test_both_content_kinds_answer_the_question(self, name: str) -> None:
        answer = ask(name)
        structured, text = json.dumps(answer.structured()), answer.text()
        for part in (answer.verdict, *(section.summary for _, section in answer.sections)):
            assert json.dumps(part)[1:-1] in structured
            assert part in text

    def test_pictures_of_different_cases_differ(self) -> None:
        pictures = {ask(name).diagram for name in PRESETS} | {ask(concurrent_users=n).diagram for n in (1, 200)}
        assert len(pictures) == len(PRESETS) + 2

    @pytest.mark.parametrize("overrides", ["", "spot_allowed=1, spot_usd_per_gpu_hour=1"])
    def test_each_way_to_pay_is_called_in_the_picture_as_in_that_of_its_bills(self, overrides: str) -> None:
        bills = COSTS.ask({"model": "70B", "requests_per_day": 50_000, "overrides": overrides}).diagram
        ends = {label.strip() for line in bills.splitlines() if "|" in line for label in line[36:].split(",")} - {""}
        lines = ask(overrides=overrides).diagram.splitlines()
        pictured = {line[:9].strip() for line in lines if line.endswith(("month", "best"))}
        assert pictured == ends == {"on-demand", "1-year", "3-year", "own", "API", *(["spot"] if overrides else [])}

    @pytest.mark.parametrize("name", PRESETS)
    def test_a_picture_is_plain_and_at_most_80_columns_wide(self, name: str) -> None:
        picture = ask(name).diagram
        assert picture.isascii()
        assert max(map(len, picture.splitlines())) <= 80

    @pytest.mark.parametrize("name", PRESETS)
    def test_the_text_of_a_preset_changes_only_under_review(self, name: str) -> None:
        check_golden(f"run_preset/{name}.txt", ask(name, overrides="as_of=2026-11-25").text())


def test_a_context_beyond_what_the_checkpoint_was_trained_for_is_said_with_the_verdict() -> None:
    told = "trained for contexts up to 131,072 tokens"
    assert told in ask("starter", model="llama 3.1 8b", context_window=131_073).summary
    assert told not in ask("starter", model="llama 3.1 8b", context_window=131_072).summary


def test_ranks_that_keep_room_for_the_steps_of_all_are_offered_smaller_steps() -> None:
    """vLLM's default gives each GB200 16,384 tokens a step, and 16 ranks that exchange them buffers of 59 GiB."""
    case = {"preset": "enterprise", "model": "deepseek v3.2", "gpu": "gb200", "concurrent_users": 500}
    answer = TOOL.ask({**case, "overrides": "pue=1.2"})
    smaller = "pue=1.2, max_num_batched_tokens=2048"
    offered = next(one for one in answer.changes if one.change.get("overrides") == smaller)
    assert "steps of 2,048 tokens (64)" in answer.summary
    again = TOOL.ask({**case, "overrides": smaller})
    assert again.sections.parallelism.gpus_used == offered.gpus < answer.sections.parallelism.gpus_used
    assert "steps of" not in again.summary


def test_what_compliance_requires_is_recommended_in_the_picture_too() -> None:
    """The API was marked as best of an answer that bills owned GPUs, as compliance requires."""
    bound, free = (
        TOOL.ask({"preset": "production", "compliance_required": bound}).diagram.splitlines() for bound in (True, False)
    )
    marks = {line.partition("|")[0].strip(): line.rpartition(" ")[2] for line in bound if "/month" in line}
    assert {name: mark for name, mark in marks.items() if "$" not in mark} == {"own": "recommended", "API": "cheapest"}
    assert [line.partition("|")[0].strip() for line in free if line.endswith(" best")] == ["API"]


@pytest.mark.parametrize(("gpu", "assumed"), [("rtx 4090", True), ("h100", False)])
def test_a_bill_at_an_assumed_price_says_so_in_the_paragraph(gpu: str, *, assumed: bool) -> None:
    answer = TOOL.ask({"preset": "team", "model": "llama 3.1 8b", "gpu": gpu})
    assert ("reserved for three years (assumed)" in answer.summary) is assumed


def test_controls_of_the_preset_that_nobody_gave_are_assumed_by_its_name() -> None:
    some, every = (
        TOOL.ask({"preset": "production", "concurrent_users": 200, **more})
        for more in ({}, {"context_window": 4096, "requests_per_day": 1000, "usage_hours_per_day": 8})
    )
    first = some.assumptions[0]
    assert (first.name, first.why) == ("preset", "of production, not given")
    assert first.value == "context_window=32768, requests_per_day=50000, usage_hours_per_day=24"
    assert all(one.name != "preset" for one in every.assumptions)


@pytest.mark.parametrize("said", ["prefix_cache_hit_rate=0.8", "bandwidth_efficiency=0.5", "link_efficiency=0.2"])
def test_what_moves_the_times_of_a_verdict_is_not_said_to_move_nothing(said: str) -> None:
    """The memory section, which times nothing without a latency, has no use for it."""
    plain, given = ask(concurrent_users=200), ask(concurrent_users=200, overrides=said)
    assert given.sections.parallelism.tpot_ms != plain.sections.parallelism.tpot_ms
    assert f"{said} (you said so)" in given.text().replace(" = ", "=")


def test_a_price_given_where_there_is_no_bill_is_said_to_move_nothing() -> None:
    """It was left out of what was assumed, as the section that would list it was."""
    answer = ask("enterprise", gpu="h100-nvl", overrides="electricity_usd_per_kwh=0.25")
    assert "No bill: " in answer.summary
    assert "electricity_usd_per_kwh = 0.25 (given, but nothing here depends on it)" in answer.text()


def test_gpus_that_do_not_serve_the_users_lead_to_the_layout_that_does() -> None:
    """The step drew the 8 GPUs that hold 48 of 500 users."""
    answer = TOOL.ask({"preset": "production", "total_gpus": 8, "concurrent_users": 500})
    (step,) = (one for one in answer.next_steps if one.tool == "plan_parallelism")
    assert not answer.serves
    assert step.why == "the GPUs that would hold them, drawn"
    assert PLAN.ask(step.arguments).serves_users


def test_a_crowded_verdict_on_a_gguf_file_keeps_the_step_to_llama_cpp() -> None:
    asked = {"preset": "team", "model": "llama 3.1 8b", "precision": "q4_k_m", "gpu": "rtx 4090"}
    answer = TOOL.ask({**asked, "concurrent_users": 30, "context_window": 32768})
    said = [step["tool"] for step in answer.structured()["next_steps"]]
    assert said == ["plan_parallelism", "compare_costs", "estimate_vram"]
