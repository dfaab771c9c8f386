"""Layers that predict further tokens, as checkpoints store them."""

from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face._keys import Keys
from inferplan.core.architecture import (
    Architecture,
    DenseFfn,
    ExpertFfn,
    LayerGroup,
    Mixer,
    MultiToken,
    layer_params,
)
from inferplan.core.attention import Latent

DENSE_WIDTH = "intermediate_size"


@dataclass(frozen=True, kw_only=True, slots=True)
class Further:
    """How many such layers a key says, and what one is beyond a decoder layer.

    It joins the embedding of the next token to the hidden state (2 × hidden²), and has `norms` in all. With `ends`
    its checkpoints store embedding and head once more, and with `corrected` the bias of its router. Its block is the
    last layer's, or a `dense` one.
    """

    key: str = ""
    names: tuple[str, ...] = ()
    norms: int = 5
    ends: int = 0
    dense: bool = False
    corrected: bool = False

    def read(self, keys: Keys, body: Architecture, last: LayerGroup) -> MultiToken | None:
        """The layers that a config announces, or None."""
        layers = (keys.optional(*(self.names or (self.key,)), default=0, high=100) or 0) if self.key else 0
        if not layers:
            return None
        block = DenseFfn(intermediate=keys.integer(DENSE_WIDTH)) if self.dense else last.ffn
        group = LayerGroup(count=1, attention=_owning(last.attention), ffn=block, norms=self.norms)
        one = sum(params for _, params in layer_params(body.hidden, group))
        bias = block.experts if self.corrected and isinstance(block, ExpertFfn) else 0
        params = one + bias + 2 * body.hidden**2 + self.ends * body.hidden * body.vocab
        return MultiToken(layers=layers, params=layers * params)


def _owning(mixer: Mixer | None) -> Mixer | None:
    """The mixer with an indexer of its own, where it reuses one (GLM-5.2)."""
    if isinstance(mixer, Latent) and mixer.indexer:
        return replace(mixer, indexer=replace(mixer.indexer, owned=True))
    return mixer


NONE = Further()
