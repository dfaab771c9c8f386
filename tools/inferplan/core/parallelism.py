"""Legal layouts: which degrees an engine accepts, what each GPU then holds, and who talks to whom."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import ceil
from typing import Literal

from inferplan.core.architecture import Architecture, Attention
from inferplan.core.hardware import Gpu

Strategy = Literal["none", "data", "tensor", "tensor+data", "tensor+pipeline", "tensor+pipeline+data"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Tensor × pipeline × data parallel degrees. One replica takes tp × pp × attention_dp GPUs.

    With `attention_dp` ranks in a replica, attention, dense layers and KV cache are data-parallel over them, and
    tp × attention_dp ranks share the experts of a stage.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    attention_dp: int = 1

    @classmethod
    def tensor(cls, degree: int) -> "Layout":
        """One replica, split by tensor parallelism alone."""
        return cls(tp=degree)

    @property
    def replica(self) -> int:
        """GPUs that hold one copy of the model."""
        return self.tp * self.pp * self.attention_dp

    @property
    def gpus(self) -> int:
        """GPUs in use."""
        return self.replica * self.dp

    @property
    def strategy(self) -> Strategy:
        """What the guide calls this combination. Pipeline without tensor counts as the guide's rule 4."""
        if self.pp > 1:
            return "tensor+pipeline+data" if self.dp > 1 else "tensor+pipeline"
        if self.tp > 1:
            return "tensor+data" if self.dp > 1 else "tensor"
        return "data" if self.dp > 1 else "none"


@lru_cache(maxsize=1024)
def tensor_degrees(architecture: Architecture, *, node_size: int) -> tuple[int, ...]:
    """The tensor-parallel degrees that an engine accepts within a node, smallest first.

    Powers of two up to the node that divide the attention heads and every feed-forward width, and that divide
    the KV heads or are a multiple of them (KV heads are then replicated).

    Source: vLLM, vllm/config/model.py, `verify_with_parallel_config`, and `QKVParallelLinear` (replication).

    >>> from inferplan.core.architecture import Attention, DenseFfn, LayerGroup
    >>> qwen = Attention(heads=28, kv_heads=4, head_dim=128)
    >>> group = LayerGroup(count=28, attention=qwen, ffn=DenseFfn(intermediate=18944))
    >>> tensor_degrees(Architecture(hidden=3584, vocab=152064, groups=(group,), max_positions=32768), node_size=8)
    (1, 2, 4)
    """
    powers = (2**n for n in range(node_size.bit_length()))
    return tuple(tp for tp in powers if tp <= node_size and all(_divides(tp, architecture)))


def _divides(tp: int, architecture: Architecture) -> Iterator[bool]:
    """Whether `tp` cuts each layer group into whole heads and equal columns."""
    for group in architecture.groups:
        for mixer in group.mixers:
            yield mixer.heads % tp == 0
            if isinstance(mixer, Attention):
                yield mixer.kv_heads % tp == 0 or tp % mixer.kv_heads == 0
        if group.ffn is not None:
            yield group.ffn.intermediate % tp == 0


def stage_ranges(layers: int, pp: int, *, last_longer: bool = False) -> tuple[tuple[int, int], ...]:
    """First and last layer of each pipeline stage, counted from 1: as even as the layers allow.

    What is left over goes to the stages before the last, from the back: the last one also holds the output head, the
    first one the embedding. Up to vLLM 0.7 it went to the last one (`last_longer`).

    Source: vLLM, vllm/distributed/utils.py, `get_pp_indices`.

    >>> stage_ranges(126, 2)
    ((1, 63), (64, 126))
    >>> stage_ranges(126, 4)
    ((1, 31), (32, 63), (64, 95), (96, 126))
    """
    even, left = divmod(layers, pp)
    lengths = [even + (pp - 1 - left <= stage < pp - 1) for stage in range(pp)]
    if last_longer:
        lengths = [even] * (pp - 1) + [even + left]
    ends = list(accumulate(lengths))
    return tuple((end - length + 1, end) for length, end in zip(lengths, ends, strict=True))


def depths(layers: int, least: int = 1) -> list[int]:
    """Numbers of pipeline stages worth having, from `least` on, smallest first.

    Of depths whose longest stage has as many layers, only the shallowest: the others take more GPUs for nothing.

    >>> depths(8), depths(8, 3)
    ([1, 2, 3, 4, 8], [3, 4, 8])
    """
    return sorted({ceil(layers / pp): pp for pp in range(layers, least - 1, -1)}.values())


def pipeline_bubble(pp: int, microbatches: int) -> float:
    """(pp - 1) / (microbatches + pp - 1): the share of time that a stage waits for its neighbours.

    Source: Huang et al., GPipe, arXiv 1811.06965, section 2.3. In steady decode with at least `pp` batches in
    flight the stages stay busy; the bubble is what filling and draining costs a burst of `microbatches`.

    >>> pipeline_bubble(2, 8), pipeline_bubble(1, 1)
    (0.1111111111111111, 0.0)
    """
    return (pp - 1) / (microbatches + pp - 1)


def replica_layouts(architecture: Architecture, *, degrees: Sequence[int]) -> Iterator[Layout]:
    """Every legal layout of one replica, in the order in which the guide's rules try them.

    One GPU; then tensor parallelism within a node, smallest of the legal `degrees` first; then the widest tensor
    degree with ever more pipeline stages; then narrower degrees with stages, for GPU counts that the widest does not
    divide.
    """
    yield from map(Layout.tensor, degrees)
    for tp in reversed(degrees):
        for pp in range(2, architecture.layers + 1):
            yield Layout(tp=tp, pp=pp)


def smallest_replica(
    architecture: Architecture,
    *,
    degrees: Sequence[int],
    fits: Callable[[Layout], bool],
    gpus: int | None = None,
) -> Layout | None:
    """The first replica layout, by the guide's rules, that `fits` accepts and `gpus` suffice for.

    Source: GUIDE section 3, "The recommendation logic", with legal degrees only.
    """
    layouts = replica_layouts(architecture, degrees=degrees)
    return next((one for one in layouts if (gpus is None or one.replica <= gpus) and fits(one)), None)


def nodes(layout: Layout, *, node_size: int) -> int:
    """⌈pp × attention_dp × dp / ⌊node_size / tp⌋⌉: tensor groups never straddle nodes, the others may. [nodes]

    >>> nodes(Layout(tp=8, pp=2, dp=2), node_size=8), nodes(Layout(tp=2, pp=3, dp=4), node_size=8)
    (4, 3)
    """
    groups = layout.pp * layout.attention_dp * layout.dp
    return ceil(groups / groups_per_node(layout, node_size=node_size))


def groups_per_node(layout: Layout, *, node_size: int) -> int:
    """⌊node_size / tp⌋: whole tensor groups in one node. [tensor groups]"""
    return max(1, node_size // layout.tp)


def first_gpu(layout: Layout, *, replica: int, stage: int, node_size: int) -> int:
    """The number, from 0, of the first GPU of a stage of a replica: groups are placed one after the other.

    >>> first_gpu(Layout(tp=8, pp=2, dp=2), replica=1, stage=0, node_size=8)
    16
    >>> first_gpu(Layout(tp=4, dp=2), replica=1, stage=0, node_size=6)
    6
    """
    group = (replica * layout.pp + stage) * layout.attention_dp
    node, slot = divmod(group, groups_per_node(layout, node_size=node_size))
    return node * node_size + slot * layout.tp


@dataclass(frozen=True, kw_only=True, slots=True)
class Fabric:
    """What joins the GPUs of a layout; `exchange` those that share experts. Bandwidths are one way, per GPU. [B/s]"""

    node_size: int
    tensor_link: str
    tensor_bandwidth: float
    stage_link: str
    stage_bandwidth: float
    exchange_bandwidth: float = 0.0


def fabric(gpu: Gpu, layout: Layout, *, node_size: int, network: float, network_name: str = "InfiniBand") -> Fabric:
    """The links that this layout uses: the scale-up link where it joins the tensor group, else the host's bus.

    Stages that lie in one node talk over the same links; where a replica reaches into another node, over the
    network.
    """
    scale_up = gpu.link is not None and gpu.link_bandwidth is not None and layout.tp <= gpu.link_span
    bus = gpu.pcie_bandwidth or network
    tensor = gpu.link_bandwidth if scale_up and gpu.link_bandwidth else bus
    name = gpu.link if scale_up and gpu.link else _bus_name(gpu, network_name)
    slots = groups_per_node(layout, node_size=node_size)
    groups = layout.pp * layout.attention_dp
    across = groups > slots or (slots % groups > 0 and groups * layout.dp > slots)
    sharing = layout.tp * layout.attention_dp
    wide = sharing > (gpu.link_span if scale_up else node_size)
    return Fabric(
        node_size=node_size,
        tensor_link=name,
        tensor_bandwidth=tensor,
        stage_link=network_name if across else name,
        stage_bandwidth=network if across else tensor,
        exchange_bandwidth=network if wide else tensor,
    )


def _bus_name(gpu: Gpu, network_name: str) -> str:
    """`PCIe Gen5 x16`, or the network where the host link is not known."""
    if gpu.pcie is None or gpu.pcie_bandwidth is None:
        return network_name
    return f"PCIe {gpu.pcie}" if gpu.pcie.startswith("Gen") else gpu.pcie
