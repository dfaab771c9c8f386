"""Which layers have experts and which are dense, as the families of transformers say it."""

from collections.abc import Callable, Sequence

from inferplan.catalog.hugging_face.reading.keys import MOST_LAYERS, Keys

ExpertLayers = Callable[[Keys, int], Sequence[bool]]
"""Whether each of so many layers has experts."""

DENSE, SPARSE = "dense", "sparse"
"""Words of `mlp_layer_types`."""


def every_layer(_keys: Keys, layers: int) -> Sequence[bool]:
    """Every layer has experts."""
    return [True] * layers


def by_mlp_layer_types(keys: Keys, default: Sequence[bool]) -> Sequence[bool]:
    """The layers that `mlp_layer_types` list as sparse, else the default."""
    words = [SPARSE if one else DENSE for one in default]
    kinds = keys.per_layer("mlp_layer_types", len(words), allowed=(DENSE, SPARSE), default=words)
    return [kind == SPARSE for kind in kinds]


def after_dense(*names: str, listed: bool = True) -> ExpertLayers:
    """The first layers are dense, as many as one of these keys says; `mlp_layer_types` go before it where `listed`.

    Of the others every `moe_layer_freq` has experts, or those for which it lists 1.
    """

    def routed(keys: Keys, layers: int) -> Sequence[bool]:
        first = keys.integer(*names, default=0, low=0, high=MOST_LAYERS)
        if isinstance(keys.values.get("moe_layer_freq"), list | str):
            often = by_frequency(keys, layers)
        else:
            step = keys.integer("moe_layer_freq", default=1, high=MOST_LAYERS)
            often = [number % step == 0 for number in range(layers)]
        default = [number >= first and one for number, one in enumerate(often)]
        return by_mlp_layer_types(keys, default) if listed else default

    return routed


def after_first(keys: Keys, layers: int) -> Sequence[bool]:
    """All but the first layer, unless `mlp_layer_types` say otherwise. Source: transformers, `LagunaConfig`."""
    return by_mlp_layer_types(keys, [number > 0 for number in range(layers)])


def by_frequency(keys: Keys, layers: int) -> Sequence[bool]:
    """`moe_layer_freq` lists 1 for a layer with experts, 0 for a dense one (MiMo-V2, MiniMax-M3).

    Where there is none, `mlp_layer_types` say it.
    """
    if not keys.has("moe_layer_freq"):
        return by_mlp_layer_types(keys, [True] * layers)
    kinds = keys.per_layer("moe_layer_freq", layers, allowed=(0, 1), default=[1] * layers)
    return [kind == "1" for kind in kinds]


def sparse_step(keys: Keys, layers: int) -> Sequence[bool]:
    """Every `decoder_sparse_step` layers, except `mlp_only_layers`. Source: transformers, `Qwen3MoeDecoderLayer`."""
    step = keys.integer("decoder_sparse_step", default=1, high=MOST_LAYERS)
    dense = keys.layer_numbers("mlp_only_layers", layers) or frozenset()
    keys.keep("mlp_only_layers", sorted(dense), [])
    return [number not in dense and (number + 1) % step == 0 for number in range(layers)]


def interleaved(keys: Keys, layers: int) -> Sequence[bool]:
    """Every `interleave_moe_layer_step` layers, or those of `moe_layers`. Source: transformers, `Llama4TextConfig`."""
    step = keys.integer("interleave_moe_layer_step", default=1, high=MOST_LAYERS)
    default = [number for number in range(layers) if (number + 1) % step == 0]
    found = keys.layer_numbers("moe_layers", layers)
    keys.keep("moe_layers", default if found is None else sorted(found), default)
    routed = frozenset(default) if found is None else found
    return [number in routed for number in range(layers)]


def by_period(keys: Keys, layers: int) -> Sequence[bool]:
    """Every `expert_layer_period` layers from an offset. Source: transformers, `JambaConfig.layers_num_experts`."""
    period = keys.integer("expert_layer_period", high=MOST_LAYERS)
    offset = keys.integer("expert_layer_offset", low=0, high=MOST_LAYERS)
    return [number % period == offset for number in range(layers)]


def from_start_to_end(keys: Keys, layers: int) -> Sequence[bool]:
    """From `moe_layer_start_index` to `moe_layer_end_index`, every `moe_layer_interval` (ERNIE 4.5).

    Source: transformers, `Ernie4_5_MoeDecoderLayer`.
    """
    step = keys.integer("moe_layer_interval", default=1, high=MOST_LAYERS)
    start = keys.integer("moe_layer_start_index", default=1, low=0, high=MOST_LAYERS)
    end = keys.optional("moe_layer_end_index", default=-1, low=-1, high=MOST_LAYERS)
    last = layers - 1 if end is None or end < 0 else end
    return [start <= number <= last and (number + 1) % step == 0 for number in range(layers)]
