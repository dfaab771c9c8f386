"""Requests to one hub over HTTP: one endpoint, GET alone, every response bounded in bytes and in seconds.

No text of a server is repeated in a message, so that none of it reaches a model as if inferplan wrote it.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from inferplan.catalog.hugging_face.reading.document import LONGEST_OF_A_HUB
from inferplan.core.units import KIB, MIB

if TYPE_CHECKING:
    import httpx2

MOST_REDIRECTS = 4
AT_ONCE = 8
"""Requests under way at the same time, so that a checkpoint of many shards fits into the time limit."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}
PASS_TEXT = "pass the text of its config.json instead"  # noqa: S105 (no password)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The limits of reading a repository: seconds in all and without a byte; bytes of each response; files."""

    seconds: float = 15.0
    silence_seconds: float = 5.0
    config_bytes: int = LONGEST_OF_A_HUB
    index_bytes: int = 16 * MIB
    header_bytes: int = 32 * MIB
    headers_bytes: int = 128 * MIB
    totals_bytes: int = 64 * KIB
    shards: int = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    """A model hub: its address, the token sent to it, and the limits of reading from it."""

    endpoint: str
    token: str | None = field(default=None, repr=False)
    bounds: Bounds = Bounds()

    @property
    def host(self) -> str:
        """The endpoint's host as messages name it."""
        return urlsplit(self.endpoint).netloc

    @property
    def origin(self) -> tuple[str, str | None, int | None]:
        """Scheme, host and port: what a redirect must not leave."""
        return origin(self.endpoint)


class HubTrouble(Exception):  # noqa: N818 - not yet an error: around tensor headers it becomes a note
    """Why something could not be read, and what to do about it; `passing` if it may be readable next time."""

    def __init__(self, fact: str, *, remedy: str = PASS_TEXT, passing: bool = False, missing: bool = False) -> None:
        super().__init__(f"{fact}; {remedy}")
        self.fact = fact
        self.passing = passing
        self.missing = missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The decoded body of a response, its headers, and the commit that it is of, where the hub names it."""

    body: bytes
    headers: Mapping[str, str]
    commit: str | None


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL, the scheme's own port where none is given."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


class Asker:
    """Requests to one hub through one client."""

    def __init__(self, hub: Hub, client: "httpx2.AsyncClient") -> None:
        self._hub = hub
        self._client = client
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def get(self, url: str, *, what: str, limit: int) -> Reply:
        """The whole of a small text, which the hub may compress."""
        return await self._get(url, what=what, limit=limit, headers={"Accept-Encoding": "gzip"})

    async def span(self, url: str, *, what: str, first: int, length: int) -> tuple[bytes, int]:
        """These bytes of a file, and the size of the file; raises where the hub serves files only whole."""
        last = first + length - 1
        asked = {"Accept-Encoding": "identity", "Range": f"bytes={first}-{last}"}
        reply = await self._get(url, what=what, limit=length, headers=asked)
        unit, _, size = reply.headers.get("Content-Range", "").partition("/")
        if unit != f"bytes {first}-{last}" or len(reply.body) != length or not (size.isascii() and size.isdigit()):
            raise HubTrouble(f"{self._hub.host} does not serve the parts of {what} that it was asked for")
        return reply.body, int(size[:18])

    async def _get(self, url: str, *, what: str, limit: int, headers: Mapping[str, str]) -> Reply:
        import httpx2  # noqa: PLC0415 (the hub is seldom asked)

        try:
            async with self._turns:
                return await self._follow(url, what=what, limit=limit, headers=headers)
        except httpx2.TimeoutException:
            silence = f"{self._hub.host} was silent for {self._hub.bounds.silence_seconds:g} s"
            raise HubTrouble(silence, remedy=f"try again, or {PASS_TEXT}", passing=True) from None
        except (httpx2.ConnectError, httpx2.ProxyError):
            fact = f"no connection to {self._hub.host}"
            raise HubTrouble(fact, remedy=f"connect to the network, or {PASS_TEXT}", passing=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, zlib.error):
            fact = f"the answer of {self._hub.host} broke off or is not HTTP"
            raise HubTrouble(fact, remedy=f"try again, or {PASS_TEXT}", passing=True) from None

    async def _follow(self, url: str, *, what: str, limit: int, headers: Mapping[str, str]) -> Reply:
        """The answer at a URL, or where the endpoint itself sends to."""
        commit = None
        for _ in range(MOST_REDIRECTS + 1):
            async with self._client.stream("GET", url, headers=self._shown(headers)) as response:
                commit = response.headers.get("X-Repo-Commit") or commit
                if response.status_code not in REDIRECTS:
                    self._accept(response, what=what, partial="Range" in headers)
                    body = await self._read(response, what=what, limit=limit)
                    return Reply(body=body, headers=response.headers, commit=commit)
                url = urljoin(url, response.headers.get("Location", ""))
            if origin(url) != self._hub.origin:
                raise HubTrouble(f"{self._hub.host} keeps {what} on another host, which is not asked")
        raise HubTrouble(f"{self._hub.host} redirects {what} in a circle")

    def _shown(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request, the token among them: none goes anywhere but to the endpoint."""
        return {**headers, **({"Authorization": f"Bearer {self._hub.token}"} if self._hub.token else {})}

    def _accept(self, response: "httpx2.Response", *, what: str, partial: bool) -> None:
        """Raise `HubTrouble` for any status but success."""
        status = response.status_code
        if status == (206 if partial else 200):
            return
        if partial and status == 200:
            raise HubTrouble(f"{self._hub.host} serves {what} as a whole only")
        raise _refusal(status, response.headers, host=self._hub.host, what=what)

    async def _read(self, response: "httpx2.Response", *, what: str, limit: int) -> bytes:
        """The decoded body; not a byte beyond the limit is kept, nor unpacked."""
        body = bytearray()
        async for piece in _unpacked(response, most=limit + 1):
            body += piece
            if len(body) > limit:
                raise HubTrouble(f"{what} is larger than the {limit:,} bytes that are read of it")
        return bytes(body)


async def _unpacked(response: "httpx2.Response", *, most: int) -> AsyncIterator[bytes]:
    """The body in pieces of at most `most` bytes, however far it is compressed."""
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding not in ("gzip", "identity"):
        raise HubTrouble("the hub compresses its answers in a way that it was not asked for")
    unpack = zlib.decompressobj(wbits=31)
    async for piece in response.aiter_raw():
        yield unpack.decompress(piece, most) if coding == "gzip" else piece
    if coding == "gzip" and not unpack.eof:
        raise HubTrouble("a compressed answer of the hub broke off", passing=True)


def _refusal(status: int, headers: Mapping[str, str], *, host: str, what: str) -> HubTrouble:
    """What a status means, and what to do about it. Source: huggingface_hub, `hf_raise_for_status`."""
    code = headers.get("X-Error-Code", "")
    if status == 403 or code == "GatedRepo":
        remedy = f"set HF_TOKEN to the token of an account that has access, or {PASS_TEXT}"
        return HubTrouble(f"access to {what} at {host} is gated", remedy=remedy)
    if status == 401:
        remedy = f"check the name, set HF_TOKEN to the token of an account that has access, or {PASS_TEXT}"
        return HubTrouble(f"{what} at {host} is private, gated or not there", remedy=remedy)
    if status in (404, 410):
        remedy = f"check the name, or {PASS_TEXT}"
        return HubTrouble(f"{host} has no {what}", remedy=remedy, missing=True)
    if status == 429:
        return HubTrouble(f"{host} is asked too often", remedy=f"wait{_wait(headers)}, or {PASS_TEXT}", passing=True)
    if status >= 500:
        fact = f"{host} has trouble of its own (status {status})"
        return HubTrouble(fact, remedy=f"try again later, or {PASS_TEXT}", passing=True)
    return HubTrouble(f"{host} answers for {what} with status {status}", remedy=f"check HF_ENDPOINT, or {PASS_TEXT}")


def _wait(headers: Mapping[str, str]) -> str:
    """How long to wait, as a hub that gets too many requests says."""
    seconds = headers.get("Retry-After", "")
    return f" {seconds} s" if seconds.isascii() and seconds.isdigit() and len(seconds) < 6 else " a while"
