"""Monthly bills of a fleet at any requests and hours, and where two of them are equal."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from inferplan.core import breakeven, cost
from inferplan.core.ownership import payback_months
from inferplan.core.units import HOURS_PER_DAY
from inferplan.tools.money.fleet import Yard
from inferplan.tools.money.rates import OptionName, Rates

HOURLY: tuple[OptionName, ...] = ("on_demand", "spot")
"""Billed only while the service runs."""
COMMITTED: tuple[OptionName, ...] = ("reserved_1yr", "reserved_3yr")
"""Billed round the clock."""


@dataclass(frozen=True, kw_only=True)
class Bills:
    """Prices, and the yard whose fleets they are paid for."""

    rates: Rates
    yard: Yard

    @cached_property
    def names(self) -> list[OptionName]:
        """The options whose price is known."""
        rates = self.rates
        own: list[OptionName] = ["own"] if rates.owned else []
        api: list[OptionName] = ["api"] if rates.api else []
        return [*rates.rented, *own, *api]

    @cached_property
    def now(self) -> dict[OptionName, float]:
        """Every option for the traffic asked for. [USD/month]"""
        traffic = self.yard.traffic
        return self.at(traffic.requests_per_day, traffic.usage_hours_per_day)

    def at(self, requests: float, hours: float) -> dict[OptionName, float]:
        """Every option on the fleet that so many requests within so many hours need. [USD/month]"""
        gpus = self.yard.gpus(requests, hours)
        return {name: self.month(name, gpus=gpus, requests=requests, hours=hours) for name in self.names}

    def by_hour(self, names: Collection[OptionName]) -> dict[OptionName, list[float]]:
        """Some options for the requests asked for, within 1 to 24 hours of a day. [USD/month]"""
        requests = self.yard.traffic.requests_per_day
        fleets = [(self.yard.gpus(requests, hours), hours) for hours in range(1, HOURS_PER_DAY + 1)]
        api = [self._api(requests)] * HOURS_PER_DAY if "api" in names else []
        return {name: api if name == "api" else self._of_fleets(name, fleets) for name in names}

    def month(self, name: OptionName, *, gpus: float, requests: float, hours: float) -> float:
        """One option's bill. [USD/month]"""
        return self._api(requests) if name == "api" else self._of_fleets(name, [(gpus, hours)])[0]

    def _of_fleets(self, name: OptionName, fleets: Iterable[tuple[float, float]]) -> list[float]:
        """Each number of GPUs for its hours a day, under an option. [USD/month]"""
        each = self.per_gpu[name]
        if name in HOURLY:
            return [gpus * each * hours for gpus, hours in fleets]
        staff = self._staff if name == "own" else 0
        return [gpus * each + staff for gpus, _ in fleets]

    @cached_property
    def per_gpu(self) -> dict[OptionName, float]:
        """One GPU under each option; staff comes on top. [USD/GPU/month, of `HOURLY` for each hour of a day]"""
        each: dict[OptionName, float] = {}
        for name, rate in self.rates.rented.items():
            if name in HOURLY:
                each[name] = cost.on_demand_month(gpus=1, usd_per_gpu_hour=rate.usd, hours_per_day=1)
            else:
                each[name] = cost.reserved_month(gpus=1, usd_per_gpu_hour=rate.usd)
        if self.rates.owned is not None:
            each["own"] = self.rates.owned.month
        return each

    def _api(self, requests: float) -> float:
        """Tokens by the million. [USD/month]"""
        api, request = self.rates.api, self.yard.traffic.request
        if api is None:
            raise LookupError("api has no price")
        return cost.api_month(
            requests_per_day=requests,
            input_tokens=request.input_tokens,
            output_tokens=request.output_tokens,
            usd_per_million_input=api.usd_per_million_input,
            usd_per_million_output=api.output.usd,
        )

    def hours(self, hourly: OptionName) -> dict[OptionName, float | None]:
        """Hours a day at which an hourly option costs what each other one does, on the fleet that those hours need.

        Beyond them the other one is cheaper; None where it is at no or at any hours. Empty without a price of it.
        """
        if hourly not in self.rates.rented:
            return {}
        return {flat: breakeven.last_hours(self._even_hours(hourly, flat)) for flat in self._flat}

    @property
    def _flat(self) -> list[OptionName]:
        """Options whose bill does not follow the hours by itself."""
        return [name for name in self.names if name not in HOURLY]

    def _even_hours(self, hourly: OptionName, flat: OptionName) -> Callable[[float], float]:
        """The hours at which both would be equal on the fleet that some hours need; its size may cancel out."""
        requests, rate = self.yard.traffic.requests_per_day, self.rates.rented[hourly].usd
        follows = self.follows_the_fleet(flat)

        def even(hours: float) -> float:
            gpus = 1 if follows else self.yard.gpus(requests, hours)
            monthly = self.month(flat, gpus=gpus, requests=requests, hours=hours)
            return breakeven.even_hours(usd_per_hour=gpus * rate, monthly_usd=monthly)

        return even

    def follows_the_fleet(self, flat: OptionName) -> bool:
        """Whether a flat bill is so much a GPU: it meets an hourly one once, others as often as fleets grow."""
        return flat in COMMITTED or (flat == "own" and not self._staff)

    @property
    def _staff(self) -> float:
        """What owned hardware costs whatever its size. [USD/month]"""
        return self.rates.owned.staff_month if self.rates.owned else 0

    def cheaper_all_day(
        self, hourly: OptionName, meets: Mapping[OptionName, float | None]
    ) -> dict[OptionName, OptionName | str]:
        """The options that an hourly one never `meets`, each with the cheaper of the two; those for which it is sure.

        What it meets is what `hours` says of it.
        """
        found: dict[OptionName, OptionName | str] = {}
        if hourly not in self.rates.rented:
            return found
        rate = self.rates.rented[hourly].usd
        for flat in self._flat:
            if flat == "api":
                winner = self._cheaper_than_api(hourly) if meets[flat] is None else None
            else:
                winner = breakeven.cheaper_all_day(usd_per_hour=rate, monthly_usd=self.per_gpu[flat])
            if winner:
                found[flat] = hourly if winner == "hourly" else flat if winner == "flat" else winner
        return found

    def _cheaper_than_api(self, hourly: OptionName) -> breakeven.Cheaper | None:
        """Whether an API that the hour never meets is cheaper at any; that the hour is cannot be told so."""
        traffic = self.yard.traffic
        gpus = self.yard.gpus(traffic.requests_per_day, HOURS_PER_DAY)
        day = self.month(hourly, gpus=gpus, requests=traffic.requests_per_day, hours=HOURS_PER_DAY)
        return "flat" if day > self._api(traffic.requests_per_day) else None

    def api_requests(self, name: OptionName) -> float | None:
        """Requests a day from which a fleet costs no more than the API, at the hours asked for; None for never."""
        each, hours = self._api(1), self.yard.traffic.usage_hours_per_day
        if each == 0:
            return None

        def even(requests: float) -> float:
            gpus = self.yard.gpus(requests, hours)
            return self.month(name, gpus=gpus, requests=requests, hours=hours) / each

        return breakeven.first_requests(even)

    @property
    def payback(self) -> dict[OptionName, float]:
        """Months after which buying the fleet has cost no more than each other option; those against which it does."""
        owned, gpus = self.rates.owned, self.yard.fleet.gpus
        if owned is None or owned.gpu is None:
            return {}
        bought, running = gpus * owned.gpu.outlay_usd, gpus * owned.gpu.running_month + owned.staff_month
        months: dict[OptionName, float | None] = {
            name: payback_months(outlay_usd=bought, running_usd=running, instead_usd=usd)
            for name, usd in self.now.items()
            if name != "own"
        }
        return {name: after for name, after in months.items() if after is not None}


def cheapest(monthly: Mapping[OptionName, float], *, spot: bool) -> OptionName:
    """The cheapest option; spot, which can be taken back, only where that is allowed."""
    return min((name for name in monthly if spot or name != "spot"), key=lambda name: monthly[name])


def worth_showing(monthly: Mapping[OptionName, float], *, spot: bool) -> dict[OptionName, float]:
    """All options, but spot only where it is allowed or would be the cheapest."""
    best = monthly[cheapest(monthly, spot=spot)]
    return {name: usd for name, usd in monthly.items() if name != "spot" or spot or usd < best}
