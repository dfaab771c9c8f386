"""A need for memory in sentences, the GPUs that hold it, and the arithmetic behind both."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from inferplan.catalog.asked_gpus import gpu_of
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core import llamacpp_offload, memory
from inferplan.core.load import Load
from inferplan.core.units import GB, GIB
from inferplan.core.vllm_defaults import is_compressed
from inferplan.tools import _words as words
from inferplan.tools.serving.adapters import adapters_sentence
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.serving import Deployment
from inferplan.tools.serving.words_pool import pool_line
from inferplan.tools.serving.words_speed import around
from inferplan.tools.sizing.changes import Change
from inferplan.tools.sizing.need import Busiest, Fit, Need, is_larger

LONE_TOKENS = 500
"""Tokens of the prompt and of the answer of a lone user."""
NOTABLE = 1.02
"""What the engine allocates over what the architecture keeps, from which it is worth a word."""


def summary(need: Need, fits: list[Fit], remedies: list[Change], *, limit: int | None) -> Iterator[str]:
    """The paragraph to paste into a design document."""
    here = next(one for one in fits if one.gpu.id == need.on.gpu.id)
    yield memory_sentence(need)
    yield _deployment_sentence(need, here, limit) + _next_gpu(fits, here, limit) + "."
    yield from _spare_sentence(here)
    yield from _offload_sentence(need, here)
    yield from _pace_sentence(need, here)
    yield from _remedies_sentence(remedies, limit)
    yield from _allocation_sentence(need, here)
    yield from adapters_sentence(need.on, here.tightest.memory)
    yield from _caveats(need)
    yield from _real_sentence(here)


def memory_sentence(need: Need) -> str:
    """The load, the total and its parts, and which of them is the larger."""
    load = f"{words.count(need.users, 'concurrent user')} with {need.context:,}-token contexts"
    larger = ", the larger part" if need.kv_cache > need.weights else ""
    heavier = "" if larger else ", the larger part"
    return (
        f"Serving {words.subject(need.model)} in {need.precision.title} to {load} takes about {words.gb(need.total)} "
        f"({words.gib(need.total)}): {words.gb(need.weights)} of weights{_counted(need)}{heavier}, "
        f"{words.gb(need.kv_cache)} of KV cache ({words.gb(need.kv_per_user)} a user{larger}) and "
        f"{words.gb(need.overhead)} of overhead."
    )


def _counted(need: Need) -> str:
    """That weights are those of a real checkpoint, where its size class would weigh otherwise."""
    if need.model.is_size_class or need.precision.scope != "linear":
        return ""
    bits = memory.class_bits(need.model, need.precision).embedding
    return f" (a checkpoint, with embeddings and head in {bits:g} bit)"


def _deployment_sentence(need: Need, here: Fit, limit: int | None) -> str:
    """What the engine really needs on the chosen GPU, and how that differs from the planning total."""
    engine, alone = _engine(need, here), f"By memory alone {words.devices(here.by_formula, here.gpu.title)}"
    if need.on.not_modelled:
        return f"{alone}; no deployment is given: {need.on.not_modelled}"
    if here.placed is None:
        return _refusal(here, engine, limit)
    where = _where(here, here.placed)
    if not here.holds:
        asked = words.count(need.users, "user")
        take = "takes" if here.placed.layout.gpus == 1 else "take"
        return f"{alone}; under {engine} {where} {take} {_only(here)} of {asked} at full context, {_want(here)}"
    needs = "usually takes" if here.narrower else "needs"
    taking = f"{alone}; {engine} {needs} {where}, taking {words.count(here.users, 'user')} at full context"
    if here.on.pace:
        return f"{taking} within {here.on.pace.latency}, as {_bound(here)}"
    return f"{taking}, {here.half_users:,} at half{_longest(need, here)}{_narrower(here)}"


def _narrower(here: Fit) -> str:
    """That fewer GPUs would do, in a layout that is slower than the usual one."""
    if (fewer := here.narrower) is None:
        return ""
    return f"; {fewer.layout.gpus:,} would do, slower ({words.degrees(fewer.layout)})"


def _spare_sentence(here: Fit) -> Iterator[str]:
    """That GPUs are left over, which the planner would use."""
    if here.on.engine.name != "llama.cpp" and here.holds and here.spare:
        stay = "stays" if here.spare == 1 else "stay"
        yield f"{words.count(here.spare, 'GPU')} of {here.limit:,} {stay} unused; plan_parallelism uses what it can."


def _only(here: Fit) -> str:
    """`only 94`, or `none`."""
    return f"only {here.users:,}" if here.users else "none"


def _bound(here: Fit) -> str:
    """Whether latency or memory is what bounds the users of a deployment."""
    return f"latency binds (memory: {here.by_memory:,})" if here.waits else "memory binds"


def _want(here: Fit) -> str:
    """What keeps the other users out: latency, memory, or sequences."""
    if here.waits:
        return f"as {_late(here)} (memory: {here.by_memory:,})"
    short = here.tightest.shortfall
    each = " on each GPU" if here.tightest.layout.gpus > 1 else ""
    return f"for want of {words.gib(short)} of cache{each}" if short else _too_few(here)


def _late(here: Fit) -> str:
    """That the latency asked for keeps users out, or that it cannot be told."""
    if here.on.untimed:
        return here.on.untimed
    return f"{'more' if here.users else 'even one'} would miss {here.on.pace and here.on.pace.latency}"


def _too_few(here: Fit) -> str:
    """That sequences, not memory, are what is short."""
    return f"as it runs at most {here.on.engine.max_num_seqs:,} sequences at once on each replica"


def _where(here: Fit, placed: Deployment) -> str:
    """GPUs, nodes and degrees; where the planner may name others, as it picks for speed, that these are not."""
    on, layout, gpus = here.on, placed.layout, words.count(placed.layout.gpus, "GPU")
    if layout.gpus == 1:
        return gpus
    nodes = f" on {words.nodes(placed.nodes, on.gpu, size=on.node_size)}" if placed.nodes > 1 else ""
    picked = ", picked for room" if here.has_rivals else ""
    return f"{gpus}{nodes} ({words.degrees(layout, experts_over(on, layout))}{picked})"


def _engine(need: Need, here: Fit) -> str:
    """Engine, version, and the share of memory that it may fill."""
    share = here.on.utilization(here.tightest.layout)
    filled = f"memory utilization {share:.3g}" if share > 0 else "whose default fills nothing of so small a GPU"
    return f"{need.on.engine_name} ({filled})"


def _longest(need: Need, here: Fit) -> str:
    """The context up to which the deployment takes the users asked."""
    if here.longest <= need.context:
        return ""
    return f", or {need.users:,} up to {here.longest:,} tokens"


def allocated(need: Need, here: Fit) -> float | None:
    """What the engine allocates for a user; None where that is what the architecture keeps, or not known. [B]"""
    taken = here.engine_kv_per_user
    return taken if taken is not None and taken > NOTABLE * need.kv_per_user else None


def _allocation_sentence(need: Need, here: Fit) -> Iterator[str]:
    """What the engine allocates for a user, where that is more than the architecture keeps."""
    if (taken := allocated(need, here)) is not None:
        gpus = words.count(here.tightest.layout.group, "GPU")
        yield (
            f"{need.on.engine_name} allocates {words.gb(taken)} for a user on {gpus}, where the architecture keeps "
            f"{words.gb(need.kv_per_user)}."
        )


def _refusal(here: Fit, engine: str, limit: int | None) -> str:
    """Why not even one session runs: what is left for the cache, what it takes, what is short."""
    lacks, title = here.tightest, here.gpu.title
    many = lacks.layout.replica
    gpus, hold = words.devices(many, title), "holds" if many == 1 else "hold"
    which = f"{gpus} {hold} no session:" if limit else f"No number of {title} holds a session: on {many:,},"
    short = f"{words.gib(lacks.shortfall)} are short{' on each GPU' if many > 1 else ''}"
    return f"{which} {engine} {_starts(here)}, {_why(lacks)}; {short}"


REFUSING = ("vllm", "llama.cpp")
"""The engines that stop where one session of the context does not fit.

SGLang and TensorRT-LLM start, and cut requests to what their pool holds. Source: SGLang, srt/managers/tp_worker.py
(`max_req_len`, the smaller of context and pool; it stops at a pool of no tokens); TensorRT-LLM,
_torch/pyexecutor/resource_manager.py (`max_seq_len` becomes `max_num_tokens`).
"""


def _starts(here: Fit) -> str:
    """`refuses to start`, or what the engine does instead with a pool that holds less than a session."""
    lacks = here.tightest
    if _may_offload(here):
        return "refuses to start with every layer on the GPU"
    small = 0 < lacks.memory.pool < lacks.wanted and lacks.memory.headroom >= 0
    if here.on.engine.name in REFUSING or not small:
        return "refuses to start"
    return f"starts, but cuts requests of {here.need.context:,} tokens short"


def _may_offload(here: Fit) -> bool:
    """Whether the engine can leave a part of the model in a memory that is not the GPU's."""
    return here.on.engine.name == "llama.cpp" and here.gpu.kind != "unified"


def _offload_sentence(need: Need, here: Fit) -> Iterator[str]:
    """What llama.cpp keeps on GPUs that do not hold the model: all but experts of some layers, or a part of the layers.

    A guess at the speed is not made: it is that of the host's memory.
    """
    if here.placed is not None or not _may_offload(here) or need.on.not_modelled:
        return
    on, layout = here.on, here.tightest.layout
    model = (on.model, on.precision, on.gpu, layout, on.engine)
    slower = "far slower: the host's memory decides"
    if out := llamacpp_offload.expert_layers_out(*model, context=need.context, kv_bits=on.kv_bits):
        yield f"It starts with the experts of the first {out} layers in host memory (--n-cpu-moe {out}), {slower}."
    elif llamacpp_offload.all_experts_out(*model, context=need.context, kv_bits=on.kv_bits):
        yield f"It starts with all experts in host memory (--cpu-moe), {slower}."
    elif held := llamacpp_offload.layers_held(*model, context=need.context, kv_bits=on.kv_bits):
        of = on.model.architecture.layers + 1
        yield f"It starts with {held} of {of} layers on the GPU and the others in host memory (-ngl {held}), {slower}."


def _pace_sentence(need: Need, here: Fit) -> Iterator[str]:
    """What one user at a time gets of llama.cpp, which no plan of layouts is made for."""
    on, placed = here.on, here.placed
    if placed is None or on.engine.name != "llama.cpp" or not here.users:
        return
    tokens = min(LONE_TOKENS, need.context)
    alone = Load(sequences=1, context=need.context, input_tokens=tokens, output_tokens=tokens)
    if (service := on.service(placed.layout.alone, alone)) is None:
        return
    band = on.band("single")
    quick, slow = (1 / end for end in band.of(service.decode.total_s))
    rate = words.significant(1 / service.decode.total_s)
    yield (
        f"One user at a time gets about {rate} tokens/s at full context ({words.significant(slow)} to "
        f"{words.significant(quick)}: half of {band.n:,} published runs of llama.cpp{band.where} lie within), and the "
        f"first after {around(service.ttft_s, on.band('prompt'))} of a prompt of {tokens:,}."
    )


def _why(lacks: Busiest) -> str:
    """What is left for the cache of a refused layout, and what it takes."""
    pool, wanted = lacks.memory.pool, lacks.wanted
    if pool <= 0:
        return f"as weights and overhead exceed its budget by {words.gib(-pool)} before any cache"
    if pool >= wanted:
        return "as graphs, runtime and sampler need more than its budget leaves of each GPU: warm-up runs out of memory"
    return f"as {words.gib(pool)} are left for the cache where a session takes {words.gib(wanted)}"


def _remedies_sentence(remedies: list[Change], limit: int | None) -> Iterator[str]:
    """Each change that makes it fit, in a clause."""
    if remedies:
        yield f"It fits with {words.join([_clause(one, limit) for one in remedies], last='or')}."


def _clause(change: Change, limit: int | None) -> str:
    """One change as a clause, with the GPUs that it takes where none are given."""
    ((name, value),) = change.arguments.items()
    on = "" if limit or name in ("total_gpus", "gpu") else f" on {words.count(change.gpus, 'GPU')}"
    clauses: Mapping[str, Callable[[], str]] = {
        "context_window": lambda: f"contexts of {value:,} tokens",
        "kv_precision": lambda: f"a cache in {KV_FORMATS[str(value)].title}",
        "precision": lambda: f"weights in {FORMATS[str(value)].title}",
        "total_gpus": lambda: words.count(int(value), "GPU"),
        "gpu": lambda: words.devices(change.gpus, gpu_of(str(value)).title),
        "overrides": lambda: str(value).rpartition(", ")[2],
    }
    return f"{clauses[name]()}{on}"


def _next_gpu(fits: list[Fit], here: Fit, limit: int | None) -> str:
    """The deployment on the next larger GPU of the menu, in a clause."""
    if limit or not here.holds:
        return ""
    larger = (one for one in fits if one.holds and is_larger(one.gpu, here.gpu))
    found = next(larger, None)
    if found is None or found.placed is None:
        return ""
    return f"; on {found.gpu.id} {found.placed.layout.gpus:,}"


def _caveats(need: Need) -> Iterator[str]:
    """Where the nominal size class and a real checkpoint part ways; where the context outgrows the model."""
    model, form = need.model, need.precision
    yield from words.beyond_training(model, need.context, cuts=need.on.engine.name == "llama.cpp")
    real = MODELS.get(model.stands_for or "")
    if real is not None:
        actual = memory.weights(real, form).total
        if abs(actual - need.weights) > 0.02 * need.weights:
            kept = ": embeddings and head stay in 16 bit" if form.scope == "linear" else ""
            yield f"A real {form.title} checkpoint weighs {words.gb(actual)}{kept}."


def _real_sentence(here: Fit) -> Iterator[str]:
    """What the checkpoint of a size class takes, where that is another deployment: the command starts this one."""
    real = here.real
    if real is None:
        return
    title = f"The real {real.on.model.title}"
    if real.placed is None:
        yield f"{title} holds no session there."
    elif real.holds:
        yield f"{title} takes {_where(real, real.placed)}, as the command has it."
    else:
        yield f"{title} takes only {real.users:,} of {words.count(here.need.users, 'user')} there."


def formula(need: Need, here: Fit | None = None) -> Iterator[str]:
    """The arithmetic with the numbers put in: the planning total, and the engine's pool on the GPU asked for."""
    weights, cache = f"{need.weights / GB:,.1f}", f"{need.kv_cache / GB:,.1f}"
    yield f"weights    {_weights_line(need)} = {weights} GB"
    yield from _cache_lines(need)
    total = f"{need.total / GB:,.1f} GB = {need.total / GIB:,.1f} GiB"
    yield f"total      ({weights} + {cache}) GB x {1 + need.overhead_fraction:g} = {total}"
    if here is not None and not need.on.not_modelled:
        yield _pool_line(here)


def _pool_line(here: Fit) -> str:
    """What the engine leaves for the KV cache of the busiest GPU, and the tokens that it prints of a replica."""
    rank, layout = here.tightest.memory, here.tightest.layout
    return f"KV pool    {pool_line(here.on, layout, rank)}{_tokens(here)}"


def _tokens(here: Fit) -> str:
    """The tokens of the pool as the engine prints them; nothing where it prints another number, or does not start."""
    on, layout = here.on, here.tightest.layout
    held = on.capacity(layout, here.need.context)
    if on.engine.name == "llama.cpp" or is_compressed(on.model.architecture) or not held.tokens:
        return ""
    return f" = {held.tokens:,} tokens" + (" a replica" if layout.dp > 1 else "")


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
    alike: Counter[tuple[str, str]] = Counter()
    for layers, part in memory.cached_parts(architecture):
        alike[part.what, f"{part.elements:,} x {part.entries(need.context):,} x {kv_bytes:g} B"] += layers
    yield from (f"per user   {what}: {layers} layers x {each}" for (what, each), layers in alike.items())
    if state := memory.state_bytes(architecture):
        yield f"per user   state, whatever the context: {state:,.0f} B"
    yield f"KV cache   {need.kv_per_user:,.0f} B x {users} = {cache}"


def _weights_line(need: Need) -> str:
    """How the weights come about: by name for a size class, by tensor class for a checkpoint."""
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
