"""llama.cpp's mixes ("Q4_K_M"): the type of each tensor, by what it does, its layer and the model.

IQ3_XXS is made with an importance matrix, as its files are; with one IQ4_NL and IQ4_XS would be up to 1 % smaller, and
Q2_K_S, which needs one, is not otherwise. Files whose authors pick types of their own ("UD", "_L") are others.

Source: llama.cpp of llama-cpp-python 0.3.36, src/llama-quant.cpp, `llama_tensor_get_type_impl`, `use_more_bits`.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from inferplan.core.gguf.block_types import BLOCK

Role = Literal["query", "key", "value", "output", "gate", "up", "down", "other", "plain"]
"""What a tensor does: projections of attention ("value" where query, key and value are one matrix too), of feed-forward
blocks and experts, other matrices, and "plain" ones that no mix quantises: norms, biases, routers, convolutions.
"""

BASE: Mapping[str, str] = {
    "q8_0": "Q8_0",
    "q6_k": "Q6_K",
    "q5_k_m": "Q5_K",
    "q5_k_s": "Q5_K",
    "q4_k_m": "Q4_K",
    "q4_k_s": "Q4_K",
    "iq4_nl": "IQ4_NL",
    "iq4_xs": "IQ4_XS",
    "q3_k_l": "Q3_K",
    "q3_k_m": "Q3_K",
    "q3_k_s": "Q3_K",
    "iq3_m": "IQ3_S",
    "iq3_s": "IQ3_S",
    "iq3_xs": "IQ3_S",
    "iq3_xxs": "IQ3_XXS",
    "q2_k": "Q2_K",
    "q2_k_s": "Q2_K",
    "iq2_m": "IQ2_S",
}
"""What a mix stores most matrices in."""
SMALL = ("iq3_xxs", "iq2_m")
"""Mixes whose head is Q5_K, and whose token embedding is IQ3_S."""
MANY_SHARING = 4
"""Query heads of a KV head from which values are few enough to be kept in more bits."""
MANY_EXPERTS = 4
OF_MIXTRAL = 8
"""A mixture of so many experts keeps its small attention in 8 bit."""
OF_70B = 80
"""Layers by which llama.cpp knows a 70B model."""
DOWN: Mapping[str, tuple[int, str, str]] = {
    "q2_k": (1, "Q3_K", "Q3_K"),
    "q2_k_s": (8, "Q4_K", "Q2_K"),
    "q3_k_l": (1, "Q5_K", "Q5_K"),
    "q3_k_m": (16, "Q5_K", "Q4_K"),
    "q4_k_s": (8, "Q5_K", "Q4_K"),
    "iq3_m": (8, "Q4_K", "IQ3_S"),
    "iq4_nl": (8, "Q5_K", "IQ4_NL"),
    "iq4_xs": (8, "Q5_K", "IQ4_XS"),
}
"""The part of the layers that is the first, and the types of down projections in it and behind it."""
FALCON_DOWN: Mapping[str, tuple[str, str, str]] = {
    "q3_k_m": ("Q5_K", "Q4_K", "Q3_K"),
    "q3_k_l": ("Q4_K", "Q4_K", "Q4_K"),
    "q4_k_m": ("Q6_K", "Q5_K", "Q4_K"),
    "q4_k_s": ("Q4_K", "Q4_K", "Q4_K"),
}
"""The types of Falcon's down projections: in the first sixteenth of its layers, in those with more bits, elsewhere."""


class Traits(NamedTuple):
    """What of a model the rules ask for: routed experts, query heads of a KV head, whether it is "70B", or Falcon."""

    experts: int = 0
    sharing: int = 1
    is_70b: bool = False
    is_falcon: bool = False


class Place(NamedTuple):
    """Where a tensor is: its layer of `layers`, and how many value and down projections came before it.

    `values` is the number of value projections in all.
    """

    layer: int = 0
    layers: int = 1
    value: int = 0
    values: int = 1
    down: int = 0

    def block(self, traits: Traits) -> int:
        """The feed-forward block: its layer in a mixture of experts, else how many came before it."""
        return self.layer if traits.experts > 1 else self.down


def more_bits(place: int, places: int) -> bool:
    """Whether a mix of medium size gives this place more bits: the first and last eighth, and every third between.

    >>> [place for place in range(16) if more_bits(place, 16)]
    [0, 1, 4, 7, 10, 13, 14, 15]
    """
    eighth = places // 8
    return place < eighth or place >= 7 * places // 8 or (place - eighth) % 3 == 2


def type_of(mix: str, role: Role, place: Place, traits: Traits) -> str:
    """The type of a tensor of a layer, before rows that are no whole blocks are seen to (`block_types.stored`)."""
    if role == "plain":
        return "F32"
    if mix == "q8_0" or role == "other":
        return BASE[mix]
    return _of_iq2_m(role, place, traits) if mix == "iq2_m" else RULES[role](mix, place, traits)


def _of_iq2_m(role: Role, place: Place, traits: Traits) -> str:
    """The types of IQ2_M."""
    if role == "value":
        return "Q4_K" if traits.sharing >= MANY_SHARING or traits.experts >= MANY_EXPERTS else "IQ3_S"
    if role == "key" and traits.experts == OF_MIXTRAL:
        return "Q4_K"
    if role == "down" and place.down < place.layers // 8:
        return "IQ3_S"
    if role == "output":
        return "Q5_K" if traits.experts == OF_MIXTRAL else "IQ3_S"
    return BASE["iq2_m"]


def _value(mix: str, place: Place, traits: Traits) -> str:
    """The type of a value projection, or of query, key and value in one."""
    if traits.experts == OF_MIXTRAL:
        return "Q8_0"
    kind = BASE[mix]
    if traits.sharing >= MANY_SHARING:
        many = {"q2_k": "Q4_K", "q2_k_s": "Q4_K", "iq3_xxs": "Q4_K", "iq3_xs": "Q4_K", "iq3_s": "Q4_K"}
        kind = {**many, "iq4_nl": "Q5_K", "iq4_xs": "Q5_K"}.get(mix, kind)
    elif mix == "q2_k":
        kind = "Q3_K"
    if mix in ("q4_k_m", "q5_k_m") and more_bits(place.value, place.values):
        kind = "Q6_K"
    elif mix in ("iq3_m", "q3_k_l"):
        kind = "Q4_K" if mix == "iq3_m" else "Q5_K"
    elif mix == "q3_k_m":
        kind = "Q5_K" if place.value < 2 else "Q4_K"
    elif mix == "q4_k_s" and place.value < 4:
        kind = "Q5_K"
    return "Q5_K" if traits.is_70b and kind in ("Q3_K", "Q4_K") else kind


def _down(mix: str, place: Place, traits: Traits) -> str:
    """The type of a down projection, of experts too."""
    at, layers = place.block(traits), place.layers
    if traits.is_falcon and mix in FALCON_DOWN:
        first, more, usual = FALCON_DOWN[mix]
        return first if at < layers // 16 else more if more_bits(at, layers) else usual
    if mix in ("q4_k_m", "q5_k_m"):
        return "Q6_K" if more_bits(at, layers) else BASE[mix]
    if mix == "iq3_m" and traits.experts == OF_MIXTRAL and more_bits(at, layers):
        return "Q4_K"
    part, first, usual = DOWN.get(mix, (1, BASE[mix], BASE[mix]))
    return first if at < layers // part else usual


def _output(mix: str, _place: Place, traits: Traits) -> str:
    """The type of attention's output projection."""
    if traits.is_falcon:
        return "Q4_K" if mix == "q3_k_l" else BASE[mix]
    if traits.experts == OF_MIXTRAL:
        kept = (
            "q2_k",
            "q3_k_s",
            "q3_k_m",
            "q4_k_s",
            "q4_k_m",
            "iq3_xxs",
            "iq3_xs",
            "iq3_s",
            "iq3_m",
            "iq4_xs",
            "iq4_nl",
        )
        return "Q5_K" if mix in kept else BASE[mix]
    kinds = {"q2_k": "Q3_K", "iq3_xxs": "IQ3_S", "q3_k_m": "Q4_K", "q3_k_l": "Q5_K", "iq3_m": "Q4_K"}
    return kinds.get(mix, BASE[mix])


def _block(mix: str, place: Place, traits: Traits) -> str:
    """The type of gate and up projections, of experts too."""
    middle = place.layers // 8 <= place.block(traits) < 7 * place.layers // 8
    return "IQ3_XXS" if mix == "iq3_xs" and middle else BASE[mix]


def _query(mix: str, _place: Place, _traits: Traits) -> str:
    """The type of query projections, and of keys but in a mixture of 8."""
    return {"iq3_xs": "IQ3_XXS", "iq3_xxs": "IQ2_S"}.get(mix, BASE[mix])


def _key(mix: str, place: Place, traits: Traits) -> str:
    """The type of key projections."""
    return "Q8_0" if traits.experts == OF_MIXTRAL else _query(mix, place, traits)


RULES: Mapping[Role, Callable[[str, Place, Traits], str]] = {
    "query": _query,
    "key": _key,
    "value": _value,
    "output": _output,
    "gate": _block,
    "up": _block,
    "down": _down,
}
"""The rules of all mixes but IQ2_M, which has its own."""


def head_type(mix: str, hidden: int, traits: Traits) -> str:
    """What a mix stores the head in, and a token embedding that is the head too."""
    if mix == "q8_0" or traits.is_falcon or hidden % BLOCK:
        return "Q8_0"
    return "Q5_K" if mix in SMALL else "Q6_K"


def embedding_type(mix: str) -> str:
    """What a mix stores a token embedding in that is not the head."""
    return "IQ3_S" if mix in SMALL else BASE[mix]
