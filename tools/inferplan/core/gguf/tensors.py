"""The tensors of one layer as GGUF files hold them: what each does, its parameters, and the length of its rows.

Source: llama.cpp of llama-cpp-python 0.3.36, conversion/ and gguf-py (names and shapes of tensors); held against its
`llama-quantize --dry-run` by tests/conformance/in_llamacpp.py.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inferplan.core.architecture import DenseFfn, ExpertFfn, LayerGroup, Mixer
from inferplan.core.gguf.mixes import Role
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta, KimiDelta, Mamba1, Mamba2, ShortConv
from inferplan.core.parameters import layer_params


class Tensor(NamedTuple):
    """A tensor, or several that are stored alike: `kind` is its class in `Parameters`, a row has `row` weights."""

    kind: str
    role: Role
    params: int
    row: int


Matrix = tuple[Role, int, int]
"""What a matrix does, its parameters, and the weights of a row."""


def layer_tensors(hidden: int, group: LayerGroup) -> Iterator[Tensor]:
    """The tensors of one layer, in llama.cpp's order of value and down projections; what is left is "plain".

    Their parameters are those of `parameters.layer_params`, class by class.
    """
    mixers = iter(group.mixers)
    for kind, params in layer_params(hidden, group):
        if kind in ("attention", "linear_attention"):
            matrices = _mixer(hidden, next(mixers))
        else:
            matrices = _block(hidden, group.ffn, kind)
        left = params
        for role, size, row in matrices:
            if size:
                left -= size
                yield Tensor(kind, role, size, row)
        if left:
            yield Tensor(kind, "plain", left, hidden)


def _mixer(hidden: int, mixer: Mixer) -> Sequence[Matrix]:
    """The matrices of what mixes tokens; of kinds that llama.cpp is not known to tell apart all in one."""
    match mixer:
        case Attention():
            return _latent(hidden, mixer.expands) if mixer.expands else _attention(hidden, mixer)
        case Latent():
            return _latent(hidden, mixer)
        case GatedDelta():
            return _gated_delta(hidden, mixer)
        case KimiDelta():
            return _kimi_delta(hidden, mixer)
        case _:
            return _scan(hidden, mixer)


def _scan(hidden: int, mixer: Mixer) -> Sequence[Matrix]:
    """Mamba and short convolutions: projections in and out, and between."""
    match mixer:
        case Mamba2():
            inner = hidden * (mixer.width + mixer.channels + mixer.heads)
            return [("other", inner, hidden), ("other", hidden * mixer.width, mixer.width)]
        case Mamba1():
            width, rank = mixer.width, mixer.step_rank
            inner = width * (rank + 2 * mixer.state_dim) + hidden * width
            return [("other", 2 * hidden * width, hidden), ("other", inner, width), ("other", rank * width, rank)]
        case ShortConv():
            return [("other", 3 * hidden * mixer.width, hidden), ("other", mixer.width * hidden, mixer.width)]
        case _:
            return [("other", mixer.params(hidden), hidden)]


def _gated_delta(hidden: int, one: GatedDelta) -> Sequence[Matrix]:
    """Query, key and value in one; gate, step size and decay; the output."""
    values = one.value_heads * one.value_dim
    gates = hidden * (values + 2 * one.value_heads)
    return [("value", hidden * one.channels, hidden), ("other", gates, hidden), ("other", hidden * values, values)]


def _attention(hidden: int, one: Attention) -> Sequence[Matrix]:
    """Query (with a gate per channel), key, value and output; fused projections count as values.

    What a form has less than this one, it has less of the query: Step 3 projects it through a latent.
    """
    query = hidden * one.query_width * (2 if one.output_gate else 1) + min(0, one.extra_params)
    key = 0 if one.reuses_cache else one.kv_width
    value = 0 if one.reuses_cache or one.value_is_key else one.value_width
    output: list[Matrix] = [("output", hidden * one.output_width, one.output_width)]
    rest = hidden * (one.heads if one.head_gate else 0) + max(0, one.extra_params)
    output.append(("other", rest, hidden))
    if one.fused:
        return [("value", query + hidden * (key + value), hidden), *output]
    parts: list[Matrix] = [("query", query, hidden), ("key", hidden * key, hidden)]
    return [*parts, ("value", hidden * value, hidden), *output]


def _latent(hidden: int, one: Latent) -> Sequence[Matrix]:
    """MLA: down- and up-projections are "other", those up split by key and value; so is what beyond has no name.

    Keys of heads go up in rows of `nope_dim`, transposed.
    """
    rank = one.query_rank
    query: list[Matrix] = [("query", hidden * one.query_width, hidden)]
    if rank:
        query = [("other", hidden * rank, hidden), ("other", rank * one.query_width, rank)]
    chosen: list[Matrix] = []
    if (indexer := one.indexer) and indexer.owned:
        queries = (rank or hidden) * indexer.heads * indexer.head_dim
        keys = hidden * (indexer.head_dim + indexer.heads) + indexer.extra_params
        chosen = [("other", queries, rank or hidden), ("other", keys, hidden)]
    gates = hidden * ((one.output_width if one.output_gate else 0) + (one.heads if one.head_gate else 0))
    return [
        *query,
        ("other", hidden * (one.kv_rank + one.rope_dim) + gates + one.extra_params, hidden),
        ("other", one.kv_rank * one.heads * one.nope_dim, one.nope_dim),
        ("other", one.kv_rank * one.output_width, one.kv_rank),
        ("output", one.output_width * hidden, one.output_width),
        *chosen,
    ]


def _kimi_delta(hidden: int, one: KimiDelta) -> Sequence[Matrix]:
    """Query, key, value, output; gate and decay, of low rank or whole; the step size."""
    width = one.heads * one.head_dim
    whole = sum((one.full_gate, one.full_decay))
    return [
        ("query", hidden * width, hidden),
        ("key", hidden * width, hidden),
        ("value", hidden * width, hidden),
        ("output", hidden * width, width),
        ("other", hidden * (whole * width + (2 - whole) * one.head_dim + one.heads), hidden),
        ("other", (2 - whole) * width * one.head_dim, one.head_dim),
    ]


def _block(hidden: int, ffn: DenseFfn | ExpertFfn | None, kind: str) -> Sequence[Matrix]:
    """The matrices of one class of a feed-forward block."""
    if isinstance(ffn, DenseFfn):
        blocks = {"dense_ffn": (1, hidden, ffn.intermediate)}
        extra = ffn.extra_params if kind == "dense_ffn" else 0
    elif ffn:
        routed = (ffn.experts, ffn.expert_hidden or hidden, ffn.intermediate)
        blocks = {"routed_experts": routed, "shared_experts": (1, hidden, ffn.shared_intermediate)}
        blocks["dense_ffn"] = (1, hidden, ffn.dense_intermediate)
        latent = 2 * hidden * ffn.expert_hidden + ffn.extra_latent_params if ffn.expert_hidden else 0
        extra = latent if kind == "shared_experts" else 0
    else:
        return []
    times, inner, width = blocks.get(kind, (0, 0, 0))
    wide = times * inner * width
    gate = wide if ffn.gated else 0
    return [("gate", gate, inner), ("up", wide, inner), ("down", wide, width), ("other", extra, hidden)]
