"""Formats of a single number: floats, powers of two, integers, codebooks. Conventions are in `core.formats`."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from inferplan.core.number_formats.encoding import BitLayout, Encoding, block_absmax, encoded, finite, not_a_number

Specials = Literal["ieee", "nan", "none"]
"""What the top of the code space is spent on: infinities and NaNs, a single NaN per sign, or numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatFormat:
    """Sign, exponent, mantissa, with subnormals: ±2^(exponent - bias) × 1.mantissa.

    Sources: IEEE 754-2019 (fp32, fp16); OCP 8-bit Floating Point Specification 1.0 (fp8); OCP Microscaling
    Formats Specification 1.0 (fp4_e2m1).

    >>> E4M3.encode(0.7834).value, E4M3.truncate(0.7834).value, E4M3.encode(1000).value
    (0.8125, 0.75, 448.0)
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: Specials = "ieee"

    @property
    def layout(self) -> BitLayout:
        """One sign bit, the exponent, the mantissa."""
        return BitLayout(sign=1, exponent=self.exponent_bits, mantissa=self.mantissa_bits)

    @property
    def max_code(self) -> int:
        """Code of the largest finite value."""
        end = 1 << (self.exponent_bits + self.mantissa_bits)
        reserved = {"ieee": 1 << self.mantissa_bits, "nan": 1, "none": 0}[self.specials]
        return end - reserved - 1

    @property
    def min_normal(self) -> float:
        """2^(1 - bias): the smallest value with a full mantissa."""
        return math.ldexp(1, 1 - self.bias)

    def encode(self, x: float) -> Encoding:
        """Round to nearest, ties to even; saturate."""
        return self._encode(x, round)

    def truncate(self, x: float) -> Encoding:
        """Round toward zero: drop the bits that do not fit."""
        return self._encode(x, math.trunc)

    def decode(self, code: int) -> float:
        """The value of a code; one that is infinite or NaN is refused."""
        sign, magnitude = divmod(code, 1 << (self.layout.bits - 1))
        if sign not in (0, 1) or magnitude > self.max_code:
            raise not_a_number(self.name, code)
        biased, fraction = divmod(magnitude, 1 << self.mantissa_bits)
        significand = fraction + (1 << self.mantissa_bits if biased else 0)
        value = math.ldexp(significand, max(biased, 1) - self.bias - self.mantissa_bits)
        return -value if sign else value

    def _encode(self, x: float, to_integer: Callable[[float], int]) -> Encoding:
        magnitude = self._magnitude(abs(finite(x, self.name)), to_integer)
        stored = min(magnitude, self.max_code)
        code = stored | (math.copysign(1, x) < 0) << (self.layout.bits - 1)
        return encoded(self.name, self.layout, code, level=self.decode(code))

    def _magnitude(self, x: float, to_integer: Callable[[float], int]) -> int:
        """The code of x >= 0, were the exponent field unbounded.

        The significand in units of its last place keeps its leading 1, which adds one to the exponent field: so
        subnormals, normals and a rounding that carries into the next binade are one expression.
        """
        binade = math.frexp(max(x, self.min_normal))[1] + self.bias - 2
        units = to_integer(math.ldexp(x, self.bias - 1 + self.mantissa_bits - binade))
        return (binade << self.mantissa_bits) + units


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerOfTwoFormat:
    """An exponent alone, 2^(code - bias), for scales: no sign, no zero, and the last code is NaN.

    Source: OCP Microscaling Formats Specification 1.0 (E8M0).
    """

    name: str
    exponent_bits: int
    bias: int

    def truncate(self, x: float) -> Encoding:
        """2^floor(log2(x)), for x >= 0; below the smallest power, zero included, that power."""
        if finite(x, self.name) < 0:
            raise ValueError(f"{x!r} is negative, and {self.name} has no sign: give its magnitude")
        wanted = math.frexp(max(x, self.decode(0)))[1] - 1 + self.bias
        code = min(wanted, (1 << self.exponent_bits) - 2)
        layout = BitLayout(exponent=self.exponent_bits)
        return encoded(self.name, layout, code, level=self.decode(code))

    def decode(self, code: int) -> float:
        """2^(code - bias); NaN is refused."""
        if code not in range((1 << self.exponent_bits) - 1):
            raise not_a_number(self.name, code)
        return math.ldexp(1, code - self.bias)


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegerFormat:
    """Symmetric integers, two's complement: scale = absmax / (2^(bits - 1) - 1); the lowest code is unused.

    >>> INT4.encode(0.7834, absmax=1).level, INT4.encode(-0.7834, absmax=1).mantissa
    (5.0, '1011')
    """

    name: str
    bits: int

    @property
    def layout(self) -> BitLayout:
        """Two's complement has no separate sign: the whole code is its mantissa."""
        return BitLayout(mantissa=self.bits)

    @property
    def max_level(self) -> int:
        """2^(bits - 1) - 1: the integer that absmax becomes."""
        return (1 << (self.bits - 1)) - 1

    def encode(self, x: float, *, absmax: float = 1.0) -> Encoding:
        """Round x / absmax × max_level to the nearest integer, ties to even."""
        return self._encode(x, absmax, round)

    def truncate(self, x: float, *, absmax: float = 1.0) -> Encoding:
        """Round x / absmax × max_level toward zero."""
        return self._encode(x, absmax, math.trunc)

    def decode(self, code: int, *, absmax: float = 1.0) -> float:
        """level × scale; the lowest code, -2^(bits - 1), is refused."""
        level = code - ((code > self.max_level) << self.bits)
        if code not in range(1 << self.bits) or level < -self.max_level:
            raise not_a_number(self.name, code)
        return level * (block_absmax(absmax, self.name) / self.max_level)

    def _encode(self, x: float, absmax: float, to_integer: Callable[[Fraction], int]) -> Encoding:
        absmax = block_absmax(absmax, self.name, holding=x)
        level = to_integer(_share(x, absmax) * self.max_level)
        code = level % (1 << self.bits)
        return encoded(self.name, self.layout, code, level=float(level), scale=absmax / self.max_level)


@dataclass(frozen=True, kw_only=True, slots=True)
class CodebookFormat:
    """An index into ascending levels between -1 and 1: scale = absmax.

    A tie goes to the lower level, as in the kernels of bitsandbytes: an index has no even significand.

    >>> NF4.encode(0.7834, absmax=1).code
    14
    """

    name: str
    levels: tuple[float, ...]

    @property
    def layout(self) -> BitLayout:
        """An index has no fields: the whole code is its mantissa."""
        return BitLayout(mantissa=(len(self.levels) - 1).bit_length())

    def encode(self, x: float, *, absmax: float = 1.0) -> Encoding:
        """The level nearest to x / absmax."""
        scale = block_absmax(absmax, self.name, holding=x)
        midpoints = [(Fraction(low) + Fraction(high)) / 2 for low, high in pairwise(self.levels)]
        code = bisect_left(midpoints, _share(x, scale))
        return encoded(self.name, self.layout, code, level=self.levels[code], scale=scale)

    def decode(self, code: int, *, absmax: float = 1.0) -> float:
        """levels[code] × absmax."""
        if code not in range(len(self.levels)):
            raise not_a_number(self.name, code)
        return self.levels[code] * block_absmax(absmax, self.name)


def _share(x: float, absmax: float) -> Fraction:
    return Fraction(x) / Fraction(absmax) if absmax else Fraction(0)


FP32 = FloatFormat(name="fp32", exponent_bits=8, mantissa_bits=23, bias=127)
TF32 = FloatFormat(name="tf32", exponent_bits=8, mantissa_bits=10, bias=127)
"""What a tensor core reads of an fp32 word: 19 bits, kept in memory as 32."""
BF16 = FloatFormat(name="bf16", exponent_bits=8, mantissa_bits=7, bias=127)
FP16 = FloatFormat(name="fp16", exponent_bits=5, mantissa_bits=10, bias=15)
E4M3 = FloatFormat(name="fp8_e4m3", exponent_bits=4, mantissa_bits=3, bias=7, specials="nan")
E5M2 = FloatFormat(name="fp8_e5m2", exponent_bits=5, mantissa_bits=2, bias=15)
E2M1 = FloatFormat(name="fp4_e2m1", exponent_bits=2, mantissa_bits=1, bias=1, specials="none")
E8M0 = PowerOfTwoFormat(name="e8m0", exponent_bits=8, bias=127)
INT8 = IntegerFormat(name="int8", bits=8)
INT4 = IntegerFormat(name="int4", bits=4)
NF4 = CodebookFormat(
    name="nf4",
    levels=(
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ),
)
"""Quantiles of a normal distribution, zero among them. Source: QLoRA, arXiv 2305.14314, appendix E."""
