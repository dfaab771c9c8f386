"""Readers of test data: tab-separated tables, described in a comment on top, and published cases of memory."""

import csv
import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


def rows(name: str) -> list[dict[str, str]]:
    """The rows of `data/<name>`, as text by column."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))


def memory_cases() -> list[dict[str, Any]]:
    """Every published measurement of an engine's memory."""
    return json.loads((DATA / "memory_cases.json").read_text(encoding="utf-8"))["cases"]
