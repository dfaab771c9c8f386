"""The collectives of one forward pass: their number, bytes, link and time.

Units: bytes, seconds, tokens.
"""

from collections.abc import Iterator
from math import inf
from typing import Literal, NamedTuple

from inferplan.core.fabric import Fabric
from inferplan.core.parallelism import Layout
from inferplan.core.rings import LONG, LONG_SHARE
from inferplan.core.speed.efficiency import Efficiency

ACTIVATION_BYTES = 2
"""An element of an activation, in 16 bit. [B]"""
EXCHANGE_BYTES = 1.5
"""An element of an all-to-all, on average: dispatched in FP8 (1 B), combined in 16 bit (2 B). [B]"""
NETWORK_SHARE = 0.9
"""The share of the network's rated speed that an all-to-all reaches: DeepEP's published latencies on 8 to 256 GPUs."""


def ring_all_reduce_s(payload: float, *, tp: int, bandwidth: float) -> float:
    """2 (tp - 1) / tp × payload / bandwidth: a ring all-reduce over `tp` ranks at rated speed. [s]

    Source: NVIDIA nccl-tests, doc/PERFORMANCE.md (bus bandwidth of all-reduce).

    >>> round(ring_all_reduce_s(16384, tp=8, bandwidth=450e9) * 1e9, 2)
    63.72
    """
    return 2 * (tp - 1) / tp * payload / bandwidth


def all_to_all_bytes(tokens: float, *, hidden: int, active: int, ranks: int) -> float:
    """tokens × min(active, ranks - 1) × hidden × 1.5 B: one dispatch of a rank's tokens to their experts, or back. [B]

    With no more other ranks than active experts every token goes to all of them: the same as an all-gather.

    >>> all_to_all_bytes(64, hidden=7168, active=8, ranks=8) / 1e6
    4.816896
    """
    return tokens * min(active, ranks - 1) * hidden * EXCHANGE_BYTES


class Collective(NamedTuple):
    """All collectives of one kind in a pass: their `number`, their link, and the `payload` of a GPU in each. [B]

    `rated_s` is the time of all of them at the rated speed of the link: the network (`over_network`), the host's bus
    (`over_bus`) or else a fast link. `ring_s` is the latency of each where no latency of its kind was fitted. `long_s`
    is the time of all by NCCL's protocol for long messages, which counts where it is shorter. `hidden` ones overlap
    with computation while that lasts: see `performance.all_collectives`.
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
        """What one GPU puts into all of them. [B]"""
        return self.number * self.payload

    def plus(self, other: "Collective", times: float = 1) -> "Collective":
        """These and so many times others of the same kind on the same link; `payload` is their mean."""
        number = self.number + times * other.number
        return self._replace(
            number=number,
            payload=(self.bytes + times * other.bytes) / number if number else 0.0,
            rated_s=self.rated_s + times * other.rated_s,
            long_s=self.long_s + times * other.long_s,
        )

    def taken_s(self, e: Efficiency) -> float:
        """number × latency + rated time / share of the link's speed that is reached, or `long_s` if shorter. [s]"""
        each = {"all-reduce": e.all_reduce_s, "all-to-all": e.all_to_all_s, "stage send": e.stage_send_s}
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
    """The collectives of a replica in a pass over so many `tokens` on each tensor group.

    Tensor parallelism: an all-reduce for each of `sums`, the blocks whose outputs the ranks add up: two a layer, one in
    Falcon. Expert parallelism over data-parallel attention: two all-to-alls (dispatch, combine) in place of the
    all-reduce of each expert layer; each rank of a tensor group sends its share of the group's tokens. Pipeline
    parallelism: one send between neighbouring stages.

    Source: vLLM, vllm/config/parallel.py, `use_sequence_parallel_moe`; falcon.py, `reduce_row_parallel_results`.
    """
    payload = tokens * hidden * ACTIVATION_BYTES
    dispatches = layout.ep > 1 and active > 0
    if layout.tp > 1:
        yield _all_reduces(links, layout.tp, number=sums - expert_layers if dispatches else sums, payload=payload)
    if dispatches:
        sent = all_to_all_bytes(tokens / layout.tp, hidden=hidden, active=active, ranks=layout.ranks)
        yield _all_to_alls(links, number=2 * expert_layers, payload=sent)
    if layout.pp > 1:
        yield _stage_sends(links, number=layout.pp - 1, payload=payload)


def _all_reduces(links: Fabric, tp: int, *, number: int, payload: float) -> Collective:
    """The all-reduces of a tensor group of `tp` ranks."""
    return Collective(
        what="all-reduce",
        link=links.tensor_link,
        number=number,
        payload=payload,
        rated_s=number * ring_all_reduce_s(payload, tp=tp, bandwidth=links.tensor_bandwidth),
        over_bus=links.tensor_link == links.bus_link,
    )


def _all_to_alls(links: Fabric, *, number: int, payload: float) -> Collective:
    """The dispatches and combines between the ranks that share experts."""
    return Collective(
        what="all-to-all",
        link=links.exchange_link,
        number=number,
        payload=payload,
        rated_s=number * payload / links.exchange_bandwidth,
        over_network=links.wide,
        over_bus=links.exchange_link == links.bus_link,
    )


def _stage_sends(links: Fabric, *, number: int, payload: float) -> Collective:
    """The sends of the hidden state from each pipeline stage to the next."""
    return Collective(
        what="stage send",
        link=links.stage_link,
        number=number,
        payload=payload,
        rated_s=number * payload / links.stage_bandwidth,
        over_bus=links.stage_link == links.bus_link,
    )


class ContextParallel(NamedTuple):
    """Decode context parallelism (vLLM): `ranks` of a tensor group each cache a part of every sequence's tokens.

    In each of `layers`, for each decoded token, every rank gathers the queries of all, attends over its own tokens with
    them, then gathers the softmax sums: `gathers` all-gathers, to which a rank contributes `gathered` bytes in all. The
    partial outputs are added up by reduce-scatters of `scattered` bytes in all. [B/token]
    """

    ranks: int
    layers: int
    gathers: int
    gathered: float
    scattered: float

    def in_one_layer(self) -> "ContextParallel":
        """The exchanges of one layer, as the mean of all."""
        n = self.layers
        return self._replace(
            layers=1, gathers=round(self.gathers / n), gathered=self.gathered / n, scattered=self.scattered / n
        )


def cache_exchanges(
    parallel: ContextParallel, links: Fabric, *, decoded: float, cached_bytes: float = 0.0
) -> Iterator[Collective]:
    """The collectives of decode context parallelism in a pass over `decoded` tokens and the prompts beside them.

    Rings: a rank sends (n - 1) × what it contributes to all-gathers, (n - 1) / n × what it puts into reduce-scatters.
    Before the attention of a prompt every rank gathers the cached tokens of all, `cached_bytes` from each.

    Limits: prompts of models with KV heads gather queries instead of caches; both are computed alike. Queries of MLA go
    through the NVLink switch since vLLM 0.28, which is faster than a ring.
    Source: vLLM 0.28, mla_attention.py (`query_gather`, `combine`, `kv_gather`), attention/ops/common.py
    (`cp_lse_ag_out_rs`), sparse_attn_indexer.py (`_merge_dcp_topk_global`).
    """
    n = parallel.ranks
    gathers = parallel.gathers if decoded else parallel.layers if cached_bytes else 0
    gathered = decoded * parallel.gathered + cached_bytes
    yield _in_a_ring("all-gather", links, n, number=gathers, put_in=gathered, sent=(n - 1) * gathered)
    scattered = decoded * parallel.scattered
    scatters = parallel.layers if decoded else 0
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
    """`number` ring collectives: a rank contributes `put_in` bytes to all of them and sends `sent` to its neighbour."""
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
