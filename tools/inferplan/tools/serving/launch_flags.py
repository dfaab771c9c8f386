"""How serving engines are started, and how they spell their flags."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferplan.catalog.engines import ENGINES
from inferplan.core.engine import Engine, EngineName


@dataclass(frozen=True, kw_only=True, slots=True)
class Flags:
    """The start command and the flags of an engine, as format strings; an empty one does not exist there.

    `spread` stands before the command where a replica spans nodes, `workers` is what runs on the other nodes. `file`
    names a file for settings without a flag, whose contents the command's remark gives. `quantize` holds, by weight
    format, the flag that quantises a 16-bit checkpoint while it is loaded; `unquantised` is what `cache` calls 16 bit.
    """

    start: str
    spread: str = ""
    workers: str = ""
    file: str = ""
    code: str = ""
    tensor: str = ""
    pipeline: str = ""
    nodes: str = ""
    context: str
    sequences: str
    quantize: Mapping[str, str] = field(default_factory=dict[str, str])
    wide: str = ""
    cache: str = ""
    unquantised: str = ""
    block: str = ""
    beyond: str = ""
    longer: str = ""
    share: str = ""
    tokens: str
    eager: str = ""
    prefix: str = ""
    no_prefix: str = ""
    no_windows: str = ""
    context_parallel: str = ""
    text_alone: str = ""
    shared: str = ""
    shared_nodes: str = ""
    exchange: str = ""
    overlap: str = ""
    spare: str = ""
    whole: str = ""
    sent: str = ""
    dense: str = ""
    drafts: str = ""
    adapters: str = ""
    adapters_sharded: str = ""


FLAGS: Mapping[EngineName, Flags] = {
    "vllm": Flags(
        start="vllm serve {}",
        code="--trust-remote-code",
        tensor="--tensor-parallel-size {}",
        pipeline="--pipeline-parallel-size {}",
        nodes="--nnodes {} --node-rank 0 --master-addr HOST",
        context="--max-model-len {}",
        sequences="--max-num-seqs {}",
        quantize={"fp8": "--quantization fp8", "nf4": "--quantization bitsandbytes"},
        wide="--dtype float32",
        cache="--kv-cache-dtype {}",
        unquantised="bfloat16",
        block="--block-size {}",
        beyond="VLLM_ALLOW_LONG_MAX_MODEL_LEN=1",
        share="--gpu-memory-utilization {:g}",
        tokens="--max-num-batched-tokens {}",
        eager="--enforce-eager",
        prefix="--enable-prefix-caching",
        no_prefix="--no-enable-prefix-caching",
        no_windows="--disable-hybrid-kv-cache-manager",
        context_parallel="--decode-context-parallel-size {}",
        text_alone="--language-model-only",
        shared="--data-parallel-size {groups} --enable-expert-parallel",
        shared_nodes="--data-parallel-size-local {local} --data-parallel-address HOST",
        exchange="--all2all-backend {}",
        overlap="--enable-dbo",
        spare="--enable-eplb --eplb-config.num_redundant_experts {}",
        whole="--enable-expert-parallel",
        drafts="--speculative-config.method {2} --speculative-config.num_speculative_tokens {0}",
        adapters="--enable-lora --max-loras {0} --max-lora-rank {1}",
        adapters_sharded="--fully-sharded-loras",
    ),
    "sglang": Flags(
        start="python -m sglang.launch_server --model-path {}",
        code="--trust-remote-code",
        tensor="--tp-size {}",
        pipeline="--pp-size {}",
        nodes="--nnodes {} --node-rank 0 --dist-init-addr HOST:5000",
        context="--context-length {}",
        sequences="--max-running-requests {}",
        quantize={
            "fp8": "--quantization fp8",
            "nf4": "--quantization bitsandbytes --load-format bitsandbytes",
        },
        wide="--dtype float32",
        cache="--kv-cache-dtype {}",
        unquantised="bfloat16",
        beyond="SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1",
        share="--mem-fraction-static {:g}",
        tokens="--chunked-prefill-size {}",
        eager="--disable-cuda-graph",
        no_prefix="--disable-radix-cache",
        shared="--dp-size {groups} --enable-dp-attention",
        sent="--moe-a2a-backend deepep",
        dense="--moe-dense-tp-size 1",
        shared_nodes="--nnodes {nodes} --node-rank 0 --dist-init-addr HOST:5000",
        overlap="--enable-two-batch-overlap",
        spare="--ep-num-redundant-experts {}",
        whole="--ep-size {}",
        drafts=(
            "--speculative-algorithm EAGLE --speculative-num-steps {0} --speculative-eagle-topk 1 "
            "--speculative-num-draft-tokens {1}"
        ),
        adapters=(
            "--enable-lora --max-loras-per-batch {0} --max-lora-rank {1} "
            "--lora-target-modules q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"
        ),
    ),
    "tensorrt-llm": Flags(
        start="trtllm-serve {}",
        code="--trust_remote_code",
        shared="--ep_size {groups}",
        file="--extra_llm_api_options FILE",
        spread="srun -N {nodes} --ntasks {gpus} --ntasks-per-node {each} --mpi=pmix trtllm-llmapi-launch",
        tensor="--tp_size {}",
        pipeline="--pp_size {}",
        context="--max_seq_len {}",
        sequences="--max_batch_size {}",
        share="--kv_cache_free_gpu_memory_fraction {:g}",
        tokens="--max_num_tokens {}",
    ),
    "llama.cpp": Flags(
        start="llama-server -m {}.gguf -ngl 999 -fa on",
        workers="ggml-rpc-server -H 0.0.0.0 -p 50052",
        nodes="--rpc {others}",
        context="-c {}",
        sequences="-np {}",
        cache="-ctk {0} -ctv {0}",
        longer="--override-kv ARCHITECTURE.context_length=int:{}",
        tokens="-ub {}",
        no_windows="--swa-full",
    ),
}
"""Source: the `--help` of vLLM 0.28, SGLang 0.5.23, TensorRT-LLM 1.1 and llama.cpp of late 2026; vLLM's arg_utils.py
has the same flags up to 0.33. `EngineInfo.since` says which of vLLM's are not in every version.

SGLang's and TensorRT-LLM's tensor degrees count all ranks of a stage; with DeepEP SGLang's share the experts without
`whole`. Groups that share experts in TensorRT-LLM: docs/source/features/parallel-strategy.md. Several servers:
llama.cpp, tools/rpc/README.md (of late 2026; it was rpc-server before); TensorRT-LLM, trtllm-serve, multi-node serving.
"""
EARLIER: Mapping[str, str] = {
    "start": "python -m vllm.entrypoints.openai.api_server --model {}",
    "nodes": "--distributed-executor-backend ray",
}
"""What older versions of vLLM have in place of a flag; a flag that is missing here needs no replacement.

Source: vLLM's documentation, parallelism and scaling (0.11): the other nodes are those of the Ray cluster.
"""
EXCHANGE = "VLLM_ALL2ALL_BACKEND={}"
"""The environment variable that older versions of vLLM have in place of the flag `exchange`."""
AITER = "VLLM_ROCM_USE_AITER=1"
"""What vLLM needs in the environment for MoRI, which hands tokens to AITER's experts alone.

Source: vLLM 0.16 to 0.33, fused_moe/config.py and layer.py ("Mori needs to be used with aiter fused_moe for now").
"""


def spelled(engine: Engine, flag: str) -> str:
    """A flag as this version of the engine spells it; empty where it has none."""
    known = ENGINES[engine.name].has(flag, engine.version)
    return getattr(FLAGS[engine.name], flag) if known else EARLIER.get(flag, "")
