"""Bits that a format spends on a weight: of formats with one layout, and of integers with scales of their own."""

from collections.abc import Mapping

from inferplan.catalog.hugging_face.reading.keys import Keys

BITS: Mapping[str, float] = {
    "fp8": 8.004, "int8": 8.004, "w8a16": 8.004, "gptq-int8": 8.125, "bnb-int8": 8.004, "int4": 4.125, "gptq": 4.125,
    "awq": 4.156, "nvfp4": 4.5, "mxfp4": 4.25, "mxfp8": 8.25, "nf4": 4.5,
}  # fmt: skip
"""Bits per weight of the catalogue's formats, scales included; a test compares them. [bits]"""

SIXTEEN = 16.0
"""Bits per weight of what is not quantised. [bits]"""

Stored = tuple[str, float]
"""The id of a format, and the bits that it spends on a quantised weight of this checkpoint. [bits]"""
UNQUANTISED: Stored = ("bf16", SIXTEEN)
"""What is assumed where a problem was recorded."""

OTHERWISE = "or leave quantization_config out and name a precision"
"""What a user can do whose quantization is not read."""


def stored_as(format_: str) -> Stored:
    """A format with the bits of the catalogue."""
    return format_, BITS[format_]


def integer_bits(group: int, *, asymmetric: bool = False, width: int = 4) -> float:
    """width + (16 + width where asymmetric) / group: integers with a scale per group, or per channel. [bits]

    An `asymmetric` group has a zero point of `width` bits; a `group` of -1 is a whole channel.

    >>> integer_bits(128), integer_bits(32), integer_bits(128, asymmetric=True), integer_bits(-1)
    (4.125, 4.5, 4.156, 4.004)
    >>> integer_bits(128, width=8), integer_bits(32, width=8), integer_bits(-1, width=8)
    (8.125, 8.5, 8.004)
    """
    return round(width + (16 + (width if asymmetric else 0)) / group, 3) if group > 0 else width + 0.004


def int8_format(config: Keys, inputs: str) -> str:
    """int8 where a key says how inputs are quantised; else w8a16, whose weights are expanded before they multiply."""
    if not config.has(inputs):
        return "w8a16"
    config.keep(inputs, {}, None)
    return "int8"
