"""Checkpoints that name a format for each module: MIXED_PRECISION of NVIDIA's Model Optimizer.

Source: vLLM 0.33, modelopt.py, `ModelOptMixedPrecisionConfig`: what `quantized_layers` does not name stays in 16 bit.
"""

import re
from collections.abc import Iterable, Mapping
from typing import cast

from inferplan.catalog.hugging_face.quantization.bits import SIXTEEN, stored_as
from inferplan.catalog.hugging_face.quantization.listed_modules import DENSE, EXPERTS, MIXERS, SHARED, ListedModules
from inferplan.catalog.hugging_face.quantization.methods import MODELOPT
from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.core.architecture import Architecture
from inferplan.core.model import NativeBits

LAYERS = "quantized_layers"
"""The key of the modules, each with its format."""
HEAD = "lm_head"
LONGEST_NAME = 300
"""The longest name of a module that is kept. [characters]"""

_EXPERT = re.compile(r"(?<=experts)\.\d+(?=\.)")
"""The number of an expert: all experts have the format of one, and there are thousands."""

Modules = Mapping[str, Mapping[str, None]]
"""Names of modules, as an ordered set, by the name of their format."""


def is_mixed(config: Keys) -> bool:
    """Whether a quantization_config names a format for each of its modules."""
    return config.values.get("quant_algo") == "MIXED_PRECISION" and isinstance(config.values.get(LAYERS), dict)


def mixed(config: Keys, architecture: Architecture) -> tuple[str, NativeBits] | None:
    """The format of most parameters, and the bits of each class; None, and a problem, where it is not supported."""
    modules = _by_format(cast("dict[str, object]", config.values[LAYERS]))
    if other := next((name for name in modules if name not in MODELOPT), None):
        config.refuse(LAYERS, f"has modules in {other[:40]}")
        return None
    listed = {name: ListedModules(of_it, architecture) for name, of_it in modules.items()}
    short = _short(listed, modules)
    if not short or _overlap(listed.values()):
        why = "mixes formats within a block" if short else "names no whole block"
        config.refuse(LAYERS, why)
        return None
    if any(one.unknown for one in listed.values()):
        config.notes[f"Some modules of {config.name(LAYERS)} are not understood, and are counted in 16 bit."] = None
    config.keep("quant_algo", "MIXED_PRECISION", None)
    config.keep(LAYERS, short, None)
    most = max(listed, key=lambda name: listed[name].parameters)
    return MODELOPT[most], _bits_by_class(listed, modules)


def _bits_by_class(listed: Mapping[str, ListedModules], modules: Modules) -> NativeBits:
    """The mean bits of each class of tensors. [bits]"""
    bits = {name: stored_as(MODELOPT[name])[1] for name in listed}

    def mean(*kinds: str) -> float:
        return round(SIXTEEN - sum((SIXTEEN - bits[name]) * one.share(*kinds) for name, one in listed.items()), 4)

    head = next((bits[name] for name, of_it in modules.items() if HEAD in of_it), SIXTEEN)
    return NativeBits(mixers=mean(MIXERS), ffn=mean(SHARED, DENSE), routed_experts=mean(EXPERTS), output_head=head)


def _by_format(layers: Mapping[str, object]) -> Modules:
    """The modules of each format, of experts without their numbers."""
    found: dict[str, dict[str, None]] = {}
    for name, how in layers.items():
        format_ = cast("dict[str, object]", how).get("quant_algo") if isinstance(how, dict) else None
        found.setdefault(str(format_).upper(), {})[_EXPERT.sub("", name)] = None
    return found


def _overlap(listed: Iterable[ListedModules]) -> bool:
    """Whether matrices of one block are in several formats."""
    seen: set[tuple[str, int]] = set()
    for one in listed:
        blocks = {(kind, layer) for kind, layers in one.layers.items() for layer in layers}
        if seen & blocks:
            return True
        seen |= blocks
    return False


def _short(listed: Mapping[str, ListedModules], modules: Modules) -> dict[str, dict[str, str]]:
    """The same in few names, and one of those that are not understood; empty where no name is understood."""
    found = {name: [*one.names(), *([HEAD] if HEAD in modules[name] else [])] for name, one in listed.items()}
    if not any(found.values()):
        return {}
    kept = {name: [*short, *list(listed[name].unknown)[:1]] for name, short in found.items()}
    return {module[:LONGEST_NAME]: {"quant_algo": name} for name, short in kept.items() for module in short}
