"""Multi-head latent attention (MLA): one low-rank latent for all heads, with or without a sparse indexer.

Units: elements, parameters.
"""

from dataclasses import dataclass

from inferplan.core.layers.cache_parts import Cached, Indexer, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Latent:
    """Multi-head latent attention (MLA): one latent of `kv_rank` and one rotary key of `rope_dim` for all heads.

    A head's query has `nope_dim` elements without rotation and `rope_dim` with; queries are projected through a latent
    of `query_rank`, or directly where that is None. With a `window` only the latents of so many tokens are kept.
    A layer that `reuses_cache` reads the latent of an earlier one, and makes none (Mistral Large 4). `extra_params` are
    tensors of a family beyond this form.
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
    window: int | None = None
    reuses_cache: bool = False
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

        So do prompts whose tokens an indexer picks for each token apart. A layer that reads another one's latent keeps
        index keys alone.
        Source: DeepSeek-V2, arXiv 2405.04434, section 2.1; vLLM, `MLAAttentionSpec` (one head, not sharded); FlashMLA,
        README.md (sparse prefill: MQA).
        """
        expanded = 2 * (self.query_width + self.output_width)
        latent = Cached(
            what="latent",
            elements=self.kv_rank + self.rope_dim,
            window=self.window,
            read=self.indexer.top if self.indexer else None,
            flops=2 * self.heads * (2 * self.kv_rank + self.rope_dim),
            prefill_flops=None if self.indexer else expanded,
            lone_heads=self.heads if self.indexer else 0,
        )
        return (*(() if self.reuses_cache else (latent,)), *(self.indexer.cached if self.indexer else ()))

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
        latent = 0 if self.reuses_cache else hidden * (self.kv_rank + self.rope_dim) + self.kv_rank
        return query + latent + self._indexer_params(hidden)

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
