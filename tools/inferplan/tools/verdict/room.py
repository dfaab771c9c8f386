"""What is left before a verdict would turn, and the single changes that would turn it or make it cheaper."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from inferplan.core.units import MILLI
from inferplan.tools._arguments import GPUS_AT_MOST
from inferplan.tools._tool import Part, absent
from inferplan.tools.verdict.sections import Case


class Headroom(Part):
    """What is left before the verdict would turn; negative where it is short."""

    users: int = Field(description="Users that fit beyond those asked for, in time.")
    ttft_ms: float | None = Field(exclude_if=absent, description="Where overrides give max_ttft_ms.")
    tpot_ms: float | None = Field(exclude_if=absent, description="Where overrides give max_tpot_ms.")


class Changed(Part):
    """One change of the question, the fewest GPUs that then serve the users, and their pace."""

    change: Mapping[str, str | int]
    gpus: int
    ttft_ms: float | None = Field(exclude_if=absent, description="Where overrides give max_ttft_ms.")
    tpot_ms: float | None = Field(exclude_if=absent)


def headroom(case: Case) -> Headroom | None:
    """Users and milliseconds to spare; None where no deployment is known."""
    if case.on.not_modelled:
        return None
    plan, limits = case.plan, case.latency
    return Headroom(
        users=plan.users - case.controls["concurrent_users"],
        ttft_ms=_spare(limits.ttft_s, plan.ttft_ms),
        tpot_ms=_spare(limits.tpot_s, plan.tpot_ms),
    )


def _spare(limit_s: float | None, taken_ms: float | None) -> float | None:
    """The limit less the time taken; None where either is missing. [ms]"""
    return None if limit_s is None or taken_ms is None else round(limit_s / MILLI - taken_ms, 1)


def changes(case: Case) -> Iterator[Changed]:
    """More GPUs where those given are too few, then the other changes."""
    more = case.enough
    if not case.plan.serves_users and more.serves_users and more.gpus_used <= GPUS_AT_MOST:
        yield _changed(case, {"total_gpus": more.gpus_used}, more.gpus_used, more.ttft_ms, more.tpot_ms)
    for way in case.ways:
        first = way.service and way.service.ttft_s / MILLI
        each = None if way.tpot_s is None else way.tpot_s / MILLI
        yield _changed(case, way.change, way.gpus, first, each)


def _changed(
    case: Case, change: Mapping[str, str | int], gpus: int, ttft_ms: float | None, tpot_ms: float | None
) -> Changed:
    """One change as a row; TTFT only where it is limited, or is the only time."""
    first = ttft_ms if case.latency.ttft_s is not None or tpot_ms is None else None
    return Changed(change=change, gpus=gpus, ttft_ms=first and round(first, 1), tpot_ms=tpot_ms and round(tpot_ms, 1))
