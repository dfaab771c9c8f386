"""Advice for names of a model and a format in one, as checkpoints, GGUF files and other tools have them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from inferplan.catalog._advice_width import of_width
from inferplan.catalog._shelf import LONGEST_NAME, key, words
from inferplan.catalog.formats import format_rows
from inferplan.catalog.models import MODELS

_PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([^/\s]+/[^/\s:?#]+)(?:[/?#]\S*)?", re.IGNORECASE
)
_SIDE = frozenset(("gguf", "quantized", "weights", "format", "qat", "ct", "block", "mlx", "dwq"))
"""Words of names that say nothing of model or format."""
_BITS = frozenset(("bit", "bits"))
_GGUF = re.compile(r"[-:_. ](?:ud-)?i?q([1-8])_\w+?(?:[-.]gguf)?$")
"""The GGUF type at the end of a file name or a tag; the group is its width in bits."""
_NVIDIA = ("nvidia/", "-fp4", "-nvfp4")
"""The owner whose "-FP4" means "-NVFP4": its checkpoints were renamed."""
_NO_TEXT: Mapping[str, frozenset[str]] = {
    "embedding models and rerankers generate no text": frozenset(
        ("embed", "embedding", "embeddings", "embeddinggemma", "rerank", "reranker", "bge", "gte", "minilm")
    ),
    "models that write down speech are none of text": frozenset(("whisper",)),
    "models that draw images generate no text": frozenset(("diffusion", "sdxl", "flux")),
}
"""Words in the names of models of other kinds, by why those are not planned."""


def from_page(said: str) -> str:
    """The repository id in the address of a page on the hub; any other name as it is.

    >>> from_page("https://huggingface.co/Qwen/Qwen3-32B/tree/main"), from_page("hf.co/Qwen/Qwen3-8B")
    ('Qwen/Qwen3-32B', 'Qwen/Qwen3-8B')
    """
    page = _PAGE.fullmatch(said.strip())
    return page.group(1) if page else said


def kind_advice(said: str) -> str | None:
    """That models of this kind are not planned, for a name that says its kind; None for any other.

    >>> kind_advice("BAAI/bge-m3"), kind_advice("qwen3 8b")
    ('embedding models and rerankers generate no text and are not planned', None)
    """
    spoken = frozenset(words(said.rstrip("/").rpartition("/")[2]) if len(said) <= LONGEST_NAME else ())
    found = next((why for why, marks in _NO_TEXT.items() if marks & spoken), None)
    return found and f"{found} and are not planned"


def format_advice(said: str) -> str | None:
    """The advice for a name that no model goes by: the model and the format that it speaks of; None where it does not.

    >>> format_advice("llama3.1:70b-instruct-q4_K_M")
    'ask for model "meta-llama/Llama-3.1-70B-Instruct" with precision "q4_k_m"'
    """
    if len(said) > LONGEST_NAME:
        return None
    owner, before, after = _NVIDIA
    name = said.rstrip("/").rpartition("/")[2].casefold()
    spoken = words(name.replace(before, after) if said.casefold().startswith(owner) else name)
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
    """For a name with a width ("4bit"): the other words, the width, and how titles of formats to name begin.

    The same for a name with a GGUF type that is none of the formats.
    """
    for at, bits in enumerate(spoken[:-1]):
        if spoken[at + 1] in _BITS and bits.replace(".", "").isdecimal():
            yield (*spoken[:at], *spoken[at + 2 :]), bits, ""
    if found := _GGUF.search(name):
        yield words(name[: found.start()]), found[1], "GGUF "


def sibling_advice(said: str, id_: str) -> str | None:
    """The advice for a name that holds words of row `id_`, but is another model's name with a format; else None.

    >>> sibling_advice("glm-4.5 fp8", "zai-org/GLM-4.5-Air-FP8")
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
    """Each way to read a name as a model and a format: the words of the model, the format; longest format first."""
    cuts = [(start, end) for start in range(1, len(spoken)) for end in range(len(spoken), start, -1)]
    for start, end in sorted(cuts, key=lambda one: one[0] - one[1]):
        if form := _formats().get(key(spoken[start:end])):
            yield (*spoken[:start], *spoken[end:]), form


def _model(spoken: tuple[str, ...]) -> str | None:
    """The id of the one model that goes by these words; None where there is none, or more than one."""
    return MODELS.only(" ".join(word for word in spoken if word not in _SIDE))


@cache
def _formats() -> Mapping[str, str]:
    """Ids of formats by the keys of their names."""
    return {key(words(name)): row.id for row in format_rows().values() for name in (row.id, row.title, *row.aliases)}
