"""The memory that a model takes to serve its users, part by part, and the GPUs of a type that hold it."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from math import ceil, inf

from inferplan.core import memory
from inferplan.core.architecture import ANY_CONTEXT
from inferplan.core.bracket import last_within
from inferplan.core.engines.kv_blocks import BLOCK_TOKENS
from inferplan.core.engines.rank_memory import RankMemory
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.tools.serving.assumed_context import Short, shorter
from inferplan.tools.serving.serving import Deployment, Serving
from inferplan.tools.serving.stand_in import falls_short


@dataclass(frozen=True, kw_only=True)
class Need:
    """A model in a format and the users that it serves, each at full context. Sizes are in bytes.

    `own_cache` says that the caller chose the format of the KV cache, `assumed_turn` what a session of one turn has
    where the context is assumed, else 0. [tokens]
    """

    on: Serving
    users: int
    context: int
    overhead_fraction: float
    own_cache: bool = False
    assumed_turn: int = 0

    @property
    def model(self) -> Model:
        """The model, as the engine stores it."""
        return self.on.model

    @property
    def precision(self) -> Precision:
        """The format of the weights."""
        return self.on.precision

    @cached_property
    def short(self) -> Short | None:
        """Sessions of one turn, where the context is assumed and they take fewer GPUs."""
        return shorter(self.on, users=self.users, context=self.context, turn=self.assumed_turn)

    @cached_property
    def weights(self) -> float:
        """The weights loaded. [B]"""
        return self.on.weights.total

    @cached_property
    def kv_per_token(self) -> float:
        """KV cache of one more token of a sequence whose windows are full. [B]"""
        return self.on.kv_bytes_per_token

    @cached_property
    def kv_per_user(self) -> float:
        """KV cache of one user at full context: windows and constant state included. [B]"""
        return memory.kv_cache_bytes(self.model.architecture, self.context, kv_bits=self.on.kv_bits)

    @cached_property
    def kv_cache(self) -> float:
        """KV cache of all users. [B]"""
        return self.users * self.kv_per_user

    @cached_property
    def overhead(self) -> float:
        """The guide's allowance for everything else: a fraction of weights and KV cache. [B]"""
        return memory.overhead(self.weights, self.kv_cache, fraction=self.overhead_fraction)

    @cached_property
    def total(self) -> float:
        """Weights, KV cache and overhead: the planning total. [B]"""
        return self.weights + self.kv_cache + self.overhead

    @property
    def dominant(self) -> str:
        """`weights` or `kv_cache`, whichever is larger."""
        return "weights" if self.weights >= self.kv_cache else "kv_cache"

    @property
    def longest_limit(self) -> int:
        """The longest context worth reporting: what the checkpoint was trained for, or what is asked. [tokens]"""
        return max(self.context, LONGEST if self.model.is_size_class else self.model.architecture.max_positions)


LARGER = 1.1
"""Ratio of memory above which a GPU counts as larger: GPUs sold with the same memory differ by less."""
LONGEST = 10_000_000
"""The longest context that is searched with a size class. [tokens]"""


def is_larger(gpu: Gpu, than: Gpu) -> bool:
    """Whether a GPU has more memory than another, beyond what GPUs sold with the same memory differ by."""
    return gpu.memory > LARGER * than.memory


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A need on GPUs of one type: by memory alone, and by the engine's rules on at most `limit` of them.

    `placed` is the smallest deployment that holds all users, else the one that holds the most; None where none holds a
    session.
    """

    need: Need
    on: Serving
    limit: int | None
    placed: Deployment | None

    @property
    def gpu(self) -> Gpu:
        """The GPU type."""
        return self.on.gpu

    @cached_property
    def by_formula(self) -> int:
        """GPUs whose memory together is at least the planning total."""
        return memory.devices_for(self.need.total, self.gpu.memory)

    @property
    def nodes_by_formula(self) -> int:
        """Nodes of those GPUs."""
        return -(-self.by_formula // self.on.node_size)

    @property
    def users(self) -> int:
        """Users that the deployment takes at full context, in time where a latency is asked for."""
        return self.placed.users if self.placed else 0

    @property
    def holds(self) -> bool:
        """Whether the deployment takes all users."""
        return self.users >= self.need.users

    @cached_property
    def by_memory(self) -> int:
        """Users that the deployment has memory for, whatever their latency."""
        if self.placed is None:
            return 0
        return self.placed.layout.dp * self.on.room(self.placed.layout, self.need.context)

    @property
    def waits(self) -> bool:
        """Whether latency, not memory, bounds the users."""
        return self.users < self.by_memory

    @cached_property
    def real(self) -> "Fit | None":
        """The fit of the checkpoint behind a size class, where this layout does not hold its users; else None."""
        if self.placed is None or not self.users:
            return None
        users = min(self.need.users, self.users)
        on = falls_short(self.on, self.placed.layout, users=users, context=self.need.context)
        return on and fit(replace(self.need, on=on), on, self.limit)

    @property
    def fits(self) -> bool | None:
        """Whether it takes all users: False where the engine does not run the model, None where that is not known."""
        return None if self.on.is_unknown else self.holds and not self.on.obstacle

    @property
    def is_enough(self) -> bool:
        """Whether there is memory for all users, as far as is known."""
        return self.by_memory >= self.need.users or self.on.not_modelled is not None

    @cached_property
    def half_users(self) -> int:
        """Users that the same deployment takes at half the context."""
        if self.placed is None:
            return 0
        layout, context = self.placed.layout, self.need.context
        return layout.dp * self.on.held(layout, context, max(1, context // 2)).sessions

    @cached_property
    def longest(self) -> int:
        """The longest context at which the same deployment takes all users; 0 where there is none. [tokens]"""
        return longest_context(self.on, self.placed.layout, self.need) if self.placed else 0

    @property
    def any_length(self) -> bool:
        """Whether the same deployment takes all users at any context, as states do not grow."""
        return self.longest >= ANY_CONTEXT

    @property
    def spare(self) -> int:
        """GPUs given that the deployment leaves idle."""
        return self.limit - self.placed.layout.gpus if self.limit and self.placed else 0

    @cached_property
    def has_rivals(self) -> bool:
        """Whether other common layouts on as many GPUs serve all users too, so that the planner may prefer one of them.

        It does not plan for llama.cpp, and for a lone user without a latency it goes by the guide's rules, not by
        speed. Groups that share experts it compares under a latency; without, it takes them where they need fewer GPUs.
        """
        is_planned = self.on.engine.name != "llama.cpp" and (self.need.users > 1 or self.on.pace is not None)
        if self.placed is None or not (is_planned and self.holds):
            return False
        gpus, taken = self.placed.layout.gpus, self.placed.layout.alone
        offered = chain(self.on.common(), self.on.shared(gpus) if self.on.pace else ())
        others = (one for one in offered if one.replica <= gpus and one != taken)
        served = (gpus // one.replica * self.on.sessions(one, self.need.context) for one in others)
        return any(users >= self.need.users for users in served)

    @cached_property
    def narrower(self) -> Deployment | None:
        """A deployment on fewer GPUs than the usual one: narrower tensor groups in more stages; None if there is none.

        Searched where the load takes one replica, and the planning total fills fewer GPUs than that has.
        """
        if self.placed is None or self.limit or self.on.pace or not self.holds:
            return None
        layout, context = self.placed.layout, self.need.context
        if layout.data > 1 or self.by_formula >= layout.gpus:
            return None
        found = self.on.smallest(context, layout.gpus - 1)
        fewer = found and self.on.deployment(found, context)
        return fewer if fewer and fewer.users >= self.need.users else None

    @property
    def engine_kv_per_user(self) -> float | None:
        """KV cache that the engine allocates for one user, over all GPUs that hold it; None if not modelled. [B]

        Of pipeline stages, which may have one layer more or fewer, as if one group held the layers of all.
        """
        if self.on.not_modelled:
            return None
        whole = self.tightest.layout._replace(pp=1)
        return whole.group * self.on.session_bytes(whole, self.need.context)

    @cached_property
    def tightest(self) -> "Busiest":
        """The memory of the busiest GPU of the deployment, or of the widest layout where none holds a session."""
        if self.placed is not None:
            layout, users = self.placed.layout, ceil(self.need.users / self.placed.layout.data)
        else:
            layout, users = self._widest, 1
        return Busiest(
            layout=layout,
            memory=self.on.capacity(layout, self.need.context).memory,
            wanted=0.0 if self.on.not_modelled else users * self.on.session_bytes(layout, self.need.context),
        )

    @property
    def _widest(self) -> Layout:
        """The replica with the most cache on at most `limit` GPUs: the widest tensor group, then stages."""
        gpus = self.limit or self.on.domain
        tp = max((degree for degree in self.on.degrees if degree <= gpus), default=1)
        return Layout(tp=tp, pp=max(1, min(gpus // tp, self.need.model.architecture.layers)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Busiest:
    """The busiest GPU of a layout: where its memory goes, and the KV cache that its users want there. [B]"""

    layout: Layout
    memory: RankMemory
    wanted: float

    @property
    def shortfall(self) -> float:
        """What one GPU lacks: cache beyond its pool, or memory beyond the budget where warm-up runs out of it. [B]

        0 where memory suffices, and only max_num_seqs is too low.
        """
        return max(0.0, self.wanted - self.memory.pool, -self.memory.headroom)


def longest_context(on: Serving, layout: Layout, need: Need) -> int:
    """The longest context at which a layout takes all users of a need; 0 where there is none. [tokens]

    Each group of data-parallel attention holds whole sessions: of 100 users on 8 groups some hold 13.
    """
    each = ceil(need.users / layout.dp)
    of_group = ceil(each / layout.attention_dp)
    if of_group > on.laid_out(layout).max_num_seqs:
        return 0

    def share(tokens: int) -> float:
        concurrency = on.capacity(layout, tokens).concurrency / layout.attention_dp
        return max(of_group / concurrency, on.excess(layout, tokens, each, on.pace)) if concurrency else inf

    return last_within(share, need.longest_limit, step=BLOCK_TOKENS)


def fit(need: Need, on: Serving, limit: int | None = None) -> Fit:
    """The fit of a need on the GPU type of `on`, by formula and by the engine's rules.

    Where no user gets the latency asked for, the deployment is the one by memory alone.
    """
    placed = on.within(need.users, need.context, limit)
    if placed is None and on.pace and (room := replace(on, pace=None).within(need.users, need.context, limit)):
        placed = on.deployment(room.layout, need.context)
    return Fit(need=need, on=on, limit=limit, placed=placed)
