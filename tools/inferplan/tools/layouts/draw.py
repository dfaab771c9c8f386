"""A parallel layout as boxes: nodes, GPUs, shards, stages with their layers, replicas, and the links between."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain

from inferplan.core.parallelism import Layout, expert_ranges, stage_ranges
from inferplan.core.placement import first_gpu, nodes_per_group
from inferplan.core.units import GB, GIB
from inferplan.tools import _draw as draw
from inferplan.tools import _words as words
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.serving import Deployment, Serving

COLUMN = 38
"""Width of one replica's boxes; two stand side by side."""
PAIRED = 9
"""Lines of a replica up to which the second of two is drawn, which shows nothing but the next numbers."""
STAGES, EXPERT_STAGES = 3, 1
"""Stages drawn of a replica before the rest is summed up; the latter where each GPU names its experts."""
ENDS = 2
"""GPUs that are a first and a last one."""
STAGE_NODES = 2
"""Nodes drawn of all stages of a column that span several, before the rest is summed up."""
NAMED, EXPERTS_NAMED = 16, 8
"""GPUs of a column, without and with experts, up to which each is drawn; else the first and the last of a box."""
ROWS = 8
"""Replicas drawn of a shared node before the rest is summed up."""
INSIDE = COLUMN - 4
"""Width of what stands in a box."""
ARROW = 12
"""Where the line between two stages stands."""
LABEL = 9
"""Width of the number of a group of data-parallel attention."""
EXPERTS = "experts by GPU"
NODES = 6
"""Nodes drawn of a shortage, of at most 8 marks each, before the rest is left to the figure."""


def draw_layout(on: Serving, deployment: Deployment, *, total: int) -> str:
    """The whole picture: title, boxes, what each GPU holds, what is not drawn, and the memory of the busiest GPU."""
    layout = deployment.layout
    idle = [f"{total - layout.gpus:,} of {total:,} GPUs stay idle"] if total > layout.gpus else []
    return "\n".join([*_picture(on, layout), *_memory_lines(deployment), *idle])


@lru_cache(maxsize=256)
def _picture(on: Serving, layout: Layout) -> list[str]:
    """Title, boxes and what each GPU holds, whatever the load."""
    shared = layout.pp == 1 and layout.ep == 1 and layout.replica * 2 <= on.node_size
    boxes = _shared_nodes(on, layout) if shared else _replicas(on, layout)
    return [*_title(on, layout), *boxes, "", f"each GPU: {_share(on, layout)}"]


def _title(on: Serving, layout: Layout) -> list[str]:
    """What is laid out, and the degrees."""
    what = f"{words.title(on.model)}, {on.precision.title}"
    size = f"{words.devices(layout.gpus, on.gpu.title)}:"
    degrees = words.degrees(layout, experts_over(on, layout))
    return [*draw.wrap_items([f"{what},", size, degrees], draw.WIDTH, separator=" "), ""]


def _replicas(on: Serving, layout: Layout) -> list[str]:
    """Replicas of a node or more: a column each, a box for each stage and node."""
    if layout.dp == 2 and layout.ep == 1:
        first, second = (_column(on, layout, replica) for replica in range(2))
        if len(first) <= PAIRED:
            return draw.beside(first, second)
    return [*_column(on, layout, 0), *_more(layout.dp - 1, "more replica")]


def _more(others: int, what: str) -> list[str]:
    """What is not drawn, as it looks the same."""
    return [f"... and {words.count(others, what)} like this"] if others else []


def _column(on: Serving, layout: Layout, replica: int) -> list[str]:
    """One replica: its stages from top to bottom with the link between them."""
    ranges = stage_ranges(on.model.architecture.layers, layout.pp)
    lines = [f"replica {replica + 1}"]
    for stage, layers in enumerate(ranges[: _stages(layout)]):
        lines += _arrow(on, layout, replica, stage) if stage else []
        lines += _stage_boxes(on, layout, replica, stage, layers)
    hidden = len(ranges) - _stages(layout)
    if hidden > 0:
        lines.append(f"  ... {words.count(hidden, 'more stage')}, to layer {ranges[-1][1]}")
    return lines


def _stages(layout: Layout) -> int:
    """Stages that are drawn."""
    return min(layout.pp, STAGES if layout.ep == 1 else EXPERT_STAGES)


def _stage_boxes(on: Serving, layout: Layout, replica: int, stage: int, layers: tuple[int, int]) -> list[str]:
    """The GPUs of a stage, a box for each node that it spans, or for the nodes of each wider tensor group."""
    nodes: dict[int, list[tuple[int, int]]] = {}
    each = nodes_per_group(layout, node_size=on.node_size)
    for group in range(layout.attention_dp):
        first = _first(on, layout, replica, stage, group)
        nodes.setdefault(first // on.node_size, []).append((group, first))
    shown = dict(list(nodes.items())[: max(1, STAGE_NODES // _stages(layout))])
    gpus = _stages(layout) * sum(map(len, shown.values())) * layout.tp
    lines: list[str] = []
    for node, groups in shown.items():
        number = f"node {node + 1}" if each == 1 else f"nodes {node + 1}-{node + each}"
        title = f"{number} -- layers {layers[0]:>3}-{layers[1]:<3}"
        if layout.ep == 1:
            body = _gpu_lines(groups[0][1], layout.tp, each=gpus <= NAMED)
        else:
            body = _expert_lines(on, layout, replica, groups, each=gpus <= EXPERTS_NAMED and len(nodes) == 1)
        lines += draw.box(title, body, COLUMN)
    if hidden := each * (len(nodes) - len(shown)):
        lines.append(f"  ... {words.count(hidden, 'more node')}, to expert {_held(on, layout)[-1][-1]}")
    return lines


def _first(on: Serving, layout: Layout, replica: int, stage: int = 0, group: int = 0) -> int:
    """The number of the first GPU of a tensor group."""
    size, domain = on.node_size, on.domain
    return first_gpu(layout, replica=replica, stage=stage, group=group, node_size=size, domain=domain)


def _held(on: Serving, layout: Layout) -> tuple[range, ...]:
    """The experts of each rank of a stage."""
    experts = on.model.architecture.experts
    return expert_ranges(experts.experts if experts else 0, layout.ep)


def _gpu_lines(first: int, tp: int, *, each: bool) -> list[str]:
    """A tensor group's GPUs, each in its brackets; or the first and the last of them."""
    if each or tp <= ENDS:
        return draw.wrap_items([f"[{gpu}]" for gpu in range(first, first + tp)], INSIDE)
    return [f"[{first}] ... [{first + tp - 1}], {tp} GPUs"]


def _expert_lines(
    on: Serving, layout: Layout, replica: int, groups: Sequence[tuple[int, int]], *, each: bool
) -> list[str]:
    """The groups of data-parallel attention in a node, with their first GPUs: each GPU beside the experts it holds."""
    held = _held(on, layout)
    rows = {
        f"data {replica * layout.attention_dp + group + 1}": [
            f"[{first + gpu}] {one[0]}-{one[-1]}"
            for gpu, one in enumerate(held[group * layout.tp : (group + 1) * layout.tp])
        ]
        for group, first in groups
    }
    items = list(chain(*rows.values()))
    if not each and len(items) > ENDS:
        return [EXPERTS, f"{items[0]} ... {items[-1]}"]
    named = _labelled(rows) if layout.tp > 1 else draw.wrap_items(items, INSIDE, separator=" ")
    return [EXPERTS, *named]


def _labelled(rows: Mapping[str, Sequence[str]]) -> list[str]:
    """Items beside a label, in as many lines as they take."""
    flowed = ((label, draw.wrap_items(items, INSIDE - LABEL, separator=" ")) for label, items in rows.items())
    return [f"{'' if row else label:<{LABEL}}{text}" for label, lines in flowed for row, text in enumerate(lines)]


def _share(on: Serving, layout: Layout) -> str:
    """The part of each layer, and of its experts."""
    experts, split = on.model.architecture.experts, layout.tp > 1
    whole = "every layer whole" if layout.pp == 1 else "each layer of its stage whole"
    part = f"1/{layout.tp} of each layer" if split else whole
    if experts is None:
        return part
    if experts_over(on, layout) > 1:
        return f"{part}, its experts whole"
    return f"{part}, {'of ' if split else ''}all {experts.experts} experts"


def _arrow(on: Serving, layout: Layout, replica: int, stage: int) -> list[str]:
    """The hand-over between two stages, named by the link that it really takes."""
    here, before = (_first(on, layout, replica, one) // on.domain for one in (stage, stage - 1))
    fabric = on.fabric(layout)
    link = fabric.tensor_link if here == before else fabric.stage_link
    lines = draw.wrap_items(["activations,", link], COLUMN - ARROW - 1, separator=" ")
    return [f"{'|':>{ARROW}} {line}" for line in lines]


def _shared_nodes(on: Serving, layout: Layout) -> list[str]:
    """Replicas smaller than half a node: a box per node, a line per replica."""
    per_node = max(1, on.node_size // layout.replica)
    nodes = [range(start, min(start + per_node, layout.dp)) for start in range(0, layout.dp, per_node)]
    boxes = [_node_box(on, layout, number + 1, replicas) for number, replicas in enumerate(nodes[:2])]
    return draw.beside(boxes[0], boxes[1]) if len(nodes) == 2 else [*boxes[0], *_more(len(nodes) - 1, "more node")]


def _node_box(on: Serving, layout: Layout, node: int, replicas: Sequence[int]) -> list[str]:
    """The replicas in one node, each with its GPUs."""
    lines = [line for replica in replicas[:ROWS] for line in _replica_lines(on, layout, replica)]
    hidden = len(replicas) - ROWS
    lines += [f"... and {words.count(hidden, 'more replica')}"] if hidden > 0 else []
    return draw.box(f"node {node} -- layers 1-{on.model.architecture.layers}", lines, COLUMN)


def _replica_lines(on: Serving, layout: Layout, replica: int) -> list[str]:
    """`[0][1] replica 1`, in two lines where one is too short."""
    each = layout.tp * min(layout.dp, ROWS) <= NAMED
    parts = [*_gpu_lines(_first(on, layout, replica), layout.tp, each=each), f"replica {replica + 1}"]
    return draw.wrap_items(parts, INSIDE, separator=" ")


def _memory_lines(deployment: Deployment) -> list[str]:
    """The busiest GPU's memory in one bar, and what its signs mean; the formula has the sizes."""
    rank = deployment.capacity.memory
    buffers = rank.adapters + rank.activation + rank.non_torch + rank.graphs
    parts = (("#", rank.weights), ("+", buffers), ("=", max(0.0, rank.pool)))
    width = 40
    picture = "".join(mark * round(size / rank.total * width) for mark, size in parts)[:width].ljust(width, ".")
    return [f"busiest GPU |{picture}| {rank.total / GIB:.1f} GiB", "# weights, + buffers, = KV pool, . kept free"]


def draw_shortage(on: Serving, needed: Deployment | None, *, total: int) -> str:
    """GPUs there are against GPUs that the smallest legal layout takes, in nodes."""
    what = f"{words.title(on.model)}, {on.precision.title}:"
    have = words.devices(total, on.gpu.title) if total else f"any number of {on.gpu.title}"
    unknown = "does not run" if on.kept_off else "not known to fit"
    verdict = f"{unknown if on.not_modelled else 'does not fit'} on {have}"
    lines = [*draw.wrap_items([what, verdict], draw.WIDTH, separator=" "), ""]
    if on.not_modelled:
        return "\n".join([*lines, *draw.wrap_items(on.not_modelled.split(), draw.WIDTH, separator=" ")])
    if needed is None:
        return "\n".join([*lines, "no legal layout holds the model and one session"])
    layout = needed.layout
    rank = needed.capacity.memory
    for word, gpus in (("have", total), ("needs", layout.replica)):
        lines.append(f"{word:<5}  {_node_marks(gpus, on.node_size)}  {gpus}")
    lines += ["", f"that is {words.degrees(layout)}: {rank.weights / GB:.1f} GB of weights on the"]
    return "\n".join([*lines, f"busiest GPU, of the {rank.budget / GB:.1f} GB that the engine may fill"])


def _node_marks(gpus: int, node_size: int) -> str:
    """One mark per GPU, a gap between groups of a node (of 8 in larger nodes), at most six groups drawn."""
    size = min(node_size, 8)
    full, rest = divmod(gpus, size)
    groups = ["#" * size] * min(full, NODES) + (["#" * rest] if rest and full < NODES else [])
    return " ".join(groups) + (" ..." if full > NODES or (full == NODES and rest) else "")
