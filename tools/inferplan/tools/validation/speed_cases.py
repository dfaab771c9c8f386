"""A published measurement of serving speed, and its configuration in the terms of the speed model."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from math import ceil
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.formats import FORMATS, KV_FORMATS
from inferplan.core import engine_memory, parallelism, placement
from inferplan.core.engine import Engine, EngineName
from inferplan.core.engine_memory import RULES
from inferplan.core.engines.vllm_defaults import NEWEST
from inferplan.core.fabric import fabric_of
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.performance import forward_pass
from inferplan.core.precision import Precision
from inferplan.core.serving_laws import AT_ONCE, Options, Service, marginal_s, serve
from inferplan.core.speed.efficiency import Efficiency, Kind, Runner, efficiency, kind_of
from inferplan.core.speed.load import Load, burst_share
from inferplan.core.speed.machine import Machine, machine_of
from inferplan.core.speed.pass_amounts import Batch
from inferplan.core.speed.work import Work, work_under
from inferplan.core.units import GB
from inferplan.tools.validation import harnesses
from inferplan.tools.validation.harnesses import CACHED_IN_FP8, RANDOM_LENGTHS, ROUNDED, ROUNDS
from inferplan.tools.validation.memory_cases import Text, catalogued
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.speed_names import FORMAT_NAMES, RUNNERS, gpu_of, limits

NETWORK = 50 * GB
"""InfiniBand NDR, one way, per GPU: what no row states. [B/s]"""
BENCH_BATCH = 4096
"""Sequences at once that TensorRT-LLM's throughput benchmark allows by itself."""
KEPT_FREE: Mapping[Runner, float] = {"vllm": 0.0, "sglang": 0.7 * 0.14}
"""The share of what running requests have still to say that is kept free before another one starts; else all of it.

vLLM starts whoever has blocks now. SGLang's share begins at 0.7 and falls to 0.14 of that within 600 steps, until a
request is retracted. TensorRT-LLM evicts nobody whom it started (GUARANTEED_NO_EVICT, its default).
Source: SGLang, srt/environ.py (`SGLANG_INIT_NEW_TOKEN_RATIO`, `SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR`,
`SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS`), srt/managers/schedule_policy.py.
"""
MOST_WORKERS = 256
"""Decode workers that are looked at."""
FEW_BITS = 8
Number = Annotated[float, Field(strict=True, ge=0, le=10**9)]
Degree = Annotated[int, Field(strict=True, ge=0, le=100_000)]


class SpeedRow(BaseModel):
    """One measurement with the configuration that it was taken at; null is what its source does not state.

    Before a prompt `depth` tokens are cached; `ubatch` tokens are computed in one step. Each request has one of so many
    `lora_adapters`, in buffers of `lora_rank`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    id: Text
    family: Text = "not stated"
    source: str = ""
    engine: Text
    engine_version: Text | None = None
    model: Text
    weight_format: Text | None = None
    kv_dtype: Text | None = None
    gpu: Text
    gpu_count: Degree | None = None
    tp: Degree | None = None
    pp: Degree | None = None
    dp: Degree | None = None
    ep: Degree | None = None
    isl: Number | None = None
    osl: Number | None = None
    concurrency_or_batch: Number | None = None
    requests: Number | None = None
    depth: Number | None = None
    ubatch: Degree | None = None
    lora_adapters: Degree | None = None
    lora_rank: Degree | None = None
    scenario: Text
    measured: Mapping[str, Any] | None = None
    note: str = ""

    @property
    def stated(self) -> str:
        """What is said in words: the source, its family and notes."""
        return f"{self.family} {self.source} {self.note}"


class SpeedSetup:
    """A row's configuration in the terms of the model; what it leaves open is taken as the engine would, and noted."""

    def __init__(self, row: SpeedRow) -> None:
        """Nothing is looked up before it is needed."""
        self.row = row
        self.notes: list[str] = []

    @cached_property
    def runner(self) -> Runner:
        """The engine, or "other" for what is no serving engine."""
        name = self.row.engine.casefold()
        named: list[Runner] = [engine for word, engine in RUNNERS.items() if word in name]
        return named[0] if named else "other"

    @cached_property
    def server(self) -> EngineName:
        """The engine whose memory rules apply: vLLM's where it is none that is known."""
        return "vllm" if self.runner == "other" else self.runner

    @cached_property
    def gpu(self) -> Gpu:
        """The catalogued GPU that is meant."""
        found = gpu_of(self.row.gpu)
        if found is None:
            raise CannotPredict(f'the GPU "{self.row.gpu}" is not in the catalog')
        return found

    @cached_property
    def precision(self) -> Precision:
        """The weight format; where none is stated, the model's own."""
        stated = (self.row.weight_format or "").casefold()
        if stated:
            id_ = FORMAT_NAMES.get(stated, stated.removeprefix("gguf-"))
            if id_ not in FORMATS:
                raise CannotPredict(f'the weight format "{self.row.weight_format}" is not known')
            return FORMATS[id_]
        own = "fp8" if "fp8" in self.row.model.casefold() else self.model.native_precision
        self.notes.append(f"weights are taken to be in {own}, as the model is released")
        return FORMATS[own]

    @cached_property
    def model(self) -> Model:
        """The model as the catalogue has it, with what its published builds and files quantise."""
        found = catalogued(self.row.model)
        if found is None:
            raise CannotPredict(f'no model "{self.row.model}" is in the catalog')
        return engine_memory.stored_for(found, self.server)

    @cached_property
    def kv_bits(self) -> float:
        """Bits of one cached element: as stated, else FP8 where engine and GPU take it by themselves."""
        stated = (self.row.kv_dtype or "").casefold()
        if stated:
            try:
                return KV_FORMATS.find(stated).bits
            except UnknownName:
                raise CannotPredict(f'the KV cache format "{self.row.kv_dtype}" is not known') from None
        few = self.precision.bits_per_weight < FEW_BITS + 1
        small = few and (self.runner == "tensorrt-llm" or (self._is_fp8 and self._keeps_fp8))
        self.notes.append(f"the KV cache is taken to be in {'FP8' if small else '16 bit'}")
        return FEW_BITS if small else 2 * FEW_BITS

    @property
    def _keeps_fp8(self) -> bool:
        """Whether a cache beside FP8 or FP4 weights is in FP8: on Blackwell, and where InferenceX says so."""
        return self.kind.generation == "blackwell" or (self._is_inferencex and self.model.id in CACHED_IN_FP8)

    @property
    def _is_fp8(self) -> bool:
        return self.precision.compute in ("fp8", "fp4")

    @cached_property
    def kind(self) -> Kind:
        """What decides the constants."""
        return kind_of(self.gpu, self.precision, self.runner)

    @property
    def efficiency(self) -> Efficiency:
        """The fitted constants; prompts that are computed elsewhere do not disturb, LoadGen calls without a server."""
        fitted = efficiency(self.kind)
        if limits(self.row.stated, self.row.model):
            return replace(fitted, front_end_s=0.0, first_token_steps=1.0)
        return replace(fitted, prefill_interference=0.0) if self.disaggregated else fitted

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """Mean tokens in and out of a request."""
        if self.row.isl is None:
            raise CannotPredict("`isl` is not stated")
        output = self.row.osl
        if output is None:
            output = 1.0
            self.notes.append("one token of output is taken, as none is stated")
        if self._is_inferencex:
            self.notes.append("lengths are drawn at random: their mean is 0.9 of the nominal ones")
            return self.row.isl * RANDOM_LENGTHS, max(1.0, output * RANDOM_LENGTHS)
        return self.row.isl + (self.row.depth or 0), max(1.0, output)

    @property
    def _is_inferencex(self) -> bool:
        return "inferencex" in self.row.stated.casefold()

    @property
    def sparse(self) -> bool:
        """Whether the model has experts."""
        return self.model.architecture.experts is not None

    @cached_property
    def gpus(self) -> int:
        """GPUs in all replicas, and those that compute prompts apart from them."""
        apart = self.row.gpu_count if self.disaggregated else None
        return max(self.layout.gpus, apart or 0)

    @cached_property
    def layout(self) -> Layout:
        """The degrees of one replica and the replicas: as stated, else what the planner would take."""
        row = self.row
        if self.runner == "llama.cpp":
            return Layout(pp=min(row.gpu_count or row.pp or 1, self.model.architecture.layers))
        if not row.tp:
            return self._open_layout()
        pp, ranks = min(row.pp or 1, self.model.architecture.layers), max(row.dp or 1, 1)
        replica = Layout(tp=row.tp, pp=pp, attention_dp=ranks if self.sparse else 1)
        if self.disaggregated:
            return self._decoding(replica)
        copies = 1 if self.sparse else ranks
        count = row.gpu_count or copies * replica.replica
        if count > copies * replica.replica:
            copies = count // replica.replica
            self.notes.append(f"{copies} replicas are taken to share the load, as more GPUs are stated than one has")
        return replica.times(copies)

    @cached_property
    def disaggregated(self) -> bool:
        """Whether prompts and output tokens are computed on GPUs apart; the degrees are then those that decode."""
        return "disagg" in self.row.stated.casefold()

    def _decoding(self, worker: Layout) -> Layout:
        """As many decode workers as are busiest while the other GPUs compute the prompts."""
        count = self.row.gpu_count or 2 * worker.replica
        most = min(MOST_WORKERS, max(1, (count - 1) // worker.replica))
        offered = (worker.times(copies) for copies in range(1, most + 1))
        layout = max(offered, key=lambda one: self._balanced(one, count - one.gpus))
        self.notes.append(f"{layout.dp} decode workers are taken, the other GPUs for prompts: it is disaggregated")
        return layout

    def _balanced(self, layout: Layout, others: int) -> float:
        """Requests per second that decode workers and the `others` both keep up with."""
        tokens_in, tokens_out = self.lengths
        on = (self._work(layout), self._machine(layout), layout)
        running = max(1.0, (self.row.concurrency_or_batch or 1) / layout.dp)
        batch = Batch(decode=running, context=tokens_in + tokens_out / 2)
        step = forward_pass(*on, batch).total_s
        prompts = max(1, others) / layout.replica / marginal_s(*on, tokens_in, self.options)
        return min(prompts, layout.dp * running / (tokens_out * step))

    def _open_layout(self) -> Layout:
        """Tensor parallelism over the GPUs that share experts; else the fastest replicas, or the fewest that do.

        Experts that would span nodes without links between them are taken to be within one.
        """
        row = self.row
        if self.sparse and row.ep and row.ep > 1:
            layout = Layout(tp=min(row.ep, placement.domain_size(self.gpu, node_size=self.gpu.node_size)))
        else:
            offered = list(map(Layout.tensor, self._degrees))
            holding = [one for one in offered if self._slots(one) >= 1] or offered[-1:]
            total, asked = row.gpu_count, row.concurrency_or_batch or 1
            copied = [one.times(total // one.tp) for one in holding if total and total % one.tp == 0]
            enough = [one.times(ceil(asked / max(1, self._slots(one)))) for one in holding]
            layout = max(copied, key=self._offline, default=min(enough, key=lambda one: one.gpus))
        self.notes.append(f"TP {layout.tp} x DP {layout.dp * layout.attention_dp} is taken, as no layout is stated")
        return layout

    @property
    def _degrees(self) -> tuple[int, ...]:
        """Legal tensor degrees, of which one GPU is always one."""
        return parallelism.tensor_degrees(self.model.architecture, domain=max(8, self.gpu.node_size))

    def _offline(self, layout: Layout) -> float:
        """Tokens per second of all replicas with every slot busy."""
        tokens_in, tokens_out = self.lengths
        slots = self._slots(layout)
        load = Load(
            sequences=slots, context=tokens_in + tokens_out / 2, input_tokens=tokens_in, output_tokens=tokens_out
        )
        on = (self._work(layout), self._machine(layout), layout)
        return layout.dp * serve(*on, load, self.options).offline_tokens_per_s

    def _slots(self, layout: Layout) -> int:
        """Sequences of full length that one replica has room for, as many as the engine runs at once."""
        return self._held(layout, sum(self.lengths))

    @property
    def preempts(self) -> bool:
        """Whether blocks are taken back from the last where others grow, all the time that some wait: vLLM's."""
        return self.runner == "vllm"

    @property
    def _scripted(self) -> bool:
        """Whether SGLang was started by InferenceX's scripts, on GPUs that compute prompts and tokens."""
        return self.runner == "sglang" and self._is_inferencex and not self.disaggregated

    @property
    def most(self) -> int:
        """Sequences that the engine runs at once, where the pool has room for them."""
        stated = re.search(r"max-num-seqs=(\d+)", self.row.note)
        default = RULES[self.server].default_batching(self.gpu, NEWEST)[1]
        if self._scripted and not stated:
            return max(1, ceil(self.row.concurrency_or_batch or default))
        return int(stated[1]) if stated else BENCH_BATCH if self.server == "tensorrt-llm" else default

    def _held(self, layout: Layout, tokens: float) -> int:
        """Sequences of so many tokens that one replica has room for, as many as the engine runs at once."""
        held = engine_memory.capacity(
            self.model,
            self.precision,
            self.gpu,
            layout,
            self._engine,
            context=max(1, round(tokens)),
            kv_bits=self.kv_bits,
        )
        return self.most if held.not_modelled else held.sessions

    @cached_property
    def _engine(self) -> Engine:
        """The engine by its defaults, with the adapters that the row states."""
        return Engine(
            name=self.server,
            version=NEWEST,
            max_num_seqs=self.most,
            max_num_batched_tokens=RULES[self.server].default_batching(self.gpu, NEWEST)[0],
            adapters=self.row.lora_adapters or 0,
            adapter_rank=self.row.lora_rank or 1,
            prefix_caching=not self._scripted,
            memory_utilization=harnesses.static_share(self.precision, tp=self.row.tp) if self._scripted else None,
        )

    @cached_property
    def options(self) -> Options:
        """Prompts in chunks, as the engine computes them by default or was told to, after what is cached."""
        usual = RULES[self.server].default_batching(self.gpu, NEWEST)[0]
        depth, (prompt, _) = self.row.depth or 0, self.lengths
        return Options(
            step_tokens=self.row.ubatch or usual,
            at_once=AT_ONCE.get(self.server, 1),
            hit_rate=depth / prompt if depth else 0.0,
        )

    @cached_property
    def slots(self) -> int:
        """Sequences that run at once in one replica: half through in the mean, with what is kept free of the rest.

        One where the rules leave no room for any, since the row was measured.
        """
        tokens_in, tokens_out = self.lengths
        found = self._held(self.layout, tokens_in + (1 + KEPT_FREE.get(self.runner, 1.0)) * tokens_out / 2)
        if found < 1:
            self.notes.append("the memory rules leave no room for a request; one slot is taken")
        return max(1, found)

    def _work(self, layout: Layout) -> Work:
        return work_under(self._engine, self.model, self.precision, layout, kv_bits=self.kv_bits)

    def _machine(self, layout: Layout) -> Machine:
        links = fabric_of(self.gpu, layout, node_size=self.gpu.node_size, network=NETWORK)
        found = machine_of(self.gpu, self.precision, links, self.efficiency, engine=self.runner)
        if found is None:
            raise CannotPredict(f"the arithmetic peak of {self.gpu.title} is not known")
        return found

    @cached_property
    def work(self) -> Work:
        """The work of one rank."""
        return self._work(self.layout)

    @cached_property
    def machine(self) -> Machine:
        """The GPU with its links and what is reached of them."""
        return self._machine(self.layout)

    @cached_property
    def batch(self) -> float:
        """Sequences that one replica is asked for at once: as stated, else one for each slot."""
        stated = self.row.concurrency_or_batch
        if stated:
            return max(1.0, stated / self.layout.dp)
        return 1.0 if self.row.scenario == "batch1" else self.slots

    def load(self, sequences: float) -> Load:
        """So many sequences of the row's lengths, and the slots for them."""
        tokens_in, tokens_out = self.lengths
        return Load(
            sequences=sequences,
            context=tokens_in + tokens_out / 2,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            slots=self.slots,
            preempts=self.preempts and self.slots < self.most,
            burst=self.burst,
            synchronized=self.synchronized,
            held_steps=self.polls / 2,
            batched=harnesses.CLUMPED * self.polls * max(0.0, sequences - 1) / tokens_out,
        )

    @property
    def synchronized(self) -> bool:
        """Whether all clients ask at once every time."""
        return self.runner == "sglang" and harnesses.synchronized(self.row.family, *self.lengths)

    @property
    def polls(self) -> float:
        """Steps between two looks for requests, as InferenceX has SGLang take them; else it looks after every one."""
        if not self._scripted:
            return 0
        return harnesses.polled_every(
            self.model.id, self.gpu.id, self.precision, tp=self.layout.tp, clients=self.row.concurrency_or_batch or 1
        )

    @property
    def burst(self) -> float:
        """Of the first requests, which come all at once: by the number of requests, else as the harness has it."""
        row, clients = self.row, self.row.concurrency_or_batch
        if self.synchronized:
            return 0.0
        if row.requests and clients:
            return burst_share(row.requests / clients)
        return burst_share(ROUNDS) if row.family in ROUNDED else 0.0

    def served(self, sequences: float) -> Service:
        """One replica under a closed load."""
        return serve(self.work, self.machine, self.layout, self.load(sequences), self.options)
