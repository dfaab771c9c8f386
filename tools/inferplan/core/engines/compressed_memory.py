"""vLLM's memory for DeepSeek-V4: KV cache blocks of compressed keys, windows and compressor states; activation peak.

The rules are those of vLLM 0.20, the first to serve it, to 0.28; 0.29 to 0.33 group and pack the same pages alike, and
0.30 to 0.33 those of V4.1, on Hopper. Two published starts of DeepSeek-V4-Flash are reproduced: on 0.22 the cache of a
sequence, on 0.26 the tokens printed; and of V4.1-Flash on 0.31 the groups and the tokens printed.

Limits: not modelled are cache formats other than FP8 (an option with FlashInfer's kernels, and NVFP4 with V4.1's on
Blackwell) and index keys in FP4 (an option on Blackwell). Of pipeline stages each is taken to have its share of every
kind of layer, rounded up; V4.1 is cut by vLLM only where no layer is parted from its source of keys.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil

from inferplan.core.architecture import Architecture
from inferplan.core.engine import Engine
from inferplan.core.engines.key_pages import OVERLAPPING, Kept, is_of_sharing, pages
from inferplan.core.engines.kv_blocks import Blocks, Spec, batches_in_flight
from inferplan.core.engines.vllm_defaults import is_compressed
from inferplan.core.hardware import Gpu
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.parallelism import Layout
from inferplan.core.units import MIB

FIRST_SERVED = 20
"""The first vLLM (0.20) that serves DeepSeek-V4."""
FIRST_SHARED_KEYS = 30
"""The first vLLM (0.30) that serves DeepSeek-V4.1; source: vllm/models/deepseek_v41 in its wheel, and its recipe."""
LAST_WHOLE_TUPLES = 22
"""The last vLLM (0.22) whose blocks have a page of every size for each layer of the largest group."""
LAST_SHARED_PAGES = 26
"""The last vLLM (0.26) that pads pages to sizes common to all groups, and prints tokens by the bytes of groups."""
SHARED_RATIOS = (1, 2)
"""Tokens that V4.1 pools into a key."""
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

Bucket = tuple[Kept, Mapping[int, int]]
"""Layers whose blocks keep the same: what, and the number of layers by bytes of their page."""


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
    if engine.version < first_served(architecture):
        what = "compressed keys (DeepSeek-V4)" if engine.version < FIRST_SERVED else "shared keys (DeepSeek-V4.1)"
        return f"{what}: vLLM serves them since 0.{first_served(architecture)}"
    if not engine.windows:
        return "compressed keys (DeepSeek-V4): vLLM keeps them with its hybrid KV cache manager only"
    if not any(isinstance(mixer, Compressed) and mixer.compress for mixer in mixers):
        return "windows without compressed keys: vLLM's layout of them is not modelled"
    if not all(isinstance(mixer, Compressed) and _is_known(mixer) for mixer in mixers):
        return "compressed keys of another kind than DeepSeek-V4's: vLLM's layout of them is not modelled"
    return None


def first_served(architecture: Architecture) -> int:
    """The first vLLM (20 is 0.20) that serves a model with compressed keys."""
    return FIRST_SHARED_KEYS if shares_keys(architecture) else FIRST_SERVED


def laid_out_otherwise(architecture: Architecture, gpu: Gpu) -> str | None:
    """Why the cache of shared keys is not computed on a GPU, as a clause; None where it is.

    Source: vLLM 0.30 to 0.33, vllm/models/deepseek_v41: records of 528 B on B200 and B300, of 288 B in NVFP4 where mega
    attention runs, and blocks of 128 tokens everywhere but on Hopper.
    """
    if gpu.architecture == "Hopper" or not shares_keys(architecture):
        return None
    return "shared keys (DeepSeek-V4.1): vLLM lays them out otherwise than on Hopper, which is not modelled"


def shares_keys(architecture: Architecture) -> bool:
    """Whether layers share keys, as in DeepSeek-V4.1."""
    return any(isinstance(mixer, Compressed) and is_of_sharing(mixer) for _, mixer in architecture.mixers)


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
    """Whether a layer is as in DeepSeek-V4: own keys, one per 4 tokens with an indexer or per 128 without; or V4.1."""
    if mixer.compress is None:
        return True
    if is_of_sharing(mixer):
        return mixer.compress in SHARED_RATIOS and (mixer.indexer is not None or not mixer.source)
    indexed = mixer.indexer is not None
    return mixer.source and mixer.learned_positions and mixer.compress == (OVERLAPPING if indexed else 128)


def covers(architecture: Architecture, engine: Engine) -> bool:
    """Whether these rules give the blocks of a model's cache."""
    return is_compressed(architecture) and not_modelled(architecture, engine) is None


def cut(architecture: Architecture, layout: Layout, *, engine: Engine) -> CompressedBlocks:
    """The blocks of one rank in the fullest pipeline stage; keys are not split over ranks.

    The groups are: compressed keys and index keys; windows, in the number of groups that pads least; the states of each
    compressor. A block has the bytes of the largest group since 0.27, and before of pages in sizes common to all.

    Source: vLLM 0.20 to 0.33, vllm/v1/core/kv_cache_utils.py, `_get_kv_cache_groups_uniform_groups`,
    `_get_kv_cache_config_deepseek_v4`, `_get_packed_kv_cache_groups` and `_get_kv_cache_bytes_per_block`.
    """
    buckets = _buckets(architecture, engine)
    groups = [(kept, _on_stage(part, layout.pp)) for kept, part in _grouped(buckets)]
    return CompressedBlocks(
        block_bytes=_block_bytes([sized for _, sized in groups], version=engine.version),
        groups=tuple((1, _spec(kept, sized)) for kept, sized in groups),
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


def _buckets(architecture: Architecture, engine: Engine) -> list[Bucket]:
    """Layers by what blocks keep; first those that cache every token, to whose sizes all are padded up to 0.26."""
    found: dict[Kept, dict[int, int]] = {}
    for layers, mixer in architecture.mixers:
        for page in pages(mixer, engine.drafts) if isinstance(mixer, Compressed) else ():
            sized = found.setdefault(page.kept, {})
            sized[page.bytes] = sized.get(page.bytes, 0) + layers
    buckets = sorted(found.items(), key=lambda bucket: bool(bucket[0].window or bucket[0].is_ring))
    sizes = sorted(buckets[0][1])
    pads = engine.version <= LAST_SHARED_PAGES
    return [(kept, _padded(sized, sizes) if pads else sized) for kept, sized in buckets]


def _grouped(buckets: list[Bucket]) -> Iterator[Bucket]:
    """Buckets in the groups that they are split into.

    Where as many layers have pages of one size as of another (V4's states), groups have equally many of these layers.
    Else (V4.1) the group that keeps every token is whole, and others have the layers whose pages fit into its bytes.

    >>> every, window = {37_440: 1, 19_008: 3, 8_640: 1, 4_608: 3}, {19_008: 40}
    >>> [sum(sized.values()) for _, sized in _grouped([(Kept(64), every), (Kept(32, 128), window)])]
    [8, 6, 6, 6, 6, 6, 5, 5]
    """
    if any(len(sized) > 1 and len(set(sized.values())) == 1 for _, sized in buckets):
        repeats = _repeats([max(sized.values()) for _, sized in buckets])
        yield from ((kept, part) for kept, sized in buckets for part in _split(sized, repeats))
        return
    room = max(sum(page * layers for page, layers in buckets[0][1].items()), *[max(sized) for _, sized in buckets[1:]])
    yield buckets[0]
    for kept, sized in buckets[1:]:
        yield from ((kept, part) for part in _split(sized, room // max(sized)))


def _padded(sized: Mapping[int, int], sizes: Iterable[int]) -> dict[int, int]:
    """A bucket's pages, each padded to the next of `sizes`."""
    padded: dict[int, int] = {}
    for page, layers in sized.items():
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


def _split(sized: Mapping[int, int], repeats: int) -> Iterator[dict[int, int]]:
    """A bucket in groups with at most `repeats` layers of one page size, dealt out in turn.

    >>> list(_split({37_440: 43, 8_640: 21}, 22))
    [{37440: 22, 8640: 11}, {37440: 21, 8640: 10}]
    """
    number = ceil(max(sized.values()) / repeats)
    for first in range(number):
        yield {page: len(range(first, layers, number)) for page, layers in sized.items()}


def _on_stage(sized: Mapping[int, int], pp: int) -> dict[int, int]:
    """The layers of a group in the fullest of `pp` stages."""
    return {page: ceil(layers / pp) for page, layers in sized.items()}


def _block_bytes(groups: list[dict[int, int]], *, version: int) -> int:
    """The bytes of a block, which may be of any group. [B]"""
    if version > LAST_SHARED_PAGES:
        return max(sum(page * layers for page, layers in sized.items()) for sized in groups)
    most = {size: max(sized.get(size, 0) for sized in groups) for size in groups[0]}
    if version <= LAST_WHOLE_TUPLES:
        return sum(most) * max(most.values())
    return sum(size * layers for size, layers in most.items())


def _spec(kept: Kept, sized: Mapping[int, int]) -> Spec:
    """A group as one layer with the bytes of all of its layers."""
    total = sum(page * layers for page, layers in sized.items())
    kind = "state" if kept.is_ring else "sliding" if kept.window else "full"
    return Spec(kind=kind, bytes=total / kept.tokens, layers=1, window=kept.window, block_tokens=kept.tokens)
