"""Two models drawn as the path of one token: straight through all parameters, or past a router to a few experts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from zlib import crc32

from inferplan.tools._draw import WIDTH

COLUMNS = 64
"""Experts in a row of the grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Portrait:
    """What the drawing shows of a model; memory, GPUs and parameters are already formatted."""

    name: str
    memory: str
    gpus: str
    total: str
    experts: int
    chosen: int


def draw_pair(first: Portrait, second: Portrait) -> str:
    """The diagram: both models, one above the other, and the legend of the marks."""
    lines = [*_portrait(first), "", *_portrait(second)]
    if first.experts or second.experts:
        lines += ["", "# computes, . waits: an illustration, new for each token and layer"]
    return "\n".join(line.rstrip() for line in lines)


def _portrait(one: Portrait) -> Iterator[str]:
    """One model: a title with memory and GPUs on the right, then the path of a token."""
    needs = f"{one.memory}, {one.gpus}"
    kind = f"{one.chosen} of {one.experts} experts" if one.experts else "dense"
    title = f"{one.name}, {kind}"
    room = WIDTH - len(needs) - 2
    yield f"{title if len(title) <= room else title[: room - 3] + '...'}".ljust(WIDTH - len(needs)) + needs
    yield from _through_experts(one) if one.experts else _straight(one)


def _straight(one: Portrait) -> Iterator[str]:
    """`token --> [## all 70B parameters compute ##] --> next token`."""
    label = f" all {one.total} parameters compute "
    yield f"token --> [{label.center(45, '#')}] --> next token"


def _through_experts(one: Portrait) -> Iterator[str]:
    """The path through the router, and the grid of experts with the chosen ones marked."""
    yield "token --> router --> the lit experts --> sum --> next token"
    yield from grid(lit_experts(one.name, experts=one.experts, chosen=one.chosen), experts=one.experts)


def lit_experts(name: str, *, experts: int, chosen: int) -> frozenset[int]:
    """Indices of `chosen` experts, spread by the golden ratio from a start that the name decides: an illustration.

    >>> sorted(lit_experts("a model", experts=8, chosen=2)), len(lit_experts("a model", experts=8, chosen=8))
    ([2, 5], 8)
    """
    golden = round(0.618 * experts)
    step = next(n for n in range(golden, 0, -1) if gcd(n, experts) == 1) if experts > 1 else 1
    start = crc32(name.encode())
    return frozenset((start + i * step) % experts for i in range(chosen))


def grid(lit: frozenset[int], *, experts: int) -> Sequence[str]:
    """Rows of the expert grid, those that are lit as `#`.

    >>> grid(frozenset({1, 6}), experts=8)
    ['.#....#.']
    """
    members = [range(first, min(first + COLUMNS, experts)) for first in range(0, experts, COLUMNS)]
    return ["".join(".#"[n in lit] for n in row) for row in members]
