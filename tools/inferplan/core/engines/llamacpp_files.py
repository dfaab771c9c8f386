"""llama.cpp's files: the types in which GGUF's mixes store each class of tensors, and the bytes of layers and head.

Read in the llama.cpp of llama-cpp-python 0.3.36. Files agree with its own tool exactly, with published logs
within 2.1 %.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from inferplan.core.gguf.block_types import BITS
from inferplan.core.gguf.mixes import BASE
from inferplan.core.gguf.sizes import Class, stored_in
from inferplan.core.model import Build, Model, NativeBits
from inferplan.core.parameters import count, layer_params
from inferplan.core.precision import BITS_PER_BYTE, Precision

Q8_0 = BITS["Q8_0"]
MXFP4_MOE = Build(
    id="MXFP4_MOE",
    bits=NativeBits(mixers=Q8_0, ffn=Q8_0, routed_experts=4.25, lookup=Q8_0, output_head=Q8_0, embedding=Q8_0),
)
"""A file in MXFP4: routed experts in it, all other matrices in Q8_0, also of gpt-oss, whose release has 16 bit there.

Source: llama.cpp, src/llama-quant.cpp, `llama_tensor_get_type` (`LLAMA_FTYPE_MOSTLY_MXFP4_MOE`); the files of gpt-oss
are 11.27 and 59.02 GiB (pull requests' tables), 0.3 % more than counted, which are biases and routers in FP32.
"""


@lru_cache(maxsize=1024)
def in_files(model: Model) -> Model:
    """The model as llama.cpp's files store it: those in MXFP4 differ from the release (`MXFP4_MOE`)."""
    if model.is_size_class:
        return model
    own = MXFP4_MOE.bits if model.native_precision == "mxfp4" else model.native_bits
    return replace(model, native_bits=own, builds={**model.builds, "mxfp4": MXFP4_MOE})


def embedding_bits(model: Model, precision: Precision) -> float:
    """The token embedding's type: that of a mix, Q8_0 in MXFP4, or the format itself. [bits per weight]"""
    if precision.id in BASE:
        return stored_in(model.architecture, precision.id).embedding
    return Q8_0 if precision.id == "mxfp4" else precision.bits_per_weight


def head_bits(model: Model, precision: Precision) -> float:
    """The output head's type, of a tied embedding that of its copy. [bits per weight]"""
    if precision.id in BASE:
        return stored_in(model.architecture, precision.id).output_head
    return embedding_bits(model, precision)


def head_bytes(model: Model, precision: Precision) -> float:
    """The output head, or a copy of a tied embedding in the head's type. [B]"""
    parts = model.parameters
    return (parts.output_head or parts.embedding) * head_bits(model, precision) / BITS_PER_BYTE


@lru_cache(maxsize=1024)
def layer_weights(model: Model, precision: Precision) -> tuple[float, ...]:
    """The weights of every layer, in the order of the forward pass. [B]"""
    return tuple(sum(layer.values()) for layer in layer_classes(model, precision))


@lru_cache(maxsize=1024)
def layer_classes(model: Model, precision: Precision) -> tuple[Mapping[str, float], ...]:
    """The weights of every layer by the class of tensors: Σ parameters × bits / 8. [B]

    In a mix each tensor has a type of its own (`core.gguf`), in MXFP4 each class (`MXFP4_MOE`). The parameters of a
    size class are scaled class by class to its nominal total; what belongs to no layer is spread over all.
    """
    architecture = model.architecture
    exact, parts = count(architecture), model.parameters
    own = stored_in(architecture, precision.id).layers if precision.id in BASE else _flat(model, precision)
    scale = {kind: getattr(parts, kind) / getattr(exact, kind) for layer in own for kind in layer}
    spread = {"other": (parts.other + parts.ngram) * _base_bits(precision) / architecture.layers / BITS_PER_BYTE}
    return tuple(
        {kind: bits * scale[kind] / BITS_PER_BYTE for kind, (bits, _) in layer.items()} | spread for layer in own
    )


def _flat(model: Model, precision: Precision) -> list[Class]:
    """The classes of every layer in a format whose tensors differ by their class alone."""
    base, hidden = _base_bits(precision), model.architecture.hidden
    expert = MXFP4_MOE.bits.routed_experts if precision.id == "mxfp4" else base
    of_group: list[Class] = []
    for group in model.architecture.groups:
        sums: defaultdict[str, int] = defaultdict(int)
        for kind, params in layer_params(hidden, group):
            sums[kind] += params
        stored = ((kind, expert if kind == "routed_experts" else base, params) for kind, params in sums.items())
        of_group.append({kind: (bits * params, params) for kind, bits, params in stored if params})
    return [of_group[kind] for kind in model.architecture.sequence]


def _base_bits(precision: Precision) -> float:
    """The bits of most tensors: of a mix's own type, Q8_0 beside experts in MXFP4, or the format's."""
    if precision.id in BASE:
        return BITS[BASE[precision.id]]
    return Q8_0 if precision.id == "mxfp4" else precision.bits_per_weight
