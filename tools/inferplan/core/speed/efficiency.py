"""The share of rated speeds that engines reach on a GPU, and the fixed times of a forward pass.

A pass is a sum of amounts (seconds at full speed, or counts), each times a fitted constant. Full speed is the rated
bandwidth of memory and links, and the best matrix product that was measured (`PRODUCTS`). Which constant applies
depends on the GPU's generation, the engine and the arithmetic; `speed_constants` holds the values, with the rows that
they were fitted on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from math import prod
from typing import Literal

from inferplan.core.engine import EngineName
from inferplan.core.hardware import Gpu
from inferplan.core.precision import Precision
from inferplan.core.speed.speed_constants import PARAMETERS

Generation = Literal["hopper", "ampere", "blackwell", "cdna", "local", "local_stacked", "local_amd", "local_apple"]
Arithmetic = Literal["native", "fp4", "weight-only"]
Runner = EngineName | Literal["other"]

GENERATIONS: Mapping[str, Generation] = {
    "Volta": "ampere",
    "Turing": "ampere",
    "Ampere": "ampere",
    "Ada": "ampere",
    "Hopper": "hopper",
    "Blackwell": "blackwell",
    "Blackwell Ultra": "blackwell",
    "Rubin": "blackwell",
    "CDNA2": "cdna",
    "CDNA3": "cdna",
    "CDNA4": "cdna",
    "CDNA5": "cdna",
}
"""The fitted generation of each GPU architecture; all others are taken to be like Hopper."""
VENDORS = ("nvidia", "amd")
"""The vendors on whose GPUs the speed of serving engines was fitted."""
VENDORS_AT_HOME = ("nvidia", "amd", "apple")
"""The vendors on whose GPUs the speed of llama.cpp was fitted."""


def is_fitted(gpu: Gpu, engine: Runner = "vllm") -> bool:
    """Whether the speed model was fitted on GPUs like this one; serving engines were on datacenter GPUs alone."""
    is_known = gpu.like is None and gpu.status != "announced"
    if engine == "llama.cpp":
        return is_known and gpu.vendor in VENDORS_AT_HOME
    return is_known and gpu.architecture in GENERATIONS and gpu.kind == "datacenter"


PRODUCTS: Mapping[str, tuple[float, float]] = {
    "Ampere": (0.87, 0.87),
    "Hopper": (0.80, 0.72),
    "Blackwell": (0.78, 0.76),
    "Blackwell Ultra": (0.79, 0.75),
    "CDNA3": (0.51, 0.45),
    "CDNA4": (0.62, 0.62),
    "Gaudi2": (0.97, 0.96),
    "Gaudi3": (0.74, 0.77),
}
"""The share of its peak that the best matrix product reaches, in 16 bit and in 8 bit or fewer. [fraction]

Measured on A100 SXM, H100 and H200, B200, B300, MI300X, MI355X, Gaudi 2 and 3. An architecture without a row is taken
to be like Hopper; where no figure of 8 bit was found, that of 16 stands for it.
Source: stas00/ml-engineering@744d01e (2026-08-22), maximum achievable matmul FLOPS; MI300X in 8 bit: arXiv 2510.27583.
"""


def best_product(gpu: Gpu, compute: str) -> float | None:
    """peak × the share that the best product reaches; None where the GPU lacks this arithmetic. [FLOP/s]"""
    peak = gpu.peak_flops(compute)
    in_16_bit, in_8_bit = PRODUCTS.get(gpu.architecture, PRODUCTS["Hopper"])
    return peak and peak * (in_16_bit if compute in WIDE else in_8_bit)


WIDE = ("fp32", "bf16", "fp16")
"""Compute formats of 16 bit and more: the first figure of `PRODUCTS`."""
STACKED: Mapping[str, float] = {"Ampere": 1.1e12}
"""Bandwidth beyond which a datacenter GPU has stacked memory (HBM), by architecture; `GDDR7` for others. [B/s]"""
GDDR7 = 1.8e12
"""The highest bandwidth without stacked memory: 512 bit at 28 Gbit/s. [B/s]"""
LOCAL: tuple[Generation, ...] = ("local", "local_stacked", "local_amd", "local_apple")
"""The generations of llama.cpp: GPUs with GDDR or unified memory, with stacked memory, Radeons, Macs."""
HOMES: Mapping[str, Generation] = {"amd": "local_amd", "apple": "local_apple"}
"""Vendors whose GPUs without stacked memory have constants of their own in llama.cpp."""


def best_half_product(gpu: Gpu, engine: Runner) -> float | None:
    """The best matrix product of 16-bit numbers, None where no peak is known. [FLOP/s]

    llama.cpp accumulates in FP16, which GeForce cards do at twice the rate. The 8-bit integer products that it uses for
    quantised weights run at twice that rate on all NVIDIA GPUs from Turing on, so that one share serves both.
    Source: llama.cpp, ggml-cuda.cu, `CUBLAS_COMPUTE_16F`, and mmq.cuh; NVIDIA, Ada architecture whitepaper, table 2.
    """
    own = best_product(gpu, "fp16") if engine == "llama.cpp" else None
    return own or best_product(gpu, gpu.half)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What decides which fitted constants apply."""

    generation: Generation
    engine: Runner
    arithmetic: Arithmetic


@dataclass(frozen=True, kw_only=True, slots=True)
class Efficiency:
    """Shares of full speed that a pass reaches, fixed times of its parts, and how requests queue.

    `half_compute` is the share of 16-bit products beside quantised ones (output head, unquantised attention). Times are
    in seconds. `prefill_interference` is the share of a prompt's prefill that delays running sequences; a prompt waits
    for `front_end_s`, for `first_token_steps` decode steps and for the share `prompt_queue` of other prompts
    (`serving_laws.serve`).
    """

    bandwidth: float
    compute: float
    half_compute: float
    expert_compute: float
    attention_compute: float
    prompt_attention_compute: float
    index_compute: float
    link: float
    bus: float
    layer_s: float
    expert_layer_s: float
    latent_layer_s: float
    recurrent_layer_s: float
    index_layer_s: float
    all_reduce_s: float
    all_to_all_s: float
    stage_send_s: float
    sequence_s: float
    prefill_interference: float
    front_end_s: float
    first_token_steps: float
    prompt_queue: float


def kind_of(gpu: Gpu, precision: Precision, engine: Runner) -> Kind:
    """The kind of a GPU, a weight format and an engine.

    llama.cpp has generations of its own, as have other engines that are no servers on GPUs that are not for
    datacenters. Weights of fewer than 8 bit are expanded before the product where the GPU has no such arithmetic
    ("weight-only").
    """
    at_home = engine == "llama.cpp" or (engine == "other" and gpu.kind != "datacenter")
    own = engine != "llama.cpp" and gpu.peak_flops(precision.compute) is not None
    native = not precision.weight_only and own
    expanded = precision.bits_per_weight < 8 and not native
    four = native and precision.compute in ("fp4", "nvfp4")
    return Kind(
        generation=_home(gpu) if at_home else GENERATIONS.get(gpu.architecture, "hopper"),
        engine=engine,
        arithmetic="weight-only" if expanded else "fp4" if four else "native",
    )


def _home(gpu: Gpu) -> Generation:
    """The generation of llama.cpp that a GPU belongs to."""
    if gpu.kind == "datacenter" and gpu.bandwidth > STACKED.get(gpu.architecture, GDDR7):
        return "local_stacked"
    return HOMES.get(gpu.vendor, "local")


OWN_PARAMETER: Mapping[str, tuple[str, ...]] = {field.name: (field.name,) for field in fields(Efficiency)}
"""The parameter of each field of `Efficiency`, where no engine or generation has another one."""


@lru_cache(maxsize=256)
def constants(kind: Kind) -> Mapping[str, tuple[str, ...]]:
    """The names of the fitted parameters whose product is each field of `Efficiency` for this kind."""
    of_kind = _of_llamacpp(kind.generation) if kind.engine == "llama.cpp" else _of_server(kind)
    return {**OWN_PARAMETER, **of_kind}


def _of_server(kind: Kind) -> Mapping[str, tuple[str, ...]]:
    """The parameters of serving engines, and of other engines that are no servers.

    The fixed times of layers and all-reduces are those of an engine's kernels on a vendor's GPUs: AMD's have their own,
    and other engines have their own for layers. TensorRT-LLM's layers take a share `overhead_tensorrt` of vLLM's.
    """
    on, engine, server = kind.generation, kind.engine, _server(kind.engine)
    compute = f"compute_{on}" if on in LOCAL else "compute"
    expanded = "expert_compute_weight_only" + ("_tensorrt" if engine == "tensorrt-llm" else "")
    experts = {"fp4": "expert_compute_fp4", "weight-only": expanded}
    native = "expert_compute_blackwell" if on == "blackwell" else "expert_compute"
    faster = ("overhead_tensorrt",) if engine == "tensorrt-llm" else ()
    whose = "_cdna" if on == "cdna" else "_other" if engine == "other" else ""
    kernels = ("expert_layer_s", "latent_layer_s", "recurrent_layer_s", "index_layer_s")
    laws = ("sequence_s", "prefill_interference", "front_end_s", "first_token_steps", "prompt_queue")
    return {
        "bandwidth": ("bandwidth_cdna" if on == "cdna" else "bandwidth",),
        "compute": ("compute_fp4" if kind.arithmetic == "fp4" else compute,),
        "half_compute": (compute,),
        "expert_compute": (experts.get(kind.arithmetic, native),),
        "layer_s": (f"layer_s{whose}", *faster),
        **{name: (name, *faster) for name in kernels},
        "all_reduce_s": ("all_reduce_s_cdna" if on == "cdna" else "all_reduce_s",),
        "index_compute": ("index_compute_cdna" if on == "cdna" else "index_compute",),
        **{name: (f"{name}_{server}",) for name in laws},
    }


def _of_llamacpp(on: Generation) -> Mapping[str, tuple[str, ...]]:
    """The parameters of llama.cpp, with kernels of its own, and for experts a share of what dense products reach.

    Limits: no published run shows its server with several users. A prompt is taken to delay the tokens of all others
    for as long as it takes (they are in one batch), to wait for one step, and to queue as in vLLM.
    Source: llama.cpp, tools/server/server-context.cpp, `update_slots`.
    """
    compute, mac = f"compute_{on}", "_apple" if on == "local_apple" else ""
    return {
        "bandwidth": ("bandwidth_local_stacked" if on == "local_stacked" else "bandwidth_local",),
        "compute": (compute,),
        "half_compute": (compute,),
        "expert_compute": (compute, "expert_share_local"),
        "prompt_attention_compute": (f"prompt_attention_local{mac}",),
        "layer_s": (f"layer_s_local{mac}",),
        "expert_layer_s": ("expert_layer_s_local",),
        "stage_send_s": ("stage_send_s_local",),
        "sequence_s": ("sequence_s_vllm",),
        "prefill_interference": ("prefill_interference_local",),
        "front_end_s": ("front_end_s_local",),
        "first_token_steps": ("first_token_steps_local",),
        "prompt_queue": ("prompt_queue_vllm",),
    }


def _server(engine: Runner) -> str:
    """The server whose queueing laws an engine has: vLLM's for engines that are none."""
    return {"tensorrt-llm": "tensorrt", "sglang": "sglang"}.get(engine, "vllm")


@lru_cache(maxsize=256)
def efficiency(kind: Kind) -> Efficiency:
    """The fitted efficiency of a kind: each field the product of its parameters.

    >>> h100 = efficiency(Kind(generation="hopper", engine="vllm", arithmetic="native"))
    >>> 0.5 < h100.compute < 1, 0.5 < h100.bandwidth < 1
    (True, True)
    """
    return Efficiency(**{name: prod(PARAMETERS[one] for one in of) for name, of in constants(kind).items()})
