"""Every assumption by name: bounds, words, who takes it, and that it moves a number."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inferplan.catalog.formats import KV_FORMATS
from inferplan.core.precision import REST_BITS
from inferplan.tools._assumptions import Ledger
from inferplan.tools._overrides import parse_overrides
from inferplan.tools._settings import TAKEN, Setting, settings
from inferplan.tools._tool import Tool
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME

ALL = tuple(settings().values())
GROUPS = {setting.group for setting in ALL}


def taken(tool: Tool[Any, Any]) -> list[Setting]:
    return [setting for setting in ALL if setting.group in tool.question.settings]


def values(setting: Setting) -> Iterator[float]:
    """Values over the whole range that a setting takes."""
    for share in (0.0, 0.02, 0.3, 0.7, 1.0):
        value = setting.low + share * (setting.high - setting.low)
        yield round(value) if setting.whole or setting.date else value


LATENT = {"model": "deepseek v3", "precision": "fp8", "gpu": "h200"}
"""A model whose one latent several ranks can share out: with eight KV heads a node has no ranks to spare."""
PAIRS = [pytest.param(tool, one, id=f"{tool.name}-{one.name}") for tool in TOOLS for one in taken(tool)]


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is_where_it_comes_from_and_how_far_it_may_go(setting: Setting) -> None:
    assert setting.name.isidentifier()
    assert setting.name == setting.name.lower()
    assert setting.what
    assert setting.source
    assert setting.low < setting.high
    assert setting.default is None or setting.low <= setting.default <= setting.high
    assert not setting.whole or setting.default is None or setting.default % 1 == 0


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_every_setting_is_taken_by_some_tool(setting: Setting) -> None:
    assert any(setting.group in tool.question.settings for tool in TOOLS)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_group_that_a_tool_takes_has_settings(tool: Tool[Any, Any]) -> None:
    assert set(tool.question.settings) <= GROUPS


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_the_bounds_themselves_are_allowed_and_what_lies_beyond_is_not(setting: Setting) -> None:
    assert setting.check(setting.written(setting.low)) == setting.low
    assert setting.check(setting.written(setting.high)) == setting.high
    for beyond in () if setting.choices else (setting.low - 1, setting.high + 1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=rf'"{setting.name}" takes ') as caught:
            setting.check(repr(beyond))
        bounds = f"from {setting.shown(setting.low)} to {setting.shown(setting.high)}"
        assert ("1 (on) or 0 (off)" if setting.is_switch else bounds) in str(caught.value)


def test_a_whole_setting_takes_no_fraction() -> None:
    with pytest.raises(ValueError, match=r'takes a whole number from 1 to 65,536; got "1\.5"'):
        settings()["max_num_seqs"].check("1.5")


@pytest.mark.parametrize(
    "text",
    ["pue=1.2,utilization=0.6", " pue = 1.2 ; utilization=0.6 ", "pue=1.2,,utilization=0.6,"],
)
def test_overrides_are_separated_by_commas_or_semicolons(text: str) -> None:
    assert parse_overrides(text, groups=("prices", "unit_cost")) == {"pue": 1.2, "utilization": 0.6}


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("0.28", 28),
        ("v0.19.1", 19),
        ("0.9", 9),
        ("0.10.1.1", 10),
        ("0.28rc1", None),
        ("28.0", 28),
        ("0.33.0", 33),
        ("0.34", None),
    ],
)
def test_a_version_is_read_as_people_write_it(text: str, minor: int | None) -> None:
    setting = settings()["engine_version"]
    if minor is None:
        with pytest.raises(ValueError, match=r"takes a version from 0\.5 to 0\.33"):
            setting.check(text)
    else:
        assert setting.check(text) == minor
        assert setting.shown(minor) == f"0.{minor}"


@pytest.mark.parametrize(
    "name", [name for name, setting in settings().items() if setting.whole and not setting.is_coded]
)
def test_a_whole_number_is_written_as_one(name: str) -> None:
    setting = settings()[name]
    assert setting.written(float(setting.high)) == str(int(setting.high))
    assert setting.check(setting.written(setting.low)) == setting.low


CHOICES = [pytest.param(one, name, id=f"{one.name}-{name}") for one in ALL for name in one.choices]


@pytest.mark.parametrize(("setting", "name"), CHOICES)
def test_a_choice_is_given_by_its_name_and_written_so(setting: Setting, name: str) -> None:
    value = setting.check(name)
    assert setting.check(name.upper()) == value
    assert setting.written(value) == setting.shown(value) == name
    assert setting.choices[int(value)] == name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("SGLang", "sglang"),
        ("sgl", "sglang"),
        ("TRT-LLM", "tensorrt-llm"),
        ("trtllm", "tensorrt-llm"),
        ("vLLM", "vllm"),
    ],
)
def test_an_engine_is_called_as_people_call_it(said: str, name: str) -> None:
    assert settings()["engine"].shown(settings()["engine"].check(said)) == name


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("sglng", '"engine" takes vllm, sglang or tensorrt-llm; got "sglng"; nearest: sglang'),
        ("tensort", '"engine" takes vllm, sglang or tensorrt-llm; got "tensort"; nearest: tensorrt-llm'),
        ("2", '"engine" takes vllm, sglang or tensorrt-llm; got "2"'),
        ("", '"engine" takes vllm, sglang or tensorrt-llm; got ""'),
        (
            "llama.cpp",
            '"engine" does not take llama.cpp here: ask estimate_vram with engine llama.cpp',
        ),
        ("gguf", '"engine" does not take llama.cpp here: ask estimate_vram with engine llama.cpp'),
    ],
)
def test_a_name_that_is_no_choice_is_answered_with_those_that_are_and_the_nearest(said: str, answer: str) -> None:
    with pytest.raises(ValueError, match=re.escape(answer)):
        settings()["engine"].check(said)


def test_the_caches_to_choose_from_are_those_of_the_engines_that_are_planned_with() -> None:
    """Those that any weights can have: FP32 is kept beside weights in FP32 alone, which have it unasked."""
    setting, planned = settings()["kv_precision"], set(settings()["engine"].choices)
    kept = [form.id for form in KV_FORMATS.values() if planned & set(form.stored_by) and form.bits <= REST_BITS]
    assert list(setting.choices) == kept
    assert set(setting.elsewhere) == set(KV_FORMATS) - set(kept)
    assert setting.default is None
    assert setting.shown(setting.check("fp8_e4m3")) == "fp8"


def test_a_choice_is_listed_for_readers_by_its_names() -> None:
    row = settings()["engine"].row()
    assert row["choices"] == ("vllm", "sglang", "tensorrt-llm")
    assert row["default"] == "vllm"
    assert not {"low", "high", "whole"} & set(row)


def test_no_overrides_are_no_overrides() -> None:
    assert parse_overrides("", groups=("prices",)) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("memory_utilisation=0.9", 'no assumption "memory_utilisation"; nearest: memory_utilization'),
        ("engin=0.2", 'no assumption "engin"; nearest: engine_version'),
        ("pue=1.2", '"pue" plays no part in this tool but in compare_costs and run_preset; it takes those of memory ('),
        ("memory_utilization", '"memory_utilization" is not of the form name=value'),
        ("memory_utilization=", '"memory_utilization" takes a number from 0.1 to 0.99; got ""'),
        ("memory_utilization=lots", 'takes a number from 0.1 to 0.99; got "lots"'),
        ("memory_utilization=1.5", 'takes a number from 0.1 to 0.99; got "1.5"'),
        ("max_num_seqs=8, max_num_seqs=9", '"max_num_seqs=9" comes twice'),
    ],
)
def test_each_mistake_is_answered_by_what_is_allowed(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_overrides(text, groups=("memory",))


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"lots.*; .*nope.*; .*name=value"):
        parse_overrides("memory_utilization=lots, nope=1, max_num_seqs", groups=("memory",))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_refuses_settings_that_it_does_not_take(tool: Tool[Any, Any]) -> None:
    others = (one for one in ALL if one.group not in tool.question.settings)
    for other in (one for one in others if one.name not in tool.question.model_fields):
        with pytest.raises(ValidationError, match=f'"{other.name}" plays no part in this tool'):
            tool.ask({**tool.example, "overrides": f"{other.name}={other.high}"})


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_an_argument_given_as_an_override_is_told_where_it_belongs(tool: Tool[Any, Any]) -> None:
    own = set(tool.question.model_fields) - {setting.name for setting in taken(tool)}
    for name in own:
        with pytest.raises(ValidationError, match=f'"{name}" is an argument, not an assumption; give it beside'):
            tool.ask({**tool.example, "overrides": f"{name}=5"})


def test_the_tools_that_take_a_setting_are_named_in_the_order_of_the_workflow() -> None:
    assert {tool.name: tool.question.settings for tool in TOOLS} == TAKEN
    assert list(TAKEN) == [tool.name for tool in TOOLS]


@pytest.mark.parametrize(("tool", "setting"), PAIRS)
def test_an_override_is_listed_with_the_value_given_and_that_the_caller_said_so(
    tool: Tool[Any, Any], setting: Setting
) -> None:
    value = next(value for value in list(values(setting))[1:] if value != setting.default)
    latent = {name: LATENT[name] for name in LATENT if name in tool.question.model_fields}
    asked = {**tool.example, **(latent if setting.name == "decode_context_parallel" else {})}
    answer = tool.ask({**asked, "overrides": f"{setting.name}={setting.written(value)}"})
    listed = {entry.name: entry for entry in answer.assumptions}[setting.name]
    assert listed.value == (setting.shown(value) if setting.is_coded else pytest.approx(value))
    assert listed.unit == setting.unit
    assert listed.why in ("you said so", "given, but nothing here depends on it")


CASES: dict[str, list[dict[str, Any]]] = {
    "estimate_vram": [
        {"model": "70B", "precision": "fp8", "concurrent_users": 200},
        {"model": "7B", "precision": "fp16", "concurrent_users": 2000, "context_window": 16},
        {"model": "gpt-oss-20b", "precision": "mxfp4", "concurrent_users": 200, "context_window": 32768},
        {"model": "qwen3-next-80b-a3b-instruct", "precision": "fp8", "concurrent_users": 200},
        {**LATENT, "concurrent_users": 200},
        {"model": "qwen3.5-9b", "precision": "bf16", "gpu": "l4", "concurrent_users": 9},
        {"model": "70B", "precision": "fp8", "concurrent_users": 200, "max_ttft_ms": 600, "max_tpot_ms": 40},
        {
            "model": "70B",
            "precision": "fp8",
            "concurrent_users": 200,
            "max_tpot_ms": 20,
            "overrides": "speculative_tokens=3",
        },
        {"model": "745B", "precision": "fp16", "concurrent_users": 20, "max_ttft_ms": 900, "max_tpot_ms": 60},
    ],
    "plan_parallelism": [
        {"model": "70B", "precision": "fp8", "total_gpus": 8, "concurrent_users": 50, "context_window": 32768},
        {"model": "745B", "precision": "fp16", "total_gpus": 24, "concurrent_users": 20},
        {"model": "7B", "precision": "fp16", "total_gpus": 1, "concurrent_users": 2000, "context_window": 16},
        {"model": "gpt-oss-20b", "precision": "mxfp4", "total_gpus": 1, "context_window": 32768},
        {"model": "qwen3-next-80b-a3b-instruct", "precision": "fp8", "total_gpus": 8, "concurrent_users": 9},
        {**LATENT, "concurrent_users": 200, "total_gpus": 8},
        {**LATENT, "concurrent_users": 200, "total_gpus": 8, "objective": "throughput"},
        {"model": "70B", "precision": "fp8", "total_gpus": 8, "overrides": "speculative_tokens=3"},
    ],
}


def numbers(answer: Any) -> dict[str, Any]:
    """What an answer says, less what it repeats of the question."""
    return {name: value for name, value in answer.structured().items() if name not in ("assumptions", "inputs")}


def moved(tool: Tool[Any, Any], setting: Setting, case: dict[str, Any]) -> bool:
    """Whether some value of the setting changes some figure of the section."""
    section = tool.answer.section()
    plain = numbers(tool.ask(case))
    for value in values(setting):
        said = f"{setting.name}={setting.written(value) if setting.is_coded else repr(value)}"
        given = {**case, "overrides": ", ".join(filter(None, (case.get("overrides"), said)))}
        if setting.name in case.get("overrides", ""):
            continue
        other = numbers(tool.ask(given))
        if any(other.get(name) != plain.get(name) for name in section):
            return True
    return False


@pytest.mark.parametrize(
    ("tool", "setting"),
    [
        pytest.param(TOOLS_BY_NAME[name], one, id=f"{name}-{one.name}")
        for name in CASES
        for one in taken(TOOLS_BY_NAME[name])
    ],
)
def test_every_setting_that_a_tool_takes_moves_a_number_somewhere(tool: Tool[Any, Any], setting: Setting) -> None:
    latent = setting.name == "decode_context_parallel"
    assert any(moved(tool, setting, case) for case in CASES[tool.name] if not latent or LATENT.items() <= case.items())


@pytest.mark.parametrize("setting", ["expert_compute_efficiency", "expert_layer_overhead_us"])
def test_a_setting_of_experts_is_said_to_have_no_effect_on_a_dense_model(setting: str) -> None:
    tool = TOOLS_BY_NAME["plan_parallelism"]
    dense = tool.ask({"model": "70B", "total_gpus": 8, "overrides": f"{setting}=0.9"})
    assert {e.name: e.why for e in dense.assumptions}[setting] == "given, but nothing here depends on it"
    sparse = tool.ask({"model": "745B", "total_gpus": 24, "overrides": f"{setting}=0.9"})
    assert {e.name: e.why for e in sparse.assumptions}[setting] == "you said so"


def test_a_ledger_gives_the_override_before_the_default_of_the_caller_before_its_own() -> None:
    assert Ledger({"gpus_per_node": 4}).take("gpus_per_node", 8) == 4
    assert Ledger({}).take("gpus_per_node", 8) == 8
    assert Ledger({}).take("overhead_fraction") == 0.15


def test_a_setting_without_any_default_is_never_guessed() -> None:
    with pytest.raises(LookupError, match="gpus_per_node has no default"):
        Ledger({}).take("gpus_per_node")


def test_a_quiet_setting_is_listed_only_where_the_caller_changed_it() -> None:
    silent, said = Ledger({}), Ledger({"pue": 1.5})
    silent.take("pue", 1.3, quiet=True)
    said.take("pue", 1.3, quiet=True)
    assert silent.entries() == []
    assert [entry.line() for entry in said.entries()] == ["pue = 1.5 (you said so)"]


def test_an_assumption_reads_as_one_line() -> None:
    ledger = Ledger({})
    ledger.note("request", "500 in, 500 out", unit="tokens", why="a user's turn")
    assert ledger.entries()[0].line() == "request = 500 in, 500 out tokens (a user's turn)"


def test_an_override_that_nothing_asked_for_is_reported() -> None:
    assert [entry.why for entry in Ledger({"pue": 1.5}).entries()] == ["given, but nothing here depends on it"]


@given(text=st.text(max_size=80))
def test_any_text_is_either_understood_or_refused_in_words(text: str) -> None:
    try:
        parsed = parse_overrides(text, groups=GROUPS)
    except ValueError as refused:
        assert str(refused)  # noqa: PT017 (either outcome is right; both are held)
    else:
        assert all(settings()[name].low <= value <= settings()[name].high for name, value in parsed.items())


@pytest.mark.parametrize("tool", ["estimate_vram", "plan_parallelism"])
def test_a_context_that_nobody_gave_is_listed_and_said_to_decide_the_gpus(tool: str) -> None:
    """200 users of short requests took 12 GPUs for sessions of 8,192 tokens, without a word."""
    asked = {"model": "llama 3.3 70b", "precision": "fp8", "concurrent_users": 200}
    silent, given = (TOOLS_BY_NAME[tool].ask(asked | more) for more in ({}, {"context_window": 8192}))
    said = "The context of 8,192 tokens is assumed: sessions of 1,000 tokens, one turn, would fit on 2 GPUs."
    (note,) = (one for one in silent.assumptions if one.name == "context_window")
    assert (note.value, note.why.partition(";")[0]) == (8192, "tokens, assumed")
    assert said in silent.summary
    assert "assumed" not in given.summary
    assert all(one.name != "context_window" for one in given.assumptions)
    short = TOOLS_BY_NAME["plan_parallelism"].ask(asked | {"context_window": 1000})
    assert (short.serves_users, short.gpus_used) == (True, 2)


@pytest.mark.parametrize("tool", ["estimate_vram", "plan_parallelism"])
def test_the_gpus_of_an_assumed_context_serve_within_the_latency_asked_for(tool: str) -> None:
    """Memory alone holds sessions of one turn on 2 GPUs, which serve 65 of the users in time."""
    asked = {"model": "llama 3.3 70b", "precision": "fp8", "concurrent_users": 200, "max_tpot_ms": 30}
    said = "is assumed: sessions of 1,000 tokens, one turn, would be served in time on 8 GPUs."
    assert said in TOOLS_BY_NAME[tool].ask(asked).summary
    short = TOOLS_BY_NAME["plan_parallelism"].ask(asked | {"context_window": 1000})
    assert (short.serves_users, short.gpus_used) == (True, 8)


@pytest.mark.parametrize(
    ("limit", "told", "gpus"),
    [({}, "would keep up on 5 GPUs", 5), ({"max_tpot_ms": 30}, "would be served in time on 12 GPUs", 12)],
)
def test_the_gpus_of_an_assumed_context_keep_up_with_the_requests(limit: dict[str, int], told: str, gpus: int) -> None:
    """Memory alone holds sessions of one turn on 4 GPUs, on which 20 requests a second pile up."""
    asked: dict[str, Any] = {"model": "llama 3.3 70b", "precision": "fp8", "input_tokens": 1000, "output_tokens": 300}
    asked |= {"overrides": "requests_per_s=20", **limit}
    planner = TOOLS_BY_NAME["plan_parallelism"]
    assert f"is assumed: sessions of 1,300 tokens, one turn, {told}" in planner.ask(asked).summary
    short = planner.ask(asked | {"context_window": 1300})
    assert (short.serves_users, short.gpus_used) == (True, gpus)


def test_an_assumed_context_that_decides_nothing_is_listed_alone() -> None:
    answer = TOOLS_BY_NAME["estimate_vram"].ask({"model": "llama 3.1 8b"})
    assert {one.name: one.why for one in answer.assumptions}["context_window"] == "tokens, assumed"
    assert "assumed" not in answer.summary


def test_gpus_that_hold_the_users_are_not_said_to_be_decided_by_the_context() -> None:
    asked = {"model": "llama 3.3 70b", "precision": "fp8", "concurrent_users": 200}
    enough, few = (TOOLS_BY_NAME["plan_parallelism"].ask(asked | {"total_gpus": gpus}) for gpus in (16, 8))
    assert (enough.serves_users, few.serves_users) == (True, False)
    assert "is assumed" not in enough.summary
    assert "is assumed" in few.summary


def test_a_bill_lists_the_tokens_of_the_guides_request() -> None:
    usual, own = (
        TOOLS_BY_NAME["compare_costs"].ask({"model": "70B", "requests_per_day": 1000, **more})
        for more in ({}, {"input_tokens": 3000, "output_tokens": 300})
    )
    listed = {one.name: (one.value, one.why) for one in usual.assumptions}
    assert listed["request"] == ("500 in, 500 out", "tokens, the guide's")
    assert all(one.name != "request" for one in own.assumptions)
