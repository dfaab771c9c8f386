"""One question about money with everything that was computed for it: which option is the cheapest, and by how much."""

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

RANKED = 2
"""Cheapest GPUs that an answer names."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question with everything that was computed for it."""

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
        """The cheapest GPUs for the same traffic."""
        return cheapest_gpus(self.scope, self.traffic, most=RANKED)

    @property
    def traffic(self) -> Traffic:
        """What the fleet is sized for."""
        return self.bills.yard.traffic

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
        """The cheapest option."""
        return cheapest(self.monthly, spot=True)

    @cached_property
    def recommended(self) -> OptionName:
        """The cheapest option that may be taken, or owned hardware where compliance asks for it."""
        return "own" if self.compliance_required else cheapest(self.monthly, spot=self.bills.rates.spot_allowed)

    @cached_property
    def usd_per_million_tokens(self) -> dict[OptionName, float]:
        """The price of a token under each option, input and output together. [USD per 10^6 tokens]"""
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
        """The recommended bill over the users that such a day's requests come from. [USD]"""
        each = self.requests_per_user
        return each and self.monthly[self.recommended] * each / self.traffic.requests_per_day

    @cached_property
    def crossings(self) -> dict[OptionName, float | None]:
        """Hours a day at which on-demand costs what each other option does."""
        return self.bills.hours("on_demand")

    @cached_property
    def spot_crossings(self) -> dict[OptionName, float | None]:
        """The same for spot, where it can be chosen."""
        return self.bills.hours("spot") if "spot" in self.weighed else {}

    @cached_property
    def cheaper_all_day(self) -> dict[str, str]:
        """The options that never meet on-demand, each with the one of the two that is cheaper."""
        return {**self.bills.cheaper_all_day("on_demand", self.crossings)}

    @cached_property
    def fleet_option(self) -> OptionName:
        """The cheapest way to have the fleet, rather than to call an API; owned where compliance asks for it."""
        held: dict[OptionName, float] = {name: usd for name, usd in self.monthly.items() if name != "api"}
        return "own" if self.compliance_required else cheapest(held, spot=self.bills.rates.spot_allowed)

    @cached_property
    def api_requests(self) -> float | None:
        """Requests a day up to which the API is cheaper than that."""
        return self.bills.api_requests(self.fleet_option) if self.bills.rates.api else None

    @cached_property
    def payback(self) -> dict[OptionName, float]:
        """Months after which buying has cost no more than each other option, where it does before it is written off."""
        owned = self.bills.rates.owned
        life = owned.gpu.depreciation_years * MONTHS_PER_YEAR if owned and owned.gpu else 0
        months = self.bills.payback
        return {name: months[name] for name in self.weighed if months.get(name, life + 1) <= life}

    @cached_property
    def weighed(self) -> list[OptionName]:
        """The options that can be chosen: spot only where it is allowed."""
        return [name for name in self.monthly if name != "spot" or self.bills.rates.spot_allowed]

    @cached_property
    def slower(self) -> tuple[float, float]:
        """How many times as long as planned the work takes, at best and at worst, in half of published runs."""
        found = self.on.band("offline")
        return found.low, found.high

    @cached_property
    def swings(self) -> list[Swing]:
        """What moves the recommended bill most."""
        return largest_swings(self.bills, self.recommended, self.slower)

    @property
    def premium(self) -> float:
        """What compliance costs. [USD/month]"""
        return self.monthly[self.recommended] - self.monthly[self.best]
