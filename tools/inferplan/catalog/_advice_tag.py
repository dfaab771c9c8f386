"""Names with a tag behind a colon, as Ollama and API routers have them.

Sources: Ollama's API documentation, model names (`model:tag`, the tag `latest` where none is given), and its page on
cloud models (`gpt-oss:120b-cloud` runs there); OpenRouter's documentation, model variants (what routes a request
otherwise has the weights of its model).
"""

import re

from inferplan.catalog._shelf import FEW, quoted_list, words
from inferplan.catalog.models import MODELS

_LATEST = "latest"
_CLOUD = "-cloud"
_ROUTES = frozenset(("cloud", "free", "nitro", "floor", "exacto", "online", "extended", "batch"))
"""Tags that say nothing of the weights."""
_SIZE = re.compile(r"\b(?:\d+x)?\d+(?:\.\d+)?b\b")
"""A size in a name: "70b", "1.5b", "8x7b"."""
_OLLAMA = re.compile(
    r"(?:ollama\s+(?:run|pull|show)\s+)?(?:(?:https?://)?(?:www\.|registry\.)?ollama\.(?:com|ai)/)?(?:library/|ollama/)?",
    re.IGNORECASE,
)


def untagged(said: str) -> str:
    """A name without the prefixes and tags of Ollama and routers, unless that leaves the size open.

    >>> untagged("ollama run llama3.3:latest"), untagged("openai/gpt-oss-20b:free"), untagged("gpt-oss:latest")
    ('llama3.3', 'openai/gpt-oss-20b', 'gpt-oss:latest')
    >>> untagged("gpt-oss:120b-cloud"), untagged("glm-4.6:cloud")
    ('gpt-oss:120b', 'glm-4.6')
    """
    if ":" not in said and "/" not in said and " " not in said:
        return said
    said = _OLLAMA.sub("", said.strip(), count=1)
    if ":" in said and said.casefold().endswith(_CLOUD):
        said = said[: -len(_CLOUD)]
    name, _, tag = said.rpartition(":")
    goes = tag.casefold() in _ROUTES or (tag.casefold() == _LATEST and not _sizes(name))
    return name if name and goes else said


def tag_advice(said: str) -> str | None:
    """The advice for the tag `latest` of a model with several sizes; None for any other name.

    >>> tag_advice("gpt-oss:latest")
    '"gpt-oss:latest" says no size; ask for one of "openai/gpt-oss-120b", "openai/gpt-oss-20b"'
    """
    name, _, tag = said.rpartition(":")
    sizes = _sizes(name) if tag.casefold() == _LATEST else []
    return f'"{said}" says no size; ask for one of {quoted_list(sizes[:FEW])}' if sizes else None


def _sizes(name: str) -> list[str]:
    """Ids of the models that go by this name and a size, where there are several; else empty."""
    if "/" in name or _SIZE.search(name.casefold()):
        return []
    sizes = dict.fromkeys(word for id_ in MODELS.holding(name) for word in words(id_) if _SIZE.fullmatch(word))
    found = dict.fromkeys(filter(None, [MODELS.named(name), *(MODELS.only(f"{name} {size}") for size in sizes)]))
    return list(found) if len(found) > 1 else []
