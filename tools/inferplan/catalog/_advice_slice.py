"""Advice for slices of a GPU: how to describe the part of it that a MIG profile names.

A profile as "3g.40gb" has 3 of 7 slices of the processors, and of the memory 40 GB: in eighths, each with its rate.
Source: NVIDIA, Multi-Instance GPU User Guide, "Concepts" (memory slices are an eighth of capacity and bandwidth, SM
slices a seventh).
"""

import json
import re

from inferplan.catalog._shelf import LONGEST_NAME
from inferplan.catalog.gpus import GPUS, GpuRow, gpu_rows

_PROFILE = re.compile(r"[\s(_-]*(?:mig)?[\s:_-]*\b(?P<slices>[1-7])g\.(?P<gb>\d{1,3})gb\b(?:\+\S+)?\)?", re.IGNORECASE)
IN_SEVEN = ("a100", "h100", "h200", "h20", "h800", "gh200", "b200", "b300", "gb200", "gb300")
IN_FOUR = ("a30", "rtx-pro-6000", "rtx-pro-5000")
"""How ids of GPUs begin whose processors are cut into seven, and their memory into eight, or both into four.

Source: the same guide, "Supported MIG Profiles".
"""


def slice_advice(said: str) -> str | None:
    """The advice for the name of a MIG slice: the description of it, by the GPU that it is cut from; else None.

    >>> slice_advice("A100 MIG 3g.40gb")
    'a MIG slice is described by its part, as gpu={"like": "a100-80gb-sxm", "title": "3g.40gb", \
"memory_gib": 40, "bandwidth_gb_s": 1019.5, "tflops": 133.7, "link_gb_s": 0, "gpus_per_node": 1}'
    >>> slice_advice("h100")
    """
    found = _PROFILE.search(said) if len(said) <= LONGEST_NAME else None
    if found is None:
        return None
    rest = " ".join((said[: found.start()] + " " + said[found.end() :]).split())
    slices, label = int(found["slices"]), int(found["gb"])
    if (row := _cut_from(rest, slices, label)) is None:
        return 'a MIG slice is asked for with the GPU that it is cut from, as "a100 3g.40gb"'
    cuts, memory_cuts = (4, 4) if row.id.startswith(IN_FOUR) else (7, 8)
    part = max(1, round(memory_cuts * label / row.label_gib)) / memory_cuts
    own = {
        "like": row.id,
        "title": f"{slices}g.{label}gb",
        "memory_gib": label,
        "bandwidth_gb_s": round(part * row.bandwidth_gb_s, 1),
        "tflops": round(min(1, slices / cuts) * max(row.tflops.get("bf16", 0), row.tflops.get("fp16", 0)), 1),
        "link_gb_s": 0,
        "gpus_per_node": 1,
    }
    return f"a MIG slice is described by its part, as gpu={json.dumps(own)}"


def _cut_from(name: str, slices: int, label: int) -> GpuRow | None:
    """The GPU of this name that is cut so, with the memory that the profile is a part of; None where there is none."""
    whole = {round(8 * label / eighths) for eighths in (slices, slices + 1)}
    ids = [GPUS.only(f"{name} {size}gb") for size in sorted(whole)]
    id_ = next(filter(None, [*ids, GPUS.only(name)]), None) if name else None
    row = gpu_rows()[id_] if id_ else None
    return row if row and row.id.startswith((*IN_SEVEN, *IN_FOUR)) and label <= row.label_gib else None
