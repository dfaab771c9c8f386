"""Bearer tokens: read from a file, kept as digests, compared in constant time."""

from collections.abc import Collection
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

LONGEST_FILE = 2**20
"""Bytes of a token file."""


class TokenProblem(ValueError):  # noqa: N818 - a sentence to whoever starts the server
    """A token file cannot be used. The message is one sentence and holds no token."""


def read_tokens(path: Path) -> frozenset[bytes]:
    """The digests of a file's tokens, one a line; raises `TokenProblem`."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise TokenProblem(f'the token file "{path}" cannot be read: {error.strerror}') from None
    if len(text) > LONGEST_FILE:
        raise TokenProblem(f'the token file "{path}" has more than {LONGEST_FILE:,} bytes')
    tokens = [line.strip() for line in text.splitlines()]
    for number, token in enumerate(tokens, start=1):
        if not all(0x21 <= byte <= 0x7E for byte in token):
            raise TokenProblem(f'line {number} of the token file "{path}" is no token: it has more than visible ASCII')
    if not any(tokens):
        raise TokenProblem(f'the token file "{path}" has no token: write one a line')
    return frozenset(_digest(token) for token in tokens if token)


def token_of(authorization: str) -> str | None:
    """The token of an Authorization header, if it has one.

    >>> token_of("Bearer abc"), token_of("bearer  abc "), token_of("Basic abc"), token_of("")
    ('abc', 'abc', None, None)
    """
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def is_known(token: str, digests: Collection[bytes]) -> bool:
    """Whether a token is one of them; takes as long for a wrong one as for a right one.

    >>> is_known("abc", [sha256(b"abc").digest()]), is_known("abd", [sha256(b"abc").digest()])
    (True, False)
    """
    given = _digest(token.encode("utf-8", "surrogateescape"))
    return sum(compare_digest(given, digest) for digest in digests) > 0


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
