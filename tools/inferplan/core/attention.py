"""Attention in all its kinds: the parameters of one layer, and what it caches of the context.

`Attention` has query, key and value heads (MHA, GQA, MQA; with windows, chunks, shared caches, cross-attention),
`Latent` one low-rank latent for all heads (MLA, with or without a sparse indexer), `Compressed` one compressed key that
is also the value (DeepSeek-V4). Units: elements, parameters.
"""

from dataclasses import dataclass
from typing import Literal

QkNorm = Literal["none", "per_head", "full_width", "per_head_layernorm"]
What = Literal["keys and values", "latent", "index keys", "window", "compressed keys"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cached:
    """One part of a layer's cache: entries of `elements`, one per token or per `compress` tokens, of the last `window`.

    Tensor parallelism splits the entries by `heads` (KV heads); None puts all of them on every rank. A query reads at
    most `read` entries, which an indexer picks. Attention over one entry costs a query `flops`, in prefill
    `prefill_flops` where that differs. [FLOP]
    """

    what: What
    elements: int
    heads: int | None = None
    window: int | None = None
    chunked: bool = False
    compress: int = 1
    read: int | None = None
    flops: int = 0
    prefill_flops: int | None = None

    def entries(self, context: int) -> int:
        """Entries at a context: min(context, window) in a windowed layer, ⌊context / compress⌋ elsewhere.

        >>> Cached(what="keys and values", elements=2048, window=4096).entries(32768)
        4096
        >>> Cached(what="index keys", elements=128, compress=16).entries(100)
        6
        """
        return min(context, self.window) if self.window else context // self.compress

    def on_rank(self, tp: int) -> float:
        """elements × max(1, heads / tp) / heads, as a rank holds at least one KV head; latents are never split.

        Source: vLLM, `get_num_kv_heads(parallel_config)`; MLA has one head for all ranks.

        >>> Cached(what="keys and values", elements=2048, heads=8).on_rank(16)
        256.0
        >>> Cached(what="latent", elements=576).on_rank(8)
        576
        """
        return self.elements if self.heads is None else self.elements * max(1.0, self.heads / tp) / self.heads


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What one layer keeps per sequence of any length: the tail of a convolution, a recurrent state. [elements]"""

    convolution: int = 0
    recurrent: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexer:
    """Sparse attention's indexer: it scores all past tokens, and attention reads the `top` ones.

    It caches one key of its own per `compress` tokens. A layer that has not `owned` one uses the choice of an earlier
    layer, and caches no index keys. `extra_params` are those of its projections beyond the form counted in
    `Latent.params`.
    """

    heads: int
    head_dim: int
    top: int
    owned: bool = True
    compress: int = 1
    extra_params: int = 0

    @property
    def cached(self) -> tuple[Cached, ...]:
        """One index key for all heads, on every rank."""
        flops = 2 * self.heads * self.head_dim
        one = Cached(what="index keys", elements=self.head_dim, compress=self.compress, flops=flops)
        return (one,) if self.owned else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """Attention with query and KV heads: MHA where kv_heads = heads, MQA where kv_heads = 1, GQA between.

    `head_dim` is as published: heads × head_dim differs from the hidden width in many models. `value_dim` is None where
    values are as wide as keys. A layer attends over the last `window` tokens, a `chunked` one over those since the last
    multiple of `window`. A layer that `reuses_cache` reads the keys and values of an earlier one; a `cross` layer reads
    those of an image, which are no part of the cache here. With `value_is_key` one projection makes key and value, and
    both are cached. Short convolutions on keys and values keep `convolution_state` elements per sequence.
    `extra_params` are tensors of a family beyond this form.
    """

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int | None = None
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: QkNorm = "none"
    output_gate: bool = False
    head_gate: bool = False
    sinks: bool = False
    window: int | None = None
    chunked: bool = False
    cross: bool = False
    reuses_cache: bool = False
    value_is_key: bool = False
    indexer: Indexer | None = None
    convolution_state: int = 0
    extra_params: int = 0

    @property
    def query_width(self) -> int:
        """heads × head_dim: the width of the query, and of what the output projection reads. [elements]"""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """kv_heads × head_dim: the width of one key. [elements]"""
        return self.kv_heads * self.head_dim

    @property
    def value_width(self) -> int:
        """kv_heads × value_dim: the width of one value, which is that of a key in most models. [elements]"""
        return self.kv_heads * (self.value_dim or self.head_dim)

    @property
    def output_width(self) -> int:
        """heads × value_dim: what the output projection reads. [elements]"""
        return self.heads * (self.value_dim or self.head_dim)

    @property
    def attended(self) -> tuple[int, int]:
        """The widths of all heads' queries and of their results, as attention computes them. [elements]"""
        return self.query_width, self.output_width

    @property
    def is_plain(self) -> bool:
        """Whether every token's key and value are cached in this layer, as wide as each other, and all read."""
        special = self.window or self.cross or self.reuses_cache or self.indexer or self.convolution_state
        return not special and self.value_width == self.kv_width

    @property
    def cached(self) -> tuple[Cached, ...]:
        """A key and a value per KV head, and index keys; nothing where those of another layer or an image are read."""
        if self.cross or self.reuses_cache:
            return ()
        keys = Cached(
            what="keys and values",
            elements=self.kv_width + self.value_width,
            heads=self.kv_heads,
            window=self.window,
            chunked=self.chunked,
            read=self.indexer.top if self.indexer else None,
            flops=2 * (self.query_width + self.output_width),
        )
        return (keys, *(self.indexer.cached if self.indexer else ()))

    @property
    def state(self) -> State | None:
        """The tail of short convolutions on keys and values, None without any."""
        return State(convolution=self.convolution_state) if self.convolution_state else None

    def params(self, hidden: int) -> int:
        """See `attention_params`. [parameters]"""
        return attention_params(hidden, self)

    def share(self, hidden: int, tp: int) -> float:
        """The share of the parameters on one of `tp` ranks: 1 / tp, but at least one KV head on each. [fraction]"""
        if tp <= self.kv_heads:
            return 1 / tp
        split = hidden * (self.query_width + self.output_width) / tp
        kept = hidden * (self.kv_width + self.value_width) / self.kv_heads
        whole = hidden * (self.query_width + self.output_width + self.kv_width + self.value_width)
        return (split + kept) / whole


def attention_params(hidden: int, attention: Attention) -> int:
    """hidden × (query + output + key + value width), and gates, biases, sinks, norms. [parameters]

    Source: Hugging Face transformers, `LlamaAttention`, `Qwen2Attention` (q, k, v bias), `Qwen3Attention`
    (per-head norm), `Olmo2Attention` (full-width norm), `Qwen3NextAttention` (gate), `GptOssAttention` (sinks),
    `Gemma4TextAttention` (values from the key projection, layers without KV projections).

    >>> attention_params(8192, Attention(heads=64, kv_heads=8, head_dim=128)) * 80
    12079595520
    """
    query, output = attention.query_width, attention.output_width
    keys = 0 if attention.reuses_cache else attention.kv_width
    values = 0 if attention.reuses_cache or attention.value_is_key else attention.value_width
    gates = (query if attention.output_gate else 0) + (attention.heads if attention.head_gate else 0)
    bias = query + keys + values if attention.qkv_bias else 0
    output_bias = hidden if attention.output_bias else 0
    sinks = attention.heads if attention.sinks else 0
    matrices = hidden * (query + output + keys + values + gates)
    return matrices + bias + output_bias + sinks + _norm_params(attention) + attention.extra_params


def _norm_params(attention: Attention) -> int:
    """Norms of query and key; of the query alone in a layer that reuses keys. [parameters]"""
    if attention.qk_norm == "none":
        return 0
    if attention.qk_norm == "per_head":
        return attention.head_dim * (1 if attention.reuses_cache else 2)
    return attention.query_width + attention.kv_width


@dataclass(frozen=True, kw_only=True, slots=True)
class Latent:
    """Multi-head latent attention (MLA): one latent of `kv_rank` and one rotary key of `rope_dim` for all heads.

    A head's query has `nope_dim` elements without rotation and `rope_dim` with; queries are projected through a latent
    of `query_rank`, or directly where that is None. `extra_params` are tensors of a family beyond this form.
    """

    heads: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    query_rank: int | None = None
    output_gate: bool = False
    head_gate: bool = False
    sinks: bool = False
    indexer: Indexer | None = None
    extra_params: int = 0

    @property
    def query_width(self) -> int:
        """heads × (nope + rope). [elements]"""
        return self.heads * (self.nope_dim + self.rope_dim)

    @property
    def output_width(self) -> int:
        """heads × value_dim: what the output projection reads. [elements]"""
        return self.heads * self.value_dim

    @property
    def attended(self) -> tuple[int, int]:
        """heads × (kv_rank + rope) and heads × kv_rank: the widths of queries and results on the latent. [elements]"""
        return self.heads * (self.kv_rank + self.rope_dim), self.heads * self.kv_rank

    @property
    def cached(self) -> tuple[Cached, ...]:
        """kv_rank + rope elements for all heads, and index keys; decode attends over the latent itself (absorbed).

        Source: DeepSeek-V2, arXiv 2405.04434, section 2.1; vLLM, `MLAAttentionSpec` (one head, not sharded).
        """
        latent = Cached(
            what="latent",
            elements=self.kv_rank + self.rope_dim,
            read=self.indexer.top if self.indexer else None,
            flops=2 * self.heads * (2 * self.kv_rank + self.rope_dim),
            prefill_flops=2 * (self.query_width + self.output_width),
        )
        return (latent, *(self.indexer.cached if self.indexer else ()))

    @property
    def state(self) -> State | None:
        """None: nothing is kept per sequence."""
        return None

    def params(self, hidden: int) -> int:
        """Query, latent, up-projection and output projection, and indexer, gates, sinks. [parameters]

        q: hidden × rank + rank + rank × query width, or hidden × query width; latent: hidden × (kv_rank + rope)
        + kv_rank; up: kv_rank × heads × (nope + value); output: heads × value × hidden.

        Source: transformers, `DeepseekV3Attention`; DeepSeek-V3.2-Exp inference/model.py, `Indexer`.

        >>> v3 = Latent(heads=128, query_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128)
        >>> v3.params(7168) * 61
        11413547008
        """
        return self._replicated(hidden) + self._sharded(hidden) + self.extra_params

    def share(self, hidden: int, tp: int) -> float:
        """The share of the parameters on one of `tp` ranks: what makes latents, and indexers, are on all. [fraction]"""
        kept, split = self._replicated(hidden), self._sharded(hidden)
        return (kept + split / tp) / (kept + split)

    def absorbed_params(self, tp: int) -> float:
        """kv_rank × heads / tp × (nope + value): a rank's up-projection, which vLLM absorbs as a copy. [parameters]"""
        return self.kv_rank * self.heads / tp * (self.nope_dim + self.value_dim)

    def _replicated(self, hidden: int) -> int:
        """Down-projections with their norms, and the indexer. [parameters]"""
        query = (hidden + 1) * self.query_rank if self.query_rank else 0
        return query + hidden * (self.kv_rank + self.rope_dim) + self.kv_rank + self._indexer_params(hidden)

    def _sharded(self, hidden: int) -> int:
        """Projections with heads, gates and sinks, which tensor parallelism splits. [parameters]"""
        query = (self.query_rank or hidden) * self.query_width
        up = self.kv_rank * self.heads * (self.nope_dim + self.value_dim)
        gates = hidden * ((self.output_width if self.output_gate else 0) + (self.heads if self.head_gate else 0))
        return query + up + self.output_width * hidden + gates + (self.heads if self.sinks else 0)

    def _indexer_params(self, hidden: int) -> int:
        """query_rank × heads × dim + (hidden + 2) × dim + hidden × heads, in a layer that owns it. [parameters]"""
        one = self.indexer
        if one is None or not one.owned:
            return 0
        query = (self.query_rank or hidden) * one.heads * one.head_dim
        return query + (hidden + 2) * one.head_dim + hidden * one.heads + one.extra_params


@dataclass(frozen=True, kw_only=True, slots=True)
class Compressed:
    """DeepSeek-V4 attention: one key that is also the value, per token of a window and beyond it per `compress` tokens.

    V4 pools 4 tokens into a key where it has an indexer, each token twice (windows overlap), and 128 where it has none;
    with `compress` None a layer has the window alone. With `learned_positions` compressors have embeddings for the
    places of the tokens that they pool. In V4.1 a few layers are the `source` of compressed keys for all, and their
    indexers score projections of those.
    """

    heads: int
    head_dim: int
    query_rank: int
    output_groups: int
    output_rank: int
    window: int
    compress: int | None = None
    source: bool = True
    learned_positions: bool = True
    indexer: Indexer | None = None

    @property
    def cached(self) -> tuple[Cached, ...]:
        """The window, and compressed and index keys where this layer is their source."""
        flops = 4 * self.heads * self.head_dim
        window = Cached(what="window", elements=self.head_dim, window=self.window, flops=flops)
        if self.compress is None or not self.source:
            return (window,)
        compressed = Cached(
            what="compressed keys",
            elements=self.head_dim,
            compress=self.compress,
            read=self.indexer.top if self.indexer else None,
            flops=flops,
        )
        return (window, compressed, *(self.indexer.cached if self.indexer else ()))

    @property
    def state(self) -> State | None:
        """None: nothing is kept per sequence."""
        return None

    def params(self, hidden: int) -> int:
        """Low-rank query, one key, grouped low-rank output, sinks; compressor and indexer. [parameters]

        Source: DeepSeek-V4 inference/model.py (`Attention`, `Compressor`, `Indexer`); the sums are the published
        tensor totals.
        """
        width = self.heads * self.head_dim
        query = (hidden + 1 + width) * self.query_rank
        key = (hidden + 1) * self.head_dim
        output = (width + self.output_groups * hidden) * self.output_rank
        return query + key + output + self.heads + self._compressor_params(hidden)

    def share(self, hidden: int, tp: int) -> float:
        """The share of the parameters on one of `tp` ranks, which split query heads and output groups. [fraction]

        What makes query latent and key, compressor and indexer are on every rank.
        """
        width = self.heads * self.head_dim
        split = width * self.query_rank + (width + self.output_groups * hidden) * self.output_rank
        return 1 - (1 - 1 / tp) * split / self.params(hidden)

    def _compressor_params(self, hidden: int) -> int:
        """Compressor and indexer. [parameters]"""
        if self.compress is None:
            return 0
        if self.learned_positions:
            keys = self._pooled(hidden, self.head_dim) + (
                self._pooled(hidden, self.indexer.head_dim) if self.indexer else 0
            )
        elif self.source:
            index = self.indexer.head_dim if self.indexer else 0
            keys = (hidden * (2 if self.compress > 1 else 1) + 1 + index) * self.head_dim + index
        else:
            keys = 0
        one = self.indexer
        return keys + ((self.query_rank * one.head_dim + hidden) * one.heads if one else 0)

    def _pooled(self, hidden: int, width: int) -> int:
        """2 × hidden × w + compress × w and a norm, w the key's width, twice where windows overlap. [parameters]"""
        wide = width * (2 if self.indexer else 1)
        return (2 * hidden + (self.compress or 0)) * wide + width
