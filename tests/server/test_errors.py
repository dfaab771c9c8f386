"""One actionable sentence for each argument that a tool cannot take."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from inferplan.server.errors import MOST_PROBLEMS, explain, own_bug
from inferplan.server.schema import arguments_schema
from inferplan.tools._tool import Tool


def words(toy: Tool[Any, Any], arguments: object) -> str:
    with pytest.raises(ValidationError) as refused:
        toy.question.model_validate(arguments)
    return explain(refused.value, tool=toy, schema=arguments_schema(toy.question))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, '`model` is missing: model, such as "70B", for example "70B".'),
        ({"model": None}, '`model` is missing: model, such as "70B", for example "70B".'),
        (
            {"model": 70},
            '`model` takes text in quotes, not empty, of at most 80 characters, for example "70B"; got 70.',
        ),
        ({"model": "x" * 81}, "`model` takes text in quotes, not empty, of at most 80 characters; got 81 characters."),
        ({"model": ""}, '`model` takes text in quotes, not empty, of at most 80 characters; got "".'),
        ({"model": "lama"}, '`model`: no model "lama"; nearest: "llama".'),
        ({"users": 0}, "`users` takes a whole number from 1 to 1,000; got 0."),
        ({"users": 1.5}, "`users` takes a whole number from 1 to 1,000; got 1.5."),
        ({"users": "many"}, '`users` takes a whole number from 1 to 1,000; got "many".'),
        ({"users": "1.5"}, '`users` takes a whole number from 1 to 1,000; got "1.5".'),
        ({"users": float("nan")}, "`users` takes a whole number from 1 to 1,000; got NaN."),
        ({"users": float("inf")}, "`users` takes a whole number from 1 to 1,000; got Infinity."),
        ({"users": [1]}, "`users` takes a whole number from 1 to 1,000; got a list."),
        ({"users": {"n": 1}}, "`users` takes a whole number from 1 to 1,000; got an object."),
        (
            {"users": 10**5000},
            "`users` takes a whole number from 1 to 1,000; got a number of about 5,001 digits.",
        ),
        ({"users": "auto"}, '`users` takes a whole number from 1 to 1,000; got "auto"; leave it out for the default.'),
        ({"level": "None"}, '`level` takes one of "low", "high"; got "None"; leave it out for the default.'),
        ({"share": 0}, "`share` takes a number above 0 and of at most 1; got 0."),
        ({"share": float("-inf")}, "`share` takes a number above 0 and of at most 1; got -Infinity."),
        ({"level": "hihg"}, '`level` takes one of "low", "high"; got "hihg"; did you mean "high"?'),
        ({"level": 3}, '`level` takes one of "low", "high"; got 3.'),
        ({"compliance": "perhaps"}, '`compliance` takes true or false; got "perhaps".'),
        ({"compliance": 2}, "`compliance` takes true or false; got 2."),
        ({"overrides": "puee=1"}, '`overrides`: no assumption "puee"; nearest: '),
        ({"overrides": "pue=NaN"}, '`overrides`: "pue" takes a number from '),
        ({"user": 3}, "`user` is not an argument; did you mean `users`?"),
        ({"concurrent_users": 3}, "`concurrent_users` is not an argument; did you mean `users`?"),
        ({"model_name": "70B"}, "`model_name` is not an argument; give model=70B."),
        ({"--ctx-size": 4096}, '"--ctx-size" is not an argument; that is context_window, which this tool '),
        (
            {"zzz": 3},
            "`zzz` is not an argument; weigh takes `model`, `users`, `share`, `level`, `compliance`, `overrides`.",
        ),
        (
            {"pue": 1.2},
            '`pue` is an assumption, not an argument; give it as overrides="pue=1.2".',
        ),
    ],
)
def test_a_wrong_argument_gets_one_sentence_that_says_what_is_allowed(
    toy: Tool[Any, Any], arguments: dict[str, object], sentence: str
):
    given = arguments if not arguments or "model" in arguments else {"model": "70B"} | arguments
    text = words(toy, given)
    assert text.startswith("`weigh`: 1 problem. " + sentence)


def test_every_problem_is_named_at_once(toy: Tool[Any, Any]):
    text = words(toy, {"modl": "70B", "users": 0, "level": "mid"})
    assert text.startswith("`weigh`: 4 problems. ")
    assert all(f"`{name}`" in text for name in ("model", "modl", "users", "level"))


def test_arguments_that_are_no_object_are_told_so(toy: Tool[Any, Any]):
    assert words(toy, [1, 2]) == (
        '`weigh`: 1 problem. `weigh` takes its arguments as one JSON object, like {"name": value}; got a list.'
    )


def test_a_thousand_wrong_arguments_are_counted_not_listed(toy: Tool[Any, Any]):
    text = words(toy, {"model": "70B"} | {f"wrong_{n}": n for n in range(1000)})
    assert text.startswith("`weigh`: 1,000 problems.")
    assert text.endswith(f"And {1000 - MOST_PROBLEMS} more.")
    assert len(text) < 2000


@pytest.mark.parametrize("hostile", ["\x1b[31mred\nline", "\u202eleft", "\u0000", "a" * 10_000, "😀" * 500])
def test_nothing_hostile_comes_back_from_a_value_or_a_name(toy: Tool[Any, Any], hostile: str):
    for arguments in ({"model": "70B", "level": hostile}, {"model": "70B", hostile: 1}):
        text = words(toy, arguments)
        assert text.isprintable()
        assert len(text) < 600


def test_no_words_of_the_validator_reach_a_client(toy: Tool[Any, Any]):
    text = words(toy, {"model": 7, "users": "x", "share": "x", "level": 0, "compliance": "x", "other": 1})
    assert not any(word in text for word in ("pydantic", "Input should", "type=", "http", "[", "validation"))


def test_a_bug_of_ours_is_owned_in_one_calm_sentence():
    text = own_bug("weigh")
    assert text.startswith("`weigh` ")
    assert "bug in inferplan" in text
    assert text.count(".") == 1


def test_a_sentence_fits_a_json_string(toy: Tool[Any, Any]):
    assert json.loads(json.dumps(words(toy, {"model": 'a"b\\', "users": 'q"'}))).startswith("`weigh`")
