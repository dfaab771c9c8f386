"""The links that a layout communicates over: scale-up link, the host's bus, or the network."""

from dataclasses import dataclass
from functools import lru_cache

from inferplan.core.hardware import Gpu
from inferplan.core.parallelism import Layout
from inferplan.core.placement import domain_size, groups_per_domain
from inferplan.core.rings import RINGS, Ring, ring_of

NETWORK = "InfiniBand"
"""The link between nodes, and between GPUs of which neither a scale-up link nor a bus is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fabric:
    """The links of tensor groups, of pipeline stages, and of ranks that share experts (`exchange`).

    Bandwidths are one way, per GPU. Any link may be the host's bus, `bus_link`. The exchange is `wide` where it leaves
    the scale-up domain; its bandwidth is then that of the network over the share of traffic that leaves. `ring` gives
    the latency of small collectives. [B/s]
    """

    tensor_link: str
    tensor_bandwidth: float
    stage_link: str
    stage_bandwidth: float
    exchange_link: str = ""
    exchange_bandwidth: float = 0.0
    wide: bool = False
    bus_link: str = ""
    ring: Ring = RINGS["Hopper"]


@lru_cache(maxsize=1024)
def fabric_of(gpu: Gpu, layout: Layout, *, node_size: int, network: float) -> Fabric:
    """The links of this layout: the scale-up link where it joins a whole tensor group, else the host's bus.

    Stages in one domain communicate over the same link; where a replica reaches into another domain, all sends between
    stages are counted over the network. Of an all-to-all among N ranks, 1 - (ranks in a domain) / N leaves the domain.
    """
    scale_up = gpu.link is not None and gpu.link_bandwidth is not None and layout.tp <= gpu.link_span
    bus = gpu.pcie_bandwidth or network
    tensor = (gpu.link_among(layout.tp) if scale_up else None) or bus
    stage = (gpu.link_among(2) if scale_up else None) or bus
    name = gpu.link if scale_up and gpu.link else _bus_name(gpu) or NETWORK
    domain = domain_size(gpu, node_size=node_size)
    slots = groups_per_domain(layout, node_size=node_size, domain=domain)
    groups = layout.pp * layout.attention_dp
    across = groups > slots or (slots % groups > 0 and groups * layout.dp > slots)
    leaving = max(0.0, 1 - slots * layout.tp / layout.ranks)
    close = scale_up and layout.ranks <= gpu.link_span
    near = (gpu.link_among(layout.ranks) if close else None) or bus
    return Fabric(
        tensor_link=name,
        tensor_bandwidth=tensor,
        stage_link=NETWORK if across else name,
        stage_bandwidth=network if across else stage,
        exchange_link=NETWORK if leaving else name if close else _bus_name(gpu) or NETWORK,
        exchange_bandwidth=network / leaving if leaving else near,
        wide=leaving > 0,
        bus_link=_bus_name(gpu),
        ring=ring_of(gpu.architecture),
    )


def is_wide(gpu: Gpu, layout: Layout) -> bool:
    """Whether the ranks that share experts reach beyond one domain."""
    return layout.ep > domain_size(gpu, node_size=gpu.node_size)


def _bus_name(gpu: Gpu) -> str:
    """`PCIe Gen5 x16`; empty where the host's bus is not known."""
    if gpu.pcie is None or gpu.pcie_bandwidth is None:
        return ""
    return f"PCIe {gpu.pcie}" if gpu.pcie.startswith("Gen") else gpu.pcie
