"""A need for memory in sentences, and the GPUs that hold it."""

from collections.abc import Callable, Iterator, Mapping

from inferplan.catalog.asked_gpus import gpu_of
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.catalog.models import MODELS
from inferplan.core import memory
from inferplan.core.engines import llamacpp_offload
from inferplan.core.speed.load import Load
from inferplan.tools import _words as words
from inferplan.tools.serving.adapters import adapters_sentence
from inferplan.tools.serving.assumed_context import context_sentence
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.serving import Deployment
from inferplan.tools.serving.words_speed import around
from inferplan.tools.sizing.changes import Change
from inferplan.tools.sizing.need import Busiest, Fit, Need, is_larger

LONE_TOKENS = 500
"""Tokens of prompt and answer of a lone user of llama.cpp."""
NOTABLE = 1.02
"""Ratio of allocated to architectural KV cache above which the difference is mentioned."""


def summary(need: Need, fits: list[Fit], remedies: list[Change], *, limit: int | None) -> Iterator[str]:
    """The sentences of the summary, to be pasted into a design document."""
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
    if need.assumed_turn:
        yield from context_sentence(need.on, need.context, need.short, gpus=limit)


def memory_sentence(need: Need) -> str:
    """The load, the total, its parts, and which of weights and KV cache is larger."""
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
    """` (a checkpoint, with embeddings and head in 16 bit)`, where the weights are not the nominal ones; else empty."""
    if need.model.is_size_class or need.precision.scope != "linear":
        return ""
    bits = memory.class_bits(need.model, need.precision).embedding
    return f" (a checkpoint, with embeddings and head in {bits:g} bit)"


def _deployment_sentence(need: Need, here: Fit, limit: int | None) -> str:
    """The GPUs by memory alone, and those of the engine's deployment with the users that it takes."""
    engine, alone = _engine(need, here), f"By memory alone {words.devices(here.by_formula, here.gpu.title)}"
    if need.on.not_modelled:
        return f"{alone}; no deployment is given: {need.on.not_modelled}"
    if here.placed is None:
        return _refusal(here, engine, limit)
    where = _where(here, here.placed)
    if not here.holds:
        asked = words.count(need.users, "user")
        take = "takes" if here.placed.layout.gpus == 1 else "take"
        only = f"{take} {_only(here)} of {asked} at full context{_in_time(here)}"
        return f"{alone}; under {engine} {where} {only}, {_want(here)}"
    needs = "takes" if here.on.pace else "usually takes" if here.narrower else "needs"
    taking = f"{alone}; {engine} {needs} {where}, taking {words.count(here.users, 'user')} at full context"
    if here.on.pace:
        return f"{taking} within {here.on.pace.latency}, as {_bound(here)}"
    return f"{taking}, {here.half_users:,} at half{_longest(need, here)}{_narrower(here)}"


def _narrower(here: Fit) -> str:
    """`; 3 would do, slower (...)`: fewer GPUs in a deeper layout, where there is one; else empty."""
    if (fewer := here.narrower) is None:
        return ""
    return f"; {fewer.layout.gpus:,} would do, slower ({words.degrees(fewer.layout)})"


def _spare_sentence(here: Fit) -> Iterator[str]:
    """The number of GPUs given that stay unused."""
    if here.on.engine.name != "llama.cpp" and here.holds and here.spare:
        stay = "stays" if here.spare == 1 else "stay"
        yield f"{words.count(here.spare, 'GPU')} of {here.limit:,} {stay} unused; plan_parallelism uses what it can."


def _only(here: Fit) -> str:
    """`only 94`, or `none`: the users that the deployment takes."""
    return f"only {here.users:,}" if here.users else "none"


def _in_time(here: Fit) -> str:
    """` within TTFT <= 500 ms`, where a latency is asked for that is not what keeps the others out; else empty."""
    return f" within {here.on.pace.latency}" if here.on.pace and not here.waits else ""


def _bound(here: Fit) -> str:
    """Whether latency or memory bounds the users."""
    return f"latency binds (memory: {here.by_memory:,})" if here.waits else "memory binds"


def _want(here: Fit) -> str:
    """What keeps the other users out: latency, memory or max_num_seqs."""
    if here.waits:
        return f"as {_late(here)} (memory: {here.by_memory:,})"
    short = here.tightest.shortfall
    each = " on each GPU" if here.tightest.layout.gpus > 1 else ""
    return f"for want of {words.gib(short)} of cache{each}" if short else _too_few(here)


def _late(here: Fit) -> str:
    """That more users, or even one, would miss the latency; or why there is no time."""
    if here.on.untimed:
        return here.on.untimed
    return f"{'more' if here.users else 'even one'} would miss {here.on.pace and here.on.pace.latency}"


def _too_few(here: Fit) -> str:
    """That max_num_seqs, not memory, is what is short."""
    most = here.on.laid_out(here.tightest.layout).max_num_seqs
    return f"as it runs at most {most:,} sequences at once on each replica"


def _where(here: Fit, placed: Deployment) -> str:
    """GPUs, nodes and degrees; `picked for room` where the planner may choose another layout for speed."""
    on, layout, gpus = here.on, placed.layout, words.count(placed.layout.gpus, "GPU")
    if layout.gpus == 1:
        return gpus
    nodes = f" on {words.nodes(placed.nodes, on.gpu, size=on.node_size)}" if placed.nodes > 1 else ""
    picked = ", picked for room" if here.has_rivals else ""
    return f"{gpus}{nodes} ({words.degrees(layout, experts_over(on, layout))}{picked})"


def _engine(need: Need, here: Fit) -> str:
    """`vLLM 0.28 (memory utilization 0.92)`."""
    share = here.on.utilization(here.tightest.layout)
    filled = f"memory utilization {share:.3g}" if share > 0 else "whose default fills nothing of so small a GPU"
    return f"{need.on.engine_name} ({filled})"


def _longest(need: Need, here: Fit) -> str:
    """`, or 200 users up to 9,216 tokens`: the longest context for these users, if any is; else empty."""
    if here.longest <= need.context:
        return ""
    if here.any_length:
        return f", or {need.users:,} at any length"
    return f", or {need.users:,} up to {here.longest:,} tokens"


def allocated(need: Need, here: Fit) -> float | None:
    """KV cache that the engine allocates for a user, where notably more than the architecture keeps; else None. [B]"""
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
    """Why no session runs: what is left for the KV cache, what a session takes, what is short."""
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
    """Whether the engine can keep part of the model in host memory."""
    return here.on.engine.name == "llama.cpp" and here.gpu.kind != "unified"


def _offload_sentence(need: Need, here: Fit) -> Iterator[str]:
    """What llama.cpp keeps on GPUs that do not hold the model: all but some layers' experts, or some of the layers.

    No speed is estimated: it is that of the host's memory.
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
    """The speed of a lone user under llama.cpp, for which no layouts are planned."""
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
    """What is left for the cache of a refused layout, against what a session takes."""
    pool, wanted = lacks.memory.pool, lacks.wanted
    if pool <= 0:
        return f"as weights and overhead exceed its budget by {words.gib(-pool)} before any cache"
    if pool >= wanted:
        return "as graphs, runtime and sampler need more than its budget leaves of each GPU: warm-up runs out of memory"
    return f"as {words.gib(pool)} are left for the cache where a session takes {words.gib(wanted)}"


def _remedies_sentence(remedies: list[Change], limit: int | None) -> Iterator[str]:
    """The changes that make it fit, a clause each."""
    if remedies:
        yield f"It fits with {words.join([_clause(one, limit) for one in remedies], last='or')}."


def _clause(change: Change, limit: int | None) -> str:
    """One change as a clause; with the GPUs that it takes where their number is open."""
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
    """`; on h200-sxm 4`: the deployment on the next larger GPU of the menu, where GPUs are open; else empty."""
    if limit or not here.holds:
        return ""
    larger = (one for one in fits if one.holds and is_larger(one.gpu, here.gpu))
    found = next(larger, None)
    if found is None or found.placed is None:
        return ""
    return f"; on {found.gpu.id} {found.placed.layout.gpus:,}"


def _caveats(need: Need) -> Iterator[str]:
    """Where the real checkpoint weighs otherwise than its size class, or the context exceeds its training."""
    model, form = need.model, need.precision
    yield from words.beyond_training(model, need.context, cuts=need.on.engine.name == "llama.cpp")
    real = MODELS.get(model.stands_for or "")
    if real is not None:
        actual = memory.weights(real, form).total
        if abs(actual - need.weights) > 0.02 * need.weights:
            kept = ": embeddings and head stay in 16 bit" if form.scope == "linear" else ""
            yield f"A real {form.title} checkpoint weighs {words.gb(actual)}{kept}."


def _real_sentence(here: Fit) -> Iterator[str]:
    """The deployment of the checkpoint that a size class stands for, where it is another: the one of the command."""
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
