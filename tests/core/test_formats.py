"""Number formats: known codes, then the laws of rounding."""

import math
import struct
from bisect import bisect_left
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from statistics import NormalDist

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from inferplan.core.formats import (
    BF16,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    FORMATS,
    FP16,
    FP32,
    INT4,
    INT8,
    MXFP4,
    NF4,
    NVFP4,
    TF32,
    BlockFormat,
    CodebookFormat,
    Encoding,
    FloatFormat,
    IntegerFormat,
    encode,
    mxfp4_scale,
    mxfp8_scale,
    nvfp4_scale,
)
from inferplan.core.number_formats.encoding import LARGEST_WEIGHT

Scaled = IntegerFormat | CodebookFormat | BlockFormat

FLOATS = (FP32, TF32, BF16, FP16, E4M3, E5M2, E2M1)
SMALL_FLOATS = (E4M3, E5M2, E2M1)
SCALED: tuple[Scaled, ...] = (INT8, INT4, NF4, MXFP4, NVFP4)
SYMMETRIC: tuple[Scaled, ...] = (INT8, INT4, MXFP4, NVFP4)

finite = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(min_value=-1, max_value=1)
magnitudes = st.floats(min_value=1e-30, max_value=1e30)


def name_of(number_format: FloatFormat | Scaled) -> str:
    return number_format.name


def bits_of(x: float, code: str) -> int:
    return int.from_bytes(struct.pack(f">{code}", x), "big")


def codes_of(number_format: FloatFormat) -> list[int]:
    """Every code that is a number, from the format's own definition of its specials."""
    top = 1 << (number_format.exponent_bits + number_format.mantissa_bits)
    numbers = {"fp8_e4m3": top - 1, "fp8_e5m2": top - 4, "fp4_e2m1": top}[number_format.name]
    return [*range(numbers), *range(top, top + numbers)]


def levels_of(number_format: FloatFormat) -> list[float]:
    return sorted({number_format.decode(code) for code in codes_of(number_format)})


# Known answers: ml_dtypes 0.6.0 and numpy for floats, arithmetic by hand for the rest.


@pytest.mark.parametrize(
    ("name", "code", "value", "error"),
    [
        ("fp32", 0x3F488CE7, 0.7833999991416931, 0.0),
        ("tf32", 0x1FA44, 0.783203125, 0.0251),
        ("bf16", 0x3F49, 0.78515625, 0.2242),
        ("fp16", 0x3A44, 0.783203125, 0.0251),
        ("fp8_e4m3", 0x35, 0.8125, 3.7146),
        ("fp8_e5m2", 0x3A, 0.75, 4.2635),
        ("int8", 99, 99 / 127, 0.4943),
        ("int4", 5, 5 / 7, 8.8223),
        ("nf4", 14, 0.7229568362236023, 7.7155),
        ("mxfp4", 0b0101, 3 * 2**-2, 4.2635),
        ("mxfp8", 0x75, 208 * 2**-8, 3.7146),
        ("nvfp4", 0b0110, 4 * 0.171875, 12.2415),
    ],
)
def test_0_7834_has_its_published_code_value_and_error(name: str, code: int, value: float, error: float):
    encoding = encode(name, 0.7834, absmax=1.0)
    assert (encoding.format, encoding.code) == (name, code)
    assert math.isclose(encoding.value, value, rel_tol=1e-15)
    assert math.isclose(encoding.error_percent(0.7834), error, abs_tol=5e-5)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("fp32", ("0", "01111110", "10010001000110011100111")),
        ("tf32", ("0", "01111110", "1001000100")),
        ("bf16", ("0", "01111110", "1001001")),
        ("fp16", ("0", "01110", "1001000100")),
        ("fp8_e4m3", ("0", "0110", "101")),
        ("fp8_e5m2", ("0", "01110", "10")),
        ("int8", ("", "", "01100011")),
        ("int4", ("", "", "0101")),
        ("nf4", ("", "", "1110")),
        ("mxfp4", ("0", "10", "1")),
        ("mxfp8", ("0", "1110", "101")),
        ("nvfp4", ("0", "11", "0")),
    ],
)
def test_0_7834_splits_into_its_published_fields(name: str, fields: tuple[str, str, str]):
    encoding = encode(name, 0.7834)
    assert (encoding.sign, encoding.exponent, encoding.mantissa) == fields


@pytest.mark.parametrize(
    ("number_format", "max_finite", "min_normal", "min_subnormal"),
    [
        (FP32, 3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45),
        (TF32, 3.4011621342146535e38, 1.1754943508222875e-38, 2.0**-136),
        (BF16, 3.3895313892515355e38, 1.1754943508222875e-38, 9.183549615799121e-41),
        (FP16, 65504, 6.103515625e-05, 5.960464477539063e-08),
        (E4M3, 448, 0.015625, 0.001953125),
        (E5M2, 57344, 6.103515625e-05, 1.52587890625e-05),
        (E2M1, 6, 1, 0.5),
    ],
    ids=lambda v: getattr(v, "name", None),
)
def test_each_float_has_the_range_of_its_specification(
    number_format: FloatFormat, max_finite: float, min_normal: float, min_subnormal: float
):
    assert number_format.encode(LARGEST_WEIGHT).value == max_finite
    assert number_format.min_normal == min_normal
    assert number_format.decode(1) == min_subnormal


def test_the_largest_weight_is_the_largest_fp32():
    assert struct.unpack(">f", bytes.fromhex("7f7fffff"))[0] == LARGEST_WEIGHT


def test_e2m1_has_the_eight_magnitudes_of_the_ocp_specification():
    assert [E2M1.decode(code) for code in range(8)] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def test_nf4_levels_are_the_normal_quantiles_of_the_qlora_paper():
    """Appendix E: eight quantiles above zero and seven below, from 0.9677083 to the median, over the largest."""
    start, quantile = 0.9677083, NormalDist().inv_cdf

    def ladder(steps: int) -> list[float]:
        return [quantile(start + (0.5 - start) * i / steps) for i in range(steps)]

    levels = sorted([*ladder(8), 0.0, *(-q for q in ladder(7))])
    pairs = zip(NF4.levels, levels, strict=True)
    assert all(math.isclose(ours, theirs / levels[-1], abs_tol=2e-7) for ours, theirs in pairs)


def test_the_guides_e4m3_error_of_4_3_percent_is_truncation():
    truncated = E4M3.truncate(0.7834)
    assert (truncated.exponent, truncated.mantissa, truncated.value) == ("0110", "100", 0.75)
    assert math.isclose(truncated.error_percent(0.7834), 4.2635, abs_tol=5e-5)


def test_the_guides_int4_error_of_8_7_percent_is_truncation():
    """Its scale of 0.119 is an absmax of 0.833; 0.7834 / 0.119 = 6.583 became 6, and nearest is 7.

    6 × 0.119 = 0.714 is 8.86 % off; the guide prints it as 0.715, which makes its 8.7 %.
    """
    truncated, nearest = INT4.truncate(0.7834, absmax=0.833), INT4.encode(0.7834, absmax=0.833)
    assert (truncated.level, nearest.level) == (6, 7)
    assert math.isclose(truncated.error_percent(0.7834), 8.8588, abs_tol=5e-5)
    assert math.isclose(nearest.error_percent(0.7834), 6.3314, abs_tol=5e-5)


# Scales.


def test_mxfp4_takes_the_power_of_two_that_brings_its_absmax_between_4_and_8():
    assert [(s.value, s.code) for s in map(mxfp4_scale, (1.0, 0.7834, 6.0))] == [
        (2**-2, 125),
        (2**-3, 124),
        (1.0, 127),
    ]


def test_mxfp8_takes_the_power_of_two_that_brings_its_absmax_between_256_and_512():
    assert [(s.value, s.code) for s in map(mxfp8_scale, (1.0, 0.7834, 448.0))] == [
        (2**-8, 119),
        (2**-9, 118),
        (1.0, 127),
    ]


def test_mxfp4_saturates_above_the_midpoint_of_6_and_8():
    assert [MXFP4.encode(x, absmax=7.5).value for x in (6.9, 7.0, -7.5)] == [6, 6, -6]


def test_nvfp4_rounds_its_scale_to_e4m3():
    scale = nvfp4_scale(1.0)
    assert (scale.format, scale.code, scale.value) == ("fp8_e4m3", 0x23, 0.171875)


def test_nvfp4_under_a_tensor_scale_spreads_the_tensor_over_all_of_e4m3():
    scale = nvfp4_scale(1.0, tensor_absmax=1.0)
    assert (scale.level, scale.scale) == (448, FP32.encode(1 / 2688).value)
    in_tensor = replace(NVFP4, scale=partial(nvfp4_scale, tensor_absmax=1.0))
    assert math.isclose(in_tensor.encode(0.7834, absmax=1.0).error_percent(0.7834), 14.9009, abs_tol=1e-4)


def test_e8m0_spans_2_to_the_minus_127_to_2_to_the_127():
    assert all(E8M0.truncate(E8M0.decode(code)).code == code for code in range(255))
    assert E8M0.decode(0) == E8M0.truncate(0.0).value == 2.0**-127
    assert E8M0.truncate(1e300).value == 2.0**127


@given(magnitudes)
def test_e8m0_truncates_to_the_power_of_two_at_or_below(x: float):
    power = E8M0.truncate(x).value
    assert power <= x < 2 * power


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
@pytest.mark.parametrize("absmax", [0.0, 5e-324])
def test_a_block_of_zeros_decodes_to_zero(number_format: Scaled, absmax: float):
    encoding = number_format.encode(0.0, absmax=absmax)
    assert (encoding.value, encoding.error_percent(0.0)) == (0.0, 0.0)


def test_a_block_below_the_range_of_its_scale_flushes_to_zero():
    encoding = NVFP4.encode(-1e-4, absmax=1e-4)
    assert (encoding.scale, encoding.code, encoding.value) == (0.0, 0b1000, 0.0)
    assert encoding.error_percent(-1e-4) == 100


# Ties, signs, ranges.


@pytest.mark.parametrize(
    ("number_format", "x", "value"),
    [
        (E2M1, 0.25, 0.0),
        (E2M1, 0.75, 1.0),
        (E2M1, 2.5, 2.0),
        (E2M1, 3.5, 4.0),
        (E2M1, 5.0, 4.0),
        (E2M1, 6.99, 6.0),
        (E2M1, 7.0, 6.0),
        (E4M3, 2**-10, 0.0),
        (E4M3, 3 * 2**-10, 2**-8),
        (E4M3, 464.0, 448.0),
        (E4M3, 464.1, 448.0),
        (E5M2, 61439.0, 57344.0),
        (E5M2, 61440.0, 57344.0),
        (FP16, 65519.0, 65504.0),
        (FP16, 65520.0, 65504.0),
        (BF16, 1 + 2**-8, 1.0),
        (BF16, 1 + 3 * 2**-8, 1 + 2**-6),
        (FP32, 1.7976931348623157e308, 3.4028234663852886e38),
        (FP32, 5e-324, 0.0),
    ],
    ids=lambda v: getattr(v, "name", None),
)
def test_ties_go_to_the_even_code_and_overflow_saturates(number_format: FloatFormat, x: float, value: float):
    for sign in (1, -1):
        assert number_format.encode(sign * x).value == sign * value


def test_integer_ties_go_to_the_even_level():
    assert [INT4.encode(x, absmax=7).level for x in (0.5, 1.5, 2.5, -0.5, -1.5)] == [0, 2, 2, 0, -2]


def test_nf4_ties_go_to_the_lower_level_as_in_bitsandbytes():
    midpoints = [(low + high) / 2 for low, high in pairwise(NF4.levels)]
    assert [NF4.encode(x).code for x in midpoints] == list(range(15))
    assert [NF4.encode(math.nextafter(x, 2)).code for x in midpoints] == list(range(1, 16))


def test_negative_integers_are_stored_in_twos_complement():
    assert [(e.code, e.mantissa) for e in (INT4.encode(-1), INT8.encode(-1))] == [(9, "1001"), (129, "10000001")]


@pytest.mark.parametrize("number_format", FLOATS, ids=name_of)
def test_zero_keeps_its_sign(number_format: FloatFormat):
    negative = number_format.encode(-0.0)
    assert (negative.sign, negative.code) == ("1", 1 << (number_format.layout.bits - 1))
    assert math.copysign(1, negative.value) == -1
    assert number_format.encode(0.0).code == 0


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
def test_zero_is_exact_in_every_block(number_format: Scaled):
    assert number_format.encode(0.0, absmax=3.0).value == 0


@pytest.mark.parametrize("number_format", [INT8, INT4, NF4], ids=name_of)
@given(absmax=magnitudes)
def test_absmax_itself_takes_the_last_level(number_format: IntegerFormat | CodebookFormat, absmax: float):
    assert math.isclose(number_format.encode(absmax, absmax=absmax).value, absmax, rel_tol=1e-15)
    assert math.isclose(number_format.encode(-absmax, absmax=absmax).value, -absmax, rel_tol=1e-15)


@pytest.mark.parametrize("integers", [INT8, INT4], ids=name_of)
@given(absmax=magnitudes)
def test_truncation_keeps_absmax(integers: IntegerFormat, absmax: float):
    assert integers.truncate(absmax, absmax=absmax).level == integers.max_level


# Laws.


@given(st.floats(width=16, allow_nan=False, allow_infinity=False))
def test_fp16_keeps_every_binary16(x: float):
    assert (FP16.encode(x).code, FP16.encode(x).value) == (bits_of(x, "e"), x)


@given(st.floats(min_value=-65519, max_value=65519))
@example(2.0**-25)
@example(3 * 2.0**-25)
def test_fp16_rounds_as_struct_does(x: float):
    assert FP16.encode(x).code == bits_of(x, "e")


@given(st.floats(min_value=-3.4028234663852886e38, max_value=3.4028234663852886e38))
@example(2.0**-150)
@example(1 + 2.0**-24)
def test_fp32_rounds_as_struct_does(x: float):
    assert FP32.encode(x).code == bits_of(x, "f")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bf16_is_the_upper_half_of_an_fp32_rounded_to_even(x: float):
    word = bits_of(x, "f")
    rounded = (word + 0x7FFF + ((word >> 16) & 1)) >> 16
    assume(rounded & 0x7FFF < 0x7F80)
    assert BF16.encode(x).code == rounded
    assert BF16.truncate(x).code == word >> 16


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_truncated_tf32_is_the_upper_19_bits_of_an_fp32(x: float):
    assert TF32.truncate(x).code == bits_of(x, "f") >> 13


@pytest.mark.parametrize("number_format", SMALL_FLOATS, ids=name_of)
def test_every_code_of_a_small_float_survives_decode_and_encode(number_format: FloatFormat):
    for code in codes_of(number_format):
        value = number_format.decode(code)
        assert number_format.encode(value).code == number_format.truncate(value).code == code


@pytest.mark.parametrize(
    ("number_format", "absmax", "codes"),
    [
        (INT8, 127.0, [c for c in range(256) if c != 0x80]),
        (INT4, 7.0, [c for c in range(16) if c != 0x8]),
        (NF4, 3.0, list(range(16))),
        (MXFP4, 6.0, list(range(16))),
        (NVFP4, 6.0, list(range(16))),
    ],
    ids=lambda v: getattr(v, "name", None),
)
def test_every_code_of_a_block_survives_decode_and_encode(number_format: Scaled, absmax: float, codes: list[int]):
    for code in codes:
        assert number_format.encode(number_format.decode(code, absmax=absmax), absmax=absmax).code == code


@pytest.mark.parametrize("number_format", SMALL_FLOATS, ids=name_of)
@given(x=finite)
def test_no_other_code_of_a_small_float_is_nearer(number_format: FloatFormat, x: float):
    exact = Fraction(x)
    best = min(abs(Fraction(level) - exact) for level in levels_of(number_format))
    assert abs(Fraction(number_format.encode(x).value) - exact) == best


@pytest.mark.parametrize("number_format", SMALL_FLOATS, ids=name_of)
def test_every_midpoint_of_a_small_float_goes_to_the_even_code(number_format: FloatFormat):
    for low, high in pairwise(levels_of(number_format)):
        encoding = number_format.encode((low + high) / 2)
        assert encoding.value in (low, high)
        assert encoding.code % 2 == 0


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
@given(share=shares, absmax=magnitudes)
def test_no_other_code_of_a_block_is_nearer(number_format: Scaled, share: float, absmax: float):
    x = share * absmax
    unused = {"int8": 0x80, "int4": 0x8}.get(number_format.name)
    codes = (code for code in range(1 << number_format.layout.bits) if code != unused)
    values = sorted(number_format.decode(code, absmax=absmax) for code in codes)
    error = abs(number_format.encode(x, absmax=absmax).value - x)
    at = bisect_left(values, x)
    assert error <= min(abs(v - x) for v in values[max(at - 1, 0) : at + 1]) + 1e-15 * absmax


@pytest.mark.parametrize("number_format", FLOATS, ids=name_of)
@given(x=finite, y=finite)
def test_float_rounding_keeps_order(number_format: FloatFormat, x: float, y: float):
    low, high = sorted((x, y))
    assert number_format.encode(low).value <= number_format.encode(high).value
    assert number_format.truncate(low).value <= number_format.truncate(high).value


@pytest.mark.parametrize("number_format", FLOATS, ids=name_of)
@given(x=finite)
def test_float_rounding_is_odd_idempotent_and_finite(number_format: FloatFormat, x: float):
    encoding = number_format.encode(x)
    assert number_format.encode(-x).value == -encoding.value
    assert number_format.encode(encoding.value).code == encoding.code
    assert number_format.decode(encoding.code) == encoding.value
    assert math.isfinite(encoding.error_percent(x))
    assert encoding.error_percent(x) <= 100


@pytest.mark.parametrize("number_format", FLOATS, ids=name_of)
@given(x=finite)
def test_truncation_never_grows_a_magnitude_and_differs_by_at_most_one_code(number_format: FloatFormat, x: float):
    truncated, nearest = number_format.truncate(x), number_format.encode(x)
    assert abs(truncated.value) <= abs(x)
    assert nearest.code - truncated.code in (0, 1)


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
@given(a=shares, b=shares, absmax=magnitudes)
def test_block_rounding_keeps_order(number_format: Scaled, a: float, b: float, absmax: float):
    low, high = sorted((a * absmax, b * absmax))
    assert number_format.encode(low, absmax=absmax).value <= number_format.encode(high, absmax=absmax).value


@pytest.mark.parametrize("number_format", SYMMETRIC, ids=name_of)
@given(share=shares, absmax=magnitudes)
def test_block_rounding_is_odd(number_format: Scaled, share: float, absmax: float):
    positive = number_format.encode(share * absmax, absmax=absmax)
    negative = number_format.encode(-share * absmax, absmax=absmax)
    assert (negative.level, negative.value) == (-positive.level, -positive.value)


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
@given(share=shares, absmax=magnitudes)
def test_block_rounding_is_idempotent(number_format: Scaled, share: float, absmax: float):
    encoding = number_format.encode(share * absmax, absmax=absmax)
    again = max(-absmax, min(encoding.value, absmax))
    assume(encoding.scale > 0)
    assert number_format.encode(again, absmax=absmax).code == encoding.code


@pytest.mark.parametrize("name", FORMATS)
@given(x=shares)
def test_every_encoding_is_whole(name: str, x: float):
    encoding = encode(name, x)
    number_format = FORMATS[name]
    assert encoding.value == encoding.level * encoding.scale
    assert encoding.sign + encoding.exponent + encoding.mantissa == f"{encoding.code:0{encoding.bits}b}"
    assert encoding.bits == number_format.layout.bits
    assert number_format.decode(encoding.code) == encoding.value


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
@given(share=shares, absmax=st.floats(min_value=0, max_value=LARGEST_WEIGHT))
def test_no_block_of_fp32_weights_yields_anything_but_finite_numbers(
    number_format: Scaled, share: float, absmax: float
):
    encoding = number_format.encode(share * absmax, absmax=absmax)
    assert all(map(math.isfinite, (encoding.level, encoding.scale, encoding.value)))


# Errors.


def an_encoding(value: float) -> Encoding:
    return replace(FP32.encode(0.0), value=value)


def test_an_error_against_zero_is_0_or_100_percent():
    assert an_encoding(0.0).error_percent(0.0) == an_encoding(-0.0).error_percent(0.0) == 0
    assert an_encoding(0.5).error_percent(0.0) == 100


@given(value=finite, original=finite)
@example(1.0, 5e-324)
@example(1.7976931348623157e308, -1.7976931348623157e308)
def test_an_error_is_always_finite(value: float, original: float):
    assert 0 <= an_encoding(value).error_percent(original) < math.inf


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused(name: str, x: float):
    with pytest.raises(ValueError, match=r"quantizes numbers, and -?(nan|inf) is not one: give a finite number"):
        encode(name, x)


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
def test_a_value_outside_its_block_is_refused_with_the_absmax_it_needs(number_format: Scaled):
    with pytest.raises(ValueError, match=r"-1\.5 is outside its block of absmax 1\.0: give at least 1\.5"):
        number_format.encode(-1.5)


@pytest.mark.parametrize("number_format", SCALED, ids=name_of)
@pytest.mark.parametrize("absmax", [-1.0, 1e39, math.inf, math.nan])
def test_an_absmax_that_no_weight_has_is_refused(number_format: Scaled, absmax: float):
    with pytest.raises(ValueError, match="give"):
        number_format.encode(0.0, absmax=absmax)
    with pytest.raises(ValueError, match="give"):
        number_format.decode(1, absmax=absmax)


@pytest.mark.parametrize(
    ("number_format", "codes"),
    [
        (E4M3, [0x7F, 0xFF, -1, 0x100]),
        (E5M2, [0x7C, 0x7D, 0xFC, 0xFF]),
        (FP16, [0x7C00, 0xFFFF]),
        (E2M1, [-1, 16]),
        (E8M0, [-1, 0xFF]),
        (INT8, [-1, 0x80, 0x100]),
        (INT4, [0x8, 0x10]),
        (NF4, [-1, 16]),
        (MXFP4, [-1, 16]),
    ],
    ids=lambda v: getattr(v, "name", None),
)
def test_a_code_that_is_no_number_is_refused(number_format: FloatFormat | Scaled, codes: list[int]):
    for code in codes:
        with pytest.raises(ValueError, match=f"no number at code {code:#x}"):
            number_format.decode(code)


def test_a_negative_scale_is_refused():
    with pytest.raises(ValueError, match="e8m0 has no sign: give its magnitude"):
        E8M0.truncate(-1.0)


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(LookupError, match='no number format "fp9"; there are fp32, tf32, bf16, fp16, fp8_e4m3'):
        encode("fp9", 0.5)


def test_a_float_without_a_scale_needs_no_absmax():
    assert encode("fp16", 3.0).value == 3.0


def test_encodings_and_formats_are_values():
    assert encode("int4", 0.5) == encode("int4", 0.5)
    with pytest.raises(FrozenInstanceError):
        FP16.bias = 0  # pyright: ignore[reportAttributeAccessIssue]  the assignment is what is refused
    assert len({hash(number_format) for number_format in FORMATS.values()}) == len(FORMATS)
