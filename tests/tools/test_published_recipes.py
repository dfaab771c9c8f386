"""Deployments that guides publish are planned, in their layouts and by their names, and refused where guides refuse."""

import json
import re
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from data_files import DATA
from inferplan.catalog.asked_models import UnknownModel, model_id, model_of
from inferplan.core.parallelism import Layout
from inferplan.tools._assumptions import Ledger
from inferplan.tools._overrides import parse_overrides
from inferplan.tools.parallelism import TOOL, ParallelismQuestion
from inferplan.tools.serving.launch import launch
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import serving
from inferplan.tools.vram import TOOL as VRAM

Recipe = dict[str, Any]
PUBLISHED = json.loads((DATA / "published_recipes.json").read_text(encoding="utf-8"))
RECIPES: list[Recipe] = PUBLISHED["recipes"]
AGREED = [recipe for recipe in RECIPES if "disputed" not in recipe]
DISPUTED = [recipe for recipe in RECIPES if "disputed" in recipe]
CONTEXT = 8192
TENSOR = {"vllm": "--tensor-parallel-size {}", "sglang": "--tp-size {}", "tensorrt-llm": "--tp_size {}"}
STAGES = {"vllm": "--pipeline-parallel-size {}", "sglang": "--pp-size {}", "tensorrt-llm": "--pp_size {}"}
SHARED = {"vllm": "--data-parallel-size {}", "sglang": "--dp-size {}", "tensorrt-llm": "--ep_size {}"}


def said(recipe: Recipe) -> str:
    shape = "x".join(str(recipe.get(degree, 1)) for degree in ("tp", "pp", "groups"))
    form = recipe.get("precision", "as-released")
    return f"{recipe['model'].rpartition('/')[2]}-{form}-on-{recipe['gpus']}-{recipe['gpu']}-{recipe['engine']}-{shape}"


@cache
def named(name: str) -> tuple[str, str]:
    """The model and format of a name: its own, or those that are told to be asked for instead."""
    try:
        found = model_id(name)
    except UnknownModel as unknown:
        if told := re.search(r'ask for model "([^"]+)" with precision "([^"]+)"', str(unknown)):
            return told[1], told[2]
        raise
    return found, model_of(found).native_precision


def asked(recipe: Recipe) -> dict[str, Any]:
    model, precision = named(recipe["model"])
    engine = f"engine={recipe['engine']}"
    question = {
        "model": model,
        "precision": recipe.get("precision", precision),
        "gpu": recipe["gpu"],
        "total_gpus": recipe["gpus"],
        "context_window": recipe.get("context", CONTEXT),
        "overrides": f"{engine}, {recipe['overrides']}" if "overrides" in recipe else engine,
    }
    return question | ({"kv_precision": recipe["kv_precision"]} if "kv_precision" in recipe else {})


def fits(recipe: Recipe) -> bool:
    """Whether it does by `plan_parallelism`; of llama.cpp, of which no plan is made, by `estimate_vram`."""
    if recipe["engine"] == "llama.cpp":
        question = {name: value for name, value in asked(recipe).items() if name != "overrides"}
        rows = VRAM.ask(question | {"engine": recipe["engine"]}).hardware
        return next(row for row in rows if row.gpu == recipe["gpu"]).deploy is not None
    try:
        return TOOL.ask(asked(recipe)).fits is True
    except ValidationError:
        return False


def layout(recipe: Recipe) -> Layout:
    return Layout(tp=recipe["tp"], pp=recipe.get("pp", 1), attention_dp=recipe.get("groups", 1))


def on(recipe: Recipe, ledger: Ledger) -> Serving:
    question = asked(recipe)
    what = {name: question.get(name) for name in ("model", "precision", "gpu", "kv_precision")}
    return serving(ledger, **what, quiet=True)  # type: ignore[arg-type]


def ledger(recipe: Recipe) -> Ledger:
    return Ledger(parse_overrides(asked(recipe)["overrides"], groups=ParallelismQuestion.settings))


def is_legal(recipe: Recipe) -> bool:
    """Whether its layout is among those that are planned, and holds a sequence."""
    found, one = on(recipe, ledger(recipe)), layout(recipe)
    offered = one.tp in found.degrees and (one.ep == 1 or one in found.shared(one.replica))
    return offered and found.fits(one, recipe.get("context", CONTEXT))


@pytest.mark.parametrize("recipe", AGREED, ids=said)
def test_a_model_fits_where_a_guide_runs_it_and_not_where_the_guide_asks_for_more(recipe: Recipe) -> None:
    assert fits(recipe) == recipe["runs"], PUBLISHED["sources"][recipe["source"]]


@pytest.mark.parametrize("recipe", [one for one in AGREED if one["runs"] and "tp" in one], ids=said)
def test_the_layout_of_a_guide_is_legal_and_its_command_names_it(recipe: Recipe) -> None:
    assert is_legal(recipe), PUBLISHED["sources"][recipe["source"]]
    told, one, context = ledger(recipe), layout(recipe), recipe.get("context", CONTEXT)
    planned = on(recipe, told)
    command = launch(planned, one, context=context, users=1, ledger=told, kv_precision=recipe.get("kv_precision"))
    engine, ranks = recipe["engine"], one.tp if recipe["engine"] == "vllm" else one.ranks
    assert (TENSOR[engine].format(ranks * planned.gpu.devices) in command) == (ranks * planned.gpu.devices > 1)
    if one.attention_dp > 1:
        assert SHARED[engine].format(one.attention_dp) in command
    if one.pp > 1:
        assert STAGES[engine].format(one.pp) in command


@pytest.mark.parametrize("recipe", [one for one in AGREED if one["runs"] and "precision" not in one], ids=said)
def test_the_command_starts_the_checkpoint_that_the_guide_names(recipe: Recipe) -> None:
    """By the name it has today, where it is known; of others it names what is known of the model."""
    answer = TOOL.ask(asked(recipe))
    own, precision = named(recipe["model"])
    name = own.rpartition("/")[2].removesuffix("-BF16")
    assert name.casefold() in (answer.launch or "").casefold()
    if model_of(own).native_precision == precision:
        assert f" {own} " in f"{answer.launch} "


@pytest.mark.parametrize("recipe", [one for one in AGREED if one["engine"] != "llama.cpp"][::4], ids=said)
def test_the_memory_of_a_deployment_is_judged_alike_by_itself(recipe: Recipe) -> None:
    question, (engine, *settings) = asked(recipe), asked(recipe)["overrides"].split(", ")
    question |= {"engine": engine.partition("=")[2], "overrides": ", ".join(settings)}
    try:
        rows = VRAM.ask(question).hardware
    except ValidationError:
        assert not recipe["runs"]
        return
    assert next(row for row in rows if row.gpu == recipe["gpu"]).deploy is not None or not recipe["runs"]


@pytest.mark.parametrize("recipe", DISPUTED, ids=said)
def test_where_answers_differ_from_a_guide_it_is_known_why(recipe: Recipe) -> None:
    assert len(recipe["disputed"]) > 20
    assert not (fits(recipe) == recipe["runs"] and is_legal(recipe))


def test_the_guides_are_of_every_engine_and_of_many_models_and_gpus() -> None:
    assert len({recipe["model"] for recipe in RECIPES}) >= 140
    assert len({recipe["gpu"] for recipe in RECIPES}) >= 20
    assert {recipe["engine"] for recipe in RECIPES} == {*TENSOR, "llama.cpp"}
    assert {recipe["source"] for recipe in RECIPES} == set(PUBLISHED["sources"])
    assert len(DISPUTED) <= 21
