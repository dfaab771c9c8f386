"""What LoRA adapters take of a GPU: buffers that the engine sets aside for each that a batch may hold at once.

For every matrix that can be adapted, all adapters share a tensor of their A (rank × inputs) and one of their B
(outputs × rank), in the type that the model runs in, zeros until an adapter is put there: they take the same room with
one adapter loaded as with all. Further adapters wait in the host's memory.

Held against four published logs of vLLM 0.8 to 0.12: weights with the buffers within 0.3 %, and the buffers of
experts that two logs of Qwen3-Coder 30B on four GPUs differ by, 27.0 GiB, exactly.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from inferplan.core.allocator import allocated
from inferplan.core.architecture import Attention, DenseFfn, ExpertFfn, LayerGroup, Mixer
from inferplan.core.attention import Latent
from inferplan.core.engine import Engine
from inferplan.core.expert_slices import cuts_blocks, padded_experts
from inferplan.core.memory import HALF_BYTES
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout, shared_share, stage_ranges
from inferplan.core.precision import Precision
from inferplan.core.rank_weights import at_stages

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM has room for: adapters of another one take that of the next. Source: `MaxLoRARanks`."""
FIRST_WITHOUT_VOCABULARY = 12
"""The first vLLM (0.12) whose adapters bring no tokens of their own."""
EXTRA_VOCABULARY = 256
"""Tokens that each adapter might bring before: `lora_extra_vocab_size`."""
LARGEST_VOCABULARY = 258_048
"""The largest vocabulary whose output head vLLM adapts; it refuses to start beyond. [tokens]"""


class Call(NamedTuple):
    """What engines adapt by one call: A and B of each matrix of it, of one adapter of rank 1 on a rank. [elements]

    Of so many `experts` that the rank holds, where each has its own; 0 where it is no experts'.
    """

    pairs: tuple[tuple[float, float], ...]
    experts: int = 0


def room(engine: Engine) -> int:
    """The rank that buffers are made for: as asked in SGLang, the next of `RANKS` in vLLM.

    >>> room(Engine(adapters=1, adapter_rank=24, max_num_seqs=1, max_num_batched_tokens=1))
    32
    """
    if engine.name != "vllm":
        return engine.adapter_rank
    return next((rank for rank in RANKS if rank >= engine.adapter_rank), RANKS[-1])


@lru_cache(maxsize=1024)
def adapter_stages(model: Model, precision: Precision, layout: Layout, engine: Engine) -> Sequence[float]:
    """Σ tensors of adapters × rank × inputs (A) and of adapters × outputs × rank (B), on a rank of each stage. [B]

    What is cut by outputs (query, key, value, gate, up) has its B cut too and its A whole, what is cut by inputs
    (output, down) its A cut and its B whole; `adapters_sharded` (--fully-sharded-loras) cuts the others as well, by
    rank and by outputs. Experts have an adapter each, router and projections to latents are whole on every rank.
    Embedding and head are whole on every rank too, where the class has them adapted.

    Limits: adapters of an image encoder, which vLLM has to be told of, the lists that say which token has which adapter
    (under 10 MiB) and what products of A wait in (4 B × 3 × batched tokens × rank) are not counted. The router of GLM-4
    MoE counts, though vLLM does not adapt it. SGLang has buffers of all layers on every pipeline stage, and here none
    for embedding and head.
    Source: vLLM 0.11.2, 0.24 and 0.28, vllm/lora/layers (`create_lora_weights`, `slice_lora_a`), lora/model_manager.py
    (`_create_lora_modules`); SGLang 0.5.23, srt/lora/mem_pool.py, `get_lora_A_shape` and `get_lora_B_shape`.
    """
    architecture, slot = model.architecture, _slot(precision, engine)
    one = [
        sum(allocated(slot * part) for call in calls for pair in call.pairs for part in pair)
        for calls in layer_calls(model, precision, layout, sharded=engine.adapters_sharded)
    ]
    layers = [one[kind] for kind in architecture.sequence]
    if engine.name == "sglang":
        return (sum(layers),) * layout.pp
    stages = [sum(layers[start - 1 : end]) for start, end in stage_ranges(len(layers), layout.pp)]
    ends = at_stages(*_ends(model, slot, _with_vocabulary(engine)), layout.pp, architecture.stage_copies)
    return tuple(stage + end for stage, end in zip(stages, ends, strict=True))


def layer_calls(
    model: Model, precision: Precision, layout: Layout, *, sharded: bool = False
) -> tuple[tuple[Call, ...], ...]:
    """What is adapted in a layer of each group, on one rank; `sharded` as vLLM's --fully-sharded-loras has it."""
    shard = Layout(tp=layout.tp, attention_dp=layout.attention_dp)
    groups = model.architecture.groups
    return tuple(tuple(_layer(model, precision, group, shard, sharded=sharded)) for group in groups)


def _slot(precision: Precision, engine: Engine) -> float:
    """adapters × rank × element: what one row or column of a matrix takes. [B]"""
    return engine.adapters * room(engine) * precision.element_bytes


def _with_vocabulary(engine: Engine) -> int:
    """Adapters that may bring tokens of their own."""
    return engine.adapters if engine.version < FIRST_WITHOUT_VOCABULARY else 0


def _ends(model: Model, slot: float, old: int) -> tuple[float, float]:
    """The buffers of the embedding, A for each token and B for each width, and of the output head. [B]"""
    architecture, own = model.architecture, old * EXTRA_VOCABULARY * model.architecture.hidden * HALF_BYTES
    rows = architecture.vocab + (EXTRA_VOCABULARY if old else 0)
    embedding = allocated(slot * rows) + allocated(slot * architecture.hidden) + own
    head = allocated(slot * architecture.hidden) + allocated(slot * architecture.vocab) + own
    first, last = adapted_ends(model)
    return embedding if first else 0.0, head if last else 0.0


def adapted_ends(model: Model) -> tuple[bool, bool]:
    """Whether the embedding is adapted, and the output head."""
    both = model.lora in ("ends", "joined")
    return both or model.lora == "embedding", both


def _layer(model: Model, precision: Precision, group: LayerGroup, shard: Layout, *, sharded: bool) -> Iterator[Call]:
    """What is adapted of one layer on one rank."""
    hidden, cut = model.architecture.hidden, shard.tp if sharded else 1
    joined = model.lora == "joined"
    for mixer in group.mixers:
        if isinstance(mixer, Attention):
            query, kv = mixer.query_width / shard.tp, max(1.0, mixer.kv_heads / shard.tp)
            outputs = (query * (1 + mixer.output_gate), kv * mixer.head_dim, kv * (mixer.value_dim or mixer.head_dim))
            yield _call(hidden / cut, (sum(outputs),) if joined else outputs)
            yield _call(mixer.output_width / shard.tp, (hidden / cut,))
        if isinstance(mixer, Latent):
            yield from _latent(hidden, mixer, shard.tp, cut)
    if isinstance(ffn := group.ffn, ExpertFfn):
        yield from _experts(model, precision, ffn, shard, sharded=sharded)
        yield from _block(hidden, ffn.shared_intermediate * shared_share(shard), ffn, cut, joined=False)
        yield from _block(hidden, ffn.dense_intermediate / shard.tp, ffn, cut, joined=False)
    elif ffn:
        yield from _block(hidden, ffn.intermediate / shard.tp, ffn, cut, joined=joined)


def _call(inputs: float, outputs: Sequence[float], experts: int = 0) -> Call:
    """One call for matrices of the same inputs; all of so many experts."""
    held = max(1, experts)
    return Call(tuple([(held * inputs, held * width) for width in outputs]), experts)


def _latent(hidden: int, mixer: Latent, tp: int, cut: int) -> Iterator[Call]:
    """Projections to latents, which are whole, and from them to heads."""
    if mixer.query_rank:
        yield _call(hidden, (mixer.query_rank,))
    yield _call(hidden, (mixer.kv_rank + mixer.rope_dim,))
    yield _call((mixer.query_rank or hidden) / cut, (mixer.query_width / tp,))
    yield _call(mixer.kv_rank / cut, (mixer.heads * (mixer.nope_dim + mixer.value_dim) / tp,))
    yield _call(mixer.output_width / tp, (hidden / cut,))


def _block(hidden: int, width: float, ffn: DenseFfn | ExpertFfn, cut: int, *, joined: bool) -> Iterator[Call]:
    """A feed-forward block of so many columns on the rank; nothing where there is none."""
    if width:
        outputs = ((2 * width,) if joined else (width, width)) if ffn.gated else (width,)
        yield _call(hidden / cut, outputs)
        yield _call(width, (hidden / cut,))


def _experts(model: Model, precision: Precision, ffn: ExpertFfn, shard: Layout, *, sharded: bool) -> Iterator[Call]:
    """Routed experts, each with its own adapter, as wide as their kernels take them; and the router.

    Where gate and up have one adapter (`stacked`), they share its A. Where slices would end within a block of scales,
    the ranks of a tensor group hold whole experts.
    """
    whole = shard.ep > 1 or cuts_blocks(model, precision, shard.tp)
    slices, ranks = (1, max(shard.ep, shard.tp)) if whole else (shard.tp, 1)
    held, cut = ceil(ffn.experts / ranks), slices if sharded else 1
    width, hidden = padded_experts(ffn.intermediate / slices, model.architecture.hidden, precision)
    gates = 2 if ffn.gated else 1
    yield _call(hidden / cut, (gates * width,) if model.lora == "stacked" else (width,) * gates, held)
    yield _call(width, (hidden / cut,), held)
    if ffn.gated:
        yield _call(model.architecture.hidden, (ffn.router_outputs or ffn.experts,))


def can_share_out(model: Model, precision: Precision, engine: Engine, tp: int) -> bool:
    """Whether so many ranks may share out all matrices of the adapters: where they cut rank and experts evenly.

    Source: vLLM 0.24 and 0.28, vllm/lora/layers/base_linear.py (`divide`) and fused_moe.py (`_verify_ep_fs`: no whole
    experts).
    """
    return room(engine) % tp == 0 and not cuts_blocks(model, precision, tp)


def unknown(model: Model, engine: Engine) -> str | None:
    """Why it is not known here what adapters of this model take in this engine, None where it is. A clause."""
    if engine.name not in ("vllm", "sglang"):
        return "only vLLM's and SGLang's are"
    if not model.lora:
        return "no source was read that says which of its layers take them"
    if not all(map(_is_known, (mixer for _, mixer in model.architecture.mixers))):
        return "those of its attention were not read in any source"
    return _unknown_to_sglang(model) if engine.name == "sglang" else _unknown_to_vllm(model, engine)


def _unknown_to_vllm(model: Model, engine: Engine) -> str | None:
    """The same of vLLM alone."""
    if engine.version < FIRST_WITHOUT_VOCABULARY:
        return f"only those of vLLM 0.{FIRST_WITHOUT_VOCABULARY} and later are"
    if model.lora in ("ends", "joined") and model.architecture.vocab > LARGEST_VOCABULARY:
        return f"vLLM adapts no output head of more than {LARGEST_VOCABULARY:,} tokens"
    return None


def _unknown_to_sglang(model: Model) -> str | None:
    """The same of SGLang alone."""
    if model.architecture.experts or model.lora == "joined" or model.architecture.has_latents:
        return "of SGLang only those of dense models with separate query, key and value are"
    return None


def _is_known(mixer: Mixer) -> bool:
    """Whether its matrices are those that are counted here: no indexer, no gate beside, no keys of other layers."""
    if isinstance(mixer, Latent):
        return not (mixer.indexer or mixer.output_gate or mixer.head_gate)
    if not isinstance(mixer, Attention):
        return False
    odd = mixer.indexer or mixer.head_gate or mixer.cross or mixer.reuses_cache or mixer.value_is_key
    return not (odd or mixer.convolution_state)
