"""The arithmetic of the busiest GPU's KV pool, as its engine works it out."""

from inferplan.core.engines.rank_memory import RankMemory
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB
from inferplan.tools.serving.serving import Serving


def pool_line(on: Serving, layout: Layout, rank: RankMemory) -> str:
    """`0.92 x 79.18 - weights 16.96 - activations 0.83 - runtime 2.67 = 52.39 GiB`.

    vLLM fills a share of the GPU. SGLang a share of what was free before it loaded, which is what it has to fill;
    TensorRT-LLM takes a share of what is left in the end.
    """
    parts = {
        "weights": rank.weights,
        "LoRA": rank.adapters,
        "activations": rank.activation,
        "runtime": rank.non_torch,
        "graphs": rank.graphs,
    }
    taken = "".join(f" - {name} {size / GIB:.2f}" for name, size in parts.items() if round(size / GIB, 2))
    filled = f"{rank.budget / GIB:.2f} to fill"
    if on.engine.name == "vllm":
        filled = f"{on.utilization(layout):.3g} x {rank.total / GIB:.2f}"
    left = f"{filled}{taken}" if rank.pool_share == 1 else f"{rank.pool_share:g} x ({filled}{taken})"
    return f"{left} = {rank.pool / GIB:.2f} GiB"
