"""Multi-token-prediction (MTP) layers, which checkpoints store behind the decoder's layers."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face.reading.keys import Keys
from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup, Mixer, MultiToken
from inferplan.core.layers.attention import Attention
from inferplan.core.layers.compressed_attention import Compressed
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.parameters import layer_params

NUM_NEXTN = "num_nextn_predict_layers"
NUM_MTP = "mtp_num_hidden_layers"
NUM_MTP_LAYERS = "num_mtp_layers"
MOST_MTP_LAYERS = 100


MultiTokenReader = Callable[[Keys, Architecture, LayerGroup], MultiToken | None]
"""What makes the MTP layers of a config, None where it has none; it is given the decoder and its last kind of layer."""


def no_params(_keys: Keys) -> int:
    """0 parameters."""
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiTokenLayers:
    """How many MTP layers there are, by one of the `count` keys, and what one has beyond a decoder layer.

    Each has a projection of the next token's embedding beside the hidden state (2 × hidden²), and `norms` in all.
    Checkpoints store `embeddings` further copies of embedding and head with it, and with `correction_bias` the bias
    that corrects its router's scores. Its block is the last decoder layer's, or a `dense` one; its attention is the
    last layer's, or with `sliding` the one that attends over a window alone, with `latent` MLA. `extra_params` are
    further tensors of it.
    """

    count: tuple[str, ...] = (NUM_NEXTN,)
    norms: int = 5
    embeddings: int = 0
    dense: bool = False
    correction_bias: bool = False
    sliding: bool = False
    latent: bool = False
    extra_params: Callable[[Keys], int] = no_params

    def __call__(self, keys: Keys, body: Architecture, last: LayerGroup) -> MultiToken | None:
        """The MTP layers, None where the config has none; `last` is the kind of the last decoder layer."""
        layers = keys.optional(*self.count, default=0, high=MOST_MTP_LAYERS)
        if not layers:
            return None
        block = DenseFfn(intermediate=keys.integer("intermediate_size")) if self.dense else last.ffn
        full = next((one for _, one in body.mixers if isinstance(one, Latent)), None) if self.latent else last.attention
        attention = _sliding(body, full) if self.sliding else _with_own_indexer(full)
        group = LayerGroup(count=1, attention=attention, ffn=block, norms=self.norms)
        layer = sum(params for _, params in layer_params(body.hidden, group))
        bias = block.experts if self.correction_bias and isinstance(block, ExpertFfn) else 0
        ends = 2 * body.hidden**2 + self.embeddings * body.hidden * body.vocab
        return MultiToken(layers=layers, params=layers * (layer + bias + ends + self.extra_params(keys)))


def _with_own_indexer(mixer: Mixer | None) -> Mixer | None:
    """The mixer with an indexer of its own, where the decoder layer uses the choice of another's (GLM-5.2)."""
    if isinstance(mixer, Latent) and mixer.indexer:
        return replace(mixer, indexer=replace(mixer.indexer, owned=True))
    return mixer


def _sliding(body: Architecture, mixer: Mixer | None) -> Mixer | None:
    """The attention of a layer that attends over a window alone."""
    if isinstance(mixer, Compressed):
        return replace(mixer, compress=None, indexer=None)
    sliding = (one for _, one in body.mixers if isinstance(one, Attention) and one.window)
    return next(sliding, mixer)
