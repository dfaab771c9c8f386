"""The flags of a parallel layout: degrees, servers, and groups that share experts, with what runs on other servers."""

from collections.abc import Iterator

from inferplan.catalog.engines import ENGINES
from inferplan.core.parallelism import Layout
from inferplan.core.placement import is_even
from inferplan.core.serving_laws import in_one_stage
from inferplan.core.speed.pass_amounts import Batch
from inferplan.tools import _words as words
from inferplan.tools.serving.launch_flags import AITER, EARLIER, EXCHANGE, FLAGS, spelled
from inferplan.tools.serving.published import experts_over
from inferplan.tools.serving.serving import Serving

LISTED = 4
"""Nodes of a replica up to which every address is written out."""


def environment(on: Serving, layout: Layout, context: int) -> Iterator[str]:
    """Variables before the command: longer contexts than trained for, and the exchange of tokens between nodes.

    The exchange has a flag in newer versions of vLLM; on AMD's GPUs all versions need the variable as well.
    """
    if on.model.is_beyond_training(context):
        yield FLAGS[on.engine.name].beyond
    if on.fabric(layout).wide and not ENGINES[on.engine.name].has("exchange", on.engine.version):
        yield EXCHANGE.format(_exchange(on))
    if on.fabric(layout).wide and on.gpu.vendor == "amd":
        yield AITER


def layout_flags(on: Serving, layout: Layout, each: int) -> Iterator[str]:
    """The flags for tensor and pipeline degrees, nodes and expert sharing of a replica of `each` sequences.

    The dies of a GPU that software counts as several devices share the tensors.
    """
    flags, servers = FLAGS[on.engine.name], on.nodes(layout.alone)
    tensor = (layout.ranks if on.engine.name in ("sglang", "tensorrt-llm") else layout.tp) * on.gpu.devices
    if tensor > 1 and flags.tensor:
        yield flags.tensor.format(tensor)
    if layout.ep < experts_over(on, layout):
        yield flags.whole.format(layout.tp)
    if layout.pp > 1 and flags.pipeline:
        yield flags.pipeline.format(layout.pp)
    if servers > 1 and flags.nodes and layout.ep == 1:
        yield EARLIER["nodes"] if _needs_ray(on, layout) else flags.nodes.format(servers, others=_other_hosts(servers))
    if layout.ep > 1:
        yield from _shared_experts(on, layout, servers, each)
    if on.engine.context_parallel > 1 and flags.context_parallel:
        yield flags.context_parallel.format(on.engine.context_parallel)


def _shared_experts(on: Serving, layout: Layout, servers: int, each: int) -> Iterator[str]:
    """The flags for groups of data-parallel attention that share experts, on one node or several.

    DeepEP and MoRI, which vLLM uses over a network, want as many experts on each rank, and so does SGLang: copies make
    up for what is missing, and take the room that is counted for the fullest ranks.

    Source: DeepEP, csrc/deep_ep.cpp, `low_latency_dispatch` (num_experts % num_ranks == 0); vLLM, all2all.py (MoRI's
    `num_experts_per_rank`), and documentation, expert parallel deployment, EPLB; SGLang 0.5.23,
    fused_moe_triton/layer.py, and documentation, expert parallelism (without a backend for its exchange tokens are
    gathered); `--help`, `--moe-dense-tp-size`.
    """
    flags = FLAGS[on.engine.name]
    yield flags.shared.format(groups=layout.attention_dp)
    if flags.sent:
        yield flags.sent if on.sends_tokens else flags.whole.format(layout.ranks)
    if flags.dense and on.keeps_dense_whole(layout.ranks):
        yield flags.dense
    if servers > 1 and flags.shared_nodes:
        yield flags.shared_nodes.format(local=layout.attention_dp // servers, nodes=servers)
    missing = -(on.experts.experts if on.experts else 0) % layout.ep
    if missing and (on.fabric(layout).wide or on.engine.name == "sglang"):
        yield flags.spare.format(missing)
    if on.fabric(layout).wide:
        replica = on.replica(layout.alone)
        overlaps = replica is None or replica.is_split(Batch(decode=in_one_stage(each, layout)))
        exchange = spelled(on.engine, "exchange").format(_exchange(on))
        yield from filter(None, (exchange, spelled(on.engine, "overlap") if overlaps else ""))


def _exchange(on: Serving) -> str:
    """The backend with which vLLM exchanges tokens of experts between nodes: DeepEP, on AMD's GPUs MoRI.

    Source: vLLM 0.15 to 0.33, vllm/config/parallel.py (`All2AllBackend`); pull request 41751 (which kernel is meant).
    """
    if on.gpu.vendor != "amd":
        return "deepep_low_latency"
    return "mori_low_latency" if ENGINES[on.engine.name].has("mori_kernels", on.engine.version) else "mori"


def _other_hosts(servers: int) -> str:
    """`HOST2:50052,HOST3:50052`: the other nodes of llama.cpp; of many, the first and the last."""
    hosts = [f"HOST{number}:50052" for number in range(2, servers + 1)]
    return ",".join(hosts if servers <= LISTED else [hosts[0], "...", hosts[-1]])


def is_beyond_one_command(on: Serving, layout: Layout) -> bool:
    """Whether expert-sharing groups span nodes in a way that takes more than one command per node."""
    size = on.node_size
    if FLAGS[on.engine.name].spread:
        return False
    return layout.ep > 1 and (layout.tp > size or (layout.pp > 1 and layout.replica > size))


def cluster_remarks(on: Serving, layout: Layout) -> Iterator[str]:
    """What the other nodes of a replica must run, or be, before the command is given."""
    servers = on.nodes(layout.alone)
    if servers == 1 or layout.ep > 1:
        return
    if workers := FLAGS[on.engine.name].workers:
        yield f"{workers} on {words.count(servers - 1, 'other server')}"
    if _needs_ray(on, layout):
        yield f"in a Ray cluster of {servers} nodes"


def _needs_ray(on: Serving, layout: Layout) -> bool:
    """Whether vLLM needs a Ray cluster: versions without a flag for nodes, and replicas that fill nodes unevenly.

    Source: vLLM 0.28, vllm/engine/arg_utils.py (`--nnodes` must evenly divide the total world size).
    """
    known = ENGINES[on.engine.name].has("nodes", on.engine.version)
    return on.engine.name == "vllm" and not (known and is_even(layout, node_size=on.node_size))
