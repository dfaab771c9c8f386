"""Checkpoints that say of each matrix in which format it is: MIXED_PRECISION of NVIDIA's Model Optimizer.

Source: vLLM 0.33, modelopt.py, `ModelOptMixedPrecisionConfig`: what `quantized_layers` does not name stays in 16 bit.
"""

import re
from collections.abc import Iterable, Mapping
from typing import cast

from inferplan.catalog.hugging_face._ignored import DENSE, EXPERTS, MIXERS, SHARED, Ignored
from inferplan.catalog.hugging_face._keys import Keys
from inferplan.core.architecture import Architecture
from inferplan.core.model import NativeBits

LAYERS = "quantized_layers"
"""The key of the modules, each with its format."""
HEAD = "lm_head"

_EXPERT = re.compile(r"(?<=experts)\.\d+(?=\.)")
"""The number of an expert: what one is in, all are in, and there are thousands."""

Stored = tuple[str, float]


def is_mixed(one: Keys) -> bool:
    """Whether a quantization_config names a format for each of its modules."""
    return one.values.get("quant_algo") == "MIXED_PRECISION" and isinstance(one.values.get(LAYERS), dict)


def mixed(one: Keys, architecture: Architecture, known: Mapping[str, Stored]) -> tuple[str, NativeBits] | None:
    """The format of most parameters, and the bits of each kind; None, and a problem, where a format is not `known`."""
    modules = _by_format(cast("dict[str, object]", one.values[LAYERS]))
    if other := next((name for name in modules if name not in known), None):
        one.problems.wrong[f"{one.name(LAYERS)} has modules in {other[:40]}, which is not supported"] = None
        return None
    named = {name: Ignored(of_it, architecture) for name, of_it in modules.items()}
    short = _short(named, modules)
    if not short or _overlap(named.values()):
        why = "mixes formats within a block" if short else "names no whole block"
        one.problems.wrong[f"{one.name(LAYERS)} {why}, which is not supported"] = None
        return None
    if any(all_.unknown for all_ in named.values()):
        one.notes[f"Some modules of {one.name(LAYERS)} are not understood, and are counted in 16 bit."] = None
    one.keep("quant_algo", "MIXED_PRECISION", None)
    one.keep(LAYERS, short, None)

    def mean(*kinds: str) -> float:
        return round(16 - sum((16 - known[name][1]) * all_.share(*kinds) for name, all_ in named.items()), 4)

    head = next((known[name][1] for name, of_it in modules.items() if HEAD in of_it), 16.0)
    most = max(named, key=lambda name: named[name].parameters)
    return known[most][0], NativeBits(
        mixers=mean(MIXERS), ffn=mean(SHARED, DENSE), routed_experts=mean(EXPERTS), output_head=head
    )


def _by_format(layers: Mapping[str, object]) -> dict[str, dict[str, None]]:
    """The names of the modules by what their formats are called, without the numbers of experts."""
    found: dict[str, dict[str, None]] = {}
    for name, how in layers.items():
        format_ = cast("dict[str, object]", how).get("quant_algo") if isinstance(how, dict) else None
        found.setdefault(str(format_).upper(), {})[_EXPERT.sub("", name)] = None
    return found


def _overlap(named: Iterable[Ignored]) -> bool:
    """Whether matrices of one block are in several formats."""
    seen: set[tuple[str, int]] = set()
    for one in named:
        blocks = {(kind, layer) for kind, layers in one.layers.items() for layer in layers}
        if seen & blocks:
            return True
        seen |= blocks
    return False


def _short(named: Mapping[str, Ignored], modules: Mapping[str, Mapping[str, None]]) -> dict[str, dict[str, str]]:
    """The same in few names, with one of those that are not understood; none where none is."""
    found = {name: [*all_.names(), *([HEAD] if HEAD in modules[name] else [])] for name, all_ in named.items()}
    if not any(found.values()):
        return {}
    said = {name: [*short, *list(named[name].unknown)[:1]] for name, short in found.items()}
    return {module[:300]: {"quant_algo": name} for name, short in said.items() for module in short}
