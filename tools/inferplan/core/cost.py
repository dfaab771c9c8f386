"""The cost of serving: the fleet for a day's requests, and its monthly bill.

Conventions: a month has `HOURS_PER_MONTH` hours and `DAYS_PER_MONTH` days, so that renting by the hour for 24 hours a
day costs exactly what a month at the same rate does. Rates are per GPU; money is USD. `ownership` has the cost of
owned GPUs, `breakeven` where two bills are equal.
"""

from collections.abc import Iterable
from math import ceil

from inferplan.core.units import DAYS_PER_MONTH, HOURS_PER_DAY, HOURS_PER_MONTH, MILLION, SECONDS_PER_HOUR


def demand(
    *, requests_per_day: float, output_tokens: float, usage_hours_per_day: float, peak_factor: float = 1
) -> float:
    """requests_per_day × output_tokens × peak_factor / (usage_hours × 3600). [output tokens/s]

    All requests of the day fall within the usage hours; `peak_factor` is the rate of the busiest hour over their mean.

    Limits: a mean rate over an hour; `utilization` in `instances` leaves room for fluctuations within it.
    Source: conservation of tokens. A service that sleeps 16 hours has 8 to answer the day's requests in.

    >>> round(demand(requests_per_day=50_000, output_tokens=500, usage_hours_per_day=24), 1)
    289.4
    >>> round(demand(requests_per_day=50_000, output_tokens=500, usage_hours_per_day=8), 1)
    868.1
    """
    return requests_per_day * output_tokens * peak_factor / (usage_hours_per_day * SECONDS_PER_HOUR)


def instances(*, demand: float, capacity: float, utilization: float) -> int:
    """max(1, ⌈demand / (capacity × utilization)⌉): the instances that carry a demand.

    `demand` and the `capacity` of an instance have the same unit [tokens/s]; `utilization` is the share of the capacity
    that is planned for.

    Source: the planning rule of the LLM Inference Infrastructure Playground, which takes a utilization of 0.75.

    >>> instances(demand=289.4, capacity=60, utilization=0.75)
    7
    """
    return fewest_gpus(demand=demand, kinds=((1, capacity * utilization),))


def fewest_gpus(*, demand: float, kinds: Iterable[tuple[int, float]]) -> int:
    """min over kinds of gpus × max(1, ⌈demand / planned⌉): the smallest fleet of instances of one kind. [GPUs]

    A kind is the GPUs of an instance and the rate planned for it, in the unit of `demand` [tokens/s].

    >>> fewest_gpus(demand=289.4, kinds=((1, 45), (2, 120)))
    6
    """
    return min([gpus * max(1, ceil(demand / planned)) for gpus, planned in kinds])


def whole_machines(gpus: int, *, machine: int) -> int:
    """⌈gpus / machine⌉ × machine: the GPUs that are paid for where they are rented `machine` at a time. [GPUs]

    >>> whole_machines(9, machine=8), whole_machines(9, machine=1)
    (16, 9)
    """
    return -(-gpus // machine) * machine


def on_demand_month(*, gpus: float, usd_per_gpu_hour: float, hours_per_day: float) -> float:
    """gpus × rate × hours_per_day × 730 / 24: billed while they run. [USD/month]

    Source: per-hour billing of cloud price lists, whose month has 730 h.

    >>> round(on_demand_month(gpus=8, usd_per_gpu_hour=3.50, hours_per_day=24), 2)
    20440.0
    """
    return gpus * usd_per_gpu_hour * (hours_per_day * HOURS_PER_MONTH / HOURS_PER_DAY)


def reserved_month(*, gpus: float, usd_per_gpu_hour: float) -> float:
    """gpus × rate × 730: a commitment is billed round the clock. [USD/month]

    >>> round(reserved_month(gpus=8, usd_per_gpu_hour=2.10), 2)
    12264.0
    """
    return gpus * usd_per_gpu_hour * HOURS_PER_MONTH


def api_month(
    *,
    requests_per_day: float,
    input_tokens: float,
    output_tokens: float,
    usd_per_million_input: float,
    usd_per_million_output: float,
) -> float:
    """requests × days × (input × price + output × price) / 10^6: an API, paid by the token. [USD/month]

    Limits: one price for each; discounts for cached input or batches have to be averaged into it.

    >>> round(
    ...     api_month(
    ...         requests_per_day=50_000,
    ...         input_tokens=500,
    ...         output_tokens=500,
    ...         usd_per_million_input=0.59,
    ...         usd_per_million_output=0.71,
    ...     ),
    ...     2,
    ... )
    988.54
    """
    per_request = (input_tokens * usd_per_million_input + output_tokens * usd_per_million_output) / MILLION
    return requests_per_day * DAYS_PER_MONTH * per_request


def usd_per_million_tokens(*, monthly_usd: float, requests_per_day: float, tokens_per_request: float) -> float:
    """monthly / (requests × days × tokens) × 10^6, over input and output tokens together. [USD per 10^6 tokens]

    >>> round(usd_per_million_tokens(monthly_usd=988.54, requests_per_day=50_000, tokens_per_request=1000), 4)
    0.65
    """
    return monthly_usd / (requests_per_day * DAYS_PER_MONTH * tokens_per_request) * MILLION
