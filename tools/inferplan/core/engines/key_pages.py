"""What vLLM caches of a layer with compressed keys: pages of its window, of keys, index keys and compressor states.

Of DeepSeek-V4 on all GPUs alike; of V4.1, whose layers share keys, on Hopper. Units: bytes, tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from inferplan.core.engines.kv_blocks import INDEX_KEY_BYTES
from inferplan.core.layers.compressed_attention import Compressed

BLOCK_TOKENS = 256
"""Tokens in a block of compressed keys of any ratio."""
WINDOW_TOKENS = 64
"""Tokens in a block of a window."""
STATE_TOKENS: Mapping[int, int] = {4: 4, 128: 8}
"""Tokens in a block of compressor states, by the tokens that a compressor pools."""
OVERLAPPING = 4
"""The ratio of the compressor that pools each token twice, and so keeps twice the state."""
SHARED_BLOCK_TOKENS, SHARED_WINDOW_TOKENS = 64, 32
"""The same of V4.1: tokens in a block of keys, as its kernels on Hopper ask for, and of a window."""
RING_TOKENS = 8
"""Tokens that a compressor of V4.1 keeps of a sequence, at least, all in one block."""
KEY_BYTES = 584
"""vLLM's `fp8_ds_mla` for DeepSeek-V4: 448 elements of 1 B, 64 rotary ones of 2 B and 8 B of scales."""
STATE_BYTES = 4
"""An element of compressor states, in fp32: they keep a key and its weight for each token not yet pooled."""
ALIGNMENT = 576
"""Pages are a multiple of this, as FlashMLA needs. [B]"""


class Kept(NamedTuple):
    """What a block keeps: `tokens`, of a `window` or (0) of every token; one block a sequence where `is_ring`."""

    tokens: int
    window: int = 0
    is_ring: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One block of one layer: what it keeps, and its bytes."""

    kept: Kept
    bytes: int


def pages(mixer: Compressed, drafts: int) -> Iterator[Page]:
    """The pages of a layer: its window, compressed keys, index keys, and the states of their compressors.

    Source: vLLM 0.20 to 0.33, models/deepseek_v4/attention.py, compressor.py and v1/attention/backends/mla/
    sparse_swa.py, `get_kv_cache_spec`.
    """
    if is_of_sharing(mixer):
        yield from _shared_pages(mixer, drafts)
        return
    yield Page(kept=Kept(WINDOW_TOKENS, mixer.window), bytes=_aligned(WINDOW_TOKENS * KEY_BYTES))
    if mixer.compress:
        yield from _compressed(mixer.compress, width=mixer.head_dim, key=KEY_BYTES)
        if mixer.indexer:
            yield from _compressed(mixer.compress, width=mixer.indexer.head_dim, key=INDEX_KEY_BYTES)


def is_of_sharing(mixer: Compressed) -> bool:
    """Whether a layer is one of DeepSeek-V4.1, a few of which are the source of compressed keys for all."""
    return not mixer.learned_positions


def _shared_pages(mixer: Compressed, drafts: int) -> Iterator[Page]:
    """Of V4.1: a window in every layer; in the sources keys and index keys, and the keys of tokens not yet pooled.

    Those have one block a sequence, of twice the key's width: a power of two of tokens, at least 8, that has room for
    the drafted ones and two more. Pages of 19,008 B, and of 37,440 and 8,640 where no tokens are pooled.

    Limits: on Blackwell records, alignment and blocks are others.
    Source: vLLM 0.30 to 0.33, models/deepseek_v41/attention.py (`get_kv_cache_spec`), compressor.py
    (`CompressorStateCache`) and sparse_mla.py (`get_supported_kernel_block_sizes`).

    >>> one = Compressed(
    ...     heads=64,
    ...     head_dim=512,
    ...     query_rank=1280,
    ...     output_groups=8,
    ...     output_rank=1024,
    ...     window=128,
    ...     compress=2,
    ...     learned_positions=False,
    ... )
    >>> [(page.kept.tokens, page.bytes) for page in _shared_pages(one, 0)]
    [(32, 19008), (64, 19008), (8, 32768)]
    """
    yield Page(kept=Kept(SHARED_WINDOW_TOKENS, mixer.window), bytes=_aligned(SHARED_WINDOW_TOKENS * KEY_BYTES))
    if not (mixer.compress and mixer.source):
        return
    keys = SHARED_BLOCK_TOKENS // mixer.compress
    yield Page(kept=Kept(SHARED_BLOCK_TOKENS), bytes=_aligned(keys * KEY_BYTES))
    if mixer.indexer:
        yield Page(kept=Kept(SHARED_BLOCK_TOKENS), bytes=_aligned(keys * INDEX_KEY_BYTES))
    if mixer.compress > 1:
        tokens = max(RING_TOKENS, 1 << (drafts + 1).bit_length())
        yield Page(kept=Kept(tokens, is_ring=True), bytes=tokens * 2 * mixer.head_dim * STATE_BYTES)


def _compressed(compress: int, *, width: int, key: int) -> Iterator[Page]:
    """A page of 256 / compress keys, and one of states: tokens × 2 × width × 4 B, twice that where windows overlap.

    >>> [page.bytes for page in _compressed(4, width=512, key=584)]
    [37440, 32832]
    """
    yield Page(kept=Kept(BLOCK_TOKENS), bytes=_aligned(BLOCK_TOKENS // compress * key))
    tokens, twice = STATE_TOKENS[compress], 2 if compress == OVERLAPPING else 1
    state = _aligned(tokens * twice * 2 * width * STATE_BYTES)
    yield Page(kept=Kept(tokens, twice * compress), bytes=state)


def _aligned(size: int) -> int:
    """⌈size / 576⌉ × 576. [B]"""
    return ceil(size / ALIGNMENT) * ALIGNMENT
