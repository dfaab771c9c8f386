"""vLLM's memory: activation peak, sampler, library buffers, CUDA graphs, and the KV pool that is left.

The rules are read off published logs of vLLM 0.5 to 0.28 on H100, A100, L4, T4 and RTX cards; what differs by version
was read in the sources of those versions, and of 0.29 to 0.33. How the cache is cut into blocks is in `kv_blocks`.
"""

from dataclasses import replace
from functools import partial
from math import ceil

from inferplan.core import compressed_memory, kv_blocks
from inferplan.core.architecture import Architecture, ExpertFfn, LayerGroup, Model
from inferplan.core.attention import Compressed, Latent
from inferplan.core.compressed_memory import is_compressed
from inferplan.core.engine import Engine
from inferplan.core.hardware import Gpu
from inferplan.core.parallelism import Layout, is_wide
from inferplan.core.precision import Precision
from inferplan.core.rank_memory import Holding, RankMemory
from inferplan.core.rank_weights import Loader, stage_weights
from inferplan.core.units import GIB
from inferplan.core.vision import VisionTower, encoder_peak, frames_at_once, kept_images, profiled_images

NEWEST = 28
"""The newest vLLM (0.28) whose memory rules are held against many logs.

Of 0.29 to 0.31 there are few logs: the pool comes out 0.6 % too large for Llama 3.1 8B on A100 (0.31) and 1.9 % for
Gemma 4 E2B on MI300X (0.29), but 8 % for Qwen3.5 4B, which has a vision tower, on L4 (0.29).
"""
LAST_OF_THE_FIRST_ENGINE = 7
"""The last vLLM (0.7) whose default engine is the first one (V0)."""
LARGE_GPU = 70 * GIB
"""From this memory on (A100 excepted) vLLM's API server batches 8,192 tokens and 1,024 sequences by default."""
SMALL_GPU = 16 * GIB
"""Below this memory the buffers were 0.03 GiB (T4)."""
LARGEST_GPU = 160 * GIB
"""From this memory on vLLM 0.28 batches 16,384 tokens."""
CONTEXT = 0.51 * GIB
"""What the CUDA runtime takes of an H100 before vLLM measures anything: 79.19 GiB in all, 78.68 free. [B]"""
COLLECTIVES = 1.02 * GIB
"""What NCCL takes on each of several ranks of an H100: 77.66 GiB free in place of 78.68. [B]"""
FIRST_COLLECTIVES_OUTSIDE = 11
"""The first vLLM (0.11) that starts NCCL before it measures what is free: pull request 25359, of September 2025."""
LAST_CHUNKED_EXPERTS = 16
"""The last vLLM (0.16) taken to compute experts on 16,384 tokens at a time: pull request 34086, of February 2026."""
EXPERT_CHUNK = 16384
"""`VLLM_FUSED_MOE_CHUNK_SIZE` of its last versions. [tokens]"""
DISPATCHED = 256
"""Tokens that a rank sends at a time between nodes: `VLLM_MOE_DP_CHUNK_SIZE`. [tokens]"""
LOGIT_BYTES = 4
"""The sampler warms up on fp32 logits. [B]"""
FIRST_COUNTED_GRAPHS = 20
"""The first vLLM (0.20) that takes CUDA graphs out of its budget before the pool is cut."""
LAST_COPIED_LOGITS = 27
"""The last vLLM (0.27) whose second model runner warms up on logits copied to fp32."""
FIRST_KNOWN_ENCODER = 16
"""The first vLLM (0.16) whose trial of an image encoder is counted here; before, Qwen3-VL was tried out on a video."""
FIRST_TEXT_ALONE = 17
"""The first vLLM (0.17) with `--language-model-only`, which loads no image encoder."""
FIRST_LATENT_VIEWS = 24
"""The first vLLM (0.24) that was seen to work on latents with 16-bit weights as they are; 0.19 seems to copy them."""
FEW_GRAPHS = 18
"""Fewer CUDA graphs share what graphs take of memory once; 32 sequences at once capture so many."""
FIRST_COUNTED_STATES = 20
"""The first vLLM (0.20) that refuses to start with more sequences at once than it has blocks for their states."""
SECOND_RUNNER = range(25, 29)
"""The versions (0.25 to 0.28) of whose models without experts and states the second model runner takes care."""
COMPRESSED_ON_SECOND_RUNNER = 28
"""The one of them (0.28) whose DeepSeek-V4 it takes, on NVIDIA's GPUs."""


def default_batching(gpu: Gpu, version: int) -> tuple[int, int]:
    """`max_num_batched_tokens` and `max_num_seqs` that vLLM's API server takes on this GPU by default.

    8,192 and 1,024 from 70 GiB on, A100 excepted; 2,048 and 256 below, and on the first engine everywhere; 16,384
    tokens from 160 GiB on since 0.28.

    Source: vLLM 0.8 to 0.33, vllm/engine/arg_utils.py, `get_batch_defaults` and what it was before.
    """
    if version > LAST_OF_THE_FIRST_ENGINE and gpu.engine_memory >= LARGE_GPU and "a100" not in gpu.product:
        return (16384 if version >= 28 and gpu.engine_memory >= LARGEST_GPU else 8192), 1024
    return 2048, 256


def default_prefix_caching(architecture: Architecture, engine_version: int = NEWEST) -> bool:
    """Whether vLLM caches prefixes by default: always, but beside recurrent states only since 0.28.

    Source: vLLM 0.11, vllm/model_executor/models/config.py, `MambaModelConfig` (off beside states); 0.14 to 0.24,
    vllm/config/model.py, `is_prefix_caching_supported`; 0.26 to 0.33, vllm/engine/arg_utils.py,
    `_set_default_chunked_prefill_and_prefix_caching_args`.
    """
    return engine_version >= 28 or not any(mixer.state for _, mixer in architecture.mixers)


def default_latent_scales(gpu: Gpu, engine_version: int = NEWEST) -> bool:
    """Whether 8-bit latents under an indexer take 656 B (`fp8_ds_mla`) here, not 1 B an element.

    Since 0.19 FlashInfer's kernel, which reads plain elements, comes first on B200, B300 and the like.

    Source: vLLM, vllm/platforms/cuda.py, `_get_backend_priorities`; vllm/model_executor/layers/attention/
    mla_attention.py, `_canonicalize_sparse_mla_kv_cache_dtype`; a published log of GLM-5.2 on GB200.
    """
    return engine_version < 19 or not _is_datacenter_blackwell(gpu)


def _is_datacenter_blackwell(gpu: Gpu) -> bool:
    """Whether a GPU is of compute capability 10, not of 12."""
    return _has_wide_links(gpu) and gpu.architecture.startswith("Blackwell")


def largest_graph(gpu: Gpu, engine_version: int = NEWEST) -> int:
    """Tokens of the largest CUDA graph that is captured by default. [tokens]

    Source: vLLM 0.18 to 0.30, vllm/config/vllm.py, `_set_cudagraph_sizes`: 1,024 since 0.28 on datacenter Blackwell.
    """
    return 1024 if engine_version >= 28 and _is_datacenter_blackwell(gpu) else 512


def _has_wide_links(gpu: Gpu) -> bool:
    """Whether a GPU is of the H100's kind or newer: a data centre's, with NVLink."""
    newer = gpu.architecture in ("Hopper", "Blackwell", "Blackwell Ultra")
    return newer and gpu.kind == "datacenter" and gpu.link is not None


def utilization(_architecture: Architecture, _gpu: Gpu, _layout: Layout, engine: Engine) -> float:
    """`gpu_memory_utilization`: 0.9 up to 0.19 and 0.92 since, unless set. [fraction]

    Source: vLLM, vllm/config/cache.py, `CacheConfig`.
    """
    if engine.memory_utilization is not None:
        return engine.memory_utilization
    return 0.9 if engine.version <= 19 else 0.92


def has_second_runner(architecture: Architecture, engine: Engine) -> bool:
    """Whether vLLM's second model runner takes a model, which counts no graphs before the pool is cut.

    Those without experts and recurrent states from 0.25 to 0.28, and DeepSeek-V4 on 0.28; on 0.23 and 0.24 those
    built as Llama, Mistral and Qwen3 are, on 0.22 as Qwen3. From 0.29 on it takes all, and counts graphs, so that the
    first one's rules are kept.

    Limits: since 0.29 it counts graphs as if each whole one took what the second largest adds: 1.2 GiB where 0.23 are
    taken (Llama 3.1 8B on A100). `graph_memory` says 0.8, and the sampler's peak of the first runner, which is gone,
    stands for the rest. In 0.33 the sampler is warmed up on fp32 logits, which is not held here.
    Other models of plain attention without biases are taken for Llama. DeepSeek V2, Qwen2-MoE and Granite-MoE,
    which it takes since 0.24, are not told apart: DeepSeek-V2-Lite peaked 0.65 GiB lower on 0.24 than is said here.
    Models with a vision tower are taken for the first one's, as a log of Gemma 4 31B on 0.26 says (its pool is 0.2 %
    off, 1.9 % otherwise); the sources would give it the second one.
    Source: vLLM 0.22 to 0.33, vllm/config/vllm.py, `use_v2_model_runner`; vllm/v1/worker/gpu/cudagraph_utils.py,
    `profile_cudagraph_memory`; three starts of 0.24 on one H100.
    """
    mixers = [mixer for _, mixer in architecture.mixers]
    if is_compressed(architecture):
        return engine.version == COMPRESSED_ON_SECOND_RUNNER
    if architecture.experts or architecture.vision_params or any(mixer.state for mixer in mixers):
        return False
    if engine.version in SECOND_RUNNER:
        return True
    plain = architecture.plain
    if plain is None or plain.qkv_bias or plain.output_bias:
        return False
    return engine.version in (23, 24) or (engine.version == 22 and plain.qk_norm != "none")


def activation_peak(
    architecture: Architecture,
    engine: Engine,
    *,
    tp: int,
    workspace: bool = True,
    element: int = 2,
    samples: bool = True,
    attention_dp: int = 1,
    wide: bool = False,
    gpu_memory: float = 80 * GIB,
) -> float:
    """max(encoder, max(forward, sampler) + expert workspace + what is kept of images) of vLLM's profile run. [B]

    It follows batched tokens, widths, vocabulary and the sampler's kernel, not weights or KV cache. MXFP4 kernels
    keep no `workspace`; `element` is the model's type, 4 B for fp32; only the last pipeline stage `samples`. Of
    `gpu_memory` follows how many frames Gemma 4 encodes at once.

    Limits: of an encoder whose layers are not known only the outputs are counted, as many as a batch has tokens.
    Source: published logs; within 0.04 GiB on average of 76 measured peaks.
    """
    hidden = architecture.hidden
    forward = max(_forward_peak(hidden, group, engine, tp=tp, element=element) for group in architecture.groups)
    layout = Layout(tp=tp, attention_dp=attention_dp)
    spaces = (_expert_workspace(hidden, group, engine, layout, wide=wide) for group in architecture.groups)
    kept = max(spaces) if workspace else 0
    sampler = _sampler_peak(architecture, engine, element=element) if samples else 0
    text, tokens = max(forward, sampler) + kept, engine.max_num_batched_tokens
    tower = counted_encoder(architecture, engine)
    if tower is None:
        return text + (element * tokens * hidden if architecture.vision_params and engine.images else 0)
    images = profiled_images(tower, tokens, engine.max_model_len)
    text += kept_images(tower, images, hidden=hidden, element=element)
    at_once = frames_at_once(gpu_memory, engine.version)
    return max(text, encoder_peak(tower, images, hidden=hidden, tp=tp, element=element, at_once=at_once))


def counted_encoder(architecture: Architecture, engine: Engine) -> VisionTower | None:
    """The image encoder that vLLM tries out, where the rules count that: since 0.16, of towers whose layers are known.

    Limits: SGLang and TensorRT-LLM, whose decoders peak as vLLM's do, do not try it out so.
    """
    counted = engine.name == "vllm" and engine.images and engine.version >= FIRST_KNOWN_ENCODER
    return architecture.vision if counted else None


def leaves_out_encoder(architecture: Architecture, engine: Engine) -> bool:
    """Whether an image encoder is tried out, and the rules do not count that."""
    tried = engine.name == "vllm" and engine.images and architecture.vision_params > 0
    return tried and counted_encoder(architecture, engine) is None


def _forward_peak(hidden: int, group: LayerGroup, engine: Engine, *, tp: int, element: int) -> float:
    """element × T × (3 × intermediate / tp + 4 × hidden) where gated (2 × where not), shared width for experts. [B]

    The first engine keeps one hidden state fewer; what compressed keys take beside is in `compressed_memory`.
    """
    ffn, tokens = group.ffn, engine.max_num_batched_tokens
    widths = (3 if ffn.gated else 2) * ffn.dense_width / tp if ffn else 0
    states = 3 if engine.version <= LAST_OF_THE_FIRST_ENGINE else 4
    compressed = [
        compressed_memory.forward_peak(mixer, hidden=hidden, tokens=tokens, tp=tp, element=element)
        for mixer in group.mixers
        if isinstance(mixer, Compressed)
    ]
    return element * tokens * (widths + states * hidden) + max(compressed, default=0)


def _expert_workspace(hidden: int, group: LayerGroup, engine: Engine, layout: Layout, *, wide: bool) -> float:
    """2 B × T × active × (hidden + max(2 × intermediate / tp, hidden)): it stays allocated for every step. [B]

    With data-parallel attention a rank is ready for the tokens of all groups, and its experts are whole; between
    nodes (`wide`) for 256 tokens of every rank and expert at a time.

    Limits: read in the source; no published log of data-parallel attention was found to hold it against.
    Source: vLLM, vllm/model_executor/layers/fused_moe/modular_kernel.py (the worst case is allocated in the profile
    run, pull request 27426), the all-gather that is the default within a node, and DeepEP's batches between nodes.
    """
    ffn = group.ffn
    if not isinstance(ffn, ExpertFfn):
        return 0.0
    width = 2 * ffn.intermediate / (layout.tp if layout.ep == 1 else 1)
    tokens = engine.max_num_batched_tokens * layout.attention_dp
    if layout.ep > 1 and engine.version <= LAST_CHUNKED_EXPERTS:
        tokens = min(tokens, max(EXPERT_CHUNK, engine.max_num_batched_tokens))
    rows = DISPATCHED * ffn.experts if wide else tokens * ffn.active
    return 2 * rows * (hidden + max(width, hidden))


def exchange_buffers(architecture: Architecture, gpu: Gpu, layout: Layout) -> float:
    """4 × experts × 256 × (2 B × hidden + header): what DeepEP sends and receives between nodes, each twice. [B]

    Within a node vLLM gathers tokens with NCCL and keeps no buffers of its own.

    Limits: other libraries (MoRI, NIXL) are taken to need as much.
    Source: DeepEP, csrc/config.hpp, `LowLatencyLayout`; for 128 tokens it gives DeepSeek's 1.8 GiB, of which SGLang
    reserves 2 (`reserve_for_deepep_a2a_mb`).
    """
    experts = architecture.experts
    if experts is None or not is_wide(gpu, layout):
        return 0.0
    return 4 * experts.experts * DISPATCHED * (2 + 4 / 128) * architecture.hidden


def _sampler_peak(architecture: Architecture, engine: Engine, *, element: int) -> float:
    """s × max_num_seqs × vocabulary + element × T × hidden, with s by sampler kernel. [B]

    s is 38.4 B up to 0.16 (a full sort) and 12.75 B with the logits' own element since (Triton top-k/top-p; since
    0.21 FlashInfer samples, but the other kernel is warmed up too). The second runner warms up on the logits alone, up
    to 0.27 with a copy in fp32.

    Limits: before 0.12 an installed FlashInfer took 11 B instead, which no configuration says.
    Source: published logs; vLLM, vllm/v1/worker/gpu_model_runner.py and vllm/v1/worker/gpu/model_runner.py,
    `_dummy_sampler_run`, and vllm/v1/worker/gpu/sample/sampler.py.
    """
    per_logit = 38.4 if engine.version <= 16 else 12.75 + element
    if has_second_runner(architecture, engine):
        per_logit = element + (LOGIT_BYTES if engine.version <= LAST_COPIED_LOGITS else 0)
    logits = per_logit * engine.max_num_seqs * architecture.vocab
    return logits + element * engine.max_num_batched_tokens * architecture.hidden


def non_torch(engine: Engine, layout: Layout, gpu: Gpu) -> float:
    """Library buffers inside the budget: NCCL and kernels' workspaces, by GPU, ranks of a stage and version. [B]

    Source: published logs. On H100 0.13 GiB, 0.25 GiB since 0.18; 0.09 GiB on older and smaller cards, 0.03 GiB on
    T4. Between two H100 0.55 GiB, 2.07 GiB since 0.19; 0.23 GiB between older or PCIe cards. Two GiB on Blackwell
    are an inference. Up to 0.6 the runtime's context counts in.
    """
    context = 0.26 if engine.version <= 6 else 0.0
    stages = 0.07 if layout.pp > 1 else 0.0
    small = 0.06 if layout.ranks == 1 and gpu.engine_memory < SMALL_GPU else 0.0
    return (
        context
        + stages
        - small
        + (_buffers_of_wide_links(engine, layout.ranks) if _has_wide_links(gpu) else _buffers(layout.ranks))
    ) * GIB


def collectives(engine: Engine, layout: Layout, gpu: Gpu) -> float:
    """What NCCL takes beside the budget on each of several ranks, where it starts before vLLM measures. [B]

    Source: published logs, the free memory printed on start-up less that of one such GPU alone. H100 1.02 and 1.04 GiB;
    RTX PRO 6000 0.42 and 0.64; RTX 3090 0.02 and 0.12; before 0.11 L40S 0.0 and H200 0.09. Up to 4.5 were seen once.
    """
    if layout.replica == 1 or engine.version < FIRST_COLLECTIVES_OUTSIDE:
        return 0.0
    return COLLECTIVES if _has_wide_links(gpu) else (0.12 if gpu.kind == "consumer" else 0.5) * GIB


def _buffers_of_wide_links(engine: Engine, ranks: int) -> float:
    """Buffers on GPUs of the H100's kind. [GiB]"""
    if ranks == 1:
        return 0.25 if engine.version >= 18 else 0.13
    if engine.version >= 19:
        return 2.07 if ranks == 2 else 2.15
    return 0.55


def _buffers(ranks: int) -> float:
    """Buffers on other GPUs. [GiB]"""
    return 0.09 if ranks == 1 else 0.23


def graph_memory(
    architecture: Architecture, engine: Engine, layout: Layout, *, packed_experts: bool = False, largest: int = 512
) -> float:
    """0.37 GiB, and for each layer on the rank and each captured size 0.16 MiB: CUDA graphs. [B]

    With 102 graphs, as H100s capture by default, 0.016 GiB a layer. A layer with experts takes 0.4 of that more, one
    with a latent as much again, MXFP4 experts (`packed_experts`) twice as much. Of the 0.37 GiB fewer than 18 graphs
    take their share since 0.11: with 1, 10 and 16 sequences logs have 0.05, 0.19 and 0.2 GiB in all.

    Limits: that a graph of over 512 tokens takes what a smaller one does is not held against a log.
    Source: 49 published runs of dense models on vLLM 0.19, mean error 0.08 GiB; the additions are from seven runs, the
    share of few graphs from three of 0.19 to 0.26, which would have it at up to 67.
    """
    if not engine.cuda_graphs:
        return 0.0
    graphs = captured_graphs(engine, largest)
    per_layer, base = 0.016 * graphs / 102, 0.37 * (min(1.0, graphs / FEW_GRAPHS) if engine.version >= 11 else 1.0)
    extra = sum(group.count * _graph_weight(group, packed_experts=packed_experts) for group in architecture.groups)
    return (base + per_layer * ceil(extra / layout.pp)) * GIB


def _graph_weight(group: LayerGroup, *, packed_experts: bool) -> float:
    """What the graphs of a layer take, in those of a dense layer with plain attention. [layers]"""
    experts = isinstance(group.ffn, ExpertFfn)
    latent = any(isinstance(mixer, Latent) for mixer in group.mixers)
    return 1 + (0.4 if experts else 0) + (1 if latent else 0) + (2 if experts and packed_experts else 0)


def captured_graphs(engine: Engine, largest: int = 512) -> int:
    """Graphs that are captured: by pieces up to min(largest, 2 × max_num_seqs) tokens, and whole for decode since 0.11.

    Sizes are 1, 2, 4, every 8 up to 256, every 16 beyond; every 8 throughout up to 0.11. [graphs]

    Source: vLLM 0.14 to 0.28, vllm/config/vllm.py, and 0.10 and 0.11, vllm/config/__init__.py, `_set_cudagraph_sizes`.

    >>> captured_graphs(Engine(version=19, max_num_seqs=1024, max_num_batched_tokens=8192))
    102
    """
    most = min(largest, 2 * engine.max_num_seqs)
    step = 8 if engine.version <= 11 else 16
    sizes = [size for size in (1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, step)) if size <= most]
    whole = [size for size in sizes if size <= engine.max_num_seqs] if engine.version >= 11 else []
    return len(sizes) + len(whole)


def memory(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine) -> RankMemory:
    """Where the memory of the busiest GPU goes: that of the stage which leaves the smallest pool.

    Only the last stage samples. Graphs are taken from the engine's budget since 0.20, and from the memory outside it
    before.

    Limits: the second model runner takes them from outside again; they are smaller there by amounts that two logs leave
    open, and not held against what is free.
    Source: vLLM, vllm/v1/worker/gpu_worker.py, `determine_available_memory`.
    """
    stages = stage_weights(_loaded(model, engine), precision, layout, loader(gpu, engine))
    peaks = [_peak(model, precision, gpu, layout, engine, last=False)] * (layout.pp - 1)
    peaks.append(_peak(model, precision, gpu, layout, engine, last=True))
    weights, activation = max(zip(stages, peaks, strict=True), key=sum)
    share, total = utilization(model.architecture, gpu, layout, engine), gpu.engine_memory
    graphs = graph_memory(
        model.architecture,
        engine,
        layout,
        packed_experts=precision.id == "mxfp4",
        largest=largest_graph(gpu, engine.version),
    )
    counted = engine.version >= FIRST_COUNTED_GRAPHS
    inside = counted and not has_second_runner(model.architecture, engine)
    return RankMemory(
        total=total,
        budget=share * total,
        weights=weights,
        activation=activation,
        non_torch=non_torch(engine, layout, gpu) + exchange_buffers(model.architecture, gpu, layout),
        graphs=graphs if inside else 0.0,
        outside=CONTEXT
        + collectives(engine, layout, gpu)
        + (0.0 if counted else graphs)
        + LOGIT_BYTES * engine.max_num_seqs * model.architecture.vocab,
    )


def _loaded(model: Model, engine: Engine) -> Model:
    """The model as it is loaded: without its image encoder where there are no images.

    Source: vLLM 0.17 to 0.28, vllm/model_executor/models/interfaces.py, `_mark_tower_model`.
    """
    if engine.images:
        return model
    return replace(model, architecture=replace(model.architecture, vision_params=0, vision_replicated=0))


def loader(gpu: Gpu, engine: Engine) -> Loader:
    """How this version loads weights on this GPU.

    Triton's kernels for MXFP4, which Hopper takes, come with vLLM since 0.12; before it worked with Marlin there too.

    Source: vLLM 0.10 to 0.14, vllm/model_executor/layers/quantization/mxfp4.py, `get_mxfp4_backend`; pull request
    28788; gpt-oss-120b on one H100 took 65.97 GiB on 0.10 and 64.38 GiB on 0.14.
    """
    return Loader(
        marlin=gpu.architecture != "Hopper" or engine.version <= 11,
        first_engine=engine.version <= LAST_OF_THE_FIRST_ENGINE,
        doubled_keys=True,
        stage_copies=True,
        latent_views=engine.version >= FIRST_LATENT_VIEWS,
        batched_tokens=engine.max_num_batched_tokens,
    )


def _peak(model: Model, precision: Precision, gpu: Gpu, layout: Layout, engine: Engine, *, last: bool) -> float:
    """The activation peak of one stage. [B]"""
    return activation_peak(
        model.architecture,
        engine,
        tp=layout.tp,
        workspace=precision.id != "mxfp4",
        element=4 if precision.id == "fp32" else 2,
        samples=last,
        attention_dp=layout.attention_dp,
        wide=is_wide(gpu, layout),
        gpu_memory=gpu.engine_memory,
    )


def holding(model: Model, layout: Layout, engine: Engine, pool: float, *, kv_bits: float) -> Holding:
    """Whole blocks in the pool, and how many sequences of a context they hold at once."""
    if compressed_memory.covers(model.architecture, engine):
        blocks = compressed_memory.cut(model.architecture, layout, engine=engine)
    else:
        blocks = kv_blocks.cut(model.architecture, layout, kv_bits=kv_bits, engine=engine)
    number = max(0, int(pool // blocks.block_bytes))
    return Holding(
        tokens=lambda context: blocks.printed(number, context=context, version=engine.version),
        concurrency=partial(blocks.concurrency, number),
        sequences=sequences_at_most(model.architecture, engine, number),
    )


def sequences_at_most(architecture: Architecture, engine: Engine, blocks: int) -> int | None:
    """What `max_num_seqs` may be: with recurrent states the blocks of the pool, of which each sequence needs one.

    That is checked before graphs of decode steps are captured: "max_num_seqs (1024) exceeds available Mamba cache
    blocks (856)". None where nothing is checked.

    Limits: whatever keeps a state is counted, short convolutions too. Up to 0.19 graphs were capped in silence.
    Source: vLLM, vllm/config/compilation.py, `resolve_cudagraph_mode_and_sizes`; pull request 38270.
    """
    checked = engine.cuda_graphs and engine.version >= FIRST_COUNTED_STATES
    return blocks if checked and any(mixer.state for _, mixer in architecture.mixers) else None


def not_modelled(architecture: Architecture, engine: Engine) -> str | None:
    """Why vLLM's cache of this architecture is not computed here, None where it is.

    Source of the first reason: vLLM, vllm/v1/kv_cache_interface.py, `SlidingWindowSpec.max_memory_usage_bytes`.
    """
    kept = [mixer for _, mixer in architecture.mixers]
    if engine.context_parallel > 1 and any(mixer.state or any(p.window for p in mixer.cached) for mixer in kept):
        return "decode context parallelism takes no windowed or recurrent layers"
    if is_compressed(architecture):
        return compressed_memory.not_modelled(architecture, engine)
    return kv_blocks.not_modelled(architecture, version=engine.version)
