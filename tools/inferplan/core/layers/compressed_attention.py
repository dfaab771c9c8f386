"""DeepSeek-V4's attention: one compressed key for all heads that is also the value, and a window.

Units: elements, parameters.
"""

from dataclasses import dataclass

from inferplan.core.layers.cache_parts import Cached, Indexer, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Compressed:
    """DeepSeek-V4 attention: one key that is also the value, per token of a window and beyond it per `compress` tokens.

    V4 pools 4 tokens into a key where it has an indexer, each token twice (windows overlap), and 128 where it has none;
    with `compress` None a layer has the window alone. With `learned_positions` compressors have embeddings for the
    places of the tokens that they pool. In V4.1 a few layers are the `source` of compressed keys for all, and their
    indexers score projections of those. The last `rope_dim` elements of a key rotate.
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
    rope_dim: int = 64

    @property
    def cached(self) -> tuple[Cached, ...]:
        """The window, and compressed and index keys where this layer is their source."""
        flops = 4 * self.heads * self.head_dim
        window = Cached(what="window", elements=self.head_dim, window=self.window, flops=flops, lone_heads=self.heads)
        if self.compress is None or not self.source:
            return (window,)
        compressed = Cached(
            what="compressed keys",
            elements=self.head_dim,
            compress=self.compress,
            read=self.indexer.top if self.indexer else None,
            flops=flops,
            lone_heads=self.heads,
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
        scored = self.query_rank * self.indexer.head_dim * self.indexer.heads if self.indexer else 0
        return query + key + output + self.heads + scored + self.half_params(hidden)

    def share(self, hidden: int, tp: int) -> float:
        """The share of the parameters on one of `tp` ranks, which split query heads and output groups. [fraction]

        What makes query latent and key, compressor and indexer are on every rank.
        """
        width = self.heads * self.head_dim
        split = width * self.query_rank + (width + self.output_groups * hidden) * self.output_rank
        return 1 - (1 - 1 / tp) * split / self.params(hidden)

    def half_params(self, hidden: int) -> int:
        """Compressor, index keys and the weights of the indexer's heads: in 16 bit beside FP8. [parameters]

        Source: vLLM 0.22 to 0.33, models/deepseek_v4/compressor.py and attention.py, models/deepseek_v41: no
        `quant_config`.
        """
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
        return keys + (hidden * self.indexer.heads if self.indexer else 0)

    def _pooled(self, hidden: int, width: int) -> int:
        """2 × hidden × w + compress × w and a norm, w the key's width, twice where windows overlap. [parameters]"""
        wide = width * (2 if self.indexer else 1)
        return (2 * hidden + (self.compress or 0)) * wide + width
