"""Query, key and value heads as the families of transformers have them, and which of their layers see a window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from inferplan.catalog.hugging_face._keys import CONTEXT, HEADS, HIDDEN, LAYERS, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face._runs import unpacked
from inferplan.core.architecture import Mixer
from inferplan.core.layers.attention import Attention, QkNorm
from inferplan.core.layers.cache_parts import Indexer

Mixers = list[tuple[Mixer, ...]]
Windows = Callable[[Keys, int], Sequence[int | None]]
"""The window of each layer, None where it sees everything. [tokens]"""

FULL, SLIDING, CHUNKED, LINEAR = "full_attention", "sliding_attention", "chunked_attention", "linear_attention"


def layers_of(keys: Keys) -> int:
    """The number of decoder layers."""
    return keys.integer(*LAYERS, high=MOST_LAYERS)


def of_decoder(keys: Keys, key: str, layers: int) -> None:
    """Have a list that goes on with the layers for further tokens end with those of the decoder; it has to be there."""
    value = keys.values.get(key)
    if isinstance(value, list):
        keys.values = {**keys.values, key: cast("list[object]", value)[:layers]}
    elif value is None:
        keys.problems.missing[keys.name(key)] = None


def hidden_of(keys: Keys) -> int:
    """The width of the residual stream. [elements]"""
    return keys.integer(*HIDDEN)


def context_of(keys: Keys) -> int:
    """Positions that the model was made for. [tokens]"""
    return keys.integer(*CONTEXT, high=10**9)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """What a family's attention follows from; a text names the flag that decides.

    `head_dim` is the width of a head where hidden / heads is not what a missing key means.
    """

    qkv_bias: bool | str = False
    output_bias: bool | str = False
    qk_norm: QkNorm = "none"
    qk_norm_flag: str | None = None
    output_gate: bool | str = False
    head_gate: bool | str = False
    sinks: bool | str = False

    def read(self, keys: Keys) -> Attention:
        """One attention without a window."""
        heads = keys.integer(*HEADS, high=10**5)
        return Attention(
            heads=heads,
            kv_heads=kv_heads_of(keys, heads),
            head_dim=head_dim_of(keys, heads),
            qkv_bias=_set(keys, self.qkv_bias),
            output_bias=_set(keys, self.output_bias),
            qk_norm=self.qk_norm if self.qk_norm_flag is None or keys.flag(self.qk_norm_flag) else "none",
            output_gate=_set(keys, self.output_gate),
            head_gate=_set(keys, self.head_gate),
            sinks=_set(keys, self.sinks),
        )


def _set(keys: Keys, flag: bool | str) -> bool:  # noqa: FBT001 - the trait itself, not a switch
    """Whether a trait holds: always, never, or where its flag says so."""
    return keys.flag(flag) if isinstance(flag, str) else flag


def kv_heads_of(keys: Keys, heads: int, key: str = "num_key_value_heads") -> int:
    """KV heads, as many as heads where not given; they have to divide the heads."""
    kv_heads = keys.integer(key, default=heads, high=10**5)
    if heads % kv_heads:
        keys.contrary(f"{keys.name(key)} {kv_heads} does not divide the {heads} attention heads")
    return kv_heads


def head_dim_of(keys: Keys, heads: int) -> int:
    """The width of a head: hidden / heads where it is not given. [elements]"""
    hidden = hidden_of(keys)
    if not keys.has("head_dim") and "head_dim" not in keys.defaults and hidden % heads:
        keys.contrary(
            f"{heads} attention heads do not divide the hidden size of {hidden}; give {keys.name('head_dim')}"
        )
    return keys.integer("head_dim", default=max(1, hidden // heads), high=10**5)


def windowed(attention: Attention, window: int | None, *, chunked: bool = False) -> Attention:
    """The attention of a layer that sees a window."""
    return attention if window is None else replace(attention, window=window, chunked=chunked)


def window_of(keys: Keys) -> int | None:
    """The window, None where there is none or where it is as wide as the context. [tokens]"""
    window = keys.optional("sliding_window")
    return window if window and window < context_of(keys) else None


def no_window(_keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer sees the whole context."""
    return [None] * layers


def every_layer(keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer has the window, if any (Mistral, Mixtral, Phi-3, StarCoder2)."""
    return [window_of(keys)] * layers


def from_layer(keys: Keys, layers: int) -> Sequence[int | None]:
    """Layers from `max_window_layers` on have the window where `use_sliding_window` is set (Qwen2, Qwen3)."""
    return from_last(keys, layers) if keys.flag("use_sliding_window") else [None] * layers


def from_last(keys: Keys, layers: int) -> Sequence[int | None]:
    """Layers from `max_window_layers` on have the window, if any (dots.llm1)."""
    window, first = window_of(keys), keys.integer("max_window_layers", default=28, low=0)
    default = [SLIDING if window and number >= first else FULL for number in range(layers)]
    return _typed(keys, layers, default, window)


def one_full_in(every: int, key: str | None = "sliding_window_pattern") -> Windows:
    """One layer in so many is full, the last of each round, unless `layer_types` say otherwise (Gemma 3, Cohere 2)."""

    def windows(keys: Keys, layers: int) -> Sequence[int | None]:
        step = keys.integer(key, default=every, high=MOST_LAYERS) if key else every
        default = [FULL if (number + 1) % step == 0 else SLIDING for number in range(layers)]
        return _typed(keys, layers, default, window_of(keys))

    return windows


def after_prefix(keys: Keys, layers: int) -> Sequence[int | None]:
    """Dense layers in front have a pattern of their own, each of them full; then one in four is (Cohere 2 MoE).

    Source: transformers 5.24, `Cohere2MoeConfig`.
    """
    first = min(layers, keys.integer("first_k_dense_replace", default=0, low=0, high=MOST_LAYERS))
    own = keys.integer("prefix_dense_sliding_window_pattern", default=1, high=MOST_LAYERS)
    step = keys.integer("sliding_window_pattern", default=4, high=MOST_LAYERS)
    full = [(number + 1) % own == 0 for number in range(first)]
    full += [(number + 1) % step == 0 for number in range(layers - first)]
    return _typed(keys, layers, [FULL if one else SLIDING for one in full], window_of(keys))


def full_unless_typed(keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer is full unless `layer_types` name sliding ones (SmolLM3, EXAONE-4 7B)."""
    return _typed(keys, layers, [FULL] * layers, window_of(keys))


def sliding_unless_typed(keys: Keys, layers: int) -> Sequence[int | None]:
    """Every layer has the window, if any, unless `layer_types` name full ones (Ministral)."""
    window = window_of(keys)
    return _typed(keys, layers, [SLIDING if window else FULL] * layers, window)


def lettered(keys: Keys, layers: int) -> Sequence[int | None]:
    """`layer_types`, or a pattern: 4 for one full layer in 4, "LLLG" for the same with the last layer full (EXAONE 4).

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
    return _typed(keys, layers, [SLIDING if window and one else FULL for one in local], window)


def _typed(keys: Keys, layers: int, default: Sequence[str], window: int | None) -> Sequence[int | None]:
    """The windows that `layer_types` say, or the default kinds."""
    kinds = keys.per_layer("layer_types", layers, allowed=(FULL, SLIDING), default=default)
    if window is None and keys.optional("sliding_window") is None and SLIDING in kinds:
        keys.problems.missing[keys.name("sliding_window")] = None
    return [window if kind == SLIDING else None for kind in kinds]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain:
    """Layers of query, key and value heads, alike but for their windows."""

    heads: Heads = Heads()
    windows: Windows = no_window

    def __call__(self, keys: Keys) -> Mixers:
        """The attention of every layer."""
        layers = layers_of(keys)
        one = self.heads.read(keys)
        return [(windowed(one, window),) for window in self.windows(keys, layers)]


def llama4(keys: Keys) -> Mixers:
    """Chunked attention but in every fourth layer. Source: transformers, `Llama4TextConfig.layer_types`."""
    layers = layers_of(keys)
    one = Heads(qkv_bias="attention_bias", output_bias="attention_bias").read(keys)
    step = keys.integer("no_rope_layer_interval", default=4, high=MOST_LAYERS)
    rotating = [number for number in range(layers) if (number + 1) % step]
    default = [CHUNKED if number in set(rotating) else FULL for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=(CHUNKED, FULL), default=default)
    chunk = keys.optional("attention_chunk_size", default=8192)
    return [(windowed(one, chunk or None, chunked=True) if kind == CHUNKED else one,) for kind in kinds]


def crossed(keys: Keys) -> Mixers:
    """Cross-attention to the image in some layers, gated by two numbers. Source: transformers, `MllamaTextModel`."""
    layers = layers_of(keys)
    one = Heads().read(keys)
    cross = keys.layer_numbers("cross_attention_layers", layers)
    if cross is None:
        keys.problems.missing[keys.name("cross_attention_layers")] = None
    keys.keep("cross_attention_layers", sorted(cross or ()), None)
    other = replace(one, qk_norm="per_head", cross=True, extra_params=2)
    return [(other if number in (cross or ()) else one,) for number in range(layers)]


def laguna(keys: Keys) -> Mixers:
    """Gated heads, as many as a list says of each layer. Source: transformers, `LagunaAttention`."""
    layers, heads = layers_of(keys), keys.integer("num_attention_heads", high=10**5)
    kv_heads, gating = kv_heads_of(keys, heads), keys.values.get("gating", True)
    if gating not in (True, "per-head", "per-element"):
        keys.unsupported("gating", "known: true, per-head, per-element")
    keys.keep("gating", gating, assumed=True)
    one = Attention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=keys.integer("head_dim", default=128, high=10**5),
        qk_norm="per_head",
        head_gate=gating != "per-element",
        output_gate=gating == "per-element",
    )
    counts, windows = _heads_per_layer(keys, layers, heads, kv_heads), full_unless_typed(keys, layers)
    return [(windowed(replace(one, heads=int(count)), window),) for count, window in zip(counts, windows, strict=False)]


def _heads_per_layer(keys: Keys, layers: int, heads: int, kv_heads: int) -> Sequence[str]:
    """The heads of each layer, as text."""
    key = "num_attention_heads_per_layer"
    value, default = keys.values.get(key), [str(heads)] * layers
    if isinstance(value, list):
        words = tuple(str(one) for one in cast("list[object]", value))
    else:
        words = unpacked(value, layers) if isinstance(value, str) else tuple(default)
    if words is None or not all(_heads(word, kv_heads) for word in words):
        keys.wrong(key, f"a list of heads, one for each layer, which {kv_heads} divides")
        return default
    return keys.per_layer(key, layers, allowed=sorted(set(words)), default=default)


def _heads(word: str, kv_heads: int) -> bool:
    """Whether these are heads that so many KV heads divide."""
    return word.isascii() and word.isdigit() and len(word) < 6 and int(word) > 0 and int(word) % kv_heads == 0


def mimo_v2(keys: Keys) -> Mixers:
    """Full layers and sliding ones with their own heads and sinks. Source: MiMo-V2 modeling_mimo_v2.py."""
    layers = layers_of(keys)
    kinds = keys.per_layer("hybrid_layer_pattern", layers, allowed=(0, 1), default=[0] * layers)
    if not keys.has("hybrid_layer_pattern"):
        keys.problems.missing[keys.name("hybrid_layer_pattern")] = None
    full = Attention(
        heads=keys.integer("num_attention_heads"),
        kv_heads=kv_heads_of(keys, keys.integer("num_attention_heads")),
        head_dim=keys.integer("head_dim"),
        value_dim=keys.integer("v_head_dim"),
        qkv_bias=keys.flag("attention_bias"),
        sinks=keys.flag("add_full_attention_sink_bias"),
    )
    heads = keys.integer("swa_num_attention_heads", default=full.heads)
    sliding = Attention(
        heads=heads,
        kv_heads=kv_heads_of(keys, heads, "swa_num_key_value_heads"),
        head_dim=keys.integer("swa_head_dim", default=full.head_dim),
        value_dim=keys.integer("swa_v_head_dim", default=full.value_dim),
        qkv_bias=full.qkv_bias,
        sinks=keys.flag("add_swa_attention_sink_bias", default=True),
        window=keys.integer("sliding_window", "sliding_window_size"),
    )
    return [(sliding if kind == "1" else full,) for kind in kinds]


def minimax_m3(keys: Keys) -> Mixers:
    """Full attention, and layers in which an indexer picks blocks. Source: transformers, `MiniMaxM3VLTextConfig`."""
    layers = layers_of(keys)
    one = Heads(qk_norm="per_head").read(keys)
    sparse = keys.child("sparse_attention_config", defaults={})
    if sparse is None:
        return [(one,)] * layers
    picks = sparse.per_layer("sparse_attention_freq", layers, allowed=(0, 1), default=[1] * layers)
    dim, hidden = sparse.integer("sparse_index_dim", default=128), hidden_of(keys)
    heads = sparse.integer("sparse_num_index_heads", default=4)
    top = sparse.integer("sparse_topk_blocks", default=16) * sparse.integer("sparse_block_size", default=128)
    indexer = Indexer(heads=heads, head_dim=dim, top=top)
    picked = replace(one, indexer=indexer, extra_params=hidden * dim * (heads + 1) + 2 * dim)
    return [(picked if pick == "1" else one,) for pick in picks]
