"""The memory of LoRA adapters on a GPU: buffers that an engine allocates for all adapters of a batch at start-up.

For every matrix that can be adapted there is one tensor with the A (rank × inputs) and one with the B (outputs × rank)
of all adapters, in the type that the model runs in. Their size does not depend on how many adapters are loaded; further
adapters wait in the host's memory.

Compared with four published logs of vLLM 0.8 to 0.12: weights with buffers agree within 0.3 %, and the buffers of
experts by which two logs of Qwen3-Coder 30B on four GPUs differ, 27.0 GiB, exactly.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from inferplan.core.architecture import DenseFfn, ExpertFfn, LayerGroup, Mixer
from inferplan.core.engine import Engine
from inferplan.core.engines.allocator import allocated
from inferplan.core.engines.expert_slices import cuts_blocks, padded_experts
from inferplan.core.engines.rank_weights import at_stages
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.memory import HALF_BYTES
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout, shared_share, stage_ranges
from inferplan.core.precision import Precision

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM makes buffers for; an adapter of another rank takes the next. Source: `MaxLoRARanks`."""
FIRST_WITHOUT_VOCABULARY = 12
"""The first vLLM (0.12) whose adapters bring no tokens of their own."""
EXTRA_VOCABULARY = 256
"""Tokens that an adapter could add before: `lora_extra_vocab_size`."""
LARGEST_VOCABULARY = 258_048
"""The largest vocabulary whose output head vLLM adapts; with a larger one it does not start. [tokens]"""


class Call(NamedTuple):
    """The matrices that one call adapts: sizes of A and B of each, for one adapter of rank 1 on a GPU. [elements]

    Of all `experts` that the GPU holds where they are experts' matrices, else `experts` is 0.
    """

    pairs: tuple[tuple[float, float], ...]
    experts: int = 0


def buffer_rank(engine: Engine) -> int:
    """The rank that buffers are made for: as asked for in SGLang, the next of `RANKS` in vLLM.

    >>> buffer_rank(Engine(adapters=1, adapter_rank=24, max_num_seqs=1, max_num_batched_tokens=1))
    32
    """
    if engine.name != "vllm":
        return engine.adapter_rank
    return next((rank for rank in RANKS if rank >= engine.adapter_rank), RANKS[-1])


@lru_cache(maxsize=1024)
def adapter_stages(model: Model, precision: Precision, layout: Layout, engine: Engine) -> Sequence[float]:
    """Σ adapters × rank × (inputs + outputs) × element of all adapted matrices, on a GPU of each pipeline stage. [B]

    Matrices that tensor parallelism splits by outputs (query, key, value, gate, up) have B split and A whole; those
    split by inputs (output, down) A split and B whole. With `adapters_sharded` (--fully-sharded-loras) the other one is
    split as well, by rank or by outputs. Each expert has an adapter of its own. Adapters of router, projections to
    latents, and of embedding and head where the model's class adapts them, are whole on every GPU.

    Limits: not counted are adapters of an image encoder (an option of vLLM), the map from tokens to adapters (under
    10 MiB) and the buffer between A and B (4 B × 3 × batched tokens × rank). The router of GLM-4 MoE counts, though
    vLLM does not adapt it. SGLang has the buffers of all layers on every stage, and here none of embedding and head.
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
    """What is adapted in a layer of each group, on one GPU; `sharded` as by vLLM's --fully-sharded-loras."""
    shard = Layout(tp=layout.tp, attention_dp=layout.attention_dp)
    groups = model.architecture.groups
    return tuple(tuple(_layer(model, precision, group, shard, sharded=sharded)) for group in groups)


def _slot(precision: Precision, engine: Engine) -> float:
    """adapters × rank × element: what each input of a matrix takes in A, each output in B. [B]"""
    return engine.adapters * buffer_rank(engine) * precision.element_bytes


def _with_vocabulary(engine: Engine) -> int:
    """The adapters that may add tokens of their own to the vocabulary, 0 from vLLM 0.12 on."""
    return engine.adapters if engine.version < FIRST_WITHOUT_VOCABULARY else 0


def _ends(model: Model, slot: float, with_vocabulary: int) -> tuple[float, float]:
    """The buffers of the embedding, with vocabulary inputs and hidden outputs, and of the output head. [B]

    Each adapter `with_vocabulary` of its own has also the rows of its tokens in both.
    """
    architecture = model.architecture
    own = with_vocabulary * EXTRA_VOCABULARY * architecture.hidden * HALF_BYTES
    rows = architecture.vocab + (EXTRA_VOCABULARY if with_vocabulary else 0)
    embedding = allocated(slot * rows) + allocated(slot * architecture.hidden) + own
    head = allocated(slot * architecture.hidden) + allocated(slot * architecture.vocab) + own
    first, last = adapted_ends(model)
    return embedding if first else 0.0, head if last else 0.0


def adapted_ends(model: Model) -> tuple[bool, bool]:
    """Whether vLLM adapts the embedding, and whether the output head."""
    both = model.lora in ("ends", "joined")
    return both or model.lora == "embedding", both


def _layer(model: Model, precision: Precision, group: LayerGroup, shard: Layout, *, sharded: bool) -> Iterator[Call]:
    """The calls of one layer on one GPU; where `sharded`, the matrices that are else whole are cut into tp parts."""
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
    """One call for matrices with the same inputs, of all `experts` that the GPU holds, or of none."""
    held = max(1, experts)
    return Call(tuple([(held * inputs, held * width) for width in outputs]), experts)


def _latent(hidden: int, mixer: Latent, tp: int, cut: int) -> Iterator[Call]:
    """Projections to latents, whole on every GPU; from latents to heads; and the output projection."""
    if mixer.query_rank:
        yield _call(hidden, (mixer.query_rank,))
    yield _call(hidden, (mixer.kv_rank + mixer.rope_dim,))
    yield _call((mixer.query_rank or hidden) / cut, (mixer.query_width / tp,))
    yield _call(mixer.kv_rank / cut, (mixer.heads * (mixer.nope_dim + mixer.value_dim) / tp,))
    yield _call(mixer.output_width / tp, (hidden / cut,))


def _block(hidden: int, width: float, ffn: DenseFfn | ExpertFfn, cut: int, *, joined: bool) -> Iterator[Call]:
    """A feed-forward block of which the GPU holds `width` columns; nothing for 0."""
    if width:
        outputs = ((2 * width,) if joined else (width, width)) if ffn.gated else (width,)
        yield _call(hidden / cut, outputs)
        yield _call(width, (hidden / cut,))


def _experts(model: Model, precision: Precision, ffn: ExpertFfn, shard: Layout, *, sharded: bool) -> Iterator[Call]:
    """Routed experts, each with adapters of its own, padded as their kernels need; and the router.

    Gate and up of a `stacked` model share one A. Ranks of a tensor group hold whole experts where slices would end
    within a block that shares a scale.
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
    """Whether vLLM can shard all adapter matrices over `tp` ranks: tp divides the rank, and no expert stays whole.

    Source: vLLM 0.24 and 0.28, vllm/lora/layers/base_linear.py (`divide`) and fused_moe.py (`_verify_ep_fs`: no whole
    experts).
    """
    return buffer_rank(engine) % tp == 0 and not cuts_blocks(model, precision, tp)


def unknown(model: Model, engine: Engine) -> str | None:
    """Why the memory of this model's adapters in this engine is not known, as a clause; None where it is."""
    if engine.name not in ("vllm", "sglang"):
        return "only vLLM's and SGLang's are"
    if not model.lora:
        return "no source was read that says which of its layers take them"
    if not all(map(_is_known, (mixer for _, mixer in model.architecture.mixers))):
        return "those of its attention were not read in any source"
    return _unknown_to_sglang(model) if engine.name == "sglang" else _unknown_to_vllm(model, engine)


def _unknown_to_vllm(model: Model, engine: Engine) -> str | None:
    """`unknown` for what depends on vLLM."""
    if engine.version < FIRST_WITHOUT_VOCABULARY:
        return f"only those of vLLM 0.{FIRST_WITHOUT_VOCABULARY} and later are"
    if model.lora in ("ends", "joined") and model.architecture.vocab > LARGEST_VOCABULARY:
        return f"vLLM adapts no output head of more than {LARGEST_VOCABULARY:,} tokens"
    return None


def _unknown_to_sglang(model: Model) -> str | None:
    """`unknown` for what depends on SGLang."""
    if model.architecture.experts or model.lora == "joined" or model.architecture.has_latents:
        return "of SGLang only those of dense models with separate query, key and value are"
    return None


def _is_known(mixer: Mixer) -> bool:
    """Whether all its matrices are counted here: no indexer, no further gate, no keys of another layer."""
    if isinstance(mixer, Latent):
        return not (mixer.indexer or mixer.output_gate or mixer.head_gate)
    if not isinstance(mixer, Attention):
        return False
    odd = mixer.indexer or mixer.head_gate or mixer.cross or mixer.reuses_cache or mixer.value_is_key
    return not (odd or mixer.convolution_state)
