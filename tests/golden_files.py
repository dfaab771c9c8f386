"""Texts that are reviewed as diffs: INFERPLAN_UPDATE_GOLDEN=1 rewrites them, a missing one fails."""

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def check_golden(name: str, text: str) -> None:
    """Compare a text with `golden/<name>`, or write it there where the environment asks for it."""
    path = GOLDEN / name
    if os.environ.get("INFERPLAN_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert path.exists(), f"{name} is missing: INFERPLAN_UPDATE_GOLDEN=1 writes it"
    assert text + "\n" == path.read_text(encoding="utf-8"), "changed: INFERPLAN_UPDATE_GOLDEN=1 rewrites it"
