"""One repository on a hub, read part by part: config.json, then tensor headers, else the totals the hub states."""

import asyncio
import re
from collections.abc import Awaitable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from inferplan.catalog.hugging_face._hub_http import PASS_TEXT, Asker, Hub, HubTrouble
from inferplan.catalog.hugging_face._hub_tensors import (
    LENGTH_BYTES,
    HeaderProblem,
    StoredTensors,
    header_length,
    json_object,
    tensors_of,
    weighed,
)
from inferplan.catalog.hugging_face.reading.sizes import LAYERS, TEXT_CONFIGS

if TYPE_CHECKING:
    from ssl import SSLContext

    import httpx2

T = TypeVar("T")

HEADERS_SHARE = 2 / 3
"""The part of the time limit after which tensor headers are given up, so that the stated totals can still come."""

_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.safetensors")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FORMAT = re.compile(r"[A-Z0-9_]{1,16}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A model on a hub: the text of its config.json, and what is known of its tensors.

    `tensors` come from the headers of its files, `stated` are the parameters in all as the hub states them where
    headers could not be read (it counts scales, and unpacks packed formats by what the config says of them);
    `notes` say what is missing, and why. `revision` is a commit, or "main" where the hub names none.
    """

    id: str
    revision: str
    config: str
    tensors: StoredTensors | None = None
    stated: int | None = None
    notes: tuple[str, ...] = ()


async def read(repo_id: str, hub: Hub) -> tuple[Repository, bool]:
    """The repository, and whether a part of it that could not be read may be readable next time."""
    async with _client(hub) as client:
        reading = _Reading(repo_id, hub, Asker(hub, client))
        repository = await reading.within(1, reading.config())
        try:
            return await reading.within(HEADERS_SHARE, reading.tensors(repository)), False
        except HubTrouble as trouble:
            missing = trouble
        unread = f"the sizes of its tensors were not read: {missing.fact}"
        try:
            stated = await reading.within(1, reading.total())
        except HubTrouble as trouble:
            notes = (unread, f"nor its parameter totals: {trouble.fact}")
            return replace(repository, notes=notes), missing.passing or trouble.passing
        note = f"{unread}; its parameter totals are those that {hub.host} states"
        return replace(repository, stated=stated, notes=(note,)), missing.passing


def late(hub: Hub, seconds: float) -> HubTrouble:
    """The problem that a hub did not answer in full within the time limit."""
    fact = f"{hub.host} did not answer in full within {seconds:g} s"
    return HubTrouble(fact, remedy=f"try again, or {PASS_TEXT}", passing=True)


def _client(hub: Hub) -> "httpx2.AsyncClient":
    """A client that follows no redirect by itself; proxies and certificates are those of the environment."""
    import httpx2  # noqa: PLC0415 (the hub is seldom asked)

    try:
        return httpx2.AsyncClient(
            verify=_certificates(),
            timeout=hub.bounds.silence_seconds,
            follow_redirects=False,
            headers={"User-Agent": "inferplan"},
        )
    except (ValueError, OSError, ImportError, httpx2.InvalidURL):
        raise HubTrouble("the proxy or certificate settings of the environment cannot be used") from None


@cache
def _certificates() -> "SSLContext":
    """The trusted certificates, loaded once, as that takes longer than a request to a nearby hub."""
    import httpx2  # noqa: PLC0415 (the hub is seldom asked)

    return httpx2.create_ssl_context()


class _Reading:
    """The reading of one repository, timed from its start."""

    def __init__(self, repo_id: str, hub: Hub, asker: Asker) -> None:
        self._id = repo_id
        self._hub = hub
        self._bounds = hub.bounds
        self._asker = asker
        self._began = asyncio.get_running_loop().time()
        self._header_bytes = 0

    async def within(self, share: float, work: Awaitable[T]) -> T:
        """The result of the work; raises `HubTrouble` where this share of the time limit is over before."""
        seconds = share * self._bounds.seconds
        try:
            async with asyncio.timeout_at(self._began + seconds):
                return await work
        except TimeoutError:
            raise late(self._hub, seconds) from None

    async def config(self) -> Repository:
        """The repository as its config.json alone has it."""
        what = f'config.json of "{self._id}"'
        reply = await self._asker.get(self._url("config.json", "main"), what=what, limit=self._bounds.config_bytes)
        if json_object(reply.body) is None:
            raise HubTrouble(
                f"{what} at {self._hub.host} is not a JSON object", remedy=f"check HF_ENDPOINT, or {PASS_TEXT}"
            )
        revision = reply.commit if reply.commit and _COMMIT.fullmatch(reply.commit) else "main"
        return Repository(id=self._id, revision=revision, config=reply.body.decode())

    async def tensors(self, repository: Repository) -> Repository:
        """The repository with what the headers of its files add up to."""
        layers = _layers(json_object(repository.config.encode()) or {})
        names = await self._shards(repository.revision)
        stored = await _all([self._shard(repository.revision, name, layers=layers) for name in names])
        total = sum(stored, StoredTensors())
        if not total.unknown:
            return replace(repository, tensors=total)
        named = ", ".join(total.unknown)
        note = f"{total.other.bytes:,} bytes are in tensors whose place was not recognised, such as {named}"
        return replace(repository, tensors=total, notes=(note,))

    async def total(self) -> int:
        """The parameters that the hub states."""
        url = f"{self._hub.endpoint}/api/models/{self._id}?expand[]=safetensors"
        reply = await self._asker.get(url, what="parameter totals", limit=self._bounds.totals_bytes)
        total = _total(json_object(reply.body) or {})
        if total is None:
            raise HubTrouble(f"{self._hub.host} states none")
        return total

    def _url(self, filename: str, revision: str) -> str:
        from huggingface_hub import hf_hub_url  # noqa: PLC0415 (the extra is optional)

        try:
            return hf_hub_url(self._id, filename, revision=revision, endpoint=self._hub.endpoint)
        except ValueError:
            fact = f'"{self._id}" is no name of a repository'
            raise HubTrouble(fact, remedy=f"check the name, or {PASS_TEXT}") from None

    async def _shards(self, revision: str) -> list[str]:
        """The files that hold the tensors: those that the index names, or the only one."""
        from huggingface_hub import constants  # noqa: PLC0415 (the extra is optional)

        index = constants.SAFETENSORS_INDEX_FILE
        try:
            reply = await self._asker.get(self._url(index, revision), what=index, limit=self._bounds.index_bytes)
        except HubTrouble as trouble:
            if trouble.missing:
                return [constants.SAFETENSORS_SINGLE_FILE]
            raise
        names = _named_files(json_object(reply.body) or {})
        if not names:
            raise HubTrouble(f"{index} does not name its files")
        if len(names) > self._bounds.shards:
            raise HubTrouble(f"{index} names {len(names):,} files, more than the {self._bounds.shards} that are read")
        return names

    async def _shard(self, revision: str, name: str, *, layers: int | None) -> StoredTensors:
        """What one file holds: its first 8 bytes are asked for, then its header, nothing else."""
        url = self._url(name, revision)
        prefix, size = await self._asker.span(url, what=name, first=0, length=LENGTH_BYTES)
        try:
            length = header_length(prefix, file_bytes=size, limit=self._bounds.header_bytes)
            self._spend(length)
            header, _ = await self._asker.span(url, what=name, first=LENGTH_BYTES, length=length)
            return weighed(tensors_of(header, data_bytes=size - LENGTH_BYTES - length), layers=layers)
        except HeaderProblem as problem:
            raise HubTrouble(f"{name} cannot be right: {problem}") from None

    def _spend(self, header_bytes: int) -> None:
        """Count one more header towards what is read of all."""
        self._header_bytes += header_bytes
        if self._header_bytes > self._bounds.headers_bytes:
            raise HubTrouble(f"its headers are larger than the {self._bounds.headers_bytes:,} bytes that are read")


async def _all(work: list[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all of the work; the first problem ends it."""
    trouble: HubTrouble | None = None
    tasks: list[asyncio.Task[T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except* HubTrouble as troubles:
        trouble = cast("HubTrouble", troubles.exceptions[0])
    if trouble is not None:
        raise trouble
    return [task.result() for task in tasks]


def _layers(config: Mapping[str, Any]) -> int | None:
    """The layers of the text decoder, behind which those for multi-token prediction are numbered."""
    inner = (config.get(name) for name in TEXT_CONFIGS)
    for one in (*(cast("dict[str, object]", one) for one in inner if isinstance(one, dict)), config):
        for layers in (one.get(name) for name in LAYERS):
            if isinstance(layers, int) and layers > 0:
                return layers
    return None


def _named_files(index: Mapping[str, Any]) -> list[str]:
    """The safetensors files in an index; none where it names anything else."""
    placed: object = index.get("weight_map")
    if not isinstance(placed, dict):
        return []
    names = list(cast("dict[str, object]", placed).values())
    files = {name for name in names if isinstance(name, str) and len(name) <= 255}
    known = all(isinstance(name, str) for name in names) and all(_SHARD.fullmatch(name) for name in files)
    return sorted(files) if known else []


def _total(answer: Mapping[str, Any]) -> int | None:
    """The parameters in the hub's answer, where it has counts of them by format as well."""
    stated: object = answer.get("safetensors")
    inner = cast("dict[str, Any]", stated) if isinstance(stated, dict) else {}
    total, formats = inner.get("total"), inner.get("parameters")
    if not isinstance(total, int) or total <= 0 or not isinstance(formats, dict):
        return None
    counts = cast("dict[str, object]", formats).items()
    good = all(_FORMAT.fullmatch(name) and isinstance(count, int) and count >= 0 for name, count in counts)
    return total if good else None
