"""The search over GPU types in sentences."""

from collections.abc import Iterator

from inferplan.catalog.gpus import GPUS
from inferplan.tools import _words as words
from inferplan.tools.layouts.search import Offer, Search


def type_sentences(found: Search) -> Iterator[str]:
    """How many types serve the users, and which of them is cheapest to rent."""
    if not found.offers:
        most = GPUS[found.gpu].title
        yield f"No other of {found.searched} datacenter GPU types holds it either; {most} has the most memory."
        return
    best, cheapest = found.offers[0], found.cheapest
    if not best.serves:
        yield f"None of {found.searched} datacenter GPU types serves them; {best.case.on.gpu.title} comes closest."
        return
    yield f"{found.serving} of {found.searched} datacenter GPU types serve them."
    if cheapest is best:
        yield f"It is also the cheapest of them to rent, {_rent(best)} on demand."
    elif cheapest:
        plan = cheapest.plan
        title = cheapest.case.on.gpu.title
        yield f"The cheapest of them to rent is {words.devices(plan.layout.gpus, title)}, {_rent(cheapest)} on demand."


def _rent(offer: Offer) -> str:
    """`$8.97 an hour`."""
    return f"${offer.rent:,.2f} an hour"
