"""Headers of safetensors files: bytes and parameters of every tensor, added up by tensor class.

A header that contradicts itself, or the size of its file, is refused as a whole.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any, Literal, cast, get_args

BITS_PER_BYTE = 8
LENGTH_BYTES = 8
"""A safetensors file opens with the length of its header, a little-endian integer of 64 bits. [B]"""

FLOATS = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}
"""Formats of which one element is one value. Source: safetensors, src/tensor.rs, `Dtype::bitsize`. [bits]"""

CONTAINERS = {"U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32}
"""Formats of which one element may hold several packed values (qweight, blocks); the same source. [bits]"""

BUFFERS = {"BOOL": 8, "U64": 64, "I64": 64, "C64": 64}
"""Formats of masks, positions and shapes, which are no parameters; the same source. [bits]"""

ELEMENT_BITS = {**FLOATS, **CONTAINERS, **BUFFERS}

LONGEST_NAME = 300
"""Longer tensor names are refused: patterns are matched on them. [characters]"""

MOST_DIMENSIONS = 16
LARGEST_SIZE = 2**48
"""Shapes beyond these are refused. [dimensions, elements]"""

NAMED_AT_MOST = 3
"""Tensors of no known class that a note names."""

TensorClass = Literal["mixers", "ffn", "routed_experts", "lookup", "rest", "vision", "multi_token", "other"]

_NUMBER = re.compile(r"\.\d+\.")
_BLOCK = re.compile(r"\.(?:layers|h|blocks?)\.(\d+)\.")
_BESIDE = re.compile(
    r"[._](?:scales?|scale_inv|scale_\d|global_scale|zero_point|qzeros|zeros|g_idx|perm|absmax|quant_map|SCB)$"
    r"|\.(?:biases|weight_shape|weight_format|quant_state\.\S*)$"
)
_PATTERNS: tuple[tuple[TensorClass, str], ...] = (
    (
        "vision",
        r"\.(?:visual|vision\w*|vit|image_\w+|audio\w*|sam_model|multi_modal_\w+|mm_\w+|embed_(?:vision|audio))\.",
    ),
    ("multi_token", r"\.(?:mtp\w*|nextn\w*|multi_token\w*)\."),
    ("lookup", r"\.(?:embed_tokens_per_layer|\w*engram\w*)\."),
    ("ffn", r"\.shared_(?:experts?|expert_gate|mlp)\.|\.fc[12]_latent_proj\."),
    ("routed_experts", r"\.experts\."),
    ("rest", r"\.(?:mlp|moe|ffn|feed_forward|mixer|block_sparse_moe)\.(?:gate|router)\.|\.(?:router|e_score_\w+)\b"),
    ("ffn", r"\.mixer\.(?:up|down|gate|gate_up)_proj\."),
    ("mixers", r"\.(?:(?:self_|cross_|linear_)?(?:attn|attention)|mixer|mamba\w*|ssm|kda|short_?conv|conv)\."),
    ("ffn", r"\.(?:mlp|ffn|feed_forward|shared_feed_forward|dense_mlp)\.|\.(?:gate|up|gate_up|down)_proj\."),
    ("rest", r"\.\w*(?:norm\w*|ln_?\w{1,2}|layernorm)\.(?:weight|bias)$"),
    ("rest", r"\.(?:embed\w*|\w*embeddings?\w*|wte|wpe|tok_\w+|lm_head|embed_out|output|head)\.(?:\w+\.)*\w+$"),
)
_CLASSES: tuple[tuple[TensorClass, re.Pattern[str]], ...] = tuple((kind, re.compile(one)) for kind, one in _PATTERNS)


class HeaderProblem(ValueError):  # noqa: N818 - a problem becomes a note, or a sentence to the user
    """A header that is none, or that contradicts itself. The message says how, without quoting it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor as its header states it; `bytes` is what it takes in the file."""

    name: str
    format: str
    elements: int
    bytes: int

    @property
    def parameters(self) -> int | None:
        """Elements of a format that holds one value each; None where an element may hold several packed ones."""
        if self.format in BUFFERS or self.is_beside:
            return 0
        return self.elements if self.format in FLOATS else None

    @property
    def is_beside(self) -> bool:
        """Whether this is a scale, zero point or order that belongs to a quantised matrix: bytes, no parameters."""
        return self.format == "F8_E8M0" or bool(_BESIDE.search(self.name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What the tensors of one class take: bytes, and parameters, or None where some are packed."""

    bytes: int = 0
    parameters: int | None = 0

    def __add__(self, other: "Stored") -> "Stored":
        known = self.parameters is not None and other.parameters is not None
        parameters = (self.parameters or 0) + (other.parameters or 0) if known else None
        return Stored(bytes=self.bytes + other.bytes, parameters=parameters)

    def bits_per_parameter(self, counted: int | None = None) -> float | None:
        """8 × bytes / parameters, scales and zero points included; None where there are no parameters. [bits]

        `counted` are the parameters that the architecture counts in this class: packed formats need them.

        >>> Stored(bytes=17, parameters=None).bits_per_parameter(32)
        4.25
        """
        parameters = self.parameters if counted is None else counted
        return BITS_PER_BYTE * self.bytes / parameters if parameters else None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensors:
    """What a checkpoint stores, by the tensor classes of `core.architecture`; scales count with their matrix.

    `mixers` are attention and what stands in its place; `ffn` dense blocks and shared experts; `rest` embedding,
    head, norms and router; `vision` and `multi_token` stand beside the text decoder; `other` has no known name.
    `formats` are bytes by safetensors format, `unknown` a few of the names in `other`.
    """

    mixers: Stored = Stored()
    ffn: Stored = Stored()
    routed_experts: Stored = Stored()
    lookup: Stored = Stored()
    rest: Stored = Stored()
    vision: Stored = Stored()
    multi_token: Stored = Stored()
    other: Stored = Stored()
    formats: Mapping[str, int] = field(default_factory=dict[str, int])
    unknown: tuple[str, ...] = ()

    def __add__(self, more: "StoredTensors") -> "StoredTensors":
        classes = {kind: self.of(kind) + more.of(kind) for kind in get_args(TensorClass)}
        formats = dict(self.formats)
        for name, weight in more.formats.items():
            formats[name] = formats.get(name, 0) + weight
        return StoredTensors(**classes, formats=formats, unknown=(*self.unknown, *more.unknown)[:NAMED_AT_MOST])

    def of(self, kind: TensorClass) -> Stored:
        """What the tensors of this class take."""
        return cast("Stored", getattr(self, kind))

    @property
    def total(self) -> Stored:
        """What all tensors take together."""
        return sum((self.of(kind) for kind in get_args(TensorClass)), Stored())


def class_of(name: str, *, layers: int | None = None) -> TensorClass:
    """The class that a tensor's name puts it in; blocks past the last of `layers` predict further tokens.

    >>> class_of("model.layers.3.mlp.experts.7.down_proj.weight"), class_of("model.layers.3.mlp.gate.weight")
    ('routed_experts', 'rest')
    >>> class_of("model.layers.61.self_attn.q_a_proj.weight", layers=61)
    'multi_token'
    """
    dotted = f".{name}"
    kind = _kind(_NUMBER.sub(".0.", dotted))
    block = _BLOCK.search(dotted)
    if kind != "vision" and layers is not None and block and int(block[1][:9]) >= layers:
        return "multi_token"
    return kind


@lru_cache(maxsize=4096)
def _kind(dotted: str) -> TensorClass:
    """The class of a name, remembered: the blocks of a model differ in their numbers only."""
    for kind, pattern in _CLASSES:
        if pattern.search(dotted):
            return kind
    return "other"


def weighed(tensors: Iterable[Tensor], *, layers: int | None = None) -> StoredTensors:
    """The tensors of one file, added up by class."""
    classes: dict[str, Stored] = {}
    formats: dict[str, int] = {}
    unknown: list[str] = []
    for tensor in tensors:
        kind = class_of(tensor.name, layers=layers)
        classes[kind] = classes.get(kind, Stored()) + Stored(bytes=tensor.bytes, parameters=tensor.parameters)
        formats[tensor.format] = formats.get(tensor.format, 0) + tensor.bytes
        if kind == "other" and len(unknown) < NAMED_AT_MOST:
            unknown.append(_tame(tensor.name))
    return StoredTensors(**classes, formats=formats, unknown=tuple(unknown))


def header_length(prefix: bytes, *, file_bytes: int, limit: int) -> int:
    """The length that a file's first 8 bytes state, compared with the file and the limit before any use. [B]"""
    length = int.from_bytes(prefix, "little")
    if length > limit:
        raise HeaderProblem(f"its header would be longer than {limit:,} bytes")
    if len(prefix) != LENGTH_BYTES or not 2 <= length <= file_bytes - LENGTH_BYTES:
        raise HeaderProblem("its header would be longer than the file")
    return length


def tensors_of(header: bytes, *, data_bytes: int) -> tuple[Tensor, ...]:
    """The tensors that a header states, where together they are exactly the data of the file."""
    stated = json_object(header)
    if stated is None:
        raise HeaderProblem("its header is not JSON")
    stated.pop("__metadata__", None)
    placed = [_placed(name, value) for name, value in stated.items()]
    spans = sorted((begin, begin + tensor.bytes) for begin, tensor in placed if tensor.bytes)
    edges = [(0, 0), *spans, (data_bytes, data_bytes)]
    if any(end != begin for (_, end), (begin, _) in pairwise(edges)):
        raise HeaderProblem("its tensors overlap, leave holes or do not fill the file")
    return tuple(tensor for _, tensor in placed)


def json_object(text: bytes) -> dict[str, Any] | None:
    """A JSON object in UTF-8, or None where the text is anything else, nested beyond reason included."""
    try:
        value: object = json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _placed(name: str, stated: Any) -> tuple[int, Tensor]:
    """A tensor and where its bytes begin, where format, shape and offsets agree."""
    if len(name) > LONGEST_NAME:
        raise HeaderProblem(f"a tensor's name is longer than {LONGEST_NAME} characters")
    match stated:
        case {"dtype": str(form), "shape": [*_], "data_offsets": [int(begin), int(end)]}:
            sizes = cast("Sequence[object]", stated["shape"])
        case _:
            raise HeaderProblem("a tensor lacks format, shape or offsets")
    if form not in ELEMENT_BITS:
        raise HeaderProblem("a tensor has a format that is not known")
    if len(sizes) > MOST_DIMENSIONS or not all(type(size) is int and 0 <= size <= LARGEST_SIZE for size in sizes):
        raise HeaderProblem("a tensor has a shape that cannot be")
    elements = prod(cast("Sequence[int]", sizes))
    if begin < 0 or (end - begin) * BITS_PER_BYTE != elements * ELEMENT_BITS[form]:
        raise HeaderProblem("a tensor's offsets do not fit its format and shape")
    return begin, Tensor(name=name, format=form, elements=elements, bytes=end - begin)


def _tame(name: str) -> str:
    """A tensor's name made safe to repeat: at most 80 letters, digits, dots, dashes; any other character a `?`."""
    return re.sub(r"[^\w.-]", "?", name[:80], flags=re.ASCII)
