"""What llama.cpp keeps on its GPUs where they do not hold the model: whole layers, or all but experts.

The rest is in host memory, where the CPU computes it. How fast that is depends on that memory, and is not said here.
"""

from inferplan.core.engine import Engine
from inferplan.core.hardware import Gpu
from inferplan.core.llamacpp_memory import (
    compute_buffer,
    group_bytes,
    head_bytes,
    layer_caches,
    layer_weights,
    memory,
    padded,
)
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision

EXPERT_TENSORS = 3
"""Tensors that the experts of a layer are stored in: gate, up, down."""


def layers_held(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> int:
    """The most layers whose weights and one slot's cache fit these GPUs, counted from the last, the head as one.

    The others are in host memory, with their caches: `-ngl`, and what `--fit` sets it to where it is left unset.

    Source: llama.cpp, src/llama-model.cpp, `load_tensors` (`i_gpu_start`: the last `n_gpu_layers` of layers + 1).
    """
    architecture, gpus = model.architecture, layout.replica
    budget = memory(model, precision, gpu, layout, engine).budget
    room = budget - compute_buffer(architecture, engine, context=padded(context), gpus=gpus)
    caches = layer_caches(architecture, engine, context=context, kv_bits=kv_bits)
    sizes = [weights + cache for weights, cache in zip(layer_weights(model, precision), caches, strict=True)]
    sizes.append(head_bytes(model, precision))

    def busiest(last: int) -> float:
        held_by = [0.0] * gpus
        for place, size in enumerate(sizes[-last:]):
            held_by[place * gpus // last] += size
        return max(held_by)

    return next((last for last in range(len(sizes), 0, -1) if busiest(last) <= room), 0)


def expert_layers_out(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> int | None:
    """The fewest layers, counted from the first, whose experts have to be in host memory for the rest to fit.

    That is `--n-cpu-moe`; None where even all of them are too few, or there are none. One tensor of them has to fit
    beside the rest, as prompts bring them over: a third of a layer's experts, which are three tensors.

    Limits: one GPU. Source: llama.cpp, common/arg.cpp (`--n-cpu-moe`); logs of DeepSeek-V3 for the tensor's room.
    """
    architecture = model.architecture
    if architecture.experts is None or layout.replica > 1:
        return None
    budget = memory(model, precision, gpu, layout, engine).budget
    room = budget - compute_buffer(architecture, engine, context=padded(context))
    taken = sum(layer_weights(model, precision)) + head_bytes(model, precision)
    taken += sum(layer_caches(architecture, engine, context=context, kv_bits=kv_bits))
    of_kind = [group_bytes(model, precision, group, "routed_experts") for group in architecture.groups]
    experts = [of_kind[kind] for kind in architecture.sequence]
    taken += max(experts) / EXPERT_TENSORS
    for out, size in enumerate(experts, start=1):
        taken -= size
        if taken <= room:
            return out
    return None
