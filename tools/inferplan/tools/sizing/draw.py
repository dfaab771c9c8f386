"""Memory as one stacked bar to scale, and the GPUs that it fills below it."""

import itertools
from collections.abc import Iterator

from inferplan.core import memory
from inferplan.core.hardware import Gpu
from inferplan.core.units import GB, KB, MILLION, TB
from inferplan.tools import _draw as draw
from inferplan.tools import _words as words
from inferplan.tools.sizing.need import Need

BAR = 46
INDENT = 11
"""Columns before the bar."""


def draw_need(need: Need) -> str:
    """The diagram: weights, KV cache and overhead stacked to scale, with the GPUs that the total fills below."""
    unit, scale = _scale(need.total)
    full = draw.nice_ceiling(need.total / scale)
    lines = [*_title(need), ""]
    start = 0.0
    for name, part in (("weights", need.weights), ("KV cache", need.kv_cache), ("overhead", need.overhead)):
        picture = draw.bar(part / scale, full, BAR, start=start / scale)
        lines.append(f"{name:<9} |{picture}| {part / scale:>9,.1f} {unit} {part / need.total:>4.0%}")
        start += part
    return "\n".join([*lines, *_devices_lines(need.on.gpu, need.total, scale / BAR * full)])


def _title(need: Need) -> list[str]:
    """The model, its format and the load, wrapped."""
    what = f"{words.title(need.model)}, {need.precision.title},"
    load = f"{words.count(need.users, 'user')} x {words.count(need.context, 'token')}"
    return draw.wrap_items([what, load], draw.WIDTH, separator=" ")


def _scale(total: float) -> tuple[str, float]:
    """The decimal unit in which the total has at most five digits, as name and bytes."""
    units = (("GB", GB), ("TB", TB), ("PB", TB * KB))
    return next((pair for pair in units if total < 100_000 * pair[1]), ("EB", TB * MILLION))


def _devices_lines(gpu: Gpu, total: float, column: float) -> Iterator[str]:
    """A bracket for each GPU that memory alone asks for, while they can be told apart; `column` is in bytes."""
    needed = memory.devices_for(total, gpu.memory)
    columns = gpu.memory / column
    if columns >= 4 and INDENT + round(needed * columns) < draw.WIDTH:
        edges = [round(i * columns) for i in range(needed + 1)]
        brackets = "".join("'" + "-" * (right - left - 1) for left, right in itertools.pairwise(edges)) + "'"
        yield f"{'':<{INDENT}}{brackets}"
        yield f"{'':<{INDENT}}{words.devices(needed, gpu.title)} by memory alone"
