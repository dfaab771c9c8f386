"""`inferplan validate`: files of measurements, and what is wrong with them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command_line import inferplan
from data_files import DATA
from inferplan.server.validate import LARGEST_FILE, cases_of, validate
from inferplan.tools.validation.memory_validation import UNITS

CASES = DATA / "memory_cases.json"


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A file of the first two published cases, and one that cannot be read."""
    cases: list[dict[str, Any]] = json.loads(CASES.read_text(encoding="utf-8"))["cases"]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": [*cases[:2], {"id": "half a case"}]}), encoding="utf-8")
    return path


def test_published_measurements_are_held_against_the_rules_in_a_table() -> None:
    done = inferplan("validate", "memory", CASES)
    assert (done.returncode, done.stderr) == (0, "")
    first, _, header, *rows = done.stdout.splitlines()
    assert first == "108 cases, 107 predicted, 1 skipped"
    assert header.split() == ["quantity", "n", "mean", "median", "P90", "worst", "in"]
    assert [row.split()[0] for row in rows[: len(UNITS)]] == list(UNITS)


@pytest.mark.parametrize("place", [0, 2, 3])
def test_the_structured_report_is_one_line_of_json_wherever_the_flag_stands(place: int, three: Path) -> None:
    words: list[str | Path] = ["validate", "memory", three]
    done = inferplan(*words[:place], "--json", *words[place:])
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert set(found) == {"cases", "summary"}
    assert [set(case) for case in found["cases"]] == [{"id", "predicted", "skipped", "left_out"}] * 3
    assert found["cases"][0]["skipped"] is None
    assert found["cases"][0]["predicted"]["kv_bytes_per_token"] > 0
    assert found["cases"][2]["skipped"] == "the case cannot be read: `engine` is missing; `model` is missing"
    assert found["summary"]["skipped"] == 1
    assert set(found["summary"]["errors"]["kv_bytes_per_token"]) == {
        "n",
        "unit",
        "mean",
        "median",
        "p90",
        "worst",
        "worst_id",
    }


def test_a_case_that_cannot_be_read_does_not_keep_the_others_from_being_predicted(three: Path) -> None:
    done = inferplan("validate", "memory", three)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 cases, 2 predicted, 1 skipped\n")
    assert "half a case: the case cannot be read" in done.stdout


def test_a_bare_list_of_cases_is_taken_as_well_and_so_is_a_byte_order_mark(tmp_path: Path) -> None:
    bare, marked = tmp_path / "bare.json", tmp_path / "marked.json"
    bare.write_text("[1, 2]", encoding="utf-8")
    marked.write_text('{"cases": [3]}', encoding="utf-8-sig")
    assert cases_of(bare) == [1, 2]
    assert cases_of(marked) == [3]


def test_a_case_that_says_something_twice_is_refused_rather_than_half_read(tmp_path: Path) -> None:
    twice = tmp_path / "twice.json"
    twice.write_text('[{"tp": 1, "tp": 2}]', encoding="utf-8")
    with pytest.raises(ValueError, match=r'twice\.json is no JSON text: an object has "tp" twice'):
        cases_of(twice)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("validate",), "inferplan validate takes a subject (memory, speed) and a file of cases"),
        (("validate", "memory"), "inferplan validate takes a subject (memory, speed) and a file of cases"),
        (("validate", "memory", "a.json", "b.json"), "takes a subject (memory, speed) and a file of cases"),
        (("validate", "memry", "a.json"), 'not "memry", did you mean "memory"?'),
        (("validate", "sped", "a.json"), 'not "sped", did you mean "speed"?'),
        (("validate", "memory", "no/such/file.json"), "no/such/file.json cannot be read: no such file or directory"),
        (("validte", "memory", "a.json"), "inferplan validate"),
    ],
)
def test_what_cannot_be_validated_is_explained_on_stderr(words: tuple[str, ...], said: str) -> None:
    done = inferplan(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"weights: 14.99", "is no JSON text: Expecting value: line 1 column 1 (char 0)"),
        (b"", "is no JSON text: Expecting value"),
        (b'{"cases": [', "is no JSON text"),
        (b"\xff\xfe\x00", "is no JSON text: invalid start byte at byte 0"),
        (b"[" * 100_000, "is no JSON text"),
        (b"[" + b"9" * 5000 + b"]", "is no JSON text: Exceeds the limit"),
        (b"{}", 'holds no cases; it takes a list of them, or {"cases": [...]}'),
        (b'{"cases": {"a": 1}}', "holds no cases"),
        (b"null", "holds no cases"),
        (b'"cases"', "holds no cases"),
    ],
    ids=["text", "empty", "cut off", "binary", "deep", "long", "no cases", "an object of cases", "null", "a word"],
)
def test_a_file_without_cases_is_refused_in_one_sentence(
    text: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cases.json"
    path.write_bytes(text)
    assert validate(["memory", str(path)], as_json=False) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{path} {said}")
    assert err.count("\n") == 1
    assert "sys." not in err


def test_published_speeds_are_read_from_a_table_as_they_lie_in_the_repository() -> None:
    path = DATA / "published_long_prompts.tsv"
    rows = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")][1:]
    done = inferplan("validate", "speed", path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [row["id"] for row in found["rows"]] == [row.split("\t")[0] for row in rows]
    assert [row["skipped"] for row in found["rows"]] == [None] * len(rows)


def test_a_table_gives_the_same_report_as_the_same_rows_in_json(tmp_path: Path) -> None:
    row = {"id": "one", "engine": "vLLM", "model": "meta-llama/Llama-3.1-8B-Instruct", "gpu": "H100", "tp": 1}
    row |= {"isl": 1000.5, "osl": 100.0, "concurrency_or_batch": 8.0, "scenario": "server", "weight_format": "bf16"}
    cells = {**row, "kv_dtype": "", "tpot_ms": 9.5}
    table, plain = tmp_path / "rows.TSV", tmp_path / "rows.json"
    lines = ["# 1: nowhere", "\t".join(cells), "", "\t".join(map(str, cells.values()))]
    table.write_text("\n".join(lines), encoding="utf-8-sig")
    plain.write_text(json.dumps([row | {"measured": {"tpot_ms": 9.5}}]), encoding="utf-8")
    read = [inferplan("validate", "speed", path, "--json") for path in (table, plain)]
    assert [one.returncode for one in read] == [0, 0]
    assert read[0].stdout == read[1].stdout
    assert json.loads(read[0].stdout)["summary"]["errors"]["tpot_ms, closed loop"]["n"] == 1


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "id\tengine\n"])
def test_a_table_without_rows_is_an_empty_report(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(text, encoding="utf-8")
    assert validate(["speed", str(path)], as_json=False) == 0
    assert capsys.readouterr() == ("0 rows, 0 predicted, 0 skipped\n", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"id\tengine\n1\tvLLM\t8\n", "is no table: line 2 has 3 cells, of 2 columns"),
        (b"# what it is\nid\tengine\n1\tvLLM\n2\n", "is no table: line 4 has 1 cells, of 2 columns"),
        (b"\xff\xfe\x00", "is no table: invalid start byte at byte 0"),
    ],
    ids=["a cell too many", "a cell too few", "binary"],
)
def test_a_table_of_ragged_lines_is_refused_in_one_sentence(
    text: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.tsv"
    path.write_bytes(text)
    assert validate(["speed", str(path)], as_json=False) == 2
    assert capsys.readouterr() == ("", f"{path} {said}\n")


def test_what_should_be_a_number_and_is_none_is_said_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("id\tengine\tmodel\tgpu\tscenario\ttp\n1\tvLLM\tm\tH100\tserver\ttwo\n", encoding="utf-8")
    done = inferplan("validate", "speed", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1: the row cannot be read: `tp`" in done.stdout


def test_a_directory_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(["memory", str(tmp_path)], as_json=True) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{tmp_path} cannot be read: is a directory\n")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    assert validate(["memory", str(path)], as_json=False) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{path} is larger than 64 MiB; split it\n")


def test_a_name_of_a_file_is_shown_on_one_printable_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(["memory", str(tmp_path / "a\nb\x1b[31m.json")], as_json=False) == 2
    _, err = capsys.readouterr()
    assert err.endswith("a\\nb\\x1b[31m.json cannot be read: no such file or directory\n")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_cases_are_an_empty_report(as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001 - a flag is what is tested
    path = tmp_path / "none.json"
    path.write_text("[]", encoding="utf-8")
    assert validate(["memory", str(path)], as_json=as_json) == 0
    out, err = capsys.readouterr()
    summary = {"cases": [], "summary": {"cases": 0, "predicted": 0, "skipped": 0, "errors": {}}}
    assert (json.loads(out) if as_json else out) == (summary if as_json else "0 cases, 0 predicted, 0 skipped\n")
    assert err == ""


def test_the_help_says_what_can_be_validated() -> None:
    assert "inferplan validate memory FILE [--json]" in inferplan("--help").stdout
    assert inferplan("validate", "--help").stdout == inferplan("--help").stdout


def test_validating_starts_no_server() -> None:
    code = (
        "import sys; from inferplan.server.__main__ import main; "
        f"main(['validate', 'memory', {str(CASES)!r}]); sys.exit(bool({{'mcp', 'anyio'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
