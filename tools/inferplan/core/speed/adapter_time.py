"""What LoRA adapters add to a forward pass of vLLM: kernel launches, reads of their matrices, activations.

If one request of a batch has an adapter, every adaptable matrix has a call of its own in the pass, whatever that
adapter's targets are: a buffer is zeroed, x·A is put there, and its product with B is added to the result. These
kernels reach a small part of a GPU's bandwidth, so that few bytes take long. All constants were measured on one H200
with vLLM 0.24.

Units: bytes, seconds, tokens.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from inferplan.core.engine import Engine
from inferplan.core.engines.adapters import adapted_ends, buffer_rank, layer_calls
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.sparsity import expert_coverage

CALL_S = 9e-6
"""The fixed time of a call: its three kernels one after the other, in a CUDA graph. [s]

Between servers with and without adapters: 10 µs for one client and 5 for 16 of Llama 3.1 8B on an H200, 13 for one of
EXAONE 3.5 2.4B on an H100 (vLLM 0.15). The kernels alone in a graph took 15, whatever the model.
"""
COLUMN_S = 0.2e-9
"""The time of each output of B for each adapter in a pass, beside what is read. [s]

Fitted with `READ_SHARE` to what one more adapter added to kernels of four shapes and ranks of 8 to 128: these took 0.67
to 1.45 times as long as predicted, the smallest (of a 0.6B model) up to twice.
"""
READ_SHARE = 0.16
"""The share of the rated bandwidth at which A and B are read, beside `COLUMN_S`."""
MOVE_SHARE = 0.24
"""The share of the rated bandwidth at which inputs and results of many tokens are read and written."""
EXPERT_FACTOR = 0.5
"""The time of experts' matrices and tokens over that of dense ones: one kernel has all experts of a matrix.

Chosen between three loads of one server of Qwen3-30B-A3B on an H200: one adapter of 16 and of 64 clients says 1, two
adapters of 64 clients say 0.3.
"""
INPUT_BYTES, OUTPUT_BYTES = 2, 4
"""An input of A is read in 16 bit; an output of B is read and written. [B]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterWork:
    """What adapters add to a pass on one rank, all layers and stages together: see `adapter_work`.

    One adapter has `columns` outputs of B, and A and B of `matrix_bytes`; each token moves `token_bytes`. The
    `expert_*` fields are the same of all routed experts, of which a pass takes those that its tokens pick.
    """

    adapters: int
    calls: int
    columns: float
    matrix_bytes: float
    token_bytes: float
    expert_columns: float = 0.0
    expert_bytes: float = 0.0
    expert_token_bytes: float = 0.0
    experts: int = 0
    active: int = 0


class Added(NamedTuple):
    """What adapters add to a pass: fixed times of calls, reads of matrices, activations of tokens. [s]"""

    calls_s: float
    matrices_s: float
    moved_s: float


@lru_cache(maxsize=1024)
def adapter_work(model: Model, precision: Precision, layout: Layout, engine: Engine) -> AdapterWork | None:
    """What the adapters of an engine add to a pass; None without any, and under engines that were not measured.

    One call per adapted matrix, or fused matrices; one more per layer of experts, which sorts tokens by adapter; one
    each for embedding and head. Adapters of any rank count with the rank of the buffers (`adapters.buffer_rank`).

    Limits: the collectives of `--fully-sharded-loras` are not counted; all versions of vLLM are taken to be like 0.24.
    Source: vLLM 0.24, vllm/lora/punica_wrapper/punica_gpu.py (`add_lora_linear`), lora/ops/triton_ops/lora_shrink_op.py
    and lora_expand_op.py.
    """
    if not engine.adapters or engine.name != "vllm":
        return None
    architecture, element = model.architecture, precision.element_bytes
    kinds = layer_calls(model, precision, layout, sharded=engine.adapters_sharded)
    calls = [call for kind in architecture.sequence for call in kinds[kind]]
    dense = [pair for call in calls if not call.experts for pair in call.pairs]
    routed = [pair for call in calls if call.experts for pair in call.pairs]
    experts = architecture.experts
    active = experts.active / experts.experts if experts else 0.0
    embedding, head = adapted_ends(model)
    columns = architecture.hidden * embedding + architecture.vocab * head
    ranked = element * buffer_rank(engine)
    return AdapterWork(
        adapters=engine.adapters,
        calls=len(calls) + architecture.expert_layers + embedding + head,
        columns=sum(b for _, b in dense) + columns,
        matrix_bytes=ranked * (sum(map(sum, dense)) + columns),
        token_bytes=_moved(dense),
        expert_columns=sum(b for _, b in routed),
        expert_bytes=ranked * sum(map(sum, routed)),
        expert_token_bytes=active * _moved(routed),
        experts=experts.experts if experts else 0,
        active=experts.active if experts else 0,
    )


def _moved(pairs: list[tuple[float, float]]) -> float:
    """What one token reads and writes at these pairs of matrices. [B]"""
    return sum(INPUT_BYTES * inputs + OUTPUT_BYTES * outputs for inputs, outputs in pairs)


def adapters_in_batch(adapters: int, requests: float) -> float:
    """k × (1 - (1 - 1/k)^n): how many of k adapters n requests use, each any of them as likely. [adapters]

    >>> adapters_in_batch(8, 1), round(adapters_in_batch(8, 16), 2), adapters_in_batch(1, 64)
    (1.0, 7.06, 1.0)
    """
    return adapters * (1 - (1 - 1 / adapters) ** requests)


def added(work: AdapterWork, *, bandwidth: float, requests: float, tokens: float, shared_tokens: float) -> Added:
    """calls × c + k × (columns × t + bytes / read rate) + tokens × bytes / move rate, of k adapters in the batch. [s]

    Experts count with `EXPERT_FACTOR`. Each adapter has its part of the `shared_tokens`, those of all ranks that share
    experts, and takes the experts that these pick; `tokens` are the rank's own. The rates are shares of `bandwidth`
    [B/s].

    Limits: every request has an adapter, any of them as likely. A prompt that no CUDA graph covers also waits for its
    kernels to be launched: a lone one of 1,024 tokens on an H200 took 30 ms longer than this.
    """
    in_batch = adapters_in_batch(work.adapters, requests)
    picked = 0.0
    if work.experts and in_batch:
        picked = expert_coverage(tokens=shared_tokens / in_batch, experts=work.experts, active=work.active)
    picked *= EXPERT_FACTOR
    columns = work.columns + picked * work.expert_columns
    read = work.matrix_bytes + picked * work.expert_bytes
    moved = work.token_bytes + EXPERT_FACTOR * work.expert_token_bytes
    return Added(
        calls_s=work.calls * CALL_S,
        matrices_s=in_batch * (columns * COLUMN_S + read / (READ_SHARE * bandwidth)),
        moved_s=tokens * moved / (MOVE_SHARE * bandwidth),
    )
