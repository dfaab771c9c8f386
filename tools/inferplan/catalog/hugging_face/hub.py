"""Reading a model that is not in the catalogue from a model hub: its config.json and its tensor headers.

huggingface_hub says where the hub is, whether it may be asked, and where a file lies; its downloads are not used,
because they write caches, draw progress bars, follow redirects to other hosts and know no limit in bytes, so that
httpx2, which the MCP SDK brings along, asks within the bounds of `_hub_http`.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from importlib import import_module
from threading import Lock, Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from inferplan.catalog.hugging_face._hub_http import PASS_TEXT, PORTS, Bounds, Hub, HubTrouble
from inferplan.catalog.hugging_face._hub_reading import Repository, late, read
from inferplan.catalog.hugging_face._hub_tensors import Stored, StoredTensors, TensorClass
from inferplan.catalog.hugging_face.names import is_repository_id

__all__ = [
    "Bounds",
    "Hub",
    "HubProblem",
    "Repository",
    "Stored",
    "StoredTensors",
    "TensorClass",
    "configured_hub",
    "forget",
    "read_repository",
]

T = TypeVar("T")

GRACE_SECONDS = 0.5
"""By how much the time limit may be exceeded: the look-up of a host's name cannot be cancelled. [s]"""

REMEMBERED = 32
"""Repositories that are kept for the life of the process."""

_remembered: dict[tuple[str, str], Repository] = {}
_lock = Lock()


class HubProblem(ValueError):  # noqa: N818 - a sentence to the user: mostly nothing went wrong
    """A repository could not be read. The message is one actionable sentence."""


def configured_hub() -> Hub:
    """The hub that the environment names: HF_ENDPOINT and HF_TOKEN, unless HF_HUB_OFFLINE is set."""
    _need_extra()
    from huggingface_hub import constants  # noqa: PLC0415 (the extra is optional)

    if constants.HF_HUB_OFFLINE:
        raise HubProblem(f"no model hub is asked while HF_HUB_OFFLINE is set; unset it, or {PASS_TEXT}")
    return Hub(endpoint=constants.ENDPOINT, token=os.environ.get("HF_TOKEN", "").strip() or None)


def read_repository(repo_id: str, *, hub: Hub | None = None) -> Repository:
    """The config.json of "owner/name" and what its tensors take, from the hub; raises `HubProblem` with advice.

    Blocks for at most the hub's time limit and half a second; may be called where an event loop runs. What was
    read is remembered by endpoint and id; a failure, even of a part that may be there next time, never is.
    """
    if not is_repository_id(repo_id):
        raise HubProblem(f'a repository is named "owner/name", as "Qwen/Qwen3-8B"; name one, or {PASS_TEXT}')
    _need_extra()
    asked = hub or configured_hub()
    _need_web_address(asked.endpoint)
    key = (asked.endpoint, repo_id)
    with _lock:
        if key in _remembered:
            return _remembered[key]
    try:
        repository, passing = _within(asked.bounds.seconds, lambda: read(repo_id, asked))
    except TimeoutError:
        raise HubProblem(str(late(asked, asked.bounds.seconds))) from None
    except HubTrouble as trouble:
        raise HubProblem(str(trouble)) from None
    if not passing:
        _remember(key, repository)
    return repository


def forget() -> None:
    """Forget every repository that was read."""
    with _lock:
        _remembered.clear()


def _remember(key: tuple[str, str], repository: Repository) -> None:
    """Cache a repository, and drop the oldest beyond `REMEMBERED`."""
    with _lock:
        _remembered[key] = repository
        while len(_remembered) > REMEMBERED:
            del _remembered[next(iter(_remembered))]


def _need_extra() -> None:
    """Refuse, with what to install, where the extra is missing."""
    try:
        import_module("huggingface_hub")
    except ImportError:
        fact = "reading a model hub needs the extra `hub`"
        raise HubProblem(f"{fact}: pip install '.[hub]' in the clone, or {PASS_TEXT}") from None


def _need_web_address(endpoint: str) -> None:
    """Refuse an endpoint that is no plain http or https address."""
    try:
        parts = urlsplit(endpoint)
        plain = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        plain = False
    if not plain or any(mark in endpoint for mark in "@?#\\ "):
        raise HubProblem(f"HF_ENDPOINT is no plain http or https address; set it to that of a hub, or {PASS_TEXT}")


def _within(seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of the work in a thread of its own, which goes on unattended after the time limit."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(asyncio.run(work()))
        except BaseException as error:
            done.set_exception(error)

    Thread(target=run, daemon=True, name="inferplan-hub").start()
    return done.result(timeout=seconds + GRACE_SECONDS)
