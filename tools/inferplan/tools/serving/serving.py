"""A model in a format on a GPU type under one question's assumptions: what fits, and how fast it is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import chain
from math import ceil

from inferplan.core import engine_memory, memory, parallelism, placement
from inferplan.core.engine import Engine
from inferplan.core.engine_memory import RULES, Capacity, Pool, Pools
from inferplan.core.error_bands import Band, Law, Level
from inferplan.core.fabric import Fabric, fabric_of
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.rings import beyond_kernels_s, ring_of
from inferplan.core.serving_laws import PLAIN, Options, Service
from inferplan.core.speed.efficiency import Efficiency, efficiency, is_fitted, kind_of
from inferplan.core.speed.load import Load
from inferplan.core.speed.machine import Machine, machine_of
from inferplan.core.speed.work import Work, work_under
from inferplan.tools.serving.latency import Pace
from inferplan.tools.serving.lookups import band_of, pipelines
from inferplan.tools.serving.replica import Replica
from inferplan.tools.serving.runnable import Runnable

NEAREST: Mapping[Law, Law] = {"ttft": "prompt", "tpot": "slots", "offline": "slots"}
"""By law, the one whose error band stands in under llama.cpp, which has no published run of it."""


FEW_GPUS = 8
"""GPUs up to which narrow tensor groups in stages are considered beyond a domain: desktops of one or two."""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A layout, the sessions that each of its replicas holds at full context, and its nodes."""

    on: "Serving" = field(repr=False)
    layout: Layout
    context: int
    sessions: int
    nodes: int

    @property
    def users(self) -> int:
        """Sessions at full context that all replicas hold."""
        return self.layout.dp * self.sessions

    @cached_property
    def capacity(self) -> Capacity:
        """The KV cache of one replica."""
        return self.on.held(self.layout, self.context)


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving(Runnable):
    """What every tool computes with: the model, engine and GPUs, the fitted constants and the network.

    With a `pace`, a deployment takes only as many sessions as get that latency.
    """

    kv_bits: float
    efficiency: Efficiency = field(hash=False)
    network: float
    pace: Pace | None = None
    options: Options = field(default=PLAIN, hash=False)
    pools: Pools = field(init=False, compare=False, repr=False)
    """The KV pools by replica, as if the engine ran it."""

    def __post_init__(self) -> None:
        """Look up once what follows from the rest and is asked for often."""
        Runnable.__post_init__(self)
        gpu = self.gpu if self.node_size == self.gpu.node_size else replace(self.gpu, node_size=self.node_size)
        held = engine_memory.pools(self.model, self.precision, gpu, self.engine, kv_bits=self.kv_bits)
        object.__setattr__(self, "pools", held)

    def utilization(self, layout: Layout) -> float:
        """The share of each GPU's memory that the engine fills on this layout, as its own flag counts it. [fraction]"""
        return RULES[self.engine.name].utilization(self.model.architecture, self.gpu, layout, self.engine)

    def band(self, law: Law, level: Level = 50) -> Band:
        """The error band of published runs on this engine, GPU generation and attention.

        llama.cpp's server was never put under load in public: first tokens are held against prompts alone, further ones
        against batches of sequences.
        """
        engine = self.engine.name
        near = NEAREST.get(law, law) if engine == "llama.cpp" else law
        found = band_of(self.model, kind_of(self.gpu, self.precision, engine), near, level)
        return found if is_fitted(self.gpu, engine) or not found.here else replace(found, here=False)

    @property
    def kv_bytes_per_token(self) -> float:
        """KV cache of one more token of a sequence whose windows are full. [B]"""
        return memory.kv_bytes_per_token(self.model.architecture, kv_bits=self.kv_bits)

    @property
    def not_modelled(self) -> str | None:
        """Why no deployment can be given: the engine runs nothing here, or its KV cache is not modelled; else None."""
        if self.obstacle:
            return self.obstacle
        if (reason := self.pools.not_modelled) is None:
            return None
        return f"inferplan has no memory rules for this model's KV cache in {self.engine_name} ({reason})"

    @property
    def is_unknown(self) -> bool:
        """Whether the engine runs the model here, but what it takes is not known."""
        return self.not_modelled is not None and self.obstacle is None

    def pool(self, layout: Layout, context: int) -> Pool:
        """The KV pool of one replica; one that holds nothing where the engine does not run the model."""
        found = self.pools.of(layout, context)
        return replace(found, holding=None, not_modelled=self.obstacle) if self.obstacle else found

    def capacity(self, layout: Layout, context: int, filled: int | None = None) -> Capacity:
        """The KV cache of one replica in sessions of full context, or of `filled` tokens."""
        return self.pool(layout, context).capacity(filled or context)

    def fits(self, layout: Layout, context: int) -> bool:
        """Whether a replica starts and holds a session."""
        return self.room(layout, context) > 0

    def room(self, layout: Layout, context: int) -> int:
        """Sessions that one replica has memory for, whatever their latency."""
        return self.pool(layout, context).sessions(context)

    def sessions(self, layout: Layout, context: int) -> int:
        """Sessions that one replica takes: no more than get the latency of the pace."""
        return self._in_time(layout, context, self.room(layout, context))

    def held(self, layout: Layout, context: int, filled: int | None = None) -> Capacity:
        """The capacity of one replica, its sessions limited to those in time."""
        found, tokens = self.capacity(layout, context, filled), filled or context
        return found._replace(sessions=self._in_time(layout, tokens, found.sessions)) if self.pace else found

    def _in_time(self, layout: Layout, context: int, room: int) -> int:
        """The sessions, of those that there is room for, that get the latency of the pace."""
        return _in_time(self, self.pace, layout.alone, context, room) if self.pace and room else room

    def stored_in(self, form: Precision, kv_bits: float) -> "Serving":
        """The serving in another weight format, with its fitted constants; those that a caller set stay."""
        fitted = (efficiency(kind_of(self.gpu, one, self.engine.name)) for one in (self.precision, form))
        before, after = (asdict(one) for one in fitted)
        own = {name: value for name, value in asdict(self.efficiency).items() if value != before[name]}
        return replace(self, precision=form, kv_bits=kv_bits, efficiency=Efficiency(**after | own))

    def set_to(self, **settings: float) -> "Serving":
        """The serving under an engine with these fields changed."""
        return replace(self, engine=replace(self.engine, **settings))

    def excess(self, layout: Layout, context: int, sequences: int, pace: Pace | None) -> float:
        """The latency of a replica with this many sessions over that of a pace; 0 without a latency. [ratio]"""
        if pace is None or not pace.latency:
            return 0
        return pace.latency.excess(self.service(layout, pace.load(context, sequences)))

    def takes(self, replica: Layout, sessions: int, context: int, pace: Pace | None) -> bool:
        """Whether a replica holds so many sessions and serves them at a pace."""
        return sessions <= self.room(replica, context) and self.excess(replica, context, sessions, pace) <= 1

    def smallest(self, context: int, gpus: int | None = None) -> Layout | None:
        """The smallest replica by the guide's rules, on at most `gpus` GPUs; None where none holds a session."""
        return _smallest(self, context, gpus)

    def deployment(self, layout: Layout, context: int) -> Deployment:
        """A layout with the sessions that it takes and its nodes."""
        return self.deployed(layout, context, self.sessions(layout, context))

    def deployed(self, layout: Layout, context: int, sessions: int) -> Deployment:
        """A layout with the sessions given."""
        return Deployment(on=self, layout=layout, context=context, sessions=sessions, nodes=self.nodes(layout))

    def nodes(self, layout: Layout) -> int:
        """The nodes of a layout; replicas smaller than a node share one."""
        return placement.nodes(layout, node_size=self.node_size)

    def for_users(self, users: int, context: int) -> Deployment | None:
        """The fewest GPUs that hold all users at full context; of those, the fewest stages, then the most users.

        Stages are considered only where the load needs more than the widest group in a node, groups that share experts
        where they take fewer GPUs than others, and with a pace stages of any groups where those do. None where no
        layout holds a session.
        """
        return _fewest(self, users, context)

    def within(self, users: int, context: int, gpus: int | None) -> Deployment | None:
        """The same on at most `gpus` GPUs; where those do not hold all users, the layout that holds the most.

        Stages of narrow groups are considered only where they hold users that nothing else does, with a pace on as many
        GPUs as are given.
        """
        if gpus is None:
            return self.for_users(users, context)
        most = max(self.filling(context, gpus), key=lambda one: (one.users, -one.layout.gpus), default=None)
        if most is None or most.users < users:
            return self.fewest_inside(users, context, gpus) or self._fewest_in_time(users, context, gpus) or most
        fewest = self.for_users(users, context)
        return fewest if fewest and fewest.layout.gpus <= gpus else most

    def filling(self, context: int, gpus: int) -> list[Deployment]:
        """Every replica that holds a session, as often as the GPUs hold it.

        Narrow tensor groups in stages only where nothing else holds one.
        """
        deep = self.staged(context) if gpus >= 2 * min(self.stage_degrees, default=gpus) else ()
        offered = chain(self.tensor, deep, self.shared(gpus))
        filled = (self._filled(one, context, gpus) for one in offered if one.replica <= gpus)
        held = [one for one in filled if one.sessions]
        narrow = None if held else self.smallest(context, gpus)
        return [self._filled(narrow, context, gpus)] if narrow else held

    def inside(self, gpus: int) -> list[Layout]:
        """Tensor groups of any degree in stages on at most `gpus` GPUs, where no one group can take them all.

        Smallest first; none beyond a domain, or `FEW_GPUS` where that is larger. Source: vLLM,
        docs/serving/parallelism_scaling.md: where their number does not divide the model, as many stages as GPUs.
        """
        if gpus in self.degrees or gpus > max(self.domain, FEW_GPUS):
            return []
        return list(self.any_stages(gpus))

    def fewest_inside(self, users: int, context: int, gpus: int) -> Deployment | None:
        """The fewest GPUs on which layouts of `inside` hold all users; of those, the fewest stages. None if none do.

        None on as many GPUs as one tensor group takes: whoever asks about so many is answered with the group.
        """
        sessions = ((one, self.sessions(one, context)) for one in self.inside(gpus))
        enough = (one.times(ceil(users / each)) for one, each in sessions if each)
        legal = (one for one in enough if one.gpus <= gpus and one.gpus not in self.degrees)
        held = [self.deployment(one, context) for one in legal]
        return min(held, key=lambda one: (one.layout.gpus, one.layout.pp, -one.users), default=None)

    def _fewest_in_time(self, users: int, context: int, gpus: int) -> Deployment | None:
        """The fewest GPUs, of so many, on which stages of any groups serve all users at the pace; None without one."""
        best = _deepest(self, users, context, gpus) if self.pace else None
        return best and _deployed(self, best, context)

    def _filled(self, one: Layout, context: int, gpus: int) -> Deployment:
        """A replica as often as the GPUs hold it, as a deployment."""
        return self.deployment(one.times(gpus // one.replica), context)

    def session_bytes(self, layout: Layout, context: int) -> float:
        """KV cache that the engine allocates for one session on one GPU. [B]"""
        return engine_memory.session_bytes(self.model, layout, self.engine, context=context, kv_bits=self.kv_bits)

    def staged(self, context: int) -> Sequence[Layout]:
        """Pipelines of `stage_degrees` that hold a session, smallest first: more stages leave more cache."""
        first = self.smallest(context)
        return self.deeper(max(2, first.pp)) if first else ()

    def deeper(self, least: int) -> Sequence[Layout]:
        """Pipelines of `stage_degrees` in at least `least` stages, smallest first."""
        return self._stages(self.stage_degrees, least)

    def any_stages(self, most: int) -> Iterator[Layout]:
        """Pipelines of tensor groups of any degree on at most `most` GPUs, smallest first."""
        return (one for one in self._stages(self.degrees, 2) if one.replica <= most)

    def any_shared_stages(self, most: int) -> list[Layout]:
        """The same, and of a mixture of experts with every number of groups that share them in each stage."""
        found = [
            Layout(tp=one.tp, pp=one.pp, attention_dp=groups)
            for one in self.any_stages(most)
            for groups in (1, *(self.sharing(one.tp, most // one.pp) if self.experts else ()))
        ]
        return sorted(found, key=lambda one: one.replica)

    def _stages(self, degrees: tuple[int, ...], least: int) -> Sequence[Layout]:
        """Pipelines of these degrees that the engine can start; llama.cpp splits the output head with the layers."""
        layers = self.model.architecture.layers
        split = layers + 1 if self.engine.name == "llama.cpp" else layers
        found = pipelines(degrees, layers, split, least)
        return tuple(self._startable(found)) if self.engine.name == "sglang" or self.is_unstaged else found

    def fabric(self, layout: Layout) -> Fabric:
        """The links that a layout uses on this GPU type."""
        return fabric_of(self.gpu, layout, node_size=self.node_size, network=self.network)

    def service(self, layout: Layout, load: Load) -> Service | None:
        """The service of one replica under a load; None where not timed (`untimed`)."""
        replica = self.replica(layout)
        return replica and replica.serve(load)

    def added_by_nccl_s(self, tp: int) -> float:
        """The extra time of each all-reduce in a group wider than the engine's own kernels: see `beyond_kernels_s`. [s]

        0 on other GPUs than NVIDIA's, and where the caller set the all-reduce's latency.
        """
        usual = efficiency(kind_of(self.gpu, self.precision, self.engine.name)).all_reduce_s
        if tp <= self.reduces_among or self.gpu.vendor != "nvidia" or self.efficiency.all_reduce_s != usual:
            return 0.0
        return beyond_kernels_s(ring_of(self.gpu.architecture), tp, kernels=self.reduces_among)

    def _reached(self, layout: Layout) -> Efficiency:
        """The fitted constants for a layout, NCCL's extra time included."""
        more = self.added_by_nccl_s(layout.tp)
        return replace(self.efficiency, all_reduce_s=self.efficiency.all_reduce_s + more) if more else self.efficiency

    def replica(self, layout: Layout) -> Replica | None:
        """One replica, to be put under any load; None where not timed (`untimed`)."""
        found = _timed(self, layout)
        return found and Replica(work=found[0], machine=found[1], layout=layout, options=self.options_on(layout))

    def options_on(self, layout: Layout) -> Options:
        """How prompts are computed on a layout: steps may be shorter than elsewhere (`laid_out`)."""
        step = self.laid_out(layout).max_num_batched_tokens
        return self.options if step == self.engine.max_num_batched_tokens else replace(self.options, step_tokens=step)

    def laid_out(self, layout: Layout) -> Engine:
        """The engine as it runs a layout: see `engine_memory.as_laid_out`."""
        return engine_memory.as_laid_out(self.engine, self.gpu, wide=layout.ep > self.domain)

    def machine(self, layout: Layout) -> Machine | None:
        """The GPU, its links and its fitted constants for a layout; None where not timed."""
        reached, links = self._reached(layout), self.fabric(layout)
        found = machine_of(self.gpu, self.precision, links, reached, engine=self.engine.name)
        return None if self.untimed else found


@lru_cache(maxsize=1024)
def _timed(on: Serving, layout: Layout) -> tuple[Work, Machine] | None:
    """The work and the machine of one replica; None where not timed."""
    machine = on.machine(layout)
    return machine and (work_under(on.engine, on.model, on.precision, layout, kv_bits=on.kv_bits), machine)


@lru_cache(maxsize=256)
def _in_time(on: Serving, pace: Pace, replica: Layout, context: int, room: int) -> int:
    """The sessions, of those that there is room for, that get the latency of a pace."""
    one = on.replica(replica)
    return pace.latency.most(room, lambda n: one and one.serve(pace.load(context, n)))


@lru_cache(maxsize=256)
def _smallest(on: Serving, context: int, gpus: int | None) -> Layout | None:
    """The search behind `Serving.smallest`, whose result on any number of GPUs is reused where it suffices."""
    if on.not_modelled:
        return None
    if gpus is not None and ((first := on.smallest(context)) is None or first.replica <= gpus):
        return first
    return parallelism.smallest_replica(
        on.model.architecture,
        degrees=on.degrees,
        fits=lambda layout: on.starts(layout) and on.fits(layout, context),
        gpus=gpus,
    )


@lru_cache(maxsize=256)
def _fewest(on: Serving, users: int, context: int) -> Deployment | None:
    """The search behind `Serving.for_users`, cached: the tools ask for it several times."""
    if on.not_modelled:
        return None
    best = _best(on, on.tensor, users, context)
    if best is None:
        best = _best(on, on.staged(context), users, context)
    elif best[0] > on.stage_degrees[0]:
        best = _best(on, on.deeper(2), users, context, best)
    if best is None:
        return None
    best = _best(on, on.shared(best[0] - 1), users, context, best) or best
    if on.pace:
        best = _deepest(on, users, context, best[0] - 1, best) or best
    return _deployed(on, best, context)


def _deepest(on: Serving, users: int, context: int, gpus: int, best: "_Ranked | None" = None) -> "_Ranked | None":
    """`best`, or stages of any groups on so many GPUs that serve the users at the pace; None where none do."""
    each = ((one, ceil(users / (gpus // one.replica))) for one in on.any_shared_stages(gpus))
    deep = (one for one, sessions in each if on.takes(one, sessions, context, on.pace))
    return _best(on, deep, users, context, best)


def _deployed(on: Serving, best: "_Ranked", context: int) -> Deployment:
    """What was found, as a deployment."""
    gpus, _, minus_users, replica = best
    copies = gpus // replica.replica
    return on.deployed(replica.times(copies), context, -minus_users // copies)


_Ranked = tuple[int, int, int, Layout]
"""GPUs, stages, minus users, replica: the sort key of deployments."""


def _best(
    on: Serving, replicas: Iterable[Layout], users: int, context: int, best: _Ranked | None = None
) -> _Ranked | None:
    """The best deployment for the users among ever larger replicas, starting from `best`; None where none holds any."""
    for one in replicas:
        gpus = one.replica
        if best and best[0] < gpus:
            break
        if each := on.sessions(one, context):
            copies = ceil(users / each)
            found = gpus * copies, one.pp, -copies * each
            if best is None or found < best[:3]:
                best = *found, one
    return best
