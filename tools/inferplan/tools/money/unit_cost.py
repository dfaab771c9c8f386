"""The price of a million tokens on GPUs kept as busy as planned: rented, or else owned."""

from dataclasses import dataclass
from functools import lru_cache

from inferplan.core.hardware import Gpu
from inferplan.core.units import MILLION, SECONDS_PER_HOUR
from inferplan.tools._arguments import TURN_TOKENS
from inferplan.tools._assumptions import Ledger
from inferplan.tools._figures import hour_price, unit_price
from inferplan.tools.money.fleet import Instance, Request, instances
from inferplan.tools.money.owning import ALL_IN, take_owned
from inferplan.tools.money.rates import on_demand, today
from inferplan.tools.serving.serving import Serving

TURN = Request(input_tokens=TURN_TOKENS, output_tokens=TURN_TOKENS)
"""The guide's average request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rent:
    """The price of a GPU-hour, and the share of its throughput that is planned for. [USD/hour; fraction]

    On demand; where `owned`, all costs of owning, paid busy or idle.
    """

    usd_per_gpu_hour: float
    utilization: float
    owned: bool = False

    @property
    def paid(self) -> str:
        """`owned` or `rented`."""
        return "owned" if self.owned else "rented"


def take_rent(ledger: Ledger, gpu: Gpu) -> Rent | None:
    """The price of a GPU-hour, the caller's or the catalogue's; None where not known.

    The cost of owning stands in where nobody rents the GPU out, or the caller gives it.
    """
    rate = None if ledger.given(ALL_IN) else on_demand(ledger, gpu, today())
    usd = rate.usd if rate else _owned_rate(ledger, gpu)
    if usd is None:
        return None
    return Rent(usd_per_gpu_hour=usd, utilization=ledger.take("utilization", quiet=True), owned=rate is None)


def _owned_rate(ledger: Ledger, gpu: Gpu) -> float | None:
    """The cost of an owned GPU per hour: the caller's, else the catalogue's; None where not known. [USD/hour]"""
    if ledger.given(ALL_IN):
        return ledger.take(ALL_IN)
    owned = take_owned(Ledger({}), gpu)
    why = "nobody rents it out: bought, financed, housed and run, without staff"
    return owned and ledger.take(ALL_IN, hour_price(owned.usd_per_hour), why=why)


def price_of_million(on: Serving, rent: Rent | None) -> float | None:
    """`usd_per_million_tokens` as answers show it; None without a price or layout. [USD per million tokens]"""
    usd = rent and usd_per_million_tokens(on, rent)
    return usd and unit_price(usd)


@lru_cache(maxsize=1024)
def usd_per_million_tokens(on: Serving, rent: Rent) -> float | None:
    """The lowest price of a million tokens, input and output together, over all replicas; None without a layout.

    Instances are as full as a fleet is planned to be: what `compare_costs` comes to for a load that fills them.
    """
    return min((_of_instance(one, rent) for one in instances(on, TURN)), default=None)


def _of_instance(one: Instance, rent: Rent) -> float:
    """rate × GPUs / (output tokens an hour × planned share × (input + output) / output). [USD per million tokens]"""
    tokens = one.tokens_per_s * SECONDS_PER_HOUR * rent.utilization * TURN.tokens / TURN.output_tokens
    return rent.usd_per_gpu_hour * one.layout.replica / tokens * MILLION
