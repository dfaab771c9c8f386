"""Calls of a tool, valid ones and near misses, made from the schemas that the server publishes."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError

from inferplan.catalog.asked_gpus import Description
from inferplan.server.contents import CONTENTS
from inferplan.server.schema import arguments_schema
from inferplan.tools._settings import Setting, settings
from inferplan.tools._tool import Tool

Schema = Mapping[str, Any]
Slip = Callable[[dict[str, Any], Random], None]
CONFIGS = [path.read_text("utf-8") for path in sorted((Path(__file__).parents[1] / "data" / "configs").glob("*.json"))]
HOSTILE: Sequence[str] = (
    "", " ", "\x00", "\n\t\r", "\x1b[31mred", "\u202egpj", "\ufeff70B", "７０Ｂ", "٧٠", "🦙" * 20, "null", "NaN", "-1",
    "1e999", "0x10", "'; DROP TABLE models; --", "../../etc/passwd", "%s%n{0}{model}", "<script>", "a" * 5000,
    "[]", "{}", '{"model_type":"llama"}', "[[[[[[", "e\u0301" * 30, "\ud800", "none", "None", "undefined", "true",
)  # fmt: skip
ODD: Sequence[object] = (
    None, True, False, 0, -1, 1, 0.5, 1.5, -0.0, 2**31, 2**53 + 1, 2**63, 10**30, 10**400, 1e-300, 1e300, math.nan,
    math.inf, -math.inf, [], [1], {}, {"a": 1}, [[]], "", "8", "1.5", "1e3", "1e400", "1_000", "1,000", " 8 ", "８",
)  # fmt: skip
UNKNOWN = ("tp", "tensor_parallel", "Model", "modle", "model ", "__class__", "self", "constructor", "", "a" * 200, "😀")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The arguments of a call; `plain` where no argument was bent, so that the answer has to echo each of them."""

    arguments: Any
    plain: bool
    unknown: bool = False


class Questions:
    """The calls of one tool."""

    def __init__(self, tool: Tool[Any, Any], published: Schema) -> None:
        self.tool = tool
        self._published = published["properties"]
        self._required = set(published.get("required", ()))
        self._enforced = arguments_schema(tool.question)["properties"]
        self._settings = [setting for setting in settings().values() if setting.group in tool.question.settings]

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """For each argument that takes a name: the names of those shelves whose names it takes."""
        shelves = {name: list(content.rows()) for name, content in CONTENTS.items()}
        texts = [name for name, field in self._published.items() if field["type"] == "string" and "enum" not in field]
        return {
            text: [name for names in shelves.values() if self._takes(text, names[0]) for name in names]
            for text in texts
        }

    def _takes(self, argument: str, name: str) -> bool:
        try:
            self.tool.question.model_validate({**self.tool.example, argument: name})
        except (ValidationError, LookupError):
            return False
        return True

    def ask(self, random: Random) -> Asked:
        """One call: valid, with one or two mistakes, or with everything wrong."""
        arguments = self._meant(random)
        kind = random.random()
        if kind < 0.45:
            return Asked(arguments=arguments, plain=True)
        if kind < 0.95:
            return self._with_slips(arguments, random)
        odd = random.choice([None, [], ["70B"], "70B", 7, True, {}, {name: random.choice(ODD) for name in arguments}])
        return Asked(arguments=odd, plain=False)

    def _meant(self, random: Random) -> dict[str, Any]:
        """Arguments that the schema allows: the required ones and some of the others."""
        share = random.random()
        chosen = [name for name in self._published if name in self._required or random.random() < share]
        random.shuffle(chosen)
        return {name: self._value(name, random) for name in chosen}

    def _value(self, name: str, random: Random) -> Any:
        field = self._published[name]
        if "enum" in field:
            return random.choice(field["enum"])
        match field["type"]:
            case "boolean":
                return random.random() < 0.5
            case "integer" | "number" as kind:
                number = _between(*_limits(self._enforced[name]), random)
                return max(1, round(number)) if kind == "integer" else number
            case _:
                return self._text(name, random)

    def _text(self, name: str, random: Random) -> str:
        if name == "overrides":
            chosen = random.sample(self._settings, k=min(len(self._settings), random.choice([0, 1, 1, 2, 3])))
            return ", ".join(f"{setting.name}={_setting(setting, random)}" for setting in chosen)
        known = self._names[name]
        if "model" in name and random.random() < 0.1:
            return _bent(random.choice(CONFIGS), random) if random.random() < 0.7 else random.choice(CONFIGS)
        if name == "gpu" and random.random() < 0.15:
            return _own_gpu(random.choice(known), random)
        return random.choice(known) if known else str(self.tool.example.get(name, ""))

    def _with_slips(self, arguments: dict[str, Any], random: Random) -> Asked:
        """The same call with some of it wrong."""
        slips: list[Slip] = [self._other, self._other, self._typo, self._without, self._more]
        for _ in range(random.choice([1, 1, 1, 2, 4])):
            random.choice(slips)(arguments, random)
        given = {name for name, value in arguments.items() if value is not None}
        return Asked(arguments=arguments, plain=False, unknown=not given <= set(self._published))

    def _other(self, arguments: dict[str, Any], random: Random) -> None:
        """Another value: of the wrong type, at the limit, beyond it, in quotes, hostile."""
        name = random.choice(list(self._published))
        edges = [edge for limit in _limits(self._enforced[name]) for edge in (limit, limit - 1, limit + 1, -limit)]
        quoted = str(arguments.get(name, "8"))
        arguments[name] = random.choice([random.choice(ODD), random.choice(HOSTILE), random.choice(edges), quoted])

    def _typo(self, arguments: dict[str, Any], random: Random) -> None:
        """A letter lost, doubled, swapped or put into another case, in a text."""
        texts = [name for name, value in arguments.items() if isinstance(value, str) and value]
        if texts:
            name = random.choice(texts)
            arguments[name] = _misspelt(arguments[name], random)

    def _without(self, arguments: dict[str, Any], random: Random) -> None:
        """An argument forgotten."""
        if arguments:
            del arguments[random.choice(list(arguments))]

    def _more(self, arguments: dict[str, Any], random: Random) -> None:
        """An argument that does not exist."""
        arguments[random.choice(UNKNOWN)] = random.choice(ODD[1:])


def _limits(field: Schema) -> tuple[float, float]:
    """What a number may be at least and at most."""
    low = field.get("minimum", field.get("exclusiveMinimum", 0))
    return low, field.get("maximum", field.get("exclusiveMaximum", 1e9))


def _between(low: float, high: float, random: Random) -> float:
    """A number of any size between the limits; now and then a limit itself."""
    if random.random() < 0.05:
        return random.choice([low or high, high])
    return math.exp(random.uniform(math.log(max(low, high * 1e-9, 1e-3)), math.log(high)))


def _own_gpu(like: str, random: Random) -> str:
    """A GPU as a caller may describe it: like a known one, otherwise in whatever may be otherwise."""
    keys = Description.model_json_schema()["properties"]
    numbers = {name: spec["anyOf"][0] for name, spec in keys.items() if name not in ("like", "title", "memory_mib")}
    described: dict[str, Any] = {"like": like}
    for name in random.sample(list(numbers), k=random.choice([0, 1, 2, 3, len(numbers)])):
        number = _between(numbers[name]["minimum"], numbers[name]["maximum"], random)
        described[name] = round(number) if numbers[name]["type"] == "integer" else number
    return json.dumps(described)


def _setting(setting: Setting, random: Random) -> str:
    """A value that an assumption may have."""
    if setting.choices:
        return random.choice(setting.choices)
    number = _between(setting.low, setting.high, random) if setting.high > 0 else setting.low
    number = max(number, setting.low)
    return f"0.{number:.0f}" if setting.version else f"{number:.0f}" if setting.whole else f"{number:.6g}"


def _misspelt(text: str, random: Random) -> str:
    at = random.randrange(len(text))
    letter = text[at]
    new = random.choice(["", letter * 2, letter.swapcase(), random.choice("abz019 -_/.=,;\u00e9"), " " + letter])
    return text[:at] + new + text[at + 1 :]


def _bent(config: str, random: Random) -> str:
    """A config.json with one or two values that no model has, or cut off."""
    if random.random() < 0.1:
        return config[: random.randrange(len(config))]
    found = json.loads(config)
    for _ in range(random.choice([1, 1, 2, 3])):
        holder, key = random.choice(list(_places(found)))
        if random.random() < 0.2:
            holder.pop(key)
        else:
            odd = random.choice([*ODD, *HOSTILE[:10], "llama", 3, 7, 64, 100_000, 10**12, -5])
            holder[key] = deepcopy(odd)
    return json.dumps(found)


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a JSON document: the object or list that holds it, and where."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)
