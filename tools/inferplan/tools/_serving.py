"""One model in one format on one GPU type, under one question's assumptions: what fits, and how fast it is."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import chain
from math import ceil

from inferplan.catalog.engines import ENGINES, Refusal, refusal
from inferplan.core import engine_memory, memory, parallelism, performance
from inferplan.core.adapters import can_share_out
from inferplan.core.architecture import DenseFfn, ExpertFfn, Model
from inferplan.core.efficiency import Efficiency, efficiency, is_fitted, kind_of
from inferplan.core.engine import Engine
from inferplan.core.engine_memory import RULES, Capacity, Pool, Pools
from inferplan.core.error_bands import Band, Law, Level
from inferplan.core.hardware import Gpu
from inferplan.core.parallelism import Fabric, Layout
from inferplan.core.precision import Precision
from inferplan.core.rings import beyond_kernels_s, ring_of
from inferplan.core.serving_laws import PLAIN, Load, Options, Service
from inferplan.core.work import work_of
from inferplan.tools._latency import Pace
from inferplan.tools._offered import band_of, degrees_of, pipelines, stages
from inferplan.tools._replica import Replica

DEPTHS = (2, 4, 8)
"""Stages of wide tensor groups that are compared with plain ones, where no aim is stated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """A layout with its replicas, the sessions that it holds at full context, and its nodes."""

    layout: Layout
    capacity: Capacity
    nodes: int

    @property
    def users(self) -> int:
        """Sessions at full context, all replicas together."""
        return self.layout.dp * self.capacity.sessions


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """The pieces that every tool puts together in the same way.

    With a `pace`, a deployment takes only as many sessions as get that latency.
    """

    model: Model
    precision: Precision
    gpu: Gpu
    kv_bits: float
    engine: Engine
    efficiency: Efficiency = field(hash=False)
    node_size: int
    network: float
    expert_parallel: bool = True
    pace: Pace | None = None
    options: Options = field(default=PLAIN, hash=False)
    refusal: Refusal | None = field(init=False, compare=False)
    """What keeps the engine from running this format on this GPU, where it is known not to."""
    kept_off: str | None = field(init=False, compare=False)
    """Why it runs nothing here, in words: that, or a version of the engine that is older than the model."""
    pools: Pools = field(init=False, compare=False, repr=False)
    """The KV pools by replica, as if the engine ran it."""
    degrees: tuple[int, ...] = field(init=False, compare=False)
    """The tensor-parallel degrees that the engine accepts within a domain, smallest first."""
    stage_degrees: tuple[int, ...] = field(init=False, compare=False)
    """The degrees worth splitting into stages, narrowest first: from the widest within a node on."""
    tensor: tuple[Layout, ...] = field(init=False, compare=False, repr=False)
    """A replica of each degree."""
    experts: ExpertFfn | None = field(init=False, compare=False, repr=False)
    """The model's experts."""

    def __post_init__(self) -> None:
        """Look up what follows from the rest, and is asked for time and again."""
        refused = refusal(self.engine.name, self.gpu, self.precision, version=self.engine.version)
        held = engine_memory.pools(self.model, self.precision, self.gpu, self.engine, kv_bits=self.kv_bits)
        object.__setattr__(self, "refusal", refused)
        object.__setattr__(self, "kept_off", self.refused or self._too_old() or self._overflows())
        object.__setattr__(self, "pools", held)
        degrees = self._accepted()
        inside = sum(tp <= self.node_size for tp in degrees)
        object.__setattr__(self, "degrees", degrees)
        object.__setattr__(self, "stage_degrees", degrees[max(0, inside - 1) :])
        object.__setattr__(self, "tensor", tuple(map(Layout.tensor, degrees)))
        object.__setattr__(self, "experts", self.model.architecture.experts)

    @property
    def engine_name(self) -> str:
        """Engine and version, as answers name it."""
        info = ENGINES[self.engine.name]
        return f"{info.title} {f'0.{self.engine.version}' if self.engine.name == 'vllm' else info.covers}"

    @property
    def lacks_units(self) -> bool:
        """Whether the format is made to compute in, and this GPU has no units for it: it is expanded to 16 bit."""
        compute = self.precision.compute
        narrow = not self.precision.weight_only and compute not in ("fp32", "bf16")
        return narrow and self.refusal is None and self.gpu.peak_flops(compute) is None

    def utilization(self, layout: Layout) -> float:
        """The share of each GPU that the engine fills on this layout, as its own setting counts it. [fraction]"""
        return RULES[self.engine.name].utilization(self.model.architecture, self.gpu, layout, self.engine)

    def _accepted(self) -> tuple[int, ...]:
        """See `degrees`.

        llama.cpp splits by layers alone. What shares out the tokens of a cache needs as many ranks, and as many for
        each KV head. A checkpoint in blocks is cut into whole ones, and adapters that are shared out evenly.
        """
        if self.engine.name == "llama.cpp":
            return (1,)
        degrees = degrees_of(self.model, self.domain, self.model.block(self.precision.id))
        if self.engine.adapters_sharded:
            on = (self.model, self.precision, self.engine)
            degrees = tuple(tp for tp in degrees if can_share_out(*on, tp))
        if self.engine.context_parallel == 1:
            return degrees
        shared = self.engine.context_parallel * max([1, *self._kv_heads])
        return tuple(tp for tp in degrees if tp % shared == 0)

    @property
    def domain(self) -> int:
        """GPUs that talk without the network: those of a node, of the rack where its link joins nodes."""
        return parallelism.domain_size(self.gpu, node_size=self.node_size)

    def common(self) -> Iterator[Layout]:
        """The replicas that people compare: every tensor group, and the widest in a few stages."""
        yield from self.tensor
        layers = self.model.architecture.layers
        yield from self._started(stages(tp, pp) for tp in self.stage_degrees for pp in DEPTHS if pp <= layers)

    def sharing(self, tp: int, most: int) -> list[int]:
        """How many tensor groups of this degree may share experts on at most so many GPUs; none of a dense model.

        llama.cpp spreads no experts, and tokens of a cache that ranks share out are not modelled beside it. Between
        nodes, GPUs need a scale-up link and to be newer than A100. vLLM shares experts since 0.8, between servers since
        0.9, and beside computing, as is counted of networks, since 0.11. TensorRT-LLM's groups are of one GPU, each
        with as many experts; its exchange over a network is not modelled. SGLang gathers tokens where it does not send
        them (see `sends_tokens`), and then slices shared experts over all ranks; dense layers it slices over them, or
        keeps whole on each, which is what is counted of groups of one GPU.

        Source: DeepEP, README, "Requirements", and setup.py (SM80: within a node alone); TensorRT-LLM, attention.py,
        fused_moe/interface.py and, of MXFP4 on Hopper, fused_moe_triton.py (`use_dp`); SGLang 0.5.23, deepseek_v2.py.
        """
        experts = self.experts
        if experts is None or not self.expert_parallel or not self._exchanges(tp):
            return []
        wide = self.gpu.link is not None and self.gpu.architecture != "Ampere" and self._has("overlap")
        within = self.domain if self._has("shared_nodes") else self.node_size
        most = most if wide and self.sends_tokens and not self.engine.adapters else min(most, within)
        found = parallelism.sharing_degrees(experts.experts, tp=tp, domain=self.domain, most=most)
        if self.engine.name == "tensorrt-llm":
            return [groups for groups in found if experts.experts % groups == 0]
        return [groups for groups in found if self._cuts(tp, tp * groups)] if self.engine.name == "sglang" else found

    def _cuts(self, tp: int, ranks: int) -> bool:
        """Whether SGLang can cut over all ranks what it does not keep whole."""
        shared = self.experts.shared_intermediate if self.experts and not self.sends_tokens else 0
        return shared % (ranks * self._block) == 0 and (tp == 1 or not self.keeps_dense_whole(ranks))

    def keeps_dense_whole(self, ranks: int) -> bool:
        """Whether so many ranks would cut a dense layer unevenly, or within a block of scales."""
        blocks = (group.ffn for group in self.model.architecture.groups if isinstance(group.ffn, DenseFfn))
        return any(block.intermediate % (ranks * self._block) for block in blocks)

    @property
    def _block(self) -> int:
        """Rows and columns that are sliced together, 1 where any are. [elements]"""
        return self.model.block(self.precision.id) or 1

    @property
    def sends_tokens(self) -> bool:
        """Whether the engine can send tokens to the GPUs of their experts, rather than gather them on all.

        SGLang's DeepEP, as it starts by itself, computes FP8 in DeepGEMM, on NVIDIA's GPUs from Hopper on; experts in
        16 bit and other formats end in an assertion. FP8 without blocks, whose scales it repeats, is not counted on.

        Source: SGLang 0.5.23, srt/layers/moe/ep_moe/layer.py (`run_moe_core`), deep_gemm_wrapper/configurer.py.
        """
        if self.engine.name != "sglang":
            return self.engine.name == "vllm"
        in_blocks = self.precision.id == "fp8" and self._block > 1
        return in_blocks and self.gpu.vendor == "nvidia" and self.gpu.peak_flops("fp8") is not None

    def _exchanges(self, tp: int) -> bool:
        """Whether the engine exchanges tokens of experts between tensor groups of this degree on these GPUs."""
        if self.engine.context_parallel > 1 or not self._has("shared") or not self._adapts(tp):
            return False
        if self.engine.name == "tensorrt-llm":
            return tp == 1 and (self.precision.id != "mxfp4" or self.gpu.peak_flops("fp4") is not None)
        return self.engine.name == "vllm" or (self.engine.name == "sglang" and self.gpu.link is not None)

    def _adapts(self, tp: int) -> bool:
        """Whether such groups may share experts with the LoRA adapters that there are: groups of one GPU in vLLM.

        Source: vLLM 0.24 and 0.28, vllm/lora/layers/fused_moe.py, `_ep_check` (no sequence parallelism, which comes
        with wider groups, and no exchange but that of one node) and `_verify_ep_fs`.
        """
        return not self.engine.adapters or (tp == 1 and not self.engine.adapters_sharded)

    @property
    def may_share_tokens(self) -> bool:
        """Whether ranks of a tensor group may share out the tokens of a cache: in vLLM since 0.10."""
        return self.engine.name == "vllm" and self._has("context_parallel")

    def _has(self, what: str) -> bool:
        """Whether this version of the engine has what `EngineInfo.since` names."""
        return ENGINES[self.engine.name].has(what, self.engine.version)

    @property
    def _kv_heads(self) -> Iterator[int]:
        """The KV heads of each kind of layer that has any; a latent is one for all."""
        return (part.heads or 1 for _, part in memory.cached_parts(self.model.architecture))

    def band(self, law: Law, level: Level = 50) -> Band:
        """How far published runs of this engine, GPU generation and attention lie from their predictions."""
        found = band_of(self.model, kind_of(self.gpu, self.precision, self.engine.name), law, level)
        return found if is_fitted(self.gpu) or not found.here else replace(found, here=False)

    @property
    def refused(self) -> str | None:
        """What keeps the engine from running this format on this GPU (`refusal`), in words."""
        if (found := self.refusal) is None:
            return None
        what = f"load {self.precision.title}" if found.form else "run"
        return f"{self.engine_name} does not {what}{f' on {self.gpu.title}' if found.gpu else ''}"

    def _too_old(self) -> str | None:
        """That this version of vLLM has no class for the model, and the first one that has."""
        first = self.model.vllm_since
        if self.engine.name != "vllm" or self.engine.version >= first:
            return None
        later = replace(self.engine, version=first)
        helps = engine_memory.cache_not_modelled(self.model, later) is None
        way_out = f': overrides="engine_version=0.{first}"' if helps else ""
        return f"{self.engine_name} has no class for it, 0.{first} has{way_out}"

    def _overflows(self) -> str | None:
        """That vLLM takes the model in FP32, twice the memory, where a GPU has no BF16; GGUF is left as it is.

        Source: vLLM 0.28, vllm/config/model.py, `_resolve_auto_dtype`, and platforms/cuda.py (`supported_dtypes`).
        """
        lacks = self.model.needs_bf16 and self.gpu.architecture in ("Volta", "Turing")
        if not lacks or self.engine.name != "vllm" or self.precision.is_gguf or self.precision.id == "fp32":
            return None
        return f"{self.engine_name} serves it on {self.gpu.title}, which has no BF16, in FP32 alone: precision fp32"

    @property
    def not_modelled(self) -> str | None:
        """Why no deployment can be given: the engine runs none, or its cache of this architecture is not known."""
        if self.kept_off:
            return self.kept_off
        reason = self.pools.not_modelled
        return f"{self.engine_name} keeps no KV cache of this model that is known here ({reason})" if reason else None

    def pool(self, layout: Layout, context: int) -> Pool:
        """The KV pool of one replica of this layout; one that holds nothing where the engine does not run it."""
        found = self.pools.of(layout, context)
        return replace(found, holding=None, not_modelled=self.kept_off) if self.kept_off else found

    def capacity(self, layout: Layout, context: int, filled: int | None = None) -> Capacity:
        """The KV cache that it has room for, in sessions of full context, or of as many tokens as are `filled`."""
        return self.pool(layout, context).capacity(filled or context)

    def fits(self, layout: Layout, context: int) -> bool:
        """Whether it starts and has room for a session."""
        return self.pool(layout, context).sessions(context) > 0

    def sessions(self, layout: Layout, context: int) -> int:
        """Sessions that one replica takes: no more than get the latency that the pace asks for."""
        return self._in_time(layout, context, self.pool(layout, context).sessions(context))

    def held(self, layout: Layout, context: int, filled: int | None = None) -> Capacity:
        """Its capacity with so many sessions."""
        found, tokens = self.capacity(layout, context, filled), filled or context
        return found._replace(sessions=self._in_time(layout, tokens, found.sessions)) if self.pace else found

    def _in_time(self, layout: Layout, context: int, room: int) -> int:
        """Those of the sessions that fit one replica which get the latency asked for."""
        return _in_time(self, self.pace, layout.alone, context, room) if self.pace and room else room

    def stored_in(self, form: Precision, kv_bits: float) -> "Serving":
        """The same in another weight format, with the constants of its arithmetic; those that a caller set stay."""
        fitted = (efficiency(kind_of(self.gpu, one, self.engine.name)) for one in (self.precision, form))
        before, after = (asdict(one) for one in fitted)
        own = {name: value for name, value in asdict(self.efficiency).items() if value != before[name]}
        return replace(self, precision=form, kv_bits=kv_bits, efficiency=Efficiency(**after | own))

    def set_to(self, **settings: int) -> "Serving":
        """The same with an engine that has these settings."""
        return replace(self, engine=replace(self.engine, **settings))

    def excess(self, layout: Layout, context: int, sequences: int) -> float:
        """The latency of a replica with so many sessions over what the pace asks for; 0 without one. [ratio]"""
        if self.pace is None:
            return 0
        return self.pace.latency.excess(self.service(layout, self.pace.load(context, sequences)))

    def smallest(self, context: int, gpus: int | None = None) -> Layout | None:
        """One replica by the guide's rules, on at most `gpus` GPUs; None where its cache is not modelled."""
        return _smallest(self, context, gpus)

    def deployment(self, layout: Layout, context: int) -> Deployment:
        """A layout with what it holds and where it stands."""
        return Deployment(layout=layout, capacity=self.held(layout, context), nodes=self.nodes(layout))

    def nodes(self, layout: Layout) -> int:
        """Servers that a layout takes; replicas smaller than a node share one. [nodes]"""
        return parallelism.nodes(layout, node_size=self.node_size)

    def for_users(self, users: int, context: int) -> Deployment | None:
        """The fewest GPUs that hold all users at full context; of those, fewest stages, then most users.

        Stages are looked at only where the load needs more than the widest group in a node, groups that share experts
        where they take fewer GPUs than others. None where no layout holds even one session.
        """
        return _fewest(self, users, context)

    def within(self, users: int, context: int, gpus: int | None) -> Deployment | None:
        """The same on at most `gpus` GPUs; where those do not hold all users, the layout that holds the most."""
        if gpus is None:
            return self.for_users(users, context)
        most = max(self.filling(context, gpus), key=lambda one: (one.users, -one.layout.gpus), default=None)
        if most is None or most.users < users:
            return most
        fewest = self.for_users(users, context)
        return fewest if fewest and fewest.layout.gpus <= gpus else most

    def filling(self, context: int, gpus: int) -> list[Deployment]:
        """Each replica that holds a session of this context, as often as the GPUs hold it.

        Narrow tensor groups in stages only where nothing else is held.
        """
        deep = self.staged(context) if gpus >= 2 * min(self.stage_degrees, default=gpus) else ()
        offered = chain(self.tensor, deep, self.shared(gpus))
        filled = (self._filled(one, context, gpus) for one in offered if one.replica <= gpus)
        held = [one for one in filled if one.capacity.fits]
        narrow = None if held else self.smallest(context, gpus)
        return [self._filled(narrow, context, gpus)] if narrow else held

    def _filled(self, one: Layout, context: int, gpus: int) -> Deployment:
        """A replica, as often as the GPUs hold it."""
        return self.deployment(one.times(gpus // one.replica), context)

    def session_bytes(self, layout: Layout, context: int) -> float:
        """What the engine allocates for one session on one GPU. [B]"""
        return engine_memory.session_bytes(self.model, layout, self.engine, context=context, kv_bits=self.kv_bits)

    def staged(self, context: int) -> Sequence[Layout]:
        """Pipelines of `stage_degrees`, smallest first: more stages leave more cache.

        llama.cpp splits the output head with the layers, as one more.
        """
        first, layers = self.smallest(context), self.model.architecture.layers
        if first is None:
            return ()
        split = layers + 1 if self.engine.name == "llama.cpp" else layers
        found = pipelines(self.stage_degrees, layers, split, max(2, first.pp))
        return found if self.engine.name != "sglang" else tuple(self._started(found))

    def _started(self, layouts: Iterable[Layout]) -> Iterator[Layout]:
        """Those of some replicas that the engine can start."""
        return (one for one in layouts if self.starts(one))

    def starts(self, layout: Layout) -> bool:
        """Whether the engine places its stages: SGLang as many on each server, others anywhere.

        Source: SGLang 0.5.23, entrypoints/engine.py (`pp_size_per_node`) and arg_groups/validation_hook.py.
        """
        return self.engine.name != "sglang" or parallelism.is_even(layout, node_size=self.node_size)

    def shared(self, most: int) -> list[Layout]:
        """Tensor groups that share experts, on at most so many GPUs, smallest first; none of a dense model."""
        if self.experts is None:
            return []
        layouts = (Layout(tp=tp, attention_dp=n) for tp in self.degrees for n in self.sharing(tp, most))
        return sorted(layouts, key=lambda one: one.replica)

    def fabric(self, layout: Layout) -> Fabric:
        """The links of a layout on this GPU."""
        return parallelism.fabric(self.gpu, layout, node_size=self.node_size, network=self.network)

    def service(self, layout: Layout, load: Load) -> Service | None:
        """What one replica delivers; None where the GPU's arithmetic peak is not known."""
        replica = self.replica(layout)
        return replica and replica.serve(load)

    @property
    def reduces_among(self) -> int:
        """The GPUs of the widest tensor group that the engine's own all-reduce is for. [GPUs]

        Source: vLLM 0.24 and 0.25, config/compilation.py (`FI_SUPPORTED_WORLD_SIZES`) and allreduce_rms_fusion.py (no
        row of 16 for compute capability 10.7); FlashInfer and TensorRT-LLM, MNNVL kernels among 2 to 64.
        """
        if self.gpu.architecture not in ("Blackwell", "Blackwell Ultra"):
            return 8
        return 64 if self.engine.name != "vllm" else 16 if self._has("wide_reduce") else 8

    def added_by_nccl_s(self, tp: int) -> float:
        """What each all-reduce of so wide a group takes more, where NCCL has to do it: see `beyond_kernels_s`. [s]

        Of NVIDIA's GPUs alone, and nothing beside a latency that the caller has set.
        """
        usual = efficiency(kind_of(self.gpu, self.precision, self.engine.name)).all_reduce_s
        if tp <= self.reduces_among or self.gpu.vendor != "nvidia" or self.efficiency.all_reduce_s != usual:
            return 0.0
        return beyond_kernels_s(ring_of(self.gpu.architecture), tp, kernels=self.reduces_among)

    def _reached(self, layout: Layout) -> Efficiency:
        """What is reached on a layout."""
        more = self.added_by_nccl_s(layout.tp)
        return replace(self.efficiency, all_reduce_s=self.efficiency.all_reduce_s + more) if more else self.efficiency

    def replica(self, layout: Layout) -> Replica | None:
        """One replica under any load; None where the GPU's arithmetic peak is not known."""
        machine = performance.machine(self.gpu, self.precision, self.fabric(layout), self._reached(layout))
        if machine is None:
            return None
        work = work_of(
            self.model,
            self.precision,
            tp=layout.tp,
            kv_bits=self.kv_bits,
            attention_dp=layout.attention_dp,
            sharing=self.engine.context_parallel,
        )
        return Replica(work=work, machine=machine, layout=layout, options=self.options)


@lru_cache(maxsize=256)
def _in_time(on: Serving, pace: Pace, replica: Layout, context: int, room: int) -> int:
    """The most of the sessions that fit a replica which get the latency asked for."""
    one = on.replica(replica)
    return pace.latency.most(room, lambda n: one and one.serve(pace.load(context, n)))


@lru_cache(maxsize=256)
def _smallest(on: Serving, context: int, gpus: int | None) -> Layout | None:
    """The search behind `Serving.smallest`."""
    if on.not_modelled:
        return None
    return parallelism.smallest_replica(
        on.model.architecture,
        degrees=on.degrees,
        fits=lambda layout: on.starts(layout) and on.fits(layout, context),
        gpus=gpus,
    )


@lru_cache(maxsize=256)
def _fewest(on: Serving, users: int, context: int) -> Deployment | None:
    """The search behind `Serving.for_users`: the tools of one question ask for the same one several times."""
    if on.not_modelled:
        return None
    best = _best(on, on.tensor, users, context)
    if best is None or best[0] > min(on.stage_degrees):
        best = _best(on, on.staged(context), users, context, best)
    best = best and _best(on, on.shared(best[0] - 1), users, context, best)
    return best and on.deployment(best[-1].times(best[0] // best[-1].replica), context)


_Ranked = tuple[int, int, int, Layout]
"""GPUs, stages, users with a minus sign, and the replica: the order in which deployments for users are preferred."""


def _best(
    on: Serving, replicas: Iterable[Layout], users: int, context: int, best: _Ranked | None = None
) -> _Ranked | None:
    """The first of ever larger replicas, or the best before them, that is preferred for so many users."""
    for one in replicas:
        if best and best[0] < one.replica:
            break
        if each := on.sessions(one, context):
            copies = ceil(users / each)
            found = one.replica * copies, one.pp, -copies * each
            if best is None or found < best[:3]:
                best = *found, one
    return best
