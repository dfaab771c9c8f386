"""The command line: questions from a shell, and what it says of mistakes."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from mcp import Client

from command_line import inferplan
from data_files import DATA
from inferplan.server.app import create_server
from inferplan.server.call import call, value_of
from inferplan.server.schema import arguments_schema
from inferplan.tools.registry import TOOLS_BY_NAME
from results import texts

TOOLS = (
    "estimate_vram",
    "compare_quantization",
    "plan_parallelism",
    "compare_costs",
    "compare_moe_dense",
    "run_preset",
)

KINDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}


def test_the_version_is_that_of_the_package_and_imports_nothing_heavy():
    code = (
        "import sys; from inferplan.server.__main__ import main; main(['--version']); "
        "sys.exit(bool({'mcp', 'pydantic', 'anyio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (0, f"inferplan {version('inferplan')}\n")


def test_help_shows_a_newcomer_what_to_type():
    done = inferplan("--help")
    assert done.returncode == 0
    assert "inferplan call run_preset preset=production concurrent_users=200" in done.stdout
    assert inferplan("-h").stdout == done.stdout


def test_every_example_of_the_help_runs():
    import shlex

    examples = [line.strip() for line in inferplan("--help").stdout.splitlines() if line.startswith("  inferplan ")]
    assert examples
    for example in examples:
        done = inferplan(*shlex.split(example)[1:])
        assert (done.returncode, done.stderr) == (0, "")


def test_a_question_is_answered_with_the_text_that_a_model_reads():
    done = inferplan("call", "estimate_vram", "model=70B", "precision=fp8", "concurrent_users=200")
    assert (done.returncode, done.stderr) == (0, "")
    assert "389" in done.stdout.splitlines()[0]


@pytest.mark.anyio
async def test_what_is_printed_is_what_a_client_gets(capsys: pytest.CaptureFixture[str]):
    async with Client(create_server()) as client:
        for tool in TOOLS:
            arguments = dict(TOOLS_BY_NAME[tool].example)
            words = [tool, *(f"{name}={value}" for name, value in arguments.items())]
            got = await client.call_tool(tool, arguments)
            assert call(words, as_json=False, usage=False) == 0
            assert capsys.readouterr().out == texts(got) + "\n"
            assert call(words, as_json=True, usage=False) == 0
            assert json.loads(capsys.readouterr().out) == got.structured_content


@pytest.mark.parametrize("words", [["call"], ["call", "run_preset", "--help"], ["call", "estimate_vram", "model=70B"]])
def test_nobody_who_asks_from_a_shell_waits_for_the_sdk(words: list[str]):
    code = (
        "import sys; from inferplan.server.__main__ import main; code = main(sys.argv[1:]);"
        "sys.exit(code or bool({'mcp', 'anyio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize("place", range(4))
def test_the_structured_answer_is_one_line_of_json_wherever_the_flag_stands(place: int):
    words = ["call", "estimate_vram", "model=70B"]
    done = inferplan(*words[:place], "--json", *words[place:])
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["inputs"]["model"] == "70B"


def test_the_tools_are_listed_a_line_each():
    done = inferplan("call")
    assert done.returncode == 0
    lines = [tuple(re.split("  +", line.strip())) for line in done.stdout.splitlines()[1:]]
    assert lines == [(tool, TOOLS_BY_NAME[tool].title) for tool in TOOLS]


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_says_what_it_takes(tool: str):
    done = inferplan("call", tool, "--help")
    assert done.returncode == 0
    head = (f"inferplan call {tool} name=value ...", "", TOOLS_BY_NAME[tool].description, "", "Arguments")
    assert done.stdout.splitlines()[: len(head)] == list(head)
    taken = arguments_schema(TOOLS_BY_NAME[tool].question)
    for name, schema in taken["properties"].items():
        kind = "one of" if "enum" in schema else KINDS[schema["type"]]
        notes = ["required"] * (name in taken.get("required", ()))
        notes += [f"default {schema.get('default')}"] * ("default" in schema)
        end = "".join(f", {re.escape(note)}" for note in notes)
        said = rf"^  {name}  \({kind}.*{end}\)\n      \S"
        assert re.search(said, done.stdout, re.MULTILINE), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("call", "estimate_vrm", "model=70B"), 'no tool "estimate_vrm"; nearest: estimate_vram\n'),
        (("call", "qqqqqq"), f'no tool "qqqqqq"; there are {", ".join(TOOLS)}\n'),
        (("call", "estimate_vram", "70B"), "name=value"),
        (("call", "estimate_vram", "modl=70B"), "did you mean `model`?"),
        (("call", "estimate_vram", "model=lama 3 70b"), "nearest"),
        (("call", "estimate_vram"), "`model` is missing"),
        (("call", "estimate_vram", "model=70B", "concurrent_users=1e400", "=5"), 'got "1e400". "" is not an argument'),
        (("call", "estimate_vram", "model=7B", "gpu=h100", "gpu=a100"), "`gpu` is given more than once"),
        (("serv",), "inferplan call"),
        (("--jsn",), "--jsn"),
        (("call", "run_preset", "--preset", "team"), "--preset team; the arguments of a tool are written name=value"),
    ],
)
def test_what_cannot_be_answered_is_explained_on_stderr(words: tuple[str, ...], said: str):
    done = inferplan(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("200", "integer", 200),
        ("0.5", "number", 0.5),
        ("1e3", "number", 1000.0),
        ("-3", "integer", -3),
        ("true", "boolean", True),
        ("false", "boolean", False),
        ("70", "string", "70"),
        ("true", "string", "true"),
        ("70B", "string", "70B"),
        ("32k", "integer", "32k"),
        ("1,000", "integer", "1,000"),
        ("9" * 5000, "integer", "9" * 5000),
        ("", "integer", ""),
    ],
)
def test_plain_numbers_and_truth_values_are_sent_as_such_unless_text_is_asked_for(text: str, kind: str, value: object):
    assert value_of(text, {"type": kind}) == value
    assert type(value_of(text, {"type": kind})) is type(value)


def from_a_shell(line: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """What a POSIX shell makes of a line in which "$INFERPLAN" is the program."""
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("$INFERPLAN", f'"{sys.executable}" -m inferplan.server')],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )


posix = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell's redirections")
PRINTED = ("--version", "call estimate_vram model=70B", f"validate memory {DATA / 'memory_cases_measured.json'}")


@posix
@pytest.mark.parametrize("words", PRINTED)
def test_a_reader_who_has_left_has_read_enough(words: str):
    done = from_a_shell(f"{{ $INFERPLAN {words}; echo $? >&2; }} | :")
    assert done.stderr == b"0\n"


@posix
@pytest.mark.parametrize("words", PRINTED)
@pytest.mark.parametrize(("nowhere", "why"), [(">&-", b"closed"), (">/dev/full", b"no space left on device")])
def test_an_answer_that_cannot_be_written_is_said_in_one_line(words: str, nowhere: str, why: bytes):
    done = from_a_shell(f"$INFERPLAN {words} {nowhere}")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert done.stderr.startswith(b"the answer cannot be written: ")
    assert why in done.stderr


@posix
@pytest.mark.parametrize("words", ["", "--no-front"])
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_server_without_stdin_or_stdout_says_that_it_needs_both(words: str, closed: str):
    done = from_a_shell(f"$INFERPLAN {words} {closed}")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"stdin and stdout" in done.stderr


@posix
@pytest.mark.parametrize(("words", "code"), [("--version", 0), ("call nope", 2), ("", 0), ("--no-front", 0)])
def test_a_closed_stderr_changes_nothing_else(words: str, code: int):
    assert from_a_shell(f"$INFERPLAN {words} 2>&- </dev/null").returncode == code


def test_what_a_terminal_has_no_bytes_for_is_escaped():
    question = [sys.executable, "-m", "inferplan.server", "call", "estimate_vram", "--help"]
    ascii_alone = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(question, env=ascii_alone, capture_output=True, check=True)
    assert done.stdout.isascii()
    assert rb"\u2026" in done.stdout
