"""A published run as one replica under a load: the layout, the sequences that it holds, its work and machine."""

import re
from collections.abc import Mapping
from functools import cached_property
from math import ceil

from inferplan.core import engine_memory, parallelism, placement
from inferplan.core.engine import Engine
from inferplan.core.engine_memory import RULES
from inferplan.core.engines.vllm_defaults import NEWEST
from inferplan.core.fabric import fabric_of
from inferplan.core.parallelism import Layout
from inferplan.core.performance import forward_pass
from inferplan.core.serving_laws import Service, marginal_s, serve
from inferplan.core.speed.efficiency import Runner
from inferplan.core.speed.load import Load, burst_share
from inferplan.core.speed.machine import Machine, machine_of
from inferplan.core.speed.pass_amounts import Batch
from inferplan.core.speed.work import Work, work_under
from inferplan.core.units import GB
from inferplan.tools.validation import harnesses
from inferplan.tools.validation.harnesses import ROUNDED, ROUNDS
from inferplan.tools.validation.report import CannotPredict
from inferplan.tools.validation.speed_rows import StatedRun

NETWORK = 50 * GB
"""InfiniBand NDR, one way, per GPU: what no row states. [B/s]"""
BENCH_BATCH = 4096
"""Sequences at once in TensorRT-LLM's throughput benchmark by default."""
KEPT_FREE: Mapping[Runner, float] = {"vllm": 0.0, "sglang": 0.7 * 0.14}
"""Share of the output left to running requests for which blocks are kept free before another starts; else all of it.

vLLM starts whoever has blocks now. SGLang's share begins at 0.7 and falls to 0.14 of that within 600 steps, until a
request is retracted. TensorRT-LLM evicts nobody whom it started (GUARANTEED_NO_EVICT, its default).
Source: SGLang, srt/environ.py (`SGLANG_INIT_NEW_TOKEN_RATIO`, `SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR`,
`SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS`), srt/managers/schedule_policy.py.
"""
MOST_WORKERS = 256
"""Decode workers considered."""


class SpeedSetup(StatedRun):
    """A row as one replica under a load: its layout, slots, work and machine; what it leaves open is noted."""

    @cached_property
    def gpus(self) -> int:
        """GPUs of all replicas, those for prefill alone included."""
        apart = self.row.gpu_count if self.disaggregated else None
        return max(self.layout.gpus, apart or 0)

    @cached_property
    def layout(self) -> Layout:
        """The degrees and the number of replicas: as stated, else as the planner would choose."""
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

    def _decoding(self, worker: Layout) -> Layout:
        """Decode workers, as many as deliver most while the other GPUs prefill."""
        count = self.row.gpu_count or 2 * worker.replica
        most = min(MOST_WORKERS, max(1, (count - 1) // worker.replica))
        offered = (worker.times(copies) for copies in range(1, most + 1))
        layout = max(offered, key=lambda one: self._balanced(one, count - one.gpus))
        self.notes.append(f"{layout.dp} decode workers are taken, the other GPUs for prompts: it is disaggregated")
        return layout

    def _balanced(self, layout: Layout, others: int) -> float:
        """The requests that decode workers and `others` for prefill both sustain. [requests/s]"""
        tokens_in, tokens_out = self.lengths
        on = (self._work(layout), self._machine(layout), layout)
        running = max(1.0, (self.row.concurrency_or_batch or 1) / layout.dp)
        batch = Batch(decode=running, context=tokens_in + tokens_out / 2)
        step = forward_pass(*on, batch).total_s
        prompts = max(1, others) / layout.replica / marginal_s(*on, tokens_in, self.options)
        return min(prompts, layout.dp * running / (tokens_out * step))

    def _open_layout(self) -> Layout:
        """Tensor parallelism over the GPUs that share experts; else the fastest replicas, or the fewest for the load.

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
        """The legal tensor-parallel degrees; 1 is always one."""
        return parallelism.tensor_degrees(self.model.architecture, domain=max(8, self.gpu.node_size))

    def _offline(self, layout: Layout) -> float:
        """Output throughput of all replicas with every slot busy. [tokens/s]"""
        tokens_in, tokens_out = self.lengths
        slots = self._slots(layout)
        load = Load(
            sequences=slots, context=tokens_in + tokens_out / 2, input_tokens=tokens_in, output_tokens=tokens_out
        )
        on = (self._work(layout), self._machine(layout), layout)
        return layout.dp * serve(*on, load, self.options).offline_tokens_per_s

    def _slots(self, layout: Layout) -> int:
        """Sequences of full length that one replica holds, no more than the engine runs at once."""
        return self._held(layout, sum(self.lengths))

    @property
    def preempts(self) -> bool:
        """Whether a full pool preempts running sequences while others wait, as vLLM's does."""
        return self.runner == "vllm"

    @property
    def _scripted(self) -> bool:
        """Whether InferenceX's scripts started SGLang, with prefill and decode on the same GPUs."""
        return self.runner == "sglang" and self.is_inferencex and not self.disaggregated

    @property
    def most(self) -> int:
        """Sequences that the engine runs at once, memory permitting."""
        stated = re.search(r"max-num-seqs=(\d+)", self.row.note)
        default = RULES[self.server].default_batching(self.gpu, NEWEST)[1]
        if self._scripted and not stated:
            return max(1, ceil(self.row.concurrency_or_batch or default))
        return int(stated[1]) if stated else BENCH_BATCH if self.server == "tensorrt-llm" else default

    def _held(self, layout: Layout, tokens: float) -> int:
        """Sequences of this many tokens that one replica holds, no more than the engine runs at once."""
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
        """The engine by its defaults, with the adapters and drafts stated."""
        return Engine(
            name=self.server,
            version=NEWEST,
            max_num_seqs=self.most,
            max_num_batched_tokens=RULES[self.server].default_batching(self.gpu, NEWEST)[0],
            adapters=self.row.lora_adapters or 0,
            adapter_rank=self.row.lora_rank or 1,
            drafts=self.row.speculative_tokens or 0,
            prefix_caching=not self._scripted,
            memory_utilization=harnesses.static_share(self.precision, tp=self.row.tp) if self._scripted else None,
        )

    @cached_property
    def slots(self) -> int:
        """Sequences that one replica runs at once: half-way through in the mean, with the blocks kept free.

        At least 1, even where the rules leave no room, since the row was measured.
        """
        tokens_in, tokens_out = self.lengths
        found = self._held(self.layout, tokens_in + (1 + KEPT_FREE.get(self.runner, 1.0)) * tokens_out / 2)
        if found < 1:
            self.notes.append("the memory rules leave no room for a request; one slot is taken")
        return max(1, found)

    def _work(self, layout: Layout) -> Work:
        """The work of one rank of a layout."""
        return work_under(self._engine, self.model, self.precision, layout, kv_bits=self.kv_bits)

    def _machine(self, layout: Layout) -> Machine:
        """The GPU with its links and constants for a layout. Raises `CannotPredict` where its peak is not known."""
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
        """The GPU with its links and fitted constants."""
        return self._machine(self.layout)

    @cached_property
    def batch(self) -> float:
        """Sequences at once on one replica: as stated, else one for each slot."""
        stated = self.row.concurrency_or_batch
        if stated:
            return max(1.0, stated / self.layout.dp)
        return 1.0 if self.row.scenario == "batch1" else self.slots

    def load(self, sequences: float) -> Load:
        """The load of one replica with this many sequences of the row's lengths."""
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
        """Whether all clients send their requests at once in every round."""
        return self.runner == "sglang" and harnesses.synchronized(self.row.family, *self.lengths)

    @property
    def polls(self) -> float:
        """Steps between two polls for requests, as InferenceX sets SGLang; 0 where it polls after every step."""
        if not self._scripted:
            return 0
        return harnesses.polled_every(
            self.model.id, self.gpu.id, self.precision, tp=self.layout.tp, clients=self.row.concurrency_or_batch or 1
        )

    @property
    def burst(self) -> float:
        """The share of requests that arrive in the first burst: by their number, else as the harness sends them."""
        row, clients = self.row, self.row.concurrency_or_batch
        if self.synchronized:
            return 0.0
        if row.requests and clients:
            return burst_share(row.requests / clients)
        return burst_share(ROUNDS) if row.family in ROUNDED else 0.0

    def served(self, sequences: float) -> Service:
        """The service of one replica under a closed load."""
        return serve(self.work, self.machine, self.layout, self.load(sequences), self.options)
