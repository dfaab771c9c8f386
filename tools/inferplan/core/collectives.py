"""What the GPUs of a layout tell each other in one pass: how often, how many bytes, over which link, how long.

Units: bytes, seconds, tokens.
"""

from collections.abc import Iterator
from math import inf
from typing import Literal, NamedTuple

from inferplan.core.efficiency import Efficiency
from inferplan.core.parallelism import Fabric, Layout
from inferplan.core.rings import LONG, LONG_SHARE

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

    `rated_s` is all of them at the rated speed of a fast link, `over_network` or, `over_bus`, the host's bus. `ring_s`
    is the latency of one that is no fitted constant, and `long_s` what all take by the protocol of long messages, where
    that is quicker. `hidden` says that they run beside computing, as far as that lasts: see `performance.all_told`.
    """

    what: Literal["all-reduce", "all-to-all", "stage send", "all-gather", "reduce-scatter"]
    link: str
    number: float
    payload: float
    rated_s: float
    over_network: bool = False
    over_bus: bool = False
    ring_s: float = 0.0
    long_s: float = inf
    hidden: bool = False

    @property
    def bytes(self) -> float:
        """What a GPU puts in, all times together. [B]"""
        return self.number * self.payload

    def taken_s(self, e: Efficiency) -> float:
        """number × latency + time at what is reached of the link's speed, or as long messages. [s]"""
        each = {"all-reduce": e.all_reduce_s, "all-to-all": e.all_to_all_s, "stage send": e.hand_over_s}
        reached = NETWORK_SHARE if self.over_network else e.bus if self.over_bus else e.link
        return min(self.number * each.get(self.what, self.ring_s) + self.rated_s / reached, self.long_s)


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
            over_network=links.wide,
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


class Shared(NamedTuple):
    """Ranks of a tensor group that share out the tokens of a cache: vLLM's decode context parallelism.

    In each of `layers`, for each decoded token, a rank shows the others its queries and then its softmax sums: in
    `gathers` all-gathers, `gathered` bytes in all. What each makes of its own tokens for the heads of all is added up:
    `scattered` bytes.
    """

    ranks: int
    layers: int
    gathers: int
    gathered: float
    scattered: float

    def in_one_layer(self) -> "Shared":
        """The mean layer's."""
        n = self.layers
        return self._replace(
            layers=1, gathers=round(self.gathers / n), gathered=self.gathered / n, scattered=self.scattered / n
        )


def cache_exchanges(
    shared: Shared, links: Fabric, *, decoded: float, cached_bytes: float = 0.0
) -> Iterator[Collective]:
    """What ranks that share out a cache tell each other about so many `decoded` tokens, and to compute a prompt.

    A ring: (n - 1) × what each rank gathers, (n - 1) / n × what it scatters. Before a prompt's attention the cached
    tokens of all ranks are gathered on each, `cached_bytes` from each.

    Limits: prompts of models with KV heads gather queries in place of caches, which is not told apart. The queries of
    latents go through the switch since vLLM 0.28, quicker than in a ring.
    Source: vLLM 0.28, mla_attention.py (`query_gather`, `combine`, `kv_gather`), attention/ops/common.py
    (`cp_lse_ag_out_rs`), sparse_attn_indexer.py (`_merge_dcp_topk_global`).
    """
    n = shared.ranks
    gathers = shared.gathers if decoded else shared.layers if cached_bytes else 0
    gathered = decoded * shared.gathered + cached_bytes
    yield _in_a_ring("all-gather", links, n, number=gathers, put_in=gathered, sent=(n - 1) * gathered)
    scattered = decoded * shared.scattered
    scatters = shared.layers if decoded else 0
    yield _in_a_ring("reduce-scatter", links, n, number=scatters, put_in=scattered, sent=(n - 1) / n * scattered)


def _in_a_ring(
    what: Literal["all-gather", "reduce-scatter"],
    links: Fabric,
    ranks: int,
    *,
    number: int,
    put_in: float,
    sent: float,
) -> Collective:
    """So many collectives, into which a rank puts so many bytes in all and sends so many to the next."""
    over_bus, rated_s = links.tensor_link == links.bus_link, sent / links.tensor_bandwidth
    return Collective(
        what=what,
        link=links.tensor_link,
        number=number,
        payload=put_in / max(1, number),
        rated_s=rated_s,
        over_bus=over_bus,
        ring_s=links.ring.gather_s(ranks),
        long_s=inf if over_bus else number * LONG.gather_s(ranks) + rated_s / LONG_SHARE,
    )
