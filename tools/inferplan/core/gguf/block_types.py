"""The types of GGUF's tensors: bits of a weight, and what rows that are no whole blocks are stored in instead.

Source: llama.cpp, ggml/src/ggml-common.h (blocks), src/llama-quant.cpp, `tensor_type_fallback`.
"""

from collections.abc import Mapping

BLOCK = 256
"""Weights of a block of the K and I types."""
SMALL_BLOCK = 32
"""Weights of a block of all other types."""
BITS: Mapping[str, float] = {
    "Q2_K": 2.625,
    "Q3_K": 3.4375,
    "IQ2_S": 2.5625,
    "IQ3_XXS": 3.0625,
    "IQ3_S": 3.4375,
    "IQ4_XS": 4.25,
    "IQ4_NL": 4.5,
    "Q4_0": 4.5,
    "Q4_K": 4.5,
    "Q5_0": 5.5,
    "Q5_K": 5.5,
    "Q5_1": 6.0,
    "Q6_K": 6.5625,
    "Q8_0": 8.5,
    "F16": 16.0,
    "F32": 32.0,
}
"""Bits of a weight, scales of its block included. [bits]"""
INSTEAD: Mapping[str, str] = {
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "IQ2_S": "IQ4_NL",
    "IQ3_XXS": "IQ4_NL",
    "IQ3_S": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""The types of blocks of 256, and those of blocks of 32 that take their place."""


def stored(kind: str, row: int) -> str:
    """The type that rows of this many weights are stored in where `kind` is asked for.

    >>> stored("Q4_K", 4096), stored("Q4_K", 13696), stored("Q4_K", 4100), stored("F32", 7)
    ('Q4_K', 'Q5_0', 'F16', 'F32')
    """
    if kind in ("F16", "F32"):
        return kind
    if row % BLOCK:
        kind = INSTEAD.get(kind, kind)
    return kind if row % SMALL_BLOCK == 0 else "F16"
