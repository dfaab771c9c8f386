"""Mamba, Falcon Mamba and Mamba-2: layers with a state and nothing else, and no longest context.

Source: transformers 5.24, `MambaConfig`, `MambaMixer`, `FalconMambaMixer`, `Mamba2Mixer`.
"""

from inferplan.catalog.hugging_face.families.family import Family
from inferplan.catalog.hugging_face.layers.ffn import Blocks
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.recurrent import refuse_biases, step_rank
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.layers.recurrence import Mamba1, Mamba2


def _first(keys: Keys) -> Mixers:
    """Mamba in every layer; `intermediate_size` goes before `expand`, which Falcon Mamba's config has otherwise."""
    _check_biases(keys)
    hidden = hidden_of(keys)
    one = Mamba1(
        width=keys.integer("intermediate_size", default=keys.integer("expand", high=LARGEST_FACTOR) * hidden),
        state_dim=keys.integer("state_size", high=LARGEST_COUNT),
        convolution=keys.integer("conv_kernel", high=LARGEST_FACTOR),
        step_rank=step_rank(keys, "time_step_rank"),
        norms=False,
    )
    return [(one,)] * layers_of(keys)


def _second(keys: Keys) -> Mixers:
    """Mamba-2 in every layer."""
    _check_biases(keys)
    one = Mamba2(
        heads=keys.integer("num_heads", high=LARGEST_COUNT),
        head_dim=keys.integer("head_dim", high=LARGEST_COUNT),
        groups=keys.integer("n_groups", high=LARGEST_COUNT),
        state_dim=keys.integer("state_size", high=LARGEST_COUNT),
        convolution=keys.integer("conv_kernel", high=LARGEST_FACTOR),
    )
    return [(one,)] * layers_of(keys)


def _check_biases(keys: Keys) -> None:
    """Projections have no bias, convolutions have one."""
    refuse_biases(keys, "use_bias")
    if not keys.flag("use_conv_bias", default=True):
        keys.unsupported("use_conv_bias", "every published model has it")


def _no_blocks(keys: Keys) -> Blocks:
    """No feed-forward blocks."""
    return [None] * layers_of(keys)


FIRST = Family(mixers=_first, blocks=_no_blocks, norms=1, tied=True, any_context=True)
SECOND = Family(mixers=_second, blocks=_no_blocks, norms=1, any_context=True)
