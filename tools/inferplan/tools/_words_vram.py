"""A need for memory in sentences, the GPUs that hold it, and the arithmetic behind both."""

from collections.abc import Iterator

from inferplan.catalog.models import MODELS
from inferplan.core import memory
from inferplan.core.architecture import Model
from inferplan.core.hardware import Gpu
from inferplan.core.units import GB, GIB
from inferplan.tools import _words as words
from inferplan.tools._need import Fit, Need

LARGER = 1.1
"""Memory beyond that of the chosen GPU from which another counts as larger: labels differ by less."""


def summary(need: Need, fits: list[Fit]) -> Iterator[str]:
    """The paragraph to paste into a design document."""
    chosen = need.on.gpu
    yield _memory_sentence(need)
    yield _share_sentence(need)
    yield _deployment_sentence(need, next(one for one in fits if one.gpu.id == chosen.id))
    yield from _other_gpus(fits, chosen)
    yield from _caveats(need)


def _memory_sentence(need: Need) -> str:
    """The load, the total and its parts."""
    load = f"{words.count(need.users, 'concurrent user')} with {need.context:,}-token contexts"
    return (
        f"Serving {_named(need.model)} in {need.precision.title} to {load} takes about {words.gb(need.total)} "
        f"({words.gib(need.total)}) of GPU memory: {words.gb(need.weights)} of weights, "
        f"{words.gb(need.kv_cache)} of KV cache and {words.gb(need.overhead)} of overhead."
    )


def _named(model: Model) -> str:
    """A size class with its article; a checkpoint by its title."""
    return f"a {model.id}-class model" if model.is_size_class else model.title


def _share_sentence(need: Need) -> str:
    """The larger part, and what a user adds."""
    share = need.kv_cache / (need.weights + need.kv_cache)
    who = "The KV cache dominates" if share > 0.5 else "The weights dominate"
    return f"{who}: each user at full context holds {words.gb(need.kv_per_user)} of cache."


def _deployment_sentence(need: Need, here: Fit) -> str:
    """What the engine really needs on the chosen GPU, and how that differs from the planning total."""
    engine = need.on.engine_name
    if here.placed is None and need.on.not_modelled:
        return f"No deployment is given: {need.on.not_modelled}."
    if here.placed is None:
        return f"No legal layout of {here.gpu.title} GPUs holds it under {engine}'s rules."
    layout = here.placed.layout
    where = words.count(layout.gpus, "GPU")
    if layout.gpus > 1:
        degrees = words.layout(layout.tp, layout.pp, layout.dp)
        where += f" on {words.count(here.placed.nodes, 'node')} ({degrees})"
    return (
        f"By memory alone that is {words.devices(here.by_formula, here.gpu.title)}; the smallest legal {engine} "
        f"deployment for this load is {where}, which takes {words.count(here.users, 'user')} at full context."
    )


def _other_gpus(fits: list[Fit], chosen: Gpu) -> Iterator[str]:
    """The same deployment on the larger GPUs of the menu, in one sentence."""
    larger = [
        words.devices(one.placed.layout.gpus, one.gpu.title)
        for one in fits
        if one.placed and one.gpu.memory > LARGER * chosen.memory
    ]
    if larger:
        yield f"Larger GPUs: {words.join(larger)}."


def _caveats(need: Need) -> Iterator[str]:
    """Where the nominal size class and a real checkpoint part ways; where the context outgrows the model."""
    model, form = need.model, need.precision
    limit = model.architecture.max_positions
    if need.context > limit and not model.is_size_class:
        yield f"The model was trained for contexts up to {limit:,} tokens."
    real = MODELS.get(model.stands_for or "")
    if real is not None:
        actual = memory.weights(real, form).total
        if abs(actual - need.weights) > 0.02 * need.weights:
            kept = ": embeddings and head stay in 16 bit" if form.scope == "linear" else ""
            yield f"A real {form.title} checkpoint of {real.title} weighs {words.gb(actual)}{kept}."


def formula(need: Need) -> Iterator[str]:
    """The arithmetic with the numbers put in."""
    weights, cache = f"{need.weights / GB:,.1f}", f"{need.kv_cache / GB:,.1f}"
    yield f"weights    {_weights_line(need)} = {weights} GB"
    yield from _cache_lines(need)
    yield f"overhead   {need.overhead_fraction:.0%} of ({weights} + {cache}) GB = {need.overhead / GB:,.1f} GB"
    yield f"total      = {need.total / GB:,.1f} GB = {need.total / GIB:,.1f} GiB"


def _cache_lines(need: Need) -> Iterator[str]:
    """The KV cache: one rate where all layers share a plain attention, else the sum over the parts of a sequence."""
    architecture, kv_bytes = need.model.architecture, need.on.kv_bits / 8
    users, cache = words.count(need.users, "user"), f"{need.kv_cache / GB:,.1f} GB"
    if (plain := architecture.plain) is not None:
        yield (
            f"per token  2 x {architecture.layers} layers x {plain.kv_heads} KV heads x "
            f"{plain.head_dim} x {kv_bytes:g} B = {need.kv_per_token:,.0f} B"
        )
        yield f"KV cache   {need.kv_per_token:,.0f} B x {need.context:,} tokens x {users} = {cache}"
        return
    for layers, part in memory.cached_parts(architecture):
        entries = part.entries(need.context)
        yield f"per user   {part.what}: {layers} layers x {part.elements:,} x {entries:,} x {kv_bytes:g} B"
    if state := memory.state_bytes(architecture):
        yield f"per user   state, whatever the context: {state:,.0f} B"
    yield f"KV cache   {need.kv_per_user:,.0f} B x {users} = {cache}"


def _weights_line(need: Need) -> str:
    """How the weights come about: by name for a size class, by tensor class for a checkpoint."""
    model, form = need.model, need.precision
    if model.is_size_class:
        return f"{model.total_params:,} parameters x {form.nominal_bits / 8:g} B"
    if form.scope == "all":
        return f"{model.total_params:,} parameters x {form.bits_per_weight:g} bit"
    linear, others = model.parameters.linear, model.parameters.total - model.parameters.linear
    return f"{linear:,} linear x {form.bits_per_weight:g} bit + {others:,} others x {form.rest_bits:g} bit"
