"""What one layer keeps of the context: parts of the KV cache, recurrent states, and the keys of sparse indexers.

Units: elements.
"""

from dataclasses import dataclass
from typing import Literal

What = Literal["keys and values", "latent", "index keys", "window", "compressed keys"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cached:
    """One part of a layer's cache: entries of `elements`, one per token or per `compress` tokens, of the last `window`.

    Tensor parallelism splits the entries by `heads` (KV heads); None puts all of them on every rank. A query reads at
    most `read` entries, which an indexer picks. Attention over one entry costs a query `flops`, in prefill
    `prefill_flops` where that differs. [FLOP] Where every token has entries of its own, no product is over several
    tokens: its rows are `lone_heads`, the query heads of one token; 0 where tokens share what they attend over.
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
    lone_heads: int = 0

    def entries(self, context: int) -> int:
        """Entries at a context: min(context, window) in a windowed layer, ⌊context / compress⌋ elsewhere.

        >>> Cached(what="keys and values", elements=2048, window=4096).entries(32768)
        4096
        >>> Cached(what="index keys", elements=128, compress=16).entries(100)
        6
        """
        return min(context, self.window) if self.window else context // self.compress

    def rows(self, tp: int) -> float:
        """lone_heads / tp / KV heads on the rank: the rows of a product of one token; 0 where tokens share products.

        >>> Cached(what="latent", elements=576, lone_heads=64).rows(8)
        8.0
        >>> Cached(what="keys and values", elements=1024, heads=2, lone_heads=24).rows(8)
        3.0
        """
        return self.lone_heads / tp / (max(1.0, self.heads / tp) if self.heads else 1.0)

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
