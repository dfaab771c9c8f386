"""Every picture and text of `estimate_vram` and `plan_parallelism`, over a broad sample of questions."""

import json
import re
from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.engines.vllm_memory import not_modelled
from inferplan.tools._tool import Answer, Tool
from inferplan.tools.parallelism import TOOL as PLAN
from inferplan.tools.vram import TOOL as VRAM
from refusals import keeps, runs
from shapes import engine

WIDEST = max(MODELS, key=lambda id_: len(MODELS[id_].title))
LONGEST_FORMAT = max(FORMATS, key=lambda id_: len(FORMATS[id_].title))
LONGEST_GPU = max(GPUS, key=lambda id_: len(GPUS[id_].title))

VRAM_CASE = st.fixed_dictionaries(
    {
        "model": st.sampled_from([*MODELS]),
        "precision": st.sampled_from([*FORMATS]),
        "concurrent_users": st.integers(1, 1_000_000),
        "context_window": st.integers(1, 100_000_000) | st.integers(1, 200_000),
        "gpu": st.sampled_from([*GPUS]),
    },
    optional={
        "kv_precision": st.sampled_from([id_ for id_, form in KV_FORMATS.items() if "vllm" in form.stored_by]),
        "overrides": st.sampled_from(["gpus_per_node=1", "gpus_per_node=576", "gpus_per_node=5"]),
    },
).filter(lambda case: runs(case["gpu"], case["precision"]) and keeps(case))
PLAN_CASE = st.builds(
    lambda case, more: case | more,
    VRAM_CASE,
    st.fixed_dictionaries({}, optional={"total_gpus": st.integers(1, 100_000) | st.integers(1, 64)}),
)
EXTREMES: list[dict[str, Any]] = [
    {"model": model, "precision": precision, "concurrent_users": users, "context_window": context, "gpu": gpu}
    for model in (WIDEST, "405B", "Qwen/Qwen2.5-0.5B-Instruct")
    for precision in ("fp32", LONGEST_FORMAT)
    for users in (1, 1_000_000)
    for context in (1, 100_000_000)
    for gpu in (LONGEST_GPU, "h100-sxm")
]
QUESTIONS: list[tuple[Tool[Any, Any], dict[str, Any]]] = [
    *((VRAM, case) for case in EXTREMES),
    *((PLAN, case) for case in EXTREMES),
    *((PLAN, case | {"total_gpus": n}) for case in EXTREMES for n in (1, 100_000)),
]
for_both = pytest.mark.parametrize(("tool", "case"), QUESTIONS)


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every plain value of a JSON document with its path."""
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, object]", value).items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, value


def hold(answer: Answer) -> None:
    """What holds of every answer, whatever was asked."""
    picture, (structured, text) = answer.diagram, answer.contents()
    assert picture.isascii()
    assert max(map(len, picture.splitlines())) <= 80
    assert len(picture.splitlines()) <= 60
    assert all(line == line.rstrip() for line in text.splitlines())
    assert picture in text
    assert answer.summary in text
    assert "\n" not in answer.summary
    assert json.loads(json.dumps(structured, allow_nan=False)) == structured
    assert not re.search(r"\b(nan|inf|None|True|False)\b", text)
    headlines({name: structured[name] for name in answer.section() if name in structured}, text)


def headlines(section: Mapping[str, Any], text: str) -> None:
    """Every number of the section stands in the text, to the digits that it is shown with."""
    shown = {one.replace(",", "") for one in re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)}
    figures = {float(one) for one in shown}
    for path, value in leaves(section):
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert str(value) in shown or any(isclose(figure, value, rel_tol=6e-3) for figure in figures), path


@for_both
def test_extreme_questions_get_pictures_of_80_ascii_columns_and_texts_with_every_number(
    tool: Tool[Any, Any], case: dict[str, Any]
) -> None:
    hold(tool.ask(case))


@given(case=VRAM_CASE)
@settings(max_examples=150)
def test_every_memory_answer_is_drawable_and_json_safe(case: dict[str, Any]) -> None:
    hold(VRAM.ask(case))


@given(case=PLAN_CASE)
@settings(max_examples=150)
def test_every_plan_is_drawable_and_json_safe(case: dict[str, Any]) -> None:
    hold(PLAN.ask(case))


@given(case=PLAN_CASE)
@settings(max_examples=30)
def test_the_same_question_gives_the_same_text(case: dict[str, Any]) -> None:
    assert PLAN.ask(case).text() == PLAN.ask(case).text()


@pytest.mark.parametrize("id_", MODELS)
def test_every_model_of_the_catalog_can_be_sized_and_laid_out(id_: str) -> None:
    hold(VRAM.ask({"model": id_, "precision": "fp8"}))
    plan = PLAN.ask({"model": id_, "precision": "fp8"})
    hold(plan)
    reason = not_modelled(MODELS[id_].architecture, engine(version=max(28, MODELS[id_].vllm_since)))
    if "no longer has a class for it" in plan.summary:
        assert plan.fits is False
    else:
        assert plan.fits is (True if reason is None else None)
        assert reason is None or reason in plan.summary


@pytest.mark.parametrize("id_", [id_ for id_ in GPUS if runs(id_, "fp8")])
def test_every_gpu_of_the_catalog_can_be_asked_for(id_: str) -> None:
    hold(VRAM.ask({"model": "70B", "precision": "fp8", "gpu": id_, "concurrent_users": 20}))
    hold(PLAN.ask({"model": "70B", "precision": "fp8", "gpu": id_, "concurrent_users": 20}))


@pytest.mark.parametrize("id_", FORMATS)
def test_every_format_of_the_catalog_can_be_asked_for(id_: str) -> None:
    hold(VRAM.ask({"model": "llama 3.3 70b", "precision": id_}))
    hold(PLAN.ask({"model": "llama 3.3 70b", "precision": id_}))
