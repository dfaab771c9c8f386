"""Multi-head latent attention (MLA), with or without a sparse indexer, as DeepSeek's configs describe it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import heads_of, hidden_of, layers_of
from inferplan.core.layers.cache_parts import Indexer
from inferplan.core.layers.latent_attention import Latent


@dataclass(frozen=True, kw_only=True, slots=True)
class MlaLayers:
    """Layers of MLA, of which some may have an `indexer` of their own and the others use an earlier one's choice."""

    indexer: bool = False

    def __call__(self, keys: Keys) -> Mixers:
        """The attention of every layer."""
        layers, one = layers_of(keys), latent(keys)
        if not self.indexer:
            return [(one,)] * layers
        owned = indexer(keys)
        owning, sharing = replace(one, indexer=owned), replace(one, indexer=replace(owned, owned=False))
        return [(owning if kind == "full" else sharing,) for kind in indexer_types(keys, layers)]


def latent(keys: Keys) -> Latent:
    """The MLA of one layer; its biases are its `extra_params`. Source: transformers, `DeepseekV3Attention`."""
    one = Latent(
        heads=heads_of(keys),
        kv_rank=keys.integer("kv_lora_rank"),
        nope_dim=keys.integer("qk_nope_head_dim", high=LARGEST_COUNT),
        rope_dim=keys.integer("qk_rope_head_dim", low=0, high=LARGEST_COUNT),
        value_dim=keys.integer("v_head_dim", high=LARGEST_COUNT),
        query_rank=keys.optional("q_lora_rank") or None,
    )
    biases = (one.query_rank or 0) + one.kv_rank + one.rope_dim + hidden_of(keys)
    return replace(one, extra_params=biases) if keys.flag("attention_bias") else one


def indexer(keys: Keys) -> Indexer:
    """The indexer of one layer of DeepSeek's sparse attention."""
    return Indexer(
        heads=keys.integer("index_n_heads", high=LARGEST_COUNT),
        head_dim=keys.integer("index_head_dim", high=LARGEST_COUNT),
        top=keys.integer("index_topk"),
    )


def indexer_types(keys: Keys, layers: int, *, default: Sequence[str] | None = None) -> Sequence[str]:
    """Whether each layer has an indexer ("full"), or uses the choice of an earlier one's ("shared", GLM-5.2).

    Source: transformers, `GlmMoeDsaConfig.indexer_types`: with a frequency, the layers before an offset are full, and
    of those after it every so many; another family has a `default` of its own.
    """
    default = default or _by_frequency(keys, layers)
    return keys.per_layer("indexer_types", layers, allowed=("full", "shared"), default=default)


def _by_frequency(keys: Keys, layers: int) -> Sequence[str]:
    """The layers that have an indexer where the config does not list them."""
    step = keys.integer("index_topk_freq", default=1, high=MOST_LAYERS)
    offset = keys.integer("index_skip_topk_offset", default=2, low=0, high=MOST_LAYERS)
    return ["full" if number < offset or (number - offset + 1) % step == 0 else "shared" for number in range(layers)]
