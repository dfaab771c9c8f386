"""Layers that predict further tokens, as checkpoints store them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face._keys import Keys
from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup, Mixer, MultiToken
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.parameters import layer_params

DENSE_WIDTH = "intermediate_size"


def nothing(_keys: Keys) -> int:
    """No further tensors. [parameters]"""
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Further:
    """How many such layers a key says, and what one is beyond a decoder layer.

    It joins the embedding of the next token to the hidden state (2 × hidden²), and has `norms` in all. With `ends`
    its checkpoints store embedding and head once more, and with `corrected` the bias of its router. Its block is the
    last layer's, or a `dense` one. Its attention is the last layer's, or the one that sees a window alone (`near`).
    `more` are further tensors of one.
    """

    key: str = ""
    names: tuple[str, ...] = ()
    norms: int = 5
    ends: int = 0
    dense: bool = False
    corrected: bool = False
    near: bool = False
    more: Callable[[Keys], int] = nothing

    def read(self, keys: Keys, body: Architecture, last: LayerGroup) -> MultiToken | None:
        """The layers that a config announces, or None."""
        layers = (keys.optional(*(self.names or (self.key,)), default=0, high=100) or 0) if self.key else 0
        if not layers:
            return None
        block = DenseFfn(intermediate=keys.integer(DENSE_WIDTH)) if self.dense else last.ffn
        attention = _near(body, last.attention) if self.near else _owning(last.attention)
        group = LayerGroup(count=1, attention=attention, ffn=block, norms=self.norms)
        one = sum(params for _, params in layer_params(body.hidden, group))
        bias = block.experts if self.corrected and isinstance(block, ExpertFfn) else 0
        params = one + bias + 2 * body.hidden**2 + self.ends * body.hidden * body.vocab + self.more(keys)
        return MultiToken(layers=layers, params=layers * params)


def _owning(mixer: Mixer | None) -> Mixer | None:
    """The mixer with an indexer of its own, where it reuses one (GLM-5.2)."""
    if isinstance(mixer, Latent) and mixer.indexer:
        return replace(mixer, indexer=replace(mixer.indexer, owned=True))
    return mixer


def _near(body: Architecture, mixer: Mixer | None) -> Mixer | None:
    """The attention of a layer that sees a window and nothing beyond."""
    if isinstance(mixer, Compressed):
        return replace(mixer, compress=None, indexer=None)
    sliding = (one for _, one in body.mixers if isinstance(one, Attention) and one.window)
    return next(sliding, mixer)


NONE = Further()
