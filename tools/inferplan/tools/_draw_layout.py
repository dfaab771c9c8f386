"""A parallel layout as boxes: nodes, GPUs, shards, stages with their layers, replicas, and the links between."""

from collections.abc import Sequence

from inferplan.core.parallelism import Layout, first_gpu, stage_ranges
from inferplan.core.units import GB, GIB
from inferplan.tools import _draw as draw
from inferplan.tools import _words as words
from inferplan.tools._serving import Deployment, Serving

COLUMN = 38
"""Width of one replica's boxes; two stand side by side."""
COLUMNS = 2
STAGES = 4
"""Stages drawn of each replica before the rest is summed up."""
BOX_LINES = 24
"""Lines of replicas drawn of a shared node before the rest is summed up."""
ROWS = 8
"""Replicas drawn of a shared node, and lines of GPUs of a stage, before the rest is summed up."""
NODES = 6
"""Nodes drawn of a shortage, of at most 8 marks each, before the rest is left to the figure."""


def draw_layout(on: Serving, deployment: Deployment, *, total: int) -> str:
    """The whole picture: title, boxes, what is not drawn, and the memory of the busiest GPU."""
    layout = deployment.layout
    shared = layout.pp == 1 and layout.replica * 2 <= on.node_size
    picture = _shared_nodes(on, layout) if shared else _replicas(on, layout)
    idle = [f"{total - layout.gpus:,} of {total:,} GPUs stay idle"] if total > layout.gpus else []
    return "\n".join([*_title(on, layout), *picture, "", *_memory_lines(deployment), *idle])


def _title(on: Serving, layout: Layout) -> list[str]:
    """What is laid out, and the degrees."""
    what = f"{on.model.id if on.model.is_size_class else on.model.title}, {on.precision.title}"
    degrees = words.layout(layout.tp, layout.pp, layout.dp)
    size = f"{words.devices(layout.gpus, on.gpu.title)}:"
    return [*draw.wrap_items([f"{what},", size, degrees], draw.WIDTH, separator=" "), ""]


def _replicas(on: Serving, layout: Layout) -> list[str]:
    """Replicas of a node or more: a column each, a box for each stage."""
    shown = min(layout.dp, COLUMNS)
    columns = [_column(on, layout, replica) for replica in range(shown)]
    lines = columns[0] if shown == 1 else draw.beside(columns[0], columns[1])
    more = layout.dp - shown
    return [*lines, *([f"... and {words.count(more, 'more replica')} like these"] if more else [])]


def _column(on: Serving, layout: Layout, replica: int) -> list[str]:
    """One replica: its stages from top to bottom with the link between them."""
    ranges = stage_ranges(on.model.architecture.layers, layout.pp)
    lines = [f"replica {replica + 1}"]
    for stage, layers in enumerate(ranges[:STAGES]):
        lines += _arrow(on, layout, replica, stage) if stage else []
        lines += _stage_box(on, layout, replica, stage, layers)
    hidden = len(ranges) - STAGES
    if hidden > 0:
        lines.append(f"  ... {words.count(hidden, 'more stage')}, to layer {ranges[-1][1]}")
    return lines


def _stage_box(on: Serving, layout: Layout, replica: int, stage: int, layers: tuple[int, int]) -> list[str]:
    """The GPUs of a stage, what each holds, and how they talk."""
    first = first_gpu(layout, replica=replica, stage=stage, node_size=on.node_size)
    node = first // on.node_size + 1
    title = f"node {node} -- layers {layers[0]:>3}-{layers[1]:<3}"
    return draw.box(title, [*_gpu_lines(first, layout.tp, most=ROWS), *_shard_lines(on, layout)], COLUMN)


def _gpu_lines(first: int, tp: int, *, most: int) -> list[str]:
    """A tensor group's GPUs, each in its brackets; a group of more lines than are drawn as its first and last."""
    lines = draw.wrap_items([f"[{gpu:>2}]" for gpu in range(first, first + tp)], COLUMN - 4)
    return lines if len(lines) <= most else [f"[{first}] ... [{first + tp - 1}], {tp} GPUs"]


def _shard_lines(on: Serving, layout: Layout) -> list[str]:
    """What one GPU of a tensor group holds of each layer."""
    experts = on.model.architecture.experts
    if layout.tp == 1:
        return _flow("every layer whole" + (f", all {experts.experts} experts" if experts else ""))
    share = f"1/{layout.tp} of each layer" + (f", of all {experts.experts} experts" if experts else "")
    return [*_flow(share), *_flow(f"2 all-reduces a layer, {on.fabric(layout).tensor_link}")]


def _flow(text: str) -> list[str]:
    """Words in lines that fit into a box."""
    return draw.wrap_items(text.split(), COLUMN - 4, separator=" ")


def _arrow(on: Serving, layout: Layout, replica: int, stage: int) -> list[str]:
    """The hand-over between two stages, named by the link that it really takes."""
    here, before = (first_gpu(layout, replica=replica, stage=one, node_size=on.node_size) for one in (stage, stage - 1))
    same_node = here // on.node_size == before // on.node_size
    fabric = on.fabric(layout)
    link = fabric.tensor_link if same_node else fabric.stage_link
    return [f"{'|':>12} activations, {link}"[:COLUMN]]


def _shared_nodes(on: Serving, layout: Layout) -> list[str]:
    """Replicas smaller than half a node: a box per node, a line per replica."""
    per_node = max(1, on.node_size // layout.replica)
    nodes = [range(start, min(start + per_node, layout.dp)) for start in range(0, layout.dp, per_node)]
    boxes = [_node_box(on, layout, number + 1, replicas) for number, replicas in enumerate(nodes[:COLUMNS])]
    lines = boxes[0] if len(boxes) == 1 else draw.beside(boxes[0], boxes[1])
    more = len(nodes) - len(boxes)
    return [*lines, *([f"... and {words.count(more, 'more node')} like these"] if more else [])]


def _node_box(on: Serving, layout: Layout, node: int, replicas: Sequence[int]) -> list[str]:
    """The replicas in one node, each with its GPUs."""
    layers = on.model.architecture.layers
    shown = min(ROWS, max(1, BOX_LINES // len(_replica_lines(on, layout, replicas[0], layers))))
    lines = [line for replica in replicas[:shown] for line in _replica_lines(on, layout, replica, layers)]
    hidden = len(replicas) - shown
    lines += [f"... and {words.count(hidden, 'more replica')}"] if hidden > 0 else []
    return draw.box(f"node {node}", [*lines, *_shard_lines(on, layout)], COLUMN)


def _replica_lines(on: Serving, layout: Layout, replica: int, layers: int) -> list[str]:
    """`[ 0][ 1] replica 1, layers 1-80`, in two lines where one is too short."""
    first = first_gpu(layout, replica=replica, stage=0, node_size=on.node_size)
    parts = [*_gpu_lines(first, layout.tp, most=2), f"replica {replica + 1}, layers 1-{layers}"]
    return draw.wrap_items(parts, COLUMN - 4, separator=" ")


def _memory_lines(deployment: Deployment) -> list[str]:
    """The busiest GPU's memory in one bar, and what its letters mean."""
    rank = deployment.capacity.memory
    buffers = rank.activation + rank.non_torch + rank.graphs
    parts = [
        ("weights", "W", rank.weights),
        ("buffers", "b", buffers),
        ("KV pool", "k", max(0.0, rank.pool)),
        ("kept free", ".", rank.total - rank.budget),
    ]
    width = 40
    picture = "".join(mark * round(size / rank.total * width) for _, mark, size in parts)[:width].ljust(width, ".")
    legend = ", ".join(f"{mark} {name} {size / GIB:.1f}" for name, mark, size in parts)
    return [f"busiest GPU  |{picture}| {rank.total / GIB:.1f} GiB", f"{'':<13}{legend}"]


def draw_shortage(on: Serving, needed: Deployment | None, *, total: int) -> str:
    """GPUs there are against GPUs that the smallest legal layout takes, in nodes."""
    what = f"{on.model.id if on.model.is_size_class else on.model.title}, {on.precision.title}:"
    have = words.devices(total, on.gpu.title) if total else f"any number of {on.gpu.title}"
    verdict = f"not known to fit on {have}" if on.not_modelled else f"does not fit on {have}"
    lines = [*draw.wrap_items([what, verdict], draw.WIDTH, separator=" "), ""]
    if on.not_modelled:
        return "\n".join([*lines, *draw.wrap_items(on.not_modelled.split(), draw.WIDTH, separator=" ")])
    if needed is None:
        return "\n".join([*lines, "no legal layout holds the model and one session"])
    layout = needed.layout
    have, need = _node_marks(total, on.node_size, "#"), _node_marks(layout.replica, on.node_size, "#")
    rank = needed.capacity.memory
    lines += [f"have   {have}  {total}", f"needs  {need}  {layout.replica}"]
    lines += ["", f"that is {words.layout(layout.tp, layout.pp, 1)}: {rank.weights / GB:.1f} GB of weights on the"]
    return "\n".join([*lines, f"busiest GPU, of the {rank.budget / GB:.1f} GB that the engine may fill"])


def _node_marks(gpus: int, node_size: int, mark: str) -> str:
    """One mark per GPU, a gap between groups of a node (of 8 in larger nodes), at most six groups drawn."""
    size = min(node_size, 8)
    full, rest = divmod(gpus, size)
    groups = [mark * size] * min(full, NODES) + ([mark * rest] if rest and full < NODES else [])
    return " ".join(groups) + (" ..." if full > NODES or (full == NODES and rest) else "")
