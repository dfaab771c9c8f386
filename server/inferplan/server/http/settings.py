"""The settings of the HTTP server: where it listens, and which hosts, origins and tokens it accepts."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Hosts that no page of another site can have: always accepted."""

LONGEST_S = 30.0
"""How long a request may take, slow senders included, and how long a connection may take to begin one. [s]"""

_NAME = r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
_HOST = re.compile(rf"{_NAME}(?::[0-9]{{1,5}})?")
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://{_NAME}(?::[0-9]{{1,5}})?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked flags of `inferplan http`; of tokens only their digests."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    tokens: frozenset[bytes] | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    logs_requests: bool = True

    @property
    def hosts(self) -> list[str]:
        """Host headers that are accepted: with any port, unless one was given."""
        own = () if ip(self.host) is None or is_wildcard(self.host) else (in_url(self.host),)
        return _with_any_port(*LOOPBACK, *own, *self.allowed_hosts)

    @property
    def origins(self) -> list[str]:
        """Origins whose pages may send requests: the given ones, and on loopback those of this machine."""
        local = _with_any_port(*(f"http://{name}" for name in LOOPBACK)) if is_loopback(self.host) else []
        return [*local, *self.allowed_origins]


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    address = ip(host)
    return host == "localhost" if address is None else address.is_loopback


def is_wildcard(host: str) -> bool:
    """Whether an address means every one of this machine.

    >>> is_wildcard("0.0.0.0"), is_wildcard("::"), is_wildcard("10.0.0.1"), is_wildcard("planner.example")
    (True, True, False, False)
    """
    address = ip(host)
    return address is not None and address.is_unspecified


def in_url(host: str) -> str:
    """An address as it is written in a URL.

    >>> in_url("::1"), in_url("10.0.0.1")
    ('[::1]', '10.0.0.1')
    """
    return f"[{host}]" if ":" in host else host


def address(text: str) -> str:
    """An address to listen on as it is bound and compared, without the brackets that it has in a URL; or a name.

    >>> address("FD00::0:1"), address("[::1]"), address("LocalHost")
    ('fd00::1', '::1', 'localhost')
    """
    found = ip(text.removeprefix("[").removesuffix("]"))
    return text.lower() if found is None else str(found)


def host_name(text: str) -> str:
    """A Host header as it is compared; raises ValueError with one sentence for what is none.

    >>> host_name("Planner.Example"), host_name("planner.example:8443"), host_name("fd00::1")
    ('planner.example', 'planner.example:8443', '[fd00::1]')
    """
    name = address(text)
    name = name if ip(name) is None else in_url(name)
    if is_host(name):
        return name
    raise ValueError(f'takes a host as clients name it, like planner.example or planner.example:8443; got "{text}"')


def origin(text: str) -> str:
    """An Origin header as it is compared; raises ValueError with one sentence for what is none.

    >>> origin("https://Chat.Example")
    'https://chat.example'
    """
    if is_origin(text.lower()):
        return text.lower()
    raise ValueError(f'takes one origin without a path, like https://chat.example; got "{text}"')


def is_host(text: str) -> bool:
    """Whether this is a name or an address, in lower case, with a port or without.

    >>> is_host("localhost:8000"), is_host("[::1]:8000"), is_host("localhost:8000@evil"), is_host("localhost:x")
    (True, True, False, False)
    """
    return _HOST.fullmatch(text) is not None


def is_origin(text: str) -> bool:
    """Whether this is an origin in lower case, and nothing behind it.

    >>> is_origin("http://localhost:3000"), is_origin("http://localhost:3000@evil.com"), is_origin("null")
    (True, False, False)
    """
    return _ORIGIN.fullmatch(text) is not None


def ip(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _with_any_port(*names: str) -> list[str]:
    """Each name without and with a port, as the SDK writes it; a name that has a port stays as it is."""
    return [form for name in names for form in ((name,) if re.search(r":\d+$", name) else (name, f"{name}:*"))]
