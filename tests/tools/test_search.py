"""Over all GPU types: the one that serves the users best, and what the others would take."""

from typing import Any

import pytest
from pydantic import ValidationError

from inferplan.catalog import prices
from inferplan.catalog.gpus import GPUS
from inferplan.tools._progress import LISTENER
from inferplan.tools.layouts.search import candidates, search
from inferplan.tools.parallelism import ParallelismQuestion
from inferplan.tools.registry import TOOLS_BY_NAME
from refusals import runs

TOOL = TOOLS_BY_NAME["plan_parallelism"]
QUESTION = {
    "model": "70B",
    "precision": "fp8",
    "concurrent_users": 200,
    "context_window": 8192,
    "input_tokens": 1000,
    "output_tokens": 1000,
    "max_tpot_ms": 50,
}


def plan(**changes: Any) -> Any:
    return TOOL.ask({**QUESTION, **changes})


def rent_of(gpu: str, gpus: int) -> float | None:
    """The median on demand for as many GPUs as come with those asked for. [USD/hour]"""
    quote = prices.rental(gpu, "on_demand")
    return quote and round(-(-gpus // quote.machine) * quote.machine * quote.median, 2)


def test_no_other_type_serves_the_users_on_fewer_gpus_and_none_that_serves_them_costs_less_than_the_cheapest() -> None:
    best = plan(gpu="any")
    alone = {gpu: plan(gpu=gpu, objective="fewest_gpus") for gpu in candidates() if runs(gpu, "fp8")}
    serving = {gpu: one for gpu, one in alone.items() if one.serves_users}
    assert best.serves_users
    assert best.gpus_used == min(one.gpus_used for one in serving.values())
    for other in best.alternatives:
        found = alone[other.gpu]
        assert (other.gpus_used, other.tp, other.pp, other.dp) == (found.gpus_used, found.tp, found.pp, found.dp)
    rents = {gpu: rent for gpu, one in serving.items() if (rent := rent_of(gpu, one.gpus_used))}
    shown = {best.gpu: best.usd_per_hour} | {other.gpu: other.usd_per_hour for other in best.alternatives}
    assert min(rents.values()) == min(rent for rent in shown.values() if rent is not None)
    assert f"{len(serving)} of {len(candidates())} datacenter GPU types serve them" in best.summary


def test_the_cheapest_type_to_rent_is_named_with_what_it_costs() -> None:
    small = TOOL.ask({"model": "7B", "precision": "fp8", "gpu": "any"})
    assert f"It is also the cheapest of them to rent, ${small.usd_per_hour:,.2f} an hour on demand." in small.summary
    large = TOOL.ask({"model": "70B", "precision": "fp8", "gpu": "any", "concurrent_users": 20})
    cheapest = min((one for one in large.alternatives if one.usd_per_hour), key=lambda one: one.usd_per_hour)
    assert cheapest.usd_per_hour < large.usd_per_hour
    named = f"{cheapest.gpus_used} x {GPUS[cheapest.gpu].title}, ${cheapest.usd_per_hour:,.2f} an hour on demand."
    assert f"The cheapest of them to rent is {named}" in large.summary


@pytest.mark.parametrize(
    ("objective", "better"), [("latency", lambda one: -one.tpot_ms), ("throughput", lambda one: one.tokens_per_s)]
)
def test_on_given_gpus_no_other_type_is_better_for_the_aim(objective: str, better: Any) -> None:
    asked = {"objective": objective, "total_gpus": 8}
    best = plan(gpu="any", **asked)
    others = [one for gpu in candidates() if runs(gpu, "fp8") and (one := plan(gpu=gpu, **asked)).serves_users]
    assert better(best) == max(map(better, others))


def test_a_type_that_lacks_nothing_loses_by_what_it_costs_more() -> None:
    best = plan(gpu="any")
    assert best.usd_per_hour
    for other in best.alternatives:
        assert other.loses != "nothing that counts" or (other.usd_per_hour or 0) <= best.usd_per_hour
    dearer = [other for other in best.alternatives if "more an hour" in (other.loses or "")]
    assert dearer
    for other in dearer:
        assert other.usd_per_hour
        assert other.loses == f"${other.usd_per_hour - best.usd_per_hour:,.2f} more an hour"


def test_gpus_that_come_four_at_a_time_are_rented_four_at_a_time() -> None:
    """One GB200 of 186 GB holds what is asked for; the smallest instance on offer has four, at 10.50 USD each."""
    best = plan(gpu="any", model="7B", concurrent_users=8, objective="latency", total_gpus=1)
    shown = {best.gpu: best.usd_per_hour} | {other.gpu: other.usd_per_hour for other in best.alternatives}
    assert shown["gb200"] == 4 * 10.5


def test_a_type_that_is_only_announced_is_not_recommended() -> None:
    assert {gpu.id for gpu in GPUS.values() if gpu.status == "announced"}.isdisjoint(candidates())
    assert len(candidates()) >= 40


def test_where_no_type_serves_the_users_the_answer_says_which_comes_closest() -> None:
    best = plan(gpu="any", total_gpus=8, max_tpot_ms=1)
    assert best.fits
    assert not best.serves_users
    assert f"None of {len(candidates())} datacenter GPU types serves them; {GPUS[best.gpu].title} comes closest" in (
        best.summary
    )


def test_where_no_type_holds_the_model_the_answer_says_so() -> None:
    none = plan(gpu="any", model="405B", precision="fp32", total_gpus=1)
    assert not none.fits
    assert "No other of" in none.summary


def test_whether_a_model_whose_cache_is_not_known_fits_is_not_claimed_of_any_type() -> None:
    unknown = plan(gpu="any", model="thinkingmachines/Inkling-Small", precision="bf16")
    assert "is not known" in unknown.summary
    assert "holds it" not in unknown.summary


def test_the_next_call_asks_for_the_type_that_was_found() -> None:
    best = plan(gpu="any")
    assert best.inputs["gpu"] == "any"
    assert all(step.arguments["gpu"] == best.gpu for step in best.next_steps)


@pytest.mark.parametrize("tool", [one for one in TOOLS_BY_NAME.values() if one is not TOOL], ids=lambda one: one.name)
def test_a_tool_that_takes_one_type_says_which_takes_any(tool: Any) -> None:
    with pytest.raises(ValidationError, match='"any" is for plan_parallelism, which names the type to ask for here'):
        tool.ask({**tool.example, "gpu": "Any"})


def test_who_listens_hears_of_every_type_and_ends_the_search_by_raising() -> None:
    heard: list[tuple[int, int]] = []

    def listen(done: int, total: int) -> None:
        heard.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    mark = LISTENER.set(listen)
    try:
        q = ParallelismQuestion.model_validate({**QUESTION, "gpu": "any"})
        with pytest.raises(KeyboardInterrupt):
            search(q.on, q.demand)
    finally:
        LISTENER.reset(mark)
    assert heard == [(0, len(candidates())), (1, len(candidates())), (2, len(candidates()))]
