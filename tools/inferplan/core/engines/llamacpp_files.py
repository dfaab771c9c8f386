"""llama.cpp's files: the types in which GGUF's mixes store each class of tensors, and the bytes of layers and head.

Read in the llama.cpp of llama-cpp-python 0.3.36. Files agree with 40 published logs within 1.6 %; Phi-3 is 3.6 % short.
"""

from dataclasses import replace
from functools import lru_cache

from inferplan.core.architecture import LayerGroup
from inferplan.core.gguf_rows import MIXES, TYPES, head_more, head_type, tensors_more
from inferplan.core.model import Build, Model, NativeBits
from inferplan.core.parameters import count, layer_params
from inferplan.core.precision import BITS_PER_BYTE, Precision

LLAMA_FILE = 8_030_261_248
LLAMA_VOCABULARY = 525_336_576
"""Parameters of Llama 3.1 8B, on whose files the bits of GGUF's mixes are measured, and of its embedding (or head)."""
Q8_0 = 8.5
EMBEDDED_WIDER = {"iq3_xxs": "IQ3_S", "iq2_m": "IQ3_S"}
"""The type of `token_embd` in the mixes that do not store it in their own type.

Source: llama.cpp, src/llama-quant.cpp, `llama_tensor_get_type_impl`.
"""
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


def embedding_bits(precision: Precision) -> float:
    """The token embedding's type: the base type of a mix, or the format itself. [bits per weight]"""
    if precision.id in MIXES:
        return TYPES[EMBEDDED_WIDER.get(precision.id, MIXES[precision.id][0])][0]
    return Q8_0 if precision.id in ("q8_0", "mxfp4") else precision.bits_per_weight


def head_bits(precision: Precision) -> float:
    """The output head's type: Q6_K, Q5_K in the smallest mixes, Q8_0 in MXFP4, or the format. [bits per weight]

    Source: llama.cpp, src/llama-quant.cpp, `llama_tensor_get_type_impl`.
    """
    return TYPES[head_type(precision.id)][0] if precision.id in MIXES else embedding_bits(precision)


def layer_bits(precision: Precision, tensors: str) -> float:
    """(bits × file - (embedding + head bits) × vocabulary) / rest: a mix within the layers. [bits per weight]

    The bits of a mix are the mean of a whole file of Llama 3.1 8B, of which embedding and head are 13 %; of larger
    models they are 2 to 6 %. In MXFP4 the class of `tensors` decides (`MXFP4_MOE`).
    """
    if precision.id == "mxfp4":
        return MXFP4_MOE.bits.routed_experts if tensors == "routed_experts" else Q8_0
    ends = (embedding_bits(precision) + head_bits(precision)) * LLAMA_VOCABULARY
    return (precision.bits_per_weight * LLAMA_FILE - ends) / (LLAMA_FILE - 2 * LLAMA_VOCABULARY)


def head_bytes(model: Model, precision: Precision) -> float:
    """The output head, or a copy of a tied embedding in the head's type. [B]"""
    parts, mix = model.parameters, precision.id
    more = head_more(model.architecture.hidden, mix) if mix in MIXES and not model.is_size_class else 0.0
    return (parts.output_head or parts.embedding) * (head_bits(precision) + more) / BITS_PER_BYTE


@lru_cache(maxsize=1024)
def layer_weights(model: Model, precision: Precision) -> tuple[float, ...]:
    """The weights of every layer, in the order of the forward pass. [B]"""
    architecture = model.architecture
    of_group = [group_bytes(model, precision, group) for group in architecture.groups]
    return tuple(of_group[kind] for kind in architecture.sequence)


def group_bytes(model: Model, precision: Precision, group: LayerGroup, only: str | None = None) -> float:
    """The weights of one layer of a group, or `only` those of one tensor class: Σ parameters × bits / 8. [B]

    The parameters of a size class are scaled class by class to its nominal total. Rows of a checkpoint that are no
    whole blocks take more (`gguf_rows`).
    """
    exact, parts, hidden = count(model.architecture), model.parameters, model.architecture.hidden
    own = ((name, params) for name, params in layer_params(hidden, group) if params)
    mix = precision.id if precision.id in MIXES and not model.is_size_class else None
    bits = sum(
        params
        * getattr(parts, name)
        / getattr(exact, name)
        * (layer_bits(precision, name) + (tensors_more(hidden, group, mix, name) if mix else 0.0))
        for name, params in own
        if only in (None, name)
    )
    further = parts.other + parts.ngram
    other = 0.0 if only else further * layer_bits(precision, "other") / model.architecture.layers
    return (bits + other) / BITS_PER_BYTE
