"""Partial offload in llama.cpp: what GPUs that do not hold a whole model keep, whole layers or all but experts.

The rest is in host memory, where the CPU computes it; how fast that is depends on that memory, and is not modelled.
"""

from collections.abc import Sequence

from inferplan.core.engine import Engine
from inferplan.core.engines.llamacpp_files import head_bytes, layer_classes, layer_weights
from inferplan.core.engines.llamacpp_memory import compute_buffer, layer_caches, memory, padded
from inferplan.core.hardware import Gpu
from inferplan.core.model import Model
from inferplan.core.parallelism import Layout
from inferplan.core.precision import Precision

EXPERT_TENSORS = 3
"""The tensors of a layer's experts: gate, up, down."""


def layers_held(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> int:
    """The most layers, counted from the last, whose weights and one slot's cache fit the GPUs; the head counts as one.

    It is what `-ngl` may be, and what `--fit` sets it to by default. The other layers are in host memory, with their
    caches.

    Source: llama.cpp, src/llama-model.cpp, `load_tensors` (`i_gpu_start`: the last `n_gpu_layers` of layers + 1).
    """
    room = _room(model, precision, gpu, layout, engine, context=context)
    caches = layer_caches(model.architecture, engine, context=context, kv_bits=kv_bits)
    sizes = [weights + cache for weights, cache in zip(layer_weights(model, precision), caches, strict=True)]
    sizes.append(head_bytes(model, precision))
    return next((last for last in range(len(sizes), 0, -1) if _busiest(sizes[-last:], layout.replica) <= room), 0)


def _room(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int) -> float:
    """What the compute buffer for this context leaves of each GPU's budget, for weights and caches. [B]"""
    budget = memory(model, precision, gpu, layout, engine).budget
    return budget - compute_buffer(model.architecture, engine, context=padded(context), gpus=layout.replica)


def _busiest(sizes: Sequence[float], gpus: int) -> float:
    """The most that one GPU holds of layers that are spread evenly over all. [B]"""
    held_by = [0.0] * gpus
    for place, size in enumerate(sizes):
        held_by[place * gpus // len(sizes)] += size
    return max(held_by)


def expert_layers_out(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> int | None:
    """The fewest layers, counted from the first, whose experts go to host memory so that the rest fits: `--n-cpu-moe`.

    None where the rest never fits, or the model has no experts. Room is kept for one tensor of a layer's experts, a
    third of them, which prefill copies to the GPU.

    Limits: one GPU; None for several.
    Source: llama.cpp, common/arg.cpp (`--n-cpu-moe`); logs of DeepSeek-V3 for the room of a tensor.
    """
    experts = _experts(model, precision)
    if not any(experts) or layout.replica > 1:
        return None
    room = _room(model, precision, gpu, layout, engine, context=context)
    taken = sum(layer_weights(model, precision)) + head_bytes(model, precision)
    taken += sum(layer_caches(model.architecture, engine, context=context, kv_bits=kv_bits))
    taken += max(experts) / EXPERT_TENSORS
    for out, size in enumerate(experts, start=1):
        taken -= size
        if taken <= room:
            return out
    return None


def all_experts_out(
    model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, context: int, kv_bits: float
) -> bool:
    """Whether to keep all experts in host memory (`--cpu-moe`): the rest fits, and the host reads less per token.

    That is less than with whole layers in host memory (`layers_held`), of which the host reads all but idle experts. On
    several GPUs layers are spread evenly, so that leaving out the experts of the first layers alone (`--n-cpu-moe`)
    would overfill the last GPUs.

    Source: llama.cpp, common/arg.cpp (`--cpu-moe`).
    """
    experts, on = _experts(model, precision), (model, precision, gpu, layout, engine)
    if not any(experts):
        return False
    layers = layer_weights(model, precision)
    caches = layer_caches(model.architecture, engine, context=context, kv_bits=kv_bits)
    rest = [weights - out + cache for weights, out, cache in zip(layers, experts, caches, strict=True)]
    room = _room(*on, context=context) - max(experts) / EXPERT_TENSORS
    if _busiest([*rest, head_bytes(model, precision)], layout.replica) > room:
        return False
    out = len(layers) + 1 - layers_held(*on, context=context, kv_bits=kv_bits)
    ffn = model.architecture.experts
    share = ffn.active / ffn.experts if ffn else 1.0
    return sum(experts) * share < sum(layers[:out]) - (1 - share) * sum(experts[:out])


def _experts(model: Model, precision: Precision) -> list[float]:
    """The routed experts of every layer, in the order of the forward pass. [B]"""
    return [layer.get("routed_experts", 0.0) for layer in layer_classes(model, precision)]
