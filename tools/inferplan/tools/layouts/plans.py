"""The layouts compared for a model on its GPUs, what each holds and delivers, and which of them to take."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import ceil, inf, log

from inferplan.core.bracket import first_holding
from inferplan.core.parallelism import Layout, depths
from inferplan.core.serving_laws import Service
from inferplan.tools.layouts.demand import Demand, Plan, most_in_time, plan_of
from inferplan.tools.serving.assumed_context import Short, saving, shorter
from inferplan.tools.serving.latency import WHENEVER
from inferplan.tools.serving.serving import Deployment, Serving

ALTERNATIVES = 3
"""Runners-up in an answer."""
MOST_GPUS = 1024
"""The largest replica considered where no number of GPUs is given. [GPUs]"""
FEWER_GPUS = 2
"""How many times the GPUs of deeper tensor groups the shallowest may take and still be considered for a latency.

A judgement without a source: nobody says how many GPUs a shorter wait is worth, and total_gpus overrules it. It is the
step that answers name ("on 48 that would be 17 ms"). Of 360 questions without total_gpus 38 are answered otherwise at
1.5 times, 23 at three times.
"""
RESOLUTION = 1.05
"""Ratio of estimated times below which two layouts count as equally fast.

Source: 42 pairs in tests/data/published_speed.tsv of layouts that were measured under one load, of the same model,
format, GPUs and engine, and whose predictions differ: the ratio of their times per token is off by 16 % in the median,
and by 5 % or less in one pair of four.
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model on its GPUs, a demand, and the plans compared, those by the guide's rules first; none where nothing fits.

    `most` is the number of GPUs searched where the demand gives none.
    """

    on: Serving
    demand: Demand
    plans: tuple[Plan, ...]
    most: int | None = None

    @cached_property
    def chosen(self) -> Plan:
        """The plan to take: by the guide's rules for a lone user without an aim, else the first of `ranked`."""
        if self.demand.users == 1 and not self.demand.is_aimed:
            return self.plans[0]
        return self.first(1)[0]

    @property
    def users(self) -> int:
        """The users planned for; those asked for where nothing fits."""
        return self.chosen.planned if self.plans else self.demand.users

    @property
    def timed(self) -> Serving:
        """The serving, whose sessions are those in time where a latency is asked for."""
        return replace(self.on, pace=self.demand.pace) if self.demand.has_targets else self.on

    @cached_property
    def ranked(self) -> list[Plan]:
        """The plans in order of preference: see `rank`."""
        return sorted(self.plans, key=lambda plan: self.rank(plan, self.closest))

    @cached_property
    def _serving(self) -> list[Plan]:
        """Those of `ranked` that serve the users: they come first, and their order takes no count of users in time."""
        return sorted((plan for plan in self.plans if plan.serves), key=lambda plan: self.rank(plan, {}))

    def first(self, number: int) -> list[Plan]:
        """The first of `ranked`; the others are ranked only where fewer serve the users."""
        return (self._serving if len(self._serving) >= number else self.ranked)[:number]

    @cached_property
    def closest(self) -> Mapping[int, float]:
        """The least excess over the latency among late plans that hold all users, by their users in time. [ratio]"""
        return closest(self.plans)

    def rank(self, plan: Plan, closest: Mapping[int, float], rent: float = 0) -> tuple[float, ...]:
        """The sort key of a plan; `rent` breaks ties on what the aim is about.

        First come plans that hold all users and serve them in time, by the aim. Then, by users in time, those that hold
        all users: as close to the latency as can be told apart (`RESOLUTION`), fewest GPUs, fewest ways of splitting
        the model, fastest; then those that hold the most users; of those that do not keep up with requests, those that
        sustain the most.
        """
        gpus = plan.layout.gpus
        if plan.serves:
            if self.demand.aim == "fewest_gpus":
                return 0, gpus, rent, plan.wait_s
            return 0, plan.wait_s if self.demand.aim == "latency" else -self.worth(plan), rent, gpus
        if plan.arrivals and plan.piles_up:
            return 1, inf, -plan.arrivals.most, gpus, rent, plan.wait_s
        late = 1, -plan.in_time, not plan.holds
        if not plan.holds:
            return *late, -plan.users, gpus, rent, plan.wait_s
        steps = _steps(plan.excess, closest[plan.in_time])
        return *late, steps, gpus, rent, plan.layout.ways, plan.wait_s

    def is_closest(self, plan: Plan) -> bool:
        """Whether no plan with as many users in time comes closer to the latency asked for."""
        return plan.excess <= self.closest.get(plan.in_time, inf)

    def throughput(self, plan: Plan) -> float | None:
        """Output throughput of the users asked for; with every session busy for a lone user. [tokens/s]

        Under arrivals it is that of as many users as they keep busy on the fastest layout, on all of them.
        """
        if self.demand.rate:
            return plan.tokens_per_s_of(self._fewest_planned)
        alone = self.demand.users == 1 and self.demand.objective == "throughput"
        return plan.most_tokens_per_s if alone else plan.tokens_per_s

    @cached_property
    def _fewest_planned(self) -> int:
        """The fewest users that are planned for on any layout."""
        return min(plan.planned for plan in self.plans)

    @property
    def is_per_gpu(self) -> bool:
        """Whether throughput is compared per GPU, as it is where the number of GPUs is open."""
        return self.demand.gpus is None and self.demand.aim == "throughput"

    def worth(self, plan: Plan) -> float:
        """The throughput that plans are compared by: in all, or per GPU. [tokens/s]"""
        return (self.throughput(plan) or 0) / (plan.layout.gpus if self.is_per_gpu else 1)

    @cached_property
    def doubled(self) -> Plan | None:
        """The chosen layout on twice the GPUs, where their number was searched and that is faster; else None."""
        layout = self.chosen.layout
        if self.most is None or self.chosen.service is None or not self.chosen.serves:
            return None
        twice = plan_of(self.on, self.demand, layout.alone, 2 * layout.dp)
        return twice if self.chosen.wait_s > RESOLUTION * twice.wait_s else None

    @cached_property
    def alone(self) -> Service | None:
        """The service of a lone user on the layout closest to the latency asked for; None where not timed."""
        latency, load = self.demand.latency, self.demand.load(1)
        services = [plan.replica.serve(load) for plan in self.plans if plan.replica]
        return min(services, key=latency.excess, default=None)

    @cached_property
    def by_memory(self) -> int | None:
        """The fewest GPUs that hold the users whatever the latency; None unless a latency asks for the fewest."""
        demand = self.demand
        if not demand.has_targets or demand.aim != "fewest_gpus" or not self.chosen.serves:
            return None
        patient = replace(demand, objective="fewest_gpus", latency=WHENEVER, users=self.chosen.planned, rate=None)
        return compare(self.on, patient, runners_up=0).chosen.layout.gpus

    @cached_property
    def short(self) -> Short | None:
        """Sessions of a turn alone on the GPUs that they take; None where those are no fewer, or not known."""
        demand = self.demand
        if demand.rate is None:
            return shorter(self.timed, users=self.users, context=demand.context, turn=demand.turn)
        searched = demand.gpus is None and demand.aim == "fewest_gpus"
        whole = _gpus_serving(self) if searched else _fewest(self.on, demand)
        return saving(demand.turn, _fewest(self.on, replace(demand, context=demand.turn)), whole, arrivals=True)

    @cached_property
    def shared_out(self) -> "Case | None":
        """The case with decode context parallelism, where that serves users who are not served, or takes fewer GPUs.

        Of its degrees the one with the fewest GPUs, then the fewest ranks. None where it gains neither, the aim is
        another, or the caller fixed the degree.
        """
        if self.demand.ranks_given or self.demand.objective not in (None, "fewest_gpus"):
            return None
        served = bool(self.plans) and self.chosen.serves
        if served == bool(self.demand.gpus):
            return None
        tried = (compare(self.on.set_to(context_parallel=n), self.demand, runners_up=0) for n in self.on.token_ranks)
        serving = [one for one in tried if one.plans and one.chosen.serves]
        best = min(serving, key=lambda one: one.chosen.layout.gpus, default=None)
        fewer = best and (not served or best.chosen.layout.gpus < self.chosen.layout.gpus)
        return best if fewer else None

    @cached_property
    def anywhere_serves(self) -> bool:
        """Whether some number of GPUs of this type serves the users, in time.

        It does where a replica serves one of them in time, on as many copies as there are users; the widest groups are
        the quickest. Of requests that arrive at random that is not known beforehand.
        """
        on, demand = self.on, self.demand
        if demand.rate is not None or on.not_modelled:
            return _fewest(on, demand) is not None
        quickest = sorted(_offered(on, MOST_GPUS), key=lambda one: (-one.tp, one.pp, one.attention_dp))
        return any(on.takes(one, 1, demand.context, demand.pace) for one in quickest)

    @cached_property
    def needed(self) -> Layout | None:
        """The smallest replica on any number of GPUs, by the guide's rules; None where no layout is legal."""
        return self.on.smallest(self.demand.context)

    @cached_property
    def narrower(self) -> Layout | None:
        """A replica on fewer GPUs than `needed`: narrower tensor groups in more stages; None where there is none."""
        alone = replace(self.demand, gpus=None, users=1, objective="fewest_gpus", latency=WHENEVER)
        found = compare(self.on, alone, runners_up=0).chosen.layout if self.needed else None
        return found if found and self.needed and found.replica < self.needed.replica else None


def closest(plans: Iterable[Plan]) -> Mapping[int, float]:
    """The least excess over the latency among late plans that hold all users, by their users in time. [ratio]"""
    found: dict[int, float] = {}
    for plan in plans:
        if plan.holds and not plan.serves:
            found[plan.in_time] = min(plan.excess, found.get(plan.in_time, inf))
    return found


def _fewest(on: Serving, demand: Demand) -> int | None:
    """The fewest GPUs that serve the users and keep up with the requests, in time; None where none do. [GPUs]"""
    return _gpus_serving(compare(on, replace(demand, gpus=None, objective="fewest_gpus"), runners_up=0))


def _gpus_serving(case: Case) -> int | None:
    """The GPUs of the plan to take where it serves the users, in time; else None."""
    return case.chosen.layout.gpus if case.plans and case.chosen.serves else None


def _steps(excess: float, least: float) -> float:
    """log(excess / least) / log(`RESOLUTION`), rounded down; infinite where not timed. [steps]

    >>> [_steps(excess, 2.0) for excess in (2.0, 2.09, 2.11, 4.0, inf)]
    [0, 0, 1, 14, inf]
    """
    return inf if excess == inf else int(log(excess / least) / log(RESOLUTION))


def compare(on: Serving, demand: Demand, runners_up: int = ALTERNATIVES) -> Case:
    """The case: each replica that the GPUs hold, as often as they hold it, or as few times as serve the users.

    With an aim every legal layout is compared, for the fewest GPUs as far as it can be best or one of `runners_up`;
    without one the few that the guide's rules lead to; of those, with no runners-up, none that cannot be chosen. Where
    no number of GPUs is given, on the fewest that hold the users, or for a latency that ever more GPUs would shorten,
    on `_enough` of them.
    """
    if demand.is_aimed:
        case = Case(on=on, demand=demand, plans=tuple(_aimed(on, demand, runners_up)))
        if (most := _enough(case)) is None:
            return case
        return replace(case, plans=tuple(_aimed(on, replace(demand, gpus=most), runners_up)), most=most)
    fewest = on.for_users(demand.users, demand.context)
    total = demand.gpus or (fewest.layout.gpus if fewest else 0)
    replicas = _replicas(on, demand, fewest, total)
    if not runners_up:
        replicas = [one for one in replicas if _hold(on, demand, one, total // one.replica)] or replicas
    plans = tuple(plan_of(on, demand, one, total // one.replica) for one in replicas)
    if demand.gpus and plans and all(plan.users < demand.users for plan in plans):
        copies = ((one, total // one.replica) for one in on.inside(total))
        own = ((one, n) for one, n in copies if n * one.replica not in on.degrees)
        plans += tuple(plan_of(on, demand, one, n) for one, n in own if _hold(on, demand, one, n))
    return Case(on=on, demand=demand, plans=plans)


def _enough(case: Case) -> int | None:
    """The number of GPUs to search where none is given and the aim does not bound it; None where it is bounded. [GPUs]

    With more replicas or stages a user waits ever shorter, until each has GPUs of their own: the fastest layout says
    nothing about how many to take. So the search ends at the widest tensor groups that serve the users (`_widest`), or
    that hold them where none are served in time; and among the layouts as fast as can be told (`RESOLUTION`), at the
    smallest.
    """
    demand, serving = case.demand, [plan for plan in case.plans if plan.serves]
    if demand.gpus is not None or (serving and demand.aim != "latency"):
        return None
    plans = serving or [plan for plan in case.plans if plan.holds]
    if not plans:
        return None
    widest = _widest([plan.layout for plan in plans])
    few = [plan for plan in plans if plan.layout.gpus <= widest.gpus]
    within = RESOLUTION * min(plan.wait_s for plan in few)
    return min(plan.layout.gpus for plan in few if plan.wait_s <= within) if serving else widest.gpus


def _widest(layouts: Sequence[Layout]) -> Layout:
    """The widest tensor groups in the fewest stages that hold the model, or in more where those take far fewer GPUs.

    A group that the model leaves hardly any cache serves many users only in many copies; a stage deeper, in few.
    """
    wide = min((-one.tp, one.attention_dp) for one in layouts)
    groups = [one for one in layouts if (-one.tp, one.attention_dp) == wide]
    most = FEWER_GPUS * min(one.gpus for one in groups)
    return min((one for one in groups if one.gpus <= most), key=lambda one: (one.pp, one.gpus))


def _replicas(on: Serving, demand: Demand, fewest: Deployment | None, total: int) -> list[Layout]:
    """The replicas to compare by the guide's rules, the guide's own first; none where nothing holds a session."""
    first = on.smallest(demand.context, total)
    if first is None:
        return []
    holding = [fewest.layout.alone] if fewest else []
    enough = fewest is not None and fewest.layout.gpus <= total
    shared = _leaving_none(on, fewest.layout.alone, total) if fewest and enough else on.shared(total)
    offered = dict.fromkeys([first, *on.common(), *holding, *shared])
    return [one for one in offered if one.replica <= total and on.fits(one, demand.context)]


def _hold(on: Serving, demand: Demand, replica: Layout, copies: int) -> bool:
    """Whether so many copies of a replica hold all users at full context, whatever their latency."""
    return copies * on.room(replica, demand.context) >= demand.users


def _leaving_none(on: Serving, holding: Layout, total: int) -> list[Layout]:
    """Expert-sharing replicas that divide the GPUs evenly, where the one that holds the users leaves some over."""
    if holding.attention_dp == 1 or total % holding.replica == 0:
        return []
    return [one for one in on.shared(total) if total % one.replica == 0]


def _aimed(on: Serving, demand: Demand, runners_up: int) -> Iterator[Plan]:
    """The plan of every legal replica, smallest first.

    For the fewest GPUs, a layout that takes more than those found already, even to hold the users, is left out.
    """
    fewest: list[int] = []
    for one, held in _legal(on, demand):
        bound = sorted(fewest)[runners_up] if len(fewest) > runners_up else inf
        if one.replica > bound:
            return
        if bound < inf and not _serves_within(on, demand, one, held, int(bound)):
            continue
        plan = plan_of(on, demand, one, _copies(on, demand, one, held))
        if demand.aim == "fewest_gpus" and plan.serves:
            fewest.append(plan.layout.gpus)
        yield plan


def _serves_within(on: Serving, demand: Demand, one: Layout, held: int, gpus: int) -> bool:
    """Whether copies of a replica on this many GPUs hold all users and serve them in time."""
    copies = gpus // one.replica
    if not on.takes(one, ceil(demand.users / copies), demand.context, demand.pace):
        return False
    if demand.rate is None:
        return True
    return copies >= _copies_at_least(on, demand, one, held) and plan_of(on, demand, one, copies).serves


def _copies(on: Serving, demand: Demand, one: Layout, held: int) -> int:
    """The number of replicas: all that the GPUs hold, or the fewest that serve the users where the GPUs are open.

    Where none serve them in time, the fewest that hold them.
    """
    most = demand.gpus // one.replica if demand.gpus else None
    if most and demand.aim != "fewest_gpus":
        return most
    waiting = min(held, demand.users)
    in_time = most_in_time(demand.latency, on.replica(one), demand.load(waiting), waiting)
    enough = ceil(demand.users / (in_time or held))
    if demand.rate and in_time:
        enough = max(enough, _copies_at_least(on, demand, one, held))
        enough = first_holding(lambda copies: plan_of(on, demand, one, copies).serves, enough) or enough
    return min(enough, most or enough)


def _copies_at_least(on: Serving, demand: Demand, one: Layout, held: int) -> int:
    """Copies of a replica below which the arrivals are late or pile up, as if no prompt waited; 1 where not timed."""
    if (replica := on.replica(one)) is None or demand.rate is None:
        return 1
    return ceil(demand.rate / replica.rate_in_time(demand.load(held), demand.latency.excess))


def _legal(on: Serving, demand: Demand) -> Iterator[tuple[Layout, int]]:
    """Every replica that holds a session on the GPUs given, with its sessions, smallest first.

    That is every tensor degree in every depth, of a mixture of experts with every number of groups that share them;
    where neither GPUs nor a latency or a rate are given, none larger than one that holds all users.
    """
    if on.not_modelled:
        return
    roomy: set[tuple[int, int]] = set()
    for one in _offered(on, demand.gpus or MOST_GPUS):
        held = None if (one.tp, one.pp) in roomy else on.capacity(one, demand.context)
        if held and held.fits:
            yield one, held.sessions
            if not demand.gpus and not demand.is_bounded and held.sessions >= demand.users:
                roomy.add((one.tp, one.pp))


def _offered(on: Serving, most: int) -> list[Layout]:
    """Every replica that the engine accepts on at most this many GPUs, smallest first."""
    split = product(on.degrees, depths(on.model.architecture.layers))
    layouts = (
        Layout(tp=tp, pp=pp, attention_dp=groups) for tp, pp in split for groups in (1, *on.sharing(tp, most // pp))
    )
    return sorted((one for one in layouts if one.replica <= most), key=lambda one: one.replica)
