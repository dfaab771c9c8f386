"""`inferplan validate`: a file of published measurements, each predicted and compared with what was measured."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from inferplan.catalog._json import loads
from inferplan.server.output import say
from inferplan.server.words import nearest, printable, quoted
from inferplan.tools.validation.memory_validation import validate as validate_memory
from inferplan.tools.validation.report import Report
from inferplan.tools.validation.speed_table import rows_of
from inferplan.tools.validation.speed_validation import validate as validate_speed

CANNOT_READ = 2
"""The exit code for a file that cannot be read as cases."""
LARGEST_FILE = 64 * 2**20
"""Files beyond this size are refused before they are read. [B]"""

TABLE = ".tsv"
"""What the name of a table ends in, of which published speeds may be one."""


def validate(words: Sequence[str], *, as_json: bool) -> int:
    """Print the report on a file of cases, or why there is none; the exit code."""
    if len(words) != 2 or words[0] not in SUBJECTS:
        return _fail(_usage(words))
    try:
        read, held = SUBJECTS[words[0]]
        report = held(read(Path(words[1])))
    except ValueError as problem:
        return _fail(str(problem))
    return say(json.dumps(report.structured()) if as_json else report.text())


def cases_of(path: Path) -> list[object]:
    """The cases of a file: a JSON list, or an object with `cases` or `rows`. Raises a ValueError in one sentence."""
    name, text = printable(str(path)), _text(path, "JSON text")
    try:
        found: object = loads(text, twice=lambda key: ValueError(f"an object has {quoted(key)} twice"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON text: {str(error).partition(';')[0]}") from None
    named = cast("dict[str, object]", found) if isinstance(found, dict) else {"cases": found}
    cases = next((named[name] for name in ("cases", "rows") if name in named), None)
    if isinstance(cases, list):
        return cast("list[object]", cases)
    raise ValueError(f'{name} holds no cases; it takes a list of them, or {{"cases": [...]}}')


def speeds_of(path: Path) -> list[object]:
    """The rows of a file of speeds, a table by its name, else JSON. Raises a ValueError in one sentence."""
    return _rows_of_table(path) if path.suffix.lower() == TABLE else cases_of(path)


def _rows_of_table(path: Path) -> list[object]:
    """The rows of a table. Raises a ValueError in one sentence."""
    text = _text(path, "table")
    try:
        return rows_of(text)
    except ValueError as error:
        raise ValueError(f"{printable(str(path))} is no table: {error}") from None


def _text(path: Path, kind: str) -> str:
    """The text of a file that is of moderate size. Raises a ValueError in one sentence."""
    name = printable(str(path))
    try:
        size, text = path.stat().st_size, ""
        if size <= LARGEST_FILE:
            text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {(error.strerror or 'unknown error').lower()}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no {kind}: {error.reason} at byte {error.start}") from None
    if size > LARGEST_FILE:
        raise ValueError(f"{name} is larger than {LARGEST_FILE // 2**20} MiB; split it")
    return text


SUBJECTS: Mapping[str, tuple[Callable[[Path], list[object]], Callable[[Iterable[object]], Report]]] = {
    "memory": (cases_of, validate_memory),
    "speed": (speeds_of, validate_speed),
}
"""What can be validated: how its files are read, and what predicts and compares them."""


def _usage(words: Sequence[str]) -> str:
    """What the command takes, and what came."""
    takes = f"inferplan validate takes a subject ({', '.join(SUBJECTS)}) and a file of cases"
    if not words or words[0] in SUBJECTS:
        return takes
    near = nearest(words[0], SUBJECTS)
    return f"{takes}; not {quoted(words[0])}" + (f", did you mean {quoted(near[0])}?" if near else "")


def _fail(text: str) -> int:
    sys.stderr.write(text + "\n")
    return CANNOT_READ
