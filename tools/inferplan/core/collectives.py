"""What the GPUs of a layout tell each other in one pass: how often, how many bytes, over which link, how long.

Units: bytes, seconds, tokens.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from inferplan.core.efficiency import Efficiency
from inferplan.core.parallelism import Fabric, Layout

ACTIVATION_BYTES = 2
EXCHANGE_BYTES = 1.5
"""Per element of an all-to-all: dispatched in FP8, combined in 16 bit. [B]"""
NETWORK_SHARE = 0.9
"""What an all-to-all over a network reaches of its rated speed: DeepEP's published latencies on 8 to 256 GPUs."""


def all_reduce_amount(payload: float, *, tp: int, bandwidth: float) -> float:
    """2 (tp - 1) / tp × payload / bandwidth: a ring over `tp` ranks at rated speed. [s]

    Source: NVIDIA nccl-tests, doc/PERFORMANCE.md (bus bandwidth of all-reduce).

    >>> round(all_reduce_amount(16384, tp=8, bandwidth=450e9) * 1e9, 2)
    63.72
    """
    return 2 * (tp - 1) / tp * payload / bandwidth


def all_to_all_bytes(tokens: float, *, hidden: int, active: int, ranks: int) -> float:
    """tokens × min(active, ranks - 1) × hidden × 1.5 B: what a rank sends to the experts of its tokens, or back. [B]

    With fewer ranks than active experts it is also what gathering all tokens on every rank takes.

    >>> all_to_all_bytes(64, hidden=7168, active=8, ranks=8) / 1e6
    4.816896
    """
    return tokens * min(active, ranks - 1) * hidden * EXCHANGE_BYTES


class Collective(NamedTuple):
    """One kind of exchange in a pass: how often, over which link, and what a GPU puts in each time. [B]

    `rated_s` is all of them at the rated speed of a fast link, a network or, `over_bus`, the host's bus; `hidden` says
    that they run beside computing, as far as that lasts.
    """

    what: Literal["all-reduce", "all-to-all", "stage send"]
    link: str
    number: float
    payload: float
    rated_s: float
    hidden: bool = False
    over_bus: bool = False

    @property
    def bytes(self) -> float:
        """What a GPU puts in, all times together. [B]"""
        return self.number * self.payload

    def taken_s(self, e: Efficiency) -> float:
        """number × latency + time at what is reached of the link's speed. [s]"""
        each = {"all-reduce": e.all_reduce_s, "all-to-all": e.all_to_all_s, "stage send": e.hand_over_s}
        reached = NETWORK_SHARE if self.hidden else e.bus if self.over_bus else e.link
        return self.number * each[self.what] + self.rated_s / reached


def collectives(
    layout: Layout,
    links: Fabric,
    *,
    tokens: float,
    hidden: int,
    sums: int,
    expert_layers: int = 0,
    active: int = 0,
) -> Iterator[Collective]:
    """What the ranks of a replica tell each other in a pass over so many `tokens` on each tensor group.

    An all-reduce over the tensor group for each of `sums`, the blocks whose outputs its ranks add up: two a layer, of
    Falcon one. With data-parallel attention two all-to-alls take the place of that of each layer of experts, for which
    the ranks of a group share out its tokens. One hand-over between neighbouring stages.

    Source: vLLM, vllm/config/parallel.py, `use_sequence_parallel_moe`; falcon.py, `reduce_row_parallel_results`.
    """
    payload = tokens * hidden * ACTIVATION_BYTES
    shared = layout.ep > 1 and active > 0
    if layout.tp > 1:
        number = sums - expert_layers if shared else sums
        each_s = all_reduce_amount(payload, tp=layout.tp, bandwidth=links.tensor_bandwidth)
        yield Collective(
            what="all-reduce",
            link=links.tensor_link,
            number=number,
            payload=payload,
            rated_s=number * each_s,
            over_bus=links.tensor_link == links.bus_link,
        )
    if shared:
        number = 2 * expert_layers
        sent = all_to_all_bytes(tokens / layout.tp, hidden=hidden, active=active, ranks=layout.ranks)
        yield Collective(
            what="all-to-all",
            link=links.exchange_link,
            number=number,
            payload=sent,
            rated_s=number * sent / links.exchange_bandwidth,
            hidden=links.wide,
            over_bus=links.exchange_link == links.bus_link,
        )
    if layout.pp > 1:
        hops = layout.pp - 1
        rated_s = hops * payload / links.stage_bandwidth
        yield Collective(
            what="stage send",
            link=links.stage_link,
            number=hops,
            payload=payload,
            rated_s=rated_s,
            over_bus=links.stage_link == links.bus_link,
        )
