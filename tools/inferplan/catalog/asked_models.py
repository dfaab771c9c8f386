"""Any model that can be asked for: of the catalogue, described by the text of its config.json, or on a model hub.

An id is all that an answer has to echo: that of a row or a published build, the short text of a config, "owner/name".
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock
from time import monotonic

from inferplan.catalog._said_as_size import size_advice
from inferplan.catalog._said_with_format import advice, from_page, other_advice
from inferplan.catalog._said_with_tag import tag_advice, untagged
from inferplan.catalog._shelf import UnknownName
from inferplan.catalog.builds import build_rows
from inferplan.catalog.hugging_face.config import ConfigProblem, Described, described
from inferplan.catalog.hugging_face.hub import HubProblem, Repository, is_repository_id, read_repository
from inferplan.catalog.hugging_face.hub_models import hub_model
from inferplan.catalog.hugging_face.titles import OWN
from inferplan.catalog.models import MODELS
from inferplan.core.model import Model

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

ASK_AGAIN_SECONDS = 60.0
"""A repository whose tensors were not to be had is asked for again, but not within one question. [s]"""
REMEMBERED = 64
"""Models on a hub that are kept for the life of the process."""


class UnknownModel(ValueError):  # noqa: N818 - the name says what it is: a model that is not known
    """Nothing could be made of what was said. The message is one actionable sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A model as a hub describes it, and when it was read there. [s]"""

    repository: Repository
    model: Described
    at: float

    @property
    def will_do(self) -> bool:
        """Whether there is no need to ask again."""
        return self.repository.tensors is not None or monotonic() - self.at < ASK_AGAIN_SECONDS


FENCE = "```"
"""What Markdown begins and ends a block of code with."""

_held: dict[str, Held] = {}
_lock = Lock()


def unfenced(said: str) -> str:
    """What stands between the fences of Markdown, as which assistants show the text of a file.

    >>> unfenced('```json {"model_type": "llama"} ```'), unfenced("llama 3")
    ('{"model_type": "llama"}', 'llama 3')
    """
    if not said.startswith(FENCE):
        return said
    return said[max(0, said.find("{")) :].rstrip().removesuffix(FENCE).rstrip()


def is_config(said: str) -> bool:
    """Whether this is meant to be the text of a config.json.

    >>> is_config('{"model_type": "llama"}'), is_config("70B")
    (True, False)
    """
    return said.startswith("{")


def only_on_hub(said: str) -> bool:
    """Whether a hub has to be asked: this names a repository, and nothing in the catalogue goes by the name.

    >>> only_on_hub("meta-llama/Llama-3.1-8B-Instruct"), only_on_hub("70B"), only_on_hub("nobody/nothing-1b")
    (False, False, True)
    """
    return _is_unknown_repository(untagged(from_page(said)))


def model_id(said: str) -> str:
    """The id behind what people say; raises `UnknownModel` with one sentence where there is none.

    >>> model_id("llama 3.3 70b")
    'meta-llama/Llama-3.3-70B-Instruct'
    """
    said = unfenced(said.lstrip("\ufeff \t\r\n"))
    try:
        if is_config(said):
            return described(described(said).model.id).model.id
        said = untagged(from_page(said))
        if built := _built(said):
            return built.id
        return _on_hub(said).id if _is_unknown_repository(said) else _catalogued(said)
    except UnknownName:
        raise UnknownModel(_not_catalogued(said, own="; or pass the text of its config.json as the model")) from None
    except ConfigProblem as problem:
        raise UnknownModel(str(problem)) from None


def _catalogued(said: str) -> str:
    """The row that goes by this name, unless it names another model and a format."""
    id_ = MODELS.id_of(said)
    if told := other_advice(said, id_):
        raise UnknownModel(f'no model "{" ".join(said.split())}"; {told}')
    return id_


def model_of(id_: str) -> Model:
    """The model of this id: the same object as long as it is remembered."""
    if id_ in MODELS:
        return MODELS[id_]
    if built := _built(id_):
        return built
    return described(id_).model if is_config(id_) else _on_hub(id_)


def _is_unknown_repository(name: str) -> bool:
    """Whether this is "owner/name", and no row, no published build and no closed model goes by it."""
    known = not is_repository_id(name) or _built(name) is not None or MODELS.knows(name)
    return not known and _closed(name) is None


def _closed(name: str) -> str | None:
    """What to say to the name of a model whose weights nobody can download, or of what an API served."""
    from inferplan.catalog import _said_as_closed as closed  # noqa: PLC0415 (only where nothing goes by a name)

    return closed.closed_advice(name) or closed.retired_advice(name)


def _built(said: str) -> Model | None:
    """The published build of this repository; NVIDIA's were called "-FP4" before they were called "-NVFP4".

    Source: vllm-project/recipes and the guides of TensorRT-LLM, which name the same checkpoints in both ways.
    """
    name = said.strip().casefold()
    renamed = name.replace("-fp4", "-nvfp4") if name.startswith("nvidia/") else name
    return _builds().get(name) or _builds().get(renamed)


@cache
def _builds() -> Mapping[str, Model]:
    """The published builds by their repositories in lower case: models that are released in the format of the build."""
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
    """The id of a model where a table shows one: of a described model, its title."""
    return model.title if is_config(model.id) else model.id


def provenance(id_: str) -> tuple[str, tuple[str, ...]] | None:
    """Where a model was read that the catalogue does not hold, and what was assumed or left out of it."""
    if is_config(id_):
        notes = described(id_).notes
        return ("your config.json", notes) if notes else None
    held = _held.get(id_)
    return held and (f"{id_} at {held.repository.revision[:7]}", held.model.notes)


def forget() -> None:
    """Forget every model that was read from a hub."""
    with _lock:
        _held.clear()


def _on_hub(repo_id: str) -> Model:
    """The model of a repository; raises `UnknownModel` with the nearest names where the hub does not give it."""
    held = _held.get(repo_id)
    if held and held.will_do:
        return held.model.model
    try:
        repository = read_repository(repo_id)
    except HubProblem as problem:
        raise UnknownModel(f"{_not_catalogued(repo_id)}; {problem}") from None
    if held and held.repository is repository:
        return held.model.model
    try:
        return _hold(repository, hub_model(repository))
    except ConfigProblem as problem:
        said = str(problem).removeprefix("config.json: ")
        raise UnknownModel(f'config.json of "{repo_id}": {said}') from None


def _hold(repository: Repository, model: Described) -> Model:
    """Keep a model, and of all only the latest."""
    with _lock:
        _held.pop(repository.id, None)
        _held[repository.id] = Held(repository=repository, model=model, at=monotonic())
        while len(_held) > REMEMBERED:
            del _held[next(iter(_held))]
    return model.model


def _not_catalogued(name: str, own: str = "") -> str:
    """What to ask for instead of a name that nothing in the catalogue goes by, if it tells, or the nearest names.

    To a name that does not fit several models either, how to describe one's `own`.
    """
    try:
        return f'no model "{MODELS.id_of(name)}"'
    except UnknownName as unknown:
        if told := size_advice(name) or _closed(name) or tag_advice(name):
            return told
        if told := advice(name):
            return f'no model "{unknown.name}"; {told}'
        return f"{unknown}{'' if MODELS.knows(name) else own}"
