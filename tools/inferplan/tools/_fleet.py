"""The fewest GPUs that carry a day's requests: which replica to take, and how many of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from inferplan.core import cost
from inferplan.core.parallelism import Layout
from inferplan.core.serving_laws import Load, Service
from inferplan.tools._assumptions import Ledger
from inferplan.tools._serving import Serving


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """The requests of a day, the hours within which all of them come, and the size of each."""

    requests_per_day: int
    usage_hours_per_day: float
    input_tokens: int
    output_tokens: int

    @property
    def tokens_per_request(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One replica under a full batch."""

    layout: Layout
    batch: int
    service: Service


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """The instances that carry a demand [output tokens/s]; `at_least` GPUs are there whatever it is."""

    instance: Instance
    demand: float
    peak_factor: float
    utilization: float
    at_least: int = 0

    @property
    def needed(self) -> int:
        """Instances that carry the demand."""
        return cost.instances(
            demand=self.demand, capacity=self.instance.service.tokens_per_s, utilization=self.utilization
        )

    @property
    def count(self) -> int:
        """Instances in the fleet."""
        return max(self.needed, self.at_least // self.instance.layout.replica)

    @property
    def gpus(self) -> int:
        """GPUs to pay for."""
        return max(self.count * self.instance.layout.replica, self.at_least)

    @property
    def busy(self) -> float:
        """Share of the fleet's throughput in use."""
        return cost.fleet_utilization(
            demand=self.demand, capacity=self.instance.service.tokens_per_s, instances=self.count
        )


def instances(on: Serving, traffic: Traffic) -> Iterator[Instance]:
    """The replicas that can hold a request, each with as many at once as it has room for."""
    for layout in _replicas(on, traffic.tokens_per_request):
        batch = on.capacity(layout, traffic.tokens_per_request).sessions
        load = Load(
            sequences=batch,
            context=traffic.input_tokens + traffic.output_tokens / 2,
            input_tokens=traffic.input_tokens,
            output_tokens=traffic.output_tokens,
        )
        if (service := on.service(layout, load)) is not None:
            yield Instance(layout=layout, batch=batch, service=service)


def _replicas(on: Serving, tokens: int) -> list[Layout]:
    """Every tensor degree within a node that holds a request, or else the smallest layout across nodes."""
    inside = [layout for layout in map(Layout.tensor, on.degrees) if on.capacity(layout, tokens).fits]
    across = None if inside else on.smallest(tokens)
    return [across] if across else inside


def smallest_fleet(on: Serving, traffic: Traffic, ledger: Ledger, *, at_least: int = 0) -> Fleet | None:
    """The fewest GPUs that carry the demand; of equals, those that answer fastest. None where none can be built."""
    peak_factor, utilization = ledger.take("peak_factor", quiet=True), ledger.take("utilization", quiet=True)
    demand = cost.demand(
        requests_per_day=traffic.requests_per_day,
        output_tokens=traffic.output_tokens,
        usage_hours_per_day=traffic.usage_hours_per_day,
        peak_factor=peak_factor,
    )
    fleets = [
        Fleet(instance=one, demand=demand, peak_factor=peak_factor, utilization=utilization, at_least=at_least)
        for one in instances(on, traffic)
    ]
    return min(fleets, key=lambda fleet: (fleet.gpus, fleet.instance.service.tpot_s), default=None)


def fleet_problem(on: Serving, traffic: Traffic) -> str:
    """Why no fleet can be built, in one sentence."""
    if on.gpu.half_flops is None and on.gpu.peak_flops("fp32") is None:
        return f"the arithmetic peak of {on.gpu.title} is not known, so its throughput cannot be estimated"
    if on.not_modelled:
        return on.not_modelled
    if not on.degrees:
        return (
            f"no tensor group in a node shares out the cache over {on.engine.context_parallel} ranks for each KV head"
        )
    return (
        f"no legal layout of {on.gpu.title} holds {on.model.title} in {on.precision.title} and one request of "
        f"{traffic.tokens_per_request:,} tokens; take a larger gpu, a smaller precision or shorter requests"
    )
