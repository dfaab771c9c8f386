"""The arithmetic of a need for memory, line by line: weights, KV cache, total, and the engine's KV pool."""

from collections import Counter
from collections.abc import Iterator

from inferplan.core import memory
from inferplan.core.engines.vllm_defaults import is_compressed
from inferplan.core.units import GB, GIB
from inferplan.tools import _words as words
from inferplan.tools.serving.words_pool import pool_line
from inferplan.tools.sizing.need import Fit, Need


def formula(need: Need, here: Fit | None = None) -> Iterator[str]:
    """The lines of arithmetic: the planning total, and the engine's KV pool on the GPU asked for."""
    weights, cache = f"{need.weights / GB:,.1f}", f"{need.kv_cache / GB:,.1f}"
    yield f"weights    {_weights_line(need)} = {weights} GB"
    yield from _cache_lines(need)
    total = f"{need.total / GB:,.1f} GB = {need.total / GIB:,.1f} GiB"
    yield f"total      ({weights} + {cache}) GB x {1 + need.overhead_fraction:g} = {total}"
    if here is not None and not need.on.not_modelled:
        yield _pool_line(here)


def _pool_line(here: Fit) -> str:
    """The KV pool of the busiest GPU [GiB], and the tokens that the engine prints of a replica."""
    rank, layout = here.tightest.memory, here.tightest.layout
    return f"KV pool    {pool_line(here.on, layout, rank)}{_tokens(here)}"


def _tokens(here: Fit) -> str:
    """The pool in tokens, as the engine prints it; empty where it prints another number, or does not start."""
    on, layout = here.on, here.tightest.layout
    held = on.capacity(layout, here.need.context)
    if on.engine.name == "llama.cpp" or is_compressed(on.model.architecture) or not held.tokens:
        return ""
    return f" = {held.tokens:,} tokens" + (" a replica" if layout.dp > 1 else "")


def _cache_lines(need: Need) -> Iterator[str]:
    """The KV cache: by one rate where all layers share plain attention, else part by part."""
    architecture, kv_bytes = need.model.architecture, need.on.kv_bits / 8
    users, cache = words.count(need.users, "user"), f"{need.kv_cache / GB:,.1f} GB"
    if (plain := architecture.plain) is not None:
        yield (
            f"per token  2 x {architecture.layers} layers x {plain.kv_heads} KV heads x "
            f"{plain.head_dim} x {kv_bytes:g} B = {need.kv_per_token:,.0f} B"
        )
        tokens = words.count(need.context, "token")
        yield f"KV cache   {need.kv_per_token:,.0f} B x {tokens} x {users} = {cache}"
        return
    alike: Counter[tuple[str, str]] = Counter()
    for layers, part in memory.cached_parts(architecture):
        alike[part.what, f"{part.elements:,} x {part.entries(need.context):,} x {kv_bytes:g} B"] += layers
    yield from (f"per user   {what}: {layers} layers x {each}" for (what, each), layers in alike.items())
    if state := memory.state_bytes(architecture):
        yield f"per user   state, whatever the context: {state:,.0f} B"
    yield f"KV cache   {need.kv_per_user:,.0f} B x {users} = {cache}"


def _weights_line(need: Need) -> str:
    """The product behind the weights: nominal for a size class, by tensor class for a checkpoint."""
    model, form = need.model, need.precision
    if model.is_size_class:
        return f"{model.total_params:,} parameters x {form.nominal_bits / 8:g} B"
    if memory.is_uneven(model, form):
        alike: Counter[float] = Counter()
        for bits, params in memory.params_by_bits(model, form):
            alike[bits] += params
        return " + ".join(f"{params:,} x {bits:g} bit" for bits, params in sorted(alike.items()) if params)
    if form.scope == "all":
        return f"{model.total_params:,} parameters x {form.bits_per_weight:g} bit"
    linear, others = model.parameters.linear, model.parameters.total - model.parameters.linear
    return f"{linear:,} linear x {form.bits_per_weight:g} bit + {others:,} others x {form.rest_bits:g} bit"
