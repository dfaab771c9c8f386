"""Speculative decoding: what drafts tokens, its weights and its KV cache.

A draft is the model's own multi-token-prediction layers, or one further layer like its others, as EAGLE's heads are;
embedding and output head are the model's.

Compared with published logs: what SGLang loads for Qwen3.6 27B within 0.06 GiB (with copies, see `sglang_memory`), six
caches of vLLM within 0.05 %, pools of vLLM as in docs/EVIDENCE.md.

Limits: an EAGLE-3 head also mixes three hidden states and has a small output head (that of Llama 3.1 8B has 0.43B
parameters in all, where a layer has 0.22B): neither is counted. Drafted tokens take blocks of their own only with
recurrent states (see `kv_blocks`).
"""

from dataclasses import replace
from functools import lru_cache

from inferplan.core.architecture import Architecture
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.memory import HALF_BYTES, multi_token_bytes
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision


def draft_layers(model: Model) -> int:
    """The model's own prediction layers, or 1 where it has none. [layers]"""
    own = model.architecture.multi_token
    return own.layers if own else 1


def draft_share(model: Model) -> float:
    """Parameters of one drafting layer / those of all decoder layers. [fraction]"""
    own, parts = model.architecture.multi_token, model.parameters
    decoder = parts.linear + parts.router + parts.norms
    return own.params / own.layers / decoder if own else 1 / model.architecture.layers


def draft_bytes(model: Model, precision: Precision, layout: Layout) -> float:
    """Weights of the draft on one rank: the model's own layers in the checkpoint's format, another layer in 16 bit. [B]

    They are split over the tensor group, under expert parallelism over all ranks of a stage.

    Limits: they are on the last stage, which is taken to be the busiest.

    Source: vLLM, vllm/v1/spec_decode (`MTP` and `EAGLE` proposers load into the target's process); EAGLE-3 heads of
    Llama 3.3 70B are one layer in 16 bit.
    """
    parts, own = model.parameters, model.architecture.multi_token
    one = (parts.linear + parts.router + parts.norms) * draft_share(model) * HALF_BYTES
    return (multi_token_bytes(model, precision) if own else one) / (layout.tp if layout.ep == 1 else layout.ranks)


@lru_cache(maxsize=1024)
def with_draft(model: Model) -> Model:
    """The model with the drafting layers, for its KV cache: like its last layer that caches every token."""
    return replace(model, architecture=_longer(model.architecture, draft_layers(model)))


def _longer(architecture: Architecture, layers: int) -> Architecture:
    """The architecture with `layers` more of the last group that caches every token; unchanged where none does.

    With compressed keys a draft caches a window alone.
    Source: vLLM, vllm/models/deepseek_v4/attention.py, `compress_ratio`.
    """
    last = architecture.groups[architecture.sequence[-1]]
    if isinstance(last.attention, Compressed):
        window = replace(last.attention, compress=None, indexer=None)
        groups = (*architecture.groups, replace(last, count=layers, attention=window))
        order = (*architecture.sequence, *[len(architecture.groups)] * layers)
        return replace(architecture, groups=groups, order=order)
    kinds = [
        kind
        for kind in reversed(architecture.sequence)
        if any(part.window is None for mixer in architecture.groups[kind].mixers for part in mixer.cached)
    ]
    if not kinds:
        return architecture
    longer = list(architecture.groups)
    longer[kinds[0]] = replace(longer[kinds[0]], count=longer[kinds[0]].count + layers)
    return replace(architecture, groups=tuple(longer), order=(*architecture.sequence, *kinds[:1] * layers))
