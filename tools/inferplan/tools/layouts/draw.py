"""A parallel layout as boxes: nodes, GPUs, shards, stages with their layers, replicas, and the links between."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain

from inferplan.core.parallelism import Layout, expert_ranges, stage_ranges
from inferplan.core.placement import first_gpu, groups_per_node, nodes_per_group
from inferplan.core.units import GB, GIB
from inferplan.tools import _draw as draw
from inferplan.tools import _words as words
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.serving import Deployment, Serving

PAIRED = 9
"""Lines of a replica's drawing up to which a second replica, alike but for its numbers, is drawn beside it."""
STAGES, EXPERT_STAGES = 3, 1
"""Stages of a replica that are drawn, the others are counted; fewer where each GPU lists its experts."""
ENDS = 2
"""GPUs of a row that is cut: the first and the last."""
STAGE_NODES = 2
"""Nodes drawn in a column, over all its stages; the others are counted."""
NAMED, EXPERTS_NAMED = 16, 8
"""GPUs of a column up to which each is drawn, without and with experts; else the first and last of each box."""
ROWS = 8
"""Replicas drawn in a shared node; the others are counted."""
ARROW = 12
"""Column of the line between two stages."""
LABEL = 9
"""Columns of the label of a group of data-parallel attention."""
EXPERTS = "experts by GPU"
NODES = 6
"""Nodes drawn where GPUs are too few, of at most 8 marks each; the figure has all of them."""


def draw_layout(on: Serving, deployment: Deployment, *, total: int) -> str:
    """The diagram of a layout: title, boxes, the share of each GPU, the memory of the busiest, idle GPUs."""
    layout = deployment.layout
    idle = [f"{total - layout.gpus:,} of {total:,} GPUs stay idle"] if total > layout.gpus else []
    return "\n".join([*_picture(on, layout), *_memory_lines(deployment), *idle])


@lru_cache(maxsize=256)
def _picture(on: Serving, layout: Layout) -> list[str]:
    """Title, boxes and the share of each GPU: the part that does not depend on the load."""
    shared = layout.pp == 1 and layout.ep == 1 and layout.replica * 2 <= on.node_size
    boxes = _shared_nodes(on, layout) if shared else _replicas(on, layout)
    return [*_title(on, layout), *boxes, "", f"each GPU: {_share(on, layout)}"]


def _title(on: Serving, layout: Layout) -> list[str]:
    """`Model, format, 8 x GPU: degrees`, wrapped."""
    what = f"{words.title(on.model)}, {on.precision.title}"
    size = f"{words.devices(layout.gpus, on.gpu.title)}:"
    degrees = words.degrees(layout, experts_over(on, layout))
    return [*draw.wrap_items([f"{what},", size, degrees], draw.WIDTH, separator=" "), ""]


def _replicas(on: Serving, layout: Layout) -> list[str]:
    """Replicas of half a node or more: a column each, with a box for each stage and node."""
    if layout.dp == 2 and layout.ep == 1:
        first, second = (_column(on, layout, replica) for replica in range(2))
        if len(first) <= PAIRED:
            return draw.beside(first, second)
    return [*_column(on, layout, 0), *_other_replicas(on, layout)]


def _other_replicas(on: Serving, layout: Layout) -> list[str]:
    """`... and 3 more replicas like this`; where nodes end within other stages of some, that is said."""
    alike = _more(layout.dp - 1, "more replica")
    per_node = groups_per_node(layout, node_size=on.node_size)
    each = layout.pp * layout.attention_dp
    starts = (replica * each for replica in range(min(layout.dp, per_node)))
    ends = {tuple(n for n in range(1, each) if (first + n) % per_node == 0) for first in starts}
    return alike if len(ends) == 1 else [alike[0].removesuffix(" like this") + ", some divided otherwise among nodes"]


def _more(others: int, what: str) -> list[str]:
    """`... and 3 more replicas like this`; nothing where there are none."""
    return [f"... and {words.count(others, what)} like this"] if others else []


def _column(on: Serving, layout: Layout, replica: int) -> list[str]:
    """One replica: its stages from top to bottom, with the link between them."""
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
    """The number of stages that are drawn."""
    return min(layout.pp, STAGES if layout.ep == 1 else EXPERT_STAGES)


def _stage_boxes(on: Serving, layout: Layout, replica: int, stage: int, layers: tuple[int, int]) -> list[str]:
    """The GPUs of a stage: a box for each node, or for all nodes of a tensor group wider than one."""
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
        lines += draw.box(title, body)
    if hidden := each * (len(nodes) - len(shown)):
        lines.append(f"  ... {words.count(hidden, 'more node')}, to expert {_held(on, layout)[-1][-1]}")
    return lines


def _first(on: Serving, layout: Layout, replica: int, stage: int = 0, group: int = 0) -> int:
    """The index of the first GPU of a tensor group."""
    size, domain = on.node_size, on.domain
    return first_gpu(layout, replica=replica, stage=stage, group=group, node_size=size, domain=domain)


def _held(on: Serving, layout: Layout) -> tuple[range, ...]:
    """The experts on each rank of a stage."""
    experts = on.model.architecture.experts
    return expert_ranges(experts.experts if experts else 0, layout.ep)


def _gpu_lines(first: int, tp: int, *, each: bool) -> list[str]:
    """A tensor group's GPUs as `[0][1]...`; unless `each`, only the first and the last."""
    if each or tp <= ENDS:
        return draw.wrap_items([f"[{gpu}]" for gpu in range(first, first + tp)], draw.INSIDE)
    return [f"[{first}] ... [{first + tp - 1}], {tp} GPUs"]


def _expert_lines(
    on: Serving, layout: Layout, replica: int, groups: Sequence[tuple[int, int]], *, each: bool
) -> list[str]:
    """The GPUs of a node's attention groups, given as (group, first GPU), each with the experts that it holds."""
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
    named = _labelled(rows) if layout.tp > 1 else draw.wrap_items(items, draw.INSIDE, separator=" ")
    return [EXPERTS, *named]


def _labelled(rows: Mapping[str, Sequence[str]]) -> list[str]:
    """Items wrapped beside a label, row by row."""
    flowed = ((label, draw.wrap_items(items, draw.INSIDE - LABEL, separator=" ")) for label, items in rows.items())
    return [f"{'' if row else label:<{LABEL}}{text}" for label, lines in flowed for row, text in enumerate(lines)]


def _share(on: Serving, layout: Layout) -> str:
    """`1/8 of each layer, of all 128 experts`: what each GPU holds of the model."""
    experts, split = on.model.architecture.experts, layout.tp > 1
    whole = "every layer whole" if layout.pp == 1 else "each layer of its stage whole"
    part = f"1/{layout.tp} of each layer" if split else whole
    if experts is None:
        return part
    if experts_over(on, layout) > 1:
        return f"{part}, its experts whole"
    return f"{part}, {'of ' if split else ''}all {experts.experts} experts"


def _arrow(on: Serving, layout: Layout, replica: int, stage: int) -> list[str]:
    """The hand-over between two stages, with the link that it takes."""
    here, before = (_first(on, layout, replica, one) // on.domain for one in (stage, stage - 1))
    fabric = on.fabric(layout)
    link = fabric.tensor_link if here == before else fabric.stage_link
    lines = draw.wrap_items(["activations,", link], draw.COLUMN - ARROW - 1, separator=" ")
    return [f"{'|':>{ARROW}} {line}" for line in lines]


def _shared_nodes(on: Serving, layout: Layout) -> list[str]:
    """Replicas smaller than half a node: a box for each node, a line for each replica."""
    per_node = max(1, on.node_size // layout.replica)
    nodes = [range(start, min(start + per_node, layout.dp)) for start in range(0, layout.dp, per_node)]
    boxes = [_node_box(on, layout, number + 1, replicas) for number, replicas in enumerate(nodes[:2])]
    return draw.beside(boxes[0], boxes[1]) if len(nodes) == 2 else [*boxes[0], *_other_nodes(nodes)]


def _other_nodes(nodes: Sequence[Sequence[int]]) -> list[str]:
    """`... and 12 more nodes like this`; where the last holds fewer replicas, that is said."""
    alike = sum(len(one) == len(nodes[0]) for one in nodes[1:])
    if alike == len(nodes) - 1:
        return _more(alike, "more node")
    return [*_more(alike, "more node"), f"... and node {len(nodes):,} with {words.count(len(nodes[-1]), 'replica')}"]


def _node_box(on: Serving, layout: Layout, node: int, replicas: Sequence[int]) -> list[str]:
    """One node with the GPUs of each of its replicas."""
    lines = [line for replica in replicas[:ROWS] for line in _replica_lines(on, layout, replica)]
    hidden = len(replicas) - ROWS
    lines += [f"... and {words.count(hidden, 'more replica')}"] if hidden > 0 else []
    return draw.box(f"node {node} -- layers 1-{on.model.architecture.layers}", lines)


def _replica_lines(on: Serving, layout: Layout, replica: int) -> list[str]:
    """`[0][1] replica 1`, wrapped where it is too long."""
    each = layout.tp * min(layout.dp, ROWS) <= NAMED
    parts = [*_gpu_lines(_first(on, layout, replica), layout.tp, each=each), f"replica {replica + 1}"]
    return draw.wrap_items(parts, draw.INSIDE, separator=" ")


def _memory_lines(deployment: Deployment) -> list[str]:
    """The memory of the busiest GPU as a bar to scale, and the legend of its marks."""
    rank = deployment.capacity.memory
    buffers = rank.adapters + rank.activation + rank.non_torch + rank.graphs
    parts = (("#", rank.weights), ("+", buffers), ("=", max(0.0, rank.pool)))
    width = 40
    picture = "".join(mark * round(size / rank.total * width) for mark, size in parts)[:width].ljust(width, ".")
    return [f"busiest GPU |{picture}| {rank.total / GIB:.1f} GiB", "# weights, + buffers, = KV pool, . kept free"]


def draw_shortage(on: Serving, needed: Deployment | None, *, total: int) -> str:
    """The diagram where nothing fits: the GPUs given against those of the smallest legal layout, node by node."""
    what = f"{words.title(on.model)}, {on.precision.title}:"
    have = words.devices(total, on.gpu.title) if total else f"any number of {on.gpu.title}"
    unknown = "does not run" if on.obstacle else "not known to fit"
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
    """`######## ####`: a mark for each GPU, grouped by node (by 8 in larger nodes); at most `NODES` groups."""
    size = min(node_size, 8)
    full, rest = divmod(gpus, size)
    groups = ["#" * size] * min(full, NODES) + (["#" * rest] if rest and full < NODES else [])
    return " ".join(groups) + (" ..." if full > NODES or (full == NODES and rest) else "")
