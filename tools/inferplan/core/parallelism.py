"""Legal layouts: which degrees an engine accepts, what each GPU then holds, and who talks to whom."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import ceil
from typing import Literal, NamedTuple

from inferplan.core.architecture import Architecture, Attention
from inferplan.core.attention import Latent
from inferplan.core.hardware import Gpu
from inferplan.core.rings import RINGS, Ring, ring_of

Strategy = Literal["none", "data", "tensor", "tensor+data", "tensor+pipeline", "tensor+pipeline+data"]
NETWORK = "InfiniBand"
"""What joins nodes, and GPUs of which neither a link nor the host's bus is known."""


class Layout(NamedTuple):
    """Tensor × pipeline × data parallel degrees. One replica takes tp × pp × attention_dp GPUs.

    With `attention_dp` tensor groups in a replica, attention, dense layers and KV cache are data-parallel over them,
    and the experts of a stage are spread over all their ranks: expert parallelism.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    attention_dp: int = 1

    @classmethod
    @lru_cache(maxsize=64)
    def tensor(cls, degree: int) -> "Layout":
        """One replica, split by tensor parallelism alone."""
        return cls(tp=degree)

    def times(self, copies: int) -> "Layout":
        """The replica so many times."""
        return Layout(tp=self.tp, pp=self.pp, dp=copies, attention_dp=self.attention_dp)

    @property
    def alone(self) -> "Layout":
        """One replica without the others."""
        return self if self.dp == 1 else self.times(1)

    @property
    def ranks(self) -> int:
        """GPUs of one stage."""
        return self.tp * self.attention_dp

    @property
    def ep(self) -> int:
        """Ranks that share out whole experts; 1 where each rank holds a slice of every expert.

        Whole experts over the ranks of one tensor group take the same memory and the same all-reduce as slices (vLLM
        dispatches nothing without data parallelism), so that these are not told apart.
        """
        return self.ranks if self.attention_dp > 1 else 1

    @property
    def group(self) -> int:
        """GPUs of a replica that keep the cache of one session: a tensor group in all its stages."""
        return self.tp * self.pp

    @property
    def data(self) -> int:
        """Groups of GPUs that take different requests: those of a replica, in all replicas."""
        return self.attention_dp * self.dp

    @property
    def replica(self) -> int:
        """GPUs that hold one copy of the model."""
        return self.ranks * self.pp

    @property
    def gpus(self) -> int:
        """GPUs in use."""
        return self.replica * self.dp

    @property
    def ways(self) -> int:
        """In how many ways a replica is split: tensors, stages, groups that share experts.

        >>> Layout(tp=8).ways, Layout(tp=4, pp=2, dp=3).ways, Layout(dp=2).ways
        (1, 2, 0)
        """
        return sum(degree > 1 for degree in (self.tp, self.pp, self.attention_dp))

    @property
    def strategy(self) -> Strategy:
        """What the guide calls this combination. Pipeline without tensor counts as the guide's rule 4."""
        if self.pp > 1:
            return "tensor+pipeline+data" if self.data > 1 else "tensor+pipeline"
        if self.tp > 1:
            return "tensor+data" if self.data > 1 else "tensor"
        return "data" if self.data > 1 else "none"


def tensor_degrees(architecture: Architecture, *, domain: int, block: int = 0) -> tuple[int, ...]:
    """The tensor-parallel degrees that an engine accepts within a domain (see `domain_size`), smallest first.

    Powers of two up to the domain that divide the attention heads and every feed-forward width, and that divide
    the KV heads or are a multiple of them (KV heads are then replicated). Where `block` inputs share a scale, what is
    sliced is cut into whole blocks: all that every token passes through; routed experts can be left whole.

    Source: vLLM, vllm/config/model.py, `verify_with_parallel_config`, and `QKVParallelLinear` (replication); pull
    requests 46392 and 53318 (groups of 8 over two and of 16 over four trays of a GB300 NVL72). Of blocks: vLLM 0.24 and
    0.28, `validate_fp8_block_shape`, and SGLang 0.5.23, `validate_block_quant_shapes` (both refuse the input of the
    output and down projections); SGLang, issue 3345 (18432 / 32 = 576 of DeepSeek-R1). Of groups of AWQ and GPTQ: vLLM
    0.28, auto_awq.py ("too large tensor parallel size"); Qwen2-VL-72B-Instruct-GPTQ-Int8 was padded for it.

    >>> from inferplan.core.architecture import Attention, DenseFfn, LayerGroup
    >>> qwen = Attention(heads=28, kv_heads=4, head_dim=128)
    >>> group = LayerGroup(count=28, attention=qwen, ffn=DenseFfn(intermediate=18944))
    >>> tensor_degrees(Architecture(hidden=3584, vocab=152064, groups=(group,), max_positions=32768), domain=8)
    (1, 2, 4)
    """
    powers, sliced = (2**n for n in range(domain.bit_length())), set(_sliced(architecture)) if block else set[int]()
    accepted = (tp for tp in powers if tp <= domain and all(_divides(tp, architecture)))
    return tuple(tp for tp in accepted if tp == 1 or all(width % (tp * block) == 0 for width in sliced))


def _divides(tp: int, architecture: Architecture) -> Iterator[bool]:
    """Whether `tp` cuts each layer group into whole heads and equal columns."""
    for group in architecture.groups:
        for mixer in group.mixers:
            yield mixer.heads % tp == 0
            if isinstance(mixer, Attention):
                yield mixer.kv_heads % tp == 0 or tp % mixer.kv_heads == 0
        if group.ffn is not None:
            yield group.ffn.intermediate % tp == 0


def _sliced(architecture: Architecture) -> Iterator[int]:
    """The widths that a tensor group slices, but for routed experts. [elements]"""
    for group in architecture.groups:
        yield from (mixer.output_width for mixer in group.mixers if isinstance(mixer, Attention | Latent))
        if group.ffn is not None:
            yield group.ffn.dense_width


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


@lru_cache(maxsize=1024)
def depths(layers: int, least: int = 1) -> tuple[int, ...]:
    """Numbers of pipeline stages worth having, from `least` on, smallest first.

    Of depths whose longest, first and last stages have as many layers, only the shallowest: the others take more GPUs
    for nothing. The ends count, as they hold the embedding and the output head beside their layers.

    >>> depths(8), depths(8, 3)
    ((1, 2, 3, 4, 5, 8), (3, 4, 5, 8))
    """
    return tuple(sorted({_lengths(layers, pp): pp for pp in range(layers, least - 1, -1)}.values()))


def _lengths(layers: int, pp: int) -> tuple[int, int, bool]:
    """Layers of the longest stage and of the last one, and whether the first one is longer (see `stage_ranges`)."""
    even, left = divmod(layers, pp)
    return ceil(layers / pp), even, left == pp - 1


def expert_share(layout: Layout, experts: int) -> float:
    """⌈experts / ep⌉ / experts with expert parallelism, else 1 / tp: what the busiest rank holds. [fraction]

    Uneven counts are legal: the first ranks hold one expert more.

    Source: vLLM, vllm/model_executor/layers/fused_moe, `determine_expert_map`, and `FusedMoEParallelConfig.make` (no
    expert is sliced where experts are spread).

    >>> expert_share(Layout(attention_dp=8), 256), expert_share(Layout(attention_dp=24), 256) * 256
    (0.125, 11.0)
    """
    return 1 / layout.tp if layout.ep == 1 else ceil(experts / layout.ep) / experts


def shared_share(layout: Layout) -> float:
    """1 / tp of the shared experts; all of them where tensor groups exchange tokens: each rank has its own tokens.

    Source: vLLM, vllm/config/parallel.py, `use_sequence_parallel_moe`.
    """
    return 1 / layout.tp if layout.ep == 1 else 1.0


def expert_ranges(experts: int, ranks: int) -> tuple[range, ...]:
    """The experts of each rank, counted from 0: as even as they allow, one more on the first ranks.

    Source: vLLM, `determine_expert_map` with linear placement, its default.

    >>> expert_ranges(256, 3)
    (range(0, 86), range(86, 171), range(171, 256))
    """
    even, more = divmod(experts, ranks)
    ends = list(accumulate(even + (rank < more) for rank in range(ranks)))
    return tuple(range(first, end) for first, end in zip([0, *ends], ends, strict=False))


def sharing_degrees(experts: int, *, tp: int, domain: int, most: int) -> list[int]:
    """How many tensor groups may share experts: powers of two within a fast-link domain, equal parts of it; several.

    Parts leave no GPU of a rack of 72 over: 3 times 24 ranks, where 4 times 16 leave 8. In those, and beyond a domain,
    each rank has as many experts, so that 256 are not shared by 24 ranks; beyond it each domain has as many ranks: all
    that it has room for, or the power of two below, as 64 of a rack of 72. No more ranks than experts; of more GPUs
    than `most` they are left out, and none is added for these.

    Limits: copies of experts that would make their number divisible are not looked at.
    Source: DeepEP, csrc/deep_ep.cpp, `low_latency_dispatch`: num_experts % num_ranks == 0.

    >>> sharing_degrees(256, tp=1, domain=8, most=64), sharing_degrees(384, tp=8, domain=8, most=64)
    ([2, 4, 8, 16, 32, 64], [2, 3, 4, 6, 8])
    >>> sharing_degrees(384, tp=8, domain=72, most=72)
    [2, 3, 4, 8, 9]
    """
    most, whole = min(most, experts) // tp, domain // tp
    within = [2**n for n in range(whole.bit_length())]
    each = {whole, *within[-1:]} - {0}
    parts = (groups for groups in range(2, whole) if whole % groups == 0)
    beyond = (groups for one in each for groups in range(2 * one, most + 1, one))
    even = (groups for groups in (*parts, *beyond) if experts % (groups * tp) == 0)
    return sorted(groups for groups in {*within, whole, *even} if 1 < groups <= most)


def idle_stages(pp: int, batches: int) -> float:
    """1 - min(batches, pp) / pp: stages that wait in steady decode with so many batches in flight. [fraction]

    >>> idle_stages(4, 1), idle_stages(4, 64)
    (0.75, 0.0)
    """
    return 1 - min(batches, pp) / pp


def pipeline_bubble(pp: int, microbatches: int) -> float:
    """(pp - 1) / (microbatches + pp - 1): the time that a stage waits for its neighbours. [fraction]

    Source: Huang et al., GPipe, arXiv 1811.06965, section 2.3. It is what filling and draining costs a burst, such as
    the steps of one prompt; for steady decode see `idle_stages`.

    >>> pipeline_bubble(2, 8), pipeline_bubble(1, 1)
    (0.1111111111111111, 0.0)
    """
    return (pp - 1) / (microbatches + pp - 1)


def replica_layouts(architecture: Architecture, *, degrees: Sequence[int]) -> Iterator[Layout]:
    """Every legal layout of one replica, in the order in which the guide's rules try them.

    One GPU; then tensor parallelism, smallest of the legal `degrees` first; then the widest tensor
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
    """⌈pp × attention_dp × dp / ⌊node_size / tp⌋⌉, or ⌈tp / node_size⌉ for each of wider tensor groups. [nodes]

    Tensor groups straddle no nodes, or as few as they can; pipelines and groups that share experts may.

    >>> nodes(Layout(tp=8, pp=2, dp=2), node_size=8), nodes(Layout(tp=2, pp=3, dp=4), node_size=8)
    (4, 3)
    >>> nodes(Layout(tp=8, dp=2), node_size=4)
    4
    """
    groups = layout.pp * layout.attention_dp * layout.dp
    return ceil(groups / groups_per_node(layout, node_size=node_size)) * nodes_per_group(layout, node_size=node_size)


def is_even(layout: Layout, *, node_size: int) -> bool:
    """Whether all nodes of a replica have as many of its stages, or all stages as many nodes.

    >>> [is_even(Layout(tp=4, pp=pp), node_size=8) for pp in (2, 3, 4, 5)], is_even(Layout(tp=8, pp=2), node_size=4)
    ([True, False, True, False], True)
    """
    servers = nodes(layout.alone, node_size=node_size)
    return layout.pp % servers == 0 or servers % layout.pp == 0


def nodes_per_group(layout: Layout, *, node_size: int) -> int:
    """⌈tp / node_size⌉: nodes that one tensor group takes, or shares with others. [nodes]"""
    return ceil(layout.tp / node_size)


def groups_per_node(layout: Layout, *, node_size: int) -> int:
    """⌊node_size / tp⌋, at least 1: tensor groups in the nodes that one takes. [tensor groups]"""
    return max(1, node_size // layout.tp)


def groups_per_domain(layout: Layout, *, node_size: int, domain: int) -> int:
    """⌊domain / nodes of a group⌋ × groups there: whole tensor groups that talk without the network. [tensor groups]

    >>> [groups_per_domain(Layout(tp=tp), node_size=4, domain=72) for tp in (2, 8, 16, 64)]
    [36, 9, 4, 1]
    """
    taken = nodes_per_group(layout, node_size=node_size) * node_size
    return max(1, domain // taken) * groups_per_node(layout, node_size=node_size)


def first_gpu(layout: Layout, *, replica: int, stage: int, node_size: int, domain: int, group: int = 0) -> int:
    """The number, from 0, of the first GPU of a tensor group of a stage: groups are placed one after the other.

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Fabric:
    """What joins the GPUs of a layout; `exchange` those that share experts. Bandwidths are one way, per GPU. [B/s]

    Any of the links may be the host's bus, `bus_link`. An exchange is `wide` where it leaves the domain of the fast
    link; its bandwidth then counts what stays inside. Small collectives take what the `ring` does.
    """

    tensor_link: str
    tensor_bandwidth: float
    stage_link: str
    stage_bandwidth: float
    exchange_link: str = ""
    exchange_bandwidth: float = 0.0
    wide: bool = False
    bus_link: str = ""
    ring: Ring = RINGS["Hopper"]


@lru_cache(maxsize=1024)
def fabric(gpu: Gpu, layout: Layout, *, node_size: int, network: float) -> Fabric:
    """The links that this layout uses: the scale-up link where it joins the tensor group, else the host's bus.

    Stages that lie in one domain talk over the same links; where a replica reaches into another domain, all of them
    are counted over the network. Of an exchange among N ranks, 1 - those in a domain / N leaves it.
    """
    scale_up = gpu.link is not None and gpu.link_bandwidth is not None and layout.tp <= gpu.link_span
    bus = gpu.pcie_bandwidth or network
    tensor = (gpu.link_among(layout.tp) if scale_up else None) or bus
    stage = (gpu.link_among(2) if scale_up else None) or bus
    name = gpu.link if scale_up and gpu.link else _bus_name(gpu) or NETWORK
    domain = domain_size(gpu, node_size=node_size)
    slots = groups_per_domain(layout, node_size=node_size, domain=domain)
    groups = layout.pp * layout.attention_dp
    across = groups > slots or (slots % groups > 0 and groups * layout.dp > slots)
    leaving = max(0.0, 1 - slots * layout.tp / layout.ranks)
    close = scale_up and layout.ranks <= gpu.link_span
    near = (gpu.link_among(layout.ranks) if close else None) or bus
    return Fabric(
        tensor_link=name,
        tensor_bandwidth=tensor,
        stage_link=NETWORK if across else name,
        stage_bandwidth=network if across else stage,
        exchange_link=NETWORK if leaving else name if close else _bus_name(gpu) or NETWORK,
        exchange_bandwidth=network / leaving if leaving else near,
        wide=leaving > 0,
        bus_link=_bus_name(gpu),
        ring=ring_of(gpu.architecture),
    )


def domain_size(gpu: Gpu, *, node_size: int) -> int:
    """GPUs that talk without the network: those of a node, or of the whole nodes that a scale-up link joins. [GPUs]"""
    return max(node_size, gpu.link_span // node_size * node_size) if gpu.joins_nodes else node_size


def is_wide(gpu: Gpu, layout: Layout) -> bool:
    """Whether the ranks that share experts reach beyond what talks without the network, in the usual node."""
    return layout.ep > domain_size(gpu, node_size=gpu.node_size)


def _bus_name(gpu: Gpu) -> str:
    """`PCIe Gen5 x16`; empty where the host's bus is not known."""
    if gpu.pcie is None or gpu.pcie_bandwidth is None:
        return ""
    return f"PCIe {gpu.pcie}" if gpu.pcie.startswith("Gen") else gpu.pcie
