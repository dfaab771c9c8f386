"""Models outside the catalogue: described by the text of a config.json, or read from a model hub and kept.

`asked_models` imports this where such a model is asked for: the readers take an eighth of the time of a first answer.
"""

from dataclasses import dataclass
from threading import Lock
from time import monotonic

from inferplan.catalog.hugging_face.config import ConfigProblem, Described, described
from inferplan.catalog.hugging_face.hub import HubProblem, Repository, read_repository
from inferplan.catalog.hugging_face.hub_models import hub_model
from inferplan.core.model import Model

__all__ = ["ConfigProblem", "HubProblem", "described", "forget", "held", "on_hub"]

ASK_AGAIN_SECONDS = 60.0
"""Time after which a repository is read again whose tensors were not to be had: longer than one question. [s]"""
REMEMBERED = 64
"""Models from a hub that are kept in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A model read from a hub, and when: a monotonic time. [s]"""

    repository: Repository
    model: Described
    at: float

    @property
    def will_do(self) -> bool:
        """Whether it need not be read again yet."""
        return self.repository.tensors is not None or monotonic() - self.at < ASK_AGAIN_SECONDS


_held: dict[str, Held] = {}
_lock = Lock()


def held(repo_id: str) -> Held | None:
    """A model that was read from a hub and is still kept."""
    return _held.get(repo_id)


def on_hub(repo_id: str) -> Model:
    """The model of a repository. Raises `HubProblem`, or `ConfigProblem` where its config cannot be read."""
    known = held(repo_id)
    if known and known.will_do:
        return known.model.model
    repository = read_repository(repo_id)
    if known and known.repository is repository:
        return known.model.model
    return _hold(repository, hub_model(repository))


def forget() -> None:
    """Forget all models read from a hub."""
    with _lock:
        _held.clear()


def _hold(repository: Repository, model: Described) -> Model:
    """Keep a model from a hub, and drop the oldest beyond `REMEMBERED`."""
    with _lock:
        _held.pop(repository.id, None)
        _held[repository.id] = Held(repository=repository, model=model, at=monotonic())
        while len(_held) > REMEMBERED:
            del _held[next(iter(_held))]
    return model.model
