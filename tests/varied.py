"""Questions that no cache has an answer to: tools cache what they computed, and whole answers too."""

from collections.abc import Callable, Mapping

from inferplan.tools.registry import TOOLS_BY_NAME


def another(tool: str, number: int) -> Mapping[str, object]:
    """The example of a tool with something changed, no two numbers alike."""
    return {**TOOLS_BY_NAME[tool].example, **_CHANGES[tool](number)}


def _another_pair(number: int) -> Mapping[str, object]:
    """Two models of the catalogue."""
    from inferplan.catalog.models import MODELS

    ids = list(MODELS)
    return {"dense_model": ids[number % len(ids)], "moe_model": ids[-1 - number // len(ids) - number % 3]}


_CHANGES: Mapping[str, Callable[[int], Mapping[str, object]]] = {
    "estimate_vram": lambda n: {"context_window": 8192 + n},
    "compare_quantization": lambda n: {"context_window": 8192 + n},
    "plan_parallelism": lambda n: {"context_window": 8192 + n},
    "compare_costs": lambda n: {"requests_per_day": 50_000 + n},
    "compare_moe_dense": _another_pair,
    "run_preset": lambda n: {"context_window": 8192 + n},
}
