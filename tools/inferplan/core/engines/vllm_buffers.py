"""vLLM's memory beside weights, activations and KV cache: CUDA context, NCCL, kernels, model runner, CUDA graphs."""

from math import ceil

from inferplan.core.architecture import Architecture, ExpertFfn, LayerGroup
from inferplan.core.engine import Engine
from inferplan.core.engines.vllm_defaults import (
    LAST_OF_THE_FIRST_ENGINE,
    NEWEST,
    has_second_runner,
    has_wide_links,
    is_datacenter_blackwell,
    is_on_second_runner,
)
from inferplan.core.fabric import is_wide
from inferplan.core.hardware import Gpu
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB, KIB, MIB

SMALL_GPU = 16 * GIB
"""GPUs with less memory had buffers of 0.03 GiB (T4). [B]"""
CONTEXT = 0.51 * GIB
"""The CUDA context on an H100: of 79.19 GiB 78.68 are free when vLLM starts to measure. [B]"""
COLLECTIVES = 1.02 * GIB
"""NCCL on each of several H100: 77.66 GiB are free in place of 78.68. [B]"""
FIRST_COLLECTIVES_OUTSIDE = 11
"""The first vLLM (0.11) that starts NCCL before it measures free memory: pull request 25359."""
DISPATCHED_TOKENS = 256
"""Tokens that a rank dispatches at a time between nodes: `VLLM_MOE_DP_CHUNK_SIZE`, since 0.20 those of a step."""
FEW_GRAPHS = 18
"""With fewer CUDA graphs their common memory is smaller in proportion; 32 sequences at once capture 18."""
FIRST_ESTIMATE = 20
"""The first vLLM (0.20) whose first model runner reserves an estimate for CUDA graphs; the second does since 0.29."""
GRAPH = 5 * MIB
"""What vLLM estimates for a graph, beside its layers. [B]"""
GRAPH_OF_LAYER = MIB / 20
"""What vLLM estimates for each layer of a graph. [B]"""
FIRST_SPECIALIZED = 11
"""The first vLLM (0.11.1) that captures each graph with LoRA adapters and without: `cudagraph_specialize_lora`."""
WITH_ADAPTERS = 2
"""The memory of a graph with adapters over one without: 1.6, 1.9 and 2.3 in three published logs."""
DELTA_IN_ESTIMATE = range(26, 29)
"""The versions (0.26 to 0.28) whose estimate includes a transient of Gated DeltaNet in the first full graph."""
DELTA_TRANSIENT = 2 * KIB
"""That transient for each value head on the rank and each batched token. [B]"""
DELTA_BEFORE = 0.375 * GIB
"""What the piecewise graphs before it have allocated already: the estimate has only what is above. [B]"""
FIRST_ASKED_DRIVER = 27
"""The first vLLM (0.27) that counts all memory that the driver reports as used, not weights and peaks alone."""
COUNTED_LOGIT = 4 + 2 / 8
"""What the second model runner's sampler keeps per sequence and vocabulary entry. [B]"""
FUSED_GROUPS = frozenset({2, 4, 8})
"""Tensor groups whose all-reduces vLLM fuses with the norms behind them. Source: `FI_ALLREDUCE_FUSION_MAX_SIZE_MB`."""
FUSED = 3 * 0.5
"""What FlashInfer keeps for fused all-reduces since 0.19: three buffers, in steps of what NVSwitch multicasts. [GiB]

Limits: since 0.25, which takes the "mnnvl" backend, its source has one such buffer. Four GB200 on 0.26 had 0.95 GiB of
library buffers in all, as that would make; it is not counted so, since the pools of the two starts since then of models
that vLLM compiles (there, and on eight H200, 0.28) are predicted some 4 GiB too large as it is.
Source: FlashInfer 0.6.6 and 0.6.8.post1 (vLLM 0.19 to 0.21), comm/mnnvl.py (`_get_allocation_prop`), comm/trtllm_ar.py,
and 0.6.13 to 0.7.0.post1 (0.25 to 0.32), `McastGPUBuffer`; vLLM's pull request 47219.
"""


def non_torch(engine: Engine, layout: Layout, gpu: Gpu, *, compiled: bool = True) -> float:
    """Buffers of libraries within the budget: NCCL and workspaces of kernels, by GPU, ranks of a stage, version. [B]

    One H100 has 0.13 GiB, 0.25 since 0.18; older and smaller GPUs 0.09, a T4 0.03. Each of several H100 has 0.55 GiB,
    0.57 to 0.65 since 0.19, and `FUSED` where vLLM compiles the model and so fuses its all-reduces with norms; older or
    PCIe GPUs 0.23. Up to 0.6 the CUDA context is included.

    Limits: 2 GiB on Blackwell are an inference.
    Source: published logs. Without compilation GLM-5.1 on eight H200 left 0.53 GiB for these (0.19 and 0.20).
    """
    context = 0.26 if engine.version <= 6 else 0.0
    stages = 0.07 if layout.pp > 1 else 0.0
    small = 0.06 if layout.ranks == 1 and gpu.engine_memory < SMALL_GPU else 0.0
    return (
        context
        + stages
        - small
        + (_buffers_of_wide_links(engine, layout, compiled) if has_wide_links(gpu) else _buffers(layout.ranks))
    ) * GIB


def _buffers_of_wide_links(engine: Engine, layout: Layout, compiled: bool) -> float:  # noqa: FBT001 - what is asked
    """Buffers on datacenter GPUs with NVLink from Hopper on. [GiB]"""
    if layout.ranks == 1:
        return 0.25 if engine.version >= 18 else 0.13
    if engine.version < 19:
        return 0.55
    fuses = compiled and engine.cuda_graphs and layout.tp in FUSED_GROUPS
    return (0.57 if layout.ranks == 2 else 0.65) + (FUSED if fuses else 0.0)


def _buffers(ranks: int) -> float:
    """Buffers on other GPUs. [GiB]"""
    return 0.09 if ranks == 1 else 0.23


def collectives(engine: Engine, layout: Layout, gpu: Gpu) -> float:
    """What NCCL takes outside the budget on each of several ranks, since it starts before vLLM measures (0.11). [B]

    Source: published logs, the free memory printed on start-up less that of one such GPU alone. H100 1.02 and 1.04 GiB;
    RTX PRO 6000 0.42 and 0.64; RTX 3090 0.02 and 0.12; before 0.11 L40S 0.0 and H200 0.09. Up to 4.5 were seen once.
    """
    if layout.replica == 1 or engine.version < FIRST_COLLECTIVES_OUTSIDE:
        return 0.0
    return COLLECTIVES if has_wide_links(gpu) else (0.12 if gpu.kind == "consumer" else 0.5) * GIB


def runner_buffers(architecture: Architecture, engine: Engine, *, element: int, samples: bool = True) -> float:
    """What the model runner allocates before the profile run, which is counted since 0.27. [B]

    The second runner: sequences × vocabulary × (4 B of counts + 1 bit of prompt + 1 bit of grammar) on the stage that
    `samples`, and for images element × batched tokens × hidden. The first runner: the latter for all models. What
    drafts has, on the stage that samples, the hidden states of a step, and its embeddings where the runner keeps those.

    Limits: block tables, up to 64 MiB, are left out, and what compilation leaves outside PyTorch in a first start (see
    `vllm_activation.tuning_peak`).
    Source: vLLM 0.27 to 0.33, vllm/utils/mem_utils.py, `memory_profiling`; vllm/v1/worker/gpu/sample/penalties.py,
    `PenaltiesState`; vllm/v1/worker/gpu/structured_outputs.py; vllm/v1/worker/gpu_model_runner.py, `inputs_embeds`;
    vllm/v1/spec_decode/llm_base_proposer.py and vllm/v1/worker/gpu/spec_decode, `hidden_states`, `inputs_embeds`.

    >>> from inferplan.catalog.models import MODELS
    >>> qwen = MODELS["Qwen/Qwen3-32B"].architecture
    >>> engine = Engine(version=27, max_num_seqs=1024, max_num_batched_tokens=8192)
    >>> round(runner_buffers(qwen, engine, element=2) / GIB, 2)
    0.62
    """
    if engine.version < FIRST_ASKED_DRIVER:
        return 0.0
    second = is_on_second_runner(architecture, engine)
    states = element * engine.max_num_batched_tokens * architecture.hidden
    embeddings = states if not second or (architecture.vision_params and engine.images) else 0.0
    if not samples:
        return embeddings
    counts = COUNTED_LOGIT * engine.max_num_seqs * architecture.logits if second else 0.0
    return counts + embeddings + (states + embeddings if engine.drafts else 0.0)


def exchange_buffers(architecture: Architecture, gpu: Gpu, layout: Layout) -> float:
    """4 × experts × 256 × (2 B × hidden + header): DeepEP's send and receive buffers between nodes, two of each. [B]

    Within a node vLLM all-gathers tokens with NCCL and has no buffers of its own.

    Limits: other libraries (MoRI, NIXL) are taken to need as much.
    Source: DeepEP, csrc/config.hpp, `LowLatencyLayout`; for 128 tokens it gives DeepSeek's 1.8 GiB, of which SGLang
    reserves 2 (`reserve_for_deepep_a2a_mb`).
    """
    experts = architecture.experts
    if experts is None or not is_wide(gpu, layout):
        return 0.0
    return 4 * experts.experts * DISPATCHED_TOKENS * (2 + 4 / 128) * architecture.hidden


def largest_graph(gpu: Gpu, engine_version: int = NEWEST) -> int:
    """Tokens of the largest CUDA graph that is captured by default. [tokens]

    Source: vLLM 0.18 to 0.30, vllm/config/vllm.py, `_set_cudagraph_sizes`: 1,024 since 0.28 on datacenter Blackwell.
    """
    return 1024 if engine_version >= 28 and is_datacenter_blackwell(gpu) else 512


def captured_graphs(engine: Engine, largest: int = 512) -> int:
    """CUDA graphs: piecewise up to min(largest, 2 × max_num_seqs) tokens, and full ones for decode since 0.11. [graphs]

    Sizes are 1, 2, 4, every 8 up to 256 and every 16 beyond, or every 8 in versions up to 0.11. A sequence that is
    drafted for has 1 + `drafts` tokens in a step, of which sizes are multiples.

    Limits: since 0.30 drafts add sizes for numbers of sequences, which are not counted. FlashInfer verifies drafts
    without full graphs on GPUs other than datacenter Blackwell, and then no size is rounded: of two sequences with 3
    drafts vLLM 0.20 to 0.24 printed 3 piecewise and 2 full graphs, or 5 piecewise ones; with 5 drafts 6.
    Source: vLLM 0.14 to 0.28, vllm/config/vllm.py, and 0.10 and 0.11, vllm/config/__init__.py, `_set_cudagraph_sizes`;
    0.28, vllm/config/compilation.py, `adjust_cudagraph_sizes_for_spec_decode`, and vllm/v1/cudagraph_dispatcher.py.

    >>> captured_graphs(Engine(version=19, max_num_seqs=1024, max_num_batched_tokens=8192))
    102
    """
    each, step = 1 + engine.drafts, 8 if engine.version <= 11 else 16
    most = min(largest, 2 * each * engine.max_num_seqs)
    rounded = {each * ceil(size / each) for size in (1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, step))}
    sizes = [size for size in rounded if size <= most]
    full = [size for size in sizes if size <= each * engine.max_num_seqs] if engine.version >= 11 else []
    return len(sizes) + len(full)


def graph_memory(
    architecture: Architecture, engine: Engine, layout: Layout, *, packed_experts: bool = False, largest: int = 512
) -> float:
    """What vLLM reserves for CUDA graphs, or what they take where it reserves nothing. [B]

    Since 0.20 the first model runner captures two graphs of each kind and extrapolates, since 0.29 the second one does:
    `_estimated`. Up to 0.19, on several ranks (where the first graph allocates buffers of collectives) and with latents
    on the first runner it is `_captured`. With LoRA each size is captured twice, with adapters (about twice the memory)
    and without.

    Limits: on several ranks vLLM's estimate was between `_captured` and 1.6 GiB more (GLM-5.2 on four GB200).
    Source of adapters: vLLM 0.24 and 0.28, vllm/v1/cudagraph_dispatcher.py (`_get_lora_cases`, `get_capture_descs`);
    pull request 25914 (1.62 GiB with, 2.38 with and without); Qwen3 8B on 0.10 and Llama 3.2 1B on 0.11, on L4.
    """
    if not engine.cuda_graphs:
        return 0.0
    graphs = captured_graphs(engine, largest)
    if engine.adapters:
        graphs *= _with_adapters(engine.version)
    transient = _delta_transient(architecture, engine, layout) if engine.version in DELTA_IN_ESTIMATE else 0.0
    if layout.ranks == 1 and _is_estimated(architecture, engine):
        return _estimated(architecture, graphs, layout) + transient
    return _captured(architecture, engine, layout, graphs=graphs, packed_experts=packed_experts) + transient


def _with_adapters(version: int) -> int:
    """Graphs without adapters that one size counts as with LoRA: one with adapters, and since 0.11.1 one without.

    Logs of the first engine show no difference. vLLM's estimate has both at the size of the one without, the second of
    the two that it captures.
    """
    if version <= LAST_OF_THE_FIRST_ENGINE:
        return 1
    if version >= FIRST_ESTIMATE:
        return 2
    return WITH_ADAPTERS + (version >= FIRST_SPECIALIZED)


def _is_estimated(architecture: Architecture, engine: Engine) -> bool:
    """Whether `_estimated` holds: on the first runner for models without latents, on the second one since 0.29."""
    if engine.version < FIRST_ESTIMATE or has_second_runner(architecture, engine):
        return False
    if is_on_second_runner(architecture, engine):
        return True
    return not any(isinstance(mixer, Latent | Compressed) for _, mixer in architecture.mixers)


def _estimated(architecture: Architecture, graphs: int, layout: Layout) -> float:
    """graphs × (5 MiB + 1/20 MiB × layers): vLLM's own estimate on one GPU, for any kind of layer. [B]

    vLLM takes the larger first graph of either kind, and for each further graph what the second one allocates, in the
    driver's steps of 2 MiB: the second decides. Experts, recurrent states and MXFP4 make no difference. Since 0.29 all
    piecewise graphs are captured, and the second full one stands for the others.

    Limits: 0.08 GiB from vLLM's estimate on average of 12 starts, 0.19 too little (Gemma 4 E4B) to 0.24 too much
    (Qwen2.5 0.5B); `_captured` was 0.43 too much there, and graphs took within 0.17 of this. For gpt-oss vLLM captures
    up to 1,024 tokens: its 166 graphs were estimated at 0.66 GiB, as are the 102 counted here, and took 1.22. Not
    modelled: FlashInfer's attention (8-bit caches on workstation Blackwell), with a workspace of 0.38 GiB in the
    estimate and smaller graphs. GB10's estimates are noisy, as its memory is the host's. Of the second runner known
    are Gemma 4 31B (0.13 and 0.09 GiB on 0.30, 0.12 and 0.07 here), one start with latents on GB10, and first starts of
    Llama 3.1 8B (A100, 0.31) and Qwen3 8B (A10G, 0.30), which leave 0.46 and 0.43 GiB, with 0.55 and 0.57 here.
    Source: vLLM 0.24 to 0.27, vllm/v1/worker/gpu_model_runner.py, and 0.29 to 0.33,
    vllm/v1/worker/gpu/cudagraph_utils.py, `profile_cudagraph_memory`; nine published logs of 0.22 to 0.26, and three
    starts on 0.24.
    """
    return graphs * (GRAPH + GRAPH_OF_LAYER * ceil(architecture.layers / layout.pp))


def _delta_transient(architecture: Architecture, engine: Engine, layout: Layout) -> float:
    """max(0, 2 KiB × value heads / tp × batched tokens - 0.375 GiB): Gated DeltaNet's part of the estimate. [B]

    The first full graph is captured on contexts that fill a batch; the memory that Gated DeltaNet works in meanwhile is
    not returned to the driver, and counts as graphs.

    Limits: which tensors these are is not known; read off two reports: 128 KiB a token with 64 heads, and with 48 heads
    0.37 GiB more for 8,192 tokens than for 4,096 and fewer. That ranks share it is an assumption.
    Source: vLLM's issues 50780 (Qwen3.5 122B) and 52872 (27B on RTX 5090). An H100 with 8,192 tokens and 256
    sequences had 0.87 GiB for all graphs of Qwen3.8 27B on 0.27, where 1.06 are predicted.
    """
    heads = max((mixer.value_heads for _, mixer in architecture.mixers if isinstance(mixer, GatedDelta)), default=0)
    return max(0.0, DELTA_TRANSIENT * heads / layout.tp * engine.max_num_batched_tokens - DELTA_BEFORE)


def _captured(
    architecture: Architecture, engine: Engine, layout: Layout, *, graphs: int, packed_experts: bool
) -> float:
    """0.37 GiB + graphs × 0.16 MiB × weighted layers of a stage: what captured graphs take. [B]

    The 102 graphs that an H100 captures by default take 0.016 GiB a layer. A layer counts 1, with experts 0.4 more,
    with a latent 1 more, with experts in MXFP4 (`packed_experts`) 2 more. Since 0.11 fewer than 18 graphs take their
    part of the 0.37 GiB: logs with 1, 10 and 16 sequences have 0.05, 0.19 and 0.2 GiB in all.

    Limits: that a graph of over 512 tokens takes what a smaller one does was not checked against a log.
    Source: 49 published runs of dense models on vLLM 0.19, mean error 0.08 GiB; the additions are from seven runs, the
    share of few graphs from three of 0.19 to 0.26, which would have it at up to 67.
    """
    per_layer, base = 0.016 * graphs / 102, 0.37 * (min(1.0, graphs / FEW_GRAPHS) if engine.version >= 11 else 1.0)
    extra = sum(group.count * _graph_weight(group, packed_experts=packed_experts) for group in architecture.groups)
    return (base + per_layer * ceil(extra / layout.pp)) * GIB


def _graph_weight(group: LayerGroup, *, packed_experts: bool) -> float:
    """The weight of one layer in `_captured`: 1 for a dense layer without latents. [layers]"""
    experts = isinstance(group.ffn, ExpertFfn)
    latent = any(isinstance(mixer, Latent) for mixer in group.mixers)
    return 1 + (0.4 if experts else 0) + (1 if latent else 0) + (2 if experts and packed_experts else 0)
