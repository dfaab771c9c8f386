"""Commands of vLLM, read by its parser and made into its configuration, which does all checks that need no kernel."""

import json
import os
import random
from collections.abc import Iterator, Mapping
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engines.asked import CONFIGS, SLUGS, Held, Started, held, started
from engines.vllm_stand_in import become, capability, ready

from inferplan.catalog.gpus import GPUS
from inferplan.core.engine_memory import as_run
from inferplan.core.parallelism import Layout

PARSERS = tuple(f"vllm.entrypoints.{place}.cli_args" for place in ("common", "launchers", "openai"))
"""Where versions have the parser of the server, the newest first."""
BLOCKS = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
INT8: Mapping[str, Any] = {
    "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False, "group_size": None,
    "actorder": None, "block_structure": None, "observer": "minmax", "observer_kwargs": {},
}  # fmt: skip
INT4 = {**INT8, "num_bits": 4, "strategy": "group", "group_size": 128}
TOKEN = {**INT8, "strategy": "token", "dynamic": True, "observer": None}


def compressed(weights: Mapping[str, Any], inputs: Mapping[str, Any] | None, form: str) -> dict[str, Any]:
    """The config of a checkpoint in compressed-tensors."""
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs, "output_activations": None}
    return {
        "quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"], "kv_cache_scheme": None,
        "quantization_status": "compressed", "config_groups": {"group_0": group},
    }  # fmt: skip


STORED: Mapping[str, Mapping[str, Any]] = {
    "fp8": {"quant_method": "fp8", "activation_scheme": "dynamic"},
    "int8": compressed(INT8, TOKEN, "int-quantized"),
    "w8a16": compressed(INT8, None, "pack-quantized"),
    "int4": compressed(INT4, None, "pack-quantized"),
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    "gptq-int8": {"quant_method": "gptq", "bits": 8, "group_size": 128, "desc_act": False, "sym": True},
    "mxfp4": compressed({**INT4, "type": "float", "group_size": 32}, None, "mxfp4-pack-quantized"),
    "nvfp4": {
        "quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": None, "group_size": 16, "ignore": [],
    },
    "mxfp8": {"quant_method": "modelopt", "quant_algo": "MXFP8", "kv_cache_quant_algo": None, "ignore": []},
}  # fmt: skip
"""How checkpoints in a format describe themselves."""
IN_BF16 = ("mxfp4", "mxfp8")
"""Formats whose builds leave the rest in BF16, also of a release in FP16."""
PLUGINS = ("nf4", "bnb-int8")
"""Formats that plugins load, as they do GGUF; here their commands are read alone."""
SIXTEEN = ("auto", "bfloat16", "float16")
"""What vLLM calls a cache in the model's own type."""


def config_of(one: Started) -> dict[str, Any] | None:
    """The config.json of the checkpoint that a command names; None where none is known.

    Of builds for which the catalogue has a name their own setting of the cache is part of it.
    """
    model, form = one.on.model, one.on.precision.id
    if one.on.precision.is_gguf or form in PLUGINS or model.id not in SLUGS:
        return None
    config = _completed(json.loads((CONFIGS / f"{SLUGS[model.id]}.json").read_text("utf-8")))
    if "architectures" not in config:
        return None
    native = config.pop("quantization_config", None) or config.get("text_config", {}).pop("quantization_config", None)
    if form == model.native_precision and native:
        return {**config, "quantization_config": {"activation_scheme": "dynamic", **native}}
    if "--quantization" in one.flags or form not in STORED:
        return config
    if form in IN_BF16:
        config = {**config, "torch_dtype": "bfloat16"}
    return {**config, "quantization_config": BLOCKS if form == "fp8" and model.block(form) else STORED[form]}


def _completed(config: dict[str, Any]) -> dict[str, Any]:
    """A config with what our copies of it leave out and vLLM insists on."""
    for key, value in [*config.items()]:
        if isinstance(value, dict):
            _completed(value)
        if key == "rope_type" and value == "llama3":
            config |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
        if key == "rope_type" and value == "proportional":
            config.setdefault("rope_theta", 1e6)
    if isinstance(config.get("sliding_window_pattern"), str):
        del config["sliding_window_pattern"]
    return config


class Engine:
    """vLLM's own parser and configuration."""

    def __init__(self) -> None:
        arguments = next(filter(None, map(_found, PARSERS)))
        flexible: Any = import_module("vllm.utils.argparse_utils")
        self._parser: Any = arguments.make_arg_parser(flexible.FlexibleArgumentParser(exit_on_error=False))
        self._parser.error = _refuse
        self._check = arguments.validate_parsed_serve_args
        self._arguments: Any = import_module("vllm.engine.arg_utils").AsyncEngineArgs
        self._context = import_module("vllm.usage.usage_lib").UsageContext.OPENAI_API_SERVER

    def made(self, one: Started, folder: Path) -> Any:
        """The configuration that vLLM makes of a command, for a checkpoint in a folder; None where it is read alone."""
        words = one.arguments
        args = self._parser.parse_args(words[1:] if words[0] == "serve" else words)
        self._check(args)
        if (config := config_of(one)) is None:
            return None
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        args.model = str(folder)
        return self._arguments.from_cli_args(args).create_engine_config(self._context)


def _found(name: str) -> Any:
    """A module, None where this version has none of the name."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def _refuse(message: str) -> None:
    raise ValueError(message)


def version() -> int:
    """The minor version of the vLLM installed: 33 is 0.33."""
    return int(import_module("vllm").__version__.split(".")[1])


def differences(one: Started, made: Any) -> Iterator[str]:
    """What vLLM would do otherwise than the answer says."""
    cache, batch, ranks, on = made.cache_config, made.scheduler_config, made.parallel_config, one.on
    layout = Layout(tp=ranks.tensor_parallel_size, pp=ranks.pipeline_parallel_size)
    if ranks.enable_expert_parallel and ranks.data_parallel_size > 1:
        layout = Layout(tp=layout.tp, pp=layout.pp, attention_dp=ranks.data_parallel_size)
    runs = as_run(on.laid_out(layout), on.precision)
    pairs = {
        "sequences": (one.value("--max-num-seqs") or runs.max_num_seqs, batch.max_num_seqs),
        "tokens of a step": (runs.max_num_batched_tokens, batch.max_num_batched_tokens),
        "share of memory": (on.utilization(layout), cache.gpu_memory_utilization),
        "prefix caching": (runs.prefix_caching, cache.enable_prefix_caching),
        "CUDA graphs": (runs.cuda_graphs, not made.model_config.enforce_eager),
        "context": (one.context, made.model_config.max_model_len),
        "windows": (runs.windows, not batch.disable_hybrid_kv_cache_manager),
        "bits of the cache": (on.kv_bits, _kv_bits(made)),
        "context parallelism": (runs.context_parallel, ranks.decode_context_parallel_size),
        "quantised": (on.precision.id not in ("fp32", "fp16", "bf16"), made.model_config.quantization is not None),
    }
    yield from (f"{name}: {ours} said, {theirs} made" for name, (ours, theirs) in pairs.items() if ours != theirs)


def _kv_bits(made: Any) -> float:
    """Bits of an element of the KV cache."""
    name = made.cache_config.cache_dtype
    if name in SIXTEEN:
        return 32 if name == "auto" and str(made.model_config.dtype) == "torch.float32" else 16
    return 8 if name.startswith(("fp8", "int8")) else 0


def hold_gpu(gpu: str, rounds: int, seed: int) -> list[Held]:
    """Commands for a GPU type held against vLLM as it would start there, in a process that has asked for no other."""
    become(GPUS[gpu], 1)
    engine, drawn = Engine(), started("vllm", random.Random(f"{seed} {gpu}"), rounds, gpus=[gpu], version=version())
    with TemporaryDirectory() as folder:
        return [_hold(one, engine, Path(folder) / str(number)) for number, one in enumerate(drawn)]


def _hold(one: Started, engine: Engine, folder: Path) -> Held:
    """What vLLM says of one command."""
    folder.mkdir()
    become(one.on.gpu, one.on.node_size)
    os.environ.update(one.environment)
    try:
        made = engine.made(one, folder)
        return held(one, *(differences(one, made) if made else ()))
    except Exception as problem:
        return held(one, f"refused: {type(problem).__name__}: {' '.join(str(problem).split())}")
    finally:
        for name in one.environment:
            del os.environ[name]


def hold_all(rounds: int, seed: int, gpus: list[str]) -> Iterator[Held]:
    """Commands for NVIDIA's GPUs, or those named, each type in a process of its own."""
    ready()
    known = [gpu.id for gpu in GPUS.values() if capability(gpu) and gpu.status != "announced"]
    for gpu in gpus or known:
        with get_context("fork").Pool(1) as pool:
            yield from pool.apply(hold_gpu, (gpu, rounds, seed))
