"""What a million tokens of a model cost on rented GPUs that are kept as busy as planned."""

from functools import lru_cache

from inferplan.catalog import prices
from inferplan.core.units import MILLION, SECONDS_PER_HOUR
from inferplan.tools._arguments import TURN_TOKENS
from inferplan.tools._assumptions import settings
from inferplan.tools._fleet import Instance, Request, instances
from inferplan.tools._serving import Serving

TURN = Request(input_tokens=TURN_TOKENS, output_tokens=TURN_TOKENS)
"""The guide's average request."""
PRICED = 3
"""Significant digits of a price."""


@lru_cache(maxsize=1024)
def usd_per_million_tokens(on: Serving) -> float | None:
    """The least that input and output tokens cost together, on demand; None without a price or a layout.

    Instances are as full as a fleet is planned to be: what `compare_costs` comes to for a load that fills them.
    """
    quote = prices.rental(on.gpu.id, "on_demand")
    if quote is None:
        return None
    return min((_of_instance(one, quote.median) for one in instances(on, TURN)), default=None)


def _of_instance(one: Instance, usd_per_gpu_hour: float) -> float:
    """rate × GPUs / (output tokens an hour × planned share × (input + output) / output). [USD per million tokens]"""
    planned = settings()["utilization"].default or 1
    tokens = one.tokens_per_s * SECONDS_PER_HOUR * planned * TURN.tokens / TURN.output_tokens
    return usd_per_gpu_hour * one.layout.replica / tokens * MILLION
