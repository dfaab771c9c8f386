"""Prices of one GPU type and one model under one question's assumptions, and why each of them was taken."""

from dataclasses import dataclass
from typing import Literal

from inferplan.catalog import prices
from inferplan.catalog.models import MODELS
from inferplan.catalog.prices import FACILITY, Purchase, Quote
from inferplan.core import cost
from inferplan.core.architecture import Model
from inferplan.core.cost import Ownership
from inferplan.core.hardware import Gpu
from inferplan.tools._assumptions import Ledger
from inferplan.tools._fleet import Traffic

OptionName = Literal["on_demand", "reserved_1yr", "reserved_3yr", "own", "api"]

SERVER_POWER = {"h100-sxm": "server-kw-h100", "h200-sxm": "server-kw-h100", "b200-sxm": "server-kw-b200"}
"""The facility constant that holds the power of the usual server of 8."""
SERVER_GPUS = 8
WATTS_PER_KW = 1000
FACILITY_SETTINGS = (
    ("pue", "pue"),
    ("electricity_usd_per_kwh", "electricity"),
    ("colocation_usd_per_kw_month", "colocation"),
)
"""Settings and the facility constants that are their defaults."""

_ON_DEMAND = "on_demand_usd_per_gpu_hour"
_API = ("api_input_usd_per_million_tokens", "api_output_usd_per_million_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiRates:
    """The same open model behind an API. [USD per million tokens]"""

    model: str
    input: float
    output: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """What a GPU-hour costs by contract, what an owned GPU costs, what an API asks; None where not known.

    `owned_bare` says that the purchase price is that of a card, without host and network.
    """

    on_demand: float
    reserved_1yr: float
    reserved_3yr: float
    owned: Ownership | None
    owned_bare: bool
    api: ApiRates | None

    @property
    def flat(self) -> dict[OptionName, float]:
        """What one GPU costs a month under each option that is billed round the clock. [USD/GPU/month]"""
        flat: dict[OptionName, float] = {
            "reserved_1yr": cost.reserved_month(gpus=1, usd_per_gpu_hour=self.reserved_1yr),
            "reserved_3yr": cost.reserved_month(gpus=1, usd_per_gpu_hour=self.reserved_3yr),
        }
        if self.owned is not None:
            flat["own"] = cost.owned_month(self.owned, gpus=1)
        return flat


def monthly_bills(rates: Rates, traffic: Traffic, *, gpus: int) -> dict[OptionName, float]:
    """The monthly bill of every option whose price is known. [USD/month]"""
    bills: dict[OptionName, float] = {
        "on_demand": cost.on_demand_month(
            gpus=gpus, usd_per_gpu_hour=rates.on_demand, hours_per_day=traffic.usage_hours_per_day
        )
    }
    bills |= {name: gpus * per_gpu for name, per_gpu in rates.flat.items()}
    if rates.api is not None:
        bills["api"] = cost.api_month(
            requests_per_day=traffic.requests_per_day,
            input_tokens=traffic.input_tokens,
            output_tokens=traffic.output_tokens,
            usd_per_million_input=rates.api.input,
            usd_per_million_output=rates.api.output,
        )
    return bills


def crossings(rates: Rates) -> dict[OptionName, float | None]:
    """Hours a day at which on-demand costs as much as each flat option, on the same GPUs."""
    return {
        name: cost.breakeven_hours(on_demand_usd_per_hour=rates.on_demand, flat_usd_per_month=per_gpu)
        for name, per_gpu in rates.flat.items()
    }


def price_problem(ledger: Ledger, gpu: Gpu, *, must_own: bool) -> str | None:
    """The one sentence that says which price is missing and how to give it, or None where all is known."""
    if prices.rental(gpu.id, "on_demand") is None and not ledger.given(_ON_DEMAND):
        return f'no on-demand price of {gpu.title} is known; give one: overrides="{_ON_DEMAND}=2.50"'
    if not must_own:
        return None
    if prices.purchase(gpu.id) is None and not ledger.given("purchase_usd_per_gpu"):
        why = "compliance needs owned hardware"
        return f'{why}, but no price to buy {gpu.title} is known; give one: overrides="purchase_usd_per_gpu=30000"'
    if _power(gpu) is None and not ledger.given("power_kw_per_gpu"):
        return f'the power of {gpu.title} is not known; give it: overrides="power_kw_per_gpu=1.2"'
    return None


def take_rates(ledger: Ledger, gpu: Gpu, model: Model) -> Rates:
    """Every price with its provenance in the ledger. Call where `price_problem` found none."""
    quote = prices.rental(gpu.id, "on_demand")
    on_demand = ledger.take(_ON_DEMAND, quote and round(quote.median, 4), why=quote and _provenance(quote))
    return Rates(
        on_demand=on_demand,
        reserved_1yr=_reserved(ledger, gpu, on_demand, "reserved_1y"),
        reserved_3yr=_reserved(ledger, gpu, on_demand, "reserved_3y"),
        owned=_ownership(ledger, gpu),
        owned_bare=_is_bare(ledger, gpu),
        api=_api(ledger, model),
    )


def _provenance(quote: Quote) -> str:
    """Where a rental price comes from: median and range over providers, or the one source; and how old it is."""
    peers = "peer-to-peer offers, no service level; " if quote.kind == "on_demand_marketplace" else ""
    if quote.providers == 1:
        return f"{peers}{quote.rows[0].provider}, {quote.newest}"
    return f"{peers}median of {quote.providers}, {quote.low:.2f}-{quote.high:.2f}, to {quote.newest}"


def _reserved(ledger: Ledger, gpu: Gpu, on_demand: float, kind: Literal["reserved_1y", "reserved_3y"]) -> float:
    """A committed rate: as quoted, else the on-demand rate at the usual discount."""
    name = f"{kind}r_usd_per_gpu_hour"
    quote = prices.rental(gpu.id, kind)
    if quote:
        return ledger.take(name, round(quote.median, 4), why=_provenance(quote))
    discount = prices.discount(kind)
    why = f"no quote: on-demand x {discount.ratio:.2f}, {discount.pairs[0][0].provider}'s committed-use ratio"
    return ledger.take(name, round(on_demand * discount.ratio, 4), why=why)


def _ownership(ledger: Ledger, gpu: Gpu) -> Ownership | None:
    """An owned GPU, or None where its price or its power is neither known nor given."""
    bought, power = prices.purchase(gpu.id), _power(gpu)
    if not (bought or ledger.given("purchase_usd_per_gpu")) or not (power or ledger.given("power_kw_per_gpu")):
        ledger.note("own", "left out", why=f"no purchase price of {gpu.title} known; purchase_usd_per_gpu gives one")
        return None
    pue, energy, space = (_facility(ledger, *pair) for pair in FACILITY_SETTINGS)
    years = ledger.take("depreciation_years", quiet=True)
    return Ownership(
        purchase_usd=ledger.take(
            "purchase_usd_per_gpu",
            bought and bought.usd_per_gpu,
            why=bought and f"{_bought(bought)}; written off in {years:g} years",
        ),
        depreciation_years=years,
        residual_fraction=ledger.take("residual_fraction", quiet=True),
        power_kw=ledger.take("power_kw_per_gpu", power and power[0], why=power and power[1]),
        pue=pue,
        electricity_usd_per_kwh=energy,
        colocation_usd_per_kw_month=space,
    )


def _is_bare(ledger: Ledger, gpu: Gpu) -> bool:
    """Whether the price to buy is that of a card without its host."""
    bought = prices.purchase(gpu.id)
    return bought is not None and bought.basis == "card" and not ledger.given("purchase_usd_per_gpu")


def _bought(purchase: Purchase) -> str:
    """Where a purchase price comes from, and what it leaves out."""
    if purchase.basis == "server":
        return f"share of a server, {purchase.date}"
    return f"bare card, {purchase.date}"


def _power(gpu: Gpu) -> tuple[float, str] | None:
    """Server power per GPU, and where it comes from; None where nothing is known. [kW]"""
    if gpu.id in SERVER_POWER:
        return FACILITY[SERVER_POWER[gpu.id]].value / SERVER_GPUS, "server of 8"
    all_in = prices.all_in_kw(gpu.id)
    if all_in is not None:
        pue = FACILITY["pue"].value
        return round(all_in.value / pue, 4), f"all-in {all_in.value:g} kW over PUE {pue:g}, {all_in.date}"
    if gpu.power_watts is not None:
        return gpu.power_watts / WATTS_PER_KW, "rated power of the bare card"
    return None


def _facility(ledger: Ledger, name: str, fact: str) -> float:
    """A facility constant of the catalog; listed with the power that it applies to."""
    return ledger.take(name, FACILITY[fact].value, quiet=True)


def _api(ledger: Ledger, model: Model) -> ApiRates | None:
    """The price of the same open model, or of the one that a size class stands for; or what the caller says."""
    price = prices.api(model.id)
    if price is None and not all(map(ledger.given, _API)):
        return None
    stands_in = MODELS.get(model.stands_for or model.id, model)
    output = ledger.take(_API[1], price and price.output.median, quiet=True)
    why = price and f"{stands_in.title}, median of {price.providers}, {price.date}"
    prompt = ledger.take(_API[0], price and price.input.median, why=why)
    return ApiRates(model=stands_in.title, input=prompt, output=output)
