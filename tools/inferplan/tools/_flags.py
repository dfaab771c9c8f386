"""What serving engines and people call the arguments and settings of the tools, and flags that have no counterpart."""

from collections.abc import Collection, Mapping

LAYOUT = "tensor, pipeline and data parallel degrees are chosen, not set: plan_parallelism compares those of total_gpus"
BLOCKS = "blocks of the cache are as large as the engine makes them"
HOST = "nothing is planned in host memory"
TOGETHER = "each replica computes prompts and tokens: servers apart for the two (disaggregation) are not planned"
LATENCY = "a latency is asked for as max_ttft_ms, to the first token, and max_tpot_ms, from one token to the next"
BUDGET = "no sum is planned for: compare_costs says what each way to pay costs"
CHUNKS = "prompts are computed in steps of max_num_batched_tokens"

CALLED: Mapping[str, tuple[str, ...]] = {
    "context_window": (
        *("max_model_len", "context_length", "max_seq_len", "max_sequence_length", "ctx_size", "n_ctx", "num_ctx"),
        *("context", "context_size", "ctx", "max_context_length", "seq_len", "max_total_tokens", "max_tokens_per_user"),
        *("context_tokens", "context_len", "max_context", "sequence_length", "tokens_per_user"),
    ),
    "max_num_seqs": ("max_running_requests", "max_batch_size", "n_parallel", "max_sequences", "num_seqs"),
    "max_num_batched_tokens": (
        "chunked_prefill_size",
        "max_num_tokens",
        "ubatch_size",
        "n_ubatch",
        "max_batched_tokens",
    ),
    "memory_utilization": (
        *("gpu_memory_utilization", "gpu_mem_utilization", "gpu_utilization", "mem_fraction_static", "mem_fraction"),
        *("kv_cache_free_gpu_memory_fraction", "free_gpu_memory_fraction", "gpu_memory_fraction", "memory_fraction"),
    ),
    "kv_precision": ("kv_cache_dtype", "kv_dtype", "kv_cache_precision", "cache_dtype", "cache_type_k", "cache_type_v"),
    "precision": ("quantization", "dtype", "quant", "torch_dtype", "weight_dtype", "load_format"),
    "model": ("model_path", "model_name", "hf_model", "checkpoint", "model_id", "llm"),
    "gpu": ("gpu_type", "gpu_name", "gpu_model", "hardware", "accelerator", "device", "card"),
    "engine": ("framework", "backend", "runtime", "serving_engine", "inference_engine", "serving_framework"),
    "total_gpus": ("num_gpus", "n_gpus", "gpus", "gpu_count", "ngpus", "number_of_gpus", "world_size"),
    "concurrent_users": (
        *("users", "concurrency", "max_concurrency", "batch_size", "num_users", "concurrent_requests"),
        *("concurrent_sequences", "sessions"),
    ),
    "input_tokens": ("isl", "input_len", "input_length", "random_input_len", "prompt_tokens", "prompt_length"),
    "output_tokens": ("osl", "output_len", "output_length", "random_output_len", "max_tokens", "max_new_tokens"),
    "max_ttft_ms": ("ttft", "ttft_ms", "ttft_slo", "ttft_target"),
    "max_tpot_ms": ("tpot", "tpot_ms", "itl", "itl_ms", "tpot_slo", "itl_slo"),
    "requests_per_s": ("rps", "qps", "request_rate", "requests_per_second"),
    "requests_per_day": ("daily_requests", "requests", "requests_day"),
    "usage_hours_per_day": ("hours", "hours_per_day", "usage_hours"),
    "expert_parallel=1": ("enable_expert_parallel", "ep", "ep_size", "expert_parallel_size", "enable_ep_moe"),
    "decode_context_parallel": ("decode_context_parallel_size", "dcp", "dcp_size"),
    "cuda_graphs=0": ("enforce_eager", "disable_cuda_graph"),
    "prefix_caching=1": ("enable_prefix_caching",),
    "prefix_caching=0": ("no_enable_prefix_caching", "disable_radix_cache"),
    "hybrid_kv_cache=0": ("disable_hybrid_kv_cache_manager", "swa_full"),
    "image_inputs=0": ("language_model_only", "limit_mm_per_prompt"),
    "speculative_tokens": ("num_speculative_tokens", "speculative_num_steps", "draft_max", "draft_tokens"),
    "prefix_cache_hit_rate": ("cache_hit_rate", "hit_rate", "prefix_hit_rate"),
    "sample_weight": ("weight", "weight_value"),
    "lora_adapters": ("max_loras", "max_loras_per_batch"),
    "lora_rank": ("max_lora_rank",),
    "lora_sharded=1": ("fully_sharded_loras",),
    "engine_version": ("vllm_version",),
    "on_demand_usd_per_gpu_hour": ("price", "gpu_price", "hourly_price", "price_per_hour", "usd_per_hour", "gpu_hour"),
    "electricity_usd_per_kwh": ("electricity", "electricity_price", "power_price", "usd_per_kwh"),
    "purchase_usd_per_gpu": ("purchase_price", "gpu_cost", "capex"),
    "gpus_per_node": ("gpus_per_server", "gpus_per_host", "node_size"),
}
"""Names of others, by ours; a value behind ours is what giving the flag means.

Source: the `--help` of vLLM 0.28, SGLang 0.5.23, TensorRT-LLM 1.1 and llama.cpp of late 2026; names of benchmarks
(`isl`) and of daily speech.
"""
UNSET: Mapping[str, tuple[str, ...]] = {
    LAYOUT: (
        *("tensor_parallel_size", "tensor_parallel", "tp", "tp_size", "pipeline_parallel_size", "pp", "pp_size"),
        *("pipeline_parallel", "data_parallel_size", "data_parallel", "dp", "dp_size", "enable_dp_attention"),
        *("split_mode", "tensor_split", "tensor_model_parallel_size", "pipeline_model_parallel_size"),
    ),
    BLOCKS: ("block_size", "page_size", "tokens_per_block"),
    HOST: ("swap_space", "cpu_offload_gb", "n_gpu_layers", "ngl", "n_cpu_moe"),
    CHUNKS: ("enable_chunked_prefill",),
    LATENCY: ("latency", "latency_ms", "max_latency", "max_latency_ms", "e2e_latency", "e2e_latency_ms", "slo", "sla"),
    BUDGET: ("budget", "budget_usd", "max_cost", "monthly_budget"),
    TOGETHER: (
        *("disaggregation_mode", "kv_transfer_config", "disaggregation", "disaggregated", "disaggregated_prefill"),
        *("pd_disaggregation", "prefill_gpus", "decode_gpus", "prefill_workers", "decode_workers"),
    ),
}
"""Flags that cannot be set here, by the reason."""
NO = ("0", "false", "no", "off")
"""Values that turn a flag off."""
_OURS = {other: ours for ours, others in CALLED.items() for other in others}
_REASONS = {other: why for why, others in UNSET.items() for other in others}


def plain_name(said: str) -> str:
    """A name in Python's spelling: `--max-num-seqs` is max_num_seqs."""
    return said.strip().lstrip("-").replace("-", "_").casefold()


def flag_advice(said: str, value: str, *, arguments: Collection[str], overrides: Collection[str]) -> str | None:
    """What to give instead of a flag of others, to a tool with these arguments and overrides; None for unknown flags.

    >>> flag_advice("--max-model-len", "8192", arguments=("context_window",), overrides=())
    'give context_window=8192'
    >>> flag_advice("enforce_eager", "true", arguments=(), overrides=("cuda_graphs",))
    'give overrides="cuda_graphs=0"'
    >>> flag_advice("enforce_eager", "false", arguments=(), overrides=("cuda_graphs",))
    'give overrides="cuda_graphs=1"'
    """
    name = plain_name(said)
    if name in _REASONS:
        return _REASONS[name]
    if (found := _OURS.get(name)) is None:
        return None
    ours, _, fixed = found.partition("=")
    if fixed and value.casefold() in NO:
        fixed = str(1 - int(fixed))
    given = f"{ours}={fixed or value or '...'}"
    if ours in arguments:
        return f"give {given}"
    return f'give overrides="{given}"' if ours in overrides else f"that is {ours}, which this tool does not take"
