"""Checks that every reply has to pass, whatever the call was."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

from questions import Asked
from wire import BrokenPromiseError

LONGEST_REFUSAL = 6000
_LEAKS = re.compile(r"Traceback|pydantic|Input should|validation error|File \"|https?://errors|bug in inferplan|<class")
_NO_NUMBER = re.compile(r"\b(nan|NaN|inf|None)\b")
PARSE_ERROR, INVALID_PARAMS = -32700, -32602
HALF_A_CHARACTER = "\\ud800"


def hold(promise: object, what: str) -> None:
    """Raise where a condition does not hold."""
    if not promise:
        raise BrokenPromiseError(what)


class Verdict:
    """The replies of one tool, checked against what the tool publishes."""

    def __init__(self, tool: Mapping[str, Any]) -> None:
        self._name = tool["name"]
        self._answer = Draft202012Validator(tool["outputSchema"])

    def on(self, reply: Mapping[str, Any], asked: Asked) -> str:
        """The kind of a reply; raises where it is not allowed."""
        hold(("result" in reply) != ("error" in reply), "neither a result nor an error, or both")
        if "error" in reply:
            return self._protocol_error(reply["error"], asked)
        result = reply["result"]
        text = _only_text(result)
        hold(not _LEAKS.search(text), f"words that are not for clients: {_around(_LEAKS, text)!r}")
        return self._refusal(result, text) if result.get("isError") else self._answered(result, text, asked)

    def _protocol_error(self, error: Mapping[str, Any], asked: Asked) -> str:
        if HALF_A_CHARACTER in json.dumps(asked.arguments):
            hold(error["code"] == PARSE_ERROR and "is not JSON" in error["message"], f"{error}")
            return "protocol error"
        hold(error["code"] == INVALID_PARAMS, f"code {error['code']}")
        hold(not isinstance(asked.arguments, dict), "a protocol error for arguments that are an object")
        hold("one JSON object" in error["message"], error["message"])
        return "protocol error"

    def _refusal(self, result: Mapping[str, Any], text: str) -> str:
        """One sentence for each problem, on one line, that can be shown anywhere."""
        hold("structuredContent" not in result, "structured content beside an error")
        hold(re.match(rf"`{self._name}`: [\d,]+ problems?\. \S", text), f"not worded as a refusal: {text[:200]}")
        hold(text.isprintable() and text.endswith((".", "?", "!")), f"not one printable line: {text[:200]!r}")
        hold(len(text) <= LONGEST_REFUSAL, f"{len(text)} characters of refusal")
        return "refusal"

    def _answered(self, result: Mapping[str, Any], text: str, asked: Asked) -> str:
        """The object that the schema describes, with finite numbers, and the text that says the same."""
        content = result["structuredContent"]
        wrong = next(self._answer.iter_errors(content), None)
        hold(wrong is None, f"not as published: {wrong and wrong.json_path}: {wrong and wrong.message[:200]}")
        hold(all(map(math.isfinite, numbers(content))), "a number that is none")
        hold(not _NO_NUMBER.search(text), f"a number that is none in {_around(_NO_NUMBER, text)!r}")
        summary: str = content["summary"]
        hold(summary.endswith(".") and "\n" not in summary and text.startswith(summary), f"summary: {summary!r}")
        hold(content["diagram"].isascii(), "a diagram with letters that are not ASCII")
        hold(max(map(len, content["diagram"].splitlines()), default=0) <= 80, "a diagram wider than 80 columns")
        hold(not asked.unknown, "an answer although an argument does not exist")
        if asked.plain:
            echoes(content["inputs"], asked.arguments)
        return "answer"


def echoes(inputs: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Every given argument is among the inputs, numbers as they were given."""
    for name, value in given.items():
        if value in ("", None):
            continue
        hold(name in inputs, f"`{name}` was given and is not among the inputs")
        if not isinstance(value, str | bool):
            hold(math.isclose(inputs[name], value, rel_tol=1e-9), f"`{name}`: {value} was given, {inputs[name]} used")
        if isinstance(value, bool):
            hold(inputs[name] is value, f"`{name}`: {value} was given, {inputs[name]} used")


def numbers(node: object) -> Iterator[float]:
    """Every number inside a JSON value."""
    match node:
        case dict():
            for value in node.values():
                yield from numbers(value)
        case list():
            for value in node:
                yield from numbers(value)
        case bool():
            return
        case int() | float():
            yield node
        case _:
            return


def _only_text(result: Mapping[str, Any]) -> str:
    blocks = result["content"]
    hold([block["type"] for block in blocks] == ["text"], "not one text")
    return blocks[0]["text"]


def _around(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return text[max(0, found.start() - 60) : found.end() + 60] if found else ""
