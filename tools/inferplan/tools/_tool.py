"""What a question, an answer and a tool are. A tool module reads: question, answer, function, registration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from operator import is_
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from inferplan.catalog.asked_models import is_config
from inferplan.tools import _draw as draw
from inferplan.tools._assumptions import Assumption, Ledger, merged_overrides
from inferplan.tools._described_gpu import note_gpu
from inferplan.tools._models import MODEL_ARGUMENTS, note_models
from inferplan.tools._overrides import as_text, canonical, parse_overrides, refuse_batching
from inferplan.tools._size import ROOM, Room, shortened


def plain(value: Any) -> Any:
    """A JSON document with floats that are whole as integers: 16.0 becomes 16.

    >>> plain({"gb": 16.0, "ms": [0.5, 2.0], "name": "x"})
    {'gb': 16, 'ms': [0.5, 2], 'name': 'x'}
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        held = cast("dict[str, Any]", value).items()
        return {name: plain(inner) if type(inner) in _MIXED else inner for name, inner in held}
    if isinstance(value, list):
        return [plain(inner) if type(inner) in _MIXED else inner for inner in cast("list[Any]", value)]
    return value


_MIXED = frozenset((float, dict, list))
"""Types whose values may be, or contain, floats that are whole."""

absent: Callable[[object], bool] = partial(is_, None)
"""Whether a field is None: `Field(exclude_if=absent)` leaves it out of results."""


class Question(BaseModel):
    """The arguments of a tool: flat, closed, each described with its unit. An explicit null is an argument not given.

    `tool` is the name of the tool; `settings` are the groups of settings that `overrides` may change: see `TAKEN`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_strip_whitespace=True)
    tool: ClassVar[str]
    settings: ClassVar[tuple[str, ...]] = ()

    overrides: str = Field(
        default="",
        max_length=2000,
        description="name=value, …",
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, arguments: object) -> object:
        """The arguments without explicit nulls."""
        if isinstance(arguments, Mapping):
            given = cast("Mapping[str, object]", arguments)
            return {name: value for name, value in given.items() if value is not None}
        return arguments

    @field_validator("overrides", mode="before")
    @classmethod
    def _of_one_text(cls, given: object) -> object:
        """Overrides given as an object, as one text."""
        return as_text(given)

    @field_validator("overrides")
    @classmethod
    def _known_assumptions(cls, text: str) -> str:
        """Valid overrides, in their canonical form."""
        parse_overrides(text, groups=cls.settings, arguments=cls.model_fields)
        return canonical(text)

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        """Refuse settings that the engine does not take together."""
        if self.overrides:
            given = parse_overrides(self.overrides, groups=self.settings)
            refuse_batching(given, getattr(self, "engine", "vllm"))
        return self

    def ledger(self) -> Ledger:
        """A ledger of the overrides, with what models and GPUs outside the catalogue assume noted in it."""
        ledger = Ledger(parse_overrides(self.overrides, groups=self.settings))
        note_models(ledger, {name: getattr(self, name) for name in self._models()})
        note_gpu(ledger, getattr(self, "gpu", ""))
        return ledger

    @classmethod
    @cache
    def _models(cls) -> tuple[str, ...]:
        """The arguments that name a model."""
        return tuple(name for name in cls.model_fields if name in MODEL_ARGUMENTS)

    @property
    def context_given(self) -> bool:
        """Whether the caller gave the context, be it the default."""
        return "context_window" in self.model_fields_set

    def inputs(self, **resolved: Any) -> dict[str, Any]:
        """The normalized arguments, defaults included and empty ones left out: fit to call the tool with."""
        given = self.model_dump(mode="json") | resolved
        return {name: value for name, value in given.items() if value not in (None, "")}


class NextStep(BaseModel):
    """A call that naturally follows."""

    tool: str
    arguments: Mapping[str, str | int | float | bool]
    why: str


class Part(BaseModel):
    """An object in a result: closed, and without a number that JSON has not."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(Part):
    """What every result holds. `summary` can be pasted into a design document; `diagram` is plain ASCII."""

    summary: str = Field(description="Copyable paragraph with every headline number and its unit.")
    diagram: str = Field(description="Plain ASCII, at most 80 columns.")
    formula: list[str] = Field(description="The calculation, line by line, numbers put in.")
    assumptions: list[Assumption] = Field(description="Defaults that mattered; override by name.")
    inputs: Mapping[str, str | int | float | bool] = Field(description="Normalized arguments.")
    next_steps: list[NextStep] = Field(description="Calls that naturally follow.")

    _gives_way: ClassVar[Mapping[str, int]] = {}
    """What a long result shortens from its end, the least important first, and how many entries stay of each.

    The text has them whole.
    """
    _room: ClassVar[Room] = ROOM
    _head: ClassVar[tuple[str, ...]] = ("summary", "diagram")
    _tail: ClassVar[tuple[str, ...]] = ("formula", "assumptions", "inputs", "next_steps")

    @field_validator("next_steps")
    @classmethod
    def _describing_once(cls, steps: list[NextStep]) -> list[NextStep]:
        """The steps without those that repeat a model's full description, which takes many tokens."""
        described = [
            step for step in steps if any(is_config(str(step.arguments.get(name))) for name in MODEL_ARGUMENTS)
        ]
        return [step for step in steps if step not in described[1:]]

    def contents(self) -> tuple[dict[str, Any], str]:
        """The answer as structured content, shortened to its room, and as text: each sufficient alone."""
        dumped = self.model_dump(mode="json")
        whole = dumped | {"assumptions": merged_overrides(dumped["assumptions"])}
        ordered = {name: plain(whole[name]) for name in (*self._head, *self.section(), *self._tail) if name in whole}
        shown = shortened(ordered, self._gives_way, self._room)
        for name in self._may_lack():
            if shown.get(name) in ([], {}):
                del shown[name]
        return shown, self._text(dumped)

    def structured(self) -> dict[str, Any]:
        """The answer as structured content: headline first, workings last."""
        return self.contents()[0]

    def text(self) -> str:
        """The answer as text."""
        return self.contents()[1]

    @classmethod
    @cache
    def section(cls) -> tuple[str, ...]:
        """The names of the fields that are the section's own."""
        return tuple(name for name in cls.model_fields if name not in (*cls._head, *cls._tail))

    @classmethod
    @cache
    def _may_lack(cls) -> tuple[str, ...]:
        """The fields that a result may lack; an empty list of one is left out."""
        return tuple(name for name, field in cls.model_fields.items() if field.exclude_if)

    @classmethod
    @cache
    def _descriptions(cls) -> Mapping[str, str]:
        """The description of each field, for the text above its lists."""
        return {name: field.description for name, field in cls.model_fields.items() if field.description}

    def _text(self, dumped: Mapping[str, Any]) -> str:
        """The dumped answer as text: summary, diagram, numbers, workings, assumptions, next steps."""
        numbers = draw.numbers(
            {name: dumped[name] for name in self.section() if name in dumped}, descriptions=self._descriptions()
        )
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
    arguments = ", ".join(f"{name}={plain(value)!r}" for name, value in step.arguments.items())
    return f"{step.tool}({arguments}): {step.why}"


Q = TypeVar("Q", bound=Question)
A = TypeVar("A", bound=Answer)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tool(Generic[Q, A]):
    """A tool as the server publishes it, with its types of question and answer. Compared by identity."""

    title: str
    description: str
    question: type[Q]
    answer: type[A]
    run: Callable[[Q], A]
    example: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name that clients call."""
        return self.question.tool

    def ask(self, arguments: Mapping[str, Any]) -> A:
        """The answer to unvalidated arguments. Raises pydantic's ValidationError for arguments that it cannot take."""
        return self.run(self.question.model_validate(dict(arguments)))
