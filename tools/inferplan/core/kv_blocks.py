"""How vLLM cuts the KV cache of a rank into blocks: one rate, groups of windowed layers, pages of states.

The rules reproduce what vLLM 0.10 to 0.29 printed for models with windows, latents, sparse latents, Gated DeltaNet, and
Kimi Delta Attention beside latents; Mamba and short convolutions follow from the same code, and are held against three
starts of 0.24. What they do not cover is said by `not_modelled`, and nothing is counted for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import Literal

from inferplan.core.architecture import Architecture, Attention, Latent, Mixer
from inferplan.core.engine import Engine
from inferplan.core.memory import CONVOLUTION_BYTES
from inferplan.core.parallelism import Layout
from inferplan.core.precision import BITS_PER_BYTE
from inferplan.core.recurrence import GatedDelta, KimiDelta, Lightning, Mamba2
from inferplan.core.vllm_defaults import CHECKPOINT_KEYS, FIRST_CHECKPOINTS, is_on_second_runner

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
"""The last vLLM (0.20) whose printed KV cache size leaves out what windows and states save."""
FIRST_POOLED = 30
"""The first vLLM (0.30) that serves index keys pooled beside a latent, GLM-5.3-Flash's; 0.28.0 stops at its weights.

Source: vllm-project/vllm issue 54062 and pull request 53906, merged after 0.29 was cut."""
FIRST_READ = 28
"""The first vLLM (0.28) whose pages are known of index keys beside keys and values and of values narrower than keys.

Source: vLLM 0.28 and 0.33, vllm/v1/kv_cache_interface.py, `AttentionSpec.state_content_size_bytes`, and
`UniformTypeKVCacheSpecs`: index keys are full attention of one vector a token, in one group with keys and values."""
FIRST_IN_FLIGHT = 26
"""The first vLLM (0.26) that sizes a window for all tokens that are scheduled and not settled."""
LAST_LIGHTNING = 23
"""The last vLLM (0.23) that serves lightning attention."""

Kind = Literal["full", "sliding", "chunked", "state"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """Layers of one rank that are cached alike: `bytes` per token and layer, of a state per sequence and layer.

    `beside` is what pooled index keys take in the page of a latent, and what no block is sized by. [B/token]
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
    """The cut of one rank's cache: bytes of a block over all its layers, and groups that each take blocks.

    `in_flight` tokens are scheduled and not yet settled; `context_parallel` ranks share out the tokens of a sequence.
    `pooling` blocks of a sequence keep the index keys that are not pooled yet.
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
        """Whether blocks are tokens: one group, and it keeps every token."""
        return len(self.groups) == 1 and self.groups[0][1].kind == "full"


def not_modelled(architecture: Architecture, *, version: int) -> str | None:
    """Why vLLM's cache of this architecture is not computed here, None where it is."""
    reasons = (_reason(mixer, version=version) for _, mixer in architecture.mixers)
    found = next((reason for reason in reasons if reason), None)
    if found:
        return found
    states = architecture.has_states
    if states and any(not _stands_beside_states(mixer) for _, mixer in architecture.mixers if mixer.cached):
        return "states beside a windowed cache or index keys: vLLM's pages for that mix are not known here"
    if not states and any(pools_index_keys(mixer) for _, mixer in architecture.mixers):
        return "pooled index keys beside a latent: vLLM's layout of them without states is not known here"
    if not any(mixer.cached for _, mixer in architecture.mixers):
        return "no layer keeps keys and values: vLLM's pages for states alone are not known here"
    return _odd_pages(architecture)


def _odd_pages(architecture: Architecture) -> str | None:
    """Pages of windowed and full layers have to be multiples of each other on every rank."""
    pages = {part.elements for _, mixer in architecture.mixers for part in mixer.cached if part.heads}
    if any(max(pages) % page for page in pages):
        return "the layers' pages are no multiples of each other: vLLM refuses them, or pads in a way not known here"
    return None


def _stands_beside_states(mixer: Mixer) -> bool:
    """Plain attention, and latents without an indexer or with one that pools."""
    if isinstance(mixer, Latent):
        return mixer.indexer is None or pools_index_keys(mixer)
    return isinstance(mixer, Attention) and mixer.is_plain


def pools_index_keys(mixer: Mixer) -> bool:
    """Whether a layer keeps index keys of several tokens as one beside its latent."""
    return isinstance(mixer, Latent) and mixer.indexer is not None and mixer.indexer.compress > 1


def _reason(mixer: Mixer, *, version: int) -> str | None:
    """What about one mixer is not covered."""
    if isinstance(mixer, Lightning) and version > LAST_LIGHTNING:
        return f"lightning attention: vLLM serves it only up to 0.{LAST_LIGHTNING}"
    if pools_index_keys(mixer) and version < FIRST_POOLED:
        return f"index keys pooled beside a latent: vLLM serves them since 0.{FIRST_POOLED}"
    return _attention_reason(mixer, version=version) if isinstance(mixer, Attention) else None


def is_read_alone(architecture: Architecture) -> bool:
    """Whether the cache is as vLLM's source cuts it, and no published log is known to hold it against.

    >>> from inferplan.catalog.models import MODELS
    >>> [is_read_alone(MODELS[id_].architecture) for id_ in ("XiaomiMiMo/MiMo-V2-Flash", "Qwen/Qwen3-8B")]
    [True, False]
    """
    return any(isinstance(mixer, Attention) and _is_unusual(mixer) for _, mixer in architecture.mixers)


def picks_pages(architecture: Architecture) -> bool:
    """Whether an indexer picks keys and values by pages, which vLLM has to be told the size of."""
    return any(isinstance(mixer, Attention) and mixer.indexer for _, mixer in architecture.mixers)


def _is_unusual(attention: Attention) -> bool:
    """Whether index keys stand beside keys and values, or those differ in width."""
    return bool(attention.indexer) or attention.value_width != attention.kv_width


def _attention_reason(attention: Attention, *, version: int) -> str | None:
    """What about keys and values is not covered."""
    if attention.indexer and version < FIRST_READ:
        return "index keys beside keys and values: vLLM's layout of them is not known here"
    if attention.convolution_state:
        return "convolutions on keys and values: vLLM's layout of their state is not known here"
    if attention.cross:
        return "cross-attention to an image: what vLLM keeps of it is not known here"
    if attention.value_width != attention.kv_width and version < FIRST_READ:
        return "values narrower than keys: vLLM's pages for them are not known here"
    return None


def cut(architecture: Architecture, layout: Layout, *, kv_bits: float, engine: Engine) -> Blocks:
    """The blocks of the fullest stage of a replica, on one rank.

    One kind of layer: a block holds its tokens in all layers. Several: groups of equally many layers, each with
    its own blocks of equal bytes (see `_group_size`). With states the attention's block grows to the state's page.

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
    """Steps that are scheduled before the first is settled since 0.26: one a stage, and one more.

    On the first runner several stages have no more than one each.

    Source: vLLM 0.26 to 0.33, vllm/config/vllm.py, `max_concurrent_batches` (scheduling is asynchronous by default) and
    `max_in_flight_tokens`; before 0.26 a window was sized for one step.
    """
    if engine.version < FIRST_IN_FLIGHT:
        return 1
    return layout.pp + (1 if layout.pp == 1 or is_on_second_runner(architecture, engine) else 0)


def _state_blocks(architecture: Architecture, engine: Engine) -> int:
    """Blocks of a sequence in a group of states: 1 and 1 per drafted token, with prefix caching 1 or 2 more.

    One of those keeps the state at the end of a block; the other one, since 0.32 of Mamba-2 and 0.33 of Gated DeltaNet,
    one inside the prompt, which is then read in one step.

    Source: vLLM 0.28 to 0.33, vllm/v1/kv_cache_interface.py, `MambaSpec.max_memory_usage_bytes`.
    """
    inside = any(_keeps_checkpoints(mixer, engine) for _, mixer in architecture.mixers)
    return 1 + engine.drafts + (1 + inside if engine.prefix_caching else 0)


def _keeps_checkpoints(mixer: Mixer, engine: Engine) -> bool:
    """Whether states inside a prompt are kept: of Mamba-2, and of Qwen's Gated DeltaNet where kernels hand them out.

    Limits: Kimi K3's delta attention, which keeps them since 0.29, is not told from that of others.
    Source: vLLM 0.32 and 0.33, vllm/model_executor/layers/mamba/mamba_mixer2.py, and 0.33 gdn/qwen_gdn_linear_attn.py,
    `get_kv_cache_spec`; issue 52959, pull requests 52789 and 57329.
    """
    if engine.version < FIRST_CHECKPOINTS:
        return False
    if isinstance(mixer, GatedDelta):
        return engine.state_checkpoints and mixer.key_dim == CHECKPOINT_KEYS
    return isinstance(mixer, Mamba2)


def _specs(architecture: Architecture, layout: Layout, engine: Engine, *, kv_bits: float) -> list[Spec]:
    """Layers by how they are cached, on one rank of a stage."""
    counts: dict[Spec, int] = {}
    for layers, mixer in architecture.mixers:
        for cached in _cached(mixer, architecture, engine, tp=layout.tp, kv_bits=kv_bits):
            spec = cached if engine.windows or cached.kind == "state" else replace(cached, kind="full", window=0)
            counts[spec] = counts.get(spec, 0) + layers
    return [replace(spec, layers=ceil(layers / layout.pp)) for spec, layers in counts.items()]


def _cached(mixer: Mixer, architecture: Architecture, engine: Engine, *, tp: int, kv_bits: float) -> Iterator[Spec]:
    """How one layer is cached. Latents and index keys are on every rank; heads and states are shared out.

    Source of scales: vLLM 0.20 to 0.33, vllm/v1/kv_cache_interface.py, `AttentionSpec.page_size_bytes`.
    """
    element = kv_bits / BITS_PER_BYTE
    tokens, beside = _block_tokens(mixer, architecture, engine), 0.0
    indexer = mixer.indexer if isinstance(mixer, Latent) else None
    index_key = INDEX_KEY_BYTES if indexer else 0.0
    if indexer and pools_index_keys(mixer):
        beside = INDEX_KEY_BYTES / indexer.compress
    for part in mixer.cached:
        size = part.on_rank(tp) * element
        if part.what == "index keys":
            if beside:
                continue
            size = index_key or part.elements * PAIRED_INDEX_BYTES
        elif indexer and not beside and kv_bits == BITS_PER_BYTE and engine.latent_scales:
            size = SPARSE_LATENT_BYTES
        elif part.heads:
            size += 2 * engine.head_scale_bytes * max(1.0, part.heads / tp)
        kind: Kind = "full" if part.window is None else "chunked" if part.chunked else "sliding"
        yield Spec(kind=kind, bytes=size, layers=0, window=part.window or 0, block_tokens=tokens, beside=beside)
    if mixer.state:
        yield Spec(kind="state", bytes=_state_bytes(mixer, architecture, engine) / tp, layers=0, block_tokens=1)


def _block_tokens(mixer: Mixer, architecture: Architecture, engine: Engine) -> int:
    """Tokens of one block, or by which it grows to the page of a state."""
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
    """A recurrent matrix, and the tail of a convolution, which is a token longer for each that is drafted. [B]

    Source: vLLM, vllm/model_executor/layers/mamba/mamba_utils.py, `conv_kernel_size - 1 + num_spec`.
    """
    state = mixer.state
    if state is None:
        return 0
    tail = mixer.convolution - 1 if isinstance(mixer, GatedDelta | KimiDelta | Mamba2) else 0
    longer = 1 + engine.drafts / tail if tail else 1
    return state.convolution * longer * CONVOLUTION_BYTES + state.recurrent * architecture.state_bytes


def _with_one_page(specs: list[Spec]) -> list[Spec]:
    """Blocks of layers with smaller pages take as many more tokens, so that every page has the same bytes."""
    page = max(spec.page for spec in specs)
    return [replace(spec, block_tokens=round(spec.block_tokens * page / spec.page)) for spec in specs]


def _with_state_pages(specs: list[Spec]) -> list[Spec]:
    """16 × ⌈page / (16 × bytes per token)⌉ tokens in a block of attention: the state's page fits in it.

    Of latents 64 or 128 for the 16, 64 where states inside a prompt are kept; pooled index keys make the page larger,
    and the block no smaller.

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
    """The layers of a group: the fewest of any kind, or the most where they are close.

    Source: vLLM, vllm/v1/core/kv_cache_utils.py, `_get_kv_cache_groups_uniform_page_size`, 0.11 to 0.33.

    >>> _group_size([10, 52], version=28), _group_size([21, 24], version=17), _group_size([20, 28], version=28)
    (10, 24, 28)
    """
    close = CLOSE_COUNTS if version <= 17 else 1.5
    return max(layers) if max(layers) < close * min(layers) else min(layers)
