"""The prices of a GPU type and a model under a question's assumptions, each with range, date and source."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inferplan.catalog import prices
from inferplan.catalog.models import MODELS
from inferplan.catalog.prices import ApiPrice, Quote, Range
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.units import HOURS_PER_MONTH
from inferplan.tools._assumptions import Ledger
from inferplan.tools._figures import hour_price
from inferplan.tools.money.owning import ALL_IN, POWER, PRICE, Lacking, Owned, dated, lacking, take_owned

OptionName = Literal["on_demand", "reserved_1yr", "reserved_3yr", "spot", "own", "api"]
Reserved = Literal["reserved_1yr", "reserved_3yr"]

LABELS: Mapping[OptionName, str] = {
    "on_demand": "on-demand",
    "reserved_1yr": "1-year",
    "reserved_3yr": "3-year",
    "spot": "spot",
    "own": "own",
    "api": "API",
}
"""Short names of the options, for diagrams."""

KINDS: Mapping[Reserved, Literal["reserved_1y", "reserved_3y"]] = {
    "reserved_1yr": "reserved_1y",
    "reserved_3yr": "reserved_3y",
}
"""The catalogue's names of the commitments."""
_ON_DEMAND = "on_demand_usd_per_gpu_hour"
_SPOT = "spot_usd_per_gpu_hour"
_API_CACHED = "api_cached_input_usd_per_million_tokens"
_API = ("api_input_usd_per_million_tokens", "api_output_usd_per_million_tokens")


def today() -> datetime.date:
    """The current day, in UTC."""
    return datetime.datetime.now(tz=datetime.UTC).date()


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A price with its range; `date` is that of the newest offer, None where the caller gave it.

    `assumed` where nobody quotes it.
    """

    usd: float
    low: float
    high: float
    date: str | None = None
    assumed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiRates:
    """The prices of an API for the same open model, or where `assumed` for the nearest one. [USD per million tokens]

    `cached_share` of the prompt tokens are found in the provider's cache and cost `cached`, or as much as others where
    that is not known.
    """

    model: str
    input: Rate
    output: Rate
    cached: Rate | None = None
    cached_share: float = 0

    @property
    def usd_per_million_input(self) -> float:
        """The mean price of input tokens, cached ones included. [USD per million tokens]"""
        known = self.cached or self.input
        return (1 - self.cached_share) * self.input.usd + self.cached_share * known.usd

    @property
    def assumed(self) -> bool:
        """Whether the prices are those of another model."""
        return self.input.assumed


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """The prices of renting by contract, of owning and of an API; None where not known.

    `lacking` is the figure that is missing to price owning.
    """

    rented: Mapping[OptionName, Rate]
    owned: Owned | None
    lacking: Lacking | None
    api: ApiRates | None
    spot_allowed: bool

    def assumed(self, name: OptionName) -> bool:
        """Whether the price of an option is an assumption that nobody quotes."""
        if name == "own":
            return self.owned is not None and self.owned.assumed
        return self.api is not None and self.api.assumed if name == "api" else self.rented[name].assumed


def price_problem(ledger: Ledger, gpu: Gpu, *, must_own: bool) -> str | None:
    """Which price is missing and how to give it, in one sentence; None where a bill can be made."""
    missing = lacking(ledger, gpu)
    if missing is None:
        return None
    if must_own:
        return f"compliance needs owned hardware, but {missing.asked_for(gpu)}"
    if prices.rental(gpu.id, "on_demand") or ledger.given(_ON_DEMAND):
        return None
    if any(prices.rental(gpu.id, kind) or ledger.given(f"{name}_usd_per_gpu_hour") for name, kind in KINDS.items()):
        return None
    if missing is POWER:
        return missing.asked_for(gpu)
    give = f'overrides="{_ON_DEMAND}=2.50" or "{PRICE.setting}={PRICE.like}"'
    return f"no price to rent or to buy {gpu.title} is known; give one: {give}"


def take_rates(ledger: Ledger, gpu: Gpu, model: Model) -> Rates:
    """All prices, with their sources in the ledger. Precondition: `price_problem` is None."""
    as_of = datetime.date.fromordinal(int(ledger.take("as_of", today().toordinal(), quiet=True)))
    plain = on_demand(ledger, gpu, as_of)
    rented: dict[OptionName, Rate] = {"on_demand": plain} if plain else {}
    for name in KINDS:
        if committed := _reserved(ledger, gpu, plain, name, as_of):
            rented[name] = committed
    spot, allowed = prices.rental(gpu.id, "spot"), bool(ledger.take("spot_allowed", quiet=True))
    if spot or ledger.given(_SPOT):
        rented["spot"] = _quoted(ledger, _SPOT, spot, as_of, quiet=not allowed)
    owned = take_owned(ledger, gpu, as_of, listed=plain is None)
    if plain is None and owned and owned.gpu:
        ledger.note(ALL_IN, hour_price(owned.usd_per_hour), why=f"a month of all these / {HOURS_PER_MONTH} h")
    return Rates(
        rented=rented,
        owned=owned,
        lacking=lacking(ledger, gpu),
        api=_api(ledger, model, as_of),
        spot_allowed=allowed,
    )


def on_demand(ledger: Ledger, gpu: Gpu, as_of: datetime.date) -> Rate | None:
    """The on-demand price of a GPU-hour; None where not known and not given. [USD/GPU-hour]"""
    quote = prices.rental(gpu.id, "on_demand")
    return _quoted(ledger, _ON_DEMAND, quote, as_of) if quote or ledger.given(_ON_DEMAND) else None


def machine(ledger: Ledger, gpu: Gpu) -> int:
    """GPUs of the smallest instance on offer; 1 where the caller gives the price of a GPU."""
    quote = None if ledger.given(_ON_DEMAND) else prices.rental(gpu.id, "on_demand")
    size = quote.machine if quote else 1
    return int(ledger.take("gpus_per_machine", size, why="smallest instance on offer", quiet=size == 1))


def _quoted(ledger: Ledger, name: str, quote: Quote | None, as_of: datetime.date, *, quiet: bool = False) -> Rate:
    """The caller's price, or the median over providers. Precondition: one of them exists."""
    usd = ledger.take(name, quote and hour_price(quote.median), why=quote and _provenance(quote, as_of), quiet=quiet)
    if quote is None or ledger.given(name):
        return Rate(usd=usd, low=usd, high=usd)
    return Rate(usd=usd, low=quote.low, high=quote.high, date=quote.newest)


def _provenance(quote: Quote, as_of: datetime.date) -> str:
    """The source of a rental price: median and range over providers, or the one provider; and its date."""
    peers = "peer-to-peer offers, no service level; " if quote.kind == "on_demand_marketplace" else ""
    if quote.providers == 1:
        row = quote.rows[0]
        where = f"{row.provider} {row.region}" if row.region else row.provider
        return f"{peers}{where}, {dated(quote.newest, as_of)}"
    return f"{peers}median of {quote.providers}, {quote.low:.2f}-{quote.high:.2f}, {dated(quote.newest, as_of)}"


def _reserved(ledger: Ledger, gpu: Gpu, plain: Rate | None, option: Reserved, as_of: datetime.date) -> Rate | None:
    """A committed price: quoted, else on-demand at the usual discount, an assumption; None without either."""
    name, kind = f"{option}_usd_per_gpu_hour", KINDS[option]
    quote = prices.rental(gpu.id, kind)
    if quote or ledger.given(name):
        return _quoted(ledger, name, quote, as_of)
    if plain is None:
        return None
    discount = prices.discount(kind)
    why = f"assumed: on-demand x {discount.ratio:.2f}, as {discount.pairs[0][0].provider}"
    usd = ledger.take(name, hour_price(plain.usd * discount.ratio), why=why)
    low, high = plain.low * discount.ratio, plain.high * discount.ratio
    return Rate(usd=usd, low=low, high=high, date=plain.date, assumed=True)


def _api(ledger: Ledger, model: Model, as_of: datetime.date) -> ApiRates | None:
    """The API prices of the same open model, of the one behind a size class, or the caller's; None where not known."""
    same = prices.api(model.id)
    price = same or prices.api_like(model.id)
    if price is None and not all(map(ledger.given, _API)):
        return None
    given = any(map(ledger.given, _API))
    known = MODELS.get(model.stands_for or model.id, model)
    title = known.title if same or price is None else price.title
    why = price and _api_provenance(price, title, like=same is None, as_of=as_of)
    output = _api_rate(ledger, _API[1], price, price and price.output, like=same is None and not given)
    prompt = _api_rate(ledger, _API[0], price, price and price.input, like=same is None and not given, why=why)
    share, cached = ledger.take("prefix_cache_hit_rate", quiet=True), None
    if share and ledger.given(_API_CACHED):
        usd = ledger.take(_API_CACHED)
        cached = Rate(usd=usd, low=usd, high=usd)
    return ApiRates(model=title, input=prompt, output=output, cached=cached, cached_share=share)


def _api_rate(
    ledger: Ledger, name: str, price: ApiPrice | None, found: Range | None, *, like: bool, why: str | None = None
) -> Rate:
    """The price of input or output tokens, median over providers; listed only with a `why`."""
    usd = ledger.take(name, found and found.median, why=why, quiet=why is None)
    if found is None or price is None or ledger.given(name):
        return Rate(usd=usd, low=usd, high=usd)
    return Rate(usd=usd, low=found.low, high=found.high, date=price.date, assumed=like)


def _api_provenance(price: ApiPrice, title: str, *, like: bool, as_of: datetime.date) -> str:
    """Whose API price it is, over how many providers, and its date."""
    return f"{f'assumed: like {title}, ' if like else ''}median of {price.providers}, {dated(price.date, as_of)}"
