"""Legal layouts: which tensor, pipeline, data and expert parallel degrees an engine accepts, and what each splits."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from math import ceil
from typing import Literal, NamedTuple

from inferplan.core.architecture import Architecture
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent

Strategy = Literal[
    "none", "data", "tensor", "tensor+data", "pipeline", "pipeline+data", "tensor+pipeline", "tensor+pipeline+data"
]


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
        """So many copies of the replica."""
        return Layout(tp=self.tp, pp=self.pp, dp=copies, attention_dp=self.attention_dp)

    @property
    def alone(self) -> "Layout":
        """A single replica of this layout."""
        return self if self.dp == 1 else self.times(1)

    @property
    def ranks(self) -> int:
        """GPUs of one stage."""
        return self.tp * self.attention_dp

    @property
    def ep(self) -> int:
        """The expert-parallel degree: ranks that each hold whole experts; 1 where each holds a slice of every expert.

        Expert parallelism within one tensor group takes the same memory and the same all-reduce as slices (vLLM
        dispatches no tokens without data parallelism): it counts as 1.
        """
        return self.ranks if self.attention_dp > 1 else 1

    @property
    def group(self) -> int:
        """GPUs that hold the KV cache of one session: a tensor group in each of its stages."""
        return self.tp * self.pp

    @property
    def data(self) -> int:
        """Data-parallel groups that serve different requests: those of all replicas."""
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
        """Kinds of parallelism within a replica: tensor, pipeline, data-parallel attention.

        >>> Layout(tp=8).ways, Layout(tp=4, pp=2, dp=3).ways, Layout(dp=2).ways
        (1, 2, 0)
        """
        return sum(degree > 1 for degree in (self.tp, self.pp, self.attention_dp))

    @property
    def strategy(self) -> Strategy:
        """The guide's name for this combination; of a pipeline without tensor parallelism, which it has not, alike."""
        if self.pp > 1 and self.tp > 1:
            return "tensor+pipeline+data" if self.data > 1 else "tensor+pipeline"
        if self.pp > 1:
            return "pipeline+data" if self.data > 1 else "pipeline"
        if self.tp > 1:
            return "tensor+data" if self.data > 1 else "tensor"
        return "data" if self.data > 1 else "none"


def tensor_degrees(architecture: Architecture, *, domain: int, block: int = 0) -> tuple[int, ...]:
    """The tensor-parallel degrees that an engine accepts within a domain (see `placement.domain_size`), ascending.

    Powers of two up to the domain that divide the attention heads and every feed-forward width, and that divide
    the KV heads or are a multiple of them (KV heads are then replicated). Where `block` weights share a scale, slices
    of attention and dense blocks must be whole blocks; routed experts need not, as ranks can hold whole experts.

    Source: vLLM, vllm/config/model.py, `verify_with_parallel_config`, and `QKVParallelLinear` (replication); pull
    requests 46392 and 53318 (groups of 8 over two and of 16 over four trays of a GB300 NVL72). Of blocks: vLLM 0.24 and
    0.28, `validate_fp8_block_shape`, and SGLang 0.5.23, `validate_block_quant_shapes` (both refuse the input of the
    output and down projections); SGLang, issue 3345 (18432 / 32 = 576 of DeepSeek-R1). Of groups of AWQ and GPTQ: vLLM
    0.28, auto_awq.py ("too large tensor parallel size"); Qwen2-VL-72B-Instruct-GPTQ-Int8 was padded for it.

    >>> from inferplan.core.architecture import DenseFfn, LayerGroup
    >>> from inferplan.core.layers.attention import Attention
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
    """The widths that tensor parallelism slices, except those of routed experts. [elements]"""
    for group in architecture.groups:
        yield from (mixer.output_width for mixer in group.mixers if isinstance(mixer, Attention | Latent))
        if group.ffn is not None:
            yield group.ffn.dense_width


def stage_ranges(layers: int, pp: int, *, last_longer: bool = False) -> tuple[tuple[int, int], ...]:
    """First and last layer of each pipeline stage, counted from 1: as even as the layers allow.

    Remaining layers go to the stages before the last one, from the back, as the last also holds the output head and
    the first the embedding. Up to vLLM 0.7 they all went to the last (`last_longer`).

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
    """Pipeline depths worth trying, from `least` stages on, ascending.

    Of depths whose longest, first and last stages have equally many layers, only the shallowest: deeper ones take more
    GPUs and save no memory. First and last stages count because they also hold the embedding and the output head.

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
    """1 / tp of the shared experts; all of them under expert parallelism, where each rank computes its own tokens.

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
    """How many tensor groups may share experts (two or more), at most one rank per expert and `most` GPUs in all.

    Within a domain of `domain` GPUs: powers of two, and divisors of the domain, which leave no GPU of a rack of 72 idle
    (3 times 24 ranks; 4 times 16 would leave 8). Beyond it: multiples of whole domains, or of the largest power of two
    in one (64 of 72). Except for powers of two within a domain and the whole domain, all ranks must hold equally many
    experts: 24 ranks do not share 256.

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
    """1 - min(batches, pp) / pp: the share of stages that idle in steady decode with so many batches. [fraction]

    >>> idle_stages(4, 1), idle_stages(4, 64)
    (0.75, 0.0)
    """
    return 1 - min(batches, pp) / pp


def pipeline_bubble(pp: int, microbatches: int) -> float:
    """(pp - 1) / (microbatches + pp - 1): the share of time that a stage idles while a pipeline fills and drains.

    It applies to a burst, such as the chunks of one prompt; for steady decode see `idle_stages`. [fraction]

    Source: Huang et al., GPipe, arXiv 1811.06965, section 2.3.

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
