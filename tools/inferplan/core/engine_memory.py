"""What vLLM really does with a GPU: weights per rank, activation peak, graphs, and the KV pool that is left.

The rules are read off published logs of vLLM 0.11 to 0.28 on H100, A100, L4 and RTX cards. Per-rank figures are
for the busiest rank. They hold for models with plain attention (MHA, GQA, MQA); what they miss is said at each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from inferplan.core.architecture import Architecture, ExpertFfn, LayerGroup, Model
from inferplan.core.hardware import Gpu
from inferplan.core.memory import WeightBytes, weights
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.units import GIB, MIB

BLOCK_TOKENS = 16
"""Tokens in one KV cache block: vLLM's default block size."""
ROPE_BYTES = 2
LARGE_GPU = 70 * GIB
"""From this memory on (A100 excepted) vLLM's API server batches 8,192 tokens and 1,024 sequences by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """vLLM 0.`version` and the settings that decide its memory."""

    version: int
    memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    cuda_graphs: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class RankMemory:
    """The memory of the busiest GPU of a replica. [B]"""

    total: float
    weights: float
    activation: float
    non_torch: float
    graphs: float
    budget: float

    @property
    def pool(self) -> float:
        """What is left for the KV cache; negative where the engine refuses to start. [B]"""
        return self.budget - self.weights - self.activation - self.non_torch - self.graphs


def default_batching(gpu: Gpu) -> tuple[int, int]:
    """vLLM's default `max_num_batched_tokens` and `max_num_seqs` for its API server on this GPU.

    Source: vLLM, vllm/engine/arg_utils.py, `get_batch_defaults`: 8,192 and 1,024 from 70 GiB on, A100 excepted.
    """
    large = gpu.engine_memory >= LARGE_GPU and "a100" not in gpu.id
    return (8192, 1024) if large else (2048, 256)


def rank_weights(model: Model, precision: Precision, layout: Layout) -> float:
    """Weights on the busiest rank: the heaviest pipeline stage, sharded over the tensor group. [B]

    Attention is sharded by heads (KV heads are replicated once there are more ranks than KV heads), feed-forward
    blocks by columns, embedding and head by vocabulary; norms, router and the RoPE table are on every rank. The
    first stage also holds the embedding, the last one the head. On top comes what the allocator rounds up.

    Limits: models whose layers differ are spread evenly over the stages.
    """
    parts, layers = weights(model, precision), model.architecture.layers
    longest, shortest = ceil(layers / layout.pp), layers // layout.pp
    rope = model.architecture.max_positions * model.architecture.attention.head_dim * ROPE_BYTES
    layer = (_layer_weights(model.architecture, parts, layout.tp) + _rounding(model, precision, layout.tp)) / layers
    embedding, head = parts.embedding / layout.tp, parts.output_head / layout.tp
    if layout.pp == 1:
        return layers * layer + embedding + head + rope
    last = head or embedding
    return max(longest * layer + embedding, shortest * layer + last) + rope


def _layer_weights(architecture: Architecture, parts: WeightBytes, tp: int) -> float:
    """The bytes of all layers on one of `tp` ranks. [B]"""
    attention = architecture.attention
    share = 1 / tp
    if tp > attention.kv_heads:
        matrices = 2 * attention.query_width + 2 * attention.kv_width
        own = 2 * attention.query_width / tp + 2 * attention.head_dim
        share = own / matrices
    return parts.attention * share + (parts.ffn + parts.routed_experts) / tp + parts.replicated


def allocated(size: float) -> float:
    """What PyTorch's allocator takes for a tensor: from 10 MiB on, whole 2 MiB where at most 1 MiB is left over. [B]

    Source: PyTorch, c10/cuda/CUDACachingAllocator.cpp (a rest above 1 MiB is split off and used again); it accounts
    for the 0.06 GiB by which published logs of Qwen2.5-7B exceed parameters x 2 bytes.

    >>> [allocated(mebibytes * MIB) / MIB for mebibytes in (7, 12, 31.5, 24.5)]
    [7.0, 12.0, 32.0, 24.5]
    """
    whole = ceil(size / (2 * MIB)) * 2 * MIB
    return whole if size >= 10 * MIB and whole - size <= MIB else size


def _rounding(model: Model, precision: Precision, tp: int) -> float:
    """What the allocator adds to the matrices of all layers on one of `tp` ranks. [B]"""
    size = precision.nominal_bits / BITS_PER_BYTE
    hidden, groups = model.architecture.hidden, model.architecture.groups
    return sum(
        group.count * (allocated(params * size) - params * size)
        for group in groups
        for params in _rank_matrices(hidden, group, tp)
    )


def _rank_matrices(hidden: int, group: LayerGroup, tp: int) -> Iterator[float]:
    """The fused matrices of one layer on one rank: query-key-value, output, gate-up, down. [parameters]"""
    attention, ffn = group.attention, group.ffn
    query, kv = attention.query_width / tp, attention.head_dim * max(1.0, attention.kv_heads / tp)
    yield hidden * (query + 2 * kv)
    yield hidden * query
    copies, shared = (ffn.experts, ffn.shared_intermediate) if isinstance(ffn, ExpertFfn) else (1, 0)
    for count, width in ((copies, ffn.intermediate), (1, shared)):
        yield count * hidden * width / tp * (2 if ffn.gated else 1)
        yield count * hidden * width / tp


def activation_peak(architecture: Architecture, engine: Engine, *, tp: int) -> float:
    """max(forward, sampler) of vLLM's profile run, plus the expert workspace. [B]

    It follows batched tokens, widths, vocabulary and the sampler's kernel, not weights or KV cache.

    Source: published logs; within 0.04 GiB on average of 76 measured peaks.
    """
    hidden = architecture.hidden
    forward = max(_forward_peak(hidden, group, engine, tp=tp) for group in architecture.groups)
    workspace = max(_expert_workspace(hidden, group, engine, tp=tp) for group in architecture.groups)
    return max(forward, _sampler_peak(architecture, engine)) + workspace


def _forward_peak(hidden: int, group: LayerGroup, engine: Engine, *, tp: int) -> float:
    """2 B × T × (3 × intermediate / tp + 4 × hidden) where gated (2 × where not), shared width for experts. [B]"""
    ffn = group.ffn
    width = ffn.shared_intermediate if isinstance(ffn, ExpertFfn) else ffn.intermediate
    return 2 * engine.max_num_batched_tokens * ((3 if ffn.gated else 2) * width / tp + 4 * hidden)


def _expert_workspace(hidden: int, group: LayerGroup, engine: Engine, *, tp: int) -> float:
    """2 B × T × active × (hidden + max(2 × intermediate / tp, hidden)): it stays allocated for every step. [B]"""
    ffn = group.ffn
    if not isinstance(ffn, ExpertFfn):
        return 0.0
    return 2 * engine.max_num_batched_tokens * ffn.active * (hidden + max(2 * ffn.intermediate / tp, hidden))


def _sampler_peak(architecture: Architecture, engine: Engine) -> float:
    """s × max_num_seqs × vocabulary + 2 B × T × hidden, with s by sampler kernel. [B]

    s is 38.4 B up to 0.16 (a full sort), 14.75 B from 0.17 (Triton top-k/top-p), 11 B from 0.21 (FlashInfer; two
    logs only).
    """
    per_logit = 38.4 if engine.version <= 16 else 14.75 if engine.version <= 20 else 11.0
    logits = per_logit * engine.max_num_seqs * architecture.vocab
    return logits + 2 * engine.max_num_batched_tokens * architecture.hidden


def non_torch(engine: Engine, layout: Layout) -> float:
    """Library buffers inside the budget: NCCL and kernels' workspaces, by tensor degree and version. [B]

    Source: published logs on H100. Small cards show 0.03 to 0.09 GiB at tensor degree 1, PCIe pairs 0.25 GiB.
    """
    grown = engine.version >= 18
    stages = 0.07 if layout.pp > 1 else 0.0
    if layout.tp == 1:
        return (0.25 if grown else 0.13) * GIB + stages * GIB
    late = engine.version >= 19
    wide = 2.07 if layout.tp == 2 else 2.15
    return ((wide if late else 0.55) + stages) * GIB


def graph_memory(architecture: Architecture, engine: Engine, layout: Layout) -> float:
    """0.37 GiB + 0.016 GiB × layers on the rank: captured CUDA graphs at default sizes. [B]

    Source: 49 published runs of dense models on vLLM 0.19, mean error 0.08 GiB. MoE models take 0.3–1 GiB more.
    """
    if not engine.cuda_graphs:
        return 0.0
    return (0.37 + 0.016 * ceil(architecture.layers / layout.pp)) * GIB


@lru_cache(maxsize=8192)
def rank_memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes.

    Graphs are taken from the engine's budget from 0.21 on, and from the memory outside it before.
    """
    inside = engine.version >= 21
    return RankMemory(
        total=gpu.engine_memory,
        weights=rank_weights(model, precision, layout),
        activation=activation_peak(model.architecture, engine, tp=layout.tp),
        non_torch=non_torch(engine, layout),
        graphs=graph_memory(model.architecture, engine, layout) if inside else 0.0,
        budget=engine.memory_utilization * gpu.engine_memory,
    )


def rank_kv_bytes_per_token(architecture: Architecture, layout: Layout, *, kv_bits: float) -> float:
    """KV cache of one token on one rank: the heads of its shard, at least one, in the layers of its stage. [B]

    Source: vLLM, `AttentionSpec.real_page_size_bytes` with `get_num_kv_heads(parallel_config)`.
    """
    attention = architecture.attention
    heads = max(1, attention.kv_heads / layout.tp)
    stage = ceil(architecture.layers / layout.pp)
    return 2 * stage * heads * attention.head_dim * kv_bits / BITS_PER_BYTE


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What one replica holds: KV cache tokens in whole blocks, and sessions of a given context."""

    memory: RankMemory
    tokens: int
    sessions: int

    @property
    def fits(self) -> bool:
        """Whether the engine starts and can hold at least one session."""
        return self.sessions >= 1


def capacity(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> Capacity:
    """KV blocks in the pool, and how many sessions of `context` tokens they hold at once.

    Each session takes ⌈context / 16⌉ whole blocks; the engine runs at most `max_num_seqs` of them.
    """
    memory = rank_memory(model, precision, gpu, layout, engine)
    block = BLOCK_TOKENS * rank_kv_bytes_per_token(model.architecture, layout, kv_bits=kv_bits)
    blocks = max(0, int(memory.pool // block))
    sessions = min(blocks // ceil(context / BLOCK_TOKENS), engine.max_num_seqs)
    return Capacity(memory=memory, tokens=blocks * BLOCK_TOKENS, sessions=sessions)


def default_kv_bits(model: Model, precision: Precision) -> float:
    """What the cache is stored in unless said otherwise. [bits]

    The guide's element for a size class; for a checkpoint the engine's default, which is the model's 16-bit type.
    """
    return precision.kv_bits if model.is_size_class else 16


def longest_context(fits: Callable[[int], bool], *, limit: int) -> int:
    """The longest context, in whole blocks, for which `fits` holds; 0 where none does. [tokens]

    `fits` must be monotone: true up to some context, false beyond.

    >>> longest_context(lambda tokens: tokens <= 1000, limit=4096)
    992
    """
    low, high = 0, limit // BLOCK_TOKENS
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * BLOCK_TOKENS) else (low, middle - 1)
    return low * BLOCK_TOKENS
