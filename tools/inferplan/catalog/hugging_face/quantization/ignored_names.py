"""The names of modules that a quantization_config leaves in 16 bit, under the keys of each method."""

from collections.abc import Iterable, Mapping
from typing import cast

from inferplan.catalog._json import quoted
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.catalog.hugging_face.reading.problems import listed

NAMED_MODULES = 3
LONGEST_MODULE = 60
"""How many names that are not understood a note has; the longest that it quotes. [characters]"""

_LISTS = (
    "modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules", "exclude",
)  # fmt: skip
"""Keys of lists of modules that are left out, one per method."""


def ignored_names(config: Keys) -> list[str]:
    """The names of the modules that a quantization_config leaves out, from the lists of every method."""
    lists = [value for keys in (config.values, inner_config(config)) for key in _LISTS if (value := keys.get(key))]
    items = [item for value in lists if isinstance(value, list) for item in cast("list[object]", value)]
    return [item for item in items if isinstance(item, str)]


def inner_config(config: Keys) -> Mapping[str, object]:
    """The object `quantization`, in which older files of Model Optimizer have their keys."""
    value = config.values.get("quantization")
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def noted(config: Keys, unknown: Iterable[str]) -> list[str]:
    """Note which names are not understood; returns the few short ones from which the same note would follow again."""
    names = list(unknown)
    kept = [name for name in names if len(name) <= LONGEST_MODULE][: NAMED_MODULES + 1]
    shown = [quoted(name, LONGEST_MODULE) for name in kept[:NAMED_MODULES]]
    if len(kept) > NAMED_MODULES or not kept:
        shown.append("others")
    if names:
        config.notes[f"Not understood in quantization_config, so not left in 16 bit: {listed(shown)}."] = None
    return kept
