"""What else would serve the users of a plan: single changes of the question, with the GPUs and the pace of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from math import ceil
from typing import Any, cast

from inferplan.catalog.gpus import GPUS, GUIDE_MENU
from inferplan.core.precision import BITS_PER_BYTE
from inferplan.core.serving_laws import Service
from inferplan.core.vllm_defaults import SHORT_STEP
from inferplan.tools._assumptions import Ledger, beside
from inferplan.tools._models import SIXTEEN_BIT
from inferplan.tools.layouts.plans import Case
from inferplan.tools.serving.latency import Pace
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Deployment, Serving
from inferplan.tools.serving.settings import serving
from inferplan.tools.sizing.changes import LESS_FILLED, Change, engine_settings
from inferplan.tools.sizing.need import Need, fit, is_larger

FEW_SEQUENCES = 64
"""The fewest at once that is offered, where those of the engine leave no room. [sequences]"""
SHARE = "memory_utilization"
"""The override that says how much of a GPU's memory is filled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One change of the question, the fewest GPUs that then serve the users, and how fast those are.

    `is_single` says that answers have one token, and no time between tokens.
    """

    change: Mapping[str, str | int]
    what: str
    deployment: Deployment
    service: Service | None
    is_single: bool

    @property
    def gpus(self) -> int:
        """GPUs that it takes."""
        return self.deployment.layout.gpus


def ways(on: Serving, pace: Pace, controls: Mapping[str, Any], ledger: Ledger, *, overrides: str = "") -> Iterator[Way]:
    """What serves all users in time: half the context, a smaller cache, FP8 weights, small steps, the next larger GPU.

    Steps where experts are shared out, of latents also a cache that ranks share out; fewer sequences at once, or a
    smaller share of memory, where nothing fits. `overrides` are those of the question, which stay.
    """
    users, context = controls["concurrent_users"], controls["context_window"]

    def way(what: str, change: Mapping[str, str | int], there: Serving, tokens: int = context) -> Iterator[Way]:
        if (found := there.for_users(users, tokens)) is not None:
            load = pace.load(tokens, ceil(users / found.layout.dp))
            service = there.service(found.layout, load)
            yield Way(change=change, what=what, deployment=found, service=service, is_single=load.is_single)

    def told(what: str, name: str, value: float, there: Serving) -> Iterator[Way]:
        return way(what, {"overrides": beside(overrides, name, value)}, there)

    def other(**changed: str) -> Serving:
        names = {name: controls.get(name) for name in ("model", "precision", "gpu", "kv_precision")} | changed
        return serving(ledger, **cast("dict[str, Any]", names), quiet=True, pace=on.pace)

    yield from way("half the context", {"context_window": max(1, context // 2)}, on, max(1, context // 2))
    if on.kv_bits > BITS_PER_BYTE:
        yield from way("an FP8 KV cache", {"kv_precision": "fp8"}, replace(on, kv_bits=BITS_PER_BYTE))
    if controls["precision"] in SIXTEEN_BIT:
        narrow = other(precision="fp8")
        what = "FP8 weights and cache" if narrow.kv_bits < on.kv_bits else "FP8 weights"
        yield from way(what, {"precision": "fp8"}, narrow)
    if _keeps_room_for_ranks(on, users, context) and "max_num_batched_tokens" not in overrides:
        small = on.set_to(max_num_batched_tokens=SHORT_STEP)
        yield from told(f"steps of {SHORT_STEP:,} tokens", "max_num_batched_tokens", SHORT_STEP, small)
    if SHARED_TOKENS not in overrides:
        shared = (
            told(f"a cache shared out by {n} ranks", SHARED_TOKENS, n, on.set_to(context_parallel=n))
            for n in on.token_ranks
        )
        yield from sorted(chain.from_iterable(shared), key=lambda one: one.gpus)[:1]
    if on.smallest(context) is None and on.engine.max_num_seqs > FEW_SEQUENCES and "max_num_seqs" not in overrides:
        few = on.set_to(max_num_seqs=FEW_SEQUENCES)
        yield from told(f"{FEW_SEQUENCES} sequences at once", "max_num_seqs", FEW_SEQUENCES, few)
    if on.smallest(context) is None and SHARE not in overrides:
        filled = (
            told(f"{100 * share:g} % of memory filled", SHARE, share, on.set_to(memory_utilization=share))
            for share in LESS_FILLED
        )
        yield from islice(chain.from_iterable(filled), 1)
    if larger := next_larger(on):
        yield from way(GPUS[larger].title, {"gpu": larger}, other(gpu=larger))


def setting_that_helps(case: Case, overrides: str) -> Change | None:
    """The mildest setting of the engine with which the GPUs given hold the users; None where none is known to.

    Where no number of GPUs holds one session, or none is given, on as few as hold the users.
    """
    on, demand = case.on, case.demand
    if on.not_modelled:
        return None
    need = Need(on=on, users=demand.users, context=demand.context, overhead_fraction=0)
    return next(engine_settings(fit(need, on, demand.gpus if case.needed else None), overrides), None)


def _keeps_room_for_ranks(on: Serving, users: int, context: int) -> bool:
    """Whether the users take ranks that share experts, each with room for the steps of all of them."""
    if on.experts is None or on.engine.max_num_batched_tokens <= SHORT_STEP:
        return False
    found = on.for_users(users, context)
    return found is not None and found.layout.attention_dp > 1


def next_larger(on: Serving) -> str | None:
    """The GPU of the menu with the least memory beyond that of this one; None where there is none."""
    larger = [GPUS[id_] for id_ in GUIDE_MENU if is_larger(GPUS[id_], on.gpu)]
    return min(larger, key=lambda gpu: gpu.memory).id if larger else None
