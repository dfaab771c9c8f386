"""Where the GPUs of a layout sit: on how many nodes, how many tensor groups a node or a scale-up domain holds.

A domain is the GPUs that communicate without the network: a node, or the nodes that a scale-up link joins (NVL72).
"""

from math import ceil

from inferplan.core.hardware import Gpu
from inferplan.core.parallelism import Layout


def nodes(layout: Layout, *, node_size: int) -> int:
    """⌈pp × attention_dp × dp / ⌊node_size / tp⌋⌉, or ⌈tp / node_size⌉ for each of wider tensor groups. [nodes]

    A tensor group never spans more nodes than it needs; pipelines and groups that share experts may span any.

    >>> nodes(Layout(tp=8, pp=2, dp=2), node_size=8), nodes(Layout(tp=2, pp=3, dp=4), node_size=8)
    (4, 3)
    >>> nodes(Layout(tp=8, dp=2), node_size=4)
    4
    """
    groups = layout.pp * layout.attention_dp * layout.dp
    return ceil(groups / groups_per_node(layout, node_size=node_size)) * nodes_per_group(layout, node_size=node_size)


def is_even(layout: Layout, *, node_size: int) -> bool:
    """Whether a replica fills its nodes evenly: equally many stages per node, or equally many nodes per stage.

    >>> [is_even(Layout(tp=4, pp=pp), node_size=8) for pp in (2, 3, 4, 5)], is_even(Layout(tp=8, pp=2), node_size=4)
    ([True, False, True, False], True)
    """
    servers = nodes(layout.alone, node_size=node_size)
    return layout.pp % servers == 0 or servers % layout.pp == 0


def nodes_per_group(layout: Layout, *, node_size: int) -> int:
    """⌈tp / node_size⌉: nodes of one tensor group, which smaller groups share. [nodes]"""
    return ceil(layout.tp / node_size)


def groups_per_node(layout: Layout, *, node_size: int) -> int:
    """⌊node_size / tp⌋, at least 1: tensor groups on the nodes of one. [tensor groups]"""
    return max(1, node_size // layout.tp)


def groups_per_domain(layout: Layout, *, node_size: int, domain: int) -> int:
    """⌊domain / GPUs of a group's nodes⌋ × groups there: whole tensor groups in one domain. [tensor groups]

    >>> [groups_per_domain(Layout(tp=tp), node_size=4, domain=72) for tp in (2, 8, 16, 64)]
    [36, 9, 4, 1]
    """
    taken = nodes_per_group(layout, node_size=node_size) * node_size
    return max(1, domain // taken) * groups_per_node(layout, node_size=node_size)


def first_gpu(layout: Layout, *, replica: int, stage: int, node_size: int, domain: int, group: int = 0) -> int:
    """The index, from 0, of the first GPU of one tensor group of a stage: groups are placed one after the other.

    >>> first_gpu(Layout(tp=8, pp=2, dp=2), replica=1, stage=0, node_size=8, domain=8)
    16
    >>> first_gpu(Layout(tp=4, dp=2), replica=1, stage=0, node_size=6, domain=6)
    6
    >>> first_gpu(Layout(tp=64, dp=2), replica=1, stage=0, node_size=4, domain=72)
    72
    """
    before = (replica * layout.pp + stage) * layout.attention_dp + group
    full, slot = divmod(before, groups_per_domain(layout, node_size=node_size, domain=domain))
    taken, place = divmod(slot, groups_per_node(layout, node_size=node_size))
    return full * domain + taken * nodes_per_group(layout, node_size=node_size) * node_size + place * layout.tp


def domain_size(gpu: Gpu, *, node_size: int) -> int:
    """GPUs that communicate without the network: a node's, or those of all nodes that a scale-up link joins. [GPUs]"""
    return max(node_size, gpu.link_span // node_size * node_size) if gpu.joins_nodes else node_size
