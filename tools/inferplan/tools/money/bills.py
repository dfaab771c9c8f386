"""Monthly bills of a fleet at any requests and hours of use, and where two of them are equal."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from inferplan.core import cost
from inferplan.core.money import breakeven
from inferplan.core.money.ownership import payback_months
from inferplan.core.units import HOURS_PER_DAY
from inferplan.tools.money.fleet import FleetSizing
from inferplan.tools.money.rates import OptionName, Rates

HOURLY: tuple[OptionName, ...] = ("on_demand", "spot")
"""Options billed only while the service runs."""
COMMITTED: tuple[OptionName, ...] = ("reserved_1yr", "reserved_3yr")
"""Options billed round the clock."""


@dataclass(frozen=True, kw_only=True)
class Bills:
    """Prices, and the sizing of the fleets that they are paid for."""

    rates: Rates
    sizing: FleetSizing

    @cached_property
    def names(self) -> list[OptionName]:
        """The options whose price is known."""
        rates = self.rates
        own: list[OptionName] = ["own"] if rates.owned else []
        api: list[OptionName] = ["api"] if rates.api else []
        return [*rates.rented, *own, *api]

    @cached_property
    def now(self) -> dict[OptionName, float]:
        """The bill of every option for the traffic asked for. [USD/month]"""
        traffic = self.sizing.traffic
        return self.at(traffic.requests_per_day, traffic.usage_hours_per_day)

    def at(self, requests: float, hours: float) -> dict[OptionName, float]:
        """The bill of every option on the fleet for some requests a day within some hours. [USD/month]"""
        gpus = self.sizing.gpus(requests, hours)
        return {name: self.month(name, gpus=gpus, requests=requests, hours=hours) for name in self.names}

    def by_hour(self, names: Collection[OptionName]) -> dict[OptionName, list[float]]:
        """Bills for the requests asked for within 1, 2, ... 24 hours a day. [USD/month]"""
        requests = self.sizing.traffic.requests_per_day
        fleets = [(self.sizing.gpus(requests, hours), hours) for hours in range(1, HOURS_PER_DAY + 1)]
        api = [self._api(requests)] * HOURS_PER_DAY if "api" in names else []
        return {name: api if name == "api" else self._of_fleets(name, fleets) for name in names}

    def month(self, name: OptionName, *, gpus: float, requests: float, hours: float) -> float:
        """The bill of one option for a number of GPUs, or of requests to the API. [USD/month]"""
        return self._api(requests) if name == "api" else self._of_fleets(name, [(gpus, hours)])[0]

    def _of_fleets(self, name: OptionName, fleets: Iterable[tuple[float, float]]) -> list[float]:
        """The bill of one option for each pair of GPUs and hours a day. [USD/month]"""
        each = self.per_gpu[name]
        if name in HOURLY:
            return [gpus * each * hours for gpus, hours in fleets]
        staff = self._staff if name == "own" else 0
        return [gpus * each + staff for gpus, _ in fleets]

    @cached_property
    def per_gpu(self) -> dict[OptionName, float]:
        """The price of one GPU under each option, without staff. [USD/month; of `HOURLY` per hour of a day]"""
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
        """The API's bill for requests a day. [USD/month]"""
        api, request = self.rates.api, self.sizing.traffic.request
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
        """Hours a day from which each other option costs less than an hourly one, on the fleet that those hours need.

        None where they never cost the same; empty where the hourly one has no price.
        """
        if hourly not in self.rates.rented:
            return {}
        return {flat: breakeven.last_hours(self._even_hours(hourly, flat)) for flat in self._flat}

    @property
    def _flat(self) -> list[OptionName]:
        """Options whose bill does not depend on the hours but for the size of the fleet."""
        return [name for name in self.names if name not in HOURLY]

    def _even_hours(self, hourly: OptionName, flat: OptionName) -> Callable[[float], float]:
        """The hours at which both options cost the same on the fleet for given hours; its size may cancel out."""
        requests, rate = self.sizing.traffic.requests_per_day, self.rates.rented[hourly].usd
        follows = self.follows_the_fleet(flat)

        def even(hours: float) -> float:
            gpus = 1 if follows else self.sizing.gpus(requests, hours)
            monthly = self.month(flat, gpus=gpus, requests=requests, hours=hours)
            return breakeven.even_hours(usd_per_hour=gpus * rate, monthly_usd=monthly)

        return even

    def follows_the_fleet(self, flat: OptionName) -> bool:
        """Whether a flat bill is proportional to the GPUs, so that it meets an hourly one once at most."""
        return flat in COMMITTED or (flat == "own" and not self._staff)

    @property
    def _staff(self) -> float:
        """The cost of staff, whatever the size of the fleet. [USD/month]"""
        return self.rates.owned.staff_month if self.rates.owned else 0

    def cheaper_all_day(
        self, hourly: OptionName, meets: Mapping[OptionName, float | None]
    ) -> dict[OptionName, OptionName | str]:
        """By option that an hourly one never `meets`, the cheaper of the two; only where that is certain.

        `meets` is what `hours` returns for the hourly option.
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
        """`flat` where the API, which the hourly option never meets, is cheaper; None where that is not certain."""
        traffic = self.sizing.traffic
        gpus = self.sizing.gpus(traffic.requests_per_day, HOURS_PER_DAY)
        day = self.month(hourly, gpus=gpus, requests=traffic.requests_per_day, hours=HOURS_PER_DAY)
        return "flat" if day > self._api(traffic.requests_per_day) else None

    def api_requests(self, name: OptionName) -> float | None:
        """Requests a day from which a fleet costs no more than the API, at the hours asked for; None for never."""
        each, hours = self._api(1), self.sizing.traffic.usage_hours_per_day
        if each == 0:
            return None

        def even(requests: float) -> float:
            gpus = self.sizing.gpus(requests, hours)
            return self.month(name, gpus=gpus, requests=requests, hours=hours) / each

        return breakeven.first_requests(even)

    @property
    def payback(self) -> dict[OptionName, float]:
        """Months after which buying has cost no more than each other option, for options that it ever undercuts."""
        owned, gpus = self.rates.owned, self.sizing.fleet.gpus
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
    """The option with the lowest bill; spot, which can be taken back, only where `spot` allows it."""
    return min((name for name in monthly if spot or name != "spot"), key=lambda name: monthly[name])


def worth_showing(monthly: Mapping[OptionName, float], *, spot: bool) -> dict[OptionName, float]:
    """The bills to list: spot only where it is allowed or would be the cheapest. [USD/month]"""
    best = monthly[cheapest(monthly, spot=spot)]
    return {name: usd for name, usd in monthly.items() if name != "spot" or spot or usd < best}
