"""The published rows of serving speed, out of their tables."""

from functools import cache
from typing import Any

from data_files import DATA
from inferplan.tools.validation.speed_table import rows_of


@cache
def published(name: str = "published_speed.tsv") -> list[dict[str, Any]]:
    """Every row."""
    return [row for row in rows_of((DATA / name).read_text(encoding="utf-8")) if isinstance(row, dict)]
