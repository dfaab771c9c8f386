"""Advice for a size in place of a model: the models that have it, and which sizes are classes."""

import re
from collections.abc import Iterator

from inferplan.catalog._json import quoted
from inferplan.catalog._shelf import quoted_list, words
from inferplan.catalog.models import MODELS, model_rows
from inferplan.core.units import GIGA

NAMED = 3
"""Models named for a size."""
ABOUT = 0.1
"""How far the parameters of a model may be from a size that it is named for. [fraction]"""

_SIZE = re.compile(
    r"\s*(?P<number>\d{1,6}(?:\.\d{1,3})?)[ -]?(?P<unit>b|bn|billion|t|tn|trillion|m|million)?"
    r"(?:[ -]?(?:params|parameters|model|class))?\s*",
    re.IGNORECASE,
)
_BILLIONS = {"m": 1e-3, "b": 1.0, "t": 1e3}


def size_advice(said: str) -> str | None:
    """The advice for a size that is not a class; None for any other name.

    >>> size_advice("70")
    '"70" is a size, not a model; did you mean the size class "70B"?'
    >>> size_advice("671b")
    '"671b" is a size, not a model; of about that size: "deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-R1", \
"deepseek-ai/DeepSeek-V3.1"; size classes are "7B", "13B", "70B", "405B", "745B MoE"'
    >>> size_advice("llama 8b")
    """
    if (found := _SIZE.fullmatch(said)) is None or not float(found["number"]):
        return None
    billions = float(found["number"]) * _BILLIONS[(found["unit"] or "b")[0].casefold()]
    lead = f"{quoted(said.strip())} is a size, not a model; "
    if (class_ := f"{billions:g}B") in MODELS:
        return f'{lead}did you mean the size class "{class_}"?'
    near = list(dict.fromkeys(_of(said, billions)))[:NAMED]
    of_it = f"of about that size: {quoted_list(near)}; " if near else ""
    return f"{lead}{of_it}size classes are {quoted_list(_classes())}"


def _of(said: str, billions: float) -> Iterator[str]:
    """Ids of models with the size in their name, then of those with about as many parameters, the closest first."""
    spoken = frozenset(words(said))
    for id_, row in model_rows().items():
        if not row.size_class and any(spoken <= frozenset(words(name)) for name in (id_, *row.aliases)):
            yield id_
    asked = billions * GIGA
    away = {id_: abs(row.params_total - asked) for id_, row in model_rows().items() if not row.size_class}
    yield from sorted((id_ for id_, far in away.items() if far <= ABOUT * asked), key=lambda id_: away[id_])


def _classes() -> list[str]:
    """Ids of the size classes."""
    return [id_ for id_, model in MODELS.items() if model.is_size_class]
