"""The search over GPU types: which serves the demand best, and what the others would take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf

from inferplan.catalog import prices
from inferplan.catalog.gpus import GPUS
from inferplan.core.cost import whole_machines
from inferplan.tools._progress import steps
from inferplan.tools.layouts.demand import Demand, Plan
from inferplan.tools.layouts.plans import ALTERNATIVES, Case, closest, compare
from inferplan.tools.serving.serving import Serving


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The best that one GPU type has for the demand; `rent` is on demand, None where no price is known. [USD/hour]"""

    case: Case
    rent: float | None

    @property
    def plan(self) -> Plan:
        """Its best layout."""
        return self.case.first(1)[0]

    @property
    def gpu(self) -> str:
        """The id of the GPU type."""
        return self.case.on.gpu.id

    @property
    def usd_per_hour(self) -> float | None:
        """The rent, to the cent. [USD/hour]"""
        return None if self.rent is None else round(self.rent, 2)

    @property
    def serves(self) -> bool:
        """Whether it serves all users in time."""
        return self.plan.serves

    def rank(self, nearest: Mapping[int, float]) -> tuple[float, ...]:
        """The sort key of the type: that of its layout (`Case.rank`), the rent among those that the aim holds equal."""
        return self.case.rank(self.plan, nearest, inf if self.rent is None else self.rent)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What each GPU type offers, best first; a type that holds no session offers nothing.

    Of the types `searched`, `refused` do not load the format under this engine; of the others `largest` has the most
    memory.
    """

    searched: int
    refused: int
    largest: str
    offers: tuple[Offer, ...]

    @property
    def gpu(self) -> str:
        """The id of the best type; where no type holds a session, of the one with the most memory."""
        return self.offers[0].gpu if self.offers else self.largest

    @property
    def serving(self) -> int:
        """The number of types that serve the users."""
        return sum(offer.serves for offer in self.offers)

    @cached_property
    def cheapest(self) -> Offer | None:
        """The offer with the lowest rent among types that serve the users on their fewest GPUs; None without prices."""
        serving = [offer for offer in self.offers if offer.serves and offer.case.demand.aim == "fewest_gpus"]
        priced = [(offer.rent, offer) for offer in serving if offer.rent is not None]
        return min(priced, key=lambda pair: pair[0])[1] if priced else None

    @property
    def others(self) -> list[Offer]:
        """The first `ALTERNATIVES` runners-up; the cheapest is always among them."""
        behind = list(self.offers[1:])
        shown = behind[:ALTERNATIVES]
        if self.cheapest in behind and self.cheapest not in shown:
            shown[-1] = self.cheapest
        return shown


def candidates() -> list[str]:
    """Ids of the datacenter GPUs that are available: those only announced are left out."""
    return [gpu.id for gpu in GPUS.values() if gpu.kind == "datacenter" and gpu.status != "announced"]


def search(serving: Callable[[str], Serving], demand: Demand) -> Search:
    """The best layout of every GPU type, every legal one considered; `serving` puts the model on a type."""
    types = [serving(id_) for id_ in candidates()]
    loading = [on for on in types if on.refusal is None]
    cases = [case for on in steps(types) if on.refusal is None and (case := compare(on, demand, runners_up=0)).plans]
    nearest = closest(case.first(1)[0] for case in cases)
    return Search(
        searched=len(types),
        refused=len(types) - len(loading),
        largest=max((on.gpu for on in loading), key=lambda gpu: gpu.engine_memory).id,
        offers=tuple(sorted(map(_offer, cases), key=lambda offer: offer.rank(nearest))),
    )


def _offer(case: Case) -> Offer:
    """The best of a type with the rent of its GPUs, in whole machines where they come so."""
    quote = prices.rental(case.on.gpu.id, "on_demand")
    gpus = whole_machines(case.first(1)[0].layout.gpus, machine=quote.machine) if quote else 0
    return Offer(case=case, rent=quote and quote.median * gpus)
