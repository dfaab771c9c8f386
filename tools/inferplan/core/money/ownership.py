"""The cost of owning a GPU: capital, written off with interest, and running it.

Conventions: a month is `HOURS_PER_MONTH` hours; money is USD, per GPU unless it says otherwise.
"""

from dataclasses import dataclass
from math import expm1, log1p

from inferplan.core.units import HOURS_PER_MONTH, MONTHS_PER_YEAR


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """One GPU bought and hosted, with its shares of server and network.

    `purchase_usd` is the GPU; `server_usd` is its share of the server, 0 where the purchase price includes it. The
    network adds `network_fraction` of both. After `depreciation_years` the residual value is `residual_fraction` of
    this outlay. Capital costs `cost_of_capital` a year, maintenance `maintenance_fraction` of GPU and server a year.
    The server draws `power_kw` per GPU, the facility `pue` times that. `colocation_usd_per_kw_month` is the rent of
    rack space by server power, without metered energy.
    """

    purchase_usd: float
    server_usd: float = 0.0
    network_fraction: float = 0.0
    depreciation_years: float
    residual_fraction: float
    cost_of_capital: float = 0.0
    maintenance_fraction: float = 0.0
    power_kw: float
    pue: float
    electricity_usd_per_kwh: float
    colocation_usd_per_kw_month: float

    @property
    def hardware_usd(self) -> float:
        """GPU and server. [USD/GPU]"""
        return self.purchase_usd + self.server_usd

    @property
    def outlay_usd(self) -> float:
        """The purchase of GPU, server and network. [USD/GPU]"""
        return self.hardware_usd * (1 + self.network_fraction)

    @property
    def capital_month(self) -> float:
        """The outlay written off with interest: see `capital_month`. [USD/GPU/month]"""
        return capital_month(
            outlay_usd=self.outlay_usd,
            depreciation_years=self.depreciation_years,
            residual_fraction=self.residual_fraction,
            cost_of_capital=self.cost_of_capital,
        )

    @property
    def energy_month(self) -> float:
        """Electricity. [USD/GPU/month]"""
        return energy_month(power_kw=self.power_kw, pue=self.pue, electricity_usd_per_kwh=self.electricity_usd_per_kwh)

    @property
    def colocation_month(self) -> float:
        """Rack space. [USD/GPU/month]"""
        return colocation_month(power_kw=self.power_kw, colocation_usd_per_kw_month=self.colocation_usd_per_kw_month)

    @property
    def maintenance_month(self) -> float:
        """Repair and support. [USD/GPU/month]"""
        return self.hardware_usd * self.maintenance_fraction / MONTHS_PER_YEAR

    @property
    def running_month(self) -> float:
        """Energy, colocation and maintenance. [USD/GPU/month]"""
        return self.energy_month + self.colocation_month + self.maintenance_month


def capital_month(
    *, outlay_usd: float, depreciation_years: float, residual_fraction: float, cost_of_capital: float = 0.0
) -> float:
    """(outlay - residual / (1 + i)^n) × i / (1 - (1 + i)^-n), with i = cost of capital / 12, n = months. [USD/month]

    The constant payment that returns the outlay with interest and leaves the residual value; without interest
    (outlay - residual) / n.

    Source: capital recovery factor, as in any textbook of engineering economics.

    >>> round(capital_month(outlay_usd=39_625, depreciation_years=3, residual_fraction=0), 2)
    1100.69
    >>> round(capital_month(outlay_usd=39_625, depreciation_years=3, residual_fraction=0.3, cost_of_capital=0.08), 2)
    948.44
    """
    months, rate = depreciation_years * MONTHS_PER_YEAR, cost_of_capital / MONTHS_PER_YEAR
    residual = outlay_usd * residual_fraction
    if rate == 0:
        return (outlay_usd - residual) / months
    left = -months * log1p(rate)
    return (outlay_usd - residual * (1 + expm1(left))) * rate / -expm1(left)


def energy_month(*, power_kw: float, pue: float, electricity_usd_per_kwh: float) -> float:
    """power × PUE × 730 h × price. [USD/GPU/month]

    Limits: the draw is taken to be constant, round the clock; an idle server draws less.

    >>> round(energy_month(power_kw=1.275, pue=1.4, electricity_usd_per_kwh=0.08), 2)
    104.24
    """
    return power_kw * pue * HOURS_PER_MONTH * electricity_usd_per_kwh


def colocation_month(*, power_kw: float, colocation_usd_per_kw_month: float) -> float:
    """power × price per kW, as rack space is sold by provisioned power. [USD/GPU/month]

    >>> round(colocation_month(power_kw=1.275, colocation_usd_per_kw_month=195.94), 2)
    249.82
    """
    return power_kw * colocation_usd_per_kw_month


def owned_month(owned: Ownership, *, gpus: float) -> float:
    """gpus × (capital + energy + colocation + maintenance). [USD/month]

    Limits: no spare GPUs, no network transit, no staff.

    >>> h100 = Ownership(
    ...     purchase_usd=39_625,
    ...     depreciation_years=3,
    ...     residual_fraction=0,
    ...     power_kw=1.275,
    ...     pue=1.4,
    ...     electricity_usd_per_kwh=0.08,
    ...     colocation_usd_per_kw_month=195.94,
    ... )
    >>> round(owned_month(h100, gpus=8), 2)
    11638.1
    """
    return gpus * (owned.capital_month + owned.running_month)


def payback_months(*, outlay_usd: float, running_usd: float, instead_usd: float) -> float | None:
    """outlay / (instead - running): simple pay-back, without interest and residual; None without a saving. [months]

    `running_usd` and `instead_usd` are monthly bills, of owning and of what is paid otherwise.

    >>> payback_months(outlay_usd=36_000, running_usd=500, instead_usd=2_500)
    18.0
    >>> payback_months(outlay_usd=36_000, running_usd=500, instead_usd=400)
    """
    saved = instead_usd - running_usd
    return outlay_usd / saved if saved > 0 else None
