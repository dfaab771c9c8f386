"""What hardware and engines reach of their rated figures, and what a forward pass costs besides.

A pass is a sum of amounts (seconds at rated speed, or how often something happens), each times one constant. Which
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

Generation = Literal["hopper", "ampere", "blackwell", "cdna", "local", "local_stacked"]
Arithmetic = Literal["native", "fp4", "weight-only"]
Runner = EngineName | Literal["other"]

GENERATIONS: Mapping[str, Generation] = {
    "Volta": "ampere",
    "Turing": "ampere",
    "Ampere": "ampere",
    "Ada": "ampere",
    "Blackwell": "blackwell",
    "Blackwell Ultra": "blackwell",
    "Rubin": "blackwell",
    "CDNA2": "cdna",
    "CDNA3": "cdna",
    "CDNA4": "cdna",
    "CDNA5": "cdna",
}
"""GPU architectures by the generation that was fitted; all others are taken to be like Hopper."""


STACKED = 1.1e12
"""Bandwidth from which a device has stacked memory, of which llama.cpp reaches a smaller share. [B/s]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What decides which constants apply."""

    generation: Generation
    engine: Runner
    arithmetic: Arithmetic


@dataclass(frozen=True, kw_only=True, slots=True)
class Efficiency:
    """Shares of rated figures that a pass reaches, seconds that it costs besides, and how requests queue.

    `half_compute` is of products in 16 bit beside quantised ones (output head, unquantised attention).
    """

    bandwidth: float
    expert_bandwidth: float
    cache_bandwidth: float
    compute: float
    half_compute: float
    expert_compute: float
    attention_compute: float
    prompt_attention_compute: float
    index_compute: float
    link: float
    layer_s: float
    expert_layer_s: float
    latent_layer_s: float
    recurrent_layer_s: float
    index_layer_s: float
    all_reduce_s: float
    all_to_all_s: float
    hand_over_s: float
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
    home: Generation = "local_stacked" if gpu.bandwidth > STACKED else "local"
    at_home = engine == "llama.cpp" or (engine == "other" and gpu.kind != "datacenter")
    native = not precision.weight_only and gpu.peak_flops(precision.compute) is not None
    expanded = precision.bits_per_weight < 8 and not native
    four = native and precision.compute == "fp4"
    return Kind(
        generation=home if at_home else GENERATIONS.get(gpu.architecture, "hopper"),
        engine=engine,
        arithmetic="weight-only" if expanded else "fp4" if four else "native",
    )


@lru_cache(maxsize=256)
def constants(kind: Kind) -> Mapping[str, tuple[str, ...]]:
    """The fitted parameters whose product is each field of `Efficiency` for this kind."""
    on, engine, four = kind.generation, kind.engine, kind.arithmetic == "fp4"
    family = "local" if on == "local_stacked" else on
    expanded = "expert_compute_weight_only" + ("_tensorrt" if engine == "tensorrt-llm" else "")
    experts = {"fp4": "expert_compute_fp4", "weight-only": expanded}
    native = "expert_compute_blackwell" if on == "blackwell" else "expert_compute"
    slower = tuple(
        name
        for name, applies in (
            (f"overhead_{_engine(engine)}", engine != "vllm"),
            ("overhead_blackwell", on == "blackwell"),
        )
        if applies
    )
    return {
        "bandwidth": (f"bandwidth_{on}" if on not in ("hopper", "ampere") else "bandwidth",),
        "expert_bandwidth": ("expert_bandwidth",),
        "cache_bandwidth": ("cache_bandwidth",),
        "compute": ("compute_fp4" if four else f"compute_{family}",),
        "half_compute": (f"compute_{family}",),
        "expert_compute": (experts.get(kind.arithmetic, native),),
        "attention_compute": ("attention_compute",),
        "prompt_attention_compute": ("prompt_attention_compute",),
        "index_compute": ("index_compute",),
        "link": ("link",),
        "layer_s": ("layer_s", *slower),
        "expert_layer_s": ("expert_layer_s", *slower),
        "latent_layer_s": ("latent_layer_s", *slower),
        "recurrent_layer_s": ("recurrent_layer_s", *slower),
        "index_layer_s": ("index_layer_s", *slower),
        "all_reduce_s": ("all_reduce_s",),
        "all_to_all_s": ("all_to_all_s",),
        "hand_over_s": ("hand_over_s_local" if family == "local" else "hand_over_s",),
        "sequence_s": (f"sequence_s_{_server(engine)}",),
        "prefill_interference": (f"prefill_interference_{_server(engine)}",),
        "front_end_s": (f"front_end_s_{_server(engine)}",),
        "first_token_steps": (f"first_token_steps_{_server(engine)}",),
        "prompt_queue": (f"prompt_queue_{_server(engine)}",),
    }


def _engine(engine: Runner) -> str:
    """The engine as parameters name it."""
    return {"tensorrt-llm": "tensorrt", "sglang": "sglang"}.get(engine, "other")


def _server(engine: Runner) -> str:
    """The server that is nearest to an engine: vLLM's for what is none."""
    return {"tensorrt-llm": "tensorrt", "sglang": "sglang"}.get(engine, "vllm")


@lru_cache(maxsize=256)
def efficiency(kind: Kind) -> Efficiency:
    """The fitted efficiency of a kind: each field the product of its parameters.

    >>> h100 = efficiency(Kind(generation="hopper", engine="vllm", arithmetic="native"))
    >>> 0.5 < h100.compute < h100.bandwidth < 1
    True
    """
    return Efficiency(**{name: prod(PARAMETERS[one] for one in of) for name, of in constants(kind).items()})
