"""An accelerator as the formulas see it: memory, bandwidth, arithmetic, links."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Gpu:
    """One accelerator as its driver reports it and its vendor rates it; compared by identity.

    `memory` is what the vendor's tool prints for an empty device, `engine_memory` what a serving engine sees of it [B].
    `bandwidth` is that of device memory [B/s]. `flops` are dense peaks, without sparsity, by compute format [FLOP/s].
    `link_bandwidth` is that of the scale-up link, per GPU and one way [B/s], which joins `link_span` GPUs; in a
    `link_mesh`, with a link to each peer, it is the sum over all peers. Without such a link peers communicate over
    PCIe, at `pcie_bandwidth` [B/s, one way]. With `inline_ecc` check bits are stored and read among the data, as on
    datacenter GPUs without stacked memory. `status` says whether the row is verified or announced. `node_size` GPUs
    share a server; software counts each as `devices`. A GPU described by a caller is `like` a known one.
    """

    id: str
    title: str
    vendor: str
    architecture: str
    kind: str
    memory: int
    engine_memory: int
    bandwidth: float
    flops: Mapping[str, float]
    link: str | None
    link_bandwidth: float | None
    link_span: int
    pcie: str | None
    pcie_bandwidth: float | None
    node_size: int
    power_watts: float | None
    status: str
    inline_ecc: bool = False
    link_mesh: bool = False
    devices: int = 1
    like: str | None = None

    @property
    def product(self) -> str:
        """The id of the GPU, or of the known one that it is like, for rules about single products."""
        return self.like or self.id

    @property
    def joins_nodes(self) -> bool:
        """Whether the scale-up link leaves the server: multi-node NVLink of a rack, not NVLink on a board of GPUs.

        Source: NVIDIA, GB200 NVL72: 18 compute trays of 4 GPUs, each an operating system, in one NVLink domain.
        """
        return self.link is not None and self.link_span > self.node_size

    def link_among(self, gpus: int) -> float | None:
        """link_bandwidth × (gpus - 1) / (link_span - 1) in a mesh, whose other links go elsewhere; else all. [B/s]

        Source: AMD, MI300X: seven Infinity Fabric links of 64 GB/s, one to each peer; Intel, Gaudi 3: 21 ports, three
        to each peer.
        """
        if self.link_bandwidth is None or not self.link_mesh or gpus >= self.link_span:
            return self.link_bandwidth
        return self.link_bandwidth * (max(gpus, 2) - 1) / (self.link_span - 1)

    @property
    def read_bandwidth(self) -> float:
        """bandwidth × 15 / 16 with inline ECC, else all: what is left for data. [B/s]

        Source: NVIDIA, Tesla V100 architecture whitepaper: 6.25 % of a memory with inline ECC holds check bits,
        while stacked memory has bits of their own.
        """
        return self.bandwidth * 15 / 16 if self.inline_ecc else self.bandwidth

    def peak_flops(self, compute: str) -> float | None:
        """Dense peak of a compute format, None where the device lacks it. [FLOP/s]

        MXFP8 (blocks of FP8 that share a scale) runs at the rate of FP8 where there is FP4: from Blackwell and CDNA4
        on. Products of NVFP4 (blocks of 16 with a scale in FP8) are NVIDIA's alone: other FP4 units take MXFP4, and
        vLLM emulates NVFP4 on CDNA4.

        Source: vLLM 0.20 to 0.33, kernels/linear/mxfp8, `is_supported` in flashinfer.py and rocm_native.py; vLLM, pull
        requests 35733 and 35737; ROCm/aiter, pull request 4021 ("no native hardware support").
        """
        if compute == "mxfp8":
            return self.flops.get("fp8") if self.flops.get("fp4") else None
        if compute == "nvfp4":
            return self.flops.get("fp4") if self.vendor == "nvidia" else None
        return self.flops.get(compute)

    @property
    def half(self) -> str:
        """The arithmetic of 16-bit products: bf16; fp16 on older devices; fp32 where no 16-bit peak is known."""
        return next((one for one in ("bf16", "fp16") if self.flops.get(one)), "fp32")

    @property
    def half_flops(self) -> float | None:
        """Dense peak of 16-bit products, None where none is known. [FLOP/s]"""
        return self.peak_flops(self.half)
