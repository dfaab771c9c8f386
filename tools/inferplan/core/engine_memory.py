"""What vLLM really does with a GPU: weights per rank, activation peak, graphs, and the KV pool that is left.

The rules are read off published logs of vLLM 0.11 to 0.28 on H100, A100, L4 and RTX cards. Per-rank figures are
for the busiest rank. How the cache is cut into blocks is in `kv_blocks`; what the rules miss is said at each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from inferplan.core.architecture import Architecture, Attention, ExpertFfn, LayerGroup, Model, count, layer_params
from inferplan.core.attention import Cached, Latent
from inferplan.core.hardware import Gpu
from inferplan.core.kv_blocks import Blocks, cut, not_modelled
from inferplan.core.memory import HALF_BYTES, WeightBytes, cached_parts, vision_bytes, weights
from inferplan.core.parallelism import Layout, stage_ranges
from inferplan.core.precision import BITS_PER_BYTE, Precision
from inferplan.core.units import GIB, MIB

ROPE_BYTES = 2
PADDED_COLUMNS = 256
"""What vLLM's MXFP4 kernels pad the expert width of a rank to."""
LARGE_GPU = 70 * GIB
"""From this memory on (A100 excepted) vLLM's API server batches 8,192 tokens and 1,024 sequences by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """vLLM 0.`version` and the settings that decide its memory; prefix caching keeps a second copy of states."""

    version: int
    memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    cuda_graphs: bool = True
    prefix_caching: bool = True


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

    Attention is sharded by heads (KV heads are replicated once there are more ranks than KV heads, what makes
    latents always), feed-forward blocks by columns, embedding, lookup tables and head by vocabulary; norms, router
    and the RoPE table are on every rank. The first stage also holds the embedding and the vision tower, the last
    one the head. Latent attention keeps 16-bit copies of its up-projection. On top comes what the allocator rounds
    up.

    Limits: layers that predict further tokens are not loaded; of MXFP4 experts the columns are padded, which leaves
    gpt-oss 4 % short on two ranks.
    """
    architecture, parts = model.architecture, weights(model, precision)
    rope = architecture.max_positions * architecture.rope_tables * architecture.rope_dim * ROPE_BYTES
    first = (parts.embedding + parts.lookup + vision_bytes(model)) / layout.tp
    head = parts.output_head / layout.tp
    if layout.pp == 1:
        extra = _rounding(model, precision, layout.tp) + _absorbed(architecture, layout.tp)
        return _layer_weights(model, parts, precision, layout.tp) + extra + first + head + rope
    stages = _stage_weights(model, precision, layout)
    stages[0] += first
    stages[-1] += head or parts.embedding / layout.tp
    return max(stages) + rope


def _stage_weights(model: Model, precision: Precision, layout: Layout) -> list[float]:
    """The bytes of the layers of each stage on one rank, kind by kind in the order of the forward pass. [B]"""
    architecture = model.architecture
    one = [_group_weights(model, precision, group, layout.tp) for group in architecture.groups]
    layers = [one[kind] for kind in architecture.sequence]
    return [sum(layers[start - 1 : end]) for start, end in stage_ranges(len(layers), layout.pp)]


def _group_weights(model: Model, precision: Precision, group: LayerGroup, tp: int) -> float:
    """One layer of a kind on one of `tp` ranks: as large a part of each class as its parameters are. [B]"""
    architecture, stored = model.architecture, weights(model, precision)
    parts, hidden = count(architecture), architecture.hidden
    own: dict[str, float] = {}
    for name, params in layer_params(hidden, group):
        own[name] = own.get(name, 0) + params
    mixing = sum(mixer.params(hidden) * mixer.share(hidden, tp) for mixer in group.mixers)
    ffn = own.get("dense_ffn", 0) + own.get("shared_experts", 0)
    latents = (mixer for mixer in group.mixers if isinstance(mixer, Latent))
    return (
        _part(stored.attention, mixing, parts.attention + parts.linear_attention)
        + _part(stored.ffn, ffn, parts.dense_ffn + parts.shared_experts) / tp
        + _part(stored.routed_experts, own.get("routed_experts", 0), parts.routed_experts)
        * (_expert_padding(model, precision, tp) / tp)
        + stored.replicated / architecture.layers
        + _group_rounding(hidden, group, precision, tp)
        + sum(mixer.absorbed_params(tp) * HALF_BYTES for mixer in latents)
    )


def _part(stored: float, params: float, whole: float) -> float:
    """stored × params / whole: the bytes of some parameters of a class. [B]"""
    return stored * params / whole if whole else 0.0


def _layer_weights(model: Model, parts: WeightBytes, precision: Precision, tp: int) -> float:
    """The bytes of all layers on one of `tp` ranks. [B]"""
    hidden, mixers = model.architecture.hidden, list(model.architecture.mixers)
    whole = sum(layers * mixer.params(hidden) for layers, mixer in mixers)
    held = sum(layers * mixer.params(hidden) * mixer.share(hidden, tp) for layers, mixer in mixers)
    experts = parts.routed_experts * _expert_padding(model, precision, tp)
    return parts.attention * (held / whole) + (parts.ffn + experts) / tp + parts.replicated


def _expert_padding(model: Model, precision: Precision, tp: int) -> float:
    """⌈columns / 256⌉ × 256 / columns of a rank's experts in MXFP4 (gpt-oss: 3,072 for 2,880), else 1."""
    experts = model.architecture.experts
    if experts is None or precision.id != "mxfp4":
        return 1.0
    columns = experts.intermediate / tp
    return ceil(columns / PADDED_COLUMNS) * PADDED_COLUMNS / columns


def _absorbed(architecture: Architecture, tp: int) -> float:
    """What latent attention keeps of its up-projection in 16 bit, to work on latents directly. [B]

    Source: vLLM V1, `MLACommonImpl.process_weights_after_loading` (W_UK_T and W_UV).
    """
    latents = ((layers, mixer) for layers, mixer in architecture.mixers if isinstance(mixer, Latent))
    return sum(layers * mixer.absorbed_params(tp) * HALF_BYTES for layers, mixer in latents)


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
    architecture = model.architecture
    return sum(
        group.count * _group_rounding(architecture.hidden, group, precision, tp) for group in architecture.groups
    )


def _group_rounding(hidden: int, group: LayerGroup, precision: Precision, tp: int) -> float:
    """What the allocator adds to the matrices of one layer. [B]"""
    size = precision.nominal_bits / BITS_PER_BYTE
    return sum(allocated(params * size) - params * size for params in _rank_matrices(hidden, group, tp))


def _rank_matrices(hidden: int, group: LayerGroup, tp: int) -> Iterator[float]:
    """The fused matrices of one layer on one rank: query-key-value, output, gate-up, down. [parameters]

    Limits: of recurrent and latent mixers the output matrix only.
    """
    for mixer in group.mixers:
        if isinstance(mixer, Attention):
            query, kv = mixer.query_width / tp, mixer.head_dim * max(1.0, mixer.kv_heads / tp)
            gate = query if mixer.output_gate else 0
            yield hidden * (query + gate + 2 * kv)
        if isinstance(mixer, Attention | Latent):
            yield hidden * mixer.output_width / tp
    ffn = group.ffn
    if isinstance(ffn, ExpertFfn):
        blocks = ((ffn.experts, ffn.intermediate), (1, ffn.shared_intermediate), (1, ffn.dense_intermediate))
    else:
        blocks = ((1, ffn.intermediate),) if ffn else ()
    for copies, width in blocks:
        yield copies * hidden * width / tp * (2 if ffn and ffn.gated else 1)
        yield copies * hidden * width / tp


def activation_peak(architecture: Architecture, engine: Engine, *, tp: int, workspace: bool = True) -> float:
    """max(forward, sampler) of vLLM's profile run, plus the expert workspace. [B]

    It follows batched tokens, widths, vocabulary and the sampler's kernel, not weights or KV cache. MXFP4 kernels
    keep no `workspace`.

    Source: published logs; within 0.04 GiB on average of 76 measured peaks.
    """
    hidden = architecture.hidden
    forward = max(_forward_peak(hidden, group, engine, tp=tp) for group in architecture.groups)
    kept = max(_expert_workspace(hidden, group, engine, tp=tp) for group in architecture.groups) if workspace else 0
    return max(forward, _sampler_peak(architecture, engine)) + kept


def _forward_peak(hidden: int, group: LayerGroup, engine: Engine, *, tp: int) -> float:
    """2 B × T × (3 × intermediate / tp + 4 × hidden) where gated (2 × where not), shared width for experts. [B]"""
    ffn = group.ffn
    widths = (3 if ffn.gated else 2) * ffn.dense_width / tp if ffn else 0
    return 2 * engine.max_num_batched_tokens * (widths + 4 * hidden)


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
        activation=activation_peak(model.architecture, engine, tp=layout.tp, workspace=precision.id != "mxfp4"),
        non_torch=non_torch(engine, layout),
        graphs=graph_memory(model.architecture, engine, layout) if inside else 0.0,
        budget=engine.memory_utilization * gpu.engine_memory,
    )


def rank_kv_bytes_per_token(architecture: Architecture, layout: Layout, *, kv_bits: float) -> float:
    """What one more token takes on one rank: heads of its shard, at least one, or whole latents, in its stage. [B]

    Source: vLLM, `AttentionSpec.real_page_size_bytes` with `get_num_kv_heads(parallel_config)`.
    """
    counts: dict[Cached, int] = {}
    for layers, part in cached_parts(architecture):
        counts[part] = counts.get(part, 0) + layers
    endless = ((ceil(layers / layout.pp), part) for part, layers in counts.items() if part.window is None)
    elements = sum(layers * part.on_rank(layout.tp) / part.compress for layers, part in endless)
    return elements * kv_bits / BITS_PER_BYTE


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What one replica holds: KV cache tokens as vLLM counts them, and sessions of a given context.

    Where the cache of a family is `not_modelled`, that says why, and nothing fits as far as is known.
    """

    memory: RankMemory
    tokens: int
    sessions: int
    concurrency: float = 0.0
    not_modelled: str | None = None

    @property
    def fits(self) -> bool:
        """Whether the engine starts and can hold at least one session."""
        return self.sessions >= 1


def capacity(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> Capacity:
    """KV blocks in the pool, and how many sessions of `context` tokens they hold at once.

    Each session takes whole blocks, ⌈context / 16⌉ where every layer keeps every token; the engine runs at most
    `max_num_seqs` of them.
    """
    memory = rank_memory(model, precision, gpu, layout, engine)
    reason = cache_not_modelled(model, engine.version)
    if reason:
        return Capacity(memory=memory, tokens=0, sessions=0, not_modelled=reason)
    blocks = _cut(model, layout, kv_bits, engine.max_num_batched_tokens, engine.prefix_caching)
    number, each = max(0, int(memory.pool // blocks.block_bytes)), blocks.per_sequence(context)
    return Capacity(
        memory=memory,
        tokens=blocks.printed(number, context=context, version=engine.version),
        sessions=min(number // each, engine.max_num_seqs),
        concurrency=number / each,
    )


@lru_cache(maxsize=1024)
def cache_not_modelled(model: Model, version: int) -> str | None:
    """Why vLLM 0.`version`'s cache of this model is not computed here, None where it is; remembered by model."""
    return not_modelled(model.architecture, version=version)


@lru_cache(maxsize=4096)
def _cut(model: Model, layout: Layout, kv_bits: float, batched_tokens: int, prefix_caching: bool) -> Blocks:  # noqa: FBT001 - a remembered function takes what it is remembered by
    """The cut of a model's cache, remembered by model and layout."""
    return cut(
        model.architecture, layout, kv_bits=kv_bits, batched_tokens=batched_tokens, prefix_caching=prefix_caching
    )


def default_kv_bits(model: Model, precision: Precision) -> float:
    """What the cache is stored in unless said otherwise. [bits]

    The guide's element for a size class; for a checkpoint the engine's default, which is the model's 16-bit type.
    """
    return precision.kv_bits if model.is_size_class else 16
