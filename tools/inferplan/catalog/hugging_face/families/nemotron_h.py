"""Nemotron-H: each layer is Mamba-2, attention, a dense block or experts alone."""

from typing import cast

from inferplan.catalog.hugging_face.layers.ffn import Blocks, DenseLayers
from inferplan.catalog.hugging_face.layers.heads import Heads, Mixers
from inferplan.catalog.hugging_face.layers.recurrent import refuse_biases
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, MOST_LAYERS, Keys
from inferplan.core.architecture import DenseFfn, ExpertFfn, Mixer
from inferplan.core.layers.recurrence import Mamba2

PATTERN = "hybrid_override_pattern"
MAMBA, ATTENTION, EXPERTS, DENSE = "M", "*", "E", "-"
"""Letters of the pattern."""

_LETTERS = {
    "linear_attention": MAMBA,
    "mamba": MAMBA,
    "full_attention": ATTENTION,
    "attention": ATTENTION,
    "moe": EXPERTS,
    "mlp": DENSE,
}
"""Words of `layers_block_type`, which newer configs have in place of the pattern."""


def mixers(keys: Keys) -> Mixers:
    """Mamba-2 or attention in the layers that have one. Source: transformers, `NemotronHConfig`."""
    if keys.has("attention_head_dim") and not keys.has("head_dim"):
        keys.substitute("head_dim", keys.values["attention_head_dim"])
    full = Heads().read(keys)
    refuse_biases(keys, "mamba_proj_bias", "use_bias")
    mamba = Mamba2(
        heads=keys.integer("mamba_num_heads", high=LARGEST_COUNT),
        head_dim=keys.integer("mamba_head_dim", high=LARGEST_COUNT),
        groups=keys.integer("n_groups", "mamba_n_groups", high=LARGEST_COUNT),
        state_dim=keys.integer("ssm_state_size", high=LARGEST_COUNT),
        convolution=keys.integer("conv_kernel", "mamba_d_conv", high=LARGEST_FACTOR),
    )
    by_letter: dict[str, tuple[Mixer, ...]] = {MAMBA: (mamba,), ATTENTION: (full,)}
    return [by_letter.get(letter, ()) for letter in _pattern(keys)]


def blocks(keys: Keys) -> Blocks:
    """A dense block or experts, without a gate, in the layers that have one. Source: transformers, `NemotronHMoE`."""
    pattern = _pattern(keys)
    dense = DenseLayers(gated=False).read(keys) if DENSE in pattern else None
    experts = _experts(keys) if EXPERTS in pattern else None
    by_letter: dict[str, DenseFfn | ExpertFfn | None] = {DENSE: dense, EXPERTS: experts}
    return [by_letter.get(letter) for letter in pattern]


def _experts(keys: Keys) -> ExpertFfn:
    """The experts of one layer, which may work in a narrower width."""
    return ExpertFfn(
        experts=keys.integer("n_routed_experts", high=LARGEST_COUNT),
        active=keys.integer("num_experts_per_tok", high=LARGEST_COUNT),
        intermediate=keys.integer("moe_intermediate_size"),
        shared_intermediate=keys.integer("moe_shared_expert_intermediate_size", low=0),
        gated=False,
        expert_hidden=keys.optional("moe_latent_size") or None,
    )


def _pattern(keys: Keys) -> str:
    """One letter per layer: M for Mamba-2, * for attention, E for experts, - for a dense block.

    Source: transformers, `NemotronHConfig`: `hybrid_override_pattern`, or `layers_block_type` in words.
    """
    listed = keys.given(("layers_block_type", "layer_types"))
    pattern = _spelled(keys, listed) if keys.has(listed) else keys.text(PATTERN)
    if pattern is None:
        keys.missing(PATTERN)
        return ""
    if set(pattern) - set(_LETTERS.values()) or len(pattern) > MOST_LAYERS:
        keys.wrong(PATTERN, f"made of M, *, E and -, at most {MOST_LAYERS}")
        return ""
    keys.keep(PATTERN, pattern, None)
    layers = keys.optional("num_hidden_layers", default=len(pattern), high=MOST_LAYERS)
    if layers != len(pattern):
        keys.contradiction(f"{keys.name(PATTERN)} has {len(pattern)} letters for {layers} layers")
    return pattern


def _spelled(keys: Keys, listed: str) -> str:
    """The pattern of a list of words."""
    value = keys.values[listed]
    words = cast("list[object]", value) if isinstance(value, list) else [None]
    letters = [_LETTERS.get(str(word)) for word in words]
    if None in letters or not letters:
        keys.wrong(listed, "a list of " + ", ".join(_LETTERS))
        return DENSE
    return "".join(letter for letter in letters if letter)
