"""A parallel layout in sentences: what it delivers, why it was chosen, its communication; and the arithmetic."""

from collections.abc import Iterator

from inferplan.core.engine_memory import Capacity
from inferplan.core.engines.vllm_defaults import SHORT_STEP, is_compressed
from inferplan.core.parallelism import Layout, idle_stages, pipeline_bubble
from inferplan.core.serving_laws import Service
from inferplan.core.speed.collectives import Collective
from inferplan.core.units import GB, GIB, MILLI
from inferplan.tools import _words as words
from inferplan.tools.layouts.demand import Plan
from inferplan.tools.layouts.plans import Case
from inferplan.tools.layouts.words_aims import left_over
from inferplan.tools.layouts.words_arriving import arrival_sentences
from inferplan.tools.serving.assumed_context import context_sentence
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.stand_in import warning
from inferplan.tools.serving.words_pool import pool_line
from inferplan.tools.serving.words_speed import around
from inferplan.tools.sizing.changes import Change

MUCH = 1.5
"""Ratio of users that another layout, or shorter steps, must hold to be mentioned."""
SHOWN_MS = 0.005
"""The least time that two decimals show. [ms]"""
LARGE_SHARE = 0.1
"""Share of a GPU's memory beyond which activation buffers are mentioned."""


def summary(case: Case) -> Iterator[str]:
    """The layout, the users that it takes, and how fast: the first sentences of the summary, to be pasted."""
    on, plan, layout = case.on, case.chosen, case.chosen.layout
    yield (
        f"{_subject(on)} on {words.devices(layout.gpus, on.gpu.title)}: "
        f"{words.degrees(layout, experts_over(on, layout))}, "
        f"{words.count(layout.dp, 'replica')} of {words.count(layout.replica, 'GPU')} on "
        f"{words.nodes(plan.deployment.nodes, on.gpu, size=on.node_size)}."
    )
    yield _users_sentence(case)
    if plan.arrivals:
        yield from arrival_sentences(plan.arrivals, case.demand)
    if plan.service:
        yield _speed_sentence(case, plan.service)
    else:
        yield f"No latency is given: {on.untimed}."


def caveats(case: Case) -> Iterator[str]:
    """What to know beside: settings that leave more room, what is assumed, what stands in for what."""
    on, plan, layout = case.on, case.chosen, case.chosen.layout
    yield from _smaller_steps(case)
    yield from _shared_cache(case)
    yield from _assumed_context(case)
    users = min(plan.users, plan.planned)
    yield from warning(on, layout, users=users, context=case.demand.context)
    yield from words.beyond_training(on.model, case.demand.context)


def _assumed_context(case: Case) -> Iterator[str]:
    """That the context is assumed, where it decides how many GPUs the users take."""
    if not case.demand.context_given:
        yield from context_sentence(case.timed, case.demand.context, case.short, gpus=case.demand.gpus)


def _subject(on: Serving) -> str:
    """`A 70B-class model in FP8`, or a checkpoint by its title."""
    return f"{words.subject(on.model, 'A')} in {on.precision.title}"


def _users_sentence(case: Case) -> str:
    """The users served, in time where a latency is asked for, against those asked for."""
    plan, demand = case.chosen, case.demand
    users = plan.in_time if plan.service else plan.users
    verdict = "enough" if users >= plan.planned else "too few"
    asked = "asked for" if plan.planned == demand.users else f"planned for {demand.rate:.10g} requests/s"
    within = f" within {demand.latency} (memory holds {plan.users:,})" if users < plan.users else _roomier(case)
    return (
        f"Under {case.on.engine_name} it takes {words.count(users, 'user')} at "
        f"{words.count(demand.context, 'token')}{within}, {verdict} for the {plan.planned:,} {asked}."
    )


def _roomier(case: Case) -> str:
    """` (tensor 8 takes 300)`: the roomiest layout, where nobody asked for users and the rules lead to another."""
    most = max(case.plans, key=lambda one: one.users)
    if case.demand.users > 1 or case.demand.is_aimed or most.users < MUCH * case.chosen.users:
        return ""
    return f" ({words.degrees(most.layout)} takes {most.users:,})"


def _smaller_steps(case: Case) -> Iterator[str]:
    """How many users shorter steps leave room for, where activation buffers take much of each GPU."""
    on, chosen = case.on, case.chosen.deployment
    rank, tokens = chosen.capacity.memory, on.laid_out(chosen.layout).max_num_batched_tokens
    if tokens <= SHORT_STEP or rank.activation < LARGE_SHARE * rank.total:
        return
    shorter = on.set_to(max_num_batched_tokens=SHORT_STEP)
    users = shorter.deployment(chosen.layout, case.demand.context).users
    if users >= MUCH * chosen.users:
        yield (
            f"{words.gib(rank.activation)} of each GPU are buffers for steps of {tokens:,} tokens: "
            f'overrides="max_num_batched_tokens={SHORT_STEP}" leaves room for {users:,} users.'
        )


def _shared_cache(case: Case) -> Iterator[str]:
    """The GPUs on which decode context parallelism serves the users, where that gains something."""
    if there := case.shared_out:
        ranks, chosen = there.on.engine.context_parallel, there.chosen
        yield (
            f'Ranks that share out the tokens of a cache, overrides="{SHARED_TOKENS}={ranks}", serve the users on '
            f"{words.count(chosen.layout.gpus, 'GPU')}: {chosen.in_time:,} fit."
        )


def _speed_sentence(case: Case, service: Service) -> str:
    """TTFT and TPOT with their error bands, and the throughput of all users."""
    demand, plan, band = case.demand, case.chosen, case.on.band
    each = "" if plan.tpot_s is None else f" and each further one about {around(plan.tpot_s, band('tpot'))}"
    lead, takes = _loaded(plan)
    return (
        f"{lead} (turns of {words.count(demand.input_tokens, 'token')} in and {demand.output_tokens:,} out), "
        f"{'a first' if each else 'that'} token {takes} about {around(service.ttft_s, band('ttft'))}{each}: half of "
        f"published runs{band('tpot' if each else 'ttft').where} lie within. "
        f"{'It gets' if plan.running == 1 else 'All together get'} about {words.significant(plan.tokens_per_s or 0)} "
        "tokens/s."
    )


def _loaded(plan: Plan) -> tuple[str, str]:
    """Under which load times are told, and the verb: beside arrivals at random, of users who never pause."""
    if plan.arrivals and plan.arrivals.found:
        users = "that user" if plan.running == 1 else f"all {plan.running:,}"
        return f"Were {users} to ask again as soon as answered", "would take"
    return f"At {'that load' if plan.holds else 'the users it holds'}", "takes"


def why(case: Case) -> str:
    """The guide's rule behind the layout, or what the load gains by another."""
    layout, first = case.chosen.layout, case.plans[0]
    if case.chosen is first:
        return _rule(case.on, layout) + left_over(case)
    return _trade(case, first) + left_over(case, named=first)


def _trade(case: Case, first: Plan) -> str:
    """What the load gains over the layout of the guide's rules: speed where both hold the users, else room."""
    chosen, small, taken = case.chosen, first.layout, case.chosen.layout
    holds_them, fit = first.users >= case.demand.users, words.count(chosen.users, "user")
    before, now = first.tokens_per_s, chosen.tokens_per_s
    speed = f" at {before:,.0f} tokens/s; this one gives {now:,.0f}" if before and now else ""
    gained = f"{_what_is_kept(small, taken)}, so {fit} fit"
    if holds_them and before and now and now > before:
        gained = f"answers them sooner, with room for {fit}"
    held = "the users" if holds_them else f"{first.users:,}"
    return f"The smallest replica ({words.degrees(small)}) would hold {held}{speed}: {words.degrees(taken)} {gained}."


def _what_is_kept(small: Layout, taken: Layout) -> str:
    """Why the layout leaves more room than the smallest replica: fewer copies of weights, or of a user's KV cache.

    Groups that share experts hold copies of everything else, but keep a user's cache on fewer GPUs: the ranks of one
    tensor group each keep all latents, and KV heads that are fewer than they.
    """
    shared = taken.attention_dp > 1
    fewer = f"fewer copies of the {'experts' if shared else 'weights'}" if taken.dp < small.dp else ""
    closer = taken.group < small.group and shared
    cache = f"a user's cache on {words.count(taken.group, 'GPU')} instead of {small.group}" if closer else ""
    return f"keeps {' and '.join(filter(None, (fewer, cache)))}" if fewer or cache else "leaves more room"


def _rule(on: Serving, layout: Layout) -> str:
    """The guide's rule that leads to this layout."""
    if layout.pp > 1 and layout.tp == 1:
        text = (
            f"One GPU does not hold the model and no wider tensor group is legal or fits these GPUs, so its "
            f"{on.model.architecture.layers} layers are spread over {layout.pp} stages"
        )
    elif layout.pp > 1:
        text = (
            f"The model needs more than {layout.tp} GPUs: each layer is split over {layout.tp}, the "
            f"{on.model.architecture.layers} layers over {layout.pp} stages"
        )
    elif layout.tp > 1:
        text = (
            f"The model needs more than one GPU; {layout.tp} is the smallest legal tensor-parallel degree whose "
            f"shards leave room for the KV cache"
        )
    else:
        text = "The model fits on one GPU"
    copies = f"; the other GPUs hold {words.count(layout.dp - 1, 'more replica')}" if layout.dp > 1 else ""
    return f"{text}{copies}."


def communication(plan: Plan) -> str:
    """The collectives of a decode step, or of a prefill, with their links; `collectives` has sizes and times."""
    layout = plan.layout
    if layout.gpus == 1:
        return "none: one GPU holds everything"
    if layout.replica == 1:
        return "data: none, each GPU holds everything"
    if plan.replica is None:
        return "not timed"
    alone = "; replicas: none" if layout.dp > 1 else ""
    what = "prompt" if plan.load.is_single else "decode step"
    return f"{what}: {'; '.join(_collective(one) for one in plan.passes[0] if one.number)}{alone}"


def _collective(one: Collective) -> str:
    """`252 all-reduces, NVLink 4`."""
    beside = ", beside computing" if one.hidden else ""
    return f"{words.count(round(one.number), one.what)}, {one.link}{beside}"


def formula(case: Case) -> Iterator[str]:
    """The lines of arithmetic: memory of the busiest GPU, sessions, and the time of a decode step part by part."""
    on, plan, held = case.on, case.chosen, case.chosen.deployment.capacity
    yield weights_line(case)
    yield f"KV pool     {pool_line(on, plan.layout, held.memory)}"
    yield f"users       {_room(case)} = {held.sessions:,} a replica x {plan.layout.dp} = {plan.users:,}"
    if plan.service and not plan.load.is_single:
        yield _step_line(plan.service, case.on.options.tokens_per_step)
    if plan.layout.pp > 1:
        yield _bubble_line(case)


def _room(case: Case) -> str:
    """The division behind the sessions: tokens of the pool over those of a session, for each data-parallel group.

    Of compressed keys the engine prints fewer tokens than there are: see `_room_of_compressed`.
    """
    on, layout, context = case.on, case.chosen.layout, case.demand.context
    held, groups = case.chosen.deployment.capacity, layout.attention_dp
    if on.engine.name == "vllm" and is_compressed(on.model.architecture):
        return _room_of_compressed(case, held)
    sessions, tokens = held.sessions // groups, held.tokens // groups
    bound = _bound_by(on, on.pool(layout, context).max_sequences, sessions) if sessions < tokens // context else ""
    room = f"{tokens:,} tokens / {context:,}{bound}"
    return f"{groups} x ({room} = {sessions:,})" if groups > 1 else room


def _bound_by(on: Serving, most: int, sessions: int) -> str:
    """What bounds the sessions where the pool's tokens do not: max_num_seqs, or SGLang's other pools."""
    if sessions == most:
        return f", at most {most:,} at once,"
    if on.engine.name != "sglang":
        return ""
    return f", fewer by its pool of {'states' if on.model.architecture.has_states else 'windows'},"


def _room_of_compressed(case: Case, held: Capacity) -> str:
    """One sequence with a whole step in flight, and those that decode beside it: `CompressedBlocks.concurrency`."""
    on, layout = case.on, case.chosen.layout
    each, groups = on.session_bytes(layout.alone, case.demand.context), layout.attention_dp
    first, runs = held.memory.pool - (held.concurrency / groups - 1) * each, on.laid_out(layout)
    shared = f"{groups} x " if groups > 1 else ""
    return (
        f"{shared}(1 + (KV pool - {first / GIB:.2f} of one in a step of {runs.max_num_batched_tokens:,} tokens) / "
        f"{each / GIB:.3g} GiB a session), at most {runs.max_num_seqs:,}"
    )


def _bubble_line(case: Case) -> str:
    """Idle share of the stages: 1 - batches in flight / stages; (stages - 1) / (steps of a prompt + stages - 1)."""
    plan, pp = case.chosen, case.chosen.layout.pp
    steps, _, _ = case.on.options_on(case.chosen.layout).chunks(case.demand.input_tokens)
    decode = f"decode 1 - {plan.batches}/{pp} = {idle_stages(pp, plan.batches):.0%}, "
    return (
        f"bubble      {'' if plan.load.is_single else decode}"
        f"prompt {pp - 1}/({steps} + {pp - 1}) = {pipeline_bubble(pp, steps):.0%}"
    )


def weights_line(case: Case) -> str:
    """The weights over the memory of a GPU, and the GPUs that makes."""
    on, needed = case.on, words.count(case.on.gpus_by_weights, "GPU")
    return f"by weights  {on.weights.total / GB:,.1f} GB / {on.gpu.memory / GB:.2f} GB a GPU -> {needed}"


def _step_line(service: Service, tokens: float) -> str:
    """TPOT: the parts of a decode step over the tokens that it gives each sequence, plus prefill in between. [ms]"""
    step, tpot = service.decode, service.tpot_s
    parts = (
        f"weights {step.weights_s / MILLI:.2f} + KV {step.kv_cache_s / MILLI:.2f}"
        f" + compute {step.compute_s / MILLI:.2f} + links {step.collectives_s / MILLI:.2f}"
        f" + fixed {step.fixed_s / MILLI:.2f}"
    )
    shared = parts if tokens == 1 else f"({parts}) / {tokens:.2f} tokens"
    prompts = (tpot - step.total_s / tokens) / MILLI
    mixed = f" + new prompts {prompts:.2f}" if prompts >= SHOWN_MS else ""
    return f"TPOT        {shared}{mixed} = {tpot / MILLI:.1f} ms"


def shortage(case: Case) -> Iterator[str]:
    """The sentences of the summary where the GPUs do not hold the model."""
    on, total, needed = case.on, case.demand.gpus, case.needed
    have = words.devices(total, on.gpu.title) if total else f"any number of {on.gpu.title}"
    if on.obstacle:
        yield f"{_subject(on)} does not run on {have}. {why_not(case)}"
        return
    if on.not_modelled:
        yield f"Whether {_subject(on)} fits on {have} is not known. {why_not(case)}"
        return
    yield f"{_subject(on)} does not fit on {have} under {on.engine_name}. {why_not(case)}"
    if needed:
        nodes = words.nodes(on.nodes(needed), on.gpu, size=on.node_size)
        small, usual = case.narrower, f"{words.degrees(needed)}: {words.count(needed.replica, 'GPU')} on {nodes}"
        if small:
            usual = f"{words.degrees(small)} on {words.count(small.replica, 'GPU')}, the usual one {usual}"
        yield f"The smallest legal layout is {usual}. Fewer bits per weight would also help."
    yield from _assumed_context(case)
    if on.precision.is_gguf:
        yield 'llama.cpp needs less, and may keep a part in host memory: estimate_vram with engine "llama.cpp" says.'


def fits_with(setting: Change) -> str:
    """The engine setting with which it fits, as the override to give, with GPUs and users."""
    override = str(setting.arguments["overrides"]).rpartition(", ")[2]
    taken = f"{words.count(setting.gpus, 'GPU')} then {'takes' if setting.gpus == 1 else 'take'}"
    return f'It fits with overrides="{override}": {taken} {words.count(setting.users, "user")}.'


def why_not(case: Case) -> str:
    """Why the GPUs are too few: by weights, or because no legal layout leaves room for a session."""
    gpu, total, context = case.on.gpu, case.demand.gpus or 0, case.demand.context
    if case.on.not_modelled:
        return f"No layout is given: {case.on.not_modelled}."
    if case.needed is None:
        return f"No legal layout of {gpu.title} holds the model and one session of {context:,} tokens."
    if total * gpu.memory < (weights := case.on.weights.total):
        have = f"{words.count(total, 'GPU')} {'has' if total == 1 else 'have'} {words.gb(total * gpu.memory)}"
        return f"The weights alone take {words.gb(weights)}; {have}."
    return (
        f"The weights would fit, but no legal layout of {words.count(total, 'GPU')} leaves the engine room for one "
        f"session of {context:,} tokens."
    )
