"""A question about money with everything computed for it: the bills, the cheapest option, where options cross."""

from dataclasses import dataclass
from functools import cached_property

from inferplan.core import cost
from inferplan.core.units import MONTHS_PER_YEAR
from inferplan.tools.money.bills import Bills, cheapest
from inferplan.tools.money.fleet import Fleet, Traffic
from inferplan.tools.money.gpu_ranking import Ranked, Scope, cheapest_gpus
from inferplan.tools.money.rates import OptionName
from inferplan.tools.money.sensitivity import Swing, largest_swings
from inferplan.tools.serving.serving import Serving


@dataclass(frozen=True, kw_only=True)
class Case:
    """A question about money with everything computed for it; `monthly` are the bills to list. [USD/month]"""

    on: Serving
    bills: Bills
    fleet: Fleet
    monthly: dict[OptionName, float]
    compliance_required: bool
    requests_per_user: float | None
    checkpoint_gpus: int | None
    scope: Scope

    @cached_property
    def ranked(self) -> list[Ranked]:
        """The GPU types with the cheapest fleets for the same traffic."""
        return cheapest_gpus(self.scope, self.traffic)

    @property
    def traffic(self) -> Traffic:
        """The traffic that the fleet is sized for."""
        return self.bills.sizing.traffic

    @property
    def requests(self) -> int:
        """Requests a day."""
        return round(self.traffic.requests_per_day)

    @cached_property
    def demand(self) -> float:
        """Output tokens in the busiest hour. [tokens/s]"""
        return self.traffic.demand(self.traffic.requests_per_day, self.traffic.usage_hours_per_day)

    @cached_property
    def best(self) -> OptionName:
        """The cheapest option of all listed."""
        return cheapest(self.monthly, spot=True)

    @cached_property
    def recommended(self) -> OptionName:
        """The cheapest option that is allowed; owning where compliance requires it."""
        return "own" if self.compliance_required else cheapest(self.monthly, spot=self.bills.rates.spot_allowed)

    @cached_property
    def usd_per_million_tokens(self) -> dict[OptionName, float]:
        """The price of tokens under each option, input and output together. [USD per million tokens]"""
        traffic = self.traffic
        return {
            name: cost.usd_per_million_tokens(
                monthly_usd=usd,
                requests_per_day=traffic.requests_per_day,
                tokens_per_request=traffic.request.tokens,
            )
            for name, usd in self.monthly.items()
        }

    @property
    def usd_per_user_month(self) -> float | None:
        """The recommended bill per user, where requests per user are given; else None. [USD/month]"""
        each = self.requests_per_user
        return each and self.monthly[self.recommended] * each / self.traffic.requests_per_day

    @cached_property
    def crossings(self) -> dict[OptionName, float | None]:
        """Hours a day at which on-demand costs as much as each other option; None for never."""
        return self.bills.hours("on_demand")

    @cached_property
    def spot_crossings(self) -> dict[OptionName, float | None]:
        """The same for spot, where it is allowed; else empty."""
        return self.bills.hours("spot") if "spot" in self.weighed else {}

    @cached_property
    def cheaper_all_day(self) -> dict[str, str]:
        """By option that never costs as much as on-demand, the cheaper of the two."""
        return {**self.bills.cheaper_all_day("on_demand", self.crossings)}

    @cached_property
    def fleet_option(self) -> OptionName:
        """The cheapest way to have the fleet, the API apart; owning where compliance requires it."""
        held: dict[OptionName, float] = {name: usd for name, usd in self.monthly.items() if name != "api"}
        return "own" if self.compliance_required else cheapest(held, spot=self.bills.rates.spot_allowed)

    @cached_property
    def api_requests(self) -> float | None:
        """Requests a day up to which the API is cheaper than the fleet; None for any number, or without an API."""
        return self.bills.api_requests(self.fleet_option) if self.bills.rates.api else None

    @cached_property
    def payback(self) -> dict[OptionName, float]:
        """Months after which buying has cost no more than each other option, within its depreciation."""
        owned = self.bills.rates.owned
        life = owned.gpu.depreciation_years * MONTHS_PER_YEAR if owned and owned.gpu else 0
        months = self.bills.payback
        return {name: months[name] for name in self.weighed if months.get(name, life + 1) <= life}

    @cached_property
    def weighed(self) -> list[OptionName]:
        """The options that may be chosen: spot only where it is allowed."""
        return [name for name in self.monthly if name != "spot" or self.bills.rates.spot_allowed]

    @cached_property
    def slower(self) -> tuple[float, float]:
        """Time over that planned, at best and at worst, in half of published runs: the offline error band. [ratio]"""
        found = self.on.band("offline")
        return found.low, found.high

    @cached_property
    def swings(self) -> list[Swing]:
        """The inputs that move the recommended bill most."""
        return largest_swings(self.bills, self.recommended, self.slower)

    @property
    def premium(self) -> float:
        """The recommended bill above the cheapest: what compliance costs. [USD/month]"""
        return self.monthly[self.recommended] - self.monthly[self.best]
