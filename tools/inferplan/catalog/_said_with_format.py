"""Names of a model and a format in one, as checkpoints, GGUF files and other tools have them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from inferplan.catalog._said_as_width import of_width
from inferplan.catalog._shelf import LONGEST_NAME, key, words
from inferplan.catalog.formats import format_rows
from inferplan.catalog.models import MODELS

_PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([^/\s]+/[^/\s:?#]+)(?:[/?#]\S*)?", re.IGNORECASE
)
_SIDE = frozenset(("gguf", "quantized", "weights", "format", "qat", "ct", "block", "mlx", "dwq"))
"""Words beside a format that name neither it nor the model."""
_BITS = frozenset(("bit", "bits"))
_GGUF = re.compile(r"[-:_. ](?:ud-)?i?q([1-8])_\w+?(?:[-.]gguf)?$")
"""The end of the name of a GGUF file, or of a tag: its type and how wide that is."""
_NVIDIA = ("nvidia/", "-fp4", "-nvfp4")
"""Whose "FP4" is NVFP4: the checkpoints of this owner were renamed so."""
_NO_TEXT = frozenset(
    ("embed", "embedding", "embeddings", "embeddinggemma", "rerank", "reranker", "bge", "gte", "minilm")
)
"""Words of names of models that give vectors or scores."""


def from_page(said: str) -> str:
    """The repository of a page of the hub; anything else as it was said.

    >>> from_page("https://huggingface.co/Qwen/Qwen3-32B/tree/main"), from_page("hf.co/Qwen/Qwen3-8B")
    ('Qwen/Qwen3-32B', 'Qwen/Qwen3-8B')
    """
    page = _PAGE.fullmatch(said.strip())
    return page.group(1) if page else said


def advice(said: str) -> str | None:
    """What to ask for instead of a name that no model goes by, where the name tells.

    >>> advice("llama3.1:70b-instruct-q4_K_M")
    'ask for model "meta-llama/Llama-3.1-70B-Instruct" with precision "q4_k_m"'
    >>> advice("bge-m3")
    'embedding models and rerankers generate no text and are not planned'
    """
    if len(said) > LONGEST_NAME:
        return None
    owner, before, after = _NVIDIA
    name = said.rstrip("/").rpartition("/")[2].casefold()
    spoken = words(name.replace(before, after) if said.casefold().startswith(owner) else name)
    if _NO_TEXT & set(spoken):
        return "embedding models and rerankers generate no text and are not planned"
    for rest, form in _cuts(spoken):
        if model := _model(rest):
            return f'ask for model "{model}" with precision "{form}"'
    for rest, bits, mark in _widths(name, spoken):
        if model := _model(rest):
            titles = {id_: row.title for id_, row in format_rows().items() if row.title.startswith(mark)}
            return f'ask for model "{model}" with a precision {of_width(bits, titles)}'
    model = (_model(spoken) or _model(words(name.partition(":")[0]))) if _SIDE & set(spoken) else None
    return model and f'ask for model "{model}" with its precision, as "q4_k_m"'


def _widths(name: str, spoken: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What remains of a name without a width ("4bit"), that width, and how titles of the formats that are meant begin.

    So of a name without a GGUF type that is none of the formats.
    """
    for at, bits in enumerate(spoken[:-1]):
        if spoken[at + 1] in _BITS and bits.replace(".", "").isdecimal():
            yield (*spoken[:at], *spoken[at + 2 :]), bits, ""
    if found := _GGUF.search(name):
        yield words(name[: found.start()]), found[1], "GGUF "


def other_advice(said: str, id_: str) -> str | None:
    """What to ask for instead of a name that only holds words of the row `id_`, where it has another's and a format.

    >>> other_advice("glm-4.5 fp8", "zai-org/GLM-4.5-Air-FP8")
    'ask for model "zai-org/GLM-4.5" with precision "fp8"'
    """
    if MODELS.named(said):
        return None
    for rest, form in _cuts(words(said.rpartition("/")[2])):
        model = MODELS.named(" ".join(rest))
        if model and MODELS[model].architecture != MODELS[id_].architecture:
            return f'ask for model "{model}" with precision "{form}"'
    return None


def _cuts(spoken: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What remains of a name without the words of a format, and the format; the longest format first."""
    cuts = [(start, end) for start in range(1, len(spoken)) for end in range(len(spoken), start, -1)]
    for start, end in sorted(cuts, key=lambda one: one[0] - one[1]):
        if form := _formats().get(key(spoken[start:end])):
            yield (*spoken[:start], *spoken[end:]), form


def _model(spoken: tuple[str, ...]) -> str | None:
    """The one model that goes by these words."""
    return MODELS.only(" ".join(word for word in spoken if word not in _SIDE))


@cache
def _formats() -> Mapping[str, str]:
    """Formats by their names."""
    return {key(words(name)): row.id for row in format_rows().values() for name in (row.id, row.title, *row.aliases)}
