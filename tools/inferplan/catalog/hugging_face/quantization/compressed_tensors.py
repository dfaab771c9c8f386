"""compressed-tensors (llm-compressor): groups of modules, each with how it stores weights.

Source: vLLM 0.28, compressed_tensors.py, `_is_wNa16_group_channel`; PyPI compressed-tensors, presets W8A8, W8A16.
"""

from collections.abc import Iterator, Mapping
from typing import cast

from inferplan.catalog.hugging_face.quantization.bits import BITS, UNQUANTISED, Stored, int8_format, integer_bits
from inferplan.catalog.hugging_face.reading.keys import Keys

GROUPS = "config_groups"
MOST_GROUPS = 100

MX_BLOCK = 32
"""Weights that share a scale in MXFP8, by which compressed-tensors and vLLM tell it from FP8."""
NVFP4_BLOCK = 16
"""Weights that share a scale in NVFP4, by which it is told from MXFP4."""


def stored_in_groups(config: Keys) -> Stored:
    """The format of all groups, which have to share one."""
    groups = config.child(GROUPS, defaults={})
    if groups is None:
        config.missing(GROUPS)
        return UNQUANTISED
    found = {_stored(groups, name) for name in list(groups.values)[:MOST_GROUPS]}
    if len(found) != 1:
        config.refuse(GROUPS, "mixes formats")
        return UNQUANTISED
    for name in list(groups.read)[1:]:
        del groups.read[name]
    return found.pop()


def weights_of_groups(config: Keys) -> Iterator[Mapping[str, object]]:
    """The object of each group that says how its weights are stored."""
    groups = config.values.get(GROUPS)
    for group in cast("dict[str, object]", groups).values() if isinstance(groups, dict) else ():
        weights = cast("dict[str, object]", group).get("weights") if isinstance(group, dict) else None
        if isinstance(weights, dict):
            yield cast("dict[str, object]", weights)


def _stored(groups: Keys, name: str) -> Stored:
    """The format of one group."""
    group = groups.child(name, defaults={})
    weights = group.child("weights", defaults={}) if group else None
    if group is None or weights is None:
        groups.missing(f"{name[:40]}.weights")
        return UNQUANTISED
    bits = weights.integer("num_bits", high=64)
    kind = weights.word("type", allowed=("int", "float"), default="int")
    size = weights.optional("group_size", low=-1) or -1
    asymmetric = not weights.flag("symmetric", default=True)
    floats = {8: "mxfp8" if size == MX_BLOCK else "fp8", 4: "nvfp4" if size == NVFP4_BLOCK else "mxfp4"}
    format_ = (floats if kind == "float" else {8: "w8a16", 4: "int4"}).get(bits)
    if format_ is None:
        weights.unsupported("num_bits", "known: 4 and 8 bits")
        return UNQUANTISED
    if kind == "float":
        return format_, BITS[format_]
    if format_ == "w8a16":
        format_ = int8_format(group, "input_activations")
    return format_, integer_bits(size, asymmetric=asymmetric, width=bits)
