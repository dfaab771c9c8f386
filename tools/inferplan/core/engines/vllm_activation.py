"""The activation peak of vLLM's profile run, before it sizes the KV pool: forward pass, sampler, experts, images."""

from inferplan.core.architecture import Architecture, ExpertFfn, LayerGroup
from inferplan.core.engine import Engine
from inferplan.core.engines import compressed_memory
from inferplan.core.engines.vllm_buffers import DISPATCHED_TOKENS
from inferplan.core.engines.vllm_defaults import (
    LAST_OF_THE_FIRST_ENGINE,
    has_second_runner,
    is_compiled,
    is_on_second_runner,
)
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.vision import VisionTower, encoder_peak, frames_at_once, kept_images, profiled_images
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB

LAST_CHUNKED_EXPERTS = 16
"""The last vLLM (0.16) that is taken to compute experts on 16,384 tokens at a time: pull request 34086."""
EXPERT_CHUNK = 16384
"""`VLLM_FUSED_MOE_CHUNK_SIZE` of its last versions. [tokens]"""
LOGIT_BYTES = 4
"""An fp32 logit. [B]"""
LAST_COPIED_LOGITS = 27
"""The last vLLM (0.27) whose second model runner profiles its sampler on logits copied to fp32."""
FIRST_FULL_SAMPLER = 33
"""The first vLLM (0.33; not 0.32) that profiles its sampler with all sampling parameters in use."""
FULL_SAMPLER_LOGIT = 3 * LOGIT_BYTES
"""What those take beside a logit: a copy in fp32, its top k and their probabilities. [B]"""
FIRST_KNOWN_ENCODER = 16
"""The first vLLM (0.16) whose profiling of image encoders is modelled; before, Qwen3-VL was profiled with a video."""
FIRST_TUNED = 20
"""The first vLLM (0.20) whose first starts are modelled (see `tuning_peak`)."""
FIRST_PROFILED_ENCODER = 27
"""The first vLLM (0.27) whose second model runner profiles image encoders: pull request 47985."""


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
    """max(encoder, max(forward, sampler) + expert workspace + images kept for the decoder), of vLLM's profile run. [B]

    The peak depends on batched tokens, widths, vocabulary and sampling kernel, not on weights or KV cache. MXFP4
    kernels need no `workspace`. An element of activations has `element` bytes, 4 in fp32. Only the last pipeline stage
    `samples`; `wide` expert parallelism spans nodes. `gpu_memory` decides how many frames Gemma 4 encodes at once.

    Limits: of an encoder whose layers are not known only the outputs count, one for each batched token.
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
        seen = architecture.vision_params and engine.images and not _skips_encoder(architecture, engine)
        return text + (element * tokens * hidden if seen else 0)
    images = profiled_images(tower, tokens, engine.max_model_len)
    text += kept_images(tower, images, hidden=hidden, element=element)
    at_once = frames_at_once(gpu_memory, engine.version)
    return max(text, encoder_peak(tower, images, hidden=hidden, tp=tp, element=element, at_once=at_once))


def tunes(architecture: Architecture, engine: Engine) -> bool:
    """Whether a first start of this model tunes kernels on a copy of the embedding: see `tuning_peak`."""
    looks_up = not (architecture.vision_params and engine.images) and is_compiled(architecture, engine)
    return looks_up and engine.cuda_graphs and engine.version >= FIRST_TUNED


def tuning_peak(architecture: Architecture, engine: Engine, *, tp: int, element: int = 2) -> float:
    """element × hidden × (vocabulary / tp + 2 × T): what kernels are tuned on in a first start, on the first stage. [B]

    T are the batched tokens. On compilation PyTorch's inductor tunes each kernel with arguments that it allocates
    itself, as large as the real ones: the first kernel reads the embedding and returns two hidden states. vLLM compiles
    within its profile run, so that these count as activations; a second start finds the compiled code in a cache.

    Limits: vision models look embeddings up outside the compiled part. What compilation leaves outside PyTorch is not
    counted: three starts under Windows (WSL) left 0.3 to 0.6 GiB less, a fourth none. Versions before 0.20 were not
    read.
    Source: artifacts that vLLM 0.10 to 0.29 left in its cache, published with several projects ("Compile-time
    auto-tuning block": `generate_example_value((151936, 2048), ...)` for Qwen3 1.7B); vLLM's issues 54122 and 54383.
    Four first starts on A40, A100, A10G and RTX 4090 (0.26 to 0.31) left 0.14 GiB less to 0.05 more than predicted.

    >>> from inferplan.catalog.models import MODELS
    >>> engine = Engine(max_num_seqs=256, max_num_batched_tokens=2048, first_start=True)
    >>> round(tuning_peak(MODELS["Qwen/Qwen3-8B"].architecture, engine, tp=1) / GIB, 2)
    1.19
    """
    if not (engine.first_start and tunes(architecture, engine)):
        return 0.0
    return element * architecture.hidden * (architecture.vocab / tp + 2 * engine.max_num_batched_tokens)


def counted_encoder(architecture: Architecture, engine: Engine) -> VisionTower | None:
    """The image encoder whose peak in vLLM's profile run is modelled: since 0.16, where its layers are known; or None.

    Limits: None for SGLang and TensorRT-LLM, which take vLLM's decoder peak here, but do not profile the encoder so.
    """
    counted = engine.name == "vllm" and engine.images and engine.version >= FIRST_KNOWN_ENCODER
    return architecture.vision if counted and not _skips_encoder(architecture, engine) else None


def leaves_out_encoder(architecture: Architecture, engine: Engine) -> bool:
    """Whether vLLM profiles an image encoder whose peak is not modelled."""
    served = engine.name == "vllm" and engine.images and architecture.vision_params > 0
    return served and counted_encoder(architecture, engine) is None and not _skips_encoder(architecture, engine)


def _skips_encoder(architecture: Architecture, engine: Engine) -> bool:
    """Whether the second model runner leaves the image encoder out of its profile run, as on 0.25 and 0.26.

    The KV pool is larger for it; the first images then take memory outside the engine's budget.

    Source: vLLM 0.25 and 0.26, vllm/v1/worker/gpu/model_runner.py, `profile_run`; issue 50159, where this runner left
    0.89 GiB more of each of two RTX 3090 for Gemma 4 31B than the first one.
    """
    return engine.version < FIRST_PROFILED_ENCODER and has_second_runner(architecture, engine)


def _forward_peak(hidden: int, group: LayerGroup, engine: Engine, *, tp: int, element: int) -> float:
    """element × T × (3 × width / tp + 4 × hidden), 2 × width / tp where not gated: one layer of a group. [B]

    T are the batched tokens, the width is that of the dense block or the shared expert. vLLM's first engine holds one
    hidden state fewer. Layers with compressed keys add `compressed_memory.forward_peak`.
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
    """2 B × T × active × (hidden + max(2 × intermediate / tp, hidden)): the experts' workspace, allocated for good. [B]

    With data-parallel attention a rank's workspace fits the tokens of all groups, and its experts are whole; across
    nodes (`wide`) it fits 256 tokens for every expert at a time.

    Limits: with data-parallel attention read in the source alone; no published log of it was found.
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
    rows = DISPATCHED_TOKENS * ffn.experts if wide else tokens * ffn.active
    return 2 * rows * (hidden + max(width, hidden))


def _sampler_peak(architecture: Architecture, engine: Engine, *, element: int) -> float:
    """s × max_num_seqs × vocabulary + element × T × hidden, with s bytes per logit by sampling kernel. [B]

    s is 38.4 B up to 0.16 (a full sort), then 12.75 B and the logit itself (Triton's top-k and top-p; FlashInfer
    samples since 0.21, but Triton's kernel is still profiled). The second model runner profiles with the logits alone,
    up to 0.27 with a copy in fp32, and since 0.33 with three. With drafts the first one also tries out the sampler that
    rejects them, on one draft for each sequence: meanwhile it holds the logits of token and draft and the token's once
    more, and of either a copy in fp32. The second one tries out no drafts.

    Limits: before 0.12 s was 11 B where FlashInfer was installed, which no configuration says. Of the three copies an
    L4 showed about two (pull request 57926: the pool of Qwen2.5 0.5B fell by 7.1 B a logit). No log with drafts and
    many sequences was found; the largest known has two, whose peak is the forward pass.
    Source: published logs; vLLM, vllm/v1/worker/gpu_model_runner.py and vllm/v1/worker/gpu/model_runner.py,
    `_dummy_sampler_run`, vllm/v1/sample/rejection_sampler.py (0.28), and vllm/v1/worker/gpu/sample/sampler.py;
    FlashInfer 0.7.2, `top_k_top_p_sampling_from_logits`.
    """
    per_logit = 38.4 if engine.version <= 16 else 12.75 + element
    if engine.drafts:
        per_logit += 3 * element + 2 * LOGIT_BYTES
    if is_on_second_runner(architecture, engine):
        copied = LOGIT_BYTES if engine.version <= LAST_COPIED_LOGITS else 0
        per_logit = element + (FULL_SAMPLER_LOGIT if engine.version >= FIRST_FULL_SAMPLER else copied)
    logits = per_logit * engine.max_num_seqs * architecture.logits
    return logits + element * engine.max_num_batched_tokens * architecture.hidden
