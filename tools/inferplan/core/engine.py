"""A serving engine: which one, which version, and the settings that decide what memory it takes."""

from dataclasses import dataclass
from typing import Literal, get_args

EngineName = Literal["vllm", "sglang", "tensorrt-llm", "llama.cpp"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
USUAL: EngineName = "vllm"
"""The engine of a plan that names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine with its settings, under the names that vLLM has for them.

    `version` is the minor version of vLLM (28 is 0.28); the rules of the other engines do not depend on it.
    `memory_utilization` is the share of GPU memory that the engine may fill: vLLM's gpu_memory_utilization, SGLang's
    mem_fraction_static, TensorRT-LLM's free_gpu_memory_fraction; None is the engine's default, which may follow from
    model, GPU and layout. `max_num_seqs` sequences run at once (llama.cpp: --parallel slots) and
    `max_num_batched_tokens` enter a step (chunked_prefill_size, max_num_tokens, ubatch-size). With
    `keeps_max_num_seqs` no plan lowers `max_num_seqs`, even where the engine would refuse it (see
    `vllm_memory.sequences_at_most`): the engine of a published log ran with what it was given.

    KV cache: `prefix_caching` keeps further copies of recurrent states. `windows` says whether windowed layers keep
    their window only (vLLM's hybrid KV cache manager; llama.cpp without --swa-full). The tokens of the cache are shared
    out over `context_parallel` ranks of a tensor group (vLLM's decode context parallelism). `latent_scales` says
    whether 8-bit latents under an indexer are stored with scales and a 16-bit rotary part, `state_checkpoints` whether
    the kernels of Gated DeltaNet hand out states inside a prompt (see `vllm_defaults.default_state_checkpoints`).
    `head_scale_bytes` is what scales take per token and head, for the key and again for the value. [B]

    `drafts` tokens are drafted per step (speculative decoding). `images` says whether a vision model is served with its
    image encoder (else vLLM's --language-model-only); `max_model_len` is the context it is started for, where that
    decides which images the encoder is profiled with, else 0. A batch may hold `adapters` (LoRA) of ranks up to
    `adapter_rank`; with `adapters_sharded` both of their matrices are sharded (vLLM's --fully-sharded-loras).
    `first_runner` says whether vLLM's first model runner was asked for (VLLM_USE_V2_MODEL_RUNNER=0), `first_start`
    whether vLLM has to compile the model, as in a container without the cache of an earlier start.
    """

    name: EngineName = USUAL
    version: int = 28
    memory_utilization: float | None = None
    max_num_seqs: int
    max_num_batched_tokens: int
    cuda_graphs: bool = True
    prefix_caching: bool = True
    windows: bool = True
    context_parallel: int = 1
    latent_scales: bool = True
    state_checkpoints: bool = False
    head_scale_bytes: int = 0
    drafts: int = 0
    images: bool = True
    max_model_len: int = 0
    adapters: int = 0
    adapter_rank: int = 16
    adapters_sharded: bool = False
    keeps_max_num_seqs: bool = False
    first_runner: bool = False
    first_start: bool = False
