"""What hardware and engines reach of their rated figures, and what a forward pass costs besides.

A pass is a sum of amounts (seconds at full speed, or how often something happens), each times one constant. Full speed
is the rated bandwidth of memory and links, and what the best matrix product was measured to reach (`PRODUCTS`). Which
fitted constant applies depends on the GPU's generation, the engine and the arithmetic; `speed_constants` holds the
values with the rows that they were fitted on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

from inferplan.core.engine import EngineName
from inferplan.core.hardware import Gpu
from inferplan.core.precision import Precision
from inferplan.core.speed_constants import PARAMETERS

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
"""GPU architectures by the generation that was fitted; all others are taken to be like Hopper."""


VENDORS = ("nvidia", "amd")
"""Whose GPUs the speed of serving engines is fitted on."""
VENDORS_AT_HOME = ("nvidia", "amd", "apple")
"""Whose GPUs the speed of llama.cpp is fitted on."""


def is_fitted(gpu: Gpu, engine: Runner = "vllm") -> bool:
    """Whether GPUs like it are among those fitted: known, on sale, of its generation, for servers a datacenter's."""
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
"""The share of its peak that the best matrix product reaches: in 16 bit, and in 8 bit or fewer.

Measured on A100 SXM, H100 and H200, B200, B300, MI300X, MI355X, Gaudi 2 and 3; an architecture without a row is taken
to be like Hopper, a figure of 8 bit that was not found like that of 16.
Source: stas00/ml-engineering@744d01e (2026-08-22), maximum achievable matmul FLOPS; MI300X in 8 bit: arXiv 2510.27583.
"""


def best_product(gpu: Gpu, compute: str) -> float | None:
    """peak × the share of it that the best product reaches; None where the device has no unit for it. [FLOP/s]"""
    peak = gpu.peak_flops(compute)
    in_16_bit, in_8_bit = PRODUCTS.get(gpu.architecture, PRODUCTS["Hopper"])
    return peak and peak * (in_16_bit if compute in WIDE else in_8_bit)


WIDE = ("fp32", "bf16", "fp16")
"""Formats whose products are slower than in 8 bit."""
STACKED: Mapping[str, float] = {"Ampere": 1.1e12}
"""Bandwidth from which a datacenter GPU has stacked memory, by architecture; of others beyond GDDR7's. [B/s]"""
GDDR7 = 1.8e12
"""The most that a card without stacked memory has: 512 bit at 28 Gbit/s. [B/s]"""
LOCAL: tuple[Generation, ...] = ("local", "local_stacked", "local_amd", "local_apple")
"""Where llama.cpp runs: CUDA cards with GDDR or shared memory, cards with stacked memory, Radeons, Macs."""
HOMES: Mapping[str, Generation] = {"amd": "local_amd", "apple": "local_apple"}
"""The vendors whose cards without stacked memory have constants of their own."""


def best_half_product(gpu: Gpu, engine: Runner) -> float | None:
    """The best product of 16-bit numbers: llama.cpp sums up in FP16 where the card is quicker so. [FLOP/s]

    GeForce cards do at twice the rate. Products of 8-bit integers, in which llama.cpp multiplies quantised weights, are
    twice as quick again on all NVIDIA cards from Turing on, so that one share serves both.
    Source: llama.cpp, ggml-cuda.cu, `CUBLAS_COMPUTE_16F`, and mmq.cuh; NVIDIA, Ada architecture whitepaper, table 2.
    """
    own = best_product(gpu, "fp16") if engine == "llama.cpp" else None
    return own or best_product(gpu, gpu.half)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What decides which constants apply."""

    generation: Generation
    engine: Runner
    arithmetic: Arithmetic


@dataclass(frozen=True, kw_only=True, slots=True)
class Efficiency:
    """Shares of full speed that a pass reaches, seconds that it costs besides, and how requests queue.

    `half_compute` is of products in 16 bit beside quantised ones (output head, unquantised attention).
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

    llama.cpp, and what is neither it nor a serving engine, on a card that is no datacenter GPU, has constants of its
    own. Weights of 4 bit are expanded before the product where the GPU has no 4-bit arithmetic.
    """
    at_home = engine == "llama.cpp" or (engine == "other" and gpu.kind != "datacenter")
    own = engine != "llama.cpp" and gpu.peak_flops(precision.compute) is not None
    native = not precision.weight_only and own
    expanded = precision.bits_per_weight < 8 and not native
    four = native and precision.compute == "fp4"
    return Kind(
        generation=_home(gpu) if at_home else GENERATIONS.get(gpu.architecture, "hopper"),
        engine=engine,
        arithmetic="weight-only" if expanded else "fp4" if four else "native",
    )


def _home(gpu: Gpu) -> Generation:
    """The GPUs that llama.cpp has constants for."""
    if gpu.kind == "datacenter" and gpu.bandwidth > STACKED.get(gpu.architecture, GDDR7):
        return "local_stacked"
    return HOMES.get(gpu.vendor, "local")


@lru_cache(maxsize=256)
def constants(kind: Kind) -> Mapping[str, tuple[str, ...]]:
    """The fitted parameters whose product is each field of `Efficiency` for this kind.

    What a layer and an all-reduce cost besides their bytes is that of an engine's kernels on a vendor's GPUs: CDNA's,
    and what is no serving engine, have their own.
    """
    if kind.engine == "llama.cpp":
        return _of_llamacpp(kind.generation)
    on, engine = kind.generation, kind.engine
    bandwidth = "bandwidth_cdna" if on == "cdna" else "bandwidth"
    compute = f"compute_{on}" if on in LOCAL else "compute"
    expanded = "expert_compute_weight_only" + ("_tensorrt" if engine == "tensorrt-llm" else "")
    experts = {"fp4": "expert_compute_fp4", "weight-only": expanded}
    native = "expert_compute_blackwell" if on == "blackwell" else "expert_compute"
    slower = ("overhead_tensorrt",) if engine == "tensorrt-llm" else ()
    whose = "_cdna" if on == "cdna" else "_other" if engine == "other" else ""
    return {
        "bandwidth": (bandwidth,),
        "compute": ("compute_fp4" if kind.arithmetic == "fp4" else compute,),
        "half_compute": (compute,),
        "expert_compute": (experts.get(kind.arithmetic, native),),
        "attention_compute": ("attention_compute",),
        "prompt_attention_compute": ("prompt_attention_compute",),
        "index_compute": ("index_compute",),
        "link": ("link",),
        "bus": ("bus",),
        "layer_s": (f"layer_s{whose}", *slower),
        "expert_layer_s": ("expert_layer_s", *slower),
        "latent_layer_s": ("latent_layer_s", *slower),
        "recurrent_layer_s": ("recurrent_layer_s", *slower),
        "index_layer_s": ("index_layer_s", *slower),
        "all_reduce_s": ("all_reduce_s_cdna" if on == "cdna" else "all_reduce_s",),
        "all_to_all_s": ("all_to_all_s",),
        "stage_send_s": ("stage_send_s",),
        "sequence_s": (f"sequence_s_{_server(engine)}",),
        "prefill_interference": (f"prefill_interference_{_server(engine)}",),
        "front_end_s": (f"front_end_s_{_server(engine)}",),
        "first_token_steps": (f"first_token_steps_{_server(engine)}",),
        "prompt_queue": (f"prompt_queue_{_server(engine)}",),
    }


def _of_llamacpp(on: Generation) -> Mapping[str, tuple[str, ...]]:
    """The parameters of llama.cpp, which has kernels of its own, and for experts a share of what dense products reach.

    What its server does with several users no published run shows: a prompt is taken to hold up the tokens of all
    others for as long as it takes (they are in one batch), to wait for one step, and to queue as in vLLM.
    Source: llama.cpp, tools/server/server-context.cpp, `update_slots`.
    """
    compute, mac = f"compute_{on}", "_apple" if on == "local_apple" else ""
    return {
        "bandwidth": ("bandwidth_local_stacked" if on == "local_stacked" else "bandwidth_local",),
        "compute": (compute,),
        "half_compute": (compute,),
        "expert_compute": (compute, "expert_share_local"),
        "attention_compute": ("attention_compute",),
        "prompt_attention_compute": (f"prompt_attention_local{mac}",),
        "index_compute": ("index_compute",),
        "link": ("link",),
        "bus": ("bus",),
        "layer_s": (f"layer_s_local{mac}",),
        "expert_layer_s": ("expert_layer_s_local",),
        "latent_layer_s": ("latent_layer_s",),
        "recurrent_layer_s": ("recurrent_layer_s",),
        "index_layer_s": ("index_layer_s",),
        "all_reduce_s": ("all_reduce_s",),
        "all_to_all_s": ("all_to_all_s",),
        "stage_send_s": ("stage_send_s_local",),
        "sequence_s": ("sequence_s_vllm",),
        "prefill_interference": ("prefill_interference_local",),
        "front_end_s": ("front_end_s_local",),
        "first_token_steps": ("first_token_steps_local",),
        "prompt_queue": ("prompt_queue_vllm",),
    }


def _server(engine: Runner) -> str:
    """The server that is nearest to an engine: vLLM's for what is none."""
    return {"tensorrt-llm": "tensorrt", "sglang": "sglang"}.get(engine, "vllm")


@lru_cache(maxsize=256)
def efficiency(kind: Kind) -> Efficiency:
    """The fitted efficiency of a kind: each field the product of its parameters.

    >>> h100 = efficiency(Kind(generation="hopper", engine="vllm", arithmetic="native"))
    >>> 0.5 < h100.compute < 1, 0.5 < h100.bandwidth < 1
    (True, True)
    """
    return Efficiency(**{name: prod(PARAMETERS[one] for one in of) for name, of in constants(kind).items()})
