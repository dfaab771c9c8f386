"""Rows that are no whole number of blocks of 256 weights: what the mixes of GGUF store them in instead.

Types of such blocks (Q4_K, Q6_K) do not fit them; llama.cpp takes the next wider one of 32 weights. The rows of a
matrix are as long as its input is wide: those of a down projection as the feed-forward block, others as the model.

Limits: one width for all of attention, whose output projection may fit where the rest does not. A row that is no
multiple of 32 either is kept in 16 bit, which is not counted.
Source: llama.cpp, src/llama-quant.cpp, `tensor_type_fallback`, `llama_tensor_get_type_impl`, `use_more_bits` (half of
the layers).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from inferplan.core.architecture import DenseFfn, ExpertFfn, LayerGroup
from inferplan.core.model import Model
from inferplan.core.parameters import layer_params

BLOCK = 256
TYPES: Mapping[str, tuple[float, float]] = {
    "Q2_K": (2.625, 4.5),
    "Q3_K": (3.4375, 4.5),
    "IQ2_S": (2.5625, 4.5),
    "IQ3_XXS": (3.0625, 4.5),
    "IQ3_S": (3.4375, 4.5),
    "IQ4_XS": (4.25, 4.5),
    "IQ4_NL": (4.5, 4.5),
    "Q4_K": (4.5, 5.5),
    "Q5_K": (5.5, 6.0),
    "Q6_K": (6.5625, 8.5),
}
"""The bits of a type, and of the one that takes its place: Q4_0 or IQ4_NL, Q5_0, Q5_1, Q8_0. [bits]"""
MIXES: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "q6_k": ("Q6_K", {"Q6_K": 1}),
    "q5_k_m": ("Q5_K", {"Q5_K": 1 / 2, "Q6_K": 1 / 2}),
    "q5_k_s": ("Q5_K", {"Q5_K": 1}),
    "q4_k_m": ("Q4_K", {"Q4_K": 1 / 2, "Q6_K": 1 / 2}),
    "q4_k_s": ("Q4_K", {"Q4_K": 7 / 8, "Q5_K": 1 / 8}),
    "iq4_nl": ("IQ4_NL", {"IQ4_NL": 7 / 8, "Q5_K": 1 / 8}),
    "iq4_xs": ("IQ4_XS", {"IQ4_XS": 7 / 8, "Q5_K": 1 / 8}),
    "q3_k_l": ("Q3_K", {"Q5_K": 1}),
    "q3_k_m": ("Q3_K", {"Q4_K": 15 / 16, "Q5_K": 1 / 16}),
    "q3_k_s": ("Q3_K", {"Q3_K": 1}),
    "iq3_m": ("IQ3_S", {"IQ3_S": 7 / 8, "Q4_K": 1 / 8}),
    "iq3_s": ("IQ3_S", {"IQ3_S": 1}),
    "iq3_xs": ("IQ3_S", {"IQ3_S": 1}),
    "iq3_xxs": ("IQ3_XXS", {"IQ3_XXS": 1}),
    "q2_k": ("Q2_K", {"Q3_K": 1}),
    "q2_k_s": ("Q2_K", {"Q2_K": 7 / 8, "Q4_K": 1 / 8}),
    "iq2_m": ("IQ2_S", {"IQ2_S": 7 / 8, "IQ3_S": 1 / 8}),
}
"""What a mix stores matrices in, and the share of its down projections that it stores in each type."""
SMALL_MIXES = ("iq3_xxs", "iq2_m")
"""Mixes whose head is Q5_K; it is Q6_K in the others."""


def wider(kind: str) -> float:
    """What the type that takes the place of one takes more of a weight. [bits]

    >>> wider("Q4_K"), wider("Q6_K")
    (1.0, 1.9375)
    """
    own, instead = TYPES[kind]
    return instead - own


def head_type(mix: str) -> str:
    """What a mix stores the head in."""
    return "Q5_K" if mix in SMALL_MIXES else "Q6_K"


def fits(width: int) -> bool:
    """Whether a row is a whole number of blocks."""
    return width % BLOCK == 0


def head_more(hidden: int, mix: str) -> float:
    """What the head takes more, which is in Q8_0 where its rows do not fit. [bits]"""
    return 0.0 if fits(hidden) else TYPES["Q6_K"][1] - TYPES[head_type(mix)][0]


def tensors_more(hidden: int, group: LayerGroup, mix: str, tensors: str) -> float:
    """What a class of tensors of one layer takes more of a weight, on the mean of its matrices. [bits]"""
    usual, down = MIXES[mix]
    if tensors in ("attention", "linear_attention"):
        return 0.0 if fits(hidden) else wider(usual)
    if group.ffn is None or tensors not in ("dense_ffn", "shared_experts", "routed_experts"):
        return 0.0
    inner, width = _widths(hidden, group.ffn, tensors)
    share = 1 / 3 if group.ffn.gated else 1 / 2
    more = 0.0 if fits(inner) else (1 - share) * wider(usual)
    return more if fits(width) else more + share * sum(part * wider(kind) for kind, part in down.items())


def _widths(hidden: int, ffn: DenseFfn | ExpertFfn, tensors: str) -> tuple[int, int]:
    """What a block reads, and its own width. [elements]"""
    if isinstance(ffn, DenseFfn):
        return hidden, ffn.intermediate
    if tensors == "routed_experts":
        return ffn.expert_hidden or hidden, ffn.intermediate
    return hidden, ffn.shared_intermediate if tensors == "shared_experts" else ffn.dense_intermediate


class More(NamedTuple):
    """What a mix takes more of a weight of each class of tensors. [bits]"""

    mixers: float = 0.0
    ffn: float = 0.0
    routed_experts: float = 0.0
    output_head: float = 0.0
    embedding: float = 0.0


CLASSES = {"attention": "mixers", "linear_attention": "mixers", "dense_ffn": "ffn", "shared_experts": "ffn"}
"""The classes that a format tells apart, by those of a layer; routed experts are one of both."""


@lru_cache(maxsize=256)
def more(model: Model, mix: str) -> More:
    """The same of all layers, on the mean of their weights; nothing where all rows fit, or of other formats."""
    if mix not in MIXES or model.is_size_class:
        return More()
    hidden, sums = model.architecture.hidden, dict.fromkeys((*CLASSES.values(), "routed_experts"), (0.0, 0.0))
    for group in model.architecture.groups:
        for name, params in layer_params(hidden, group):
            kind = CLASSES.get(name, name)
            if kind in sums and params:
                bits, weights = sums[kind]
                count = group.count * params
                sums[kind] = bits + count * tensors_more(hidden, group, mix, name), weights + count
    ends = {"output_head": head_more(hidden, mix), "embedding": 0.0 if fits(hidden) else wider(MIXES[mix][0])}
    if not model.parameters.output_head:
        ends["embedding"] = ends["output_head"]
    return More(**{kind: bits / weights if weights else 0.0 for kind, (bits, weights) in sums.items()}, **ends)
