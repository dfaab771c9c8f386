"""The published rows of serving speed as `inferplan validate speed` takes them, out of their compact tables."""

import re
from functools import cache
from typing import Any

from data_files import DATA, rows

TEXT = ("id", "source", "family", "engine", "engine_version", "model", "weight_format", "kv_dtype", "gpu", "scenario")
WHOLE = ("gpu_count", "tp", "pp", "dp", "ep")
NUMBERS = ("isl", "osl", "concurrency_or_batch")
MEASURED = (
    "tpot_ms",
    "ttft_ms",
    "e2e_ms",
    "output_tok_s_total",
    "output_tok_s_per_gpu",
    "prefill_tok_s",
    "req_s",
)


@cache
def published(name: str = "published_speed.tsv") -> list[dict[str, Any]]:
    """Every row."""
    text = (DATA / name).read_text(encoding="utf-8")
    addresses = dict(re.findall(r"^# (\d+): (.*)$", text, re.MULTILINE))
    return [_row(line, addresses) for line in rows(name)]


def _row(line: dict[str, str], addresses: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: line[name] for name in TEXT if line[name]}
    row["source"] = f"{addresses[line['source']]} {line['within']}"
    row |= {name: int(line[name]) for name in WHOLE if line[name]}
    row |= {name: float(line[name]) for name in NUMBERS if line[name]}
    return row | {"note": line["note"], "measured": {name: float(line[name]) for name in MEASURED if line[name]}}
