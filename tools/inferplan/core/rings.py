"""Latency of small collectives: NCCL's rings by the number of GPUs, and where engines' own kernels replace them.

Units: seconds.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Ring(NamedTuple):
    """The latency of a ring for a few kilobytes: a fixed time, and that of each step to the next GPU. [s]"""

    start_s: float
    step_s: float

    def all_reduce_s(self, ranks: int) -> float:
        """start + 2 (n - 1) × step: an all-reduce among n ranks. [s]

        Source: NCCL, src/graph/tuning.cc, `ncclTopoTuneModel` (`nsteps`).

        >>> [round(RINGS["Blackwell"].all_reduce_s(n) * 1e6, 1) for n in (2, 4, 8, 16)]
        [10.5, 15.7, 26.1, 46.9]
        """
        return self.start_s + 2 * (ranks - 1) * self.step_s

    def gather_s(self, ranks: int) -> float:
        """start + (n - 1) × step: an all-gather, or a reduce-scatter. [s]"""
        return self.start_s + (ranks - 1) * self.step_s


RINGS: Mapping[str, Ring] = {
    "Ampere": Ring(9.3e-6, 0.86e-6),
    "Hopper": Ring(5.2e-6, 0.78e-6),
    "Blackwell": Ring(7.9e-6, 1.3e-6),
    "Blackwell Ultra": Ring(7.4e-6, 1.3e-6),
}
"""Rings by GPU architecture: a line through measured all-reduces of 8 KiB among 2, 4 and 8 GPUs of a server.

11.0, 14.7 and 21.3 us on A100, 6.8, 10.0 and 16.0 on H100, 10.5, 15.7 and 26.0 on B200, 10.0, 15.0 and 25.8 on B300.
Source: ai-dynamo/aiconfigurator@095f58a (2026-08-21), sweeps of nccl-tests with NCCL 2.27 and 2.29.
"""
LIKE: Mapping[str, str] = {"Rubin": "Blackwell Ultra"}
"""The nearest measured architecture of those that were not; all others are taken to be like Hopper."""
NCCL_OWN = Ring(6.6e-6, 0.6e-6)
"""NCCL's own constants of a ring over NVLink, by which it chooses: half of what is measured on Blackwell."""
LONG = Ring(8.4e-6, 3.4e-6)
"""NCCL's ring for long messages ("Simple"), by its own constants: src/graph/tuning.cc."""
LONG_SHARE = 0.8
"""The share of a link's rated speed for long messages: 20.0 of 25 GB/s on A100, 20.6 of 25 on H100, 40.1 of 50 on B200.

Source: NCCL, src/graph/topo.h, SM80, SM90 and SM100_NVLINK_BW. Its author names 370 of 450 GB/s: nccl-tests, issue 212.
"""
SWITCH_S = 25e-6
"""An all-reduce in the NVLink switch (NVLS) by NCCL's constants, among any number of GPUs. [s]

Source: NCCL, src/graph/tuning.cc, `hwLatencies`. 8 MiB among 16 GB300 take 37.3 us (vLLM, pull request 53318), which is
25 us and 8 MiB at 0.76 of the link's 900 GB/s; NCCL expects 0.74.
"""
KERNELS_S = 8e-6
"""An all-reduce by an engine's own kernels, 5 to 8 us among 2 to 8 GPUs; the fitted constants include it. [s]

Source: ai-dynamo/aiconfigurator@095f58a, custom all-reduces of 8 KiB under CUDA graphs on H100, H200, B200 and GB300.
"""


def ring_of(architecture: str) -> Ring:
    """The ring of a GPU architecture."""
    return RINGS.get(LIKE.get(architecture, architecture), RINGS["Hopper"])


def nccl_all_reduce_s(ring: Ring, ranks: int) -> float:
    """NCCL's all-reduce: over the ring up to 16 GPUs, in the switch beyond, as it chooses by its own constants. [s]

    Compared with 16 ranks, which were not fitted on: 46 us on GB300, 48 to 50 us on GB200 (pull requests 1554 and 1593
    of ai-dynamo/aiconfigurator).

    >>> [round(nccl_all_reduce_s(RINGS["Blackwell"], n) * 1e6, 1) for n in (8, 16, 32, 64)]
    [26.1, 46.9, 25.0, 25.0]
    """
    return ring.all_reduce_s(ranks) if NCCL_OWN.all_reduce_s(ranks) <= SWITCH_S else SWITCH_S


def beyond_kernels_s(ring: Ring, ranks: int, *, kernels: int) -> float:
    """max(0, NCCL's time - 8 us) among more GPUs than an engine's `kernels` support, else 0. [s]

    The kernels write once to all GPUs through the switch, so that their latency does not grow: those of TensorRT-LLM
    took 5 us among 16 GB300 as among 4 (pull request 1554 of ai-dynamo/aiconfigurator).

    >>> [round(beyond_kernels_s(RINGS["Blackwell"], n, kernels=16) * 1e6, 1) for n in (8, 16, 32)]
    [0.0, 0.0, 17.0]
    """
    return 0.0 if ranks <= kernels else max(0.0, nccl_all_reduce_s(ring, ranks) - KERNELS_S)
