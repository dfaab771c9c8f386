"""What llama.cpp keeps on its GPUs where they do not hold the model: whole layers, or all but experts.

The rest is in host memory, where the CPU computes it. How fast that is depends on that memory, and is not said here.
"""

from collections.abc import Sequence

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

    return next((last for last in range(len(sizes), 0, -1) if _busiest(sizes[-last:], gpus) <= room), 0)


def _busiest(sizes: Sequence[float], gpus: int) -> float:
    """The most that one GPU has of layers that are spread evenly over all. [B]"""
    held_by = [0.0] * gpus
    for place, size in enumerate(sizes):
        held_by[place * gpus // len(sizes)] += size
    return max(held_by)


def expert_layers_out(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> int | None:
    """The fewest layers, counted from the first, whose experts have to be in host memory for the rest to fit.

    That is `--n-cpu-moe`; None where even all of them are too few, or there are none. One tensor of them has to fit
    beside the rest, as prompts bring them over: a third of a layer's experts, which are three tensors.

    Limits: one GPU. Source: llama.cpp, common/arg.cpp (`--n-cpu-moe`); logs of DeepSeek-V3 for the tensor's room.
    """
    architecture = model.architecture
    experts = _experts(model, precision)
    if not any(experts) or layout.replica > 1:
        return None
    budget = memory(model, precision, gpu, layout, engine).budget
    room = budget - compute_buffer(architecture, engine, context=padded(context))
    taken = sum(layer_weights(model, precision)) + head_bytes(model, precision)
    taken += sum(layer_caches(architecture, engine, context=context, kv_bits=kv_bits))
    taken += max(experts) / EXPERT_TENSORS
    for out, size in enumerate(experts, start=1):
        taken -= size
        if taken <= room:
            return out
    return None


def all_experts_out(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> bool:
    """Whether these GPUs hold everything but the experts (`--cpu-moe`), whose host then has less to read of a token.

    On several GPUs layers are spread evenly, so that the first ones alone without experts would leave the last ones
    too many. Less than where whole layers are left out (`layers_held`), of which the host reads all but idle experts.

    Source: llama.cpp, common/arg.cpp (`--cpu-moe`).
    """
    experts, on = _experts(model, precision), (model, precision, gpu, layout, engine)
    if not any(experts):
        return False
    layers, gpus = layer_weights(model, precision), layout.replica
    caches = layer_caches(model.architecture, engine, context=context, kv_bits=kv_bits)
    rest = [weights - out + cache for weights, out, cache in zip(layers, experts, caches, strict=True)]
    room = memory(*on).budget - compute_buffer(model.architecture, engine, context=padded(context), gpus=gpus)
    if _busiest([*rest, head_bytes(model, precision)], gpus) > room - max(experts) / EXPERT_TENSORS:
        return False
    out = len(layers) + 1 - layers_held(*on, context=context, kv_bits=kv_bits)
    ffn = model.architecture.experts
    share = ffn.active / ffn.experts if ffn else 1.0
    return sum(experts) * share < sum(layers[:out]) - (1 - share) * sum(experts[:out])


def _experts(model: Model, precision: Precision) -> list[float]:
    """The experts of every layer, in the order of the forward pass. [B]"""
    of_kind = [group_bytes(model, precision, group, "routed_experts") for group in model.architecture.groups]
    return [of_kind[kind] for kind in model.architecture.sequence]
