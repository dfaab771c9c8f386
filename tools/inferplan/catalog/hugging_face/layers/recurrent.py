"""Recurrent layers that several families have: Gated DeltaNet, Mamba-2; and how configs list them beside attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from inferplan.catalog.hugging_face.layers.heads import Heads, Mixers
from inferplan.catalog.hugging_face.layers.windows import FULL
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, MOST_LAYERS, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.architecture import Mixer
from inferplan.core.layers.recurrence import GatedDelta, Mamba2

LINEAR = "linear_attention"
"""A word of `layer_types`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedDeltaLayers:
    """Gated DeltaNet, with full attention of these `heads` by default in the last of every four layers.

    Qwen3-Next, Qwen3.5, OLMo-Hybrid. Source: transformers, `Qwen3NextConfig`.
    """

    heads: Heads

    def __call__(self, keys: Keys) -> Mixers:
        """What mixes the tokens of every layer."""
        layers, full = layers_of(keys), self.heads.read(keys)
        delta = gated_delta(keys)
        step = keys.integer("full_attention_interval", default=4, high=MOST_LAYERS)
        default = [LINEAR if (number + 1) % step else FULL for number in range(layers)]
        return by_layer_types(keys, default, linear=delta, full=full)


def gated_delta(keys: Keys) -> GatedDelta:
    """The delta net of one layer."""
    return GatedDelta(
        key_heads=keys.integer("linear_num_key_heads", high=LARGEST_COUNT),
        value_heads=keys.integer("linear_num_value_heads", high=LARGEST_COUNT),
        key_dim=keys.integer("linear_key_head_dim", high=LARGEST_COUNT),
        value_dim=keys.integer("linear_value_head_dim", high=LARGEST_COUNT),
        convolution=keys.integer("linear_conv_kernel_dim", high=LARGEST_FACTOR),
    )


def by_layer_types(keys: Keys, default: Sequence[str], *, linear: Mixer, full: Mixer) -> Mixers:
    """Linear and full layers as `layer_types` list them."""
    kinds = keys.per_layer("layer_types", len(default), allowed=(LINEAR, FULL), default=default)
    return [(full if kind == FULL else linear,) for kind in kinds]


def mamba2(keys: Keys) -> Mamba2:
    """Mamba-2 by the keys of Granite 4 and Falcon-H1. Source: transformers, `GraniteMoeHybridMambaLayer`."""
    hidden, heads = hidden_of(keys), keys.integer("mamba_n_heads", high=LARGEST_COUNT)
    width = keys.optional("mamba_d_ssm") or keys.integer("mamba_expand", default=2, high=LARGEST_FACTOR) * hidden
    head_dim = max(1, width // heads)
    if keys.values.get("mamba_d_head") != "auto":
        head_dim = keys.integer("mamba_d_head", default=head_dim, high=LARGEST_COUNT)
    refuse_biases(keys, "mamba_proj_bias")
    return Mamba2(
        heads=heads,
        head_dim=head_dim,
        groups=keys.integer("mamba_n_groups", default=1, high=LARGEST_COUNT),
        state_dim=keys.integer("mamba_d_state", high=LARGEST_COUNT),
        convolution=keys.integer("mamba_d_conv", default=4, high=LARGEST_FACTOR),
    )


def step_rank(keys: Keys, key: str) -> int:
    """The rank of the time steps of Mamba: a sixteenth of the hidden width, unless the config says a number."""
    usual = ceil(hidden_of(keys) / 16)
    return usual if keys.values.get(key) == "auto" else keys.integer(key, default=usual)


def refuse_biases(keys: Keys, *flags: str) -> None:
    """Refuse projections with a bias, which no catalogued model has."""
    for flag in flags:
        if keys.flag(flag):
            keys.unsupported(flag, "no published model has it")
