"""What vLLM peaks at when it tries a model out before it cuts the KV pool: forward pass, sampler, experts, images."""

from inferplan.core import compressed_memory
from inferplan.core.architecture import Architecture, ExpertFfn, LayerGroup
from inferplan.core.attention import Compressed
from inferplan.core.engine import Engine
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB
from inferplan.core.vision import VisionTower, encoder_peak, frames_at_once, kept_images, profiled_images
from inferplan.core.vllm_buffers import DISPATCHED
from inferplan.core.vllm_defaults import LAST_OF_THE_FIRST_ENGINE, has_second_runner, is_on_second_runner

LAST_CHUNKED_EXPERTS = 16
"""The last vLLM (0.16) taken to compute experts on 16,384 tokens at a time: pull request 34086, of February 2026."""
EXPERT_CHUNK = 16384
"""`VLLM_FUSED_MOE_CHUNK_SIZE` of its last versions. [tokens]"""
LOGIT_BYTES = 4
"""The sampler warms up on fp32 logits. [B]"""
LAST_COPIED_LOGITS = 27
"""The last vLLM (0.27) whose second model runner warms up on logits copied to fp32."""
FIRST_WARM_PROFILE = 33
"""The first vLLM (0.33; not 0.32) that tries its sampler out with all that can be asked of it."""
WARM_LOGIT = 3 * LOGIT_BYTES
"""What that takes beside a logit: a copy in fp32, the top k of it and their probabilities. [B]"""
FIRST_KNOWN_ENCODER = 16
"""The first vLLM (0.16) whose trial of an image encoder is counted here; before, Qwen3-VL was tried out on a video."""
FIRST_TUNED = 20
"""The first vLLM (0.20) whose first starts are told apart here."""
FIRST_TRIED_ENCODER = 27
"""The first vLLM (0.27) whose second model runner tries an image encoder out: pull request 47985, of July 2026."""


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
        seen = architecture.vision_params and engine.images and not _tries_no_encoder(architecture, engine)
        return text + (element * tokens * hidden if seen else 0)
    images = profiled_images(tower, tokens, engine.max_model_len)
    text += kept_images(tower, images, hidden=hidden, element=element)
    at_once = frames_at_once(gpu_memory, engine.version)
    return max(text, encoder_peak(tower, images, hidden=hidden, tp=tp, element=element, at_once=at_once))


def tunes(architecture: Architecture, engine: Engine) -> bool:
    """Whether a first start of this model tries kernels out on the table of embeddings."""
    looks_up = not (architecture.vision_params and engine.images)
    return looks_up and engine.cuda_graphs and engine.version >= FIRST_TUNED


def tuning_peak(architecture: Architecture, engine: Engine, *, tp: int, element: int = 2) -> float:
    """element × hidden × (vocabulary / tp + 2 × T): what the first stage of a first start tries kernels out on. [B]

    While a model is compiled, PyTorch's inductor tunes each kernel on arguments of its own making, as large as the real
    ones: the first takes the table of embeddings, and gives out two hidden states. vLLM compiles inside its trial, so
    that the pool is cut as if a batch needed as much; a second start finds what was compiled.

    Limits: models that see look embeddings up before what is compiled. What compiling leaves outside PyTorch is not
    counted: three starts under Windows (WSL) left 0.3 to 0.6 GiB less, a fourth none. Versions before 0.20 not read.
    Source: artifacts that vLLM 0.10 to 0.29 left in its cache, published with several projects ("Compile-time
    auto-tuning block": `generate_example_value((151936, 2048), ...)` for Qwen3 1.7B); vLLM's issues 54122 and 54383.
    Four first starts on A40, A100, A10G and RTX 4090 (0.26 to 0.31) left 0.14 GiB less to 0.05 more than is said.

    >>> from inferplan.catalog.models import MODELS
    >>> told = Engine(max_num_seqs=256, max_num_batched_tokens=2048, first_start=True)
    >>> round(tuning_peak(MODELS["Qwen/Qwen3-8B"].architecture, told, tp=1) / GIB, 2)
    1.19
    """
    if not (engine.first_start and tunes(architecture, engine)):
        return 0.0
    return element * architecture.hidden * (architecture.vocab / tp + 2 * engine.max_num_batched_tokens)


def counted_encoder(architecture: Architecture, engine: Engine) -> VisionTower | None:
    """The image encoder that vLLM tries out, where the rules count that: since 0.16, of towers whose layers are known.

    Limits: SGLang and TensorRT-LLM, whose decoders peak as vLLM's do, do not try it out so.
    """
    counted = engine.name == "vllm" and engine.images and engine.version >= FIRST_KNOWN_ENCODER
    return architecture.vision if counted and not _tries_no_encoder(architecture, engine) else None


def leaves_out_encoder(architecture: Architecture, engine: Engine) -> bool:
    """Whether an image encoder is tried out, and the rules do not count that."""
    tried = engine.name == "vllm" and engine.images and architecture.vision_params > 0
    return tried and counted_encoder(architecture, engine) is None and not _tries_no_encoder(architecture, engine)


def _tries_no_encoder(architecture: Architecture, engine: Engine) -> bool:
    """Whether the second model runner leaves the image encoder out of its trial, as it does on 0.25 and 0.26.

    The pool is larger for it, by what the first images then take of the memory that is left outside.

    Source: vLLM 0.25 and 0.26, vllm/v1/worker/gpu/model_runner.py, `profile_run`; issue 50159, where this runner left
    0.89 GiB more of each of two RTX 3090 for Gemma 4 31B than the first one.
    """
    return engine.version < FIRST_TRIED_ENCODER and has_second_runner(architecture, engine)


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


def _sampler_peak(architecture: Architecture, engine: Engine, *, element: int) -> float:
    """s × max_num_seqs × vocabulary + element × T × hidden, with s by sampler kernel. [B]

    s is 38.4 B up to 0.16 (a full sort) and 12.75 B with the logits' own element since (Triton top-k/top-p; since
    0.21 FlashInfer samples, but the other kernel is warmed up too). The second runner warms up on the logits alone, up
    to 0.27 with a copy in fp32, and since 0.33 with three.

    Limits: before 0.12 an installed FlashInfer took 11 B instead, which no configuration says. Of the
    three copies an L4 showed some two (pull request 57926: the pool of Qwen2.5 0.5B fell by 7.1 B a logit).
    Source: published logs; vLLM, vllm/v1/worker/gpu_model_runner.py and vllm/v1/worker/gpu/model_runner.py,
    `_dummy_sampler_run`, and vllm/v1/worker/gpu/sample/sampler.py; FlashInfer 0.7.2,
    `top_k_top_p_sampling_from_logits`.
    """
    per_logit = 38.4 if engine.version <= 16 else 12.75 + element
    if is_on_second_runner(architecture, engine):
        copied = LOGIT_BYTES if engine.version <= LAST_COPIED_LOGITS else 0
        per_logit = element + (WARM_LOGIT if engine.version >= FIRST_WARM_PROFILE else copied)
    logits = per_logit * engine.max_num_seqs * architecture.vocab
    return logits + element * engine.max_num_batched_tokens * architecture.hidden
