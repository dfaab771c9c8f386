"""The fewest GPUs that carry a day's requests: which replica to take, and how many."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from math import ceil

from inferplan.core import cost
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import Service
from inferplan.core.speed.load import Load
from inferplan.core.units import MILLI
from inferplan.tools._assumptions import Ledger
from inferplan.tools._overrides import parse_overrides
from inferplan.tools.serving.latency import WHENEVER, Latency
from inferplan.tools.serving.serving import Serving
from inferplan.tools.serving.settings import serving

DEPTHS = 3
"""Pipelines considered where no single node holds a request: the shallowest that does, and the next ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request: its tokens, and the latency asked for."""

    input_tokens: int
    output_tokens: int
    latency: Latency = WHENEVER

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    def load(self, sequences: int) -> Load:
        """The load of a replica with this many requests at once, each half-way through its answer."""
        return Load(
            sequences=sequences,
            context=self.input_tokens + self.output_tokens / 2,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """The requests of a day, the hours within which they come, peak over mean, and the utilization planned."""

    requests_per_day: float
    usage_hours_per_day: float
    request: Request
    peak_factor: float
    utilization: float

    def demand(self, requests: float, hours: float) -> float:
        """Output tokens in the busiest hour, for requests a day within some hours. [tokens/s]"""
        return cost.demand(
            requests_per_day=requests,
            output_tokens=self.request.output_tokens,
            usage_hours_per_day=hours,
            peak_factor=self.peak_factor,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One replica at its best batch: as many requests at once as it holds, in time."""

    layout: Layout
    batch: int
    service: Service

    @property
    def tokens_per_s(self) -> float:
        """Output throughput at that batch. [tokens/s]"""
        return self.service.tokens_per_s


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Instances of one kind in whole machines: `needed` for the traffic, `count` that the `gpus` paid for hold."""

    instance: Instance
    needed: int
    count: int
    gpus: int

    @property
    def busy_gpus(self) -> int:
        """GPUs of the instances needed."""
        return self.needed * self.instance.layout.replica


@dataclass(frozen=True, kw_only=True)
class FleetSizing:
    """Sizes the fleet for any requests and hours, of the kinds of instances that can serve a request.

    GPUs come in machines of `machine`; at least `at_least` of them are paid for.
    """

    instances: tuple[Instance, ...]
    traffic: Traffic
    machine: int = 1
    at_least: int = 0

    def gpus(self, requests: float, hours: float, slower: float = 1) -> int:
        """The fewest GPUs paid for that carry requests a day within some hours; `slower` scales the work. [GPUs]"""
        demand = self.traffic.demand(requests, hours) * slower
        return self._paid_for(cost.fewest_gpus(demand=demand, kinds=self._kinds))

    @cached_property
    def _kinds(self) -> list[tuple[int, float]]:
        """GPUs and planned output throughput of each kind of instance. [tokens/s]"""
        planned = self.traffic.utilization
        return [(one.layout.replica, one.tokens_per_s * planned) for one in self.instances]

    @cached_property
    def fleet(self) -> Fleet:
        """The fleet for the traffic asked for: fewest GPUs paid for, then fewest needed, then the fastest."""
        demand = self.traffic.demand(self.traffic.requests_per_day, self.traffic.usage_hours_per_day)
        fleets = (self._fleet(one, demand) for one in self.instances)
        tokens = self.traffic.request.output_tokens
        return min(fleets, key=lambda fleet: (fleet.gpus, fleet.busy_gpus, fleet.instance.service.wait_s(tokens)))

    def _fleet(self, one: Instance, demand: float) -> Fleet:
        """The fleet of one kind of instance that carries a demand. [tokens/s]"""
        needed = cost.instances(demand=demand, capacity=one.tokens_per_s, utilization=self.traffic.utilization)
        gpus = self._paid_for(needed * one.layout.replica)
        return Fleet(instance=one, needed=needed, count=gpus // one.layout.replica, gpus=gpus)

    def _paid_for(self, gpus: int) -> int:
        """GPUs in whole machines, and at least those asked for."""
        return cost.whole_machines(max(gpus, self.at_least), machine=self.machine)


def take_traffic(ledger: Ledger, *, requests: float, hours: float, request: Request) -> Traffic:
    """The traffic of requests a day within some hours, with peak and utilization from the ledger."""
    return Traffic(
        requests_per_day=requests,
        usage_hours_per_day=hours,
        request=request,
        peak_factor=ledger.take("peak_factor", quiet=True),
        utilization=ledger.take("utilization", quiet=True),
    )


@lru_cache(maxsize=1024)
def on_gpu(model: Model, precision: str, gpu: str, groups: tuple[str, ...], overrides: str) -> Serving:
    """The model on a GPU under a question's overrides, cached; which of them it took is not recorded."""
    ledger = Ledger(parse_overrides(overrides, groups=groups))
    return serving(ledger, model=model.id, precision=precision, gpu=gpu, quiet=True)


@lru_cache(maxsize=4096)
def instances(on: Serving, request: Request) -> tuple[Instance, ...]:
    """An instance of every replica that holds a request and serves it in time; empty where none does."""
    found = (_instance(on, layout, request) for layout in _replicas(on, request.tokens))
    return tuple(one for one in found if one)


def _instance(on: Serving, layout: Layout, request: Request) -> Instance | None:
    """A replica at its best batch: the most in time, or a multiple of its stages if that delivers more; or None."""
    held, replica = on.room(layout, request.tokens), on.replica(layout)
    if replica is None:
        return None
    most = request.latency.most(held, lambda batch: replica.serve(request.load(batch)))
    served = {batch: replica.serve(request.load(batch)) for batch in {most, most // layout.pp * layout.pp} - {0}}
    found = [Instance(layout=layout, batch=batch, service=service) for batch, service in served.items()]
    return max(found, key=lambda one: (one.tokens_per_s, -one.batch), default=None)


NARROWEST = 2
"""Expert-sharing groups considered: the third of eight GPUs, tensor 4 x data 2, was never the best."""


def _replicas(on: Serving, tokens: int) -> Iterator[Layout]:
    """Every tensor group within a domain that holds a request, or else the shallowest pipelines.

    And expert-sharing groups over as many GPUs as the smallest of them, or over a node where that is larger.
    """
    inside = [layout for layout in on.tensor if on.fits(layout, tokens)]
    plain = iter(inside) if inside else _across(on, tokens)
    smallest = next(plain, None)
    if smallest is not None:
        yield from (smallest, *plain, *_sharing(on, max(smallest.replica, on.node_size), tokens))


def _sharing(on: Serving, gpus: int, tokens: int) -> Iterator[Layout]:
    """The narrowest tensor groups that share experts over exactly `gpus` GPUs and hold a request.

    A full batch gets more of them than of one wide group, which cuts attention finely and repeats latents.
    """
    held = (one for one in on.shared(gpus) if one.replica == gpus and on.fits(one, tokens))
    return islice(held, NARROWEST)


def _across(on: Serving, tokens: int) -> Iterator[Layout]:
    """Pipelines that hold a request, the guide's smallest replica first; none where the deepest does not.

    Under SGLang the deepest has not the most room: its reserve grows with the ranks.
    """
    deepest = Layout(tp=on.degrees[-1], pp=on.model.architecture.layers) if on.degrees else None
    if deepest is None or (on.engine.name != "sglang" and not on.fits(deepest, tokens)):
        return
    smallest = on.smallest(tokens)
    if smallest is not None:
        deeper = islice((one for one in on.staged(tokens) if one.replica > smallest.replica), DEPTHS - 1)
        yield from (smallest, *deeper)


def fleet_problem(on: Serving, request: Request) -> str:
    """Why no fleet can be built, in one sentence."""
    if on.untimed:
        return f"{on.untimed}, so its throughput cannot be estimated"
    if on.not_modelled:
        return on.not_modelled
    if next(_replicas(on, request.tokens), None) is not None:
        return _too_slow(on, request)
    return (
        f"no legal layout of {on.gpu.title} holds {on.model.title} in {on.precision.title} and one request of "
        f"{request.tokens:,} tokens; take a larger gpu, a smaller precision or shorter requests"
    )


def _too_slow(on: Serving, request: Request) -> str:
    """Why no fleet is in time: the best latency of a lone request against the one asked for."""
    alone = [service for one in _replicas(on, request.tokens) if (service := on.service(one, request.load(1)))]
    limits = request.latency
    asked = {"max_ttft_ms": (limits.ttft_s, "ttft_s"), "max_tpot_ms": (limits.tpot_s, "tpot_s")}
    best = [
        f"{name}={limit / MILLI:g} (a lone request gets {_tenths(min(getattr(s, law) for s in alone)):,.1f} ms at best)"
        for name, (limit, law) in asked.items()
        if limit is not None
    ]
    return (
        f"no legal layout of {on.gpu.title} serves {on.model.title} in {on.precision.title} within "
        f"{' and '.join(best)}; allow more time, or take a faster gpu or a smaller precision"
    )


def _tenths(seconds: float) -> float:
    """A time rounded up to a tenth of a millisecond, so that it can be met as a limit. [ms]"""
    return ceil(10 * seconds / MILLI) / 10
