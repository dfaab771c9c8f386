"""The GPU types with the cheapest fleets for some traffic, among all that have a price."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf
from operator import attrgetter, itemgetter

from inferplan.catalog import prices
from inferplan.catalog.formats import FORMATS
from inferplan.catalog.gpus import GPUS
from inferplan.core import cost, memory
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.speed.efficiency import VENDORS
from inferplan.core.speed.machine import machine_of
from inferplan.core.speed.work import work_of
from inferplan.tools._assumptions import Ledger
from inferplan.tools._figures import hour_price
from inferplan.tools._overrides import parse_overrides
from inferplan.tools.money.fleet import FleetSizing, Request, Traffic, instances, on_gpu
from inferplan.tools.money.owning import ALL_IN, take_owned
from inferplan.tools.money.rates import machine
from inferplan.tools.serving.serving import Serving

NAMED = 2
"""Cheapest GPU types that an answer names."""
OF_ONE_GPU = (
    "on_demand_usd_per_gpu_hour",
    ALL_IN,
    "purchase_usd_per_gpu",
    "server_usd_per_gpu",
    "power_kw_per_gpu",
    "gpus_per_machine",
)
"""Settings of the GPU asked for, which do not apply to the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What is served on every GPU type: a model in a format under a question's overrides; `own` compares owning."""

    model: Model
    precision: str
    gpu: str
    groups: tuple[str, ...]
    overrides: str
    own: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A GPU type with its fleet and that fleet's bill, on demand or of owning. [USD/month]"""

    gpu: str
    monthly_usd: float
    sizing: FleetSizing

    @property
    def tpot_s(self) -> float:
        """TPOT in the fleet's batch, which without a limit is as slow as throughput pays. [s]"""
        return self.sizing.fleet.instance.service.tpot_s


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offer:
    """The price of a GPU type: GPUs per machine, and for each GPU USD a month, and per hour of a day; staff once."""

    gpu: Gpu
    machine: int
    hourly: float = 0
    month: float = 0
    staff: float = 0

    def bill(self, gpus: int, hours: float) -> float:
        """The bill of some GPUs at some hours a day. [USD/month]"""
        return gpus * (self.month + self.hourly * hours) + self.staff


def cheapest_gpus(scope: Scope, traffic: Traffic) -> list[Ranked]:
    """The `NAMED` GPU types with the cheapest fleets, cheapest first.

    Types are sized in the order of a lower bound of their bills, until no other can be among the cheapest.
    """
    found: list[Ranked] = []
    for least, offer in sorted(_least(scope, traffic), key=itemgetter(0)):
        if len(found) >= NAMED and least > found[NAMED - 1].monthly_usd:
            break
        if (one := _ranked(scope, traffic, offer)) is not None:
            insort(found, one, key=attrgetter("monthly_usd"))
    return found[:NAMED]


def _least(scope: Scope, traffic: Traffic) -> Iterator[tuple[float, "_Offer"]]:
    """A lower bound of the bill of every GPU type, with its price. [USD/month]"""
    demand = traffic.demand(traffic.requests_per_day, traffic.usage_hours_per_day) / traffic.utilization
    for offer, holding, speed in _bounds(scope, traffic.request):
        fewest = max(holding, ceil(demand / speed * (1 - 1e-9)))
        gpus = cost.whole_machines(fewest, machine=offer.machine)
        yield offer.bill(gpus, traffic.usage_hours_per_day), offer


@lru_cache(maxsize=256)
def _bounds(scope: Scope, request: Request) -> tuple[tuple["_Offer", int, float], ...]:
    """Every GPU type with a price, the fewest GPUs that hold the weights, and an upper bound of its throughput."""
    stored = memory.weights(scope.model, FORMATS[scope.precision]).total
    offers = _offers(scope.gpu, scope.groups, scope.overrides, own=scope.own)
    return tuple(
        (offer, max(1, ceil(stored / offer.gpu.memory)), fastest_tokens_per_s(_on(scope, offer), request))
        for offer in offers
    )


def fastest_tokens_per_s(on: Serving, request: Request) -> float:
    """1 / (compute + KV read + interference): an upper bound of the output of one GPU in any replica. [tokens/s]

    Per output token: its own products, its cache once a step, and its share of the prompt's compute as far as prompts
    slow what runs and wait for each other, or all of it where one's own is the only one; no weights to read, no links,
    no fixed times. Infinite where no peak is known.
    """
    device = machine_of(on.gpu, on.precision, on.fabric(Layout()), on.efficiency, engine=on.engine.name)
    if device is None:
        return inf
    work, e = work_of(on.model, on.precision, tp=1, kv_bits=on.kv_bits), on.efficiency
    prompt, output = on.options.computed(request.input_tokens), request.output_tokens
    params = work.dense_params + work.half_params + work.active_expert_params
    each = 2 * params / (device.matrix_flops * max(e.compute, e.half_compute, e.expert_compute))
    read = request.load(1).context * work.kv_bytes_per_token / (device.bandwidth * e.bandwidth)
    waits = min(1, e.prompt_queue)
    slowed = min(1, e.prefill_interference * (1 - waits) * (output - 1) / output + waits)
    return 1 / (each + read / on.options.tokens_per_step + slowed * prompt * each / output)


@lru_cache(maxsize=256)
def _offers(asked: str, groups: tuple[str, ...], overrides: str, *, own: bool) -> tuple[_Offer, ...]:
    """Every GPU type with a price, to own or to rent; that of the GPU asked for may be the caller's."""
    found: list[_Offer] = []
    for device in (gpu for gpu in GPUS.values() if gpu.vendor in VENDORS):
        ledger = _ledger(groups, overrides, of_one=device.id == asked)
        offer = _owned(ledger, device) if own else _rented(ledger, device)
        if offer is not None:
            found.append(offer)
    return tuple(found)


def _ledger(groups: tuple[str, ...], overrides: str, *, of_one: bool) -> Ledger:
    """The question's overrides; those of the GPU asked for only where `of_one` says that it is this one."""
    given = parse_overrides(overrides, groups=groups)
    return Ledger({name: value for name, value in given.items() if of_one or name not in OF_ONE_GPU})


def _rented(ledger: Ledger, gpu: Gpu) -> _Offer | None:
    """The on-demand price of a GPU type; None where no provider has it: peers give no service level."""
    quote = prices.rental(gpu.id, "on_demand")
    if (quote is None or quote.kind != "on_demand") and not ledger.given("on_demand_usd_per_gpu_hour"):
        return None
    rate = ledger.take("on_demand_usd_per_gpu_hour", quote and hour_price(quote.median), quiet=True)
    hourly = cost.on_demand_month(gpus=1, usd_per_gpu_hour=rate, hours_per_day=1)
    return _Offer(gpu=gpu, machine=machine(ledger, gpu), hourly=hourly)


def _owned(ledger: Ledger, gpu: Gpu) -> _Offer | None:
    """The price of owning a GPU type; None where it is not known part by part.

    A published all-in rate alone is not comparable: of the five GPUs that have both it is 0.76 to 1.05 times as much.
    """
    owned = take_owned(ledger, gpu)
    if owned is None or (owned.gpu is None and not ledger.given(ALL_IN)):
        return None
    return _Offer(gpu=gpu, machine=machine(ledger, gpu), month=owned.month, staff=owned.staff_month)


def _ranked(scope: Scope, traffic: Traffic, offer: _Offer) -> Ranked | None:
    """The fleet on one GPU type; None where no layout serves a request."""
    built = instances(_on(scope, offer), traffic.request)
    if not built:
        return None
    hours = traffic.usage_hours_per_day
    sizing = FleetSizing(instances=built, traffic=traffic, machine=offer.machine)
    gpus = sizing.gpus(traffic.requests_per_day, hours)
    return Ranked(gpu=offer.gpu.id, monthly_usd=offer.bill(gpus, hours), sizing=sizing)


def _on(scope: Scope, offer: _Offer) -> Serving:
    """The model on a GPU type of the ranking."""
    return on_gpu(scope.model, scope.precision, offer.gpu.id, scope.groups, scope.overrides)
