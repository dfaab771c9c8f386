"""The fuzzers ask what they say they ask, and see what is wrong with a reply."""

import json
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from inferplan.server.answer import Reach, answer
from inferplan.server.listing import written
from inferplan.server.publish import result_of
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME
from questions import Asked, Questions
from verdict import Verdict
from wire import BrokenPromiseError, strictly

LISTED = {row.name: row for row in written()}
QUESTION = {"model": "70B", "precision": "fp8", "concurrent_users": 200}


def reply_to(arguments: Any) -> dict[str, Any]:
    result = result_of(answer(lambda: TOOLS_BY_NAME["estimate_vram"], "estimate_vram", arguments, Reach.CATALOG))
    return {"jsonrpc": "2.0", "id": 1, "result": result.model_dump(mode="json", by_alias=True, exclude_none=True)}


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    row = LISTED["estimate_vram"]
    return Verdict({"name": row.name, "outputSchema": row.answer})


@pytest.mark.parametrize("name", LISTED)
def test_a_question_without_slips_is_one_that_the_schema_allows(name: str):
    questions = Questions(TOOLS_BY_NAME[name], LISTED[name].arguments)
    asked = [questions.ask(Random(seed)) for seed in range(300)]
    plain = [one.arguments for one in asked if one.plain]
    for arguments in plain:
        Draft202012Validator(LISTED[name].arguments).validate(arguments)
    assert 50 < len(plain) < 250
    assert {argument for arguments in plain for argument in arguments} == set(LISTED[name].arguments["properties"])
    assert any(one.unknown for one in asked)
    assert any(not isinstance(one.arguments, dict) for one in asked)


def test_a_seed_asks_the_same_questions_again():
    questions = Questions(TOOLS[0], LISTED[TOOLS[0].name].arguments)
    first, second = ([json.dumps(questions.ask(Random(seed)).arguments) for seed in range(50)] for _ in range(2))
    assert first == second


def test_a_good_reply_is_told_by_its_kind(verdict: Verdict):
    refused = reply_to({"model": "no such model"})
    assert verdict.on(reply_to(QUESTION), Asked(arguments=QUESTION, plain=True)) == "answer"
    assert verdict.on(refused, Asked(arguments={}, plain=False)) == "refusal"
    error = {"code": -32602, "message": "takes its arguments as one JSON object; got a list."}
    assert verdict.on({"error": error}, Asked(arguments=[], plain=False)) == "protocol error"


def text(reply: dict[str, Any], words: str) -> None:
    reply["result"]["content"][0]["text"] = words


def content(reply: dict[str, Any], **changes: Any) -> None:
    reply["result"]["structuredContent"].update(changes)


@pytest.mark.parametrize(
    ("bend", "seen"),
    [
        (lambda reply: reply.pop("result"), "neither a result nor an error"),
        (lambda reply: reply.update(error={}), "or both"),
        (lambda reply: text(reply, "Traceback (most recent call last)"), "not for clients"),
        (lambda reply: text(reply, "Another text with None."), "a number that is none"),
        (lambda reply: text(reply, "Another text."), "summary"),
        (lambda reply: content(reply, weights_gb="70"), "not as published"),
        (lambda reply: content(reply, weights_gb=float("inf")), "a number that is none"),
        (lambda reply: content(reply, diagram="=" * 81), "wider than 80"),
        (lambda reply: content(reply, diagram="é"), "not ASCII"),
        (lambda reply: content(reply, inputs={"model": "70B"}), "`precision` was given"),
        (lambda reply: content(reply, inputs=QUESTION | {"concurrent_users": 1}), "200 was given, 1 used"),
        (lambda reply: reply["result"].update(isError=True), "beside an error"),
    ],
)
def test_a_reply_that_may_not_be_is_seen(verdict: Verdict, bend: Any, seen: str):
    reply = deepcopy(reply_to(QUESTION))
    bend(reply)
    with pytest.raises(BrokenPromiseError, match=seen):
        verdict.on(reply, Asked(arguments=QUESTION, plain=True))


def test_an_answer_to_an_argument_that_does_not_exist_is_seen(verdict: Verdict):
    with pytest.raises(BrokenPromiseError, match="does not exist"):
        verdict.on(reply_to(QUESTION), Asked(arguments=QUESTION | {"tp": 8}, plain=False, unknown=True))


@pytest.mark.parametrize("line", ['{"a": NaN}', '{"a": -Infinity}'])
def test_a_number_that_json_does_not_have_is_seen_on_the_wire(line: str):
    with pytest.raises(BrokenPromiseError, match="on the wire"):
        strictly(line)
