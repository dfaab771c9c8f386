"""What LoRA adapters add to a forward pass of vLLM: calls of three small kernels, their matrices, what tokens move.

Every adapted matrix has its own call in every pass of which one request has an adapter, whatever that adapter's own
targets are: a buffer is zeroed, x·A is put there and B times it is added to the result. Their kernels reach a small
part of what a GPU can do, so that few bytes take long. All constants were measured on one H200 with vLLM 0.24.

Units: bytes, seconds, tokens.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from inferplan.core.adapters import adapted_ends, layer_calls, room
from inferplan.core.engine import Engine
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision
from inferplan.core.sparsity import expert_coverage

CALL_S = 9e-6
"""What a call takes besides: its kernels one after the other, in a graph. [s]

Between two servers: 10 and 5 µs for one client and for 16 of Llama 3.1 8B on an H200, 13 for one of EXAONE 3.5 2.4B
on an H100 (vLLM 0.15). Alone in a graph of their own the kernels took 15, whatever the model.
"""
COLUMN_S = 0.2e-9
"""What each output of B takes for each adapter in a pass, beside what is read. [s]

With `READ_SHARE` from what a further adapter added to kernels of four shapes and ranks of 8 to 128: within 0.67 and
1.45 times that, but of the smallest matrices (0.6B), which took up to twice as long.
"""
READ_SHARE = 0.16
"""The share of the rated bandwidth at which A and B are read, beside `COLUMN_S`."""
MOVE_SHARE = 0.24
"""The share of the rated bandwidth at which x is read and results are read and written, where there are many tokens."""
OF_EXPERTS = 0.5
"""What the matrices and tokens of experts take, in those of others: all are in one kernel for each matrix.

Chosen between three loads of one server of Qwen3-30B-A3B on an H200: one adapter of 16 and of 64 clients says 1, two
of 64 say 0.3.
"""
MOVED_IN, MOVED_OUT = 2, 4
"""An input of A is read in 16 bit, an output of B is read and written. [B]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterWork:
    """What adapters add to a pass on one rank, all layers and stages together: see `adapter_work`.

    `columns` are outputs of B and `matrix_bytes` A and B of one adapter; `token_bytes` are moved for each token. Those
    of all experts are apart: a pass takes those that tokens with the adapter pick, and moves what they work on.
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
    """What adapters add to a pass: calls, matrices, what tokens move. [s]"""

    calls_s: float
    matrices_s: float
    moved_s: float


@lru_cache(maxsize=1024)
def adapter_work(model: Model, precision: Precision, layout: Layout, engine: Engine) -> AdapterWork | None:
    """What the adapters that a batch may hold add; None without any, and under an engine that was not measured.

    Calls: one for each adapted matrix or joined matrices, of experts one more, which sorts tokens by adapter; embedding
    and head have one each. Ranks count as wide as the buffers are.

    Limits: `--fully-sharded-loras` adds collectives, which are not counted; a version of vLLM is taken to do as 0.24.
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
    ranked = element * room(engine)
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
    """What one token moves through these matrices. [B]"""
    return sum(MOVED_IN * a + MOVED_OUT * b for a, b in pairs)


def adapters_met(adapters: int, requests: float) -> float:
    """k × (1 - (1 - 1/k)^n): of k adapters those that n requests have, each any of them. [adapters]

    >>> adapters_met(8, 1), round(adapters_met(8, 16), 2), adapters_met(1, 64)
    (1.0, 7.06, 1.0)
    """
    return adapters * (1 - (1 - 1 / adapters) ** requests)


def added(work: AdapterWork, *, bandwidth: float, requests: float, tokens: float, shared_tokens: float) -> Added:
    """calls × c + k × (columns × t + bytes / share) + tokens × bytes / share, for the k adapters that requests have.

    Experts' count as `OF_EXPERTS`, and each adapter takes those that its part of the `shared_tokens` picks, which are
    the tokens of all ranks that share experts; `tokens` are the rank's own.

    Limits: every request has an adapter, and any is as likely. A prompt that no graph covers waits besides for its
    kernels to be launched: a lone one of 1,024 tokens took 30 ms more than this of a server on an H200.
    """
    met = adapters_met(work.adapters, requests)
    picked = 0.0
    if work.experts and met:
        picked = expert_coverage(tokens=shared_tokens / met, experts=work.experts, active=work.active)
    picked *= OF_EXPERTS
    columns = work.columns + picked * work.expert_columns
    read = work.matrix_bytes + picked * work.expert_bytes
    moved = work.token_bytes + OF_EXPERTS * work.expert_token_bytes
    return Added(
        calls_s=work.calls * CALL_S,
        matrices_s=met * (columns * COLUMN_S + read / (READ_SHARE * bandwidth)),
        moved_s=tokens * moved / (MOVE_SHARE * bandwidth),
    )
