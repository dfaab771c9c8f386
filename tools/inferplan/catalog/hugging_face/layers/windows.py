"""Which layers attend over a sliding window, as the families of transformers say it.

Each function gives the window of every layer, None where a layer attends over the whole context. [tokens]
`layer_types`, where a config has them, decide before any pattern.
"""

from collections.abc import Callable, Sequence

from inferplan.catalog.hugging_face.reading.keys import MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import context_of

Windows = Callable[[Keys, int], Sequence[int | None]]
"""The window of each of so many layers."""

FULL, SLIDING = "full_attention", "sliding_attention"
"""Words of `layer_types`."""


def window_of(keys: Keys) -> int | None:
    """`sliding_window`, None where there is none or where it is as long as the context. [tokens]"""
    window = keys.optional("sliding_window")
    return window if window and window < context_of(keys) else None


def no_window(_keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer is full."""
    return [None] * layers


def every_layer(keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer has the window, if any (Mistral, Mixtral, Phi-3, StarCoder2)."""
    return [window_of(keys)] * layers


def from_max_window_layers_if_used(keys: Keys, layers: int) -> Sequence[int | None]:
    """Layers from `max_window_layers` on have the window where `use_sliding_window` is set (Qwen2, Qwen3)."""
    return from_max_window_layers(keys, layers) if keys.flag("use_sliding_window") else [None] * layers


def from_max_window_layers(keys: Keys, layers: int) -> Sequence[int | None]:
    """Layers from `max_window_layers` on have the window, if any (dots.llm1)."""
    window, first = window_of(keys), keys.integer("max_window_layers", default=28, low=0)
    return _by_layer_types(keys, [bool(window) and number >= first for number in range(layers)], window)


def one_full_in(every: int, key: str | None = "sliding_window_pattern") -> Windows:
    """The last of every so many layers is full; a config may set the number under `key` (Gemma 3, Cohere 2)."""

    def windows(keys: Keys, layers: int) -> Sequence[int | None]:
        step = keys.integer(key, default=every, high=MOST_LAYERS) if key else every
        return _by_layer_types(keys, [bool((number + 1) % step) for number in range(layers)], window_of(keys))

    return windows


def first_full_in_four(keys: Keys, layers: int) -> Sequence[int | None]:
    """The first of every four layers is full. Source: transformers 5.24, `CwmConfig`, `GraniteSWAConfig`."""
    return _by_layer_types(keys, [bool(number % 4) for number in range(layers)], window_of(keys))


def one_full_in_four_from_last(keys: Keys, layers: int) -> Sequence[int | None]:
    """The last layer is full, and every fourth before it. Source: transformers, `MuseGlimmerTextConfig`."""
    return _by_layer_types(keys, [bool((layers - 1 - number) % 4) for number in range(layers)], window_of(keys))


def after_dense_prefix(keys: Keys, layers: int) -> Sequence[int | None]:
    """The dense layers in front have a pattern of their own, by default all full; of the others one in four is.

    Source: transformers 5.24, `Cohere2MoeConfig`.
    """
    first = min(layers, keys.integer("first_k_dense_replace", default=0, low=0, high=MOST_LAYERS))
    own = keys.integer("prefix_dense_sliding_window_pattern", default=1, high=MOST_LAYERS)
    step = keys.integer("sliding_window_pattern", default=4, high=MOST_LAYERS)
    sliding = [bool((number + 1) % own) for number in range(first)]
    sliding += [bool((number + 1) % step) for number in range(layers - first)]
    return _by_layer_types(keys, sliding, window_of(keys))


def full_unless_listed(keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer is full unless `layer_types` list sliding ones (SmolLM3, EXAONE-4 7B)."""
    return _by_layer_types(keys, [False] * layers, window_of(keys))


def sliding_unless_listed(keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer has the window, if any, unless `layer_types` list full ones (Ministral)."""
    window = window_of(keys)
    return _by_layer_types(keys, [bool(window)] * layers, window)


def local_global(keys: Keys, layers: int) -> Sequence[int | None]:
    """`sliding_window_pattern`: 4 for one full layer in 4, "LLLG" for the same with the last layer full (EXAONE 4).

    Source: EXAONE-4.0 modeling_exaone4.py, `check_is_sliding`; without a window every layer is full.
    """
    window = window_of(keys)
    pattern = keys.text("sliding_window_pattern")
    if pattern and set(pattern) <= {"L", "G"}:
        keys.keep("sliding_window_pattern", pattern, None)
        local = [pattern[number % len(pattern)] == "L" and number < layers - 1 for number in range(layers)]
    else:
        step = keys.integer("sliding_window_pattern", default=4, low=0, high=MOST_LAYERS)
        local = [bool(step and (number + 1) % step) for number in range(layers)]
    return _by_layer_types(keys, [bool(window) and one for one in local], window)


def _by_layer_types(keys: Keys, sliding: Sequence[bool], window: int | None) -> Sequence[int | None]:
    """The window in the layers that `layer_types` list as sliding, else in those that are by default."""
    default = [SLIDING if one else FULL for one in sliding]
    kinds = keys.per_layer("layer_types", len(sliding), allowed=(FULL, SLIDING), default=default)
    if window is None and keys.optional("sliding_window") is None and SLIDING in kinds:
        keys.missing("sliding_window")
    return [window if kind == SLIDING else None for kind in kinds]
