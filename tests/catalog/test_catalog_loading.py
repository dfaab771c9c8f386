"""Importing the catalog reads no file: rows are read when they are first asked for."""

import subprocess
import sys

import pytest

MODULES = ["models", "gpus", "formats", "prices", "presets", "glossary"]


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_module_parses_nothing(module: str) -> None:
    code = (
        f"import inferplan.catalog.{module}\n"
        "from inferplan.catalog._table import document\n"
        "assert document.cache_info().misses == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_is_parsed_once_however_often_it_is_asked_for() -> None:
    code = (
        "from inferplan.catalog.prices import rental, purchase, api\n"
        "from inferplan.catalog._table import document\n"
        "rental('h100-sxm', 'spot'), purchase('h100-sxm'), api('70B'), rental('h200-sxm', 'spot')\n"
        "assert document.cache_info().misses == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
