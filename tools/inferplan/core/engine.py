"""A serving engine: which one, which version, and the settings that decide what memory it takes."""

from dataclasses import dataclass
from typing import Literal, get_args

EngineName = Literal["vllm", "sglang", "tensorrt-llm", "llama.cpp"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
USUAL: EngineName = "vllm"
"""What is planned with where nobody names another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine with its settings, under the names that vLLM has for them.

    `version` is the minor version of vLLM (28 is 0.28); the rules of the others are not told apart by version.
    `memory_utilization` is the share that the engine's own setting gives it: vLLM's gpu_memory_utilization, SGLang's
    mem_fraction_static, TensorRT-LLM's free_gpu_memory_fraction; None is the engine's default, which may follow from
    model, GPU and layout. `max_num_seqs` sequences run at once (`--parallel` slots in llama.cpp) and
    `max_num_batched_tokens` enter a step (chunked_prefill_size, max_num_tokens, ubatch-size). Prefix caching keeps a
    second copy of recurrent states. `windows` says whether windowed layers keep their window only (vLLM's hybrid KV
    cache manager, llama.cpp without --swa-full). `context_parallel` ranks of a tensor group share out the tokens of
    the cache (vLLM's decode context parallelism). `latent_scales` says whether 8-bit latents under an indexer are
    stored with scales and a 16-bit rotary part, `state_checkpoints` whether the kernels of Gated DeltaNet hand out
    states inside a prompt (see `vllm_defaults.default_state_checkpoints`), `head_scale_bytes` what is kept beside the
    keys of each head of a token and beside its values. `drafts` tokens are drafted a step (speculative decoding);
    `images` says whether a model that sees is served with its image encoder (else vLLM's --language-model-only), and
    `max_model_len` the context that it is started for, where that decides what the encoder is tried out on. `adapters`
    (LoRA) may be in one batch, of ranks up to `adapter_rank`; with `adapters_sharded` tensor groups share out all of
    their matrices (vLLM's --fully-sharded-loras). `as_told` says whether it is started with `max_num_seqs` even where
    it refuses that (see `vllm_memory.sequences_at_most`), as a log was, and `first_runner` whether vLLM's first model
    runner was asked for (VLLM_USE_V2_MODEL_RUNNER=0). `first_start` says whether vLLM has to compile the model, as a
    container without the cache of an earlier start does.
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
    as_told: bool = False
    first_runner: bool = False
    first_start: bool = False
