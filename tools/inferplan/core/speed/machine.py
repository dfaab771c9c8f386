"""The GPU of one rank as the speed model sees it: rated speeds, links, and the share of them that is reached.

Units: bytes, FLOP, seconds, tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from inferplan.core.fabric import Fabric
from inferplan.core.hardware import Gpu
from inferplan.core.precision import Precision
from inferplan.core.speed.efficiency import Efficiency, Runner, best_half_product, best_product

HALF_SPEED_TOKENS = 4096
"""Context at which attention in prefill reaches half of its plateau speed. [tokens]

share(m) = `prompt_attention_compute` × m / (m + 4096) for a token that attends over m tokens: as if it attended over
4,096 more. That also covers what a token costs beside attention, however short its context (rotary embedding, cache
writes, padded tiles, quantizing).
Chosen from 0, 1,024, 2,048, 3,072 and 4,096 with the plateau held at what long prompts reach: the larger the value,
the smaller the errors of throughput, TTFT and TPOT. Beyond 4,096 the fit would need matrix products faster than the
best that was measured. The kernels alone reach their plateau after some 500 tokens.
Source: MInference, experiments/README.md (one A100, prompts to 1M); FlashAttention-3, arXiv 2407.08608, figure 5.
Limits: no calibrated row has a prompt of more than 16K tokens. Cards whose 16-bit products run at half rate (RTX 5090)
reach nearly all of that in attention: their long prompts take about half of what is predicted.
"""
HALF_TILE = 64
"""Padding of llama.cpp's expert products on CUDA and HIP: the last tile of each expert is half empty on average.

Half of a tile of 128 tokens. Source: llama.cpp, ggml-cuda/mmq.cuh, `get_mmq_x_max_host`. Gemma 4 26B on an RTX 3090
took 287, 228 and 193 us a token in microbatches of 512, 1,024 and 2,048 tokens (pull request 22298). [tokens]
"""
HALF_TILE_METAL = 16
"""The same on Apple's GPUs: half of a tile of 32. Source: llama.cpp, ggml-metal.metal, `NR1`. [tokens]"""
ACTIVATION_TRAFFIC = 100.0
"""What llama.cpp reads and writes between its matrix products, per token, layer and element of the hidden state. [B]

The results of products, norms, activations and their quantised copies are some 33 numbers in FP32 where an FFN is 3.5
times as wide as the hidden state; GPU caches absorb a part. Chosen from 0, 100, 200 and 300 by cross-validation over
sources.
"""
TILE_ROWS: Mapping[str, int] = {"Hopper": 64}
"""Rows of the smallest matrix product, which attention of single tokens is padded to; 1 where none is known.

A token whose keys an indexer picked shares them with no other, so that its products have one row for each head of a
rank: of 64 heads over eight GPUs 8, padded to 64. Kernels of three models show it (`published_prefill_kernels.tsv`).
Limits: on Blackwell FlashMLA pads to 128, TensorRT-LLM's kernels, which engines prefer there, do not.
Source: NVIDIA, PTX ISA, wgmma (m64); vLLM, flashmla_sparse.py, `prefill_padding`; SGLang, nsa_backend.py,
`_forward_flashmla_sparse`.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The rated speeds of one rank's GPU, the links of its layout, and the shares of both that are reached.

    `matrix_flops` is the rate of the weights' own arithmetic, `half_flops` that of 16-bit products (half precision),
    `index_flops` that of an indexer's scores. Attention's products have a multiple of `tile_rows` rows.
    In prefill each token attends as if over `prompt_overhead` further tokens: see `HALF_SPEED_TOKENS`. Prefill of
    llama.cpp also computes `expert_padding` tokens for each expert and moves `activation_traffic` bytes for each token,
    layer and element of the hidden state. `overlaps` says whether one half of a batch can be computed while the other
    is sent over a network: see `forward_pass`. [B/s, FLOP/s, tokens, B]
    """

    bandwidth: float
    matrix_flops: float
    half_flops: float
    index_flops: float
    fabric: Fabric
    efficiency: Efficiency
    prompt_overhead: float = HALF_SPEED_TOKENS
    expert_padding: float = 0.0
    activation_traffic: float = 0.0
    overlaps: bool = True
    tile_rows: int = 1


def machine_of(
    gpu: Gpu, precision: Precision, fabric: Fabric, efficiency: Efficiency, *, engine: Runner = "vllm"
) -> Machine | None:
    """The machine that computes in a format: natively where the GPU can, else in 16 bit. None where no peak is known.

    llama.cpp computes every format at a share of what 16-bit products reach. Engines overlap computing and sending only
    with DeepEP, which is NVIDIA's here, not with MoRI (vLLM 0.16 to 0.33, vllm/config/vllm.py, `use_ubatching`).
    """
    half = best_half_product(gpu, engine)
    if half is None:
        return None
    if engine == "llama.cpp":
        return Machine(
            bandwidth=gpu.read_bandwidth,
            matrix_flops=half,
            half_flops=half,
            index_flops=half,
            fabric=fabric,
            efficiency=efficiency,
            prompt_overhead=0,
            expert_padding=HALF_TILE_METAL if gpu.vendor == "apple" else HALF_TILE,
            activation_traffic=ACTIVATION_TRAFFIC,
        )
    native = None if precision.weight_only else best_product(gpu, precision.compute)
    return Machine(
        bandwidth=gpu.read_bandwidth,
        matrix_flops=native or half,
        half_flops=half,
        index_flops=best_product(gpu, "fp8") or half,
        fabric=fabric,
        efficiency=efficiency,
        overlaps=gpu.vendor == "nvidia",
        tile_rows=TILE_ROWS.get(gpu.architecture, 1),
    )
