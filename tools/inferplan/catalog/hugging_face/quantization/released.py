"""The format that a checkpoint is released in, from `dtype` and `quantization_config`."""

from dataclasses import replace
from typing import NamedTuple, cast

from inferplan.catalog.hugging_face.quantization.bits import BITS, OTHERWISE, SIXTEEN
from inferplan.catalog.hugging_face.quantization.compressed_tensors import weights_of_groups
from inferplan.catalog.hugging_face.quantization.ignored_names import ignored_names, inner_config, noted
from inferplan.catalog.hugging_face.quantization.listed_modules import DENSE, EXPERTS, MIXERS, SHARED, ListedModules
from inferplan.catalog.hugging_face.quantization.methods import METHOD, group_size, stored
from inferplan.catalog.hugging_face.quantization.mixed import is_mixed, mixed
from inferplan.catalog.hugging_face.reading.keys import LARGEST, Keys
from inferplan.core.architecture import Architecture
from inferplan.core.model import NativeBits

CONFIG = "quantization_config"
WEIGHT_BLOCK = "weight_block_size"
EXPERT_DTYPE = "expert_dtype"
FP8_CACHE_BITS = 8
HALF_MIXERS = ("glm5_next_text",)
"""Types of decoders whose FP8 checkpoints keep what mixes tokens in 16 bit, though no list of theirs says so.

Source: vLLM 0.33, models/glm5next/common/model.py and kda.py.
"""

_DTYPES = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32", "auto": "bf16",
    "float8_e4m3fn": "fp8",
}  # fmt: skip


class Released(NamedTuple):
    """The format of a checkpoint.

    `bits` are those of each class of tensors, None where all linear layers are quantised as the format's row in the
    catalogue says [bits]. `kv_bits` is the KV cache element that the config asks for, None where it leaves that to the
    engine [bits]. `block` is how many inputs, in blocks also outputs, share a scale, 0 where the config names none.
    """

    format: str
    bits: NativeBits | None = None
    kv_bits: float | None = None
    block: int = 0


def released_in(root: Keys, body: Keys, type_: str, architecture: Architecture) -> Released:
    """The format of a checkpoint; `body` has the keys of the text decoder of a type, which may be those of `root`.

    MXFP4 as a method of its own quantises experts alone. Source: transformers, `Mxfp4HfQuantizer`.
    """
    where = root if root.has(CONFIG) else body
    config = where.child(CONFIG, defaults={})
    if config is None or not config.values:
        where.read.pop(CONFIG, None)
        return Released(_dtype(root, body))
    if config.values.get(METHOD, "modelopt") == "modelopt" and is_mixed(config):
        return _mixed(config, architecture)
    format_, bits = stored(config)
    if apart := _experts_apart(body, config, format_, tables=architecture.lookup_params > 0):
        return apart
    if format_ == "mxfp4" and config.values.get(METHOD) == "mxfp4":
        return Released(format_, NativeBits(routed_experts=bits), _kv_bits(config))
    by_class = _bits_by_class(config, format_, bits, architecture)
    if format_ == "fp8" and type_ in HALF_MIXERS:
        by_class = replace(by_class or NativeBits(ffn=bits, routed_experts=bits), mixers=SIXTEEN)
    return Released(format_, by_class, _kv_bits(config), _block(config, format_))


def _mixed(config: Keys, architecture: Architecture) -> Released:
    """The format of most parameters where each module names its own; bf16 where a problem was recorded."""
    config.keep(METHOD, "modelopt", None)
    found = mixed(config, architecture)
    return Released(*found, _kv_bits(config)) if found else Released("bf16")


def _experts_apart(body: Keys, config: Keys, format_: str, *, tables: bool) -> Released | None:
    """FP8 with routed experts in 4 bit (DeepSeek-V4): in MXFP4, or in NVFP4 as NVIDIA stores them; else None.

    In V4.1 tables of n-grams are in FP8 too, with a scale for 32 elements of a row.
    Source: vLLM 0.33, models/deepseek_v4/quant_config.py (`expert_dtype`, `moe_quant_algo`), models/deepseek_v41.
    """
    where = config if config.has(EXPERT_DTYPE) else body
    if format_ != "fp8" or where.values.get(EXPERT_DTYPE) != "fp4":
        return None
    where.keep(EXPERT_DTYPE, "fp4", None)
    algorithm = config.values.get("moe_quant_algo")
    if algorithm not in (None, "NVFP4"):
        config.unsupported("moe_quant_algo", f"known: NVFP4; {OTHERWISE}")
    config.keep("moe_quant_algo", algorithm, None)
    experts = "nvfp4" if algorithm else "mxfp4"
    lookup = BITS["mxfp8"] if tables else SIXTEEN
    return Released(experts, NativeBits(mixers=8, ffn=8, routed_experts=BITS[experts], lookup=lookup), _kv_bits(config))


def _bits_by_class(config: Keys, format_: str, bits: float, architecture: Architecture) -> NativeBits | None:
    """The bits of each class of tensors, of which some modules stay in 16 bit.

    None where all linear layers are quantised as the format's row in the catalogue says.
    """
    ignored = ListedModules(ignored_names(config), architecture)
    names = ignored.names()
    config.keep("ignore", [*names, *noted(config, ignored.unknown)], [])
    if not names and bits == BITS.get(format_):
        return None

    def mean(*kinds: str) -> float:
        return round(bits + (SIXTEEN - bits) * ignored.share(*kinds), 4)

    return NativeBits(mixers=mean(MIXERS), ffn=mean(SHARED, DENSE), routed_experts=mean(EXPERTS))


def _block(config: Keys, format_: str) -> int:
    """How many weights share a scale: the larger side of blocks, or a group of inputs; 0 where a row does. [elements]

    Source: transformers, `FineGrainedFP8Config` (`weight_block_size`); compressed-tensors, `QuantizationArgs`
    (`block_structure`, `group_size`).
    """
    if format_ in ("gptq", "gptq-int8", "awq"):
        return max(0, group_size(config))
    if format_ in ("int4", "int8", "w8a16"):
        sizes = (weights.get("group_size") for weights in weights_of_groups(config))
        return max([0, *(size for size in sizes if isinstance(size, int))])
    return _fp8_block(config) if format_ == "fp8" else 0


def _fp8_block(config: Keys) -> int:
    """The larger side of the blocks of FP8 weights that share a scale, 0 where there are none. [elements]"""
    structures = (weights.get("block_structure") for weights in weights_of_groups(config))
    values = [config.values.get(WEIGHT_BLOCK), *structures]
    sides = next((cast("list[object]", value) for value in values if isinstance(value, list)), list[object]())
    found = [side for side in sides if isinstance(side, int) and 1 <= side <= LARGEST]
    if not found or len(found) != len(sides):
        return 0
    config.keep(WEIGHT_BLOCK, found, None)
    return max(found)


def _kv_bits(config: Keys) -> float | None:
    """8 where the config asks for an FP8 cache, which vLLM obeys where no flag says otherwise; else None. [bits]

    Source: vLLM PR 29980 (`kv_cache_quant_algo` of ModelOpt) and `CompressedTensorsConfig.kv_cache_scheme`.
    """
    algorithm = config.values.get("kv_cache_quant_algo") or inner_config(config).get("kv_cache_quant_algo")
    if algorithm == "FP8":
        config.keep("kv_cache_quant_algo", algorithm, None)
        return FP8_CACHE_BITS
    scheme = config.values.get("kv_cache_scheme")
    if isinstance(scheme, dict) and cast("dict[str, object]", scheme).get("num_bits") == FP8_CACHE_BITS:
        config.keep("kv_cache_scheme", {"num_bits": FP8_CACHE_BITS}, None)
        return FP8_CACHE_BITS
    return None


def _dtype(root: Keys, body: Keys) -> str:
    """The format of weights that are not quantised, by `dtype` or `torch_dtype`; bf16 where the config has neither."""
    for keys in (body, root):
        key = keys.given(("dtype", "torch_dtype"))
        if keys.has(key):
            value = keys.values[key]
            if isinstance(value, str):
                keys.substitute(key, value.removeprefix("torch."))
            return _DTYPES[keys.word(key, allowed=tuple(_DTYPES), default="bfloat16")]
    return "bf16"
