"""How a checkpoint stores its weights, from `dtype` and `quantization_config`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, cast

from inferplan.catalog.hugging_face._ignored import DENSE, EXPERTS, MIXERS, SHARED, Ignored
from inferplan.catalog.hugging_face._keys import LARGEST, Keys
from inferplan.catalog.hugging_face._mixed import is_mixed, mixed
from inferplan.catalog.hugging_face._text import listed, quoted
from inferplan.core.architecture import Architecture
from inferplan.core.model import NativeBits

BITS: Mapping[str, float] = {
    "fp8": 8.004, "int8": 8.004, "w8a16": 8.004, "gptq-int8": 8.125, "bnb-int8": 8.004, "int4": 4.125, "gptq": 4.125,
    "awq": 4.156, "nvfp4": 4.5, "mxfp4": 4.25, "mxfp8": 8.25, "nf4": 4.5,
}  # fmt: skip
"""Bits that the catalogue's formats spend on a weight; a test holds them to it. [bits]"""

SIXTEEN = 16.0
MX_BLOCK = 32
"""Weights that share a scale in MXFP8, which compressed-tensors and vLLM tell from FP8 by it."""
BITS_OF_FP8_CACHE = 8

NAMED_MODULES = 3
LONGEST_MODULE = 60
"""Module names that are not understood: so many are named, of at most so many characters."""

_DTYPES: Mapping[str, str] = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32", "auto": "bf16",
    "float8_e4m3fn": "fp8",
}  # fmt: skip
_METHODS = (
    "fp8", "fbgemm_fp8", "mxfp4", "mxfp8", "gptq", "awq", "auto-round", "bitsandbytes", "compressed-tensors",
    "modelopt", "modelopt_fp4", "quark",
)  # fmt: skip
_MODELOPT: Mapping[str, str] = {
    "FP8": "fp8", "NVFP4": "nvfp4", "W4A16_NVFP4": "nvfp4", "MXFP4": "mxfp4", "MXFP8": "mxfp8", "FP8_PB_WO": "fp8",
}  # fmt: skip
"""What NVIDIA Model Optimizer calls the formats."""
_LISTS = (
    "modules_to_not_convert", "ignore", "exclude_modules", "ignored_layers", "llm_int8_skip_modules", "exclude",
)  # fmt: skip
OTHERWISE = "or leave quantization_config out and name a precision"
"""What a caller whose method is not read can do."""

BLOCK = "weight_block_size"
"""The key that says how many rows and columns share a scale."""

QUARK_WEIGHTS_ALONE = "vLLM 0.28 loads INT8 of Quark only where inputs are INT8 too, which they are not here."
"""Source: vLLM 0.28, quark.py, `_is_static_tensor_w8a8` and `_is_dynamic_per_token_w8a8`."""

Stored = tuple[str, float]
"""A format's id and the bits that it spends here on a quantised weight."""


class Released(NamedTuple):
    """The format of a checkpoint, its bits by kind of tensor where only some are quantised, and of its cache.

    `kv_bits` is the element of the KV cache that the config asks for, None where it leaves that to the engine; `block`
    how many inputs, in blocks also outputs, share a scale, 0 where the config names none.
    """

    format: str
    bits: NativeBits | None = None
    kv_bits: float | None = None
    block: int = 0


def native_precision(root: Keys, body: Keys, architecture: Architecture) -> Released:
    """What a checkpoint is released in.

    MXFP4 as a method of its own quantises experts only. Source: transformers, `Mxfp4HfQuantizer`.
    """
    where = root if root.has("quantization_config") else body
    one = where.child("quantization_config", defaults={})
    if one is None or not one.values:
        where.read.pop("quantization_config", None)
        return Released(_dtype(root, body))
    if one.values.get("quant_method", "modelopt") == "modelopt" and is_mixed(one):
        return _mixed(one, architecture)
    format_, bits = _stored(one)
    if apart := _experts_apart(body, one, format_):
        return apart
    if format_ == "mxfp4" and one.values.get("quant_method") == "mxfp4":
        return Released(format_, NativeBits(routed_experts=bits), _cache(one))
    kinds = _by_kind(one, format_, bits, Ignored(_names(one), architecture))
    return Released(format_, kinds, _cache(one), _block(one, format_))


def _mixed(one: Keys, architecture: Architecture) -> Released:
    """Each module in a format of its own."""
    one.keep("quant_method", "modelopt", None)
    found = mixed(one, architecture, {name: _named(format_) for name, format_ in _MODELOPT.items()})
    return Released(found[0], found[1], _cache(one)) if found else Released("bf16")


def _experts_apart(body: Keys, one: Keys, format_: str) -> Released | None:
    """FP8 with routed experts in 4 bit: MXFP4 as DeepSeek V4 is released, NVFP4 as NVIDIA stores them anew.

    Source: vLLM 0.33, models/deepseek_v4/quant_config.py (`expert_dtype`, `moe_quant_algo`).
    """
    if format_ != "fp8" or body.values.get("expert_dtype") != "fp4":
        return None
    body.keep("expert_dtype", "fp4", None)
    algorithm = one.values.get("moe_quant_algo")
    if algorithm not in (None, "NVFP4"):
        one.unsupported("moe_quant_algo", f"known: NVFP4; {OTHERWISE}")
    one.keep("moe_quant_algo", algorithm, None)
    experts = "nvfp4" if algorithm else "mxfp4"
    return Released(experts, NativeBits(mixers=8, ffn=8, routed_experts=BITS[experts]), _cache(one))


def _block(one: Keys, format_: str) -> int:
    """How many weights share a scale: the larger side of blocks, or a group of inputs; 0 where a row does. [elements]

    Source: transformers, `FineGrainedFP8Config` (`weight_block_size`, here for both); compressed-tensors,
    `QuantizationArgs` (`block_structure`, `group_size`).
    """
    if format_ in ("gptq", "gptq-int8", "awq"):
        return max(0, _group_size(one))
    if format_ in ("int4", "int8", "w8a16"):
        return max([0, *(size for one in _weights(one) if isinstance(size := one.get("group_size"), int))])
    if format_ != "fp8":
        return 0
    values = [one.values.get(BLOCK), *(weights.get("block_structure") for weights in _weights(one))]
    sides = next((cast("list[object]", value) for value in values if isinstance(value, list)), list[object]())
    found = [side for side in sides if isinstance(side, int) and 1 <= side <= LARGEST]
    if not found or len(found) != len(sides):
        return 0
    one.keep(BLOCK, found, None)
    return max(found)


def _group_size(one: Keys) -> int:
    """Inputs that share a scale in GPTQ and AWQ, -1 where all of a row do. [elements]"""
    return one.integer(one.given(("group_size", "q_group_size")), default=128, low=-1, high=10**6)


def _weights(one: Keys) -> Iterator[Mapping[str, object]]:
    """How each group of modules stores its weights (compressed-tensors)."""
    groups = one.values.get("config_groups")
    for group in cast("dict[str, object]", groups).values() if isinstance(groups, dict) else ():
        weights = cast("dict[str, object]", group).get("weights") if isinstance(group, dict) else None
        if isinstance(weights, dict):
            yield cast("dict[str, object]", weights)


def _cache(one: Keys) -> float | None:
    """8 where the config asks for an FP8 cache, which vLLM obeys where no flag says otherwise. [bits]

    Source: vLLM PR 29980 (`kv_cache_quant_algo` of ModelOpt) and `CompressedTensorsConfig.kv_cache_scheme`.
    """
    algorithm = one.values.get("kv_cache_quant_algo") or _inner(one).get("kv_cache_quant_algo")
    if algorithm == "FP8":
        one.keep("kv_cache_quant_algo", algorithm, None)
        return BITS_OF_FP8_CACHE
    scheme = one.values.get("kv_cache_scheme")
    if isinstance(scheme, dict) and cast("dict[str, object]", scheme).get("num_bits") == BITS_OF_FP8_CACHE:
        one.keep("kv_cache_scheme", {"num_bits": BITS_OF_FP8_CACHE}, None)
        return BITS_OF_FP8_CACHE
    return None


def _not_understood(one: Keys, unknown: Iterable[str]) -> list[str]:
    """Say which names are not understood, and return the few short ones from which the same would be said again."""
    names = list(unknown)
    kept = [name for name in names if len(name) <= LONGEST_MODULE][: NAMED_MODULES + 1]
    said = [quoted(name, LONGEST_MODULE) for name in kept[:NAMED_MODULES]]
    if len(kept) > NAMED_MODULES or not kept:
        said.append("others")
    if names:
        one.notes[f"Not understood in quantization_config, so not left in 16 bit: {listed(said)}."] = None
    return kept


def _dtype(root: Keys, body: Keys) -> str:
    """The id of the type that weights are stored in; bf16, and a note, where the config does not say."""
    for keys in (body, root):
        key = keys.given(("dtype", "torch_dtype"))
        if keys.has(key):
            value = keys.values[key]
            if isinstance(value, str):
                keys.values = {**keys.values, key: value.removeprefix("torch.")}
            return _DTYPES[keys.word(key, allowed=tuple(_DTYPES), default="bfloat16")]
    return "bf16"


def _stored(one: Keys) -> Stored:
    """The format, by the method that quantised the checkpoint."""
    method = one.text("quant_method") or ("modelopt" if one.has("quant_algo") or one.has("quantization") else "")
    if not method and one.has("config_groups"):
        method = "compressed-tensors"
    if method not in _METHODS:
        one.values = {**one.values, "quant_method": one.values.get("quant_method", "")}
        one.unsupported("quant_method", f"known: {', '.join(_METHODS)}; {OTHERWISE}")
        return "bf16", SIXTEEN
    one.keep("quant_method", method, None)
    if method in ("fp8", "fbgemm_fp8", "mxfp4", "mxfp8"):
        return _named(method.removeprefix("fbgemm_"))
    if method in ("gptq", "awq"):
        return _grouped(one, method)
    own = {"auto-round": _auto_round, "quark": _quark, "bitsandbytes": _bitsandbytes}
    if method in own:
        return own[method](one)
    return _modelopt(one) if one.has("quant_algo") or one.has("quantization") else _groups(one)


def _named(format_: str) -> Stored:
    """A format that spends what it does in the catalogue."""
    return format_, BITS[format_]


def _grouped(one: Keys, method: str) -> Stored:
    """GPTQ in 4 or 8 bit and AWQ in 4: a scale per group, and a zero point where asymmetric.

    Source: vLLM 0.28, auto_gptq.py and auto_awq.py, `TYPE_MAP`: no engine has a kernel for AWQ's own files in 8 bit.
    What is called AWQ-8bit is written by llm-compressor, as groups of compressed-tensors.
    """
    key = one.given(("bits", "w_bit"))
    width = one.integer(key, default=4, high=16)
    group = _group_size(one)
    uneven = one.flag("zero_point", default=True) if method == "awq" else not one.flag("sym", default=True)
    if width == 8 and method == "gptq":
        return "gptq-int8", _integer_bits(group, uneven=uneven, width=8)
    if width != 4:
        one.unsupported(key, "known: 4 bits" if method == "awq" else "known: 4 and 8 bits")
    return method, _integer_bits(group, uneven=uneven)


def _integer_bits(group: int, *, uneven: bool = False, width: int = 4) -> float:
    """width + (16 + width where asymmetric) / group: integers with a scale per group, or per channel. [bits]

    >>> _integer_bits(128), _integer_bits(32), _integer_bits(128, uneven=True), _integer_bits(-1)
    (4.125, 4.5, 4.156, 4.004)
    >>> _integer_bits(128, width=8), _integer_bits(32, width=8), _integer_bits(-1, width=8)
    (8.125, 8.5, 8.004)
    """
    return round(width + (16 + (width if uneven else 0)) / group, 3) if group > 0 else width + 0.004


def _auto_round(one: Keys) -> Stored:
    """Intel AutoRound: integers in groups, which engines load as they do those of GPTQ or AWQ.

    Source: vLLM, quantization/auto_round.py (`packing_format`, `extra_config`): its layers are GPTQ's or AWQ's.
    """
    if one.word("data_type", allowed=("int",), default="int") != "int":
        return "bf16", SIXTEEN
    others = one.values.get("extra_config")
    changed = cast("dict[str, object]", others) if isinstance(others, dict) else {}
    widths = {
        name: cast("dict[str, object]", how).get("bits") for name, how in changed.items() if isinstance(how, dict)
    }
    if any(isinstance(width, int) and width < SIXTEEN for width in widths.values()):
        one.problems.wrong[f"{one.name('extra_config')} mixes formats, which is not supported"] = None
        return "bf16", SIXTEEN
    one.values = {**one.values, "ignore": [*_names(one), *widths]}
    packed = one.text("packing_format") or ""
    if "awq" not in packed:
        return _grouped(one, "gptq")
    one.keep("packing_format", "auto_round:auto_awq", None)
    return _grouped(one, "awq")


def _quark(one: Keys) -> Stored:
    """AMD Quark: one format for all that is not excluded.

    Source: vLLM, quantization/quark/quark.py (`global_quant_config`, `exclude`); the blocks of 32 weights and the scale
    of 8 bits that OCP MX has are those of `fp4`.
    """
    whole = one.child("global_quant_config", defaults={})
    how = whole.child("weight", defaults={}) if whole and not isinstance(whole.values.get("weight"), list) else None
    several = one.values.get("layer_quant_config") or one.values.get("layer_type_quant_config")
    if several or whole is None or how is None:
        one.problems.wrong[f"{one.name('global_quant_config')} is not all there is, which is not supported"] = None
        return "bf16", SIXTEEN
    known = {"fp4": "mxfp4", "fp8_e4m3": "fp8", "int8": "w8a16", "int4": "int4"}
    format_ = known.get(how.text("dtype") or "")
    group = how.optional("group_size", low=-1) or -1
    if format_ is None or (format_ == "mxfp4" and group not in (-1, 32)):
        how.unsupported("dtype", "known: " + ", ".join(known))
        return "bf16", SIXTEEN
    how.keep("dtype", how.values["dtype"], None)
    if format_ == "w8a16":
        format_ = _integers(whole, "input_tensors")
        if format_ == "w8a16":
            one.notes[QUARK_WEIGHTS_ALONE] = None
        return format_, _integer_bits(group, width=8)
    return format_, _integer_bits(group) if format_ == "int4" else BITS[format_]


def _integers(one: Keys, inputs: str) -> str:
    """Weights of 8 bit: multiplied as they are where the config says how inputs are quantised, else expanded before."""
    if not one.has(inputs):
        return "w8a16"
    one.keep(inputs, {}, None)
    return "int8"


def _bitsandbytes(one: Keys) -> Stored:
    """Eight bits, or four with one or two levels of scales. Source: LLM.int8(), 2208.07339; QLoRA, arXiv 2305.14314."""
    if one.flag("load_in_8bit") or not one.flag("load_in_4bit"):
        return "bnb-int8", BITS["bnb-int8"]
    return "nf4", 4.127 if one.flag("bnb_4bit_use_double_quant") else BITS["nf4"]


def _modelopt(one: Keys) -> Stored:
    """NVIDIA Model Optimizer names its format."""
    inner = one.child("quantization", defaults={}) or one
    algorithm = inner.text("quant_algo") or ""
    if algorithm not in _MODELOPT:
        inner.unsupported("quant_algo", "known: " + ", ".join(_MODELOPT))
        return "bf16", SIXTEEN
    inner.keep("quant_algo", algorithm, None)
    return _named(_MODELOPT[algorithm])


def _groups(one: Keys) -> Stored:
    """compressed-tensors: groups of modules, which have to share one format."""
    groups = one.child("config_groups", defaults={})
    if groups is None:
        one.problems.missing[one.name("config_groups")] = None
        return "bf16", SIXTEEN
    found = {_group(groups, name) for name in list(groups.values)[:100]}
    if len(found) != 1:
        one.problems.wrong[f"{one.name('config_groups')} mixes formats, which is not supported"] = None
        return "bf16", SIXTEEN
    for name in list(groups.read)[1:]:
        del groups.read[name]
    return found.pop()


def _group(groups: Keys, name: str) -> Stored:
    """The format of one group.

    Source: vLLM 0.28, compressed_tensors.py, `_is_wNa16_group_channel`; PyPI compressed-tensors, presets W8A8, W8A16.
    """
    group = groups.child(name, defaults={})
    weights = group.child("weights", defaults={}) if group else None
    if group is None or weights is None:
        groups.problems.missing[groups.name(f"{name[:40]}.weights")] = None
        return "bf16", SIXTEEN
    bits = weights.integer("num_bits", high=64)
    kind = weights.word("type", allowed=("int", "float"), default="int")
    size = weights.optional("group_size", low=-1) or -1
    uneven = not weights.flag("symmetric", default=True)
    floats = {8: "mxfp8" if size == MX_BLOCK else "fp8", 4: "nvfp4" if size == 16 else "mxfp4"}
    format_ = (floats if kind == "float" else {8: "w8a16", 4: "int4"}).get(bits)
    if format_ is None:
        weights.unsupported("num_bits", "known: 4 and 8 bits")
        return "bf16", SIXTEEN
    if format_ == "w8a16":
        format_ = _integers(group, "input_activations")
    return format_, _integer_bits(size, uneven=uneven, width=bits) if kind == "int" else BITS[format_]


def _names(one: Keys) -> list[str]:
    """The modules that are left out; canonically all of them under one key."""
    lists = [value for keys in (one.values, _inner(one)) for key in _LISTS if (value := keys.get(key)) is not None]
    items = [item for value in lists if isinstance(value, list) for item in cast("list[object]", value)]
    return [item for item in items if isinstance(item, str)]


def _inner(one: Keys) -> Mapping[str, object]:
    """What older Model Optimizer files nest once more."""
    value = one.values.get("quantization")
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _by_kind(one: Keys, format_: str, bits: float, ignored: Ignored) -> NativeBits | None:
    """Bits of each kind of tensor, None where all linear layers are quantised as the format's row says."""
    names = ignored.names()
    one.keep("ignore", [*names, *_not_understood(one, ignored.unknown)], [])
    if not names and bits == BITS.get(format_):
        return None

    def mean(*kinds: str) -> float:
        return round(bits + (SIXTEEN - bits) * ignored.share(*kinds), 4)

    return NativeBits(mixers=mean(MIXERS), ffn=mean(SHARED, DENSE), routed_experts=mean(EXPERTS))
