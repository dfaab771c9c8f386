"""The roofline against published closed-loop runs: the error bands that answers state are held here."""

import csv
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.catalog.models import MODELS
from inferplan.core.parallelism import Layout, fabric
from inferplan.core.performance import TPOT_BAND, TTFT_BAND, Efficiency, Load, machine, serve, work
from inferplan.core.units import GB, MILLI

ROWS = Path(__file__).parents[1] / "data" / "published_speed.tsv"


@cache
def errors() -> list[dict[str, float | str]]:
    """Relative error of every run: predicted over measured, less one."""
    with ROWS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t"))
    return [_error(row) for row in rows]


def _error(row: dict[str, str]) -> dict[str, float | str]:
    layout = Layout(tp=int(row["tp"]), pp=int(row["pp"]))
    gpu, precision = GPUS[row["gpu"]], FORMATS[row["precision"]]
    on = machine(gpu, precision, fabric(gpu, layout, node_size=gpu.node_size, network=50 * GB), Efficiency())
    assert on is not None
    tokens_in, tokens_out = int(row["input_tokens"]), int(row["output_tokens"])
    load = Load(
        sequences=int(row["concurrency"]),
        context=tokens_in + tokens_out / 2,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
    )
    served = serve(work(MODELS[row["model"]], precision, tp=layout.tp, kv_bits=float(row["kv_bits"])), on, layout, load)
    found: dict[str, float | str] = {"gpu": row["gpu"], "tpot": served.tpot_s / MILLI / float(row["tpot_ms"]) - 1}
    if row["ttft_ms"]:
        found["ttft"] = served.ttft_s / MILLI / float(row["ttft_ms"]) - 1
    return found


def spread(quantity: str) -> float:
    """Median of the absolute errors."""
    return median(abs(float(error[quantity])) for error in errors() if quantity in error)


def test_half_of_the_published_tpots_lie_within_the_stated_band() -> None:
    assert spread("tpot") <= TPOT_BAND


def test_half_of_the_published_ttfts_under_load_lie_within_the_stated_band() -> None:
    assert spread("ttft") <= TTFT_BAND


def test_the_stated_bands_are_not_wider_than_the_errors_ask_for() -> None:
    assert 1.2 * spread("tpot") >= TPOT_BAND
    assert 1.2 * spread("ttft") >= TTFT_BAND


def test_nine_tenths_of_the_published_tpots_are_not_off_by_more_than_half() -> None:
    sizes = sorted(abs(float(error["tpot"])) for error in errors())
    assert sizes[int(0.9 * len(sizes))] <= 0.5


@pytest.mark.parametrize("gpu", ["h100-sxm", "h200-sxm", "b200-sxm"])
def test_no_gpu_generation_is_off_by_more_than_a_third_in_the_middle(gpu: str) -> None:
    assert median(abs(float(error["tpot"])) for error in errors() if error["gpu"] == gpu) <= 1 / 3
