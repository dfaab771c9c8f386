"""Speculative decoding, prefix caches and random arrivals, as the planner is asked for them."""

import re
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferplan.tools._assumptions import OVERRIDDEN, UNUSED
from inferplan.tools.registry import TOOLS_BY_NAME

TOOL = TOOLS_BY_NAME["plan_parallelism"]
CASE: dict[str, Any] = {
    "model": "70B",
    "precision": "fp8",
    "total_gpus": 8,
    "concurrent_users": 64,
    "context_window": 4000,
    "input_tokens": 2000,
    "output_tokens": 500,
    "objective": "throughput",
}


def plan(overrides: str = "", **changes: Any) -> dict[str, Any]:
    given = {**CASE, **changes} | ({"overrides": overrides} if overrides else {})
    return TOOL.ask(given).structured()


def whys(answer: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["why"] for one in answer["assumptions"]}


def test_nothing_is_said_of_arrivals_that_were_not_asked_for() -> None:
    assert not {"ttft_percentiles_ms", "max_requests_per_s"} & set(plan())


def test_percentiles_of_the_first_token_come_with_the_rate_beyond_which_requests_pile_up() -> None:
    answer = plan("requests_per_s=4")
    half, most, nearly = answer["ttft_percentiles_ms"]
    assert half <= most < nearly
    assert answer["max_requests_per_s"] > 4
    for shown in ("4 requests/s", "P99", f"{answer['max_requests_per_s']:g}", ", each further one "):
        assert shown in answer["summary"]
    assert "On average that misses" not in answer["summary"]


def test_more_requests_than_the_layout_serves_are_answered_with_the_most_it_does_and_a_way_out() -> None:
    answer = plan("requests_per_s=1000")
    most = answer["max_requests_per_s"]
    assert "ttft_percentiles_ms" not in answer
    assert (
        f"It does not keep up with 1000 requests/s that arrive at random: they pile up beyond {most:g}"
        in answer["summary"]
    )
    assert "more replicas" in answer["summary"]


@pytest.mark.parametrize("gpus", [2, 8])
@pytest.mark.parametrize("model", ["70B", "llama 3.1 8b", "qwen3 32b", "gpt-oss 120b"])
def test_the_rate_that_is_named_as_the_most_is_kept_up_with(model: str, gpus: int) -> None:
    """Rounded up it would not be: half of these rates were."""
    most = plan("requests_per_s=1", model=model, total_gpus=gpus)["max_requests_per_s"]
    answer = plan(f"requests_per_s={most}", model=model, total_gpus=gpus)
    assert answer["max_requests_per_s"] >= most
    assert len(answer["ttft_percentiles_ms"]) == 3


SERVICE: dict[str, Any] = {
    "model": "llama 3.3 70b",
    "total_gpus": None,
    "concurrent_users": 1,
    "context_window": 2048,
    "input_tokens": 1000,
    "output_tokens": 300,
    "objective": None,
}
"""Requests alone, and no users: what a service is asked to take."""


def test_requests_alone_are_given_the_gpus_that_serve_as_many_users_as_they_keep_busy() -> None:
    """Little's law: 5 requests/s x (TTFT + 300 tokens x TPOT), at the latencies that the answer tells of them."""
    answer = plan("requests_per_s=5", **SERVICE, max_ttft_ms=300, max_tpot_ms=25)
    token = re.search(r"each further one ([\d.]+) ms", answer["summary"])
    assert token
    busy = 5 * (answer["ttft_percentiles_ms"][0] + 300 * float(token[1])) / 1000
    planned = int({one["name"]: one["value"] for one in answer["assumptions"]}["planned_users"])
    assert planned == pytest.approx(busy, rel=0.05)
    assert f"enough for the {planned} planned for 5 requests/s" in answer["summary"]
    assert answer["serves_users"]
    assert answer["max_concurrent_users"] >= planned
    assert answer["max_requests_per_s"] >= 5
    assert answer["ttft_percentiles_ms"][0] < 300
    assert float(token[1]) <= 25
    assert "concurrent_users" not in answer["inputs"] or answer["inputs"]["concurrent_users"] == 1


LIMITS_MS = [15, 20, 30, 40, 50, 75, 100, 150, 300, None]


@given(
    model=st.sampled_from(["llama 3.3 70b", "llama 3.1 8b", "qwen3 30b a3b", "gemma 3 4b", "zephyr 7b", "hy3"]),
    gpu=st.sampled_from(["h100-sxm", "b200-sxm", "l40s"]),
    rate=st.sampled_from([2, 10, 100]),
    turn=st.sampled_from([(3000, 50), (2000, 300), (200, 1000)]),
    ttft=st.sampled_from([None, 500, 1000]),
)
@settings(max_examples=12, deadline=None)
def test_a_looser_limit_never_takes_more_gpus_for_the_same_requests(
    model: str, gpu: str, rate: float, turn: tuple[int, int], ttft: int | None
) -> None:
    """Of zephyr 7b 9 B200 kept up within 10 ms a token, and 232 were said to be needed within 300."""
    given = SERVICE | {"model": model, "gpu": gpu, "context_window": 32_768, "max_ttft_ms": ttft}
    given |= dict(zip(("input_tokens", "output_tokens"), turn, strict=True))
    needed = inf
    for limit in LIMITS_MS:
        answer = plan(f"requests_per_s={rate}", **given, max_tpot_ms=limit)
        assert answer["serves_users"] or needed == inf
        if answer["serves_users"]:
            assert answer["gpus_used"] <= needed
            assert answer["max_requests_per_s"] >= rate * 0.99
            needed = answer["gpus_used"]


@pytest.mark.parametrize("limit", [100, 300, 1000])
def test_gpus_that_keep_up_within_a_limit_keep_up_within_a_looser_one(limit: int) -> None:
    """As many users were planned for as the limit allows, 2,701 at 300 ms, and 16 GPUs said to be too few."""
    answer = plan("requests_per_s=30", **SERVICE | {"total_gpus": 16}, max_ttft_ms=1000, max_tpot_ms=limit)
    assert answer["serves_users"]


def test_the_users_that_requests_keep_busy_follow_from_the_latency_told_beside_them() -> None:
    """873 were planned for and said to be busy, of whom 269 are."""
    answer = plan("requests_per_s=20", **SERVICE | {"output_tokens": 500, "context_window": 4096})
    said = re.search(r"20 requests/s arriving at random, which keep about (\d+) users busy", answer["summary"])
    first, token = answer["ttft_percentiles_ms"][0], re.search(r"each further one ([\d.]+) ms", answer["summary"])
    assert said
    assert token
    assert float(said[1]) == pytest.approx(20 * (first + 500 * float(token[1])) / 1000, rel=0.05)
    planned = {one["name"]: one["value"] for one in answer["assumptions"]}["planned_users"]
    assert float(said[1]) == pytest.approx(int(planned.replace(",", "")), abs=1)
    assert "users busy" not in plan("requests_per_s=0.001", **SERVICE)["summary"]


def test_first_tokens_of_random_arrivals_and_of_users_who_never_pause_are_told_apart() -> None:
    """217 ms and 143 ms stood in one paragraph, both as what a first token takes."""
    answer = plan("requests_per_s=5", **SERVICE)
    busy = {one["name"]: one["value"] for one in answer["assumptions"]}["planned_users"]
    (arriving,) = re.findall(
        r"requests/s arriving at random.*?, a first token takes ([\d.]+) ms at the median", answer["summary"]
    )
    (closed,) = re.findall(
        rf"Were all {busy} to ask again as soon as answered.*?would take about (\d+) ms", answer["summary"]
    )
    assert answer["summary"].count("a first token") == 2
    assert float(arriving) == pytest.approx(answer["ttft_percentiles_ms"][0], rel=0.05)
    assert float(closed) == pytest.approx(answer["ttft_ms"], abs=0.5)
    assert "to ask again" not in plan(**SERVICE)["summary"]


def test_the_bill_that_follows_is_that_of_the_requests_asked_about() -> None:
    (step,) = plan("requests_per_s=5", **SERVICE)["next_steps"]
    assert (step["tool"], step["arguments"]["requests_per_day"]) == ("compare_costs", 5 * 24 * 3600)
    (step,) = plan("requests_per_s=0.000001", **SERVICE)["next_steps"]
    assert step["arguments"]["requests_per_day"] == 1


def test_more_requests_than_anybody_serves_are_answered_all_the_same() -> None:
    """They were called kept up with, "the 1,000,000 that 100000 requests/s keep busy", and in the next sentence not."""
    answer = plan("requests_per_s=1000000", **SERVICE | {"model": "llama 3.1 8b"})
    assert answer["serves_users"]
    assert answer["max_requests_per_s"] >= 1_000_000
    assert "does not keep up" not in answer["summary"]


def test_replicas_that_share_requests_are_said_to_get_them_by_how_idle_they_are() -> None:
    two, one = (plan("requests_per_s=1", total_gpus=gpus, model="405B", concurrent_users=8) for gpus in (16, 8))
    assert (two["dp"], one["dp"]) == (2, 1)
    assert "balancer" in whys(two)
    assert "balancer" not in whys(one)


def test_gpus_that_are_too_few_for_the_requests_are_said_to_be() -> None:
    answer = plan("requests_per_s=50", **SERVICE | {"total_gpus": 2})
    assert not answer["serves_users"]
    assert re.search(r"too few for the [\d,]+ planned for 50 requests/s", answer["summary"])
    assert answer["next_steps"][0]["why"] == "the GPUs that these users need"
    more = TOOLS_BY_NAME["plan_parallelism"].ask(answer["next_steps"][0]["arguments"]).structured()
    assert more["max_requests_per_s"] >= 50


@pytest.mark.parametrize("limit", [None, 20])
def test_of_layouts_that_do_not_keep_up_the_one_that_sustains_the_most_is_taken(limit: int | None) -> None:
    """The one with room for the most sessions was."""
    answer = plan("requests_per_s=500", **SERVICE | {"total_gpus": 8}, max_tpot_ms=limit)
    sustained = [re.fullmatch(r"sustains ([\d.]+) requests/s", one["loses"]) for one in answer["alternatives"]]
    assert sustained
    assert all(one and float(one[1]) <= answer["max_requests_per_s"] for one in sustained)
    assert answer["why"] == "It sustains the most requests/s."


def test_a_latency_that_few_users_get_is_held_against_all_requests() -> None:
    """One H100 pair gives a lone user 18 ms a token; five requests a second keep it at more than 25 ms."""
    pair = SERVICE | {"total_gpus": 2, "concurrent_users": 1}
    alone = plan("", **pair, max_ttft_ms=300, max_tpot_ms=25)
    assert alone["serves_users"]
    answer = plan("requests_per_s=5", **pair, max_ttft_ms=300, max_tpot_ms=25)
    assert not answer["serves_users"]
    assert "On average that misses TTFT <= 300 ms and TPOT <= 25 ms" in answer["summary"]


def test_users_that_are_asked_for_stay_where_they_keep_up() -> None:
    answer = plan("requests_per_s=1", **SERVICE | {"concurrent_users": 64})
    assert "enough for the 64 asked for" in answer["summary"]
    assert "planned_users" not in whys(answer)


@given(rate=st.floats(0.01, 200), users=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_where_gpus_are_not_given_requests_are_kept_up_with(rate: float, users: int) -> None:
    answer = plan(f"requests_per_s={rate}", **SERVICE | {"concurrent_users": users})
    assert answer["max_requests_per_s"] >= rate * 0.99
    assert len(answer["ttft_percentiles_ms"]) == 3
    assert answer["max_concurrent_users"] >= users


@given(rates=st.tuples(st.floats(0.01, 8), st.floats(0.01, 8)))
@settings(max_examples=20, deadline=None)
def test_percentiles_never_fall_where_more_requests_arrive(rates: tuple[float, float]) -> None:
    few, many = (plan(f"requests_per_s={rate}").get("ttft_percentiles_ms") for rate in sorted(rates))
    assert few is not None
    assert many is None or all(a <= b + 0.1 for a, b in zip(few, many, strict=True))


def test_replicas_double_the_requests_that_are_kept_up_with() -> None:
    one = plan("requests_per_s=1", total_gpus=8, model="405B", concurrent_users=8)
    two = plan("requests_per_s=1", total_gpus=16, model="405B", concurrent_users=8)
    assert (one["tp"], one["pp"]) == (two["tp"], two["pp"])
    assert two["dp"] == 2 * one["dp"]
    assert two["max_requests_per_s"] == pytest.approx(2 * one["max_requests_per_s"], rel=0.15)


def test_drafts_make_tokens_faster_where_they_are_accepted_and_slower_where_not() -> None:
    plain = plan()["tpot_ms"]
    assert plan("speculative_tokens=3, acceptance_rate=0.9")["tpot_ms"] < plain
    assert plan("speculative_tokens=3, acceptance_rate=0")["tpot_ms"] > plain
    assert plan("speculative_tokens=0, acceptance_rate=0.9")["tpot_ms"] == plain


@pytest.mark.parametrize(
    ("overrides", "tokens"), [("", 1), ("speculative_tokens=3, acceptance_rate=0.5", 1 + 0.5 + 0.25 + 0.125)]
)
def test_the_line_of_a_token_shares_a_step_out_among_the_tokens_it_gives(overrides: str, tokens: float) -> None:
    answer = plan(overrides)
    (line,) = (line for line in answer["formula"] if line.startswith("TPOT"))
    step, _, rest = line.partition(" + new prompts ")
    parts = [float(part) for part in re.findall(r"[a-zV] (\d+\.\d+)", step)]
    prompts, total = (float(part) for part in re.findall(r"-?\d+\.\d+", rest))
    assert len(parts) == 5
    assert prompts > 0
    assert sum(parts) / tokens + prompts == pytest.approx(total, abs=0.06)
    assert total == pytest.approx(answer["tpot_ms"], abs=0.06)


@pytest.mark.parametrize("model", ["70B", "deepseek v3"])
def test_collectives_of_drafts_and_of_the_tokens_that_they_are_verified_with_are_counted(model: str) -> None:
    """The table had 26 MB and 0.3 ms of a step of which the line of arithmetic beside it had 1.2 ms of links."""
    answer = plan("speculative_tokens=3", model=model, gpu="h200", concurrent_users=32, objective=None)
    (line,) = (line for line in answer["formula"] if line.startswith("TPOT"))
    (one,) = answer["collectives"]
    assert one["ms"][0] == pytest.approx(float(line.partition(" links ")[2].split()[0]), rel=0.01)
    layers, hidden = {"70B": (80, 8192), "deepseek v3": (61, 7168)}[model]
    each = 32 / answer["dp"] * hidden * 2e-6
    assert one["mb"][0] == pytest.approx(2 * layers * 4 * each + 3 * 2 * each, rel=0.01)


@pytest.mark.parametrize(
    ("model", "said", "share"),
    [("deepseek v3", "its own predictor", "2.0%"), ("70B", "assumed: one further layer", "1.2%")],
)
def test_what_a_draft_costs_is_said(model: str, said: str, share: str) -> None:
    answer = plan("speculative_tokens=1", model=model, gpu="h200", objective="latency")
    assert said in whys(answer)["draft"]
    assert {one["name"]: one["value"] for one in answer["assumptions"]}["draft"].startswith(share)
    assert "DeepSeek-V3 reports" in whys(answer)["acceptance_rate"]


def test_an_acceptance_of_no_drafts_is_said_to_play_no_part() -> None:
    assert whys(plan("acceptance_rate=0.5"))["acceptance_rate"] == "given, but nothing here depends on it"


def test_a_cached_prefix_saves_time_but_no_memory() -> None:
    two: dict[str, Any] = {"total_gpus": 2, "concurrent_users": 8}
    plain, half, whole = (plan(f"prefix_cache_hit_rate={rate}", **two) for rate in (0, 0.5, 1))
    assert plain["ttft_ms"] > half["ttft_ms"] > whole["ttft_ms"]
    assert plain["tokens_per_s"] < half["tokens_per_s"] < whole["tokens_per_s"]
    assert plain["max_concurrent_users"] == whole["max_concurrent_users"]


def test_a_cached_prefix_is_not_sent_between_gpus() -> None:
    """Four fifths of a prompt cached leave a fifth of its tokens to add up: the first token waits for no more."""
    eight: dict[str, Any] = {"total_gpus": 8, "concurrent_users": 200, "precision": "fp16"}
    plain, hit = (plan(f"prefix_cache_hit_rate={rate}", **eight)["collectives"][0] for rate in (0, 0.8))
    assert hit["mb"][0] == plain["mb"][0]
    assert hit["mb"][1] == pytest.approx(plain["mb"][1] / 5, rel=0.01)


def test_a_cached_prefix_makes_the_bubble_of_a_prompt_larger() -> None:
    """Two stages idle in 1 of 4 + 1 steps of 32,000 tokens, and in 1 of 1 + 1 of the 6,400 that are not cached."""
    staged: dict[str, Any] = {"model": "405B", "precision": "fp16", "total_gpus": 16, "context_window": 40_000}
    asked = {**CASE, **staged, "input_tokens": 32_000}
    answers = [TOOL.ask({**asked, "overrides": given}) for given in ("", "prefix_cache_hit_rate=0.8")]
    shown = [next(line for line in answer.formula if line.startswith("bubble")) for answer in answers]
    assert "prompt 1/(4 + 1) = 20%" in shown[0]
    assert "prompt 1/(1 + 1) = 50%" in shown[1]


def test_of_a_prompt_that_is_cached_whole_one_token_is_computed() -> None:
    """What is left beside a prompt of one token is the reading of the cache: under a millisecond on these ranks."""
    lone: dict[str, Any] = {"concurrent_users": 1, "context_window": 4000, "objective": "latency"}
    hit = plan("prefix_cache_hit_rate=1", **lone)
    one = plan(input_tokens=1, **lone)
    assert hit["ttft_ms"] == pytest.approx(one["ttft_ms"], abs=1)


def test_smaller_steps_delay_the_first_token_of_a_long_prompt() -> None:
    long: dict[str, Any] = {
        "context_window": 100_000,
        "input_tokens": 64_000,
        "output_tokens": 500,
        "concurrent_users": 1,
    }
    small, large = (plan(f"max_num_batched_tokens={size}", **long)["ttft_ms"] for size in (1024, 65_536))
    assert small > large


NOT_CACHED = "past turns not counted: no prefix is cached, so that they are computed again as part of input_tokens"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("", "past turns cached"),
        ("prefix_caching=0", NOT_CACHED),
        ("engine=sglang, prefix_caching=0", NOT_CACHED),
    ],
)
def test_past_turns_are_said_to_be_cached_only_where_prefixes_are(overrides: str, said: str) -> None:
    """A command with --no-enable-prefix-caching stood below an answer for which all past turns were cached."""
    answer = TOOL.ask({"model": "llama 3.1 8b", "total_gpus": 1, "overrides": overrides})
    assert {one.name: one.why for one in answer.assumptions}["request"] == f"tokens; sessions full, {said}"


def test_no_prompt_is_found_in_a_cache_that_keeps_no_prefix() -> None:
    asked = {"model": "llama 3.1 8b", "total_gpus": 1, "concurrent_users": 16, "input_tokens": 4000}
    plain, hits, off = (
        TOOL.ask({**asked, "overrides": overrides})
        for overrides in ("", "prefix_cache_hit_rate=0.8", "prefix_cache_hit_rate=0.8, prefix_caching=0")
    )
    assert (hits.ttft_ms or 0) < (off.ttft_ms or 0) == plain.ttft_ms
    (said,) = (one for one in off.assumptions if one.name == "prefix_cache_hit_rate")
    assert said.line() == "prefix_cache_hit_rate = 0 (no prefix is cached here; prefix_caching=1 has it so)"


@pytest.mark.parametrize("tool", ["plan_parallelism", "compare_costs", "run_preset", "compare_quantization"])
def test_times_without_cuda_graphs_are_said_to_be_those_with_them(tool: str) -> None:
    """An engine that launches each kernel on its own was given the very times of one that replays graphs."""
    extra = {"compare_costs": {"requests_per_day": 1000}, "run_preset": {"preset": "starter"}}.get(tool, {})
    for overrides in ("", "cuda_graphs=0"):
        answer = TOOLS_BY_NAME[tool].ask({"model": "llama 3.1 8b", **extra, "overrides": overrides})
        assert ("eager_speed" in {one.name for one in answer.assumptions}) == bool(overrides)


def test_memory_without_cuda_graphs_has_no_word_on_times() -> None:
    answer = TOOLS_BY_NAME["estimate_vram"].ask({"model": "llama 3.1 8b", "overrides": "cuda_graphs=0"})
    assert "eager_speed" not in {one.name for one in answer.assumptions}


@pytest.mark.parametrize(("model", "why"), [("llama 3.1 8b", UNUSED), ("qwen3 30b a3b", OVERRIDDEN)])
def test_experts_that_a_model_has_not_are_not_said_to_have_been_kept_together(model: str, why: str) -> None:
    answer = TOOL.ask({"model": model, "precision": "fp8", "total_gpus": 2, "overrides": "expert_parallel=0"})
    assert {one.name: one.why for one in answer.assumptions}["expert_parallel"] == why


def test_percentiles_that_are_the_same_are_said_once_with_the_reason() -> None:
    """Of 3 requests a second on three replicas not one in a hundred waits: 154, 154 and 154 ms read as a slip."""
    answer = TOOL.ask({"model": "llama 3.1 8b", "gpu": "l4", "concurrent_users": 40, "overrides": "requests_per_s=3"})
    half, _, nearly = answer.ttft_percentiles_ms or (0, 0, 1)
    assert half == nearly
    said = f"a first token takes {half:.0f} ms at the median and at P99 alike (hardly any request waits for another)"
    assert said in answer.summary
    busy = TOOL.ask({"model": "llama 3.1 8b", "total_gpus": 1, "overrides": "requests_per_s=3"})
    assert " at P90 and " in busy.summary


def test_users_who_hardly_ever_ask_are_said_to_hardly_go_with_the_requests() -> None:
    """500 users and a request in 10 s: each asks once in 83 minutes. 7 keep up with it, at a minute between turns."""
    idle = TOOL.ask({"model": "llama 3.1 8b", "concurrent_users": 500, "overrides": "requests_per_s=0.1"}).summary
    assert "500 users hardly go with 0.1 requests/s" in idle
    assert "(concurrent_users=7)" in idle
    for users, rate in ((500, 1), (1, 0.001), (20, 50)):
        asked = {"model": "llama 3.1 8b", "concurrent_users": users, "overrides": f"requests_per_s={rate}"}
        assert "hardly go with" not in TOOL.ask(asked).summary
