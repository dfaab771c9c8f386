"""GLM-5.3-Flash: Kimi Delta Attention, and MLA whose indexers score pools of tokens; residual streams are averaged.

Source: transformers 5.24, `Glm5NextTextConfig`, `Glm5NextTextModel`. The tensors of these forms make the published
total of its checkpoint to the last one.
"""

from dataclasses import replace

from inferplan.catalog.hugging_face.families.deepseek_v4 import mixing_params, streams_of
from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import indexer, indexer_types, latent
from inferplan.catalog.hugging_face.layers.recurrent import LINEAR
from inferplan.catalog.hugging_face.layers.windows import FULL
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.layers.cache_parts import Indexer
from inferplan.core.layers.recurrence import KimiDelta

INDEXED = (FULL, "indexed_attention", "deepseek_sparse_attention")
"""Words of `layer_types` for MLA."""
PATTERN = "index_topk_pattern"


def mixers(keys: Keys) -> Mixers:
    """Delta attention, and by default MLA in the last of every four layers, with an indexer or an earlier one's choice.

    A pool has a key, made by a gate and the places of its tokens.
    """
    if keys.has(PATTERN):
        keys.unsupported(PATTERN, "give indexer_types")
    layers, one, picks = layers_of(keys), latent(keys), _pooled(keys)
    default = [LINEAR if (number + 1) % 4 else FULL for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(LINEAR, *INDEXED), default=default)
    owners = indexer_types(keys, layers)
    owning, sharing = replace(one, indexer=picks), replace(one, indexer=replace(picks, owned=False))
    delta = _delta(keys)
    return [
        (delta if kind == LINEAR else owning if owner == "full" else sharing,)
        for kind, owner in zip(kinds, owners, strict=True)
    ]


def _pooled(keys: Keys) -> Indexer:
    """The indexer of pools of tokens: dim × (hidden + pool) parameters more than that of tokens."""
    one, pool = indexer(keys), keys.integer("index_kpool", high=LARGEST_FACTOR)
    return replace(one, compress=pool, extra_params=one.head_dim * (hidden_of(keys) + pool))


def _delta(keys: Keys) -> KimiDelta:
    """Delta attention by the keys of its own object, or of the config itself."""
    own = keys.child("linear_attn_config", defaults={})
    if own is None:
        return KimiDelta(
            heads=keys.integer("linear_num_heads", high=LARGEST_COUNT),
            head_dim=keys.integer("linear_head_dim", high=LARGEST_COUNT),
            convolution=keys.integer("linear_conv_kernel_dim", high=LARGEST_FACTOR),
        )
    return KimiDelta(
        heads=own.integer("num_heads", default=64, high=LARGEST_COUNT),
        head_dim=own.integer("head_dim", default=128, high=LARGEST_COUNT),
        convolution=own.integer("short_conv_kernel_size", default=4, high=LARGEST_FACTOR),
    )


def extras(keys: Keys) -> Extras:
    """The mixing of streams in every layer; at the end their mean is taken."""
    mixing = layers_of(keys) * mixing_params(keys)
    return Extras(other_params=mixing, wide_params=mixing, streams=streams_of(keys))
