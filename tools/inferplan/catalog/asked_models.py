"""Models that can be asked for: of the catalogue, described by the text of a config.json, or on a model hub.

An id is all that an answer has to echo: that of a row or a published build, the canonical config, or "owner/name".
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from inferplan.catalog._advice_format import format_advice, from_page, kind_advice, sibling_advice
from inferplan.catalog._advice_script import in_latin, script_advice
from inferplan.catalog._advice_size import size_advice
from inferplan.catalog._advice_tag import tag_advice, untagged
from inferplan.catalog._plain_names import is_called_dense, plainly
from inferplan.catalog._shelf import LONGEST_NAME, UnknownName
from inferplan.catalog.builds import build_rows
from inferplan.catalog.hugging_face.names import OWN, is_repository_id
from inferplan.catalog.models import MODELS
from inferplan.core.model import Model

if TYPE_CHECKING:
    from inferplan.catalog.hugging_face.config import Described

__all__ = [
    "OWN",
    "UnknownModel",
    "is_config",
    "model_id",
    "model_of",
    "only_on_hub",
    "provenance",
    "shown_id",
]

FENCE = "```"
"""What opens and closes a block of code in Markdown."""


class UnknownModel(ValueError):  # noqa: N818 - the name says what it is: a model that is not known
    """A name that no model goes by. The message is one actionable sentence."""


def unfenced(said: str) -> str:
    """The text between Markdown's fences, with which assistants quote a file; any other text as it is.

    >>> unfenced('```json {"model_type": "llama"} ```'), unfenced("llama 3")
    ('{"model_type": "llama"}', 'llama 3')
    """
    if not said.startswith(FENCE):
        return said
    return said[max(0, said.find("{")) :].rstrip().removesuffix(FENCE).rstrip()


def is_config(said: str) -> bool:
    """Whether a text is meant as that of a config.json.

    >>> is_config('{"model_type": "llama"}'), is_config("70B")
    (True, False)
    """
    return said.startswith("{")


def only_on_hub(said: str) -> bool:
    """Whether a name is that of a repository that only a hub knows.

    >>> only_on_hub("meta-llama/Llama-3.1-8B-Instruct"), only_on_hub("70B"), only_on_hub("nobody/nothing-1b")
    (False, False, True)
    """
    return _is_unknown_repository(untagged(from_page(said)))


def model_id(said: str) -> str:
    """The id of a model by name, repository or config. Raises `UnknownModel` where there is none.

    >>> model_id("llama 3.3 70b")
    'meta-llama/Llama-3.3-70B-Instruct'
    """
    said = unfenced(said.lstrip("\ufeff \t\r\n"))
    if is_config(said):
        return _described(_described(said).model.id).model.id
    try:
        said = in_latin(untagged(from_page(said)))
        if built := _built(said):
            return built.id
        return _on_hub(said).id if _is_unknown_repository(said) else _catalogued(said)
    except UnknownName:
        if found := _in_a_sentence(said):
            return found
        raise UnknownModel(_not_catalogued(said, own="; or pass the text of its config.json as the model")) from None


def _in_a_sentence(said: str) -> str | None:
    """The id of the model that is spoken of among words of a sentence; None without such words, or for other kinds.

    Raises `UnknownModel` for what they leave of the name.
    """
    if "/" in said or len(said) > LONGEST_NAME or (plain := plainly(said)) == said:
        return None
    found = model_id(plain)
    return None if is_called_dense(said) and model_of(found).architecture.experts else found


def _described(text: str) -> "Described":
    """The model that a config describes. Raises `UnknownModel` where it cannot be read."""
    from inferplan.catalog import outside_models as outside  # noqa: PLC0415 (only for such models)

    try:
        return outside.described(text)
    except outside.ConfigProblem as problem:
        raise UnknownModel(str(problem)) from None


def _catalogued(said: str) -> str:
    """The id of the row for a name. Raises `UnknownModel` where it is rather another model's name with a format."""
    id_ = MODELS.id_of(said)
    if advice := sibling_advice(said, id_):
        raise UnknownModel(f'no model "{" ".join(said.split())}"; {advice}')
    return id_


def model_of(id_: str) -> Model:
    """The model of an id, the same object as long as it is cached."""
    if id_ in MODELS:
        return MODELS[id_]
    if built := _built(id_):
        return built
    return _described(id_).model if is_config(id_) else _on_hub(id_)


def _is_unknown_repository(name: str) -> bool:
    """Whether a name is "owner/name", and no row, published build or closed model goes by it."""
    known = not is_repository_id(name) or _built(name) is not None or MODELS.knows(name)
    return not known and _closed(name) is None


def _closed(name: str) -> str | None:
    """The advice for a closed model or a retired name of an API; None for any other name."""
    from inferplan.catalog import _advice_closed as closed  # noqa: PLC0415 (only where nothing goes by a name)

    return closed.closed_advice(name) or closed.retired_advice(name)


def _built(said: str) -> Model | None:
    """The model of a published build, by repository; NVIDIA's "-FP4" were renamed "-NVFP4". None where there is none.

    Source: vllm-project/recipes and the guides of TensorRT-LLM, which name the same checkpoints in both ways.
    """
    name = said.strip().casefold()
    renamed = name.replace("-fp4", "-nvfp4") if name.startswith("nvidia/") else name
    return _builds().get(name) or _builds().get(renamed)


@cache
def _builds() -> Mapping[str, Model]:
    """The published builds by repository in lower case, as models whose native format is the build's."""
    return {
        row.id.casefold(): replace(
            MODELS[row.model],
            id=row.id,
            title=row.id.rpartition("/")[2].replace("-", " "),
            native_precision=row.precision,
            native_bits=row.bits,
            native_kv_bits=row.kv_bits,
            builds={},
        )
        for row in build_rows()
    }


def shown_id(model: Model) -> str:
    """A model's id for a table; of a described one, its title."""
    return model.title if is_config(model.id) else model.id


def provenance(id_: str) -> tuple[str, tuple[str, ...]] | None:
    """Where a model outside the catalogue was read, and what was assumed or left out; None of a catalogued one."""
    if is_config(id_):
        notes = _described(id_).notes
        return ("your config.json", notes) if notes else None
    if id_ in MODELS or _built(id_):
        return None
    from inferplan.catalog.outside_models import held as held_model  # noqa: PLC0415 (only for such models)

    held = held_model(id_)
    return held and (f"{id_} at {held.repository.revision[:7]}", held.model.notes)


def _on_hub(repo_id: str) -> Model:
    """The model of a repository. Raises `UnknownModel`, with the nearest names, where the hub does not have it."""
    from inferplan.catalog import outside_models as outside  # noqa: PLC0415 (only for such models)

    try:
        return outside.on_hub(repo_id)
    except outside.HubProblem as problem:
        helps = "" if kind_advice(repo_id) else f"; {problem}"
        raise UnknownModel(f"{_not_catalogued(repo_id)}{helps}") from None
    except outside.ConfigProblem as problem:
        said = str(problem).removeprefix("config.json: ")
        raise UnknownModel(f'config.json of "{repo_id}": {said}') from None


def _not_catalogued(name: str, own: str = "") -> str:
    """The advice for a name that is not catalogued, or the nearest names; `own` says how to describe one's own.

    To a name that does not fit several models either, how to describe one's `own`.
    """
    try:
        return f'no model "{MODELS.id_of(name)}"'
    except UnknownName as unknown:
        if advice := size_advice(name) or _closed(name) or tag_advice(name):
            return advice
        if advice := script_advice(name):
            return f'no model "{unknown.name}"; {advice}{own}'
        if advice := kind_advice(name) or format_advice(name):
            return f'no model "{unknown.name}"; {advice}'
        return f"{unknown}{'' if MODELS.knows(name) else own}"
