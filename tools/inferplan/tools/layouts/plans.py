"""The layouts to compare for a model on its GPUs: what each holds and delivers, and which of them to take."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import ceil, inf, log

from inferplan.core.parallelism import Layout, depths
from inferplan.core.serving_laws import Service
from inferplan.tools.layouts.demand import Demand, Plan, most_in_time, plan_of
from inferplan.tools.serving.latency import WHENEVER
from inferplan.tools.serving.serving import Deployment, Serving

ALTERNATIVES = 3
"""Runners-up that an answer shows."""
MOST_GPUS = 1024
"""GPUs of one replica that are looked at where no number is given."""
FEWER_GPUS = 2
"""Groups of fewer stages that take more than so many times the GPUs of deeper ones are not looked at for a latency.

A judgement without a source: nobody says how many GPUs a shorter wait is worth, and total_gpus overrules it. It is the
step that answers name ("on 48 that would be 17 ms"). Of 360 questions without total_gpus 38 are answered otherwise at
1.5 times, 23 at three times.
"""
RESOLUTION = 1.05
"""Two layouts whose estimates lie closer than this are equally quick, for all that is known. [ratio]

Source: 42 pairs in tests/data/published_speed.tsv of layouts that were measured under one load, of the same model,
format, GPUs and engine, and whose predictions differ: the ratio of their times per token is off by 16 % in the median,
and by 5 % or less in one pair of four.
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model on its GPUs, the demand, and the plans to compare, by the guide's rules first; none where none fits.

    They take at most so many GPUs; `most` is None where the demand says how many.
    """

    on: Serving
    demand: Demand
    plans: tuple[Plan, ...]
    most: int | None = None

    @cached_property
    def chosen(self) -> Plan:
        """By the guide's rules where no load is asked for; else the best of those that serve, or the roomiest."""
        if self.demand.users == 1 and not self.demand.is_aimed:
            return self.plans[0]
        return self.ranked[0]

    @cached_property
    def ranked(self) -> list[Plan]:
        """Plans that serve the users, the best for the aim first; then those that serve the most of them."""
        return sorted(self.plans, key=lambda plan: self.rank(plan, self.closest))

    @cached_property
    def closest(self) -> Mapping[int, float]:
        """How close plans come that hold the users, and not all in time, by how many they do. [users to ratio]"""
        return closest((self, plan) for plan in self.plans)

    def rank(self, plan: Plan, closest: Mapping[int, float], *rent: float) -> tuple[float, ...]:
        """The order in which plans are preferred, by their rent where all that the aim is about is equal.

        Of those that serve as many in time, and hold all: those that come as `closest` as can be told (`RESOLUTION`),
        on the fewest GPUs, split in the fewest ways, the quicker one of two; else those that hold the most.
        """
        gpus = plan.layout.gpus
        if self.serves(plan):
            if self.demand.aim == "fewest_gpus":
                return 0, gpus, *rent, plan.wait_s
            return 0, plan.wait_s if self.demand.aim == "latency" else -self.worth(plan), *rent, gpus
        late = 1, -plan.in_time, not self.holds(plan)
        if not self.holds(plan):
            return *late, -plan.users, gpus, *rent, plan.wait_s
        steps = _steps(self.excess(plan), closest[plan.in_time])
        return *late, steps, gpus, *rent, plan.layout.ways, plan.wait_s

    def excess(self, plan: Plan) -> float:
        """How far a plan is from the latency asked for. [ratio]"""
        return self.demand.latency.excess(plan.service)

    def is_closest(self, plan: Plan) -> bool:
        """Whether none of those that take as many in time comes closer to the latency asked for."""
        return self.excess(plan) <= self.closest.get(plan.in_time, inf)

    def throughput(self, plan: Plan) -> float | None:
        """That of the users asked for; of all that fit where nothing but the throughput was. [tokens/s]"""
        alone = self.demand.users == 1 and self.demand.objective == "throughput"
        return plan.most_tokens_per_s if alone else plan.tokens_per_s

    @property
    def is_per_gpu(self) -> bool:
        """Whether throughput counts per GPU: without a number of GPUs, ever more of them would win."""
        return self.demand.gpus is None and self.demand.aim == "throughput"

    def worth(self, plan: Plan) -> float:
        """The throughput that counts: of all GPUs given, or of each. [tokens/s]"""
        return (self.throughput(plan) or 0) / (plan.layout.gpus if self.is_per_gpu else 1)

    def holds(self, plan: Plan) -> bool:
        """Whether all users fit at full context."""
        return plan.users >= self.demand.users

    def serves(self, plan: Plan) -> bool:
        """Whether all users fit, and get the latency asked for."""
        return self.holds(plan) and self.demand.meets(plan.service)

    @cached_property
    def doubled(self) -> Plan | None:
        """The layout chosen on twice the GPUs, where those were not given and are told apart by their time."""
        layout = self.chosen.layout
        if self.most is None or self.chosen.service is None or not self.serves(self.chosen):
            return None
        twice = plan_of(self.on, self.demand, layout.alone, 2 * layout.dp)
        return twice if self.chosen.wait_s > RESOLUTION * twice.wait_s else None

    @cached_property
    def alone(self) -> Service | None:
        """What a user alone gets on the layout that brings them closest to the latency; None where it is not known."""
        latency, load = self.demand.latency, self.demand.load(1)
        services = [plan.replica.serve(load) for plan in self.plans if plan.replica]
        return min(services, key=latency.excess, default=None)

    @cached_property
    def by_memory(self) -> int | None:
        """The fewest GPUs that hold the users, however long they wait; None unless a latency asks for the fewest."""
        demand = self.demand
        if not demand.has_targets or demand.aim != "fewest_gpus" or not self.serves(self.chosen):
            return None
        patient = replace(demand, objective="fewest_gpus", latency=WHENEVER)
        return compare(self.on, patient, runners_up=0).chosen.layout.gpus

    @cached_property
    def shared_out(self) -> "Case | None":
        """The same with a cache that ranks share out, where that serves users who are not, or on fewer GPUs.

        Of the ranks those with the fewest GPUs, then the fewest ranks. None where neither is what the aim is about, or
        the caller says how many ranks there are.
        """
        if self.demand.ranks_given or self.demand.objective not in (None, "fewest_gpus"):
            return None
        served = bool(self.plans) and self.serves(self.chosen)
        if served == bool(self.demand.gpus):
            return None
        tried = (compare(self.on.set_to(context_parallel=n), self.demand, runners_up=0) for n in self.on.token_ranks)
        serving = [one for one in tried if one.plans and one.serves(one.chosen)]
        best = min(serving, key=lambda one: one.chosen.layout.gpus, default=None)
        fewer = best and (not served or best.chosen.layout.gpus < self.chosen.layout.gpus)
        return best if fewer else None

    @cached_property
    def needed(self) -> Layout | None:
        """The smallest replica on any number of GPUs, by the guide's rules; None where none is legal."""
        return self.on.smallest(self.demand.context)

    @cached_property
    def narrower(self) -> Layout | None:
        """A replica on fewer GPUs still, of narrower tensor groups in more stages; None where there is none."""
        alone = replace(self.demand, gpus=None, users=1, objective="fewest_gpus", latency=WHENEVER)
        found = compare(self.on, alone, runners_up=0).chosen.layout if self.needed else None
        return found if found and self.needed and found.replica < self.needed.replica else None


def closest(plans: Iterable[tuple[Case, Plan]]) -> Mapping[int, float]:
    """How close those come that hold the users but are late for some, by how many are in time. [users to ratio]"""
    found: dict[int, float] = {}
    for case, plan in plans:
        if case.holds(plan) and not case.serves(plan):
            found[plan.in_time] = min(case.excess(plan), found.get(plan.in_time, inf))
    return found


def _steps(excess: float, least: float) -> float:
    """How many times the resolution a plan is off the closest; infinite where its speed is not known. [steps]

    >>> [_steps(excess, 2.0) for excess in (2.0, 2.09, 2.11, 4.0, inf)]
    [0, 0, 1, 14, inf]
    """
    return inf if excess == inf else int(log(excess / least) / log(RESOLUTION))


def compare(on: Serving, demand: Demand, runners_up: int = ALTERNATIVES) -> Case:
    """Each replica that the GPUs hold, as often as they hold it, or as few times as serve the users.

    Where no number of GPUs is given it is the fewest whose replicas hold the users. With an aim stated every legal
    layout is compared, else the few that the guide's rules lead to; for the fewest GPUs, so far as it can be the best
    or one of so many `runners_up`; for a latency that ever more GPUs would shorten, on `_enough` of them.
    """
    if demand.is_aimed:
        case = Case(on=on, demand=demand, plans=tuple(_aimed(on, demand, runners_up)))
        if (most := _enough(case)) is None:
            return case
        return replace(case, plans=tuple(_aimed(on, replace(demand, gpus=most), runners_up)), most=most)
    fewest = on.for_users(demand.users, demand.context)
    total = demand.gpus or (fewest.layout.gpus if fewest else 0)
    replicas = _replicas(on, demand, fewest, total)
    plans = tuple(plan_of(on, demand, one, total // one.replica) for one in replicas)
    if demand.gpus and plans and all(plan.users < demand.users for plan in plans):
        copies = ((one, total // one.replica) for one in on.inside(total))
        enough = ((one, n) for one, n in copies if n * on.room(one, demand.context) >= demand.users)
        plans += tuple(plan_of(on, demand, one, n) for one, n in enough)
    return Case(on=on, demand=demand, plans=plans)


def _enough(case: Case) -> int | None:
    """The GPUs to look at where none are given and the aim does not say how few; None where either does. [GPUs]

    A user of ever more replicas, or of ever more stages, waits ever shorter, until each has GPUs of their own: what is
    quickest says nothing about how many to take. So no more are looked at than serve the users, or hold them where none
    gets the latency asked for, in the widest tensor groups (`_widest`); and of the layouts on those that cannot be told
    apart from the quickest (`RESOLUTION`), the one on the fewest GPUs decides.
    """
    demand, serving = case.demand, [plan for plan in case.plans if case.serves(plan)]
    if demand.gpus is not None or (serving and demand.aim != "latency"):
        return None
    plans = serving or [plan for plan in case.plans if case.holds(plan)]
    if not plans:
        return None
    widest = _widest([plan.layout for plan in plans])
    few = [plan for plan in plans if plan.layout.gpus <= widest.gpus]
    within = RESOLUTION * min(plan.wait_s for plan in few)
    return min(plan.layout.gpus for plan in few if plan.wait_s <= within) if serving else widest.gpus


def _widest(layouts: Sequence[Layout]) -> Layout:
    """The widest tensor groups, each of as few stages as hold the model, or of more where those take far fewer GPUs.

    A model that leaves a group hardly any cache takes many of them for its users, and few that are a stage deeper.
    """
    wide = min((-one.tp, one.attention_dp) for one in layouts)
    groups = [one for one in layouts if (-one.tp, one.attention_dp) == wide]
    most = FEWER_GPUS * min(one.gpus for one in groups)
    return min((one for one in groups if one.gpus <= most), key=lambda one: (one.pp, one.gpus))


def _replicas(on: Serving, demand: Demand, fewest: Deployment | None, total: int) -> list[Layout]:
    """The replica layouts to compare, by the guide's rules first; none where nothing holds even one session."""
    first = on.smallest(demand.context, total)
    if first is None:
        return []
    holding = [fewest.layout.alone] if fewest else []
    enough = fewest is not None and fewest.layout.gpus <= total
    shared = _leaving_none(on, fewest.layout.alone, total) if fewest and enough else on.shared(total)
    offered = dict.fromkeys([first, *on.common(), *holding, *shared])
    return [one for one in offered if one.replica <= total and on.fits(one, demand.context)]


def _leaving_none(on: Serving, holding: Layout, total: int) -> list[Layout]:
    """Replicas that share experts and leave no GPU over, where the one that holds the users shares and leaves some."""
    if holding.attention_dp == 1 or total % holding.replica == 0:
        return []
    return [one for one in on.shared(total) if total % one.replica == 0]


def _aimed(on: Serving, demand: Demand, runners_up: int) -> Iterator[Plan]:
    """Every legal replica, smallest first: as often as serves the users, and as often as the GPUs given hold it.

    For the fewest GPUs, a layout that takes more than those shown already, even to hold the users, is left out.
    """
    fewest: list[int] = []
    for one, held in _legal(on, demand):
        bound = sorted(fewest)[runners_up] if len(fewest) > runners_up else inf
        if one.replica > bound:
            return
        if bound < inf and not _serves_within(on, demand, one, held, int(bound)):
            continue
        plan = plan_of(on, demand, one, _copies(on, demand, one, held))
        if demand.aim == "fewest_gpus" and plan.users >= demand.users and demand.meets(plan.service):
            fewest.append(plan.layout.gpus)
        yield plan


def _serves_within(on: Serving, demand: Demand, one: Layout, held: int, gpus: int) -> bool:
    """Whether so many GPUs of a replica hold the users and get them in time."""
    each = ceil(demand.users / (gpus // one.replica))
    return each <= held and (not demand.has_targets or demand.meets(on.service(one, demand.load(each))))


def _copies(on: Serving, demand: Demand, one: Layout, held: int) -> int:
    """As many replicas as the GPUs given hold; as few as serve the users where none are given or few are wanted.

    Where no number of replicas gets them in time, as few as hold them.
    """
    most = demand.gpus // one.replica if demand.gpus else None
    if most and demand.aim != "fewest_gpus":
        return most
    waiting = min(held, demand.users)
    in_time = most_in_time(demand.latency, on.replica(one), demand.load(waiting), waiting)
    enough = ceil(demand.users / (in_time or held))
    return min(enough, most or enough)


def _legal(on: Serving, demand: Demand) -> Iterator[tuple[Layout, int]]:
    """Every layout that holds a session, with those that it holds, on at most the GPUs given; smallest first.

    That is every tensor degree with every depth, and of a mixture of experts with every number of groups that share
    them; where neither GPUs nor a latency are given, no larger one than holds all users.
    """
    if on.not_modelled:
        return
    roomy: set[tuple[int, int]] = set()
    for one in _offered(on, demand.gpus or MOST_GPUS):
        held = None if (one.tp, one.pp) in roomy else on.capacity(one, demand.context)
        if held and held.fits:
            yield one, held.sessions
            if not demand.gpus and not demand.has_targets and held.sessions >= demand.users:
                roomy.add((one.tp, one.pp))


def _offered(on: Serving, most: int) -> list[Layout]:
    """Every layout of one replica that the engine accepts, on at most so many GPUs; smallest first."""
    split = product(on.degrees, depths(on.model.architecture.layers))
    layouts = (
        Layout(tp=tp, pp=pp, attention_dp=groups) for tp, pp in split for groups in (1, *on.sharing(tp, most // pp))
    )
    return sorted((one for one in layouts if one.replica <= most), key=lambda one: one.replica)
