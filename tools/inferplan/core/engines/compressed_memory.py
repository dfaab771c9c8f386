"""vLLM's memory for DeepSeek-V4: KV cache blocks of compressed keys, windows and compressor states; activation peak.

The rules are those of vLLM 0.20, the first to serve it, to 0.28; 0.29 to 0.33 group and pack the same pages alike.
Two published starts of DeepSeek-V4-Flash are reproduced: on 0.22 the cache of a sequence, on 0.26 the tokens printed.

Limits: not modelled are cache formats other than FP8 (an option with FlashInfer's kernels), index keys in FP4 (an
option on Blackwell) and the keys of V4.1, which vLLM lays out otherwise.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.engines.kv_blocks import INDEX_KEY_BYTES, Blocks, Spec, batches_in_flight
from inferplan.core.engines.vllm_defaults import is_compressed
from inferplan.core.hardware import Gpu
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.parallelism import Layout
from inferplan.core.units import MIB

FIRST_SERVED = 20
"""The first vLLM (0.20) that serves DeepSeek-V4."""
LAST_WHOLE_TUPLES = 22
"""The last vLLM (0.22) whose blocks have a page of every size for each layer of the largest group."""
LAST_SHARED_PAGES = 26
"""The last vLLM (0.26) that pads pages to sizes common to all groups, and prints tokens by the bytes of groups."""
BLOCK_TOKENS = 256
"""Tokens in a block of compressed keys of any ratio."""
WINDOW_TOKENS = 64
"""Tokens in a block of a window."""
STATE_TOKENS: Mapping[int, int] = {4: 4, 128: 8}
"""Tokens in a block of compressor states, by the tokens that a compressor pools."""
OVERLAPPING = 4
"""The ratio of the compressor that pools each token twice, and so keeps twice the state."""
KEY_BYTES = 584
"""vLLM's `fp8_ds_mla` for DeepSeek-V4: 448 elements of 1 B, 64 rotary ones of 2 B and 8 B of scales."""
STATE_BYTES = 4
"""An element of compressor states, in fp32: they keep a key and its weight for each token not yet pooled."""
ALIGNMENT = 576
"""Pages are a multiple of this, as FlashMLA needs. [B]"""
STREAMS = 4
"""Hidden states per token that DeepSeek-V4's hyper-connections pass from layer to layer (`hc_mult`)."""
KERNELS: Mapping[str, int] = {"Hopper": 20, "Blackwell": 20, "Blackwell Ultra": 20, "CDNA4": 20}
"""The first vLLM with kernels for a GPU architecture."""
FIRST_ON_CARDS = 24
"""The first vLLM (0.24) with kernels for Blackwell GPUs without NVLink (compute capability 12)."""
QUERY_HEADS = (64, 128)
"""Numbers of heads that FlashMLA's kernel has; a rank's queries and outputs are padded to the next."""
INDEX_LOGITS = 512 * MIB
"""The largest buffer of the indexer's scores, allocated in the profile run: `VLLM_SPARSE_INDEXER_MAX_LOGITS_MB`. [B]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One block of one layer: its tokens, its bytes, and the window whose part it is, 0 where every token is cached."""

    tokens: int
    window: int = 0
    bytes: int


Bucket = tuple[tuple[int, int], Mapping[int, int]]
"""Layers that cache the same tokens: (tokens of a block, window), and the number of layers by bytes of their page."""


class CompressedBlocks(Blocks):
    """The blocks of one rank; the first group caches every token, as compressed keys and index keys."""

    def printed(self, number: int, *, context: int, version: int) -> int:
        """The KV cache size that vLLM prints: concurrency × context, with a whole step in flight per sequence. [tokens]

        Up to 0.26 it weights the blocks of a group by its bytes over those of the first group.
        """
        if version > LAST_SHARED_PAGES:
            return int(number / self.per_sequence(context) * context)
        first = self.groups[0][1].page
        weighted = sum(spec.page / first * self._of(spec, context, self.in_flight) for _, spec in self.groups)
        return int(number / ceil(weighted) * context)

    def concurrency(self, number: int, context: int) -> float:
        """1 + (blocks - first) / each: one sequence with a whole step in flight, the others decoding. [sequences]

        The tokens in flight are those of all sequences together. vLLM's printed figure gives all of them to each
        sequence, which in blocks of 4 and 8 tokens is up to a hundred times what a decoding one takes.

        Limits: each prompt in prefill beside others may take one block more of each group. To start, vLLM needs 5 %
        more than the first sequence takes since 0.27, and 1 % since 0.23, as it counts whole tuples of pages.
        Source: vLLM, vllm/v1/core/single_type_kv_cache_manager.py, `remove_skipped_blocks`.
        """
        first = self.per_sequence(context)
        if number < first:
            return number / first
        each = sum(self._of(spec, context, 1) for _, spec in self.groups)
        return 1 + (number - first) / each

    def _of(self, spec: Spec, context: int, in_flight: int) -> int:
        """The blocks of one group that a sequence takes."""
        return spec.blocks(context, in_flight=in_flight, state_blocks=self.state_blocks)


def not_modelled(architecture: Architecture, engine: Engine) -> str | None:
    """Why vLLM's cache of compressed keys cannot be computed, as a clause; None where it can."""
    mixers = [mixer for _, mixer in architecture.mixers]
    if engine.version < FIRST_SERVED:
        return f"compressed keys (DeepSeek-V4): vLLM serves them since 0.{FIRST_SERVED}"
    if not engine.windows:
        return "compressed keys (DeepSeek-V4): vLLM keeps them with its hybrid KV cache manager only"
    if not any(isinstance(mixer, Compressed) and mixer.compress for mixer in mixers):
        return "windows without compressed keys: vLLM's layout of them is not modelled"
    if not all(isinstance(mixer, Compressed) and _is_known(mixer) for mixer in mixers):
        return "compressed keys of another kind than DeepSeek-V4's: vLLM's layout of them is not modelled"
    return None


def lacks_kernels(architecture: Architecture, gpu: Gpu, engine: Engine) -> str | None:
    """Why vLLM does not run compressed keys on a GPU, as a clause; None where it does.

    Limits: CDNA3 is left out: vLLM's recipe names MI325X for V4-Flash alone, and MI300X as unsupported.
    Source: vllm-project/recipes, DeepSeek-V4-Flash.yaml; vLLM 0.22 to 0.28, `_select_dsv4_attn_cls`, and
    vllm/v1/attention/ops/flashmla.py.
    """
    if not is_compressed(architecture):
        return None
    is_card = gpu.architecture == "Blackwell" and gpu.link is None
    first = FIRST_ON_CARDS if is_card else KERNELS.get(gpu.architecture)
    if first is None:
        return "its kernels for compressed keys (DeepSeek-V4) need Hopper, Blackwell or CDNA4"
    if engine.version < first:
        return f"its kernels for compressed keys (DeepSeek-V4) run there since 0.{first}"
    return None


def _is_known(mixer: Compressed) -> bool:
    """Whether a layer is as in DeepSeek-V4: own keys, one per 4 tokens with an indexer or per 128 without."""
    if mixer.compress is None:
        return True
    indexed = mixer.indexer is not None
    return mixer.source and mixer.learned_positions and mixer.compress == (OVERLAPPING if indexed else 128)


def covers(architecture: Architecture, engine: Engine) -> bool:
    """Whether these rules give the blocks of a model's cache."""
    return is_compressed(architecture) and not_modelled(architecture, engine) is None


def cut(architecture: Architecture, layout: Layout, *, engine: Engine) -> CompressedBlocks:
    """The blocks of one rank in the fullest pipeline stage; keys are not split over ranks.

    The groups are: compressed keys and index keys; windows, in the number of groups that pads least; the states of each
    compressor. A block has the bytes of the largest group since 0.27, and before of pages in sizes common to all.

    Source: vLLM 0.20 to 0.29, vllm/v1/core/kv_cache_utils.py, `_get_kv_cache_groups_uniform_groups`,
    `_get_kv_cache_config_deepseek_v4` and `_get_packed_kv_cache_layout`; models/deepseek_v4/attention.py,
    compressor.py and v1/attention/backends/mla/sparse_swa.py, `get_kv_cache_spec`.
    """
    buckets = _buckets(architecture)
    if engine.version <= LAST_SHARED_PAGES:
        sizes = sorted(buckets[0][1])
        buckets = [(kept, _padded(pages, sizes)) for kept, pages in buckets]
    repeats = _repeats([max(pages.values()) for _, pages in buckets])
    groups = [(kept, _on_stage(part, layout.pp)) for kept, pages in buckets for part in _split(pages, repeats)]
    return CompressedBlocks(
        block_bytes=_block_bytes([pages for _, pages in groups], version=engine.version),
        groups=tuple((1, _spec(kept, pages)) for kept, pages in groups),
        in_flight=engine.max_num_batched_tokens * batches_in_flight(architecture, layout, engine),
    )


def forward_peak(mixer: Compressed, *, hidden: int, tokens: int, tp: int, element: int) -> float:
    """512 MiB of scores + element × T × (2 × 4 × hidden + (heads / tp + 2 × padded heads) × head_dim). [B]

    What a layer adds to the activation peak, with T batched tokens: hidden states of its streams before and after,
    queries, padded queries and outputs.

    Limits: read in the source. Workspaces that grow with the longest context are not counted, 1.3 GiB at 1M tokens.
    Source: vLLM 0.28, vllm/models/deepseek_v4/attention.py, nvidia/model.py and nvidia/flashmla.py;
    vllm/model_executor/layers/sparse_attn_indexer.py.

    >>> flash = Compressed(heads=64, head_dim=512, query_rank=1024, output_groups=8, output_rank=1024, window=128)
    >>> forward_peak(flash, hidden=4096, tokens=16384, tp=2, element=2) / 2**30
    3.5
    """
    heads = mixer.heads / tp
    padded = next((size for size in QUERY_HEADS if size >= heads), heads)
    row = 2 * STREAMS * hidden + (heads + 2 * padded) * mixer.head_dim
    return (INDEX_LOGITS if mixer.indexer else 0) + element * tokens * row


def _pages(mixer: Compressed) -> Iterator[Page]:
    """The pages of a layer: its window, compressed keys, index keys, and the states of their compressors."""
    yield Page(tokens=WINDOW_TOKENS, window=mixer.window, bytes=_aligned(WINDOW_TOKENS * KEY_BYTES))
    if mixer.compress:
        yield from _compressed(mixer.compress, width=mixer.head_dim, key=KEY_BYTES)
        if mixer.indexer:
            yield from _compressed(mixer.compress, width=mixer.indexer.head_dim, key=INDEX_KEY_BYTES)


def _compressed(compress: int, *, width: int, key: int) -> Iterator[Page]:
    """A page of 256 / compress keys, and one of states: tokens × 2 × width × 4 B, twice that where windows overlap.

    >>> [page.bytes for page in _compressed(4, width=512, key=584)]
    [37440, 32832]
    """
    yield Page(tokens=BLOCK_TOKENS, bytes=_aligned(BLOCK_TOKENS // compress * key))
    tokens, twice = STATE_TOKENS[compress], 2 if compress == OVERLAPPING else 1
    state = _aligned(tokens * twice * 2 * width * STATE_BYTES)
    yield Page(tokens=tokens, window=twice * compress, bytes=state)


def _aligned(size: int) -> int:
    """⌈size / 576⌉ × 576. [B]"""
    return ceil(size / ALIGNMENT) * ALIGNMENT


def _buckets(architecture: Architecture) -> list[Bucket]:
    """Layers by the tokens they cache, those that cache every token first."""
    found: dict[tuple[int, int], dict[int, int]] = {(BLOCK_TOKENS, 0): {}}
    for layers, mixer in architecture.mixers:
        for page in _pages(mixer) if isinstance(mixer, Compressed) else ():
            pages = found.setdefault((page.tokens, page.window), {})
            pages[page.bytes] = pages.get(page.bytes, 0) + layers
    return list(found.items())


def _padded(pages: Mapping[int, int], sizes: Iterable[int]) -> dict[int, int]:
    """A bucket's pages, each padded to the next of `sizes`."""
    padded: dict[int, int] = {}
    for page, layers in pages.items():
        size = next(size for size in sizes if size >= page)
        padded[size] = padded.get(size, 0) + layers
    return padded


def _repeats(layers: list[int]) -> int:
    """Layers of one page size in a group: at least as many as in the first bucket, so that padding is least.

    Source: vLLM, vllm/v1/core/kv_cache_utils.py, `_approximate_gcd`.

    >>> _repeats([21, 43, 21, 20]), _repeats([31, 61, 30, 31])
    (22, 31)
    """
    least = range(layers[0], max(layers) + 1)
    return min(least, key=lambda size: (sum(-one % size for one in layers), -size))


def _split(pages: Mapping[int, int], repeats: int) -> Iterator[dict[int, int]]:
    """A bucket in groups with at most `repeats` layers of one page size, dealt out in turn.

    >>> list(_split({37_440: 43, 8_640: 21}, 22))
    [{37440: 22, 8640: 11}, {37440: 21, 8640: 10}]
    """
    number = ceil(max(pages.values()) / repeats)
    for first in range(number):
        yield {page: len(range(first, layers, number)) for page, layers in pages.items()}


def _on_stage(pages: Mapping[int, int], pp: int) -> dict[int, int]:
    """The layers of a group in the fullest of `pp` stages."""
    return {page: ceil(layers / pp) for page, layers in pages.items()}


def _block_bytes(groups: list[dict[int, int]], *, version: int) -> int:
    """The bytes of a block, which may be of any group. [B]"""
    if version > LAST_SHARED_PAGES:
        return max(sum(page * layers for page, layers in pages.items()) for pages in groups)
    most = {size: max(pages.get(size, 0) for pages in groups) for size in groups[0]}
    if version <= LAST_WHOLE_TUPLES:
        return sum(most) * max(most.values())
    return sum(size * layers for size, layers in most.items())


def _spec(kept: tuple[int, int], pages: Mapping[int, int]) -> Spec:
    """A group as one layer with the bytes of all of its layers."""
    tokens, window = kept
    total = sum(page * layers for page, layers in pages.items())
    kind = "sliding" if window else "full"
    return Spec(kind=kind, bytes=total / tokens, layers=1, window=window, block_tokens=tokens)
