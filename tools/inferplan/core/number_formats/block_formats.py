"""Formats of blocks: float elements that share a scale. Conventions are in `core.formats`."""

from collections.abc import Callable
from dataclasses import dataclass

from inferplan.core.number_formats.element_formats import E2M1, E4M3, E8M0, FP32, FloatFormat
from inferplan.core.number_formats.encoding import BitLayout, Encoding, block_absmax


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockFormat:
    """Float elements that share a scale, which `scale` makes of the absmax of their block.

    The float quotient x / scale is as good as the exact one: scales here have at most 28 significant bits, so a
    midpoint of two elements × scale is a float, and the quotient lands on a midpoint only where it is one.

    >>> MXFP4.encode(0.7834, absmax=1).level, NVFP4.encode(0.7834, absmax=1).level
    (3.0, 4.0)
    """

    name: str
    element: FloatFormat
    scale: Callable[[float], Encoding]

    @property
    def layout(self) -> BitLayout:
        """The fields of one element, its scale apart."""
        return self.element.layout

    def encode(self, x: float, *, absmax: float = 1.0) -> Encoding:
        """Round x / scale to the nearest element, ties to even; saturate."""
        scale = self.scale(block_absmax(absmax, self.name, holding=x)).value
        return self.element.encode(_quotient(x, scale)).scaled(scale, name=self.name)

    def decode(self, code: int, *, absmax: float = 1.0) -> float:
        """Element × scale."""
        return self.element.decode(code) * self.scale(absmax).value


def mxfp4_scale(absmax: float) -> Encoding:
    """2^(floor(log2(absmax)) - 2) in E8M0; the 2 is the exponent of 4, the largest power of two in E2M1.

    Limits: the floor rule leaves up to 8 to elements that end at 6; past 7 they saturate.

    Source: OCP Microscaling Formats Specification 1.0, section 6.3.

    >>> mxfp4_scale(1.0).value, mxfp4_scale(1.0).code
    (0.25, 125)
    """
    return E8M0.truncate(block_absmax(absmax, "mxfp4") / 4)


def mxfp8_scale(absmax: float) -> Encoding:
    """2^(floor(log2(absmax)) - 8) in E8M0; the 8 is the exponent of 256, the largest power of two in E4M3.

    Limits: the floor rule leaves up to 512 to elements that end at 448; past 464 they saturate.

    Source: OCP Microscaling Formats Specification 1.0, section 6.3.

    >>> mxfp8_scale(1.0).value, MXFP8.encode(0.7834, absmax=1).level
    (0.00390625, 208.0)
    """
    return E8M0.truncate(block_absmax(absmax, "mxfp8") / 256)


def nvfp4_scale(absmax: float, *, tensor_absmax: float = 6 * 448) -> Encoding:
    """E4M3(absmax / 6 / tensor_scale) × tensor_scale, where tensor_scale = fp32(tensor_absmax / (6 × 448)).

    The 6 is the largest value of E2M1, the 448 of E4M3. The default is the tensor_absmax whose tensor scale is 1.

    Source: NVIDIA, "Introducing NVFP4 for Efficient and Accurate Low-Precision Inference", 2025.

    >>> nvfp4_scale(1.0).value, f"{nvfp4_scale(1.0).code:#x}"
    (0.171875, '0x23')
    >>> from dataclasses import replace
    >>> in_tensor = replace(NVFP4, scale=lambda absmax: nvfp4_scale(absmax, tensor_absmax=1.0))
    >>> round(in_tensor.encode(0.7834, absmax=1.0).value, 6)
    0.666667
    """
    tensor_scale = FP32.encode(block_absmax(tensor_absmax, "nvfp4") / (6 * 448)).value
    wanted = _quotient(block_absmax(absmax, "nvfp4"), 6 * tensor_scale)
    return E4M3.encode(wanted).scaled(tensor_scale, name=E4M3.name)


def _quotient(x: float, scale: float) -> float:
    return x / scale if scale else 0.0 * x


MXFP4 = BlockFormat(name="mxfp4", element=E2M1, scale=mxfp4_scale)
MXFP8 = BlockFormat(name="mxfp8", element=E4M3, scale=mxfp8_scale)
NVFP4 = BlockFormat(name="nvfp4", element=E2M1, scale=nvfp4_scale)
