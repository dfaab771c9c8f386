"""Attention with query, key and value heads: MHA, GQA and MQA, windowed, chunked, sharing caches, crossed.

`latent_attention` has MLA, `compressed_attention` DeepSeek-V4's. Units: elements, parameters.
"""

from dataclasses import dataclass
from typing import Literal

from inferplan.core.layers.cache_parts import Cached, Indexer, State
from inferplan.core.layers.latent_attention import Latent

QkNorm = Literal["none", "per_head", "full_width", "per_head_layernorm"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """Attention with query and KV heads: MHA where kv_heads = heads, MQA where kv_heads = 1, GQA between.

    `head_dim` is as published: heads × head_dim differs from the hidden width in many models. `value_dim` is None where
    values are as wide as keys. A layer attends over the last `window` tokens, a `chunked` one over those since the last
    multiple of `window`. A layer that `reuses_cache` reads the keys and values of an earlier one; a `cross` layer reads
    those of an image, which are no part of the cache here. With `value_is_key` one projection makes key and value, and
    both are cached. Short convolutions on keys and values keep `convolution_state` elements per sequence. Keys and
    values may be made of a latent that vLLM does not cache in their place (MiniCPM3): `expands` has it. Checkpoints of
    `fused` attention hold query, key and value in one matrix.
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
    fused: bool = False
    indexer: Indexer | None = None
    convolution_state: int = 0
    expands: Latent | None = None
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
            lone_heads=self.heads if self.indexer else 0,
        )
        return (keys, *(self.indexer.cached if self.indexer else ()))

    @property
    def state(self) -> State | None:
        """The tail of short convolutions on keys and values, None without any."""
        return State(convolution=self.convolution_state) if self.convolution_state else None

    def params(self, hidden: int) -> int:
        """See `attention_params`; those of the latent that is expanded, where there is one. [parameters]"""
        return self.expands.params(hidden) if self.expands else attention_params(hidden, self)

    def share(self, hidden: int, tp: int) -> float:
        """The share of the parameters on one of `tp` ranks: 1 / tp, but at least one KV head on each. [fraction]"""
        if self.expands:
            return self.expands.share(hidden, tp)
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
