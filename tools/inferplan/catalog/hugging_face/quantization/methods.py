"""The format of quantised weights, by the method (`quant_method`) that quantised the checkpoint."""

from collections.abc import Callable, Mapping
from typing import cast

from inferplan.catalog.hugging_face.quantization.bits import (
    BITS,
    OTHERWISE,
    SIXTEEN,
    UNQUANTISED,
    Stored,
    int8_format,
    integer_bits,
    stored_as,
)
from inferplan.catalog.hugging_face.quantization.compressed_tensors import GROUPS, MX_BLOCK, stored_in_groups
from inferplan.catalog.hugging_face.quantization.ignored_names import ignored_names
from inferplan.catalog.hugging_face.reading.keys import Keys

METHOD = "quant_method"

_OWN_FORMAT = {"fp8": "fp8", "fbgemm_fp8": "fp8", "mxfp4": "mxfp4", "mxfp8": "mxfp8"}
"""Methods that have one format."""

MODELOPT: Mapping[str, str] = {
    "FP8": "fp8", "NVFP4": "nvfp4", "W4A16_NVFP4": "nvfp4", "MXFP4": "mxfp4", "MXFP8": "mxfp8", "FP8_PB_WO": "fp8",
}  # fmt: skip
"""Formats by their names in NVIDIA's Model Optimizer."""

_QUARK = {"fp4": "mxfp4", "fp8_e4m3": "fp8", "int8": "w8a16", "int4": "int4"}
"""Formats by their names in AMD Quark: blocks of 32 weights with a scale of 8 bits are those of its `fp4`."""
QUARK_WEIGHTS_ALONE = "vLLM 0.28 loads INT8 of Quark only where inputs are INT8 too, which they are not here."
"""Source: vLLM 0.28, quark.py, `_is_static_tensor_w8a8` and `_is_dynamic_per_token_w8a8`."""

NF4_DOUBLE_BITS = 4.127
"""NF4 whose scales are quantised once more (`bnb_4bit_use_double_quant`). Source: QLoRA, arXiv 2305.14314. [bits]"""


def stored(config: Keys) -> Stored:
    """The format of what a quantization_config quantises."""
    method = config.text(METHOD) or _method_by_keys(config)
    if method not in (*_OWN_FORMAT, *_READERS):
        config.substitute(METHOD, config.values.get(METHOD, ""))
        config.unsupported(METHOD, f"known: {', '.join((*_OWN_FORMAT, *_READERS))}; {OTHERWISE}")
        return UNQUANTISED
    config.keep(METHOD, method, None)
    return stored_as(_OWN_FORMAT[method]) if method in _OWN_FORMAT else _READERS[method](config)


def _method_by_keys(config: Keys) -> str:
    """The method of a config that does not name one."""
    if _names_algorithm(config):
        return "modelopt"
    return "compressed-tensors" if config.has(GROUPS) else ""


def _names_algorithm(config: Keys) -> bool:
    """Whether a config has the keys of Model Optimizer; its newer files have groups of compressed-tensors instead."""
    return config.has("quant_algo") or config.has("quantization")


def group_size(config: Keys) -> int:
    """Inputs that share a scale in GPTQ and AWQ, -1 where all of a row do. [elements]"""
    return config.integer("group_size", "q_group_size", default=128, low=-1, high=10**6)


def _gptq(config: Keys) -> Stored:
    """GPTQ in 4 or 8 bit. Source: vLLM 0.28, auto_gptq.py, `TYPE_MAP`."""
    key, width, group = _width_and_group(config)
    asymmetric = not config.flag("sym", default=True)
    if width == 8:
        return "gptq-int8", integer_bits(group, asymmetric=asymmetric, width=8)
    if width != 4:
        config.unsupported(key, "known: 4 and 8 bits")
    return "gptq", integer_bits(group, asymmetric=asymmetric)


def _awq(config: Keys) -> Stored:
    """AWQ in 4 bit, the only one that engines have a kernel for. Source: vLLM 0.28, auto_awq.py, `TYPE_MAP`.

    What is called AWQ-8bit is written by llm-compressor, as groups of compressed-tensors.
    """
    key, width, group = _width_and_group(config)
    asymmetric = config.flag("zero_point", default=True)
    if width != 4:
        config.unsupported(key, "known: 4 bits")
    return "awq", integer_bits(group, asymmetric=asymmetric)


def _width_and_group(config: Keys) -> tuple[str, int, int]:
    """The key of the bits per weight, the bits, and the inputs that share a scale."""
    key = config.given(("bits", "w_bit"))
    return key, config.integer(key, default=4, high=16), group_size(config)


def _auto_round(config: Keys) -> Stored:
    """Intel AutoRound: integers in groups, which engines load as they do those of GPTQ or AWQ.

    Source: vLLM, quantization/auto_round.py (`packing_format`, `extra_config`).
    """
    if config.word("data_type", allowed=("int",), default="int") != "int":
        return UNQUANTISED
    widths = _own_widths(config)
    if any(isinstance(width, int) and width < SIXTEEN for width in widths.values()):
        config.refuse("extra_config", "mixes formats")
        return UNQUANTISED
    config.substitute("ignore", [*ignored_names(config), *widths])
    if "awq" not in (config.text("packing_format") or ""):
        return _gptq(config)
    config.keep("packing_format", "auto_round:auto_awq", None)
    return _awq(config)


def _own_widths(config: Keys) -> Mapping[str, object]:
    """The bits of modules that AutoRound's `extra_config` gives settings of their own."""
    others = config.values.get("extra_config")
    changed = cast("dict[str, object]", others) if isinstance(others, dict) else {}
    return {name: cast("dict[str, object]", how).get("bits") for name, how in changed.items() if isinstance(how, dict)}


def _quark(config: Keys) -> Stored:
    """AMD Quark, where all that is not excluded has one format.

    Source: vLLM, quantization/quark/quark.py (`global_quant_config`, `exclude`).
    """
    whole = config.child("global_quant_config", defaults={})
    weight = whole.child("weight", defaults={}) if whole and not isinstance(whole.values.get("weight"), list) else None
    several = config.values.get("layer_quant_config") or config.values.get("layer_type_quant_config")
    if several or whole is None or weight is None:
        config.refuse("global_quant_config", "is not all there is")
        return UNQUANTISED
    format_ = _QUARK.get(weight.text("dtype") or "")
    group = weight.optional("group_size", low=-1) or -1
    if format_ is None or (format_ == "mxfp4" and group not in (-1, MX_BLOCK)):
        weight.unsupported("dtype", "known: " + ", ".join(_QUARK))
        return UNQUANTISED
    weight.keep("dtype", weight.values["dtype"], None)
    if format_ == "w8a16":
        format_ = int8_format(whole, "input_tensors")
        if format_ == "w8a16":
            config.notes[QUARK_WEIGHTS_ALONE] = None
        return format_, integer_bits(group, width=8)
    return format_, integer_bits(group) if format_ == "int4" else BITS[format_]


def _bitsandbytes(config: Keys) -> Stored:
    """LLM.int8() (arXiv 2208.07339), or NF4 with one or two levels of scales (QLoRA, arXiv 2305.14314)."""
    if config.flag("load_in_8bit") or not config.flag("load_in_4bit"):
        return stored_as("bnb-int8")
    return "nf4", NF4_DOUBLE_BITS if config.flag("bnb_4bit_use_double_quant") else BITS["nf4"]


def _modelopt(config: Keys) -> Stored:
    """NVIDIA's Model Optimizer names its format, or writes groups of compressed-tensors."""
    if not _names_algorithm(config):
        return stored_in_groups(config)
    inner = config.child("quantization", defaults={}) or config
    algorithm = inner.text("quant_algo") or ""
    if algorithm not in MODELOPT:
        inner.unsupported("quant_algo", "known: " + ", ".join(MODELOPT))
        return UNQUANTISED
    inner.keep("quant_algo", algorithm, None)
    return stored_as(MODELOPT[algorithm])


_READERS: Mapping[str, Callable[[Keys], Stored]] = {
    "gptq": _gptq,
    "awq": _awq,
    "auto-round": _auto_round,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _modelopt,
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
    "quark": _quark,
}
"""Readers of the other methods; compressed-tensors and Model Optimizer write each other's keys."""
