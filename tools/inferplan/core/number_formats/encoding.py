"""One value in a number format: its fields, its code, what comes back, and how far that is off."""

import math
import sys
from dataclasses import dataclass, replace

LARGEST_WEIGHT = (2 - 2.0**-23) * 2.0**127
"""The largest finite fp32: what a weight, and so the absmax of a block of weights, can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BitLayout:
    """How many bits each field of a code has; a code without fields is all mantissa. [bits]"""

    sign: int = 0
    exponent: int = 0
    mantissa: int = 0

    @property
    def bits(self) -> int:
        """Width of one element. [bits]"""
        return self.sign + self.exponent + self.mantissa

    def split(self, code: int) -> tuple[str, str, str]:
        """The bit strings of sign, exponent and mantissa.

        >>> BitLayout(sign=1, exponent=4, mantissa=3).split(0x35)
        ('0', '0110', '101')
        """
        digits, fraction = f"{code:0{self.bits}b}", self.sign + self.exponent
        return digits[: self.sign], digits[self.sign : fraction], digits[fraction:]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """One value in one format: the bits, the code, and what comes back.

    `code` is the stored pattern, unsigned: two's complement for integers, the index for a codebook. The strings
    `sign` + `exponent` + `mantissa` always spell `code`; integers and codebooks, which have no such fields, put
    all of it into `mantissa`. `level` is the element before its scale, `scale` is 1 where a format has none,
    `value` = level × scale.
    """

    format: str
    bits: int
    sign: str
    exponent: str
    mantissa: str
    code: int
    level: float
    scale: float
    value: float

    def error_percent(self, original: float) -> float:
        """100 × |value - original| / |original|; for original 0, 0 if the value is 0 too and else 100. [%]

        Limits: always finite; a quotient beyond the largest float counts as that float.

        >>> from inferplan.core.formats import encode
        >>> round(encode("fp8_e4m3", 0.7834).error_percent(0.7834), 4)
        3.7146
        """
        original = finite(original, self.format)
        if original == 0:
            return 0.0 if self.value == 0 else 100.0
        return min(100 * (abs(self.value - original) / abs(original)), sys.float_info.max)

    def scaled(self, scale: float, *, name: str) -> "Encoding":
        """The same element as part of a block format, under a scale."""
        return replace(self, format=name, scale=scale, value=self.level * scale)


def encoded(name: str, layout: BitLayout, code: int, *, level: float, scale: float = 1.0) -> Encoding:
    """A code with its fields spelled out by its layout, and its level under its scale."""
    sign, exponent, mantissa = layout.split(code)
    return Encoding(
        format=name,
        bits=layout.bits,
        sign=sign,
        exponent=exponent,
        mantissa=mantissa,
        code=code,
        level=level,
        scale=scale,
        value=level * scale,
    )


def finite(x: float, name: str) -> float:
    """`x` itself; infinities and NaN are refused in the name of a format."""
    if not math.isfinite(x):
        raise ValueError(f"{name} quantizes numbers, and {x!r} is not one: give a finite number")
    return float(x)


def block_absmax(absmax: float, name: str, *, holding: float = 0.0) -> float:
    """`absmax` itself, where it is the magnitude of an fp32 weight and a block of it can hold `holding`."""
    if not 0 <= finite(absmax, name) <= LARGEST_WEIGHT:
        raise ValueError(f"absmax {absmax!r} is no magnitude of an fp32 weight: give 0 to {LARGEST_WEIGHT:g}")
    if (needed := abs(finite(holding, name))) > absmax:
        raise ValueError(f"{holding!r} is outside its block of absmax {absmax!r}: give at least {needed!r}")
    return float(absmax)


def not_a_number(name: str, code: int) -> ValueError:
    """What to raise for a code that is infinite, NaN, unused or out of range."""
    return ValueError(f"{name} holds no number at code {code:#x}: give the code of a finite value")
