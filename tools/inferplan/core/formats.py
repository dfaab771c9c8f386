"""Number formats: the bits that one value becomes in each of them, and the value that comes back.

Conventions. Rounding is to nearest, a tie going to the even code; `truncate`, where a format has it, rounds toward
zero. Arithmetic is exact, in powers of two, integers and fractions. What is too large saturates to the largest
finite value and says so, as quantizers do: no result is ever infinite. A format with a scale encodes one value of
a block whose largest magnitude is `absmax`; where that scale is zero (a block of zeros, or one below what the
scale can resolve) every value decodes to zero.
"""

from collections.abc import Mapping
from types import MappingProxyType

from inferplan.core.number_formats.block_formats import (
    MXFP4,
    MXFP8,
    NVFP4,
    BlockFormat,
    mxfp4_scale,
    mxfp8_scale,
    nvfp4_scale,
)
from inferplan.core.number_formats.element_formats import (
    BF16,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    FP16,
    FP32,
    INT4,
    INT8,
    NF4,
    TF32,
    CodebookFormat,
    FloatFormat,
    IntegerFormat,
)
from inferplan.core.number_formats.encoding import Encoding

__all__ = [
    "BF16",
    "E2M1",
    "E4M3",
    "E5M2",
    "E8M0",
    "FORMATS",
    "FP16",
    "FP32",
    "INT4",
    "INT8",
    "MXFP4",
    "MXFP8",
    "NF4",
    "NVFP4",
    "TF32",
    "BlockFormat",
    "CodebookFormat",
    "Encoding",
    "FloatFormat",
    "Format",
    "IntegerFormat",
    "encode",
    "mxfp4_scale",
    "mxfp8_scale",
    "nvfp4_scale",
]

Format = FloatFormat | IntegerFormat | CodebookFormat | BlockFormat

FORMATS: Mapping[str, Format] = MappingProxyType(
    {f.name: f for f in (FP32, TF32, BF16, FP16, E4M3, E5M2, INT8, INT4, NF4, MXFP4, MXFP8, NVFP4)}
)
"""The formats a weight can be shown in, by id."""


def encode(format_id: str, value: float, *, absmax: float = 1.0) -> Encoding:
    """One value in the named format, as a weight of a block whose largest magnitude is absmax.

    A float without a scale (fp32 to fp8) holds the value by itself, whatever its block: it needs no absmax.

    >>> [encode(name, 0.7834).value for name in ("fp16", "fp8_e4m3", "mxfp4", "nvfp4")]
    [0.783203125, 0.8125, 0.75, 0.6875]
    """
    number_format = FORMATS.get(format_id)
    if number_format is None:
        raise LookupError(f'no number format "{format_id}"; there are {", ".join(FORMATS)}')
    if isinstance(number_format, FloatFormat):
        return number_format.encode(value)
    return number_format.encode(value, absmax=absmax)
