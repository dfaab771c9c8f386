"""Inkling: attention without rotation, whose heads differ in windows, and short convolutions in every layer.

Configs have two forms: the checkpoint's own, and that in which transformers saves it. Source: transformers 5.24,
`InklingTextConfig`, `InklingAttention`; vLLM 0.33, models/inkling/configs.py, `InklingModelConfig`, and nvidia/mtp.py.
Decoder, layers for further tokens, encoders and correction biases are the published totals to the last parameter.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from inferplan.catalog.hugging_face.families.family import Extras
from inferplan.catalog.hugging_face.layers.expert_layers import after_dense
from inferplan.catalog.hugging_face.layers.ffn import Blocks, DenseLayers, MoeLayers
from inferplan.catalog.hugging_face.layers.heads import Mixers, kv_heads_of
from inferplan.catalog.hugging_face.layers.multi_token import MOST_MTP_LAYERS, NUM_MTP_LAYERS, NUM_NEXTN
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.architecture import Architecture, DenseFfn, ExpertFfn, LayerGroup, MultiToken
from inferplan.core.layers.attention import Attention
from inferplan.core.parameters import layer_params

FULL, SLIDING = "hybrid", "hybrid_sliding"
"""Words of `layer_types`."""
DENSE_WIDTH = "dense_intermediate_size"
"""In the checkpoint's form, beside which `intermediate_size` is the width of an expert."""
CHAINED = "chain_hidden_post_norm"
"""Whether one norm follows every layer for further tokens."""
BUILT = ("use_embed_norm", "use_sconv", "use_global_scale", "shared_expert_sink")
"""What transformers builds whatever the config says."""


def mixers(keys: Keys) -> Mixers:
    """Full layers, and sliding ones with heads of their own: by default five of every six."""
    for flag in BUILT:
        if not keys.flag(flag, default=True):
            keys.unsupported(flag, "every published model has it")
    full, sliding = _full_and_sliding(keys)
    return [(sliding if kind == SLIDING else full,) for kind in _kinds(keys, layers_of(keys))]


def _full_and_sliding(keys: Keys) -> tuple[Attention, Attention]:
    """The attention of both kinds of layers."""
    window = keys.integer("sliding_window_size", "sliding_window")
    full = _attention(keys, "", reach=keys.integer("rel_extent"))
    return full, replace(_attention(keys, "swa_", reach=window), window=window)


def _kinds(keys: Keys, layers: int) -> Sequence[str]:
    """The word of each layer: as `layer_types` or `local_layer_ids` list it, else the last of every six is full."""
    listed = None if keys.has("layer_types") else keys.layer_numbers("local_layer_ids", layers)
    assumed = [number for number in range(layers) if (number + 1) % 6]
    sliding = assumed if listed is None else sorted(listed)
    keys.keep("local_layer_ids", sliding, assumed)
    default = [SLIDING if number in sliding else FULL for number in range(layers)]
    return keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING), default=default)


def _attention(keys: Keys, prefix: str, *, reach: int) -> Attention:
    """The attention of a layer and its four convolutions; `reach` is how far back positions count. [tokens]

    `extra_params` are the convolutions, and what makes a bias of a position: a projection and a table.
    """
    heads = keys.integer(f"{prefix}num_attention_heads", high=LARGEST_COUNT)
    one = Attention(
        heads=heads,
        kv_heads=kv_heads_of(keys, heads, f"{prefix}num_key_value_heads"),
        head_dim=keys.integer(f"{prefix}head_dim", high=LARGEST_COUNT),
        qk_norm="per_head",
    )
    if keys.integer(f"{prefix}v_head_dim", default=one.head_dim) != one.head_dim:
        keys.unsupported(f"{prefix}v_head_dim", "values are as wide as keys")
    hidden, relative = hidden_of(keys), keys.integer("d_rel", high=LARGEST_COUNT)
    kernel = keys.integer("conv_kernel_size", "sconv_kernel_size", high=LARGEST_FACTOR)
    convolved = 2 * (one.kv_width + hidden)
    biases = relative * (hidden * heads + reach)
    return replace(one, convolution_state=(kernel - 1) * convolved, extra_params=kernel * convolved + biases)


def blocks(keys: Keys) -> Blocks:
    """Dense blocks, each with a scale, in front of experts whose router scores the shared ones too, with a scale."""
    experts = MoeLayers(
        count=("n_routed_experts",),
        width=("intermediate_size",) if keys.has(DENSE_WIDTH) else ("moe_intermediate_size",),
        shared_experts=("n_shared_experts",),
        where=after_dense("dense_mlp_idx"),
        dense=_dense(keys),
    )
    shared = keys.integer("n_shared_experts", low=0, high=LARGEST_FACTOR)
    return [
        replace(one, router_outputs=one.experts + shared, extra_router_params=1) if isinstance(one, ExpertFfn) else one
        for one in experts(keys)
    ]


def _dense(keys: Keys) -> DenseLayers:
    """The dense block, with its scale."""
    return DenseLayers(width=(DENSE_WIDTH if keys.has(DENSE_WIDTH) else "intermediate_size",), extra_params=1)


def with_drafting(config: dict[str, object]) -> dict[str, object]:
    """The config with its MTP layers in the text decoder's, where transformers saves them; others' as it is."""
    own, text = config.get("mtp_config"), config.get("text_config")
    if config.get("model_type") != "inkling_mm_model" or not isinstance(own, dict) or not isinstance(text, dict):
        return config
    drafting = cast("dict[str, object]", own)
    found = {name: drafting[key] for key, name in _DRAFTING.items() if key in drafting}
    return {**config, "text_config": {**found, **cast("dict[str, object]", text)}}


_DRAFTING = {NUM_NEXTN: NUM_MTP_LAYERS, "local_layer_ids": "mtp_local_layer_ids", CHAINED: CHAINED}


def drafting(keys: Keys, body: Architecture, _last: LayerGroup) -> MultiToken | None:
    """Dense layers, each with a projection of two normed vectors; those that are listed attend over the window."""
    layers = keys.optional(NUM_MTP_LAYERS, default=0, high=MOST_MTP_LAYERS)
    if not layers:
        return None
    local = keys.layer_numbers("mtp_local_layer_ids", layers) or frozenset()
    keys.keep("mtp_local_layer_ids", sorted(local), [])
    full, sliding = _full_and_sliding(keys)
    dense, ends = _dense(keys).read(keys), 2 * body.hidden * (body.hidden + 1)
    sliding_params, full_params = (_layer_params(body.hidden, one, dense) + ends for one in (sliding, full))
    chained = body.hidden if keys.flag(CHAINED) else 0
    return MultiToken(layers=layers, params=len(local) * sliding_params + (layers - len(local)) * full_params + chained)


def _layer_params(hidden: int, attention: Attention, block: DenseFfn) -> int:
    """A layer with two norms. [parameters]"""
    group = LayerGroup(count=1, attention=attention, ffn=block)
    return sum(params for _, params in layer_params(hidden, group))


def extras(keys: Keys) -> Extras:
    """The norm of the embedding. Source: transformers, `InklingNormedEmbedding`."""
    return Extras(other_params=hidden_of(keys))
