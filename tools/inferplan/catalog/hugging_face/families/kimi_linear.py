"""Kimi Linear and Kimi K3: Kimi Delta Attention, MLA in some layers, and experts that may work in a narrower width."""

from dataclasses import replace

from inferplan.catalog.hugging_face.families.family import NO_EXTRAS, Extras
from inferplan.catalog.hugging_face.layers.expert_layers import after_dense
from inferplan.catalog.hugging_face.layers.ffn import Blocks, MoeLayers
from inferplan.catalog.hugging_face.layers.heads import Mixers
from inferplan.catalog.hugging_face.layers.latent import latent
from inferplan.catalog.hugging_face.reading.keys import LARGEST_COUNT, LARGEST_FACTOR, Keys
from inferplan.catalog.hugging_face.reading.sizes import hidden_of, layers_of
from inferplan.core.architecture import ExpertFfn
from inferplan.core.layers.recurrence import KimiDelta

LINEAR_CONFIG, FULL_LAYERS = "linear_attn_config", "full_attn_layers"

_EXPERTS = MoeLayers(
    count=("num_experts",),
    active=("num_experts_per_token", "num_experts_per_tok"),
    shared_experts=("num_shared_experts",),
    where=after_dense("first_k_dense_replace"),
)


def mixers(keys: Keys) -> Mixers:
    """Kimi Delta Attention, and MLA in the layers of `full_attn_layers`, counted from 1.

    Source: Kimi-Linear configuration_kimi.py, `KimiLinearConfig.is_kda_layer`; gates of Kimi K3: its config.json.
    """
    layers, full = layers_of(keys), replace(latent(keys), output_gate=keys.flag("mla_use_output_gate"))
    linear = keys.child(LINEAR_CONFIG, defaults={})
    if linear is None:
        keys.missing(LINEAR_CONFIG)
        return [(full,)] * layers
    delta = KimiDelta(
        heads=linear.integer("num_heads", high=LARGEST_COUNT),
        head_dim=linear.integer("head_dim", high=LARGEST_COUNT),
        convolution=linear.integer("short_conv_kernel_size", high=LARGEST_FACTOR),
        full_gate=linear.flag("use_full_rank_gate"),
    )
    listed = linear.layer_numbers(FULL_LAYERS, layers, first=1)
    if listed is None:
        linear.missing(FULL_LAYERS)
    full_layers = listed or frozenset()
    linear.keep(FULL_LAYERS, sorted(full_layers), None)
    return [(full if number in full_layers else delta,) for number in range(1, layers + 1)]


def blocks(keys: Keys) -> Blocks:
    """Experts, in Kimi K3 in a narrower width and with a norm of it. Source: vLLM 0.33, models/kimi_k3."""
    width = keys.optional("routed_expert_hidden_size") or None
    norm = width if width and keys.flag("latent_moe_use_norm") else 0
    more = {"expert_hidden": width, "extra_latent_params": norm}
    return [replace(one, **more) if isinstance(one, ExpertFfn) and width else one for one in _EXPERTS(keys)]


def extras(keys: Keys) -> Extras:
    """Attention over the outputs of earlier layers: two norms and two queries per layer, and two at the end (Kimi K3).

    Source: vLLM 0.33, models/kimi_k3/nvidia/model.py; the sum is the published total's.
    """
    if not keys.optional("attn_res_block_size"):
        return NO_EXTRAS
    return Extras(other_params=(4 * layers_of(keys) + 2) * hidden_of(keys))
