"""The calibration: its linear forms are the product's laws, its fit finds known constants, its command writes them."""

import ast
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibrate import BANDS, CONSTANTS, TABLE
from fit import Design, fit
from targets import Target, targets_of

from inferplan.core.speed.speed_constants import PARAMETERS
from inferplan.core.units import MILLI
from inferplan.tools.validation.speed_cases import SpeedSetup
from inferplan.tools.validation.speed_rows import SpeedRow
from inferplan.tools.validation.speed_validation import predict
from published_speed import at_home, published

ROOT = Path(__file__).parents[1]
SOURCES = ("trtllm-docs-static", "gpt-fast", "rocm-vllm", "inferencex")


@cache
def sample() -> list[dict[str, Any]]:
    """Every fortieth row: each way of measuring is among them."""
    return published()[::40] + at_home()[::7]


@cache
def targets() -> list[Target]:
    return list(targets_of(sample()))


def predicted_s(target: Target) -> float:
    """The product's own prediction of what a target measures. [s]"""
    (row,) = (row for row in sample() if row["id"] == target.id)
    setup = SpeedSetup(SpeedRow.model_validate(row))
    found = predict(setup)
    if target.law == "offline":
        return setup.layout.dp * setup.load(setup.batch).running / found["output_tok_s_total"]
    name = {"ttft": "ttft_ms", "prompt": "ttft_ms", "static": "e2e_ms"}.get(target.law, "tpot_ms")
    return found["tpot_ms" if setup.runner == "other" and target.law == "static" else name] * MILLI


@pytest.mark.parametrize("law", ["tpot", "ttft", "offline", "static", "single", "prompt", "slots"])
def test_the_forms_that_are_fitted_are_the_laws_that_the_product_predicts_by(law: str) -> None:
    mine = [one for one in targets() if one.law == law]
    assert mine
    formed = np.exp(Design(mine).predicted_logs(PARAMETERS))
    assert formed == pytest.approx([predicted_s(one) for one in mine])


def test_a_fit_to_times_that_constants_made_finds_what_they_predict() -> None:
    made = Design(targets()).predicted_logs(PARAMETERS)
    synthetic = [replace(one, seconds=float(np.exp(log))) for one, log in zip(targets(), made, strict=True)]
    errors = np.abs(Design(synthetic).residuals(dict(PARAMETERS) | fit(synthetic, shrinkage=0.01)))
    assert np.median(errors) < 0.01
    assert np.quantile(errors, 0.9) < 0.05


def test_the_command_writes_constants_bands_and_table_that_belong_together(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    rows = [row for row in published() if row["family"] in SOURCES][::50]
    file.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    command = [sys.executable, str(ROOT / "tests" / "calibration" / "calibrate.py"), str(file)]
    done = subprocess.run([*command, "--write", "--into", str(tmp_path)], capture_output=True, text=True, check=True)
    table = json.loads((tmp_path / TABLE).read_text(encoding="utf-8"))
    tree = ast.parse((tmp_path / CONSTANTS).read_text(encoding="utf-8"))
    written = {one.target.id: ast.literal_eval(one.value) for one in tree.body if isinstance(one, ast.AnnAssign)}  # type: ignore[union-attr]
    assert written["PARAMETERS"] == table["constants"]
    used = list(targets_of(rows))
    again = Design(used).residuals(table["constants"])
    for law, errors in table["in_sample"].items():
        mine = [abs(float(np.expm1(error))) for one, error in zip(used, again, strict=True) if one.law == law]
        assert errors["n"] == len(mine)
        assert errors["median"] == pytest.approx(100 * np.median(mine), abs=0.06)
    bands = ast.parse((tmp_path / BANDS).read_text(encoding="utf-8"))
    (found,) = (ast.literal_eval(one.value) for one in bands.body if isinstance(one, ast.AnnAssign) and one.value)
    assert {law for law, *_ in found} == set(table["source_left_out"])
    assert "source left out" in done.stdout
