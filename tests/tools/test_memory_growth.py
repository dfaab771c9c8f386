"""What is remembered of what a caller sends is bounded, so that a server can be asked for ever."""

import gc
import json
from functools import _lru_cache_wrapper

import pytest

from data_files import DATA
from inferplan.tools.registry import TOOLS_BY_NAME

CONFIG = json.loads((DATA / "configs" / "llama-3.1-8b.json").read_text("utf-8"))


def unbounded() -> dict[str, int]:
    """Entries of every cache of ours that has no bound, by its function."""
    caches = (one for one in gc.get_objects() if isinstance(one, _lru_cache_wrapper))
    ours = (one for one in caches if one.__module__.startswith("inferplan."))
    return {
        f"{one.__module__}.{one.__qualname__}": one.cache_info().currsize
        for one in ours
        if not one.cache_parameters()["maxsize"]
    }


@pytest.mark.parametrize("tool", ["estimate_vram", "compare_quantization", "plan_parallelism", "compare_costs"])
def test_no_unbounded_cache_grows_with_the_models_that_callers_describe(tool: str) -> None:
    def ask(number: int) -> None:
        model = json.dumps(CONFIG | {"vocab_size": 128_000 + 64 * number})
        TOOLS_BY_NAME[tool].ask({"model": model} | ({"requests_per_day": 1000} if tool == "compare_costs" else {}))

    ask(0)
    before = unbounded()
    for number in range(1, 20):
        ask(number)
    assert unbounded() == before
