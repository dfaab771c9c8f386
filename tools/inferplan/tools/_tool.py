"""What a question, an answer and a tool are. A tool module reads: question, answer, function, registration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from operator import is_
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from inferplan.tools import _draw as draw
from inferplan.tools._assumptions import Assumption, Ledger, parse_overrides
from inferplan.tools._models import MODEL_ARGUMENTS, note_models

absent: Callable[[object], bool] = partial(is_, None)
"""Whether a field has nothing to say: `Field(exclude_if=absent)` leaves it out of results."""


class Question(BaseModel):
    """The arguments of a tool: flat, closed, every one described with its unit.

    An explicit null is an argument not given. `settings` names the groups of assumptions that `overrides` may
    change (see `assumptions.toml`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_strip_whitespace=True)
    settings: ClassVar[tuple[str, ...]] = ()

    overrides: str = Field(
        default="",
        max_length=2000,
        description="name=value, …",
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, arguments: object) -> object:
        if isinstance(arguments, Mapping):
            given = cast("Mapping[str, object]", arguments)
            return {name: value for name, value in given.items() if value is not None}
        return arguments

    @field_validator("overrides")
    @classmethod
    def _known_assumptions(cls, text: str) -> str:
        parse_overrides(text, groups=cls.settings)
        return text

    def ledger(self) -> Ledger:
        """The assumptions of this question: defaults, and what the caller said instead."""
        ledger = Ledger(parse_overrides(self.overrides, groups=self.settings))
        note_models(ledger, {name: value for name, value in self if name in MODEL_ARGUMENTS})
        return ledger

    def inputs(self, **resolved: Any) -> dict[str, Any]:
        """The normalized arguments, defaults included and empties left out, fit to call a tool with."""
        given = self.model_dump(mode="json") | resolved
        return {name: value for name, value in given.items() if value not in (None, "")}


class NextStep(BaseModel):
    """A call that naturally follows."""

    tool: str
    arguments: Mapping[str, str | int | float | bool]
    why: str


class Answer(BaseModel):
    """What every result holds. `summary` can be pasted into a design document; `diagram` is plain ASCII."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    summary: str = Field(description="Copyable paragraph with every headline number and its unit.")
    diagram: str = Field(description="Plain ASCII, at most 80 columns.")
    formula: list[str] = Field(description="The calculation, line by line, numbers put in.")
    assumptions: list[Assumption] = Field(description="Defaults that mattered; override by name.")
    inputs: Mapping[str, str | int | float | bool] = Field(description="Normalized arguments.")
    next_steps: list[NextStep] = Field(description="Calls that naturally follow.")

    _head: ClassVar[tuple[str, ...]] = ("summary", "diagram")
    _tail: ClassVar[tuple[str, ...]] = ("formula", "assumptions", "inputs", "next_steps")

    def structured(self) -> dict[str, Any]:
        """The object for a client that reads structured content: headline first, workings last."""
        dumped = self.model_dump(mode="json")
        return {name: dumped[name] for name in (*self._head, *self.section(), *self._tail) if name in dumped}

    @classmethod
    @cache
    def section(cls) -> tuple[str, ...]:
        """The names of the section's own numbers."""
        return tuple(name for name in cls.model_fields if name not in (*cls._head, *cls._tail))

    def text(self) -> str:
        """The same answer for a client that reads text."""
        return self.as_text(self.structured())

    def as_text(self, structured: Mapping[str, Any]) -> str:
        """The text for the structured content of this answer: paragraph, picture, numbers, workings."""
        numbers = draw.numbers({name: structured[name] for name in self.section() if name in structured})
        workings = "\n".join(self.formula)
        assumed = "\n".join(assumption.line() for assumption in self.assumptions)
        following = "\n".join(_call(step) for step in self.next_steps)
        parts = [self.summary, self.diagram, numbers]
        parts += [f"Formula\n{workings}"] if workings else []
        parts += [f"Assumptions (change one with overrides)\n{assumed}"] if assumed else []
        parts += [f"Next\n{following}"] if following else []
        return "\n\n".join(part.rstrip() for part in parts if part)


def _call(step: NextStep) -> str:
    """`tool(name=value, …): why`."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in step.arguments.items())
    return f"{step.tool}({arguments}): {step.why}"


Q = TypeVar("Q", bound=Question)
A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, kw_only=True)
class Tool(Generic[Q, A]):
    """A tool as the server publishes it: one step of the workflow, one question type, one answer type."""

    step: int
    title: str
    description: str
    question: type[Q]
    answer: type[A]
    run: Callable[[Q], A]
    example: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name that a model calls."""
        return self.run.__name__

    def ask(self, arguments: Mapping[str, Any]) -> A:
        """Validate the arguments and answer. Raises pydantic's ValidationError for arguments it cannot take."""
        return self.run(self.question.model_validate(dict(arguments)))
