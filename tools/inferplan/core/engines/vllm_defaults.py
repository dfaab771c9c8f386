"""vLLM's defaults by version, GPU and model: batching, prefix caching, memory utilization, model runner.

Read in the sources of 0.6 to 0.33, which each function names.
"""

from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.engines.kv_coverage import pools_index_keys
from inferplan.core.hardware import Gpu
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.parallelism import Layout
from inferplan.core.units import GIB

NEWEST = 28
"""The newest vLLM (0.28) whose memory rules were compared with many logs.

Few starts of 0.29 to 0.31 are published, and none of 0.32 and 0.33: the pool comes out 0.1 and 0.8 % too large for
Gemma 4 31B in FP8 on H100 (0.30), within 0.1 % for two builds of Qwen3 32B in 4 bit on B200 (0.31, with the weights as
logged) and Llama 3.1 8B on A100 (0.31, a first start), 1.8 % too small for Qwen3.8 27B on RTX PRO 6000 (0.29) and some
2 % too large for Gemma 4 E2B on MI300X (0.29), but 8 to 14 % for Gemma 4 E2B and Qwen3.5 4B on L4 and T4 (0.29, 0.30),
which have encoders. GLM-5.3-Flash, with experts and states, is 1.7 % off on H200 (0.30) and 5.8 on H100 (0.31), where
Qwen3.8 Flash Next and DeepSeek V4 Flash are within 0.1 %.
"""
LAST_OF_THE_FIRST_ENGINE = 7
"""The last vLLM (0.7) whose default engine is the first one (V0)."""
LARGE_GPU = 70 * GIB
"""Memory from which (A100 excepted) vLLM's API server batches 8,192 tokens and 1,024 sequences by default. [B]"""
LARGEST_GPU = 160 * GIB
"""Memory from which vLLM 0.28 batches 16,384 tokens by default. [B]"""
SHORT_STEP = 2048
"""The default of smaller GPUs; also suggested where longer steps leave little memory for the KV cache. [tokens]"""
FIRST_TEXT_ALONE = 17
"""The first vLLM (0.17) with `--language-model-only`, which loads no image encoder."""
SECOND_RUNNER = range(25, 29)
"""The versions (0.25 to 0.28) whose second model runner runs models without experts and recurrent states."""
SECOND_RUNNER_OF_EXPERTS = range(24, 29)
"""The versions (0.24 to 0.28) whose second model runner runs Qwen2-MoE."""
ONLY_RUNNER = 29
"""The first vLLM (0.29) whose second model runner runs all models, and counts its graphs before the pool is sized."""
FIRST_CHECKPOINTS = 32
"""The first vLLM (0.32) that keeps a Mamba-2 state inside a prompt beside that at its end."""
FIRST_DELTA_CHECKPOINTS = 33
"""The first vLLM (0.33) that keeps one of Gated DeltaNet as well."""
CHECKPOINT_KEYS = 128
"""The width of keys for which FlashInfer's kernel prefills Gated DeltaNet on Blackwell, as in Qwen's models."""
FIRST_FP8_GLM = 32
FIRST_FP8_FLASH = 33
"""The first vLLM (0.32, 0.33) that caches GLM-5 and GLM-5.3 Flash in FP8 on datacenter Blackwell by default."""
GLM_VALUES = 256
"""The width of a value in GLM's latents. [elements]"""
FIRST_SMALL_GB10 = 33
"""The first vLLM (0.33; not 0.32) that batches on GB10 as on small GPUs."""
COMPRESSED_ON_SECOND_RUNNER = 28
"""The version (0.28) whose second model runner runs DeepSeek-V4, on NVIDIA GPUs."""


def default_batching(gpu: Gpu, version: int) -> tuple[int, int]:
    """The default `max_num_batched_tokens` and `max_num_seqs` of vLLM's API server on this GPU.

    8,192 and 1,024 from 70 GiB on, A100 excepted, and GB10 since 0.33; 2,048 and 256 below, and on the first engine
    everywhere; 16,384 tokens from 160 GiB on since 0.28.

    Source: vLLM 0.8 to 0.33, vllm/engine/arg_utils.py, `get_batch_defaults` and what it was before.
    """
    small = "a100" in gpu.product or (version >= FIRST_SMALL_GB10 and "gb10" in gpu.product)
    if version > LAST_OF_THE_FIRST_ENGINE and gpu.engine_memory >= LARGE_GPU and not small:
        return (16384 if version >= 28 and gpu.engine_memory >= LARGEST_GPU else 8192), 1024
    return SHORT_STEP, 256


def default_prefix_caching(architecture: Architecture, engine_version: int = NEWEST) -> bool:
    """Whether prefix caching is on by default: always, but with recurrent states only since 0.28, and alone never.

    Source: vLLM 0.11, vllm/model_executor/models/config.py, `MambaModelConfig` (off beside states); 0.14 to 0.24,
    vllm/config/model.py, `is_prefix_caching_supported`; 0.26 to 0.33, vllm/engine/arg_utils.py,
    `_set_default_chunked_prefill_and_prefix_caching_args`.
    """
    return architecture.has_cache and (engine_version >= 28 or not architecture.has_states)


def default_latent_scales(gpu: Gpu, engine_version: int = NEWEST) -> bool:
    """Whether 8-bit latents under an indexer take 656 B (`fp8_ds_mla`) on this GPU, and not 1 B per element.

    Since 0.19 FlashInfer's kernel, which reads plain elements, has priority on B200, B300 and the like.

    Source: vLLM, vllm/platforms/cuda.py, `_get_backend_priorities`; vllm/model_executor/layers/attention/
    mla_attention.py, `_canonicalize_sparse_mla_kv_cache_dtype`; a published log of GLM-5.2 on GB200.
    """
    return engine_version < 19 or not is_datacenter_blackwell(gpu)


def caches_in_fp8(architecture: Architecture, gpu: Gpu, engine_version: int = NEWEST) -> bool:
    """Whether the KV cache is FP8 where nothing is said: GLM's sparse latents on datacenter Blackwell since 0.32.

    Those of GLM-5 to 5.3 have values of 256 elements, in one stream; GLM-5.3 Flash compresses its index keys, and is
    cached so since 0.33.

    Source: vLLM 0.31 to 0.33, model_executor/models/config.py, `GlmMoeDsaForCausalLM` and `Glm5NextModelConfig`.
    """
    sparse = [one for _, one in architecture.mixers if isinstance(one, Latent) and one.indexer]
    if not sparse or not is_datacenter_blackwell(gpu):
        return False
    if any(one.indexer.compress > 1 for one in sparse if one.indexer):
        return engine_version >= FIRST_FP8_FLASH
    plain = architecture.streams == 1 and all(one.value_dim == GLM_VALUES for one in sparse)
    return plain and engine_version >= FIRST_FP8_GLM


def default_state_checkpoints(gpu: Gpu, engine_version: int = NEWEST) -> bool:
    """Whether the prefill kernel of Gated DeltaNet returns a state inside the prompt, as FlashInfer's does.

    Source: vLLM 0.33, vllm/model_executor/layers/mamba/gdn/qwen_gdn_linear_attn.py, `_resolve_gdn_prefill_backend`:
    compute capability 9, 10 and 12.
    """
    return engine_version >= FIRST_DELTA_CHECKPOINTS and gpu.architecture in ("Hopper", "Blackwell", "Blackwell Ultra")


def utilization(_architecture: Architecture, _gpu: Gpu, _layout: Layout, engine: Engine) -> float:
    """`gpu_memory_utilization` as set, or its default: 0.9 up to 0.19, 0.92 since. [fraction]

    Source: vLLM, vllm/config/cache.py, `CacheConfig`.
    """
    if engine.memory_utilization is not None:
        return engine.memory_utilization
    return 0.9 if engine.version <= 19 else 0.92


def is_compressed(architecture: Architecture) -> bool:
    """Whether any layer has DeepSeek-V4's attention, for which `compressed_memory` has the rules."""
    return any(isinstance(mixer, Compressed) for _, mixer in architecture.mixers)


def has_second_runner(architecture: Architecture, engine: Engine) -> bool:
    """Whether a model runs on vLLM's second model runner in a version where that counts no graphs before the pool.

    From 0.25 to 0.28 models without experts and recurrent states do, from 0.24 to 0.28 Qwen2-MoE, on 0.28 DeepSeek-V4;
    on 0.23 and 0.24 models of the classes of Llama, Mistral and Qwen3, on 0.22 of Qwen3. From 0.29 on all models do
    (`is_on_second_runner`), and graphs are counted.

    Limits: all models with plain attention without biases count as Llama's class. Up to 0.23 quantised models ran on
    the first runner, which is not modelled; nor are DeepSeek V2 and Granite-MoE, on the second one since 0.24, Inkling
    and Kimi K3: DeepSeek-V2-Lite peaked 0.65 GiB lower on 0.24 than predicted. That a vision tower makes no difference
    since 0.25 is in the source, and in starts of Gemma 4 31B on 0.26 and 12B on 0.28.
    Source: vLLM 0.22 to 0.33, vllm/config/vllm.py, `use_v2_model_runner`; vllm/v1/worker/gpu/cudagraph_utils.py,
    `profile_cudagraph_memory`; three starts of 0.24 on one H100.
    """
    if is_compressed(architecture):
        return engine.version == COMPRESSED_ON_SECOND_RUNNER and not engine.first_runner
    if engine.first_runner or architecture.has_states:
        return False
    if architecture.experts:
        return engine.version in SECOND_RUNNER_OF_EXPERTS and _is_qwen2_with_experts(architecture)
    if engine.version in SECOND_RUNNER:
        return True
    plain = architecture.plain
    if architecture.vision_params or plain is None or plain.qkv_bias or plain.output_bias:
        return False
    return engine.version in (23, 24) or (engine.version == 22 and plain.qk_norm != "none")


def is_on_second_runner(architecture: Architecture, engine: Engine) -> bool:
    """Whether a model runs on vLLM's second model runner: all since 0.29, unless the first one was asked for.

    Limits: not modelled are DeepSeek V3.2 and V4 on AMD, on the first runner up to 0.31, and what falls back to the
    first one, such as drafts with another vocabulary.
    Source: vLLM 0.29, 0.31 and 0.33, vllm/config/vllm.py, `use_v2_model_runner`.
    """
    if engine.version >= ONLY_RUNNER:
        return not engine.first_runner
    return has_second_runner(architecture, engine)


def _is_qwen2_with_experts(architecture: Architecture) -> bool:
    """Whether the model is Qwen2-MoE by its build: attention with biases, and a shared expert with a gate.

    Source: vLLM 0.24 to 0.28, vllm/config/vllm.py, `DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES`.
    """
    experts, plain = architecture.experts, architecture.plain
    return experts is not None and experts.shared_gate and plain is not None and plain.qkv_bias


FIRST_PLAIN_CLASSES = 30
"""The first vLLM that was read (0.30) for which classes it compiles."""


def is_compiled(architecture: Architecture, engine: Engine) -> bool:
    """Whether vLLM compiles the model's class on NVIDIA's GPUs: not those of DeepSeek-V4 and of pooled index keys.

    Limits: further classes under vllm/models are not compiled (as of Inkling), and are taken to be; so are all before
    0.30.
    Source: vLLM 0.30 to 0.33, vllm/models/deepseek_v4, glm5next and qwen4_exp: none under `nvidia` has
    `support_torch_compile`, which the files beside them for AMD's and for CPUs have.
    """
    if engine.version < FIRST_PLAIN_CLASSES:
        return True
    return not any(isinstance(mixer, Compressed) or pools_index_keys(mixer) for _, mixer in architecture.mixers)


def has_wide_links(gpu: Gpu) -> bool:
    """Whether a GPU is a datacenter GPU with NVLink from Hopper on."""
    newer = gpu.architecture in ("Hopper", "Blackwell", "Blackwell Ultra")
    return newer and gpu.kind == "datacenter" and gpu.link is not None


def is_datacenter_blackwell(gpu: Gpu) -> bool:
    """Whether a GPU is Blackwell of compute capability 10, as opposed to 12."""
    return has_wide_links(gpu) and gpu.architecture.startswith("Blackwell")
