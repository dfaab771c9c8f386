"""Layers that keep a state, and the patterns in which families set attention between them."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import cast

from inferplan.catalog.hugging_face._attention import FULL, LINEAR, Heads, Mixers, hidden_of, layers_of
from inferplan.catalog.hugging_face._keys import MOST_LAYERS, Keys
from inferplan.core.architecture import Mixer
from inferplan.core.layers.recurrence import GatedDelta, Lightning, Mamba1, Mamba2, ShortConv

MAMBA = "mamba"


def gated_delta(heads: Heads) -> "_GatedDelta":
    """One full layer in four, Gated DeltaNet in the others. Source: transformers, `Qwen3NextConfig`."""
    return _GatedDelta(heads)


class _GatedDelta:
    """Qwen3-Next, Qwen3.5, OLMo-Hybrid."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads

    def __call__(self, keys: Keys) -> Mixers:
        """What mixes tokens in every layer."""
        layers, full = layers_of(keys), self._heads.read(keys)
        delta = GatedDelta(
            key_heads=keys.integer("linear_num_key_heads", high=10**5),
            value_heads=keys.integer("linear_num_value_heads", high=10**5),
            key_dim=keys.integer("linear_key_head_dim", high=10**5),
            value_dim=keys.integer("linear_value_head_dim", high=10**5),
            convolution=keys.integer("linear_conv_kernel_dim", high=1000),
        )
        step = keys.integer("full_attention_interval", default=4, high=MOST_LAYERS)
        default = [LINEAR if (number + 1) % step else FULL for number in range(layers)]
        return _alternating(keys, layers, default, linear=delta, full=full)


def _alternating(keys: Keys, layers: int, default: Sequence[str], *, linear: Mixer, full: Mixer) -> Mixers:
    """Linear and full layers by `layer_types`."""
    kinds = keys.per_layer("layer_types", layers, allowed=(LINEAR, FULL), default=default)
    return [(full if kind == FULL else linear,) for kind in kinds]


def lightning(keys: Keys) -> Mixers:
    """Lightning attention where `attn_type_list` says 0, or `layer_types` say linear.

    Source: transformers, `MiniMaxConfig`; MiniMax-Text-01 configuration_minimax_text_01.py.
    """
    layers, full = layers_of(keys), Heads().read(keys)
    linear = Lightning(heads=full.heads, head_dim=full.head_dim)
    if keys.has("attn_type_list"):
        kinds = keys.per_layer("attn_type_list", layers, allowed=(0, 1), default=[1] * layers)
        return [(full if kind == "1" else linear,) for kind in kinds]
    default = [LINEAR if number % 2 else FULL for number in range(layers)]
    return _alternating(keys, layers, default, linear=linear, full=full)


def mamba2(keys: Keys) -> Mamba2:
    """Mamba-2 as Granite 4 and Falcon-H1 name it. Source: transformers, `GraniteMoeHybridMambaLayer`."""
    hidden, heads = hidden_of(keys), keys.integer("mamba_n_heads", high=10**5)
    width = keys.optional("mamba_d_ssm") or keys.integer("mamba_expand", default=2, high=1000) * hidden
    head_dim = max(1, width // heads)
    if keys.values.get("mamba_d_head") != "auto":
        head_dim = keys.integer("mamba_d_head", default=head_dim, high=10**5)
    _no_bias(keys, "mamba_proj_bias")
    return Mamba2(
        heads=heads,
        head_dim=head_dim,
        groups=keys.integer("mamba_n_groups", default=1, high=10**5),
        state_dim=keys.integer("mamba_d_state", high=10**5),
        convolution=keys.integer("mamba_d_conv", default=4, high=1000),
    )


def _no_bias(keys: Keys, *flags: str) -> None:
    """Refuse projections with a bias, which no catalogued model has."""
    for flag in flags:
        if keys.flag(flag):
            keys.unsupported(flag, "no published model has it")


def granite_hybrid(keys: Keys) -> Mixers:
    """Mamba-2 and attention by `layer_types`. Source: transformers, `GraniteMoeHybridConfig`."""
    layers, full = layers_of(keys), Heads(qkv_bias="attention_bias", output_bias="attention_bias").read(keys)
    key = keys.given(("layer_types", "layers_block_type"))
    words = (MAMBA, "attention", LINEAR, FULL)
    kinds = keys.per_layer(key, layers, allowed=words, default=[MAMBA] * layers)
    linear = mamba2(keys) if {MAMBA, LINEAR} & set(kinds) else None
    return [(full if linear is None or kind in ("attention", FULL) else linear,) for kind in kinds]


def falcon_h1(keys: Keys) -> Mixers:
    """Attention and Mamba-2 beside each other in every layer. Source: transformers, `FalconH1DecoderLayer`.

    Without `mamba_rms_norm` the gated norm of Mamba-2 is missing, which is taken off the attention.
    """
    layers, full = layers_of(keys), Heads(qkv_bias="attention_bias", output_bias="attention_bias").read(keys)
    _no_bias(keys, "projectors_bias")
    beside = mamba2(keys)
    less = 0 if keys.flag("mamba_rms_norm") else -beside.width
    return [(replace(full, extra_params=less), beside)] * layers


def jamba(keys: Keys) -> Mixers:
    """Mamba, and attention every `attn_layer_period` layers. Source: transformers, `JambaConfig`."""
    layers, hidden, full = layers_of(keys), hidden_of(keys), Heads().read(keys)
    period = keys.integer("attn_layer_period", high=MOST_LAYERS)
    offset = keys.integer("attn_layer_offset", low=0, high=MOST_LAYERS)
    rank = ceil(hidden / 16)
    if keys.values.get("mamba_dt_rank") != "auto":
        rank = keys.integer("mamba_dt_rank", default=rank)
    _no_bias(keys, "mamba_proj_bias")
    linear = Mamba1(
        width=keys.integer("mamba_expand", high=1000) * hidden,
        state_dim=keys.integer("mamba_d_state", high=10**5),
        convolution=keys.integer("mamba_d_conv", high=1000),
        step_rank=rank,
    )
    return [(full if number % period == offset else linear,) for number in range(layers)]


def short_conv(keys: Keys) -> Mixers:
    """Short convolutions, and attention by `layer_types` or `full_attn_idxs`. Source: transformers, `Lfm2Config`."""
    layers, full = layers_of(keys), Heads(qk_norm="per_head").read(keys)
    linear = ShortConv(width=hidden_of(keys), convolution=keys.integer("conv_L_cache", high=1000))
    _no_bias(keys, "conv_bias")
    fulls = None if keys.has("layer_types") else keys.layer_numbers("full_attn_idxs", layers)
    if fulls is not None:
        keys.keep("full_attn_idxs", sorted(fulls), None)
    default = [FULL if fulls is None or number in fulls else "conv" for number in range(layers)]
    kinds = keys.per_layer("layer_types", layers, allowed=("conv", FULL), default=default)
    return [(full if kind == FULL else linear,) for kind in kinds]


def nemotron_kinds(keys: Keys) -> tuple[str, ...]:
    """M for Mamba-2, * for attention, E for experts, - for a dense block; one letter a layer.

    Source: transformers, `NemotronHConfig`: `hybrid_override_pattern`, or `layers_block_type` in words.
    """
    listed = keys.given(("layers_block_type", "layer_types"))
    pattern = _spelled(keys, listed) if keys.has(listed) else keys.text("hybrid_override_pattern")
    if pattern is None:
        keys.problems.missing[keys.name("hybrid_override_pattern")] = None
        return ()
    if set(pattern) - set("M*E-") or len(pattern) > MOST_LAYERS:
        keys.wrong("hybrid_override_pattern", f"made of M, *, E and -, at most {MOST_LAYERS}")
        return ()
    keys.keep("hybrid_override_pattern", pattern, None)
    layers = keys.optional("num_hidden_layers", default=len(pattern), high=MOST_LAYERS)
    if layers != len(pattern):
        keys.contrary(f"{keys.name('hybrid_override_pattern')} has {len(pattern)} letters for {layers} layers")
    return tuple(pattern)


_SPELLED = {"linear_attention": "M", "mamba": "M", "full_attention": "*", "attention": "*", "moe": "E", "mlp": "-"}


def _spelled(keys: Keys, listed: str) -> str:
    """The pattern of a list of words."""
    value = keys.values[listed]
    words = cast("list[object]", value) if isinstance(value, list) else [None]
    letters = [_SPELLED.get(str(word)) for word in words]
    if None in letters or not letters:
        keys.wrong(listed, "a list of " + ", ".join(_SPELLED))
        return "-"
    return "".join(letter for letter in letters if letter)


def nemotron_h(keys: Keys) -> Mixers:
    """Mamba-2, attention, or a feed-forward block alone in each layer. Source: transformers, `NemotronHConfig`."""
    heads = Heads(qkv_bias="attention_bias", output_bias="attention_bias")
    if keys.has("attention_head_dim") and not keys.has("head_dim"):
        keys.values = {**keys.values, "head_dim": keys.values["attention_head_dim"]}
    full = heads.read(keys)
    _no_bias(keys, "mamba_proj_bias", "use_bias")
    linear = Mamba2(
        heads=keys.integer("mamba_num_heads", high=10**5),
        head_dim=keys.integer("mamba_head_dim", high=10**5),
        groups=keys.integer("n_groups", "mamba_n_groups", high=10**5),
        state_dim=keys.integer("ssm_state_size", high=10**5),
        convolution=keys.integer("conv_kernel", "mamba_d_conv", high=1000),
    )
    mixers: dict[str, tuple[Mixer, ...]] = {"M": (linear,), "*": (full,)}
    return [mixers.get(kind, ()) for kind in nemotron_kinds(keys)]
