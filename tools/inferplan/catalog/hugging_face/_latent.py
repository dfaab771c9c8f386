"""Multi-head latent attention (MLA), with sparse indexers and with delta nets between, as configs describe it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferplan.catalog.hugging_face._attention import Mixers, hidden_of, layers_of
from inferplan.catalog.hugging_face._keys import HEADS, MOST_LAYERS, Keys
from inferplan.core.layers.cache_parts import Indexer
from inferplan.core.layers.latent_attention import Latent
from inferplan.core.layers.recurrence import KimiDelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Latents:
    """Layers of latent attention, alike but for their indexers."""

    indexers: bool = False

    def __call__(self, keys: Keys) -> Mixers:
        """The attention of every layer."""
        layers, one = layers_of(keys), latent(keys)
        if not self.indexers:
            return [(one,)] * layers
        owner = Indexer(
            heads=keys.integer("index_n_heads", high=10**5),
            head_dim=keys.integer("index_head_dim", high=10**5),
            top=keys.integer("index_topk"),
        )
        owners = (replace(one, indexer=owner), replace(one, indexer=replace(owner, owned=False)))
        return [(owners[kind != "full"],) for kind in _indexer_kinds(keys, layers)]


def latent(keys: Keys) -> Latent:
    """The latent attention of one layer. Source: transformers, `DeepseekV3Attention`."""
    heads = keys.integer(*HEADS, high=10**5)
    one = Latent(
        heads=heads,
        kv_rank=keys.integer("kv_lora_rank"),
        nope_dim=keys.integer("qk_nope_head_dim", high=10**5),
        rope_dim=keys.integer("qk_rope_head_dim", low=0, high=10**5),
        value_dim=keys.integer("v_head_dim", high=10**5),
        query_rank=keys.optional("q_lora_rank") or None,
    )
    bias = (one.query_rank or 0) + one.kv_rank + one.rope_dim + hidden_of(keys)
    return replace(one, extra_params=bias) if keys.flag("attention_bias") else one


def _indexer_kinds(keys: Keys, layers: int) -> Sequence[str]:
    """Each layer owns an indexer ("full"), or reuses the choice of an earlier one ("shared", GLM-5.2).

    Source: transformers, `GlmMoeDsaConfig.indexer_types`: with a frequency, the layers before an offset and every
    so many after it are full.
    """
    step = keys.integer("index_topk_freq", default=1, high=MOST_LAYERS)
    offset = keys.integer("index_skip_topk_offset", default=2, low=0, high=MOST_LAYERS)
    default = ["full" if number < offset or (number - offset + 1) % step == 0 else "shared" for number in range(layers)]
    return keys.per_layer("indexer_types", layers, allowed=("full", "shared"), default=default)


def kimi_linear(keys: Keys) -> Mixers:
    """Kimi Delta Attention, and latent attention in the layers of `full_attn_layers`, counted from 1.

    Source: Kimi-Linear configuration_kimi.py, `KimiLinearConfig.is_kda_layer`; gates of Kimi K3: its config.json.
    """
    layers, full = layers_of(keys), replace(latent(keys), output_gate=keys.flag("mla_use_output_gate"))
    linear = keys.child("linear_attn_config", defaults={})
    if linear is None:
        keys.problems.missing[keys.name("linear_attn_config")] = None
        return [(full,)] * layers
    delta = KimiDelta(
        heads=linear.integer("num_heads", high=10**5),
        head_dim=linear.integer("head_dim", high=10**5),
        convolution=linear.integer("short_conv_kernel_size", high=1000),
        full_gate=linear.flag("use_full_rank_gate"),
    )
    fulls = linear.layer_numbers("full_attn_layers", layers, first=1)
    if fulls is None:
        keys.problems.missing[linear.name("full_attn_layers")] = None
    linear.keep("full_attn_layers", sorted(fulls or ()), None)
    return [(full if number in (fulls or ()) else delta,) for number in range(1, layers + 1)]
