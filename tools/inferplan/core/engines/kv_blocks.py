"""How vLLM cuts the KV cache of a rank into blocks: one rate, groups of windowed layers, pages of states.

The rules reproduce what vLLM 0.10 to 0.31 printed for models with windows, latents, sparse latents, Gated DeltaNet,
Mamba-2, and Kimi Delta Attention beside latents; short convolutions follow from the same code, and were compared with a
start of 0.24. `kv_coverage` says what they do not cover.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import Literal

from inferplan.core.architecture import Architecture, Mixer
from inferplan.core.engine import Engine
from inferplan.core.engines.kv_coverage import picks_pages, pools_index_keys
from inferplan.core.engines.vllm_defaults import CHECKPOINT_KEYS, FIRST_CHECKPOINTS, is_on_second_runner
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import GatedDelta, KimiDelta, Mamba2
from inferplan.core.memory import CONVOLUTION_BYTES
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE

BLOCK_TOKENS = 16
"""Tokens in one KV cache block: vLLM's default block size."""
SPARSE_BLOCK_TOKENS = 64
"""Tokens in one block of latents under an indexer, which the kernels for them ask for."""
HYBRID_BLOCK_TOKENS = {0: 64, 27: 128}
"""Tokens by which a block of latents grows beside states, by the first vLLM that takes so many; source: vLLM 0.11,
vllm/model_executor/models/config.py, and 0.28, vllm/platforms/interface.py."""
SPARSE_LATENT_BYTES = 656
"""vLLM's `fp8_ds_mla`: 512 B of latent, 16 B of scales and 64 rotary elements of 2 B; not on every GPU."""
CHECKPOINT_TOKENS = 64
"""Tokens by which a block of attention grows where FlashInfer keeps states of Gated DeltaNet inside a prompt; source:
vLLM 0.33, vllm/v1/attention/backends/gdn_attn.py, `FLASHINFER_GDN_CHECKPOINT_ALIGNMENT`."""
PAIRED_BLOCK_TOKENS = 128
"""Tokens in one block of keys and values under an indexer: one page is what it picks; source: vLLM 0.28,
vllm/models/minimax_m3/common/sparse_attention.py, `get_supported_kernel_block_sizes`."""
PAIRED_INDEX_BYTES = 2
"""An element of the index key beside keys and values, whatever those are stored in; source: vLLM 0.28 and 0.33,
vllm/models/minimax_m3, `resolve_indexer_kv_dtype("bf16")`. [B]"""
INDEX_KEY_BYTES = 132
"""128 elements of 1 B and one scale of 4 B, whatever the cache is stored in."""
CLOSE_COUNTS = 1.25
"""Up to 0.17, layer counts of two kinds that differ by less than this make groups of the larger count; 1.5 since."""
LAST_BLIND_COUNT = 20
"""The last vLLM (0.20, of which 0.20.0 alone) whose printed KV cache size leaves out what windows and states save."""
FIRST_IN_FLIGHT = 26
"""The first vLLM (0.26) that sizes a window for all tokens that are scheduled and not settled."""

Kind = Literal["full", "sliding", "chunked", "state"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """Layers of one rank that are cached alike: `bytes` per token and layer, or per sequence and layer for states.

    `beside` is what pooled index keys add to the page of a latent; block sizes are computed without it. [B/token]
    """

    kind: Kind
    bytes: float
    layers: int
    window: int = 0
    block_tokens: int = BLOCK_TOKENS
    beside: float = 0

    @property
    def page(self) -> float:
        """One block of one layer. [B]"""
        return (self.bytes + self.beside) * self.block_tokens

    def blocks(self, context: int, *, in_flight: int, state_blocks: int) -> int:
        """Blocks of one group that a sequence takes: those of its context, of its window and what is in flight.

        full: ⌈context / block⌉; sliding: ⌈min(window - 1 + in flight, context) / block⌉ + 1; chunked: the
        same with the whole chunk and without the 1; state: see `_state_blocks`.

        Source: vLLM, vllm/v1/kv_cache_interface.py, `max_memory_usage_bytes` of each spec.

        >>> sliding = Spec(kind="sliding", bytes=1024, layers=12, window=128)
        >>> sliding.blocks(131072, in_flight=2048, state_blocks=1)
        137
        """
        if self.kind == "state":
            return state_blocks
        if self.kind == "full":
            return ceil(context / self.block_tokens)
        held = self.window + in_flight - (1 if self.kind == "sliding" else 0)
        return ceil(min(held, context) / self.block_tokens) + (1 if self.kind == "sliding" else 0)


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """How one rank's cache is cut: the bytes of a block, and the layer groups, each of which takes blocks of its own.

    `in_flight` tokens are scheduled but not finished; `context_parallel` ranks each cache a part of a sequence's
    tokens. `pooling` blocks per sequence hold index keys that are not pooled yet.
    """

    block_bytes: float
    groups: tuple[tuple[int, Spec], ...]
    in_flight: int
    state_blocks: int = 1
    context_parallel: int = 1
    pooling: int = 0

    def per_sequence(self, context: int) -> int:
        """Σ groups × blocks of a group: what one sequence of `context` tokens takes. [blocks]"""
        local = -(-context // self.context_parallel)
        if self.is_uniform:
            return -(-local // self.tokens)
        return self.pooling + sum(
            [
                number * spec.blocks(local, in_flight=self.in_flight, state_blocks=self.state_blocks)
                for number, spec in self.groups
            ]
        )

    def concurrency(self, number: int, context: int) -> float:
        """Blocks over those of one sequence, as vLLM prints it. [sequences]"""
        return number / self.per_sequence(context)

    @cached_property
    def tokens(self) -> int:
        """Tokens in the smallest block of any group that keeps tokens. [tokens]"""
        return min(spec.block_tokens for _, spec in self.groups if spec.kind != "state")

    def printed(self, number: int, *, context: int, version: int) -> int:
        """The KV cache size that vLLM 0.`version` prints for `number` blocks. [tokens]

        Blocks × their tokens where every layer keeps every token. With windows or states, up to 0.20 the same over
        the groups, which leaves out what they save; from 0.21 on concurrency × context.
        """
        if self.is_uniform:
            return number * self.tokens * self.context_parallel
        if version <= LAST_BLIND_COUNT:
            return number // sum(groups for groups, _ in self.groups) * self.tokens
        return int(number / self.per_sequence(context) * context)

    @cached_property
    def is_uniform(self) -> bool:
        """Whether one group keeps every token, so that blocks translate directly into tokens."""
        return len(self.groups) == 1 and self.groups[0][1].kind == "full"


def cut(architecture: Architecture, layout: Layout, *, kv_bits: float, engine: Engine) -> Blocks:
    """The blocks of one rank of the pipeline stage with most layers.

    One kind of layer: a block holds its tokens, or the state of a sequence, in all layers. Several kinds: groups of
    equally many layers, each with blocks of its own, all of the same bytes (see `_group_size`). Beside recurrent states
    a block of attention grows to the size of a state.

    Source: vLLM, vllm/v1/core/kv_cache_utils.py, `get_kv_cache_groups`.
    """
    specs = _specs(architecture, layout, engine, kv_bits=kv_bits)
    if len({(spec.kind, spec.window) for spec in specs}) == 1:
        groups = ((1, specs[0]),)
        block_bytes = sum(spec.layers * spec.page for spec in specs)
    else:
        specs = _with_state_pages(specs) if any(spec.kind == "state" for spec in specs) else _with_one_page(specs)
        size = _group_size([spec.layers for spec in specs], version=engine.version)
        groups = tuple((ceil(spec.layers / size), spec) for spec in specs)
        block_bytes = size * max(spec.page for spec in specs if spec.kind != "state")
    return Blocks(
        block_bytes=block_bytes,
        groups=groups,
        in_flight=engine.max_num_batched_tokens * batches_in_flight(architecture, layout, engine),
        state_blocks=_state_blocks(architecture, engine),
        context_parallel=engine.context_parallel,
        pooling=1 if any(spec.beside for spec in specs) else 0,
    )


def batches_in_flight(architecture: Architecture, layout: Layout, engine: Engine) -> int:
    """Steps that vLLM schedules before the first has finished, since 0.26: one per pipeline stage, and one more.

    With several stages the first model runner schedules only one per stage.

    Source: vLLM 0.26 to 0.33, vllm/config/vllm.py, `max_concurrent_batches` (scheduling is asynchronous by default) and
    `max_in_flight_tokens`; before 0.26 a window was sized for one step.
    """
    if engine.version < FIRST_IN_FLIGHT:
        return 1
    return layout.pp + (1 if layout.pp == 1 or is_on_second_runner(architecture, engine) else 0)


def _state_blocks(architecture: Architecture, engine: Engine) -> int:
    """Blocks of a sequence in a group of states: 1, one per drafted token, and with prefix caching 1 or 2 more.

    The first of those keeps the state at the end of a block; the second, since 0.32 for Mamba-2 and 0.33 for Gated
    DeltaNet, a state inside the prompt.

    Source: vLLM 0.28 to 0.33, vllm/v1/kv_cache_interface.py, `MambaSpec.max_memory_usage_bytes`.
    """
    inside = any(_keeps_checkpoints(mixer, engine) for _, mixer in architecture.mixers)
    return 1 + engine.drafts + (1 + inside if engine.prefix_caching else 0)


def _keeps_checkpoints(mixer: Mixer, engine: Engine) -> bool:
    """Whether states inside a prompt are kept: of Mamba-2, and of Qwen's Gated DeltaNet where kernels hand them out.

    Limits: Kimi K3's delta attention, which keeps them since 0.29, is taken to be like others.
    Source: vLLM 0.32 and 0.33, vllm/model_executor/layers/mamba/mamba_mixer2.py, and 0.33 gdn/qwen_gdn_linear_attn.py,
    `get_kv_cache_spec`; issue 52959, pull requests 52789 and 57329.
    """
    if engine.version < FIRST_CHECKPOINTS:
        return False
    if isinstance(mixer, GatedDelta):
        return engine.state_checkpoints and mixer.key_dim == CHECKPOINT_KEYS
    return isinstance(mixer, Mamba2)


def _specs(architecture: Architecture, layout: Layout, engine: Engine, *, kv_bits: float) -> list[Spec]:
    """The layers of a stage by how one rank caches them; with states stand convolutions over n-grams."""
    counts: dict[Spec, int] = {}
    for layers, mixer in architecture.mixers:
        for cached in _cached(mixer, architecture, engine, tp=layout.tp, kv_bits=kv_bits):
            spec = cached if engine.windows or cached.kind == "state" else replace(cached, kind="full", window=0)
            counts[spec] = counts.get(spec, architecture.ngram_layers if spec.kind == "state" else 0) + layers
    return [replace(spec, layers=ceil(layers / layout.pp)) for spec, layers in counts.items()]


def _cached(mixer: Mixer, architecture: Architecture, engine: Engine, *, tp: int, kv_bits: float) -> Iterator[Spec]:
    """How one rank caches one layer: latents and index keys are replicated, KV heads and states are split over ranks.

    Source of scales: vLLM 0.20 to 0.33, vllm/v1/kv_cache_interface.py, `AttentionSpec.page_size_bytes`.
    """
    element = kv_bits / BITS_PER_BYTE
    tokens, beside = _block_tokens(mixer, architecture, engine), _pooled_keys(mixer)
    indexes_latents = isinstance(mixer, Latent) and mixer.indexer is not None
    for part in mixer.cached:
        size = part.on_rank(tp) * element
        if part.what == "index keys":
            if beside:
                continue
            size = INDEX_KEY_BYTES if indexes_latents else part.elements * PAIRED_INDEX_BYTES
        elif indexes_latents and not beside and kv_bits == BITS_PER_BYTE and engine.latent_scales:
            size = SPARSE_LATENT_BYTES
        elif part.heads:
            size += 2 * engine.head_scale_bytes * max(1.0, part.heads / tp)
        kind: Kind = "full" if part.window is None else "chunked" if part.chunked else "sliding"
        yield Spec(kind=kind, bytes=size, layers=0, window=part.window or 0, block_tokens=tokens, beside=beside)
    if mixer.state:
        yield Spec(kind="state", bytes=_state_bytes(mixer, architecture, engine) / tp, layers=0, block_tokens=1)


def _pooled_keys(mixer: Mixer) -> float:
    """What index keys pooled over tokens add to the page of a layer: of 8 bit beside latents, else of 16. [B/token]

    Source of 16 bit: a published start of Qwen3.8 Flash Next on 8 H100 (0.31.1).
    """
    if not (isinstance(mixer, Latent | Attention) and mixer.indexer and pools_index_keys(mixer)):
        return 0.0
    key = INDEX_KEY_BYTES if isinstance(mixer, Latent) else mixer.indexer.head_dim * PAIRED_INDEX_BYTES
    return key / mixer.indexer.compress


def _block_tokens(mixer: Mixer, architecture: Architecture, engine: Engine) -> int:
    """Tokens of one block; beside states, the step in which a block grows to the size of a state."""
    if picks_pages(architecture):
        return PAIRED_BLOCK_TOKENS
    if not isinstance(mixer, Latent):
        others = [other for _, other in architecture.mixers if isinstance(other, GatedDelta)]
        kept = engine.prefix_caching and any(_keeps_checkpoints(other, engine) for other in others)
        return CHECKPOINT_TOKENS if kept else BLOCK_TOKENS
    if any(other.state for _, other in architecture.mixers):
        return HYBRID_BLOCK_TOKENS[max(first for first in HYBRID_BLOCK_TOKENS if first <= engine.version)]
    return SPARSE_BLOCK_TOKENS if mixer.indexer else BLOCK_TOKENS


def _state_bytes(mixer: Mixer, architecture: Architecture, engine: Engine) -> float:
    """The recurrent matrix and the convolution's tail, which is one token longer for each drafted token. [B]

    Source: vLLM, vllm/model_executor/layers/mamba/mamba_utils.py, `conv_kernel_size - 1 + num_spec`.
    """
    state = mixer.state
    if state is None:
        return 0
    tail = mixer.convolution - 1 if isinstance(mixer, GatedDelta | KimiDelta | Mamba2) else 0
    longer = 1 + engine.drafts / tail if tail else 1
    return state.convolution * longer * CONVOLUTION_BYTES + state.recurrent * architecture.state_bytes


def _with_one_page(specs: list[Spec]) -> list[Spec]:
    """Give blocks of layers with smaller pages more tokens, so that all pages have the same bytes."""
    page = max(spec.page for spec in specs)
    return [replace(spec, block_tokens=round(spec.block_tokens * page / spec.page)) for spec in specs]


def _with_state_pages(specs: list[Spec]) -> list[Spec]:
    """16 × ⌈page / (16 × bytes per token)⌉ tokens in a block of attention, so that a state fits into it.

    For latents the 16 is 64 or 128, and 64 where states inside a prompt are kept (`_block_tokens`). Pooled index keys
    enlarge the page but do not shrink the block.

    Source: vLLM, vllm/model_executor/models/config.py, `HybridAttentionMambaModelConfig`.
    """
    page = max(spec.page for spec in specs if spec.kind == "state")
    return [
        replace(spec, block_tokens=spec.block_tokens * max(1, ceil(page / (spec.bytes * spec.block_tokens))))
        if spec.kind != "state"
        else spec
        for spec in specs
    ]


def _group_size(layers: list[int], *, version: int) -> int:
    """Layers in each group: the smallest count of any kind, or the largest where all counts are close.

    Source: vLLM, vllm/v1/core/kv_cache_utils.py, `_get_kv_cache_groups_uniform_page_size`, 0.11 to 0.33.

    >>> _group_size([10, 52], version=28), _group_size([21, 24], version=17), _group_size([20, 28], version=28)
    (10, 24, 28)
    """
    close = CLOSE_COUNTS if version <= 17 else 1.5
    return max(layers) if max(layers) < close * min(layers) else min(layers)
