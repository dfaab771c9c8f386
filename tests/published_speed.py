"""Published rows of serving speed, and the errors of the model that was fitted on them."""

import json
from functools import cache
from typing import Any

from data_files import DATA
from inferplan.tools.validation.speed_table import rows_of


@cache
def published(name: str = "published_speed.tsv") -> list[dict[str, Any]]:
    """Every row."""
    return [row for row in rows_of((DATA / name).read_text(encoding="utf-8")) if isinstance(row, dict)]


@cache
def at_home() -> list[dict[str, Any]]:
    """llama.cpp's runs from 2025 on."""
    return json.loads((DATA / "published_llamacpp.json").read_text(encoding="utf-8"))["rows"]


def decoding_at_home() -> list[dict[str, Any]]:
    """Tokens of gpt-oss by llama.cpp, which are in no fit."""
    return json.loads((DATA / "published_llamacpp_decode.json").read_text(encoding="utf-8"))["rows"]


@cache
def calibration() -> dict[str, Any]:
    """The constants, and their errors in the fit and with sources left out."""
    return json.loads((DATA / "speed_calibration.json").read_text(encoding="utf-8"))
