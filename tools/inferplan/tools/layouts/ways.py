"""Single changes of a question with which its users would be served: on how many GPUs, and how fast."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any, cast

from inferplan.catalog.gpus import GPUS, GUIDE_MENU
from inferplan.core.engines.vllm_defaults import SHORT_STEP
from inferplan.core.precision import BITS_PER_BYTE
from inferplan.core.serving_laws import Service
from inferplan.tools._arguments import turn
from inferplan.tools._assumptions import Ledger
from inferplan.tools._models import SIXTEEN_BIT
from inferplan.tools._overrides import with_override
from inferplan.tools.layouts.demand import Demand
from inferplan.tools.layouts.plans import Case, compare
from inferplan.tools.serving.latency import Pace
from inferplan.tools.serving.runnable import SHARED_TOKENS
from inferplan.tools.serving.serving import Deployment, Serving
from inferplan.tools.serving.settings import serving
from inferplan.tools.sizing.changes import LESS_FILLED, Change, engine_settings
from inferplan.tools.sizing.need import Need, fit, is_larger

FEW_SEQUENCES = 64
"""max_num_seqs as it is offered where the engine's own leaves no room. [sequences]"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One change of the question, and the fewest GPUs that then serve the users at a pace."""

    change: Mapping[str, str | int]
    what: str
    deployment: Deployment
    pace: Pace
    users: int

    @property
    def gpus(self) -> int:
        """The GPUs that it takes."""
        return self.deployment.layout.gpus

    @cached_property
    def service(self) -> Service | None:
        """What the users get of the layout that the planner takes on those GPUs; None where not timed."""
        demand = Demand(
            users=self.users,
            context=self.deployment.context,
            input_tokens=self.pace.input_tokens,
            output_tokens=self.pace.output_tokens,
            gpus=self.gpus,
            latency=self.pace.latency,
        )
        return compare(replace(self.deployment.on, pace=None), demand, runners_up=0).chosen.service

    @property
    def tpot_s(self) -> float | None:
        """Time per further token; None where not timed, or answers have one token. [s]"""
        return self.service.tpot_s if self.service and self.pace.output_tokens > 1 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """The question whose changes are tried: its serving and pace, its controls and `overrides`, which stay."""

    on: Serving
    pace: Pace
    controls: Mapping[str, Any]
    ledger: Ledger
    overrides: str

    @property
    def users(self) -> int:
        """Users to be served."""
        return self.controls["concurrent_users"]

    @property
    def context(self) -> int:
        """The context of each user. [tokens]"""
        return self.controls["context_window"]

    def served(
        self, what: str, change: Mapping[str, str | int], on: Serving, context: int | None = None
    ) -> Iterator[Way]:
        """The fewest GPUs on which a changed serving holds the users in time, if any do; `context` where it changed."""
        tokens = context or self.context
        if (found := on.for_users(self.users, tokens)) is not None:
            yield Way(change=change, what=what, deployment=found, pace=self.pace, users=self.users)

    def overridden(self, what: str, name: str, value: float, on: Serving) -> Iterator[Way]:
        """The same for one more override, unless the question has that override already."""
        if name not in self.overrides:
            yield from self.served(what, {"overrides": with_override(self.overrides, name, value)}, on)

    def with_control(self, **changed: str) -> Serving:
        """The serving with another model, precision, GPU or KV cache."""
        names = {name: self.controls.get(name) for name in ("model", "precision", "gpu", "kv_precision")} | changed
        return serving(self.ledger, **cast("dict[str, Any]", names), quiet=True, pace=self.on.pace)


def ways(on: Serving, pace: Pace, controls: Mapping[str, Any], ledger: Ledger, *, overrides: str = "") -> Iterator[Way]:
    """Each single change of a question with which some number of GPUs serves all users in time.

    `controls` are its arguments, `overrides` those of the question, which stay.
    """
    asked = _Asked(on=on, pace=pace, controls=controls, ledger=ledger, overrides=overrides)
    yield from _half_the_context(asked)
    yield from _smaller_cache(asked)
    yield from _narrower_weights(asked)
    yield from _shorter_steps(asked)
    yield from _shared_cache(asked)
    yield from _fewer_sequences(asked)
    yield from _less_filled(asked)
    yield from _larger_gpu(asked)


def _half_the_context(asked: _Asked) -> Iterator[Way]:
    """Half the context for each user, where a turn fits into it: a default one that does not is shortened."""
    half = max(1, asked.context // 2)
    lengths = asked.controls.get("input_tokens"), asked.controls.get("output_tokens")
    if sum(tokens or 1 for tokens in lengths) > half:
        return
    tokens_in, tokens_out = turn(half, *lengths)
    pace = replace(asked.pace, input_tokens=tokens_in, output_tokens=tokens_out)
    shorter = replace(asked, pace=pace)
    on = replace(asked.on, pace=asked.on.pace and pace)
    yield from shorter.served("half the context", {"context_window": half}, on, half)


def _smaller_cache(asked: _Asked) -> Iterator[Way]:
    """A KV cache in FP8, where it has more bits."""
    if asked.on.kv_bits > BITS_PER_BYTE:
        smaller = replace(asked.on, kv_bits=BITS_PER_BYTE)
        yield from asked.served("an FP8 KV cache", {"kv_precision": "fp8"}, smaller)


def _narrower_weights(asked: _Asked) -> Iterator[Way]:
    """Weights in FP8, with the cache that goes with them, where they have 16 bits or more."""
    if asked.controls["precision"] in SIXTEEN_BIT:
        narrow = asked.with_control(precision="fp8")
        what = "FP8 weights and cache" if narrow.kv_bits < asked.on.kv_bits else "FP8 weights"
        yield from asked.served(what, {"precision": "fp8"}, narrow)


def _shorter_steps(asked: _Asked) -> Iterator[Way]:
    """Shorter steps, where ranks that share experts each set buffers aside for the steps of all of them."""
    if _keeps_room_for_ranks(asked.on, asked.users, asked.context):
        short = asked.on.set_to(max_num_batched_tokens=SHORT_STEP)
        yield from asked.overridden(f"steps of {SHORT_STEP:,} tokens", "max_num_batched_tokens", SHORT_STEP, short)


def _shared_cache(asked: _Asked) -> Iterator[Way]:
    """Decode context parallelism of the degree that takes the fewest GPUs, where the cache is of latents."""
    on = asked.on
    shared = (
        asked.overridden(f"a cache shared out by {n} ranks", SHARED_TOKENS, n, on.set_to(context_parallel=n))
        for n in on.token_ranks
    )
    yield from sorted(chain.from_iterable(shared), key=lambda one: one.gpus)[:1]


def _fewer_sequences(asked: _Asked) -> Iterator[Way]:
    """Fewer sequences at once, where buffers for those of the engine leave room for no session."""
    if asked.on.engine.max_num_seqs > FEW_SEQUENCES and asked.on.smallest(asked.context) is None:
        few = asked.on.set_to(max_num_seqs=FEW_SEQUENCES)
        yield from asked.overridden(f"{FEW_SEQUENCES} sequences at once", "max_num_seqs", FEW_SEQUENCES, few)


def _less_filled(asked: _Asked) -> Iterator[Way]:
    """The largest share of memory that leaves enough beside it, where warm-up leaves room for no session."""
    if asked.on.smallest(asked.context) is None:
        filled = (
            asked.overridden(
                f"{100 * share:g} % of memory filled",
                "memory_utilization",
                share,
                asked.on.set_to(memory_utilization=share),
            )
            for share in LESS_FILLED
        )
        yield from islice(chain.from_iterable(filled), 1)


def _larger_gpu(asked: _Asked) -> Iterator[Way]:
    """The next larger GPU of the guide's menu."""
    if larger := next_larger(asked.on):
        yield from asked.served(GPUS[larger].title, {"gpu": larger}, asked.with_control(gpu=larger))


def setting_that_helps(case: Case, overrides: str) -> Change | None:
    """The mildest engine setting with which the GPUs given hold the users; None where none is known to help.

    Where no number of GPUs holds a session, or none is given, on as few GPUs as then hold the users.
    """
    on, demand = case.on, case.demand
    if on.not_modelled:
        return None
    need = Need(on=on, users=demand.users, context=demand.context, overhead_fraction=0)
    return next(engine_settings(fit(need, on, demand.gpus if case.needed else None), overrides), None)


def _keeps_room_for_ranks(on: Serving, users: int, context: int) -> bool:
    """Whether the users take groups that share experts, each with buffers for the steps of all of them."""
    if on.experts is None or on.engine.max_num_batched_tokens <= SHORT_STEP:
        return False
    found = on.for_users(users, context)
    return found is not None and found.layout.attention_dp > 1


def next_larger(on: Serving) -> str | None:
    """The id of the menu's GPU with the least memory beyond this one's; None where there is none."""
    larger = [GPUS[id_] for id_ in GUIDE_MENU if is_larger(GPUS[id_], on.gpu)]
    return min(larger, key=lambda gpu: gpu.memory).id if larger else None
