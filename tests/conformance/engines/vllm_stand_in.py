"""vLLM on a machine without a GPU that takes it for one with NVIDIA's.

What vLLM asks of the driver (NVML), of PyTorch and of Triton about GPUs is answered from a row of the catalogue; all
else is its own code, its CUDA platform and kernels included where they load. `ready` comes once, before anything of
vLLM is imported; `become` in a process of its own for each GPU type, because vLLM remembers what it asked.
"""

import importlib.abc
import importlib.machinery
import operator
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

from typing_extensions import override

from inferplan.core.hardware import Gpu

NVML = "vllm.third_party.pynvml"
KERNELS = ("_C", "_C_stable_libtorch", "_C_extension", "cumem_allocator", "spinloop")
"""How the names of vLLM's compiled modules end. Most need the driver's library, which is not there."""
CAPABILITY = {"Hopper": (9, 0), "Ada": (8, 9), "Turing": (7, 5), "Blackwell Ultra": (10, 3)}
"""Compute capability by architecture, where all of its GPUs have one. Source: NVIDIA, CUDA GPU compute capability."""


def capability(gpu: Gpu) -> tuple[int, int] | None:
    """The compute capability of a GPU by NVIDIA that vLLM runs on; None of others."""
    if gpu.vendor == "nvidia" and gpu.architecture == "Ampere":
        return (8, 0) if gpu.id.startswith(("a100", "a30")) else (8, 6)
    if gpu.vendor == "nvidia" and gpu.architecture == "Blackwell":
        return (10, 0) if gpu.id in ("b100", "b200-sxm", "gb200") else (12, 1) if "gb10" in gpu.id else (12, 0)
    return CAPABILITY.get(gpu.architecture)


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Empty modules in place of those of some names."""

    def __init__(self, takes: Callable[[str], bool]) -> None:
        self._takes = takes

    @override
    def find_spec(self, fullname: str, path: Any, target: Any = None, /) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if self._takes(fullname) else None

    @override
    def create_module(self, spec: Any) -> None:
        """As usual."""

    @override
    def exec_module(self, module: ModuleType) -> None:
        """Nothing of a kernel; of NVML a server with one GPU, so that vLLM takes its CUDA platform."""
        if module.__name__ == NVML:
            vars(module).update(nvmlInit=_nothing, nvmlShutdown=_nothing, nvmlDeviceGetCount=partial(int, 1))


def _nothing(*_: object) -> None:
    """Succeed."""


def _is_kernel(name: str) -> bool:
    return name.startswith("vllm.") and name.endswith(KERNELS)


def ready() -> None:
    """Import vLLM with NVML answered by us; the GPU is still to be chosen."""
    sys.meta_path.insert(0, StandIn(partial(operator.eq, NVML)))
    sys.meta_path.append(StandIn(_is_kernel))
    for name, backend in import_module("triton.backends").backends.items():
        backend.driver.is_active = staticmethod(partial(operator.eq, name, "nvidia"))
    _ = import_module("vllm.engine.arg_utils")
    registry: Any = import_module("vllm.model_executor.models.registry")
    registry._run_in_subprocess = operator.call  # a model's class is looked at here: nothing of ours starts CUDA


def become(gpu: Gpu, gpus: int) -> None:
    """Be a server with so many GPUs of this kind."""
    seen = properties(gpu)
    vars(import_module(NVML)).update(nvml(gpu, gpus))
    platform: Any = import_module("vllm.platforms.cuda")
    platform._cuda_device_count_stateless.cache_clear()
    cuda: Any = import_module("torch").cuda
    cuda._device_count_nvml = cuda.device_count = partial(int, gpus)
    cuda.is_available = partial(bool, 1)
    cuda.get_device_capability = lambda *_: (seen.major, seen.minor)
    cuda.get_device_name = lambda *_: seen.name
    cuda.get_device_properties = lambda *_: seen
    target = import_module("triton.backends.compiler").GPUTarget("cuda", seen.major * 10 + seen.minor, 32)
    active = SimpleNamespace(get_current_target=lambda: target, get_current_device=partial(int, 0))
    import_module("triton.runtime.driver").driver.set_active(active)


def properties(gpu: Gpu) -> SimpleNamespace:
    """What PyTorch says of a GPU; its multiprocessors are an H100's, as the catalogue has none."""
    major, minor = capability(gpu) or (0, 0)
    return SimpleNamespace(
        name=f"NVIDIA {gpu.title}",
        total_memory=int(gpu.memory),
        multi_processor_count=132,
        major=major,
        minor=minor,
        is_integrated=gpu.kind == "unified",
    )


def nvml(gpu: Gpu, gpus: int) -> Mapping[str, Any]:
    """What NVML says of a server with so many GPUs, all joined where the row has a link."""
    seen = properties(gpu)
    return {
        "NVML_P2P_CAPS_INDEX_NVLINK": 3,
        "NVML_P2P_STATUS_OK": 0,
        "NVMLError": RuntimeError,
        "nvmlDeviceGetCount": partial(int, gpus),
        "nvmlDeviceGetHandleByIndex": int,
        "nvmlDeviceGetCudaComputeCapability": lambda _: (seen.major, seen.minor),
        "nvmlDeviceGetName": lambda _: seen.name,
        "nvmlDeviceGetUUID": "GPU-{}".format,
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=seen.total_memory),
        "nvmlDeviceGetP2PStatus": lambda *_: 0 if gpu.link else 1,
    }
