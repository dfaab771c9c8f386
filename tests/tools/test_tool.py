"""What a question, an answer and a tool are, on a toy."""

import re
from typing import Any

import pytest
from pydantic import Field, ValidationError

from inferplan.tools._assumptions import Assumption
from inferplan.tools._tool import Answer, NextStep, Question, Tool
from inferplan.tools.registry import TOOLS, TOOLS_BY_NAME


class WeightQuestion(Question):
    """How heavy?"""

    tool = "weigh"
    settings = ("memory",)

    users: int = Field(ge=1, description="Sessions.")
    note: str | None = Field(default=None, description="Nothing.")


class WeightAnswer(Answer):
    """This heavy."""

    total_gb: float
    best: str | None


def weigh(q: WeightQuestion) -> WeightAnswer:
    """Weigh."""
    ledger = q.ledger()
    ledger.take("overhead_fraction")
    return WeightAnswer(
        summary=f"{q.users} users.",
        diagram="|##|  ",
        total_gb=2.5 * q.users,
        best=None,
        formula=["2.5 x users"],
        assumptions=ledger.entries(),
        inputs=q.inputs(),
        next_steps=[NextStep(tool="weigh", arguments={"users": 2}, why="again")],
    )


SCALES = Tool(
    title="Weigh",
    description="Weigh.",
    question=WeightQuestion,
    answer=WeightAnswer,
    run=weigh,
    example={"users": 2},
)


def test_a_tool_goes_by_the_name_that_its_question_gives() -> None:
    assert SCALES.name == "weigh"


def test_the_structured_answer_begins_with_the_headline_and_ends_with_the_workings() -> None:
    assert list(SCALES.ask({"users": 2}).structured()) == [
        "summary",
        "diagram",
        "total_gb",
        "best",
        "formula",
        "assumptions",
        "inputs",
        "next_steps",
    ]


def test_the_text_reads_paragraph_picture_numbers_formula_assumptions_next() -> None:
    text = SCALES.ask({"users": 2}).text()
    parts = [
        "2 users.",
        "|##|",
        "total_gb  5.00",
        "Formula",
        "Assumptions",
        "overhead_fraction = 0.15",
        "Next",
        "weigh(",
    ]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        SCALES.ask({"users": 2, "usres": 3})


def test_an_explicit_null_is_an_argument_not_given() -> None:
    assert SCALES.ask({"users": 2, "note": None, "overrides": None}) == SCALES.ask({"users": 2})
    with pytest.raises(ValidationError, match="missing"):
        SCALES.ask({"users": None})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_holds_no_number_that_json_has_not(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        WeightAnswer.model_validate(SCALES.ask({"users": 2}).structured() | {"total_gb": value})


def test_inputs_leave_out_what_was_not_given() -> None:
    assert SCALES.ask({"users": 2}).inputs == {"users": 2}
    assert SCALES.ask({"users": 2, "overrides": "max_num_seqs=4"}).inputs == {"users": 2, "overrides": "max_num_seqs=4"}


def test_an_override_is_validated_with_the_question() -> None:
    with pytest.raises(ValidationError, match="plays no part in this tool"):
        SCALES.ask({"users": 2, "overrides": "pue=1.2"})


@pytest.mark.parametrize(
    "given",
    [
        {"max_num_seqs": 4},
        {"max_num_seqs": 4, "memory_utilization": None},
        '{"max_num_seqs": 4}',
        {"max_num_seqs": "4"},
    ],
)
def test_overrides_may_be_an_object_of_plain_values(given: object) -> None:
    """Clients pass one, though the schema asks for text."""
    assert SCALES.ask({"users": 2, "overrides": given}) == SCALES.ask({"users": 2, "overrides": "max_num_seqs=4"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["max_num_seqs=4"], 'takes text, "name=value, name=value", or an object of plain values'),
        ({"max_num_seqs": {"value": 4}}, 'takes text, "name=value, name=value", or an object of plain values'),
        ({"max_num_seqs": 0}, '"max_num_seqs" takes a whole number from 1'),
        ('{"max_num_seqs": 4, "max_num_seqs": 5}', '"max_num_seqs" comes twice'),
        ('{"max_num_seqs": 4', "is not of the form name=value"),
    ],
)
def test_overrides_of_another_shape_are_told_theirs(given: object, told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        SCALES.ask({"users": 2, "overrides": given})


def test_overrides_of_more_than_2000_characters_are_refused() -> None:
    with pytest.raises(ValidationError, match="2000"):
        SCALES.ask({"users": 2, "overrides": "x" * 2001})


def test_questions_and_answers_cannot_be_changed_afterwards() -> None:
    answer = SCALES.ask({"users": 2})
    with pytest.raises(ValidationError, match="frozen"):
        answer.total_gb = 1  # pyright: ignore[reportAttributeAccessIssue]  (that it is refused is the test)


def test_an_assumption_takes_no_more_than_its_line() -> None:
    assert Assumption(name="a", value=1.5, unit="GB", why="b").line() == "a = 1.5 GB (b)"


def test_the_six_tools_are_registered_in_the_order_of_the_workflow() -> None:
    assert [tool.name for tool in TOOLS] == [
        "estimate_vram",
        "compare_quantization",
        "plan_parallelism",
        "compare_costs",
        "compare_moe_dense",
        "run_preset",
    ]
    assert list(TOOLS_BY_NAME.values()) == list(TOOLS)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_next_step_is_a_call_that_can_be_made(tool: Tool[Any, Any]) -> None:
    steps = tool.ask(tool.example).next_steps
    assert steps
    for step in steps:
        assert TOOLS_BY_NAME[step.tool].ask(step.arguments).summary
