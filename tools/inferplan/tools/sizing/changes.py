"""Single changes of a question with which a model fits that does not fit."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.core.engine import EngineName
from inferplan.core.engine_memory import kv_bits_on
from inferplan.core.engines.vllm_defaults import SHORT_STEP
from inferplan.core.precision import Precision
from inferplan.tools._arguments import GPUS_AT_MOST, turn
from inferplan.tools._models import is_original
from inferplan.tools._overrides import with_override
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.sizing.need import Fit, Need, fit, longest_context

SHORTEST = 256
"""The shortest context that is offered. [tokens]"""
SETTINGS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("memory_utilization", (0.8, 0.9, 0.95, 0.7, 0.6, 0.5)),
    ("cuda_graphs", (False,)),
    ("max_num_seqs", (256, 64)),
    ("max_num_batched_tokens", (SHORT_STEP,)),
)
"""Fields of the engine and the values that free memory, the mildest first.

SGLang fills half of a small GPU by default, and less the more ranks a replica has; other engines fill more than 0.8. On
a GPU of a few GiB more than that leaves nothing for what it needs beside its share.
256 sequences are vLLM's own default on smaller GPUs. For the 1,024 of large ones its runner (since 0.27) and the
sampler of its trial take up to 2 GiB more, by the vocabulary.
"""
LESS_FILLED = (0.9, 0.85, 0.8, 0.75, 0.7, 0.6)
"""Shares of memory that leave more outside the engine's budget, the mildest first: a small GPU's warm-up needs it."""
SHARDED_ADAPTERS: tuple[str, tuple[float, ...]] = ("adapters_sharded", (True,))
"""The same for an engine with LoRA adapters."""
FEWER = frozenset({"max_num_seqs", "max_num_batched_tokens"})
"""Fields that are only ever lowered."""
SPELLED: Mapping[str, str] = {"adapters_sharded": "lora_sharded"}
"""Overrides whose name is not that of the field that they set."""

Argument = str | int


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Arguments to ask again with, the GPUs then in use, and the users that they take at full context."""

    arguments: Mapping[str, Argument]
    gpus: int
    users: int


def changes(here: Fit, larger: list[Serving], *, overrides: str) -> Iterator[Change]:
    """Each change that alone makes it fit: context, cache, weights, engine settings, GPUs, then a larger GPU.

    `larger` is the model on larger GPU types, smallest first; `overrides` are those of the question, which stay.
    """
    need = here.need
    yield from _shorter_context(here)
    yield from _smaller_cache(here)
    yield from _other_format(here)
    yield from engine_settings(here, overrides)
    yield from _shared_cache(here, overrides)
    more = here.on.for_users(need.users, need.context)
    if more is not None and more.layout.gpus <= GPUS_AT_MOST:
        yield Change(arguments={"total_gpus": more.layout.gpus}, gpus=more.layout.gpus, users=more.users)
    yield from _first_that_holds((fit(need, on, here.limit), {"gpu": on.gpu.id}) for on in larger)


def _shorter_context(here: Fit) -> Iterator[Change]:
    """The longest context at which some layout of these GPUs takes all users, also with the turn of that context."""
    need, gpus = here.need, here.limit or here.on.domain
    found = (longest_context(here.on, one.layout, need) for one in here.on.filling(1, gpus))
    context = max(found, default=0)
    if context >= SHORTEST:
        tokens_in, tokens_out = turn(context, None, None)
        pace = here.on.pace and replace(here.on.pace, input_tokens=tokens_in, output_tokens=tokens_out)
        on = replace(here.on, pace=pace)
        shorter = fit(replace(need, on=on, context=context), on, here.limit)
        yield from _first_that_holds([(shorter, {"context_window": context})])


def _smaller_cache(here: Fit) -> Iterator[Change]:
    """The KV cache in about 8 bit, where it has more."""
    kind = "q8_0" if here.on.engine.name == "llama.cpp" else "fp8"
    if here.on.kv_bits > (bits := KV_FORMATS[kind].bits):
        smaller = replace(here.on, kv_bits=bits)
        yield from _first_that_holds([(fit(here.need, smaller, here.limit), {"kv_precision": kind})])


def _other_format(here: Fit) -> Iterator[Change]:
    """The widest format narrower than the one asked for that the engine serves; that of the release first.

    Of formats with as many bits first those that are computed in: FP8 before FP8 in blocks, which fewer GPUs and
    engines take, and before 8 bit of weights alone.
    """
    name, bits = here.on.engine.name, here.on.precision.bits_per_weight
    narrower = [form for form in FORMATS.values() if form.bits_per_weight < bits and _is_for(form, name)]
    model = here.need.model
    tried = sorted(
        narrower,
        key=lambda form: (
            not is_original(model, form),
            form.quality == "caution",
            -round(form.bits_per_weight),
            form.weight_only,
            form.compute == "mxfp8",
            -form.bits_per_weight,
        ),
    )
    needs = (_in(here.need, form) for form in tried)
    yield from _first_that_holds((fit(one, one.on, here.limit), {"precision": one.precision.id}) for one in needs)


def _is_for(form: Precision, engine: EngineName) -> bool:
    """Whether the engine serves a format as its own: GGUF is llama.cpp's; LLM.int8() is never offered."""
    return engine in form.engines and (engine == "llama.cpp" or not form.is_gguf) and not form.is_llm_int8


def _in(need: Need, form: Precision) -> Need:
    """The need in another weight format, with that format's KV cache unless the caller chose one."""
    kv_bits = need.on.kv_bits if need.own_cache else kv_bits_on(need.model, form, need.on.gpu, need.on.engine)
    return replace(need, on=need.on.stored_in(form, kv_bits))


def engine_settings(here: Fit, overrides: str) -> Iterator[Change]:
    """Engine settings that free memory, unless set so already; more sequences at once where those are too few."""
    engine = here.on.engine
    sharded = (SHARDED_ADAPTERS,) if engine.adapters and engine.name == "vllm" else ()
    for field, values in (*SETTINGS, *sharded):
        yield from _set_to(here, field, () if field in overrides else _worth_trying(here, field, values), overrides)
    if "memory_utilization" not in overrides and here.tightest.memory.headroom < 0:
        filled = here.on.utilization(here.tightest.layout)
        yield from _set_to(here, "memory_utilization", (one for one in LESS_FILLED if one < filled), overrides)
    each = ceil(here.need.users / here.placed.layout.dp) if here.placed else 1
    if each > engine.max_num_seqs and "max_num_seqs" not in overrides:
        yield from _set_to(here, "max_num_seqs", (each,), overrides)


def _worth_trying(here: Fit, field: str, values: tuple[float, ...]) -> list[float]:
    """The values of a field that would free memory: larger shares of memory, fewer sequences or tokens."""
    if field == "memory_utilization":
        filled = here.on.utilization(here.tightest.layout)
        return [share for share in values if share > filled]
    now = getattr(here.on.engine, field)
    return [one for one in values if one != now and not (field in FEWER and one > now)]


def _set_to(here: Fit, field: str, values: Iterable[float], overrides: str) -> Iterator[Change]:
    """The first value of a field of the engine with which all users fit."""
    tried = ((value, here.on.set_to(**{field: value})) for value in values)
    yield from _first_that_holds(
        (fit(here.need, on, here.limit), {"overrides": with_override(overrides, SPELLED.get(field, field), value)})
        for value, on in tried
    )


def _shared_cache(here: Fit, overrides: str) -> Iterator[Change]:
    """The lowest degree of decode context parallelism with which all users fit."""
    if SHARED_TOKENS in overrides:
        return
    tried = ((n, here.on.set_to(context_parallel=n)) for n in here.on.token_ranks)
    yield from _first_that_holds(
        (fit(here.need, one, here.limit), {"overrides": with_override(overrides, SHARED_TOKENS, n)}) for n, one in tried
    )


def _first_that_holds(tried: Iterable[tuple[Fit, Mapping[str, Argument]]]) -> Iterator[Change]:
    """The first of some fits that holds all users, as a change with its arguments."""
    for one, arguments in tried:
        if one.holds and one.placed is not None:
            yield Change(arguments=arguments, gpus=one.placed.layout.gpus, users=one.users)
            return
